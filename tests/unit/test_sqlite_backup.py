"""Copies of a ledger that is being written: of one moment, sound, private, and over nothing."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from adapters.sqlite.backup import back_up, check_file
from adapters.sqlite.file_kinds import CANDLES, DECISIONS, LEDGER
from adapters.sqlite.ledger_check import check_ledger, events_in
from domain.facts import FILLS_READ, CursorMoved
from entrypoints.cli import run
from entrypoints.exit_codes import ExitCode
from ports.ledger import StorageError
from tests.ledger_facts import T0
from tests.sound_ledger import sound_desk
from tests.sqlite_files import opened, run_sql

CHAIN = "SELECT seq, fact, hash FROM ledger_events ORDER BY seq"
FIRST_MS = T0 + 10_000_000


def no_check(copy: Path) -> None:
    """For tests that look themselves."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "paper-local.sqlite"
    with opened(made) as ledger:
        for commit in sound_desk().commits:
            ledger.commit(commit)
    return made


def is_prefix(copy: Path, ledger: Path) -> bool:
    copied, written = run_sql(copy, CHAIN), run_sql(ledger, CHAIN)
    return 0 < len(copied) < len(written) and written[: len(copied)] == copied


def test_commits_between_two_steps_of_the_copy_are_not_in_it(path: Path, tmp_path: Path) -> None:
    """The copy is of the moment it began, though the ledger grows by a commit with every page."""
    target = tmp_path / "copy.sqlite"
    steps: list[int] = []
    with opened(path) as ledger:
        before = events_in(path)

        def commit(done: int, total: int) -> None:
            steps.append(done)
            assert len(steps) <= total, "a commit made the copy begin anew"
            ledger.commit([CursorMoved(FILLS_READ, FIRST_MS + len(steps))])

        size = back_up(path, target, LEDGER, no_check, commit, pages_a_step=1)
        assert len(steps) > 10, "or this proves nothing"
        assert is_prefix(target, path)
    checked = check_ledger(target)
    assert (checked.problems, checked.events) == ([], before)
    assert target.stat().st_size == size


def test_beside_a_writer_that_never_rests_every_copy_is_a_prefix_of_the_chain(path: Path, tmp_path: Path) -> None:
    enough = threading.Event()

    def write() -> None:
        with opened(path) as ledger:
            number = 0
            while not enough.is_set():
                number += 1
                ledger.commit([CursorMoved(FILLS_READ, FIRST_MS + number)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [tmp_path / f"copy-{number}.sqlite" for number in range(3)]
        for copy in copies:
            back_up(path, copy, LEDGER, no_check)
    finally:
        enough.set()
        writer.join()
    for copy in copies:
        assert check_ledger(copy).problems == []
        assert run_sql(path, CHAIN)[: events_in(copy)] == run_sql(copy, CHAIN)


def test_a_copy_is_one_private_file(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    with opened(path):
        back_up(path, folder / "copy.sqlite", LEDGER, no_check)
    assert [file.name for file in folder.iterdir()] == ["copy.sqlite"], "no log and no part of it beside it"
    assert (folder / "copy.sqlite").read_bytes()[18:20] == b"\x01\x01", "and none is wanted to read it"
    assert stat.S_IMODE((folder / "copy.sqlite").stat().st_mode) == 0o600
    with opened(folder / "copy.sqlite") as restored:
        assert restored.load().positions, "a daemon goes on from it"


@pytest.mark.parametrize("content", [b"", b"somebody's"])
def test_no_file_is_ever_replaced(path: Path, tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "copy.sqlite"
    target.write_bytes(content)
    with pytest.raises(StorageError, match="there is a file already"):
        back_up(path, target, LEDGER, no_check)
    assert target.read_bytes() == content
    with pytest.raises(StorageError, match="there is a file already"):
        back_up(path, path, LEDGER, no_check)
    assert check_ledger(path).problems == []


def test_a_copy_that_fails_its_check_leaves_nothing(path: Path, tmp_path: Path) -> None:
    def refuse(copy: Path) -> None:
        raise StorageError("not sound")

    before = set(tmp_path.iterdir())
    with pytest.raises(StorageError, match="not sound"):
        back_up(path, tmp_path / "copy.sqlite", LEDGER, refuse)
    assert set(tmp_path.iterdir()) - before <= {path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")}


def test_a_folder_that_is_not_there_is_explained(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Its folder must exist and be writable"):
        back_up(path, tmp_path / "absent" / "copy.sqlite", LEDGER, no_check)


def test_a_file_of_another_kind_is_not_copied(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no candle store"):
        back_up(path, tmp_path / "copy.sqlite", CANDLES, no_check)
    assert not (tmp_path / "copy.sqlite").exists()


def test_a_damaged_file_fails_its_check(path: Path, tmp_path: Path) -> None:
    run_sql(path, "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        back_up(path, tmp_path / "copy.sqlite", LEDGER, lambda copy: check_file(copy, LEDGER))
    assert not (tmp_path / "copy.sqlite").exists()


# ── ./aiq db backup ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def configured(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AI_QUANT_USER_DIR", str(path.parent))
    monkeypatch.chdir(path.parent)
    return path


def test_the_command_says_what_it_made(configured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "backup", "--out", "copy.sqlite"]) == ExitCode.DONE
    size = (tmp_path / "copy.sqlite").stat().st_size
    assert capsys.readouterr().out == f"ledger: {tmp_path / 'copy.sqlite'} ({size:,} bytes, sound)\n"
    assert run(["db", "check", "--db", "copy.sqlite"]) == ExitCode.DONE


def test_all_files_take_their_names_from_the_ledgers(
    configured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from adapters.sqlite.candle_store import SqliteCandleStore
    from adapters.sqlite.decision_log import SqliteDecisionLog

    SqliteDecisionLog(configured.with_suffix(".decisions.sqlite"), 1_000, "session").close()
    SqliteCandleStore(configured.with_suffix(".market.sqlite"), ("BTC",)).close()
    assert run(["db", "backup", "--all", "--json", "--out", "night-2026.11.23"]) == ExitCode.DONE
    said = json.loads(capsys.readouterr().out)
    names = ["night-2026.11.23", "night-2026.11.23.decisions.sqlite", "night-2026.11.23.market.sqlite"]
    assert said["ok"] is True
    assert [Path(file["path"]).name for file in said["files"]] == names
    assert [file["kind"] for file in said["files"]] == ["ledger", "decision log", "candle store"]
    check_file(tmp_path / names[1], DECISIONS)
    check_file(tmp_path / names[2], CANDLES)


def test_files_that_are_not_there_yet_are_left_out_with_a_note(
    configured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["db", "backup", "--all", "--out", "copy.sqlite"]) == ExitCode.DONE
    captured = capsys.readouterr()
    assert "there is no decision log yet" in captured.err and "there is no candle store yet" in captured.err
    assert captured.out.startswith("ledger: ") and captured.out.count("\n") == 1


def test_one_name_that_is_taken_stops_it_before_anything_is_copied(
    configured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from adapters.sqlite.decision_log import SqliteDecisionLog

    SqliteDecisionLog(configured.with_suffix(".decisions.sqlite"), 1_000, "session").close()
    (tmp_path / "copy.decisions.sqlite").write_text("somebody's")
    assert run(["db", "backup", "--all", "--out", "copy.sqlite"]) == ExitCode.DATA
    assert "none is replaced" in capsys.readouterr().err
    assert not (tmp_path / "copy.sqlite").exists()


def test_a_ledger_that_is_not_sound_gives_no_backup(
    configured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_sql(configured, "UPDATE positions SET size = '99' WHERE symbol = 'HYPE'")
    assert run(["db", "backup", "--out", "copy.sqlite"]) == ExitCode.DATA
    captured = capsys.readouterr()
    assert captured.out == "" and "positions: HYPE" in captured.err and "no backup was made" in captured.err
    assert not (tmp_path / "copy.sqlite").exists()


def test_without_a_ledger_there_is_nothing_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AI_QUANT_USER_DIR", str(tmp_path))
    assert run(["db", "backup", "--out", str(tmp_path / "copy.sqlite")]) == ExitCode.DATA
    assert "there is no ledger here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
