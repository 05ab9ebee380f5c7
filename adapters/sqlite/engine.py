"""Opening our files: for writing, by the one process that does, and for reading beside it.

A connection begins every transaction with BEGIN IMMEDIATE: a transaction that reads first and
writes later could fail at once, whatever the time-out. A file is looked at before anything in
it is changed: somebody else's database is left as it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from adapters.sqlite.file_kinds import FileKind
from adapters.sqlite.private_files import make_private_file
from adapters.sqlite.schema import bring_up_to_date, stored_version
from adapters.sqlite.storage_errors import in_storage_words
from ports.ledger import StorageError

BUSY_TIMEOUT_MS = 5_000
WAL_KEPT_BYTES = 64 * 1024 * 1024
OLDEST_SQLITE = (3, 37, 0)
"""The first with STRICT tables."""

Check = Callable[[sa.Connection], None]


def open_writer(path: Path, kind: FileKind, check: Check | None = None) -> sa.Connection:
    """Open a file to write it, creating or migrating it where needed.

    `check` is asked about a file that has data before anything is changed; what it raises
    comes out. Raises `StorageError` when the file cannot be ours.
    """
    _refuse_old_sqlite(path)
    make_private_file(path)
    with in_storage_words(path, f"cannot open the {kind.name}", kind.when_damaged):
        connection = _connect(f"{_uri(path)}?mode=rw", "IMMEDIATE")
        try:
            if stored_version(connection, path, kind) > 0 and check is not None:
                check(connection)
            connection.rollback()
            _set_up_writing(connection, path, kind)
            bring_up_to_date(connection, path, kind)
        except BaseException:
            close(connection)
            raise
    return connection


def open_reader(path: Path, kind: FileKind, *, immutable: bool = False) -> sa.Connection:
    """Open a file for reading only; its writer may be at work. The file must be there and up to date.

    `immutable`: nobody writes it, so that nothing has to be made beside it; a log there is not read.
    """
    if not path.is_file():
        raise StorageError(
            f"{path}: there is no {kind.name} here. Start the daemon once to make it, or name another path."
        )
    with in_storage_words(path, f"cannot read the {kind.name}", kind.when_damaged):
        connection = _connect(f"{_uri(path)}?mode=ro{'&immutable=1' if immutable else ''}", "DEFERRED")
        try:
            version = stored_version(connection, path, kind)
            if version < kind.version:
                raise StorageError(
                    f"{path}: this {kind.name} has schema {version}, this program reads schema {kind.version}. "
                    "Start the daemon on it once: that brings it up to date."
                )
            connection.rollback()
        except BaseException:
            close(connection)
            raise
    return connection


def close(connection: sa.Connection) -> None:
    """Close for good. The last connection of a file folds its -wal into it."""
    connection.close()
    connection.engine.dispose()


def cursor_of(connection: sa.Connection) -> sqlite3.Cursor:
    """The driver's own cursor, inside a transaction, for statements that run so often that SQLAlchemy's part counts.

    A transaction that has not begun yet begins now. What a statement raises is the driver's: see `in_storage_words`.
    """
    if not connection.in_transaction():
        connection.begin()
    return _driver(connection).cursor()


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _refuse_old_sqlite(path: Path) -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(str(part) for part in OLDEST_SQLITE)
        raise StorageError(
            f"{path}: this Python brings SQLite {sqlite3.sqlite_version}, and at least {wanted} is needed. "
            "Use a newer Python, or another build of it."
        )


def _uri(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}"


def _connect(uri: str, begin: str) -> sa.Connection:
    """One connection, kept for life, that leaves transactions to us."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )

    begin_sql = f"BEGIN {begin}"
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.StaticPool)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        _driver(connection).execute(begin_sql)

    return engine.connect()


def _set_up_writing(connection: sa.Connection, path: Path, kind: FileKind) -> None:
    """Pragmas go to the driver itself: most of them mean nothing inside a transaction."""
    cursor = connection.connection.cursor()
    journal = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if journal != "wal":
        raise StorageError(
            f"{path}: this disk cannot hold a write-ahead log (journal mode is {journal}), so nothing could be read "
            "while the daemon writes. Put the file on a local disk."
        )
    cursor.execute(f"PRAGMA synchronous = {kind.synchronous}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    cursor.execute(f"PRAGMA cache_size = -{kind.cache_kib}")
    cursor.execute("PRAGMA mmap_size = 0")  # with memory mapping, a stray write of the process reaches the file
    cursor.execute("PRAGMA trusted_schema = OFF")
    cursor.close()
