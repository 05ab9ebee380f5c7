"""Candles: spans of price, how a span closes, and the key that says a new one did.

Prices here are floats because candles feed indicators. The float of a venue's price
string is exact in the sense that matters: `repr` gives the string back, so a `Decimal`
price can be made from it without loss. Money never comes from arithmetic on these floats.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

FloatColumn = npt.NDArray[np.float64]
IntColumn = npt.NDArray[np.int64]
BoolColumn = npt.NDArray[np.bool_]

NO_CANDLE_MS = -1
"""Stands where an open time would stand, for a symbol that has no candle yet."""


_MINUTES = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "8h": 480,
    "12h": 720,
    "1d": 1440,
}


class Interval(enum.Enum):
    """A candle's length. The value is the venue's own spelling (`1m` … `1d`).

    `3d`, `1w` and `1M` are left out on purpose: the venue does not document their
    alignment, so a close time could not be known before a row is seen.
    """

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"

    def __init__(self, text: str) -> None:
        self.ms: int = _MINUTES[text] * 60_000
        """Length in milliseconds; an attribute, because hot paths ask for it."""

    def open_of(self, time_ms: int) -> int:
        """Open time of the span that contains `time_ms` (spans are aligned to the epoch, UTC)."""
        return time_ms - time_ms % self.ms


@dataclass(frozen=True, slots=True)
class CandleKey:
    """The identity of a candle, and of every decision and intent that came from it."""

    symbol: str
    interval: Interval
    open_ms: int


@dataclass(slots=True)
class Candle:
    """One half-open span [open_ms, open_ms + interval) of trading in one symbol; volume in base coin."""

    symbol: str
    interval: Interval
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def candle_problem(open_: float, high: float, low: float, close: float, volume: float) -> str | None:
    """Say what is impossible about these numbers, or None. NaN and infinity are problems."""
    if not all(map(isfinite, (open_, high, low, close, volume))):
        return "a value is not a finite number"
    if min(open_, high, low, close) <= 0:
        return "a price is not positive"
    if volume < 0:
        return "the volume is negative"
    if high < low:
        return "high is below low"
    if not (low <= open_ <= high and low <= close <= high):
        return "open or close lies outside low..high"
    return None


def close_ms_of(open_ms: int, interval: Interval) -> int:
    """Last millisecond of the span: the venue's `T`, and what a candle key shows to users."""
    return open_ms + interval.ms - 1


def closed_open_ms(
    newest_open_ms: int, before_newest_open_ms: int, venue_ms: int, interval: Interval, grace_ms: int
) -> int:
    """Open time of the last closed candle, or `NO_CANDLE_MS`.

    A candle is closed when a later one was seen, or when venue time has passed its end
    plus the grace: one in five real 1m candles has no trade after it that would tell.
    Never before its end (the grace only ever waits longer).
    """
    assert grace_ms >= 0, "a negative grace would close candles early"
    if newest_open_ms == NO_CANDLE_MS:
        return NO_CANDLE_MS
    if venue_ms >= newest_open_ms + interval.ms + grace_ms:
        return newest_open_ms
    return before_newest_open_ms


def candle_key(newest_open_ms: int, last_closed_open_ms: int, interval: Interval, *, on_close: bool) -> int | None:
    """The number whose change means "analyse now"; None while there is nothing to analyse.

    On close (the default) it is the close time of the last closed candle; otherwise the
    open time of the newest candle.
    """
    if on_close:
        return None if last_closed_open_ms == NO_CANDLE_MS else close_ms_of(last_closed_open_ms, interval)
    return None if newest_open_ms == NO_CANDLE_MS else newest_open_ms


@dataclass(frozen=True, slots=True)
class CandleWindow:
    """The candles of one symbol, oldest first, as read-only columns of equal length."""

    symbol: str
    interval: Interval
    open_ms: IntColumn
    open: FloatColumn
    high: FloatColumn
    low: FloatColumn
    close: FloatColumn
    volume: FloatColumn

    def __post_init__(self) -> None:
        for column in (self.open_ms, self.open, self.high, self.low, self.close, self.volume):
            assert len(column) == len(self.open_ms), "columns of one window have one length"
            column.flags.writeable = False

    def __len__(self) -> int:
        return len(self.open_ms)

    def last(self, count: int) -> CandleWindow:
        """The newest `count` candles (all of them when there are fewer)."""
        return self._cut(slice(max(0, len(self) - count), None))

    def between(self, first_ms: int, after_ms: int | None = None) -> CandleWindow:
        """The part with open times in [first_ms, after_ms); to the end without `after_ms`."""
        first = int(np.searchsorted(self.open_ms, first_ms))
        return self._cut(slice(first, None if after_ms is None else int(np.searchsorted(self.open_ms, after_ms))))

    def without_last(self) -> CandleWindow:
        return self._cut(slice(0, max(0, len(self) - 1)))

    def joined(self, later: CandleWindow) -> CandleWindow:
        """This window and another of the same symbol that begins after its end."""
        assert (self.symbol, self.interval) == (later.symbol, later.interval), "candles of one symbol and interval"
        assert not len(self) or not len(later) or self.open_ms[-1] < later.open_ms[0], "oldest first"
        pairs = zip(self.columns, later.columns, strict=True)
        open_ms = np.concatenate((self.open_ms, later.open_ms))
        return CandleWindow(self.symbol, self.interval, open_ms, *(np.concatenate(pair) for pair in pairs))

    def batch_of(self, symbol_id: int, open_ms: int) -> CandleBatch:
        """The candle of this open time as a batch of one."""
        place = int(np.searchsorted(self.open_ms, open_ms))
        assert self.open_ms[place] == open_ms, "the window holds the candle"
        row = (column[place : place + 1] for column in self.columns)
        return CandleBatch(self.interval, open_ms, np.array([symbol_id], dtype=np.intp), *row)

    @property
    def columns(self) -> tuple[FloatColumn, FloatColumn, FloatColumn, FloatColumn, FloatColumn]:
        """Open, high, low, close, volume."""
        return self.open, self.high, self.low, self.close, self.volume

    def _cut(self, cut: slice) -> CandleWindow:
        return CandleWindow(
            self.symbol,
            self.interval,
            self.open_ms[cut],
            self.open[cut],
            self.high[cut],
            self.low[cut],
            self.close[cut],
            self.volume[cut],
        )


@dataclass(slots=True)
class CandleBatch:
    """One closed candle each of the symbols that closed together: columns over `ids`, ascending.

    `ids` are places in the session's `Universe`. All share `interval` and `open_ms`: symbols of
    one interval close at the same instant, which is what makes working in columns possible.
    """

    interval: Interval
    open_ms: int
    ids: npt.NDArray[np.intp]
    open: FloatColumn
    high: FloatColumn
    low: FloatColumn
    close: FloatColumn
    volume: FloatColumn

    def __len__(self) -> int:
        return len(self.ids)


def select_candles(candles: CandleBatch, mask: BoolColumn) -> CandleBatch:
    """The candles of a batch where `mask` is True."""
    return CandleBatch(
        candles.interval,
        candles.open_ms,
        candles.ids[mask],
        candles.open[mask],
        candles.high[mask],
        candles.low[mask],
        candles.close[mask],
        candles.volume[mask],
    )


def empty_window(symbol: str, interval: Interval) -> CandleWindow:
    return CandleWindow(symbol, interval, np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))


def with_quiet_spans(window: CandleWindow, end_ms: int) -> CandleWindow:
    """The window without holes, up to `end_ms`: spans nobody traded in stand flat at the close before them, volume 0.

    This is how the venue itself shows such spans. Only for sources that are known to be whole:
    a hole in anything else is missing data.
    """
    if not len(window):
        return window
    length = window.interval.ms
    times = np.arange(int(window.open_ms[0]), end_ms, length, dtype=np.int64)
    source = np.searchsorted(window.open_ms, times, side="right") - 1
    quiet = window.open_ms[source] != times
    close = window.close[source]
    return CandleWindow(
        window.symbol,
        window.interval,
        times,
        np.where(quiet, close, window.open[source]),
        np.where(quiet, close, window.high[source]),
        np.where(quiet, close, window.low[source]),
        close,
        np.where(quiet, 0.0, window.volume[source]),
    )
