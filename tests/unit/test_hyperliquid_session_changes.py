"""What a session hears may change while it is connected: streams come, go, are asked for anew, and come back."""

from __future__ import annotations

import json
import random

from adapters.hyperliquid.heard import Acked, BboHeard, CandleHeard, Pong, TradesHeard, VenueError, subscription_key
from adapters.hyperliquid.session import PING, Phase, WsSession
from adapters.hyperliquid.session_steps import Close, Deliver, Do, Resynced, Send, SessionRules, Stopped, Tell
from adapters.hyperliquid.subscriptions import MessageBudget, StreamRoom, Subscription
from domain.candles import Interval

BTC = Subscription("bbo", "BTC")
ETH = Subscription("bbo", "ETH")
SOL = Subscription("bbo", "SOL")
CANDLE = Subscription("candle", "BTC", Interval.M1)
EXIT = Subscription("candle", "BTC", Interval.M5)
TRADES = Subscription("trades", "BTC")
RULES = SessionRules()
ON, OFF = "subscribe", "unsubscribe"


def make_session(
    *wanted: Subscription,
    rules: SessionRules = RULES,
    budget: MessageBudget | None = None,
    room: StreamRoom | None = None,
) -> WsSession:
    return WsSession(wanted, rules, random.Random(7), budget, room)


def live(*wanted: Subscription, room: StreamRoom | None = None, budget: MessageBudget | None = None) -> WsSession:
    session = make_session(*wanted, room=room, budget=budget)
    session.opened(0)
    for each in wanted:
        session.heard(ack(each), 0)
    assert phase(session) is Phase.LIVE
    return session


def phase(session: WsSession) -> Phase:
    return session.phase


def is_full(room: StreamRoom) -> bool:
    return room.is_full


def ack(subscription: Subscription, method: str = ON) -> Acked:
    return Acked(method, subscription.key, subscription.request)


def asked(todo: list[Do]) -> list[tuple[str, str]]:
    """(method, key) of every question, in order."""
    said = [json.loads(do.text) for do in todo if isinstance(do, Send) and do.text != PING]
    return [(each["method"], subscription_key(each["subscription"])) for each in said]


def told(todo: list[Do]) -> list[Do]:
    return [do for do in todo if not isinstance(do, Send)]


# ── coming ───────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_that_is_wanted_later_is_asked_for_at_once_and_the_session_is_live_when_it_runs() -> None:
    session = live(BTC)
    assert asked(session.want([ETH], 5)) == [(ON, ETH.key)]
    assert phase(session) is Phase.SUBSCRIBING
    assert session.heard(ack(ETH), 6) == [Resynced((ETH.key,))]
    assert phase(session) is Phase.LIVE


def test_what_is_wanted_already_is_not_asked_for_again() -> None:
    session = live(BTC)
    assert session.want([BTC], 5) == []
    session.want([ETH], 5)
    assert session.want([ETH], 6) == []


def test_each_market_stream_is_resynced_by_its_own_answer() -> None:
    session = make_session(BTC, CANDLE)
    session.opened(0)
    assert session.heard(ack(CANDLE), 1) == [Resynced((CANDLE.key,))]
    assert session.heard(ack(BTC), 2) == [Resynced((BTC.key,))]


def test_without_a_connection_nothing_is_sent_and_the_next_one_has_what_is_wanted_by_then() -> None:
    session = make_session(BTC, SOL)
    assert session.want([ETH], 0) == session.drop([BTC.key], 0) == []
    assert asked(session.opened(1)) == [(ON, SOL.key), (ON, ETH.key)]
    session.lost(2, "gone")
    assert session.drop([SOL.key], 3) == []
    assert asked(session.opened(5_000)) == [(ON, ETH.key)]


def test_while_the_connection_is_given_up_nothing_is_sent() -> None:
    session = live(BTC)
    assert session.give_up_connection("too quiet") == [Close("too quiet")]
    assert session.give_up_connection("again") == []
    assert session.want([ETH], 1) == []
    assert told(session.drop([BTC.key], 1)) == [Stopped((BTC.key,))]
    session.lost(2, "too quiet")
    assert asked(session.opened(5_000)) == [(ON, ETH.key)]


# ── going ────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_that_is_dropped_stops_at_once_and_is_unsubscribed() -> None:
    session = live(BTC, ETH)
    todo = session.drop([BTC.key], 5)
    assert told(todo) == [Stopped((BTC.key,))]
    assert asked(todo) == [(OFF, BTC.key)]
    assert phase(session) is Phase.LIVE, "everything that is wanted runs"
    assert session.heard(ack(BTC, OFF), 6) == []
    assert not session.knows(BTC.key)
    session.lost(7, "gone")
    assert asked(session.opened(5_000)) == [(ON, ETH.key)]


def test_a_stream_that_was_never_asked_for_is_simply_forgotten() -> None:
    session = make_session(BTC, ETH, rules=SessionRules(unanswered_limit=1))
    session.opened(0)
    assert session.drop([ETH.key], 1) == []
    assert session.heard(ack(BTC), 2) == [Resynced((BTC.key,))]
    assert phase(session) is Phase.LIVE
    assert not session.knows(ETH.key)


def test_a_stream_dropped_before_its_answer_is_ended_after_it_and_never_said_to_run() -> None:
    session = make_session(BTC, ETH)
    session.opened(0)
    session.heard(ack(ETH), 1)
    assert session.drop([BTC.key], 2) == [], "one question at a time"
    assert phase(session) is Phase.LIVE
    todo = session.heard(ack(BTC), 3)
    assert told(todo) == []
    assert asked(todo) == [(OFF, BTC.key)]


def test_a_stream_dropped_before_an_answer_that_never_comes_is_ended_all_the_same() -> None:
    session = make_session(BTC, ETH)
    session.opened(0)
    session.heard(ack(ETH), 1)
    session.drop([BTC.key], 2)
    assert asked(session.tick(RULES.ack_timeout_ms)) == [(OFF, BTC.key)]
    assert session.heard(ack(BTC), 10_001) == [], "late: its end is under way"
    assert session.heard(ack(BTC, OFF), 10_002) == []
    assert not session.knows(BTC.key)


def test_no_answer_to_an_end_is_asked_again_then_the_connection_is_given_up_and_nobody_accused() -> None:
    session = live(BTC, ETH)
    session.drop([BTC.key], 100)
    assert session.next_due_ms == 100 + RULES.ack_timeout_ms
    assert asked(session.tick(10_100)) == [(OFF, BTC.key)]
    session.heard(Pong(), 20_000)
    assert told(session.tick(20_100)) == [Close(f"no answer to the unsubscription {BTC.key}")]
    session.lost(20_101, "closed by us")
    assert asked(session.opened(30_000)) == [(ON, ETH.key)]


def test_a_refused_end_is_an_end() -> None:
    for text in ("Already unsubscribed: ", "Invalid subscription ", "Error parsing JSON into valid request: "):
        session = live(BTC)
        session.drop([BTC.key], 1)
        quoted = json.dumps({"method": OFF, "subscription": BTC.request})
        assert session.heard(VenueError(text + (quoted if "parsing" in text else json.dumps(BTC.request))), 2) == []
        assert not session.knows(BTC.key)
        assert session.given_up == ()


def test_data_that_are_under_way_when_a_stream_is_dropped_end_nothing() -> None:
    session = live(BTC)
    session.drop([BTC.key], 1)
    quote = BboHeard("BTC", 1, 1.0, 2.0)
    assert session.heard(quote, 2) == [Deliver(quote, False)]
    session.heard(ack(BTC, OFF), 3)
    assert session.heard(quote, 4) == [Deliver(quote, False)]


def test_a_drop_of_the_socket_while_a_stream_is_ended_accuses_nobody() -> None:
    session = live(BTC, ETH)
    session.heard(Pong(), 10)
    session.drop([BTC.key], 20)
    session.lost(30, "closed with 1006")
    assert asked(session.opened(5_000)) == [(ON, ETH.key)], "a suspect would wait for its turn"
    session.want([SOL], 5_001)
    session.heard(ack(ETH), 5_002)
    assert phase(session) is Phase.SUBSCRIBING


# ── going and coming back ────────────────────────────────────────────────────────────────────────


def test_back_before_the_answer_to_its_end_a_stream_is_asked_for_after_it() -> None:
    session = live(BTC)
    session.drop([BTC.key], 1)
    assert session.want([BTC], 2) == [], "the venue's late answer must not be taken for the new one's"
    assert phase(session) is Phase.SUBSCRIBING
    assert asked(session.heard(ack(BTC, OFF), 3)) == [(ON, BTC.key)]
    assert session.heard(ack(BTC), 4) == [Resynced((BTC.key,))]
    assert phase(session) is Phase.LIVE


def test_back_before_the_answer_to_its_start_a_stream_runs_on_that_answer() -> None:
    session = make_session(BTC)
    session.opened(0)
    assert session.drop([BTC.key], 1) == session.want([BTC], 2) == []
    assert session.heard(ack(BTC), 3) == [Resynced((BTC.key,))]


def test_answers_to_questions_that_were_asked_twice_do_not_disturb_what_follows() -> None:
    session = live(BTC)
    session.drop([BTC.key], 0)
    assert asked(session.tick(10_000)) == [(OFF, BTC.key)]
    session.want([BTC], 10_001)
    assert asked(session.heard(ack(BTC, OFF), 10_002)) == [(ON, BTC.key)]
    already = f"Already unsubscribed: {json.dumps(BTC.request)}"
    assert session.heard(VenueError(already), 10_003) == [], "it answers the second question, before the third"
    assert session.heard(ack(BTC), 10_004) == [Resynced((BTC.key,))]
    assert session.heard(VenueError(f"Already subscribed: {json.dumps(BTC.request)}"), 10_005) == []


def test_a_stream_given_up_stays_given_up_when_it_leaves_and_comes_back() -> None:
    session = make_session(ETH, BTC)
    session.opened(0)
    session.heard(ack(BTC), 1)
    session.heard(VenueError(f"Invalid subscription {json.dumps(ETH.request)}"), 1)
    assert session.drop([ETH.key], 2) == session.want([ETH], 3) == []
    assert session.given_up == (ETH.key,)
    assert phase(session) is Phase.LIVE
    session.lost(4, "gone")
    assert asked(session.opened(5_000)) == [(ON, BTC.key)]


def test_what_is_held_against_a_stream_is_not_forgotten_when_it_leaves() -> None:
    session = make_session(BTC, ETH)
    now_ms = 0
    codes = []
    for _ in range(RULES.strikes_limit):
        session.opened(now_ms)
        session.heard(Pong(), now_ms + 1)
        session.heard(ack(BTC), now_ms + 2)
        session.drop([ETH.key], now_ms + 3)
        session.want([ETH], now_ms + 3)
        codes += [do.code for do in session.lost(now_ms + 4, "closed with 1006") if isinstance(do, Tell)]
        session.drop([ETH.key], now_ms + 5)
        session.want([ETH], now_ms + 6)
        now_ms += 60_000
    assert codes == ["stream_quarantined"]
    assert session.given_up == (ETH.key,)


def test_a_newcomer_does_not_wait_behind_a_suspect() -> None:
    session = make_session(BTC, ETH)
    session.opened(0)
    session.heard(ack(BTC), 1)
    session.lost(2, "closed with 1006")
    assert asked(session.opened(5_000)) == [(ON, BTC.key)]
    assert asked(session.want([SOL], 5_001)) == [(ON, SOL.key)]
    session.heard(ack(BTC), 5_002)
    assert asked(session.heard(ack(SOL), 5_003)) == [(ON, ETH.key)], "the suspect last, and alone"
    assert asked(session.want([TRADES], 5_004)) == []


# ── asked for anew ───────────────────────────────────────────────────────────────────────────────


def test_a_stream_asked_for_anew_stops_ends_and_begins_again() -> None:
    session = live(BTC, ETH)
    todo = session.renew([BTC.key, "bbo:coin=XYZ"], 5)
    assert told(todo) == [Stopped((BTC.key,), silent_ms=5)], "it may have been dead for as long as it was silent"
    assert asked(todo) == [(OFF, BTC.key)]
    assert phase(session) is Phase.SUBSCRIBING
    assert session.renew([BTC.key], 6) == [], "it is under way"
    assert asked(session.heard(ack(BTC, OFF), 7)) == [(ON, BTC.key)]
    assert session.renew([BTC.key], 8) == []
    assert session.heard(ack(BTC), 9) == [Resynced((BTC.key,))]


def test_the_first_trades_of_a_stream_asked_for_anew_are_backlog() -> None:
    session = live(TRADES)
    frame = TradesHeard("BTC", ())
    assert [session.heard(frame, 1), session.heard(frame, 1)] == [[Deliver(frame, True)], [Deliver(frame, False)]]
    session.renew([TRADES.key], 2)
    session.heard(ack(TRADES, OFF), 3)
    session.heard(ack(TRADES), 4)
    assert session.heard(frame, 5) == [Deliver(frame, True)]


def test_a_stream_dropped_while_it_is_asked_for_anew_does_not_come_back() -> None:
    session = live(BTC, ETH)
    session.renew([BTC.key], 1)
    assert session.drop([BTC.key], 2) == []
    assert session.heard(ack(BTC, OFF), 3) == []
    assert not session.knows(BTC.key)
    assert phase(session) is Phase.LIVE


# ── losing the connection ────────────────────────────────────────────────────────────────────────


def test_what_ran_stops_when_the_connection_is_lost_and_what_did_not_run_is_not_mentioned() -> None:
    session = make_session(BTC, ETH, SOL)
    session.opened(0)
    session.heard(ack(BTC), 1)
    session.heard(ack(SOL), 1)
    session.drop([SOL.key], 2)
    assert told(session.lost(3, "gone"))[0] == Stopped((BTC.key,), silent_ms=3)
    assert [do for do in session.lost(5_000, "refused") if isinstance(do, Stopped)] == []


# ── limits ───────────────────────────────────────────────────────────────────────────────────────


def test_changes_are_paced_and_budgeted_as_any_question() -> None:
    budget = MessageBudget(per_minute=4)
    session = live(BTC, ETH, budget=budget)  # with its ping, three
    todo = session.drop([BTC.key, ETH.key], 10)
    assert asked(todo) == [(OFF, BTC.key)]
    session.heard(Pong(), 30_000)
    assert asked(session.tick(59_999)) == []
    session = make_session(rules=SessionRules(unanswered_limit=1))
    session.opened(0)
    assert asked(session.want([BTC, ETH], 1)) == [(ON, BTC.key)]
    assert asked(session.heard(ack(BTC), 2)) == [(ON, ETH.key)]


def test_repeated_questions_wait_for_the_budget_too() -> None:
    session = make_session(BTC, budget=MessageBudget(per_minute=2))
    session.opened(0)
    session.heard(Pong(), 10_000)
    assert asked(session.tick(10_000)) == []
    assert session.next_due_ms == RULES.ping_every_ms, "and nothing is due all the time"


def test_room_is_taken_by_asking_and_left_by_the_answer_to_an_end() -> None:
    room = StreamRoom(2)
    session = live(BTC, ETH, room=room)
    other = make_session(SOL, room=room)
    other.opened(0)
    assert is_full(room)
    assert other.next_due_ms == RULES.room_retry_ms
    session.drop([BTC.key], 10)
    assert asked(other.tick(100)) == []
    assert other.next_due_ms == 100 + RULES.room_retry_ms
    session.heard(ack(BTC, OFF), 150)
    assert asked(other.tick(200)) == [(ON, SOL.key)]
    assert is_full(room)
    session.lost(300, "gone")
    assert not is_full(room)
    other.heard(VenueError(f"Invalid subscription {json.dumps(SOL.request)}"), 301)
    room.take()
    room.take()
    assert is_full(room), "a lost connection and a refusal leave their room"


def test_ends_go_before_starts() -> None:
    room = StreamRoom(2)
    session = live(BTC, ETH, room=room)
    session.want([SOL], 1)
    session.drop([BTC.key], 2)
    assert asked(session.heard(ack(BTC, OFF), 3)) == [(ON, SOL.key)]


# ── what a watchdog sees ─────────────────────────────────────────────────────────────────────────


def candle(interval: Interval) -> CandleHeard:
    return CandleHeard("BTC", interval, 0, interval.ms - 1, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_candles_of_two_intervals_are_two_streams() -> None:
    session = live(CANDLE, EXIT)
    session.heard(candle(Interval.M5), 1_000)
    assert session.silences(3_000) == {CANDLE.key: 3_000, EXIT.key: 2_000}
    session.drop([CANDLE.key], 3_000)
    session.heard(ack(CANDLE, OFF), 3_001)
    session.heard(candle(Interval.M1), 4_000)
    assert session.silences(5_000) == {EXIT.key: 4_000}


def test_silence_of_data_is_not_broken_by_pongs_or_answers() -> None:
    session = make_session(BTC, ETH)
    assert session.data_silence_ms(500) == session.any_silence_ms(500) == 0, "there is no connection"
    session.opened(1_000)
    session.heard(ack(BTC), 2_000)
    session.heard(Pong(), 3_000)
    assert session.data_silence_ms(4_000) == 3_000
    assert session.any_silence_ms(4_000) == 1_000
    for frame in (BboHeard("BTC", 7, 1.0, 2.0), candle(Interval.M1), TradesHeard("BTC", ())):
        session.heard(frame, 5_000)
        assert session.data_silence_ms(5_500) == 500
    session.lost(6_000, "gone")
    assert session.data_silence_ms(9_000) == session.any_silence_ms(9_000) == 0
    session.opened(9_000)
    assert session.data_silence_ms(9_100) == 100


def test_a_connection_that_carried_nothing_was_not_silent() -> None:
    session = live(BTC)
    session.drop([BTC.key], 10)
    session.heard(ack(BTC, OFF), 20)
    session.want([ETH], 40_000)
    assert session.data_silence_ms(40_100) == 100


def test_quiet_tells_of_acknowledged_quote_streams_since_their_newest_frame() -> None:
    session = make_session(BTC, ETH, SOL, CANDLE)
    session.opened(1_000)
    for each in (BTC, ETH, CANDLE):
        session.heard(ack(each), 1_001)
    session.heard(BboHeard("ETH", 7, 1.0, 2.0), 3_000)
    assert session.quiet(4_000) == {"BTC": 3_000, "ETH": 1_000}
    session.drop([ETH.key], 4_000)
    assert session.quiet(4_000) == {"BTC": 3_000}
    session.lost(5_000, "gone")
    assert session.quiet(6_000) == {}


def test_the_newest_stamp_of_a_quote_outlives_its_stream_but_not_what_is_believable() -> None:
    session = live(BTC, ETH)
    assert session.newest_venue_ms(1_000) == -1
    session.heard(BboHeard("BTC", 500, 1.0, 2.0), 1)
    session.heard(BboHeard("ETH", 400, 1.0, 2.0), 2)
    assert session.newest_venue_ms(1_000) == 500
    session.drop([BTC.key], 3)
    session.heard(ack(BTC, OFF), 4)
    assert session.newest_venue_ms(1_000) == 500
    session.heard(BboHeard("ETH", 9_000, 1.0, 2.0), 5)
    assert session.newest_venue_ms(1_000) == 500
    assert session.newest_venue_ms(9_000) == 9_000
