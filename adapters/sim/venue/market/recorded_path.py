"""Recorded candles as the path of a local venue.

Inside a candle the price goes from the open to one extreme, to the other, to the close; which extreme comes
first is drawn. Nothing is walked: where the price is and what trades in a second follows from the candle and
from hashes of (seed, symbol, candle, slot), and the trades of a candle fold back into its recorded numbers.
`candle_trades` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from adapters.sim.market import FUNDING_BASE, HOUR_MS, MINUTE_MS, SECOND_MS, MinuteOfSeconds
from adapters.sim.noise import hashed
from adapters.sim.venue.market.candle_trades import SLOT_SECONDS, CandleColumns, SlotTrades, on_tick, slot_trades
from adapters.sim.venue.market.minute_seconds import MinuteSeconds
from adapters.sim.venue.market.path import PathSecond
from domain.candles import CandleWindow, FloatColumn, IntColumn, Interval
from domain.instruments import MAX_PRICE_DECIMALS, Instrument
from ports.datasets import FundingSet

MINUTES_CACHED = 4
SECONDS = 60
SLOTS = SECONDS // SLOT_SECONDS
SLOTS_AT_ONCE = 1 << 16

_MOST_SPREAD, _LEAST_SPREAD = 10e-4, 0.1e-4
_SPREAD_AT_A_DOLLAR = 200e-4
"""Of the price, where a dollar is traded a minute; it narrows with the root of what is traded."""
_TOUCH_TRADES = 4.0
_LEAST_TOUCH_USD = 1_000.0


class RecordedPath:
    """`MarketPath` of recorded candles, all of one interval, one window an instrument and in its order.

    Venue time is recorded time plus `shift_ms`, a multiple of the interval. Before an instrument's first candle
    its price stands at the first open, after the last one at the last close; there and in candles without volume
    nothing trades. Recorded volumes are met to the size step, except that every price of a candle that must be
    seen costs at least one step. `funding` answers at recorded time; hours it does not know pay the usual rate.
    """

    def __init__(
        self,
        windows: Sequence[CandleWindow],
        instruments: Sequence[Instrument],
        seed: int,
        *,
        shift_ms: int = 0,
        funding: FundingSet | None = None,
    ) -> None:
        assert windows and len(windows) == len(instruments), "every instrument has its window"
        assert all(len(window) for window in windows), "no window is empty"
        assert len({window.interval for window in windows}) == 1, "the candles have one interval"
        self._interval = windows[0].interval
        assert shift_ms % self._interval.ms == 0, "times move by whole candles"
        self._windows, self._instruments = tuple(windows), tuple(instruments)
        self._shift_ms, self._funding = shift_ms, funding
        state = np.random.SeedSequence(seed).generate_state(1, np.uint64).astype(np.uint64)
        keys = hashed(state, np.arange(len(windows), dtype=np.int64))
        self._rows = CandleColumns.of(windows, instruments, keys)
        self._first_row = np.cumsum([0, *(len(window) for window in windows[:-1])])
        self._decimals = np.array([each.size_decimals for each in instruments], dtype=np.int64)
        self._size_scale: FloatColumn = np.array([10.0**each.size_decimals for each in instruments])
        self._seconds = MinuteSeconds(lambda minute_ms: self._minute(minute_ms - shift_ms))

    def instruments(self) -> tuple[Instrument, ...]:
        return self._instruments

    def second(self, open_ms: int) -> PathSecond:
        return self._seconds.second(open_ms)

    def candles(self, place: int, interval: Interval, start_ms: int, end_ms: int) -> tuple[CandleWindow, IntColumn]:
        window = self._windows[place]
        first = -(-start_ms // interval.ms) * interval.ms - self._shift_ms
        last = -(-end_ms // interval.ms) * interval.ms - self._shift_ms
        is_whole = interval.ms % self._interval.ms == 0
        begin, end = np.searchsorted(window.open_ms, (first if is_whole else first - self._interval.ms + 1, last))
        rows = self._first_row[place] + np.arange(begin, end)
        rows = rows[self._rows.volume_steps[rows] > 0]
        if is_whole:
            times, trades = self._rows.open_ms[rows], self._counts(rows)
            values = self._rows.prices(rows)
        else:
            rows, slots = self._all_slots(rows)
            found = slot_trades(self._rows, rows, slots)
            times = self._rows.open_ms[rows] + (slots * SLOT_SECONDS + found.second) * SECOND_MS
            kept = (found.steps > 0) & (times >= first) & (times < last)
            times, trades = times[kept], np.ones(int(kept.sum()), dtype=np.int64)
            price = found.price[kept]
            values = np.stack((price, price, price, price, found.steps[kept]))
        return self._folded(place, interval, times + self._shift_ms, values, trades)

    def funding_rate(self, place: int, hour_ms: int) -> Decimal:
        if self._funding is None:
            return FUNDING_BASE
        recorded_hour = (hour_ms - self._shift_ms) // HOUR_MS * HOUR_MS
        rate = self._funding.rate(self._instruments[place].symbol, recorded_hour)
        return FUNDING_BASE if rate is None else rate

    # ── candles ──────────────────────────────────────────────────────────────────────────────

    def _folded(
        self, place: int, interval: Interval, times: IntColumn, values: FloatColumn, trades: IntColumn
    ) -> tuple[CandleWindow, IntColumn]:
        """Rows of open, high, low, close and steps, rising in time, put together into candles of `interval`."""
        symbol = self._instruments[place].symbol
        if not len(times):
            return CandleWindow(symbol, interval, times, *(np.empty(0) for _ in range(5))), trades
        opens = times // interval.ms * interval.ms
        starts = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
        ends = np.append(starts[1:], len(opens)) - 1
        window = CandleWindow(
            symbol,
            interval,
            opens[starts],
            values[0][starts],
            np.maximum.reduceat(values[1], starts),
            np.minimum.reduceat(values[2], starts),
            values[3][ends],
            np.add.reduceat(values[4], starts) / self._size_scale[place],
        )
        return window, np.add.reduceat(trades, starts)

    def _counts(self, rows: npt.NDArray[np.intp]) -> IntColumn:
        """How many trades each of these candles has."""
        slots = self._rows.slots
        if not len(rows):
            return np.empty(0, dtype=np.int64)
        at_once = max(1, SLOTS_AT_ONCE // slots)
        parts = [
            slot_trades(self._rows, *self._all_slots(rows[begin : begin + at_once])).steps.reshape(-1, slots)
            for begin in range(0, len(rows), at_once)
        ]
        return np.concatenate([np.count_nonzero(part, axis=1) for part in parts])

    def _all_slots(self, rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], IntColumn]:
        slots = self._rows.slots
        return np.repeat(rows, slots), np.tile(np.arange(slots, dtype=np.int64), len(rows))

    # ── seconds ──────────────────────────────────────────────────────────────────────────────

    def _minute(self, recorded_ms: int) -> MinuteOfSeconds:
        """All seconds of one minute, in recorded time."""
        rows, inside, still = self._rows_at(recorded_ms)
        slot = (recorded_ms - self._rows.open_ms[rows]) // (SLOT_SECONDS * SECOND_MS)
        # One slot more at the front: its price stands until the minute's first trade.
        slots = np.arange(-1, SLOTS, dtype=np.int64)[:, None] + np.where(inside, slot, 0)
        shape = slots.shape
        flat = slot_trades(self._rows, np.broadcast_to(rows, shape).ravel(), np.maximum(slots, 0).ravel())
        found = flat.reshaped(shape)
        before_first = np.where(slots[0] < 0, self._price_before(rows), found.price[0])
        found.price[0] = before_first
        found.price[:] = np.where(inside, found.price, still)
        found.steps[:] = np.where(inside, found.steps, 0.0)
        return self._as_seconds(rows, inside, found)

    def _rows_at(self, recorded_ms: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], FloatColumn]:
        """Per instrument: its candle at this time or the nearest one, whether the time is inside of it and it has
        trades, and the price at which the market stands still where not."""
        places = [int(np.searchsorted(window.open_ms, recorded_ms, side="right")) - 1 for window in self._windows]
        before = np.array(places) < 0
        rows = self._first_row + np.maximum(places, 0)
        opened = self._rows.open_ms[rows]
        inside = ~before & (recorded_ms < opened + self._interval.ms) & (self._rows.volume_steps[rows] > 0)
        return rows, inside, np.where(before, self._rows.open[rows], self._rows.close[rows])

    def _price_before(self, rows: npt.NDArray[np.intp]) -> FloatColumn:
        """The close of the candle before, where there is one."""
        return np.where(rows > self._first_row, self._rows.close[np.maximum(rows - 1, 0)], self._rows.open[rows])

    def _as_seconds(
        self, rows: npt.NDArray[np.intp], inside: npt.NDArray[np.bool_], found: SlotTrades
    ) -> MinuteOfSeconds:
        bid, ask = self._quotes(rows, inside, found)
        second = np.arange(SECONDS)
        slot = second // SLOT_SECONDS + 1
        happened = (second % SLOT_SECONDS)[:, None] >= found.second[slot]
        now = np.where(happened, slot[:, None], slot[:, None] - 1)
        columns = np.arange(len(rows))
        steps = found.steps[slot]
        sizes = self._touch_sizes(rows, inside)
        draw = hashed(self._rows.chance[rows] ^ np.uint64(0x5E), second[:, None] // 10)
        bid_size, ask_size = (
            np.rint(sizes * (0.5 + ((draw >> np.uint64(shift)) & np.uint64(0xFF)) / 128.0)) + 1.0 for shift in (0, 8)
        )
        return MinuteOfSeconds(
            bid=bid[now, columns],
            ask=ask[now, columns],
            bid_size=bid_size / self._size_scale,
            ask_size=ask_size / self._size_scale,
            traded=((second % SLOT_SECONDS)[:, None] == found.second[slot]) & (steps > 0),
            offset_ms=found.offset_ms[slot],
            price=found.price[slot],
            size=steps / self._size_scale,
            buys=found.buys[slot],
            tid=found.tid[slot],
        )

    def _quotes(
        self, rows: npt.NDArray[np.intp], inside: npt.NDArray[np.bool_], found: SlotTrades
    ) -> tuple[FloatColumn, FloatColumn]:
        """Bid and ask after each slot's trade: one of them is its price, and between them lies the spread."""
        usd = np.where(inside, self._rows.volume_steps[rows], 0.0) / self._size_scale * self._rows.close[rows]
        per_minute = usd * (MINUTE_MS / self._interval.ms)
        share = np.clip(_SPREAD_AT_A_DOLLAR / np.sqrt(per_minute + 1.0), _LEAST_SPREAD, _MOST_SPREAD)
        decimals = MAX_PRICE_DECIMALS - self._decimals
        spread = found.price * share
        ask = on_tick(found.price + spread, decimals, above=found.price)
        bid = on_tick(found.price - spread, decimals, below=found.price)
        found.buys[:] &= bid > 0  # nothing stands below one tick: there the trade was a sale
        return np.where(found.buys, bid, found.price), np.where(found.buys, found.price, ask)

    def _touch_sizes(self, rows: npt.NDArray[np.intp], inside: npt.NDArray[np.bool_]) -> FloatColumn:
        """In steps: some trades' worth, and never next to nothing."""
        per_slot = np.where(inside, self._rows.volume_steps[rows], 0.0) / self._rows.slots
        least = _LEAST_TOUCH_USD / self._rows.close[rows] * self._size_scale
        return np.maximum(per_slot * _TOUCH_TRADES, least)
