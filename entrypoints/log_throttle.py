"""Limits for a log that says the same over and over: a storm of errors must neither fill a disk nor hide the rest.

Each event (logger, level and message; fields may differ) has so many lines a minute, and all warnings and errors
together have too. What is over is counted, and told in one line when the minute is over and something else is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Lines a minute. `loud` are warnings and worse: more than a market has symbols, for each may have its own once."""

    loud: int = 300
    quiet: int = 30_000
    loud_together: int = 1_000
    events: int = 1_000
    """Events told apart; past them, all others of a logger and level are one."""


@dataclass(slots=True)
class _Count:
    lines: int = 0
    suppressed: int = 0


_Key = tuple[str, int, str]
_ALL_LOUD: _Key = ("", 0, "all warnings and errors")


class LogThrottle:
    """Not locked: whoever asks holds a handler's lock."""

    def __init__(self, limits: LogLimits, monotonic_s: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic_s = monotonic_s
        self._counts: dict[_Key, _Count] = {}
        self._ends_s = 0.0

    def passes(self, record: logging.LogRecord) -> bool:
        """Whether a record may be written. Call `overdue` before."""
        limits, is_loud = self._limits, record.levelno >= logging.WARNING
        count = self._count(record)
        if count.lines >= (limits.loud if is_loud else limits.quiet):
            count.suppressed += 1
            return False
        if is_loud:
            together = self._counts.setdefault(_ALL_LOUD, _Count())
            if together.lines >= limits.loud_together:
                together.suppressed += 1
                return False
            together.lines += 1
        count.lines += 1
        return True

    def overdue(self) -> Iterator[logging.LogRecord]:
        """What was suppressed in a minute that is over: one record an event."""
        now_s = self._monotonic_s()
        if now_s >= self._ends_s:
            self._ends_s = now_s + WINDOW_S
            yield from self.rest()

    def rest(self) -> Iterator[logging.LogRecord]:
        """What was suppressed and not told yet. Counting begins anew."""
        counts, self._counts = self._counts, {}
        for (name, level, message), count in counts.items():
            if count.suppressed:
                fields = {"suppressed": message, "times": count.suppressed}
                yield logging.makeLogRecord(
                    {"name": name or "log", "levelno": level or logging.WARNING, "msg": "log_suppressed"}
                    | {"levelname": logging.getLevelName(level or logging.WARNING), **fields}
                )

    def _count(self, record: logging.LogRecord) -> _Count:
        key: _Key = (record.name, record.levelno, str(record.msg))
        if key not in self._counts and len(self._counts) >= self._limits.events:
            key = (record.name, record.levelno, "other events")
        return self._counts.setdefault(key, _Count())
