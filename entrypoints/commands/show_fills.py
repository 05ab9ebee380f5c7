"""Executions of a ledger, and whose they are."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal

import click

from adapters.sqlite.order_queries import ExecutionRow, executions
from entrypoints.ledger_rows import ledger_path, rows_of_a_ledger
from entrypoints.output import plain, print_json, print_table, usd, utc


@click.command(name="show-fills")
@rows_of_a_ledger
@click.option("--external", is_flag=True, help="Only those that no decision of ours asked for.")
def command(db: str | None, symbol: str | None, limit: int | None, external: bool, as_json: bool) -> None:
    """Fills, oldest first. `./aiq explain TRADE_ID` tells what led to one."""
    path = ledger_path(db)
    rows = executions(path, symbol, limit, external=external)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table([_as_row(row) for row in rows], empty=f"no {'external ' if external else ''}fill is on record ({path})")
    if rows:
        realised, fees = (sum((getattr(row, name) for row in rows), Decimal(0)) for name in ("realised", "fee"))
        print(f"{len(rows)} fills, {usd(realised)} USD realised, {usd(fees)} USD fees")


def _as_row(row: ExecutionRow) -> dict[str, str]:
    return {
        "time": utc(row.time_ms),
        "symbol": row.symbol,
        "side": row.side,
        "size": plain(row.size),
        "price": plain(row.price),
        "fee": plain(row.fee),
        "realised": plain(round(row.realised, 6)),
        "held before": "-" if row.start_position is None else plain(row.start_position),
        "whose": "external" if row.intent_id is None else row.intent_id[:12],
        "by": row.matched_via,
        "reason": row.reason,
        "trade id": row.trade_id,
    }
