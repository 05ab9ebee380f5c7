"""Instruments: the venue's rules on sizes and prices, and the session's list of symbols.

Rules of Hyperliquid perpetuals: a size has at most `size_decimals` decimals; a price has at most five significant
figures and at most `6 - size_decimals` decimals, while whole-number prices are always
allowed. Symbols are case-sensitive (`kPEPE` is not `KPEPE`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from itertools import pairwise

MAX_PRICE_DECIMALS = 6
MAX_SIGNIFICANT_FIGURES = 5
MIN_ORDER_NOTIONAL_USD = Decimal(10)


def exact_price(price: float) -> Decimal:
    """The decimal price behind a market's float: the float's shortest text is what the venue printed."""
    return Decimal(repr(price))


class PriceRounding(enum.Enum):
    """Which way a price may move when it is made to fit the tick."""

    DOWN = ROUND_FLOOR
    UP = ROUND_CEILING


@dataclass(frozen=True, slots=True)
class MarginTier:
    """From `lower_bound_usd` of notional on, at most `max_leverage`."""

    lower_bound_usd: Decimal
    max_leverage: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """One perpetual market and its trading rules."""

    symbol: str
    size_decimals: int
    margin_tiers: tuple[MarginTier, ...]
    delisted: bool = False

    def __post_init__(self) -> None:
        assert 0 <= self.size_decimals <= MAX_PRICE_DECIMALS, "size decimals lie between 0 and 6"
        assert self.margin_tiers and self.margin_tiers[0].lower_bound_usd == 0, "the first margin tier starts at 0"
        bounds = [tier.lower_bound_usd for tier in self.margin_tiers]
        assert all(low < high for low, high in pairwise(bounds)), "margin tiers rise"

    @property
    def max_leverage(self) -> int:
        return self.margin_tiers[0].max_leverage

    @property
    def size_step(self) -> Decimal:
        return Decimal(1).scaleb(-self.size_decimals)

    def round_size(self, size: Decimal) -> Decimal:
        """The largest tradable size that is not above `size` (toward zero, sign kept)."""
        return size.quantize(self.size_step, rounding=ROUND_DOWN)

    def tick_at(self, price: Decimal) -> Decimal:
        """The price step in force at `price`: it depends on the price's magnitude."""
        assert price > 0, "a tick exists only at positive prices"
        figures_exponent = price.adjusted() - (MAX_SIGNIFICANT_FIGURES - 1)
        exponent = max(figures_exponent, self.size_decimals - MAX_PRICE_DECIMALS)
        return Decimal(1).scaleb(min(exponent, 0))

    def round_price(self, price: Decimal, rounding: PriceRounding) -> Decimal:
        """The nearest valid price in the named direction; at least one tick."""
        tick = self.tick_at(price)
        rounded = price.quantize(tick, rounding=rounding.value)
        return rounded if rounded > 0 else tick

    def is_valid_price(self, price: Decimal) -> bool:
        return price > 0 and price == price.quantize(self.tick_at(price), rounding=ROUND_DOWN)

    def is_valid_size(self, size: Decimal) -> bool:
        return size > 0 and size == self.round_size(size)


def single_tier(max_leverage: int) -> tuple[MarginTier, ...]:
    """Margin tiers of a market with one maximum leverage at every notional."""
    return (MarginTier(Decimal(0), max_leverage),)


class Universe:
    """The symbols of one session in a fixed order, so that columns can stand for them.

    An id is a place in this order. It means nothing outside the session: everything that
    is stored names the symbol.
    """

    __slots__ = ("_ids", "instruments", "symbols")

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.instruments = tuple(instruments)
        self.symbols = tuple(instrument.symbol for instrument in self.instruments)
        self._ids = {symbol: place for place, symbol in enumerate(self.symbols)}
        assert len(self._ids) == len(self.symbols), "a symbol stands in the universe once"

    def __len__(self) -> int:
        return len(self.symbols)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.instruments)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._ids

    def id_of(self, symbol: str) -> int:
        """Place of a known symbol; `KeyError` for an unknown one."""
        return self._ids[symbol]

    def find(self, symbol: str) -> int | None:
        return self._ids.get(symbol)

    def instrument(self, symbol: str) -> Instrument:
        return self.instruments[self._ids[symbol]]
