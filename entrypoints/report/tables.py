"""Tables over closed trades and booked amounts: by symbol, by exit reason, by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from application.backtest import BacktestRecord
from domain.intents import Side
from domain.positions import Trade
from entrypoints.report.amounts import CENT, fixed, money, percent
from entrypoints.report.shapes import SymbolRow, TradeStats

ZERO = Decimal(0)


def net_of(trade: Trade) -> Decimal:
    """What a trade brought in the end. A trade wins when this is above zero."""
    return trade.pnl - trade.fees + trade.funding


def side_word(side: Side) -> str:
    return "long" if side is Side.BUY else "short"


@dataclass(slots=True)
class Booked:
    """Everything booked so far on one symbol, or on all: sums over fills and funding payments."""

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return self.realised - self.fees + self.funding


def booked_by_symbol(record: BacktestRecord) -> dict[str, Booked]:
    """Sums by symbol, for every symbol that had a fill or a funding payment."""
    sums: defaultdict[str, Booked] = defaultdict(Booked)
    for fact in record.fills:
        of_symbol = sums[fact.fill.symbol]
        of_symbol.realised += fact.realised
        of_symbol.fees += fact.fill.fee
    for payment in record.fundings:
        sums[payment.symbol].funding += payment.amount_usd
    return dict(sums)


def booked_in_all(by_symbol: dict[str, Booked]) -> Booked:
    total = Booked()
    for part in by_symbol.values():
        total.realised += part.realised
        total.fees += part.fees
        total.funding += part.funding
    return total


def profit_factor(trades: Iterable[Trade]) -> str | None:
    """What winners brought for every dollar that losers cost; None without a loser."""
    gained, lost = ZERO, ZERO
    for trade in trades:
        net = net_of(trade)
        if net > 0:
            gained += net
        else:
            lost -= net
    return fixed(gained / lost, CENT) if lost else None


def symbol_rows(trades: Sequence[Trade], booked: dict[str, Booked]) -> list[SymbolRow]:
    """One row for every symbol with a fill, best net first."""
    by_symbol = _grouped(trades, lambda trade: trade.symbol)
    names = sorted({*by_symbol, *booked})
    amounts = {name: booked.get(name, Booked()) for name in names}
    names.sort(key=lambda name: -amounts[name].net)
    return [_symbol_row(name, by_symbol.get(name, []), amounts[name]) for name in names]


def rows_by(trades: Sequence[Trade], name_of: Callable[[Trade], str]) -> list[TradeStats]:
    """One row for every group of trades, most trades first."""
    groups = _grouped(trades, name_of)
    return [stats_of(name, groups[name]) for name in sorted(groups, key=lambda name: (-len(groups[name]), name))]


def stats_of(name: str, trades: Sequence[Trade]) -> TradeStats:
    nets = [net_of(trade) for trade in trades]
    net = sum(nets, ZERO)
    wins = sum(value > 0 for value in nets)
    count = len(trades)
    return TradeStats(
        name=name,
        trades=count,
        wins=wins,
        win_rate_pct=percent(Decimal(wins), Decimal(count)),
        net=money(net),
        average_net=money(net / count) if count else None,
        average_hold_ms=sum(trade.closed_ms - trade.opened_ms for trade in trades) // count if count else None,
        best=money(max(nets)) if nets else None,
        worst=money(min(nets)) if nets else None,
    )


def _symbol_row(name: str, trades: Sequence[Trade], booked: Booked) -> SymbolRow:
    stats = stats_of(name, trades)
    stats["net"] = money(booked.net)
    return SymbolRow(
        **stats,
        pnl=money(booked.realised),
        fees=money(booked.fees),
        funding=money(booked.funding),
    )


def _grouped(trades: Iterable[Trade], name_of: Callable[[Trade], str]) -> dict[str, list[Trade]]:
    groups: defaultdict[str, list[Trade]] = defaultdict(list)
    for trade in trades:
        groups[name_of(trade)].append(trade)
    return dict(groups)
