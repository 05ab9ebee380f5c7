"""Fetch closed candles from the venue into the candle store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import click

from adapters.hyperliquid.budget import PER_MINUTE, RESERVE
from adapters.hyperliquid.history import CANDLES_KEPT, candles_weight
from adapters.sqlite.candle_store import SqliteCandleStore
from config.settings import Settings
from domain.candles import Interval
from entrypoints.configuration import read_configuration
from entrypoints.data.download import DAY_MS, CandleDownload, Fetched, Pair
from entrypoints.data.options import Intervals, Names
from entrypoints.data.venue import CandleVenue, candle_venue, refuse_unknown_local
from entrypoints.exit_codes import ExitCode
from entrypoints.output import print_json, print_table, say, utc
from entrypoints.progress import progress

_BULK_WEIGHT = PER_MINUTE - RESERVE
"""What a minute lets through of questions such as these."""


@click.command(name="download-data")
@click.option("--symbols", type=Names(), help="Case-sensitive, comma-separated.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="The N symbols traded most in the last 24 hours.")
@click.option(
    "--interval", "intervals", type=Intervals(), metavar="1m,1h", help="One or more.  [default: AI_QUANT_INTERVAL]"
)
@click.option(
    "--days",
    type=click.FloatRange(0, 10_000, min_open=True),
    required=True,
    metavar="N",
    help="How far back, as far as the venue goes.",
)
@click.option("--again", is_flag=True, help="Ask also for what is stored as confirmed: repairs it where it differs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    symbols: tuple[str, ...] | None,
    top: int | None,
    intervals: tuple[Interval, ...] | None,
    days: float,
    again: bool,
    as_json: bool,
) -> None:
    """Fetch closed candles from the venue into the candle store, as confirmed.

    Only what is not stored as confirmed yet, so that it may be called again at any time, also while a daemon runs.
    The venue keeps the newest 5,000 candles of each interval. Ctrl-C keeps what has come.
    """
    if (symbols is None) == (top is None):
        raise click.UsageError("say which symbols: --symbols BTC,ETH or --top 20, one of the two")
    settings = read_configuration().settings
    job = _Job(settings, symbols or (), top or 0, intervals or (settings.interval,), days, again=again)
    started = time.monotonic()
    try:
        asyncio.run(job.run(quiet=as_json))
    except KeyboardInterrupt:
        job.interrupted = True
        if job.download is None:
            raise
    seconds = time.monotonic() - started
    if as_json:
        print_json(job.as_json(seconds))
    else:
        _print(job, seconds)
    ctx.exit(job.exit_code)


@dataclass(slots=True)
class _Job:
    settings: Settings
    symbols: tuple[str, ...]
    top: int
    intervals: tuple[Interval, ...]
    days: float
    again: bool
    pairs: Sequence[Pair] = ()
    venue: CandleVenue | None = None
    download: CandleDownload | None = None
    """None until the first candle may be asked for."""
    interrupted: bool = False

    async def run(self, *, quiet: bool) -> None:
        refuse_unknown_local(self.settings, self.symbols)
        async with candle_venue(self.settings, self.symbols, self.top) as venue:
            self.venue = venue
            universe = await (venue.traded_most(self.top) if self.top else venue.named(self.symbols))
            history = await venue.history_of(universe)
            path = self.settings.market_db_path
            with closing(SqliteCandleStore(path, ())) as store:
                self.pairs = [(symbol, interval) for interval in self.intervals for symbol in universe.symbols]
                download = CandleDownload(history, store, path, venue.now_ms, self.days, again=self.again)
                self.download = download
                if not quiet and not venue.is_ours:
                    self._announce()
                with progress("downloading", len(self.pairs), quiet=quiet) as show:
                    await download.run(self.pairs, show)

    @property
    def results(self) -> list[Fetched]:
        return [] if self.download is None else self.download.results

    @property
    def weight(self) -> int:
        return 0 if self.venue is None else self.venue.budget.spent

    @property
    def exit_code(self) -> ExitCode:
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.VENUE if any(each.problem for each in self.results) else ExitCode.DONE

    def _announce(self) -> None:
        """How long it may take, where that is long."""
        weights = [
            candles_weight(min(int(self.days * DAY_MS // interval.ms), CANDLES_KEPT)) for _, interval in self.pairs
        ]
        minutes = -(-sum(weights) // _BULK_WEIGHT) - 1
        if minutes > 0:
            say(f"a weight of up to {sum(weights):,}, at {_BULK_WEIGHT} a minute: up to {minutes} minutes")

    def as_json(self, seconds: float) -> dict[str, object]:
        return {
            "network": self.settings.network.value,
            "path": str(self.settings.market_db_path),
            "interrupted": self.interrupted,
            "not_asked": len(self.pairs) - len(self.results),
            "new": sum(each.new for each in self.results),
            "known": sum(each.known for each in self.results),
            "revised": sum(each.revised for each in self.results),
            "weight": self.weight,
            "seconds": round(seconds, 3),
            "rows": [
                {
                    "symbol": each.symbol,
                    "interval": each.interval.value,
                    "wanted_ms": each.wanted_ms,
                    "from_ms": each.from_ms,
                    "after_ms": each.after_ms,
                    "begins_ms": each.begins_ms,
                    "new": each.new,
                    "known": each.known,
                    "revised": each.revised,
                    "whole": each.is_whole,
                    "problem": each.problem,
                }
                for each in self.results
            ],
        }


def _print(job: _Job, seconds: float) -> None:
    print_table([_as_row(each) for each in job.results], empty="nothing was asked for")
    for line in _notes(job):
        print(line)
    new, known, revised = (sum(getattr(each, name) for each in job.results) for name in ("new", "known", "revised"))
    print(
        f"{new:,} new candles, {revised:,} revised, {known:,} known before; weight {job.weight:,} in {seconds:.1f} s; "
        f"in {job.settings.market_db_path}"
    )
    if job.interrupted:
        say("interrupted: what has come is stored, the same command goes on from there")


def _as_row(each: Fetched) -> dict[str, str]:
    is_empty = not each.new + each.known + each.revised
    begins_ms = max(each.from_ms, each.begins_ms or 0)
    return {
        "symbol": each.symbol,
        "interval": each.interval.value,
        "from": "-" if is_empty else utc(begins_ms),
        "to": "-" if is_empty else utc(each.after_ms - each.interval.ms),
        "new": f"{each.new:,}",
        "known": f"{each.known:,}",
        "revised": f"{each.revised:,}",
    }


def _notes(job: _Job) -> list[str]:
    """How far back it went where that is not as far as was asked, and what the venue did not say."""
    notes = []
    for interval in job.intervals:
        cut = [each for each in job.results if each.interval is interval and each.is_cut]
        if cut:
            wanted, begins = utc(cut[0].wanted_ms), utc(cut[0].from_ms)
            kept = f"the venue keeps the newest {CANDLES_KEPT:,} candles"
            notes.append(f"{interval.value}: {kept}: from {begins}, not from {wanted}")
    for each in job.results:
        name = f"{each.symbol} {each.interval.value}"
        if each.begins_ms is not None:
            notes.append(f"{name}: the venue has nothing before {utc(each.begins_ms)}")
        if each.problem:
            notes.append(f"{name}: not all could be fetched: {each.problem}")
        elif not each.is_whole:
            notes.append(f"{name}: broken off")
        elif not each.new + each.known + each.revised:
            notes.append(f"{name}: the venue has no candle")
    left = len(job.pairs) - len(job.results)
    if left:
        notes.append(f"{left} of {len(job.pairs)} were not asked for")
    return notes
