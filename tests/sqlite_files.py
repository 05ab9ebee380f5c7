"""SQLite files for tests: opening them as the daemon does, and looking at them as nobody of ours would."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from domain.facts import LedgerFact

PAPER = LedgerIdentity("paper", "local", "0xme")
CREATED_MS = 1_700_000_000_000


def open_ledger(path: Path, identity: LedgerIdentity = PAPER, seed: int = 7) -> SqliteLedger:
    return SqliteLedger(path, identity, created_ms=CREATED_MS, chance=random.Random(seed))


@contextmanager
def opened(path: Path, identity: LedgerIdentity = PAPER) -> Iterator[SqliteLedger]:
    with closing(open_ledger(path, identity)) as ledger:
        yield ledger


def write_ledger(path: Path, facts: Sequence[LedgerFact]) -> None:
    """Make a ledger with these facts, one commit each, and close it."""
    with opened(path) as ledger:
        for fact in facts:
            ledger.commit([fact])


def run_sql(path: Path, *statements: str) -> list[Any]:
    """Run statements on a file by hand; the rows of the last come back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows: list[Any] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows
