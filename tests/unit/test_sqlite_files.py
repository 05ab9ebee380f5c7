"""What our files look like on disk: who may read them, how they are kept, what stands in them."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from adapters.sqlite import engine, tables
from adapters.sqlite.file_kinds import CANDLES, DECISIONS, LEDGER, FileKind
from domain.orders import OrderStatus
from tests.ledger_facts import story
from tests.sqlite_files import open_ledger, opened, run_sql, write_ledger

KINDS = [(LEDGER, tables.LEDGER), (CANDLES, tables.CANDLES), (DECISIONS, tables.DECISIONS)]
FULL, NORMAL = 2, 1


def make(path: Path, kind: FileKind) -> None:
    engine.close(engine.open_writer(path, kind))


def mode_of(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_only_the_owner_may_use_a_ledger_and_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    with opened(path) as ledger:
        ledger.commit(story())
        modes = {found.name: mode_of(found) for found in path.parent.iterdir()}
    assert modes == dict.fromkeys(
        ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite.lock"), "0o600"
    )
    assert mode_of(path.parent) == "0o700"


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    path.chmod(0o644)
    with opened(path):
        assert mode_of(path) == mode_of(tmp_path / "ledger.sqlite-wal") == "0o600"


def test_a_closed_ledger_is_one_file_and_a_lock(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.sqlite", story())
    assert {found.name for found in tmp_path.iterdir()} == {"ledger.sqlite", "ledger.sqlite.lock"}


@pytest.mark.parametrize(("kind", "synchronous"), [(LEDGER, FULL), (CANDLES, NORMAL), (DECISIONS, NORMAL)])
def test_a_writing_connection_is_as_durable_as_its_kind_says(tmp_path: Path, kind: FileKind, synchronous: int) -> None:
    connection = engine.open_writer(tmp_path / "file.sqlite", kind)
    settings = {
        name: connection.connection.cursor().execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "foreign_keys", "busy_timeout", "mmap_size", "trusted_schema")
    }
    engine.close(connection)
    assert settings == {
        "synchronous": synchronous,
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "mmap_size": 0,
        "trusted_schema": 0,
    }


def test_the_ledger_itself_waits_for_the_disk(tmp_path: Path) -> None:
    with opened(tmp_path / "ledger.sqlite") as ledger:
        cursor = ledger._connection.connection.cursor()
        assert cursor.execute("PRAGMA synchronous").fetchone() == (FULL,)


@pytest.mark.parametrize(("kind", "metadata"), KINDS)
def test_every_table_is_strict(tmp_path: Path, kind: FileKind, metadata: sa.MetaData) -> None:
    make(tmp_path / "file.sqlite", kind)
    listed = run_sql(tmp_path / "file.sqlite", "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
    strict = {name for name, strict in listed if strict}
    assert strict == set(metadata.tables)


def test_a_strict_table_refuses_a_number_spelled_as_text(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.sqlite", story())
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"):
        run_sql(tmp_path / "ledger.sqlite", "UPDATE fills SET time_ms = 'yesterday'")


@pytest.mark.parametrize(("kind", "metadata"), KINDS)
def test_migrations_make_the_tables_that_the_code_speaks_of(
    tmp_path: Path, kind: FileKind, metadata: sa.MetaData
) -> None:
    make(tmp_path / "file.sqlite", kind)
    stored = run_sql(
        tmp_path / "file.sqlite",
        "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL "
        "AND name <> 'alembic_version'",
    )
    dialect = sqlite.dialect()
    spoken_of = {table.name: str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables}
    for table in metadata.sorted_tables:
        spoken_of |= {str(index.name): str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes}
    assert {name: plain(sql) for name, sql in stored} == {name: plain(sql) for name, sql in spoken_of.items()}


def plain(sql: str) -> str:
    return re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", sql)).strip()


def test_orders_that_have_ended_are_spelled_in_the_index_as_in_the_domain(tmp_path: Path) -> None:
    spelled = set(re.findall(r"'(\w+)'", str(tables.MAY_LIVE)))
    assert spelled == {status.value for status in OrderStatus if status.is_terminal}
    make(tmp_path / "ledger.sqlite", LEDGER)
    plan = run_sql(tmp_path / "ledger.sqlite", f"EXPLAIN QUERY PLAN SELECT * FROM orders WHERE {tables.MAY_LIVE}")
    assert "orders_live" in str(plan)


def test_events_are_append_only(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    for statement in ("DELETE FROM ledger_events WHERE seq = 3", "UPDATE ledger_events SET fact = '{}' WHERE seq = 3"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            run_sql(path, statement)


def test_meta_says_whose_ledger_it_is(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.sqlite", story())
    rows = run_sql(tmp_path / "ledger.sqlite", "SELECT mode, network, account, created_ms, head_seq FROM meta")
    assert rows == [("paper", "local", "0xme", 1_700_000_000_000, len(story()))]


def test_the_instance_tag_is_made_once(tmp_path: Path) -> None:
    first = open_ledger(tmp_path / "one.sqlite", seed=1)
    tag = first.load().instance_tag
    first.close()
    again, other = open_ledger(tmp_path / "one.sqlite", seed=2), open_ledger(tmp_path / "two.sqlite", seed=2)
    assert again.load().instance_tag == tag
    assert other.load().instance_tag != tag
    assert len(tag) == 2
    again.close()
    other.close()


def test_amounts_are_plain_text_and_hash_and_tid_can_be_asked_for_together(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.sqlite", story())
    rows = run_sql(
        tmp_path / "ledger.sqlite",
        "SELECT fee, size, typeof(fee), matched_via FROM fills WHERE hash = '0xfeed' AND tid = 901",
    )
    assert rows == [("0.123456789", "0.3", "text", "cloid")]
    plan = run_sql(
        tmp_path / "ledger.sqlite",
        "EXPLAIN QUERY PLAN SELECT * FROM fills WHERE hash = '0xfeed' AND tid = 901",
    )
    assert "fills_by_hash" in str(plan)
