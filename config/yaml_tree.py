"""YAML text to a small tree of positions and plain text, with nothing guessed.

PyYAML's parser gives the events; from there on this is ours, because its loaders turn `NO`
into False, `010` into 8 and `12:30` into 750, keep the last of two equal keys without a word
and expand aliases. Here every scalar stays the text that was typed. Anchors, aliases, tags,
equal keys and second documents are refused, size and depth are bounded.

PyYAML's own Python parser is used, never libyaml: the two differ at the edges, and a recorded
session must read the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from domain.strategy_config import Place
from ports.strategy_config import ConfigProblem

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 12
MAX_PROBLEMS = 100
"""Enough to repair a file by; bounds the work a hostile text can cause."""

_SHOWN_CHARACTERS = 60
_MESSAGE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Scalar:
    """`plain` is False for quoted and block text: somebody insisted on text."""

    text: str
    plain: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping; keys are distinct."""

    entries: tuple[tuple[Scalar, Node], ...]
    place: Place


Node: TypeAlias = Scalar | Items | Entries


@dataclass(slots=True)
class Problems:
    """Collects what is wrong with one file, up to `MAX_PROBLEMS`."""

    found: list[ConfigProblem] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return len(self.found) >= MAX_PROBLEMS

    def add(self, place: Place, key: str, message: str, got: str | None = None) -> None:
        if self.full:
            return
        if len(self.found) == MAX_PROBLEMS - 1:
            self.found.append(ConfigProblem(place, "", "and more from here on"))
            return
        shown = "" if got is None else f" (got {shortened(got)})"
        line = shortened(message, _MESSAGE_CHARACTERS) + shown
        self.found.append(ConfigProblem(place, shortened(key, _MESSAGE_CHARACTERS), line))


def shortened(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """A text fit for one line of a log: names and values are whatever somebody put in the file."""
    line = text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
    return line if len(line) <= limit else line[: limit - 3] + "..."


def read_tree(text: str, path: str, problems: Problems) -> Node | None:
    """The root of a text, or None when there is none to speak of; what is wrong goes to `problems`."""
    if len(text) > MAX_CHARACTERS:
        problems.add(Place(path), "", f"is larger than {MAX_CHARACTERS // 1024} KiB")
        return None
    return _TreeReader(path, problems).read(text)


class _EndOfReading(Exception):
    """Nothing after this can be trusted; what is wrong has been said."""


class _TreeReader:
    def __init__(self, path: str, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._events: Iterator[yaml.Event] = iter(())

    def read(self, text: str) -> Node | None:
        root: Node | None = None
        documents = 0
        try:
            self._events = _events(text)
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._stop(self._place(event.start_mark), "", "only one document per file")
                elif isinstance(event, yaml.NodeEvent):
                    root = self._node(event, "", 0)
        except yaml.MarkedYAMLError as error:
            place = self._place(error.problem_mark or error.context_mark)
            self._problems.add(place, "", f"not YAML: {error.problem or error}")
        except yaml.reader.ReaderError as error:
            place = self._position(text, error.position)
            self._problems.add(place, "", f"character U+{error.character:04X} is not allowed")
        except _EndOfReading:
            pass
        return root

    def _node(self, event: yaml.NodeEvent, key: str, depth: int) -> Node:
        place = self._place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            self._stop(place, key, "aliases are refused: write the values out", f"*{event.anchor}")
        if event.anchor is not None:
            self._problems.add(place, key, "anchors are refused: write the values out", f"&{event.anchor}")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            self._problems.add(place, key, "tags are refused: the key decides what a value is", event.tag)
        if depth > MAX_DEPTH:
            self._stop(place, key, f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(tuple(self._node(item, key, depth + 1) for item in self._until(yaml.SequenceEndEvent)), place)
        if isinstance(event, yaml.MappingStartEvent):
            return Entries(tuple(self._entries(key, depth + 1)), place)
        assert isinstance(event, yaml.ScalarEvent), "a node is a scalar, a sequence or a mapping"
        return Scalar(event.value, event.style is None, place)

    def _entries(self, parent: str, depth: int) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Place] = {}
        for event in self._until(yaml.MappingEndEvent):
            name = self._node(event, parent, depth)
            dotted = joined(parent, name.text) if isinstance(name, Scalar) else parent
            answer = self._next()
            assert isinstance(answer, yaml.NodeEvent), "every key has a value"
            value = self._node(answer, dotted, depth)
            if not isinstance(name, Scalar):
                self._problems.add(name.place, parent, "a key must be a word")
            elif name.text in seen:
                self._problems.add(name.place, dotted, f"is there twice, first in line {seen[name.text].line}")
            else:
                seen[name.text] = name.place
                yield name, value

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.NodeEvent]:
        while not isinstance(event := self._next(), end):
            assert isinstance(event, yaml.NodeEvent), "collections hold nodes"
            yield event

    def _next(self) -> yaml.Event:
        return next(self._events)

    def _stop(self, place: Place, key: str, message: str, got: str | None = None) -> None:
        self._problems.add(place, key, message, got)
        raise _EndOfReading

    def _place(self, mark: Any) -> Place:  # PyYAML has two unrelated classes of marks
        return Place(self._path) if mark is None else Place(self._path, mark.line + 1, mark.column + 1)

    def _position(self, text: str, position: int) -> Place:
        before = text[:position].split("\n")
        return Place(self._path, len(before), len(before[-1]) + 1)


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
    except (ValueError, OverflowError) as error:  # PyYAML's own slips: `\UFFFFFFFF`, a version of 5,000 digits
        raise yaml.MarkedYAMLError(problem="a number or character code is too large") from error


def joined(parent: str, name: str) -> str:
    return ".".join(part for part in (parent, name) if part)
