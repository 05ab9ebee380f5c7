"""The time grid of candles: which interval a file has, what lies off the grid, what is missing on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from adapters.datasets.tables import RawTable, first_by_symbol, time_text
from domain.candles import BoolColumn, FloatColumn, IntColumn, Interval
from ports.datasets import DatasetError, DatasetProblem

MAX_FILLED_PER_SYMBOL = 2_000_000
"""About four years of one-minute candles: more is a wrong time somewhere, not a quiet market."""

_KNOWN = {interval.ms: interval for interval in Interval}


@dataclass(frozen=True, slots=True)
class Grid:
    """Candles of all files together, sorted by (symbol, time); `tables` says which file a row came from."""

    ids: IntColumn
    times: IntColumn
    tables: IntColumn
    open: FloatColumn
    high: FloatColumn
    low: FloatColumn
    close: FloatColumn
    volume: FloatColumn

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: IntColumn) -> Grid:
        return Grid(
            self.ids[places],
            self.times[places],
            self.tables[places],
            self.open[places],
            self.high[places],
            self.low[places],
            self.close[places],
            self.volume[places],
        )


def settle_interval(tables: Sequence[RawTable], plausible: Sequence[BoolColumn], asked: Interval | None) -> Interval:
    """The one interval of all files and, if asked for, of the user. Raises `DatasetError` naming who differs."""
    spacings = [_interval_ms(table, good) for table, good in zip(tables, plausible, strict=True)]
    problems: list[DatasetProblem] = []
    first: tuple[RawTable, Interval] | None = None
    for table, spacing in zip(tables, spacings, strict=True):
        interval = None if spacing is None else _KNOWN.get(spacing)
        if spacing is not None and interval is None:
            what = f"its candles are {_span_text(spacing)} apart"
            why = f"intervals are {', '.join(known.value for known in Interval)}"
            problems.append(table.source.problem(what, why, "give candles of one of these intervals"))
        elif interval is None:
            continue
        elif asked is not None and interval is not asked:
            what, why = f"its candles are {interval.value}", f"interval {asked.value} was asked for"
            problems.append(table.source.problem(what, why, f"ask for {interval.value}, or give {asked.value} candles"))
        elif asked is None and first is not None and interval is not first[1]:
            what, why = f"its candles are {interval.value}", f"those of {first[0].source.label} are {first[1].value}"
            problems.append(table.source.problem(what, why, "give files of one interval, or read them one by one"))
        first = first or (None if interval is None else (table, interval))
    if problems:
        raise DatasetError(problems)
    if asked is not None:
        return asked
    if first is None:
        what, why = "the interval cannot be known", "no symbol has two candles and no row names it"
        raise DatasetError([tables[0].source.problem(what, why, "say the interval")])
    return first[1]


def _interval_ms(table: RawTable, plausible: BoolColumn) -> int | None:
    """What the rows say, else the most frequent distance between neighbours (the smaller one when equally often)."""
    if table.interval is not None:
        return table.interval.ms
    order = np.lexsort((table.times[plausible], table.ids[plausible]))
    ids, steps = table.ids[plausible][order], np.diff(table.times[plausible][order])
    steps = steps[(np.diff(ids) == 0) & (steps > 0)]
    if not len(steps):
        return None
    distances, counts = np.unique(steps, return_counts=True)
    return int(distances[np.argmax(counts)])


def alignment_problems(table: RawTable, interval: Interval, plausible: BoolColumn) -> list[DatasetProblem]:
    """Open times that no candle of this interval has (spans are aligned to the epoch, UTC)."""
    off = np.flatnonzero((table.times % interval.ms != 0) & plausible)
    why = f"a {interval.value} candle opens at a whole multiple of {interval.value}, UTC"
    fix = "shift the times, or leave the rows out"
    return [
        table.problem(place, count, "t lies off the grid", why, fix) for place, count in first_by_symbol(table.ids, off)
    ]


def gap_problems(
    grid: Grid, interval: Interval, tables: Sequence[RawTable], symbols: Sequence[str]
) -> list[DatasetProblem]:
    """Candles missing between a symbol's first and last one."""
    missing = missing_after(grid, interval)
    problems = []
    for place, gaps in first_by_symbol(grid.ids, np.flatnonzero(missing)):
        symbol = int(grid.ids[place])
        total = int(missing[grid.ids == symbol].sum())
        what = f"{total} candle{'s are' if total > 1 else ' is'} missing in {gaps} gap{'s' if gaps > 1 else ''}"
        where = f"the first, {int(missing[place])} long, opens at {time_text(int(grid.times[place]) + interval.ms)}"
        why, fix = "indicators need an unbroken row", "download the missing span, or ask for gaps to be filled"
        source = tables[int(grid.tables[place])].source
        problems.append(source.problem(what, why, fix, where=where, symbol=symbols[symbol]))
    return problems


def missing_after(grid: Grid, interval: Interval) -> IntColumn:
    """How many candles are missing after each row, inside its symbol."""
    missing = np.zeros(len(grid), np.int64)
    missing[:-1] = np.where(np.diff(grid.ids) == 0, np.diff(grid.times) // interval.ms - 1, 0)
    return missing


def overfill_problems(
    missing: IntColumn, grid: Grid, tables: Sequence[RawTable], symbols: Sequence[str]
) -> list[DatasetProblem]:
    """Gaps so long that filling them would invent a market."""
    totals = np.bincount(grid.ids, weights=missing, minlength=len(symbols))
    problems = []
    for symbol in np.flatnonzero(totals > MAX_FILLED_PER_SYMBOL).tolist():
        place = int(np.argmax(np.where(grid.ids == symbol, missing, -1)))
        what, why = f"{int(totals[symbol])} candles are missing", f"at most {MAX_FILLED_PER_SYMBOL} are filled in"
        where = f"the longest gap follows {time_text(int(grid.times[place]))}"
        source = tables[int(grid.tables[place])].source
        problems.append(source.problem(what, why, "check the times around it", where=where, symbol=symbols[symbol]))
    return problems


def filled(grid: Grid, missing: IntColumn, interval: Interval) -> Grid:
    """Put no-trade candles into every gap: all four prices at the close before it, volume 0."""
    copies = missing + 1
    full = grid.take(np.repeat(np.arange(len(grid)), copies))
    ahead = np.arange(len(full)) - np.repeat(np.cumsum(copies) - copies, copies)
    new = ahead > 0
    return replace(
        full,
        times=full.times + ahead * interval.ms,
        open=np.where(new, full.close, full.open),
        high=np.where(new, full.close, full.high),
        low=np.where(new, full.close, full.low),
        volume=np.where(new, 0.0, full.volume),
    )


def _span_text(span_ms: int) -> str:
    for length, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")):
        if span_ms % length == 0:
            return f"{span_ms // length}{unit}"
    return f"{span_ms} ms"
