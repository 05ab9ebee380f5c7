"""Signals: what a strategy says about the symbols that just closed, as columns.

A strategy answers for a whole batch at once. Every array below has one place a symbol, in
the order of `Analyses.ids`; matrices are (row, symbol). Only symbols that pass every gate or
hold a position ever reach per-symbol code.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
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
    if np.isinf(analyses.features).any():
        return "an infinite feature"
    return None
