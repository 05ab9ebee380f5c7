"""What a bank of indicators promises to the strategy that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from adapters.strategies.indicators import Periods
from domain.candles import BoolColumn, CandleBatch, CandleWindow, FloatColumn


class IndicatorBank(Protocol):
    """Indicator columns of the candles that just closed, per symbol from its anchor on.

    Symbols are their ids. From the same first candle every bank gives the same bits.
    """

    def fit(self, periods: Sequence[Periods]) -> tuple[int, ...]:
        """Put one set of periods a symbol in force. Returns the ids that lost their state by it."""
        ...

    def rebuild(self, symbol_id: int, window: CandleWindow) -> None:
        """Make a symbol's state what it is after the last candle of `window`, which begins at its anchor."""
        ...

    def forget(self, symbol_id: int) -> None:
        """Drop a symbol's state. Idempotent."""
        ...

    def advance(self, batch: CandleBatch, decide: BoolColumn) -> FloatColumn:
        """Take the candles of a batch; the columns (COLUMN_ROWS, n) of `batch.ids[decide]`.

        A symbol without state is passed over; asking it to decide is a bug of the caller.
        The answer is read-only and stays as it is.
        """
        ...
