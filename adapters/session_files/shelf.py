"""All recorded sessions of a folder, as their manifests tell; no record is read."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from adapters.session_files.manifest import MANIFEST_NAME, Manifest, parse_manifest
from adapters.session_files.prune import bytes_of, session_folders
from adapters.session_files.session_lock import is_running
from ports.session_errors import SessionError


class SessionState(enum.Enum):
    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    """Recording stopped before the daemon did: the disk was full, say."""
    CUT_OFF = "cut off"
    """Nobody ended it: a kill, a power cut."""
    UNREADABLE = "unreadable"
    """The manifest is missing, damaged or of a later version."""


@dataclass(frozen=True, slots=True)
class ShelvedSession:
    """`bytes`: what it takes on the disk. `manifest` None: it is unreadable, and `problem` says why."""

    id: str
    folder: Path
    state: SessionState
    bytes: int
    manifest: Manifest | None
    problem: str = ""

    @property
    def records(self) -> int | None:
        """Number of the last record in a closed segment; None where no segment is closed."""
        segments = self.manifest.segments if self.manifest else ()
        return segments[-1].last if segments else None

    @property
    def seq_range(self) -> tuple[int, int] | None:
        """First and last event in closed segments; None where there are none."""
        segments = self.manifest.segments if self.manifest else ()
        first = next((each.first_seq for each in segments if each.first_seq is not None), None)
        last = next((each.last_seq for each in reversed(segments) if each.last_seq is not None), None)
        return None if first is None or last is None else (first, last)


def sessions_in(sessions_dir: Path) -> list[ShelvedSession]:
    """Oldest first, by this machine's clock."""
    return [_shelved(folder) for folder in session_folders(sessions_dir)]


def _shelved(folder: Path) -> ShelvedSession:
    running = is_running(folder)
    try:
        path = folder / MANIFEST_NAME
        manifest = parse_manifest(path.read_bytes(), str(path))
    except (OSError, SessionError) as error:
        why = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return ShelvedSession(folder.name, folder, SessionState.UNREADABLE, bytes_of(folder), None, why)
    if running:
        state = SessionState.RUNNING
    elif manifest.ended is not None:
        state = SessionState.ENDED
    else:
        state = SessionState.CUT_OFF if manifest.stopped is None else SessionState.STOPPED
    return ShelvedSession(folder.name, folder, state, bytes_of(folder), manifest)
