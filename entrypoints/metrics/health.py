"""Is the daemon at work? Its loop goes round, its disk takes what it writes, its recovery is over: nothing else.

A feed that is stale, a latch that is shut and entries that are held are no illness: a restart mends none of them. They
are facts that stand beside the answer.
"""

from __future__ import annotations

from entrypoints.metrics.commits import TimedCommitter
from ports.clock import Clock

PATIENCE_MS = 30_000
"""Real time. The loop comes round several times a second; a disk may stall for a while."""


class Health:
    def __init__(self, clock: Clock, committer: TimedCommitter) -> None:
        self._clock = clock
        self._committer = committer
        self._turned_ms: int | None = None

    def turned(self) -> None:
        """The engine's loop has come round; the first time means that recovery is over."""
        self._turned_ms = self._clock.monotonic_ms()

    @property
    def turn_age_ms(self) -> int | None:
        """How long ago (real time) the loop came round; None while the daemon recovers."""
        return None if self._turned_ms is None else self._clock.monotonic_ms() - self._turned_ms

    def problems(self) -> list[str]:
        """Why it is not at work; empty if it is."""
        found = []
        age_ms = self.turn_age_ms
        if age_ms is None:
            found.append("recovery is not over: the venue is asked what happened meanwhile")
        elif age_ms > PATIENCE_MS:
            found.append(f"the engine's loop has not come round for {age_ms // 1000} s")
        waiting_ms = self._committer.waiting_ms
        if waiting_ms > PATIENCE_MS:
            found.append(f"a commit to the ledger has not returned for {waiting_ms // 1000} s")
        return found
