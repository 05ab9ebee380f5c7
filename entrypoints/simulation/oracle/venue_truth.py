"""The venue's truth about one account, gathered from its log as it happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
FillKey = tuple[str, int, int, int, str]
"""Coin, time, tid, oid, side."""


@dataclass(slots=True)
class TrueOrder:
    oid: int
    cloid: str | None
    coin: str
    side: str
    size: Decimal
    reduce_only: bool
    status: str
    filled: Decimal = ZERO

    @property
    def was_accepted(self) -> bool:
        """It rested, waited or traded; a refusal alone is no life."""
        return self.filled > 0 or not self.status.lower().endswith("rejected")


@dataclass(frozen=True, slots=True)
class TrueFill:
    key: FillKey
    oid: int
    signed_size: Decimal
    price: Decimal
    fee: Decimal
    closed_pnl: Decimal
    start: Decimal


@dataclass(slots=True)
class VenueTruth:
    user: str
    orders: dict[int, TrueOrder] = field(default_factory=dict)
    by_cloid: dict[str, list[int]] = field(default_factory=dict)
    fills: dict[FillKey, TrueFill] = field(default_factory=dict)
    fundings: dict[tuple[str, int], Decimal] = field(default_factory=dict)
    filled: dict[int, Decimal] = field(default_factory=dict)
    """By oid."""
    flows: Decimal = ZERO
    """Money that came in, less what went out."""
    moved_ms: dict[str, int] = field(default_factory=dict)
    """When a coin's position changed last."""
    refusals: Counter[str] = field(default_factory=Counter)

    def take(self, row: dict[str, Any]) -> TrueOrder | TrueFill | None:
        """Take one row of the log; give what it was about, where it is about this account."""
        if row.get("user") != self.user:
            return None
        match row["kind"]:
            case "order":
                return self._order(row)
            case "fill":
                return self._fill(row)
            case "funding":
                self.fundings[row["coin"], int(row["time"])] = Decimal(row["usdc"])
            case "balance":
                self.flows += _flow(row["delta"])
            case _:
                pass
        return None

    def named(self, key: FillKey) -> FillKey:
        """The venue's own name of a fill. A settlement has no tid there, and readers give it one."""
        coin, time_ms, _, oid, side = key
        bare = (coin, time_ms, 0, oid, side)
        return bare if bare in self.fills else key

    def accepted(self, cloid: str) -> list[TrueOrder]:
        """Orders under this id that had any life; more than one is a catastrophe."""
        return [order for oid in self.by_cloid.get(cloid, ()) if (order := self.orders[oid]).was_accepted]

    def _order(self, row: dict[str, Any]) -> TrueOrder:
        oid, status = int(row["oid"]), str(row["status"])
        order = self.orders.get(oid)
        if order is None:
            order = self.orders[oid] = TrueOrder(
                oid,
                row["cloid"],
                row["coin"],
                str(row["side"]),
                Decimal(row["size"]),
                bool(row["reduce_only"]),
                status,
                self.filled.get(oid, ZERO),
            )
            if order.cloid is not None:
                self.by_cloid.setdefault(order.cloid, []).append(oid)
        order.status = status
        if status.lower().endswith("rejected"):
            self.refusals[status] += 1
        return order

    def _fill(self, row: dict[str, Any]) -> TrueFill:
        side = str(row["side"])
        size = Decimal(row["size"])
        key = (row["coin"], int(row["time"]), int(row["tid"]), int(row["oid"]), side)
        fill = TrueFill(
            key,
            int(row["oid"]),
            size if side == "buy" else -size,
            Decimal(row["price"]),
            Decimal(row["fee"]),
            Decimal(row["closed_pnl"]),
            Decimal(row["start_position"]),
        )
        self.fills[key] = fill
        self.moved_ms[fill.key[0]] = fill.key[1]
        self.filled[fill.oid] = self.filled.get(fill.oid, ZERO) + size
        order = self.orders.get(fill.oid)
        if order is not None:
            order.filled = self.filled[fill.oid]
        return fill


def _flow(delta: dict[str, Any]) -> Decimal:
    amount = Decimal(str(delta.get("usdc", "0")))
    if delta.get("type") == "withdraw":
        return -(amount + Decimal(str(delta.get("fee", "0"))))
    return amount if delta.get("type") == "deposit" else ZERO
