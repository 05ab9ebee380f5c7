"""A new ledger at the place of one that is lost: complete and checked, or not there at all."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from adapters.sqlite.ledger_check import check_ledger, events_in
from adapters.sqlite.ledger_look import look_at_ledger
from adapters.sqlite.private_files import sync_to_disk
from domain.facts import LedgerFact
from entrypoints.gates import GateClosed
from ports.ledger import LedgerHeld, StorageError

FACTS_PER_COMMIT = 512


def refuse_filled(path: Path) -> None:
    """Raise if anything at `path` would be lost. An empty ledger is none."""
    look = None if _is_nothing(path) else look_at_ledger(path)
    if look is None:
        if _log_of(path).exists():
            raise GateClosed(
                f"{_log_of(path)}: a ledger's log without its ledger. It may hold what is missing: put the two "
                "together, or move it away. Nothing was changed."
            )
        return
    if look.writer is not None:
        raise LedgerHeld(f"{path}: another process (pid {look.writer}) is writing this ledger. Stop that one first.")
    events = events_in(path)
    if events:
        raise GateClosed(
            f"{path}: this ledger holds {events:,} events: it is not lost, and nothing was changed. `./aiq db "
            "check` says whether it is sound. To begin anew from what the venue knows, move it and its -wal away first."
        )


def write_new(path: Path, identity: LedgerIdentity, facts: Sequence[LedgerFact]) -> None:
    """Write the ledger beside its place, check it, and put it there. The caller holds the place's lock."""
    draft = path.with_name(path.name + ".recovering")
    _remove(draft)
    try:
        ledger = SqliteLedger(draft, identity, created_ms=time.time_ns() // 1_000_000, chance=random.SystemRandom())
        with closing(ledger):
            for start in range(0, len(facts), FACTS_PER_COMMIT):
                ledger.commit(facts[start : start + FACTS_PER_COMMIT])
            ledger.load()
        problems = check_ledger(draft).problems
        if problems:
            raise StorageError(
                f"{draft}: what was rebuilt is not sound ({problems[0]}): please report it. {path} is not there"
            )
        log = _log_of(draft)
        if log.exists() and log.stat().st_size:
            raise StorageError(f"{log}: the log was not folded into its file: is something else reading it? Try again.")
        sync_to_disk(draft)
        for beside in (_log_of(path), path.with_name(path.name + "-shm")):
            beside.unlink(missing_ok=True)  # of the empty ledger that is replaced: refuse_filled has looked
        draft.rename(path)
        sync_to_disk(path.parent)
    finally:
        _remove(draft)


def _is_nothing(path: Path) -> bool:
    """A file without a byte in it, as a start that was cut short leaves it."""
    return path.is_file() and path.stat().st_size == 0


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _remove(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)
