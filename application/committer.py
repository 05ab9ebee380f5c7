"""Committer: the facts of one drained batch become durable in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from domain.candles import CandleBatch
from domain.facts import DecisionsRecorded, Fact, LedgerFact
from ports.candle_history import CandleStore
from ports.ledger import DecisionLog, Ledger


class Committer:
    """Owns the writer thread. A stalling disk holds up effects, never the loop."""

    def __init__(self, ledger: Ledger, decisions: DecisionLog, candles: CandleStore) -> None:
        self._ledger = ledger
        self._decisions = decisions
        self._candles = candles
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-writer")

    async def commit(self, facts: Sequence[Fact]) -> None:
        """Return once all facts are durable. Raises `StorageError`; then nothing of them may be acted on."""
        if facts:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, facts)

    async def store(self, batches: Sequence[CandleBatch]) -> None:
        """Keep closed candles; after facts, for no order rests on them."""
        if batches:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._candles.write, batches)

    def close(self) -> None:
        """Finish what is being written and end the thread. Idempotent."""
        self._writer.shutdown(wait=True)

    def _write(self, facts: Sequence[Fact]) -> None:
        ledger_facts: list[LedgerFact] = []
        decisions: list[DecisionsRecorded] = []
        for fact in facts:
            if isinstance(fact, DecisionsRecorded):
                decisions.append(fact)
            else:
                ledger_facts.append(fact)
        if ledger_facts:
            self._ledger.commit(ledger_facts)
        if decisions:
            self._decisions.append(decisions)
