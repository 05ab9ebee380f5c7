"""Closed candles on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from adapters.sqlite import engine
from adapters.sqlite.file_kinds import CANDLES
from adapters.sqlite.storage_errors import in_storage_words
from domain.candles import CandleBatch, CandleWindow, Interval

_WRITE = (
    "INSERT INTO candles (interval, open_ms, symbol, o, h, l, c, v) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (interval, open_ms, symbol) DO UPDATE SET "
    "o = excluded.o, h = excluded.h, l = excluded.l, c = excluded.c, v = excluded.v"
)
_OLDEST = "SELECT open_ms FROM candles WHERE interval = ? ORDER BY open_ms LIMIT 1"
_NEWEST = "SELECT open_ms FROM candles WHERE interval = ? ORDER BY open_ms DESC LIMIT 1"
# One look-up a candle: open times are known beforehand, so nothing between them is scanned.
_READ = """
    WITH RECURSIVE opens (at_ms) AS (
        SELECT :first_ms WHERE :first_ms <= :last_ms
        UNION ALL SELECT at_ms + :length_ms FROM opens WHERE at_ms + :length_ms <= :last_ms
    )
    SELECT open_ms, o, h, l, c, v FROM opens CROSS JOIN candles
    ON interval = :interval AND open_ms = at_ms AND symbol = :symbol ORDER BY at_ms
"""


class SqliteCandleStore:
    """`CandleStore` in a file of its own. Any thread may call; calls take turns.

    `symbols` are the session's, in the order of its `Universe`: batches speak of symbols by
    their place in it, the file by their name.
    """

    def __init__(self, path: Path, symbols: Sequence[str]) -> None:
        """Open the store at `path`, making it when there is none. Raises `StorageError`."""
        self._path = path
        self._symbols = tuple(symbols)
        self._turn = threading.Lock()
        self._connection = engine.open_writer(path, CANDLES)

    def write(self, batches: Sequence[CandleBatch]) -> None:
        rows = [row for batch in batches for row in self._rows_of(batch)]
        if not rows:
            return
        with (
            self._turn,
            in_storage_words(self._path, "cannot write candles", CANDLES.when_damaged),
            self._connection.begin(),
        ):
            self._connection.exec_driver_sql(_WRITE, rows)

    def read(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        with (
            self._turn,
            in_storage_words(self._path, "cannot read candles", CANDLES.when_damaged),
            self._connection.begin(),
        ):
            rows = _rows_between(self._connection, symbol, interval, start_ms, end_ms)
        open_ms, *prices = zip(*rows, strict=True) if rows else ((),) * 6
        columns = [np.array(column, dtype=np.float64) for column in prices]
        return CandleWindow(symbol, interval, np.array(open_ms, dtype=np.int64), *columns)

    def close(self) -> None:
        """Close the file. Idempotent."""
        engine.close(self._connection)

    def _rows_of(self, batch: CandleBatch) -> Iterator[tuple[str | int | float, ...]]:
        interval, open_ms = batch.interval.value, batch.open_ms
        assert open_ms % batch.interval.ms == 0, "spans are aligned to the epoch"
        columns = (batch.ids, batch.open, batch.high, batch.low, batch.close, batch.volume)
        for place, *numbers in zip(*(column.tolist() for column in columns), strict=True):
            yield interval, open_ms, self._symbols[place], *numbers


def _rows_between(
    connection: sa.Connection, symbol: str, interval: Interval, start_ms: int, end_ms: int
) -> Sequence[sa.Row[tuple[int, float, float, float, float, float]]]:
    """Rows of one symbol with open times in [start_ms, end_ms), oldest first."""
    oldest = connection.exec_driver_sql(_OLDEST, (interval.value,)).scalar()
    newest = connection.exec_driver_sql(_NEWEST, (interval.value,)).scalar()
    if oldest is None or newest is None:
        return []
    first_ms = max(oldest, start_ms + -start_ms % interval.ms)
    values = {
        "first_ms": first_ms,
        "last_ms": min(newest, end_ms - 1),
        "length_ms": interval.ms,
        "interval": interval.value,
        "symbol": symbol,
    }
    return connection.exec_driver_sql(_READ, values).all()
