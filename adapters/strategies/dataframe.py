"""`DataFrameStrategy`: a user's `analyze(df, …)` behind the `Strategy` port.

It keeps the newest candles of every symbol and turns a batch into a job; the user's function
itself runs in a worker (`DataFrameWorker`), because it is slow and not ours.
"""

from __future__ import annotations

import numpy as np

from adapters.strategies.worker import ANALYZE_GATE
from domain.candles import BoolColumn, CandleBatch, CandleWindow
from domain.instruments import Universe
from domain.signals import FEATURE_INDEX, Analyses
from domain.strategy_config import StrategyBook
from domain.strategy_job import StrategyJob

_SPARE_ROOM = 64
"""Rows a ring has beyond its window, so that it is moved to the front only once in so many candles."""


class CandleRing:
    """The newest candles of one symbol, at most `lookback` of them, in columns that are never grown."""

    __slots__ = ("_columns", "_end", "_interval", "_lookback", "_open_ms", "_symbol")

    def __init__(self, window: CandleWindow, lookback: int) -> None:
        newest = window.last(lookback)
        self._symbol, self._interval = window.symbol, window.interval
        self._lookback = lookback
        self._open_ms = np.empty(lookback + _SPARE_ROOM, dtype=np.int64)
        self._columns = np.empty((5, lookback + _SPARE_ROOM))
        self._end = len(newest)
        self._open_ms[: self._end] = newest.open_ms
        self._columns[:, : self._end] = (newest.open, newest.high, newest.low, newest.close, newest.volume)

    def append(self, open_ms: int, candle: tuple[float, float, float, float, float]) -> None:
        if self._end == len(self._open_ms):
            kept = self._lookback - 1
            self._open_ms[:kept] = self._open_ms[-kept:].copy() if kept else ()
            self._columns[:, :kept] = self._columns[:, -kept:].copy() if kept else np.empty((5, 0))
            self._end = kept
        self._open_ms[self._end] = open_ms
        self._columns[:, self._end] = candle
        self._end += 1

    def window(self) -> CandleWindow:
        """A copy, because a job is read in another thread while the ring moves on."""
        cut = slice(max(0, self._end - self._lookback), self._end)
        open_, high, low, close, volume = self._columns[:, cut].copy()
        return CandleWindow(self._symbol, self._interval, self._open_ms[cut].copy(), open_, high, low, close, volume)


class DataFrameStrategy:
    """Hands every batch to a worker, with the newest `lookback` candles of each symbol that has to decide."""

    def __init__(self, spec: str, *, lookback: int) -> None:
        assert lookback >= 1, "an analysis needs at least the candle it is about"
        self.name = spec
        self._lookback = lookback
        self._book: StrategyBook | None = None
        self._symbols: tuple[str, ...] = ()
        self._rings: dict[int, CandleRing] = {}
        self._jobs = 0

    def configure(self, book: StrategyBook, universe: Universe) -> tuple[str, ...]:
        """Put a config in force. Candles do not depend on it, so no symbol has to be rebuilt, ever."""
        self._book = book
        self._symbols = universe.symbols
        return ()

    def rebuild(self, symbol_id: int, window: CandleWindow) -> None:
        assert window.symbol == self._symbols[symbol_id], "the window of another symbol"
        self._rings[symbol_id] = CandleRing(window, self._lookback)

    def forget(self, symbol_id: int) -> None:
        self._rings.pop(symbol_id, None)

    def advance(self, batch: CandleBatch, decide: BoolColumn, btc_bullish: bool | None) -> Analyses | StrategyJob:
        """Append the batch; a job for the symbols that decide, or an empty answer when none does."""
        assert self._book is not None, "configure before the first batch"
        candles = np.stack((batch.open, batch.high, batch.low, batch.close, batch.volume), axis=1).tolist()
        windows = []
        for symbol_id, candle, must_decide in zip(batch.ids.tolist(), candles, decide.tolist(), strict=True):
            ring = self._rings.get(symbol_id)
            if ring is None:
                assert not must_decide, f"symbol {symbol_id} has to be rebuilt before it can decide"
                continue
            ring.append(batch.open_ms, candle)
            if must_decide:
                windows.append(ring.window())
        if not windows:
            return _nothing_decided()
        self._jobs += 1
        return StrategyJob(self._jobs, _part_of(batch, decide), tuple(windows), btc_bullish, self._book)


def _part_of(batch: CandleBatch, wanted: BoolColumn) -> CandleBatch:
    if wanted.all():
        return batch
    columns = (column[wanted] for column in (batch.open, batch.high, batch.low, batch.close, batch.volume))
    return CandleBatch(batch.interval, batch.open_ms, batch.ids[wanted], *columns)


def _nothing_decided() -> Analyses:
    none = np.empty(0, dtype=np.int8)
    empty_gates = np.empty((1, 0))
    return Analyses(
        ids=np.empty(0, dtype=np.intp),
        signal=none,
        confidence=none,
        first_no=none,
        features=np.empty((len(FEATURE_INDEX), 0)),
        gate_names=(ANALYZE_GATE,),
        gate_values=empty_gates,
        gate_thresholds=empty_gates,
        gate_passed=np.empty((1, 0), dtype=bool),
    )
