"""Candles of a local venue: the path's own, with users' trades in them, and the running ones.

The last minutes are folded trade by trade, for all coins at once. A minute in which a user had a hand is kept for
good, because the path does not know of it; every other one the path tells again whenever it is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adapters.sim.market import MINUTE_MS
from adapters.sim.venue.market.path import MarketPath
from domain.candles import BoolColumn, FloatColumn, IntColumn, Interval

CANDLES_KEPT = 5_000
FOLDS_KEPT = 60
"""Minutes whose trades stay folded, for those who follow the day's figures."""
TOUCHED_KEPT = 20_000
REBUILT_KEPT = 4_096


class CandleRow(NamedTuple):
    """One candle. `end_ms` is its last millisecond, `trades` how many there were."""

    open_ms: int
    end_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int


@dataclass(slots=True)
class _MinuteFold:
    """One minute of all coins so far. `opened_ms` and `closed_ms` are the times of the first and the last trade,
    so that trades may come in any order. `touched`: it is not what the path would tell."""

    open: FloatColumn
    high: FloatColumn
    low: FloatColumn
    close: FloatColumn
    steps: FloatColumn
    trades: IntColumn
    opened_ms: IntColumn
    closed_ms: IntColumn
    touched: BoolColumn

    @classmethod
    def empty(cls, coins: int) -> _MinuteFold:
        return cls(
            open=np.zeros(coins),
            high=np.zeros(coins),
            low=np.full(coins, np.inf),
            close=np.zeros(coins),
            steps=np.zeros(coins),
            trades=np.zeros(coins, dtype=np.int64),
            opened_ms=np.full(coins, np.iinfo(np.int64).max),
            closed_ms=np.full(coins, np.iinfo(np.int64).min),
            touched=np.zeros(coins, dtype=np.bool_),
        )

    def add(self, places: npt.NDArray[np.intp], times: IntColumn, price: FloatColumn, steps: FloatColumn) -> None:
        """Fold one trade each of some coins, no coin twice."""
        first, last = times < self.opened_ms[places], times >= self.closed_ms[places]
        self.open[places[first]] = price[first]
        self.opened_ms[places[first]] = times[first]
        self.close[places[last]] = price[last]
        self.closed_ms[places[last]] = times[last]
        self.high[places] = np.maximum(self.high[places], price)
        self.low[places] = np.minimum(self.low[places], price)
        self.steps[places] += steps
        self.trades[places] += 1

    def row(self, place: int) -> _Row | None:
        trades = self.trades.item(place)
        if not trades:
            return None
        return _Row(
            self.open.item(place),
            self.high.item(place),
            self.low.item(place),
            self.close.item(place),
            self.steps.item(place),
            trades,
        )


class _Row(NamedTuple):
    """A candle without its time; the volume in size steps, whose sums are exact."""

    open: float
    high: float
    low: float
    close: float
    steps: float
    trades: int


class _Base(NamedTuple):
    """A running candle up to a whole minute."""

    open_ms: int
    upto_ms: int
    row: _Row | None


class RunningCandles:
    """Candles of all coins as of now, by place."""

    def __init__(self, path: MarketPath) -> None:
        self._path = path
        instruments = path.instruments()
        self._scale: FloatColumn = np.array([10.0**each.size_decimals for each in instruments])
        self._folds: OrderedDict[int, _MinuteFold] = OrderedDict()
        self._touched: list[OrderedDict[int, _Row | None]] = [OrderedDict() for _ in instruments]
        self._bases: dict[tuple[int, Interval], _Base] = {}
        self._rebuilt: OrderedDict[tuple[int, Interval, int], _Row | None] = OrderedDict()

    # ── trades come in ───────────────────────────────────────────────────────────────────────

    def begin(self, minute_ms: int) -> None:
        """A minute starts; the ones before it stay open for trades until `settle`."""
        self._folds.setdefault(minute_ms, _MinuteFold.empty(len(self._scale)))

    def add(
        self,
        minute_ms: int,
        places: npt.NDArray[np.intp],
        times: IntColumn,
        price: FloatColumn,
        size: FloatColumn,
    ) -> None:
        """Trades of the path inside one minute, at most one a coin."""
        self._folds[minute_ms].add(places, times, price, np.rint(size * self._scale[places]))

    def add_print(self, place: int, time_ms: int, price: float, size: float) -> None:
        """A trade that a user had a hand in, or that the path tells otherwise."""
        minute_ms = time_ms - time_ms % MINUTE_MS
        if minute_ms > next(reversed(self._folds)):
            self.begin(minute_ms)
        fold = self._folds.get(minute_ms)
        assert fold is not None, "trades are told while their minute is open"
        fold.touched[place] = True
        at = np.array([place])
        fold.add(at, np.array([time_ms]), np.array([price]), np.rint(np.array([size]) * self._scale[at]))

    def touch(self, place: int, minute_ms: int) -> None:
        """From here on the path's own candle of this minute is not what happened."""
        self._folds[minute_ms].touched[place] = True

    def settle(self, now_ms: int) -> None:
        """All trades up to now have been told: keep what is needed of old minutes."""
        running = now_ms - now_ms % MINUTE_MS
        while len(self._folds) > FOLDS_KEPT:
            minute_ms, fold = next(iter(self._folds.items()))
            if minute_ms >= running:
                return
            del self._folds[minute_ms]
            for place in np.flatnonzero(fold.touched).tolist():
                kept = self._touched[place]
                kept[minute_ms] = fold.row(place)
                while len(kept) > TOUCHED_KEPT:
                    kept.popitem(last=False)

    # ── candles are asked for ────────────────────────────────────────────────────────────────

    def candles(self, place: int, interval: Interval, start_ms: int, end_ms: int, now_ms: int) -> list[CandleRow]:
        """The newest candles that open from the one around `start_ms` up to `end_ms`, the running one last."""
        running = interval.open_of(now_ms)
        first = max(interval.open_of(start_ms), running - (CANDLES_KEPT - 1) * interval.ms)
        found: dict[int, _Row | None] = {}
        if first < running and first <= end_ms:
            found = self._whole(place, interval, first, min(running, interval.open_of(end_ms) + interval.ms))
        if first <= running <= end_ms:
            found[running] = self._running(place, interval, running, now_ms)
        return [self._told(place, interval, open_ms, row) for open_ms, row in found.items() if row is not None]

    def minutes(self, place: int, start_ms: int, end_ms: int) -> dict[int, CandleRow]:
        """The minutes that open in [start_ms, end_ms) and saw a trade, also the running one."""
        return {
            open_ms: self._told(place, Interval.M1, open_ms, row)
            for open_ms, row in self._minute_rows(place, start_ms, end_ms)
        }

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _whole(self, place: int, interval: Interval, start_ms: int, end_ms: int) -> dict[int, _Row | None]:
        found = dict(self._path_rows(place, interval, start_ms, end_ms))
        spans = {interval.open_of(minute_ms) for minute_ms in self._touched_minutes(place, start_ms, end_ms)}
        if not spans:
            return found
        found.update((open_ms, self._rebuild(place, interval, open_ms)) for open_ms in spans)
        return dict(sorted(found.items()))

    def _rebuild(self, place: int, interval: Interval, open_ms: int) -> _Row | None:
        """A whole candle that the path does not know, from its minutes."""
        key = (place, interval, open_ms)
        if key in self._rebuilt:
            return self._rebuilt[key]
        end_ms = open_ms + interval.ms
        row = _joined(row for _, row in self._minute_rows(place, open_ms, end_ms))
        if end_ms <= next(iter(self._folds)):
            self._rebuilt[key] = row
            while len(self._rebuilt) > REBUILT_KEPT:
                self._rebuilt.popitem(last=False)
        return row

    def _running(self, place: int, interval: Interval, open_ms: int, now_ms: int) -> _Row | None:
        minute_ms = now_ms - now_ms % MINUTE_MS
        base = self._bases.get((place, interval))
        if base is None or base.open_ms != open_ms or base.upto_ms > minute_ms:
            base = _Base(open_ms, open_ms, None)
        if base.upto_ms < minute_ms:
            newer = (row for _, row in self._minute_rows(place, base.upto_ms, minute_ms))
            base = _Base(open_ms, minute_ms, _joined(newer if base.row is None else (base.row, *newer)))
        self._bases[place, interval] = base
        last = self._folds[minute_ms].row(place)
        return _joined(row for row in (base.row, last) if row is not None)

    def _minute_rows(self, place: int, start_ms: int, end_ms: int) -> Iterator[tuple[int, _Row]]:
        """Minutes that open in [start_ms, end_ms) and saw a trade, oldest first."""
        folded_ms = next(iter(self._folds))
        kept = self._touched[place]
        if start_ms < folded_ms:
            older = dict(self._path_rows(place, Interval.M1, start_ms, min(end_ms, folded_ms)))
            for minute_ms in self._touched_minutes(place, start_ms, min(end_ms, folded_ms)):
                older[minute_ms] = kept[minute_ms]
            for minute_ms, row in sorted(older.items()):
                if row is not None:
                    yield minute_ms, row
        for minute_ms in range(max(start_ms, folded_ms), end_ms, MINUTE_MS):
            fold = self._folds.get(minute_ms)
            row = None if fold is None else fold.row(place)
            if row is not None:
                yield minute_ms, row

    def _touched_minutes(self, place: int, start_ms: int, end_ms: int) -> list[int]:
        kept = [minute_ms for minute_ms in self._touched[place] if start_ms <= minute_ms < end_ms]
        open_ones = [
            minute_ms
            for minute_ms, fold in self._folds.items()
            if start_ms <= minute_ms < end_ms and fold.touched[place]
        ]
        return kept + open_ones

    def _path_rows(
        self, place: int, interval: Interval, start_ms: int, end_ms: int
    ) -> Iterator[tuple[int, _Row | None]]:
        window, trades = self._path.candles(place, interval, start_ms, end_ms)
        steps = np.rint(window.volume * self._scale[place])
        columns = (window.open, window.high, window.low, window.close, steps, trades)
        rows = (_Row(*values) for values in zip(*(column.tolist() for column in columns), strict=True))
        return zip(window.open_ms.tolist(), rows, strict=True)

    def _told(self, place: int, interval: Interval, open_ms: int, row: _Row) -> CandleRow:
        volume = row.steps / self._scale.item(place)
        last_ms = open_ms + interval.ms - 1
        return CandleRow(open_ms, last_ms, row.open, row.high, row.low, row.close, volume, row.trades)


def _joined(rows: Iterable[_Row]) -> _Row | None:
    """Rows that follow each other as one."""
    parts = list(rows)
    if not parts:
        return None
    return _Row(
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.steps for part in parts),
        sum(part.trades for part in parts),
    )
