"""What became of an order to which no answer came: the questions to ask, and what proves that it never lived.

    LOOK ──found──▶ the venue's word (the order's evidence, not ours to judge)
      │absent
      ▼
    BURN its nonce, until that is certain ──▶ LOOK, which dates that ──▶ wait ──▶ SEARCH ──absent──▶ dead

An order is dead when all three are proven: its nonce is used up by something that is not it, its expiry has passed in
the venue's time, and it is absent everywhere at a moment of the venue's time by which anything accepted would be seen.
One "unknown order" proves nothing (a new order may be invisible for a moment), nor does any time of our own. That the
nonce was a duplicate does not prove that the order landed: an earlier try to burn it may have been the first.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from domain.intents import Payload

LOOK_PAUSES_MS = (200, 300, 500, 1_000, 3_000, 5_000)
"""Between questions; the last one repeats."""

VISIBILITY_MS = 10_000
"""By then the venue shows what it has accepted, on all its servers."""

EXPIRY_MARGIN_MS = 5_000
"""How far past its expiry an order counts as expired: the venue's block time is not the time of its answers."""


class Question(enum.Enum):
    LOOK = "look"
    """Does the venue know it by its id?"""
    BURN = "burn"
    SEARCH = "search"
    """Is it anywhere: known by its id, open, or in a fill?"""


@dataclass(frozen=True, slots=True)
class Inquest:
    """What is known of one order's fate. Times but `next_ms` are the venue's, None for never.

    `is_asking`: a question is out, and nothing else is asked until it is answered. `sure_ms`: from then on absence
    counts. `absent_ms` and `nowhere_ms` are the newest moments of a look and of a search without a trace.
    """

    payload: Payload | None
    next_ms: int
    looks: int = 0
    is_asking: bool = False
    is_burned: bool = False
    burned_by_ms: int | None = None
    absent_ms: int | None = None
    nowhere_ms: int | None = None

    @property
    def sure_ms(self) -> int | None:
        """An order that was never signed for has nothing to burn and nothing to expire."""
        if self.payload is None:
            return 0
        if self.burned_by_ms is None:
            return None
        return max(self.burned_by_ms, self.payload.expires_ms + EXPIRY_MARGIN_MS) + VISIBILITY_MS


def inquest(payload: Payload | None, at_ms: int) -> Inquest:
    """Begin."""
    return Inquest(payload, at_ms + LOOK_PAUSES_MS[0])


def question(known: Inquest, at_ms: int) -> Question | None:
    """What to ask now, if anything."""
    if known.is_asking or at_ms < known.next_ms:
        return None
    if known.absent_ms is None:
        return Question.LOOK
    if known.payload is not None and not known.is_burned:
        return Question.BURN
    return Question.LOOK if known.sure_ms is None else Question.SEARCH


def asked(known: Inquest) -> Inquest:
    return replace(known, is_asking=True)


def unanswered(known: Inquest, at_ms: int) -> Inquest:
    """Nobody could say: ask the same again later."""
    return _later(replace(known, is_asking=False), at_ms)


def absent(known: Inquest, venue_ms: int, at_ms: int, *, everywhere: bool) -> Inquest:
    """There was no trace of it as of `venue_ms`. The first look after burning says by when that was done."""
    newest_ms = max(venue_ms, known.absent_ms or 0)
    seen = replace(known, is_asking=False, absent_ms=newest_ms)
    if known.is_burned and known.burned_by_ms is None:
        seen = replace(seen, burned_by_ms=venue_ms)
    if everywhere:
        seen = replace(seen, nowhere_ms=newest_ms)
    if seen.sure_ms is None:
        return replace(seen, next_ms=at_ms) if seen.payload is not None and not seen.is_burned else _later(seen, at_ms)
    left_ms = seen.sure_ms - newest_ms
    return replace(seen, next_ms=at_ms + max(left_ms, 0)) if left_ms > 0 or not everywhere else _later(seen, at_ms)


def burned(known: Inquest, at_ms: int) -> Inquest:
    """Its nonce is certainly used up."""
    return replace(known, is_asking=False, is_burned=True, next_ms=at_ms)


def proof_of_death(known: Inquest) -> str | None:
    """The three proofs in words, or None while one of them is missing."""
    if known.sure_ms is None or known.nowhere_ms is None or known.nowhere_ms < known.sure_ms:
        return None
    if known.payload is None:
        return f"nowhere at {known.nowhere_ms}, and never signed for"
    burning = f"nonce {known.payload.nonce} used up by {known.burned_by_ms}"
    return f"{burning}, expired {known.payload.expires_ms}, nowhere at {known.nowhere_ms}"


def _later(known: Inquest, at_ms: int) -> Inquest:
    pause_ms = LOOK_PAUSES_MS[min(known.looks, len(LOOK_PAUSES_MS) - 1)]
    return replace(known, looks=known.looks + 1, next_ms=at_ms + pause_ms)
