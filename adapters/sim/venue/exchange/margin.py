"""What an account is worth at the marks, what its positions and orders tie up, and what is left (§3.8, §10.6).

account value = cash + unrealised PnL of cross positions + (raw cash + size x mark) of isolated ones
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import domain.margin
from adapters.sim.venue.exchange.accounts import DEFAULT_LEVERAGE, LeverageSetting, VenueAccount, VenuePosition
from adapters.sim.venue.exchange.orders import VenueOrder
from domain.instruments import Instrument
from domain.intents import Side
from domain.margin import maintenance_margin

ZERO = Decimal(0)
WITHDRAW_SHARE = Decimal("0.1")
"""Of cross notional, what must stay in the account besides initial margin."""

Marks = Mapping[str, Decimal]


def leverage_of(account: VenueAccount, instrument: Instrument) -> LeverageSetting:
    """What the account has set for a coin, else the venue's default: cross at 20x, or the coin's maximum."""
    found = account.leverage.get(instrument.symbol)
    if found is not None:
        return found
    return LeverageSetting(min(DEFAULT_LEVERAGE, instrument.max_leverage), is_cross=True)


def margin_used(position: VenuePosition, mark: Decimal) -> Decimal:
    """Cross: notional over leverage. Isolated: the position's own equity."""
    if position.raw_usd is None:
        return abs(position.size) * mark / position.leverage
    return position.raw_usd + position.size * mark


def cross_value(account: VenueAccount, marks: Marks) -> Decimal:
    """Cash and the unrealised PnL of cross positions: what new cross margin comes from."""
    unrealized = (held.unrealized(marks[coin]) for coin, held in account.positions.items() if held.is_cross)
    return account.cash + sum(unrealized, ZERO)


def account_value(account: VenueAccount, marks: Marks) -> Decimal:
    return cross_value(account, marks) + sum(
        (margin_used(held, marks[coin]) for coin, held in account.positions.items() if not held.is_cross), ZERO
    )


def total_notional(account: VenueAccount, marks: Marks, *, cross_only: bool = False) -> Decimal:
    return sum(
        (abs(held.size) * marks[coin] for coin, held in account.positions.items() if held.is_cross or not cross_only),
        ZERO,
    )


def total_margin_used(account: VenueAccount, marks: Marks, *, cross_only: bool = False) -> Decimal:
    return sum(
        (margin_used(held, marks[coin]) for coin, held in account.positions.items() if held.is_cross or not cross_only),
        ZERO,
    )


def raw_usd(account: VenueAccount, marks: Marks, *, cross_only: bool = False) -> Decimal:
    """Cash less the signed cost of positions: account value without what the positions would bring."""
    value = cross_value(account, marks) if cross_only else account_value(account, marks)
    return value - sum(
        (held.size * marks[coin] for coin, held in account.positions.items() if held.is_cross or not cross_only), ZERO
    )


def cross_maintenance(account: VenueAccount, marks: Marks, instruments: Mapping[str, Instrument]) -> Decimal:
    return sum(
        (
            maintenance_margin(instruments[coin], abs(held.size) * marks[coin])
            for coin, held in account.positions.items()
            if held.is_cross
        ),
        ZERO,
    )


def order_margin(
    account: VenueAccount, marks: Marks, instruments: Mapping[str, Instrument], extra: VenueOrder | None = None
) -> Decimal:
    """What resting orders (and `extra`, as if it rested) tie up beyond the positions that they would enlarge:
    per coin the worse side counts."""
    sides: dict[str, list[Decimal]] = {}
    for order in (*account.orders.values(), *(() if extra is None else (extra,))):
        if not order.reduce_only and not order.waits:
            sums = sides.setdefault(order.coin, [ZERO, ZERO])
            sums[0 if order.side is Side.BUY else 1] += order.size
    return sum(
        (
            _growth(account, coin, buys, sells) * marks[coin] / leverage_of(account, instruments[coin]).value
            for coin, (buys, sells) in sides.items()
        ),
        ZERO,
    )


def _growth(account: VenueAccount, coin: str, buys: Decimal, sells: Decimal) -> Decimal:
    held = account.size(coin)
    return max(abs(held + buys), abs(held - sells), abs(held)) - abs(held)


def available(account: VenueAccount, marks: Marks, instruments: Mapping[str, Instrument]) -> Decimal:
    """Cross value that neither positions nor resting orders tie up; may be negative."""
    tied = total_margin_used(account, marks, cross_only=True) + order_margin(account, marks, instruments)
    return cross_value(account, marks) - tied


def withdrawable(account: VenueAccount, marks: Marks, instruments: Mapping[str, Instrument]) -> Decimal:
    tied = max(
        total_margin_used(account, marks, cross_only=True) + order_margin(account, marks, instruments),
        WITHDRAW_SHARE * total_notional(account, marks, cross_only=True),
    )
    return max(ZERO, cross_value(account, marks) - tied)


def liquidation_price(
    account: VenueAccount, coin: str, marks: Marks, instruments: Mapping[str, Instrument]
) -> Decimal | None:
    """The mark at which this position is liquidated, all else unchanged; None where no positive price does it."""
    held, instrument, mark = account.positions[coin], instruments[coin], marks[coin]
    notional = abs(held.size) * mark
    if held.is_cross:
        left = cross_value(account, marks) - cross_maintenance(account, marks, instruments)
    else:
        left = margin_used(held, mark) - maintenance_margin(instrument, notional)
    return domain.margin.liquidation_price(instrument, held.size, mark, left)


def is_under_water(
    account: VenueAccount, coins: Iterable[str], marks: Marks, instruments: Mapping[str, Instrument]
) -> list[str]:
    """The isolated positions among `coins` that are below their maintenance margin."""
    return [
        coin
        for coin in coins
        if (held := account.positions.get(coin)) is not None
        and not held.is_cross
        and margin_used(held, marks[coin]) < maintenance_margin(instruments[coin], abs(held.size) * marks[coin])
    ]
