"""The power fails: whatever the ledger said is durable is there, and no order left before its intent was.

The ledger's own file operations are recorded by strace and cut at any place by a disk that does no more than it must
(`tests.power_cuts`). That the disk is bad enough is shown by a ledger that does not sync its log.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon_process import PATIENCE_S, ROOT, environment
from tests.hyperliquid_rigs import VenueControl
from tests.kill_oracle import VenueTruth, check_chain, venue_truth
from tests.kill_points import INTERVAL_MS, MOODY, WIDE, live_settings, loopback, trade_by_hand, until
from tests.ledger_facts import intent, recorded
from tests.power_cuts import FILE_CALLS, Disk, Make, Operation, Told, Write, cuts, operations, restore
from tests.set_clock import under_clock
from tests.sqlite_files import opened
from tests.system_calls import Call, needs_strace, read_trace, strace

COMMITS = 160
"""More than one checkpoint, and a session that ended and went on in another."""

WRITER = """
import os, sys
from dataclasses import replace
from pathlib import Path
from adapters.sqlite import ledger as module
from tests.ledger_facts import accepted, filled, intent, recorded
from tests.sqlite_files import open_ledger
path, said, commits, synchronous = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
module.LEDGER = replace(module.LEDGER, synchronous=synchronous)
tell = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for session in range(2):
    ledger = open_ledger(path)
    for number in range(session * commits // 2, (session + 1) * commits // 2):
        new = recorded(intent(open_ms=number))
        ledger.commit([new])
        os.write(tell, b"%d" % number)
        ledger.commit([accepted(new.order, number), filled(new.order, tid=number, oid=number)])
    ledger.close()
"""


def record(folder: Path, synchronous: str, commits: int = COMMITS) -> tuple[list[Operation], Path]:
    """What a real ledger of so many commits does to its files."""
    home, said, trace = folder / "home", folder / "said", folder / "trace"
    home.mkdir()
    command = [sys.executable, "-c", WRITER, str(home / "ledger.sqlite"), str(said), str(commits), synchronous]
    subprocess.run([*strace(trace, FILE_CALLS), *command], cwd=ROOT, check=True)
    found = [operation for _, operation in operations(read_trace(trace), home, said)]
    trace.unlink()
    first_told = next(place for place, each in enumerate(found) if isinstance(each, Told))
    main = str(home / "ledger.sqlite")
    assert any(isinstance(each, Write) and each.file == main for each in found[first_told:]), "a checkpoint is in it"
    assert sum(each == Make(f"{main}-wal") for each in found) == 2, "and an end, and another start"
    return found, home


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Operation], Path]:
    return record(tmp_path_factory.mktemp("synced"), "FULL")


# ── (a) the order's bytes ────────────────────────────────────────────────────────────────────────

SENDS = ("sendto", "sendmsg", "write", "writev")
LEADS_MS = (9_000, 14_000, 25_000)
"""From the traced start to a candle's close; a slow machine gets more."""


def traced_life(folder: Path, lead_ms: int) -> tuple[list[Call], VenueTruth]:
    """A live daemon under strace: entries at a candle's close, their stops and targets, and those of a larger size."""
    trace = folder / "trace"
    with loopback(folder, 1, symbols=3) as (clock, control):
        clock.set_to((clock.now_ms() // INTERVAL_MS + 2) * INTERVAL_MS - lead_ms)
        close_ms = clock.now_ms() + lead_ms
        calls = f"{FILE_CALLS},sendto,sendmsg"
        command = [*strace(trace, calls), *under_clock(clock, "entrypoints.daemon")]
        settings = live_settings(folder, control.ready, MOODY, WIDE)
        with (folder / "daemon.log").open("w") as out:
            tracer = subprocess.Popen(
                command, env=environment(folder, settings), cwd=folder, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            until(lambda: control.log("socket_opened") or None)
            while clock.now_ms() < close_ms + 5_000 and not entered(control):
                time.sleep(0.1)
            for symbol in entered(control):  # the owner adds by hand: stops and targets must grow with it
                known = len(control.cloids())
                trade_by_hand(control, symbol, entered(control)[symbol])
                until_more_cloids(control, known)
        finally:
            if tracer.poll() is None:
                os.kill(int((folder / "ledger.sqlite.lock").read_text()), signal.SIGKILL)  # the writer's process
            tracer.wait(timeout=PATIENCE_S)
        rows = control.log("request") + control.log("order") + control.log("fill")
        return read_trace(trace), venue_truth(rows, control.user.lower())


def until_more_cloids(control: VenueControl, known: int) -> None:
    until(lambda: len(control.cloids()) > known or None)


def entered(control: VenueControl) -> dict[str, str]:
    """The side of each symbol's entry."""
    return {row["coin"]: row["side"] for row in control.log("order") if row["cloid"] and not row["reduce_only"]}


@pytest.mark.timeout(240)
def test_an_order_leaves_after_its_intent_is_on_the_disk(tmp_path: Path) -> None:
    """At the moment of each order's first byte the disk holds its attempt, whatever is lost of what was not synced."""
    needs_strace()
    for number, lead_ms in enumerate(LEADS_MS):
        folder = tmp_path / str(number)
        calls, truth = traced_life(folder, lead_ms)
        if truth.entries:
            break
    sent = orders_sent(calls)
    assert truth.entries <= sent.keys() and truth.oids.keys() <= sent.keys(), "every order's bytes are in the trace"
    assert len(truth.entries) >= 2 and len(sent) >= 6
    assert_synced_before(calls, sent, folder / "ledger.sqlite")
    assert_on_disk_before(calls, sent, folder, tmp_path / "disk")


def orders_sent(calls: Sequence[Call]) -> dict[str, Call]:
    """By cloid, the call that sends it."""
    found: dict[str, Call] = {}
    for call in calls:
        if call.name in SENDS and "pipe" not in call.file:
            for text in call.texts:
                if b'"type":"order"' in text:
                    for cloid in re.findall(rb'"c":"(0x[0-9a-f]{32})"', text):
                        assert cloid.decode() not in found, "an order is sent once"
                        found[cloid.decode()] = call
    return found


def assert_synced_before(calls: Sequence[Call], sent: Mapping[str, Call], ledger: Path) -> None:
    wal = f"{ledger}-wal"
    writes = [call for call in calls if call.name == "pwrite64" and call.file == wal]
    syncs = [call for call in calls if call.name in ("fsync", "fdatasync") and call.file == wal and call.result == 0]
    for cloid, send in sent.items():
        first = next(call for call in writes if cloid.encode() in call.texts[0])
        sync = next((call for call in syncs if call.begun > first.ended), None)
        assert sync is not None and sync.ended < send.begun, f"{cloid} left before it was durable"


def assert_on_disk_before(calls: Sequence[Call], sent: Mapping[str, Call], folder: Path, again: Path) -> None:
    """Run the disk up to each send, take what is certain, and ask plain SQLite."""
    ledger = folder / "ledger.sqlite"
    of_ledger = (call for call in calls if concerns(call, folder, ledger))
    coming = deque(operations(of_ledger, folder, folder / "nothing"))
    disk = Disk()
    for number, (cloid, send) in enumerate(sorted(sent.items(), key=lambda item: item[1].begun)):
        while coming and coming[0][0] < send.begun:
            disk.run(coming.popleft()[1])
        here = again / str(number)
        restore(disk.certain, folder, here, random.Random(number))
        with closing(sqlite3.connect(here / ledger.name)) as database:
            rows = database.execute("SELECT 1 FROM order_attempts WHERE cloid = ?", (cloid,)).fetchall()
            assert len(rows) == 1, f"{cloid} was sent, and the disk does not know it"


def concerns(call: Call, folder: Path, ledger: Path) -> bool:
    name = call.opened if call.name == "openat" else call.file or (call.texts or [b""])[0].decode("ascii", "replace")
    return name == str(folder) or name in (str(ledger), f"{ledger}-wal", f"{ledger}-journal")


# ── (b) the ledger's files ───────────────────────────────────────────────────────────────────────


def told_numbers(told: Sequence[bytes]) -> set[str]:
    """The intents whose commit had returned."""
    return {intent(open_ms=int(text)).intent_id for text in told}


def check_cut(path: Path, told: Sequence[bytes]) -> set[str]:
    """The file opens as any, is sound, goes on; returns the intents that are missing."""
    with opened(path) as ledger:
        state = ledger.load()
        assert ledger.verify() is None
        known = {intent(open_ms=number).intent_id for number in range(len(state.intent_ids))}
        assert state.intent_ids == known, "what is there is a first part of what was written"
        assert len(state.trade_ids) in (len(known), len(known) - 1)
        ledger.commit([recorded(intent(open_ms=len(known)))])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        check_chain(database)
    return told_numbers(told) - state.intent_ids


def missing_after(recorded_ops: Sequence[Operation], home: Path, folder: Path, count: int, seed: int) -> int:
    """How many of so many cuts lost an intent that had been committed."""
    chance = random.Random(seed)
    lost = 0
    for number, (place, told, left) in enumerate(cuts(recorded_ops, count, chance)):
        again = folder / str(number)
        restore(left, home, again, chance)
        try:
            lost += bool(check_cut(again / "ledger.sqlite", told))
        except BaseException as error:
            error.add_note(f"cut {number} of seed {seed}, after operation {place} of {len(recorded_ops)}: {again}")
            raise
    return lost


@pytest.mark.seeds(1, 2)
def test_no_committed_intent_is_missing_after_a_cut(
    synced: tuple[list[Operation], Path], tmp_path: Path, seed: int
) -> None:
    assert missing_after(*synced, tmp_path, 100, seed) == 0


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_nor_after_five_thousand(synced: tuple[list[Operation], Path], tmp_path: Path) -> None:
    assert missing_after(*synced, tmp_path, 5_000, 3) == 0


def test_a_log_that_is_not_synced_loses_intents(tmp_path: Path) -> None:
    """The same cuts see what `synchronous = NORMAL` gives away: the file is sound, and what was promised is gone."""
    found, home = record(tmp_path, "NORMAL")
    assert missing_after(found, home, tmp_path / "cuts", 24, 1) > 6
