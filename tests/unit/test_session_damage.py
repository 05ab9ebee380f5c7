"""Recorded sessions that are not as they were written: what is sound is read, what is not is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.session_files import reader as reader_module
from adapters.session_files.manifest import FORMAT, MANIFEST_NAME
from adapters.session_files.reader import SessionReader
from adapters.session_files.records import chained
from adapters.session_files.zstd import ZstdCompressor, compressor
from ports.session_errors import SessionDamaged, SessionNotFound, SessionTooNew
from tests.planting import planted
from tests.session_samples import (
    a_flush,
    cut_session,
    drop,
    entries_of,
    frame,
    lines_of,
    record,
    whole_session,
    writer,
)

SECOND = "000002.jsonl.zst"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four segments of one record each, ended in order; the first three have one event each."""
    return whole_session(tmp_path / "s")


def damage_in(path: Path, **how: Any) -> SessionDamaged:
    with pytest.raises(SessionDamaged) as caught:
        entries_of(path, **how)
    return caught.value


def salvaged(path: Path) -> tuple[list[int], SessionDamaged | None]:
    reader = SessionReader(path, salvage=True)
    return [each.number for each in reader.records(salvage=True)], reader.damage


def rewritten(folder: Path, name: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change a segment's lines as somebody with the zstd tool would."""
    lines = change(lines_of(folder / name))
    zstd = compressor()
    text = b"".join(line + b"\n" for line in lines)
    (folder / name).write_bytes(zstd.compress(text) + zstd.flush(mode=ZstdCompressor.FLUSH_FRAME))


# A session that nobody ended


def test_truncated_at_every_byte_what_is_whole_is_read(tmp_path: Path) -> None:
    folder = cut_session(tmp_path / "s", flushes=4)
    segment = folder / "000001.jsonl.zst"
    content, whole = segment.read_bytes(), entries_of(folder)
    counts = []
    for length in range(len(content) + 1):
        segment.write_bytes(content[:length])
        reader = SessionReader(folder)
        read = [entry for each in reader.records() for entry in each.entries]
        assert read == whole[: len(read)]
        assert reader.damage is None and reader.tail is not None and "000001" in reader.tail
        counts.append(len(read))
    assert counts == sorted(counts) and set(counts) == {0, 3, 6, 9, 12}


def test_a_torn_record_is_told_of(tmp_path: Path) -> None:
    """A record larger than a block of zstd: its first blocks can be read, the record cannot."""
    log = writer(tmp_path / "s")
    record(log, [[frame(1)], [frame(2, "".join(chr(200 + number % 50_000) for number in range(300_000)))]])
    drop(log)
    segment = tmp_path / "s" / "000001.jsonl.zst"
    segment.write_bytes(segment.read_bytes()[:-1_000])
    reader = SessionReader(tmp_path / "s")
    assert [each.number for each in reader.records()] == [1]
    assert reader.tail is not None and "torn record" in reader.tail


def test_everything_before_the_damage_is_had(tmp_path: Path) -> None:
    """Many records in one segment: no more than the one that is hit is lost."""
    folder = cut_session(tmp_path / "s", flushes=60)
    segment = folder / "000001.jsonl.zst"
    content = segment.read_bytes()
    sound = []
    """By place of a byte: records that are whole before it."""
    for length in range(len(content)):
        segment.write_bytes(content[:length])
        sound.append(len(list(SessionReader(folder).records())))
    for place in range(20, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        segment.write_bytes(flipped)
        assert len(salvaged(folder)[0]) == sound[place]


@pytest.mark.parametrize("lost", [600, 2_000])
def test_blocks_that_a_power_cut_left_empty_are_a_missing_end(tmp_path: Path, lost: int) -> None:
    folder = cut_session(tmp_path / "s", flushes=200)
    segment = folder / "000001.jsonl.zst"
    content = segment.read_bytes()
    segment.write_bytes(content[:-lost] + bytes(lost))
    reader = SessionReader(folder)
    read = [each.number for each in reader.records()]
    assert 0 < len(read) < 200 and read == list(range(1, len(read) + 1))
    assert reader.tail is not None


def test_a_flipped_byte_in_what_was_never_closed_gives_no_wrong_record(tmp_path: Path) -> None:
    folder = cut_session(tmp_path / "s", flushes=3)
    segment = folder / "000001.jsonl.zst"
    content, whole = segment.read_bytes(), entries_of(folder)
    named = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        segment.write_bytes(flipped)
        reader = SessionReader(folder)
        read = [entry for each in reader.records(salvage=True) for entry in each.entries]
        assert read == whole[: len(read)]
        assert len(read) < len(whole) or reader.tail or reader.damage
        named += reader.damage is not None
    assert named > len(content) // 2


# A session that ended in order


def test_truncated_at_every_byte_an_ended_session_is_damaged(folder: Path) -> None:
    segment = folder / SECOND
    content = segment.read_bytes()
    for length in range(len(content)):
        segment.write_bytes(content[:length])
        error = damage_in(folder)
        assert SECOND in error.file and error.record in (2, 3) and "sound up to seq" in str(error)
        assert "the segment has seq 2 to 2" in str(error)
        numbers, damage = salvaged(folder)
        assert numbers in ([1], [1, 2]) and damage is not None


def test_every_flipped_byte_is_found_and_named(folder: Path) -> None:
    for name in sorted(path.name for path in folder.glob("*.zst")):
        segment = folder / name
        number = int(name[:6])
        content = segment.read_bytes()
        for place in range(len(content)):
            for bit in (0x01, 0x80):
                flipped = bytearray(content)
                flipped[place] ^= bit
                segment.write_bytes(flipped)
                error = damage_in(folder)
                assert name in error.file and error.record in (number, number + 1), (place, bit)
                numbers, damage = salvaged(folder)
                assert damage is not None and numbers == list(range(1, error.record or 0))
        segment.write_bytes(content)
    assert len(entries_of(folder)) == 10


def test_that_test_notices_when_nobody_checks(folder: Path) -> None:
    """With neither hash, some flips go through as if nothing were."""
    content = (folder / SECOND).read_bytes()
    seen = 0
    with (
        planted(reader_module, "checked_hash", lambda previous, line: ""),
        planted(SessionReader, "_check_end", lambda *_: None),
    ):
        for place in range(len(content)):
            flipped = bytearray(content)
            flipped[place] ^= 0x01
            (folder / SECOND).write_bytes(flipped)
            try:
                entries_of(folder)
            except SessionDamaged:
                seen += 1
    assert seen < len(content)


def test_a_missing_segment_in_the_middle_is_named(folder: Path) -> None:
    (folder / SECOND).unlink()
    error = damage_in(folder)
    assert error.file.endswith(SECOND) and error.record == 2 and error.seq == 1
    assert "missing" in str(error) and "seq 2 to 2" in str(error) and "--salvage" in str(error)
    assert salvaged(folder)[0] == [1]


@pytest.mark.parametrize("name", ["000001.jsonl.zst", "000004.jsonl.zst"])
def test_a_missing_first_or_last_segment_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    error = damage_in(folder)
    assert name in error.file and error.record == int(name[:6])


def test_segments_that_changed_places_are_named(folder: Path) -> None:
    second, third = folder / SECOND, folder / "000003.jsonl.zst"
    content = second.read_bytes()
    second.write_bytes(third.read_bytes())
    third.write_bytes(content)
    assert damage_in(folder).record == 2
    assert "records are missing" in str(damage_in(folder, check_hashes=False))


def test_a_segment_of_another_session_is_named(folder: Path, tmp_path: Path) -> None:
    other = cut_session(tmp_path / "t")
    shutil.copy(other / "000001.jsonl.zst", folder / "000005.jsonl.zst")
    error = damage_in(folder)
    assert "000005" in error.file and "does not know" in str(error)
    assert salvaged(folder)[0] == [1, 2, 3, 4]


def test_what_stands_behind_a_segments_end_is_named(folder: Path) -> None:
    segment = folder / SECOND
    segment.write_bytes(segment.read_bytes() + b"more")
    assert "behind its end" in str(damage_in(folder, check_hashes=False))


# Records that somebody changed


def change_price(lines: list[bytes]) -> list[bytes]:
    assert b'"1.50"' in lines[0]
    return [lines[0].replace(b'"1.50"', b'"1.51"'), *lines[1:]]


def change_price_and_hash(before: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def change(lines: list[bytes]) -> list[bytes]:
        body = change_price(lines)[0][:-40]
        chain = json.loads(before)["h"]
        return [body + b',"h":"%b"}' % chained(chain, body).encode(), *lines[1:]]

    return change


def test_a_changed_record_is_named(folder: Path) -> None:
    rewritten(folder, SECOND, change_price)
    error = damage_in(folder)
    assert SECOND in error.file and error.record == 2 and error.seq == 1 and "hash" in str(error)
    assert salvaged(folder)[0] == [1]


def test_a_changed_record_with_its_hash_made_anew_is_named_too(folder: Path) -> None:
    before = lines_of(folder / "000001.jsonl.zst")[-1]
    rewritten(folder, SECOND, change_price_and_hash(before))
    error = damage_in(folder)
    assert SECOND in error.file and "manifest" in str(error)


def test_in_a_segment_without_a_manifests_word_the_next_record_tells(tmp_path: Path) -> None:
    folder = cut_session(tmp_path / "s")
    first, *rest = lines_of_open(folder)
    body = first[:-40].replace(b'"1.50"', b'"1.51"')
    forged = body + b',"h":"%b"}' % chained("", body).encode()
    rewritten_as(folder, [forged, *rest])
    error = damage_in(folder)
    assert error.record == 2 and "hash" in str(error)


def test_without_hashes_a_change_on_purpose_is_read(folder: Path) -> None:
    rewritten(folder, SECOND, change_price)
    steps = [entry for entry in entries_of(folder, check_hashes=False) if entry[0] == "x"]
    assert [step[2] for step in steps] == [[["Fact", "1.50"]], [["Fact", "1.51"]], [["Fact", "1.50"]]]


def test_without_hashes_missing_and_double_records_are_still_named(tmp_path: Path) -> None:
    folder = cut_session(tmp_path / "s")
    lines = lines_of_open(folder)
    rewritten_as(folder, [lines[0], lines[2]])
    assert damage_in(folder, check_hashes=False).record == 2
    rewritten_as(folder, [lines[0], lines[1], lines[1]])
    assert damage_in(folder, check_hashes=False).record == 3


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b'{"n":2}', b'{"n":2,"e":[[]],"h":""}', b'{"n":"2","e":[],"h":""}', b"\xff", b"[" * 100_000],
)
def test_lines_that_are_no_records_are_named(tmp_path: Path, line: bytes) -> None:
    folder = cut_session(tmp_path / "s")
    rewritten_as(folder, [lines_of_open(folder)[0], line])
    assert damage_in(folder, check_hashes=False).record == 2
    assert damage_in(folder).record == 2


def lines_of_open(folder: Path) -> list[bytes]:
    return lines_of(folder / "000001.jsonl.zst")


def rewritten_as(folder: Path, lines: list[bytes]) -> None:
    rewritten(folder, "000001.jsonl.zst", lambda _: lines)


# The manifest


def test_a_missing_manifest_is_said_and_can_be_done_without(folder: Path) -> None:
    (folder / MANIFEST_NAME).unlink()
    with pytest.raises(SessionDamaged, match="manifest is missing") as caught:
        SessionReader(folder)
    assert MANIFEST_NAME in caught.value.file and "--salvage" in str(caught.value)
    reader = SessionReader(folder, salvage=True)
    assert not reader.has_manifest and reader.manifest.setup == {} and reader.damage is not None
    assert [each.number for each in reader.records(salvage=True)] == [1, 2, 3, 4]


def test_without_a_manifest_hashes_are_checked_all_the_same(folder: Path) -> None:
    (folder / MANIFEST_NAME).unlink()
    rewritten(folder, SECOND, change_price)
    numbers, damage = salvaged(folder)
    assert numbers == [1] and damage is not None and damage.record == 2


def test_without_manifest_and_first_segment_the_rest_can_be_read(folder: Path) -> None:
    (folder / MANIFEST_NAME).unlink()
    (folder / "000001.jsonl.zst").unlink()
    assert salvaged(folder)[0] == [2, 3, 4]


def test_every_truncation_and_flip_of_the_manifest_is_no_crash(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    content = path.read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 0x01
        for text in (content[:place], bytes(flipped)):
            path.write_bytes(text)
            with suppress(SessionDamaged, SessionTooNew):
                entries_of(folder)


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{}", b'{"format": "1"}', b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_none_is_said(folder: Path, text: bytes) -> None:
    (folder / MANIFEST_NAME).write_bytes(text)
    with pytest.raises(SessionDamaged, match="manifest cannot be read"):
        SessionReader(folder)
    assert salvaged(folder)[0] == [1, 2, 3, 4]


def test_a_later_format_is_refused_with_the_version_that_wrote_it(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    manifest = json.loads(path.read_text())
    manifest |= {"format": FORMAT + 1, "versions": {"ai-quant": "9.1"}, "segments": "something new"}
    path.write_text(json.dumps(manifest))
    for salvage in (False, True):
        with pytest.raises(SessionTooNew, match=r"ai-quant 9\.1.*update this program"):
            SessionReader(folder, salvage=salvage)


def test_keys_of_a_later_version_of_this_format_are_no_matter(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "blue"}))
    assert len(entries_of(folder)) == 10


# No session at all


def test_no_session_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound):
        SessionReader(tmp_path / "none")
    with pytest.raises(SessionNotFound):
        SessionReader(tmp_path)
    (tmp_path / "text").write_text("not a bundle")
    with pytest.raises(SessionDamaged, match="no session"):
        SessionReader(tmp_path / "text")


def test_a_segment_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / SECOND).unlink()
    (folder / SECOND).mkdir()
    assert SECOND in damage_in(folder).file


def test_a_reader_can_read_twice(folder: Path) -> None:
    reader = SessionReader(folder)
    first = [each.number for each in reader.records()]
    assert [each.number for each in reader.records()] == first == [1, 2, 3, 4]
    assert reader.bytes_read == reader.bytes


def test_samples_are_what_the_tests_say(folder: Path) -> None:
    assert [entry[0] for entry in a_flush(1)] == ["f", "t", "x"]
    assert len(list(folder.glob("*.zst"))) == 4
