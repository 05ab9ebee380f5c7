"""Check the candle store: gaps, candles that cannot be, a hash to compare with another machine's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from adapters.hyperliquid.history import CANDLES_KEPT
from adapters.sqlite.candle_queries import coverage, stored_windows
from config.settings import Settings
from config.suggestions import did_you_mean
from config.variables import Network
from domain.candles import CandleWindow, Interval
from entrypoints.configuration import read_configuration
from entrypoints.data.check import NOT_ALIGNED, Checked, Difference, Repair, check, compare, digest_of_all, repairs
from entrypoints.data.options import Intervals, Names, stored_file
from entrypoints.data.spans import Span
from entrypoints.data.venue import candle_venue
from entrypoints.exit_codes import ExitCode
from entrypoints.output import print_json, print_table, say, utc
from entrypoints.progress import progress
from ports.candle_history import HistoryUnavailable
from ports.order_gateway import VenueUnavailable

SHOWN = 20
"""So many gaps, impossible candles and differences are shown to people; JSON has all."""


@click.command(name="verify-data")
@click.option("--symbols", type=Names(), help="Only these (case-sensitive).")
@click.option("--interval", "intervals", type=Intervals(), metavar="1m,1h", help="Only these.")
@click.option("--online", is_flag=True, help="Compare the newest 5,000 of each with the venue too. Changes nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    symbols: tuple[str, ...] | None,
    intervals: tuple[Interval, ...] | None,
    online: bool,
    as_json: bool,
) -> None:
    """Check the candle store: gaps, candles that cannot be, and a SHA-256 to compare with another machine's.

    Ends with 0 when all is well, with 8 when something is missing or damaged, and says what to do.
    """
    settings = read_configuration().settings
    path = stored_file(settings)
    look = _look(path, symbols, intervals, keep_newest=online, quiet=as_json)
    if online and look.found:
        asyncio.run(_compare(settings, look, quiet=as_json))
    todo = repairs(look.found, _now_ms(settings, look.found), CANDLES_KEPT - 1)
    if as_json:
        print_json(_as_json(path, look, todo))
    else:
        _print(path, look, todo)
    ctx.exit(ExitCode.DONE if look.is_well else ExitCode.DATA)


@dataclass(slots=True)
class _Look:
    """`absent`: what nothing is stored of although it was asked for. `newest`: what is compared with the venue."""

    found: list[Checked] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    newest: list[CandleWindow] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return bool(self.found) and not self.absent and all(each.is_well for each in self.found)


def _look(
    path: Path,
    symbols: tuple[str, ...] | None,
    intervals: tuple[Interval, ...] | None,
    *,
    keep_newest: bool,
    quiet: bool,
) -> _Look:
    look = _Look()
    stored = coverage(path, symbols, intervals)
    with progress("checking", sum(each.candles for each in stored), quiet=quiet) as show:
        done = 0
        for window in stored_windows(path, symbols, intervals):
            look.found.append(check(window))
            if keep_newest:
                look.newest.append(window.last(CANDLES_KEPT))
            done += len(window)
            show(done)
    pairs = {(each.symbol, each.interval) for each in look.found}
    known = sorted({each.symbol for each in look.found})
    for symbol in symbols or ():
        if symbol not in known:
            look.absent.append(f"nothing is stored of '{symbol}'{did_you_mean(symbol, _all_symbols(path))}")
    for interval in intervals or ():
        lacking = [symbol for symbol in known if (symbol, interval) not in pairs]
        if lacking and symbols is not None:
            look.absent.append(f"nothing is stored of {', '.join(lacking)} in {interval.value}")
        elif len(lacking) == len(known):
            look.absent.append(f"nothing is stored in {interval.value}")
    if not look.found and not look.absent:
        look.absent.append("nothing is stored")
    return look


def _all_symbols(path: Path) -> list[str]:
    return sorted({each.symbol for each in coverage(path)})


async def _compare(settings: Settings, look: _Look, *, quiet: bool) -> None:
    """Ask the venue about the newest candles. Raises `VenueUnavailable` where it does not answer."""
    symbols = sorted({each.symbol for each in look.found})
    async with candle_venue(settings, symbols) as venue:
        universe = await venue.all_of(symbols)
        history = await venue.history_of(universe)
        with progress("comparing", len(look.found), quiet=quiet) as show:
            for done, (checked, newest) in enumerate(zip(look.found, look.newest, strict=True), start=1):
                if checked.symbol in universe:
                    try:
                        await compare(checked, newest, history)
                    except HistoryUnavailable as error:
                        raise VenueUnavailable(f"{checked.symbol} {checked.interval.value}: {error}") from error
                else:
                    checked.note = "the venue does not have it any more: not compared"
                show(done)


def _now_ms(settings: Settings, found: Sequence[Checked]) -> int:
    """What time it is in the market; on one of ours, which is not running now, about when it stood still."""
    if settings.network is Network.LOCAL and settings.venue_url is None:
        return max((each.last_ms + each.interval.ms for each in found), default=0)
    return time.time_ns() // 1_000_000


# ── for scripts ──────────────────────────────────────────────────────────────────────────────────


def _as_json(path: Path, look: _Look, todo: Sequence[Repair]) -> dict[str, object]:
    return {
        "path": str(path),
        "ok": look.is_well,
        "sha256": digest_of_all(look.found),
        "absent": look.absent,
        "rows": [
            {
                "symbol": each.symbol,
                "interval": each.interval.value,
                "first_ms": each.first_ms,
                "last_ms": each.last_ms,
                "candles": each.candles,
                "missing": each.missing,
                "gaps": [
                    {
                        "first_ms": gap.first_ms,
                        "last_ms": gap.after_ms - each.interval.ms,
                        "candles": gap.candles(each.interval),
                    }
                    for gap in each.gaps
                ],
                "violations": [violation._asdict() for violation in each.violations],
                "sha256": each.sha256,
                "compared": each.compared,
                "differences": [difference._asdict() for difference in each.differences],
                "note": each.note,
            }
            for each in look.found
        ],
        "todo": [{"interval": each.interval.value, "command": each.command, "lost": each.lost} for each in todo],
    }


# ── for people ───────────────────────────────────────────────────────────────────────────────────


def _print(path: Path, look: _Look, todo: Sequence[Repair]) -> None:
    online = bool(look.newest)
    print_table([_as_row(each, online=online) for each in look.found], empty=f"no candle to check ({path})")
    _print_first("gap", [line for each in look.found for line in _gap_lines(each)])
    _print_first("impossible candle", [line for each in look.found for line in _violation_lines(each)])
    _print_first("difference", [line for each in look.found for line in _difference_lines(each)])
    for each in look.found:
        if each.note:
            print(f"{each.symbol} {each.interval.value}: {each.note}")
    if look.found:
        print(f"sha256 of all: {digest_of_all(look.found)}")
    for line in (*look.absent, *_advice(path, look, todo)):
        say(line)
    say("all is well" if look.is_well else "not all is well")


def _as_row(each: Checked, *, online: bool) -> dict[str, str]:
    row = {
        "symbol": each.symbol,
        "interval": each.interval.value,
        "from": utc(each.first_ms),
        "to": utc(each.last_ms),
        "candles": f"{each.candles:,}",
        "gaps": f"{len(each.gaps):,}",
        "missing": f"{each.missing:,}",
        "impossible": f"{len(each.violations):,}",
    }
    if online:
        compared = "-" if each.compared is None else f"{each.compared:,}"
        row |= {"compared": compared, "different": f"{len(each.differences):,}"}
    return row | {"sha256": each.sha256}


def _print_first(kind: str, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        print(f"{kind}: {line}")
    if len(lines) > SHOWN:
        print(f"… and {len(lines) - SHOWN:,} more ({kind}); --json has all")


def _gap_lines(each: Checked) -> list[str]:
    return [_gap_line(each, gap) for gap in each.gaps]


def _gap_line(each: Checked, gap: Span) -> str:
    count = gap.candles(each.interval)
    span = f"from {utc(gap.first_ms)} to {utc(gap.after_ms - each.interval.ms)}"
    return f"{each.symbol} {each.interval.value} {span}, {count:,} candle{'s' if count > 1 else ''}"


def _violation_lines(each: Checked) -> list[str]:
    return [f"{each.symbol} {each.interval.value} at {utc(at)} ({at}): {why}" for at, why in each.violations]


def _difference_lines(each: Checked) -> list[str]:
    return [_difference_line(each, difference) for difference in each.differences]


def _difference_line(each: Checked, difference: Difference) -> str:
    name = f"{each.symbol} {each.interval.value} at {utc(difference.open_ms)}"
    if difference.venue is None:
        return f"{name}: the venue has no such candle"
    pairs = zip("ohlcv", difference.stored, difference.venue, strict=True)
    return f"{name}: " + ", ".join(
        f"{letter} {ours!r}, venue {theirs!r}" for letter, ours, theirs in pairs if ours != theirs
    )


def _advice(path: Path, look: _Look, todo: Sequence[Repair]) -> list[str]:
    lines = [f"to repair: {each.command}" for each in todo if each.command]
    for each in todo:
        if each.lost:
            what = f"{each.lost:,} missing candles of {each.interval.value}"
            lines.append(f"{what} are older than the {CANDLES_KEPT:,} that the venue keeps: they cannot be fetched")
    if any(violation.why == NOT_ALIGNED for each in look.found for violation in each.violations):
        lines.append(f"candles off the grid cannot be repaired: move {path} away and download again")
    if look.absent:
        lines.append("to fetch what is not there: ./aiq download-data --symbols … --interval … --days …")
    return lines
