"""Closed trades of a ledger."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal

import click
import msgspec

from adapters.sqlite.queries import TradeRow, closed_trades
from entrypoints.ledger_rows import ledger_path, rows_of_a_ledger
from entrypoints.output import plain, print_json, print_table, usd, utc


@click.command(name="show-trades")
@rows_of_a_ledger
def command(db: str | None, symbol: str | None, limit: int | None, as_json: bool) -> None:
    """Closed trades, oldest first: a trade runs from flat to flat."""
    path = ledger_path(db)
    trades = closed_trades(path, symbol, limit)
    if as_json:
        print_json([_as_json(trade) for trade in trades])
        return
    print_table([_as_row(trade) for trade in trades], empty=f"no trade has been closed yet ({path})")
    if trades:
        net = sum((trade.pnl - trade.fees + trade.funding for trade in trades), Decimal(0))
        print(f"{len(trades)} trades, {usd(net)} USD after fees and funding")


def _as_json(trade: TradeRow) -> dict[str, object]:
    return {**asdict(trade), "meta": msgspec.json.decode(trade.meta)}


def _as_row(trade: TradeRow) -> dict[str, str]:
    return {
        "symbol": trade.symbol,
        "side": trade.side,
        "opened": utc(trade.opened_ms),
        "closed": utc(trade.closed_ms),
        "size": plain(trade.size),
        "entry": plain(round(trade.entry_price, 8)),
        "exit": plain(round(trade.exit_price, 8)),
        "pnl": usd(trade.pnl),
        "fees": usd(trade.fees),
        "funding": usd(trade.funding),
        "exit reason": trade.exit_reason,
    }
