"""Find out what a named file is, unpack it, and refuse early what cannot be read.

A file's first bytes decide its format; its name only helps to word a refusal. An argument may be
`SYMBOL=path`, which names the one symbol of a file that has none inside.
"""

from __future__ import annotations

import enum
import gzip
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ports.datasets import DatasetError, DatasetProblem

FORMATS_TEXT = "Parquet, CSV or the venue's JSON, each plain or .gz"
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_HEAD_BYTES = 4096
_FOREIGN_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"(\xb5/\xfd": "a zstd file",
    b"\xfd7zXZ\x00": "an xz file",
    b"BZh": "a bzip2 file",
    b"ARROW1": "a Feather (Arrow) file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"SQLite format 3": "an SQLite database",
}


class FileFormat(enum.Enum):
    PARQUET = "Parquet"
    CSV = "CSV"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A readable file: `label` is what its user typed, `path` where its unpacked bytes are."""

    label: str
    path: Path
    format: FileFormat
    symbol: str | None

    def problem(self, what: str, why: str, fix: str, *, where: str = "", symbol: str | None = None) -> DatasetProblem:
        return DatasetProblem(self.label, what, why, fix, where, symbol)


@contextmanager
def opened(argument: str) -> Iterator[SourceFile]:
    """Give the file behind one argument; unpacked copies vanish at the end. Raises `DatasetError`."""
    symbol, label = _split(argument)
    path = Path(label).absolute()
    head = _checked_head(label, path)
    if not head.startswith(_GZIP_MAGIC):
        yield SourceFile(label, path, _format_of(label, head), symbol)
        return
    with tempfile.TemporaryDirectory(prefix="dataset-") as folder:
        plain = Path(folder) / "unpacked"
        _unpack(label, path, plain)
        with plain.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if not head:
            raise _refusal(label, "the file is empty", "its gzip content has no byte", "download it again")
        yield SourceFile(label, plain, _format_of(label.removesuffix(".gz"), head), symbol)


def _split(argument: str) -> tuple[str | None, str]:
    """Separate `SYMBOL=path`. A file whose whole name exists wins, for `=` may stand in a path."""
    symbol, equals, path = argument.partition("=")
    if not equals or not symbol or "/" in symbol or _exists(argument):
        return None, argument
    return symbol, path


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _checked_head(label: str, path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            what, why = "this is a folder", "data are read from files"
            raise _refusal(label, what, why, f"name the files themselves, such as {label.rstrip('/')}/*.parquet")
        if not stat.S_ISREG(mode):
            raise _refusal(
                label, "this is not a regular file", "pipes and devices cannot be read twice", "save it first"
            )
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as e:
        raise _refusal(label, "there is no such file", f"nothing is at {path}", _missing_hint(path)) from e
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise _refusal(label, "the file cannot be read", reason.lower(), "check its path and its permissions") from e
    if not head:
        raise _refusal(label, "the file is empty", "it has no byte", "download it again")
    return head


def _missing_hint(path: Path) -> str:
    try:
        near = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1, cutoff=0.6)
    except OSError:
        return "check the path"
    return f"did you mean {path.parent / near[0]}?" if near else "check the path"


def _unpack(label: str, path: Path, plain: Path) -> None:
    try:
        with gzip.open(path, "rb") as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
    except EOFError as e:
        raise _refusal(label, "the gzip data end too early", "the file was cut off", "download it again") from e
    except (gzip.BadGzipFile, zlib.error) as e:
        raise _refusal(label, "the gzip data are damaged", str(e).lower(), "download it again") from e
    except OSError as e:
        raise _refusal(label, "the file cannot be unpacked", str(e), "check the disk and its free space") from e


def _format_of(name: str, head: bytes) -> FileFormat:
    suffix = Path(name).suffix.lower()
    if head.startswith(_PARQUET_MAGIC):
        return FileFormat.PARQUET
    for magic, kind in _FOREIGN_MAGIC.items():
        if head.startswith(magic):
            raise _refusal(name, f"this is {kind}", f"readable are {FORMATS_TEXT}", "convert or unpack it first")
    if suffix in (".parquet", ".pq"):
        raise _refusal(name, "this is not a Parquet file", "it does not begin with PAR1", "check or download it again")
    if b"\0" in head:
        raise _refusal(
            name, "this is binary data of an unknown kind", f"readable are {FORMATS_TEXT}", "convert it first"
        )
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if suffix == ".json" or first in (b"[", b"{"):
        return FileFormat.JSON
    return FileFormat.CSV


def _refusal(file: str, what: str, why: str, fix: str) -> DatasetError:
    return DatasetError([DatasetProblem(file, what, why, fix)])
