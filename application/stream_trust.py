"""Which candles the stream can vouch for: those of spans in which it ran to the end, or of which it told later."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from application.candle_ring import CandleRing
from domain.candles import NO_CANDLE_MS, BoolColumn, IntColumn

RESUME_SURE_MS = 15_000
"""By then a stream that runs again has told the candle that runs, where anybody has traded in it: the venue sends it
after the acknowledgement (seen: 0.9 to 9 s). Without a word for so long, nobody has."""

_NEVER_MS = 1 << 62
_Ids = npt.NDArray[np.intp]


class StreamTrust:
    """One stream a symbol. All of them run until something else is said. Times are the venue's."""

    def __init__(self, count: int, ring: CandleRing) -> None:
        self._ring = ring
        self._down_ms: IntColumn = np.full(count, _NEVER_MS, dtype=np.int64)
        self._unsure_ms: IntColumn = np.full((ring.depth, count), NO_CANDLE_MS, dtype=np.int64)

    def stop(self, ids: _Ids, since_ms: int) -> None:
        """These run no longer, and have not since then; an earlier moment stays."""
        self._down_ms[ids] = np.minimum(self._down_ms[ids], since_ms)

    def resume(self, ids: _Ids, now_ms: int) -> None:
        """These run again. What ended meanwhile cannot be believed; what runs on can, once it was heard, or if there
        was time to tell it. No more than the ring's spans are thought of."""
        interval = self._ring.interval
        resumed = ids[self._down_ms[ids] != _NEVER_MS]
        first_ms = np.maximum(self._down_ms[resumed], now_ms - (self._ring.depth - 1) * interval.ms)
        self._down_ms[resumed] = _NEVER_MS
        running_ms = interval.open_of(now_ms)
        for since_ms in np.unique(first_ms).tolist():
            blind = resumed[first_ms == since_ms]
            opens = np.arange(interval.open_of(since_ms), running_ms, interval.ms, dtype=np.int64)
            self._unsure_ms[np.ix_(self._ring.slots(opens), blind)] = opens[:, None]
            if running_ms + interval.ms - now_ms >= RESUME_SURE_MS:
                blind = blind[self._ring.there(running_ms)[blind]]  # traded already: it has to be told once more
            self._unsure_ms[self._ring.slot(running_ms), blind] = running_ms

    def heard(self, open_ms: int, ids: _Ids) -> None:
        """The stream told these candles, as they are now: a state, not a change."""
        self._unsure_ms[self._ring.slot(open_ms), ids] = NO_CANDLE_MS

    def is_blind(self, open_ms: int) -> BoolColumn:
        """Whose stream was not running to this candle's end, with nothing heard of it since and no history of it."""
        unheard = self._unsure_ms[self._ring.slot(open_ms)] == open_ms
        unheard |= self._down_ms < open_ms + self._ring.interval.ms
        blind: BoolColumn = unheard & ~self._ring.final(open_ms)
        return blind
