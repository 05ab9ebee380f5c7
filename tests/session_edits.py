"""Changing a recorded session on purpose, with hashes that fit or with those of before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adapters.logged_alerts import LoggedAlerts
from adapters.session_files.manifest import Manifest
from adapters.session_files.reader import SessionReader
from adapters.session_files.writer import SessionLimits, SessionWriter
from ports.session_log import Entry


def entries_of(folder: Path) -> Iterator[Entry]:
    for record in SessionReader(folder).records():
        yield from record.entries


def edited(source: Path, target: Path, change: Callable[[list[list[Any]]], None]) -> Path:
    """A copy with other entries, written as if they had been recorded."""
    reader = SessionReader(source)
    entries = [list(entry) for record in reader.records() for entry in record.entries]
    change(entries)
    was = reader.manifest
    manifest = Manifest(
        target.name,
        was.origin,
        was.began_ms,
        previous=was.previous,
        versions=was.versions,
        settings=was.settings,
        setup=was.setup,
    )
    limits = SessionLimits(segment_ms=1 << 62, cap_bytes=1 << 62, waiting_bytes=1 << 40)
    writer = SessionWriter(target, manifest, LoggedAlerts(), lambda entry: entry, limits, lambda: was.began_ms)
    for entry in entries:
        writer.put(tuple(entry))
    writer.close("edited")
    assert writer.manifest.stopped is None, writer.manifest.stopped
    return target
