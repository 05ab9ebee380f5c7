"""The ledger's file: is it sound?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from adapters.sqlite.ledger_check import Checked, Tell, check_ledger
from config.variables import Mode, Network
from entrypoints.configuration import read_configuration
from entrypoints.exit_codes import ExitCode
from entrypoints.output import print_json, say
from entrypoints.progress import Progress, progress

LARGE = 20_000
"""Events from which on progress is shown: fewer take a second or two."""


@click.group(name="db")
def command() -> None:
    """Look after the ledger's file."""


@command.command(name="check")
@click.option("--db", metavar="FILE", help="A ledger other than the configured one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(ctx: click.Context, db: str | None, as_json: bool) -> None:
    """Check a ledger: the file, the chain of hashes, every table against the facts, and what must hold between them.

    Read-only; a daemon may be running. Ends with 0 if it is sound and with 8 if it is not: then every problem is one
    line that says what to do.
    """
    path = Path(db) if db is not None else read_configuration().settings.db_path
    began = time.monotonic()
    with _telling() as tell:
        checked = check_ledger(path, _now_ms, tell)
    took_s = time.monotonic() - began
    if as_json:
        print_json(_as_json(path, checked, took_s))
    else:
        _print(path, checked, took_s)
    ctx.exit(ExitCode.DATA if checked.problems else ExitCode.DONE)


def _now_ms(mode: str, network: str) -> int | None:
    """What no time of the ledger may be far ahead of; a market of our own has a time of its own."""
    return None if mode == Mode.PAPER.value or network == Network.LOCAL.value else time.time_ns() // 1_000_000


@contextmanager
def _telling() -> Iterator[Tell]:
    """Progress on standard error, one bar for each long piece of work."""
    with ExitStack() as stack:
        shown: dict[str, Progress] = {}

        def tell(what: str, done: int, total: int) -> None:
            if total < LARGE:
                return
            if what not in shown:
                stack.close()
                shown[what] = stack.enter_context(progress(what, total))
            shown[what](done)

        yield tell


def _as_json(path: Path, checked: Checked, took_s: float) -> dict[str, object]:
    return {
        "path": str(path),
        "sound": not checked.problems,
        "mode": checked.identity.mode,
        "network": checked.identity.network,
        "account": checked.identity.account,
        "events": checked.events,
        "rows": checked.rows,
        "problems": checked.problems,
        "notes": checked.notes,
        "facts_per_s": round(checked.facts_per_s),
        "took_s": round(took_s, 3),
    }


def _print(path: Path, checked: Checked, took_s: float) -> None:
    for problem in checked.problems:
        print(problem)
    for note in checked.notes:
        print(f"note: {note}")
    rows = ", ".join(f"{count:,} {name}" for name, count in checked.rows.items() if count)
    print(f"{path}: {checked.identity}; {checked.events:,} events: {rows or 'no rows'}")
    verdict = f"{len(checked.problems)} problems" if checked.problems else "sound"
    print(f"{verdict}; {took_s:.1f} s, {checked.facts_per_s:,.0f} facts/s rebuilt")
    if checked.problems:
        say("the ledger is not sound: do not start a daemon on it before it is put right")
