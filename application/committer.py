"""Committer: the facts of one drained batch become durable in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

from domain.candles import CandleBatch, CandleWindow, Interval
from domain.facts import CandlesSkipped, DecisionsRecorded, Fact, LedgerFact
from ports.candle_history import CandleRevision, CandleStore
from ports.ledger import DecisionLog, Ledger
from ports.session_log import NoRecord, SessionLog


class Committer:
    """Owns the writer thread. A stalling disk holds up effects, never the loop."""

    def __init__(
        self,
        ledger: Ledger,
        decisions: DecisionLog,
        candles: CandleStore,
        writer: Executor | None = None,
        record: SessionLog | None = None,
    ) -> None:
        """`writer` runs one call after another; a thread of its own where none is given. `record` is handed over before
        each commit, so that of whatever was committed it is on record why."""
        self._ledger = ledger
        self._decisions = decisions
        self._candles = candles
        self._record = record or NoRecord()
        self._writer = writer or ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-writer")

    async def commit(self, facts: Sequence[Fact]) -> None:
        """Return once all facts are durable. Raises `StorageError`; then nothing of them may be acted on."""
        if facts:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, facts)

    async def read_confirmed(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        """See `CandleStore.read_confirmed`; the loop goes on meanwhile."""
        read = partial(self._candles.read_confirmed, symbol, interval, start_ms, end_ms)
        return await asyncio.get_running_loop().run_in_executor(self._writer, read)

    async def confirm(self, window: CandleWindow, at_ms: int) -> tuple[CandleRevision, ...]:
        """See `CandleStore.confirm`; the loop goes on meanwhile."""
        confirm = partial(self._candles.confirm, window, at_ms)
        return await asyncio.get_running_loop().run_in_executor(self._writer, confirm)

    async def store(self, batches: Sequence[CandleBatch]) -> None:
        """Keep closed candles; after facts, for no order rests on them."""
        if batches:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._candles.write, batches)

    async def keep_record(self) -> None:
        """Hand over what has been recorded."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._record.flush)

    def close(self) -> None:
        """Finish what is being written and end the thread. Idempotent."""
        self._writer.shutdown(wait=True)

    def _write(self, facts: Sequence[Fact]) -> None:
        self._record.flush()
        ledger_facts: list[LedgerFact] = []
        decisions: list[DecisionsRecorded] = []
        skipped: list[CandlesSkipped] = []
        for fact in facts:
            if isinstance(fact, DecisionsRecorded):
                decisions.append(fact)
            elif isinstance(fact, CandlesSkipped):
                skipped.append(fact)
            else:
                ledger_facts.append(fact)
        if ledger_facts:
            self._ledger.commit(ledger_facts)
        if decisions:
            self._decisions.append(decisions)
        if skipped:
            self._decisions.note_skipped(skipped)
