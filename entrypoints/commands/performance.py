"""Closed trades by what they have in common, best first."""

from __future__ import annotations

from collections.abc import Callable

import click

from adapters.sqlite.performance_queries import Books, books
from domain.performance import DAY_MS, HOUR_MS, TradeFigures, figures_of, grouped, side_word, sum_of
from domain.positions import Trade
from entrypoints.books.marks import named_files
from entrypoints.books.options import asks_for_bookings
from entrypoints.books.shown import figures_json, headline, lasted, owner_json, percent, ratio, sums_json
from entrypoints.output import print_json, print_table, usd

NOT_OURS = "external"


@click.command(name="performance")
@asks_for_bookings
@click.option(
    "--by",
    type=click.Choice(["symbol", "reason", "side", "hour", "strategy"]),
    default="symbol",
    show_default=True,
    help="`reason`: why it ended; `hour`: the hour of the day, UTC, in which it was opened.",
)
def command(db: str | None, symbol: str | None, by: str, as_json: bool) -> None:
    """Closed trades by symbol, reason of the exit, side, hour of the entry, or strategy; sorted by net."""
    path = named_files(db).ledger
    found = books(path, symbol)
    groups = grouped(found.trades, _namer(by, found))
    figures = {name: figures_of(trades) for name, trades in groups.items()}
    order = sorted(figures, key=lambda name: (-figures[name].sums.net, name))
    closed, in_all = figures_of(found.trades), sum_of(found.bookings)
    elsewhere = in_all.less(closed.sums)
    if as_json:
        print_json(
            {
                **owner_json(path, found.owner),
                "symbol": symbol,
                "by": by,
                "rows": [{"name": name, **figures_json(figures[name])} for name in order],
                "closed_trades": figures_json(closed),
                "in_no_closed_trade": sums_json(elsewhere),
                "booked": sums_json(in_all),
            }
        )
        return
    print(headline(path, found.owner, found.owner.newest_ms))
    empty = f"no trade{f' of {symbol}' if symbol else ''} has been closed yet"
    print_table([_row(by, name, figures[name]) for name in order], empty=empty)
    if found.bookings:
        print(
            f"trades: {closed.trades}; {usd(closed.sums.net)} USD after fees and funding; in no closed trade "
            f"{usd(elsewhere.net)} USD; booked in all {usd(in_all.net)} USD"
        )


def _namer(by: str, found: Books) -> Callable[[Trade], str]:
    match by:
        case "symbol":
            return lambda trade: trade.symbol
        case "reason":
            return lambda trade: trade.exit_reason
        case "side":
            return lambda trade: side_word(trade.side)
        case "hour":
            return lambda trade: f"{trade.opened_ms % DAY_MS // HOUR_MS:02d}"
        case _:
            return lambda trade: found.strategies.get(trade.intent_id or "", NOT_OURS)


def _row(by: str, name: str, figures: TradeFigures) -> dict[str, str]:
    return {
        by: name,
        "trades": str(figures.trades),
        "won": percent(figures.win_rate_pct),
        "profit factor": ratio(figures.profit_factor),
        "net": usd(figures.sums.net),
        "fees": usd(figures.sums.fees),
        "funding": usd(figures.sums.funding),
        "average holding": lasted(figures.average_hold_ms),
    }
