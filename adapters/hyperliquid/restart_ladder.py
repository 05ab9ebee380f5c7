"""What is begun again when something is stale, and how often: from the smallest thing to the largest.

A rung is climbed only when the one below changed nothing, and none is used again for the same thing before a time has
passed that doubles with each use. What was well for ten minutes starts over. A connection that spoke after it was made
anew and fell silent again is not helped by more: it waits for its time. Reconnecting everything is left to a connection
that stayed silent also when it was new. A dead stream moves its connection once, and never the others.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field

FIRST_COOLDOWN_MS = 60_000
LONGEST_COOLDOWN_MS = 15 * 60_000
CALM_MS = 10 * 60_000
PATIENCE_MS = 15_000
"""What a rung gets to show its effect before the next one."""
RECONNECTS_PER_MINUTE = 10
"""Of all connections together: two thirds of what the feed opens in a minute, itself half of the venue's limit."""
_MINUTE_MS = 60_000
_ALL = "all connections"


class Rung(enum.IntEnum):
    RESUBSCRIBE = 1
    RECONNECT = 2
    RECONNECT_ALL = 3


@dataclass(slots=True)
class _Case:
    """One thing that is, or lately was, sick."""

    sick_ms: int
    acted_ms: int = -(1 << 60)
    highest: Rung | None = None
    """Climbed since it last spoke."""
    again_ms: dict[Rung, int] = field(default_factory=dict)
    cooldown_ms: dict[Rung, int] = field(default_factory=dict)


class RestartLadder:
    """Decides, and keeps count as if each answer were followed. Times are real milliseconds."""

    def __init__(self) -> None:
        self._cases: dict[str, _Case] = {}
        self._reconnects: deque[int] = deque()

    def for_line(self, number: int, lines: int, now_ms: int) -> Rung | None:
        """What to do about a connection that is sick at this look, one of so many; None: nothing, or nothing more."""
        case, everything = self._case(_line(number), now_ms), self._case(_ALL, now_ms)
        if now_ms - case.acted_ms < PATIENCE_MS:
            return None
        if case.highest and lines > 1 and self._take(everything, Rung.RECONNECT_ALL, lines, now_ms):
            return _climbed(case, Rung.RECONNECT_ALL, now_ms)
        if self._take(case, Rung.RECONNECT, 1, now_ms):
            return _climbed(case, Rung.RECONNECT, now_ms)
        return None

    def line_spoke(self, number: int) -> None:
        """It has been heard since: what comes next is another case, but nothing is repeated sooner for that."""
        if (case := self._cases.get(_line(number))) is not None:
            case.highest = None

    def for_coin(self, symbol: str, number: int, now_ms: int) -> Rung | None:
        """What to do about a dead stream: subscribe again, or reconnect the connection it is on."""
        case = self._case(symbol, now_ms)
        if now_ms - case.acted_ms < PATIENCE_MS:
            return None
        if case.highest is Rung.RESUBSCRIBE and self._take(
            self._case(_line(number), now_ms), Rung.RECONNECT, 1, now_ms
        ):
            return _climbed(case, Rung.RECONNECT, now_ms)
        if self._take(case, Rung.RESUBSCRIBE, 0, now_ms):
            return _climbed(case, Rung.RESUBSCRIBE, now_ms)
        return None

    def _case(self, name: str, now_ms: int) -> _Case:
        case = self._cases.get(name)
        if case is None or now_ms - case.sick_ms > CALM_MS:
            case = self._cases[name] = _Case(now_ms)
        case.sick_ms = now_ms
        return case

    def _take(self, case: _Case, rung: Rung, connections: int, now_ms: int) -> bool:
        """Use a rung for a thing if its time has come and the venue's limits carry it."""
        if now_ms < case.again_ms.get(rung, now_ms):
            return False
        while self._reconnects and self._reconnects[0] <= now_ms - _MINUTE_MS:
            self._reconnects.popleft()
        if connections and len(self._reconnects) + connections > RECONNECTS_PER_MINUTE:
            return False
        self._reconnects.extend([now_ms] * connections)
        cooldown_ms = case.cooldown_ms.get(rung, FIRST_COOLDOWN_MS)
        case.again_ms[rung] = now_ms + cooldown_ms
        case.cooldown_ms[rung] = min(LONGEST_COOLDOWN_MS, 2 * cooldown_ms)
        return True


def _climbed(case: _Case, rung: Rung, now_ms: int) -> Rung:
    case.acted_ms = now_ms
    case.highest = max(rung, case.highest or rung)
    return rung


def _line(number: int) -> str:
    return f"connection {number}"
