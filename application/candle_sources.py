"""CandleSources: where closed candles come from when the stream did not tell them: the store first, then the venue.

What the venue's history has confirmed once is never asked for again. Candles from the stream are kept in the store
too, but they are the stream's word: a history takes the venue's instead, which costs next to nothing, as it is asked
for the tail anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from application.committer import Committer
from domain.candles import CandleWindow, Interval
from ports.candle_history import CandleHistory, CandleRevision
from ports.clock import Clock

STORE = "store"
VENUE = "venue"
BOTH = "store+venue"


@dataclass(slots=True)
class SourceCounts:
    """Candles by where they came from, and what the venue was asked, since the start."""

    from_store: int = 0
    from_venue: int = 0
    questions: int = 0
    revised: int = 0


class CandleSources:
    def __init__(self, committer: Committer, history: CandleHistory, clock: Clock) -> None:
        self._committer = committer
        self._history = history
        self._clock = clock
        self._confirmed_ms: dict[tuple[str, Interval], int] = {}
        self.counts = SourceCounts()

    def confirmed_until(self, symbol: str, interval: Interval) -> int | None:
        """Open time of the first candle that the venue has not confirmed in this session; None before it was asked."""
        return self._confirmed_ms.get((symbol, interval))

    async def candles(
        self, symbol: str, interval: Interval, start_ms: int, end_ms: int, *, stored_only: bool = False
    ) -> tuple[CandleWindow, str]:
        """Closed candles with open time in [start_ms, end_ms), without a hole, and where they came from.

        With `stored_only` the venue is asked for what follows on stored candles; where there are none, nothing is.

        What came from the venue is in the store before this returns. Raises `HistoryUnavailable` where the venue has
        to be asked and cannot say, `StorageError` where the store cannot be used.
        """
        stored = await self._committer.read_confirmed(symbol, interval, start_ms, end_ms)
        self.counts.from_store += len(stored)
        from_ms = int(stored.open_ms[-1]) + interval.ms if len(stored) else start_ms
        if from_ms >= end_ms or (stored_only and not len(stored)):
            if len(stored):
                self._note(symbol, interval, from_ms)
            return stored, STORE
        fresh, _ = await self.confirm(symbol, interval, from_ms, end_ms)
        if not len(stored):
            return fresh, VENUE
        return stored.joined(fresh), BOTH

    async def confirm(
        self, symbol: str, interval: Interval, start_ms: int, end_ms: int
    ) -> tuple[CandleWindow, tuple[CandleRevision, ...]]:
        """Ask the venue for closed candles and keep them; what was stored otherwise comes back besides."""
        fresh = await self._history.candles(symbol, interval, start_ms, end_ms)
        self.counts.questions += 1
        self.counts.from_venue += len(fresh)
        if not len(fresh):
            return fresh, ()
        revisions = await self._committer.confirm(fresh, self._clock.now_ms())
        self.counts.revised += len(revisions)
        self._note(symbol, interval, int(fresh.open_ms[-1]) + interval.ms)
        return fresh, revisions

    def _note(self, symbol: str, interval: Interval, until_ms: int) -> None:
        key = (symbol, interval)
        self._confirmed_ms[key] = max(until_ms, self._confirmed_ms.get(key, 0))
