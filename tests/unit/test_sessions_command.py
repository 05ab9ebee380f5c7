"""`./aiq sessions`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.session_files.manifest import MANIFEST_NAME
from entrypoints.cli import run
from entrypoints.exit_codes import ExitCode
from entrypoints.sessions.choose import choose_session
from ports.session_errors import SessionNotFound
from tests.session_samples import BEGAN_MS, a_flush, cut_session, drop, record, whole_session, writer


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sessions"
    monkeypatch.setenv("AI_QUANT_SESSIONS_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    whole_session(folder / "one", versions={"ai-quant": "0.1"}, settings={"AI_QUANT_MODE": "paper"})
    cut_session(folder / "two")
    return folder


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    def tell(*arguments: str, code: ExitCode = ExitCode.DONE) -> str:
        assert run(["sessions", *arguments]) == code
        captured = capsys.readouterr()
        return captured.out if code is ExitCode.DONE else captured.out + captured.err

    return tell


def test_list_shows_every_session_with_its_state(shelf: Path, told: Any) -> None:
    lines = told("list").splitlines()
    assert len(lines) == 4 and "2 sessions" in lines[-1]
    assert "one" in lines[1] and "ended" in lines[1] and "1 to 3" in lines[1] and "2023-11-14" in lines[1]
    assert "two" in lines[2] and "cut off" in lines[2]
    listed = json.loads(told("list", "--json"))
    assert [(each["session"], each["state"], each["last_seq"]) for each in listed] == [
        ("one", "ended", 3),
        ("two", "cut off", None),
    ]


def test_list_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Any) -> None:
    monkeypatch.setenv("AI_QUANT_SESSIONS_DIR", str(tmp_path / "none"))
    assert "no sessions" in told("list")
    assert json.loads(told("list", "--json")) == []
    assert "no session is recorded here" in told("show", "latest", code=ExitCode.DATA)


def test_list_tells_of_a_manifest_that_cannot_be_read(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shelf / "one" / MANIFEST_NAME).write_text("{")
    assert run(["sessions", "list"]) == ExitCode.DONE
    captured = capsys.readouterr()
    assert "unreadable" in captured.out and "manifest cannot be read" in captured.err


def test_show_counts_what_is_in_it(shelf: Path, told: Any) -> None:
    text = told("show", "one")
    for part in ("AI_QUANT_MODE=paper", "ai-quant 0.1", "digest d1", "000002.jsonl.zst", "seq 1 to 3", "4 records"):
        assert part in text
    shown = json.loads(told("show", "one", "--json"))
    assert shown["by_tag"] == {"f": 3, "t": 3, "x": 3, "z": 1} and shown["entries"] == 10
    assert (shown["first_ms"], shown["last_ms"]) == (BEGAN_MS + 1, BEGAN_MS + 3)
    assert shown["manifest"]["ended"]["reason"] == "stopped" and shown["sound"]


def test_verify_finds_sound_sessions_sound(shelf: Path, told: Any) -> None:
    assert told("verify", "one").splitlines()[-1] == "sound"
    text = told("verify", "latest")
    assert "two" in text and "never closed" in text and text.splitlines()[-1] == "sound"


def test_verify_names_the_damage_and_ends_with_8(shelf: Path, told: Any) -> None:
    segment = shelf / "one" / "000002.jsonl.zst"
    segment.write_bytes(segment.read_bytes()[:-3])
    text = told("verify", "one", code=ExitCode.DATA)
    assert "not sound" in text and "000002.jsonl.zst" in text and "sound up to seq" in text
    found = json.loads(told("verify", "one", "--json", code=ExitCode.DATA).partition("\n}")[0] + "}")
    assert not found["sound"] and found["records"] in (1, 2) and "000002" in found["damage"]
    assert "000002" in told("show", "one", code=ExitCode.DATA)


def test_verify_of_a_session_without_a_manifest(shelf: Path, told: Any) -> None:
    (shelf / "one" / MANIFEST_NAME).unlink()
    text = told("verify", "one", code=ExitCode.DATA)
    assert "manifest is missing" in text and "4 records" in text


def test_prune_removes_the_oldest(shelf: Path, told: Any) -> None:
    assert "would remove one" in told("prune", "--cap-gb", "0.0000012", "--dry-run")
    assert (shelf / "one").exists()
    assert "removed one" in told("prune", "--cap-gb", "0.0000012")
    assert not (shelf / "one").exists() and (shelf / "two").exists()
    assert json.loads(told("prune", "--json"))["removed"] == []


def test_prune_says_why_something_stays(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = writer(shelf / "three")
    record(log, [a_flush(1)])
    assert run(["sessions", "prune", "--cap-gb", "0"]) == ExitCode.DONE
    captured = capsys.readouterr()
    assert "removed two" in captured.out and "being recorded" in captured.err
    assert (shelf / "three").exists()
    drop(log)


@pytest.mark.parametrize("cap", ["x", "-1", "nan", "inf"])
def test_prune_refuses_what_is_no_amount(shelf: Path, told: Any, cap: str) -> None:
    assert "number of GB" in told("prune", "--cap-gb", cap, code=ExitCode.USAGE)


def test_export_writes_a_bundle_that_every_command_opens(shelf: Path, told: Any, tmp_path: Path) -> None:
    told("export", "one", "--out", "one.tar")
    assert told("verify", str(tmp_path / "one.tar")).splitlines()[-1] == "sound"
    assert "there already" in told("export", "one", "--out", "one.tar", code=ExitCode.DATA)


def test_what_cannot_be_replayed_is_only_exported_as_it_is(shelf: Path, told: Any, tmp_path: Path) -> None:
    for how in ("--hash-addresses", "--market-only"):
        text = told("export", "one", "--out", "other.tar", how, code=ExitCode.DATA)
        assert "its setup cannot be read" in text and "only be exported as it is" in text
        assert not (tmp_path / "other.tar").exists()
    both = told("export", "one", "--out", "x.tar", "--hash-addresses", "--market-only", code=ExitCode.USAGE)
    assert "name one of the two" in both


def test_a_session_is_named_by_id_path_or_latest(shelf: Path, tmp_path: Path) -> None:
    assert choose_session("one", shelf) == shelf / "one"
    assert choose_session("latest", shelf) == shelf / "two"
    assert choose_session(str(shelf / "one"), tmp_path / "none") == shelf / "one"
    with pytest.raises(SessionNotFound, match=r"did you mean 'one'\?.*sessions list"):
        choose_session("onee", shelf)


def test_a_session_that_is_not_there_ends_with_8(shelf: Path, told: Any) -> None:
    for verb in (("show", "x"), ("verify", "x"), ("export", "x", "--out", "y.tar")):
        assert "neither a session" in told(*verb, code=ExitCode.DATA)


def test_the_verb_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == ExitCode.DONE
    assert "Recorded sessions: list, show, verify, prune, export" in capsys.readouterr().out
