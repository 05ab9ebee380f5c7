"""Closed candles of the past."""

from __future__ import annotations

from collections.abc import Sequence
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


class CandleStore(Protocol):
    """Closed candles on disk, in their final state."""

    def write(self, batches: Sequence[CandleBatch]) -> None:
        """Insert candles; a candle that is there already is replaced (a late revision wins)."""
        ...

    def read(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        """Stored candles with open time in [start_ms, end_ms), oldest first; maybe with gaps."""
        ...

    def close(self) -> None: ...
