"""A record: one line that carries its number, its entries and a hash over itself and the record before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from ports.session_log import Entry

_DIGEST_BYTES = 16
_HASH_PART = re.compile(rb',"h":"([0-9a-f]{32})"\}')
_HASH_PART_LENGTH = len(b',"h":"' + b"0" * 2 * _DIGEST_BYTES + b'"}')


@dataclass(frozen=True, slots=True)
class Record:
    """`number` runs from 1 over all segments of a session, without gaps."""

    number: int
    segment: str
    entries: list[Entry]


class BadRecord(Exception):
    """A line that is no record, or not the one that was written."""


class _Line(msgspec.Struct):
    n: int
    e: list[tuple[Any, ...]]
    h: str


_DECODER = msgspec.json.Decoder(_Line)


def file_hash() -> blake2b:
    """An empty hash of the kind that the manifest has of each segment's file."""
    return blake2b(digest_size=_DIGEST_BYTES)


def body_of(number: int, entries: Sequence[bytes]) -> bytes:
    """A record's line up to its hash, from entries that are JSON already."""
    return b'{"n":%d,"e":[%b]' % (number, b",".join(entries))


def chained(previous: str, body: bytes | memoryview) -> str:
    """The hash of a record whose predecessor has the hash `previous` ("" for the first)."""
    hash_ = blake2b(previous.encode(), digest_size=_DIGEST_BYTES)
    hash_.update(body)
    return hash_.hexdigest()


def line_of(body: bytes, hash_: str) -> bytes:
    return b'%b,"h":"%b"}\n' % (body, hash_.encode())


def checked_hash(previous: str | None, line: bytes) -> str:
    """The hash that a line carries, which must be its own. Raises `BadRecord`.

    `previous` None: the record before it is not known, so the hash cannot be checked.
    """
    found = _HASH_PART.fullmatch(line, max(len(line) - _HASH_PART_LENGTH, 0))
    if found is None:
        raise BadRecord("the line does not end with a record's hash")
    hash_ = found[1].decode()
    if previous is not None and chained(previous, memoryview(line)[:-_HASH_PART_LENGTH]) != hash_:
        raise BadRecord("its hash is another than that of its content: somebody or something has changed it")
    return hash_


def body_in(line: bytes) -> bytes:
    """A checked line up to its hash."""
    return line[:-_HASH_PART_LENGTH]


def parse_line(line: bytes) -> tuple[int, list[Entry]]:
    """A line's number and entries; its hash is not looked at. Raises `BadRecord`."""
    try:
        read = _DECODER.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadRecord(f"the line is no record ({error})") from error
    if not all(read.e):
        raise BadRecord("the line is no record (an entry without a tag)")
    return read.n, read.e
