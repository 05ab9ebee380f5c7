"""What every day brought."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import click

from adapters.sqlite.performance_queries import books
from domain.performance import Day, Sums, days_of, total
from entrypoints.books.marks import named_files, now_of
from entrypoints.books.options import asks_for_bookings
from entrypoints.books.shown import headline, owner_json, sums_json
from entrypoints.output import print_json, print_table, usd, utc

BAR_LENGTH = 20


@click.command(name="daily")
@asks_for_bookings
@click.option(
    "--days", type=click.IntRange(1), default=14, show_default=True, metavar="N", help="Only the last N days."
)
def command(db: str | None, symbol: str | None, days: int, as_json: bool) -> None:
    """What was booked on each day (UTC), and trades on the day on which they closed.

    A fee counts on the day on which it was paid: for an entry that may be the day before its trade closed.
    """
    path = named_files(db).ledger
    found = books(path, symbol)
    every = days_of(found.trades, found.bookings, now_of(found.owner))
    earlier, shown = every[:-days], every[-days:]
    if as_json:
        print_json(
            {
                **owner_json(path, found.owner),
                "symbol": symbol,
                "days": [_day_json(day) for day in shown],
                "earlier": _sum_json(earlier),
                "total": _sum_json(every),
            }
        )
        return
    print(headline(path, found.owner, found.owner.newest_ms))
    empty = f"nothing{f' of {symbol}' if symbol else ''} has been booked yet: days begin with the first fill"
    print_table(_rows(earlier, shown), empty=empty)
    if every:
        sums = total(day.sums for day in every)
        count = sum(day.trades for day in every)
        print(f"days: {len(every)}, trades: {count}; booked in all {usd(sums.net)} USD after fees and funding")


def _day_json(day: Day) -> dict[str, object]:
    return {
        "day": utc(day.start_ms)[:10],
        "start_ms": day.start_ms,
        "trades": day.trades,
        "wins": day.wins,
        **sums_json(day.sums),
        "cumulative": day.cumulative,
    }


def _sum_json(days: Sequence[Day]) -> dict[str, object]:
    return {
        "days": len(days),
        "trades": sum(day.trades for day in days),
        "wins": sum(day.wins for day in days),
        **sums_json(total(day.sums for day in days)),
    }


def _rows(earlier: Sequence[Day], shown: Sequence[Day]) -> list[dict[str, str]]:
    highest = max((abs(day.sums.net) for day in shown), default=Decimal(0))
    rows = [
        _row(utc(day.start_ms)[:10], day.trades, day.wins, day.sums, day.cumulative, _bar(day, highest))
        for day in shown
    ]
    if earlier:
        sums, trades = total(day.sums for day in earlier), sum(day.trades for day in earlier)
        wins = sum(day.wins for day in earlier)
        rows.insert(0, _row("earlier", trades, wins, sums, earlier[-1].cumulative, f"{len(earlier)} days"))
    return rows


def _row(name: str, trades: int, wins: int, sums: Sums, cumulative: Decimal, bar: str) -> dict[str, str]:
    return {
        "day": name,
        "trades": str(trades),
        "won": str(wins),
        "realised": usd(sums.realised),
        "fees": usd(sums.fees),
        "funding": usd(sums.funding),
        "net": usd(sums.net),
        "cumulative": usd(cumulative),
        "": bar,
    }


def _bar(day: Day, highest: Decimal) -> str:
    """As long as the day's net is large: the best or worst fills it, and any that is not zero shows a mark."""
    net = day.sums.net
    if net == 0:
        return "no trades" if day.trades == 0 and day.sums == Sums() else ""
    return ("+" if net > 0 else "-") * max(1, int(abs(net) * BAR_LENGTH / highest))
