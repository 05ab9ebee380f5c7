"""Damage and failing disks: seen, named, and never papered over."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.sqlite import event_chain
from adapters.sqlite.order_queries import executions
from domain.fact_text import chained, fact_to_json
from domain.facts import CashSet
from ports.ledger import StorageError
from tests.ledger_facts import intent, recorded, story
from tests.sqlite_files import open_ledger, opened, run_sql, write_ledger

WITHOUT_GUARD = ("DROP TRIGGER ledger_events_no_update", "DROP TRIGGER ledger_events_no_delete")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with a story in it, closed."""
    write_ledger(tmp_path / "ledger.sqlite", story())
    return tmp_path / "ledger.sqlite"


EDITS = [
    ("UPDATE ledger_events SET fact = replace(fact, '10000', '90000') WHERE seq = 4", "event 4, or the one before it"),
    ("UPDATE ledger_events SET fact = fact || ' ' WHERE seq = 9", "event 9, or the one before it"),
    ("UPDATE ledger_events SET fact = 'é' WHERE seq = 2", "event 2 was changed"),
    ("UPDATE ledger_events SET hash = zeroblob(32) WHERE seq = 5", "event 5, or the one before it"),
    ("DELETE FROM ledger_events WHERE seq = 7", "event 7 is missing"),
    ("DELETE FROM ledger_events WHERE seq = 1", "event 1 is missing"),
    ("DELETE FROM ledger_events WHERE seq > 20", "the last committed event is 23, the last one there is 20"),
    ("DELETE FROM ledger_events", "the last committed event is 23, the last one there is 0"),
    ("UPDATE meta SET head_hash = zeroblob(32)", "the newest event is not the one that was committed"),
    ("UPDATE meta SET head_seq = 22", "the last committed event is 22, the last one there is 23"),
]


@pytest.mark.parametrize(("edit", "problem"), EDITS)
def test_an_edit_of_the_chain_is_found_with_its_place(path: Path, edit: str, problem: str) -> None:
    run_sql(path, *WITHOUT_GUARD, edit)
    with opened(path) as ledger:
        found = ledger.verify()
        assert found is not None and problem in found
        with pytest.raises(StorageError, match=r"damaged.*Keep a copy of the file") as error:
            ledger.load()
        assert problem in str(error.value) and str(path) in str(error.value)


def test_an_event_added_behind_our_back_is_found(path: Path) -> None:
    text = fact_to_json(CashSet(Decimal(20_000), 1))
    [(head,)] = run_sql(path, "SELECT head_hash FROM meta")
    forged = chained(head, text).hex()
    run_sql(path, f"INSERT INTO ledger_events (seq, fact, hash) VALUES (24, '{text}', x'{forged}')")
    with opened(path) as ledger:
        assert ledger.verify() == "the last committed event is 23, the last one there is 24"


def test_an_edit_far_back_is_found_by_the_whole_walk_only(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with opened(path) as ledger:
        ledger.commit([CashSet(Decimal(1), number) for number in range(event_chain.TAIL_LENGTH + 10)])
    run_sql(path, *WITHOUT_GUARD, "UPDATE ledger_events SET fact = '{}' WHERE seq = 5")
    with opened(path) as ledger:
        ledger.load()
        assert ledger.verify() == "event 5, or the one before it, was changed"
    run_sql(path, "UPDATE ledger_events SET fact = '{}' WHERE seq = 11")
    with opened(path) as ledger, pytest.raises(StorageError, match="event 11,"):
        ledger.load()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE orders SET status = 'lost' WHERE status = 'open'",
        "UPDATE orders SET filled = 'NaN' WHERE status = 'open'",
        "UPDATE order_intents SET open_ms = open_ms + 1",
        "UPDATE positions SET size = '1e5'",
        "UPDATE anchors SET interval = '1w'",
        "UPDATE exit_states SET confidence = 9",
        "UPDATE order_attempts SET side = 'up'",
    ],
)
def test_a_row_that_cannot_be_read_is_damage(path: Path, edit: str) -> None:
    run_sql(path, edit)
    with opened(path) as ledger, pytest.raises(StorageError, match=r"the ledger is damaged: a row cannot be read"):
        ledger.load()


def test_broken_pages_are_found_at_load(path: Path) -> None:
    pages = bytearray(path.read_bytes())
    for start in range(4096 * 2, len(pages), 4096 * 3):
        pages[start : start + 100] = b"\xff" * 100
    path.write_bytes(pages)
    with pytest.raises(StorageError, match=r"damaged.*Keep a copy of the file") as error, opened(path) as ledger:
        ledger.load()
    assert str(path) in str(error.value)
    with pytest.raises(StorageError, match="damaged"):
        executions(path)


def test_a_broken_page_that_a_load_has_no_need_of_is_found_all_the_same(path: Path) -> None:
    [(root,)] = run_sql(path, "SELECT rootpage FROM sqlite_master WHERE name = 'fills_by_hash'")
    pages = bytearray(path.read_bytes())
    pages[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    path.write_bytes(pages)
    with opened(path) as ledger, pytest.raises(StorageError, match="damaged"):
        ledger.load()


def test_a_file_cut_short_is_found(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 3])
    with pytest.raises(StorageError, match="damaged"), opened(path) as ledger:
        ledger.load()


def test_a_ledger_with_events_and_no_owner_is_damaged(path: Path) -> None:
    run_sql(path, "DELETE FROM meta")
    with pytest.raises(StorageError, match="events and no owner"):
        open_ledger(path)


@pytest.mark.parametrize("name", ["ledger.sqlite", "ledger.sqlite-wal"])
def test_a_file_that_is_taken_away_while_open_stops_the_ledger(path: Path, name: str) -> None:
    ledger = open_ledger(path)
    ledger.commit([recorded(intent("SOL"))])
    (path.parent / name).rename(path.parent / "elsewhere")
    with pytest.raises(StorageError, match="moved, replaced or deleted"):
        ledger.commit([recorded(intent("kPEPE"))])
    with pytest.raises(StorageError, match="can no longer be used"):
        ledger.commit([recorded(intent("DOGE"))])
    ledger.close()


def test_a_full_disk_writes_nothing_and_may_be_tried_again(path: Path) -> None:
    with opened(path) as ledger:
        cursor = ledger._connection.connection.cursor()
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        state, digest = ledger.load(), ledger.digest()
        many = [recorded(intent(f"SYM{number}")) for number in range(50)]
        with pytest.raises(StorageError, match=r"the disk is full.*Free some space"):
            ledger.commit(many)
        assert (ledger.load(), ledger.digest()) == (state, digest)
        cursor.execute(f"PRAGMA max_page_count = {pages * 100}")
        ledger.commit(many)
        assert len(ledger.load().intent_ids) == 3 + 50
        assert ledger.verify() is None


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The kernel refuses this process any write past `size`: a disk that reports errors."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_after_a_disk_error_nothing_more_is_written(path: Path) -> None:
    ledger = open_ledger(path)
    ledger.commit([recorded(intent("SOL"))])
    size = (path.parent / "ledger.sqlite-wal").stat().st_size
    with files_no_longer_than(size), pytest.raises(StorageError, match=r"the disk reported an error.*Check the disk"):
        ledger.commit([recorded(intent("DOGE"))])
    for _ in range(2):  # the disk is well again, and still nobody knows what it holds
        with pytest.raises(StorageError, match="can no longer be used"):
            ledger.commit([recorded(intent("DOGE"))])
    with pytest.raises(StorageError, match="can no longer be used"):
        ledger.load()
    ledger.close()
    with opened(path) as again:
        assert again.verify() is None
        assert recorded(intent("SOL")).intent.intent_id in again.load().intent_ids


def test_a_value_that_no_column_can_hold_is_refused(path: Path) -> None:
    with opened(path) as ledger:
        digest = ledger.digest()
        for absurd in (2**63, -(2**63) - 1):
            with pytest.raises(StorageError, match="too large"):
                ledger.commit([CashSet(Decimal(1), absurd)])
        assert ledger.digest() == digest
        ledger.commit([recorded(intent("SOL"))])
        assert ledger.verify() is None


def test_a_closed_ledger_writes_nothing(path: Path) -> None:
    ledger = open_ledger(path)
    ledger.close()
    ledger.close()
    with pytest.raises(StorageError, match="closed"):
        ledger.commit([recorded(intent("SOL"))])
    assert run_sql(path, "SELECT count(*) FROM ledger_events") == [(23,)]


def test_the_guard_against_edits_is_not_the_chain(path: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        run_sql(path, EDITS[0][0])
