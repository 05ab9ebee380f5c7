"""The fault switchboard: what each fault does, when rules fire, what their JSON form refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.sim.venue.faults.facts import FrameFacts, Phase, RequestFacts, request_facts
from adapters.sim.venue.faults.forms import BadForm
from adapters.sim.venue.faults.kinds import FAULTS, DelayFrames, DropFrames
from adapters.sim.venue.faults.operator_acts import ACTS
from adapters.sim.venue.faults.rules import FaultRule, Match, When, rule_from_json, rule_to_json
from adapters.sim.venue.faults.switchboard import Act, Switchboard
from adapters.sim.venue.log import VenueLog
from adapters.sim.venue.outputs import (
    Frame,
    HttpAnswer,
    HttpCut,
    Output,
    ProcessKilled,
    SocketDropped,
    SocketRefused,
)

START = 1_000_000
IP = "127.0.0.1"
USER = "0x" + 40 * "a"
Json = dict[str, Any]
OK = {"status": "ok", "response": {"type": "default"}}


class Bench:
    """A switchboard with a log, and the venue's moves around it."""

    def __init__(self, *rules: Json, seed: int = 1) -> None:
        self.log = VenueLog()
        self.board = Switchboard(seed, self.log, START)
        self.now = START
        self.ids = [self.board.add_json(rule) for rule in rules]
        self.requests = 0

    def open(self, socket_id: int = 1, ip: str = IP) -> SocketRefused | None:
        return self.board.socket_opened(socket_id, ip, self.now)

    def subscribe(self, subscription: Json, socket_id: int = 1) -> list[tuple[int, Output]]:
        assert self.board.hears(socket_id, json.dumps({"method": "subscribe", "subscription": subscription}), self.now)
        return self.send("subscriptionResponse", {"method": "subscribe", "subscription": subscription}, socket_id)

    def send(self, channel: str, data: object = None, socket_id: int = 1) -> list[tuple[int, Output]]:
        """What leaves for a frame: (milliseconds from now, output)."""
        said = {"channel": channel} if data is None else {"channel": channel, "data": data}
        frame = Frame(socket_id, json.dumps(said, separators=(",", ":")))
        if not self.board.watches_frames:
            return [(0, frame)]
        sent = self.board.frames(self.board.facts(frame), frame, self.now)
        return [(due_ms - self.now, output) for due_ms, output in sent]

    def bbo(self, coin: str = "BTC", socket_id: int = 1, **more: object) -> list[tuple[int, Output]]:
        return self.send("bbo", {"coin": coin, "time": 5, **more}, socket_id)

    def facts(self, body: Json, path: str = "/exchange", **more: Any) -> RequestFacts:
        self.requests += 1
        return request_facts(self.requests, IP, path, body, ["BTC", "ETH"], **more)

    def request(self, body: Json | None = None, path: str = "/exchange", answer: object = OK, **more: Any) -> Any:
        """What leaves for a request, and whether the venue handled it: ([(ms from now, output)…], handled after)."""
        facts = self.facts(ORDER if body is None else body, path, **more)
        fate = self.board.request_fate(facts, self.now)
        early = [] if fate is None else [(due - self.now, output) for due, output in fate.outputs]
        if fate is not None and not fate.handled:
            return early, None
        after_ms = 0 if fate is None else fate.handle_after_ms
        told = json.dumps(answer, separators=(",", ":"))
        native: HttpAnswer | Frame = HttpAnswer(facts.request_id, 200, told.encode())
        if facts.socket_id is not None:
            native = Frame(facts.socket_id, json.dumps({"channel": "post", "data": {"id": facts.post_id}}))
        late = self.board.answers(facts, fate, native, self.now + after_ms)
        return early + [(due - self.now, output) for due, output in late], after_ms

    def firings(self, rule: int | None = None) -> int:
        return len([row for row in self.log.rows("fault") if rule in (None, row["rule"])])


ORDER: Json = {"action": {"type": "order", "orders": [{"a": 1, "b": True}], "grouping": "na"}, "nonce": 1}
CANCEL: Json = {"action": {"type": "cancel", "cancels": [{"a": 0, "o": 5}]}, "nonce": 2}


def plain(outputs: list[tuple[int, Output]]) -> list[Any]:
    """Frames as data, everything else as it is."""
    return [json.loads(each.text) if isinstance(each, Frame) else each for _, each in outputs]


# Nothing plugged in


def test_without_rules_nothing_is_asked_and_nothing_changes() -> None:
    bench = Bench()
    bench.open()
    assert not bench.board.watches_frames
    assert not bench.board.watches_requests
    assert bench.board.request_fate(bench.facts(ORDER), START) is None
    assert bench.board.next_due_ms() is None
    assert bench.request() == ([(0, HttpAnswer(2, 200, b'{"status":"ok","response":{"type":"default"}}'))], 0)


def test_a_rule_about_requests_leaves_frames_alone() -> None:
    assert not Bench({"fault": "refuse"}).board.watches_frames


# Requests


def test_a_dropped_request_is_cut_and_not_handled() -> None:
    assert Bench({"fault": "drop_request"}).request() == ([(0, HttpCut(1))], None)


def test_a_hanging_request_gets_no_answer_at_all() -> None:
    assert Bench({"fault": "drop_request", "with": {"hang": True}}).request() == ([], None)


@pytest.mark.parametrize(
    ("said", "status", "body", "content_type"),
    [
        ({}, 429, b"null", "application/json"),
        ({"body": "text"}, 429, b"Too Many Requests", "text/plain; charset=utf-8"),
        ({"status": 503, "body": "empty"}, 503, b"", None),
        ({"status": 200, "body": "err", "text": "No."}, 200, b'{"status":"err","response":"No."}', "application/json"),
    ],
)
def test_a_refused_request_is_answered_and_not_handled(
    said: Json, status: int, body: bytes, content_type: str | None
) -> None:
    answer = HttpAnswer(1, status, body, content_type)
    assert Bench({"fault": "refuse", "with": said}).request() == ([(0, answer)], None)


def test_html_comes_as_html() -> None:
    ((_, answer),), handled = Bench({"fault": "refuse", "with": {"status": 502, "body": "html"}}).request()
    assert (answer.status, answer.content_type, handled) == (502, "text/html", None)
    assert b"<h1>502 Bad Gateway</h1>" in answer.body


def test_an_answer_is_delayed() -> None:
    outputs, handled = Bench({"fault": "delay_answer", "with": {"ms": 700}}).request()
    assert [due for due, _ in outputs] == [700]
    assert handled == 0


def test_a_lost_reply_was_handled() -> None:
    assert Bench({"fault": "lose_reply"}).request() == ([(0, HttpCut(1))], 0)
    assert Bench({"fault": "lose_reply", "with": {"sent_bytes": 9}}).request() == ([(0, HttpCut(1, b'{"status"'))], 0)
    assert Bench({"fault": "lose_reply", "with": {"hang": True}}).request() == ([], 0)


def test_an_error_after_acceptance_was_handled() -> None:
    text = "Internal error"
    rule = {"fault": "replace_answer", "with": {"status": 200, "body": "err", "text": text}}
    outputs, handled = Bench(rule).request()
    assert json.loads(outputs[0][1].body) == {"status": "err", "response": text}
    assert handled == 0


def test_an_action_can_land_after_its_error() -> None:
    outputs, handled = Bench({"fault": "execute_late", "with": {"ms": 60_000, "status": 500}}).request()
    assert outputs == [(0, HttpAnswer(1, 500, b"null"))]
    assert handled == 60_000


def test_an_action_can_land_after_its_connection_died() -> None:
    rule = {"fault": "execute_late", "with": {"ms": 9, "body": "cut"}}
    assert Bench(rule).request() == ([(0, HttpCut(1))], 9)


def test_an_answer_is_truncated() -> None:
    outputs, _ = Bench({"fault": "truncate", "with": {"keep": 0.5}, "match": {"path": "/exchange"}}).request()
    assert outputs[0][1].body == b'{"status":"ok","respon'


def test_a_client_is_killed_before_its_request_is_handled() -> None:
    rule = {"fault": "kill", "with": {"pid": 77}, "match": {"action": "order"}, "when": {"nth": 2}}
    bench = Bench(rule)
    assert len(bench.request()[0]) == 1
    assert bench.request(CANCEL)[0][0][1].status == 200
    outputs, handled = bench.request()
    assert outputs[0] == (0, ProcessKilled(77))
    assert handled == 0
    assert len(bench.request()[0]) == 1


def test_a_client_is_killed_and_its_request_forgotten() -> None:
    rule = {"fault": "kill", "with": {"pid": 77, "handled": False}, "match": {"path": "/exchange"}, "when": {"nth": 1}}
    assert Bench(rule).request() == ([(0, ProcessKilled(77))], None)


def test_a_client_is_killed_after_the_reply() -> None:
    rules = (
        {"fault": "delay_answer", "with": {"ms": 5}},
        {"fault": "kill", "with": {"pid": 77, "point": "after"}, "when": {"nth": 1}},
    )
    outputs, _ = Bench(*rules).request()
    assert [(due, type(output)) for due, output in outputs] == [(5, HttpAnswer), (5, ProcessKilled)]


def test_sockets_die_when_a_request_arrives() -> None:
    bench = Bench({"fault": "disconnect", "match": {"action": "order"}})
    bench.open(1)
    bench.open(2)
    bench.open(3, ip="10.0.0.1")
    outputs, _ = bench.request()
    assert [output for _, output in outputs[:2]] == [SocketDropped(1), SocketDropped(2)]
    assert len(bench.request()[0]) == 1, "once"


def test_requests_are_matched_by_what_they_say() -> None:
    ask = {"type": "userFills", "user": USER.upper().replace("0X", "0x")}
    book = {"type": "l2Book", "coin": "ETH"}
    for match, hits in (
        ({"request_type": "userFills"}, [False, False, True, False]),
        ({"action": "cancel"}, [False, True, False, False]),
        ({"path": "/info"}, [False, False, True, True]),
        ({"coin": "ETH"}, [True, False, False, True]),
        ({"coin": "BTC"}, [False, True, False, False]),
        ({"user": USER}, [False, False, True, False]),
        ({"ip": "10.9.9.9"}, [False, False, False, False]),
        ({"socket": 4}, [False, False, False, False]),
    ):
        bench = Bench({"fault": "refuse", "match": match})
        pairs = ((ORDER, "/exchange"), (CANCEL, "/exchange"), (ask, "/info"), (book, "/info"))
        assert [bench.request(body, path)[1] is None for body, path in pairs] == hits, match


def test_the_signer_is_asked_only_when_a_rule_wants_to_know() -> None:
    asked: list[int] = []

    def signer() -> str:
        asked.append(1)
        return USER

    assert Bench({"fault": "refuse", "match": {"action": "order"}}).request(signer=signer)[1] is None
    assert not asked
    assert Bench({"fault": "refuse", "match": {"user": USER}}).request(signer=signer)[1] is None
    assert asked


def test_posts_over_a_socket_fail_in_their_own_form() -> None:
    over: Any = {"socket_id": 4, "post_id": 9}
    outputs, handled = Bench({"fault": "refuse"}).request(**over)
    payload = {"type": "error", "payload": "429 Too Many Requests"}
    assert plain(outputs) == [{"channel": "post", "data": {"id": 9, "response": payload}}]
    assert handled is None
    assert Bench({"fault": "lose_reply"}).request(**over)[0] == [(0, SocketDropped(4))]
    rule = {"fault": "replace_answer", "with": {"status": 200, "body": "err", "text": "No."}}
    payload_err = {"type": "action", "payload": {"status": "err", "response": "No."}}
    assert plain(Bench(rule).request(**over)[0]) == [{"channel": "post", "data": {"id": 9, "response": payload_err}}]


def test_a_posts_answer_is_distorted_once_as_a_frame() -> None:
    bench = Bench({"fault": "clock_skew", "with": {"ms": 5}})
    facts = bench.facts({"type": "clearinghouseState"}, "/info", socket_id=4, post_id=9)
    assert bench.board.request_fate(facts, START) is None
    bench.open(4)
    (frame,) = plain(bench.send("post", {"id": 9, "response": {"payload": {"time": 10}}}, 4))
    assert frame["data"]["response"]["payload"] == {"time": 15}


# Texts


STATUS_FRAME = [{"order": {"oid": 1, "timestamp": 5}, "status": "filled", "statusTimestamp": 6}]


def test_an_order_status_becomes_an_unknown_word() -> None:
    bench = Bench({"fault": "unknown_value", "with": {"field": "status", "word": "quantumCanceled"}})
    bench.open()
    (frame,) = plain(bench.send("orderUpdates", STATUS_FRAME))
    assert frame["data"][0]["status"] == "quantumCanceled"
    answer = {"status": "order", "order": {"status": "open"}}
    outputs, _ = bench.request({"type": "orderStatus"}, "/info", answer)
    assert json.loads(outputs[0][1].body) == {"status": "order", "order": {"status": "quantumCanceled"}}


def test_a_frame_without_anything_to_change_does_not_count() -> None:
    bench = Bench({"fault": "unknown_value", "with": {"field": "dir"}, "when": {"nth": 1}})
    bench.open()
    bench.send("userFills", {"user": USER, "isSnapshot": True, "fills": []})
    assert bench.firings() == 0
    assert plain(bench.send("userFills", {"user": USER, "fills": [{"dir": "Buy"}]}))[0]["data"]["fills"] == [
        {"dir": "unheardOf"}
    ]


@pytest.mark.parametrize("field", ["dir", "side"])
def test_a_fill_tells_an_unknown_word(field: str) -> None:
    bench = Bench({"fault": "unknown_value", "with": {"field": field}, "match": {"channel": "userFills"}})
    bench.open()
    (frame,) = plain(bench.send("userFills", {"user": USER, "fills": [{"dir": "Open Long", "side": "B"}]}))
    fill = {"dir": "Open Long", "side": "B"} | {field: "unheardOf"}
    assert frame["data"]["fills"] == [fill]


def test_numbers_lose_their_quotes() -> None:
    bench = Bench({"fault": "bare_numbers"})
    bench.open()
    ((_, frame),) = bench.send("trades", [{"coin": "BTC", "px": "85000.10", "sz": "-0.5", "hash": "0x12", "n": "007"}])
    assert isinstance(frame, Frame)
    row = '{"coin":"BTC","px":85000.10,"sz":-0.5,"hash":"0x12","n":"007"}'
    assert frame.text == f'{{"channel":"trades","data":[{row}]}}'
    named = Bench({"fault": "bare_numbers", "with": {"fields": ["sz"]}})
    named.open()
    (told,) = plain(named.send("trades", [{"coin": "BTC", "px": "1.0", "sz": "2.0"}]))
    assert told["data"] == [{"coin": "BTC", "px": "1.0", "sz": 2.0}]


def test_the_venues_clock_is_off() -> None:
    bench = Bench({"fault": "clock_skew", "with": {"ms": -2_000}, "when": {"at_ms": 100, "until_ms": 200}})
    bench.open()
    assert plain(bench.send("orderUpdates", STATUS_FRAME))[0]["data"] == STATUS_FRAME
    bench.now = START + 100
    row = plain(bench.send("orderUpdates", STATUS_FRAME))[0]["data"][0]
    assert (row["order"]["timestamp"], row["statusTimestamp"]) == (-1_995, -1_994)
    outputs, _ = bench.request({"type": "clearinghouseState"}, "/info", {"time": 10_000})
    assert json.loads(outputs[0][1].body) == {"time": 8_000}
    assert bench.board.date_skew_ms(bench.now) == 0
    bench.now = START + 200
    assert plain(bench.bbo())[0]["data"]["time"] == 5


def test_the_date_of_http_is_off() -> None:
    rule = {"fault": "clock_skew", "with": {"ms": 3_000, "of": "date"}, "when": {"at_ms": 50, "until_ms": 60}}
    board = Bench(rule).board
    assert [board.date_skew_ms(START + at) for at in (49, 50, 59, 60)] == [0, 3_000, 3_000, 0]


# Frames


def test_frames_are_dropped_where_they_match() -> None:
    bench = Bench({"fault": "drop_frames", "match": {"channel": "bbo", "coin": "BTC", "socket": 1}})
    bench.open(1)
    bench.open(2)
    assert bench.bbo() == []
    assert len(bench.bbo("ETH")) == 1
    assert len(bench.bbo(socket_id=2)) == 1
    assert len(bench.send("allMids", {"mids": {}})) == 1
    assert len(bench.subscribe({"type": "bbo", "coin": "BTC"})) == 1, "the acknowledgement is not the channel's data"


def test_acknowledgements_are_dropped_by_their_phase() -> None:
    bench = Bench({"fault": "drop_frames", "match": {"channel": "bbo", "phase": "ack"}})
    bench.open()
    assert bench.subscribe({"type": "bbo", "coin": "BTC"}) == []
    assert len(bench.subscribe({"type": "trades", "coin": "BTC"})) == 1
    assert len(bench.bbo()) == 1


def test_pongs_stop() -> None:
    bench = Bench({"fault": "no_pongs"})
    bench.open()
    assert bench.send("pong") == []
    assert len(bench.bbo()) == 1


def test_delayed_frames_keep_their_channels_order() -> None:
    bench = Bench({"fault": "delay_frames", "with": {"ms": 500}, "match": {"channel": "bbo"}, "when": {"nth": 1}})
    bench.open()
    assert [due for due, _ in bench.bbo()] == [500]
    bench.now += 100
    assert [due for due, _ in bench.bbo()] == [400], "not before the one that is held back"
    assert [due for due, _ in bench.send("allMids", {})] == [0]
    bench.now += 400
    assert [due for due, _ in bench.bbo()] == [0]
    assert not bench.board.watches_frames


def test_frames_are_doubled() -> None:
    bench = Bench({"fault": "duplicate_frames", "with": {"copies": 2, "after_ms": 30}})
    bench.open()
    sent = bench.bbo()
    assert [due for due, _ in sent] == [0, 30, 30]
    assert len({output for _, output in sent}) == 1


def test_frames_are_reordered_within_the_window() -> None:
    bench = Bench({"fault": "reorder_frames", "with": {"window_ms": 50}, "match": {"channel": "bbo"}})
    bench.open()
    dues = [bench.bbo()[0][0] for _ in range(200)]
    assert set(dues) <= set(range(51))
    assert dues != sorted(dues)


def test_an_unknown_channel_speaks() -> None:
    bench = Bench({"fault": "unknown_channel", "when": {"nth": 1}})
    bench.open()
    assert [frame["channel"] for frame in plain(bench.bbo())] == ["surprise", "bbo"]
    bench.board.add_json({"fault": "unknown_channel", "with": {"channel": "zap", "instead": True}})
    assert [frame["channel"] for frame in plain(bench.bbo())] == ["zap"]


def test_one_stream_falls_silent_until_it_is_subscribed_again() -> None:
    bench = Bench({"fault": "stale_stream", "match": {"channel": "bbo", "coin": "BTC"}, "when": {"nth": 2}})
    bench.open()
    bench.subscribe({"type": "bbo", "coin": "BTC"})
    assert [len(bench.bbo()) for _ in range(4)] == [1, 0, 0, 0]
    assert len(bench.bbo("ETH")) == 1
    assert len(bench.send("pong")) == 1
    assert len(bench.subscribe({"type": "bbo", "coin": "BTC"})) == 1
    assert len(bench.bbo()) == 1
    assert bench.firings() == 1
    assert len(bench.log.rows("lost")) == 2


def test_one_stream_falls_silent_until_the_socket_is_new() -> None:
    bench = Bench({"fault": "stale_stream", "with": {"ends": "reconnect"}, "match": {"channel": "bbo"}})
    bench.open()
    assert bench.bbo() == []
    bench.subscribe({"type": "bbo", "coin": "BTC"})
    assert bench.bbo() == []
    bench.board.socket_closed(1)
    bench.open(2)
    assert len(bench.bbo(socket_id=2)) == 1


def test_a_silence_ends_with_its_time_or_its_rule() -> None:
    bench = Bench({"fault": "stale_stream", "with": {"for_ms": 100}, "match": {"channel": "bbo"}})
    bench.open()
    assert bench.bbo() == []
    bench.now += 100
    assert len(bench.bbo()) == 1
    rule = bench.board.add_json({"fault": "stale_stream", "match": {"channel": "bbo"}})
    assert bench.bbo() == []
    assert bench.board.watches_frames
    bench.board.remove(rule)
    assert len(bench.bbo()) == 1
    assert not bench.board.watches_frames


def test_a_half_open_socket_loses_both_ways_and_nobody_is_told() -> None:
    bench = Bench({"fault": "half_open", "with": {"for_ms": 5_000}, "match": {"socket": 1}, "when": {"at_ms": 10}})
    bench.open(1)
    bench.open(2)
    assert bench.board.next_due_ms() == START + 10
    bench.now += 10
    assert bench.board.acts_due(bench.now) == []
    assert bench.board.outputs_due(bench.now) == []
    assert bench.send("pong") == []
    assert not bench.board.hears(1, '{"method":"ping"}', bench.now)
    assert not bench.board.reaches(1, bench.now)
    assert len(bench.send("pong", socket_id=2)) == 1
    assert bench.board.hears(2, '{"method":"ping"}', bench.now)
    bench.now += 5_000
    assert bench.board.hears(1, '{"method":"ping"}', bench.now)
    assert len(bench.send("pong")) == 1


def test_a_socket_dies_by_the_clock() -> None:
    bench = Bench({"fault": "disconnect", "match": {"user": USER}, "when": {"at_ms": 10, "every_ms": 50, "times": 2}})
    bench.open(1)
    bench.open(2)
    bench.subscribe({"type": "userFills", "user": USER.upper().replace("0X", "0x")}, socket_id=2)
    assert bench.board.outputs_due(START + 9) == []
    assert bench.board.outputs_due(START + 10) == [SocketDropped(2)]
    assert bench.board.next_due_ms() == START + 60
    assert bench.board.outputs_due(START + 60) == []
    assert bench.board.next_due_ms() is None
    assert bench.firings() == 2


@pytest.mark.parametrize(("point", "kinds"), [("before", [SocketDropped]), ("after", [Frame, SocketDropped])])
def test_a_socket_dies_in_the_middle_of_a_snapshot(point: str, kinds: list[type]) -> None:
    rule = {"fault": "disconnect", "with": {"point": point}, "match": {"channel": "userFills", "phase": "first"}}
    bench = Bench(rule)
    bench.open()
    assert len(bench.subscribe({"type": "userFills", "user": USER})) == 1
    snapshot = {"user": USER, "isSnapshot": True, "fills": []}
    assert [type(output) for _, output in bench.send("userFills", snapshot)] == kinds


def test_a_socket_dies_after_an_acknowledgement() -> None:
    rule = {"fault": "disconnect", "with": {"point": "after"}, "match": {"channel": "bbo", "phase": "ack"}}
    bench = Bench(rule)
    bench.open()
    sent = bench.subscribe({"type": "bbo", "coin": "BTC"})
    assert [type(output) for _, output in sent] == [Frame, SocketDropped]


def test_a_resubscription_is_acknowledged_and_then_silent() -> None:
    bench = Bench({"fault": "lie_on_resubscribe", "match": {"channel": "orderUpdates"}})
    bench.open()
    asked = {"type": "orderUpdates", "user": USER}
    bench.subscribe(asked)
    assert len(bench.send("orderUpdates", STATUS_FRAME)) == 1
    bench.board.socket_closed(1)
    bench.open(2)
    assert len(bench.subscribe(asked, socket_id=2)) == 1
    assert bench.send("orderUpdates", STATUS_FRAME, socket_id=2) == []
    assert len(bench.bbo(socket_id=2)) == 1
    assert bench.firings() == 1


def test_a_resubscription_is_told_the_snapshot_of_before() -> None:
    rule = {"fault": "lie_on_resubscribe", "with": {"data": "old"}, "match": {"channel": "userFills"}}
    bench = Bench(rule)
    asked = {"type": "userFills", "user": USER}
    for socket_id in (1, 2):
        bench.open(socket_id)
        bench.subscribe(asked, socket_id)
        snapshot = {"isSnapshot": True, "user": USER, "fills": [{"coin": "BTC", "tid": socket_id}]}
        (frame,) = plain(bench.send("userFills", snapshot, socket_id))
        assert frame["data"]["fills"][0]["tid"] == 1
    (later,) = plain(bench.send("userFills", {"user": USER, "fills": [{"coin": "BTC", "tid": 3}]}, 2))
    assert later["data"]["fills"][0]["tid"] == 3
    assert bench.firings() == 1


def test_a_client_is_killed_by_a_frame() -> None:
    rule = {"fault": "kill", "with": {"pid": 5, "point": "after"}, "match": {"channel": "userFills"}}
    bench = Bench(rule)
    bench.open()
    sent = bench.send("userFills", {"user": USER, "fills": [{"coin": "BTC"}]})
    assert [type(output) for _, output in sent] == [Frame, ProcessKilled]


def test_a_kill_outlives_the_frame_that_caused_it() -> None:
    bench = Bench({"fault": "kill", "with": {"pid": 5}, "match": {"channel": "bbo"}}, {"fault": "drop_frames"})
    bench.open()
    assert bench.bbo() == [(0, ProcessKilled(5))]


def test_a_handshake_is_refused() -> None:
    bench = Bench({"fault": "refuse_socket", "with": {"status": 429, "body": "null"}, "when": {"nth": 2}})
    assert bench.open(1) is None
    assert bench.open(2) == SocketRefused(2, 429, b"null")
    assert bench.open(3) is None


def test_user_streams_without_a_name_are_matched_by_the_sockets_user() -> None:
    bench = Bench({"fault": "drop_frames", "match": {"channel": "orderUpdates", "user": USER}})
    bench.open(1)
    bench.open(2)
    bench.subscribe({"type": "orderUpdates", "user": USER}, 1)
    bench.subscribe({"type": "orderUpdates", "user": "0x" + 40 * "b"}, 2)
    assert bench.send("orderUpdates", STATUS_FRAME, 1) == []
    assert len(bench.send("orderUpdates", STATUS_FRAME, 2)) == 1


def test_frames_know_their_stream_and_phase() -> None:
    bench = Bench({"fault": "drop_frames", "match": {"socket": 9}})
    bench.open()
    seen: list[FrameFacts] = []

    def look(channel: str, data: object = None) -> None:
        said = {"channel": channel} if data is None else {"channel": channel, "data": data}
        frame = Frame(1, json.dumps(said))
        seen.append(bench.board.facts(frame))
        bench.board.frames(seen[-1], frame, bench.now)

    look("subscriptionResponse", {"method": "subscribe", "subscription": {"type": "userEvents", "user": USER}})
    look("user", {"fills": [{"coin": "ETH"}]})
    look("subscriptionResponse", {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}})
    look("trades", [{"coin": "BTC", "px": "1.0"}])
    look("trades", [{"coin": "BTC", "px": "1.0"}])
    look("candle", {"s": "BTC", "i": "1m", "t": 5})
    look("subscriptionResponse", {"method": "unsubscribe", "subscription": {"type": "trades", "coin": "BTC"}})
    look("pong")
    look("error", "no")
    assert [(facts.channel, facts.phase.value, facts.stream and facts.stream[:2]) for facts in seen] == [
        ("subscriptionResponse", "ack", ("user", None)),
        ("user", "first", ("user", None)),
        ("subscriptionResponse", "ack", ("trades", "BTC")),
        ("trades", "first", ("trades", "BTC")),
        ("trades", "later", ("trades", "BTC")),
        ("candle", "later", ("candle", "BTC")),
        ("subscriptionResponse", "other", ("trades", "BTC")),
        ("pong", "other", None),
        ("error", "other", None),
    ]
    assert seen[1].coins | seen[3].coins == {"ETH", "BTC"}
    assert seen[0].phase is Phase.ACK


# When


@pytest.mark.parametrize(
    ("when", "hits"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"nth": 3}, [3]),
        ({"nth": 3, "times": 2}, [3, 4]),
        ({"every": 2}, [2, 4, 6]),
        ({"every": 2, "times": 2}, [2, 4]),
        ({"nth": 1, "every": 3}, [1, 4]),
        ({"times": 2}, [1, 2]),
        ({"at_ms": 30}, [4, 5, 6]),
        ({"until_ms": 30}, [1, 2, 3]),
        ({"at_ms": 10, "until_ms": 50, "nth": 2}, [3]),
    ],
)
def test_rules_fire_by_count_and_time(when: Json, hits: list[int]) -> None:
    bench = Bench({"fault": "refuse", "when": when})
    fired = []
    for number in range(1, 7):
        bench.now = START + (number - 1) * 10
        if bench.request()[1] is None:
            fired.append(number)
    assert fired == hits
    assert bench.firings() == len(hits) == bench.board.fired(1)


def test_chance_is_of_the_seed_and_of_the_rule_alone() -> None:
    rule = {"fault": "refuse", "match": {"action": "order"}, "when": {"probability": 0.5}}

    def hits(bench: Bench) -> list[bool]:
        return [bench.request()[1] is None for _ in range(64)]

    first = hits(Bench(rule))
    assert first == hits(Bench(rule))
    assert first != hits(Bench(rule, seed=2))
    assert 16 < sum(first) < 48
    assert first == hits(Bench(rule, {"fault": "delay_answer", "with": {"ms": 1}, "when": {"probability": 0.5}}))


def test_rules_draw_apart_from_each_other() -> None:
    half = {"probability": 0.5}
    bench = Bench({"fault": "delay_answer", "with": {"ms": 1}, "when": half}, {"fault": "lose_reply", "when": half})
    for _ in range(64):
        bench.request()
    fired = [(row["request"], row["rule"]) for row in bench.log.rows("fault")]
    assert {number for number, rule in fired if rule == 1} != {number for number, rule in fired if rule == 2}


def test_acts_come_due_by_the_clock() -> None:
    bench = Bench(
        {"fault": "halt", "with": {"ms": 9}, "when": {"at_ms": 100}},
        {"fault": "deposit", "with": {"user": USER, "usd": "5"}, "when": {"every_ms": 60, "until_ms": 130}},
    )
    assert bench.board.next_due_ms() == START
    deposit = Act(2, "deposit", {"user": USER, "usd": "5"})
    assert bench.board.acts_due(START) == [deposit]
    assert bench.board.next_due_ms() == START + 60
    assert bench.board.acts_due(START + 1_000) == [deposit, Act(1, "halt", {"ms": 9}), deposit]
    assert bench.board.next_due_ms() is None


def test_acts_follow_a_request_or_a_frame() -> None:
    bench = Bench(
        {"fault": "post_only", "with": {"ms": 9}, "match": {"action": "order"}, "when": {"nth": 2}},
        {"fault": "cancel_all", "with": {"user": USER}, "match": {"channel": "userFills"}},
    )
    bench.open()
    bench.request()
    assert bench.board.acts_due(START) == []
    bench.request()
    assert bench.board.next_due_ms() == START
    assert bench.board.acts_due(START) == [Act(1, "post_only", {"ms": 9})]
    bench.send("userFills", {"user": USER, "fills": []})
    assert bench.board.acts_due(START) == [Act(2, "cancel_all", {"user": USER})]


def test_a_rule_that_is_gone_asks_for_nothing_more() -> None:
    bench = Bench({"fault": "post_only", "with": {"ms": 9}, "match": {"action": "order"}})
    bench.request()
    bench.board.remove(1)
    assert bench.board.acts_due(START) == []


def test_every_firing_names_its_rule_in_the_log() -> None:
    bench = Bench({"fault": "refuse", "when": {"nth": 1}}, {"fault": "drop_frames", "note": "bad day"})
    bench.open()
    bench.request()
    bench.bbo()
    added, _, request, frame = bench.log.rows()
    assert added["says"] == {"fault": "refuse", "when": {"nth": 1}}
    assert (request["rule"], request["fault"], request["request"], request["action"]) == (1, "refuse", 1, "order")
    assert (frame["rule"], frame["fault"], frame["socket"], frame["channel"]) == (2, "drop_frames", 1, "bbo")


def test_rules_tell_how_they_stand() -> None:
    bench = Bench({"fault": "refuse", "when": {"nth": 2}})
    for _ in range(3):
        bench.request()
    state = {"id": 1, "seen": 2, "fired": 1, "over": True}
    assert bench.board.rules() == [state | {"fault": "refuse", "when": {"nth": 2}}]
    assert not bench.board.watches_requests
    bench.board.clear()
    assert bench.board.rules() == []
    with pytest.raises(BadForm, match="no rule 1; there are: none"):
        bench.board.remove(1)


# The JSON form


EXAMPLES: list[Json] = [
    {"fault": "execute_late", "with": {"ms": 5}},
    {"fault": "delay_answer", "with": {"ms": 5}},
    {"fault": "clock_skew", "with": {"ms": -5, "of": "both", "fields": ["t"]}},
    {"fault": "delay_frames", "with": {"ms": 5, "jitter_ms": 2}, "match": {"channel": "bbo"}},
    {"fault": "kill", "with": {"pid": 9}, "when": {"at_ms": 3}},
    {"fault": "delist", "with": {"coin": "BTC"}},
    {"fault": "halt", "with": {"ms": 5}},
    {"fault": "post_only", "with": {"ms": 5}},
    {"fault": "set_leverage", "with": {"user": USER, "coin": "BTC", "value": 3}},
    {"fault": "trade", "with": {"user": USER, "coin": "BTC", "side": "buy", "size": "0.1"}},
    {"fault": "cancel_all", "with": {"user": USER}},
    {"fault": "liquidate", "with": {"user": USER}, "when": {"probability": 0.5, "every_ms": 4}},
    {"fault": "deleverage", "with": {"user": USER, "coin": "BTC"}},
    {"fault": "deposit", "with": {"user": USER, "usd": 5}},
    {"fault": "withdraw", "with": {"user": USER, "usd": 5.5}},
    {"fault": "remove_agent", "with": {"agent": USER}, "note": "expired"},
]
NAMED = {example["fault"] for example in EXAMPLES}
EXAMPLES += [{"fault": name} for name in FAULTS if name not in NAMED]


@pytest.mark.parametrize("raw", EXAMPLES, ids=lambda raw: raw["fault"])
def test_every_kind_of_rule_has_a_json_form(raw: Json) -> None:
    rule = rule_from_json(json.loads(json.dumps(raw)))
    assert rule_to_json(rule) == raw
    assert rule_from_json(rule_to_json(rule)) == rule


def test_the_examples_are_all_there_is() -> None:
    assert {example["fault"] for example in EXAMPLES} == {*FAULTS, *ACTS}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ([], "a fault rule must be an object, not list"),
        ({}, "needs `fault`"),
        ({"fault": "explode"}, "fault knows no 'explode'; it knows: bare_numbers, "),
        ({"fault": "refuse", "when ": {}}, "a fault rule knows no 'when '; it knows: fault, match, note, when, with"),
        ({"fault": "refuse", "with": {"code": 1}}, "with of refuse knows no 'code'; it knows: body, status, text"),
        ({"fault": "no_pongs", "with": {"a": 1}}, "with of no_pongs knows no 'a'; it knows: nothing"),
        ({"fault": "refuse", "with": {"body": "xml"}}, "with of refuse.body knows no 'xml'; it knows: null, empty, "),
        ({"fault": "refuse", "with": {"status": "500"}}, "Expected `int`, got `str` - in `status`"),
        ({"fault": "refuse", "with": {"status": 99}}, ">= 200"),
        ({"fault": "delay_frames"}, "missing required field `ms`"),
        ({"fault": "delay_frames", "with": {"ms": -1}}, ">= 0"),
        ({"fault": "kill", "with": {"pid": 1}}, ">= 2"),
        ({"fault": "refuse", "match": {"type": "x"}}, "match knows no 'type'; it knows: action, channel, coin"),
        ({"fault": "refuse", "match": {"path": "/ws"}}, "match.path knows no '/ws'; it knows: /info, /exchange"),
        ({"fault": "drop_frames", "match": {"channel": "userEvents"}}, "match.channel knows no 'userEvents'"),
        ({"fault": "drop_frames", "match": {"phase": "snapshot"}}, "knows: ack, first, later, data"),
        (
            {"fault": "refuse", "match": {"channel": "bbo"}},
            "channel and phase match frames, but this rule is about req",
        ),
        ({"fault": "drop_frames", "match": {"path": "/info"}}, "match requests, but this rule is about frames"),
        ({"fault": "truncate", "match": {"path": "/info", "channel": "bbo"}}, "one or the other"),
        ({"fault": "refuse", "when": {"every_ms": 5}}, "use every, nth or probability"),
        ({"fault": "halt", "with": {"ms": 1}, "when": {"every_ms": 5, "nth": 2}}, "use one of them"),
        ({"fault": "halt", "with": {"ms": 1}, "match": {"ip": IP}}, "by the clock there is nothing to match"),
        ({"fault": "disconnect", "match": {"coin": "BTC"}}, "by the clock there is no coin"),
        ({"fault": "refuse_socket", "match": {"user": USER}}, "a handshake is known by its ip only"),
        ({"fault": "refuse", "when": {"at_ms": 5, "until_ms": 5}}, "until_ms must be later than at_ms"),
        ({"fault": "refuse", "when": {"probability": 0}}, "> 0"),
        ({"fault": "refuse", "when": {"probability": 1.5}}, "<= 1"),
        ({"fault": "refuse", "when": {"nth": True}}, "got `bool` - in `nth`"),
        ({"fault": "refuse", "note": 5}, "note must be text"),
        ({"fault": "trade", "with": {"user": USER, "coin": "BTC", "side": "B", "size": 1}}, "it knows: buy, sell"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_a_reason(raw: object, says: str) -> None:
    with pytest.raises(BadForm) as refused:
        rule_from_json(raw)
    assert says in str(refused.value)


def test_rules_made_in_code_are_checked_too() -> None:
    board = Bench().board
    with pytest.raises(BadForm, match="match requests"):
        board.add(FaultRule(DelayFrames(ms=1), Match(path="/info")))
    with pytest.raises(BadForm, match=">= 0"):
        board.add(FaultRule(DelayFrames(ms=-1)))
    assert board.add(FaultRule(DropFrames(), Match(user=USER.upper()), When(nth=1))) == 1
    assert board.rules()[0]["match"] == {"user": USER}
