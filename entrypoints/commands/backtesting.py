"""Run the daemon's engine over candles of the past."""

from __future__ import annotations

import time
from pathlib import Path

import click

from entrypoints.backtest_run import DataFiles, print_summary, read_inputs, run_backtest, summary_of, write_html
from entrypoints.configuration import read_configuration
from entrypoints.data.options import stored_file
from entrypoints.export import export_run
from entrypoints.output import print_json
from entrypoints.progress import progress


@click.command(name="backtesting")
@click.option(
    "--candles",
    "candle_paths",
    multiple=True,
    metavar="PATH",
    help="Candles: Parquet or CSV (symbol,t,o,h,l,c,v) or candleSnapshot JSON, plain or gz; "
    "SYMBOL=PATH where the file does not name its symbol. Repeat, or list more after it.",
)
@click.argument("more_candles", nargs=-1, metavar="[PATH]...")
@click.option(
    "--from-store",
    is_flag=True,
    help="Instead of --candles: what ./aiq download-data and the daemon have stored of the configured network.",
)
@click.option(
    "--funding",
    "funding_path",
    metavar="PATH",
    help="Realised hourly funding: Parquet or CSV (symbol,t,rate) or fundingHistory JSON.",
)
@click.option(
    "--instruments",
    "instruments_path",
    metavar="PATH",
    help="The venue's meta answer (JSON): true size steps and leverage. Without it they are inferred from prices.",
)
@click.option("--interval", metavar="INTERVAL", help="What the data must be, such as 1h. The data say it themselves.")
@click.option("--symbols", default="all", show_default=True, metavar="A,B|all", help="Case-sensitive, comma-separated.")
@click.option("--overrides", metavar="FILE", help="Strategy overrides instead of the configured file.")
@click.option("--strategy", metavar="NAME|module:function", help="Instead of the configured strategy.")
@click.option("--balance", type=str, metavar="USD", help="Starting cash instead of the configured one.")
@click.option(
    "--seed",
    type=int,
    help="Seed of whatever is left to chance. A backtest on candles leaves nothing: kept in the report.",
)
@click.option(
    "--fill-gaps", is_flag=True, help="Put no-trade candles where some are missing, instead of refusing the data."
)
@click.option("--report", "report_path", metavar="FILE", help="Write a self-contained HTML report.")
@click.option("--export", "export_dir", metavar="DIR", help="Write fills, funding, trades, intents and equity as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    candle_paths: tuple[str, ...],
    more_candles: tuple[str, ...],
    from_store: bool,
    funding_path: str | None,
    instruments_path: str | None,
    interval: str | None,
    symbols: str,
    overrides: str | None,
    strategy: str | None,
    balance: str | None,
    seed: int | None,
    fill_gaps: bool,
    report_path: str | None,
    export_dir: str | None,
    as_json: bool,
) -> None:
    """Run the daemon's engine over candles of the past.

    Decided at a candle's close, filled at the next one's open; inside a candle the stop comes
    before the target. Results are what they are: nothing is tuned on the data.
    """
    started = time.perf_counter()
    paths = _paths((*candle_paths, *more_candles), from_store=from_store)
    configuration = read_configuration(
        {
            "AI_QUANT_MODE": "paper",
            "AI_QUANT_NETWORK": "local",
            "AI_QUANT_STRATEGY_YAML": overrides,
            "AI_QUANT_STRATEGY": strategy,
            "AI_QUANT_PAPER_BALANCE": balance,
            "AI_QUANT_SEED": None if seed is None else str(seed),
        }
    )
    files = DataFiles(paths, funding_path, instruments_path, interval, symbols, fill_gaps, from_store)
    inputs = read_inputs(configuration, files)
    with progress("backtesting", inputs.candles.bars, quiet=as_json) as show:
        outcome = run_backtest(inputs, show)
    summary = summary_of(outcome, inputs, configuration.settings.seed, time.perf_counter() - started)
    if export_dir is not None:
        export_run(Path(export_dir), outcome.record)
    if report_path is not None:
        write_html(Path(report_path), outcome, inputs, files, configuration)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary, outcome)
        for what, where in (("report", report_path), ("export", export_dir)):
            if where is not None:
                print(f"{what}: {where}")


def _paths(candles: tuple[str, ...], *, from_store: bool) -> tuple[str, ...]:
    """The files to read; the store's is that of the network that is configured, which the run itself does not ask."""
    if bool(candles) == from_store:
        raise click.UsageError("say which candles: --candles PATH or --from-store, one of the two")
    if not from_store:
        return candles
    return (str(stored_file(read_configuration(tell=lambda _: None).settings)),)
