"""MarketDataHub: what the market looks like now, and which candles have just closed.

Per symbol and interval a ring of candles in numpy columns. The ring's slot is the candle's
place in time, one slot a candle for all symbols at once, so a batch is written and read in one
go and a gap shows as a slot that holds another time.

How a candle closes (`domain.candles`): a later one was seen, or venue time has passed its end
plus the grace. Whatever closes at one instant is taken as one batch, at end + grace. Symbols that
no frame was seen of get `QUIET_WAIT_MS` more, then stand flat at their last close: the venue sends
nothing for a span without trades and shows a flat candle later. What comes after the first batch
forms late batches. A span in which no symbol at all was seen is no quiet market but a feed that
was down: nobody closes in it, and all fall out at the next candle. `due` costs one comparison while nothing is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from domain.candles import (
    NO_CANDLE_MS,
    CandleBatch,
    CandleWindow,
    FloatColumn,
    IntColumn,
    Interval,
    candle_key,
    closed_open_ms,
)
from domain.events import CandleUpdates, Quotes
from domain.instruments import Universe, exact_price

RING_CANDLES = 720
"""Candles kept per symbol: the warm-up and a margin. Longer history lives in the candle store."""

QUIET_WAIT_MS = 3_000
"""How long after the first batch of a close a silent symbol is waited for."""

_NEVER_MS = 1 << 62
_FIELDS = 5
_VOLUME = 4


@dataclass(frozen=True, slots=True)
class PriceView:
    """A price with where it came from and how old it is. `source` is `mid` or `candle`."""

    price: float
    source: str
    age_ms: int


@dataclass(slots=True)
class ClosedBatch:
    """Candles that closed together. `batch_no` is 0 for the first batch of that close, then counts late ones.

    `provisional[j]`: no trade was seen in that span and the candle stands flat at the previous
    close, which is what the venue shows for such spans later.
    """

    candles: CandleBatch
    batch_no: int
    provisional: npt.NDArray[np.bool_]

    def traded(self) -> CandleBatch:
        """The candles that were really seen: what may be stored as fact."""
        return _select(self.candles, ~self.provisional) if self.provisional.any() else self.candles


class MarketDataHub:
    """Holds candles and quotes of a session's symbols; tells when candles close, each once.

    `anchor` starts a symbol: from then on its candles are taken one after another, each
    contiguous with the one before. A symbol that missed one falls out (`take_gaps`) until it
    is anchored again from history. With `on_close` off a batch is taken without the grace, as
    soon as the next candle has begun; an unfinished candle is never decided on.
    """

    def __init__(self, universe: Universe, interval: Interval, grace_ms: int, *, on_close: bool = True) -> None:
        count = len(universe)
        self._universe = universe
        self.interval = interval
        self._grace_ms = grace_ms if on_close else 0
        self._on_close = on_close
        self._open_at: IntColumn = np.full((RING_CANDLES, count), NO_CANDLE_MS, dtype=np.int64)
        self._values: FloatColumn = np.full((_FIELDS, RING_CANDLES, count), np.nan)
        self._flat = np.zeros((RING_CANDLES, count), dtype=np.bool_)
        self._newest: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self._taken: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self._anchored = np.zeros(count, dtype=np.bool_)
        self._last_close: FloatColumn = np.full(count, np.nan)
        self._traded: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self.mid: FloatColumn = np.full(count, np.nan)
        self._quote_ms: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self._stamp_ms = NO_CANDLE_MS
        self._stamp_at_ms = 0
        self._oldest_pending = _NEVER_MS
        self._due_ms = _NEVER_MS
        self._batch_counts: dict[int, int] = {}
        self._gaps: list[int] = []
        self._revised: list[int] = []

    # ── what comes in ────────────────────────────────────────────────────────────────────────

    def apply_updates(self, update: CandleUpdates, at_ms: int) -> None:
        """Take the newest state of running candles. Old, repeated and reordered ones are harmless.

        A candle's volume only grows, so that of two states the one with less of it is the older.
        Times that no running candle can have are refused: off the interval's grid, not begun yet
        by venue time, or further back than the ring reaches.

        A candle that was taken already and now differs is a late revision: it is stored and the
        symbol reported by `take_revised`, so that indicators can be rebuilt; it is never decided again.
        """
        candles = update.candles
        assert candles.interval is self.interval, "candles of another interval belong to another hub"
        self._stamp(update.venue_ms, at_ms)
        open_ms = candles.open_ms
        now = self.venue_ms(at_ms)
        if open_ms % self.interval.ms or not now - RING_CANDLES * self.interval.ms < open_ms <= now:
            return
        slot = open_ms // self.interval.ms % RING_CANDLES
        known = self._open_at[slot, candles.ids] == open_ms
        older = known & (candles.volume < self._values[_VOLUME, slot, candles.ids])
        if older.any():
            candles = _select(candles, ~older)
        late = self._taken[candles.ids] >= open_ms
        if late.any():
            self._revise(candles, late)
            candles = _select(candles, ~late)
        if len(candles):
            self._write(candles)
            self._expect(open_ms)

    def apply_quotes(self, quotes: Quotes, at_ms: int) -> None:
        """Take best bids and asks. A crossed, one-sided or older quote leaves the last good one in place."""
        self._stamp(quotes.venue_ms, at_ms)
        good = (quotes.bid > 0) & (quotes.ask >= quotes.bid) & (quotes.ask < np.inf)
        good &= self._quote_ms[quotes.ids] <= quotes.venue_ms
        ids = quotes.ids if good.all() else quotes.ids[good]
        mids = (quotes.bid + quotes.ask) / 2
        self.mid[ids] = mids if good.all() else mids[good]
        self._quote_ms[ids] = quotes.venue_ms

    def close(self, candles: CandleBatch, at_ms: int) -> ClosedBatch:
        """Take candles that are known to be closed and contiguous (a data set), as their batch."""
        self._stamp(candles.open_ms + self.interval.ms, at_ms)
        self._write(candles)
        self._settle(candles)
        return ClosedBatch(candles, 0, np.zeros(len(candles), dtype=np.bool_))

    def anchor(self, symbol_id: int, window: CandleWindow) -> None:
        """Start a symbol from history. Its last candle is not taken yet: it will be offered as a batch.

        Candles of the ring that are newer than the window stay; older ones give way to it.
        """
        assert len(window) >= 2, "a symbol starts from at least two candles"
        kept = window.last(RING_CANDLES)
        slots = self._slots(kept.open_ms)
        older = self._open_at[slots, symbol_id] <= kept.open_ms
        slots = slots[older]
        self._open_at[slots, symbol_id] = kept.open_ms[older]
        self._flat[slots, symbol_id] = False
        for row, column in enumerate((kept.open, kept.high, kept.low, kept.close, kept.volume)):
            self._values[row, slots, symbol_id] = column[older]
        traded = np.flatnonzero(window.volume[:-1] > 0)
        self._traded[symbol_id] = window.open_ms[traded[-1]] if len(traded) else NO_CANDLE_MS
        last_ms = int(window.open_ms[-1])
        self._newest[symbol_id] = max(int(self._newest[symbol_id]), last_ms)
        self._taken[symbol_id] = last_ms - self.interval.ms
        self._last_close[symbol_id] = window.close[-2]
        self._anchored[symbol_id] = True
        self._expect(last_ms)

    def drop(self, symbol_id: int) -> None:
        """Stop taking a symbol's candles until it is anchored again."""
        self._anchored[symbol_id] = False

    # ── what goes out ────────────────────────────────────────────────────────────────────────

    def is_due(self, at_ms: int) -> bool:
        """Whether a batch may be waiting: one comparison, whatever the number of symbols."""
        return self.venue_ms(at_ms) >= self._due_ms

    def due(self, at_ms: int) -> list[ClosedBatch]:
        """Take every batch that has closed, oldest first; each candle of each symbol once."""
        now = self.venue_ms(at_ms)
        if now < self._due_ms:
            return []
        length = self.interval.ms
        newest_closed = self.interval.open_of(now - self._grace_ms) - length
        batches = []
        open_ms = settled = max(self._oldest_pending, newest_closed - (RING_CANDLES - 1) * length)
        while open_ms <= newest_closed:
            waited = now >= open_ms + length + self._grace_ms + QUIET_WAIT_MS
            batch = self._take(open_ms, with_quiet=waited)
            if batch is not None:
                batches.append(batch)
            open_ms += length
            if waited:
                settled = open_ms
        self._oldest_pending, self._due_ms = _NEVER_MS, _NEVER_MS
        if settled < open_ms:
            self._oldest_pending = settled
            self._due_ms = settled + length + self._grace_ms + QUIET_WAIT_MS
        if bool((self._newest >= open_ms).any()):
            self._expect(open_ms)
        return batches

    def take_gaps(self) -> list[int]:
        """Symbols that missed a candle since the last call; they wait for history."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def take_revised(self) -> list[int]:
        """Symbols of which a candle changed after it was taken, since the last call."""
        revised, self._revised = self._revised, []
        return revised

    def candle_key(self, symbol: str, at_ms: int) -> int | None:
        """The number whose change means that there is something to analyse; O(1), None before the first candle."""
        place = self._universe.id_of(symbol)
        newest = int(self._newest[place])
        before = newest - self.interval.ms if newest != NO_CANDLE_MS else NO_CANDLE_MS
        closed = closed_open_ms(newest, before, self.venue_ms(at_ms), self.interval, self._grace_ms)
        return candle_key(newest, max(closed, int(self._taken[place])), self.interval, on_close=self._on_close)

    def price(self, symbol_id: int, at_ms: int) -> PriceView | None:
        """The newest price known; None when there is none.

        That is the mid, unless a closed candle that began after it has seen trades: then the
        quotes have stopped, and the candle's close says more.
        """
        now = self.venue_ms(at_ms)
        quoted = int(self._quote_ms[symbol_id])
        if quoted != NO_CANDLE_MS and quoted >= self._traded[symbol_id]:
            return PriceView(float(self.mid[symbol_id]), "mid", now - quoted)
        taken = int(self._taken[symbol_id])
        if taken == NO_CANDLE_MS:
            return None
        return PriceView(float(self._last_close[symbol_id]), "candle", now - (taken + self.interval.ms))

    def mark(self, symbol: str) -> Decimal | None:
        """The newest price of a symbol as money, whatever its age; None for one that is not watched or not known."""
        symbol_id = self._universe.find(symbol)
        view = None if symbol_id is None else self.price(symbol_id, self._stamp_at_ms)
        return None if view is None else exact_price(view.price)

    def window(self, symbol_id: int, through_ms: int, count: int = RING_CANDLES) -> CandleWindow:
        """Up to `count` contiguous candles that end with the one opened at `through_ms`, from the ring."""
        wanted = np.arange(through_ms - (count - 1) * self.interval.ms, through_ms + 1, self.interval.ms)
        slots = self._slots(wanted)
        there = self._open_at[slots, symbol_id] == wanted
        holes = np.flatnonzero(~there)
        if len(holes):
            slots, wanted = slots[holes[-1] + 1 :], wanted[holes[-1] + 1 :]
        columns = self._values[:, slots, symbol_id]
        return CandleWindow(self._universe.symbols[symbol_id], self.interval, wanted, *columns)

    def venue_ms(self, at_ms: int) -> int:
        """Venue time: the latest venue stamp plus what has passed since it came; -1 before any."""
        if self._stamp_ms == NO_CANDLE_MS:
            return NO_CANDLE_MS
        return self._stamp_ms + max(0, at_ms - self._stamp_at_ms)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _stamp(self, venue_ms: int, at_ms: int) -> None:
        if venue_ms >= self.venue_ms(at_ms):
            self._stamp_ms, self._stamp_at_ms = venue_ms, at_ms

    def _slots(self, open_ms: IntColumn) -> npt.NDArray[np.intp]:
        slots: npt.NDArray[np.intp] = (open_ms // self.interval.ms % RING_CANDLES).astype(np.intp)
        return slots

    def _write(self, candles: CandleBatch) -> None:
        slot = candles.open_ms // self.interval.ms % RING_CANDLES
        ids = candles.ids
        self._open_at[slot, ids] = candles.open_ms
        self._flat[slot, ids] = False
        for row, column in enumerate((candles.open, candles.high, candles.low, candles.close, candles.volume)):
            self._values[row, slot, ids] = column
        self._newest[ids] = np.maximum(self._newest[ids], candles.open_ms)

    def _expect(self, open_ms: int) -> None:
        self._oldest_pending = min(self._oldest_pending, open_ms)
        self._due_ms = min(self._due_ms, open_ms + self.interval.ms + self._grace_ms)

    def _take(self, open_ms: int, *, with_quiet: bool) -> ClosedBatch | None:
        """The batch of one close: candles seen, and flat ones for silent symbols once they were waited for."""
        slot = open_ms // self.interval.ms % RING_CANDLES
        there = self._open_at[slot] == open_ms
        if not there.any():
            return None  # nobody traded: a feed that is down must not look like a quiet market
        before_ms = open_ms - self.interval.ms
        here = self._anchored & (there | with_quiet)
        torn = here & (self._taken < before_ms)
        if torn.any():
            self._anchored[torn] = False
            self._gaps.extend(np.flatnonzero(torn).tolist())
        ids = np.flatnonzero(here & (self._taken == before_ms))
        if not len(ids):
            return None
        flat = ~there[ids] | self._flat[slot, ids]
        values = self._values[:, slot, :][:, ids]
        if flat.any():
            values[:_VOLUME, flat] = self._last_close[ids][flat]
            values[_VOLUME, flat] = 0.0
        candles = CandleBatch(self.interval, open_ms, ids, *values)
        if flat.any():
            self._write(candles)
            self._flat[slot, ids] = flat
        self._settle(candles)
        return ClosedBatch(candles, self._next_batch_no(open_ms), flat)

    def _settle(self, candles: CandleBatch) -> None:
        """These candles are taken: the newest that counts for their symbols."""
        ids = candles.ids
        self._taken[ids] = candles.open_ms
        self._last_close[ids] = candles.close
        self._traded[ids] = np.where(candles.volume > 0, candles.open_ms, self._traded[ids])

    def _next_batch_no(self, open_ms: int) -> int:
        number = self._batch_counts.get(open_ms, 0)
        self._batch_counts[open_ms] = number + 1
        if len(self._batch_counts) > 2 * RING_CANDLES:
            for old in sorted(self._batch_counts)[:RING_CANDLES]:
                del self._batch_counts[old]
        return number

    def _revise(self, candles: CandleBatch, late: npt.NDArray[np.bool_]) -> None:
        """Store taken candles that came again with other values, and remember whose they are."""
        again = _select(candles, late)
        slot = again.open_ms // self.interval.ms % RING_CANDLES
        new = np.stack((again.open, again.high, again.low, again.close, again.volume))
        differs = (self._values[:, slot, :][:, again.ids] != new).any(axis=0)
        differs &= self._open_at[slot, again.ids] == again.open_ms
        if differs.any():
            changed = _select(again, differs)
            self._write(changed)
            self._revised.extend(changed.ids.tolist())


def _select(candles: CandleBatch, mask: npt.NDArray[np.bool_]) -> CandleBatch:
    return CandleBatch(
        candles.interval,
        candles.open_ms,
        candles.ids[mask],
        candles.open[mask],
        candles.high[mask],
        candles.low[mask],
        candles.close[mask],
        candles.volume[mask],
    )
