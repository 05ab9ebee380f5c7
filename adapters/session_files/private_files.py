"""Files that only their owner may use, replaced as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def make_folder(folder: Path) -> None:
    """Make a new folder of our own; those above it where they are missing. `FileExistsError` if it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    folder.mkdir(mode=PRIVATE_FOLDER)
    sync(folder.parent)


def make_file(path: Path) -> int:
    """Open a new file for writing; `FileExistsError` if it is there."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, PRIVATE_FILE)


def write_whole(handle: int, data: bytes) -> None:
    """Write all of it; the kernel may take a part at a time."""
    done = os.write(handle, data)
    while done < len(data):
        done += os.write(handle, memoryview(data)[done:])


def replace_file(path: Path, data: bytes) -> None:
    """Put a new file in the place of an old one: after a power cut it is the one or the other."""
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        write_whole(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    beside.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Force a file's content, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
