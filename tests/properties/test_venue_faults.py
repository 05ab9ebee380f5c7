"""The fault switchboard under any rules and any traffic: counts are exact, seeds repeat, nothing is lost unsaid."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.sim.venue.faults.distortions import distort
from adapters.sim.venue.faults.facts import request_facts
from adapters.sim.venue.faults.kinds import BareNumbers, ClockSkew, UnknownValue
from adapters.sim.venue.faults.rules import rule_from_json, rule_to_json
from adapters.sim.venue.faults.switchboard import Switchboard
from adapters.sim.venue.log import VenueLog
from adapters.sim.venue.outputs import Frame, HttpAnswer, Output, SocketDropped

START = 1_000_000
IP = "127.0.0.1"
USER = "0x" + 40 * "a"
CHANNELS = ("bbo", "trades", "orderUpdates")
ACTIONS = ("order", "cancel")
Json = dict[str, Any]
Move = tuple[str, int, int]
"""What happens (a channel's frame, its acknowledgement, a request, a new socket), where, and how much later."""

milliseconds = st.integers(0, 300)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=fields)


frame_match = optional(
    channel=st.sampled_from(CHANNELS), socket=st.integers(1, 2), coin=st.sampled_from(["BTC", "ETH"])
)
channel_match = st.fixed_dictionaries({"channel": st.sampled_from(CHANNELS)}, optional={"socket": st.integers(1, 2)})
request_match = optional(action=st.sampled_from(ACTIONS), path=st.just("/exchange"))
when = optional(
    at_ms=milliseconds,
    nth=st.integers(1, 4),
    every=st.integers(1, 3),
    times=st.integers(1, 3),
    probability=st.sampled_from([0.3, 0.7, 1.0]),
)


def rule(name: str, said: Json | st.SearchStrategy[Json], match: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    parameters = said if isinstance(said, st.SearchStrategy) else st.just(said)
    fixed = {"fault": st.just(name), "with": parameters, "match": match, "when": when}
    return st.fixed_dictionaries(fixed)


harmless_rules = st.one_of(
    rule("delay_frames", st.fixed_dictionaries({"ms": milliseconds, "jitter_ms": st.integers(0, 40)}), frame_match),
    rule(
        "duplicate_frames", st.fixed_dictionaries({"copies": st.integers(1, 2), "after_ms": milliseconds}), frame_match
    ),
    rule("reorder_frames", st.fixed_dictionaries({"window_ms": st.integers(1, 200)}), frame_match),
    rule("unknown_channel", {}, frame_match),
)
losing_rules = st.one_of(
    rule("drop_frames", {}, frame_match),
    rule("stale_stream", optional(for_ms=milliseconds), frame_match),
    rule("half_open", {"for_ms": 50}, channel_match),
    rule("disconnect", optional(point=st.sampled_from(["before", "after"])), channel_match),
    rule("lie_on_resubscribe", {}, frame_match),
)
request_rules = st.one_of(
    rule("refuse", {}, request_match),
    rule("delay_answer", {"ms": 30, "jitter_ms": 30}, request_match),
    rule("lose_reply", {}, request_match),
    rule("execute_late", {"ms": 30, "jitter_ms": 30}, request_match),
    rule("halt", {"ms": 5}, request_match),
)
moves = st.lists(
    st.tuples(
        st.sampled_from((*CHANNELS, "ack bbo", "ack trades", "pong", *ACTIONS, "open")), st.integers(1, 2), milliseconds
    ),
    max_size=60,
)


class Traffic:
    """Plays moves against a switchboard and keeps what went in and what came out."""

    def __init__(self, rules: list[Json], seed: int = 1) -> None:
        self.log = VenueLog()
        self.board = Switchboard(seed, self.log, START)
        self.ids = [self.board.add_json(each) for each in rules]
        self.now = START
        self.written: list[Frame] = []
        self.sent: list[tuple[int, Output]] = []
        self.trace: list[object] = []
        self._requests = 0
        self._alive = {1, 2}
        for socket_id in (1, 2):
            self.board.socket_opened(socket_id, IP, START)

    def play(self, steps: list[Move]) -> Traffic:
        for what, socket_id, later_ms in steps:
            self.now += later_ms
            self.trace.append((self.board.acts_due(self.now), self.board.outputs_due(self.now)))
            if what in ACTIONS:
                self._ask(what)
            elif what == "open":
                self.board.socket_closed(socket_id)
                self.board.socket_opened(socket_id, IP, self.now)
                self._alive.add(socket_id)
            elif socket_id in self._alive:
                self._write(what, socket_id)
        return self

    def _ask(self, action: str) -> None:
        self._requests += 1
        body = {"action": {"type": action, "orders": [{"a": 0}]}, "nonce": self._requests}
        facts = request_facts(self._requests, IP, "/exchange", body, ["BTC"])
        fate = self.board.request_fate(facts, self.now)
        self.trace.append(fate)
        if fate is None or fate.handled:
            after_ms = 0 if fate is None else fate.handle_after_ms
            answer = HttpAnswer(self._requests, 200, b'{"status":"ok"}')
            self.trace.append(self.board.answers(facts, fate, answer, self.now + after_ms))

    def _write(self, what: str, socket_id: int) -> None:
        frame = Frame(socket_id, self._text(what))
        if what.startswith("ack"):
            asked = {"method": "subscribe", "subscription": {"type": what[4:], "coin": "BTC"}}
            self.board.hears(socket_id, json.dumps(asked), self.now)
        self.written.append(frame)
        if self.board.watches_frames:
            sent = self.board.frames(self.board.facts(frame), frame, self.now)
        else:
            sent = [(self.now, frame)]
        assert all(due_ms >= self.now for due_ms, _ in sent)
        self.sent += sent
        self._alive -= {output.socket_id for _, output in sent if isinstance(output, SocketDropped)}

    def _text(self, what: str) -> str:
        """Every frame is told apart by its number."""
        number = len(self.written)
        if what == "pong":
            return json.dumps({"channel": "pong", "number": number})
        if what.startswith("ack"):
            asked = {"type": what[4:], "coin": "BTC"}
            data: object = {"method": "subscribe", "subscription": asked, "number": number}
            return json.dumps({"channel": "subscriptionResponse", "data": data})
        coin = "BTC" if number % 2 else "ETH"
        rows = [{"coin": coin, "px": "1.0", "number": number}]
        return json.dumps({"channel": what, "data": rows if what != "bbo" else rows[0]})

    def texts(self) -> Counter[str]:
        return Counter(output.text for _, output in self.sent if isinstance(output, Frame))


def is_surprise(text: str) -> bool:
    return '"surprise"' in text


@given(st.lists(harmless_rules, max_size=4), moves)
def test_frames_are_never_lost_unless_a_rule_dropped_them(rules: list[Json], steps: list[Move]) -> None:
    traffic = Traffic(rules).play(steps)
    arrived = traffic.texts()
    assert all(arrived[frame.text] >= 1 for frame in traffic.written)
    assert {text for text in arrived if not is_surprise(text)} == {frame.text for frame in traffic.written}


@given(st.lists(st.one_of(harmless_rules, losing_rules), max_size=5), moves)
def test_every_lost_frame_stands_in_the_log(rules: list[Json], steps: list[Move]) -> None:
    traffic = Traffic(rules).play(steps)
    arrived = traffic.texts()
    missing = sum(1 for frame in traffic.written if not arrived[frame.text])
    losing = {"drop_frames", "stale_stream", "half_open", "disconnect"}
    fired = sum(1 for row in traffic.log.rows("fault") if row["fault"] in losing)
    silenced = sum(1 for row in traffic.log.rows("lost") if row["way"] == "out")
    assert missing <= fired + silenced
    certain = sum(1 for row in traffic.log.rows("fault") if row["fault"] in losing - {"disconnect"})
    assert missing >= certain + silenced


@given(st.lists(st.one_of(harmless_rules, losing_rules, request_rules), max_size=5), moves, st.integers(0, 3))
def test_the_same_seed_and_calls_do_the_same(rules: list[Json], steps: list[Move], seed: int) -> None:
    first, second = Traffic(rules, seed).play(steps), Traffic(rules, seed).play(steps)
    assert first.sent == second.sent
    assert first.trace == second.trace
    assert list(first.log.export()) == list(second.log.export())


@given(st.lists(harmless_rules | request_rules, min_size=1, max_size=4), moves, st.integers(0, 3), harmless_rules)
def test_a_rule_after_the_others_changes_nothing_for_them(
    rules: list[Json], steps: list[Move], seed: int, another: Json
) -> None:
    alone, joined = Traffic(rules, seed).play(steps), Traffic([*rules, another], seed).play(steps)
    for rule_id in alone.ids:
        assert alone.board.fired(rule_id) == joined.board.fired(rule_id)


@given(
    st.sampled_from(["drop_frames", "duplicate_frames", "unknown_channel", "reorder_frames"]),
    optional(nth=st.integers(1, 5), every=st.integers(1, 4)),
    st.integers(1, 6),
    st.integers(0, 80),
)
def test_a_rule_with_a_count_fires_exactly_so_often(name: str, timing: Json, times: int, frames: int) -> None:
    """Given enough that matches; else as often as there was reason to."""
    match = {"channel": "bbo"}
    traffic = Traffic([{"fault": name, "match": match, "when": timing | {"times": times}}])
    traffic.play([("bbo" if number % 3 else "trades", 1, 1) for number in range(frames)])
    seen = sum(1 for number in range(frames) if number % 3)
    first = int(timing.get("nth") or timing.get("every") or 1)
    step = int(timing.get("every", 1))
    reasons = len(range(first, seen + 1, step))
    fired = len(traffic.log.rows("fault"))
    assert fired == min(times, reasons) == traffic.board.fired(1)
    assert traffic.board.watches_frames == (fired < times)


@given(st.integers(1, 5), st.integers(1, 50), st.integers(0, 200), st.lists(st.integers(0, 90), max_size=30))
def test_acts_by_the_clock_come_exactly_so_often(times: int, every_ms: int, at_ms: int, strides: list[int]) -> None:
    when_said = {"at_ms": at_ms, "every_ms": every_ms, "times": times}
    board = Switchboard(1, VenueLog(), START)
    board.add_json({"fault": "halt", "with": {"ms": 1}, "when": when_said})
    now, acts = START, 0
    for stride in strides:
        now += stride
        due_ms = board.next_due_ms()
        came = board.acts_due(now)
        assert bool(came) == (due_ms is not None and due_ms <= now), "what is due is announced"
        acts += len(came)
    past = now - START - at_ms
    assert acts == (min(times, past // every_ms + 1) if past >= 0 and strides else 0)


@given(moves, milliseconds, st.integers(0, 40))
def test_delays_keep_each_channels_order(steps: list[Move], ms: int, jitter_ms: int) -> None:
    said = {"fault": "delay_frames", "with": {"ms": ms, "jitter_ms": jitter_ms}, "when": {"probability": 0.5}}
    traffic = Traffic([said]).play([step for step in steps if step[0] != "open"])
    leaving = [output for _, output in sorted(traffic.sent, key=lambda item: item[0]) if isinstance(output, Frame)]
    for socket_id in (1, 2):
        for channel in (*CHANNELS, "pong", "subscriptionResponse"):
            mark = f'{{"channel": "{channel}"'
            before = [f.text for f in traffic.written if f.socket_id == socket_id and f.text.startswith(mark)]
            after = [f.text for f in leaving if f.socket_id == socket_id and f.text.startswith(mark)]
            assert before == after


@given(moves, st.integers(1, 200))
def test_reordering_stays_within_its_window(steps: list[Move], window_ms: int) -> None:
    traffic = Traffic([{"fault": "reorder_frames", "with": {"window_ms": window_ms}}])
    for step in steps:
        traffic.play([step])
        sent = traffic.sent[-1:] if step[0] not in (*ACTIONS, "open") else []
        assert all(traffic.now <= due_ms <= traffic.now + window_ms for due_ms, _ in sent)
    assert len(traffic.sent) == len(traffic.written)


@given(st.lists(st.one_of(harmless_rules, losing_rules), max_size=5), moves, moves)
def test_when_all_rules_are_gone_everything_arrives_at_once(
    rules: list[Json], steps: list[Move], calm: list[Move]
) -> None:
    traffic = Traffic(rules).play(steps)
    traffic.board.clear()
    traffic.now += 1_000
    traffic.play([("open", 1, 0), ("open", 2, 0)])
    before = len(traffic.written)
    traffic.sent.clear()
    traffic.play(calm)
    assert [output for _, output in traffic.sent] == traffic.written[before:]
    assert not traffic.board.watches_frames
    assert not traffic.board.watches_requests


@given(st.one_of(harmless_rules, losing_rules, request_rules))
def test_rules_survive_their_json_form(raw: Json) -> None:
    made = rule_from_json(raw)
    again = rule_from_json(json.loads(json.dumps(rule_to_json(made))))
    assert again == made


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.decimals(allow_nan=False, places=3).map(str),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["px", "time", "status", "side", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values, st.integers(-10_000, 10_000))
def test_distortions_leave_readable_json_that_differs_only_where_they_say(value: object, ms: int) -> None:
    text = json.dumps(value)
    for fault in (BareNumbers(), UnknownValue(field="side"), ClockSkew(ms=ms)):
        distorted = json.loads(distort(text, fault))
        assert _shape(distorted) == _shape(value)
    assert distort(distort(text, ClockSkew(ms=ms)), ClockSkew(ms=-ms)) == json.dumps(value) or json.loads(
        distort(distort(text, ClockSkew(ms=ms)), ClockSkew(ms=-ms))
    ) == json.loads(text)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return [_shape(inner) for inner in value] if isinstance(value, list) else None


@given(st.text(max_size=12), json_values, st.booleans())
def test_no_signature_is_ever_written(noise: str, value: object, as_text: bool) -> None:
    secret = "5ec2e7" * 10
    body: object = {noise: value, "payload": [{"signature": {"r": "0x" + secret, "s": [secret], "v": 27}}]}
    lines: list[str] = []
    log = VenueLog(sink=lines.append)
    log.append("request", 0, body=json.dumps(body) if as_text else body, text=noise + json.dumps(body))
    assert secret not in "".join(lines)
    assert lines == list(log.export())
