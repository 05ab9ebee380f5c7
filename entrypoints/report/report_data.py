"""The report of a backtest as data: pure, from the run's record and its candles to plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from application.backtest import BacktestRecord
from domain.performance import Sums, net_of, side_word, total
from domain.positions import Trade
from entrypoints.report.amounts import growth, money, percent
from entrypoints.report.charts import pack_charts
from entrypoints.report.curves import curve_of, drawdowns_pct, months_of, years_of
from entrypoints.report.marks import open_positions, stories
from entrypoints.report.shapes import Fact, Period, Report, Totals
from entrypoints.report.tables import (
    booked_by_symbol,
    profit_factor,
    rows_by,
    symbol_rows,
)
from ports.datasets import CandleSet

SHOWN_ALERTS = 20


@dataclass(frozen=True, slots=True)
class ReportHeader:
    """How the run was asked for. Texts are shown as they are; an empty one is left out.

    `symbols` is what was asked, such as "all"; `command` the line that makes this run again.
    """

    title: str
    files: tuple[str, ...]
    symbols: str
    seed: int
    config_digest: str
    overrides_path: str | None
    warnings: tuple[str, ...] = ()
    strategy: str = ""
    funding_path: str | None = None
    command: str = ""


def report_data(record: BacktestRecord, candles: CandleSet, header: ReportHeader) -> Report:
    trades = [fact.trade for fact in record.trades]
    by_symbol: dict[str, list[Trade]] = {}
    for trade in trades:
        by_symbol.setdefault(trade.symbol, []).append(trade)
    booked = booked_by_symbol(record)
    told = stories(record.fills)
    lasts = {window.symbol: Decimal(repr(window.close.item(-1))) for window in candles.windows if window.symbol in told}
    start_ms = record.equity[0][0] - candles.interval.ms if record.equity else 0
    return Report(
        title=header.title,
        interval=candles.interval.value,
        symbols_in_data=len(candles.symbols),
        period=Period(from_ms=start_ms, to_ms=record.equity[-1][0]) if record.equity else None,
        warnings=[*header.warnings, *_alert_lines(record)],
        no_trades=no_trades_note(record),
        totals=totals_of(record, trades, total(booked.values())),
        curve=curve_of(record.equity, record.start_equity_usd, start_ms),
        months=months_of(record.equity, record.start_equity_usd, start_ms),
        years=years_of(record.equity, record.start_equity_usd),
        symbols=symbol_rows(trades, booked),
        exits=rows_by(trades, lambda trade: trade.exit_reason),
        sides=rows_by(trades, lambda trade: side_word(trade.side)),
        open_positions=open_positions(told, lasts),
        charts=pack_charts(candles, by_symbol, told),
        facts=_facts(record, candles, header),
    )


def totals_of(record: BacktestRecord, trades: Sequence[Trade], booked: Sums) -> Totals:
    """The run in single numbers. Unrealised is what equity holds beyond everything that was booked."""
    start = record.start_equity_usd
    final = record.equity[-1][1] if record.equity else start
    falls = drawdowns_pct(record.equity, start)
    deepest = max(range(len(falls)), key=falls.__getitem__, default=None)
    wins = sum(net_of(trade) > 0 for trade in trades)
    return Totals(
        start=money(start),
        final=money(final),
        net=money(final - start),
        return_pct=growth(start, final),
        realised=money(booked.realised),
        fees=money(booked.fees),
        funding=money(booked.funding),
        booked_net=money(booked.net),
        unrealised=money(final - start - booked.net),
        max_drawdown_pct=money(falls[deepest]) if deepest is not None else "0.00",
        max_drawdown_ms=record.equity[deepest][0] if deepest is not None and falls[deepest] > 0 else None,
        trades=len(trades),
        wins=wins,
        win_rate_pct=percent(Decimal(wins), Decimal(len(trades))),
        profit_factor=profit_factor(trades),
        bars=record.bars,
        analyses=record.analyses,
        signals=record.signals,
        intents=len(record.intents),
        fills=len(record.fills),
    )


def no_trades_note(record: BacktestRecord) -> list[str]:
    """What it means that no trade was closed, and where to look: the first step that nothing came out of."""
    if record.trades:
        return []
    if record.fills:
        return ["Positions were opened and none was closed before the candles ended: see the open positions below."]
    if record.bars == 0:
        reason = "The files held no candle to run over."
    elif record.analyses == 0:
        reason = f"None of the {record.bars:,} candles was analysed: no symbol has more candles than the warm-up needs."
    elif record.signals == 0:
        reason = f"{record.analyses:,} candles were analysed and none gave a signal: the strategy's gates refused each."
    elif not record.intents:
        reason = f"{record.signals:,} signals came up and none became an order: entry gates or limits refused each."
    else:
        reason = f"{len(record.intents):,} orders were sent and none was filled."
    return [reason, "This is a result, not a fault of the report: equity stayed where it started."]


def _alert_lines(record: BacktestRecord) -> list[str]:
    lines = [f"{alert.code}: {alert.text}" for alert in record.alerts[:SHOWN_ALERTS]]
    more = len(record.alerts) - len(lines)
    return [*lines, f"… and {more:,} more alerts"] if more else lines


def _facts(record: BacktestRecord, candles: CandleSet, header: ReportHeader) -> list[Fact]:
    filled = sum(candles.filled.values())
    facts = {
        "Command": [header.command],
        "Strategy": [header.strategy],
        "Candle files": list(header.files),
        "Funding file": [header.funding_path or "none: no funding was paid or received"],
        "Symbols": [f"{header.symbols} ({len(candles.symbols):,} in the data)"],
        "Interval": [candles.interval.value],
        "Gaps": [f"{filled:,} candles without a trade were put into gaps of the data"] if filled else [],
        "Seed": [str(header.seed)],
        "Overrides": [header.overrides_path or "none: built-in defaults"],
        "Config digest": [header.config_digest],
        "Run digest": [record.digest],
    }
    kept = {name: [line for line in lines if line] for name, lines in facts.items()}
    return [Fact(name=name, lines=lines) for name, lines in kept.items() if lines]
