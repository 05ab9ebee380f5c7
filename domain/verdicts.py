"""Verdicts: what became of one analysed symbol. The numbers stand in columns and digests."""

from __future__ import annotations

import enum


class Verdict(enum.IntEnum):
    NO_SIGNAL = 0
    """A gate of the strategy said no, or its direction was neutral."""
    REFUSED = 1
    """There was a signal; an entry gate said no."""
    OPEN = 2
    ADD = 3
    CLOSE = 4
    """The signal was against the position, which is being closed."""
    HOLD = 5
    """A signal in the position's direction that adds nothing to it."""
