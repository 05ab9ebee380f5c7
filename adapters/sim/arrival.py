"""What the simulated venue checks when an order arrives, and the words it refuses with."""

from __future__ import annotations

from decimal import Decimal

from domain.instruments import MIN_ORDER_NOTIONAL_USD, Instrument
from domain.intents import OrderRequest
from domain.orders import Rejected, RejectReason


def refusal_of(request: OrderRequest, instrument: Instrument, position: Decimal, *, affords: bool) -> Rejected | None:
    """The venue's refusal of an order, or None. `position` is signed; an order that closes it whole may be small."""
    prices = (request.limit_price, *((request.trigger.price,) if request.trigger else ()))
    if not all(instrument.is_valid_price(price) for price in prices):
        return Rejected(RejectReason.BAD_PRICE, "Price must be divisible by tick size.")
    if not instrument.is_valid_size(request.size):
        return Rejected(RejectReason.BAD_SIZE, "Order has invalid size.")
    if request.reduce_only and position * request.side.sign >= 0:
        return Rejected(RejectReason.REDUCE_ONLY_WOULD_INCREASE, "Reduce only order would increase position.")
    closes_whole = position * request.side.sign < 0 and request.size >= abs(position)
    if request.size * request.limit_price < MIN_ORDER_NOTIONAL_USD and not closes_whole:
        return Rejected(RejectReason.MIN_NOTIONAL, "Order must have minimum value of $10.")
    if not affords:
        return Rejected(RejectReason.INSUFFICIENT_MARGIN, "Insufficient margin to place order.")
    return None
