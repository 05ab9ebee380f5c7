"""A session as one file to give away: a plain .tar of its folder, which `SessionReader` opens as it is.

`tar -xf` unpacks it too; the folder in it can be put among the recorded sessions.
"""

from __future__ import annotations

import os
import secrets
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from adapters.session_files.entries import first_seq_of, last_seq_of
from adapters.session_files.manifest import (
    MANIFEST_NAME,
    Manifest,
    Segment,
    manifest_text,
    parse_manifest,
    write_manifest,
)
from adapters.session_files.private_files import PRIVATE_FILE, make_file
from adapters.session_files.reader import SessionReader
from adapters.session_files.records import Record
from adapters.session_files.redaction import Redaction, addresses_in
from adapters.session_files.segment_writer import SegmentWriter
from ports.session_errors import SessionDamaged, SessionError

Tell = Callable[[int], None]
"""Told how many of a session's bytes are done."""

_SALT_BYTES = 32


class Rewrite(Protocol):
    """Writes a session anew into a folder of its own in `folder`, without what is not to be given away."""

    def __call__(self, reader: SessionReader, folder: Path, tell: Tell) -> SessionReader: ...


def export(session: Path, out_file: Path, *, rewrite: Rewrite | None = None, tell: Tell = lambda done: None) -> None:
    """Write the bundle: a new file of mode 0600 that appears when it is whole.

    As it is, a session may be damaged or running. With a `rewrite` every record is read, so it must be sound. Raises
    `SessionError`, also when the file is there already or cannot be written, and whatever `rewrite` does.
    """
    reader = SessionReader(session)
    beside = out_file.with_name(f"{out_file.name}.new")
    try:
        if out_file.exists():
            raise SessionError(f"{out_file}: this file is there already. Name another one.")
        with tempfile.TemporaryDirectory(dir=out_file.parent, prefix=".session-") as folder:
            if rewrite is not None:
                reader = _rewritten(rewrite, reader, Path(folder), tell)
            beside.unlink(missing_ok=True)
            _write_bundle(reader, beside, (lambda done: None) if rewrite is not None else tell)
        beside.replace(out_file)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise SessionError(
            f"{out_file}: the bundle cannot be written ({error.strerror or error}). Name a place with room for it."
        ) from error


def replace_addresses(reader: SessionReader, folder: Path, tell: Tell) -> SessionReader:
    """A `Rewrite` that looks at nothing but texts: enough for a session without orders of ours."""
    redact, manifest = redaction_of(reader)
    copy = SessionCopy(folder, manifest)
    for record in reader.records():
        copy.add(record, [redact(msgspec.json.encode(entry)) for entry in record.entries])
        tell(reader.bytes_read)
    return copy.finish(manifest)


def redaction_of(reader: SessionReader) -> tuple[Redaction, Manifest]:
    """What replaces addresses in this export, and the manifest without them."""
    before = manifest_text(reader.manifest)
    redact = Redaction(secrets.token_bytes(_SALT_BYTES), addresses_in(before))
    manifest = parse_manifest(redact(before), reader.source.where(MANIFEST_NAME))
    return redact, replace(manifest, redacted=True)


class SessionCopy:
    """A session written again: other entries in the same records and segments; hashes are made anew."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._segments: list[Segment] = []
        self._segment: SegmentWriter | None = None
        self._last, self._chain = manifest.pruned_last, manifest.pruned_chain

    def add(self, record: Record, entries: list[bytes]) -> None:
        """What the record is now: as many entries, as JSON, of the same events."""
        if self._segment is None or self._segment.path.name != record.segment:
            self._close()
            self._segment = SegmentWriter(self._folder / record.segment, self._last, self._chain, 0)
        self._segment.add(entries, first_seq_of(record.entries), last_seq_of(record.entries))

    def finish(self, manifest: Manifest) -> SessionReader:
        """Close it; everything but its segments is as `manifest` says."""
        self._close()
        write_manifest(self._folder, replace(manifest, segments=tuple(self._segments)))
        return SessionReader(self._folder)

    def _close(self) -> None:
        if self._segment is not None:
            self._segments.append(self._segment.finish())
            self._last, self._chain = self._segments[-1].last, self._segments[-1].chain
            self._segment = None


def _rewritten(rewrite: Rewrite, reader: SessionReader, folder: Path, tell: Tell) -> SessionReader:
    try:
        return rewrite(reader, folder, tell)
    except SessionDamaged as error:
        error.advice = "Such a session can only be exported as it is, with all that is in it."
        raise


def _write_bundle(reader: SessionReader, path: Path, tell: Tell) -> None:
    source, manifest = reader.source, manifest_text(reader.manifest)
    done = 0
    with os.fdopen(make_file(path), "wb") as file, tarfile.open(fileobj=file, mode="w") as bundle, source.held():
        _add(bundle, f"{reader.manifest.session}/{MANIFEST_NAME}", BytesIO(manifest), len(manifest))
        for name in reader.segments():
            size = source.size(name)  # of a session that is running: what is there now
            if size is None:
                continue  # whoever opens the bundle is told
            with source.open(name) as segment:
                _add(bundle, f"{reader.manifest.session}/{name}", segment, size)
            done += size
            tell(done)


def _add(bundle: tarfile.TarFile, name: str, file: BinaryIO, size: int) -> None:
    """Nothing of this machine goes along: neither its users nor its times."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, PRIVATE_FILE
    bundle.addfile(member, file)
