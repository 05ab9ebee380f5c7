"""Looking at the overrides file on disk: what a look tells, and when it is worth telling."""

import os
from pathlib import Path

import pytest

from application.strategy_manager import Accepted, StrategyManager
from config.overrides_watch import OverridesWatch, wait_at_start_ms
from config.yaml_reader import OverridesParser
from config.yaml_tree import MAX_CHARACTERS
from domain.config_events import OverridesText

TWO = "global: {trade: {leverage_low: 2}}\n"
THREE = "global: {trade: {leverage_low: 3}}\n"

LOOK_EVERY_MS = 400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "o.yaml"
    path.write_text(TWO)
    return path


def told(watch: OverridesWatch, from_ms: int, to_ms: int) -> list[int]:
    """The moments, looked at every 400 ms, at which there was something to tell."""
    return [ms for ms in range(from_ms, to_ms, LOOK_EVERY_MS) if watch.poll(ms) is not None]


def test_a_look_tells_content_and_signature(path: Path) -> None:
    found = OverridesWatch(path, "config/o.yaml").look(77)
    stat = path.stat()
    assert found == OverridesText("config/o.yaml", TWO, "", stat.st_mtime_ns, stat.st_size, stat.st_ino, 77)


def test_a_still_file_is_told_for_a_second_and_then_no_more(path: Path) -> None:
    assert told(OverridesWatch(path, "o.yaml"), 0, 8_000) == [0, 400, 800, 1_200]


def test_an_edit_within_the_clocks_grain_is_seen(path: Path) -> None:
    watch = OverridesWatch(path, "o.yaml")
    told(watch, 0, 4_000)
    stat = path.stat()
    path.write_text(THREE)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert told(watch, 4_000, 8_000) == [4_000, 4_400, 4_800, 5_200]


def test_a_restored_older_file_is_seen(path: Path) -> None:
    watch = OverridesWatch(path, "o.yaml")
    told(watch, 0, 4_000)
    path.write_text(THREE)
    os.utime(path, (1_000, 1_000))
    found = watch.poll(4_000)
    assert found is not None and found.content == THREE and found.mtime_ns == 1_000 * 10**9


def test_a_rewrite_of_the_same_content_is_told(path: Path) -> None:
    watch = OverridesWatch(path, "o.yaml")
    told(watch, 0, 4_000)
    os.utime(path, (1_000, 1_000))
    assert watch.poll(4_000) is not None


def test_a_file_put_in_the_others_place_is_seen(path: Path, tmp_path: Path) -> None:
    watch = OverridesWatch(path, "o.yaml")
    told(watch, 0, 4_000)
    new = tmp_path / "new"
    new.write_text(THREE)
    new.replace(path)
    found = watch.poll(4_000)
    assert found is not None and found.content == THREE


def reason(path: Path) -> str:
    found = OverridesWatch(path, "o.yaml").look(0)
    assert found.content is None
    return found.reason


def test_what_cannot_be_read_is_told_with_its_reason(path: Path, tmp_path: Path) -> None:
    assert reason(tmp_path / "absent") == "there is no such file"
    assert OverridesWatch(tmp_path / "absent", "o.yaml").look(0).is_absent
    assert reason(tmp_path) == "is not a regular file"
    assert reason(path / "below") == "cannot be read: Not a directory"
    path.write_bytes(b"global: \xff")
    assert reason(path) == "is not UTF-8 text (byte 8)"
    path.write_bytes(b"#" * (MAX_CHARACTERS + 1))
    assert reason(path) == "is larger than 256 KiB"


def test_a_pipe_in_the_files_place_does_not_hold_us_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "pipe") == "is not a regular file"


def test_a_link_to_a_file_is_fine(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    assert OverridesWatch(link, "o.yaml").look(0).content == TWO


def test_looking_leaves_no_file_open(path: Path, tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for subject in (path, tmp_path, tmp_path / "absent"):
        OverridesWatch(subject, "o.yaml").look(0)
    after = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    assert after == before


def test_an_edit_is_in_force_within_three_seconds(path: Path) -> None:
    watch = OverridesWatch(path, "o.yaml")
    manager = StrategyManager(OverridesParser(live_layers=False), watch.look(0))
    told(watch, 0, 4_000)
    path.write_text(THREE)
    for ms in range(4_000 + LOOK_EVERY_MS, 8_000, LOOK_EVERY_MS):  # the edit came right after a look
        look = watch.poll(ms)
        if look is not None and isinstance(manager.offer(look), Accepted):
            assert ms - 4_000 < 3_000
            return
    pytest.fail("the edit was never taken")


@pytest.mark.parametrize(
    ("written_ms", "now_ms", "wait_ms"),
    [(10_000, 10_000, 1_000), (10_000, 10_600, 400), (10_000, 11_000, 0), (10_000, 99_000, 0), (10_000, 9_000, 0)],
)
def test_a_start_waits_for_a_file_that_is_being_written(written_ms: int, now_ms: int, wait_ms: int) -> None:
    look = OverridesText("o.yaml", TWO, "", written_ms * 1_000_000, 1, 1, 0)
    assert wait_at_start_ms(look, now_ms) == wait_ms
