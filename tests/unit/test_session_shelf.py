"""All sessions of a folder: what there is, and what goes when they take too much room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.session_files import writer as writer_module
from adapters.session_files.manifest import MANIFEST_NAME
from adapters.session_files.prune import bytes_of, prune, session_folders
from adapters.session_files.reader import SessionReader
from adapters.session_files.shelf import SessionState, sessions_in
from adapters.session_files.writer import SessionLimits
from tests.planting import planted
from tests.session_samples import (
    SMALL,
    AlertsHeard,
    Watch,
    a_flush,
    cut_session,
    drop,
    entries_of,
    frame,
    record,
    whole_session,
    writer,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def aged(folder: Path, order: int) -> Path:
    """As if it had begun long ago; a greater `order` is later."""
    for path in folder.iterdir():
        os.utime(path, (1_000_000 + order, 1_000_000 + order))
    return folder


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    for order, name in enumerate(("c", "a", "b")):
        aged(whole_session(tmp_path / name), order)
    return tmp_path


def names(sessions_dir: Path) -> list[str]:
    return [folder.name for folder in session_folders(sessions_dir)]


def total(sessions_dir: Path) -> int:
    return sum(path.stat().st_size for path in sessions_dir.rglob("*") if path.is_file())


# Looking


def test_sessions_come_oldest_first_by_this_machines_clock(shelf: Path) -> None:
    assert [each.id for each in sessions_in(shelf)] == ["c", "a", "b"]
    assert sessions_in(shelf / "none") == []


def test_the_state_is_told(tmp_path: Path) -> None:
    whole_session(tmp_path / "ended")
    cut_session(tmp_path / "cut")
    running = writer(tmp_path / "running")
    record(running, [a_flush(1)])
    stopped = writer(tmp_path / "stopped", limits=SessionLimits(waiting_bytes=1))
    stopped.put(frame(1))
    stopped.close("done")
    (whole_session(tmp_path / "unreadable") / MANIFEST_NAME).write_text("{")
    (whole_session(tmp_path / "none") / MANIFEST_NAME).unlink()
    states = {each.id: each.state for each in sessions_in(tmp_path)}
    assert states == {
        "ended": SessionState.ENDED,
        "cut": SessionState.CUT_OFF,
        "running": SessionState.RUNNING,
        "stopped": SessionState.STOPPED,
        "unreadable": SessionState.UNREADABLE,
        "none": SessionState.UNREADABLE,
    }
    running.close("done")
    assert {each.id: each.state for each in sessions_in(tmp_path)}["running"] is SessionState.ENDED


def test_what_the_manifest_knows_is_told_without_reading_records(tmp_path: Path) -> None:
    whole_session(tmp_path / "s", previous="r")
    (session,) = sessions_in(tmp_path)
    assert (session.records, session.seq_range, session.bytes) == (4, (1, 3), bytes_of(tmp_path / "s"))
    assert session.manifest is not None and session.manifest.previous == "r"


HOLDS = """
import sys
from pathlib import Path
from tests.session_samples import writer, record, a_flush
log = writer(Path(sys.argv[1]))
record(log, [a_flush(1)])
print("running", flush=True)
sys.stdin.readline()
"""


def test_another_process_that_runs_is_seen_and_its_death_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "s")]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None and process.stdout.readline() == "running\n"
        assert sessions_in(tmp_path)[0].state is SessionState.RUNNING
        assert prune(tmp_path, 0)[0] == []
        process.kill()
    assert sessions_in(tmp_path)[0].state is SessionState.CUT_OFF
    assert [each.id for each in prune(tmp_path, 0)[0]] == ["s"]


# Pruning


def test_the_oldest_go_until_the_rest_fits(shelf: Path) -> None:
    sizes = {each.id: each.bytes for each in sessions_in(shelf)}
    removed, left = prune(shelf, sizes["a"] + sizes["b"])
    assert [(each.id, each.bytes) for each in removed] == [("c", sizes["c"])] and left == sizes["a"] + sizes["b"]
    assert names(shelf) == ["a", "b"] and total(shelf) == left
    removed, left = prune(shelf, 10)
    assert [each.id for each in removed] == ["a", "b"] and left == 0
    assert list(shelf.iterdir()) == []


def test_at_the_cap_nothing_goes(shelf: Path) -> None:
    removed, left = prune(shelf, total(shelf))
    assert removed == [] and left == total(shelf) and names(shelf) == ["c", "a", "b"]


def test_a_dry_run_only_tells(shelf: Path) -> None:
    with_dry = prune(shelf, 0, dry_run=True)
    assert names(shelf) == ["c", "a", "b"]
    assert prune(shelf, 0) == with_dry


def test_what_is_running_stays_and_the_next_one_goes(shelf: Path) -> None:
    log = writer(shelf / "0")
    record(log, [a_flush(1)])
    aged(shelf / "0", -5)
    assert [each.id for each in prune(shelf, 0, dry_run=True)[0]] == ["c", "a", "b"]
    removed, left = prune(shelf, 0)
    assert [each.id for each in removed] == ["c", "a", "b"] and left == bytes_of(shelf / "0") > 0
    record(log, [a_flush(2)])
    log.close("done")
    assert len(entries_of(shelf / "0")) == 6


def test_what_is_being_read_stays(shelf: Path) -> None:
    reading = SessionReader(shelf / "c").records()
    assert next(reading).number == 1
    assert [each.id for each in prune(shelf, 0)[0]] == ["a", "b"]
    assert [each.number for each in reading] == [2, 3, 4]
    assert [each.id for each in prune(shelf, 0)[0]] == ["c"]


def test_reading_does_not_look_like_running(shelf: Path) -> None:
    reading = SessionReader(shelf / "c").records()
    next(reading)
    assert {each.state for each in sessions_in(shelf)} == {SessionState.ENDED}
    reading.close()  # type: ignore[attr-defined]


def test_what_is_not_ours_stays(shelf: Path) -> None:
    (shelf / "notes.txt").write_text("mine")
    (shelf / "pictures").mkdir()
    (shelf / "pictures" / "cat.png").write_text("mine")
    (shelf / "a" / "why-it-broke.md").write_text("mine")
    (shelf / "link").symlink_to(shelf / "b")
    removed, left = prune(shelf, 0)
    assert sorted(each.id for each in removed) == ["a", "b", "c"] and left == 0
    assert sorted(str(path.relative_to(shelf)) for path in shelf.rglob("*") if path.is_file()) == [
        "a/why-it-broke.md",
        "notes.txt",
        "pictures/cat.png",
    ]


def test_a_pruning_that_was_interrupted_is_finished_by_the_next(shelf: Path) -> None:
    (shelf / "c" / "000001.jsonl.zst").unlink()
    assert [each.id for each in prune(shelf, bytes_of(shelf / "a") + bytes_of(shelf / "b"))[0]] == ["c"]


def test_until_the_end_of_its_pruning_a_session_has_its_manifest(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def dying(self: Path, missing_ok: bool = False) -> None:
        if len(list(self.parent.iterdir())) == 2:
            raise OSError(5, "Input/output error")
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", dying)
        assert prune(shelf, 0)[0] == []
    assert sorted(path.name for path in (shelf / "c").iterdir()) == [".lock", MANIFEST_NAME]
    assert len(prune(shelf, 0)[0]) == 3


def test_a_folder_that_cannot_be_removed_is_passed_over(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refusing(self: Path, missing_ok: bool = False) -> None:
        if self.parent.name == "c":
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    removed, left = prune(shelf, 0)
    assert [each.id for each in removed] == ["a", "b"] and left == bytes_of(shelf / "c")


# The cap while recording

CAP = 60_000
SEGMENT = SessionLimits(segment_bytes=10_000, cap_bytes=CAP)


def noisy(number: int) -> list[tuple[object, ...]]:
    return [frame(number, os.urandom(500).hex())]


def test_a_new_session_makes_room_by_removing_old_ones(shelf: Path) -> None:
    log = writer(shelf / "new", limits=SessionLimits(cap_bytes=bytes_of(shelf / "b") + 1_000))
    assert names(shelf) == ["b", "new"]
    log.close("done")


def test_a_session_of_months_stays_under_the_cap(tmp_path: Path) -> None:
    watch = Watch()
    log = writer(tmp_path / "s", limits=SEGMENT, watch=watch)
    most = 0
    for number in range(600):
        record(log, [noisy(number)])
        watch.now_ms += 3_600_000
        most = max(most, total(tmp_path))
    assert most <= CAP
    log.close("done")
    reader = SessionReader(tmp_path / "s")
    manifest = reader.manifest
    assert manifest.pruned > 100 and len(manifest.segments) < 200
    read = list(reader.records())
    assert read[0].number == manifest.pruned_last + 1 and read[-1].number == 600
    assert read[-1].entries[0][1] == 599
    assert len(read) > 40


def test_that_test_notices_a_cap_that_nobody_keeps(tmp_path: Path) -> None:
    with planted(writer_module.SessionWriter, "_keep_the_cap", lambda self: None):
        log = writer(tmp_path / "s", limits=SEGMENT)
        record(log, (noisy(number) for number in range(600)))
    assert total(tmp_path) > CAP
    log.close("done")


def test_older_sessions_go_before_the_own_ones_start(shelf: Path) -> None:
    room = total(shelf) + 15_000
    log = writer(shelf / "new", limits=SessionLimits(segment_bytes=10_000, cap_bytes=room))
    for number in range(60):
        record(log, [noisy(number)])
        assert names(shelf)[-1] == "new"
        if log.manifest.pruned:
            assert names(shelf) == ["new"], "not before the others went"
    assert log.manifest.pruned > 0
    log.close("done")


def test_a_crash_between_the_manifest_and_the_files_leaves_a_sound_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = writer(tmp_path / "s", limits=SEGMENT)
    with monkeypatch.context() as crashing:
        crashing.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        for number in range(300):
            record(log, [noisy(number)])
    drop(log)
    reader = SessionReader(tmp_path / "s")
    assert reader.manifest.pruned > 0 and (tmp_path / "s" / "000001.jsonl.zst").exists()
    assert [each.number for each in reader.records()] == list(range(reader.manifest.pruned_last + 1, 301))


def test_two_sessions_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    alerts = AlertsHeard()
    one, two = (writer(tmp_path / name, limits=SEGMENT, alerts=alerts) for name in ("one", "two"))
    for number in range(150):
        record(one, [noisy(number)])
        record(two, [noisy(number)])
    one.close("done")
    two.close("done")
    for name in ("one", "two"):
        assert list(SessionReader(tmp_path / name).records())[-1].entries[0][1] == 149
    assert alerts.sent == [] and total(tmp_path) < 2 * CAP


def test_a_segment_of_every_record_is_pruned_too(tmp_path: Path) -> None:
    limits = SessionLimits(segment_bytes=SMALL.segment_bytes, cap_bytes=0)
    log = writer(tmp_path / "s", limits=limits)
    record(log, (a_flush(seq) for seq in range(1, 10)))
    log.close("done")
    reader = SessionReader(tmp_path / "s")
    assert [each.number for each in reader.records()] == [9] and reader.manifest.pruned_last == 8
