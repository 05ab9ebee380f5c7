"""What the ledger says, for people and their tools: read-only, beside a running daemon or without one.

Every function opens the file for itself and raises `StorageError` when it is absent, no ledger,
or damaged. Lists are oldest first; with a `limit`, the newest so many.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.sqlite import position_rows, tables
from adapters.sqlite.file_kinds import LEDGER
from adapters.sqlite.reading import reading
from domain.fact_text import exact_sum
from domain.positions import Position
from domain.value_text import decimal_from_text


@dataclass(frozen=True, slots=True)
class TradeRow:
    """A round trip. `side` is long or short; `meta` is JSON text: who decided, on what, how fills were matched."""

    symbol: str
    side: str
    opened_ms: int
    closed_ms: int
    size: Decimal
    entry_price: Decimal
    exit_price: Decimal
    pnl: Decimal
    fees: Decimal
    funding: Decimal
    intent_id: str | None
    exit_reason: str
    meta: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Whose ledger it is, and what it adds up to. Money in USD; `realised` excludes fees and funding."""

    mode: str
    network: str
    account: str
    realised: Decimal
    fees: Decimal
    funding: Decimal
    cash: Decimal | None
    intents: int
    fills: int
    trades: int
    winning_trades: int
    open_positions: int


def closed_trades(path: Path, symbol: str | None = None, limit: int | None = None) -> list[TradeRow]:
    """Trades in the order in which they closed."""
    trades = tables.trades
    wanted = sa.select(trades).order_by(trades.c.id.desc()).limit(limit)
    if symbol is not None:
        wanted = wanted.where(trades.c.symbol == symbol)
    with reading(path, LEDGER) as connection:
        return [_trade_of(row) for row in reversed(connection.execute(wanted).mappings().all())]


def positions(path: Path) -> list[Position]:
    """Positions that are open, by symbol."""
    table = tables.positions
    wanted = sa.select(table).where(table.c.size != "0").order_by(table.c.symbol)
    with reading(path, LEDGER) as connection:
        return [position_rows.position_of(row) for row in connection.execute(wanted).mappings()]


def summary(path: Path) -> Summary:
    with reading(path, LEDGER) as connection:

        def count(table: sa.Table) -> int:
            return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()

        def amounts(column: sa.Column[str]) -> list[Decimal]:
            return [decimal_from_text(text) for text in connection.execute(sa.select(column)).scalars()]

        owner = connection.execute(sa.select(tables.meta)).mappings().one()
        cash = amounts(tables.account.c.cash_usd)
        return Summary(
            mode=owner["mode"],
            network=owner["network"],
            account=owner["account"],
            realised=exact_sum(amounts(tables.fills.c.realised)),
            fees=exact_sum(amounts(tables.fills.c.fee)),
            funding=exact_sum(amounts(tables.funding.c.amount_usd)),
            cash=cash[0] if cash else None,
            intents=count(tables.order_intents),
            fills=count(tables.fills),
            trades=count(tables.trades),
            winning_trades=sum(pnl > 0 for pnl in amounts(tables.trades.c.pnl)),
            open_positions=sum(size != 0 for size in amounts(tables.positions.c.size)),
        )


def _trade_of(row: Any) -> TradeRow:
    return TradeRow(
        symbol=row["symbol"],
        side=row["side"],
        opened_ms=row["opened_ms"],
        closed_ms=row["closed_ms"],
        size=decimal_from_text(row["size"]),
        entry_price=decimal_from_text(row["entry_price"]),
        exit_price=decimal_from_text(row["exit_price"]),
        pnl=decimal_from_text(row["pnl"]),
        fees=decimal_from_text(row["fees"]),
        funding=decimal_from_text(row["funding"]),
        intent_id=row["intent_id"],
        exit_reason=row["exit_reason"],
        meta=row["meta_json"],
    )
