"""The newest stored close of a symbol: what a position can be valued at while nobody asks the venue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from adapters.sqlite.candle_rows import rows_between
from adapters.sqlite.file_kinds import CANDLES
from adapters.sqlite.reading import reading
from domain.candles import Interval

REACH_MS = 7 * 86_400_000
"""How far behind the newest candle of the store a symbol's own may lie, to be one at all."""

_NEWEST = "SELECT open_ms FROM candles WHERE interval = ? ORDER BY open_ms DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class NewestClose:
    """The last price of a closed candle, and when that candle ended."""

    price: Decimal
    end_ms: int


def newest_closes(path: Path, symbols: Collection[str]) -> dict[str, NewestClose]:
    """By symbol, over all intervals; of two that end together the shorter one's. A symbol without one is left out."""
    found: dict[str, NewestClose] = {}
    with reading(path, CANDLES) as connection:
        for interval in sorted(Interval, key=lambda each: each.ms):
            newest = connection.exec_driver_sql(_NEWEST, (interval.value,)).first()
            if newest is None:
                continue
            for symbol in symbols:
                close = _newest_close(connection, symbol, interval, newest.open_ms)
                if close is not None and (symbol not in found or close.end_ms > found[symbol].end_ms):
                    found[symbol] = close
    return found


def _newest_close(connection: sa.Connection, symbol: str, interval: Interval, newest_ms: int) -> NewestClose | None:
    rows = rows_between(connection, symbol, interval, newest_ms - REACH_MS, newest_ms + 1, "c")
    if not rows:
        return None
    open_ms, close = rows[-1]
    return NewestClose(Decimal(repr(close)), open_ms + interval.ms)
