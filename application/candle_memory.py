"""The candles of a recording, as far as it has come: what can be answered when a run asks for history."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domain.candles import CandleBatch, CandleWindow, Interval, with_quiet_spans

_Values = tuple[float, float, float, float, float]


class CandleMemory:
    """The newest state of every candle that was told, by symbol and interval."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Interval], dict[int, _Values]] = {}

    def take_window(self, window: CandleWindow | None) -> None:
        if window is None:
            return
        known = self._known.setdefault((window.symbol, window.interval), {})
        columns = (window.open, window.high, window.low, window.close, window.volume)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        known.update(zip(window.open_ms.tolist(), rows, strict=True))

    def take_updates(self, candles: CandleBatch, symbols: Sequence[str]) -> None:
        """Newest states of running candles."""
        columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for symbol_id, row in zip(candles.ids.tolist(), rows, strict=True):
            self.take_candle(symbols[symbol_id], candles.interval, candles.open_ms, row)

    def take_candle(self, symbol: str, interval: Interval, open_ms: int, values: _Values) -> None:
        self._known.setdefault((symbol, interval), {})[open_ms] = values

    def window(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow | None:
        """What is known with open times in [start_ms, end_ms), quiet spans filled in; None where nothing is."""
        known = self._known.get((symbol, interval), {})
        times = sorted(time for time in known if start_ms <= time < end_ms)
        if not times:
            return None
        columns = np.array([known[time] for time in times], dtype=np.float64).T.copy()
        window = CandleWindow(symbol, interval, np.array(times, dtype=np.int64), *columns)
        return with_quiet_spans(window, end_ms)
