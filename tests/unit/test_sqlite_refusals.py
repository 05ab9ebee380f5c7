"""What a ledger says no to: another owner, a second writer, files that are none, places it cannot write."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from adapters.sqlite.candle_store import SqliteCandleStore
from adapters.sqlite.decision_log import SqliteDecisionLog
from adapters.sqlite.file_kinds import LEDGER
from adapters.sqlite.ledger import LedgerIdentity
from ports.ledger import LedgerHeld, LedgerRefused, StorageError
from tests.ledger_facts import story
from tests.sqlite_files import PAPER, open_ledger, opened, run_sql, write_ledger

NOBODY = 65_534
ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import random, sys
from pathlib import Path
from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
identity = LedgerIdentity("paper", "local", "0xme")
ledger = SqliteLedger(Path(sys.argv[1]), identity, created_ms=0, chance=random.Random(1))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "other",
    [
        LedgerIdentity("live", "local", "0xme"),
        LedgerIdentity("paper", "mainnet", "0xme"),
        LedgerIdentity("paper", "local", "0xyou"),
    ],
)
def test_another_owner_is_refused_by_name_and_nothing_changes(tmp_path: Path, other: LedgerIdentity) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    before = path.read_bytes()
    with pytest.raises(LedgerRefused) as refusal:
        open_ledger(path, other)
    assert not isinstance(refusal.value, LedgerHeld)
    for part in (str(path), str(PAPER), str(other), "Name another ledger file"):
        assert part in str(refusal.value)
    assert path.read_bytes() == before
    with opened(path) as ledger:  # and the refusal left no lock behind
        assert len(ledger.load().intent_ids) == 3


def test_a_second_writer_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with opened(path), pytest.raises(LedgerHeld, match=f"pid {os.getpid()}"):
        open_ledger(path)
    open_ledger(path).close()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LedgerHeld, match=f"pid {holder.pid}"):
            open_ledger(path)
        holder.kill()
    open_ledger(path).close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"my diary\n" * 1_000)
    with pytest.raises(StorageError, match="not a SQLite database"):
        open_ledger(path)
    assert path.read_bytes() == b"my diary\n" * 1_000


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    run_sql(path, "CREATE TABLE photos (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="another program's database"):
        open_ledger(path)
    assert path.read_bytes() == before
    assert run_sql(path, "PRAGMA journal_mode") == [("delete",)]


def test_our_own_files_are_not_taken_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "candles.sqlite"
    SqliteCandleStore(path, ()).close()
    with pytest.raises(StorageError, match="no ledger"):
        open_ledger(path)
    with pytest.raises(StorageError, match="no decision log"):
        SqliteDecisionLog(path, 10, "s1")


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    run_sql(path, f"PRAGMA user_version = {LEDGER.version + 1}", "PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    with pytest.raises(StorageError, match=rf"schema {LEDGER.version + 1}.*Update the program"):
        open_ledger(path)
    assert path.read_bytes() == before


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir(mode=0o755)
    with pytest.raises(StorageError, match="not a file"):
        open_ledger(tmp_path / "ledger.sqlite")
    assert (tmp_path / "ledger.sqlite").stat().st_mode & 0o777 == 0o755


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("x")
    with pytest.raises(StorageError, match=re.escape(str(tmp_path / "notes" / "ledger.sqlite"))):
        open_ledger(tmp_path / "notes" / "ledger.sqlite")


@contextmanager
def as_ordinary_user() -> Iterator[Path]:
    """Root may write anywhere: give that up for a while where the tests run as root. Gives a folder of that user."""
    root = os.geteuid() == 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            folder.chmod(0o700)
            if root:
                os.seteuid(0)


def test_a_folder_without_write_access_is_refused_with_what_to_do() -> None:
    with as_ordinary_user() as folder:
        folder.chmod(0o500)
        with pytest.raises(StorageError, match=r"Permission denied.*may write in it"):
            open_ledger(folder / "ledger.sqlite")


def test_a_file_that_cannot_be_written_is_refused() -> None:
    with as_ordinary_user() as folder:
        SqliteCandleStore(folder / "candles.sqlite", ()).close()
        (folder / "candles.sqlite").chmod(0o400)
        with pytest.raises(StorageError, match="the file cannot be written"):
            SqliteCandleStore(folder / "candles.sqlite", ())


def test_a_file_that_another_program_keeps_locked_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with opened(path) as ledger:
        ledger._connection.connection.cursor().execute("PRAGMA busy_timeout = 1")
        intruder = sqlite3.connect(path, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another program keeps the file locked"):
            ledger.commit(story())
        intruder.close()
        ledger.commit(story())  # nothing was written, so it may go on
        assert len(ledger.load().intent_ids) == 3
