"""From what the account's streams say to events. Everything here may be said twice: readers dedupe by identity."""

from __future__ import annotations

from collections.abc import Iterable

from adapters.hyperliquid.heard import OrderUpdate, StatusKind
from domain.events import Event, FillArrived, FundingPaid, OrderCanceled, OrderOutcome
from domain.fills import Fill
from domain.intents import is_our_cloid
from domain.orders import Accepted, Rejected, RejectReason

_REASONS = {
    "iocCancelRejected": RejectReason.NO_IMMEDIATE_MATCH,
    "marketOrderNoLiquidityRejected": RejectReason.NO_IMMEDIATE_MATCH,
    "badAloPxRejected": RejectReason.POST_ONLY_WOULD_MATCH,
    "oracleRejected": RejectReason.PRICE_OUTSIDE_BAND,
    "reduceOnlyRejected": RejectReason.REDUCE_ONLY_WOULD_INCREASE,
    "minTradeNtlRejected": RejectReason.MIN_NOTIONAL,
    "perpMarginRejected": RejectReason.INSUFFICIENT_MARGIN,
    "insufficientSpotBalanceRejected": RejectReason.INSUFFICIENT_MARGIN,
    "tickRejected": RejectReason.BAD_PRICE,
    "badTriggerPxRejected": RejectReason.BAD_TRIGGER,
    "tooManyOpenOrdersRejected": RejectReason.TOO_MANY_ORDERS,
}


def fill_events(fills: Iterable[Fill], since_ms: int = 0) -> list[Event]:
    return [FillArrived(fill) for fill in fills if fill.time_ms >= since_ms]


def funding_events(fundings: Iterable[FundingPaid], since_ms: int = 0) -> list[Event]:
    return [each for each in fundings if each.time_ms >= since_ms]


def order_event(update: OrderUpdate) -> Event | None:
    """What a step in an order's life means; None for orders that are not ours and words that decide nothing.

    A rejection of an order that has filled in part (an IOC that found no more) is the end of its rest.
    """
    cloid = update.cloid
    if cloid is None or not is_our_cloid(cloid):
        return None
    match update.kind:
        case StatusKind.OPEN | StatusKind.FILLED:
            return OrderOutcome(cloid, Accepted(update.oid))
        case StatusKind.REJECTED if update.size == update.original_size:
            reason = _REASONS.get(update.status, RejectReason.OTHER)
            return OrderOutcome(cloid, Rejected(reason, update.status))
        case StatusKind.CANCELED | StatusKind.REJECTED:
            return OrderCanceled(cloid, update.status)
        case StatusKind.ASK_AGAIN:
            return None
