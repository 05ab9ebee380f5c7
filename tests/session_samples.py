"""Recorded sessions for tests: written by the real writer, small enough to break every byte of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from adapters.session_files.manifest import Manifest
from adapters.session_files.reader import SessionReader
from adapters.session_files.writer import SessionLimits, SessionWriter
from adapters.session_files.zstd import ZstdDecompressor
from ports.session_log import Entry, Tag

BEGAN_MS = 1_700_000_000_000


class AlertsHeard:
    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, code: str, text: str) -> None:
        self.sent.append((code, text))


class Watch:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now_ms = BEGAN_MS

    def __call__(self) -> int:
        return self.now_ms


def as_is(entry: Entry) -> Any:
    return entry


def writer(
    folder: Path,
    *,
    limits: SessionLimits | None = None,
    alerts: AlertsHeard | None = None,
    watch: Watch | None = None,
    encode: Callable[[Entry], Any] = as_is,
    **manifest: Any,
) -> SessionWriter:
    return SessionWriter(
        folder,
        Manifest(folder.name, "daemon", BEGAN_MS, **manifest),
        alerts or AlertsHeard(),
        encode,
        limits or SessionLimits(),
        watch or Watch(),
    )


def frame(number: int, text: str = "") -> Entry:
    return (Tag.FRAME, number, "m1", BEGAN_MS + number, text or json.dumps({"channel": "pong", "number": number}))


def taken(seq: int) -> Entry:
    return (Tag.TAKEN, seq, BEGAN_MS + seq, seq)


def a_flush(seq: int) -> list[Entry]:
    """What a daemon puts before one commit."""
    return [frame(seq), taken(seq), (Tag.STEP, seq, [["Fact", "1.50"]], [])]


def record(log: SessionWriter, flushes: Iterable[Iterable[Entry]]) -> None:
    for entries in flushes:
        for entry in entries:
            log.put(entry)
        log.flush()


def end(log: SessionWriter, seq: int) -> None:
    log.put((Tag.END, "stopped", seq, "d1"))
    log.close("stopped")


SMALL = SessionLimits(segment_bytes=1)
"""Every record in a segment of its own."""


def whole_session(folder: Path, flushes: int = 3, limits: SessionLimits | None = SMALL, **manifest: Any) -> Path:
    """A session that ended in order; one segment for each flush and one for the end."""
    log = writer(folder, limits=limits, **manifest)
    record(log, (a_flush(seq) for seq in range(1, flushes + 1)))
    end(log, flushes)
    return folder


def cut_session(folder: Path, flushes: int = 3, limits: SessionLimits | None = None) -> Path:
    """A session that nobody ended, as after `kill -9`: one segment, never closed."""
    log = writer(folder, limits=limits)
    record(log, (a_flush(seq) for seq in range(1, flushes + 1)))
    drop(log)
    return folder


def drop(log: SessionWriter) -> None:
    """Do to a writer what the end of its process does."""
    assert log._held is not None
    log._held.release()
    if log._segment is not None:
        log._segment._close()


def entries_of(path: Path, **how: Any) -> list[Entry]:
    return [entry for each in SessionReader(path).records(**how) for entry in each.entries]


def lines_of(segment: Path) -> list[bytes]:
    """A segment's lines, read without any code of ours."""
    return ZstdDecompressor().decompress(segment.read_bytes()).splitlines()
