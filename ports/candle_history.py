"""Closed candles of the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.candles import CandleBatch, CandleWindow, Interval


class HistoryUnavailable(Exception):
    """The source cannot answer now; the message says why."""


class CandleHistory(Protocol):
    """Closed candles from a venue, or from a store in front of it."""

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        """Candles with open time in [start_ms, end_ms) whose span has ended, oldest first.

        An empty window means that there are none. Raises `HistoryUnavailable` when the source
        cannot say.
        """
        ...


@dataclass(frozen=True, slots=True)
class CandleRevision:
    """A stored candle that the venue's history contradicts: (open, high, low, close, volume) before and now.

    `before` is None where no candle was stored.
    """

    symbol: str
    interval: Interval
    open_ms: int
    before: tuple[float, float, float, float, float] | None
    now: tuple[float, float, float, float, float]


class CandleStore(Protocol):
    """Closed candles on disk, in their final state.

    A candle is *confirmed* once the venue's history has said the same. Those from a stream are not, until then.
    """

    def write(self, batches: Sequence[CandleBatch]) -> None:
        """Keep candles from the stream. One that is there already is replaced, and is confirmed no longer if it
        changes; the same one again changes nothing."""
        ...

    def confirm(self, window: CandleWindow, at_ms: int) -> tuple[CandleRevision, ...]:
        """Put the venue's own candles in place, as confirmed. `window` has no hole.

        Returns what was stored otherwise, oldest first; that is also kept as a revision with its time `at_ms`. Candles
        that were missing are no revisions.
        """
        ...

    def read(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        """Stored candles with open time in [start_ms, end_ms), oldest first; maybe with gaps."""
        ...

    def read_confirmed(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        """The unbroken run of confirmed candles that begins with the one opened at `start_ms`, up to `end_ms`; empty
        where that one is missing or not confirmed."""
        ...

    def close(self) -> None: ...
