"""Backtest indicators: whole histories computed once, then read one time at a time.

The columns lie time-major, [time][column][symbol], so that a batch is one slice. Columns are
filled for a few symbols at a time, because writing one symbol through the whole block would
touch a cache line for every number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapters.strategies.indicators import COLUMN_ROWS, Columns, Periods, column_series, periods_of, raw_series
from domain.candles import BoolColumn, CandleBatch, CandleWindow, FloatColumn
from domain.strategy_config import StrategyBook

_SYMBOLS_AT_ONCE = 16
_CLOSE = Columns._fields.index("close")


class SeriesBank:
    """Indicators of candles that are all known in advance.

    `windows` holds one history a symbol id, each beginning at its anchor (an empty one for a
    symbol without candles). A candle handed to `advance` must be one of them. The windows are
    kept, because other periods mean computing again.
    """

    def __init__(self, windows: Sequence[CandleWindow], book: StrategyBook) -> None:
        self._windows = tuple(windows)
        self._periods = tuple(periods_of(book.for_symbol(window.symbol)) for window in windows)
        opens = [window.open_ms for window in windows]
        self._open_ms = np.unique(np.concatenate(opens)) if opens else np.empty(0, dtype=np.int64)
        self._row_of = {open_ms: row for row, open_ms in enumerate(self._open_ms.tolist())}
        self._block = np.full((len(self._open_ms), COLUMN_ROWS, len(windows)), np.nan)
        for first in range(0, len(windows), _SYMBOLS_AT_ONCE):
            self._fill(range(first, min(first + _SYMBOLS_AT_ONCE, len(windows))))

    def fit(self, periods: Sequence[Periods]) -> tuple[int, ...]:
        """Never loses a state: symbols with other periods are computed again here."""
        assert len(periods) == len(self._windows), "one history for every symbol of the universe"
        changed = [place for place, new in enumerate(periods) if new != self._periods[place]]
        self._periods = tuple(periods)
        for symbol_id in changed:
            self._fill(range(symbol_id, symbol_id + 1))
        return ()

    def rebuild(self, symbol_id: int, window: CandleWindow) -> None:
        """Nothing to do: the history is known. A window with another anchor is a bug of the caller."""
        own = self._windows[symbol_id]
        assert len(window) <= len(own), "a window that knows more than the history"
        assert np.array_equal(window.open_ms, own.open_ms[: len(window)]), "a window with another anchor"

    def forget(self, symbol_id: int) -> None:
        """Nothing to do: what is known stays known."""

    def advance(self, batch: CandleBatch, decide: BoolColumn) -> FloatColumn:
        columns: FloatColumn = self._block[self.row_of(batch, decide)]
        if len(batch) < columns.shape[1] or not decide.all():
            columns = columns[:, batch.ids[decide]]
        columns.flags.writeable = False
        return columns

    def row_of(self, batch: CandleBatch, decide: BoolColumn) -> int:
        """The place of a batch's close in the series, whose candles of the deciding symbols it must hold."""
        row = self._row_of[batch.open_ms]
        closes = self._block[row, _CLOSE, batch.ids]
        assert np.array_equal(closes[decide], batch.close[decide]), "a candle that is not in the history"
        return row

    def stretch(self, first: int, count: int) -> FloatColumn:
        """Columns (COLUMN_ROWS, time, symbol) of up to `count` closes of every symbol; NaN where there is no candle."""
        columns: FloatColumn = self._block[first : first + count].transpose(1, 0, 2)
        columns.flags.writeable = False
        return columns

    def _fill(self, symbol_ids: range) -> None:
        """Compute a run of symbols and copy them into the block together."""
        together = np.full((len(symbol_ids), COLUMN_ROWS, len(self._open_ms)), np.nan)
        for place, symbol_id in enumerate(symbol_ids):
            window = self._windows[symbol_id]
            rows = self._rows_of(window)
            raw = raw_series(window.high, window.low, window.close, window.volume, self._periods[symbol_id])
            together[place][:, rows] = column_series(raw)
        self._block[:, :, symbol_ids.start : symbol_ids.stop] = together.transpose(2, 1, 0)

    def _rows_of(self, window: CandleWindow) -> slice | npt.NDArray[np.intp]:
        """The rows of a history: a slice when it has no gap, which copies much faster."""
        if not len(window):
            return slice(0, 0)
        first, last = (self._row_of[int(window.open_ms[place])] for place in (0, -1))
        if last - first + 1 == len(window):
            return slice(first, last + 1)
        return np.searchsorted(self._open_ms, window.open_ms)
