"""What the venue answers about orders, fills and payments of an account."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from adapters.hyperliquid.heard import DecodeError, OrderUpdate
from adapters.hyperliquid.wire_numbers import (
    is_other_market,
    known_cloid,
    not_negative,
    positive,
    read,
    shown,
)
from adapters.hyperliquid.wire_rows import (
    SIDES,
    DatedFunding,
    FillRow,
    Fills,
    FullOrder,
    FundingRow,
    Fundings,
    UpdateRow,
    fills_of,
    fundings_of,
    update_of,
    updates_of,
)
from domain.intents import Side


class StatusAnswer(msgspec.Struct):
    status: str
    order: UpdateRow | None = None


class NamedRow(msgspec.Struct):
    order: FullOrder


class NameAnswer(msgspec.Struct):
    status: str
    order: NamedRow | None = None


@dataclass(frozen=True, slots=True)
class OrderName:
    """Whose an order is: what identifies it, and whether it waits (or waited) for a price."""

    oid: int
    cloid: str | None
    is_trigger: bool


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that rests at the venue. `size` is what remains; `trigger_price` only where it waits for one.

    The plain list (`openOrders`) shows waiting triggers as if they were plain orders.
    """

    coin: str
    oid: int
    cloid: str | None
    side: Side
    size: Decimal
    original_size: Decimal
    limit_price: Decimal
    trigger_price: Decimal | None
    reduce_only: bool
    order_type: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """Children (attached stops) included, each oid once."""

    orders: tuple[OpenOrder, ...]
    skipped: int


_FILLS = msgspec.json.Decoder(list[FillRow])
_FUNDINGS = msgspec.json.Decoder(list[DatedFunding])
_STATUS = msgspec.json.Decoder(StatusAnswer)
_NAME = msgspec.json.Decoder(NameAnswer)
_HISTORY = msgspec.json.Decoder(list[UpdateRow])
_OPEN = msgspec.json.Decoder(list[FullOrder])


def decode_fills(body: bytes, own: str | None) -> Fills:
    """`userFills` and `userFillsByTime`, in the venue's order (which is not dependable)."""
    return fills_of(read(_FILLS.decode, body, "userFills"), own, "userFills")


def decode_fundings(body: bytes) -> Fundings:
    """`userFunding`."""
    rows = read(_FUNDINGS.decode, body, "userFunding")
    flat = (FundingRow(row.time, d.coin, d.usdc, d.szi, d.rate, d.samples) for row in rows for d in (row.delta,))
    return fundings_of(flat, "userFunding")


def decode_order_status(body: bytes) -> OrderUpdate | None:
    """`orderStatus`; None when the venue does not know the order, which is no proof that it never lived."""
    answer = read(_STATUS.decode, body, "orderStatus")
    if answer.status == "unknownOid" and answer.order is None:
        return None
    if answer.status != "order" or answer.order is None:
        raise DecodeError("orderStatus", f"neither an order nor unknown: {shown(answer.status)}")
    return update_of(answer.order, "orderStatus")


def decode_order_name(body: bytes) -> OrderName | None:
    """`orderStatus` again, for what is in it of the order itself; None when the venue does not know it."""
    answer = read(_NAME.decode, body, "orderStatus")
    if answer.status == "unknownOid" and answer.order is None:
        return None
    if answer.status != "order" or answer.order is None:
        raise DecodeError("orderStatus", f"neither an order nor unknown: {shown(answer.status)}")
    order = answer.order.order
    return OrderName(order.oid, known_cloid(order.cloid, "orderStatus.cloid"), order.is_trigger)


def decode_order_history(body: bytes) -> tuple[OrderUpdate, ...]:
    """`historicalOrders`, perps only; one order may stand there once per change of its status."""
    return updates_of(read(_HISTORY.decode, body, "historicalOrders"), "historicalOrders")[0]


def decode_open_orders(body: bytes) -> OpenOrders:
    """`openOrders` and `frontendOpenOrders`; only the latter tells triggers."""
    found: dict[int, OpenOrder] = {}
    other: set[int] = set()
    waiting = read(_OPEN.decode, body, "openOrders")
    while waiting:
        row = waiting.pop(0)
        waiting.extend(row.children)
        if is_other_market(row.coin):
            other.add(row.oid)
        else:
            found.setdefault(row.oid, _open_order(row))
    return OpenOrders(tuple(found.values()), len(other))


def _open_order(row: FullOrder) -> OpenOrder:
    where = "openOrders"
    if not row.coin:
        raise DecodeError(where, "an order without a coin")
    original = row.sz if row.orig_sz is None else row.orig_sz
    return OpenOrder(
        coin=row.coin,
        oid=row.oid,
        cloid=known_cloid(row.cloid, f"{where}.cloid"),
        side=SIDES[row.side],
        size=not_negative(row.sz, f"{where}.sz"),
        original_size=not_negative(original, f"{where}.origSz"),
        limit_price=positive(row.limit_px, f"{where}.limitPx"),
        trigger_price=positive(row.trigger_px, f"{where}.triggerPx") if row.is_trigger else None,
        reduce_only=row.reduce_only,
        order_type=row.order_type,
        time_ms=row.timestamp,
    )
