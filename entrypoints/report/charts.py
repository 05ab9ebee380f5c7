"""Candles with trades, packed small: as many symbols as fit into the page, the most traded first."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from domain.candles import CandleWindow, FloatColumn, Interval
from domain.positions import Trade
from entrypoints.report.marks import SymbolStory, chart_trade
from entrypoints.report.shapes import ChartPayload, Charts, PackedChart
from ports.datasets import CandleSet

CHART_BUDGET_BYTES = 5_000_000
"""For all charts together; the rest of a page is well under one more megabyte."""

MAX_CANDLES = 20_000
"""For one symbol. With more, its candles are merged into the finest longer interval that has no more."""

_MAX_DECIMALS = 12
_DIGITS_OF_A_DRAWING = 8
"""Kept of prices that are no short decimals: far below what a screen can show."""


def pack_charts(
    candles: CandleSet,
    trades: Mapping[str, Sequence[Trade]],
    told: Mapping[str, SymbolStory],
    budget_bytes: int = CHART_BUDGET_BYTES,
) -> Charts:
    """Pack symbol after symbol, most trades first, until the next one would break the budget.

    The first symbol is always there: `MAX_CANDLES` alone keeps it within bounds.
    """
    order = sorted(range(len(candles.symbols)), key=lambda place: -len(trades.get(candles.symbols[place], ())))
    items: list[PackedChart] = []
    spent = 0
    for place in order:
        window = candles.windows[place]
        item = pack_chart(window, trades.get(window.symbol, ()), told.get(window.symbol))
        spent += len(item["data"])
        if items and spent > budget_bytes:
            break
        items.append(item)
    missing = [candles.symbols[place] for place in order[len(items) :]]
    return Charts(
        interval=candles.interval.value,
        items=items,
        left_out=len(missing),
        traded_left_out=sum(bool(trades.get(symbol)) for symbol in missing),
    )


def pack_chart(window: CandleWindow, trades: Sequence[Trade], story: SymbolStory | None) -> PackedChart:
    coarse = merged(window, MAX_CANDLES)
    text = json.dumps(chart_payload(coarse, trades, story), separators=(",", ":"), allow_nan=False)
    return PackedChart(
        symbol=window.symbol,
        trades=len(trades),
        step=coarse.interval.value,
        data=base64.b64encode(zlib.compress(text.encode("ascii"))).decode("ascii"),
    )


def chart_payload(window: CandleWindow, trades: Sequence[Trade], story: SymbolStory | None) -> ChartPayload:
    decimals, (open_, high, low, close) = _whole_numbers(window)
    before = np.concatenate([np.zeros(1, np.int64), close[:-1]])
    return ChartPayload(
        open_ms=int(window.open_ms[0]),
        step_ms=window.interval.ms,
        decimals=decimals,
        open_from_close=(open_ - before).tolist(),
        close_from_open=(close - open_).tolist(),
        above=(high - np.maximum(open_, close)).tolist(),
        below=(np.minimum(open_, close) - low).tolist(),
        trades=[chart_trade(trade) for trade in trades],
        marks=list(story.marks) if story is not None else [],
    )


def merged(window: CandleWindow, limit: int) -> CandleWindow:
    """The same candles in the finest interval that needs at most `limit` of them (a day at the coarsest)."""
    if len(window) <= limit:
        return window
    first, last = int(window.open_ms[0]), int(window.open_ms[-1])
    step_ms = window.interval.ms
    longer = [interval for interval in Interval if interval.ms > step_ms and interval.ms % step_ms == 0]
    fits = [interval for interval in longer if (last - interval.open_of(first)) // interval.ms < limit]
    if not longer:
        return window
    return _merged_into(window, fits[0] if fits else longer[-1])


def _merged_into(window: CandleWindow, interval: Interval) -> CandleWindow:
    spans = window.open_ms // interval.ms
    starts = np.flatnonzero(np.diff(spans, prepend=spans[0] - 1))
    ends = np.append(starts[1:], len(window)) - 1
    return CandleWindow(
        window.symbol,
        interval,
        spans[starts] * interval.ms,
        window.open[starts],
        np.maximum.reduceat(window.high, starts),
        np.minimum.reduceat(window.low, starts),
        window.close[ends],
        np.add.reduceat(window.volume, starts),
    )


def _whole_numbers(window: CandleWindow) -> tuple[int, Sequence[npt.NDArray[np.int64]]]:
    """Prices as whole numbers of 10^-decimals: exact where the prices are short decimals, as the venue's are."""
    columns = (window.open, window.high, window.low, window.close)
    highest = float(window.high.max())
    for decimals in range(_MAX_DECIMALS + 1):
        if all(_is_exact(column, 10.0**decimals) for column in columns):
            break
    else:
        decimals = max(0, _DIGITS_OF_A_DRAWING - int(np.ceil(np.log10(highest))))
    return decimals, [np.rint(column * 10.0**decimals).astype(np.int64) for column in columns]


def _is_exact(column: FloatColumn, scale: float) -> bool:
    # One correctly rounded division of whole numbers below 2^53: it gives the float of that decimal, or it is another.
    return bool(np.array_equal(np.rint(column * scale) / scale, column))
