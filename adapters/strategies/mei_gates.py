"""The gates of mei_alpha_v1: indicator columns in, signals with every gate's answer out.

Everything works on whole columns, whose last axis is the symbol; axes before it (times) are
carried along, so one call can judge a batch or a block. A comparison with NaN is False and
every gate is written as the comparison that lets through, so a value that is not known never
lets an entry pass. The one exception is the description's own: without a BTC context the BTC
gate stands open.

The trend path needs all gates of `TREND_GATES`, judged in the direction in which the EMAs are
aligned. The pullback and the slow-drift path come into play where the trend path says no; when a
symbol uses them they answer with a row of their own, 1 where they gave the signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapters.strategies.gate_parameters import ADX_SLOPE_EASED, DRIFT_CONFIDENCE, GateParameters
from adapters.strategies.indicators import FEATURE_COLUMNS, Columns
from domain.candles import BoolColumn, FloatColumn
from domain.signals import FEATURE_INDEX, NO_GATE

TREND_GATES = (
    "ranging",
    "anomaly",
    "extension",
    "volume_confirmation",
    "adx_rising",
    "min_adx",
    "alignment",
    "macro_alignment",
    "btc_alignment",
    "ema_side",
    "rsi_limit",
    "macd",
    "stoch_rsi",
)
(
    RANGING,
    ANOMALY,
    EXTENSION,
    VOLUME,
    ADX_RISING,
    MIN_ADX,
    ALIGNMENT,
    MACRO,
    BTC,
    EMA_SIDE,
    RSI_LIMIT,
    MACD,
    STOCH,
) = range(len(TREND_GATES))
PULLBACK_PATH, SLOW_DRIFT_PATH = "pullback_path", "slow_drift_path"

_SHARED_BY_PATHS = (RANGING, ANOMALY, EXTENSION, VOLUME, ALIGNMENT, MACRO, BTC)
"""What the pullback and the slow-drift path ask of the market as the trend path does."""

_FEATURES = len(FEATURE_INDEX)
_TP_MULT, _IS_ANOMALY = FEATURE_INDEX["tp_mult"], FEATURE_INDEX["is_anomaly"]
_ENTRY_ADX = FEATURE_INDEX["entry_adx_threshold"]


@dataclass(slots=True)
class Opinions:
    """The answer over the columns' own shape; matrices have one row more in front."""

    signal: npt.NDArray[np.int8]
    confidence: npt.NDArray[np.int8]
    first_no: npt.NDArray[np.int8]
    features: FloatColumn
    values: FloatColumn
    thresholds: FloatColumn
    passed: BoolColumn


def gate_names(parameters: GateParameters) -> tuple[str, ...]:
    """The rows of `evaluate`'s matrices: paths that no symbol uses have none."""
    pullback = (PULLBACK_PATH,) if parameters.any_pullback else ()
    return TREND_GATES + pullback + ((SLOW_DRIFT_PATH,) if parameters.any_drift else ())


def btc_sign_of(btc_bullish: bool | None) -> float:
    """BTC's trend as a number to multiply a direction with; NaN when it is not known."""
    if btc_bullish is None:
        return float("nan")
    return 1.0 if btc_bullish else -1.0


def evaluate(columns: FloatColumn, parameters: GateParameters, btc_sign: float | FloatColumn) -> Opinions:
    """Judge columns (COLUMN_ROWS, …, symbol). `btc_sign` is 1 bullish, -1 bearish, NaN not known."""
    now, p = Columns._make(columns), parameters
    shape = (len(gate_names(p)), *columns.shape[1:])
    board = _Board(np.empty(shape), np.empty(shape), np.empty(shape, dtype=bool))
    features = np.empty((_FEATURES, *columns.shape[1:]))
    features[:FEATURE_COLUMNS] = columns[:FEATURE_COLUMNS]
    direction = np.sign(now.trend_gap)
    direction[direction == 0] = np.nan  # no direction: nothing that depends on one can pass
    _market_gates(board, now, p, features)
    features[_ENTRY_ADX] = _strength_gates(board, now, p)
    _direction_gates(board, now, p, direction, btc_sign)
    _momentum_gates(board, now, p, direction)
    features[_TP_MULT] = _target_multiple(now, p)
    trend = board.passed[: len(TREND_GATES)]
    entered: BoolColumn = np.logical_and.reduce(trend, axis=0)
    high = entered & (now.volume_ratio > p.high_conf_volume)
    confidence = entered.astype(np.int8) + high.astype(np.int8)  # 0 low, 1 medium, 2 high
    if p.any_pullback or p.any_drift:
        entered, confidence = _other_paths(board, now, p, direction, entered, confidence, features)
    signal = np.where(entered, direction, 0.0).astype(np.int8)
    first_no = np.where(entered, NO_GATE, trend.argmin(axis=0)).astype(np.int8)
    return Opinions(signal, confidence, first_no, features, board.values, board.thresholds, board.passed)


@dataclass(slots=True)
class _Board:
    """What the gates said: one row a gate."""

    values: FloatColumn
    thresholds: FloatColumn
    passed: BoolColumn

    def put(self, gate: int, value: FloatColumn | float, threshold: FloatColumn | float, passed: BoolColumn) -> None:
        self.values[gate] = value
        self.thresholds[gate] = threshold
        self.passed[gate] = passed


def _market_gates(board: _Board, now: Columns, p: GateParameters, features: FloatColumn) -> None:
    """Ranging, anomaly, extension and volume: is this a candle to enter on at all?"""
    signs = (now.adx < p.ranging_adx_below).astype(np.float64)
    signs += now.bb_width_ratio < p.ranging_width_below
    signs += (now.rsi > p.ranging_rsi_low) & (now.rsi < p.ranging_rsi_high)
    signs += (now.adx + now.bb_width_ratio + now.rsi) * 0.0  # NaN when one of the three is not known
    calm = (signs < p.ranging_min_signals) | p.ranging_off
    if p.any_drift:
        calm |= p.drift_on & (np.abs(now.slow_slope) >= p.drift_slope)  # a slow drift looks like a range
    board.put(RANGING, signs, p.ranging_min_signals, calm)

    distance = np.abs(now.ema_fast_gap)
    usual_change, usual_distance = now.close_change <= p.anomaly_change, distance <= p.anomaly_gap
    shows_distance = usual_change & ~usual_distance  # show the measure that refuses
    value = np.where(shows_distance, distance, now.close_change)
    threshold = np.where(shows_distance, p.anomaly_gap, p.anomaly_change)
    usual = usual_change & usual_distance
    board.put(ANOMALY, value, threshold, usual | p.anomaly_off)
    features[_IS_ANOMALY] = np.where(p.anomaly_off, 0.0, ~usual + value * 0.0)

    board.put(EXTENSION, distance, p.extension_gap, (distance <= p.extension_gap) | p.extension_off)
    _volume_gate(board, now, p)


def _volume_gate(board: _Board, now: Columns, p: GateParameters) -> None:
    """Volume above its long average, and its short average above the long one, now or one candle ago."""
    if not p.any_volume:
        board.put(VOLUME, now.volume_ratio, np.nan, p.volume_off)
        return
    either = p.volume_include_previous
    volume = np.where(either, np.fmax(now.volume_ratio, now.volume_ratio_1), now.volume_ratio)
    trend = np.where(either, np.fmax(now.volume_trend, now.volume_trend_1), now.volume_trend)
    enough = volume > p.volume_least
    value = np.where(enough & ~(trend > p.volume_least), trend, volume)
    board.put(VOLUME, value, p.volume_least, (enough & (trend > p.volume_least)) | p.volume_off)


def _strength_gates(board: _Board, now: Columns, p: GateParameters) -> FloatColumn:
    """Rising ADX and enough of it. Returns the ADX asked for; NaN when volatility cannot be judged."""
    rising = (now.adx_slope > 0) | (now.adx > p.adx_rising_saturation) | p.adx_rising_off
    board.put(ADX_RISING, now.adx_slope, p.adx_rising_least, rising)
    base = np.where(now.adx_slope > ADX_SLOPE_EASED, p.min_adx_eased, p.min_adx)
    wilder = np.where(now.atr_ratio > p.ave_atr_ratio, base * p.ave_adx_mult, base)
    least = np.where(p.ave_off, base, wilder + now.atr_ratio * 0.0)
    board.put(MIN_ADX, now.adx, least, now.adx > least)
    return least


def _direction_gates(
    board: _Board, now: Columns, p: GateParameters, direction: FloatColumn, btc_sign: float | FloatColumn
) -> None:
    """EMAs in line, BTC not against it, price on the right side of the fast EMA."""
    board.put(ALIGNMENT, now.trend_gap, 0.0, np.abs(direction) > 0)
    macro_gap = (now.ema_slow - now.ema_macro) / now.close
    board.put(MACRO, macro_gap, p.macro_least, (direction * macro_gap > 0) | p.macro_off)
    with_btc = (direction * btc_sign > 0) | (now.adx > p.btc_adx_override) | np.isnan(btc_sign) | p.btc_off
    board.put(BTC, btc_sign, np.where(p.btc_off, np.nan, direction), with_btc)
    board.put(EMA_SIDE, now.ema_fast_gap, direction * 0.0, direction * now.ema_fast_gap > 0)


def _momentum_gates(board: _Board, now: Columns, p: GateParameters, direction: FloatColumn) -> None:
    """RSI, MACD histogram and stochastic RSI, each in the direction of the trend."""
    longs, nowhere = direction > 0, direction * 0.0
    weight = np.minimum(np.maximum((now.adx - p.min_adx) / p.rsi_adx_span, 0.0), 1.0)
    weak = np.where(longs, p.rsi_long_weak, p.rsi_short_weak)
    limit = weak + weight * np.where(longs, p.rsi_long_rise, p.rsi_short_rise) + nowhere
    board.put(RSI_LIMIT, now.rsi, limit, direction * (now.rsi - limit) > 0)
    floor = np.where(p.macd_accelerates, now.macd_hist_1, p.macd_fixed) + nowhere
    board.put(MACD, now.macd_hist, floor, (direction * (now.macd_hist - floor) > 0) | p.macd_off)
    exhausted = np.where(longs, p.stoch_long_most, p.stoch_short_least) + nowhere
    board.put(STOCH, now.stoch_k, exhausted, (direction * (now.stoch_k - exhausted) <= 0) | p.stoch_off)


def _target_multiple(now: Columns, p: GateParameters) -> FloatColumn:
    """Take-profit distance in ATR, by trend strength; NaN without an ADX."""
    middle_or_weak = np.where(now.adx < p.adx_weak, p.tp_weak, p.tp_middle)
    return np.where(now.adx > p.adx_strong, p.tp_strong, middle_or_weak) + now.adx * 0.0


def _other_paths(
    board: _Board,
    now: Columns,
    p: GateParameters,
    direction: FloatColumn,
    entered: BoolColumn,
    confidence: npt.NDArray[np.int8],
    features: FloatColumn,
) -> tuple[BoolColumn, npt.NDArray[np.int8]]:
    """Give the pullback and then the slow-drift path their say where no path has entered yet."""
    longs = direction > 0
    market: BoolColumn = np.logical_and.reduce(board.passed[list(_SHARED_BY_PATHS)], axis=0)
    histogram_with = direction * now.macd_hist > 0
    row = len(TREND_GATES)
    if p.any_pullback:
        crossed = (direction * now.ema_fast_gap_1 <= 0) & (direction * now.ema_fast_gap > 0)
        rsi_with = np.where(longs, now.rsi >= p.pullback_rsi_long, now.rsi <= p.pullback_rsi_short)
        holds = market & crossed & rsi_with & (histogram_with | p.pullback_macd_off)
        holds &= p.pullback_on & (now.adx >= p.pullback_min_adx) & ~entered
        board.put(row, holds.astype(np.float64), np.where(p.pullback_on, 1.0, np.nan), holds)
        features[_ENTRY_ADX] = np.where(holds, p.pullback_min_adx, features[_ENTRY_ADX])
        confidence = np.where(holds, p.pullback_confidence, confidence).astype(np.int8)
        entered = entered | holds
        row += 1
    if p.any_drift:
        beyond = direction * (now.close - now.ema_slow) > 0
        rsi_with = np.where(longs, now.rsi >= p.drift_rsi_long, now.rsi <= p.drift_rsi_short)
        holds = market & beyond & rsi_with & (histogram_with | p.drift_macd_off)
        holds &= p.drift_on & (now.adx >= p.drift_min_adx) & (direction * now.slow_slope >= p.drift_slope) & ~entered
        board.put(row, holds.astype(np.float64), np.where(p.drift_on, 1.0, np.nan), holds)
        features[_ENTRY_ADX] = np.where(holds, p.drift_min_adx, features[_ENTRY_ADX])
        confidence = np.where(holds, np.int8(DRIFT_CONFIDENCE), confidence).astype(np.int8)
        entered = entered | holds
    return entered, confidence
