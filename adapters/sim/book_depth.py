"""Depth: what a taker finds in a recorded book, level by level.

    snapshot ─▶ levels not better than a newer touch ─▶ less what we took of them ─▶ as far as limit and size go

The market that was recorded never noticed us, so what we took of a snapshot is remembered until the next one: no level
is sold to us twice. A book that is exhausted fills nothing further: the venue's book goes on behind the last recorded
level, but nobody wrote down how.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from adapters.sim.matching import within_limit
from domain.intents import Side
from domain.market import BookLevel, BookSnapshot

ZERO = Decimal(0)
FRESH_MS = 10_000
"""A book that is older, in event time, says nothing any more: about two snapshots of the venue's slow feed."""


@dataclass(slots=True)
class BookDepth:
    """The newest book of a symbol, and what we took of it: (our side, price) to size."""

    snapshot: BookSnapshot
    taken: dict[tuple[Side, Decimal], Decimal] = field(default_factory=dict)

    def is_fresh(self, now_ms: int) -> bool:
        """Whether the book still describes the market; one on which nobody could trade never does."""
        return now_ms - self.snapshot.venue_ms <= FRESH_MS and self.snapshot.touch is not None

    def reach(self, side: Side, touch: Decimal | None) -> list[BookLevel]:
        """The levels that an order of `side` can meet, as recorded. `touch` is one newer than the book, or None:
        levels better than it are gone."""
        levels = self.snapshot.asks if side is Side.BUY else self.snapshot.bids
        return [level for level in levels if touch is None or (level[0] - touch) * side.sign >= 0]

    def take(self, side: Side, size: Decimal, limit: Decimal, touch: Decimal | None) -> list[BookLevel]:
        """Take up to `size` from the levels within `limit`; returns what was got, best first. It is gone afterwards."""
        got = []
        for price, recorded in self.reach(side, touch):
            if size == 0 or not within_limit(side, price, limit):
                break
            taken = self.taken.get((side, price), ZERO)
            step = min(size, recorded - taken)
            if step > 0:
                self.taken[side, price] = taken + step
                got.append((price, step))
                size -= step
        return got

    def size_at(self, side: Side, price: Decimal) -> Decimal | None:
        """The recorded size of orders that rest on `side` at a price; None deeper than the book was recorded."""
        levels = self.snapshot.bids if side is Side.BUY else self.snapshot.asks
        if not levels or (levels[-1][0] - price) * side.sign > 0:
            return None
        return next((size for each, size in levels if each == price), ZERO)
