"""Turning the text of an overrides file into a config, and how that can fail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from domain.config_events import OverridesText
from domain.strategy_config import Place, StrategyBook


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong, where, and what to do. Sorts by place."""

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.key, self.message) if part)


class ConfigError(Exception):
    """We cannot start as asked. Carries every problem at once, in the order of their places."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.place, problem.key)))
        assert self.problems, "an error names at least one problem"
        super().__init__("\n".join(str(problem) for problem in self.problems))


class OverridesInvalid(ConfigError):
    """A text cannot be an overrides file. Nothing of it was taken."""


class StrategyConfigParser(Protocol):
    """Reads overrides for one mode. Pure: the same text gives the same book, or the same problems."""

    def parse_look(self, look: OverridesText) -> StrategyBook:
        """Resolve what a look found. Raises `OverridesInvalid` if it is no valid file, and nothing else."""
        ...

    def defaults(self, path: str) -> StrategyBook:
        """What is in force without a file. Raises `OverridesInvalid` if a mode was chosen: only a file has modes."""
        ...
