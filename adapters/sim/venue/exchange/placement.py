"""What the venue checks before an order may live, in its order and with its words (§6.3, §8)."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from adapters.sim.matching import is_triggered, within_limit
from adapters.sim.venue import words
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.margin import cross_value, leverage_of, order_margin, total_margin_used
from adapters.sim.venue.exchange.orders import OrderSpec, Status, Tif, VenueOrder
from adapters.sim.venue.exchange.state import VenueState
from adapters.sim.venue.exchange.trading import opposite_best, reducible
from domain.instruments import MIN_ORDER_NOTIONAL_USD, Instrument
from domain.margin import tier_at

ZERO = Decimal(0)


class Refusal(NamedTuple):
    """Why an order may not live: the text of the answer, and the status its record ends with."""

    text: str
    status: Status


def malformed(instrument: Instrument, spec: OrderSpec, *, may_be_empty: bool) -> str | None:
    """What is wrong with an order's numbers alone. Such an order gets no oid where the price is no price at all."""
    if spec.price <= 0 or (spec.trigger is not None and spec.trigger.trigger.price <= 0):
        return words.BAD_PRICE
    if spec.size == 0 and not may_be_empty:
        return words.ZERO_SIZE
    if spec.size < 0 or (spec.size > 0 and not instrument.is_valid_size(spec.size)):
        return words.BAD_SIZE
    return None


def refusal_of(state: VenueState, account: VenueAccount, order: VenueOrder) -> Refusal | None:
    """The venue's refusal of a well-formed order, or None. TP/SL children are judged for their prices only."""
    instrument = state.by_coin[order.coin]
    if order.coin in state.delisted:
        return Refusal(words.DELISTED, Status.REJECTED)
    prices = (order.price, *((order.trigger.trigger.price,) if order.trigger else ()))
    if not all(instrument.is_valid_price(price) for price in prices):
        return Refusal(words.PRICE_TICK, Status.TICK_REJECTED)
    mark = state.marks[order.coin]
    if order.waiting_for_parent:
        return None
    if order.trigger is None:
        band = state.settings.price_band
        if abs(order.price - state.oracles[order.coin]) > band * state.oracles[order.coin]:
            return Refusal(words.price_band(int(band * 100)), Status.ORACLE_REJECTED)
    if len(account.orders) >= _open_order_limit(state, account, order):
        return Refusal(words.TOO_MANY_OPEN_ORDERS, Status.TOO_MANY_ORDERS_REJECTED)
    if order.reduce_only and reducible(state, order) == 0:
        return Refusal(words.REDUCE_ONLY_INCREASES, Status.REDUCE_ONLY_REJECTED)
    if order.trigger is not None and is_triggered(order.trigger.trigger, order.side, mark, mark):
        return Refusal(words.BAD_TRIGGER, Status.BAD_TRIGGER_REJECTED)
    if order.follows_position:
        return None
    return _size_refusal(state, account, order, instrument, mark)


def _size_refusal(
    state: VenueState, account: VenueAccount, order: VenueOrder, instrument: Instrument, mark: Decimal
) -> Refusal | None:
    closes_whole = ZERO < reducible(state, order) <= order.size
    if order.size * order.price < MIN_ORDER_NOTIONAL_USD and not closes_whole:
        return Refusal(words.MIN_NOTIONAL, Status.MIN_NOTIONAL_REJECTED)
    maximum = max_order_value(instrument, is_market=order.tif is not None and not order.tif.may_rest)
    if order.size * order.price > maximum:
        return Refusal(words.value_too_large(maximum), Status.REJECTED)
    if order.reduce_only or account.is_house:
        return None
    if state.is_at_cap(order.coin) and abs(account.size(order.coin) + order.size * order.side.sign) > abs(
        account.size(order.coin)
    ):
        return Refusal(words.OPEN_INTEREST_CAPPED, Status.OPEN_INTEREST_REJECTED)
    return _margin_refusal(state, account, order, instrument, mark)


def _margin_refusal(
    state: VenueState, account: VenueAccount, order: VenueOrder, instrument: Instrument, mark: Decimal
) -> Refusal | None:
    if order.trigger is not None:
        return None  # judged when it fires
    reached = abs(account.size(order.coin) + order.size * order.side.sign)
    if reached > abs(account.size(order.coin)) and leverage_of(account, instrument).value > (
        tier_at(instrument, reached * mark).max_leverage
    ):
        return Refusal(words.MAX_POSITION, Status.MAX_POSITION_REJECTED)
    before = order_margin(account, state.marks, state.by_coin)
    after = order_margin(account, state.marks, state.by_coin, order)
    used = total_margin_used(account, state.marks, cross_only=True)
    if after > before and cross_value(account, state.marks) - used < after:
        return Refusal(words.NO_MARGIN, Status.MARGIN_REJECTED)
    return None


def matching_refusal(state: VenueState, order: VenueOrder) -> Refusal | None:
    """What only the book can say against an order: post-only that would match, IOC that would not."""
    best = opposite_best(state, order.coin, order.side)
    crosses = best is not None and within_limit(order.side, best, order.price)
    if order.tif is Tif.ALO and crosses:
        book = state.books[order.coin]
        return Refusal(words.alo_would_match(book.best_bid, book.best_ask), Status.BAD_ALO_REJECTED)
    if order.tif is not None and not order.tif.may_rest and not crosses:
        if best is None and order.tif is Tif.FRONTEND_MARKET:
            return Refusal(words.NO_LIQUIDITY, Status.NO_LIQUIDITY_REJECTED)
        return Refusal(words.IOC_NO_MATCH, Status.IOC_REJECTED)
    return None


def max_order_value(instrument: Instrument, *, is_market: bool) -> Decimal:
    """USD of one order, by the coin's leverage class; resting orders may be ten times as large (§8)."""
    leverage = instrument.max_leverage
    market = next(value for least, value in _VALUE_CLASSES if leverage >= least)
    return market if is_market else 10 * market


_VALUE_CLASSES = (
    (25, Decimal(30_000_000)),
    (20, Decimal(5_000_000)),
    (10, Decimal(2_000_000)),
    (0, Decimal(500_000)),
)


def _open_order_limit(state: VenueState, account: VenueAccount, order: VenueOrder) -> int:
    """1,000, and one more for every 5 million USD traded, at most 5,000; what only reduces or waits for a price has
    none of those more (§9.2)."""
    limits = state.settings.limits
    if account.is_house or not limits.enforced:
        return 1_000_000
    if order.reduce_only or order.trigger is not None:
        return limits.open_orders
    return min(5 * limits.open_orders, limits.open_orders + int(account.volume // 5_000_000))
