"""A file that grows by lines, each on disk when it has been written."""

from __future__ import annotations

import os
from pathlib import Path

from ports.ledger import StorageError


class LineFile:
    """Appends; made readable by its owner only."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
        self._path = path

    def write(self, line: str) -> None:
        try:
            os.write(self._descriptor, line.encode() + b"\n")
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        os.close(self._descriptor)
