"""How far the venue's clock is ahead of ours, as far as its answers prove it.

An answer that tells the venue's time was under way for a while, so it proves a span of skews and not one. Of that span
the value nearest to zero is taken for proven: the truth is at least as far off, in the same direction.
"""

from __future__ import annotations

SURE_MS = 1_000
"""A span up to which an answer says that the clocks agree. A wider one can only say that they do not."""


def proven_ms(lowest_ms: int, highest_ms: int) -> int:
    """What is certain of a skew that lies between these: the value nearest to zero."""
    assert lowest_ms <= highest_ms, "a span has its ends in order"
    return max(lowest_ms, min(highest_ms, 0))


class VenueSkew:
    """The newest proven skew in ms: positive where the venue is ahead of us, 0 where nothing is proven.

    Whoever has to know that a moment has passed at the venue adds it to our clock's time. So where a slow answer leaves
    open whether an older proof still holds, the venue is taken to be behind rather than ahead: waiting is the cheap
    mistake.
    """

    def __init__(self) -> None:
        self._ms = 0

    def __call__(self) -> int:
        return self._ms

    def learn(self, lowest_ms: int, highest_ms: int) -> None:
        """Take an answer's word: the skew lies between these, now (`ClockLook.bounds_ms`)."""
        proven = proven_ms(lowest_ms, highest_ms)
        says_nothing_new = highest_ms - lowest_ms > SURE_MS and lowest_ms <= self._ms <= highest_ms
        self._ms = min(self._ms, proven) if says_nothing_new else proven
