"""What the candle file holds, for people and their tools: read-only, beside a running daemon or without one.

Every function opens the file for itself and raises `StorageError` when it is absent, no candle store, of an older
schema, or damaged. What one call reads is of one moment; whoever writes meanwhile is not held up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from adapters.sqlite.candle_rows import rows_between, window_of
from adapters.sqlite.file_kinds import CANDLES
from adapters.sqlite.reading import reading
from domain.candles import BoolColumn, CandleWindow, IntColumn, Interval

# A look-up per interval: DISTINCT would read every row.
_INTERVALS = """
    WITH RECURSIVE known (interval) AS (
        SELECT min(interval) FROM candles
        UNION ALL SELECT (SELECT min(interval) FROM candles WHERE interval > known.interval)
        FROM known WHERE known.interval IS NOT NULL
    )
    SELECT interval FROM known WHERE interval IS NOT NULL
"""
_OPENS = "SELECT symbol, open_ms, confirmed FROM candles WHERE interval = ? ORDER BY open_ms"
_ASTRAY = "SELECT symbol, open_ms, o, h, l, c, v FROM candles WHERE interval = ? AND open_ms % ? <> 0 ORDER BY open_ms"
_SCAN = "SELECT open_ms, o, h, l, c, v FROM candles WHERE interval = ? AND symbol = ? ORDER BY open_ms"
_REVISIONS = "SELECT symbol, interval, count(*) FROM candle_revisions GROUP BY symbol, interval"
_ROWS_AT_ONCE = 10_000
_ROWS_PER_LOOKUP = 10
"""So many rows are passed over in the time of one look-up."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is stored of one symbol and interval; `first_ms` and `last_ms` are open times.

    Between them `missing` candles are not there, in `gaps` unbroken spans. `revisions` counts how often a stored candle
    turned out to be otherwise at the venue.
    """

    symbol: str
    interval: Interval
    first_ms: int
    last_ms: int
    candles: int
    confirmed: int
    gaps: int
    missing: int
    revisions: int


def coverage(
    path: Path, symbols: Collection[str] | None = None, intervals: Collection[Interval] | None = None
) -> list[Coverage]:
    """By symbol, then by the interval's length; `symbols` and `intervals` leave out all others."""
    with reading(path, CANDLES) as connection:
        return _coverage(connection, symbols, intervals)


def stored_windows(
    path: Path, symbols: Collection[str] | None = None, intervals: Collection[Interval] | None = None
) -> Iterator[CandleWindow]:
    """Every row, one window per symbol and interval in the order of `coverage`; with gaps, and with rows whose open
    times are no multiple of the interval, if there are any. One window is in memory at a time."""
    with reading(path, CANDLES) as connection:
        found = _coverage(connection, symbols, intervals)
        stored = {interval: _count(connection, interval) for interval in {each.interval for each in found}}
        astray = {interval: _rows_astray(connection, interval) for interval in stored}
        for each in found:
            slots = (each.last_ms - each.first_ms) // each.interval.ms + 1
            rows: Sequence[Sequence[Any]]
            if slots * _ROWS_PER_LOOKUP > stored[each.interval]:
                rows = connection.exec_driver_sql(_SCAN, (each.interval.value, each.symbol)).all()
            else:
                looked_up = rows_between(connection, each.symbol, each.interval, each.first_ms, each.last_ms + 1)
                more = astray[each.interval].get(each.symbol, [])
                rows = sorted([*map(tuple, looked_up), *more]) if more else looked_up
            yield window_of(each.symbol, each.interval, rows)


def stored_opens(
    path: Path, symbol: str, interval: Interval, start_ms: int, end_ms: int
) -> tuple[IntColumn, BoolColumn]:
    """Open times in [start_ms, end_ms) that are stored, ascending, and which of them are confirmed."""
    with reading(path, CANDLES) as connection:
        rows = rows_between(connection, symbol, interval, start_ms, end_ms, "confirmed")
    found = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2)
    return found[:, 0].copy(), found[:, 1] != 0


class _Tally:
    """What was seen of one symbol and interval so far; its rows come in the order of their times."""

    __slots__ = ("aligned_ms", "candles", "confirmed", "first_ms", "gaps", "last_ms", "missing")

    def __init__(self, open_ms: int) -> None:
        self.first_ms = self.last_ms = open_ms
        self.aligned_ms: int | None = None
        """The newest one on the grid: only those can have gaps between them."""
        self.candles = self.confirmed = self.gaps = self.missing = 0


def _coverage(
    connection: sa.Connection, symbols: Collection[str] | None, intervals: Collection[Interval] | None
) -> list[Coverage]:
    revisions: Counter[tuple[str, str]] = Counter()
    for symbol, interval, count in connection.exec_driver_sql(_REVISIONS):
        revisions[symbol, interval] = count
    found = []
    for text in connection.exec_driver_sql(_INTERVALS).scalars().all():
        interval = Interval(text)
        if intervals is not None and interval not in intervals:
            continue
        for symbol, tally in _tallies(connection, interval).items():
            if symbols is None or symbol in symbols:
                found.append(
                    Coverage(
                        symbol,
                        interval,
                        tally.first_ms,
                        tally.last_ms,
                        tally.candles,
                        tally.confirmed,
                        tally.gaps,
                        tally.missing,
                        revisions[symbol, text],
                    )
                )
    return sorted(found, key=lambda each: (each.symbol, each.interval.ms))


def _tallies(connection: sa.Connection, interval: Interval) -> dict[str, _Tally]:
    """One pass over the rows as they lie, a million in a second; SQL would have to sort them all first."""
    length = interval.ms
    tallies: dict[str, _Tally] = {}
    cursor = connection.connection.cursor()
    cursor.execute(_OPENS, (interval.value,))
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        for symbol, open_ms, confirmed in rows:
            tally = tallies.get(symbol)
            if tally is None:
                tally = tallies[symbol] = _Tally(open_ms)
            tally.candles += 1
            tally.confirmed += confirmed
            tally.last_ms = open_ms
            if open_ms % length:
                continue
            if tally.aligned_ms is not None and open_ms - tally.aligned_ms > length:
                tally.gaps += 1
                tally.missing += (open_ms - tally.aligned_ms) // length - 1
            tally.aligned_ms = open_ms
    cursor.close()
    return tallies


def _count(connection: sa.Connection, interval: Interval) -> int:
    count = connection.exec_driver_sql(
        "SELECT count(*) FROM candles WHERE interval = ?", (interval.value,)
    ).scalar_one()
    return int(count)


def _rows_astray(connection: sa.Connection, interval: Interval) -> dict[str, list[Any]]:
    """Rows that no look-up by aligned time finds; there are none unless somebody else wrote the file."""
    found: dict[str, list[Any]] = {}
    for symbol, *row in connection.exec_driver_sql(_ASTRAY, (interval.value, interval.ms)):
        found.setdefault(symbol, []).append(tuple(row))
    return found
