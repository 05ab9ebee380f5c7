"""What the simulated venue checks when an order arrives, and the words it refuses with."""

from __future__ import annotations

from decimal import Decimal

from adapters.sim.matching import is_triggered
from adapters.sim.venue import words
from domain.instruments import MIN_ORDER_NOTIONAL_USD, Instrument
from domain.intents import OrderRequest
from domain.orders import Rejected, RejectReason


def refusal_of(
    request: OrderRequest, instrument: Instrument, position: Decimal, mid: Decimal | None, *, affords: bool
) -> Rejected | None:
    """The venue's refusal of an order, or None. `position` is signed; an order that closes it whole may be small.
    A trigger that `mid` (None before the first price) has reached already is none."""
    prices = (request.limit_price, *((request.trigger.price,) if request.trigger else ()))
    if not all(instrument.is_valid_price(price) for price in prices):
        return Rejected(RejectReason.BAD_PRICE, words.PRICE_TICK)
    if not instrument.is_valid_size(request.size):
        return Rejected(RejectReason.BAD_SIZE, words.BAD_SIZE)
    if request.reduce_only and position * request.side.sign >= 0:
        return Rejected(RejectReason.REDUCE_ONLY_WOULD_INCREASE, words.REDUCE_ONLY_INCREASES)
    if request.trigger is not None and mid is not None and is_triggered(request.trigger, request.side, mid, mid):
        return Rejected(RejectReason.BAD_TRIGGER, words.BAD_TRIGGER)
    closes_whole = position * request.side.sign < 0 and request.size >= abs(position)
    if request.size * request.limit_price < MIN_ORDER_NOTIONAL_USD and not closes_whole:
        return Rejected(RejectReason.MIN_NOTIONAL, words.MIN_NOTIONAL)
    if not affords:
        return Rejected(RejectReason.INSUFFICIENT_MARGIN, words.NO_MARGIN)
    return None
