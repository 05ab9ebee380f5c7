"""Where prices are at each minute, and how lively the market is then.

A log price is a sum of value-noise curves with periods from a minute to a month: curves of
the market as a whole, which every symbol follows to some degree, and curves of its own.
The slow ones carry the level, the middle ones trends and reversals of ten minutes to some
hours, the fast ones noise.

Trends do not run smoothly. Each symbol has a clock of its own that dawdles, even slips back
a little, and then makes up for it in one rush: a trend advances in bursts with pullbacks in
between, and the volume comes with the bursts.

Every term is bounded, so prices stay positive and on scale for ever, and any minute costs
the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapters.sim.noise import HashColumn, bell, bits_16, exact_exp, hashed, uniform, value_noise, weighted_sum
from adapters.sim.symbols import SymbolProfile
from domain.candles import BoolColumn, FloatColumn, IntColumn


@dataclass(frozen=True, slots=True)
class _CurveSet:
    """Curves that are added up: periods in minutes, and weights in the unit of what they add up to."""

    first_stream: int
    periods: FloatColumn
    weights: FloatColumn

    def streams(self) -> IntColumn:
        return np.arange(self.first_stream, self.first_stream + len(self.periods), dtype=np.int64)


def _curves(first_stream: int, *curves: tuple[int, float]) -> _CurveSet:
    periods, weights = zip(*curves, strict=True)
    return _CurveSet(first_stream, np.array(periods, dtype=np.float64), np.array(weights, dtype=np.float64))


# Weights of price curves are in units of the symbol's minute volatility; together the curves move about one such
# unit a minute. Trends of an hour or two stand out above what a diffusing price would do: this market is livelier
# than real ones, so that a trend follower meets every situation within minutes. Beyond some hours the weights grow
# more slowly than the square root of the period, which keeps prices on scale.
_SLOW = ((293, 7.0), (691, 9.0), (1_777, 11.0), (5_003, 16.0), (15_013, 25.0), (44_017, 42.0))
_MARKET_TRENDS = _curves(0, (13, 0.3), (29, 1.6), (61, 5.4), (131, 2.0), *_SLOW)
_OWN_TRENDS = _curves(16, (61, 7.2), (131, 14.5), *_SLOW)
_JITTER = _curves(32, (1, 0.41), (5, 0.16))
_LIVELINESS = _curves(48, (7, 0.14), (31, 0.24), (149, 0.30), (709, 0.26))
_VOLUME = _curves(64, (19, 0.30), (113, 0.40))
_PHASE_STREAM, _RUSH_STREAM, _MINUTE_STREAM = 1 << 32, 2 << 32, 3 << 32

_RUSH_EVERY = 5
"""Minutes that a clock takes for one round of dawdling and rushing."""
_RUSH_LEAST, _RUSH_SPAN = 1.4, 0.35
"""How far a rush goes, in rounds: above one, the clock slips back between rushes."""
_DETOUR = 0.33
"""Movement inside a minute that comes to nothing, in units of the minute volatility."""

_VOLUME_MIDDLE = -0.75  # brings the mean of the factor near 1
_VOLUME_SPREAD = 0.25
_VOLUME_AT_REST = 0.15
_VOLUME_PER_LIVELINESS = 0.8


@dataclass(slots=True)
class MinuteGrid:
    """What is decided once per symbol and minute: rows are the symbols asked for, columns the minutes."""

    start_price: FloatColumn
    drift: FloatColumn
    """Log change from the minute's start to the next minute's start."""
    wiggle: FloatColumn
    """Log deviation of one minute's free movement, for the detours between the two ends."""
    volume_factor: FloatColumn
    """This minute's volume over the symbol's usual one."""
    quiet: BoolColumn
    """Nobody trades in this minute."""
    chance: HashColumn
    """A key of its own for every symbol and minute, from which the seconds are drawn."""


class PricePath:
    """Prices and liveliness of a fixed set of symbols as a function of (seed, minute)."""

    def __init__(self, seed: int, symbols: tuple[SymbolProfile, ...]) -> None:
        state = np.random.SeedSequence(seed).generate_state(1, np.uint64).astype(np.uint64)
        self._market_key = hashed(state, np.zeros(1, dtype=np.int64))
        self._keys = hashed(state, np.arange(1, len(symbols) + 1, dtype=np.int64))
        self._rush_keys = hashed(self._keys, _RUSH_STREAM)[:, None]
        self._minute_keys = hashed(self._keys, _MINUTE_STREAM)[:, None]
        self._base_price = _column([profile.base_price for profile in symbols])
        self._volatility = _column([profile.minute_volatility for profile in symbols])
        self._shared = _column([profile.factor_share for profile in symbols])
        self._own = np.sqrt(1.0 - self._shared * self._shared)
        self._quiet_share = _column([profile.quiet_share for profile in symbols])
        self._lags = _column([profile.lag_minutes for profile in symbols])

    def grid(self, ids: npt.NDArray[np.intp], first_minute: int, count: int) -> MinuteGrid:
        """Everything about `count` minutes from `first_minute` on, for the symbols in `ids`."""
        ends = np.arange(first_minute, first_minute + count + 1, dtype=np.int64)
        minutes = ends[None, :].astype(np.float64)
        keys = self._keys[ids]
        volatility = self._volatility[ids]
        clock = self._clock(ids, ends)
        liveliness = _sum(_LIVELINESS, keys, minutes)
        lively = exact_exp(liveliness)
        level = (
            self._shared[ids] * _sum(_MARKET_TRENDS, self._market_key, clock - self._lags[ids])
            + self._own[ids] * _sum(_OWN_TRENDS, keys, clock)
            + lively * _sum(_JITTER, keys, minutes)
        )
        log_price = level * volatility
        pace = np.abs(clock[:, 1:] - clock[:, :-1])
        chance = hashed(self._minute_keys[ids], ends[:-1])
        volume_factor = (_VOLUME_AT_REST + (1.0 - _VOLUME_AT_REST) * pace) * exact_exp(
            _VOLUME_MIDDLE
            + _sum(_VOLUME, keys, minutes[:, :-1])
            + _VOLUME_SPREAD * bell(hashed(chance, -1))
            + _VOLUME_PER_LIVELINESS * liveliness[:, :-1]
        )
        return MinuteGrid(
            start_price=self._base_price[ids] * exact_exp(log_price[:, :-1]),
            drift=log_price[:, 1:] - log_price[:, :-1],
            wiggle=_DETOUR * volatility * lively[:, :-1] * np.sqrt(0.5 + 0.5 * pace),
            volume_factor=volume_factor,
            quiet=uniform(hashed(chance, -2)) * (0.6 + volume_factor) < self._quiet_share[ids],
            chance=chance,
        )

    def _clock(self, ids: npt.NDArray[np.intp], minutes: IntColumn) -> FloatColumn:
        """Each symbol's own time at these minutes; it agrees with the minutes at the end of every round."""
        keys = self._rush_keys[ids]
        shifted = minutes + (keys >> np.uint64(40)).astype(np.int64) % _RUSH_EVERY
        cell = shifted // _RUSH_EVERY
        passed = shifted - cell * _RUSH_EVERY
        chance = hashed(keys, cell)
        rush_at = bits_16(chance, 0) * _RUSH_EVERY >> 16
        rush = (_RUSH_LEAST + _RUSH_SPAN * bits_16(chance, 1) / 65_536) * _RUSH_EVERY
        return minutes + rush * ((passed > rush_at) - passed / _RUSH_EVERY)


def _sum(curves: _CurveSet, owners: HashColumn, time: FloatColumn) -> FloatColumn:
    keys = hashed(owners[None, :], curves.streams()[:, None])
    phases = np.floor(uniform(hashed(keys, _PHASE_STREAM)) * curves.periods[:, None])
    return weighted_sum(value_noise(keys, time, curves.periods, phases), curves.weights)


def _column(values: list[float]) -> FloatColumn:
    return np.array(values, dtype=np.float64)[:, None]
