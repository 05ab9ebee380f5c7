"""Decisions as rows: one per analysed symbol, with the numbers of the strategy's gates packed into a BLOB.

The BLOB holds, for every gate of the row's gate set in order, its value (float64), then every
threshold (float64), then every answer (one byte): little-endian, NaN where a number does not
apply. Names of gates are stored once per distinct set of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from domain.facts import DecisionsRecorded
from domain.gating import GateResult, first_refusal
from domain.signals import NO_GATE

Row = tuple[str | int | float | bytes | None, ...]

COLUMNS = (
    "seq",
    "at_ms",
    "session",
    "symbol",
    "interval",
    "open_ms",
    "batch_no",
    "signal",
    "confidence",
    "verdict",
    "gate",
    "gate_value",
    "gate_threshold",
    "intent_id",
    "config_digest",
    "btc_bullish",
    "breadth_pct",
    "gate_set_id",
    "gates",
    "entry_gates",
    "note",
)


def rows_of(decisions: DecisionsRecorded, session: str, gate_set_id: int) -> Iterator[Row]:
    """One row a symbol, its values in the order of `COLUMNS`."""
    analyses, context = decisions.analyses, decisions.context
    numbers = np.concatenate((analyses.gate_values, analyses.gate_thresholds)).T.astype("<f8", order="C")
    answers = analyses.gate_passed.T.astype(np.uint8, order="C")
    signals, verdicts = decisions.signal.tolist(), decisions.verdict.tolist()
    confidences, first_no = analyses.confidence.tolist(), analyses.first_no.tolist()
    btc_bullish = None if context.btc_bullish is None else int(context.btc_bullish)
    batch = (decisions.seq, decisions.at_ms, session)
    candle = (decisions.interval.value, decisions.open_ms, decisions.batch_no)
    for place, symbol in enumerate(decisions.symbols):
        entry_gates = decisions.entry_gates.get(place)
        refusal = _refusal(decisions, place, first_no[place], entry_gates)
        yield (
            *batch,
            symbol,
            *candle,
            signals[place],
            confidences[place],
            verdicts[place],
            *(_refusal_columns(refusal)),
            decisions.intent_ids.get(place),
            decisions.config_digest,
            btc_bullish,
            context.breadth_pct,
            gate_set_id,
            numbers[place].tobytes() + answers[place].tobytes(),
            None if entry_gates is None else entry_gates_text(entry_gates),
            decisions.notes.get(place, ""),
        )


def strategy_gates_of(blob: bytes, names: Sequence[str]) -> tuple[GateResult, ...]:
    """Unpack a row's gates. Raises `ValueError` when the BLOB does not fit the names."""
    count = len(names)
    if len(blob) != count * 17:
        raise ValueError(f"{len(blob)} bytes cannot hold {count} gates")
    values = np.frombuffer(blob, "<f8", count).tolist()
    thresholds = np.frombuffer(blob, "<f8", count, offset=8 * count).tolist()
    answers = np.frombuffer(blob, np.uint8, count, offset=16 * count).tolist()
    return tuple(
        GateResult(name, _number(value), _number(threshold), bool(passed))
        for name, value, threshold, passed in zip(names, values, thresholds, answers, strict=True)
    )


def entry_gates_text(gates: Sequence[GateResult]) -> str:
    """Every answer as [name, value, threshold, passed]; what is not known is null."""
    rows = [[gate.name, _plain(gate.value), _plain(gate.threshold), bool(gate.passed)] for gate in gates]
    return json.dumps(rows, separators=(",", ":"))


def entry_gates_of(text: str | None) -> tuple[GateResult, ...]:
    """Read entry gates back. Raises `ValueError` or `TypeError` for anything else."""
    rows: list[list[Any]] = [] if text is None else json.loads(text)
    return tuple(GateResult(name, value, threshold, passed) for name, value, threshold, passed in rows)


def _refusal(
    decisions: DecisionsRecorded, place: int, first_no: int, entry_gates: list[GateResult] | None
) -> GateResult | None:
    """The first gate that said no: one of the strategy's, else one that guards entries."""
    if first_no == NO_GATE:
        return first_refusal(entry_gates or ())
    analyses = decisions.analyses
    value = float(analyses.gate_values[first_no, place])
    threshold = float(analyses.gate_thresholds[first_no, place])
    return GateResult(analyses.gate_names[first_no], _number(value), _number(threshold), False)


def _refusal_columns(refusal: GateResult | None) -> tuple[str | None, str | None, str | None]:
    if refusal is None:
        return None, None, None
    return refusal.name, _text(refusal.value), _text(refusal.threshold)


def _text(value: float | str | None) -> str | None:
    plain = _plain(value)
    return None if plain is None else str(plain)


def _plain(value: float | str | None) -> float | str | None:
    """A value as JSON can hold it: NaN is "not known", infinity its name."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value
    number = float(value)
    if math.isinf(number):
        return repr(number)
    return _number(number)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
