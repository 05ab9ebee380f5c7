"""Recorded sessions on disk: their format, what survives a kill, and a disk that refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from hashlib import blake2b
from pathlib import Path

import pytest

from adapters.session_files import segment_writer
from adapters.session_files import writer as writer_module
from adapters.session_files.manifest import MANIFEST_NAME, Ended, segment_name, segment_number
from adapters.session_files.reader import SessionReader
from adapters.session_files.writer import SessionLimits
from adapters.session_files.zstd import ZstdDecompressor
from ports.session_log import Entry, SessionLog, Tag
from tests.planting import planted
from tests.session_samples import (
    BEGAN_MS,
    SMALL,
    AlertsHeard,
    Watch,
    a_flush,
    drop,
    entries_of,
    frame,
    lines_of,
    record,
    taken,
    whole_session,
    writer,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def chain_by_hand(lines: list[bytes], before: str = "") -> str:
    """The rule of the format, written a second time."""
    for line in lines:
        body, _, rest = line.rpartition(b',"h":')
        before = blake2b(before.encode() + body, digest_size=16).hexdigest()
        assert rest == f'"{before}"}}'.encode()
    return before


def test_what_was_put_is_read_back_in_order(tmp_path: Path) -> None:
    log: SessionLog = writer(tmp_path / "s")
    put: list[Entry] = [
        frame(1, '{"coin":"kPEPE","px":"0.0000123"}'),
        frame(2, 'quotes " \\ and \u00fc\u20ac\U0001f600 and \n'),
        (Tag.EVENT, 1, BEGAN_MS, "Timer", {"a": [1, None, True, 1.5], "b": "x"}),
        (Tag.STEP, 1, [], []),
    ]
    for entry in put:
        log.put(entry)
    log.close("done")
    read = entries_of(tmp_path / "s")
    assert read == put


def test_the_format_is_the_documented_one(tmp_path: Path) -> None:
    folder = whole_session(tmp_path / "s", flushes=2)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [".lock", "000001.jsonl.zst", "000002.jsonl.zst", "000003.jsonl.zst", "manifest.json"]
    chain = ""
    number = 0
    for name in names[1:4]:
        lines = lines_of(folder / name)
        chain = chain_by_hand(lines, chain)
        for line in lines:
            number += 1
            assert line.startswith(b'{"n":%d,"e":[[' % number)
            assert json.loads(line)["n"] == number
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    assert manifest["format"] == 1 and manifest["session"] == "s" and manifest["previous"] is None
    assert [each["name"] for each in manifest["segments"]] == names[1:4]
    assert [(each["first"], each["last"]) for each in manifest["segments"]] == [(1, 1), (2, 2), (3, 3)]
    assert [(each["first_seq"], each["last_seq"]) for each in manifest["segments"]] == [(1, 1), (2, 2), (None, None)]
    for each in manifest["segments"]:
        content = (folder / each["name"]).read_bytes()
        assert each["bytes"] == len(content)
        assert each["hash"] == blake2b(content, digest_size=16).hexdigest()
    assert manifest["ended"] == {"reason": "stopped", "at_ms": BEGAN_MS, "seq": 2, "digest": "d1"}


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = whole_session(tmp_path / "above" / "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_large_flush_becomes_records_of_about_a_mebibyte(tmp_path: Path) -> None:
    log = writer(tmp_path / "s")
    record(log, [[frame(number, "x" * 100_000) for number in range(25)]])
    log.put(frame(99, "y" * 3_000_000))  # larger than a record may be: alone in one
    log.close("done")
    sizes = [len(line) for line in lines_of(tmp_path / "s" / "000001.jsonl.zst")]
    assert len(sizes) == 4
    assert max(sizes[:3]) <= (1 << 20) + 100 and sizes[3] > 3_000_000
    assert [entry[1] for entry in entries_of(tmp_path / "s")] == [*range(25), 99]


def test_a_new_segment_begins_after_so_many_bytes(tmp_path: Path) -> None:
    log = writer(tmp_path / "s", limits=SessionLimits(segment_bytes=5_000))
    record(log, ([frame(number, "x" * 1_000)] for number in range(20)))
    log.close("done")
    segments = SessionReader(tmp_path / "s").manifest.segments
    assert [(each.first, each.last) for each in segments] == [(1, 5), (6, 10), (11, 15), (16, 20)]
    assert len(entries_of(tmp_path / "s")) == 20


def test_a_new_segment_begins_after_so_much_time(tmp_path: Path) -> None:
    watch = Watch()
    log = writer(tmp_path / "s", limits=SessionLimits(segment_ms=60_000), watch=watch)
    for number in range(6):
        record(log, [a_flush(number + 1)])
        watch.now_ms += 30_000
    log.close("done")
    segments = SessionReader(tmp_path / "s").manifest.segments
    assert [(each.first, each.last) for each in segments] == [(1, 2), (3, 4), (5, 6)]
    assert [(each.first_seq, each.last_seq) for each in segments] == [(1, 2), (3, 4), (5, 6)]


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    log = writer(tmp_path / "s")
    for _ in range(3):
        log.flush()
    log.close("done")
    log.close("again")
    reader = SessionReader(tmp_path / "s")
    assert list(reader.records()) == [] and reader.tail is None
    assert reader.manifest.ended == Ended("done", BEGAN_MS, None, None)


def test_what_is_put_after_the_end_is_dropped(tmp_path: Path) -> None:
    log = writer(tmp_path / "s")
    record(log, [[frame(1)]])
    log.close("done")
    log.put(frame(2))
    log.flush()
    assert log.waiting == 0 and not log.recording
    assert len(entries_of(tmp_path / "s")) == 1


def test_without_an_end_entry_the_last_event_counts(tmp_path: Path) -> None:
    log = writer(tmp_path / "s")
    record(log, [[taken(4), frame(9)]])
    log.close("crashed")
    assert SessionReader(tmp_path / "s").manifest.ended == Ended("crashed", BEGAN_MS, 4, None)


def test_what_was_flushed_is_visible_at_once(tmp_path: Path) -> None:
    log = writer(tmp_path / "s")
    for seq in range(1, 4):
        record(log, [a_flush(seq)])
        reader = SessionReader(tmp_path / "s")
        assert [each.number for each in reader.records()] == list(range(1, seq + 1))
        assert reader.last_seq == seq and reader.tail is not None
    drop(log)


def test_one_flush_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = os.write

    def heard(handle: int, data: bytes) -> int:
        writes.append(len(data))
        return real(handle, data)

    log = writer(tmp_path / "s")
    record(log, [[frame(0)]])
    monkeypatch.setattr(os, "write", heard)
    record(log, [[frame(number, os.urandom(50_000).hex()) for number in range(30)]])
    assert len(writes) == 1
    log.close("done")
    assert len(entries_of(tmp_path / "s")) == 31


def test_a_write_that_takes_a_part_goes_on_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[: max(1, len(data) // 3)])))
    folder = whole_session(tmp_path / "s")
    monkeypatch.undo()
    assert len(entries_of(folder)) == 10


KILLED = """
import os, sys, signal
from pathlib import Path
from tests.session_samples import writer, record, a_flush, frame
from adapters.session_files.writer import SessionLimits
log = writer(Path(sys.argv[1]), limits=SessionLimits(segment_bytes=int(sys.argv[2])))
record(log, (a_flush(seq) for seq in range(1, 51)))
log.put(frame(999))
print("flushed", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run_python(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", text, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("segment_bytes", [1 << 20, 700])
def test_what_was_flushed_outlives_kill_9(tmp_path: Path, segment_bytes: int) -> None:
    ran = run_python(KILLED, str(tmp_path / "s"), str(segment_bytes))
    assert ran.returncode == -signal.SIGKILL and ran.stdout == "flushed\n", ran.stderr
    reader = SessionReader(tmp_path / "s")
    read = [entry for each in reader.records() for entry in each.entries]
    assert [entry for entry in read if entry[0] == Tag.TAKEN] == [taken(seq) for seq in range(1, 51)]
    assert frame(999) not in read
    assert reader.manifest.ended is None and reader.tail is not None and "never closed" in reader.tail


def test_that_test_notices_what_is_kept_back(tmp_path: Path) -> None:
    """The compressor keeps up to a block in memory if nobody asks for it."""

    log = writer(tmp_path / "s")

    def kept_back(self: segment_writer.SegmentWriter) -> None:
        self._write(b"")

    with planted(segment_writer.SegmentWriter, "push", kept_back):
        record(log, [a_flush(1)])
    assert list(SessionReader(tmp_path / "s").records()) == []
    drop(log)


FULL = """
import resource, sys
from pathlib import Path
from tests.session_samples import AlertsHeard, writer, record, a_flush
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
alerts = AlertsHeard()
log = writer(Path(sys.argv[1]), alerts=alerts)
for seq in range(1, 2_000):
    record(log, [a_flush(seq)])
log.close("done")
assert not log.recording and log.waiting == 0
(code, text), = alerts.sent
print(code, text)
"""


def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    ran = run_python(FULL, str(tmp_path / "s"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("recording_stopped recording of session s has stopped: File too large")
    reader = SessionReader(tmp_path / "s")
    assert [each.number for each in reader.records()] == list(range(1, (reader.last_seq or 0) + 1))
    assert (reader.last_seq or 0) > 10
    assert reader.manifest.ended is None
    assert reader.manifest.stopped is not None and "File too large" in reader.manifest.stopped


def failing(*_: object) -> int:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_whichever_call_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    alerts = AlertsHeard()
    log = writer(tmp_path / "s", alerts=alerts, limits=SMALL)
    record(log, [a_flush(1)])
    with monkeypatch.context() as broken:
        broken.setattr(os, call, failing)
        record(log, [a_flush(2)])
        record(log, [a_flush(3)])
    assert [code for code, _ in alerts.sent] == ["recording_stopped"]
    assert "No space left" in alerts.sent[0][1]
    record(log, [a_flush(4)])
    log.close("done")
    reader = SessionReader(tmp_path / "s")
    assert [each.number for each in reader.records()] == [1]
    assert reader.manifest.ended is None
    assert len(alerts.sent) == 1


def test_half_a_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes what still fits and refuses the rest."""
    log = writer(tmp_path / "s")
    record(log, [a_flush(1)])
    segment = tmp_path / "s" / "000001.jsonl.zst"
    size, real = segment.stat().st_size, os.write
    answers = [lambda handle, data: real(handle, bytes(data[:20])), failing]
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", lambda handle, data: (answers.pop(0) if answers else failing)(handle, data))
        record(log, [a_flush(2)])
    assert segment.stat().st_size == size
    assert entries_of(tmp_path / "s") == a_flush(1)


@pytest.mark.parametrize("call", ["write", "fsync", "open", "mkdir"])
def test_a_disk_that_refuses_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    alerts = AlertsHeard()
    with monkeypatch.context() as broken:
        broken.setattr(os, call, failing)
        log = writer(tmp_path / "s", alerts=alerts)
        record(log, [a_flush(1)])
        log.close("done")
    assert [code for code, _ in alerts.sent] == ["recording_stopped"] and not log.recording


def test_another_session_of_that_name_is_left_alone(tmp_path: Path) -> None:
    folder = whole_session(tmp_path / "s")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    alerts = AlertsHeard()
    log = writer(folder, alerts=alerts)
    record(log, [a_flush(1)])
    log.close("done")
    assert [code for code, _ in alerts.sent] == ["recording_stopped"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_memory_that_nobody_writes_out_has_a_limit(tmp_path: Path) -> None:
    alerts = AlertsHeard()
    log = writer(tmp_path / "s", alerts=alerts, limits=SessionLimits(waiting_bytes=100_000))
    for number in range(1_000):
        log.put(frame(number, "x" * 700))
    assert 90 < log.waiting < 110
    assert [code for code, _ in alerts.sent] == ["recording_stopped"]
    log.flush()
    reader = SessionReader(tmp_path / "s")
    read = [entry for each in reader.records() for entry in each.entries]
    assert [entry[1] for entry in read] == list(range(len(read))) and len(read) > 90, "what was put before is kept"
    assert reader.manifest.stopped is not None and "memory" in reader.manifest.stopped
    assert len(alerts.sent) == 1


def test_the_limit_is_on_what_waits_not_on_all(tmp_path: Path) -> None:
    log = writer(tmp_path / "s", limits=SessionLimits(waiting_bytes=100_000))
    record(log, ([frame(number, "x" * 700) for number in range(50)] for _ in range(20)))
    assert log.recording
    log.close("done")


def test_an_entry_that_cannot_be_written_ends_the_recording_behind_those_before(tmp_path: Path) -> None:
    alerts = AlertsHeard()
    log = writer(tmp_path / "s", alerts=alerts)
    record(log, [[frame(1), frame(2), (Tag.EVENT, 1, BEGAN_MS, "Odd", object()), frame(3)]])
    log.put(frame(4))
    log.close("done")
    assert [code for code, _ in alerts.sent] == ["recording_stopped"] and "cannot be written" in alerts.sent[0][1]
    assert entries_of(tmp_path / "s") == [frame(1), frame(2)]


def test_values_are_encoded_when_they_are_flushed(tmp_path: Path) -> None:
    encoded: list[Entry] = []

    def encode(entry: Entry) -> list[object]:
        encoded.append(entry)
        return [*entry[:4], str(entry[4])]

    log = writer(tmp_path / "s", encode=encode)
    log.put((Tag.EVENT, 1, BEGAN_MS, "Number", 12))
    assert encoded == []
    log.close("done")
    assert entries_of(tmp_path / "s") == [(Tag.EVENT, 1, BEGAN_MS, "Number", "12")]


def hammer(log: SessionLog, entries: int) -> None:
    """One thread puts as fast as it can, two flush."""
    done = threading.Event()

    def flushing() -> None:
        while not done.is_set():
            log.flush()

    threads = [threading.Thread(target=flushing) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(entries):
        log.put(frame(number, "x"))
    done.set()
    for thread in threads:
        thread.join()
    log.close("done")


def test_two_flushing_threads_lose_and_mix_nothing(tmp_path: Path) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        hammer(writer(tmp_path / "s", limits=SessionLimits(segment_bytes=100_000)), 20_000)
    finally:
        sys.setswitchinterval(before)
    assert [entry[1] for entry in entries_of(tmp_path / "s")] == list(range(20_000))


def flushed_while_another_flushes(folder: Path) -> list[Entry]:
    """The first flush stands in the middle of its work when the second one comes."""
    begun, go_on = threading.Event(), threading.Event()

    def encode(entry: Entry) -> Entry:
        if entry == frame(1):
            begun.set()
            go_on.wait(10)
        return entry

    log = writer(folder, encode=encode)
    first, second = (threading.Thread(target=log.flush) for _ in range(2))
    log.put(frame(1))
    first.start()
    begun.wait(10)
    log.put(frame(2))
    second.start()
    second.join(0.2)
    go_on.set()
    first.join()
    second.join()
    log.close("done")
    return entries_of(folder)


def test_a_flush_waits_for_another(tmp_path: Path) -> None:
    assert flushed_while_another_flushes(tmp_path / "s") == [frame(1), frame(2)]


def test_that_test_notices_a_missing_lock(tmp_path: Path) -> None:
    class NoLock:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    with planted(writer_module, "Lock", NoLock):
        assert flushed_while_another_flushes(tmp_path / "s") == [frame(2), frame(1)]


def test_the_same_entries_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = whole_session(tmp_path / "1" / "s"), whole_session(tmp_path / "2" / "s")
    names = [path.name for path in one.iterdir() if path.name != ".lock"]
    assert {name: (one / name).read_bytes() for name in names} == {name: (two / name).read_bytes() for name in names}


def test_a_closed_segment_is_a_whole_frame_with_a_checksum(tmp_path: Path) -> None:
    folder = whole_session(tmp_path / "s", flushes=1)
    content = (folder / "000001.jsonl.zst").read_bytes()
    zstd = ZstdDecompressor()
    zstd.decompress(content)
    assert zstd.eof and zstd.unused_data == b""
    assert content[4] & 4, "the checksum's flag in the frame's header"


def test_the_manifest_goes_to_the_disk_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def heard_fsync(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        calls.append(f"fsync {name}")
        fsync(handle)

    def heard_replace(self: Path, target: Path) -> Path:
        calls.append(f"replace {target.name}")
        return replace(self, target)

    log = writer(tmp_path / "s")
    record(log, [a_flush(1)])
    monkeypatch.setattr(os, "fsync", heard_fsync)
    monkeypatch.setattr(Path, "replace", heard_replace)
    log.close("done")
    one = ["fsync .manifest.json.new", "replace manifest.json", "fsync s"]
    assert calls == ["fsync 000001.jsonl.zst", "fsync s", *one, *one]


def test_flush_syncs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = writer(tmp_path / "s")
    record(log, [a_flush(1)])
    monkeypatch.setattr(os, "fsync", failing)
    record(log, [a_flush(2)])
    monkeypatch.undo()
    assert log.recording
    drop(log)


def test_after_the_end_nothing_piles_up(tmp_path: Path) -> None:
    log = writer(tmp_path / "s")
    log.close("done")
    for number in range(1_000):
        log.put(frame(number))
    assert log.waiting == 0


def test_a_session_of_months_has_a_name_for_every_segment() -> None:
    for number in (1, 999_999, 1_000_000, 12_345_678):
        assert segment_number(segment_name(number)) == number
    assert all(segment_number(name) is None for name in ("1.jsonl.zst", "000001.jsonl.zst.new", "manifest.json"))
    assert re.fullmatch(r"\d{6}\.jsonl\.zst", segment_name(1))
