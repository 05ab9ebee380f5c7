"""What passes through this package: one frame of a recording, and the book in which its reader notes what was odd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ports.datasets import DatasetError, DatasetProblem

MS_NS = 1_000_000


class NotAFrameError(Exception):
    """A line that is whole but holds no frame: it is left out and counted."""


class BadLineError(Exception):
    """A line that is damaged: with one of these inside, the file as a whole is refused."""


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One raw frame as the venue sent it (or, where the recording had none, as the venue would have).

    `at_ms` is when it was received, `line` the connection it came on: the place of its file among those named.
    """

    at_ms: int
    line: int
    text: str


@dataclass(slots=True)
class FoundFrame:
    """A frame as a format's reader finds it. `place` is its line in the file, `at_ns` None where no time stands there.

    `data` is the frame's `data` as it stands in `text`.
    """

    place: int
    at_ns: int | None
    text: str
    channel: str
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that `count` lines of a file have in common; `first` is the first such line, counted from 1."""

    file: str
    what: str
    count: int
    first: int

    def __str__(self) -> str:
        if self.count == 1:
            return f"{self.file}: line {self.first}: {self.what}"
        return f"{self.file}: {self.count} lines (the first is {self.first}): {self.what}"


class ReadLog:
    """What a reader came across in one file. Three kinds: left out, kept but mended, and damage."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._skipped: dict[str, list[int]] = {}
        self._mended: dict[str, list[int]] = {}
        self._damage: dict[str, list[int]] = {}
        self._refused: list[DatasetProblem] = []

    def skip(self, what: str, place: int) -> None:
        _note(self._skipped, what, place)

    def mend(self, what: str, place: int) -> None:
        _note(self._mended, what, place)

    def damage(self, what: str, place: int) -> None:
        _note(self._damage, what, place)

    def refuse(self, problems: Sequence[DatasetProblem]) -> None:
        """Note why the file could not be read further."""
        self._refused += problems

    @property
    def skipped(self) -> list[Notice]:
        return self._notices(self._skipped)

    @property
    def mended(self) -> list[Notice]:
        return self._notices(self._mended)

    @property
    def problems(self) -> list[DatasetProblem]:
        why = "a damaged recording is not the market that was"
        fix = "correct or remove these lines, or get the file again"
        found = self._notices(self._damage)
        damage = [DatasetProblem(self.file, each.what, why, fix, _where(each)) for each in found]
        return damage + self._refused

    def _notices(self, kind: dict[str, list[int]]) -> list[Notice]:
        return [Notice(self.file, what, count, first) for what, (count, first) in kind.items()]


def _note(kind: dict[str, list[int]], what: str, place: int) -> None:
    seen = kind.setdefault(what, [0, place])
    seen[0] += 1


def _where(notice: Notice) -> str:
    more = "" if notice.count == 1 else f" (the first of {notice.count} such lines)"
    return f"line {notice.first}{more}"


def refusal(file: str, what: str, why: str, fix: str, *, where: str = "") -> DatasetError:
    return DatasetError([DatasetProblem(file, what, why, fix, where)])


def listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
