"""The manifest: what a session is, which segments it has, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from adapters.session_files.private_files import replace_file
from ports.session_errors import SessionDamaged, SessionTooNew

FORMAT = 1
MANIFEST_NAME = "manifest.json"
_SEGMENT_NAME = re.compile(r"([0-9]{6,})\.jsonl\.zst")


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment. `first`, `last`: numbers of its records. `hash`: blake2b of the file's bytes.

    `chain`: hash of its last record, on which the next segment's first one builds. `first_seq`, `last_seq`: events
    in it; None where there are none. `bytes`: of the file, compressed.
    """

    name: str
    first: int
    last: int
    bytes: int
    hash: str
    chain: str
    first_seq: int | None = None
    last_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """An end in order. `seq`: the last event taken; `digest`: over everything decided, where one was given."""

    reason: str
    at_ms: int
    seq: int | None
    digest: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """`origin`: "daemon", "simulation" or "import". Times are UTC epoch ms in the market's world.

    `setup`: what a replay needs to build the same engine; nothing here reads it. `stopped`: why recording stopped
    before the session's end. `pruned`: how many first segments were removed, up to the record `pruned_last`
    whose hash was `pruned_chain`. `redacted`: addresses, and the ids derived from them, were replaced.
    """

    session: str
    origin: str
    began_ms: int
    format: int = FORMAT
    previous: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    setup: Mapping[str, Any] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    ended: Ended | None = None
    stopped: str | None = None
    pruned: int = 0
    pruned_last: int = 0
    pruned_chain: str = ""
    redacted: bool = False


class _Format(msgspec.Struct):
    format: int
    versions: dict[str, Any] = {}


def segment_name(number: int) -> str:
    return f"{number:06d}.jsonl.zst"


def segment_number(name: str) -> int | None:
    """Which segment a file is, from 1; None for other files."""
    found = _SEGMENT_NAME.fullmatch(name)
    return int(found[1]) if found else None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace it as a whole. Raises `OSError`."""
    replace_file(folder / MANIFEST_NAME, manifest_text(manifest))


def manifest_text(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def parse_manifest(text: bytes, file: str) -> Manifest:
    """Raises `SessionTooNew` or `SessionDamaged`. `file`: where it stands, for the message."""
    try:
        written = msgspec.json.decode(text, type=_Format)
        if written.format <= FORMAT:
            return msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        advice = "--salvage reads the records without it, but a replay needs it."
        raise SessionDamaged(file, f"the manifest cannot be read ({error})", advice=advice) from error
    wrote = ", ".join(f"{name} {version}" for name, version in written.versions.items()) or "a later version"
    raise SessionTooNew(
        f"{file}: the session has format {written.format}, written by {wrote}; this version reads up to {FORMAT}. "
        "Use the version that wrote it, or update this program."
    )
