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
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import msgspec

from adapters.session_files.entries import first_seq_of, last_seq_of
from adapters.session_files.manifest import MANIFEST_NAME, Segment, manifest_text, parse_manifest, write_manifest
from adapters.session_files.private_files import PRIVATE_FILE, make_file
from adapters.session_files.reader import SessionReader
from adapters.session_files.redaction import Redaction, addresses_in
from adapters.session_files.segment_writer import SegmentWriter
from ports.session_errors import SessionDamaged, SessionError

Tell = Callable[[int], None]
"""Told how many of a session's bytes are done."""

_SALT_BYTES = 32


def export(session: Path, out_file: Path, *, hash_addresses: bool, tell: Tell = lambda done: None) -> None:
    """Write the bundle: a new file of mode 0600 that appears when it is whole.

    As it is, a session may be damaged or running. With `hash_addresses` every record is read, so it must be sound;
    each address becomes another one, the same everywhere, by a key that is thrown away. Raises `SessionError`,
    also when the file is there already or cannot be written.
    """
    reader = SessionReader(session)
    beside = out_file.with_name(f"{out_file.name}.new")
    try:
        if out_file.exists():
            raise SessionError(f"{out_file}: this file is there already. Name another one.")
        with tempfile.TemporaryDirectory(dir=out_file.parent, prefix=".session-") as folder:
            if hash_addresses:
                reader = _redacted(reader, Path(folder), tell)
            beside.unlink(missing_ok=True)
            _write_bundle(reader, beside, (lambda done: None) if hash_addresses else tell)
        beside.replace(out_file)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise SessionError(
            f"{out_file}: the bundle cannot be written ({error.strerror or error}). Name a place with room for it."
        ) from error


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


def _redacted(reader: SessionReader, folder: Path, tell: Tell) -> SessionReader:
    """Write the session anew into `folder`, without addresses; hashes are made again."""
    before = manifest_text(reader.manifest)
    redact = Redaction(secrets.token_bytes(_SALT_BYTES), addresses_in(before))
    manifest = parse_manifest(redact(before), reader.source.where(MANIFEST_NAME))
    segments: list[Segment] = []
    last, chain = manifest.pruned_last, manifest.pruned_chain
    try:
        for name, records in groupby(reader.records(), key=lambda record: record.segment):
            segment = SegmentWriter(folder / name, last, chain, 0)
            for record in records:
                entries = [redact(msgspec.json.encode(entry)) for entry in record.entries]
                segment.add(entries, first_seq_of(record.entries), last_seq_of(record.entries))
                tell(reader.bytes_read)
            segments.append(segment.finish())
            last, chain = segments[-1].last, segments[-1].chain
    except SessionDamaged as error:
        error.advice = "A damaged session can only be exported as it is, without --hash-addresses."
        raise
    write_manifest(folder, replace(manifest, segments=tuple(segments), redacted=True))
    return SessionReader(folder)
