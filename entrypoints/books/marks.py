"""What open positions are worth by the newest stored candles, and as of when. What is not known is never zero."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from adapters.sqlite.mark_queries import NewestClose, newest_closes
from adapters.sqlite.performance_queries import Owner
from config.variables import Mode, Network
from domain.fact_text import exact_sum
from domain.positions import Position
from entrypoints.configuration import read_configuration
from entrypoints.ledger_rows import ledger_path
from ports.ledger import StorageError


@dataclass(frozen=True, slots=True)
class Files:
    """The ledger that is asked, and the candle store where one was named; else it follows from the ledger."""

    ledger: Path
    market: Path | None


@dataclass(frozen=True, slots=True)
class Marks:
    """`note` says why marks are unknown, if any is. `now_ms` is what ages are counted to."""

    closes: Mapping[str, NewestClose]
    now_ms: int
    note: str

    def price(self, symbol: str) -> Decimal | None:
        close = self.closes.get(symbol)
        return None if close is None else close.price

    def age_ms(self, symbol: str) -> int | None:
        close = self.closes.get(symbol)
        return None if close is None else max(0, self.now_ms - close.end_ms)

    def unrealised(self, position: Position) -> Decimal | None:
        price = self.price(position.symbol)
        return None if price is None else position.unrealised(price)

    def unrealised_in_all(self, positions: Iterable[Position]) -> Decimal | None:
        """None as soon as one of them is unknown: a sum that lacks a part is no sum."""
        parts = [self.unrealised(position) for position in positions]
        known = [part for part in parts if part is not None]
        return exact_sum(known) if len(known) == len(parts) else None

    def oldest_ms(self, positions: Iterable[Position]) -> int | None:
        """The age of the oldest mark that is known."""
        ages = [self.age_ms(position.symbol) for position in positions]
        return max((age for age in ages if age is not None), default=None)

    def unknown(self, positions: Iterable[Position]) -> list[str]:
        return [position.symbol for position in positions if self.price(position.symbol) is None]


def named_files(db: str | None, market: str | None = None) -> Files:
    """The files that options name; the configured ones otherwise, which only then have to be readable."""
    if market is None and db is None:
        settings = read_configuration().settings
        return Files(settings.db_path, settings.market_db_path)
    return Files(ledger_path(db), None if market is None else Path(market))


def now_of(owner: Owner) -> int:
    """What time it is for this ledger; the newest moment that it speaks of where it has a time of its own."""
    return owner.newest_ms or 0 if has_own_time(owner) else time.time_ns() // 1_000_000


def has_own_time(owner: Owner) -> bool:
    """Paper on the local market: its hours are not the system's."""
    return owner.mode == Mode.PAPER.value and owner.network == Network.LOCAL.value


def marks_for(files: Files, owner: Owner, positions: Iterable[Position]) -> Marks:
    """Value positions. A candle store that cannot be read is no reason to say nothing of the ledger: it is noted."""
    symbols = [position.symbol for position in positions]
    now_ms = now_of(owner)
    if not symbols:
        return Marks({}, now_ms, "")
    path = files.market or _beside(files.ledger, owner)
    try:
        closes = newest_closes(path, symbols)
    except StorageError as error:
        return Marks({}, now_ms, f"{error} --market names another candle store.")
    if has_own_time(owner):
        now_ms = max([now_ms, *(close.end_ms for close in closes.values())])
    missing = [symbol for symbol in symbols if symbol not in closes]
    return Marks(closes, now_ms, f"{path} has no recent candle of {', '.join(missing)}" if missing else "")


def _beside(ledger: Path, owner: Owner) -> Path:
    """The candle store of a ledger that is not the configured one: named after it, as a backup's, or its network's."""
    own = ledger.with_suffix(".market.sqlite")
    if own.exists() or owner.network == Network.LOCAL.value:
        return own
    return ledger.with_name(f"market-{owner.network}.sqlite")
