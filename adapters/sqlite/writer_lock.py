"""One writer per ledger: a lock that lives as long as its process, and not a moment longer."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from adapters.sqlite.private_files import make_private_file
from ports.ledger import LedgerHeld, StorageError


class WriterLock:
    """Holds `<path>.lock` from construction to `release`.

    The kernel drops it when the process ends, however it ends; the file itself stays, and the
    process id in it only serves the message. Child processes do not inherit it.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock of the file at `path`. Raises `LedgerHeld` when another holder has it."""
        lock_path = _lock_path(path)
        make_private_file(lock_path)
        try:
            self._handle = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as e:
            raise StorageError(f"{lock_path}: the lock file cannot be opened ({e.strerror}).") from e
        try:
            # flock, not lockf: it also keeps this very process from opening the ledger twice.
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            holder = _holder_in(self._handle)
            os.close(self._handle)
            raise LedgerHeld(
                f"{path}: another process (pid {holder}) is writing this ledger. "
                "Stop that one first, or give this one another ledger."
            ) from e
        os.truncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go. Idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def writer_of(path: Path) -> str | None:
    """Process id of whoever writes the file at `path`; None if nobody does. Makes no file and keeps no lock."""
    try:
        handle = os.open(_lock_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise StorageError(f"{_lock_path(path)}: the lock file cannot be opened ({e.strerror}).") from e
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder_in(handle)
    else:
        return None
    finally:
        os.close(handle)


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _holder_in(handle: int) -> str:
    return os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
