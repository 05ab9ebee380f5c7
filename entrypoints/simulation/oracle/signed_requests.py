"""A signed request as anybody on the wire can read it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class WireOrder:
    """One order of an action."""

    cloid: str | None
    asset: int
    is_buy: bool
    price: Decimal
    size: Decimal
    reduce_only: bool
    is_trigger: bool
    raw: str


@dataclass(frozen=True, slots=True)
class SignedRequest:
    kind: str
    nonce: int
    expires_ms: int | None
    action: str
    """The unsigned action as JSON, as it was sent."""
    orders: tuple[WireOrder, ...]


def read_signed(body: bytes) -> SignedRequest:
    envelope: dict[str, Any] = json.loads(body)
    action: dict[str, Any] = envelope["action"]
    rows = action.get("orders", []) if action["type"] == "order" else []
    return SignedRequest(
        str(action["type"]),
        int(envelope["nonce"]),
        envelope.get("expiresAfter"),
        json.dumps(action, separators=(",", ":")),
        tuple(_order(row) for row in rows),
    )


def _order(row: dict[str, Any]) -> WireOrder:
    return WireOrder(
        row.get("c"),
        int(row["a"]),
        bool(row["b"]),
        Decimal(row["p"]),
        Decimal(row["s"]),
        bool(row["r"]),
        "trigger" in row["t"],
        json.dumps(row, separators=(",", ":")),
    )
