"""The three kinds of file that we keep, and how each is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class FileKind:
    """One kind of database file. `version` counts its migrations and stands in the file as `user_version`.

    `application_id` stands in the file's header and tells our kinds from each other and from
    everybody else's. `when_damaged` says what to do about a broken file.
    """

    name: str
    application_id: int
    version: int
    migrations: Path
    synchronous: str
    when_damaged: str
    backup_before_migration: bool = False
    cache_kib: int = 4_000


LEDGER = FileKind(
    name="ledger",
    application_id=0x41495131,  # "AIQ1"
    version=3,
    migrations=_MIGRATIONS / "ledger",
    synchronous="FULL",  # a committed intent survives a power cut
    when_damaged=(
        "Nothing was changed. Keep a copy of the file and what lies beside it (-wal, -shm), then put the newest backup "
        "in its place, or move it away to begin a new one; the venue is asked for orders, fills and positions at start."
    ),
    backup_before_migration=True,
)
CANDLES = FileKind(
    name="candle store",
    application_id=0x41495132,
    version=2,
    migrations=_MIGRATIONS / "candles",
    synchronous="NORMAL",
    when_damaged="Move the file away: candles are fetched again.",
    cache_kib=12_000,  # a warm-up reads 600 candles of every symbol from the same pages: so much for 200
)
DECISIONS = FileKind(
    name="decision log",
    application_id=0x41495133,
    version=2,
    migrations=_MIGRATIONS / "decisions",
    synchronous="NORMAL",
    when_damaged="Move the file away: only the record of earlier decisions is lost, no money.",
    cache_kib=500,  # it grows at its end alone, and the pages behind it are not looked at again
)
