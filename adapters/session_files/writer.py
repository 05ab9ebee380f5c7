"""Writes a session's files while the daemon runs.

    put ──▶ memory ──flush──▶ segment (one write; no sync) ──rotation──▶ finished, synced, in the manifest

A refusal of the disk ends the recording, not the daemon: see `_stop`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from adapters.session_files.entries import seq_of
from adapters.session_files.manifest import Ended, Manifest, segment_name, write_manifest
from adapters.session_files.private_files import make_folder
from adapters.session_files.prune import prune, without_first_segments
from adapters.session_files.segment_writer import SegmentWriter
from adapters.session_files.session_lock import SessionLock, lock_to_write
from ports.alerts import Alerts
from ports.session_log import Entry, Tag

RECORD_BYTES = 1 << 20
"""JSON in one record, about: what one damaged byte can cost."""

_ENTRY_COST = 300
"""Memory of an entry besides its texts, roughly."""

_TOGETHER = 256
"""Entries that become JSON in one call."""

_OF_FRAMES = frozenset((Tag.FRAME, Tag.HELD))
"""What comes by the million; it has no `seq`, and never ends a session."""

_OVERFLOWN = "more waited in memory than the limit allows, because nobody wrote it to the disk"

log = logging.getLogger("sessions")


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """`segment_bytes`: uncompressed; a segment may pass it by one record. `segment_ms`: time until the next segment.

    `cap_bytes`: all sessions of the folder together, looked at with each new segment: what has grown since comes
    on top. `waiting_bytes`: memory of entries that nobody flushes (estimated), after which recording stops.
    """

    segment_bytes: int = 64 << 20
    segment_ms: int = 3_600_000
    cap_bytes: int = 5_000_000_000
    waiting_bytes: int = 64 << 20


class _Unwritable(Exception):
    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


class SessionWriter:
    """The `SessionLog` of one run. `folder` must not be there yet; its name is the session's id.

    `encode` turns an entry into what JSON can hold; its first part, `seq` and times stay where they are. It is called
    by whoever flushes. `now_ms`: the market's time. Not even the constructor raises when the disk refuses.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        alerts: Alerts,
        encode: Callable[[Entry], Any],
        limits: SessionLimits,
        now_ms: Callable[[], int],
    ) -> None:
        assert manifest.session == folder.name, "a session's folder has its name"
        self._folder, self._manifest, self._limits = folder, manifest, limits
        self._alerts, self._encode, self._now_ms = alerts, encode, now_ms
        self._json = msgspec.json.Encoder().encode
        self._entries: deque[Entry] = deque()  # appended to by one thread and emptied by another without a lock
        self._put_bytes, self._put_limit = 0, limits.waiting_bytes  # written by whoever puts; by whoever flushes
        self._recording, self._overflown, self._closed, self._told = True, False, False, False
        self._last, self._chain = 0, ""
        self._last_seq: int | None = None
        self._end: tuple[int | None, str | None] | None = None
        self._segment: SegmentWriter | None = None
        self._lock = Lock()
        self._held: SessionLock | None = None
        try:
            make_folder(folder)
            self._held = lock_to_write(folder)
            write_manifest(folder, manifest)
            self._keep_the_cap()
        except OSError as error:
            self._stop(_words(error, folder))

    @property
    def manifest(self) -> Manifest:
        """As it is on the disk."""
        return self._manifest

    @property
    def recording(self) -> bool:
        """False once it has stopped or was closed."""
        return self._recording

    @property
    def waiting(self) -> int:
        """Entries put and not flushed."""
        return len(self._entries)

    def put(self, entry: Entry) -> None:
        if not self._recording:
            return
        self._entries.append(entry)
        tag = entry[0]
        if tag == Tag.FRAME:  # first what comes by the million
            self._put_bytes += _ENTRY_COST + len(entry[4])
        else:
            self._put_bytes += _ENTRY_COST + sum(len(part) for part in entry if type(part) is str)
        if self._put_bytes > self._put_limit:
            self._recording, self._overflown = False, True
            self._tell(_OVERFLOWN)

    def flush(self) -> None:
        with self._lock:
            if self._manifest.stopped is None and not self._closed:
                self._write_waiting()

    def close(self, reason: str) -> None:
        with self._lock:
            if self._closed:
                return
            self._recording = False
            if self._manifest.stopped is None:
                self._write_waiting()
            if self._manifest.stopped is None:
                self._finish(reason)
            self._closed = True
            if self._held is not None:
                self._held.release()

    def _write_waiting(self) -> None:
        """Write what was put. Whatever goes wrong, a bug of ours included, ends the recording and nothing else."""
        try:
            unwritable = self._write(self._taken())
            if self._segment is not None:
                self._segment.push()
        except OSError as error:
            self._stop(_words(error, self._folder))
        else:
            if unwritable is not None:
                log.error("entry_not_recorded", exc_info=unwritable)
                self._stop(f"an entry cannot be written: {unwritable!r}", finish=True)
            elif self._overflown:
                self._stop(_OVERFLOWN, finish=True)

    def _taken(self) -> list[Entry]:
        self._put_limit = self._put_bytes + self._limits.waiting_bytes
        return [self._entries.popleft() for _ in range(len(self._entries))]

    def _write(self, entries: list[Entry]) -> Exception | None:
        """Append the entries as records of at most `RECORD_BYTES`, where no single entry is larger.

        Returns what is wrong with the first entry that cannot be written; those before it are.
        """
        parts: list[bytes] = []
        size = 0
        first_seq = last_seq = None
        unwritable = None
        try:
            for text, others in self._texts(entries):
                if parts and size + len(text) > RECORD_BYTES:
                    self._append(parts, first_seq, last_seq)
                    parts, size, first_seq, last_seq = [], 0, None, None
                parts.append(text)
                size += len(text) + 1
                for entry in others:
                    seq = seq_of(entry)
                    if seq is not None:
                        first_seq, last_seq = (seq if first_seq is None else first_seq), seq
                    elif entry[0] == Tag.END:
                        self._end = (entry[2], entry[3])
        except _Unwritable as error:
            unwritable = error.why
        if parts:
            self._append(parts, first_seq, last_seq)
        return unwritable

    def _texts(self, entries: list[Entry]) -> Iterator[tuple[bytes, list[Entry]]]:
        """JSON of several entries at a time, with commas between them, and those of them that are not about frames."""
        for start in range(0, len(entries), _TOGETHER):
            batch = entries[start : start + _TOGETHER]
            try:
                text = self._json_of(batch)
            except Exception:  # noqa: BLE001  (one of them cannot be written: which one is asked below)
                text = b""
            if 0 < len(text) <= RECORD_BYTES:
                yield text, _others(batch)
                continue
            for entry in batch:
                try:
                    text = self._json_of([entry])
                except Exception as error:
                    raise _Unwritable(error) from error
                yield text, _others([entry])

    def _json_of(self, entries: list[Entry]) -> bytes:
        return self._json(list(map(self._encode, entries)))[1:-1]

    def _append(self, parts: list[bytes], first_seq: int | None, last_seq: int | None) -> None:
        segment, limits = self._segment, self._limits
        if segment is not None and (
            segment.text_bytes >= limits.segment_bytes or self._now_ms() - segment.opened_ms >= limits.segment_ms
        ):
            self._close_segment(segment)
            self._keep_the_cap()
            segment = None
        if segment is None:
            number = self._manifest.pruned + len(self._manifest.segments) + 1
            path = self._folder / segment_name(number)
            segment = self._segment = SegmentWriter(path, self._last, self._chain, self._now_ms())
        segment.add(parts, first_seq, last_seq)
        if last_seq is not None:
            self._last_seq = last_seq

    def _close_segment(self, segment: SegmentWriter) -> None:
        closed = segment.finish()
        self._segment = None
        self._last, self._chain = closed.last, closed.chain
        self._write_manifest(replace(self._manifest, segments=(*self._manifest.segments, closed)))

    def _write_manifest(self, manifest: Manifest) -> None:
        write_manifest(self._folder, manifest)
        self._manifest = manifest

    def _keep_the_cap(self) -> None:
        """Remove older sessions, then this one's oldest segments, until the next segment has room."""
        own = self._manifest.segments
        room = own[-1].bytes if own else 0
        removed, left = prune(self._folder.parent, self._limits.cap_bytes - room)
        over = left + room - self._limits.cap_bytes
        pruned, names = without_first_segments(self._manifest, over)
        if names:
            self._write_manifest(pruned)  # first: of a segment that is named, the file must be there
            for name in names:
                (self._folder / name).unlink(missing_ok=True)
        for session in removed:
            log.info("session_pruned", extra={"session": session.id, "bytes": session.bytes})
        if names:
            log.info("session_pruned", extra={"session": self._manifest.session, "segments": len(names)})

    def _finish(self, reason: str) -> None:
        seq, digest = self._end or (self._last_seq, None)
        try:
            if self._segment is not None:
                self._close_segment(self._segment)
            self._write_manifest(replace(self._manifest, ended=Ended(reason, self._now_ms(), seq, digest)))
        except OSError as error:
            self._stop(_words(error, self._folder))

    def _stop(self, reason: str, *, finish: bool = False) -> None:
        """Record nothing any more, and say so: to the operator, and in the manifest if the disk allows."""
        self._recording = False
        self._entries.clear()
        try:
            if finish and self._segment is not None:
                self._close_segment(self._segment)
            self._manifest = replace(self._manifest, stopped=reason)
            if self._held is not None:  # otherwise the folder may be another session's
                write_manifest(self._folder, self._manifest)
        except OSError:
            self._manifest = replace(self._manifest, stopped=reason)  # not on the disk: as after a power cut
        if self._segment is not None:
            self._segment.abandon()
            self._segment = None
        self._tell(reason)

    def _tell(self, reason: str) -> None:
        if self._told:
            return
        self._told = True
        self._alerts.send(
            "recording_stopped",
            f"recording of session {self._manifest.session} has stopped: {reason}. The daemon goes on, but from here "
            "on this run cannot be replayed. Free space or repair the disk; the next start records again.",
        )


def _others(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry[0] not in _OF_FRAMES]


def _words(error: OSError, folder: Path) -> str:
    return f"{error.strerror or error} ({error.filename or folder})"
