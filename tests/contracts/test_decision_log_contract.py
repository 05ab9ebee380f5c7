"""Every promise of `DecisionLog`, asked of the one on disk and the one in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from adapters.sim.memory_ledger import MemoryDecisionLog
from adapters.sqlite.decision_log import SPARE_DELETIONS, SqliteDecisionLog
from adapters.sqlite.decision_queries import skipped_for
from domain.candles import Interval
from domain.facts import CandlesSkipped
from ports.ledger import DecisionLog
from tests.decision_batches import decisions
from tests.sqlite_files import run_sql

KEPT = 30
SYMBOLS = ("BTC", "ETH", "SOL")


class DecisionLogContract(ABC):
    @abstractmethod
    def make(self, tmp_path: Path) -> DecisionLog:
        """A new log that keeps `KEPT` rows."""

    @abstractmethod
    def kept(self, log: DecisionLog, tmp_path: Path) -> list[tuple[int, str]]:
        """(seq, symbol) of every decision that the log still has, oldest first."""

    def test_every_symbol_of_every_batch_is_kept_in_order(self, tmp_path: Path) -> None:
        log = self.make(tmp_path)
        log.append([decisions(SYMBOLS, 0), decisions(("kPEPE",), 1)])
        log.append([decisions(("DOGE", "BTC"), 2)])
        assert self.kept(log, tmp_path) == [
            (100, "BTC"),
            (100, "ETH"),
            (100, "SOL"),
            (101, "kPEPE"),
            (102, "DOGE"),
            (102, "BTC"),
        ]
        log.close()

    def test_the_oldest_are_dropped(self, tmp_path: Path) -> None:
        log = self.make(tmp_path)
        for number in range(25):
            log.append([decisions(SYMBOLS, number)])
        assert self.kept(log, tmp_path) == [(100 + number, symbol) for number in range(15, 25) for symbol in SYMBOLS]
        log.close()

    @abstractmethod
    def kept_skips(self, log: DecisionLog, tmp_path: Path) -> list[CandlesSkipped]:
        """What the log still knows of candles that were not analysed, for BTC, newest first."""

    def test_candles_that_were_not_analysed_are_kept_and_the_oldest_dropped(self, tmp_path: Path) -> None:
        log = self.make(tmp_path)
        skips = [
            CandlesSkipped(number, 1_000 + number, symbol, Interval.M5, number * 300_000, number * 300_000, "gap")
            for number in range(KEPT)
            for symbol in ("BTC", "ETH")
        ]
        log.note_skipped(skips[: KEPT // 2])
        log.note_skipped(skips[KEPT // 2 :])
        log.note_skipped([])
        assert self.kept_skips(log, tmp_path) == [each for each in skips[KEPT:][::-1] if each.symbol == "BTC"]
        log.close()

    def test_nothing_to_append_changes_nothing(self, tmp_path: Path) -> None:
        log = self.make(tmp_path)
        log.append([])
        log.append([decisions((), 0)])
        assert self.kept(log, tmp_path) == []
        log.close()

    def test_batches_of_different_strategies_live_together(self, tmp_path: Path) -> None:
        log = self.make(tmp_path)
        log.append([decisions(("BTC",), 0), decisions(("BTC",), 1, ("other_gate",)), decisions(("BTC",), 2, ())])
        log.append([decisions(("BTC",), 3, ("other_gate",))])
        assert [seq for seq, _ in self.kept(log, tmp_path)] == [100, 101, 102, 103]
        log.close()


class TestSqliteDecisionLog(DecisionLogContract):
    def make(self, tmp_path: Path) -> DecisionLog:
        return SqliteDecisionLog(tmp_path / "decisions.sqlite", KEPT, "session-1")

    def kept(self, log: DecisionLog, tmp_path: Path) -> list[tuple[int, str]]:
        return run_sql(tmp_path / "decisions.sqlite", "SELECT seq, symbol FROM decisions ORDER BY id")

    def kept_skips(self, log: DecisionLog, tmp_path: Path) -> list[CandlesSkipped]:
        return skipped_for(tmp_path / "decisions.sqlite", "BTC", limit=10 * KEPT)

    def test_a_log_that_keeps_less_than_before_shrinks_in_slices(self, tmp_path: Path) -> None:
        path = tmp_path / "decisions.sqlite"
        many = tuple(f"SYM{number}" for number in range(SPARE_DELETIONS * 2))
        log = SqliteDecisionLog(path, 10_000, "session-1")
        log.append([decisions(many)])
        log.close()
        log = SqliteDecisionLog(path, 10, "session-2")
        left = []
        for number in range(3):
            log.append([decisions(("BTC",), number)])
            left.append(len(self.kept(log, tmp_path)))
        assert left == [SPARE_DELETIONS, 10, 10]
        log.close()


class TestMemoryDecisionLog(DecisionLogContract):
    def make(self, tmp_path: Path) -> DecisionLog:
        return MemoryDecisionLog(KEPT)

    def kept(self, log: DecisionLog, tmp_path: Path) -> list[tuple[int, str]]:
        assert isinstance(log, MemoryDecisionLog)
        return [(batch.seq, symbol) for batch in log.batches for symbol in batch.symbols]

    def kept_skips(self, log: DecisionLog, tmp_path: Path) -> list[CandlesSkipped]:
        assert isinstance(log, MemoryDecisionLog)
        return [each for each in reversed(log.skipped) if each.symbol == "BTC"]
