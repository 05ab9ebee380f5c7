"""Orders of a ledger: what was decided, sent, answered and filled."""

from __future__ import annotations

from dataclasses import asdict

import click

from adapters.sqlite.order_queries import OrderRow, orders
from entrypoints.ledger_rows import ledger_path, rows_of_a_ledger
from entrypoints.output import plain, print_json, print_table, utc


@click.command(name="show-orders")
@rows_of_a_ledger
@click.option("--open", "may_live", is_flag=True, help="Only those that the venue may still hold.")
def command(db: str | None, symbol: str | None, limit: int | None, may_live: bool, as_json: bool) -> None:
    """Orders, oldest first: one line for each attempt at a decision. `./aiq explain CLOID` tells what led to one."""
    path = ledger_path(db)
    rows = orders(path, symbol, limit, may_live=may_live)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table([_as_row(row) for row in rows], empty=f"no {'open ' if may_live else ''}order is on record ({path})")
    if rows:
        print(f"{len(rows)} orders")


def _as_row(row: OrderRow) -> dict[str, str]:
    price = f"{plain(row.limit_price)}" if row.trigger_price is None else f"once at {plain(row.trigger_price)}"
    status = row.status if not row.status_reason else f"{row.status} ({_short(row.status_reason)})"
    return {
        "sent": utc(row.sent_ms),
        "symbol": row.symbol,
        "action": row.action,
        "side": row.side,
        "size": plain(row.size),
        "filled": plain(row.filled),
        "price": price,
        "reason": row.reason,
        "try": str(row.attempt),
        "oid": "-" if row.oid is None else str(row.oid),
        "cloid": row.cloid,
        "status": status,
    }


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
