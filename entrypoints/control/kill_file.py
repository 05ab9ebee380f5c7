"""The kill file: a file that shuts the latch as soon as it is there, whether or not a daemon runs.

Its first word says how far: hard, halt, halt_all or full close everything, anything else lets exits go on; its second
line may say why. What is there and cannot be read shuts too. Taking the file away opens nothing: `kill --clear` does.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adapters.session_files.private_files import replace_file
from domain.events import Event, OperatorSpoke
from domain.operator import OperatorVerb
from entrypoints.control.protocol import REASON_LIMIT

LOOK_EVERY_S = 1.0
"""Real time, whatever the market's pace."""

SOURCE = "file"

_READ_BYTES = 4096
_HARD = ("hard", "halt", "halt_all", "full")


@dataclass(frozen=True, slots=True)
class KillOrder:
    """What a kill file asks for."""

    verb: OperatorVerb
    reason: str


def read_kill_file(path: Path) -> KillOrder | None:
    """What lies at `path`; None only where there is certainly nothing. Never raises, never waits for a writer."""
    try:
        found = path.lstat()  # needs no file handle: having none left must not look like a kill
        if stat.S_ISDIR(found.st_mode):
            return KillOrder(OperatorVerb.KILL_SOFT, "the kill file is a folder")
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        if not path.is_symlink():
            return None
        return KillOrder(OperatorVerb.KILL_SOFT, "the kill file is a link to nothing")
    except OSError as error:
        return KillOrder(OperatorVerb.KILL_SOFT, f"the kill file cannot be read: {error.strerror}")
    try:
        raw = os.read(handle, _READ_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except OSError as error:
        return KillOrder(OperatorVerb.KILL_SOFT, f"the kill file cannot be read: {error.strerror}")
    finally:
        os.close(handle)
    return _order_in(raw.decode("utf-8", "replace"))


def write_kill_file(path: Path, verb: OperatorVerb, reason: str) -> None:
    """Put a kill file in place, whole or not at all, readable by its owner only. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    word = "hard" if verb is OperatorVerb.KILL_HARD else "soft"
    replace_file(path, f"{word}\n{reason}\n".encode())


def _order_in(text: str) -> KillOrder:
    words, _, rest = text.partition("\n")
    first = next(iter(words.split()), "")
    why = _one_line(rest.partition("\n")[0])
    if first.casefold() in _HARD:
        return KillOrder(OperatorVerb.KILL_HARD, why)
    known = first.casefold() in ("soft", "close_only")
    return KillOrder(OperatorVerb.KILL_SOFT, why if known else f"the kill file says {_one_line(first)[:40]!r}")


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text).strip()[:REASON_LIMIT]


class KillFileWatch:
    """Tells of a kill file, once for each content."""

    def __init__(self, path: Path, new_id: Callable[[], str]) -> None:
        self._path = path
        self._new_id = new_id
        self._told: KillOrder | None = None

    @property
    def path(self) -> Path:
        return self._path

    @property
    def is_there(self) -> bool:
        """Whether a kill file lies there now."""
        return read_kill_file(self._path) is not None

    def look(self) -> OperatorSpoke | None:
        """What the file asks for, if that was not told before; a file that was away is told of again."""
        order = read_kill_file(self._path)
        if order == self._told:
            return None
        self._told = order
        if order is None:
            return None
        return OperatorSpoke(self._new_id(), order.verb, None, SOURCE, order.reason)

    async def keep(self, put: Callable[[Event], None]) -> None:
        """Long-lived: look once a second."""
        while True:
            spoke = self.look()
            if spoke is not None:
                put(spoke)
            await asyncio.sleep(LOOK_EVERY_S)
