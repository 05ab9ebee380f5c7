"""How long facts take to become durable: measured where the engine's loop waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from prometheus_client import Histogram

from application.committer import Committer
from domain.facts import Fact
from ports.candle_history import CandleStore
from ports.clock import Clock
from ports.ledger import DecisionLog, Ledger
from ports.session_log import SessionLog

BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)


class TimedCommitter(Committer):
    """A committer that knows how long its commits took, and how long the one under way has been."""

    def __init__(
        self,
        ledger: Ledger,
        decisions: DecisionLog,
        candles: CandleStore,
        clock: Clock,
        writer: Executor | None = None,
        record: SessionLog | None = None,
    ) -> None:
        super().__init__(ledger, decisions, candles, writer, record)
        self._clock = clock
        self._began_ms: int | None = None
        self.seconds = Histogram(
            "aiq_commit_duration_seconds",
            "Time until facts were durable, waiting for the writer included",
            buckets=BUCKETS_S,
            registry=None,
        )

    @property
    def waiting_ms(self) -> int:
        """How long (real time) the commit under way has been waiting for the disk; 0 where there is none."""
        return 0 if self._began_ms is None else self._clock.monotonic_ms() - self._began_ms

    async def commit(self, facts: Sequence[Fact]) -> None:
        if not facts:
            return
        self._began_ms = began_ms = self._clock.monotonic_ms()
        await super().commit(facts)  # one that fails leaves the beginning: the daemon stops over it
        self.seconds.observe((self._clock.monotonic_ms() - began_ms) / 1000)
        self._began_ms = None
