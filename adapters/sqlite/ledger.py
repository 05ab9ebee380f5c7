"""The ledger on disk.

Every fact is an event in a hash chain, and a change to the tables that such facts add up to;
both are written in one transaction, which is on the disk when `commit` returns.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from adapters.sqlite import engine, tables
from adapters.sqlite.duplicates import duplicate_in
from adapters.sqlite.event_chain import chain_break, tail_break
from adapters.sqlite.file_kinds import LEDGER
from adapters.sqlite.projections import Projections
from adapters.sqlite.restore import restore
from adapters.sqlite.storage_errors import STORAGE_FAULTS, error_name, in_storage_words, storage_error
from adapters.sqlite.tables import insert_sql
from adapters.sqlite.writer_lock import WriterLock
from domain.fact_text import GENESIS, chained, fact_to_json
from domain.facts import LedgerFact, LedgerState
from ports.ledger import LedgerRefused, StorageError

_ADD_EVENT = insert_sql(tables.ledger_events)
_ADD_META = insert_sql(tables.meta)
_MOVE_HEAD = "UPDATE meta SET head_seq = ?, head_hash = ? WHERE id = 1"
_NOTHING_WRITTEN = ("SQLITE_CONSTRAINT", "SQLITE_FULL", "SQLITE_BUSY", "")
"""Failures after which the file is certainly as it was, and the same ledger may go on.

Values that no column can hold have no name. After a disk error nobody knows: a second try at
syncing may say yes to what was lost, so there is none.
"""


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """Whose ledger it is. A file belongs to one of these for ever."""

    mode: str
    network: str
    account: str

    def __str__(self) -> str:
        return f"mode {self.mode}, network {self.network}, account {self.account}"


class SqliteLedger:
    """`Ledger` in one SQLite file, written by this process alone until `close`."""

    def __init__(
        self,
        path: Path,
        identity: LedgerIdentity,
        *,
        created_ms: int,
        chance: random.Random,
        instance_tag: bytes | None = None,
    ) -> None:
        """Open the ledger at `path`, making it when there is none.

        `created_ms` and two bytes of `chance`, the instance tag, are used once, for a new file.
        Raises `LedgerHeld` when another process writes it, `LedgerRefused` when it belongs to
        another identity, and `StorageError` when it cannot be opened or is not a ledger.
        """
        self._path = path
        self._fault: str | None = None
        with ExitStack() as undo:
            self._lock = WriterLock(path)
            undo.callback(self._lock.release)
            self._connection = engine.open_writer(path, LEDGER, lambda c: self._refuse_stranger(c, identity))
            undo.callback(engine.close, self._connection)
            with in_storage_words(path, "cannot open the ledger", LEDGER.when_damaged):
                self._head_seq, self._head = self._begin_chain(
                    identity, created_ms, instance_tag or chance.randbytes(2)
                )
            self._file_id = _file_id(path)
            undo.pop_all()

    def load(self) -> LedgerState:
        self._refuse_after_fault()
        try:
            with in_storage_words(self._path, "cannot read the ledger", LEDGER.when_damaged), self._connection.begin():
                problem = self._connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
                if problem != "ok":
                    raise self._damaged(str(problem))
                broken = tail_break(self._connection)
                if broken is not None:
                    raise self._damaged(broken)
                return restore(self._connection)
        except (ValueError, LookupError) as e:
            raise self._damaged(f"a row cannot be read: {e}") from e

    def commit(self, facts: Sequence[LedgerFact]) -> None:
        if not facts:
            return
        self._refuse_after_fault()
        seq, head = self._head_seq, self._head
        events = []
        for fact in facts:
            text = fact_to_json(fact)
            seq, head = seq + 1, chained(head, text)
            events.append({"seq": seq, "fact": text, "hash": head})
        projections = Projections(facts)
        try:
            with self._connection.begin():
                self._connection.exec_driver_sql(_ADD_EVENT, events)
                projections.write(self._connection)
                self._connection.exec_driver_sql(_MOVE_HEAD, (seq, head))
        except STORAGE_FAULTS as e:
            raise self._failed(facts, e) from e
        if self._file_id is None or _file_id(self._path) != self._file_id:
            self._fault = "the file was moved, replaced or deleted while it was open"
            self._refuse_after_fault()
        self._head_seq, self._head = seq, head

    def digest(self) -> str:
        return self._head.hex()

    def verify(self) -> str | None:
        """Walk the whole chain and say where it breaks, or None. Reads every event."""
        self._refuse_after_fault()
        with in_storage_words(self._path, "cannot read the ledger", LEDGER.when_damaged), self._connection.begin():
            return chain_break(self._connection)

    def close(self) -> None:
        """Close the file and let other processes write it. Idempotent."""
        if self._fault is None:
            self._fault = "it is closed"
        engine.close(self._connection)
        self._lock.release()

    def _refuse_stranger(self, connection: sa.Connection, identity: LedgerIdentity) -> None:
        row = connection.exec_driver_sql("SELECT mode, network, account FROM meta").first()
        stored = identity if row is None else LedgerIdentity(*row)
        if stored != identity:
            raise LedgerRefused(
                f"{self._path}: this ledger belongs to {stored}; asked for was {identity}. Nothing was changed. "
                "Name another ledger file for this mode, network and account, or start with those it belongs to."
            )

    def _begin_chain(self, identity: LedgerIdentity, created_ms: int, instance_tag: bytes) -> tuple[int, bytes]:
        """Where the chain stands. A new file gets its `meta` row first."""
        with self._connection.begin():
            head = self._connection.exec_driver_sql("SELECT head_seq, head_hash FROM meta").first()
            if head is not None:
                return int(head[0]), bytes(head[1])
            if self._connection.exec_driver_sql("SELECT 1 FROM ledger_events LIMIT 1").first() is not None:
                raise self._damaged("it has events and no owner")
            row = {
                "id": 1,
                "mode": identity.mode,
                "network": identity.network,
                "account": identity.account,
                "instance_tag": instance_tag,
                "created_ms": created_ms,
                "head_seq": 0,
                "head_hash": GENESIS,
            }
            self._connection.exec_driver_sql(_ADD_META, row)
            return 0, GENESIS

    def _failed(self, facts: Sequence[LedgerFact], error: Exception) -> StorageError:
        """Say what a failed commit failed of. Where it is not certain that nothing was written, nothing follows."""
        name = error_name(error)
        if name == "SQLITE_CONSTRAINT":
            with in_storage_words(self._path, "cannot read the ledger", LEDGER.when_damaged), self._connection.begin():
                duplicate = duplicate_in(self._connection, facts)
            if duplicate is not None:
                return StorageError(
                    f"{self._path}: {duplicate}. Nothing was written. This is a bug of ours: please report it."
                )
        failure = storage_error(self._path, "cannot write to the ledger", error, LEDGER.when_damaged)
        if name not in _NOTHING_WRITTEN:
            self._fault = f"an earlier write failed ({error})"
        return failure

    def _refuse_after_fault(self) -> None:
        if self._fault is not None:
            raise StorageError(f"{self._path}: the ledger can no longer be used: {self._fault}. Stop, and start again.")

    def _damaged(self, problem: str) -> StorageError:
        return StorageError(f"{self._path}: the ledger is damaged: {problem}. {LEDGER.when_damaged}")


def _file_id(path: Path) -> tuple[int, int, int] | None:
    """Which file a path and its log stand for now; None when either is gone."""
    try:
        main = path.stat()
        return main.st_dev, main.st_ino, path.with_name(path.name + "-wal").stat().st_ino
    except OSError:
        return None
