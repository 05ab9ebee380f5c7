"""Reads a session back: whole, or as far as it is sound.

What breaks off at the end of a session that never ended is normal (`kill -9`, a power cut): see `SessionReader.tail`.
Everything else that is not as it was written is damage.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from adapters.session_files.entries import last_seq_of
from adapters.session_files.manifest import (
    MANIFEST_NAME,
    Manifest,
    Segment,
    parse_manifest,
    segment_name,
    segment_number,
)
from adapters.session_files.records import BadRecord, Record, checked_hash, parse_line
from adapters.session_files.segment_reader import SegmentLines
from adapters.session_files.sources import SessionSource, source_of
from ports.session_errors import SessionDamaged
from ports.session_log import Entry

_SALVAGE = "--salvage reads what is sound before it."
_SALVAGE_SEGMENTS = "--salvage reads the records without it."
_NO_MANIFEST = "the manifest is missing, and with it what a replay needs to build the same engine"


class SessionReader:
    """One session: a folder, or a bundle that `export` made.

    Raises `SessionNotFound`, `SessionTooNew`, and `SessionDamaged` when the manifest is missing or unreadable.
    With `salvage` the segments can be read without it: then `manifest` holds nothing but the name,
    `has_manifest` is False and `damage` says so.
    """

    def __init__(self, path: Path, *, salvage: bool = False) -> None:
        self._source = source_of(path)
        self._names = (
            self._source.segments()
        )  # before the manifest: of a running session it then knows all but the last
        self.damage: SessionDamaged | None = None
        """What `records(salvage=True)` stopped at."""
        self.tail: str | None = None
        """What is lost at the end of a session that was cut off, in words; None if nothing is."""
        self.last_seq: int | None = None
        """The newest event among the records that were read."""
        self.bytes_read = 0
        """Bytes of segments that `records` is through with, for showing progress against `bytes`."""
        self.has_manifest = True
        try:
            self.manifest = self._read_manifest()
        except SessionDamaged as error:
            if not salvage:
                raise
            self.has_manifest, self.damage = False, error
            self.manifest = Manifest(session=path.stem, origin="unknown", began_ms=0)

    @property
    def source(self) -> SessionSource:
        return self._source

    @property
    def bytes(self) -> int:
        """Of all segments, compressed."""
        return sum(self._source.size(name) or 0 for name in self.segments())

    def segments(self) -> list[str]:
        """Names of the segments that should be there, in order; the last one may still be written."""
        listed = [segment.name for segment in self.manifest.segments]
        first = self.manifest.pruned + len(listed) + 1
        return [*listed, *(name for name in self._names if (segment_number(name) or 0) >= first)]

    def records(self, *, check_hashes: bool = True, salvage: bool = False) -> Iterator[Record]:
        """Every record in order, in constant memory.

        Raises `SessionDamaged` at the first damage; with `salvage` the records end there instead, and `damage` tells.
        `check_hashes=False`: for a session that was edited on purpose.
        """
        self.tail, self.last_seq, self.bytes_read = None, None, 0
        try:
            with self._source.held():
                yield from self._all_records(check_hashes)
        except SessionDamaged as error:
            if not salvage:
                raise
            self.damage = error

    def _all_records(self, check_hashes: bool) -> Iterator[Record]:
        manifest, names = self.manifest, self.segments()
        listed = {segment.name: segment for segment in manifest.segments}
        first = manifest.pruned + 1 if self.has_manifest or not names else segment_number(names[0])
        known = self.has_manifest or first == 1
        chain = _Chain(manifest.pruned_last + 1, manifest.pruned_chain) if known else _Chain(None, None)
        for number, name in enumerate(names, first or 1):
            expected = segment_name(number)
            if name != expected or self._source.size(name) is None:
                raise self._damaged(expected, "the segment is missing", chain.number)
            segment = listed.get(name)
            if segment is None and manifest.ended is not None:
                raise self._damaged(name, "the manifest does not know this segment", chain.number)
            yield from self._segment(name, segment, chain, check_hashes, segment is None and name == names[-1])

    def _segment(
        self, name: str, segment: Segment | None, chain: _Chain, check_hashes: bool, open_end: bool
    ) -> Iterator[Record]:
        """Records of one segment. `open_end`: it was never closed, so its end may be missing."""
        with self._source.open(name) as file:
            read = SegmentLines(file, self._count)
            try:
                for line in read.lines():
                    number, entries = chain.next(line, check_hashes)
                    seq = last_seq_of(entries)
                    self.last_seq = self.last_seq if seq is None else seq
                    yield Record(number, name, entries)
                why = read.broken
            except BadRecord as error:
                why = str(error)
            except (OSError, EOFError, tarfile.TarError) as error:
                raise self._damaged(name, f"cannot be read ({error})", chain.number) from error
            if why and not (open_end and read.zeros_at_the_end()):
                raise self._damaged(name, why, chain.number)
            if read.ended and not why:
                self._check_end(name, segment, read, chain, check_hashes)
            elif open_end:
                torn = f"; {read.rest_bytes} bytes of a torn record behind it are left out" if read.rest_bytes else ""
                self.tail = f"{name} was never closed: it holds the records up to {chain.last}{torn}"
            else:
                raise self._damaged(name, "it breaks off", chain.number)

    def _check_end(
        self, name: str, segment: Segment | None, read: SegmentLines, chain: _Chain, check_hashes: bool
    ) -> None:
        if read.rest_bytes:
            raise self._damaged(name, "its last line has no end", chain.number)
        if segment is not None and check_hashes and (read.hash, chain.last) != (segment.hash, segment.last):
            raise self._damaged(name, "it is not the file that the manifest describes", chain.number)

    def _damaged(self, name: str, what: str, record: int | None) -> SessionDamaged:
        of_segment = next((each for each in self.manifest.segments if each.name == name), None)
        if of_segment is not None and of_segment.first_seq is not None:
            what += f" (the segment has seq {of_segment.first_seq} to {of_segment.last_seq})"
        return SessionDamaged(self._source.where(name), what, record=record, seq=self.last_seq, advice=_SALVAGE)

    def _read_manifest(self) -> Manifest:
        where = self._source.where(MANIFEST_NAME)
        if self._source.size(MANIFEST_NAME) is None:
            raise SessionDamaged(where, _NO_MANIFEST, advice=_SALVAGE_SEGMENTS)
        with self._source.open(MANIFEST_NAME) as file:
            return parse_manifest(file.read(), where)

    def _count(self, read: int) -> None:
        self.bytes_read += read


class _Chain:
    """Where the next record has to join: its number, and the hash before it. None: not known, so not checked."""

    def __init__(self, number: int | None, hash_: str | None) -> None:
        self.number, self._hash = number, hash_

    @property
    def last(self) -> int:
        return (self.number or 1) - 1

    def next(self, line: bytes, check_hash: bool) -> tuple[int, list[Entry]]:
        """A line's number and entries. Raises `BadRecord` when it does not join."""
        if check_hash:
            self._hash = checked_hash(self._hash, line)
        number, entries = parse_line(line)
        if self.number is not None and number != self.number:
            raise BadRecord(f"the number {number} stands there: records are missing, or double")
        self.number = number + 1
        return number, entries
