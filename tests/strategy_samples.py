"""Candles, columns and configs that the strategy tests are built from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.strategies.indicators import COLUMN_ROWS, Columns, Periods
from adapters.strategies.plain_config import config_from
from domain.candles import BoolColumn, CandleBatch, CandleWindow, FloatColumn, Interval
from domain.instruments import Instrument, Universe, single_tier
from domain.strategy_config import StrategyBook, book_of

HOUR_MS = Interval.H1.ms
SMALL_PERIODS = Periods(
    ema_fast=3,
    ema_slow=5,
    ema_macro=12,
    adx=3,
    bb=4,
    bb_width_average=3,
    atr=3,
    atr_average=5,
    rsi=3,
    volume_average=4,
    volume_trend=2,
    stoch_rsi=3,
    stoch_smooth=2,
    slow_slope=2,
)
"""Short enough that a few dozen candles fill every window but MACD's, whose lengths are fixed."""


def universe_of(*symbols: str) -> Universe:
    return Universe([Instrument(symbol, 2, single_tier(20)) for symbol in symbols])


def book_with(symbols: Mapping[str, Mapping[str, Any]] | None = None, **sections: Any) -> StrategyBook:
    """A book without a file: sections for every symbol, and other sections for some symbols."""
    from dataclasses import replace

    named = {symbol: config_from(own) for symbol, own in (symbols or {}).items()}
    digest = repr((sorted(sections.items()), sorted((symbols or {}).items())))
    return replace(book_of([]), everyone=config_from(sections), named=named, digest=digest)


def window_of(
    symbol: str, closes: FloatColumn, volumes: FloatColumn | None = None, first_open_ms: int = 0
) -> CandleWindow:
    """Candles around a series of closes: each opens at the close before, wicks reach 0.2 % further."""
    opens = np.concatenate((closes[:1], closes[:-1]))
    return CandleWindow(
        symbol,
        Interval.H1,
        first_open_ms + np.arange(len(closes), dtype=np.int64) * HOUR_MS,
        opens,
        np.maximum(opens, closes) * 1.002,
        np.minimum(opens, closes) * 0.998,
        closes.copy(),
        np.full(len(closes), 10.0) if volumes is None else volumes.copy(),
    )


def random_window(symbol: str, seed: int, count: int, first_open_ms: int = 0, drift: float = 0.0) -> CandleWindow:
    """A random walk with volumes, some candles without any move and some without any trade."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(drift, 0.01, count)
    steps[rng.random(count) < 0.1] = 0.0
    volumes = rng.lognormal(0.0, 1.0, count)
    volumes[rng.random(count) < 0.1] = 0.0
    return window_of(symbol, 100.0 * np.exp(np.cumsum(steps)), volumes, first_open_ms)


def part_of(window: CandleWindow, start: int, stop: int) -> CandleWindow:
    cut = slice(start, stop)
    columns = (window.open, window.high, window.low, window.close, window.volume)
    copies = (column[cut].copy() for column in columns)
    return CandleWindow(window.symbol, window.interval, window.open_ms[cut].copy(), *copies)


def batch_at(windows: list[CandleWindow], open_ms: int) -> CandleBatch:
    """The candles of all windows that opened at one time."""
    ids, rows = [], []
    for symbol_id, window in enumerate(windows):
        found = np.flatnonzero(window.open_ms == open_ms)
        if len(found):
            place = int(found[0])
            ids.append(symbol_id)
            rows.append(
                [column[place] for column in (window.open, window.high, window.low, window.close, window.volume)]
            )
    return CandleBatch(Interval.H1, open_ms, np.array(ids, dtype=np.intp), *np.array(rows, dtype=np.float64).T.copy())


def everyone(batch: CandleBatch) -> BoolColumn:
    return np.ones(len(batch), dtype=bool)


LONG_SETUP = Columns(
    close=np.array([102.0]),
    atr=np.array([1.5]),
    atr_slope=np.array([0.1]),
    adx=np.array([31.0]),
    adx_slope=np.array([0.4]),
    rsi=np.array([60.0]),
    ema_fast=np.array([101.0]),
    ema_slow=np.array([100.0]),
    ema_macro=np.array([95.0]),
    macd_hist=np.array([0.5]),
    macd_hist_1=np.array([0.3]),
    macd_hist_2=np.array([0.2]),
    macd_hist_3=np.array([0.1]),
    bb_width_ratio=np.array([1.1]),
    close_change=np.array([0.01]),
    ema_fast_gap=np.array([0.01]),
    ema_fast_gap_1=np.array([0.005]),
    trend_gap=np.array([0.01]),
    volume_ratio=np.array([1.2]),
    volume_ratio_1=np.array([0.9]),
    volume_trend=np.array([1.1]),
    volume_trend_1=np.array([0.9]),
    slow_slope=np.array([0.004]),
    atr_ratio=np.array([1.0]),
    stoch_k=np.array([0.5]),
)
"""A candle that passes every gate of a long trend entry with the default config."""

SHORT_SETUP = LONG_SETUP._replace(
    close=np.array([98.0]),
    rsi=np.array([40.0]),
    ema_fast=np.array([99.0]),
    ema_macro=np.array([105.0]),
    macd_hist=np.array([-0.5]),
    macd_hist_1=np.array([-0.3]),
    ema_fast_gap=np.array([-0.01]),
    ema_fast_gap_1=np.array([-0.005]),
    trend_gap=np.array([-0.01]),
    slow_slope=np.array([-0.004]),
)
"""Its mirror image: every gate of a short trend entry passes."""


def columns_like(setup: Columns, **changed: float) -> FloatColumn:
    """The matrix of one symbol's columns, some of them changed."""
    return np.array(setup._replace(**{name: np.array([value]) for name, value in changed.items()}))


assert columns_like(LONG_SETUP).shape == (COLUMN_ROWS, 1)
