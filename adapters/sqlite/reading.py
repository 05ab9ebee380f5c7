"""Reading a file that somebody else may be writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from adapters.sqlite import engine
from adapters.sqlite.file_kinds import FileKind
from adapters.sqlite.storage_errors import in_storage_words
from ports.ledger import StorageError


@contextmanager
def reading(path: Path, kind: FileKind) -> Iterator[sa.Connection]:
    """A read-only connection in one transaction: everything read inside is of one moment.

    Raises `StorageError` when the file is not there, is no file of this kind, or is damaged;
    also for a row inside that cannot be understood.
    """
    connection = engine.open_reader(path, kind)
    try:
        with in_storage_words(path, f"cannot read the {kind.name}", kind.when_damaged), connection.begin():
            yield connection
    except (ValueError, LookupError, TypeError) as e:
        raise StorageError(f"{path}: the {kind.name} has a row that cannot be read: {e}. {kind.when_damaged}") from e
    finally:
        engine.close(connection)
