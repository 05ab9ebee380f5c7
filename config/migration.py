"""What became of every key and variable of the earlier engine.

The tables in `config.migration_keys` and `config.migration_variables` are the one source: the
warnings for keys and variables that have no effect here come from it, and `docs/migration.md`
is written from it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Fate(enum.Enum):
    """What became of a name."""

    KEPT = "kept"
    RENAMED = "renamed"
    LATER = "later"
    DROPPED = "dropped"
    REFUSED = "refused"
    """Dropped, and leaving it in place unheard could cost money: whoever has it switched on is told before a start."""


@dataclass(frozen=True, slots=True)
class Heritage:
    """One name of the earlier engine. `note`: what changed, the new name, or the reason; may be empty if kept."""

    name: str
    fate: Fate
    note: str

    @property
    def warning(self) -> str:
        """What to tell somebody who still sets it. Only for names that have no effect."""
        match self.fate:
            case Fate.RENAMED:
                return f"has no effect: use {self.note}"
            case Fate.LATER:
                return f"is NOT in force yet: {self.note}"
            case Fate.DROPPED | Fate.REFUSED:
                return f"has no effect: {self.note}"
            case Fate.KEPT:
                raise AssertionError("a kept name is read, not warned about")


def heritage(prefix: str, names: str, fate: Fate, note: str = "") -> tuple[Heritage, ...]:
    """One row of a table: several names that share a fate and a note. A trailing `*` stands for any ending."""
    return tuple(Heritage(prefix + name, fate, note) for name in names.split())


def find(name: str, table: Iterable[Heritage]) -> Heritage | None:
    """The entry of a name: its own, or that of the first pattern it fits."""
    fitting = [entry for entry in table if _fits(name, entry.name)]
    return min(fitting, key=lambda entry: entry.name != name, default=None)


def _fits(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
