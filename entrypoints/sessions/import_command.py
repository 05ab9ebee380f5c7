"""`./aiq sessions import`: recordings of others become sessions."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.datasets.candle_files import read_candles
from adapters.datasets.instruments import infer_instruments as instruments_of_candles
from adapters.datasets.instruments import read_instruments
from adapters.recordings.candle_sets import candle_recording
from adapters.recordings.recording import Recording, infer_instruments, read_recording
from domain.candles import Interval
from domain.instruments import Instrument
from entrypoints.configuration import read_configuration
from entrypoints.output import print_json, say, utc
from entrypoints.progress import progress
from entrypoints.sessions.importing import Imported, import_session


@click.command(name="import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The session's folder.")
@click.option("--candles", is_flag=True, help="The files are candles, as a backtest takes them.")
@click.option("--interval", type=click.Choice([each.value for each in Interval]), default="1m", show_default=True)
@click.option("--warm-up", type=click.IntRange(0, 5000), metavar="N", help="Candles to warm up with, from the front.")
@click.option("--strategy", metavar="NAME", help="The strategy that trades it: mei_alpha_v1, or module:function.")
@click.option("--instruments", metavar="FILE", help="The venue's meta; else sizes are guessed from the recording.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    files: tuple[str, ...],
    out: Path,
    candles: bool,
    interval: str,
    warm_up: int | None,
    strategy: str | None,
    instruments: str | None,
    as_json: bool,
) -> None:
    """Make a session of market data that somebody else recorded; `./aiq replay DIR` then trades it on paper.

    FILE is raw frames (JSON lines with a receive time, or lines of `<ns> <frame>`) or a CSV of ticks, plain, gz or zst;
    several are merged by time. Quotes and candles that were not recorded are made from books and trades. The
    first candles warm the engine up: a quarter of the recording, unless --warm-up says how many.
    """
    configuration = read_configuration()
    chosen = Interval(interval)
    recording, guessed = _recorded(files, chosen, candles=candles)
    known = {} if instruments is None else {each.symbol: each for each in read_instruments(instruments)}
    rules = [known.get(each.symbol, each) for each in guessed]
    total = sum(recording.counts.values())
    with progress("importing", total, quiet=as_json or total < 50_000) as show:
        done = import_session(
            recording,
            rules,
            configuration,
            out.expanduser(),
            interval=chosen,
            strategy=strategy or configuration.settings.strategy,
            warmup_candles=warm_up,
            show=show,
        )
    for notice in (*recording.skipped, *recording.mended):
        say(str(notice))
    if as_json:
        print_json(_as_json(recording, done))
    else:
        _print(recording, done)


def _recorded(files: tuple[str, ...], interval: Interval, *, candles: bool) -> tuple[Recording, tuple[Instrument, ...]]:
    if candles:
        found = read_candles(files, interval, None, fill_gaps=True)
        rules = instruments_of_candles(found)
        return candle_recording(found, rules), rules
    recording = read_recording(files, candle_interval=interval)
    return recording, infer_instruments(recording)


def _as_json(recording: Recording, done: Imported) -> dict[str, object]:
    return {
        "session": str(done.folder),
        "symbols": list(done.symbols),
        "frames": done.frames,
        "recorded": dict(recording.counts),
        "derived": {channel: list(coins) for channel, coins in recording.derived.items()},
        "events": done.events,
        "first_ms": recording.first_ms,
        "last_ms": recording.last_ms,
        "begins_ms": done.begins_ms,
        "warmup_candles": done.warmup_candles,
        "skipped_lines": recording.skipped_lines,
    }


def _print(recording: Recording, done: Imported) -> None:
    channels = ", ".join(f"{count:,} {channel}" for channel, count in recording.counts.items())
    print(f"{done.folder}: {utc(recording.first_ms)} to {utc(recording.last_ms)}, {len(done.symbols)} symbols")
    print(f"  recorded: {channels}")
    for channel, coins in recording.derived.items():
        print(f"  made from what was recorded: {channel} of {len(coins)} symbols")
    if done.begins_ms > recording.last_ms:
        print("  it is too short for a closed candle after its warm-up: nothing will be decided on it")
    else:
        print(f"  {done.warmup_candles} candles warm up; decisions begin at {utc(done.begins_ms)}")
    print(f"next: ./aiq replay {done.folder}")
