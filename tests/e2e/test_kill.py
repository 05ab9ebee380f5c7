"""kill -9 at any moment: no order twice, no fill lost, and back at work in ten seconds.

The real process on a real venue over loopback. In the gate the venue kills it, at a request or a frame that is drawn by
seed; the long run adds deaths at the n-th system call, and in the middle of a migration.
"""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon_process import ROOT
from tests.kill_oracle import Tally, check_chain
from tests.kill_points import RESTART_LIMIT_MS, sweep
from tests.ledger_facts import story
from tests.sqlite_files import write_ledger
from tests.system_calls import needs_strace

pytestmark = pytest.mark.xdist_group("kill")

GATE_SETTLES = False
"""Whether the gate, too, demands that a calm time settles every order whose fate a kill left open. It takes a minute:
what a start asks spends the minute's budget of weight, and the questions about those orders wait for the next one."""
CALM_S = 120.0
CHAINS = 6
Record = Callable[[str, object], None]


def check(tally: Tally, points: int, record_property: Record, *, settles: bool) -> None:
    record_property("kills", tally.text())
    print(tally.text())
    assert tally.points.total() == points
    assert max(tally.restarts_ms + tally.cold_restarts_ms) <= RESTART_LIMIT_MS
    assert len(tally.cold_restarts_ms) >= CHAINS and len(tally.restarts_ms) >= points / 4
    assert {"OPEN", "STOP", "TAKE_PROFIT", "CLOSE"} <= tally.orders.keys(), "a kill needs something to break"
    assert tally.replayed >= CHAINS, "what was committed before a kill comes out of its record"
    if settles:
        assert tally.unsettled == [], "a calm time, and nobody knows what became of them"


@pytest.mark.timeout(300)
@pytest.mark.seeds(1)
def test_sixty_kills_by_the_venue(tmp_path: Path, seed: int, record_property: Record) -> None:
    points = 60
    seeds = range(100 * seed, 100 * seed + CHAINS)
    tally = sweep(tmp_path / "chains", seeds, points // CHAINS, calm_s=CALM_S, settles=GATE_SETTLES)
    check(tally, points, record_property, settles=GATE_SETTLES)
    sides = {side: sum(n for name, n in tally.points.items() if name.endswith(side)) for side in ("before", "after")}
    assert min(sides.values()) >= 5, "on both sides of a reply"


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.seeds(1)
def test_one_hundred_and_eighty_more(tmp_path: Path, seed: int, record_property: Record) -> None:
    points = 180
    seeds = range(100 * seed + 50, 100 * seed + 50 + CHAINS)
    tally = sweep(tmp_path / "chains", seeds, points // CHAINS, calm_s=CALM_S, settles=True)
    check(tally, points, record_property, settles=True)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.seeds(1)
def test_ninety_deaths_at_a_system_call(tmp_path: Path, seed: int, record_property: Record) -> None:
    needs_strace()
    points = 90
    seeds = range(100 * seed + 70, 100 * seed + 70 + CHAINS)
    tally = sweep(tmp_path / "chains", seeds, points // CHAINS, calm_s=CALM_S, settles=True, calls=True)
    check(tally, points, record_property, settles=True)


# ── a migration ──────────────────────────────────────────────────────────────────────────────────

MIGRATE = """
import sys
from dataclasses import replace
from pathlib import Path
from adapters.sqlite import engine
from adapters.sqlite.file_kinds import LEDGER
path, migrations, version = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
kind = replace(LEDGER, version=version, migrations=migrations)
engine.close(engine.open_writer(path, kind))
"""
NEXT = """
from alembic import op
revision = "{version:04d}"
down_revision = "{before:04d}"
def upgrade() -> None:
    op.execute("CREATE TABLE later (cloid TEXT PRIMARY KEY, said TEXT NOT NULL) STRICT")
    op.execute("INSERT INTO later SELECT cloid, status FROM orders")
    op.execute("UPDATE orders SET reason = 'migrated'")
"""
TOUCHING = "openat,pwrite64,fdatasync,fsync,ftruncate,unlink,rename"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.seeds(1)
def test_thirty_deaths_in_a_migration(tmp_path: Path, seed: int) -> None:
    """It is at the next version or at the one before, with all that it held; the next start brings it there."""
    needs_strace()
    chance = random.Random(seed)
    original = tmp_path / "original.sqlite"
    write_ledger(original, story())
    before = version_of(original)
    migrations = next_migrations(tmp_path / "later", before)
    command = [sys.executable, "-c", MIGRATE]
    arguments = [str(migrations), str(before + 1)]

    def migrated(path: Path, *words: str) -> int:
        done = subprocess.run([*words, *command, str(path), *arguments], cwd=ROOT, capture_output=True, check=False)
        return done.returncode

    def at_call(name: str, nth: int) -> tuple[Path, int]:
        path = tmp_path / f"{name}-{nth}" / "ledger.sqlite"
        path.parent.mkdir()
        path.write_bytes(original.read_bytes())
        # Only what concerns the ledger's folder counts: whatever Python loads is not the point.
        trace = path.parent / "trace"
        strace = ["strace", "-f", "-o", str(trace), "-P", str(path), "-P", f"{path}-wal", "-P", f"{path}-journal"]
        strace += ["-P", f"{path}.schema-{before}.bak", "-P", str(path.parent), "-e", f"trace={TOUCHING}"]
        if nth:
            strace += ["-e", f"inject={name}:signal=SIGKILL:when={nth}"]
        return path, migrated(path, *strace, "--")

    whole, code = at_call("none", 0)
    assert code == 0 and version_of(whole) == before + 1
    made = Counter(re.findall(r"^\d+ +(\w+)\(", (whole.parent / "trace").read_text(), re.MULTILINE))
    points = [(name, nth) for name, count in made.items() for nth in range(1, count + 1)]
    ends = set()
    for name, nth in sorted(chance.sample(points, 30)):
        path, code = at_call(name, nth)
        assert code in (-signal.SIGKILL, 128 + signal.SIGKILL), f"{name} {nth} of {made[name]}"
        ends.add(checked_version(path, before))
        assert migrated(path) == 0, f"after {name} {nth} of {made[name]}"
        assert checked_version(path, before) == before + 1
        rows = read(path, "SELECT count(*), (SELECT count(*) FROM orders WHERE reason = 'migrated') FROM later")
        assert rows == [(3, 3)] and read(path, "SELECT count(*) FROM order_intents") == [(3,)]
    assert ends == {before, before + 1}


def next_migrations(folder: Path, before: int) -> Path:
    """The ledger's migrations, and one more."""
    source = ROOT / "adapters" / "sqlite" / "migrations"
    scripts = folder / "ledger"
    scripts.mkdir(parents=True)
    (folder / "env.py").write_text((source / "env.py").read_text())
    for script in (source / "ledger").glob("v*.py"):
        (scripts / script.name).write_text(script.read_text())
    (scripts / f"v{before + 1:04d}_later.py").write_text(NEXT.format(version=before + 1, before=before))
    return scripts


def read(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def version_of(path: Path) -> int:
    return int(str(read(path, "PRAGMA user_version")[0][0]))


def checked_version(path: Path, before: int) -> int:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        check_chain(database)
    version = version_of(path)
    assert bool(read(path, "SELECT 1 FROM sqlite_master WHERE name = 'later'")) == (version > before)
    return version
