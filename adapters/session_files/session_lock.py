"""Who uses a session: its writer alone, or readers who must not lose it to the cap while they read."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from adapters.session_files.private_files import PRIVATE_FILE

LOCK_NAME = ".lock"


class SessionLock:
    """Held from construction until `release`, or until the process ends, however it ends."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        """Let go. Idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def lock_to_write(folder: Path) -> SessionLock:
    """Take a new session. Raises `OSError`, also when somebody else holds it."""
    handle = os.open(folder / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        os.close(handle)
        raise
    return SessionLock(handle)


def lock_to_read(folder: Path) -> SessionLock:
    """Keep a session from being pruned. Of one that is being written, or that has no lock, nothing is held."""
    return _lock(folder, fcntl.LOCK_SH) or SessionLock(-1)


def lock_to_remove(folder: Path) -> SessionLock | None:
    """None while somebody writes or reads it."""
    return _lock(folder, fcntl.LOCK_EX)


def is_running(folder: Path) -> bool:
    """Whether somebody writes it."""
    lock = _lock(folder, fcntl.LOCK_SH)
    if lock is None:
        return True
    lock.release()
    return False


def _lock(folder: Path, kind: int) -> SessionLock | None:
    """None when it is refused; a lock of nothing where there is no file of it, as in a copied session."""
    try:
        handle = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return SessionLock(-1)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # a file system without locks: whoever is there cannot be known
        os.close(handle)
        return SessionLock(-1)
    return SessionLock(handle)
