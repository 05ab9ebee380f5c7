"""The market of a simulated day: coarse, cheap, written down before the day begins.

Every coin has one quote and at most one trade per step of 30 seconds. Prices wander, and jump now and then; some coins
are quiet for minutes. `MarketPath` for the local venue, which does all the rest.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt

from adapters.sim.venue.market.path import PathSecond
from domain.candles import CandleWindow, FloatColumn, IntColumn, Interval
from domain.instruments import Instrument, MarginTier

STEP_MS = 30_000
MINUTE_MS = 60_000
WARM_MINUTES = 640
"""History before the first moment: what a strategy is warmed up with, and a little more."""
AFTER_MINUTES = 90
STEPS = MINUTE_MS // STEP_MS
TOUCH_USD = 700.0
"""About what stands at the touch: less than most orders want, so that they fill in parts."""
TRADE_OFFSET_MS = 0
"""Together with the quotes: one wake-up instead of two."""

_COINS: tuple[tuple[str, float, int, int], ...] = (
    ("BTC", 31_000.0, 5, 40),
    ("ETH", 2_600.0, 4, 25),
    ("SOL", 160.0, 2, 20),
    ("kPEPE", 0.021, 0, 10),
    ("DOGE", 0.33, 0, 10),
    ("XRP", 2.4, 0, 20),
    ("AVAX", 31.0, 2, 10),
    ("LINK", 16.0, 1, 10),
    ("SUI", 3.1, 1, 10),
    ("LTC", 72.0, 2, 10),
)
"""Name, first price, size decimals, maximum leverage. No price comes near a power of ten within a day."""

_VOLATILITY = 0.0009
"""Of a step; a third of it is the whole market's."""


class ScriptedPath:
    """From `start_ms` (a whole minute) on, for so many minutes."""

    def __init__(self, seed: int, start_ms: int, minutes: int, coins: int = len(_COINS)) -> None:
        assert start_ms % MINUTE_MS == 0, "a script begins with a minute"
        rows = _COINS[:coins]
        self._instruments = tuple(
            Instrument(name, decimals, (MarginTier(Decimal(0), leverage),)) for name, _, decimals, leverage in rows
        )
        self._first_ms = start_ms - WARM_MINUTES * MINUTE_MS
        steps = (WARM_MINUTES + minutes + AFTER_MINUTES) * STEPS
        chance = np.random.default_rng(seed)
        shape = (steps, len(rows))
        moves = chance.normal(0, _VOLATILITY, shape) + chance.normal(0, _VOLATILITY / 2, (steps, 1))
        jumps = chance.random(shape) < 0.0004
        moves += jumps * chance.normal(0, 0.012, shape)
        levels = np.cumsum(moves, axis=0)
        levels -= levels * np.clip(np.abs(levels) / 0.25 - 0.6, 0, 1)  # no price leaves its magnitude
        prices = np.array([price for _, price, _, _ in rows]) * np.exp(levels)
        digits = [_decimals(price, decimals) for _, price, decimals, _ in rows]
        ticks = np.array([10.0**-digit for digit in digits])
        self._bid = _on_ticks(prices * 0.9998, digits)
        self._ask = _on_ticks(np.maximum(prices * 1.0002, self._bid + ticks), digits)
        usual = TOUCH_USD / np.array([price for _, price, _, _ in rows])
        scale = np.array([10.0**decimals for _, _, decimals, _ in rows])
        self._bid_size = np.maximum(1, np.rint(usual * chance.uniform(0.5, 1.5, shape) * scale)) / scale
        self._ask_size = np.maximum(1, np.rint(usual * chance.uniform(0.5, 1.5, shape) * scale)) / scale
        lively = np.array([0.9] * (len(rows) - 2) + [0.45, 0.12])
        self._traded = chance.random(shape) < lively
        self._buys = chance.random(shape) < 0.5
        self._price = np.where(self._buys, self._ask, self._bid)
        self._size = np.maximum(1, np.rint(usual * chance.uniform(0.01, 0.2, shape) * scale)) / scale
        self._tid = chance.integers(1, 2**50, shape)
        self._offset = np.full(len(rows), TRADE_OFFSET_MS, dtype=np.int64)
        self._rates = chance.normal(0.00001, 0.00004, (steps // STEPS // 60 + 2, len(rows)))
        self._candles = [self._folded(place) for place in range(len(rows))]

    def instruments(self) -> tuple[Instrument, ...]:
        return self._instruments

    def second(self, open_ms: int) -> PathSecond:
        """The step around this moment, under the name it was asked for by."""
        at = min(max(0, (open_ms - self._first_ms) // STEP_MS), len(self._bid) - 1)
        return PathSecond(
            open_ms,
            self._bid[at],
            self._ask[at],
            self._bid_size[at],
            self._ask_size[at],
            self._traded[at],
            self._offset,
            self._price[at],
            self._size[at],
            self._buys[at],
            self._tid[at],
        )

    def candles(self, place: int, interval: Interval, start_ms: int, end_ms: int) -> tuple[CandleWindow, IntColumn]:
        assert interval is Interval.M1, "the script knows minutes"
        times, columns, trades = self._candles[place]
        begin, end = np.searchsorted(times, (start_ms, end_ms))
        cut = slice(int(begin), int(end))
        symbol = self._instruments[place].symbol
        return CandleWindow(symbol, interval, times[cut], *(column[cut] for column in columns)), trades[cut]

    def funding_rate(self, place: int, hour_ms: int) -> Decimal:
        hour = min(max(0, (hour_ms - self._first_ms) // 3_600_000), len(self._rates) - 1)
        return Decimal(f"{self._rates[hour, place]:.8f}")

    def _folded(self, place: int) -> tuple[IntColumn, tuple[FloatColumn, ...], IntColumn]:
        """All minutes in which this coin traded: open times, OHLCV, number of trades."""
        traded = self._traded[:, place].reshape(-1, STEPS)
        price, size = self._price[:, place].reshape(-1, STEPS), self._size[:, place].reshape(-1, STEPS)
        minutes = np.flatnonzero(traded.any(axis=1))
        traded, price, size = traded[minutes], price[minutes], size[minutes]
        rows = np.arange(len(minutes))
        first, last = traded.argmax(axis=1), STEPS - 1 - traded[:, ::-1].argmax(axis=1)
        columns = (
            price[rows, first],
            np.where(traded, price, -np.inf).max(axis=1),
            np.where(traded, price, np.inf).min(axis=1),
            price[rows, last],
            np.where(traded, size, 0.0).sum(axis=1),
        )
        times: IntColumn = self._first_ms + minutes.astype(np.int64) * MINUTE_MS
        return times, columns, traded.sum(axis=1)


def _decimals(price: float, size_decimals: int) -> int:
    """Decimals of a price with five significant figures, as far as the venue takes them."""
    figures = 4 - int(np.floor(np.log10(price)))
    return max(0, min(figures, 6 - size_decimals))


def _on_ticks(prices: npt.NDArray[np.float64], digits: list[int]) -> npt.NDArray[np.float64]:
    return np.stack([np.round(prices[:, place], digit) for place, digit in enumerate(digits)], axis=1)
