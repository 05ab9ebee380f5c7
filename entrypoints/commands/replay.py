"""A recorded session once more: exactly as it was, or with another config."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from application.replay import Replayed, Stop
from application.what_if import Simulated
from application.what_if_change import change_between
from entrypoints.configuration import read_configuration
from entrypoints.exit_codes import ExitCode
from entrypoints.output import print_json, say, utc
from entrypoints.sessions.choose import SESSION_HELP, choose_session
from entrypoints.sessions.difference import difference_json, difference_lines
from entrypoints.sessions.ledger_export import export_ledger
from entrypoints.sessions.opened import OpenedSession, pacer
from entrypoints.sessions.rebuild import replay_of
from entrypoints.sessions.simulated import funding_rates, read_overrides, simulate_session
from entrypoints.sessions.what_if_report import change_json, change_lines, simulated_json, simulated_lines

_SEQ_DIGITS = 11
"""A number with more digits is a time."""


@click.command(name="replay", epilog=SESSION_HELP)
@click.argument("session")
@click.option("--verify", is_flag=True, help="Stop at the first decision that differs, show both sides; exit 1.")
@click.option("--until", metavar="SEQ|TIME", help="Stop after this event, or before this time (UTC, or epoch ms).")
@click.option(
    "--what-if",
    "what_if",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Simulate twice, as recorded and with these overrides, and show what changes.",
)
@click.option("--strategy", metavar="NAME", help="Simulate with this strategy: mei_alpha_v1, or module:function.")
@click.option(
    "--export-ledger", type=click.Path(path_type=Path), metavar="FILE", help="Write the ledger that it led to."
)
@click.option("--speed", default="max", show_default=True, metavar="1x|max", help="1x: as slow as it was; 60x: …")
@click.option("--salvage", is_flag=True, help="Of a damaged session, replay what stands before the damage.")
@click.option("--ignore-hashes", is_flag=True, help="Replay a session whose records were edited on purpose.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    session: str,
    verify: bool,
    until: str | None,
    what_if: Path | None,
    strategy: str | None,
    export_ledger: Path | None,
    speed: str,
    salvage: bool,
    ignore_hashes: bool,
    as_json: bool,
) -> None:
    """Replay a recorded session through the engine.

    Every event comes in the recorded order at its recorded time, and what the engine decides is compared with what it
    decided then. An imported session, and any with --what-if or --strategy, runs against the simulated exchange.
    """
    if verify and (what_if is not None or strategy is not None):
        raise click.UsageError("--verify compares with what was recorded; --what-if and --strategy change it")
    path = choose_session(session, read_configuration().settings.sessions_dir)
    opened = OpenedSession(path, salvage=salvage, check_hashes=not ignore_hashes, quiet=as_json)
    imported = opened.manifest.origin == "import"
    if imported and (verify or export_ledger is not None):
        raise click.UsageError(
            f"{opened.manifest.session} is an imported market: nothing was decided when it was recorded; "
            "without --verify and --export-ledger it is traded on paper"
        )
    stop, wait = _stop(until), pacer(_speed(speed))
    if export_ledger is not None:
        _export(opened, export_ledger)
        return
    if what_if is not None or strategy is not None or imported:
        ctx.exit(_simulate(opened, what_if, strategy, stop, wait, as_json=as_json))
    began_s = time.perf_counter()
    replay = replay_of(opened.manifest)
    replay.stops_at_difference, replay.until, replay.on_event = verify, stop, wait
    result = replay.run(opened.entries())
    wall_s = time.perf_counter() - began_s
    if as_json:
        print_json(_replayed_json(opened, result, wall_s))
    else:
        _print_replayed(opened, result, wall_s)
    if result.difference is not None:
        ctx.exit(ExitCode.FAILED)
    ctx.exit(ExitCode.DATA if opened.reader.damage is not None else ExitCode.DONE)


def _export(opened: OpenedSession, out: Path) -> None:
    digest = export_ledger(opened.reader, out)
    print(f"{out}: the ledger of session {opened.manifest.session}, digest {digest}")


# ── exactly as it was ────────────────────────────────────────────────────────────────────────────


def _replayed_json(opened: OpenedSession, result: Replayed, wall_s: float) -> dict[str, Any]:
    return {
        "session": opened.manifest.session,
        "digest": result.digest,
        "ledger_digest": result.ledger_digest,
        "verified": result.difference is None,
        "events": result.events,
        "frames": result.frames,
        "decisions": result.decisions,
        "intents": result.intents,
        "fills": result.fills,
        "trades": result.trades,
        "first_ms": result.first_ms,
        "last_ms": result.last_ms,
        "last_seq": result.last_seq,
        "ended": result.ended,
        "differing_steps": result.differing_steps,
        "difference": None if result.difference is None else difference_json(result.difference),
        "problems": opened.problems,
        **_pace(result.events, result.last_ms - result.first_ms, wall_s),
    }


def _print_replayed(opened: OpenedSession, result: Replayed, wall_s: float) -> None:
    if result.difference is not None:
        print("\n".join(difference_lines(result.difference)))
        if result.differing_steps > 1:
            print(f"{result.differing_steps} steps differ in all")
    span = f"{utc(result.first_ms)} to {utc(result.last_ms)}"
    print(f"session {opened.manifest.session}, {span}, seq {result.last_seq}")
    print(
        f"{result.events:,} events of {result.frames:,} frames: {result.decisions:,} decisions, "
        f"{result.intents} intents, {result.fills} fills, {result.trades} trades"
    )
    pace = _pace(result.events, result.last_ms - result.first_ms, wall_s)
    print(f"{pace['wall_s']} s: {pace['events_per_s']:,} events/s, {pace['speedup']:,} times as fast as it happened")
    print(f"digest {result.digest}")
    print(f"ledger {result.ledger_digest}")
    for problem in opened.problems:
        say(problem)
    if result.unrecorded:
        say(f"what came of event {result.last_seq}, the last one, is not on record: the recording was cut off there")
    if result.difference is None:
        print("every decision and effect is as recorded")


def _pace(events: int, span_ms: int, wall_s: float) -> dict[str, Any]:
    return {
        "wall_s": round(wall_s, 3),
        "events_per_s": round(events / wall_s) if wall_s else 0,
        "speedup": round(span_ms / 1000 / wall_s, 1) if wall_s else 0,
    }


# ── otherwise than it was ────────────────────────────────────────────────────────────────────────


def _simulate(
    opened: OpenedSession, what_if: Path | None, strategy: str | None, stop: Stop, wait: Any, *, as_json: bool
) -> ExitCode:
    overrides = None if what_if is None else read_overrides(what_if)
    rates = funding_rates(opened)
    began_s = time.perf_counter()
    imported = opened.manifest.origin == "import"
    # Of somebody else's market there is nothing to compare another strategy with: it is the one that trades.
    base = strategy if imported and what_if is None else None
    before = simulate_session(opened, strategy=base, rates=rates, until=stop, on_event=wait, label="as recorded")
    compares = what_if is not None or (strategy is not None and not imported)
    after: Simulated | None = None
    if compares:
        after = simulate_session(
            opened, overrides=overrides, strategy=strategy, rates=rates, until=stop, on_event=wait, label="changed"
        )
    wall_s = time.perf_counter() - began_s
    runs = 1 if after is None else 2
    pace = _pace(before.events * runs, (before.last_ms - before.first_ms) * runs, wall_s)
    change = None if after is None else change_between(before, after)
    if as_json:
        found = {"session": opened.manifest.session, **simulated_json(before), **pace, "problems": opened.problems}
        if change is not None and after is not None:
            found |= {"changed": simulated_json(after), "change": change_json(change)}
        print_json(found)
    else:
        print("\n".join(simulated_lines("simulated as recorded", before)))
        if change is not None and after is not None:
            print("\n".join(simulated_lines("simulated as changed", after)))
            print("\n".join(change_lines(change)))
        print(
            f"{pace['wall_s']} s: {pace['events_per_s']:,} events/s, {pace['speedup']:,} times as fast as it happened"
        )
        print(f"digest {before.digest}")
        for problem in opened.problems:
            say(problem)
    return ExitCode.DATA if opened.reader.damage is not None else ExitCode.DONE


def _stop(text: str | None) -> Stop:
    if text is None:
        return Stop()
    if text.isdigit():
        return Stop(seq=int(text)) if len(text) < _SEQ_DIGITS else Stop(at_ms=int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"'{text}' is neither an event's number nor a time such as 2026-11-22T13:05", param_hint="--until"
        ) from None
    return Stop(at_ms=int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)x?", text)
    if found is None or float(found[1]) <= 0:
        raise click.BadParameter(f"'{text}' is neither max nor a multiple such as 1x or 60x", param_hint="--speed")
    return float(found[1])
