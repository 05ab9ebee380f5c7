"""Candles from the venue into the store: what lacks, and no more.

A question costs a weight of 20 whatever it asks for, and 1 for each 60 candles. So spans that lack are asked for
together where fewer candles lie between them than a question of its own would cost. Before the first stored candle the
venue may have nothing at all, because the market is younger: two candles are asked for there before the rest is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from adapters.sqlite.candle_queries import stored_opens
from domain.candles import IntColumn, Interval
from entrypoints.data.spans import Span, joined, missing_spans
from entrypoints.progress import Progress
from ports.candle_history import CandleHistory, CandleStore, HistoryUnavailable

DAY_MS = 86_400_000
NEAR_CANDLES = 20 * 60
"""As many candles as one more question costs."""
PROBE_CANDLES = 2
"""With the candles before them that a question brings along, the cheapest one."""
FAILURES_IN_A_ROW = 3
"""Then the venue is not asked again: the next one would fail too."""

Pair = tuple[str, Interval]


class KeptHistory(CandleHistory, Protocol):
    """A history that does not reach back for ever."""

    def oldest_ms(self, interval: Interval) -> int:
        """The earliest open time that may be asked for, now."""
        ...


@dataclass(slots=True)
class Fetched:
    """What became of one symbol and interval, so far. Times are open times.

    `wanted_ms` is where the user wanted to begin, `from_ms` where the venue could at most; with `begins_ms` it has
    nothing earlier than that. The span's candles are `new`, `revised` (stored otherwise before) or `known`.
    """

    symbol: str
    interval: Interval
    wanted_ms: int
    from_ms: int
    after_ms: int
    begins_ms: int | None = None
    new: int = 0
    known: int = 0
    revised: int = 0
    is_whole: bool = False
    """All that lacked was asked for."""
    problem: str = ""

    @property
    def is_cut(self) -> bool:
        """The venue does not keep as much as was wanted."""
        return self.from_ms > self.wanted_ms


class CandleDownload:
    """`results` has a row for every symbol and interval that was begun: what they say is in the store, also where the
    download is broken off."""

    def __init__(
        self,
        history: KeptHistory,
        store: CandleStore,
        path: Path,
        now_ms: Callable[[], int],
        days: float,
        *,
        again: bool = False,
    ) -> None:
        """`path` is the store's file, from which is read what it holds; `now_ms` the venue's time. `again`: ask also
        for what is confirmed."""
        self._history = history
        self._store = store
        self._path = path
        self._now_ms = now_ms
        self._span_ms = int(days * DAY_MS)
        self._again = again
        self.results: list[Fetched] = []

    async def run(self, pairs: Sequence[Pair], show: Progress) -> None:
        """Fetch one after another. What the venue cannot say is a `problem` of its row, and the next one is asked."""
        failures = 0
        for done, (symbol, interval) in enumerate(pairs, start=1):
            fetched = self._begin(symbol, interval)
            self.results.append(fetched)
            try:
                await self._fetch(fetched)
                failures = 0
            except HistoryUnavailable as error:
                fetched.problem = str(error)
                failures += 1
                if failures == FAILURES_IN_A_ROW:
                    return
            show(done)

    def _begin(self, symbol: str, interval: Interval) -> Fetched:
        after_ms = interval.open_of(self._now_ms())
        wanted_ms = interval.open_of(after_ms - self._span_ms)
        return Fetched(symbol, interval, wanted_ms, max(wanted_ms, self._history.oldest_ms(interval)), after_ms)

    async def _fetch(self, fetched: Fetched) -> None:
        symbol, interval = fetched.symbol, fetched.interval
        stored, is_confirmed = stored_opens(self._path, symbol, interval, fetched.from_ms, fetched.after_ms)
        fetched.known = len(stored)
        confirmed = stored[:0] if self._again else stored[is_confirmed]
        lacking = joined(missing_spans(confirmed, interval, fetched.from_ms, fetched.after_ms), interval, NEAR_CANDLES)
        if await self._has_nothing_before(fetched, confirmed, lacking):
            fetched.begins_ms = lacking.pop(0).after_ms
        for span in lacking:
            await self._take(fetched, span, stored)
        fetched.is_whole = True

    async def _has_nothing_before(self, fetched: Fetched, confirmed: IntColumn, lacking: Sequence[Span]) -> bool:
        """Whether the first stored candle is the venue's first, where all before it lacks."""
        if not len(confirmed) or not lacking or lacking[0].after_ms != confirmed[0]:
            return False
        head = lacking[0]
        if head.candles(fetched.interval) <= PROBE_CANDLES:
            return False
        first_ms = head.after_ms - PROBE_CANDLES * fetched.interval.ms
        return not len(await self._history.candles(fetched.symbol, fetched.interval, first_ms, head.after_ms))

    async def _take(self, fetched: Fetched, span: Span, stored: IntColumn) -> None:
        """Ask for a span and keep what comes. Waiting for our turn may have cost its first candles."""
        interval = fetched.interval
        first_ms = max(span.first_ms, self._history.oldest_ms(interval))
        window = await self._history.candles(fetched.symbol, interval, first_ms, span.after_ms)
        if not len(window):
            return
        revisions = self._store.confirm(window, self._now_ms())
        fetched.new += len(window) - int(np.isin(window.open_ms, stored).sum())
        fetched.revised += len(revisions)
        fetched.known -= len(revisions)
        begins_ms = int(window.open_ms[0])
        if span.first_ms == fetched.from_ms and begins_ms > max(first_ms, self._history.oldest_ms(interval)):
            fetched.begins_ms = begins_ms
