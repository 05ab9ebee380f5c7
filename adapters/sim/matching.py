"""Matching: at which price an order fills, given the market it meets.

One model for paper, backtest and the local venue. A market is a best bid and ask (live quotes)
or the span of a candle; recorded books are `book_depth`'s. Slippage is on top of what the market
shows, and prices stay on the instrument's tick, rounded against the taker.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal

from domain.instruments import Instrument, PriceRounding
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind

BPS = Decimal(10_000)


class Liquidity(enum.Enum):
    TAKER = "taker"
    MAKER = "maker"


@dataclass(frozen=True, slots=True)
class Execution:
    """A piece of an order that fills at one price."""

    price: Decimal
    size: Decimal
    liquidity: Liquidity


def taker_price(side: Side, touch: Decimal, slippage_bps: Decimal, instrument: Instrument) -> Decimal:
    """What a market order pays: the touch (ask for a buy) made worse by the slippage."""
    if side is Side.BUY:
        return instrument.round_price(touch * (1 + slippage_bps / BPS), PriceRounding.UP)
    return instrument.round_price(touch * (1 - slippage_bps / BPS), PriceRounding.DOWN)


def within_limit(side: Side, price: Decimal, limit: Decimal) -> bool:
    return price <= limit if side is Side.BUY else price >= limit


def take(
    request: OrderRequest, size: Decimal, bid: Decimal, ask: Decimal, slippage_bps: Decimal, instrument: Instrument
) -> Execution | None:
    """Execute `size` against the touch, or None where the limit does not allow it.

    An order that may rest takes at its own limit where only the slippage would break it: resting
    it there would make a maker of an order that crosses.
    """
    price = taker_price(request.side, ask if request.side is Side.BUY else bid, slippage_bps, instrument)
    if within_limit(request.side, price, request.limit_price):
        return Execution(price, size, Liquidity.TAKER)
    if rests_first(request) and would_cross(request, bid, ask):
        return Execution(request.limit_price, size, Liquidity.TAKER)
    return None


def would_cross(request: OrderRequest, bid: Decimal, ask: Decimal) -> bool:
    """Whether a resting order would match at once, which post-only refuses."""
    return request.limit_price >= ask if request.side is Side.BUY else request.limit_price <= bid


def rests_first(request: OrderRequest) -> bool:
    """Whether an order may rest at its limit; what a trigger sets off takes at once or ends."""
    return request.time_in_force is not TimeInForce.IOC and request.trigger is None


def resting_fill(request: OrderRequest, size: Decimal, low: Decimal, high: Decimal) -> Execution | None:
    """A resting limit order fills when the market trades through its price, not when it touches.

    `low` is the lowest price that others sell at, `high` the highest that they buy at: the span of
    a candle, or the ask and the bid. At the touch others stand in the queue before us; how much
    is not known from quotes or candles, so a touch fills nothing.
    """
    through = low < request.limit_price if request.side is Side.BUY else high > request.limit_price
    return Execution(request.limit_price, size, Liquidity.MAKER) if through else None


def is_triggered(trigger: Trigger, side: Side, low: Decimal, high: Decimal) -> bool:
    """Whether the span low..high reaches a trigger's price; `side` is its order's."""
    return low <= trigger.price if _waits_below(trigger, side) else high >= trigger.price


def trigger_touch(trigger: Trigger, side: Side, open_price: Decimal) -> Decimal:
    """The price a trigger meets inside a candle: its level, or the open where the market gapped over it."""
    return min(open_price, trigger.price) if _waits_below(trigger, side) else max(open_price, trigger.price)


def _waits_below(trigger: Trigger, side: Side) -> bool:
    """A long's stop and a short's target wait for the price to fall."""
    return (trigger.kind is TriggerKind.STOP_LOSS) == (side is Side.SELL)
