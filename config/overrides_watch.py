"""Looking at the overrides file: what lies there now, and whether anyone should hear of it.

The file is read in full at each look (it is small): modification time, size and inode alone
miss an edit within the clock's grain and a restore that sets an older time. Whether a text may
be used is not decided here, but by `application.strategy_manager`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from config.yaml_tree import MAX_CHARACTERS
from domain.config_events import ABSENT, OverridesText

_QUIET_AFTER_MS = 1_000
"""Looks are reported until the file has lain still this long, so that whoever waits for that hears of it."""

_MAX_BYTES = MAX_CHARACTERS


class OverridesWatch:
    """Watches one path. `shown` is how messages spell it. Times are real and monotonic, in milliseconds."""

    def __init__(self, path: Path, shown: str) -> None:
        self._path = path
        self._shown = shown
        self._last: OverridesText | None = None
        self._still_since_ms = 0

    def poll(self, seen_ms: int) -> OverridesText | None:
        """A look, when it found something else than the look before, or something not yet still. None otherwise."""
        text = self.look(seen_ms)
        previous, self._last = self._last, text
        if previous is None or _identity(previous) != _identity(text):
            self._still_since_ms = seen_ms
            return text
        was_quiet = previous.seen_ms - self._still_since_ms >= _QUIET_AFTER_MS
        return None if was_quiet else text

    def look(self, seen_ms: int) -> OverridesText:
        """The file as it is. Never raises: what cannot be read is an answer too."""
        try:
            return self._read(seen_ms)
        except FileNotFoundError:
            return self._unreadable(ABSENT, seen_ms)
        except OSError as error:
            return self._unreadable(f"cannot be read: {error.strerror or error}", seen_ms)

    def _read(self, seen_ms: int) -> OverridesText:
        # Without O_NONBLOCK a pipe put in the file's place would hold us up for ever.
        handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return self._unreadable("is not a regular file", seen_ms)
            raw = _read_at_most(handle, _MAX_BYTES + 1)
            found = os.fstat(handle)
        finally:
            os.close(handle)
        if len(raw) > _MAX_BYTES:
            return self._unreadable(f"is larger than {_MAX_BYTES // 1024} KiB", seen_ms, found)
        try:
            content = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            return self._unreadable(f"is not UTF-8 text (byte {error.start})", seen_ms, found)
        return OverridesText(self._shown, content, "", found.st_mtime_ns, found.st_size, found.st_ino, seen_ms)

    def _unreadable(self, reason: str, seen_ms: int, found: os.stat_result | None = None) -> OverridesText:
        times = (0, 0, 0) if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
        return OverridesText(self._shown, None, reason, *times, seen_ms)


def wait_at_start_ms(text: OverridesText, wall_ms: int) -> int:
    """How long a start should wait and look again, because the file was written within the last second.

    Zero for a file that lay still. A time in the future says nothing and is not waited for.
    """
    age_ms = wall_ms - text.mtime_ns // 1_000_000
    return _QUIET_AFTER_MS - age_ms if text.content is not None and 0 <= age_ms < _QUIET_AFTER_MS else 0


def _identity(text: OverridesText) -> tuple[str, int, int, int]:
    return text.fingerprint, text.mtime_ns, text.size, text.inode


def _read_at_most(handle: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := os.read(handle, count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
