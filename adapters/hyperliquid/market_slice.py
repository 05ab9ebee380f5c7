"""What the market said during one short slice of time, as columns; the newest per symbol and candle wins.

A slice lasts until somebody takes it, so that a slow reader gets fewer and newer events, never a queue of old ones.
Only where a candle stream stops must the slice end: what was heard before that is told before it. Streams that begin
are told at a slice's end, before the first of their candles: later than it was so, never earlier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from adapters.hyperliquid.heard import BboHeard, CandleHeard
from domain.candles import CandleBatch, Interval
from domain.events import CandleStreams, CandleUpdates, Quotes
from domain.instruments import Universe

_LAYOUTS_KEPT = 256
_INFINITE = float("inf")

CandleStream = tuple[str, Interval]
"""Symbol and interval."""
MarketEvent = Quotes | CandleUpdates | CandleStreams


@dataclass(slots=True)
class MarketCounts:
    """`conflated` gave way to newer news of the same thing; the rest was set aside."""

    conflated: int = 0
    stale: int = 0
    """Older than what was told before."""
    unusable: int = 0
    """One-sided or crossed."""
    foreign: int = 0
    """A symbol or an interval that we do not watch, or whose stream does not run (any more)."""
    ahead: int = 0
    """From the future."""


@dataclass(slots=True)
class _Candles:
    """Those of one interval. `ids`: of streams that run, by symbol; `starting`: those that nobody was told of yet."""

    interval: Interval | None
    ids: dict[str, int] = field(default_factory=dict)
    starting: set[int] = field(default_factory=set)
    rows: dict[int, dict[int, CandleHeard]] = field(default_factory=dict)


class MarketSlice:
    """Collects quotes of what is watched, and running candles of streams that run.

    `ahead_limit_ms`: how far the venue's time may be ahead of our clock. All symbols are watched until `watch` says
    which; no candle stream runs until `started` says so.
    """

    def __init__(
        self, universe: Universe, interval: Interval, ahead_limit_ms: int, exit_interval: Interval | None = None
    ) -> None:
        self._id_of = universe.id_of
        self._ahead_limit_ms = ahead_limit_ms
        self._watched = {symbol: place for place, symbol in enumerate(universe.symbols)}
        self._quotes: dict[int, BboHeard] = {}
        self._quoted_ms = [-1] * len(universe)
        self._main = _Candles(interval)
        self._exit = _Candles(None if exit_interval is interval else exit_interval)
        self._mids: dict[int, float] = {}
        self._mids_ms = -1
        self._venue_ms = -1
        self._layouts: dict[tuple[int, ...], npt.NDArray[np.intp]] = {}
        self.counts = MarketCounts()

    @property
    def is_empty(self) -> bool:
        main, exit_ = self._main, self._exit
        return not (self._quotes or main.rows or exit_.rows or main.starting or exit_.starting)

    # ── what is watched, and what runs ───────────────────────────────────────────────────────────

    def watch(self, symbols: Iterable[str]) -> None:
        """Take quotes of these symbols and no others from now on."""
        self._watched = {symbol: self._id_of(symbol) for symbol in symbols}
        still = set(self._watched.values())
        self._mids = {symbol_id: mid for symbol_id, mid in self._mids.items() if symbol_id in still}

    def mids_began(self) -> None:
        """Take the next mid prices for news even where they are the old ones: they were checked again."""
        self._mids.clear()

    def started(self, streams: Iterable[CandleStream]) -> None:
        """These candle streams run from here on."""
        for symbol, interval in streams:
            side = self._side(interval)
            side.ids[symbol] = self._id_of(symbol)
            side.starting.add(side.ids[symbol])

    def stopped(self, streams: Collection[CandleStream], silent_ms: int = 0) -> list[MarketEvent]:
        """End the slice where one of these candle streams ran: what it held, and that they run no longer, and have
        said nothing for `silent_ms`."""
        running = [(symbol, interval) for symbol, interval in streams if symbol in self._side(interval).ids]
        if not running:
            return []
        events = self.take()
        for symbol, interval in running:
            del self._side(interval).ids[symbol]
        return events + self.not_running(running, silent_ms)

    def not_running(self, streams: Iterable[CandleStream], silent_ms: int = 0) -> list[MarketEvent]:
        """Say so, one event an interval."""
        ids: dict[Interval, list[int]] = {}
        for symbol, interval in streams:
            ids.setdefault(interval, []).append(self._id_of(symbol))
        return [_streams(found, interval, running=False, silent_ms=silent_ms) for interval, found in ids.items()]

    def _side(self, interval: Interval) -> _Candles:
        side = self._main if interval is self._main.interval else self._exit
        assert interval is side.interval, "candles of other intervals are not asked for"
        return side

    # ── what is heard ────────────────────────────────────────────────────────────────────────────

    def quote(self, heard: BboHeard, now_ms: int) -> bool:
        """Take a best bid and ask; False where the venue's time cannot be right.

        A quote without two sides leaves the last good one in place.
        """
        symbol_id = self._watched.get(heard.coin)
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

    def mids(self, mids: Mapping[str, float], venue_ms: int) -> None:
        """Take mid prices as quotes without a spread, where they are news.

        They bear no time of their own: `venue_ms` is what the venue's clock shows as far as we know, so it proves
        nothing about candles. It never goes back.
        """
        self._mids_ms = max(self._mids_ms, venue_ms)
        for symbol, symbol_id in self._watched.items():
            mid = mids.get(symbol)
            if mid is None or mid == self._mids.get(symbol_id):
                continue
            self._mids[symbol_id] = mid
            self.counts.conflated += symbol_id in self._quotes
            self._quotes[symbol_id] = BboHeard(symbol, self._mids_ms, mid, mid)

    def candle(self, heard: CandleHeard, now_ms: int) -> bool:
        """Take a running candle; False where it cannot have begun yet.

        Of two states the one with less volume is the older.
        """
        side = self._main if heard.interval is self._main.interval else self._exit
        symbol_id = side.ids.get(heard.coin)
        if symbol_id is None or heard.interval is not side.interval:
            self.counts.foreign += 1
            return True
        if heard.open_ms > now_ms + self._ahead_limit_ms:
            self.counts.ahead += 1
            return False
        rows = side.rows.setdefault(heard.open_ms, {})
        known = rows.get(symbol_id)
        if known is None or heard.volume >= known.volume:
            rows[symbol_id] = heard
        self.counts.conflated += known is not None
        return True

    def stamp(self, venue_ms: int) -> None:
        """The venue's time is at least this."""
        if venue_ms > self._venue_ms:
            self._venue_ms = venue_ms

    # ── what is told ─────────────────────────────────────────────────────────────────────────────

    def take(self) -> list[MarketEvent]:
        """Everything collected, oldest first; the next slice is empty.

        Quotes of one venue time stand together: a time that were not a quote's own would let an older one pass for new.
        """
        quotes, self._quotes = self._quotes, {}
        events: list[MarketEvent] = []
        by_time: dict[int, list[int]] = {}
        for symbol_id in sorted(quotes):
            by_time.setdefault(quotes[symbol_id].venue_ms, []).append(symbol_id)
        for venue_ms in sorted(by_time):
            ids = by_time[venue_ms]
            bid = np.array([quotes[each].bid for each in ids], dtype=np.float64)
            ask = np.array([quotes[each].ask for each in ids], dtype=np.float64)
            events.append(Quotes(venue_ms, self._layout(ids), bid, ask))
        for side in (self._main, self._exit):
            if side.interval is not None:
                events += self._take_candles(side, side.interval)
        return events

    def _take_candles(self, side: _Candles, interval: Interval) -> list[MarketEvent]:
        collected, side.rows = side.rows, {}
        starting, side.starting = side.starting, set()
        if not starting:
            return self._updates(interval, collected)
        first: dict[int, dict[int, CandleHeard]] = {}
        for open_ms, rows in collected.items():
            first[open_ms] = {each: rows.pop(each) for each in starting.intersection(rows)}
        begun = _streams(starting, interval, running=True)
        return [*self._updates(interval, collected), begun, *self._updates(interval, first)]

    def _updates(self, interval: Interval, collected: Mapping[int, Mapping[int, CandleHeard]]) -> list[MarketEvent]:
        # A candle frame carries no time of its own: that it has begun is what it proves.
        return [
            CandleUpdates(self._batch(interval, open_ms, collected[open_ms]), max(self._venue_ms, open_ms))
            for open_ms in sorted(collected)
            if collected[open_ms]
        ]

    def _batch(self, interval: Interval, open_ms: int, rows: Mapping[int, CandleHeard]) -> CandleBatch:
        ids = sorted(rows)
        values = np.array([(c.open, c.high, c.low, c.close, c.volume) for c in map(rows.__getitem__, ids)]).T.copy()
        return CandleBatch(interval, open_ms, self._layout(ids), *values)

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


def _streams(ids: Iterable[int], interval: Interval, *, running: bool, silent_ms: int = 0) -> CandleStreams:
    return CandleStreams(np.array(sorted(ids), dtype=np.intp), interval, running, silent_ms)
