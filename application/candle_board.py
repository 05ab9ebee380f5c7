"""CandleBoard: which candles of one interval have closed, and which of them can be believed.

How a candle closes (`domain.candles`): a later one was seen, or venue time has passed its end plus the grace. What
closes at one instant is taken as one batch, at end + grace; what comes after it forms late batches. Symbols that no
frame was seen of get `QUIET_WAIT_MS` more, then stand flat at their last close: the venue sends nothing for a span
without trades and shows a flat candle later. Three silences are no quiet, and are asked about (`take_missing`):

- the symbol's stream was down while the span ran, and no state of that candle was heard since (`set_streams`);
- silence is not like this symbol: such a one would hardly be chance (`DOUBT`);
- candles are not streamed at all: then each is asked for once it has closed.

A span in which no symbol at all was seen is no quiet market but a feed that was down: nobody closes in it, and all
fall out at the next candle (`take_gaps`). `due` costs one comparison while nothing is due.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from application.candle_ring import VOLUME, CandleRing
from application.stream_trust import StreamTrust
from application.venue_clock import UNKNOWN_MS, VenueClock
from domain.candles import (
    NO_CANDLE_MS,
    BoolColumn,
    CandleBatch,
    CandleWindow,
    FloatColumn,
    IntColumn,
    Interval,
    select_candles,
)
from domain.events import CandleUpdates

RING_CANDLES = 720
"""Candles kept per symbol: the warm-up and a margin. Longer history lives in the candle store."""

QUIET_WAIT_MS = 300
"""How long after the first batch of a close a silent symbol is waited for: the grace is most of the wait, and a frame
needs less than a second from the venue (recorded: 0.8 s at the 99th percentile)."""

QUIET_SAMPLE = 200
"""Spans by which a symbol's usual silence is judged."""

DOUBT = 0.005
"""A silence less likely than this is asked about before anybody believes it: that of one who traded in every span of
the sample, once."""

_NEVER_MS = 1 << 62
_Ids = npt.NDArray[np.intp]


@dataclass(slots=True)
class ClosedBatch:
    """Candles that closed together. `batch_no` is 0 for the first batch of that close, then counts late ones.

    `provisional[j]`: no trade was seen in that span and the candle stands flat at the previous
    close, which is what the venue shows for such spans later.
    """

    candles: CandleBatch
    batch_no: int
    provisional: BoolColumn

    def traded(self) -> CandleBatch:
        """The candles that were really seen: what may be stored as fact."""
        return select_candles(self.candles, ~self.provisional) if self.provisional.any() else self.candles


class CandleBoard:
    """Candles of one interval; tells when they close, each once.

    `anchor` starts a symbol: from then on its candles are taken one after another, each contiguous with the one
    before. A symbol that missed one falls out (`take_gaps`) until it is anchored again from history. With `grace_ms`
    0 a batch is taken as soon as the next candle has begun; an unfinished candle is never decided on.
    """

    def __init__(
        self,
        count: int,
        interval: Interval,
        clock: VenueClock,
        grace_ms: int,
        *,
        streamed: bool = True,
        depth: int = RING_CANDLES,
    ) -> None:
        self.interval = interval
        self.ring = CandleRing(count, interval, depth)
        self._clock = clock
        self._grace_ms = grace_ms
        self._streamed = streamed
        self._depth = depth
        self.newest: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self.taken: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self.traded: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        """Open time of each symbol's last taken candle with trades in it."""
        self.last_close: FloatColumn = np.full(count, np.nan)
        self._anchored = np.zeros(count, dtype=np.bool_)
        self._silent_for: IntColumn = np.zeros(count, dtype=np.int64)
        self._silence_proven: IntColumn = np.zeros(count, dtype=np.int64)
        self._trust = StreamTrust(count, self.ring)
        self._asked_ms: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self._next_ask_ms = 0 if not streamed else _NEVER_MS
        self._oldest_pending = _NEVER_MS
        self._due_ms = _NEVER_MS
        self._batch_counts: dict[int, int] = {}
        self._gaps: list[int] = []
        self._missing: list[int] = []
        self._revised: list[CandleBatch] = []

    # ── what comes in ────────────────────────────────────────────────────────────────────────

    def apply_updates(self, update: CandleUpdates, at_ms: int) -> None:
        """Take the newest state of running candles. Old, repeated and reordered ones are harmless.

        A candle's volume only grows, so that of two states the one with less of it is the older.
        Times that no running candle can have are refused: off the interval's grid, not begun yet
        by venue time, or further back than the ring reaches.

        A candle that was taken already and now differs is a late revision: it is stored and reported by
        `take_revised`, so that indicators can be rebuilt; it is never decided again.
        """
        candles = update.candles
        assert candles.interval is self.interval, "candles of another interval belong to another board"
        self._clock.stamp(update.venue_ms, at_ms)
        open_ms = candles.open_ms
        now = self._clock.now(at_ms)
        if open_ms % self.interval.ms or not now - self._depth * self.interval.ms < open_ms <= now:
            return
        known = self.ring.there(open_ms)[candles.ids]
        older = known & (candles.volume < self.ring.volume(open_ms, candles.ids))
        if older.any():
            candles = select_candles(candles, ~older)
        late = self.taken[candles.ids] >= open_ms
        if late.any():
            self._revise(select_candles(candles, late))
            candles = select_candles(candles, ~late)
        if len(candles):
            self._write(candles)
            self._trust.heard(open_ms, candles.ids)
            self._expect(open_ms)

    def set_streams(self, ids: _Ids, at_ms: int, *, running: bool, silent_ms: int = 0) -> None:
        """From here on these symbols' candles are streamed, or no longer, and have not been for `silent_ms`.

        A candle that was taken meanwhile may have lacked its end: its symbol falls out and comes back from history.
        """
        now = self._clock.now(at_ms)
        now = at_ms if now == UNKNOWN_MS else now
        if running:
            self._trust.resume(ids, now)
            return
        since_ms = now - silent_ms
        self._trust.stop(ids, since_ms)
        misled = self._anchored[ids] & (self.taken[ids] + self.interval.ms > since_ms)
        misled &= ~self.ring.final_at(self.taken[ids], ids)
        self._fall_out(ids[misled])

    def close(self, candles: CandleBatch) -> ClosedBatch:
        """Take candles that are known to be closed and contiguous (a data set), as their batch."""
        self._write(candles, final=True)
        self._settle(candles)
        return ClosedBatch(candles, 0, np.zeros(len(candles), dtype=np.bool_))

    def anchor(self, symbol_id: int, window: CandleWindow) -> None:
        """Start a symbol from history. Its last candle is not taken yet: it will be offered as a batch.

        Candles of the ring that are newer than the window stay; older ones give way to it.
        """
        assert len(window) >= 2, "a symbol starts from at least two candles"
        self.ring.write_window(symbol_id, window)
        traded = np.flatnonzero(window.volume[:-1] > 0)
        self.traded[symbol_id] = window.open_ms[traded[-1]] if len(traded) else NO_CANDLE_MS
        self._silent_for[symbol_id] = len(window) - 2 - traded[-1] if len(traded) else len(window) - 1
        self._silence_proven[symbol_id] = self._silent_for[symbol_id]
        last_ms = int(window.open_ms[-1])
        self.taken[symbol_id] = last_ms - self.interval.ms
        self.last_close[symbol_id] = window.close[-2]
        self.newest[symbol_id] = max(int(self.newest[symbol_id]), last_ms)
        self._anchored[symbol_id] = True
        self._asked_ms[symbol_id] = NO_CANDLE_MS
        self._expect(last_ms)
        if not self._streamed:
            self._next_ask_ms = 0

    def extend(self, symbol_id: int, window: CandleWindow) -> None:
        """Take over closed candles that were asked for (`take_missing`). Those that are not taken yet will be offered.

        Does nothing for a symbol that fell out meanwhile. What was taken already and differs is a revision.
        """
        if not self._anchored[symbol_id] or not len(window):
            return
        self._compare(symbol_id, window)
        taken = int(self.taken[symbol_id])
        fresh = window.between(taken + 1)
        if not len(fresh):
            return
        if int(fresh.open_ms[0]) != taken + self.interval.ms:
            self._fall_out(np.array([symbol_id], dtype=np.intp))
            return
        self._offer(symbol_id, fresh)

    def check(self, symbol_id: int, window: CandleWindow) -> None:
        """Compare what was taken with the venue's own words; what differs is put right, and is a revision.

        What is not taken yet will be taken in these words, too.
        """
        self._compare(symbol_id, window)
        taken = int(self.taken[symbol_id])
        fresh = window.between(taken + 1)
        if self._anchored[symbol_id] and len(fresh) and int(fresh.open_ms[0]) == taken + self.interval.ms:
            self._offer(symbol_id, fresh)

    def _offer(self, symbol_id: int, fresh: CandleWindow) -> None:
        """Put closed candles in place that follow on the last one taken."""
        self.ring.write_window(symbol_id, fresh)
        if fresh.volume[-1] == 0:
            silent = len(fresh) if not (fresh.volume > 0).any() else int((fresh.volume[::-1] > 0).argmax())
            since = int(self._silent_for[symbol_id]) if silent == len(fresh) else 0
            self._silence_proven[symbol_id] = since + silent
        self.newest[symbol_id] = max(int(self.newest[symbol_id]), int(fresh.open_ms[-1]))
        self._expect(int(fresh.open_ms[0]))

    def _compare(self, symbol_id: int, window: CandleWindow) -> None:
        known = window.between(0, int(self.taken[symbol_id]) + 1)
        for open_ms in self.ring.differing(symbol_id, known).tolist():
            candle = known.batch_of(symbol_id, open_ms)
            self._write(candle, final=True)
            self._revised.append(candle)

    def drop(self, symbol_id: int) -> None:
        """Stop taking a symbol's candles until it is anchored again; what was taken stays taken."""
        self._anchored[symbol_id] = False

    # ── what goes out ────────────────────────────────────────────────────────────────────────

    def is_due(self, at_ms: int) -> bool:
        """Whether `due` has something to do. One comparison."""
        now = self._clock.now(at_ms)
        return now >= self._due_ms or now >= self._next_ask_ms

    def due(self, at_ms: int) -> list[ClosedBatch]:
        """Take everything that has closed by now, oldest first; nothing is taken twice."""
        now = self._clock.now(at_ms)
        batches = self._due_batches(now) if now >= self._due_ms else []
        if now >= self._next_ask_ms:
            self._ask_for_closed(now)
        return batches

    def take_gaps(self) -> list[int]:
        """Symbols that missed a candle since the last call; they wait for history."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def take_missing(self) -> list[int]:
        """Symbols whose next candle has closed but is not known; each is told once for each close."""
        missing, self._missing = self._missing, []
        return missing

    def take_revised(self) -> list[CandleBatch]:
        """Candles that changed after they were taken, since the last call."""
        revised, self._revised = self._revised, []
        return revised

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _due_batches(self, now: int) -> list[ClosedBatch]:
        length = self.interval.ms
        newest_closed = self.interval.open_of(now - self._grace_ms) - length
        batches = []
        open_ms = settled = max(self._oldest_pending, newest_closed - (self._depth - 1) * length)
        while open_ms <= newest_closed:
            waited = now >= open_ms + length + self._grace_ms + QUIET_WAIT_MS
            batch = self._take(open_ms, with_quiet=waited and self._streamed)
            if batch is not None:
                batches.append(batch)
            open_ms += length
            if waited:
                settled = open_ms
        self._oldest_pending, self._due_ms = _NEVER_MS, _NEVER_MS
        if settled < open_ms:
            self._oldest_pending = settled
            self._due_ms = settled + length + self._grace_ms + QUIET_WAIT_MS
        if bool((self.newest >= open_ms).any()):
            self._expect(open_ms)
        return batches

    def _ask_for_closed(self, now: int) -> None:
        """Where candles are not streamed: name everybody whose newest closed candle is not known."""
        length = self.interval.ms
        closed_ms = self.interval.open_of(now - self._grace_ms) - length
        behind = self._anchored & (self.taken < closed_ms) & (self._asked_ms < closed_ms)
        self._asked_ms[behind] = closed_ms
        self._missing.extend(np.flatnonzero(behind).tolist())
        self._next_ask_ms = closed_ms + 2 * length + self._grace_ms

    def _take(self, open_ms: int, *, with_quiet: bool) -> ClosedBatch | None:
        """The batch of one close: candles seen, and flat ones for silent symbols once they were waited for."""
        there = self.ring.there(open_ms)
        if not there.any():
            return None  # nobody traded: a feed that is down must not look like a quiet market
        before_ms = open_ms - self.interval.ms
        here = self._anchored & (there | with_quiet)
        awaited = self._asked_ms > self.taken  # what it lacks was asked for
        torn = here & (self.taken < before_ms) & ~awaited
        if torn.any():
            self._fall_out(np.flatnonzero(torn))
        next_up = here & (self.taken == before_ms)
        blind = self._trust.is_blind(open_ms)
        ids = np.flatnonzero(next_up & ~blind)
        if with_quiet:
            ids = self._without_doubtful(open_ms, ids, there, np.flatnonzero(next_up & blind))
        if not len(ids):
            return None
        flat = ~there[ids] | self.ring.flat(open_ms, ids)
        values = self.ring.values(open_ms, ids)
        if flat.any():
            values[:VOLUME, flat] = self.last_close[ids][flat]
            values[VOLUME, flat] = 0.0
        candles = CandleBatch(self.interval, open_ms, ids, *values)
        if flat.any():
            self._write(candles, flat=flat)
        self._settle(candles)
        return ClosedBatch(candles, self._next_batch_no(open_ms), flat)

    def _without_doubtful(self, open_ms: int, ids: _Ids, there: BoolColumn, blind: _Ids) -> _Ids:
        """Those whose candle, or silence, may be believed; the others are asked about, once for this candle."""
        silent = ids[~there[ids]]
        streak = self._silent_for[silent] + 1
        chance = self.ring.quiet_share(open_ms, silent, QUIET_SAMPLE) ** streak
        doubtful = silent[(chance < DOUBT) & (streak >= 2 * self._silence_proven[silent])]
        asked = np.sort(np.concatenate((doubtful, blind)))
        asked = asked[self._asked_ms[asked] < open_ms]
        self._asked_ms[asked] = open_ms
        self._missing.extend(asked.tolist())
        return np.setdiff1d(ids, doubtful, assume_unique=True) if len(doubtful) else ids

    def _settle(self, candles: CandleBatch) -> None:
        """These candles are taken: the newest that counts for their symbols."""
        ids = candles.ids
        traded = candles.volume > 0
        self.taken[ids] = candles.open_ms
        self.last_close[ids] = candles.close
        self.traded[ids] = np.where(traded, candles.open_ms, self.traded[ids])
        self._silent_for[ids] = np.where(traded, 0, self._silent_for[ids] + 1)
        self._silence_proven[ids[traded]] = 0

    def _fall_out(self, ids: _Ids) -> None:
        self._anchored[ids] = False
        self._gaps.extend(ids.tolist())

    def _revise(self, again: CandleBatch) -> None:
        """Store taken candles that came again with other values, and remember them."""
        new = np.stack((again.open, again.high, again.low, again.close, again.volume))
        differs = (self.ring.values(again.open_ms, again.ids) != new).any(axis=0)
        differs &= self.ring.there(again.open_ms)[again.ids]
        if differs.any():
            changed = select_candles(again, differs)
            self._write(changed)
            self._revised.append(changed)

    def _write(self, candles: CandleBatch, *, flat: BoolColumn | bool = False, final: bool = False) -> None:
        self.ring.write(candles, flat=flat, final=final)
        self.newest[candles.ids] = np.maximum(self.newest[candles.ids], candles.open_ms)

    def _expect(self, open_ms: int) -> None:
        self._oldest_pending = min(self._oldest_pending, open_ms)
        self._due_ms = min(self._due_ms, open_ms + self.interval.ms + self._grace_ms)

    def _next_batch_no(self, open_ms: int) -> int:
        number = self._batch_counts.get(open_ms, 0)
        self._batch_counts[open_ms] = number + 1
        if len(self._batch_counts) > 2 * self._depth:
            for old in sorted(self._batch_counts)[: self._depth]:
                del self._batch_counts[old]
        return number
