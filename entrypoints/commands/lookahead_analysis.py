"""Check a strategy for knowing the future."""

from __future__ import annotations

import click

from adapters.datasets.candle_files import read_candles
from adapters.strategies.lookahead import LookaheadReport, Verdict, find_lookahead
from adapters.strategies.probes import analyze_probe, mei_probe
from adapters.strategies.user_strategy import load_user_strategy
from entrypoints.configuration import read_configuration
from entrypoints.exit_codes import ExitCode
from entrypoints.output import print_json, utc
from entrypoints.strategies import MEI_ALPHA_V1
from ports.strategy import WARMUP_CANDLES


@click.command(name="lookahead-analysis")
@click.option(
    "--candles", "candle_paths", multiple=True, required=True, metavar="PATH", help="Candles, as for backtesting."
)
@click.option("--strategy", metavar="NAME|module:function", help="Instead of the configured strategy.")
@click.option("--symbols", default="all", show_default=True, metavar="A,B|all")
@click.option("--bars", default=20, show_default=True, type=click.IntRange(1, 1000), help="Candles checked per symbol.")
@click.option(
    "--warmup",
    default=WARMUP_CANDLES,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Candles before the first check.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    candle_paths: tuple[str, ...],
    strategy: str | None,
    symbols: str,
    bars: int,
    warmup: int,
    as_json: bool,
) -> None:
    """Check a strategy for knowing the future.

    What it says about a candle must be the same when only the past is there and when later candles have come.
    Ends with status 1 when it looks ahead.
    """
    configuration = read_configuration({"AI_QUANT_STRATEGY": strategy})
    name = configuration.settings.strategy
    asked = None if symbols == "all" else [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    candles = read_candles(candle_paths, symbols=asked)
    if name == MEI_ALPHA_V1:
        probe = mei_probe(configuration.book, None)
    else:
        probe = analyze_probe(load_user_strategy(name), configuration.book, None)
    report = find_lookahead(probe, candles.windows, warmup=warmup, bars_per_window=bars)
    if as_json:
        print_json(
            {
                "strategy": name,
                "verdict": report.verdict.value,
                "checked_bars": report.checked_bars,
                "compared_columns": report.compared_columns,
                "biased_columns": report.biased_columns,
                "start_dependent_columns": report.start_dependent_columns,
                "differing_signals": [
                    {"symbol": each.symbol, "open_ms": each.open_ms, "alone": each.alone, "later": each.later}
                    for each in report.differing_signals
                ],
            }
        )
    else:
        _print(name, report)
    ctx.exit(ExitCode.DONE if report.verdict is Verdict.CLEAN else ExitCode.FAILED)


def _print(name: str, report: LookaheadReport) -> None:
    counts = f"{report.checked_bars} candles, {len(report.compared_columns)} columns compared"
    print(f"{name}: {report.verdict.value} ({counts})")
    for column in report.biased_columns:
        print(f"  column {column}: its value for a candle changes when later candles come")
    for each in report.differing_signals:
        print(f"  {each.symbol} {utc(each.open_ms)}: {each.alone} with the past alone, {each.later} later")
    for column in report.start_dependent_columns:
        print(f"  note: column {column} depends on where the history starts; give it more candles before its first use")
    if report.verdict is Verdict.NOTHING_TO_COMPARE:
        print("  too few candles after the warm-up to check anything: give longer histories, or a smaller --warmup")
