"""The ledger's file: is it sound? And copies of it, made while the daemon runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from adapters.sqlite.backup import back_up, check_file
from adapters.sqlite.file_kinds import CANDLES, DECISIONS, LEDGER, FileKind
from adapters.sqlite.ledger_check import Checked, Tell, check_ledger
from config.settings import Settings
from config.variables import Mode, Network
from entrypoints.configuration import read_configuration
from entrypoints.exit_codes import ExitCode
from entrypoints.output import print_json, say
from entrypoints.paths import decisions_path
from entrypoints.progress import Progress, progress
from ports.ledger import StorageError

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


@command.command(name="backup")
@click.option("--out", required=True, metavar="FILE", help="Where the ledger's copy goes; no file is ever replaced.")
@click.option("--all", "with_all", is_flag=True, help="Also the decision log and the candle store, named after FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backup(out: str, with_all: bool, as_json: bool) -> None:
    """Copy the ledger as of one moment; a daemon may be running. The copy is checked as `db check` does.

    Ends with 0 when every copy is sound and on the disk, and with 8 otherwise: then the one that failed is not there.
    """
    began = time.monotonic()
    target = Path(out).absolute()
    jobs = _jobs(read_configuration().settings, target, with_all)
    taken = [job for job in jobs if job.target.exists() or job.target.is_symlink()]
    if taken:
        raise StorageError(
            f"{taken[0].target}: there is a file already, and none is replaced. Name another with --out."
        )
    done = [_backed_up(job) for job in jobs]
    if as_json:
        print_json({"ok": True, "files": done, "took_s": round(time.monotonic() - began, 3)})
        return
    for file in done:
        print(f"{file['kind']}: {file['path']} ({file['bytes']:,} bytes, sound)")


@dataclass(frozen=True, slots=True)
class _Job:
    kind: FileKind
    source: Path
    target: Path
    check: Callable[[Path], None]


def _jobs(settings: Settings, target: Path, with_all: bool) -> list[_Job]:
    """What is copied, the ledger first. Of the other files those that are there."""
    stem = target.name.removesuffix(".sqlite")
    others = (
        (DECISIONS, decisions_path(settings), target.with_name(f"{stem}.decisions.sqlite")),
        (CANDLES, settings.market_db_path, target.with_name(f"{stem}.market.sqlite")),
    )
    jobs = [_Job(LEDGER, settings.db_path, target, _check_copy)]
    for kind, source, copy in others if with_all else ():
        if source.exists():
            jobs.append(_Job(kind, source, copy, partial(check_file, kind=kind)))
        else:
            say(f"note: {source}: there is no {kind.name} yet")
    return jobs


def _backed_up(job: _Job) -> dict[str, object]:
    with _telling() as tell:
        size = back_up(job.source, job.target, job.kind, job.check, partial(tell, f"copying the {job.kind.name}"))
    return {"kind": job.kind.name, "source": str(job.source), "path": str(job.target), "bytes": size}


def _check_copy(copy: Path) -> None:
    """A ledger that is not sound is no backup. Raises `StorageError` with what was found."""
    with _telling() as tell:
        problems = check_ledger(copy, _now_ms, tell).problems
    if problems:
        for problem in problems:
            say(problem)
        raise StorageError(
            f"{len(problems)} problems, so no backup was made: the ledger itself is not sound, see `./aiq db check`; "
            "stop the daemon and copy its file and what lies beside it (-wal) by hand"
        )


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
