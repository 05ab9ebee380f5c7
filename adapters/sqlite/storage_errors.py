"""What SQLite says, in the port's words: which file, what happened, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ports.ledger import StorageError

STORAGE_FAULTS = (SQLAlchemyError, sqlite3.Error, OverflowError, UnicodeError)
"""All that a statement raises: the last two for values that no column can hold."""

_MEANINGS = {
    "SQLITE_FULL": ("the disk is full", "Free some space on its disk, then start again."),
    "SQLITE_IOERR": (
        "the disk reported an error",
        "Check the disk and its free space, then start again: what was not certainly written is asked of the venue.",
    ),
    "SQLITE_BUSY": (
        "another program keeps the file locked",
        "Close whatever has it open for writing (a database shell, a backup), then start again.",
    ),
    "SQLITE_READONLY": (
        "the file cannot be written",
        "Give this user write access to the file and its folder, and check that the disk is not mounted read-only.",
    ),
    "SQLITE_CANTOPEN": (
        "the file cannot be opened",
        "Check that its folder exists and that this user may read and write both.",
    ),
}


def storage_error(path: Path, doing: str, error: Exception, when_damaged: str) -> StorageError:
    """Translate a driver's error. `when_damaged` says what to do about a broken file of this kind."""
    name = error_name(error)
    if name in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
        cause = "the file is damaged" if name == "SQLITE_CORRUPT" else "the file is not a SQLite database"
        advice = when_damaged
    else:
        cause, advice = _MEANINGS.get(name, ("the database refused", "This is a bug of ours: please report it."))
    return StorageError(f"{path}: {doing}: {cause} ({_words_of(error)}). {advice}")


def error_name(error: Exception) -> str:
    """SQLite's primary name of an error, such as SQLITE_FULL; empty when it has none."""
    origin = getattr(error, "orig", None) or error
    name = str(getattr(origin, "sqlite_errorname", None) or "")
    return "_".join(name.split("_")[:2])  # extended names go on: SQLITE_IOERR_FSYNC


@contextmanager
def in_storage_words(path: Path, doing: str, when_damaged: str) -> Iterator[None]:
    """Raise `StorageError` for whatever the database raises inside."""
    try:
        yield
    except STORAGE_FAULTS as e:
        raise storage_error(path, doing, e, when_damaged) from e


def _words_of(error: Exception) -> str:
    """The driver's own sentence, without SQLAlchemy's statement and link around it."""
    return str(getattr(error, "orig", None) or error)
