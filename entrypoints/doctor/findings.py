"""What a check found: a level, words with the fix, and the exit code where it is bad."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from entrypoints.exit_codes import ExitCode, exit_code_of
from ports.strategy_config import ConfigError


class Level(enum.Enum):
    OK = "ok"
    WARNING = "warning"
    BAD = "bad"
    SKIPPED = "skipped"
    """Does not apply to this set-up, or cannot be looked at while something else is bad; the text says which."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    level: Level
    text: str
    code: ExitCode = ExitCode.DONE
    """What a start would end with, or the nearest to it."""


def ok(check: str, text: str) -> Finding:
    return Finding(check, Level.OK, text)


def warning(check: str, text: str) -> Finding:
    return Finding(check, Level.WARNING, text)


def bad(check: str, text: str, code: ExitCode) -> Finding:
    return Finding(check, Level.BAD, text, code)


def skipped(check: str, why: str) -> Finding:
    return Finding(check, Level.SKIPPED, why)


def from_error(check: str, error: Exception, hint: str = "") -> list[Finding]:
    """Findings out of an error that a start would end with; every problem of a configuration is one."""
    code = exit_code_of(error)
    assert code is not None, f"an error that a user can act on, not {error!r}"
    texts = [str(each) for each in error.problems] if isinstance(error, ConfigError) else [str(error)]
    return [bad(check, " ".join(text.split()) + hint, code) for text in texts]


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """That of the first bad finding; 0 if there is none."""
    return next((each.code for each in findings if each.level is Level.BAD), ExitCode.DONE)
