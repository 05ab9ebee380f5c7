"""Lines that hold one frame each: with a receive time inside, before or around the frame, or without any.

| Line | Example |
|---|---|
| bare frame | `{"channel":…,"data":…}` |
| with keys added by its recorder | `{"received_wall_ns":…,"channel":…,"data":…}` |
| time before the frame | `1737918843893903000 {"channel":…}`, `2026-08-01T12:00:00.5Z {"channel":…}` |
| frame inside an object | `{"recv_ns":…,"frame":{"channel":…}}`, also as text, also under `raw`, `message` or `msg` |
| log of all mid prices | `{"timestamp":…,"mids":{…}}` |

What the recorder added is taken away; the frame keeps its text, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from adapters.recordings.frames import BadLineError, FoundFrame, NotAFrameError, ReadLog, listed
from adapters.recordings.opening import NamedFile, lines_of
from adapters.recordings.receive_times import receive_key, receive_ns
from adapters.recordings.wire import GREETING, UNREADABLE, mids_text

CUT_OFF = "the last line is cut off: its frame is left out"

_WRAPPERS = ("frame", "raw", "message", "msg")
_OWN_KEYS = ("channel", "data")
_NO_DATA = msgspec.Raw(b"null")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_PREFIX = re.compile(
    rb"([0-9]{10,19}(?:\.[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})?)[ \t,;|]+"
)


def is_frame_line(line: bytes) -> bool:
    """Whether a file that begins so holds frames, as far as a look can tell."""
    return line[:1] == b"{" or line == GREETING.encode() or _PREFIX.match(line) is not None


def read_frame_lines(file: NamedFile, log: ReadLog) -> Iterator[FoundFrame]:
    for line in lines_of(file):
        try:
            yield frame_of(line.data, line.place)
        except NotAFrameError as e:
            log.skip(str(e), line.place)
        except BadLineError as e:
            if line.ended:
                log.damage(str(e), line.place)
            else:
                log.skip(CUT_OFF, line.place)


def frame_of(line: bytes, place: int) -> FoundFrame:
    """Take one line apart. Raises `NotAFrameError` or `BadLineError`."""
    try:
        return _taken_apart(line, place)
    except UNREADABLE as e:
        raise BadLineError(f"it cannot be read ({e})") from e


def _taken_apart(line: bytes, place: int) -> FoundFrame:
    prefix = _PREFIX.match(line)
    if prefix is None:
        return _frame(line, place, None)
    at_ns = receive_ns(prefix.group(1).decode())
    if at_ns is None:
        raise BadLineError(f"its receive time {prefix.group(1).decode()} is no time between 2009 and 2100")
    return _frame(line[prefix.end() :], place, at_ns)


def _frame(body: bytes, place: int, at_ns: int | None) -> FoundFrame:
    if body == GREETING.encode():
        return FoundFrame(place, at_ns, GREETING, "greeting", _NO_DATA)
    try:
        fields = _OBJECT.decode(body)
    except msgspec.ValidationError:
        raise NotAFrameError("it holds no JSON object, so no frame") from None
    except UNREADABLE as e:
        raise BadLineError(f"it is not JSON ({e})") from e
    if at_ns is None:
        at_ns = _own_time(fields)
    if "channel" in fields:
        return _plain_frame(body, fields, place, at_ns)
    if bytes(fields.get("mids", b""))[:1] == b"{":
        mids = bytes(fields["mids"]).decode()
        text = mids_text(mids)
        return FoundFrame(place, at_ns, text, "allMids", msgspec.Raw(f'{{"mids":{mids}}}'.encode()))
    wrapper = next((key for key in _WRAPPERS if key in fields), None)
    if wrapper is None:
        raise NotAFrameError(f"no frame of the venue: it has no 'channel' but {listed(list(fields))}")
    inner = bytes(fields[wrapper])
    return _frame(_unquoted(inner) if inner[:1] == b'"' else inner, place, at_ns)


def _unquoted(inner: bytes) -> bytes:
    return _TEXT.decode(inner).encode()


def _plain_frame(body: bytes, fields: Mapping[str, msgspec.Raw], place: int, at_ns: int | None) -> FoundFrame:
    added = [key for key in fields if key not in _OWN_KEYS]
    if added and receive_key(added) is not None:
        body = _without(body, fields, added)
    return FoundFrame(place, at_ns, body.decode(), _TEXT.decode(fields["channel"]), fields.get("data", _NO_DATA))


def _own_time(fields: Mapping[str, msgspec.Raw]) -> int | None:
    key = receive_key(fields.keys())
    if key is None:
        return None
    value = bytes(fields[key])
    text = _unquoted(value).decode() if value[:1] == b'"' else value.decode()
    at_ns = receive_ns(text)
    if at_ns is None:
        raise BadLineError(f"its receive time {key}={text[:40]} is no time between 2009 and 2100")
    return at_ns


def _without(body: bytes, fields: Mapping[str, msgspec.Raw], added: Sequence[str]) -> bytes:
    """Cut out the added keys where they stand at either end; else put the frame together from its own parts."""
    left = list(added)
    while left and (first := _first_pattern(left[0]).match(body)):
        body = b"{" + body[first.end() :]
        left.pop(0)
    while left and (last := _last_pattern(left[-1]).fullmatch(body, max(0, body.rfind(b",")))):
        body = body[: last.start()].rstrip() + b"}"
        left.pop()
    if not left:
        return body
    own = [b'"%b":%b' % (key.encode(), bytes(raw)) for key, raw in fields.items() if key in _OWN_KEYS]
    return b"{" + b",".join(own) + b"}"


_VALUE = rb'(?:[-+.0-9eE]+|"[^"\\]*"|true|false|null)'


@lru_cache(maxsize=64)
def _first_pattern(key: str) -> re.Pattern[bytes]:
    return re.compile(rb'\{\s*"' + re.escape(key.encode()) + rb'"\s*:\s*' + _VALUE + rb"\s*,\s*")


@lru_cache(maxsize=64)
def _last_pattern(key: str) -> re.Pattern[bytes]:
    return re.compile(rb',\s*"' + re.escape(key.encode()) + rb'"\s*:\s*' + _VALUE + rb"\s*\}")
