"""What a user's `analyze` returned, checked before anything is compared with it.

NaN passes both `> limit` and `<= limit`, and True is a number to Python, so every value is
judged by its type first. A feature that is missing, None or NaN is "not known" (NaN).

It is checked twice: in the worker, where the user's objects are (`read_answer`), and by the
parent, which believes nothing that comes out of that process (`answer_of_plain`).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from domain.confidence import Confidence
from domain.signals import FEATURE_INDEX, Signal, features_problem

MAX_GATES = 32
MAX_GATE_NAME = 40
MAX_ERROR_TEXT = 500

_COLUMNS = {
    "atr": "ATR",
    "atr_slope": "ATR_slope",
    "adx": "ADX",
    "adx_slope": "ADX_slope",
    "rsi": "RSI",
    "ema_fast": "EMA_fast",
    "ema_slow": "EMA_slow",
    "ema_macro": "EMA_macro",
    "macd_hist": "MACD_hist",
    "macd_hist_1": "prev_MACD_hist",
    "macd_hist_2": "prev2_MACD_hist",
    "macd_hist_3": "prev3_MACD_hist",
    "tp_mult": "tp_mult",
    "entry_adx_threshold": "entry_adx_threshold",
}
"""Feature → the column of the row it comes from. The close is the candle's own, never the row's."""

_CONFIDENCES = {confidence.text: confidence for confidence in Confidence}


class BadAnswer(Exception):
    """The answer cannot be used; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class UserAnswer:
    """One symbol's answer in plain values; `features` in the order of `FeatureRow`."""

    signal: int
    confidence: int
    features: list[float]
    gates: dict[str, bool] = field(default_factory=dict)


def read_answer(answer: object, close: float) -> UserAnswer:
    """Check and translate one return value of `analyze`. Raises BadAnswer."""
    if not isinstance(answer, tuple) or len(answer) != 3:
        raise BadAnswer(f"analyze has to return (signal, confidence, row), not {_shown(answer)}")
    signal, confidence, row = answer
    if not isinstance(signal, str) or signal not in Signal.__members__:
        raise BadAnswer(f"signal has to be BUY, SELL or NEUTRAL, not {_shown(signal)}")
    if not isinstance(confidence, str) or confidence not in _CONFIDENCES:
        raise BadAnswer(f"confidence has to be low, medium or high, not {_shown(confidence)}")
    values = _row_values(row)
    features = [math.nan] * len(FEATURE_INDEX)
    features[FEATURE_INDEX["close"]] = close
    for feature, column in _COLUMNS.items():
        features[FEATURE_INDEX[feature]] = _number(values, column)
    width, usual = _number(values, "bb_width"), _number(values, "avg_bb_width")
    if width < 0 or usual < 0:
        raise BadAnswer("row['bb_width'] and row['avg_bb_width'] cannot be negative")
    features[FEATURE_INDEX["bb_width_ratio"]] = width / usual if usual > 0 else math.nan
    features[FEATURE_INDEX["is_anomaly"]] = _truth(values, "is_anomaly")
    _refuse_outside(features)
    return UserAnswer(int(Signal[signal]), int(_CONFIDENCES[confidence]), features, _gates(values))


def answer_to_plain(answer: UserAnswer) -> dict[str, Any]:
    return {
        "signal": answer.signal,
        "confidence": answer.confidence,
        "features": [None if math.isnan(value) else value for value in answer.features],
        "gates": answer.gates,
    }


def answer_of_plain(found: object, close: float) -> UserAnswer | str:
    """What a worker says of one symbol: its answer, or why there is none. Raises BadAnswer for anything else.

    The close is the candle's own here too, whatever stands in its place.
    """
    if not isinstance(found, dict):
        raise BadAnswer("an answer is an object")
    if "error" in found:
        return clean_text(str(found["error"]), MAX_ERROR_TEXT)
    signal, confidence, features, gates = (found.get(name) for name in ("signal", "confidence", "features", "gates"))
    if type(signal) is not int or signal not in (-1, 0, 1):
        raise BadAnswer(f"no signal: {_shown(signal)}")
    if type(confidence) is not int or confidence not in (0, 1, 2):
        raise BadAnswer(f"no confidence: {_shown(confidence)}")
    if not isinstance(features, list) or len(features) != len(FEATURE_INDEX):
        raise BadAnswer(f"not {len(FEATURE_INDEX)} features: {_shown(features)}")
    if not all(value is None or type(value) in (int, float) for value in features):
        raise BadAnswer(f"a feature that is no number: {_shown(features)}")
    known = [math.nan if value is None else float(min(max(value, -1e300), 1e300)) for value in features]
    known[FEATURE_INDEX["close"]] = close
    _refuse_outside(known)
    if not isinstance(gates, dict) or len(gates) > MAX_GATES:
        raise BadAnswer(f"no gates: {_shown(gates)}")
    if not all(type(passed) is bool for passed in gates.values()):
        raise BadAnswer(f"a gate that is neither true nor false: {_shown(gates)}")
    named = {clean_text(str(name), MAX_GATE_NAME): passed for name, passed in gates.items()}
    return UserAnswer(signal, confidence, known, named)


def clean_text(text: str, most: int) -> str:
    """A user's words as any file and any screen can take them: no half characters, no control characters."""
    return "".join(each if each.isprintable() else " " for each in text[:most])


def _refuse_outside(features: list[float]) -> None:
    problem = features_problem(np.array(features).reshape(-1, 1))
    if problem is not None:
        name, _, rest = problem.partition(" ")
        raise BadAnswer(f"row[{_COLUMNS.get(name, name)!r}] {rest}")


def _row_values(row: Any) -> Mapping[Any, Any]:
    """The row as a mapping. A pandas Series is one in all but name."""
    if row is None:
        return {}
    if isinstance(row, Mapping):
        return row
    if hasattr(row, "to_dict") and hasattr(row, "index"):
        values = row.to_dict()
        if isinstance(values, Mapping):
            return values
    raise BadAnswer(f"row has to be a pandas Series or a mapping, not {_shown(row)}")


def _number(values: Mapping[Any, Any], column: str) -> float:
    value: Any = values.get(column)
    if _missing(value):
        return math.nan
    if _is_truth(value) or not isinstance(value, (numbers.Real, Decimal)):
        raise BadAnswer(f"row[{column!r}] has to be a number, not {_shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise BadAnswer(f"row[{column!r}] has to be finite")
    return number


def _truth(values: Mapping[Any, Any], column: str) -> float:
    value: Any = values.get(column)
    if _missing(value) or value != value:
        return math.nan
    if _is_truth(value) or (isinstance(value, numbers.Real) and value in (0, 1)):
        return float(value)
    raise BadAnswer(f"row[{column!r}] has to be true or false, not {_shown(value)}")


def _gates(values: Mapping[Any, Any]) -> dict[str, bool]:
    """The gates of `row["audit"]["gates"]`: names with true or false; anything else there is passed over."""
    audit = values.get("audit")
    gates = audit.get("gates") if isinstance(audit, Mapping) else None
    if not isinstance(gates, Mapping):
        return {}
    usable = [(name, passed) for name, passed in gates.items() if isinstance(name, str) and _is_truth(passed)]
    return {clean_text(name, MAX_GATE_NAME): bool(passed) for name, passed in usable[:MAX_GATES]}


def _missing(value: Any) -> bool:
    """None, NaN and pandas' NA: not equal to itself, or not sure whether it is."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
