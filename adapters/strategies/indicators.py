"""The indicator set of mei_alpha_v1, as columns.

Two banks serve it: `StreamBank` steps live candle by candle, `SeriesBank` computes whole
histories for the backtest. Both fill the same RAW columns through TA-Lib, whose stream
handles give the bits of its full functions from the same first candle, and both pass them
through `derive`, so everything after TA-Lib is one piece of code.

Where values differ from the `ta` library that the earlier engine used:

* EMAs start from a simple average of their first window, not from the first price (the
  difference has faded after `WARMUP_CANDLES`);
* StochRSI: TA-Lib's `fastd` of STOCHRSI(rsi window, stoch window = rsi window, smooth1) is
  `ta`'s smoothed %K on a scale of 0 to 100; `stoch_k` here is divided by 100, as the
  thresholds are. An RSI that never moved gives 0 here and NaN there;
* RSI of a price that never moved is 0 here and 100 there.

A price that stays constant for some 9,600 candles drives Wilder's averages into denormal
numbers, where a step costs several times as much. Both banks hold the same denormals, and
flushing them in one would cost the equality of bits, so they are left alone: 9,600 candles
without any trade belong to a delisted market.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from domain.candles import FloatColumn
from domain.strategy_config import SymbolConfig

MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9
BAND_SIGMAS = 2.0


@dataclass(frozen=True, slots=True)
class Periods:
    """Every length the indicators depend on. Changing one means rebuilding from the anchor."""

    ema_fast: int
    ema_slow: int
    ema_macro: int
    adx: int
    bb: int
    bb_width_average: int
    atr: int
    atr_average: int
    rsi: int
    volume_average: int
    volume_trend: int
    stoch_rsi: int
    stoch_smooth: int
    slow_slope: int


def periods_of(config: SymbolConfig) -> Periods:
    own, entry = config.indicators, config.thresholds.entry
    return Periods(
        ema_fast=own.ema_fast_window,
        ema_slow=own.ema_slow_window,
        ema_macro=own.ema_macro_window,
        adx=own.adx_window,
        bb=own.bb_window,
        bb_width_average=own.bb_width_avg_window,
        atr=own.atr_window,
        atr_average=entry.ave_avg_atr_window,
        rsi=own.rsi_window,
        volume_average=own.vol_sma_window,
        volume_trend=own.vol_trend_window,
        stoch_rsi=own.stoch_rsi_window,
        stoch_smooth=own.stoch_rsi_smooth1,
        slow_slope=entry.slow_drift_slope_window,
    )


class Raw(NamedTuple):
    """What TA-Lib says about a candle, before anything is compared. The row order of raw matrices."""

    close: FloatColumn
    volume: FloatColumn
    ema_fast: FloatColumn
    ema_slow: FloatColumn
    ema_slow_before: FloatColumn
    """`ema_slow` as it was `slow_slope` candles earlier."""
    ema_macro: FloatColumn
    adx: FloatColumn
    atr: FloatColumn
    atr_average: FloatColumn
    rsi: FloatColumn
    macd_hist: FloatColumn
    bb_width: FloatColumn
    bb_width_average: FloatColumn
    volume_average: FloatColumn
    volume_trend: FloatColumn
    stoch_k: FloatColumn


class Columns(NamedTuple):
    """What the gates read, one array a row over symbols (or over symbols and times).

    The first fourteen are the first fourteen of `FeatureRow`, in its order, so that features
    are a slice. Lags count candles of the symbol, never time. Gaps are relative and signed;
    a division by zero is NaN, which no gate lets through.
    """

    close: FloatColumn
    atr: FloatColumn
    atr_slope: FloatColumn
    adx: FloatColumn
    adx_slope: FloatColumn
    rsi: FloatColumn
    ema_fast: FloatColumn
    ema_slow: FloatColumn
    ema_macro: FloatColumn
    macd_hist: FloatColumn
    macd_hist_1: FloatColumn
    macd_hist_2: FloatColumn
    macd_hist_3: FloatColumn
    bb_width_ratio: FloatColumn
    close_change: FloatColumn
    ema_fast_gap: FloatColumn
    ema_fast_gap_1: FloatColumn
    trend_gap: FloatColumn
    volume_ratio: FloatColumn
    volume_ratio_1: FloatColumn
    volume_trend: FloatColumn
    volume_trend_1: FloatColumn
    slow_slope: FloatColumn
    atr_ratio: FloatColumn
    stoch_k: FloatColumn


RAW_ROWS = len(Raw._fields)
COLUMN_ROWS = len(Columns._fields)
FEATURE_COLUMNS = 14
MACD_HIST = Raw._fields.index("macd_hist")
MACD_HIST_1 = Columns._fields.index("macd_hist_1")


def raw_series(
    high: FloatColumn, low: FloatColumn, close: FloatColumn, volume: FloatColumn, periods: Periods
) -> FloatColumn:
    """RAW columns of a whole history that begins at its anchor: (row, candle); NaN until a window is full."""
    import talib  # here and not above: it imports pandas

    raw = np.empty((RAW_ROWS, len(close)))
    row = Raw._make(raw)
    row.close[:] = close
    row.volume[:] = volume
    row.ema_fast[:] = talib.EMA(close, periods.ema_fast)
    row.ema_slow[:] = talib.EMA(close, periods.ema_slow)
    row.ema_slow_before[:] = np.nan
    row.ema_slow_before[periods.slow_slope :] = row.ema_slow[: -periods.slow_slope]
    row.ema_macro[:] = talib.EMA(close, periods.ema_macro)
    row.adx[:] = talib.ADX(high, low, close, periods.adx)
    row.atr[:] = talib.ATR(high, low, close, periods.atr)
    row.atr_average[:] = talib.SMA(row.atr, periods.atr_average)
    row.rsi[:] = talib.RSI(close, periods.rsi)
    row.macd_hist[:] = talib.MACD(close, MACD_FAST, MACD_SLOW, MACD_SIGNAL)[2]
    upper, _, lower = talib.BBANDS(close, periods.bb, BAND_SIGMAS, BAND_SIGMAS)
    np.divide(upper - lower, close, out=row.bb_width)
    row.bb_width_average[:] = talib.SMA(row.bb_width, periods.bb_width_average)
    row.volume_average[:] = talib.SMA(volume, periods.volume_average)
    row.volume_trend[:] = talib.SMA(volume, periods.volume_trend)
    stoch = talib.STOCHRSI(close, periods.stoch_rsi, periods.stoch_rsi, periods.stoch_smooth)[1]
    np.divide(stoch, 100.0, out=row.stoch_k)
    return raw


def derive(
    raw: FloatColumn, raw_1: FloatColumn, macd_hist_2: FloatColumn, macd_hist_3: FloatColumn, out: FloatColumn
) -> None:
    """Fill `out` (COLUMN_ROWS, n) from the raw rows now, the raw rows one candle earlier and two older lags."""
    now, before, row = Raw._make(raw), Raw._make(raw_1), Columns._make(out)
    row.close[:] = now.close
    row.atr[:] = now.atr
    np.subtract(now.atr, before.atr, out=row.atr_slope)
    row.adx[:] = now.adx
    np.subtract(now.adx, before.adx, out=row.adx_slope)
    row.rsi[:] = now.rsi
    row.ema_fast[:] = now.ema_fast
    row.ema_slow[:] = now.ema_slow
    row.ema_macro[:] = now.ema_macro
    row.macd_hist[:] = now.macd_hist
    row.macd_hist_1[:] = before.macd_hist
    row.macd_hist_2[:] = macd_hist_2
    row.macd_hist_3[:] = macd_hist_3
    _ratio(now.bb_width, now.bb_width_average, row.bb_width_ratio)
    _ratio(np.abs(now.close - before.close), before.close, row.close_change)
    _ratio(now.close - now.ema_fast, now.ema_fast, row.ema_fast_gap)
    _ratio(before.close - before.ema_fast, before.ema_fast, row.ema_fast_gap_1)
    np.divide(now.ema_fast - now.ema_slow, now.close, out=row.trend_gap)
    _ratio(now.volume, now.volume_average, row.volume_ratio)
    _ratio(before.volume, before.volume_average, row.volume_ratio_1)
    _ratio(now.volume_trend, now.volume_average, row.volume_trend)
    _ratio(before.volume_trend, before.volume_average, row.volume_trend_1)
    np.divide(now.ema_slow - now.ema_slow_before, now.close, out=row.slow_slope)
    _ratio(now.atr, now.atr_average, row.atr_ratio)
    row.stoch_k[:] = now.stoch_k


def column_series(raw: FloatColumn) -> FloatColumn:
    """The columns of a whole history from its raw rows: (COLUMN_ROWS, candle)."""
    out = np.empty((COLUMN_ROWS, raw.shape[1]))
    hist = raw[MACD_HIST]
    derive(raw, _shifted(raw, 1), _shifted(hist, 2), _shifted(hist, 3), out)
    return out


def _ratio(numerator: FloatColumn, denominator: FloatColumn, out: FloatColumn) -> None:
    """A quotient that is not known where the denominator is not positive."""
    out.fill(np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)


def _shifted(rows: FloatColumn, places: int) -> FloatColumn:
    moved = np.full(rows.shape, np.nan)
    moved[..., places:] = rows[..., :-places]
    return moved
