"""Read candles for a backtest from files: every format, every check, all problems at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from adapters.datasets.candle_grid import (
    Grid,
    alignment_problems,
    filled,
    gap_problems,
    missing_after,
    overfill_problems,
    settle_interval,
)
from adapters.datasets.row_checks import candle_number_problems, order_problems, time_problems
from adapters.datasets.table_files import read_tables
from adapters.datasets.tables import CANDLES, RawTable, first_by_symbol, time_text
from domain.candles import BoolColumn, CandleWindow, IntColumn, Interval
from ports.datasets import CandleSet, DatasetError, DatasetProblem


def read_candles(
    paths: Sequence[str],
    interval: Interval | None = None,
    symbols: Collection[str] | None = None,
    *,
    fill_gaps: bool = False,
) -> CandleSet:
    """Read candles of `symbols` (all when None) from files, checked and merged.

    A path is a Parquet, CSV or venue JSON file, plain or gz, or `SYMBOL=path` for one that does not name its
    symbol. The interval comes from the data; asking for another is an error. Files may overlap where they
    agree. Only rows of asked symbols are checked. `fill_gaps` puts no-trade candles into gaps, which are an
    error otherwise. Raises `DatasetError` with every problem found.
    """
    tables, problems = read_tables(paths, CANDLES, symbols)
    usable: list[BoolColumn] = []
    for table in tables:
        absurd_problems, absurd = time_problems(table)
        problems += absurd_problems
        usable.append(~absurd)
    settled = _settled(tables, usable, interval, problems)
    misplaced: set[str] = set()
    for table, plausible in zip(tables, usable, strict=True):
        problems += candle_number_problems(table)
        misplaced |= _misplaced(table, plausible, settled, problems)
    if settled is None:
        raise DatasetError(problems)
    return _merged(tables, settled, misplaced, problems, fill_gaps=fill_gaps)


def _settled(
    tables: Sequence[RawTable], usable: Sequence[BoolColumn], asked: Interval | None, problems: list[DatasetProblem]
) -> Interval | None:
    """The interval, or None where the problems already say why there is none."""
    if not any(bool(plausible.any()) for plausible in usable):
        return None
    try:
        return settle_interval(tables, usable, asked)
    except DatasetError as e:
        problems += e.problems
        return None


def _misplaced(
    table: RawTable, plausible: BoolColumn, interval: Interval | None, problems: list[DatasetProblem]
) -> set[str]:
    """Symbols whose times are wrong, now reported: nothing can be said about their gaps and overlaps."""
    found = order_problems(table, table.times, plausible)
    if interval is not None:
        found += alignment_problems(table, interval, plausible)
    problems += found
    absurd = {table.symbols[place] for place in np.unique(table.ids[~plausible]).tolist()}
    return absurd | {problem.symbol for problem in found if problem.symbol is not None}


def _merged(
    tables: Sequence[RawTable],
    interval: Interval,
    misplaced: Collection[str],
    problems: list[DatasetProblem],
    *,
    fill_gaps: bool,
) -> CandleSet:
    symbols = tuple(sorted({symbol for table in tables for symbol in table.symbols} - set(misplaced)))
    grid = _grid(tables, symbols)
    grid, conflicts = _without_overlaps(grid, tables, symbols)
    problems += conflicts
    missing = missing_after(grid, interval)
    if fill_gaps:
        problems += overfill_problems(missing, grid, tables, symbols)
    else:
        problems += gap_problems(grid, interval, tables, symbols)
    if problems:
        raise DatasetError(problems)
    counts = np.bincount(grid.ids, weights=missing, minlength=len(symbols)).astype(np.int64).tolist()
    if any(counts):
        grid = filled(grid, missing, interval)
    return CandleSet(
        interval,
        symbols,
        _windows(grid, symbols, interval),
        tuple(table.source.label for table in tables),
        {symbol: count for symbol, count in zip(symbols, counts, strict=True) if count},
    )


def _grid(tables: Sequence[RawTable], symbols: Sequence[str]) -> Grid:
    """All rows of `symbols`, sorted by (symbol, time); rows of one time stand in the order of their files."""
    place_of = {symbol: place for place, symbol in enumerate(symbols)}
    ids = np.concatenate([_renumbered(table, place_of) for table in tables])
    grid = Grid(
        ids,
        np.concatenate([table.times for table in tables]),
        np.repeat(np.arange(len(tables)), [len(table) for table in tables]),
        *(np.concatenate([table.values[name] for table in tables]) for name in CANDLES.values),
    )
    if len(tables) == 1 and (ids >= 0).all() and (np.diff(ids) >= 0).all():
        return grid  # one file sorted by symbol: each symbol's own order was checked
    keep = np.flatnonzero(ids >= 0)
    return grid.take(keep[np.lexsort((grid.tables[keep], grid.times[keep], ids[keep]))])


def _renumbered(table: RawTable, place_of: dict[str, int]) -> IntColumn:
    return np.array([place_of.get(symbol, -1) for symbol in table.symbols], np.int64)[table.ids]


def _without_overlaps(
    grid: Grid, tables: Sequence[RawTable], symbols: Sequence[str]
) -> tuple[Grid, list[DatasetProblem]]:
    """Keep one of several equal rows; report rows of one time that differ (equal times come from different files)."""
    repeats = np.flatnonzero((np.diff(grid.ids) == 0) & (np.diff(grid.times) == 0)) + 1
    if not len(repeats):
        return grid, []
    columns = (grid.open, grid.high, grid.low, grid.close, grid.volume)
    differs = np.zeros(len(repeats), np.bool_)
    for column in columns:
        one, other = column[repeats], column[repeats - 1]
        differs |= (one != other) & ~(np.isnan(one) & np.isnan(other))
    problems = []
    for place, count in first_by_symbol(grid.ids, repeats[differs]):
        here, there = (tables[int(grid.tables[row])].source.label for row in (place, place - 1))
        numbers = "; ".join(
            f"{name}={float(column[place])!r} against {float(column[place - 1])!r}"
            for name, column in zip(CANDLES.values, columns, strict=True)
            if column[place] != column[place - 1]
        )
        what = f"{count} candle{'s differ' if count > 1 else ' differs'} from {there}"
        where = f"first at {time_text(int(grid.times[place]))}"
        fix = "keep the later download (a file's last row may be an unfinished candle)"
        problems.append(DatasetProblem(here, what, numbers, fix, where, symbols[int(grid.ids[place])]))
    return grid.take(np.delete(np.arange(len(grid)), repeats)), problems


def _windows(grid: Grid, symbols: Sequence[str], interval: Interval) -> tuple[CandleWindow, ...]:
    starts = np.searchsorted(grid.ids, np.arange(len(symbols) + 1)).tolist()
    cuts = [slice(start, end) for start, end in pairwise(starts)]
    return tuple(
        CandleWindow(
            symbol,
            interval,
            grid.times[cut],
            grid.open[cut],
            grid.high[cut],
            grid.low[cut],
            grid.close[cut],
            grid.volume[cut],
        )
        for symbol, cut in zip(symbols, cuts, strict=True)
    )
