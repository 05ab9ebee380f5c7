"""The last decisions on a symbol: every gate with its value and threshold."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from adapters.sqlite.decision_queries import DecisionRow, decisions_for, skipped_for
from domain.gating import GateResult
from entrypoints.configuration import read_configuration
from entrypoints.output import print_json, utc
from entrypoints.paths import decisions_path
from entrypoints.sessions.choose import choose_session
from entrypoints.sessions.decisions import replay_decisions
from entrypoints.sessions.opened import OpenedSession


@click.command(name="why")
@click.argument("symbol")
@click.option(
    "--at",
    "at",
    metavar="TIME",
    help="Decisions made at this time or before: 2026-11-22T13:05 (UTC) or epoch milliseconds.",
)
@click.option("--limit", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many, newest first.")
@click.option("--db", metavar="FILE", help="A decision log other than the configured one.")
@click.option("--session", metavar="SESSION", help="Replay this recorded session up to --at, and ask it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def command(symbol: str, at: str | None, limit: int, db: str | None, session: str | None, as_json: bool) -> None:
    """Why SYMBOL was traded, or not: the last decision with every gate's value and threshold.

    With --session the decisions are made again from what was recorded: whatever the log has forgotten, and what a
    changed version of this program would say.
    """
    if session is None:
        path = Path(db) if db is not None else decisions_path(read_configuration().settings)
        _answer(path, str(path), symbol, at, limit, as_json=as_json)
        return
    if db is not None:
        raise click.UsageError("--session makes its own decision log; --db names another")
    opened = OpenedSession(choose_session(session, read_configuration().settings.sessions_dir), quiet=as_json)
    with TemporaryDirectory(prefix="aiq-why-") as folder:
        path = Path(folder) / "decisions.sqlite"
        replay_decisions(opened, path, None if at is None else _time_ms(at))
        _answer(path, f"session {opened.manifest.session}", symbol, at, limit, as_json=as_json)


def _answer(path: Path, where: str, symbol: str, at: str | None, limit: int, *, as_json: bool) -> None:
    rows = decisions_for(path, symbol, None if at is None else _time_ms(at), limit)
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    if not rows:
        print(f"no decision on {symbol} is on record ({where}): names are case-sensitive, and warm-up comes first")
    for row in rows:
        _print(row)
    for skipped in skipped_for(path, symbol, None if at is None else _time_ms(at), limit):
        if not rows or skipped.at_ms >= rows[-1].at_ms:
            span = f"{utc(skipped.first_ms)} to {utc(skipped.last_ms)}"
            print(f"{symbol} {skipped.interval.value} candles of {span} were not analysed: {skipped.reason}")


def _time_ms(text: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"'{text}' is neither a time such as 2026-11-22T13:05 nor epoch milliseconds"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _as_json(row: DecisionRow) -> dict[str, object]:
    fields = asdict(row)
    fields |= {
        "interval": row.interval.value,
        "signal": row.signal.name,
        "confidence": row.confidence.name.lower(),
        "verdict": row.verdict.name,
        "strategy_gates": [gate._asdict() for gate in row.strategy_gates],
        "entry_gates": [gate._asdict() for gate in row.entry_gates],
    }
    return fields


def _print(row: DecisionRow) -> None:
    place = f"session {row.session}, seq {row.seq}"
    print(f"{row.symbol} {row.interval.value} candle of {utc(row.open_ms)}, decided {utc(row.at_ms)} ({place})")
    reason = "" if row.gate is None else f": {row.gate} said no"
    if row.gate_value is not None:
        reason += f" ({row.gate_value}, needs {row.gate_threshold})"
    print(f"  {row.signal.name} {row.confidence.name.lower()} -> {row.verdict.name}{reason}")
    btc = {True: "up", False: "down", None: "unknown"}[row.btc_bullish]
    breadth = "unknown" if row.breadth_pct is None else f"{row.breadth_pct:.0f} %"
    intent = f"; intent {row.intent_id}" if row.intent_id else ""
    print(f"  market: BTC {btc}, breadth {breadth}; config {row.config_digest[:12]}{intent}")
    for title, gates in (("strategy", row.strategy_gates), ("entry", row.entry_gates)):
        for gate in gates:
            answer = "ok " if gate.passed else "NO "
            print(f"    {title:<9}{answer} {gate.name:<26}{_shown(gate.value):>14}  {_needs(gate)}")
    if row.note:
        print(f"  note: {row.note}")


def _needs(gate: GateResult) -> str:
    return "" if gate.threshold is None or gate.threshold != gate.threshold else f"threshold {_shown(gate.threshold)}"


def _shown(value: float | str | None) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
