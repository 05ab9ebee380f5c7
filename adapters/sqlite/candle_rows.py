"""Spans of one symbol in the candle file.

All symbols of one close lie together, so a symbol's candles lie far from each other. Their open times are known
beforehand: each is looked up, which costs two microseconds, and nothing between them is read.

Statements go to the driver itself: one of SQLAlchemy's costs as much as looking twenty candles up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from adapters.sqlite.engine import cursor_of
from domain.candles import CandleWindow, Interval

NUMBERS = "o, h, l, c, v"

_OLDEST = "SELECT open_ms FROM candles WHERE interval = ? ORDER BY open_ms LIMIT 1"
_NEWEST = "SELECT open_ms FROM candles WHERE interval = ? ORDER BY open_ms DESC LIMIT 1"
_BETWEEN = """
    WITH RECURSIVE opens (at_ms) AS (
        SELECT :first_ms WHERE :first_ms <= :last_ms
        UNION ALL SELECT at_ms + :length_ms FROM opens WHERE at_ms + :length_ms <= :last_ms
    )
    SELECT open_ms, {columns} FROM opens CROSS JOIN candles
    ON interval = :interval AND open_ms = at_ms AND symbol = :symbol ORDER BY at_ms
"""
_CONFIRMED_RUN = """
    WITH RECURSIVE run (open_ms, o, h, l, c, v) AS (
        SELECT open_ms, o, h, l, c, v FROM candles
        WHERE interval = :interval AND open_ms = :start_ms AND symbol = :symbol AND confirmed AND :start_ms < :end_ms
        UNION ALL
        SELECT later.open_ms, later.o, later.h, later.l, later.c, later.v FROM run CROSS JOIN candles AS later
        ON later.interval = :interval AND later.open_ms = run.open_ms + :length_ms AND later.symbol = :symbol
        WHERE later.confirmed AND later.open_ms < :end_ms
    )
    SELECT open_ms, o, h, l, c, v FROM run ORDER BY open_ms
"""


def rows_between(
    connection: sa.Connection, symbol: str, interval: Interval, start_ms: int, end_ms: int, columns: str = NUMBERS
) -> list[Any]:
    """(open time, columns…) of aligned open times in [start_ms, end_ms), oldest first."""
    cursor = cursor_of(connection)
    oldest = cursor.execute(_OLDEST, (interval.value,)).fetchone()
    newest = cursor.execute(_NEWEST, (interval.value,)).fetchone()
    if oldest is None or newest is None:
        return []
    first_ms = max(oldest[0], start_ms)
    values = {
        "first_ms": first_ms + -first_ms % interval.ms,
        "last_ms": min(newest[0], end_ms - 1),
        "length_ms": interval.ms,
        "interval": interval.value,
        "symbol": symbol,
    }
    return cursor.execute(_BETWEEN.format(columns=columns), values).fetchall()


def confirmed_run(connection: sa.Connection, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> list[Any]:
    """(open time, numbers…) of the unbroken confirmed run that begins at `start_ms`, up to `end_ms`."""
    values = {
        "interval": interval.value,
        "symbol": symbol,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "length_ms": interval.ms,
    }
    return cursor_of(connection).execute(_CONFIRMED_RUN, values).fetchall()


def window_of(symbol: str, interval: Interval, rows: Sequence[Sequence[Any]]) -> CandleWindow:
    """(open time, numbers…) as columns."""
    open_ms, *numbers = zip(*rows, strict=True) if rows else ((),) * 6
    columns = [np.array(column, dtype=np.float64) for column in numbers]
    return CandleWindow(symbol, interval, np.array(open_ms, dtype=np.int64), *columns)
