"""Signals: what a strategy says about the symbols that just closed, as columns.

A strategy answers for a whole batch at once. Every array below has one place a symbol, in
the order of `Analyses.ids`; matrices are (row, symbol). Only symbols that pass every gate or
hold a position ever reach per-symbol code.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from domain.candles import BoolColumn, FloatColumn


class Signal(enum.IntEnum):
    """A strategy's opinion. The numbers are signs, so that columns can hold them."""

    SELL = -1
    NEUTRAL = 0
    BUY = 1


NO_GATE = -1
"""In `Analyses.first_no`: no gate said no, the signal stands."""


class FeatureRow(NamedTuple):
    """The indicator values of one closed candle that exits, sizing and entry gates read.

    The field order is the row order of `Analyses.features`. NaN means "not known": whoever
    reads a value decides what not knowing means there, and for an entry it always means no.
    """

    close: float
    atr: float
    atr_slope: float
    adx: float
    adx_slope: float
    rsi: float
    ema_fast: float
    ema_slow: float
    ema_macro: float
    macd_hist: float
    macd_hist_1: float
    macd_hist_2: float
    macd_hist_3: float
    bb_width_ratio: float
    tp_mult: float
    is_anomaly: float
    entry_adx_threshold: float


FEATURE_INDEX = {name: place for place, name in enumerate(FeatureRow._fields)}

HUGE = 1e12
"""No price, and no difference of prices, is larger: what is, was computed wrongly."""

ATR_MOST_OF_CLOSE = 0.5
"""A larger average range would put stops below zero."""

FEATURE_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "close": (1 / HUGE, HUGE),
        "atr": (0.0, HUGE),
        "atr_slope": (-HUGE, HUGE),
        "adx": (0.0, 100.0),
        "adx_slope": (-100.0, 100.0),
        "rsi": (0.0, 100.0),
        "ema_fast": (0.0, HUGE),
        "ema_slow": (0.0, HUGE),
        "ema_macro": (0.0, HUGE),
        "macd_hist": (-HUGE, HUGE),
        "macd_hist_1": (-HUGE, HUGE),
        "macd_hist_2": (-HUGE, HUGE),
        "macd_hist_3": (-HUGE, HUGE),
        "bb_width_ratio": (0.0, HUGE),
        "tp_mult": (0.1, 100.0),
        "is_anomaly": (0.0, 1.0),
        "entry_adx_threshold": (0.0, 100.0),
    }
)
"""What each feature may be where it is known, ends included."""

_LOWEST = np.array([FEATURE_RANGES[name][0] for name in FeatureRow._fields]).reshape(-1, 1)
_HIGHEST = np.array([FEATURE_RANGES[name][1] for name in FeatureRow._fields]).reshape(-1, 1)


@dataclass(slots=True)
class Analyses:
    """A strategy's answer for one batch: a signal, its confidence and every gate's value, per symbol.

    `first_no[j]` is the row of the first gate that refused symbol j, or `NO_GATE`; it is
    `NO_GATE` exactly where `signal[j]` is not NEUTRAL. Gate values and thresholds that do not
    apply to a symbol are NaN.
    """

    ids: npt.NDArray[np.intp]
    signal: npt.NDArray[np.int8]
    confidence: npt.NDArray[np.int8]
    first_no: npt.NDArray[np.int8]
    features: FloatColumn
    gate_names: tuple[str, ...]
    gate_values: FloatColumn
    gate_thresholds: FloatColumn
    gate_passed: BoolColumn
    failures: dict[int, str] = field(default_factory=dict)
    """By place: why a symbol could not be analysed. It is NEUTRAL, and a gate of it said no."""

    def feature_row(self, place: int) -> FeatureRow:
        """The features of the symbol at `place` (its position in `ids`) as plain floats."""
        return FeatureRow._make(self.features[:, place].tolist())


def analyses_problem(analyses: Analyses) -> str | None:
    """Say what breaks the contract of `Analyses`, or None.

    Asked of strategies that are not ours before any value is compared: NaN passes both
    `> limit` and `<= limit` tests, so it must be seen first.
    """
    count = len(analyses.ids)
    gates = len(analyses.gate_names)
    if any(len(column) != count for column in (analyses.signal, analyses.confidence, analyses.first_no)):
        return "columns of different lengths"
    if analyses.features.shape != (len(FeatureRow._fields), count):
        return f"features have the shape {analyses.features.shape}, not {(len(FeatureRow._fields), count)}"
    for matrix in (analyses.gate_values, analyses.gate_thresholds, analyses.gate_passed):
        if matrix.shape != (gates, count):
            return f"a gate matrix has the shape {matrix.shape}, not {(gates, count)}"
    if not np.isin(analyses.signal, (-1, 0, 1)).all():
        return "a signal other than BUY, SELL or NEUTRAL"
    if not np.isin(analyses.confidence, (0, 1, 2)).all():
        return "a confidence other than low, medium or high"
    if not ((analyses.first_no == NO_GATE) == (analyses.signal != 0)).all():
        return "a signal that a gate refused, or a refusal without a gate"
    if ((analyses.first_no < NO_GATE) | (analyses.first_no >= gates)).any():
        return "a refusal by a gate that is not there"
    return features_problem(analyses.features)


def features_problem(features: FloatColumn) -> str | None:
    """Name the first feature outside its range in a (row, symbol) matrix, or None. What is not known (NaN) is no
    problem: whoever reads it has to ask."""
    outside = (features < _LOWEST) | (features > _HIGHEST)
    if outside.any():
        row, place = (int(found[0]) for found in np.nonzero(outside))
        name = FeatureRow._fields[row]
        low, high = FEATURE_RANGES[name]
        return f"{name} is {features[row, place]:g}, outside {low:g} to {high:g}"
    atr, close = features[FEATURE_INDEX["atr"]], features[FEATURE_INDEX["close"]]
    if (atr > ATR_MOST_OF_CLOSE * close).any():
        place = int(np.flatnonzero(atr > ATR_MOST_OF_CLOSE * close)[0])
        return f"atr is {atr[place]:g}, more than half of the close {close[place]:g}"
    return None
