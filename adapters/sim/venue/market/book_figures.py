"""Figures made from a book: coarser levels, and a coin's context (§3.3, §3.5, §10.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.order_book import Level
from adapters.sim.venue.market.day_figures import DayFigures
from domain.intents import Side

ZERO = Decimal(0)
IMPACT_USD = Decimal(6_000)
IMPACT_USD_OF_THE_LARGEST = Decimal(20_000)
LARGEST = frozenset({"BTC", "ETH"})
_NOTIONAL_DECIMALS = 6
_INTEREST_PER_VOLUME = 0.8
"""Of a day's volume, what others than the venue's users are taken to hold open."""


@dataclass(frozen=True, slots=True)
class AssetContext:
    """A coin's figures. None where there is no usable book; `impact` is (bid, ask)."""

    funding: Decimal
    open_interest: Decimal
    prev_day_px: Decimal
    day_notional: Decimal
    premium: Decimal | None
    oracle: Decimal
    mark: Decimal
    mid: Decimal | None
    impact: tuple[Decimal, Decimal] | None
    day_volume: Decimal


def context_of(
    exchange: Exchange,
    coin: str,
    day: DayFigures,
    levels: tuple[list[Level], list[Level]],
    funding: Decimal,
    mid: Decimal | None,
) -> AssetContext:
    """A coin's context from its day, its book and the exchange's prices."""
    oracle, decimals = exchange.oracles[coin], exchange.by_coin[coin].size_decimals
    wanted = IMPACT_USD_OF_THE_LARGEST if coin in LARGEST else IMPACT_USD
    bid, ask = (impact_price(side, wanted) for side in levels)
    impact = None if bid is None or ask is None else (bid, ask)
    held_by_others = Decimal(repr(round(day.volume * _INTEREST_PER_VOLUME, decimals)))
    return AssetContext(
        funding=funding,
        open_interest=exchange.open_interest(coin) + held_by_others,
        prev_day_px=exchange.marks[coin] if day.first_price is None else Decimal(repr(day.first_price)),
        day_notional=Decimal(repr(round(day.notional, _NOTIONAL_DECIMALS))),
        premium=None if impact is None else premium(impact, oracle),
        oracle=oracle,
        mark=exchange.marks[coin],
        mid=mid,
        impact=impact,
        day_volume=Decimal(repr(round(day.volume, decimals))),
    )


def premium(impact: tuple[Decimal, Decimal], oracle: Decimal) -> Decimal:
    bid, ask = impact
    return (max(bid - oracle, ZERO) - max(oracle - ask, ZERO)) / oracle


def impact_price(levels: Iterable[Level], notional: Decimal) -> Decimal | None:
    """The average price of trading so much into these levels, or all of them; None where there are none."""
    size = spent = ZERO
    last: Decimal | None = None
    for level in levels:
        last = level.price
        step = min(level.size, (notional - spent) / level.price)
        size, spent = size + step, spent + step * level.price
        if spent >= notional or step < level.size:
            break
    if last is None or size == 0:
        return last
    return spent / size


def aggregated(levels: Iterable[Level], side: Side, significant: int, mantissa: int) -> list[Level]:
    """Levels put together on a coarser grid: bids rounded down to it, asks up."""
    found: dict[Decimal, Level] = {}
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    for level in levels:
        step = Decimal(mantissa).scaleb(level.price.adjusted() - significant + 1)
        price = (level.price / step).to_integral_value(rounding) * step
        before = found.get(price, Level(price, ZERO, 0))
        found[price] = Level(price, before.size + level.size, before.count + level.count)
    return list(found.values())
