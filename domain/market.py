"""Single market events, for those who want them one by one rather than as columns."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.intents import Side

BookLevel = tuple[Decimal, Decimal]
"""Price and size."""


@dataclass(slots=True)
class Trade:
    """One public execution; `buy` is the aggressor's side, `tid` the venue's number, not unique for ever."""

    symbol: str
    time_ms: int
    buy: bool
    price: float
    size: float
    tid: int


@dataclass(slots=True)
class PublicTrade:
    """One public execution as the venue wrote it, exact; `side` is the aggressor's, `tid` as in `Trade`."""

    symbol: str
    side: Side
    price: Decimal
    size: Decimal
    time_ms: int
    tid: int


@dataclass(slots=True)
class BookSnapshot:
    """An order book as the venue wrote it, exact: best level first on each side, 20 levels at most.

    Nothing is known of what lies deeper than the last level of a side.
    """

    symbol: str
    venue_ms: int
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]

    @property
    def touch(self) -> tuple[Decimal, Decimal] | None:
        """Best bid and ask; None for a one-sided or crossed book, on which nobody could trade."""
        if not self.bids or not self.asks or self.bids[0][0] > self.asks[0][0]:
            return None
        return self.bids[0][0], self.asks[0][0]
