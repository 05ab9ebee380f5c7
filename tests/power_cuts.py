"""A disk that loses power: what may be left of a recorded sequence of a process's file operations.

The model is as unfriendly as POSIX allows. What was synced stays. Of what was not, each write is kept, dropped, torn at
a byte, or kept in some of its sectors only, and writes need not have reached the disk in their order. Names are made
and removed on the disk by a sync of their folder alone; of what was done to a name since, any number of first steps
may have got there.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.system_calls import Call

FILE_CALLS = (
    "openat,creat,pwrite64,write,pwritev,pwritev2,writev,ftruncate,truncate,fallocate,copy_file_range,sendfile,"
    "fsync,fdatasync,sync_file_range,msync,unlink,unlinkat,rename,renameat,renameat2,link,linkat"
)
SECTOR = 512
_BY_NAME = frozenset(("creat", "truncate", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"))
_SHARED_MEMORY = "-shm"
"""SQLite's index of the log: mapped memory, of which nothing is promised and nothing is read after a cut."""


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Of a file, or of a folder."""

    file: str


@dataclass(frozen=True, slots=True)
class Make:
    file: str


@dataclass(frozen=True, slots=True)
class Remove:
    file: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the process said to the outside: all that it said before a cut has to be true after it."""

    text: bytes


Operation = Write | Truncate | Sync | Make | Remove | Told


def operations(calls: Iterable[Call], folder: Path, said: Path) -> Iterator[tuple[int, Operation]]:
    """What was done to the files of a folder, and what was written to `said`, each with its place in the trace."""
    known: set[str] = set()
    prefix = f"{folder}/"
    for call in calls:
        if call.result < 0:
            continue
        if call.name == "openat":
            name = call.opened
            if name.startswith(prefix) and name != str(said):
                if "O_CREAT" in call.arguments and name not in known:
                    known.add(name)
                    yield call.ended, Make(name)
                if "O_TRUNC" in call.arguments:
                    yield call.ended, Truncate(name, 0)
            continue
        if call.name == "unlink" or call.name in _BY_NAME:
            name = call.texts[0].decode()
            assert call.name == "unlink" or not name.startswith(prefix), (
                f"the model does not know {call.name} of {name}"
            )
            if name in known:
                known.remove(name)
                yield call.ended, Remove(name)
            continue
        name = call.file
        if name == str(said):
            yield call.ended, Told(call.texts[0])
        elif name.startswith(prefix) or name == str(folder):
            yield call.ended, _operation(call, name)


def _operation(call: Call, name: str) -> Operation:
    match call.name:
        case "pwrite64":
            assert call.result == len(call.texts[0]), "strace cut a string short"
            return Write(name, call.numbers[-1], call.texts[0])
        case "ftruncate":
            return Truncate(name, call.numbers[-1])
        case "fsync" | "fdatasync":
            return Sync(name)
        case _:
            raise AssertionError(f"the model does not know {call.name} of {name}")


@dataclass(slots=True)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)


class Disk:
    """What is on the disk for certain, and what may be."""

    def __init__(self) -> None:
        self._named: dict[str, _File] = {}
        self._steps: dict[str, list[_File | None]] = {}
        """By name, what it stood for after each step since its folder was synced: None where it was removed."""
        self._now: dict[str, _File] = {}

    def run(self, operation: Operation) -> None:
        match operation:
            case Make(name):
                self._now[name] = _File()
                self._steps.setdefault(name, []).append(self._now[name])
            case Remove(name):
                del self._now[name]
                self._steps.setdefault(name, []).append(None)
            case Write(name) | Truncate(name):
                self._now.setdefault(name, _File()).pending.append(operation)
            case Sync(name) if name in self._now:
                file = self._now[name]
                for each in file.pending:
                    _apply(file.synced, each)
                file.pending.clear()
            case Sync(folder):
                for name in [name for name in self._steps if str(Path(name).parent) == folder]:
                    _name(self._named, name, self._steps.pop(name)[-1])
            case Told():
                pass

    @property
    def certain(self) -> dict[str, bytes]:
        """The least that may be left."""
        return {name: bytes(file.synced) for name, file in self._named.items() if not name.endswith(_SHARED_MEMORY)}

    def after_a_cut(self, chance: random.Random) -> dict[str, bytes]:
        """One of the many things that may be left, by file name."""
        left = dict(self._named)
        for name, steps in self._steps.items():
            taken = chance.randint(0, len(steps))
            if taken:
                _name(left, name, steps[taken - 1])
        return {
            name: bytes(_survived(file, chance)) for name, file in left.items() if not name.endswith(_SHARED_MEMORY)
        }


def cuts(
    recorded: Sequence[Operation], count: int, chance: random.Random
) -> Iterator[tuple[int, list[bytes], dict[str, bytes]]]:
    """So many cuts, spread over the sequence by chance: the place, what had been told by then, and what is left."""
    making = next(place for place, each in enumerate(recorded) if isinstance(each, Told))
    ends = (making + 1, *[len(recorded) + 1] * 7)  # a file is made for long, in few steps: every eighth cut is there
    places = sorted(chance.randrange(1, ends[number % len(ends)]) for number in range(count))
    disk, done, told = Disk(), 0, list[bytes]()
    for place in places:
        for operation in recorded[done:place]:
            disk.run(operation)
            if isinstance(operation, Told):
                told.append(operation.text)
        done = place
        yield place, list(told), disk.after_a_cut(chance)


def restore(left: dict[str, bytes], recorded_in: Path, folder: Path, chance: random.Random) -> None:
    """Put what is left into another folder. The log's index is gone, or rubbish."""
    folder.mkdir(parents=True)
    for name, content in left.items():
        (folder / Path(name).relative_to(recorded_in)).write_bytes(content)
        if name.endswith("-wal") and chance.random() < 0.5:
            (folder / (Path(name).name.removesuffix("-wal") + _SHARED_MEMORY)).write_bytes(chance.randbytes(32_768))


def _name(names: dict[str, _File], name: str, file: _File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _survived(file: _File, chance: random.Random) -> bytearray:
    content = bytearray(file.synced)
    pending = list(file.pending)
    if chance.random() < 0.5:
        chance.shuffle(pending)
    keeps = chance.choice((0.0, 0.3, 0.7, 0.95, 1.0))
    for each in pending:
        if chance.random() < keeps:
            _apply(content, each)
        elif isinstance(each, Write) and chance.random() < 0.5:
            for part in _torn(each, chance):
                _apply(content, part)
    return content


def _torn(write: Write, chance: random.Random) -> list[Write]:
    """A first part of it, or some of its sectors."""
    if chance.random() < 0.5:
        return [Write(write.file, write.offset, write.data[: chance.randrange(len(write.data))])]
    starts = range(0, len(write.data), SECTOR)
    kept = [start for start in starts if chance.random() < 0.5]
    return [Write(write.file, write.offset + start, write.data[start : start + SECTOR]) for start in kept]


def _apply(content: bytearray, operation: Write | Truncate) -> None:
    if isinstance(operation, Truncate):
        content.extend(bytes(max(0, operation.size - len(content))))
        del content[operation.size :]
        return
    content.extend(bytes(max(0, operation.offset + len(operation.data) - len(content))))
    content[operation.offset : operation.offset + len(operation.data)] = operation.data
