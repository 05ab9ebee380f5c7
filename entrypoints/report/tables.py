"""Tables over closed trades and booked amounts: by symbol, by exit reason, by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal

from application.backtest import BacktestRecord
from domain.performance import Booking, Sums, figures_of, grouped, net_of, sum_of
from domain.positions import Trade
from entrypoints.report.amounts import CENT, fixed, money, percent
from entrypoints.report.shapes import SymbolRow, TradeStats


def booked_by_symbol(record: BacktestRecord) -> dict[str, Sums]:
    """Sums by symbol, for every symbol that had a fill or a funding payment."""
    bookings: defaultdict[str, list[Booking]] = defaultdict(list)
    for fact in record.fills:
        fill = fact.fill
        bookings[fill.symbol].append(Booking(fill.time_ms, fill.symbol, realised=fact.realised, fee=fill.fee))
    for payment in record.fundings:
        bookings[payment.symbol].append(Booking(payment.time_ms, payment.symbol, funding=payment.amount_usd))
    return {symbol: sum_of(each) for symbol, each in bookings.items()}


def profit_factor(trades: Sequence[Trade]) -> str | None:
    """What winners brought for every dollar that losers cost; None without a loser."""
    factor = figures_of(trades).profit_factor
    return None if factor is None else fixed(factor, CENT)


def symbol_rows(trades: Sequence[Trade], booked: dict[str, Sums]) -> list[SymbolRow]:
    """One row for every symbol with a fill, best net first."""
    by_symbol = grouped(trades, lambda trade: trade.symbol)
    names = sorted({*by_symbol, *booked})
    amounts = {name: booked.get(name, Sums()) for name in names}
    names.sort(key=lambda name: -amounts[name].net)
    return [_symbol_row(name, by_symbol.get(name, []), amounts[name]) for name in names]


def rows_by(trades: Sequence[Trade], name_of: Callable[[Trade], str]) -> list[TradeStats]:
    """One row for every group of trades, most trades first."""
    groups = grouped(trades, name_of)
    return [stats_of(name, groups[name]) for name in sorted(groups, key=lambda name: (-len(groups[name]), name))]


def stats_of(name: str, trades: Sequence[Trade]) -> TradeStats:
    figures = figures_of(trades)
    return TradeStats(
        name=name,
        trades=figures.trades,
        wins=figures.wins,
        win_rate_pct=percent(Decimal(figures.wins), Decimal(figures.trades)),
        net=money(figures.sums.net),
        average_net=money(figures.sums.net / figures.trades) if figures.trades else None,
        average_hold_ms=figures.average_hold_ms,
        best=None if figures.best is None else money(net_of(figures.best)),
        worst=None if figures.worst is None else money(net_of(figures.worst)),
    )


def _symbol_row(name: str, trades: Sequence[Trade], booked: Sums) -> SymbolRow:
    stats = stats_of(name, trades)
    stats["net"] = money(booked.net)
    return SymbolRow(
        **stats,
        pnl=money(booked.realised),
        fees=money(booked.fees),
        funding=money(booked.funding),
    )
