"""What a durable commit costs: the ledger beside a bare SQLite table, turn by turn on the same disk.

Both wait for the disk (WAL, synchronous=FULL). The bare table gets one text row a fact and
nothing else; the ledger also chains the fact, and keeps the tables that facts add up to. Facts
come as an order makes them: intent, answer, fill, position, exits.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from functools import partial
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from domain.candles import Interval
from domain.confidence import Confidence
from domain.exits import ExitState
from domain.fact_text import fact_to_json
from domain.facts import ExitStateChanged, FillRecorded, IntentRecorded, LedgerFact, OrderChanged, PositionChanged
from domain.fills import Fill, MatchedVia
from domain.intents import Action, IntentKey, OrderIntent, Side, TimeInForce, request_for
from domain.orders import Accepted, Order, with_outcome
from domain.positions import Position

SIZES = (1, 10, 100)
START_MS = 1_700_000_000_000
WHY = json.dumps({"signal": "BUY", "gates": [[f"gate_{number}", 0.5, 0.25, True] for number in range(12)]})


def run(commits: int = 300, folder: Path | None = None) -> dict[str, float]:
    """Measure `commits` commits of 1, 10 and 100 facts. `ratio_…` is the ledger's time over the bare table's.

    `folder` must lie on a real disk: in memory, waiting for the disk costs nothing.
    """
    figures: dict[str, float] = {"commits": commits}
    with TemporaryDirectory(prefix="bench-", dir=folder or Path.cwd()) as name:
        for size in SIZES:
            ours, bare = _measure(Path(name) / str(size), commits, size)
            figures[f"commits_per_s_{size}"] = round(commits / sum(ours), 1)
            figures[f"facts_per_s_{size}"] = round(commits * size / sum(ours))
            figures[f"ms_{size}_p50"] = _percentile_ms(ours, 0.50)
            figures[f"ms_{size}_p99"] = _percentile_ms(ours, 0.99)
            figures[f"bare_ms_{size}_p50"] = _percentile_ms(bare, 0.50)
            figures[f"bare_ms_{size}_p99"] = _percentile_ms(bare, 0.99)
            figures[f"ratio_to_bare_{size}"] = round(figures[f"ms_{size}_p50"] / figures[f"bare_ms_{size}_p50"], 2)
    return figures


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench ledger_commit", description=run.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--commits", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="where the files are made (default: here)")
    arguments = parser.parse_args(argv)
    figures = run(arguments.commits, arguments.folder)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:24} {figure:>12,}")
    return 0


def _measure(folder: Path, commits: int, size: int) -> tuple[list[float], list[float]]:
    """Seconds of each commit, ours and bare, taken by turns so that a slow moment hits both."""
    folder.mkdir()
    facts = _facts()
    ledger = SqliteLedger(
        folder / "ledger.sqlite",
        LedgerIdentity("paper", "local", "bench"),
        created_ms=START_MS,
        chance=random.Random(1),
    )
    with closing(ledger), closing(_bare_table(folder / "bare.sqlite")) as bare:
        ours_s, bare_s = [], []
        for _ in range(commits):
            group = list(islice(facts, size))
            texts = [(fact_to_json(fact),) for fact in group]
            ours_s.append(_seconds(partial(ledger.commit, group)))
            bare_s.append(_seconds(partial(_bare_commit, bare, texts)))
    return ours_s, bare_s


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _percentile_ms(seconds: Sequence[float], share: float) -> float:
    return round(sorted(seconds)[int(len(seconds) * share)] * 1e3, 3)


def _bare_table(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE facts (seq INTEGER PRIMARY KEY, fact TEXT NOT NULL) STRICT")
    return connection


def _bare_commit(connection: sqlite3.Connection, texts: Sequence[tuple[str]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO facts (fact) VALUES (?)", texts)
    connection.execute("COMMIT")


def _facts() -> Iterator[LedgerFact]:
    """Facts of one order after another, over 100 symbols."""
    for number in count():
        symbol, at_ms = f"SYM{number % 100}", START_MS + number * 1_000
        key = IntentKey("bench", "mei_alpha_v1", symbol, Action.OPEN, Interval.M1, START_MS + number * 60_000)
        intent = OrderIntent(
            key=key,
            side=Side.BUY,
            size=Decimal("0.125"),
            limit_price=Decimal("50000.5"),
            time_in_force=TimeInForce.IOC,
            reduce_only=False,
            trigger=None,
            decided_ms=at_ms,
            decided_seq=number,
            deadline_ms=at_ms + 6_000,
            leverage=Decimal(3),
            reason="signal",
            why=WHY,
            config_digest="0123456789abcdef",
        )
        request = request_for(intent, 1, b"\0\0")
        order = Order(request, 1, at_ms)
        yield IntentRecorded(intent, order)
        yield OrderChanged(with_outcome(order, Accepted(number)), at_ms + 100)
        fill = Fill(
            symbol=symbol,
            side=Side.BUY,
            price=Decimal("50000.25"),
            size=Decimal("0.125"),
            time_ms=at_ms + 100,
            tid=number,
            oid=number,
            cloid=request.cloid,
            fee=Decimal("2.1875109375"),
            start_position=Decimal(0),
            hash=f"0x{number:064x}",
        )
        yield FillRecorded(fill, intent.intent_id, MatchedVia.CLOID, Decimal(0), "signal", number)
        position = Position(symbol, Decimal("0.125"), Decimal("50000.25"), at_ms, at_ms, intent_id=intent.intent_id)
        yield PositionChanged(position)
        yield ExitStateChanged(symbol, ExitState(symbol, 120.5, Confidence.HIGH, 22.0, 4.0, START_MS))


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
