"""What the market said during one short slice of time, as columns; the newest per symbol and candle wins.

A slice lasts until somebody takes it, so that a slow reader gets fewer and newer events, never a queue of old ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapters.hyperliquid.heard import BboHeard, CandleHeard
from domain.candles import CandleBatch, Interval
from domain.events import CandleUpdates, Quotes
from domain.instruments import Universe

_LAYOUTS_KEPT = 256
_INFINITE = float("inf")


@dataclass(slots=True)
class MarketCounts:
    """`conflated` gave way to newer news of the same thing; the rest was set aside."""

    conflated: int = 0
    stale: int = 0
    """Older than what was told before."""
    unusable: int = 0
    """One-sided or crossed."""
    foreign: int = 0
    """A symbol or an interval that we do not watch."""
    ahead: int = 0
    """From the future."""


class MarketSlice:
    """Collects quotes and running candles. `ahead_limit_ms`: how far the venue's time may be ahead of our clock."""

    def __init__(self, universe: Universe, interval: Interval, ahead_limit_ms: int) -> None:
        self._find = universe.find
        self._interval = interval
        self._ahead_limit_ms = ahead_limit_ms
        self._quotes: dict[int, BboHeard] = {}
        self._candles: dict[int, dict[int, CandleHeard]] = {}
        self._quoted_ms = [-1] * len(universe)
        self._venue_ms = -1
        self._layouts: dict[tuple[int, ...], npt.NDArray[np.intp]] = {}
        self.counts = MarketCounts()

    @property
    def is_empty(self) -> bool:
        return not self._quotes and not self._candles

    def quote(self, heard: BboHeard, now_ms: int) -> bool:
        """Take a best bid and ask; False where the venue's time cannot be right.

        A quote without two sides leaves the last good one in place.
        """
        symbol_id = self._find(heard.coin)
        if symbol_id is None:
            self.counts.foreign += 1
            return True
        if heard.venue_ms > now_ms + self._ahead_limit_ms:
            self.counts.ahead += 1
            return False
        bid, ask = heard.bid, heard.ask
        if bid is None or ask is None or not 0 < bid <= ask < _INFINITE:
            self.counts.unusable += 1
        elif heard.venue_ms < self._quoted_ms[symbol_id]:
            self.counts.stale += 1
        else:
            self.counts.conflated += symbol_id in self._quotes
            self._quotes[symbol_id] = heard
            self._quoted_ms[symbol_id] = heard.venue_ms
            self.stamp(heard.venue_ms)
        return True

    def candle(self, heard: CandleHeard, now_ms: int) -> bool:
        """Take a running candle; False where it cannot have begun yet.

        Of two states the one with less volume is the older.
        """
        symbol_id = self._find(heard.coin)
        if symbol_id is None or heard.interval is not self._interval:
            self.counts.foreign += 1
            return True
        if heard.open_ms > now_ms + self._ahead_limit_ms:
            self.counts.ahead += 1
            return False
        rows = self._candles.setdefault(heard.open_ms, {})
        known = rows.get(symbol_id)
        if known is None or heard.volume >= known.volume:
            rows[symbol_id] = heard
        self.counts.conflated += known is not None
        return True

    def stamp(self, venue_ms: int) -> None:
        """The venue's time is at least this."""
        if venue_ms > self._venue_ms:
            self._venue_ms = venue_ms

    def take(self) -> list[Quotes | CandleUpdates]:
        """Everything collected, oldest first; the next slice is empty.

        Quotes of one venue time stand together: a time that were not a quote's own would let an older one pass for new.
        """
        quotes, self._quotes = self._quotes, {}
        candles, self._candles = self._candles, {}
        events: list[Quotes | CandleUpdates] = []
        by_time: dict[int, list[int]] = {}
        for symbol_id in sorted(quotes):
            by_time.setdefault(quotes[symbol_id].venue_ms, []).append(symbol_id)
        for venue_ms in sorted(by_time):
            ids = by_time[venue_ms]
            bid = np.array([quotes[each].bid for each in ids], dtype=np.float64)
            ask = np.array([quotes[each].ask for each in ids], dtype=np.float64)
            events.append(Quotes(venue_ms, self._layout(ids), bid, ask))
        for open_ms in sorted(candles):
            # A candle frame carries no time of its own: that it has begun is what it proves.
            events.append(CandleUpdates(self._batch(open_ms, candles[open_ms]), max(self._venue_ms, open_ms)))
        return events

    def _batch(self, open_ms: int, rows: dict[int, CandleHeard]) -> CandleBatch:
        ids = sorted(rows)
        values = np.array([(c.open, c.high, c.low, c.close, c.volume) for c in map(rows.__getitem__, ids)]).T.copy()
        return CandleBatch(self._interval, open_ms, self._layout(ids), *values)

    def _layout(self, ids: Sequence[int]) -> npt.NDArray[np.intp]:
        """The ids as a column; the same object for the same ids, by which readers see that one replaces another."""
        key = tuple(ids)
        known = self._layouts.get(key)
        if known is None:
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            known = self._layouts[key] = np.array(key, dtype=np.intp)
            known.flags.writeable = False
        return known
