"""The candle store as a backtest's candles, by the same rules as files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from adapters.datasets.candle_grid import Grid, alignment_problems, gap_problems, missing_after, overfill_problems
from adapters.datasets.row_checks import candle_number_problems, time_problems
from adapters.datasets.source_files import FileFormat, SourceFile
from adapters.datasets.suggestions import symbol_hint
from adapters.datasets.tables import RawTable
from adapters.sqlite.candle_queries import coverage, stored_windows
from domain.candles import CandleWindow, Interval, with_quiet_spans
from ports.datasets import CandleSet, DatasetError, DatasetProblem

_DOWNLOAD = "fetch it with ./aiq download-data"


def read_stored_candles(
    path: Path, interval: Interval | None, symbols: Collection[str] | None, *, fill_gaps: bool
) -> CandleSet:
    """Stored candles of `symbols` (all when None) in `interval` (the only one there is when None), checked.

    Raises `DatasetError` with every problem found, and `StorageError` where the file cannot be read.
    """
    label = str(path)
    settled = _settled(path, interval)
    known = {each.symbol for each in coverage(path, None, [settled])}
    problems = [
        DatasetProblem(
            label,
            "there is no such symbol",
            f"no candle of {settled.value} is stored of it",
            f"{symbol_hint(symbol, known)}, or {_DOWNLOAD}",
            symbol=symbol,
        )
        for symbol in sorted(set(symbols or ()) - known)
    ]
    windows = sorted(stored_windows(path, symbols, [settled]), key=lambda window: window.symbol)
    if not windows:
        nothing = DatasetProblem(
            label, f"no candle of {settled.value} is stored", "there is nothing to read", _DOWNLOAD
        )
        raise DatasetError(problems or [nothing])
    table = _table_of(path, settled, windows)
    found, absurd = time_problems(table)
    found += candle_number_problems(table)
    found += alignment_problems(table, settled, ~absurd)
    if problems + found:
        raise DatasetError(problems + found)
    return _set_of(table, windows, settled, fill_gaps=fill_gaps)


def _settled(path: Path, asked: Interval | None) -> Interval:
    if asked is not None:
        return asked
    stored = sorted({each.interval for each in coverage(path)}, key=lambda interval: interval.ms)
    if len(stored) == 1:
        return stored[0]
    names = ", ".join(interval.value for interval in stored) or "nothing"
    what, fix = f"the store holds {names}", "say which one with --interval" if stored else _DOWNLOAD
    raise DatasetError([DatasetProblem(str(path), what, "a backtest runs on one interval", fix)])


def _table_of(path: Path, interval: Interval, windows: Sequence[CandleWindow]) -> RawTable:
    # The format is asked for only while a file is opened; there is none here.
    source = SourceFile(str(path), path, FileFormat.PARQUET, None)
    lengths = [len(window) for window in windows]
    names = tuple(window.symbol for window in windows)
    columns = zip(*(window.columns for window in windows), strict=True)
    return RawTable(
        source=source,
        symbols=names,
        found=names,
        ids=np.repeat(np.arange(len(windows)), lengths),
        rows=np.concatenate([np.arange(1, length + 1) for length in lengths]),
        times=np.concatenate([window.open_ms for window in windows]),
        values={name: np.concatenate(parts) for name, parts in zip("ohlcv", columns, strict=True)},
        row_word="candle",
        interval=interval,
    )


def _set_of(table: RawTable, windows: Sequence[CandleWindow], interval: Interval, *, fill_gaps: bool) -> CandleSet:
    grid = Grid(table.ids, table.times, np.zeros(len(table), np.int64), *(table.values[name] for name in "ohlcv"))
    if fill_gaps:
        problems = overfill_problems(missing_after(grid, interval), grid, [table], table.symbols)
    else:
        problems = gap_problems(grid, interval, [table], table.symbols)
    if problems:
        raise DatasetError(problems)
    whole = tuple(with_quiet_spans(window, int(window.open_ms[-1]) + interval.ms) for window in windows)
    counts = {full.symbol: len(full) - len(window) for full, window in zip(whole, windows, strict=True)}
    return CandleSet(
        interval,
        table.symbols,
        whole,
        (table.source.label,),
        {symbol: count for symbol, count in counts.items() if count},
    )
