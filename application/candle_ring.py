"""Storage of candles: one ring of numpy columns for all symbols of an interval, one slot a span of time.

A slot is a place in time, the same for all symbols, so a batch is written and read in one go, and a gap shows as a
slot that holds another time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from domain.candles import NO_CANDLE_MS, BoolColumn, CandleBatch, CandleWindow, FloatColumn, IntColumn, Interval

FIELDS = 5
VOLUME = 4

Slots = npt.NDArray[np.intp]


class CandleRing:
    """Candles of `count` symbols, the newest `depth` spans of each.

    `is_flat`: nobody was seen to trade in it. `is_final`: the venue's own history said so.
    """

    def __init__(self, count: int, interval: Interval, depth: int) -> None:
        self.interval = interval
        self.depth = depth
        self._open_ms: IntColumn = np.full((depth, count), NO_CANDLE_MS, dtype=np.int64)
        self._values: FloatColumn = np.full((FIELDS, depth, count), np.nan)
        self._flat = np.zeros((depth, count), dtype=np.bool_)
        self._final = np.zeros((depth, count), dtype=np.bool_)

    def slot(self, open_ms: int) -> int:
        return open_ms // self.interval.ms % self.depth

    def slots(self, open_ms: IntColumn) -> Slots:
        slots: Slots = (open_ms // self.interval.ms % self.depth).astype(np.intp)
        return slots

    def there(self, open_ms: int) -> BoolColumn:
        """Which symbols have a candle of this span."""
        held: BoolColumn = self._open_ms[self.slot(open_ms)] == open_ms
        return held

    def final(self, open_ms: int) -> BoolColumn:
        """Which symbols have one that will not change."""
        final: BoolColumn = self._final[self.slot(open_ms)] & self.there(open_ms)
        return final

    def final_at(self, open_ms: IntColumn, ids: npt.NDArray[np.intp]) -> BoolColumn:
        """Whether the candle of each symbol that was opened at its own time will not change."""
        slots = self.slots(open_ms)
        final: BoolColumn = self._final[slots, ids] & (self._open_ms[slots, ids] == open_ms)
        return final

    def flat(self, open_ms: int, ids: npt.NDArray[np.intp]) -> BoolColumn:
        flags: BoolColumn = self._flat[self.slot(open_ms), ids]
        return flags

    def values(self, open_ms: int, ids: npt.NDArray[np.intp]) -> FloatColumn:
        """Open, high, low, close, volume of these symbols; a copy. What it holds of other spans means nothing."""
        return self._values[:, self.slot(open_ms), :][:, ids]

    def volume(self, open_ms: int, ids: npt.NDArray[np.intp]) -> FloatColumn:
        column: FloatColumn = self._values[VOLUME, self.slot(open_ms), ids]
        return column

    def write(self, candles: CandleBatch, *, flat: BoolColumn | bool = False, final: bool = False) -> None:
        slot, ids = self.slot(candles.open_ms), candles.ids
        self._open_ms[slot, ids] = candles.open_ms
        self._flat[slot, ids] = flat
        self._final[slot, ids] = final
        for row, column in enumerate((candles.open, candles.high, candles.low, candles.close, candles.volume)):
            self._values[row, slot, ids] = column

    def write_window(self, symbol_id: int, window: CandleWindow) -> None:
        """Put one symbol's final candles in place, the newest `depth`; a slot that holds a newer span stays."""
        kept = window.last(self.depth)
        slots = self.slots(kept.open_ms)
        older = self._open_ms[slots, symbol_id] <= kept.open_ms
        slots = slots[older]
        self._open_ms[slots, symbol_id] = kept.open_ms[older]
        self._flat[slots, symbol_id] = False
        self._final[slots, symbol_id] = True
        for row, column in enumerate((kept.open, kept.high, kept.low, kept.close, kept.volume)):
            self._values[row, slots, symbol_id] = column[older]

    def differing(self, symbol_id: int, window: CandleWindow) -> IntColumn:
        """Open times of the window's candles that stand here with other values."""
        slots = self.slots(window.open_ms)
        theirs = np.stack((window.open, window.high, window.low, window.close, window.volume))
        differs = (self._values[:, slots, symbol_id] != theirs).any(axis=0)
        differs &= self._open_ms[slots, symbol_id] == window.open_ms
        times: IntColumn = window.open_ms[differs]
        return times

    def quiet_share(self, before_ms: int, ids: npt.NDArray[np.intp], sample: int) -> FloatColumn:
        """How likely a span without trades is for these symbols, after the `sample` spans before this one.

        One trade and one silence more than were seen: what never happened yet is not impossible.
        """
        times = np.arange(before_ms - sample * self.interval.ms, before_ms, self.interval.ms, dtype=np.int64)
        slots = self.slots(times)
        held = self._open_ms[np.ix_(slots, ids)] == times[:, None]
        silent = held & (self._values[VOLUME][np.ix_(slots, ids)] == 0)
        share: FloatColumn = (silent.sum(axis=0) + 1) / (held.sum(axis=0) + 2)
        return share

    def window(self, symbol: str, symbol_id: int, through_ms: int, count: int) -> CandleWindow:
        """Up to `count` contiguous candles that end with the one opened at `through_ms`."""
        wanted = np.arange(through_ms - (count - 1) * self.interval.ms, through_ms + 1, self.interval.ms)
        slots = self.slots(wanted)
        holes = np.flatnonzero(self._open_ms[slots, symbol_id] != wanted)
        if len(holes):
            slots, wanted = slots[holes[-1] + 1 :], wanted[holes[-1] + 1 :]
        return CandleWindow(symbol, self.interval, wanted, *self._values[:, slots, symbol_id])
