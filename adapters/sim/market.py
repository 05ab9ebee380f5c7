"""SimMarket: a market that is a pure function of (seed, time).

Any moment may be asked for, in any order, after any restart, and gives the same answer bit for
bit: nothing is walked, everything is drawn from hashes of (seed, symbol, minute, second). Quotes,
trades and candles agree, because candles are the fold of the trades and trades stand on quotes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from adapters.sim.price_path import MinuteGrid, PricePath
from adapters.sim.symbols import profiles
from adapters.sim.tape import SECONDS, Tape, TapeWriter, fold
from domain.candles import BoolColumn, CandleWindow, FloatColumn, IntColumn, Interval
from domain.instruments import Instrument
from domain.market import Trade

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
MINUTES_CACHED = 4
MINUTES_AT_ONCE = 512
"""Minutes drawn in one go for a history: few enough for the processor's cache."""

FUNDING_BASE = Decimal("0.0000125")
FUNDING_CAP = Decimal("0.0005")
_FUNDING_STEP = Decimal("0.00000001")
_FUNDING_LEAN = 0.02
"""Funding leans with the last hour's move: this share of it is paid by whoever was right."""


@dataclass(slots=True)
class MinuteColumns:
    """One minute of all symbols. Quotes are (second, symbol); candle columns are per symbol.

    Where `traded` is false nobody traded: the candle's prices mean nothing and its volume is 0.
    A bid or ask stands from its second's start to the next. All prices are on the tick, the
    mid between them may be half a tick off, as at the venue.
    """

    open_ms: int
    bid: FloatColumn
    ask: FloatColumn
    mid: FloatColumn
    traded_size: FloatColumn
    open: FloatColumn
    high: FloatColumn
    low: FloatColumn
    close: FloatColumn
    volume: FloatColumn
    traded: BoolColumn


@dataclass(slots=True)
class MinuteOfSeconds:
    """One minute of all symbols as (second, symbol) tables: quotes, what rests at them, and the trades.

    Where `traded` is false, the columns of the trade mean nothing.
    """

    bid: FloatColumn
    ask: FloatColumn
    bid_size: FloatColumn
    ask_size: FloatColumn
    traded: BoolColumn
    offset_ms: IntColumn
    price: FloatColumn
    size: FloatColumn
    buys: BoolColumn
    tid: IntColumn


class SimMarket:
    """Quotes, trades, candles and funding of the first `symbol_count` simulated symbols.

    Symbol ids are places in `instruments()`. A smaller market of the same seed is the beginning
    of a larger one. Queries may be about any time, also before 1970; the cost does not depend on it.
    """

    def __init__(self, seed: int, symbol_count: int) -> None:
        self._profiles = profiles(symbol_count)
        self._path = PricePath(seed, self._profiles)
        self._writer = TapeWriter(self._profiles)
        self._all = np.arange(symbol_count, dtype=np.intp)
        self._tapes: OrderedDict[int, Tape] = OrderedDict()
        self._minutes: OrderedDict[int, MinuteColumns] = OrderedDict()

    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(profile.instrument for profile in self._profiles)

    # ── all symbols at once ──────────────────────────────────────────────────────────────────

    def minute(self, open_ms: int) -> MinuteColumns:
        """The minute that opens at `open_ms`, of all symbols. The last few are remembered."""
        found = self._minutes.get(open_ms)
        if found is None:
            tape = self._tape(open_ms)
            found = self._minutes[open_ms] = _columns(open_ms, tape)
            _trim(self._minutes)
        return found

    def quotes(self, at_ms: int) -> tuple[FloatColumn, FloatColumn]:
        """Best bid and best ask of all symbols in the second that contains `at_ms`."""
        minute = self.minute(at_ms // MINUTE_MS * MINUTE_MS)
        second = at_ms % MINUTE_MS // SECOND_MS
        return minute.bid[second], minute.ask[second]

    def quote_sizes(self, at_ms: int) -> tuple[FloatColumn, FloatColumn]:
        """Sizes that rest at the best bid and the best ask in the second that contains `at_ms`."""
        tape = self._tape(at_ms // MINUTE_MS * MINUTE_MS)
        bid, ask = tape.resting_steps(at_ms % MINUTE_MS // SECOND_MS)
        return bid / tape.size_scale, ask / tape.size_scale

    def seconds(self, open_ms: int) -> MinuteOfSeconds:
        """Everything about the minute that opens at `open_ms`, second by second. Not remembered."""
        tape = self._tape(open_ms)
        bid_steps, ask_steps = tape.resting_steps(np.arange(SECONDS, dtype=np.int64)[:, None])
        return MinuteOfSeconds(
            bid=tape.bid_ticks / tape.price_scale,
            ask=(tape.bid_ticks + tape.spread_ticks) / tape.price_scale,
            bid_size=bid_steps / tape.size_scale,
            ask_size=ask_steps / tape.size_scale,
            traded=tape.traded,
            offset_ms=tape.offset_ms,
            price=tape.trade_ticks / tape.price_scale,
            size=tape.size_steps / tape.size_scale,
            buys=tape.buys,
            tid=tape.tids,
        )

    # ── one symbol ───────────────────────────────────────────────────────────────────────────

    def trades(self, symbol_id: int, start_ms: int, end_ms: int) -> list[Trade]:
        """Trades of one symbol with times in [start_ms, end_ms), oldest first."""
        found = []
        symbol = self._profiles[symbol_id].instrument.symbol
        for open_ms in range(start_ms // MINUTE_MS * MINUTE_MS, end_ms, MINUTE_MS):
            tape = self._writer.tape(self._all[symbol_id : symbol_id + 1], self._grid(symbol_id, open_ms, 1))
            times = open_ms + np.arange(SECONDS) * SECOND_MS + tape.offset_ms[:, 0]
            prices, sizes = tape.trade_ticks[:, 0] / tape.price_scale, tape.size_steps[:, 0] / tape.size_scale
            for second in np.flatnonzero(tape.traded[:, 0] & (times >= start_ms) & (times < end_ms)).tolist():
                found.append(
                    Trade(
                        symbol=symbol,
                        time_ms=int(times[second]),
                        buy=bool(tape.buys[second, 0]),
                        price=float(prices[second]),
                        size=float(sizes[second]),
                        tid=int(tape.tids[second, 0]),
                    )
                )
        return found

    def candles(self, symbol_id: int, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        """Candles with open time in [start_ms, end_ms), oldest first; spans without a trade are absent."""
        return self.counted_candles(symbol_id, interval, start_ms, end_ms)[0]

    def counted_candles(
        self, symbol_id: int, interval: Interval, start_ms: int, end_ms: int
    ) -> tuple[CandleWindow, IntColumn]:
        """`candles`, and the number of trades in each."""
        first = -(-start_ms // interval.ms) * interval.ms
        last = -(-end_ms // interval.ms) * interval.ms
        step = max(1, MINUTES_AT_ONCE // (interval.ms // MINUTE_MS)) * interval.ms
        times, columns = [np.empty(0, dtype=np.int64)], [np.empty((5, 0))]
        counts = [np.empty(0, dtype=np.int64)]
        for begin in range(first, last, step):
            spans, values, trades = self._spans(symbol_id, interval, begin, min(begin + step, last))
            times.append(begin + spans * interval.ms)
            columns.append(values)
            counts.append(trades)
        symbol = self._profiles[symbol_id].instrument.symbol
        window = CandleWindow(symbol, interval, np.concatenate(times), *np.concatenate(columns, axis=1))
        return window, np.concatenate(counts)

    def history(
        self, symbol_ids: Iterable[int], interval: Interval, start_ms: int, end_ms: int
    ) -> tuple[CandleWindow, ...]:
        """`candles` of several symbols, in the order asked for."""
        return tuple(self.candles(symbol_id, interval, start_ms, end_ms) for symbol_id in symbol_ids)

    def funding_rate(self, symbol_id: int, hour_ms: int) -> Decimal:
        """The rate paid at this full hour: the venue's usual one, leaning with the hour's move, capped."""
        grid = self._grid(symbol_id, hour_ms - HOUR_MS, HOUR_MS // MINUTE_MS)
        move = float(np.add.accumulate(grid.drift[0])[-1])
        lean = Decimal(repr(move * _FUNDING_LEAN))
        rate = FUNDING_BASE + max(-FUNDING_CAP, min(FUNDING_CAP, lean))
        return rate.quantize(_FUNDING_STEP)

    def oracle_price(self, symbol_id: int, hour_ms: int) -> Decimal:
        """The outside reference at this full hour: the mid of its first second."""
        bid, ask = self.quotes(hour_ms)
        return (Decimal(repr(float(bid[symbol_id]))) + Decimal(repr(float(ask[symbol_id])))) / 2

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _grid(self, symbol_id: int, open_ms: int, minutes: int) -> MinuteGrid:
        return self._path.grid(self._all[symbol_id : symbol_id + 1], open_ms // MINUTE_MS, minutes)

    def _tape(self, open_ms: int) -> Tape:
        tape = self._tapes.get(open_ms)
        if tape is None:
            assert open_ms % MINUTE_MS == 0, "a minute is asked for by its open time"
            grid = self._path.grid(self._all, open_ms // MINUTE_MS, 1)
            tape = self._tapes[open_ms] = self._writer.tape(self._all, grid)
            _trim(self._tapes)
        return tape

    def _spans(
        self, symbol_id: int, interval: Interval, start_ms: int, end_ms: int
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], FloatColumn, IntColumn]:
        """Which spans of the range saw a trade, rows of their open, high, low, close and volume, and their trades."""
        per_span = interval.ms // MINUTE_MS
        minutes = (end_ms - start_ms) // MINUTE_MS
        tape = self._writer.tape(self._all[symbol_id : symbol_id + 1], self._grid(symbol_id, start_ms, minutes))
        folded = fold(tape)
        shape = (minutes // per_span, per_span)
        traded = folded.traded.reshape(shape)
        spans = np.flatnonzero(traded.any(axis=1))
        traded = traded[spans]
        first, last = traded.argmax(axis=1), per_span - 1 - traded[:, ::-1].argmax(axis=1)
        rows = np.arange(len(spans))
        high, low = folded.high.reshape(shape)[spans], folded.low.reshape(shape)[spans]
        values = (
            folded.open.reshape(shape)[spans][rows, first],
            np.where(traded, high, 0.0).max(axis=1),
            np.where(traded, low, np.inf).min(axis=1),
            folded.close.reshape(shape)[spans][rows, last],
            folded.volume_steps.reshape(shape)[spans].sum(axis=1) / tape.size_scale[0],
        )
        return spans, np.stack(values), folded.trades.reshape(shape)[spans].sum(axis=1)


def _columns(open_ms: int, tape: Tape) -> MinuteColumns:
    folded = fold(tape)
    return MinuteColumns(
        open_ms=open_ms,
        bid=tape.bid_ticks / tape.price_scale,
        ask=(tape.bid_ticks + tape.spread_ticks) / tape.price_scale,
        mid=(tape.bid_ticks * 2.0 + tape.spread_ticks) / (tape.price_scale * 2.0),
        traded_size=tape.size_steps / tape.size_scale,
        open=folded.open,
        high=folded.high,
        low=folded.low,
        close=folded.close,
        volume=folded.volume_steps / tape.size_scale,
        traded=folded.traded,
    )


def _trim(cache: OrderedDict[int, Tape] | OrderedDict[int, MinuteColumns]) -> None:
    while len(cache) > MINUTES_CACHED:
        cache.popitem(last=False)
