"""Orders of an account with all their terms, as the venue remembers them: what rests, and what became of the rest.

For a ledger that is lost. Only orders with a cloid as we make them are read: the others are somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from adapters.hyperliquid.account_reads import AccountReader
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.wire_numbers import Millis, is_other_market, known_cloid, not_negative, positive, read
from adapters.hyperliquid.wire_rows import SIDES, FullOrder
from domain.intents import Side, TimeInForce, Trigger, TriggerKind, is_our_cloid

OPEN_WORDS = frozenset(("open", "triggered"))
FILLED_WORD = "filled"

HISTORY_ROWS = 2_000
"""The venue's history of orders has no more."""

_TIMES = {"Ioc": TimeInForce.IOC, "Gtc": TimeInForce.GTC, "Alo": TimeInForce.ALO, "FrontendMarket": TimeInForce.IOC}


class DatedOrder(FullOrder):
    tif: str | None = None


class HistoryRow(msgspec.Struct, gc=False):
    order: DatedOrder
    status: str
    status_timestamp: Millis = msgspec.field(name="statusTimestamp")


@dataclass(frozen=True, slots=True)
class OldOrder:
    """`status` is the venue's word, as of `status_ms`; an order that rests is `open`."""

    symbol: str
    oid: int
    cloid: str
    side: Side
    size: Decimal
    limit_price: Decimal
    time_in_force: TimeInForce
    reduce_only: bool
    trigger: Trigger | None
    placed_ms: int
    status: str
    status_ms: int

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_WORDS

    @property
    def is_entry(self) -> bool:
        return not self.reduce_only and self.trigger is None

    @property
    def is_rejected(self) -> bool:
        return self.status.endswith("ejected")


_HISTORY = msgspec.json.Decoder(list[HistoryRow])
_OPEN = msgspec.json.Decoder(list[DatedOrder])


async def read_old_orders(reader: AccountReader) -> tuple[OldOrder, ...]:
    """Every order of ours that rests, or whose fate the venue remembers. Raises `VenueUnavailable`.

    The history is read first: what ends between the two questions is still among the first answer's.
    """
    past = await reader.ask("historicalOrders", decode_past_orders, rows=HISTORY_ROWS)
    resting = await reader.ask("frontendOpenOrders", decode_resting_orders, dex="")
    newest = {order.oid: order for order in past} | {order.oid: order for order in resting}
    return tuple(newest[oid] for oid in sorted(newest))


def decode_past_orders(body: bytes) -> tuple[OldOrder, ...]:
    """`historicalOrders`: each order once, as it stood last."""
    newest: dict[int, OldOrder] = {}
    for row in read(_HISTORY.decode, body, "historicalOrders"):
        order = _old_order(row.order, row.status, row.status_timestamp, "historicalOrders")
        known = None if order is None else newest.get(order.oid)
        if order is not None and (known is None or _stands_over(order, known)):
            newest[order.oid] = order
    return tuple(newest.values())


def decode_resting_orders(body: bytes) -> tuple[OldOrder, ...]:
    """`frontendOpenOrders`, children included."""
    waiting: list[DatedOrder] = list(read(_OPEN.decode, body, "frontendOpenOrders"))
    orders = (_old_order(row, "open", row.timestamp, "frontendOpenOrders") for row in waiting)
    return tuple(order for order in orders if order is not None)


def each_once(orders: Iterable[OldOrder]) -> dict[str, OldOrder]:
    """By cloid. Of several orders with one cloid (the venue allows it) the newest."""
    found: dict[str, OldOrder] = {}
    for order in sorted(orders, key=lambda each: (each.placed_ms, each.oid)):
        found[order.cloid] = order
    return found


def _stands_over(new: OldOrder, known: OldOrder) -> bool:
    """Of one moment the end of an order counts, and not that it was open."""
    return (new.status_ms, not new.is_open) >= (known.status_ms, not known.is_open)


def _old_order(row: DatedOrder, status: str, status_ms: int, where: str) -> OldOrder | None:
    cloid = known_cloid(row.cloid, f"{where}.cloid")
    if is_other_market(row.coin) or cloid is None or not is_our_cloid(cloid):
        return None
    if not row.coin or not status:
        raise DecodeError(where, "an order without a coin or a status")
    if row.orig_sz is None:
        raise DecodeError(f"{where}.origSz", "missing")
    return OldOrder(
        symbol=row.coin,
        oid=row.oid,
        cloid=cloid,
        side=SIDES[row.side],
        size=not_negative(row.orig_sz, f"{where}.origSz"),
        limit_price=positive(row.limit_px, f"{where}.limitPx"),
        time_in_force=_TIMES.get(row.tif or "", TimeInForce.GTC),
        reduce_only=row.reduce_only,
        trigger=_trigger(row, where),
        placed_ms=row.timestamp,
        status=status,
        status_ms=status_ms,
    )


def _trigger(row: DatedOrder, where: str) -> Trigger | None:
    if not row.is_trigger:
        return None
    kind = TriggerKind.TAKE_PROFIT if row.order_type.startswith("Take Profit") else TriggerKind.STOP_LOSS
    return Trigger(kind, positive(row.trigger_px, f"{where}.triggerPx"))
