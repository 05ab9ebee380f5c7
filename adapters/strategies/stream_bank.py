"""Live indicators: one set of TA-Lib stream handles a symbol, moved on one candle at a time.

A symbol is *young* until every handle can be opened: its candles are kept and the full
functions run over them, which gives the same bits at a price that ends after a few hundred
candles. Then the handles are opened from that history and the candles are let go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from adapters.strategies.indicators import (
    BAND_SIGMAS,
    COLUMN_ROWS,
    MACD_FAST,
    MACD_HIST,
    MACD_HIST_1,
    MACD_SIGNAL,
    MACD_SLOW,
    RAW_ROWS,
    Periods,
    Raw,
    derive,
    raw_series,
)
from domain.candles import BoolColumn, CandleBatch, CandleWindow, FloatColumn

RawRow: TypeAlias = tuple[float, ...]
"""One candle's RAW values, in the order of `Raw`."""


class YoungSymbol:
    """A symbol with too few candles for stream handles."""

    __slots__ = ("_candles", "_periods")

    def __init__(self, candles: FloatColumn, periods: Periods) -> None:
        self._candles = candles
        self._periods = periods

    def step(self, high: float, low: float, close: float, volume: float) -> RawRow:
        candle = np.array(((high,), (low,), (close,), (volume,)))
        self._candles = np.concatenate((self._candles, candle), axis=1)
        return tuple(_raw_of(self._candles, self._periods)[:, -1].tolist())

    def grown(self, newest: RawRow) -> OpenSymbol | None:
        """The symbol with its handles open, once every indicator has a value."""
        if any(value != value for value in newest):
            return None
        return OpenSymbol(self._candles, _raw_of(self._candles, self._periods), self._periods)


class OpenSymbol:
    """A symbol whose indicators are open stream handles (their bound `update`s are all that is kept)."""

    __slots__ = (
        "_adx",
        "_atr",
        "_atr_average",
        "_bands",
        "_ema_fast",
        "_ema_macro",
        "_ema_slow",
        "_macd",
        "_rsi",
        "_slow_history",
        "_stoch",
        "_volume_average",
        "_volume_trend",
        "_width_average",
    )

    def __init__(self, candles: FloatColumn, raw: FloatColumn, periods: Periods) -> None:
        """Open every handle on a history that is long enough for all of them."""
        from talib import stream  # here and not above: it imports pandas

        high, low, close, volume = (np.ascontiguousarray(row) for row in candles)
        rows = Raw._make(raw)
        self._ema_fast = stream.EMA(close, periods.ema_fast).update
        self._ema_slow = stream.EMA(close, periods.ema_slow).update
        self._ema_macro = stream.EMA(close, periods.ema_macro).update
        self._adx = stream.ADX(high, low, close, periods.adx).update
        self._atr = stream.ATR(high, low, close, periods.atr).update
        self._atr_average = stream.SMA(rows.atr, periods.atr_average).update
        self._rsi = stream.RSI(close, periods.rsi).update
        self._macd = stream.MACD(close, MACD_FAST, MACD_SLOW, MACD_SIGNAL).update
        self._bands = stream.BBANDS(close, periods.bb, BAND_SIGMAS, BAND_SIGMAS).update
        self._width_average = stream.SMA(rows.bb_width, periods.bb_width_average).update
        self._volume_average = stream.SMA(volume, periods.volume_average).update
        self._volume_trend = stream.SMA(volume, periods.volume_trend).update
        self._stoch = stream.STOCHRSI(close, periods.stoch_rsi, periods.stoch_rsi, periods.stoch_smooth).update
        self._slow_history = deque(rows.ema_slow[-periods.slow_slope :].tolist(), periods.slow_slope)

    def step(self, high: float, low: float, close: float, volume: float) -> RawRow:
        ema_slow = self._ema_slow(close)
        slow_history = self._slow_history
        ema_slow_before = slow_history[0]
        slow_history.append(ema_slow)
        atr = self._atr(high, low, close)
        upper, _, lower = self._bands(close)
        bb_width = (upper - lower) / close
        return (
            close,
            volume,
            self._ema_fast(close),
            ema_slow,
            ema_slow_before,
            self._ema_macro(close),
            self._adx(high, low, close),
            atr,
            self._atr_average(atr),
            self._rsi(close),
            self._macd(close)[2],
            bb_width,
            self._width_average(bb_width),
            self._volume_average(volume),
            self._volume_trend(volume),
            self._stoch(close)[1] / 100.0,
        )


class StreamBank:
    """Indicators of live symbols. Memory per symbol is constant once its handles are open."""

    def __init__(self) -> None:
        self._periods: tuple[Periods, ...] = ()
        self._symbols: list[YoungSymbol | OpenSymbol | None] = []
        self._newest_raw = np.empty((0, RAW_ROWS))
        self._older_hist = np.empty((0, 2))

    def fit(self, periods: Sequence[Periods]) -> tuple[int, ...]:
        if not self._periods:
            self._symbols = [None] * len(periods)
            self._newest_raw = np.full((len(periods), RAW_ROWS), np.nan)
            self._older_hist = np.full((len(periods), 2), np.nan)
        assert len(self._symbols) == len(periods), "the universe of a session does not change"
        lost = tuple(
            symbol_id
            for symbol_id, (old, new) in enumerate(zip(self._periods, periods, strict=False))
            if old != new and self._symbols[symbol_id] is not None
        )
        self._periods = tuple(periods)
        for symbol_id in lost:
            self.forget(symbol_id)
        return lost

    def rebuild(self, symbol_id: int, window: CandleWindow) -> None:
        periods = self._periods[symbol_id]
        candles = np.stack((window.high, window.low, window.close, window.volume))
        raw = _raw_of(candles, periods)
        young = YoungSymbol(candles, periods)
        newest: RawRow = tuple(raw[:, -1].tolist()) if len(window) else (np.nan,)
        self._symbols[symbol_id] = young.grown(newest) or young
        self._newest_raw[symbol_id] = newest if len(window) else np.nan
        for place in (0, 1):
            lag = place + 2
            self._older_hist[symbol_id, place] = raw[MACD_HIST, -lag] if len(window) >= lag else np.nan

    def forget(self, symbol_id: int) -> None:
        self._symbols[symbol_id] = None

    def advance(self, batch: CandleBatch, decide: BoolColumn) -> FloatColumn:
        rows: list[RawRow] = []
        known: list[int] = []
        candles = zip(
            batch.ids.tolist(),
            decide.tolist(),
            batch.high.tolist(),
            batch.low.tolist(),
            batch.close.tolist(),
            batch.volume.tolist(),
            strict=True,
        )
        for place, (symbol_id, must_decide, high, low, close, volume) in enumerate(candles):
            symbol = self._symbols[symbol_id]
            if symbol is None:
                assert not must_decide, f"symbol {symbol_id} has to be rebuilt before it can decide"
                continue
            row = symbol.step(high, low, close, volume)
            rows.append(row)
            known.append(place)
            if isinstance(symbol, YoungSymbol):
                self._symbols[symbol_id] = symbol.grown(row) or symbol
        if not rows:
            return _sealed(np.empty((COLUMN_ROWS, 0)))
        return self._columns(batch, decide, rows, known)

    def _columns(self, batch: CandleBatch, decide: BoolColumn, rows: list[RawRow], known: list[int]) -> FloatColumn:
        """Put the new raw rows in the place of the last ones and derive the columns from both."""
        complete = len(rows) == len(batch)
        ids = batch.ids if complete else batch.ids[known]
        raw, raw_1, older = np.array(rows), self._newest_raw[ids], self._older_hist[ids]
        columns = np.empty((COLUMN_ROWS, len(rows)))
        derive(raw.T, raw_1.T, older[:, 0], older[:, 1], columns)
        self._newest_raw[ids] = raw
        self._older_hist[ids] = columns[MACD_HIST_1 : MACD_HIST_1 + 2].T
        wanted = decide if complete else decide[known]
        return _sealed(columns if wanted.all() else columns[:, wanted])


def _raw_of(candles: FloatColumn, periods: Periods) -> FloatColumn:
    high, low, close, volume = candles
    return raw_series(high, low, close, volume, periods)


def _sealed(columns: FloatColumn) -> FloatColumn:
    columns.flags.writeable = False
    return columns
