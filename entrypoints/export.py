"""A run's fills, funding, trades, intents and equity as CSV files, exact to the last digit."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from application.backtest import BacktestRecord


def export_run(folder: Path, record: BacktestRecord) -> None:
    """Write one file a kind into `folder`, which is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        folder / "fills.csv",
        (
            "time_ms",
            "symbol",
            "side",
            "price",
            "size",
            "fee",
            "start_position",
            "trade_id",
            "intent_id",
            "via",
            "reason",
        ),
        (
            (
                recorded.fill.time_ms,
                recorded.fill.symbol,
                recorded.fill.side.value,
                recorded.fill.price,
                recorded.fill.size,
                recorded.fill.fee,
                recorded.fill.start_position,
                recorded.fill.trade_id,
                recorded.intent_id,
                recorded.via.value,
                recorded.reason,
            )
            for recorded in record.fills
        ),
    )
    _write(
        folder / "funding.csv",
        ("time_ms", "symbol", "size", "rate", "amount_usd"),
        ((paid.time_ms, paid.symbol, paid.size, paid.rate, paid.amount_usd) for paid in record.fundings),
    )
    _write(
        folder / "trades.csv",
        (
            "symbol",
            "side",
            "opened_ms",
            "closed_ms",
            "size",
            "entry_price",
            "exit_price",
            "pnl",
            "fees",
            "funding",
            "intent_id",
            "exit_reason",
        ),
        (
            (
                closed.trade.symbol,
                "long" if closed.trade.side.sign > 0 else "short",
                closed.trade.opened_ms,
                closed.trade.closed_ms,
                closed.trade.size,
                closed.trade.entry_price,
                closed.trade.exit_price,
                closed.trade.pnl,
                closed.trade.fees,
                closed.trade.funding,
                closed.trade.intent_id,
                closed.trade.exit_reason,
            )
            for closed in record.trades
        ),
    )
    _write(
        folder / "intents.csv",
        ("decided_ms", "intent_id", "key", "side", "size", "limit_price", "trigger_price", "reason", "why"),
        (
            (
                recorded.intent.decided_ms,
                recorded.intent.intent_id,
                recorded.intent.key.text,
                recorded.intent.side.value,
                recorded.intent.size,
                recorded.intent.limit_price,
                recorded.intent.trigger.price if recorded.intent.trigger else "",
                recorded.intent.reason,
                recorded.intent.why,
            )
            for recorded in record.intents
        ),
    )
    _write(folder / "equity.csv", ("time_ms", "equity_usd"), record.equity)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
