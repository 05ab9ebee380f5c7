"""The kill file: what shuts, how far, and that nothing but a proven absence leaves the latch alone."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

import pytest

from adapters.session_files.private_files import replace_file
from application.recorder import Recorder
from config.load import load_configuration
from config.settings import Settings
from domain.events import OperatorSpoke, TimerFired, VenueTime
from domain.operator import OperatorVerb
from entrypoints.control.desk import inbox_of
from entrypoints.control.first_requests import first_requests
from entrypoints.control.kill_file import KillFileWatch, KillOrder, read_kill_file, write_kill_file
from ports.session_log import NoRecord

SOFT, HARD = OperatorVerb.KILL_SOFT, OperatorVerb.KILL_HARD


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("soft\nnews\n", KillOrder(SOFT, "news")),
        ("close_only", KillOrder(SOFT, "")),
        ("hard\nnews", KillOrder(HARD, "news")),
        ("HALT", KillOrder(HARD, "")),
        (" halt_all because\n", KillOrder(HARD, "")),
        ("Full\r\nby hand\r\n", KillOrder(HARD, "by hand")),
        ("", KillOrder(SOFT, "the kill file says ''")),
        ("\nhard\n", KillOrder(SOFT, "the kill file says ''")),
        ("hardly", KillOrder(SOFT, "the kill file says 'hardly'")),
        ("off", KillOrder(SOFT, "the kill file says 'off'")),
        ("hard\n" + "x" * 9_000, KillOrder(HARD, "x" * 500)),
        ("soft\nbell \x07 rings\n", KillOrder(SOFT, "bell   rings")),
    ],
)
def test_the_first_word_says_how_far(tmp_path: Path, text: str, order: KillOrder) -> None:
    path = tmp_path / "d.kill"
    path.write_text(text)
    assert read_kill_file(path) == order


def test_only_a_file_that_is_certainly_not_there_asks_for_nothing(tmp_path: Path) -> None:
    assert read_kill_file(tmp_path / "d.kill") is None
    assert read_kill_file(tmp_path / "no folder" / "d.kill") is None


def test_what_cannot_be_read_shuts(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for name in ("binary", "folder", "link", "loop", "pipe"):
        found = read_kill_file(tmp_path / name)
        assert found is not None, name
        assert found.verb is SOFT, name
        assert "kill file" in found.reason


def test_a_process_without_file_handles_does_not_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", none_left)
    assert read_kill_file(tmp_path / "d.kill") is None


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "d.kill"
    before = os.umask(0)
    try:
        write_kill_file(path, HARD, "the exchange is odd")
    finally:
        os.umask(before)
    assert path.read_text() == "hard\nthe exchange is odd\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_kill_file(path, SOFT, "")
    assert read_kill_file(path) == KillOrder(SOFT, "")
    assert list(path.parent.iterdir()) == [path], "nothing is left beside it"


# ── telling of it ────────────────────────────────────────────────────────────────────────────


def watch(path: Path) -> KillFileWatch:
    numbers = itertools.count()
    return KillFileWatch(path, lambda: f"request-{next(numbers)}")


def told(of: KillFileWatch) -> tuple[OperatorVerb, str, str] | None:
    spoke = of.look()
    return None if spoke is None else (spoke.verb, spoke.source, spoke.reason)


def test_each_content_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "d.kill"
    looking = watch(path)
    assert told(looking) is None
    replace_file(path, b"soft\nwhy\n")
    assert told(looking) == (SOFT, "file", "why")
    assert told(looking) is None
    replace_file(path, b"hard\nwhy\n")
    assert told(looking) == (HARD, "file", "why")
    assert told(looking) is None


def test_its_removal_says_nothing_and_its_return_shuts_again(tmp_path: Path) -> None:
    path = tmp_path / "d.kill"
    looking = watch(path)
    path.write_text("soft")
    first = looking.look()
    path.unlink()
    assert told(looking) is None
    path.write_text("soft")
    again = looking.look()
    assert first is not None
    assert again is not None
    assert first.request_id != again.request_id


# ── at start ─────────────────────────────────────────────────────────────────────────────────


def settings_of(folder: Path, **more: str) -> Settings:
    environ = {"AI_QUANT_USER_DIR": str(folder), **more}
    return load_configuration(environ, root=folder, cwd=folder, seen_ms=0).settings


def test_nothing_is_asked_of_a_plain_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert first_requests(settings, watch(settings.kill_switch_file), lambda: "id") == []


def test_environment_and_file_are_asked_for_at_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, AI_QUANT_KILL_SWITCH="halt", AI_QUANT_ADOPT_POSITIONS="1")
    assert settings.kill_switch_file == tmp_path / "paper-local.kill"
    settings.kill_switch_file.write_text("soft\nI am away\n")
    looking = watch(settings.kill_switch_file)
    asked = first_requests(settings, looking, lambda: "id")
    assert [(each.verb, each.symbol, each.source, each.reason) for each in asked] == [
        (HARD, None, "environment", "AI_QUANT_KILL_SWITCH=halt"),
        (SOFT, None, "file", "I am away"),
        (OperatorVerb.ADOPT, None, "environment", "AI_QUANT_ADOPT_POSITIONS=1"),
    ]
    assert looking.look() is None, "what was told at start is not told again"


@pytest.mark.parametrize(("text", "verb"), [("close_only", SOFT), ("halt", HARD)])
def test_the_switch_shuts_as_far_as_it_says(tmp_path: Path, text: str, verb: OperatorVerb) -> None:
    settings = settings_of(tmp_path, AI_QUANT_KILL_SWITCH=text)
    (asked,) = first_requests(settings, watch(settings.kill_switch_file), lambda: "id")
    assert asked.verb is verb


def test_what_is_asked_at_start_is_heard_before_the_market(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.kill_switch_file.write_text("hard")
    inbox = inbox_of(settings, Recorder(NoRecord()), watch(settings.kill_switch_file))
    inbox.put(VenueTime(1))
    inbox.put(TimerFired())
    first = inbox.take()
    assert isinstance(first, OperatorSpoke)
    assert first.verb is HARD
