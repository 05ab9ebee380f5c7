"""What trading has brought: closed trades, what is open, and what was booked in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from adapters.sqlite.performance_queries import Books, books
from domain.fact_text import exact_sum
from domain.performance import Drawdown, Sums, TradeFigures, drawdown_of, figures_of, net_of, side_word, sum_of
from domain.positions import GAP, Trade
from entrypoints.books.marks import Files, Marks, marks_for, named_files
from entrypoints.books.options import Moment, asks_for_values, only_symbol
from entrypoints.books.shown import (
    Figure,
    figures_json,
    headline,
    lasted,
    owner_json,
    percent,
    position_json,
    position_row,
    print_figures,
    ratio,
    sums_json,
    unrealised_figure,
    usd_or_unknown,
)
from entrypoints.output import print_json, print_table, say, usd, utc


@dataclass(frozen=True, slots=True)
class _Profit:
    figures: TradeFigures
    booked: Sums
    fall: Drawdown | None
    trades: Sequence[Trade]
    unsure: int

    @property
    def elsewhere(self) -> Sums:
        return self.booked.less(self.figures.sums)


@click.command(name="profit")
@asks_for_values
@only_symbol
@click.option("--since", "since_ms", type=Moment(), help="Only trades closed, and amounts booked, from then on (UTC).")
def command(db: str | None, market: str | None, symbol: str | None, since_ms: int | None, as_json: bool) -> None:
    """Profit and loss: closed trades, fees, funding, what open positions are worth, drawdown.

    What was booked in all is to the last digit the sum over `daily` and over `performance`.
    """
    files = named_files(db, market)
    found = books(files.ledger, symbol)
    profit = _profit_of(found, since_ms)
    marks = marks_for(files, found.owner, found.positions)
    if as_json:
        print_json(_as_json(files, symbol, since_ms, found, profit, marks))
        return
    _print(files, symbol, since_ms, found, profit, marks)


def _profit_of(found: Books, since_ms: int | None) -> _Profit:
    start_ms = since_ms or 0
    trades = [trade for trade in found.trades if trade.closed_ms >= start_ms]
    bookings = [booking for booking in found.bookings if booking.time_ms >= start_ms]
    return _Profit(
        figures=figures_of(trades),
        booked=sum_of(bookings),
        fall=drawdown_of(bookings),
        trades=trades,
        unsure=sum(trade.exit_reason == GAP for trade in trades),
    )


def _as_json(
    files: Files, symbol: str | None, since_ms: int | None, found: Books, profit: _Profit, marks: Marks
) -> dict[str, object]:
    fall = profit.fall
    return {
        **owner_json(files.ledger, found.owner),
        "symbol": symbol,
        "since_ms": since_ms,
        "closed_trades": figures_json(profit.figures),
        "in_no_closed_trade": sums_json(profit.elsewhere),
        "booked": sums_json(profit.booked),
        "unrealised": marks.unrealised_in_all(found.positions),
        "max_drawdown": None
        if fall is None
        else {"usd": fall.usd, "peak_ms": fall.peak_ms, "bottom_ms": fall.bottom_ms},
        "first_closed_ms": profit.trades[0].closed_ms if profit.trades else None,
        "last_closed_ms": profit.trades[-1].closed_ms if profit.trades else None,
        "positions": [position_json(position, marks) for position in found.positions],
        "marks_note": marks.note,
        "trades_with_missing_fills": profit.unsure,
        "open_gaps": [{"symbol": name, "time_ms": time_ms} for name, time_ms in found.open_gaps],
    }


def _print(files: Files, symbol: str | None, since_ms: int | None, found: Books, profit: _Profit, marks: Marks) -> None:
    print(headline(files.ledger, found.owner, found.owner.newest_ms))
    asked = (f" of {symbol}" if symbol else "") + (f" since {utc(since_ms)}" if since_ms is not None else "")
    if not (profit.trades or found.positions or profit.booked != Sums()):
        print(f"nothing{asked} has been booked yet: profit comes with the first fill")
        return
    print(f"profit{asked or ' since the ledger began'}:")
    print_figures([*_money(found, profit, marks, since_ms), *_statistics(profit)])
    if found.positions:
        print_table([position_row(position, marks) for position in found.positions], empty="")
    if marks.note:
        say(f"note: {marks.note}")
    if profit.unsure or found.open_gaps:
        say(
            f"note: fills are missing: {profit.unsure} trades ended by fills that nobody has, {len(found.open_gaps)} "
            "gaps are open; realised PnL counts known fills only. ./aiq db check says more"
        )


def _money(found: Books, profit: _Profit, marks: Marks, since_ms: int | None) -> list[Figure]:
    sums, open_net = profit.figures.sums, marks.unrealised_in_all(found.positions)
    still = "booked on what is still open" + ("" if since_ms is None else ", less what trades had booked before")
    figures = [
        ("gross", usd(sums.realised), "of closed trades, before fees and funding"),
        ("fees", usd(sums.fees), ""),
        ("funding", usd(sums.funding), "received if positive"),
        ("net", usd(sums.net), "of closed trades"),
        ("in no closed trade", usd(profit.elsewhere.net), still),
        ("booked in all", usd(profit.booked.net), "what trading did to cash"),
        unrealised_figure(found.positions, marks),
    ]
    if since_ms is None:  # how much of the unrealised came before a date is not known
        in_all = None if open_net is None else exact_sum((profit.booked.net, open_net))
        figures.append(("all together", usd_or_unknown(in_all), "booked and unrealised"))
    return figures


def _statistics(profit: _Profit) -> list[Figure]:
    figures, fall = profit.figures, profit.fall
    won = f"{figures.wins} won, {figures.losses} lost"
    first_last = f"{utc(profit.trades[0].closed_ms)} to {utc(profit.trades[-1].closed_ms)}" if profit.trades else ""
    return [
        ("trades", str(figures.trades), won if figures.trades else "none has closed yet"),
        ("win rate", percent(figures.win_rate_pct), ""),
        ("profit factor", ratio(figures.profit_factor), "won for every dollar lost"),
        ("average win", ratio(figures.average_win), ""),
        ("average loss", ratio(figures.average_loss), ""),
        ("best trade", *_single(figures.best)),
        ("worst trade", *_single(figures.worst)),
        ("losing streak", str(figures.losing_streak), "longest, in trades"),
        ("average holding", lasted(figures.average_hold_ms), ""),
        (
            "max drawdown",
            "0.00" if fall is None else usd(fall.usd),
            "of what was booked" + ("" if fall is None else f", {utc(fall.peak_ms)} to {utc(fall.bottom_ms)}"),
        ),
        *([("closed", "", first_last)] if first_last else []),
    ]


def _single(trade: Trade | None) -> tuple[str, str]:
    if trade is None:
        return "-", ""
    return usd(net_of(trade)), f"{trade.symbol} {side_word(trade.side)}, closed {utc(trade.closed_ms)}"
