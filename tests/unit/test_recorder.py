"""What the recorder notes, and that nothing is noted under another event's number."""

from __future__ import annotations

import asyncio
import gc
import json

import numpy as np
import pytest

from adapters.clocks import SystemClock
from adapters.hyperliquid.recorded_http import BROKEN, UNSENT, RecordedHttp
from adapters.hyperliquid.transport import BrokenError, HttpReply, NotSentError
from application.inbox import MARKET_LANE_LIMIT, Inbox
from application.recorder import Recorder, entry_to_plain
from application.replay import Births
from application.step import Step
from domain.effects import Alert
from domain.events import Quotes, TimerFired, VenueTime
from ports.session_log import Entry, Tag


class Notes:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)

    def flush(self) -> None:
        pass

    def close(self, reason: str) -> None:
        pass


def quotes(venue_ms: int) -> Quotes:
    return Quotes(venue_ms, np.array([0]), np.array([1.0]), np.array([2.0]))


def test_what_came_of_frames_is_told_by_number_and_anything_else_in_full() -> None:
    notes = Notes()
    recorder = Recorder(notes)
    first, second, other = quotes(1), quotes(2), VenueTime(7)
    recorder.born([first, second])
    recorder.taken(1, 100, second)
    recorder.taken(2, 101, other)
    recorder.taken(3, 102, first)
    plain = [tuple(entry_to_plain(entry)) for entry in notes.entries]
    assert plain == [(Tag.TAKEN, 1, 100, 1), (Tag.EVENT, 2, 101, "venue_time", {"venue_ms": 7}), (Tag.TAKEN, 3, 102, 0)]


def test_nothing_that_came_of_nothing_is_noted() -> None:
    notes = Notes()
    recorder = Recorder(notes)
    recorder.stepped(Step(1, 5))
    assert notes.entries == []
    recorder.stepped(Step(2, 5, effects=[Alert("code", "text")]))
    (entry,) = notes.entries
    assert entry_to_plain(entry) == (Tag.STEP, 2, [], [{"effect": "Alert", "code": "code", "text": "text"}])


def test_an_event_that_gave_way_is_noted_and_its_place_in_memory_belongs_to_nobody() -> None:
    """An object may get the address of one that is gone; its event would then be told as that one."""
    notes = Notes()
    recorder = Recorder(notes)
    inbox = Inbox(recorder.dropped)
    for number in range(3 * MARKET_LANE_LIMIT):
        event = quotes(number)
        recorder.born([event])
        inbox.put(event)
        del event
        gc.collect(0)
    seq = 0
    while (taken := inbox.take()) is not None:
        seq += 1
        recorder.taken(seq, 0, taken)
        assert isinstance(taken, Quotes)
        assert notes.entries[-1] == (Tag.TAKEN, seq, 0, taken.venue_ms), "an event is told by its own number"
    dropped = [entry[1] for entry in notes.entries if entry[0] == Tag.DROPPED]
    assert len(dropped) == inbox.counts.conflated == 2 * MARKET_LANE_LIMIT
    recorder.taken(seq + 1, 0, TimerFired())
    assert notes.entries[-1][0] == Tag.EVENT


def test_births_are_taken_once() -> None:
    births = Births()
    event = quotes(1)
    births.born([event])
    assert births.take(0) is event
    with pytest.raises(ValueError, match="no event number 0"):
        births.take(0)


# ── REST ─────────────────────────────────────────────────────────────────────────────────────────


class Venue:
    def __init__(self, answer: HttpReply | Exception) -> None:
        self.answer = answer

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None
    ) -> HttpReply:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (HttpReply(200, b'{"status":"ok"}'), 200, '{"status":"ok"}'),
        (HttpReply(502, b"\xff<html>"), 502, "�<html>"),
        (NotSentError("no route"), UNSENT, "no route"),
        (BrokenError("reset"), BROKEN, "reset"),
    ],
)
def test_an_exchange_is_noted_whole_but_for_its_signature(
    answer: HttpReply | Exception, status: int, text: str
) -> None:
    notes = Notes()
    http = RecordedHttp(Venue(answer), SystemClock())
    http.log = notes
    body = {"action": {"type": "noop"}, "nonce": 7, "signature": {"r": "0xsecret", "s": "0x2", "v": 27}}

    async def ask() -> None:
        await http.post("/exchange", json.dumps(body).encode(), 1.0)

    if isinstance(answer, Exception):
        with pytest.raises(type(answer)):
            asyncio.run(ask())
    else:
        asyncio.run(ask())
    (entry,) = notes.entries
    tag, path, asked, noted, said, started_ms, ended_ms = entry
    assert (tag, path, noted, said) == (Tag.REST, "/exchange", status, text)
    assert 0 < started_ms <= ended_ms
    assert json.loads(asked) == {"action": {"type": "noop"}, "nonce": 7}
