"""How long a source is usually silent, learned from looks at it: once a second, not with every frame.

A look sees how old the newest frame is. Once another one has come, that age was a usual one, and is learned; an age
that still grows teaches nothing, or a dead source would move its own limit before it. What speaks many times a second
is so seen as old as it is on average at any moment, which gives much weight to its long gaps and little to its bursts;
of what speaks rarely each gap is learned, short by less than the time between two looks.
"""

from __future__ import annotations

TIMES_USUAL = 20
"""Where frames come by chance, one gap in five hundred million is twenty usual ones long."""
TIMES_LONGEST = 2.5
TIMES_REGULAR = 1.5
"""What was hardly ever silent for longer than usual goes by a clock: for that, twenty gaps would be much too patient,
and two and a half times the longest is not. By chance forty gaps are as regular once in ten thousand times."""
REGULAR_GAPS = 40
BUSY_MS = 250
"""What usually speaks this often is never quiet: in 10 s it missed forty frames. Equal prices prove nothing there: in a
recorded outage of 18 s Bitcoin moved by 2 bps."""
BUSY_GAPS = 30
"""So many, half a minute of it: a burst does not make a coin busy."""
FLOOR_MS = 20.0
CEILING_MS = 15_000.0
"""The usual gap lies between these, whatever comes: no limit is above five minutes."""
FIRST_GUESS_MS = 1_500.0
MEMORY_GAPS = 60
LONGEST_KEPT = 0.995
"""Of the longest gap, with each new one."""
LATE_LOOK_MS = 5_000
"""After a look that came later than this we have slept ourselves, and what looks like silence may lie unread."""


class UsualGap:
    """What one source has taught. All times are real milliseconds."""

    __slots__ = ("_mean_ms", "_silence_ms", "gaps", "longest_ms")

    def __init__(self) -> None:
        self._mean_ms = FIRST_GUESS_MS
        self._silence_ms: int | None = None
        """At the look before; None where the gap that is under way is not to be learned."""
        self.gaps = 1
        """Learned so far, the first guess counted as one; no more than the memory holds."""
        self.longest_ms = 0.0

    def look(self, silence_ms: int, passed_ms: int) -> bool:
        """Take how long nothing was heard, `passed_ms` after the look before; True where something came in between."""
        heard, is_late, before_ms = silence_ms <= passed_ms, passed_ms > LATE_LOOK_MS, self._silence_ms
        if heard and before_ms is not None and not is_late:
            self.gaps = min(self.gaps + 1, MEMORY_GAPS)
            self._mean_ms += (min(before_ms, CEILING_MS) - self._mean_ms) / self.gaps
            self.longest_ms = max(float(before_ms), self.longest_ms * LONGEST_KEPT)
        if heard:
            self._silence_ms = silence_ms
        elif before_ms is not None:
            self._silence_ms = None if is_late else silence_ms
        return heard

    def skip(self) -> None:
        """The silence that is under way is none of the usual ones, however it ends."""
        self._silence_ms = None

    @property
    def usual_ms(self) -> float:
        return max(FLOOR_MS, self._mean_ms)

    @property
    def is_busy(self) -> bool:
        return self.gaps > BUSY_GAPS and self.usual_ms <= BUSY_MS

    @property
    def is_regular(self) -> bool:
        return self.gaps >= REGULAR_GAPS and self.longest_ms <= TIMES_REGULAR * self.usual_ms

    def limit_ms(self, least_ms: int) -> int:
        """A silence above this is not chance any more; never less than `least_ms`."""
        far_ms = TIMES_LONGEST * self.longest_ms if self.is_regular else TIMES_USUAL * self.usual_ms
        return max(least_ms, int(far_ms))
