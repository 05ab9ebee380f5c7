"""The daemon's real ledger and decision log with somebody listening, and places at which its machine can die."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import ParamSpec, Protocol, TypeVar

from adapters.sim.memory_ledger import MemoryDecisionLog
from adapters.sqlite.ledger import SqliteLedger
from domain.facts import CandlesSkipped, DecisionsRecorded, LedgerFact, LedgerState

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Died(BaseException):
    """The machine stops here: what was running never goes on."""


class Listener(Protocol):
    def committed(self, facts: Sequence[LedgerFact]) -> None:
        """These facts are durable now."""

    def decided(self, decisions: Sequence[DecisionsRecorded]) -> None: ...


class TappedLedger:
    """`Ledger` on disk. `before` and `after` are asked at every commit, and may say that the machine dies there."""

    def __init__(
        self,
        ledger: SqliteLedger,
        listener: Listener,
        before: Callable[[Sequence[LedgerFact]], bool],
        after: Callable[[Sequence[LedgerFact]], bool],
    ) -> None:
        self._ledger = ledger
        self._listener = listener
        self._before = before
        self._after = after

    def load(self) -> LedgerState:
        return self._ledger.load()

    def commit(self, facts: Sequence[LedgerFact]) -> None:
        if self._before(facts):
            raise Died
        self._ledger.commit(facts)
        self._listener.committed(facts)
        if self._after(facts):
            raise Died

    def digest(self) -> str:
        return self._ledger.digest()

    def close(self) -> None:
        self._ledger.close()


class TappedDecisions(MemoryDecisionLog):
    def __init__(self, listener: Listener) -> None:
        super().__init__(keep_rows=1)
        self._listener = listener

    def append(self, decisions: Sequence[DecisionsRecorded]) -> None:
        self._listener.decided(decisions)

    def note_skipped(self, skipped: Sequence[CandlesSkipped]) -> None:
        """Nobody asks for them here."""


class MortalWriter(Executor):
    """Does each piece of work at once, or never again after `Died`. `stall_ms` holds up the next one's end once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.is_dead = False
        self.stall_ms = 0

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()
        if self.is_dead:
            return future
        try:
            result = fn(*args, **kwargs)
        except Died:
            self.is_dead = True
        except BaseException as error:  # noqa: BLE001  (the waiting side raises it)
            future.set_exception(error)
        else:
            if self.stall_ms:
                self._loop.call_later(self.stall_ms / 1000, self._finish, future, result)
                self.stall_ms = 0
            else:
                future.set_result(result)
        return future

    def _finish(self, future: Future[_T], result: _T) -> None:
        if not self.is_dead and not future.done():
            future.set_result(result)
