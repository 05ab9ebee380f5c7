"""`python -m tests.soak.run --hours 4`: a soak with progress lines, a report as JSON and a picture."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from pathlib import Path

import click

from entrypoints.exit_codes import ExitCode
from tests.soak.soak import Plan, Soak


@click.command()
@click.option("--hours", type=click.FloatRange(0.02, 1_000), default=1.0, show_default=True, help="Real hours.")
@click.option("--symbols", type=click.IntRange(2, 500), default=200, show_default=True)
@click.option("--scale", type=click.FloatRange(1, 3_600), default=60, show_default=True, help="Time-lapse.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of all files; a new one if none.")
def main(hours: float, symbols: int, scale: float, out: Path | None) -> None:
    """Run the daemon in paper mode on the local market in time-lapse, and report whether anything grows.

    Ctrl-C ends it early and reports what was seen. Exit codes: 0 all limits were kept, 1 not all, 130 interrupted.
    """
    folder = out.resolve() if out is not None else Path(tempfile.mkdtemp(prefix="aiq-soak-"))
    say(f"soak of {hours:g} h, {symbols} symbols, scale {scale:g}: {folder}")
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has told a background job to ignore Ctrl-C
        signal.signal(number, _interrupt)
    report = Soak(Plan(hours, symbols, scale, folder), say).run()
    print(json.dumps(report, indent=2))
    for failure in report["failures"]:
        say(f"FAILED: {failure}")
    if report["interrupted"]:
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.FAILED if report["failures"] else ExitCode.DONE)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
