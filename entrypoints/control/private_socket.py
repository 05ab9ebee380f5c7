"""A unix socket that only its owner may use, wherever it lies.

A socket's path has room for 107 bytes. A longer one is reached through the opened folder
(`/proc/self/fd/N/name`), so that a deep user folder needs no other settings.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports.ledger import LedgerHeld, StorageError

PRIVATE = 0o600
PATH_BYTES = 107
WAITING_CLIENTS = 8
"""Connections that may wait to be accepted."""

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at `path` as long as this lasts; the file is gone afterwards. Accepting does not block.

    What a dead process left there is replaced. Raises `LedgerHeld` when somebody alive listens there, and
    `StorageError` where no socket can be made.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _reachable(path) as address:
                _remove_stale(path, address)
                os.fchmod(listener.fileno(), PRIVATE)  # before its name is there: nobody finds it with another mode
                listener.bind(address)
        except OSError as error:
            raise StorageError(
                f"{path}: the control socket cannot be made ({error.strerror or error}). It lies beside the ledger: "
                "check that this user may write in its folder, or name another ledger with AI_QUANT_DB_PATH."
            ) from error
        ours = path.lstat()
        assert stat.S_IMODE(ours.st_mode) == PRIVATE, "nobody else may knock"
        try:
            listener.listen(WAITING_CLIENTS)
            listener.setblocking(False)
            yield listener
        finally:
            _remove(path, ours)


@contextmanager
def connected(path: Path, timeout_s: float) -> Iterator[socket.socket]:
    """A connection to whoever listens at `path`. Raises `OSError` where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as line:
        line.settimeout(timeout_s)
        with _reachable(path) as address:
            line.connect(address)
        yield line


def peer_uid(line: socket.socket) -> int:
    """Whose process is at the other end, by the kernel's word."""
    raw = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket's address, good as long as this lasts."""
    if len(os.fsencode(path)) <= PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _remove_stale(path: Path, address: str) -> None:
    """Take away what a process left that is dead. Anything but a socket is somebody's file, and stays."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StorageError(f"{path}: the control socket belongs here, and this is something else. Move it away.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as knock:
        knock.settimeout(1.0)
        try:
            knock.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise LedgerHeld(
        f"{path}: another process listens here: two ledgers whose names differ only in their ending share it. "
        "Stop that one first, or give this ledger another name."
    )


def _remove(path: Path, ours: os.stat_result) -> None:
    """Take our own file away; what somebody else has put in its place stays."""
    try:
        found = path.lstat()
        if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
            path.unlink()
    except FileNotFoundError:
        return
