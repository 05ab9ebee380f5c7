"""What durability costs: intents and fills into the ledger, beside a bare SQLite table on the same disk.

Both wait for the disk (WAL, synchronous=FULL) and take turns, so that a slow moment hits both. The bare table gets one
small row a commit and nothing else. The ledger chains every fact and keeps the tables that facts add up to; an intent
is a decision with its attempt, a fill goes through `LiveOms` first and is committed in batches as the supervisor does.
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from application.live_oms import LiveOms, Wish
from application.portfolio import Portfolio
from application.step import Step
from benchmarks._runs import Figures, main
from domain.candles import Interval
from domain.events import FillArrived
from domain.facts import CandlesSkipped, DecisionsRecorded, Fact, IntentRecorded, LedgerFact, LedgerState
from domain.fills import Fill
from domain.intents import Action, Side

GROUPS = (10, 100)
"""Intents in one commit, beside one alone."""
BATCH = 256
"""Events that the supervisor takes into one commit at most."""
SYMBOLS = 100
FILLS_PER_ORDER = 4
START_MS = 1_700_000_000_000
WHY = json.dumps({"signal": "BUY", "gates": [[f"gate_{number}", 0.5, 0.25, True] for number in range(20)]})

OPTIONS = (
    click.Option(["--commits"], type=click.IntRange(20), default=400, show_default=True, help="Of each size."),
    click.Option(["--fills"], type=click.IntRange(1_024), default=10_240, show_default=True),
    click.Option(["--folder"], metavar="DIR", help="Where files are made: must lie on a real disk (default: here)."),
)


def run(commits: int = 400, fills: int = 10_240, folder: str | None = None) -> Figures:
    """`ratio_…` is the ledger's rate over the bare table's one small insert per commit."""
    with TemporaryDirectory(prefix="bench-", dir=folder or Path.cwd()) as name:
        place = Path(name)
        figures: Figures = {"commits": commits, "fills": fills}
        figures |= _one_by_one(place / "single", commits)
        for size in GROUPS:
            figures |= _grouped(place / f"grouped-{size}", commits, size)
        figures |= _ingested(place / "fills", fills)
        bare = figures["bare_inserts_per_s"]
        for rate in ("intents_per_s", *(f"intents_per_s_in_{size}" for size in GROUPS), "fills_per_s"):
            figures[f"ratio_{rate.removesuffix('_per_s').replace('_per_s', '')}"] = round(figures[rate] / bare, 3)
        return figures


# ── intents ──────────────────────────────────────────────────────────────────────────────────────


def _one_by_one(folder: Path, commits: int) -> Figures:
    """One intent a commit, as a live decision is written; the bare table by turns."""
    intents = _intents(commits)
    with closing(_ledger(folder)) as ledger, closing(_bare_table(folder / "bare.sqlite")) as bare:
        ours_s, bare_s = [], []
        for number, fact in enumerate(intents):
            ours_s.append(_seconds(partial(ledger.commit, [fact])))
            bare_s.append(_seconds(partial(_bare_insert, bare, number)))
    return {
        "intents_per_s": round(commits / sum(ours_s), 1),
        "intent_ms_p50": _percentile_ms(ours_s, 0.50),
        "intent_ms_p99": _percentile_ms(ours_s, 0.99),
        "bare_inserts_per_s": round(commits / sum(bare_s), 1),
        "bare_ms_p50": _percentile_ms(bare_s, 0.50),
        "bare_ms_p99": _percentile_ms(bare_s, 0.99),
        "ratio_ms_p50": round(_percentile_ms(ours_s, 0.50) / _percentile_ms(bare_s, 0.50), 2),
    }


def _grouped(folder: Path, commits: int, size: int) -> Figures:
    groups = max(commits // size, 20)
    intents = _intents(groups * size)
    with closing(_ledger(folder)) as ledger:
        spans = [range(start, start + size) for start in range(0, groups * size, size)]
        took_s = [_seconds(partial(ledger.commit, [intents[place] for place in span])) for span in spans]
    return {
        f"intents_per_s_in_{size}": round(groups * size / sum(took_s)),
        f"commit_of_{size}_ms_p50": _percentile_ms(took_s, 0.50),
        f"commit_of_{size}_ms_p99": _percentile_ms(took_s, 0.99),
    }


def _intents(count: int) -> list[LedgerFact]:
    oms = _oms()
    facts: list[LedgerFact] = []
    for number in range(count):
        step = Step(number, START_MS + number * 1_000)
        _place(oms, step, number)
        facts += [fact for fact in step.facts if isinstance(fact, IntentRecorded)]
    assert len(facts) == count, "every decision is new"
    return facts


# ── fills ────────────────────────────────────────────────────────────────────────────────────────


def _ingested(folder: Path, count: int) -> Figures:
    """Round trips in many symbols: each order fills in parts, each fill is booked and committed with its batch."""
    oms = _oms()
    with closing(_ledger(folder)) as ledger:
        fills = _orders_to_fill(oms, ledger, count)
        booked_s, committed_s = [], []
        for start, end in pairwise([*range(0, len(fills), BATCH), len(fills)]):
            began = time.perf_counter()
            facts: list[LedgerFact] = []
            for number, fill in enumerate(fills[start:end], start):
                step = Step(number, fill.time_ms)
                oms.on_fill(step, FillArrived(fill))
                facts += _of_ledger(step.facts)
            booked_s.append(time.perf_counter() - began)
            committed_s.append(_seconds(partial(ledger.commit, facts)))
    total_s = sum(booked_s) + sum(committed_s)
    return {
        "fills_per_s": round(len(fills) / total_s),
        "fill_booking_us": round(sum(booked_s) / len(fills) * 1e6, 1),
        f"commit_of_{BATCH}_fills_ms_p50": _percentile_ms(committed_s, 0.50),
        f"commit_of_{BATCH}_fills_ms_p99": _percentile_ms(committed_s, 0.99),
    }


def _orders_to_fill(oms: LiveOms, ledger: SqliteLedger, count: int) -> list[Fill]:
    """Orders are placed and written beforehand; their fills come in time order, symbol by symbol in turn."""
    fills: list[Fill] = []
    facts: list[LedgerFact] = []
    for number in range(count // FILLS_PER_ORDER):
        at_ms = START_MS + number * 1_000
        step = Step(number, at_ms)
        is_entry = number // SYMBOLS % 2 == 0
        cloid = _place(oms, step, number, Action.OPEN if is_entry else Action.CLOSE)
        facts += _of_ledger(step.facts)
        side = Side.BUY if is_entry else Side.SELL
        for part in range(FILLS_PER_ORDER):
            held = part if is_entry else FILLS_PER_ORDER - part
            fills.append(_fill(number, part, cloid, side, held))
    for start in range(0, len(facts), 512):
        ledger.commit(facts[start : start + 512])
    return fills


def _fill(number: int, part: int, cloid: str, side: Side, held: int) -> Fill:
    tid = number * FILLS_PER_ORDER + part
    return Fill(
        symbol=_symbol(number),
        side=side,
        price=Decimal("50000.25") + part,
        size=Decimal(1),
        time_ms=START_MS + number * 1_000 + 100 + part,
        tid=tid,
        oid=number,
        cloid=cloid,
        fee=Decimal("2.187510"),
        start_position=Decimal(held),
        hash=f"0x{tid:064x}",
    )


# ── pieces ───────────────────────────────────────────────────────────────────────────────────────


def _oms() -> LiveOms:
    oms = LiveOms("bench", "mei_alpha_v1", Interval.M1, Portfolio())
    oms.restore(LedgerState(instance_tag=b"\0\0"))
    return oms


def _symbol(number: int) -> str:
    return f"SYM{number % SYMBOLS}"


def _place(oms: LiveOms, step: Step, number: int, action: Action = Action.OPEN) -> str:
    is_entry = action is Action.OPEN
    wish = Wish(
        action=action,
        symbol=_symbol(number),
        side=Side.BUY if is_entry else Side.SELL,
        size=Decimal(FILLS_PER_ORDER),
        limit_price=Decimal("50010.5"),
        open_ms=START_MS + number * 60_000,
        leverage=Decimal(3),
        reason="buy_high",
        why=WHY,
        config_digest="0123456789abcdef",
        deadline_ms=step.at_ms + 6_000 if is_entry else None,
    )
    intent = oms.place(step, wish)
    assert intent is not None, "every decision is new"
    return oms.live_orders(wish.symbol)[-1].order.request.cloid


def _of_ledger(facts: Sequence[Fact]) -> list[LedgerFact]:
    return [fact for fact in facts if not isinstance(fact, (DecisionsRecorded, CandlesSkipped))]


def _ledger(folder: Path) -> SqliteLedger:
    folder.mkdir()
    identity = LedgerIdentity("paper", "local", "bench")
    return SqliteLedger(folder / "ledger.sqlite", identity, created_ms=START_MS, chance=random.Random(1))


def _bare_table(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, number INTEGER NOT NULL) STRICT")
    return connection


def _bare_insert(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO rows (number) VALUES (?)", (number,))
    connection.execute("COMMIT")


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _percentile_ms(seconds: Sequence[float], share: float) -> float:
    return round(sorted(seconds)[int(len(seconds) * share)] * 1e3, 3)


if __name__ == "__main__":
    import sys

    sys.exit(main(run, sys.argv[1:]))
