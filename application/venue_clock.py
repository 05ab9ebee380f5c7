"""The venue's time as the daemon knows it: the newest stamp, and what has passed since it came."""

from __future__ import annotations

UNKNOWN_MS = -1


class VenueClock:
    """Moves forward only. Stamps come from quotes, candles and answers that tell the venue's time."""

    def __init__(self) -> None:
        self._stamp_ms = UNKNOWN_MS
        self._stamp_at_ms = 0

    @property
    def stamped_at_ms(self) -> int:
        """When, by the session's own time, the newest stamp came."""
        return self._stamp_at_ms

    def stamp(self, venue_ms: int, at_ms: int) -> None:
        """Take a stamp that came at `at_ms`. One from the past does not turn time back."""
        if venue_ms >= self.now(at_ms):
            self._stamp_ms, self._stamp_at_ms = venue_ms, at_ms

    def now(self, at_ms: int) -> int:
        """Venue time at `at_ms` of the session's own; `UNKNOWN_MS` before the first stamp."""
        if self._stamp_ms == UNKNOWN_MS:
            return UNKNOWN_MS
        return self._stamp_ms + max(0, at_ms - self._stamp_at_ms)
