"""The market as it would be without users: what the house quotes around and its flow trades at."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
import numpy.typing as npt

from domain.candles import BoolColumn, CandleWindow, FloatColumn, IntColumn, Interval
from domain.instruments import Instrument


@dataclass(slots=True)
class PathSecond:
    """One second of all symbols, a column per quantity, in the order of `instruments()`.

    The quotes stand from the second's start to the next; sizes are what the house shows at the touch.
    At most one trade per symbol: where `traded`, at `open_ms + offset_ms` the flow buys (`buys`) at the
    ask or sells at the bid, `price` and `size`. Prices are on the tick, sizes on the step, `tid` 50 bits.
    """

    open_ms: int
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


class MarketPath(Protocol):
    """A market that is a function of time: any moment may be asked for, in any order, and answers the same."""

    def instruments(self) -> tuple[Instrument, ...]: ...

    def second(self, open_ms: int) -> PathSecond:
        """The second that opens at `open_ms`, a multiple of 1,000."""
        ...

    def candles(
        self, place: int, interval: Interval, start_ms: int, end_ms: int
    ) -> tuple[CandleWindow, npt.NDArray[np.int64]]:
        """Whole candles with open time in [start_ms, end_ms), oldest first, and each one's number of trades.

        Spans without a trade are absent. The running candle is the fold of the trades of `second`.
        """
        ...

    def funding_rate(self, place: int, hour_ms: int) -> Decimal:
        """The rate that is paid at this full hour."""
        ...
