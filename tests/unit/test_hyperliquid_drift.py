"""The sentinel keeps evidence, counts and tells once, and can never cost more than its bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.hyperliquid.drift import (
    ALERT,
    FILES_PER_PLACE,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_PLACES,
    OTHER_PLACES,
    DriftSentinel,
)
from adapters.hyperliquid.heard import BboHeard, Drifted, FillsHeard, Heard, OrderUpdatesHeard
from adapters.hyperliquid.key_watch import FIRST_LOOKS, LOOK_EVERY, KeyWatch
from adapters.hyperliquid.wire_frames import decode_frame
from tests.hyperliquid_frames import NOW_MS, OWN, bbo, fill_row, frame, made_frames, universe, update_row


class KeptAlerts:
    """Alerts that are kept."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, code: str, text: str) -> None:
        self.sent.append((code, text))


class Reader:
    """Decodes, notes and watches in the order in which the feed does."""

    def __init__(self, sentinel: DriftSentinel) -> None:
        self._sentinel = sentinel
        self._watch = KeyWatch(sentinel)

    def decode(self, raw: str, now_ms: int | None = None) -> Heard:
        heard = decode_frame(raw, universe(), OWN, now_ms)
        self._watch.look(heard, raw)
        if isinstance(heard, Drifted):
            self._sentinel.note(heard.channel, raw, heard.problem)
        return heard


@pytest.fixture
def alerts() -> KeptAlerts:
    return KeptAlerts()


def with_key(key: str, value: object = 1) -> str:
    whole = json.loads(bbo())
    whole["data"][key] = value
    return json.dumps(whole)


# ── the sentinel ─────────────────────────────────────────────────────────────────────────────


def test_an_odd_message_is_kept_counted_and_told_once(alerts: KeptAlerts, tmp_path: Path) -> None:
    folder = tmp_path / "drift"
    sentinel = DriftSentinel(alerts, folder)
    for number in range(10):
        sentinel.note("userFills", f"raw {number}", "no coin")
    sentinel.note("bbo", b"\xff", "not text")
    assert sentinel.counts == {"userFills": 10, "bbo": 1}
    assert alerts.sent == [
        (ALERT, "userFills: no coin (kept as userFills-0.txt)"),
        (ALERT, "bbo: not text (kept as bbo-0.txt)"),
    ]
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert kept == {
        "userFills-0.txt": b"no coin\nraw 0",
        "userFills-1.txt": b"no coin\nraw 1",
        "userFills-2.txt": b"no coin\nraw 2",
        "bbo-0.txt": b"not text\n\xff",
    }
    assert FILES_PER_PLACE == 3


def test_files_from_before_stay_and_count(alerts: KeptAlerts, tmp_path: Path) -> None:
    for _ in range(5):
        DriftSentinel(alerts, tmp_path).note("bbo", "x", "y")
    assert len(list(tmp_path.iterdir())) == FILES_PER_PLACE
    assert len(alerts.sent) == 5  # one a process


def test_places_are_bounded_whatever_the_venue_calls_them(alerts: KeptAlerts, tmp_path: Path) -> None:
    sentinel = DriftSentinel(alerts, tmp_path)
    for number in range(10 * MAX_PLACES):
        sentinel.note(f"channel {number}", "x", "unknown channel")
    assert len(sentinel.counts) == MAX_PLACES + 1
    assert sentinel.counts[OTHER_PLACES] == 9 * MAX_PLACES
    assert len(alerts.sent) == MAX_PLACES + 1


def test_files_are_bounded_in_number_and_size(alerts: KeptAlerts, tmp_path: Path) -> None:
    for number in range(MAX_FILES - 1):
        (tmp_path / f"old-{number}").touch()
    sentinel = DriftSentinel(alerts, tmp_path)
    sentinel.note("a", "x" * (2 * MAX_FILE_BYTES), "long " * 1000)
    sentinel.note("b", "x", "one too many")
    assert len(list(tmp_path.iterdir())) == MAX_FILES
    assert (tmp_path / "a-0.txt").stat().st_size <= MAX_FILE_BYTES + 1001
    assert len(alerts.sent) == 2


def test_a_folder_that_cannot_be_written_costs_nothing(alerts: KeptAlerts, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", "utf-8")
    for folder in (blocked, blocked / "below", None):
        sentinel = DriftSentinel(alerts, folder)
        sentinel.note("bbo", "x", "y")
        assert sentinel.counts["bbo"] == 1
    assert [text for _, text in alerts.sent] == ["bbo: y"] * 3


@pytest.mark.parametrize("place", ["../../etc", "a/b", "", "..", "x\0y", "é" * 500, "\ud800", "C:\\x"])
def test_no_place_name_leaves_the_folder(alerts: KeptAlerts, tmp_path: Path, place: str) -> None:
    folder = tmp_path / "inner" / "drift"
    DriftSentinel(alerts, folder).note(place, "raw\ud800", "problem\ud800\nmore")
    (kept,) = folder.iterdir()
    assert kept.read_bytes().count(b"\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"inner"}


# ── new keys and words ───────────────────────────────────────────────────────────────────────


def test_known_frames_are_quiet(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    decoder = Reader(sentinel)
    for raw in made_frames() * 3:
        assert not isinstance(decoder.decode(raw), Drifted)
    assert not sentinel.counts and not alerts.sent


def test_drift_is_noted_by_channel(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    decoder = Reader(sentinel)
    assert isinstance(decoder.decode(frame("userFills", {"user": OWN, "fills": [{}]})), Drifted)
    assert isinstance(decoder.decode(frame("surprise", 1)), Drifted)
    assert isinstance(decoder.decode(bbo(), NOW_MS * 2), Drifted)
    assert sentinel.counts == {"userFills": 1, "surprise": 1, "bbo": 1}


def test_an_unknown_key_is_delivered_and_noted_once(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    decoder = Reader(sentinel)
    for _ in range(5):
        assert isinstance(decoder.decode(with_key("sequence")), BboHeard)
    decoder.decode(frame("userFills", {"user": OWN, "fills": [fill_row(kind="new")]}))
    assert sentinel.counts == {"bbo key sequence": 1, "userFills key fills[].kind": 1}


def test_a_key_that_comes_later_is_found_within_a_hundred_frames(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    decoder = Reader(sentinel)
    for _ in range(FIRST_LOOKS + 7):
        decoder.decode(bbo())
    for _ in range(LOOK_EVERY):
        decoder.decode(with_key("sequence"))
    assert sentinel.counts == {"bbo key sequence": 1}


def test_a_deep_value_under_an_unknown_key_is_no_trouble(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    deep: object = 1
    for _ in range(300):
        deep = {"a": deep}
    decoder = Reader(sentinel)
    assert isinstance(decoder.decode(with_key("extra", deep)), BboHeard)
    assert 1 <= len(sentinel.counts) <= 20


def test_keys_of_answers_are_watched_too(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    watch = KeyWatch(sentinel)
    watch.answer("userFillsByTime", json.dumps([fill_row(), fill_row(settled=True)]).encode())
    watch.answer("userFillsByTime", b"no json")
    watch.answer("somethingElse", b"{}")
    assert sentinel.counts == {"userFillsByTime key [].settled": 1}


def test_what_a_fill_says_that_it_did_is_noted_once_if_it_is_new(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    decoder = Reader(sentinel)
    for word in ("Moon Landing", "Moon Landing", "Open Long", "Liquidated Cross Long", "Auto-Deleveraging", 7):
        assert isinstance(decoder.decode(frame("userFills", {"user": OWN, "fills": [fill_row(dir=word)]})), FillsHeard)
    for _ in range(LOOK_EVERY + FIRST_LOOKS):
        decoder.decode(frame("user", {"fills": [fill_row()]}))
    decoder.decode(frame("user", {"fills": [fill_row(), fill_row(dir="Split")]}))
    assert sentinel.counts == {"fills says Moon Landing": 1, "fills says Split": 1}


def test_words_of_answered_fills_are_watched_too(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    watch = KeyWatch(sentinel)
    watch.answer("userFillsByTime", json.dumps([fill_row(), fill_row(dir="Moon Landing")]).encode())
    watch.answer("userFillsByTime", b"no json")
    assert sentinel.counts == {"userFillsByTime says Moon Landing": 1}


def test_an_unknown_status_is_delivered_and_noted_once(alerts: KeptAlerts) -> None:
    sentinel = DriftSentinel(alerts, None)
    decoder = Reader(sentinel)
    for status in ("moonCanceled", "moonCanceled", "paused", "reduceOnlyCanceled"):
        assert isinstance(decoder.decode(frame("orderUpdates", [update_row(status)])), OrderUpdatesHeard)
    assert sentinel.counts == {"orderUpdates says moonCanceled (canceled)": 1, "orderUpdates says paused": 1}
