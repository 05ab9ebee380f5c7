"""Signals: what a strategy's answer must look like before anything is read from it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from domain.candles import FloatColumn
from domain.signals import FEATURE_INDEX, NO_GATE, Analyses, FeatureRow, Signal, analyses_problem

FEATURES = len(FeatureRow._fields)


def features_of(**known: float) -> FloatColumn:
    """Three symbols of which all is known; where nothing is said, 1, and closes of 100."""
    features = np.full((FEATURES, 3), 1.0)
    for name, value in {"close": 100.0, **known}.items():
        features[FEATURE_INDEX[name]] = value
    return features


def answer(**changes: Any) -> Analyses:
    """Three symbols and two gates: the first is bought, the others were refused by gate 0 and gate 1."""
    good = Analyses(
        ids=np.array([3, 5, 8], dtype=np.intp),
        signal=np.array([1, 0, 0], dtype=np.int8),
        confidence=np.array([2, 0, 0], dtype=np.int8),
        first_no=np.array([NO_GATE, 0, 1], dtype=np.int8),
        features=features_of(adx=30.0, tp_mult=4.0),
        gate_names=("trend", "volume"),
        gate_values=np.zeros((2, 3)),
        gate_thresholds=np.zeros((2, 3)),
        gate_passed=np.array([[True, False, True], [True, True, False]]),
    )
    return replace(good, **changes)


def test_a_signal_is_a_sign() -> None:
    assert (Signal.BUY, Signal.NEUTRAL, Signal.SELL) == (1, 0, -1)


def test_a_good_answer_has_no_problem() -> None:
    assert analyses_problem(answer()) is None


def test_an_empty_answer_has_no_problem() -> None:
    nothing = answer(
        ids=np.zeros(0, dtype=np.intp),
        signal=np.zeros(0, dtype=np.int8),
        confidence=np.zeros(0, dtype=np.int8),
        first_no=np.zeros(0, dtype=np.int8),
        features=np.zeros((FEATURES, 0)),
        gate_names=(),
        gate_values=np.zeros((0, 0)),
        gate_thresholds=np.zeros((0, 0)),
        gate_passed=np.zeros((0, 0), dtype=np.bool_),
    )
    assert analyses_problem(nothing) is None


def test_a_value_that_is_not_known_is_no_problem() -> None:
    assert analyses_problem(answer(features=np.full((FEATURES, 3), np.nan))) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"signal": np.array([1, 0], dtype=np.int8)}, "different lengths"),
        ({"confidence": np.array([1], dtype=np.int8)}, "different lengths"),
        ({"first_no": np.array([-1, 0, 0, 0], dtype=np.int8)}, "different lengths"),
        ({"features": np.zeros((FEATURES - 1, 3))}, "features have the shape"),
        ({"gate_values": np.zeros((3, 3))}, "gate matrix"),
        ({"gate_passed": np.ones((2, 2), dtype=np.bool_)}, "gate matrix"),
        ({"signal": np.array([2, 0, 0], dtype=np.int8)}, "other than BUY"),
        ({"confidence": np.array([3, 0, 0], dtype=np.int8)}, "confidence other than"),
        ({"first_no": np.array([0, 0, 1], dtype=np.int8)}, "a signal that a gate refused"),
        ({"first_no": np.array([-1, -1, 1], dtype=np.int8)}, "a signal that a gate refused"),
        ({"first_no": np.array([-1, 0, 2], dtype=np.int8)}, "a gate that is not there"),
        ({"first_no": np.array([-1, -2, 1], dtype=np.int8)}, "a gate that is not there"),
        ({"features": np.full((FEATURES, 3), np.inf)}, "close is inf, outside 1e-12 to"),
        ({"features": np.full((FEATURES, 3), -np.inf)}, "close is -inf, outside 1e-12 to"),
        ({"features": features_of(atr=50.1)}, "atr is 50.1, more than half of the close 100"),
        ({"features": features_of(atr=-0.1)}, "atr is -0.1, outside 0 to"),
        ({"features": features_of(tp_mult=0.0)}, "tp_mult is 0, outside 0.1 to 100"),
        ({"features": features_of(rsi=1e308)}, "rsi is 1e+308, outside 0 to 100"),
    ],
)
def test_what_breaks_the_contract_is_named(changes: dict[str, Any], problem: str) -> None:
    found = analyses_problem(answer(**changes))
    assert found is not None and problem in found


def test_the_features_of_a_symbol_are_its_column_as_plain_floats() -> None:
    row = answer(features=np.arange(FEATURES * 3, dtype=np.float64).reshape(FEATURES, 3)).feature_row(1)
    assert row == FeatureRow(*(float(3 * place + 1) for place in range(FEATURES)))
    assert type(row.close) is float
    assert row[FEATURE_INDEX["macd_hist"]] == row.macd_hist
