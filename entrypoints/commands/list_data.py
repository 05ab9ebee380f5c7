"""What the candle store holds."""

from __future__ import annotations

from dataclasses import asdict

import click

from adapters.sqlite.candle_queries import Coverage, coverage
from config.suggestions import did_you_mean
from domain.candles import Interval
from entrypoints.configuration import read_configuration
from entrypoints.data.options import Intervals, Names, stored_file
from entrypoints.output import print_json, print_table, say, utc


@click.command(name="list-data")
@click.option("--symbols", type=Names(), help="Only these (case-sensitive).")
@click.option("--interval", "intervals", type=Intervals(), metavar="1m,1h", help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def command(symbols: tuple[str, ...] | None, intervals: tuple[Interval, ...] | None, as_json: bool) -> None:
    """Stored candles by symbol and interval: since when, how many, how many confirmed, what is missing."""
    path = stored_file(read_configuration().settings)
    everything = coverage(path, None, intervals)
    found = [each for each in everything if symbols is None or each.symbol in symbols]
    known = {each.symbol for each in everything}
    for symbol in symbols or ():
        if symbol not in known:
            say(f"nothing is stored of '{symbol}'{did_you_mean(symbol, sorted(known))}")
    if as_json:
        print_json([{**asdict(each), "interval": each.interval.value} for each in found])
        return
    print_table([_as_row(each) for each in found], empty=f"no candle is stored ({path})")
    if found:
        print(f"{sum(each.candles for each in found):,} candles, {path.stat().st_size / 1024**2:,.1f} MiB in {path}")


def _as_row(each: Coverage) -> dict[str, str]:
    return {
        "symbol": each.symbol,
        "interval": each.interval.value,
        "from": utc(each.first_ms),
        "to": utc(each.last_ms),
        "candles": f"{each.candles:,}",
        "confirmed %": f"{_floored(each):.1f}",
        "gaps": f"{each.gaps:,}",
        "missing": f"{each.missing:,}",
        "revisions": f"{each.revisions:,}",
    }


def _floored(each: Coverage) -> float:
    """Percent, rounded down: 100.0 means all of them."""
    return each.confirmed * 1000 // each.candles / 10
