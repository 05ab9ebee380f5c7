"""Copies of our files, made while their writer is at work: SQLite's backup API, of one moment, checked, never over
anything.

The copy grows in `<name>.<pid>.part`, is looked at, is put on the disk, and takes its name last; an empty file holds
that name meanwhile. A copy is one file without a log beside it: it can be carried away as it is.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from adapters.sqlite.file_kinds import FileKind
from adapters.sqlite.private_files import PRIVATE, sync_to_disk
from adapters.sqlite.reading import reading
from adapters.sqlite.storage_errors import in_storage_words
from ports.ledger import StorageError

PAGES_A_STEP = 2_000
"""Some 8 MB between two looks at whether somebody interrupts."""

Tell = Callable[[int, int], None]
"""Hears (pages copied, of how many)."""


def back_up(
    source: Path,
    target: Path,
    kind: FileKind,
    check: Callable[[Path], None],
    tell: Tell = lambda done, total: None,
    *,
    pages_a_step: int = PAGES_A_STEP,
) -> int:
    """Copy the file at `source` as of one moment; returns the copy's size in bytes.

    `check` looks at the finished copy before it gets its name; what it raises comes out, and nothing is left behind.
    Raises `StorageError` when the source cannot be read, or the target is there already or cannot be written.
    """
    with _place_for(target) as part:
        _copy(source, part, kind, tell, pages_a_step)
        check(part)
        return part.stat().st_size


def check_file(path: Path, kind: FileKind) -> None:
    """SQLite's own check, for files that nothing is derived from. Raises `StorageError`."""
    with reading(path, kind) as connection:
        found = [str(text) for (text,) in connection.exec_driver_sql("PRAGMA integrity_check(5)")]
    if found != ["ok"]:
        raise StorageError(f"{path}: the {kind.name} is damaged ({'; '.join(found)}). {kind.when_damaged}")


@contextmanager
def _place_for(target: Path) -> Iterator[Path]:
    """Reserve the target's name and give the file to write instead; at the end that one takes the name."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    made: list[Path] = []
    try:
        for path in (target, part):
            _make_new(path)
            made.append(path)
        yield part
        with _file_words(target):
            sync_to_disk(part)
            part.rename(target)
            sync_to_disk(target.parent)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _make_new(path: Path) -> None:
    with _file_words(path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, PRIVATE))


@contextmanager
def _file_words(target: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as e:
        raise StorageError(f"{target}: there is a file already, and none is replaced. Name another.") from e
    except OSError as e:
        raise StorageError(
            f"{target}: the backup cannot be written ({e.strerror}). Its folder must exist and be writable."
        ) from e


def _copy(source: Path, part: Path, kind: FileKind, tell: Tell, pages_a_step: int) -> None:
    with (
        reading(source, kind) as connection,
        in_storage_words(source, f"cannot be copied to {part}", kind.when_damaged),
        closing(sqlite3.connect(part, isolation_level=None)) as copy,
    ):
        # The transaction keeps to one moment however long this takes: a commit meanwhile starts nothing anew.
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.backup(copy, pages=pages_a_step, progress=lambda status, left, total: tell(total - left, total))
        copy.execute("PRAGMA journal_mode = DELETE")
