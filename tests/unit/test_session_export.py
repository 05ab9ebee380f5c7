"""A session in one file, with and without the addresses in it."""

from __future__ import annotations

import json
import re
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from adapters.session_files import redaction
from adapters.session_files.export import Rewrite, export, replace_addresses
from adapters.session_files.manifest import MANIFEST_NAME
from adapters.session_files.reader import SessionReader
from adapters.session_files.writer import SessionLimits
from ports.session_errors import SessionDamaged, SessionError
from ports.session_log import Entry, Tag
from tests.planting import planted
from tests.session_bundles import text_of
from tests.session_samples import (
    SMALL,
    a_flush,
    cut_session,
    end,
    entries_of,
    frame,
    record,
    taken,
    whole_session,
    writer,
)

OWN = "0x" + "ab12cd34" * 5
OTHER = "0x" + "0123456789" * 4
CLOID = "0x" + "c1" * 16
HASH = "0x" + "4f" * 32
SPELLED = "0x" + "aB12Cd34" * 5
"""`OWN` with the capitals of its checksum."""


either_way = pytest.mark.parametrize("rewrite", [None, replace_addresses], ids=["as it is", "redacted"])


def flushes() -> list[list[Entry]]:
    fill = {"user": OWN, "cloid": CLOID, "hash": HASH, "users": [SPELLED, OTHER]}
    return [
        [frame(1, json.dumps(fill)), taken(1), (Tag.STEP, 1, [["Fill", OWN, CLOID, HASH]], [{"vault": OTHER}])],
        [(Tag.REST, "/info", f'{{"user":"{OWN}"}}', 200, f"0X{OWN[2:]}", 1, 2)],
        [frame(2, f"{OWN}{OTHER[2:]} is no address, {OWN}, is one, {OWN}"), taken(2)],
    ]


@pytest.fixture
def session(tmp_path: Path) -> Path:
    log = writer(
        tmp_path / "s",
        limits=SMALL,
        settings={"AI_QUANT_ACCOUNT_ADDRESS": SPELLED, "AI_QUANT_DB_PATH": f"/x/live-mainnet-{OWN[:10]}.sqlite"},
        setup={"user": OWN, "cloid": CLOID},
    )
    record(log, flushes())
    end(log, 2)
    return tmp_path / "s"


def test_a_bundle_opens_as_it_is(session: Path, tmp_path: Path) -> None:
    export(session, tmp_path / "s.tar")
    before = entries_of(session)
    manifest = SessionReader(session).manifest
    shutil.rmtree(session)
    reader = SessionReader(tmp_path / "s.tar")
    assert [entry for each in reader.records() for entry in each.entries] == before
    assert reader.manifest == manifest and reader.bytes == reader.bytes_read > 0


def test_an_unpacked_bundle_is_a_session(session: Path, tmp_path: Path) -> None:
    export(session, tmp_path / "s.tar")
    with tarfile.open(tmp_path / "s.tar") as tar:
        tar.extractall(tmp_path / "elsewhere", filter="data")
    assert entries_of(tmp_path / "elsewhere" / "s") == entries_of(session)


def test_the_bundle_is_its_owners_and_says_nothing_of_the_machine(session: Path, tmp_path: Path) -> None:
    export(session, tmp_path / "s.tar")
    assert stat.S_IMODE((tmp_path / "s.tar").stat().st_mode) == 0o600
    with tarfile.open(tmp_path / "s.tar") as tar:
        members = tar.getmembers()
    assert members[0].name == f"s/{MANIFEST_NAME}"
    assert {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members} == {
        (0, 0, "", "", 0)
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "s.tar"], "nothing is left beside it"


def test_addresses_are_gone(session: Path, tmp_path: Path) -> None:
    export(session, tmp_path / "s.tar", rewrite=replace_addresses)
    text = text_of(tmp_path / "s.tar").lower()
    digits = OWN[2:]
    assert digits[:8] not in text.replace(OWN + OTHER[2:], "").replace(digits + OTHER[2:], "")
    assert not re.search(f"{OTHER[2:]}(?<!{digits}{OTHER[2:]})", text)
    assert len(set(re.findall(r"0x[0-9a-f]{40}(?![0-9a-f])", text))) == 2, "two in, two out"


def test_hashes_of_transactions_become_others_and_everything_else_stays(session: Path, tmp_path: Path) -> None:
    export(session, tmp_path / "s.tar", rewrite=replace_addresses)
    before, after = entries_of(session), entries_of(tmp_path / "s.tar")
    stand_in = re.compile("0[xX](?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})(?![0-9a-fA-F])")
    assert [stand_in.sub("A", json.dumps(entry)) for entry in after] == [
        stand_in.sub("A", json.dumps(entry)) for entry in before
    ]
    text = text_of(tmp_path / "s.tar")
    assert text.count(CLOID) == 3, "of whose order it is only a replay can tell"
    assert HASH not in text and len(set(re.findall("0x[0-9a-f]{64}(?![0-9a-f])", text))) == 1, "one in, one out"


def test_an_address_becomes_the_same_one_everywhere_however_it_is_spelled(session: Path, tmp_path: Path) -> None:
    export(session, tmp_path / "s.tar", rewrite=replace_addresses)
    manifest = SessionReader(tmp_path / "s.tar").manifest
    own = manifest.settings["AI_QUANT_ACCOUNT_ADDRESS"]
    assert own != OWN and manifest.setup == {"user": own, "cloid": CLOID}
    assert manifest.settings["AI_QUANT_DB_PATH"] == f"/x/live-mainnet-{own[:10]}.sqlite"
    first = entries_of(tmp_path / "s.tar")[0]
    fill = json.loads(first[4])
    assert fill["user"] == own and fill["users"][0] == own and fill["users"][1] not in (own, OTHER)
    assert manifest.redacted and not SessionReader(session).manifest.redacted


def test_another_export_has_other_stand_ins(session: Path, tmp_path: Path) -> None:
    seen = set()
    for name in ("1.tar", "2.tar"):
        export(session, tmp_path / name, rewrite=replace_addresses)
        seen.add(SessionReader(tmp_path / name).manifest.setup["user"])
    assert len(seen) == 2


def test_hashes_of_a_redacted_session_are_made_anew(session: Path, tmp_path: Path) -> None:
    export(session, tmp_path / "s.tar", rewrite=replace_addresses)
    reader = SessionReader(tmp_path / "s.tar")
    assert [each.number for each in reader.records()] == [1, 2, 3, 4]
    segments = reader.manifest.segments
    assert [each.first_seq for each in segments] == [1, None, 2, None]
    assert {each.hash for each in segments}.isdisjoint(each.hash for each in SessionReader(session).manifest.segments)
    assert reader.manifest.ended == SessionReader(session).manifest.ended


def test_that_these_tests_notice_what_is_left(session: Path, tmp_path: Path) -> None:
    with planted(redaction, "_ADDRESS", re.compile(rb"0x[0-9a-f]{40}(?![0-9a-fA-F])")):  # capitals forgotten
        export(session, tmp_path / "s.tar", rewrite=replace_addresses)
    assert SPELLED in text_of(tmp_path / "s.tar")
    with planted(redaction, "_HASH", re.compile(rb"0x[0-9a-f]{66}")):  # counted with the 0x
        export(session, tmp_path / "t.tar", rewrite=replace_addresses)
    assert HASH in text_of(tmp_path / "t.tar")


@either_way
def test_a_session_that_was_cut_off_can_be_given_away(tmp_path: Path, rewrite: Rewrite | None) -> None:
    folder = cut_session(tmp_path / "s")
    export(folder, tmp_path / "s.tar", rewrite=rewrite)
    reader = SessionReader(tmp_path / "s.tar")
    assert [entry for each in reader.records() for entry in each.entries] == entries_of(folder)
    assert reader.manifest.ended is None


@either_way
def test_a_running_session_can_be_given_away(tmp_path: Path, rewrite: Rewrite | None) -> None:
    log = writer(tmp_path / "s")
    record(log, [a_flush(1)])
    export(tmp_path / "s", tmp_path / "s.tar", rewrite=rewrite)
    record(log, [a_flush(2)])
    log.close("done")
    assert entries_of(tmp_path / "s.tar") == a_flush(1)


@either_way
def test_a_session_whose_first_segments_were_pruned_can_be_given_away(tmp_path: Path, rewrite: Rewrite | None) -> None:
    log = writer(tmp_path / "s", limits=SessionLimits(segment_bytes=1, cap_bytes=2_500))
    record(log, (a_flush(seq) for seq in range(1, 30)))
    log.close("done")
    assert SessionReader(tmp_path / "s").manifest.pruned > 0
    export(tmp_path / "s", tmp_path / "s.tar", rewrite=rewrite)
    assert entries_of(tmp_path / "s.tar") == entries_of(tmp_path / "s")


def test_a_damaged_session_goes_as_it_is_but_not_redacted(tmp_path: Path) -> None:
    folder = whole_session(tmp_path / "s")
    (folder / "000002.jsonl.zst").unlink()
    export(folder, tmp_path / "s.tar")
    with pytest.raises(SessionDamaged, match=r"s\.tar:000002\.jsonl\.zst, record 2: the segment is missing"):
        entries_of(tmp_path / "s.tar")
    with pytest.raises(SessionDamaged, match="only be exported as it is"):
        export(folder, tmp_path / "t.tar", rewrite=replace_addresses)
    assert not (tmp_path / "t.tar").exists()


def test_a_broken_bundle_is_said(session: Path, tmp_path: Path) -> None:
    export(session, tmp_path / "s.tar")
    content = (tmp_path / "s.tar").read_bytes()
    for length in range(0, len(content), 97):
        (tmp_path / "s.tar").write_bytes(content[:length])
        try:
            read = entries_of(tmp_path / "s.tar")
        except SessionError:
            continue
        assert len(read) == 7 and not any(content[length:]), "only padding was lost"


def test_what_is_there_is_not_overwritten(session: Path, tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_text("mine")
    with pytest.raises(SessionError, match="there already"):
        export(session, tmp_path / "s.tar")
    assert (tmp_path / "s.tar").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said(session: Path, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="cannot be written"):
        export(session, tmp_path / "none" / "s.tar")


def test_progress_is_told(session: Path, tmp_path: Path) -> None:
    for name, rewrite in (("1.tar", None), ("2.tar", replace_addresses)):
        told: list[int] = []
        export(session, tmp_path / name, rewrite=rewrite, tell=told.append)
        assert told == sorted(told) and told[-1] == SessionReader(session).bytes
