"""Reading and writing files that only their owner may use. Whatever is wrong with one is said with its fix."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LARGEST_BYTES = 65_536


class NotPrivate(Exception):
    """The file cannot be used; the message says why and what to do, and never what is in it."""


def read_private(path: Path, *, credential: bool = False) -> bytes:
    """The content of a file that nobody else can read or replace. Looks at the open file, not at its name.

    `credential`: in systemd's own folder, where the service manager sets the rights. A group may seem to read there:
    those bits are the mask of an ACL that names our user alone.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise NotPrivate("there is no such file") from None
    except OSError as error:
        if path.is_symlink():
            raise NotPrivate(f"is a link; name the file itself ({_fix_of_link(path)})") from None
        raise NotPrivate(f"cannot be opened ({error.strerror}); run as the user that owns it") from None
    try:
        _check_open_file(os.fstat(handle), path, forbidden=0o037 if credential else 0o077)
        _check_folder(path)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(LARGEST_BYTES)
    finally:
        os.close(handle)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file with mode 0600, on the disk on return. Never replaces one: it may be the only copy of a key."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise NotPrivate(f"cannot be made ({error.strerror})") from None
    _check_folder(path)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise NotPrivate("is there already and is never replaced; move it away, or name another with --out") from None
    except OSError as error:
        raise NotPrivate(f"cannot be made ({error.strerror})") from None
    try:
        os.fchmod(handle, 0o600)
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise NotPrivate(f"cannot be written ({error.strerror})") from None
    finally:
        os.close(handle)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's list of names to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_open_file(found: os.stat_result, path: Path, *, forbidden: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotPrivate("is not a file")
    if found.st_uid not in (os.geteuid(), 0):
        raise NotPrivate(f"belongs to another user (uid {found.st_uid}); chown {os.geteuid()} {path}")
    mode = stat.S_IMODE(found.st_mode)
    if mode & forbidden:
        raise NotPrivate(f"others may use it (mode {mode:04o}); chmod 600 {path}")
    if found.st_size >= LARGEST_BYTES:
        raise NotPrivate(f"is {found.st_size} bytes long; this is something else")


def _check_folder(path: Path) -> None:
    folder = path.resolve().parent
    found = folder.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise NotPrivate(f"its folder belongs to another user (uid {found.st_uid}), who could replace the file")
    if stat.S_IMODE(found.st_mode) & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise NotPrivate(f"others may write in its folder and replace the file; chmod go-w {folder}")


def _fix_of_link(path: Path) -> str:
    return os.fspath(path.resolve())
