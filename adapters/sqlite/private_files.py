"""Files that only their owner may use, and whose names survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path

from ports.ledger import StorageError

PRIVATE = 0o600


def make_private_file(path: Path) -> None:
    """Make sure that the file is there and only its owner may use it; SQLite gives -wal and -shm the same mode.

    A new file's name is on the disk when this returns. Must not touch the content: closing a
    second handle of a database file would drop the locks that SQLite has on it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
        except FileExistsError:
            if not path.is_file():
                raise StorageError(f"{path}: this is not a file. Name another path.") from None
            mode = path.stat().st_mode & 0o777
            if mode & ~PRIVATE:
                path.chmod(mode & PRIVATE)
            if not os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                # SQLite would open it for reading, and only the first write would tell.
                raise StorageError(
                    f"{path}: the file cannot be written. Give this user write access to the file and its folder, "
                    "and check that the disk is not mounted read-only."
                ) from None
            return
        sync_to_disk(path.parent)
    except OSError as e:
        raise StorageError(
            f"{path}: the file cannot be made or opened ({e.strerror}). "
            "Check that its folder exists and that this user may write in it, or name another path."
        ) from e


def sync_to_disk(path: Path) -> None:
    """Force a file's content, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
