"""Equity over time: the curve, its drawdown, and what each calendar month made of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Literal

import numpy as np

from domain.candles import FloatColumn, IntColumn
from entrypoints.report.amounts import growth
from entrypoints.report.amounts import money as money_text
from entrypoints.report.shapes import Curve, MonthRow, YearRow

CURVE_POINTS = 2_000
_EXTREMES = 3
"""Kept of every stretch of the curve: highest and lowest equity, deepest drawdown."""

EquityPoint = tuple[int, Decimal]
"""(close time, equity)."""


def drawdowns_pct(equity: Sequence[EquityPoint], start_usd: Decimal) -> list[Decimal]:
    """How far every point lies below the highest before it (the start included), in percent of that."""
    peak = start_usd
    falls = []
    for _, value in equity:
        peak = max(peak, value)
        falls.append((peak - value) * 100 / peak if peak > 0 else Decimal(0))
    return falls


def curve_of(equity: Sequence[EquityPoint], start_usd: Decimal, start_ms: int) -> Curve:
    """The curve from the start on, thinned to `CURVE_POINTS`, extremes kept.

    Here money becomes a float on purpose: these numbers place points on a screen.
    """
    if not equity:
        return Curve(time_ms=[], equity=[], drawdown_pct=[], points=0)
    points = [(start_ms, start_usd), *equity]
    money = np.array([float(value) for _, value in points])
    falls = np.array([float(value) for value in drawdowns_pct(points, start_usd)])
    kept = thinned(money, falls, CURVE_POINTS).tolist()
    return Curve(
        time_ms=[points[place][0] for place in kept],
        equity=[round(money.item(place), 2) for place in kept],
        drawdown_pct=[round(falls.item(place), 3) for place in kept],
        points=len(points),
    )


def thinned(equity: FloatColumn, falls: FloatColumn, limit: int) -> IntColumn:
    """Places to keep, ascending and at most `limit`: first, last, and the extremes of equal stretches between."""
    count = len(equity)
    if count <= limit:
        return np.arange(count)
    kept = {0, count - 1}
    edges = np.linspace(0, count, (limit - len(kept)) // _EXTREMES + 1).astype(np.int64).tolist()
    for start, end in pairwise(edges):
        part = equity[start:end]
        kept.update(start + int(place) for place in (part.argmin(), part.argmax(), falls[start:end].argmax()))
    return np.array(sorted(kept), np.int64)


def months_of(equity: Sequence[EquityPoint], start_usd: Decimal, start_ms: int) -> list[MonthRow]:
    """Returns by calendar month (UTC), each from the last equity of the month before."""
    rows = []
    begin_ms, begin = start_ms, start_usd
    for month, place in _last_places(equity, "M"):
        end_ms, end = equity[place]
        rows.append(
            MonthRow(
                year=1970 + month // 12,
                month=1 + month % 12,
                return_pct=growth(begin, end),
                start=money_text(begin),
                end=money_text(end),
                partial=begin_ms > _start_ms(month) or end_ms < _start_ms(month + 1),
            )
        )
        begin_ms, begin = end_ms, end
    return rows


def years_of(equity: Sequence[EquityPoint], start_usd: Decimal) -> list[YearRow]:
    """Returns by calendar year (UTC), each from the last equity of the year before."""
    rows = []
    begin = start_usd
    for year, place in _last_places(equity, "Y"):
        end = equity[place][1]
        rows.append(YearRow(year=1970 + year, return_pct=growth(begin, end)))
        begin = end
    return rows


def _last_places(equity: Sequence[EquityPoint], unit: Literal["M", "Y"]) -> list[tuple[int, int]]:
    """The place of the last point in every month or year, both counted from 1970.

    A close on the first instant of a month is the end of the month before it.
    """
    if not equity:
        return []
    last_instants = np.array([end_ms for end_ms, _ in equity], np.int64) - 1
    numbers = last_instants.astype("datetime64[ms]").astype(f"datetime64[{unit}]").astype(np.int64)
    places = [*np.flatnonzero(np.diff(numbers)).tolist(), len(equity) - 1]
    return [(numbers.item(place), place) for place in places]


def _start_ms(month: int) -> int:
    """First instant of a month, counted from January 1970."""
    return int(np.datetime64(month, "M").astype("datetime64[ms]").astype(np.int64))
