"""Why was it traded, or not: a decision comes back from the log with every gate that was asked."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite.decision_log import SqliteDecisionLog
from adapters.sqlite.decision_queries import decisions_for
from domain.candles import Interval
from domain.confidence import Confidence
from domain.gating import GateResult
from domain.signals import Signal
from domain.verdicts import Verdict
from ports.ledger import StorageError
from tests.decision_batches import GATES, T0, decisions
from tests.sqlite_files import run_sql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with batches 0 to 3 of one session, and batch 4 with another strategy's gates."""
    with closing(SqliteDecisionLog(tmp_path / "decisions.sqlite", 1_000, "session-1")) as log:
        log.append([decisions(number=number) for number in range(4)])
        log.append([decisions(number=4, gates=("other_gate",))])
    return tmp_path / "decisions.sqlite"


def test_a_refusal_by_an_entry_gate_comes_back_whole(path: Path) -> None:
    [row] = decisions_for(path, "ETH", at_ms=T0 + 61_000)
    assert (row.session, row.seq, row.at_ms, row.symbol) == ("session-1", 100, T0 + 61_000, "ETH")
    assert (row.interval, row.open_ms, row.batch_no) == (Interval.M1, T0, 0)
    assert (row.signal, row.confidence, row.verdict) == (Signal.SELL, Confidence.HIGH, Verdict.REFUSED)
    assert (row.gate, row.gate_value, row.gate_threshold) == ("confidence", "low", "medium")
    assert (row.btc_bullish, row.breadth_pct) == (True, 62.5)
    assert (row.intent_id, row.config_digest, row.note) == (None, "c0ffee", "reversed")
    assert row.strategy_gates == tuple(
        GateResult(name, float(value), 0.1, True) for name, value in zip(GATES, (1, 4, 7), strict=True)
    )
    assert row.entry_gates == (
        GateResult("regime_breadth", 62.5, None, True),
        GateResult("confidence", "low", "medium", False),
        GateResult("ssf_macd", None, 0.0, False),
    )


def test_a_refusal_by_the_strategy_names_its_gate(path: Path) -> None:
    [row] = decisions_for(path, "SOL", at_ms=T0 + 61_000)
    assert (row.signal, row.verdict) == (Signal.NEUTRAL, Verdict.NO_SIGNAL)
    assert (row.gate, row.gate_value, row.gate_threshold) == ("atr_floor", "8.0", None)
    assert row.strategy_gates[-1] == GateResult("atr_floor", 8.0, None, False)
    assert row.entry_gates == ()
    [row] = decisions_for(path, "SOL")
    assert (row.gate, row.gate_value) == ("other_gate", "2.4")


def test_an_entry_names_its_intent_and_no_gate(path: Path) -> None:
    [row] = decisions_for(path, "BTC", at_ms=T0 + 121_000)
    assert (row.verdict, row.intent_id, row.gate) == (Verdict.OPEN, "intent-1", None)
    assert (row.btc_bullish, row.breadth_pct) == (None, None)
    assert row.entry_gates[1] == GateResult("max_open_positions", 1, 20, True)


def test_the_newest_decision_at_a_time_is_the_one_in_force(path: Path) -> None:
    at = T0 + 61_000
    assert [row.seq for row in decisions_for(path, "BTC")] == [104]
    assert [row.seq for row in decisions_for(path, "BTC", at_ms=at + 60_000 - 1)] == [100]
    assert [row.seq for row in decisions_for(path, "BTC", at_ms=at + 60_000)] == [101]
    assert [row.seq for row in decisions_for(path, "BTC", limit=3)] == [104, 103, 102]
    assert decisions_for(path, "BTC", at_ms=at - 1) == []
    assert decisions_for(path, "DOGE") == []


def test_every_row_knows_the_gates_of_its_own_strategy(path: Path) -> None:
    newest, before = decisions_for(path, "BTC", limit=2)
    assert [gate.name for gate in newest.strategy_gates] == ["other_gate"]
    assert [gate.name for gate in before.strategy_gates] == list(GATES)
    assert len(run_sql(path, "SELECT * FROM gate_sets")) == 2


def test_gate_sets_are_known_again_after_a_restart(path: Path) -> None:
    with closing(SqliteDecisionLog(path, 1_000, "session-2")) as log:
        log.append([decisions(number=5)])
        assert decisions_for(path, "BTC")[0].session == "session-2"  # beside the one that writes
    assert len(run_sql(path, "SELECT * FROM gate_sets")) == 2


def test_infinite_values_are_named(tmp_path: Path) -> None:
    path, batch = tmp_path / "decisions.sqlite", decisions(("BTC",))
    batch.entry_gates = {0: [GateResult("odd", math.inf, -math.inf, False)]}
    with closing(SqliteDecisionLog(path, 10, "s")) as log:
        log.append([batch])
    [row] = decisions_for(path, "BTC")
    assert (row.gate, row.gate_value, row.gate_threshold) == ("odd", "inf", "-inf")


def test_the_newest_is_found_without_walking_the_table(path: Path) -> None:
    plan = run_sql(
        path,
        "EXPLAIN QUERY PLAN SELECT * FROM decisions WHERE symbol = 'BTC' AND at_ms <= 5 "
        "ORDER BY at_ms DESC, id DESC LIMIT 1",
    )
    assert "USING INDEX decisions_by_time" in str(plan) and "TEMP B-TREE FOR ORDER BY" not in str(plan)


def test_an_append_that_fails_leaves_the_log_usable(tmp_path: Path) -> None:
    path = tmp_path / "decisions.sqlite"
    with closing(SqliteDecisionLog(path, 1_000, "s")) as log:
        bad = decisions(number=1)
        bad.intent_ids = {0: 2**70}  # type: ignore[dict-item]
        with pytest.raises(StorageError, match="cannot write decisions"):
            log.append([decisions(number=0), bad])
        log.append([decisions(number=2)])
    assert [row.seq for row in decisions_for(path, "BTC", limit=9)] == [102]


def test_an_absent_or_damaged_log_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no decision log here"):
        decisions_for(tmp_path / "none.sqlite", "BTC")
    run_sql(path, "UPDATE decisions SET gates = x'00'")
    with pytest.raises(StorageError, match=r"a row that cannot be read: 1 bytes cannot hold 1 gates.*Move the file"):
        decisions_for(path, "BTC")
