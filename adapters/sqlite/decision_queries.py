"""Why was a symbol traded, or not: reading the decision log, beside a running daemon or without one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.sqlite.decision_rows import entry_gates_of, strategy_gates_of
from adapters.sqlite.file_kinds import DECISIONS
from adapters.sqlite.reading import reading
from adapters.sqlite.tables import candles_skipped, decisions, gate_sets
from domain.candles import Interval
from domain.confidence import Confidence
from domain.facts import CandlesSkipped
from domain.gating import GateResult
from domain.signals import Signal
from domain.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What was decided about one symbol at one candle, and on what.

    `gate` is the first gate that said no, None when none did; its value and threshold are as
    text. `strategy_gates` led to the signal, `entry_gates` were asked about it.
    """

    session: str
    seq: int
    at_ms: int
    symbol: str
    interval: Interval
    open_ms: int
    batch_no: int
    signal: Signal
    confidence: Confidence
    verdict: Verdict
    gate: str | None
    gate_value: str | None
    gate_threshold: str | None
    intent_id: str | None
    config_digest: str
    btc_bullish: bool | None
    breadth_pct: float | None
    strategy_gates: tuple[GateResult, ...]
    entry_gates: tuple[GateResult, ...]
    note: str


def skipped_for(path: Path, symbol: str, at_ms: int | None = None, limit: int = 1) -> list[CandlesSkipped]:
    """The newest spans of a symbol that were not analysed, newest first, as `decisions_for`."""
    wanted = sa.select(candles_skipped).where(candles_skipped.c.symbol == symbol)
    if at_ms is not None:
        wanted = wanted.where(candles_skipped.c.at_ms <= at_ms)
    with reading(path, DECISIONS) as connection:
        rows = connection.execute(wanted.order_by(candles_skipped.c.id.desc()).limit(limit)).mappings().all()
    return [_skipped_of(row) for row in rows]


def _skipped_of(row: Any) -> CandlesSkipped:
    return CandlesSkipped(
        seq=row["seq"],
        at_ms=row["at_ms"],
        symbol=row["symbol"],
        interval=Interval(row["interval"]),
        first_ms=row["first_ms"],
        last_ms=row["last_ms"],
        reason=row["reason"],
    )


def decisions_for(path: Path, symbol: str, at_ms: int | None = None, limit: int = 1) -> list[DecisionRow]:
    """The newest decisions about a symbol, newest first; those made at `at_ms` or before when it is given.

    Raises `StorageError` when there is no log at `path` or it cannot be read.
    """
    wanted = sa.select(decisions, gate_sets.c.names).join(gate_sets).where(decisions.c.symbol == symbol)
    if at_ms is not None:
        wanted = wanted.where(decisions.c.at_ms <= at_ms)
    newest = wanted.order_by(decisions.c.at_ms.desc(), decisions.c.id.desc()).limit(limit)
    with reading(path, DECISIONS) as connection:
        return [_decision_of(row) for row in connection.execute(newest).mappings()]


def _decision_of(row: Any) -> DecisionRow:
    return DecisionRow(
        session=row["session"],
        seq=row["seq"],
        at_ms=row["at_ms"],
        symbol=row["symbol"],
        interval=Interval(row["interval"]),
        open_ms=row["open_ms"],
        batch_no=row["batch_no"],
        signal=Signal(row["signal"]),
        confidence=Confidence(row["confidence"]),
        verdict=Verdict(row["verdict"]),
        gate=row["gate"],
        gate_value=row["gate_value"],
        gate_threshold=row["gate_threshold"],
        intent_id=row["intent_id"],
        config_digest=row["config_digest"],
        btc_bullish=None if row["btc_bullish"] is None else bool(row["btc_bullish"]),
        breadth_pct=row["breadth_pct"],
        strategy_gates=strategy_gates_of(row["gates"], json.loads(row["names"])),
        entry_gates=entry_gates_of(row["entry_gates"]),
        note=row["note"],
    )
