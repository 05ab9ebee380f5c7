"""Where a session's files are: in a folder, or in a bundle (a plain .tar), which is read in place."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from adapters.session_files.manifest import MANIFEST_NAME, segment_number
from adapters.session_files.session_lock import lock_to_read
from ports.session_errors import SessionDamaged, SessionNotFound


class SessionSource(Protocol):
    """Reading raises `SessionDamaged` where a file cannot be read at all."""

    path: Path

    def where(self, name: str) -> str:
        """A file's place, in words."""
        ...

    def segments(self) -> list[str]:
        """Names of the segments that are there, in order."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of a file, None if it is not there."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file that is there."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """Keep the session from being pruned."""
        ...


class FolderSource:
    def __init__(self, folder: Path) -> None:
        self.path = folder

    def where(self, name: str) -> str:
        return str(self.path / name)

    def segments(self) -> list[str]:
        try:
            return in_order(path.name for path in self.path.iterdir())
        except OSError as error:
            raise SessionDamaged(str(self.path), f"cannot be read: {error.strerror}") from error

    def size(self, name: str) -> int | None:
        try:
            return (self.path / name).stat().st_size
        except FileNotFoundError:
            return None

    def open(self, name: str) -> BinaryIO:
        try:
            return (self.path / name).open("rb")
        except OSError as error:
            raise SessionDamaged(self.where(name), f"cannot be read: {error.strerror}") from error

    @contextmanager
    def held(self) -> Iterator[None]:
        lock = lock_to_read(self.path)
        try:
            yield
        finally:
            lock.release()


class BundleSource:
    """No file stays open between two calls."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with tarfile.open(path, "r:") as bundle:
                self._members = {Path(each.name).name: each for each in bundle.getmembers() if each.isreg()}
        except (OSError, tarfile.TarError) as error:
            raise SessionDamaged(
                str(path),
                f"this is no session: neither a folder nor a bundle that can be read ({error})",
                advice="`./aiq sessions list` shows the recorded ones.",
            ) from error

    def where(self, name: str) -> str:
        return f"{self.path}:{name}"

    def segments(self) -> list[str]:
        return in_order(self._members)

    def size(self, name: str) -> int | None:
        return self._members[name].size if name in self._members else None

    def open(self, name: str) -> BinaryIO:
        member = self._members[name]
        try:
            return cast(BinaryIO, _Part(self.path.open("rb"), member.offset_data, member.size))
        except OSError as error:
            raise SessionDamaged(self.where(name), f"cannot be read: {error.strerror}") from error

    @contextmanager
    def held(self) -> Iterator[None]:
        yield


class _Part(RawIOBase):
    """`size` bytes of a file, as if they were all of it. Closes the file with itself."""

    def __init__(self, file: BinaryIO, begin: int, size: int) -> None:
        self._file, self._begin, self._size, self._at = file, begin, size, 0

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        self._file.seek(self._begin + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        self._at = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence] + offset
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()


def source_of(path: Path) -> SessionSource:
    """Raises `SessionNotFound`, and `SessionDamaged` for a file that is no bundle."""
    if path.is_dir():
        source = FolderSource(path)
        if source.size(MANIFEST_NAME) is None and not source.segments():
            raise SessionNotFound(f"{path}: no session here. `./aiq sessions list` shows the recorded ones.")
        return source
    if path.exists():
        return BundleSource(path)
    raise SessionNotFound(f"{path}: there is no such session. `./aiq sessions list` shows the recorded ones.")


def in_order(names: Iterable[str]) -> list[str]:
    numbered = [(number, name) for name in names if (number := segment_number(name)) is not None]
    return [name for _, name in sorted(numbered)]
