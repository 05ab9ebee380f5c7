"""The tape: quotes and trades of a minute, second by second.

Between a minute's two ends the price takes a random detour that comes back to zero (a
bridge). Each second has one quote and at most one trade, at the quote's bid or ask; candles
are nothing but the fold of those trades.

Ticks and size steps are whole numbers. They are kept in float columns, where they and their
sums are exact, and divided by a power of ten they are the floats of the venue's text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapters.sim.noise import HashColumn, hashed
from adapters.sim.price_path import MinuteGrid
from adapters.sim.symbols import SymbolProfile
from domain.candles import BoolColumn, FloatColumn, IntColumn
from domain.instruments import MAX_PRICE_DECIMALS, MAX_SIGNIFICANT_FIGURES

SECONDS = 60

_SECOND = np.arange(SECONDS, dtype=np.int64)[:, None]
_PASSED = _SECOND / SECONDS
_TID_STREAM = 128  # counters 0 to 59 draw the seconds
_SIZE_STREAM = 256

# A second's step is the sum of two 16-bit numbers, centred; sixty of them make one minute's movement.
_STEP_MEAN = 65_535.0
_UNIT_STEP = 1.0 / (26_754.9 * 7.745966692414834)

_PRINT_RANGE = 4_096.0
_AGAINST_THE_MOVE = 5  # of 16: three trades in ten go against the second's direction
_SIZES = 1.0 / (np.arange(256) / 256 + 0.08)
_SIZES /= _SIZES.mean()
_RESTING_TRADES = 4.0

_LOWEST_POWER, _HIGHEST_POWER = -8, 9
_POWERS = np.array([float(f"1e{power}") for power in range(_LOWEST_POWER, _HIGHEST_POWER)])
_SCALES = np.array([10.0**places for places in range(MAX_PRICE_DECIMALS + 1)])
_CEILING_MARGIN = 5.0 / 10 ** (MAX_SIGNIFICANT_FIGURES - 1)  # rounding may add a tick or two to the highest price


@dataclass(slots=True)
class Tape:
    """Quotes and trades in ticks and steps: seconds are rows, (symbol, minute) pairs are columns."""

    price_scale: FloatColumn
    """Ticks in a price of 1, per column."""
    size_scale: FloatColumn
    bid_ticks: FloatColumn
    spread_ticks: FloatColumn
    traded: BoolColumn
    buys: BoolColumn
    size_steps: FloatColumn
    """Zero where nothing traded."""
    usual_steps: FloatColumn
    """Size of an average trade, per column."""
    draw: npt.NDArray[np.uint32]
    chance: HashColumn

    @property
    def trade_ticks(self) -> FloatColumn:
        return self.bid_ticks + self.spread_ticks * self.buys

    @property
    def offset_ms(self) -> IntColumn:
        """When inside its second a trade happens, 0 to 996."""
        return (self.draw >> np.uint32(24)).astype(np.int64) * 1_000 >> 8

    @property
    def tids(self) -> IntColumn:
        """Trade numbers of about the venue's length; they need not be unique between symbols."""
        return (hashed(self.chance, _SECOND + _TID_STREAM) >> np.uint64(14)).astype(np.int64)

    def resting_steps(self, second: int | IntColumn) -> tuple[FloatColumn, FloatColumn]:
        """Sizes at the bid and at the ask in one second, per column: a few trades' worth. Seconds may be rows."""
        chance = hashed(self.chance, second + _SIZE_STREAM)
        bid, ask = (
            np.rint(self.usual_steps * _RESTING_TRADES * _SIZES[(chance >> np.uint64(shift)) & np.uint64(0xFF)]) + 1.0
            for shift in (0, 8)
        )
        return bid, ask


@dataclass(slots=True)
class CandleFold:
    """Candles folded from trades; where `traded` is false the prices mean nothing and the volume is 0."""

    open: FloatColumn
    high: FloatColumn
    low: FloatColumn
    close: FloatColumn
    volume_steps: FloatColumn
    trades: IntColumn
    traded: BoolColumn


class TapeWriter:
    """Draws the tape of any minutes from their grid."""

    def __init__(self, symbols: tuple[SymbolProfile, ...]) -> None:
        size_decimals = [profile.instrument.size_decimals for profile in symbols]
        self._size_scale = np.array([10.0**places for places in size_decimals])
        self._max_decimals = np.array([MAX_PRICE_DECIMALS - places for places in size_decimals], dtype=np.int64)
        self._spread = np.array([profile.spread_bps / 10_000 for profile in symbols])
        self._prints = np.array([profile.prints_per_second for profile in symbols])
        self._notional_per_second = np.array([profile.minute_notional_usd / SECONDS for profile in symbols])

    def tape(self, ids: npt.NDArray[np.intp], grid: MinuteGrid) -> Tape:
        """The tape of the grid's minutes; columns run through the first symbol's minutes, then the next's."""
        ids = np.repeat(ids, grid.chance.shape[1])
        chance = grid.chance.ravel()
        start, drift, factor = (part.ravel() for part in (grid.start_price, grid.drift, grid.volume_factor))
        chances = hashed(chance, _SECOND)
        draw = (chances >> np.uint64(32)).astype(np.uint32)
        steps = _steps(chances.astype(np.uint32))
        unit = grid.wiggle.ravel() * _UNIT_STEP
        growth = _growth(steps, unit, drift)

        spread = self._spread[ids]
        price_scale = self._price_scale(ids, start * (1.0 + growth.max(axis=0)), spread)
        start_ticks = start * price_scale
        spread_ticks = np.maximum(np.rint(start_ticks * spread), 1.0)
        growth *= start_ticks
        growth += start_ticks - (spread_ticks - 1.0) * 0.5
        bid_ticks = np.maximum(np.floor(growth, out=growth), 1.0, out=growth)

        prints = np.clip(self._prints[ids] * np.sqrt(factor), 0.02, 0.97)
        limit = np.where(grid.quiet.ravel(), 0.0, np.rint(prints * _PRINT_RANGE)).astype(np.uint32)
        traded = (draw & np.uint32(0xFFF)) < limit
        against = ((draw >> np.uint32(12)) & np.uint32(0xF)) < np.uint32(_AGAINST_THE_MOVE)
        usual_steps = self._notional_per_second[ids] * factor / (prints * start) * self._size_scale[ids]
        size_steps = _SIZES[(draw >> np.uint32(16)) & np.uint32(0xFF)] * usual_steps
        return Tape(
            price_scale=price_scale,
            size_scale=self._size_scale[ids],
            bid_ticks=bid_ticks,
            spread_ticks=spread_ticks,
            traded=traded,
            buys=(steps > drift / (unit * -SECONDS)) ^ against,
            size_steps=np.maximum(np.rint(size_steps, out=size_steps), 1.0, out=size_steps) * traded,
            usual_steps=usual_steps,
            draw=draw,
            chance=chance,
        )

    def _price_scale(self, ids: npt.NDArray[np.intp], top: FloatColumn, spread: FloatColumn) -> FloatColumn:
        """One tick per minute, the one in force above its highest ask: it is valid at every lower price too."""
        ceiling = top * (1.0 + 2.0 * spread + _CEILING_MARGIN)
        magnitude = np.searchsorted(_POWERS, ceiling, side="right") - 1 + _LOWEST_POWER
        decimals = np.clip(MAX_SIGNIFICANT_FIGURES - 1 - magnitude, 0, self._max_decimals[ids])
        scale: FloatColumn = _SCALES[decimals]
        return scale


def fold(tape: Tape) -> CandleFold:
    """Fold each column's trades into one candle."""
    traded = tape.traded
    ticks = tape.trade_ticks
    columns = np.arange(ticks.shape[1])
    first = traded.argmax(axis=0)
    last = SECONDS - 1 - traded[::-1].argmax(axis=0)
    return CandleFold(
        open=ticks[first, columns] / tape.price_scale,
        high=(ticks * traded).max(axis=0) / tape.price_scale,
        low=np.where(traded, ticks, np.inf).min(axis=0) / tape.price_scale,
        close=ticks[last, columns] / tape.price_scale,
        volume_steps=tape.size_steps.sum(axis=0),
        trades=traded.sum(axis=0, dtype=np.int64),
        traded=np.asarray(traded.any(axis=0)),
    )


def _steps(low_bits: npt.NDArray[np.uint32]) -> FloatColumn:
    steps = ((low_bits & np.uint32(0xFFFF)) + (low_bits >> np.uint32(16))).astype(np.float64)
    steps -= _STEP_MEAN
    return steps


def _growth(steps: FloatColumn, unit: FloatColumn, drift: FloatColumn) -> FloatColumn:
    """What the price has gained at each second's start: the drift so far, and a detour that ends at zero."""
    walk = np.add.accumulate(steps, axis=0)
    slope = drift - walk[-1] * unit
    walk -= steps
    walk *= unit
    walk += _PASSED * slope
    # e^x - 1 to second order: inside a minute the rest is far below a tick.
    walk *= 1.0 + 0.5 * walk
    return walk
