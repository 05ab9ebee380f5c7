"""Orders on the wire, now or as they were at an earlier moment (the read side may lag the chain)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from adapters.sim.venue.exchange.orders import OrderChange, Status, Tif, TriggerSpec, VenueOrder
from adapters.sim.venue.numbers import text
from domain.intents import Side, TriggerKind

Row = dict[str, object]

_SIDES = {Side.BUY: "B", Side.SELL: "A"}


def side_letter(side: Side) -> str:
    return _SIDES[side]


def basic_order(order: VenueOrder, size: Decimal) -> Row:
    """The order of `openOrders` and `orderUpdates`: no trigger fields; optional keys only when set."""
    row: Row = {
        "coin": order.coin,
        "side": side_letter(order.side),
        "limitPx": text(order.price),
        "sz": text(size),
        "oid": order.oid,
        "timestamp": order.placed_ms,
        "origSz": text(order.original_size),
    }
    if order.cloid is not None:
        row["cloid"] = order.cloid
    if order.reduce_only:
        row["reduceOnly"] = True
    return row


def frontend_order(order: VenueOrder, at_ms: int | None = None) -> Row:
    """The order of `frontendOpenOrders`, `orderStatus` and `historicalOrders`, now or as of `at_ms`."""
    return _frontend(order, change_at(order, at_ms).size, at_ms)


def order_change_row(order: VenueOrder, change: OrderChange) -> Row:
    """One entry of `orderUpdates`."""
    return _with_status(basic_order(order, change.size), change)


def status_row(order: VenueOrder, at_ms: int | None = None) -> Row:
    """An order and what became of it, now or as of `at_ms`."""
    change = change_at(order, at_ms)
    return _with_status(_frontend(order, change.size, at_ms), change)


def history_rows(order: VenueOrder, at_ms: int | None = None) -> Iterator[tuple[int, Row]]:
    """A row per status that the order had, oldest first, each with its time.

    A status that was superseded is told as it began: a filled order's `open` row has the whole size.
    """
    begun: list[OrderChange] = []
    for change in order.changes:
        if (at_ms is None or change.time_ms <= at_ms) and (not begun or change.status is not begun[-1].status):
            begun.append(change)
    if begun:
        begun[-1] = change_at(order, at_ms)
    for change in begun:
        yield change.time_ms, _with_status(_frontend(order, change.size, at_ms), change)


def is_known(order: VenueOrder, at_ms: int) -> bool:
    """Whether the venue had told of the order by then."""
    return _begun_ms(order) <= at_ms


def change_at(order: VenueOrder, at_ms: int | None = None) -> OrderChange:
    """The order's last change by `at_ms`; one that waits for its parent may have had none since it was placed."""
    if at_ms is None or (order.changes and order.changes[-1].time_ms <= at_ms):
        if order.status.ends and order.changes:
            return order.changes[-1]
        return OrderChange(order.changes[-1].time_ms if order.changes else order.placed_ms, order.status, order.size)
    earlier = [change for change in order.changes if change.time_ms <= at_ms]
    return earlier[-1] if earlier else OrderChange(_begun_ms(order), Status.OPEN, order.original_size)


def _begun_ms(order: VenueOrder) -> int:
    """A child is there from its parent's placement on, though `placed_ms` becomes the moment when it wakes."""
    return order.placed_ms if order.parent is None else min(order.placed_ms, order.parent.placed_ms)


def is_open(order: VenueOrder, at_ms: int | None = None) -> bool:
    """Whether it stands among the open orders by itself, not under a parent that it waits for."""
    if at_ms is not None and order.status.ends and order.changes and order.changes[-1].time_ms <= at_ms:
        return False  # most of a long history: it has ended, and everybody knows
    return not change_at(order, at_ms).status.ends and not _waits_for_parent(order, at_ms)


def _waits_for_parent(order: VenueOrder, at_ms: int | None) -> bool:
    if order.parent is None:
        return False
    if at_ms is None:
        return order.waiting_for_parent
    return not change_at(order.parent, at_ms).status.ends


def _children(order: VenueOrder, at_ms: int | None) -> list[Row]:
    """The TP/SL orders that wait for this one's fill; once it is filled they stand by themselves."""
    return [
        frontend_order(child, at_ms)
        for child in order.children
        if (at_ms is None or is_known(child, at_ms))
        and _waits_for_parent(child, at_ms)
        and not change_at(child, at_ms).status.ends
    ]


def _with_status(order: Row, change: OrderChange) -> Row:
    return {"order": order, "status": change.status.value, "statusTimestamp": change.time_ms}


def _frontend(order: VenueOrder, size: Decimal, at_ms: int | None) -> Row:
    trigger = order.trigger
    return {
        "coin": order.coin,
        "side": side_letter(order.side),
        "limitPx": text(order.price),
        "sz": text(size),
        "oid": order.oid,
        "timestamp": order.placed_ms,
        "triggerCondition": "N/A" if trigger is None else trigger_condition(order.side, trigger),
        "isTrigger": trigger is not None,
        "triggerPx": "0.0" if trigger is None else text(trigger.trigger.price),
        "children": _children(order, at_ms),
        "isPositionTpsl": order.is_position_tpsl,
        "reduceOnly": order.reduce_only,
        "orderType": order_type(order),
        "origSz": text(order.original_size),
        "tif": order.tif.value if order.tif is not None and trigger is None else None,
        "cloid": order.cloid,
    }


def order_type(order: VenueOrder) -> str:
    """Display text; what the API calls IOC is a limit order, only the frontend's own is called market."""
    if order.trigger is None:
        return "Market" if order.tif in (Tif.FRONTEND_MARKET, Tif.LIQUIDATION_MARKET) else "Limit"
    kind = "Stop" if order.trigger.trigger.kind is TriggerKind.STOP_LOSS else "Take Profit"
    return f"{kind} {'Market' if order.trigger.is_market else 'Limit'}"


def trigger_condition(side: Side, spec: TriggerSpec) -> str:
    """`Price above 90000`: without the decimal that prices have elsewhere."""
    above = (spec.trigger.kind is TriggerKind.TAKE_PROFIT) == (side is Side.SELL)
    return f"Price {'above' if above else 'below'} {text(spec.trigger.price).removesuffix('.0')}"
