"""Open a recording line by line: plain, gz or zst, told apart by their first bytes."""

from __future__ import annotations

import gzip
import stat
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from adapters.recordings.frames import refusal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_LINE_BYTES = 32 << 20
"""The largest frame that was ever seen has 0.2 MB: a longer line is no line."""

READABLE = "frames as JSON lines, `<receive time> <frame>` lines and tick tables (CSV), each plain, .gz or .zst"

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"(\xb5/\xfd"
_BOM = b"\xef\xbb\xbf"
_FOREIGN_MAGIC = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ\x00": "an xz file",
    b"BZh": "a bzip2 file",
    b"ARROW1": "a Feather (Arrow) file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"SQLite format 3": "an SQLite database",
}
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file as its user named it: `path`, or `SYMBOL=path` where the file does not say whose it is."""

    label: str
    symbol: str | None

    @property
    def path(self) -> Path:
        return Path(self.label)


@dataclass(slots=True)
class FileLine:
    """A line that is not blank, without its end; `ended` says whether it had one (a last line that was cut has not)."""

    place: int
    data: bytes
    ended: bool


def named_file(argument: str) -> NamedFile:
    """Separate `SYMBOL=path`. A file whose whole name exists wins, for `=` may stand in a path."""
    symbol, equals, path = argument.partition("=")
    if not equals or not symbol or "/" in symbol or Path(argument).exists():
        return NamedFile(argument, None)
    return NamedFile(path, symbol)


def lines_of(file: NamedFile) -> Iterator[FileLine]:
    """Read a file from its beginning. Raises `DatasetError` when it cannot be opened, unpacked or is no text."""
    label = file.label
    head = _checked_head(file)
    place = 0
    try:
        with _unpacked(file.path, head) as source:
            while line := source.readline(MAX_LINE_BYTES):
                place += 1
                if place == 1:
                    line = line.removeprefix(_BOM)
                    _check_text(label, line)
                if len(line) >= MAX_LINE_BYTES:
                    raise refusal(label, "the line is too long", f"no frame has {MAX_LINE_BYTES} bytes", "check it")
                stripped = line.strip()
                if stripped:
                    yield FileLine(place, stripped, line.endswith(b"\n"))
    except _BROKEN as e:
        what = "the packed data end too early" if isinstance(e, EOFError) else "the packed data are damaged"
        fix = "get it again, or unpack what can be read and name that"
        raise refusal(label, what, str(e).lower(), fix, where=f"after line {place}") from e
    except OSError as e:
        raise refusal(label, "the file cannot be read", str(e), "check the disk") from e
    if not place:
        raise refusal(label, "the file is empty", "its packed content has no byte", "get it again")


def _unpacked(path: Path, head: bytes) -> BinaryIO:
    if head.startswith(_GZIP_MAGIC):
        return cast(BinaryIO, gzip.open(path, "rb"))
    if head.startswith(_ZSTD_MAGIC):
        return cast(BinaryIO, zstd.open(path, "rb"))
    return path.open("rb")


def _checked_head(file: NamedFile) -> bytes:
    label = file.label
    try:
        mode = file.path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise refusal(label, "this is a folder", "recordings are files", "name the files themselves")
        if not stat.S_ISREG(mode):
            raise refusal(label, "this is not a regular file", "a recording is read twice", "save it first")
        with file.path.open("rb") as opened:
            head = opened.read(16)
    except FileNotFoundError as e:
        raise refusal(label, "there is no such file", f"nothing is at {file.path.absolute()}", "check the path") from e
    except (OSError, ValueError) as e:
        raise refusal(label, "the file cannot be read", str(e), "check its path and its permissions") from e
    if not head:
        raise refusal(label, "the file is empty", "it has no byte", "get it again")
    return head


def _check_text(label: str, first: bytes) -> None:
    for magic, kind in _FOREIGN_MAGIC.items():
        if first.startswith(magic):
            fix = "convert or unpack it first (candles of any format are imported as a candle set)"
            raise refusal(label, f"this is {kind}", f"recordings are {READABLE}", fix)
    if b"\0" in first:
        raise refusal(label, "this is binary data of an unknown kind", f"recordings are {READABLE}", "convert it first")
