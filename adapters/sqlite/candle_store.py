"""Closed candles on disk.

A candle is one row; `confirmed` says that the venue's history has it so. The two ways in differ in what they make of a
row that is there: the stream's candle replaces it and takes the confirmation away if anything changes, the venue's
replaces it and confirms it. The same candle again is no write at all.

There is no exclusive writer: a download may run beside a daemon. Transactions are short (5,000 candles of one symbol
among 200 take 0.2 s), and whoever comes second waits for the first one's end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from adapters.sqlite import engine, tables
from adapters.sqlite.candle_rows import confirmed_run, rows_between, window_of
from adapters.sqlite.file_kinds import CANDLES
from adapters.sqlite.storage_errors import in_storage_words
from domain.candles import CandleBatch, CandleWindow, Interval
from ports.candle_history import CandleRevision

_CHANGES = "o <> excluded.o OR h <> excluded.h OR l <> excluded.l OR c <> excluded.c OR v <> excluded.v"
_WRITE = f"""
    INSERT INTO candles (interval, open_ms, symbol, o, h, l, c, v, confirmed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)
    ON CONFLICT (interval, open_ms, symbol) DO UPDATE
    SET o = excluded.o, h = excluded.h, l = excluded.l, c = excluded.c, v = excluded.v, confirmed = 0
    WHERE {_CHANGES}
"""
_CONFIRM = f"""
    INSERT INTO candles (interval, open_ms, symbol, o, h, l, c, v, confirmed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)
    ON CONFLICT (interval, open_ms, symbol) DO UPDATE
    SET o = excluded.o, h = excluded.h, l = excluded.l, c = excluded.c, v = excluded.v, confirmed = 1
    WHERE NOT confirmed OR {_CHANGES}
"""
_REVISE = f"INSERT INTO candle_revisions VALUES ({', '.join('?' * len(tables.candle_revisions.columns))})"

_Numbers = tuple[float, float, float, float, float]


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
            engine.cursor_of(self._connection).executemany(_WRITE, rows)

    def confirm(self, window: CandleWindow, at_ms: int) -> tuple[CandleRevision, ...]:
        if not len(window):
            return ()
        symbol, interval, open_ms = window.symbol, window.interval, window.open_ms
        assert not open_ms[0] % interval.ms, "spans are aligned to the epoch"
        assert (np.diff(open_ms) == interval.ms).all(), "what the venue said has no hole"
        numbers = zip(*(column.tolist() for column in window.columns), strict=True)
        said: dict[int, _Numbers] = dict(zip(open_ms.tolist(), numbers, strict=True))
        rows = [(interval.value, at, symbol, *now) for at, now in said.items()]
        with (
            self._turn,
            in_storage_words(self._path, "cannot write candles", CANDLES.when_damaged),
            self._connection.begin(),
        ):
            found = rows_between(self._connection, symbol, interval, int(open_ms[0]), int(open_ms[-1]) + 1)
            stored: dict[int, _Numbers] = {at: (o, h, low, c, v) for at, o, h, low, c, v in found}
            revisions = tuple(
                CandleRevision(symbol, interval, at, stored[at], now)
                for at, now in said.items()
                if at in stored and stored[at] != now
            )
            engine.cursor_of(self._connection).executemany(_CONFIRM, rows)
            if revisions:
                self._connection.exec_driver_sql(_REVISE, [_revision_row(each, at_ms) for each in revisions])
        return revisions

    def read(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        with (
            self._turn,
            in_storage_words(self._path, "cannot read candles", CANDLES.when_damaged),
            self._connection.begin(),
        ):
            rows = rows_between(self._connection, symbol, interval, start_ms, end_ms)
        return window_of(symbol, interval, rows)

    def read_confirmed(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        with (
            self._turn,
            in_storage_words(self._path, "cannot read candles", CANDLES.when_damaged),
            self._connection.begin(),
        ):
            rows = confirmed_run(self._connection, symbol, interval, start_ms, end_ms)
        return window_of(symbol, interval, rows)

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._turn:
            engine.close(self._connection)

    def _rows_of(self, batch: CandleBatch) -> Iterator[tuple[str | int | float, ...]]:
        interval, open_ms = batch.interval.value, batch.open_ms
        assert open_ms % batch.interval.ms == 0, "spans are aligned to the epoch"
        columns = (batch.ids, batch.open, batch.high, batch.low, batch.close, batch.volume)
        for place, *numbers in zip(*(column.tolist() for column in columns), strict=True):
            yield interval, open_ms, self._symbols[place], *numbers


def _revision_row(revision: CandleRevision, noticed_ms: int) -> tuple[str | int | float, ...]:
    assert revision.before is not None, "a candle that was not there cannot be revised"
    where = (revision.symbol, revision.interval.value, revision.open_ms, noticed_ms)
    return *where, *revision.before, *revision.now
