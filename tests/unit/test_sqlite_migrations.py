"""Bringing files up to date: all the way or not at all, with a copy of what was there before."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.sqlite import engine
from adapters.sqlite.file_kinds import CANDLES, DECISIONS, LEDGER, FileKind
from adapters.sqlite.schema import backup_path
from ports.ledger import StorageError
from tests.ledger_facts import story
from tests.sqlite_files import opened, run_sql, write_ledger

ROOT = Path(__file__).resolve().parents[2]
NEXT = """
from alembic import op
revision = "{revision:04d}"
down_revision = "{before:04d}"
def upgrade() -> None:
    op.execute("ALTER TABLE orders ADD COLUMN later INTEGER")
    op.execute({then!r})
"""
FILL_IN = "UPDATE orders SET later = 7"
BREAK = "INSERT INTO no_such_table VALUES (1)"


def next_ledger(folder: Path, then: str) -> FileKind:
    """The ledger as a later version of this program keeps it: one migration more."""
    migrations = folder / "100% later"
    scripts = migrations / "ledger"
    scripts.mkdir(parents=True)
    env = LEDGER.migrations.parent / "env.py"
    (migrations / "env.py").write_text(env.read_text())
    for script in LEDGER.migrations.glob("v*.py"):
        (scripts / script.name).write_text(script.read_text())
    version = LEDGER.version + 1
    (scripts / f"v{version:04d}_later.py").write_text(NEXT.format(revision=version, before=LEDGER.version, then=then))
    return replace(LEDGER, version=version, migrations=scripts)


@pytest.mark.parametrize("kind", [LEDGER, CANDLES, DECISIONS])
@pytest.mark.parametrize("content", [None, b""])
def test_a_file_that_is_absent_or_empty_is_made(tmp_path: Path, kind: FileKind, content: bytes | None) -> None:
    path = tmp_path / "file.sqlite"
    if content is not None:
        path.write_bytes(content)
    engine.close(engine.open_writer(path, kind))
    assert run_sql(path, "PRAGMA user_version") == [(kind.version,)]
    assert run_sql(path, "PRAGMA application_id") == [(kind.application_id,)]
    assert run_sql(path, "SELECT version_num FROM alembic_version") == [(f"{kind.version:04d}",)]
    assert list(tmp_path.iterdir()) == [path]


def test_the_versions_count_the_migrations() -> None:
    for kind in (LEDGER, CANDLES, DECISIONS):
        names = sorted(script.name[:5] for script in kind.migrations.glob("v*.py"))
        assert names == [f"v{number:04d}" for number in range(1, kind.version + 1)]


def test_an_older_file_is_copied_and_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    later = next_ledger(tmp_path, FILL_IN)
    engine.close(engine.open_writer(path, later))
    assert run_sql(path, "PRAGMA user_version") == [(later.version,)]
    assert run_sql(path, "SELECT DISTINCT later FROM orders") == [(7,)]
    copy = backup_path(path, LEDGER.version)
    assert copy.stat().st_mode & 0o777 == 0o600
    copy.rename(tmp_path / "restored.sqlite")
    with opened(tmp_path / "restored.sqlite") as ledger:
        assert ledger.verify() is None
        assert len(ledger.load().intent_ids) == 3


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    schema = "SELECT * FROM sqlite_master ORDER BY name"
    before = run_sql(path, schema)
    broken = next_ledger(tmp_path, BREAK)
    for _ in range(2):
        with pytest.raises(StorageError, match="no such table: no_such_table"):
            engine.open_writer(path, broken)
    assert run_sql(path, schema) == before
    assert run_sql(path, "PRAGMA user_version") == [(LEDGER.version,)]
    with opened(path) as ledger:
        assert ledger.verify() is None


def test_tables_and_their_version_come_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    unstampable = replace(LEDGER, application_id="(")  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="syntax error"):
        engine.open_writer(path, unstampable)
    assert run_sql(path, "SELECT * FROM sqlite_master") == []


def test_a_reader_neither_migrates_nor_guesses(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    with pytest.raises(StorageError, match=r"schema 3, this program reads schema 4.*Start the daemon on it once"):
        engine.open_reader(path, next_ledger(tmp_path, FILL_IN))
    assert run_sql(path, "PRAGMA user_version") == [(LEDGER.version,)]


def test_a_file_that_is_up_to_date_costs_no_import_of_alembic(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    script = (
        "import sys; from pathlib import Path; from tests.sqlite_files import open_ledger; "
        "open_ledger(Path(sys.argv[1])).close(); print('alembic' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout == "False\n"


def test_no_copy_can_be_made_so_nothing_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    write_ledger(path, story())
    backup_path(path, LEDGER.version).mkdir()
    with pytest.raises(StorageError, match="cannot be copied"):
        engine.open_writer(path, next_ledger(tmp_path, FILL_IN))
    assert run_sql(path, "PRAGMA user_version") == [(LEDGER.version,)]


def test_two_chains_do_not_meet(tmp_path: Path) -> None:
    for kind in (CANDLES, DECISIONS):
        path = tmp_path / f"{kind.name}.sqlite"
        engine.close(engine.open_writer(path, kind))
        names = {name for (name,) in run_sql(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert "ledger_events" not in names
