"""A look at a ledger that leaves no trace: whose it is, and who is writing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adapters.sqlite import engine
from adapters.sqlite.file_kinds import LEDGER
from adapters.sqlite.ledger import LedgerIdentity
from adapters.sqlite.storage_errors import in_storage_words
from adapters.sqlite.writer_lock import writer_of
from ports.ledger import StorageError


@dataclass(frozen=True, slots=True)
class LedgerLook:
    identity: LedgerIdentity | None
    """None where it only stands in a log beside the file, of a process that did not end cleanly."""
    writer: str | None
    """Process id of whoever has it open for writing."""


def look_at_ledger(path: Path) -> LedgerLook | None:
    """What lies at `path`; None if nothing does. Raises `StorageError` where it is no ledger, or cannot be read."""
    if not path.exists():
        return None
    writer = writer_of(path)
    try:
        return LedgerLook(_identity(path, in_use=writer is not None), writer)
    except StorageError:
        if writer is None and _has_log(path):
            return LedgerLook(None, None)
        raise


def _identity(path: Path, *, in_use: bool) -> LedgerIdentity | None:
    """Of a ledger that nobody uses only the file itself is read: its log would have to be opened for that."""
    connection = engine.open_reader(path, LEDGER, immutable=not in_use)
    try:
        with in_storage_words(path, "cannot read the ledger", LEDGER.when_damaged), connection.begin():
            row = connection.exec_driver_sql("SELECT mode, network, account FROM meta").first()
    finally:
        engine.close(connection)
    return None if row is None else LedgerIdentity(*row)


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0
