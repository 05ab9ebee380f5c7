"""One backtest from files to figures, for the command line and for benchmarks."""

from __future__ import annotations

import gc
import shlex
import sys
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from application.backtest import BacktestRecord, max_drawdown_pct
from application.engine import UnifiedEngine
from config.load import Configuration
from domain.candles import Interval
from domain.performance import net_of
from domain.strategy_config import Place
from entrypoints.backtest_container import BacktestContainer, BacktestInputs
from entrypoints.output import usd, utc
from entrypoints.progress import Progress
from ports.datasets import CandleSet
from ports.strategy import WARMUP_CANDLES
from ports.strategy_config import ConfigError, ConfigProblem


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files that the command line names, as it names them. `from_store`: `candles` names a candle store."""

    candles: tuple[str, ...]
    funding: str | None
    instruments: str | None
    interval: str | None
    symbols: str
    fill_gaps: bool
    from_store: bool = False


@dataclass(frozen=True, slots=True)
class BacktestOutcome:
    """A finished run. `run_s`: seconds from the first indicator to the last decision, without reading files."""

    record: BacktestRecord
    engine: UnifiedEngine
    run_s: float


def read_inputs(configuration: Configuration, files: DataFiles) -> BacktestInputs:
    """Read and check every file. Raises `DatasetError` or `ConfigError` with all problems."""
    from adapters.datasets.funding_files import read_funding
    from adapters.datasets.instruments import infer_instruments, read_instruments

    asked = (
        None if files.symbols == "all" else [symbol.strip() for symbol in files.symbols.split(",") if symbol.strip()]
    )
    candles = _candles(files, _interval(files.interval), asked)
    instruments = infer_instruments(candles)
    if files.instruments is not None:
        known = {instrument.symbol: instrument for instrument in read_instruments(files.instruments)}
        instruments = tuple(known.get(inferred.symbol, inferred) for inferred in instruments)
    settings = configuration.settings
    return BacktestInputs(
        candles=candles,
        funding=read_funding(files.funding, candles.symbols) if files.funding is not None else None,
        instruments=instruments,
        parser=configuration.parser,
        first_look=configuration.first,
        strategy=settings.strategy,
        strategy_deadline_ms=settings.strategy_deadline_ms,
        start_cash_usd=settings.paper_balance,
    )


def _candles(files: DataFiles, interval: Interval | None, symbols: list[str] | None) -> CandleSet:
    if files.from_store:
        from entrypoints.data.store_candles import read_stored_candles

        return read_stored_candles(Path(files.candles[0]), interval, symbols, fill_gaps=files.fill_gaps)
    from adapters.datasets.candle_files import read_candles

    return read_candles(files.candles, interval, symbols, fill_gaps=files.fill_gaps)


def run_backtest(inputs: BacktestInputs, show: Progress) -> BacktestOutcome:
    """Run to the last candle. The collector of cycles is off meanwhile: a run makes none that last."""
    started = time.perf_counter()
    container = BacktestContainer(inputs=inputs)
    container.check_dependencies()
    gc.collect()
    gc.disable()
    try:
        backtest = container.backtest(on_progress=show)
        record = backtest.run(inputs.candles.batches(container.universe()))
    finally:
        gc.enable()
        worker = container.worker()
        if worker is not None:
            worker.close_sync()
    return BacktestOutcome(record, container.engine(), time.perf_counter() - started)


def expected_analyses(candles: CandleSet) -> int:
    """Every candle after a symbol's warm-up is analysed once."""
    return sum(max(0, len(window) - WARMUP_CANDLES) for window in candles.windows)


def summary_of(outcome: BacktestOutcome, inputs: BacktestInputs, seed: int, wall_s: float) -> dict[str, object]:
    """The figures of a run as one JSON-able object; money is exact.

    `wall_s` counts from the command's start, `run_s` and `bars_per_s` from the first indicator to
    the last decision: all that is left out is reading files.
    """
    record, portfolio = outcome.record, outcome.engine.portfolio
    final = record.equity[-1][1] if record.equity else record.start_equity_usd
    return {
        "symbols": len(inputs.candles.symbols),
        "interval": inputs.candles.interval.value,
        "bars": record.bars,
        "warmup_bars": WARMUP_CANDLES,
        "analyses": record.analyses,
        "expected_analyses": expected_analyses(inputs.candles),
        "signals": record.signals,
        "intents": len(record.intents),
        "fills": len(record.fills),
        "trades": len(record.trades),
        "open_positions": len(portfolio.positions),
        "pnl": portfolio.realised_usd,
        "fees": portfolio.fees_usd,
        "funding": portfolio.funding_usd,
        "unrealised": final
        - record.start_equity_usd
        - portfolio.realised_usd
        + portfolio.fees_usd
        - portfolio.funding_usd,
        "max_drawdown_pct": round(max_drawdown_pct(record.equity, record.start_equity_usd), 6),
        "start_equity": record.start_equity_usd,
        "final_equity": final,
        "filled_gaps": sum(inputs.candles.filled.values()),
        "strategy": inputs.strategy,
        "config_digest": outcome.engine.book.digest,
        "seed": seed,
        "digest": record.digest,
        "wall_s": round(wall_s, 3),
        "run_s": round(outcome.run_s, 3),
        "bars_per_s": round(record.bars / outcome.run_s),
    }


def print_summary(summary: dict[str, object], outcome: BacktestOutcome) -> None:
    """The figures of a run for people."""
    record = outcome.record
    wins = sum(net_of(closed.trade) > 0 for closed in record.trades)
    share = f", {wins / len(record.trades):.0%} won" if record.trades else ""
    span = f"{utc(record.equity[0][0])} to {utc(record.equity[-1][0])}" if record.equity else "no candles"
    print(f"{summary['symbols']} symbols, {summary['bars']:,} candles of {summary['interval']}, {span}")
    orders = f"{len(record.intents):,} intents, {len(record.fills):,} fills"
    print(f"{record.analyses:,} analyses, {record.signals:,} signals, {orders}")
    print(f"{len(record.trades):,} trades closed{share}, {summary['open_positions']} positions open")
    for name in ("pnl", "fees", "funding", "unrealised", "start_equity", "final_equity"):
        amount = summary[name]
        assert isinstance(amount, Decimal), "money is decimal"
        print(f"  {name.replace('_', ' '):<14}{usd(amount):>14} USD")
    print(f"  {'max drawdown':<14}{summary['max_drawdown_pct']:>14.2f} %")
    reasons = Counter(closed.trade.exit_reason for closed in record.trades)
    if reasons:
        print("exits: " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()))
    print(f"digest {record.digest}")
    print(f"{summary['bars_per_s']:,} candles/s; {summary['wall_s']} s in all, reading included")


def write_html(
    path: Path,
    outcome: BacktestOutcome,
    inputs: BacktestInputs,
    files: DataFiles,
    configuration: Configuration,
) -> None:
    """Write the report of a run as one self-contained page."""
    from entrypoints.report.page import write_report
    from entrypoints.report.report_data import ReportHeader

    header = ReportHeader(
        title=f"Backtest of {inputs.strategy}",
        files=files.candles,
        symbols=files.symbols,
        seed=configuration.settings.seed,
        config_digest=outcome.engine.book.digest,
        overrides_path=None if configuration.first.is_absent else configuration.first.path,
        warnings=configuration.warnings,
        strategy=inputs.strategy,
        funding_path=files.funding,
        command=shlex.join(["./aiq", *sys.argv[1:]]),
    )
    write_report(path, outcome.record, inputs.candles, header)


def _interval(text: str | None) -> Interval | None:
    if text is None:
        return None
    try:
        return Interval(text)
    except ValueError:
        allowed = ", ".join(interval.value for interval in Interval)
        problem = ConfigProblem(Place("--interval"), "", f"must be one of {allowed} (got '{text}')")
        raise ConfigError([problem]) from None
