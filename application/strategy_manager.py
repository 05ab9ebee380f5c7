"""The strategy's config in force, and when a new text may replace it.

A pure step: texts come in as events, results go out, nothing is read and no clock is asked.

    offered text                          result
    -----------------------------------   ------------------------------------------------------------
    same content as in force              Unchanged
    same content as the last one refused  Unchanged (a refusal is said once)
    anything else, seen first             Settling
    ... still the same after 1 s          Accepted, when it is valid: from then on it is in force
                                          Refused, when not: what was in force stays in force

Content decides: a file with an older modification time is taken like any other. Its time only
makes settling stricter: a text written again within the second starts the second anew. A file that
is empty, unreadable or gone is refused like one with errors. So the config in force was always
the content of one complete, valid file that lay still for a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from domain.config_events import OverridesText
from domain.strategy_config import ConfigChange, StrategyBook, changes_between
from ports.strategy_config import ConfigProblem, OverridesInvalid, StrategyConfigParser

SETTLE_MS = 1_000
"""How long a text must lie still. A writer that pauses for less is never read in the middle."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing new."""


@dataclass(frozen=True, slots=True)
class Settling:
    """A new text was seen; it is looked at when it is the same at `due_ms` (real time, as `seen_ms`) or later."""

    due_ms: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A new book is in force. `changes` is empty when only comments or order differ.

    `restart_needed`: those of the changes that wait for the next start (`engine.*`).
    """

    book: StrategyBook
    digest: str
    changes: tuple[ConfigChange, ...]
    restart_needed: tuple[ConfigChange, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The text cannot be used; what was in force stays. Every problem at once."""

    problems: tuple[ConfigProblem, ...]


Reload: TypeAlias = Unchanged | Settling | Accepted | Refused


@dataclass(frozen=True, slots=True)
class _Candidate:
    fingerprint: str
    mtime_ns: int
    since_ms: int

    def is_same(self, text: OverridesText, fingerprint: str) -> bool:
        return self.fingerprint == fingerprint and self.mtime_ns == text.mtime_ns


class StrategyManager:
    """Holds the one book in force. Made from the first text; the rest arrives by `offer`."""

    def __init__(self, parser: StrategyConfigParser, first: OverridesText) -> None:
        """Put the first text in force as it is: there is nothing to keep instead.

        A missing file means defaults; any other unusable one raises `OverridesInvalid`.
        """
        self.first = first
        self._parser = parser
        self._book = parser.defaults(first.path) if first.is_absent else parser.parse_look(first)
        self._in_force = first.fingerprint
        self._refused: tuple[str, tuple[ConfigProblem, ...]] | None = None
        self._candidate: _Candidate | None = None

    @property
    def book(self) -> StrategyBook:
        """What is in force. An immutable value: a decision keeps the one it started with."""
        return self._book

    @property
    def standing_problems(self) -> tuple[ConfigProblem, ...]:
        """What is wrong with the file now, if it was refused and has not been repaired; for status displays."""
        return () if self._refused is None else self._refused[1]

    def verdict_on(self, text: OverridesText) -> tuple[ConfigProblem, ...] | None:
        """The problems of this very content, none where it is in force; None where it has not been judged."""
        if text.fingerprint == self._in_force:
            return ()
        is_refused = self._refused is not None and self._refused[0] == text.fingerprint
        return self.standing_problems if is_refused else None

    def offer(self, text: OverridesText) -> Reload:
        """Take one look at the file into account. Looks come in the order of their `seen_ms`."""
        fingerprint = text.fingerprint
        if fingerprint == self._in_force:
            self._candidate = self._refused = None
            return Unchanged()
        if self._refused is not None and fingerprint == self._refused[0]:
            self._candidate = None
            return Unchanged()
        if self._candidate is None or not self._candidate.is_same(text, fingerprint):
            self._candidate = _Candidate(fingerprint, text.mtime_ns, text.seen_ms)
        due_ms = self._candidate.since_ms + SETTLE_MS
        return self._judge(text, fingerprint) if text.seen_ms >= due_ms else Settling(due_ms)

    def _judge(self, text: OverridesText, fingerprint: str) -> Accepted | Refused:
        self._candidate = None
        try:
            book = self._parser.parse_look(text)
        except OverridesInvalid as error:
            self._refused = (fingerprint, error.problems)
            return Refused(error.problems)
        changes = changes_between(self._book, book)
        self._book, self._in_force, self._refused = book, fingerprint, None
        return Accepted(book, book.digest, changes, tuple(change for change in changes if _waits(change)))


def _waits(change: ConfigChange) -> bool:
    return change.key.startswith("engine.")
