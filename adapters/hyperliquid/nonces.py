"""Nonces of what is no attempt at an order (cancels, leverage): strictly increasing, whatever the clock does and
however often the process dies. They are odd; those of attempts are even, and in the ledger (`domain.intents`).

A file says up to where nonces may have been used. A nonce leaves only below that mark, and the mark is moved ahead, on
the disk, before it is passed; so a start after any crash begins above everything that was ever given out. The mark has
two places that are written in turn, each with its checksum: a write that was torn leaves the other, which still lies
above every nonce that left.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from pathlib import Path

from adapters.hyperliquid.private_files import sync_folder
from ports.ledger import LedgerHeld, StorageError
from ports.order_gateway import VenueUnavailable

RESERVED_AHEAD = 1_000
"""Nonces per write to the disk: about a second. After a crash they go on above that, and must not leave those of
attempts behind: the venue refuses what is lower than the hundred highest."""

MAX_AHEAD_MS = 23 * 3_600_000
"""The venue takes nonces up to a day ahead of its time; this leaves an hour for its clock and ours."""

_RECORD_BYTES = 32
_MARK_LIMIT = 10**20


class NoncesHeld(LedgerHeld):
    """Another process signs with this key: both would use the same nonces."""


class NonceSource:
    """The nonces of one signer on one network, for one process at a time. Not for several threads."""

    def __init__(self, path: Path) -> None:
        """Take the file at `path`, or make it. Raises `NoncesHeld` or `StorageError`."""
        self._path = path
        self._pid = os.getpid()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _locked(path.with_name(path.name + ".lock"))
        except OSError as error:
            raise StorageError(f"{path}: cannot be locked ({error.strerror}); check its folder's rights") from error
        try:
            if not os.path.lexists(path):
                _make(path)
            self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            os.close(self._lock)
            raise StorageError(f"{path}: cannot be opened ({error.strerror}); check its rights") from error
        try:
            self._mark, self._place = self._read()
        except BaseException:
            self._release()
            raise
        self._last = self._mark

    def next(self, now_ms: int) -> int:
        """The next odd nonce: about `now_ms`, or after the last. On the disk as possibly used before it is returned.

        Raises `VenueUnavailable` when it would lie so far ahead of `now_ms` that the venue refuses it, and
        `StorageError` when the disk does not take it; then no nonce was given out.
        """
        assert self._handle >= 0 and os.getpid() == self._pid, "nonces come from the one process that holds the file"
        nonce = max(self._last + 1, now_ms) | 1
        assert 0 < nonce < _MARK_LIMIT - RESERVED_AHEAD, "a nonce is a time in ms"
        if nonce > now_ms + MAX_AHEAD_MS:
            raise VenueUnavailable(
                f"nonces of this key were used up to {self._last}, {(self._last - now_ms) / 3_600_000:.1f} hours ahead "
                "of the clock: the venue would refuse the next one. Set the clock right, or approve a new agent key"
            )
        if nonce > self._mark:
            self._write(nonce + RESERVED_AHEAD)
        self._last = nonce
        return nonce

    def close(self) -> None:
        """Let go, and give back what was reserved and not used. Idempotent."""
        if self._handle < 0:
            return
        try:
            if self._last < self._mark and os.getpid() == self._pid:
                # Lower than the other place's mark: that one goes first, or it would win.
                self._write(self._last)
                self._write(self._last)
        finally:
            self._release()

    def __repr__(self) -> str:
        return f"NonceSource({self._path})"

    def _read(self) -> tuple[int, int]:
        """The highest mark with a true checksum, and its place."""
        os.fchmod(self._handle, 0o600)
        content = os.pread(self._handle, 2 * _RECORD_BYTES, 0)
        marks = [_mark_in(content[start : start + _RECORD_BYTES]) for start in (0, _RECORD_BYTES)]
        mark, place = max((mark, place) for place, mark in enumerate(marks))
        if mark < 0:
            raise StorageError(
                f"{self._path}: damaged, so it is not known which nonces were used. If the clock of this machine "
                "was never ahead, move the file away: nonces start at the time of day. If in doubt, approve a new agent"
            )
        return mark, place

    def _write(self, mark: int) -> None:
        place = 1 - self._place
        try:
            written = os.pwrite(self._handle, _record(mark), place * _RECORD_BYTES)
            os.fsync(self._handle)
        except OSError as error:
            raise StorageError(f"{self._path}: nonces cannot be written ({error.strerror})") from error
        if written != _RECORD_BYTES:
            raise StorageError(f"{self._path}: nonces cannot be written (the disk is full)")
        self._mark, self._place = mark, place

    def _release(self) -> None:
        os.close(self._handle)
        os.close(self._lock)
        self._handle = self._lock = -1


def nonce_path(folder: Path, network: str, address: str) -> Path:
    """The file of one signer on one network."""
    return folder / f"nonces-{network}-{address.lower()}"


def _make(path: Path) -> None:
    """A whole file or none: what is there and cannot be read is always damage, never a start that was cut short."""
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(handle, 2 * _record(0))
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.rename(path)
    sync_folder(path.parent)


def _record(mark: int) -> bytes:
    return f"{mark:020d} {zlib.crc32(str(mark).encode()):08x}".ljust(_RECORD_BYTES - 1).encode() + b"\n"


def _mark_in(record: bytes) -> int:
    """The mark of a record; -1 if it is not whole."""
    try:
        mark, checksum = record.decode("ascii").split()
        return int(mark) if zlib.crc32(str(int(mark)).encode()) == int(checksum, 16) else -1
    except ValueError:
        return -1


def _locked(path: Path) -> int:
    """A handle that holds the lock until the process ends, however it ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise NoncesHeld(
            f"{path}: another process (pid {holder}) signs with this agent key. Stop that one first, or give this "
            "one an agent of its own."
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
