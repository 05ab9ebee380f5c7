"""The WebSocket session without a socket: what it sends, when it gives a connection up, and whom it blames."""

from __future__ import annotations

import json
import random

import pytest

from adapters.hyperliquid.feed_settings import FeedSettings
from adapters.hyperliquid.heard import (
    Acked,
    BboHeard,
    Drifted,
    FillsHeard,
    Heard,
    Ignored,
    OrderUpdatesHeard,
    Pong,
    Trade,
    TradesHeard,
    VenueError,
    subscription_key,
)
from adapters.hyperliquid.session import PING, Phase, WsSession
from adapters.hyperliquid.session_steps import (
    Close,
    Deliver,
    Do,
    Reconnect,
    Resynced,
    Send,
    SessionRules,
    Tell,
)
from adapters.hyperliquid.subscriptions import (
    MAX_CONNECTIONS,
    MAX_SUBSCRIPTIONS,
    MessageBudget,
    Subscription,
    TooManySubscriptions,
    account_subscriptions,
    market_subscriptions,
    spread,
)
from domain.candles import Interval
from domain.intents import Side
from tests.builders import make_fill

ME = "0x" + 39 * "0" + "A"
BBO = Subscription("bbo", "BTC")
CANDLE = Subscription("candle", "BTC", Interval.M1)
TRADES = Subscription("trades", "BTC")
ETH = Subscription("bbo", "ETH")
ORDERS = Subscription("orderUpdates", user=ME)
FILLS = Subscription("userFills", user=ME)
RULES = SessionRules()


def make_session(*wanted: Subscription, rules: SessionRules = RULES, budget: MessageBudget | None = None) -> WsSession:
    return WsSession(wanted, rules, random.Random(7), budget)


def asked(todo: list[Do]) -> list[str]:
    """Keys of the streams that are asked for, in order."""
    keys = []
    for do in todo:
        if isinstance(do, Send) and do.text != PING:
            said = json.loads(do.text)
            assert said["method"] == "subscribe"
            keys.append(subscription_key(said["subscription"]))
    return keys


def ack(subscription: Subscription) -> Acked:
    return Acked("subscribe", subscription.key, subscription.request)


def tells(todo: list[Do]) -> list[Tell]:
    return [do for do in todo if isinstance(do, Tell)]


def closes(todo: list[Do]) -> list[Close]:
    return [do for do in todo if isinstance(do, Close)]


def live(*wanted: Subscription, now_ms: int = 0) -> WsSession:
    session = make_session(*wanted)
    session.opened(now_ms)
    for each in wanted:
        session.heard(ack(each), now_ms)
    assert session.phase is Phase.LIVE
    return session


def reconnect_ms(todo: list[Do]) -> int:
    (at_ms,) = [do.at_ms for do in todo if isinstance(do, Reconnect)]
    return at_ms


def bbo(coin: str = "BTC", venue_ms: int = 1) -> BboHeard:
    return BboHeard(coin, venue_ms, 1.0, 2.0)


def trades(tid: int) -> TradesHeard:
    return TradesHeard("BTC", (Trade(Side.BUY, 1.0, 1.0, 1, tid),))


# ── subscribing ──────────────────────────────────────────────────────────────────────────────────


def test_a_ping_goes_first_then_one_frame_a_stream_the_account_before_the_market() -> None:
    todo = make_session(BBO, CANDLE, ORDERS, FILLS).opened(0)
    assert todo[0] == Send(PING)
    assert asked(todo) == [ORDERS.key, FILLS.key, BBO.key, CANDLE.key]
    assert json.loads(todo[-1].text)["subscription"] == {"type": "candle", "coin": "BTC", "interval": "1m"}  # type: ignore[union-attr]


def test_addresses_leave_in_lower_case_and_the_echo_s_defaults_change_no_key() -> None:
    assert ORDERS.request["user"] == ME.lower()
    echoed = {"user": ME.lower(), "aggregateByTime": False, "type": "userFills"}
    session = make_session(FILLS)
    session.opened(0)
    session.heard(Acked("subscribe", subscription_key(echoed), dict(echoed)), 1)
    assert session.phase is Phase.LIVE


def test_answers_pace_the_questions() -> None:
    many = [Subscription("bbo", f"C{n}") for n in range(50)]
    session = make_session(*many)
    assert len(asked(session.opened(0))) == RULES.unanswered_limit
    assert asked(session.heard(ack(many[0]), 1)) == [many[RULES.unanswered_limit].key]


def test_the_message_budget_is_shared_and_refills_with_time() -> None:
    budget = MessageBudget(per_minute=4)
    first, second = make_session(BBO, ETH, budget=budget), make_session(CANDLE, TRADES, budget=budget)
    assert len(asked(first.opened(0))) == 2  # and a ping: three
    assert asked(second.opened(10)) == []  # its ping is the fourth
    assert second.next_due_ms == min(60_000, 10 + RULES.ping_every_ms)
    second.heard(Pong(), 59_000)
    assert asked(second.tick(59_999)) == []
    assert asked(second.tick(60_010)) != []


def test_the_account_is_resynced_without_waiting_for_the_market() -> None:
    session = make_session(ORDERS, FILLS, BBO)
    session.opened(0)
    assert session.heard(ack(ORDERS), 1) == []
    assert session.heard(ack(FILLS), 2) == [Resynced((ORDERS.key, FILLS.key))]
    assert session.heard(ack(BBO), 3) == [Resynced((BBO.key,))]
    assert session.phase is Phase.LIVE


def test_a_stream_without_an_answer_does_not_hold_up_the_account_for_ever() -> None:
    session = make_session(ORDERS, FILLS)
    session.opened(0)
    session.heard(ack(ORDERS), 1)
    todo = session.tick(RULES.ack_timeout_ms)
    assert asked(todo) == [FILLS.key]
    assert Resynced((ORDERS.key,)) in todo
    assert session.heard(ack(FILLS), 10_001) == [Resynced((FILLS.key,))]


def test_no_answer_is_asked_again_then_the_connection_is_given_up() -> None:
    session = make_session(BBO, ETH)
    session.opened(0)
    session.heard(ack(BBO), 5)
    assert session.next_due_ms == RULES.ack_timeout_ms
    assert asked(session.tick(10_000)) == [ETH.key]
    session.heard(bbo(), 19_000)
    assert closes(session.tick(20_000)) == [Close(f"no answer to the subscription {ETH.key}")]
    assert session.phase is Phase.CLOSING
    assert session.heard(bbo(), 20_001) == []


def test_a_stream_that_is_never_answered_is_given_up_and_the_others_live() -> None:
    session = make_session(BBO, ETH)
    now_ms, told = 0, []
    for _ in range(RULES.strikes_limit):
        session.opened(now_ms)
        session.heard(ack(BBO), now_ms + 1)
        for after in (10_000, 20_000):
            session.heard(bbo(), now_ms + after)
            todo = session.tick(now_ms + after + 10)
            told += tells(todo)
        assert closes(todo)
        now_ms = reconnect_ms(session.lost(now_ms + 21_000, "closed by us"))
    assert [each.code for each in told] == ["stream_refused"]
    assert session.given_up == (ETH.key,)
    assert asked(session.opened(now_ms)) == [BBO.key]


# ── what the venue says in words ─────────────────────────────────────────────────────────────────


def test_already_subscribed_is_an_answer() -> None:
    session = make_session(BBO)
    session.opened(0)
    quoted = json.dumps({"type": "bbo", "coin": "BTC"})
    assert session.heard(VenueError(f"Already subscribed: {quoted}"), 1) == [Resynced((BBO.key,))]
    assert session.phase is Phase.LIVE
    assert session.heard(VenueError(f"Already subscribed: {quoted}"), 2) == []


@pytest.mark.parametrize(
    "text",
    [
        'Invalid subscription {"type":"bbo","coin":"ETH"}',
        'Error parsing JSON into valid websocket request: {"method":"subscribe",'
        '"subscription":{"coin":"ETH","type":"bbo"}}',
    ],
)
def test_a_stream_refused_in_words_is_told_once_and_left_out(text: str) -> None:
    session = make_session(ETH, BBO)
    session.opened(0)
    todo = session.heard(VenueError(text), 1)
    (told,) = tells(todo)
    assert told.code == "stream_refused"
    assert ETH.key in told.text
    assert text in told.text
    assert session.given_up == (ETH.key,)
    assert session.heard(ack(BBO), 2) == [Resynced((BBO.key,))]
    assert session.phase is Phase.LIVE
    session.lost(3, "gone")
    assert asked(session.opened(5_000)) == [BBO.key]


def test_too_many_users_costs_the_account_s_streams_only_in_the_order_of_the_questions() -> None:
    session = make_session(ORDERS, FILLS, BBO)
    session.opened(0)
    (first,) = tells(session.heard(VenueError("Cannot track more than 15 total users."), 1))
    todo = session.heard(VenueError("Cannot track more than 15 total users."), 2)
    assert ORDERS.key in first.text
    assert FILLS.key in tells(todo)[0].text
    session.heard(ack(BBO), 3)
    assert session.phase is Phase.LIVE
    assert session.given_up == (ORDERS.key, FILLS.key)


def test_too_many_users_never_costs_a_stream_of_the_market() -> None:
    session = make_session(ORDERS, BBO)
    session.opened(0)
    session.heard(ack(ORDERS), 1)
    text = "Cannot track more than 15 total users."
    assert session.heard(VenueError(text), 2) == [Tell("venue_error", text)]
    assert session.given_up == ()


def test_other_errors_are_told_and_end_nothing() -> None:
    session = live(BBO)
    assert session.heard(VenueError("Cannot send more than 2000 messages per minute."), 1) == [
        Tell("venue_error", "Cannot send more than 2000 messages per minute.")
    ]
    assert session.heard(VenueError('Invalid subscription {"broken'), 1)[0] == Tell(
        "venue_error", 'Invalid subscription {"broken'
    )
    assert session.phase is Phase.LIVE


# ── data ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_trades_after_each_subscription_are_backlog() -> None:
    session = live(TRADES)
    assert [do.is_backlog for do in _delivered(session, trades(1), trades(2), trades(3))] == [True, False, False]
    session.lost(10, "gone")
    session.opened(5_000)
    session.heard(ack(TRADES), 5_001)
    assert [do.is_backlog for do in _delivered(session, trades(2), trades(4), now_ms=5_002)] == [True, False]


def test_snapshots_are_backlog_and_a_missing_mark_is_an_update() -> None:
    session = live(FILLS)
    fill = make_fill()
    snapshot, update = FillsHeard(ME, True, (fill,)), FillsHeard(ME, False, (fill,))
    assert [do.is_backlog for do in _delivered(session, snapshot, update)] == [True, False]


def test_repeated_quotes_are_delivered_as_they_are() -> None:
    session = live(BBO)
    assert [do.heard for do in _delivered(session, bbo(), bbo())] == [bbo(), bbo()]


def test_what_is_unknown_is_delivered_and_what_says_nothing_is_not() -> None:
    session = live(BBO)
    surprise = Drifted("surprise", "unknown channel")
    assert session.heard(surprise, 1) == [Deliver(surprise, False)]
    assert session.heard(Ignored("greeting"), 2) == []
    assert session.heard(Pong(), 2) == []
    assert session.heard(Acked("unsubscribe", BBO.key, BBO.request), 2) == []


def test_a_connection_of_unreadable_frames_is_given_up_but_unknown_channels_never_end_one() -> None:
    session = live(BBO)
    for _ in range(10 * RULES.unreadable_per_minute):
        assert not closes(session.heard(Drifted("surprise", "unknown channel"), 1))
    for at_ms in range(RULES.unreadable_per_minute - 1):
        assert not closes(session.heard(Drifted("", "not JSON"), at_ms * 1_000))
    assert not closes(session.heard(Drifted("", "not JSON"), 62_000)), "the first ones are more than a minute ago"
    todo: list[Do] = []
    for _ in range(5):
        todo += session.heard(Drifted("", "not JSON"), 62_000)
    assert len(closes(todo)) == 1


def test_silence_of_a_stream_is_reported_and_ends_nothing() -> None:
    session = live(BBO, ETH)
    session.heard(bbo("ETH"), 40_000)
    assert session.silences(40_000) == {BBO.key: 40_000, ETH.key: 0}
    assert not closes(session.tick(84_000))


# ── liveness ─────────────────────────────────────────────────────────────────────────────────────


def test_it_pings_every_twenty_seconds_and_calls_a_connection_dead_after_forty_five() -> None:
    session = live(BBO)
    assert session.tick(19_999) == []
    assert session.next_due_ms == 20_000
    assert session.tick(20_000) == [Send(PING)]
    assert session.tick(40_000) == [Send(PING)]
    assert session.next_due_ms == 45_000
    assert closes(session.tick(44_999)) == []
    assert closes(session.tick(45_000)) == [Close("nothing was heard for 45 s")]
    assert session.tick(45_001) == []


def test_any_frame_is_a_sign_of_life() -> None:
    session = live(BBO)
    session.heard(Pong(), 44_999)
    assert not closes(session.tick(89_998))
    assert closes(session.tick(89_999))


# ── reconnecting ─────────────────────────────────────────────────────────────────────────────────


def test_the_wait_grows_with_jitter_up_to_half_a_minute() -> None:
    session = make_session(BBO)
    now_ms, waits = 0, []
    for _ in range(12):
        at_ms = reconnect_ms(session.lost(now_ms, "refused"))
        waits.append(at_ms - now_ms)
        assert session.next_due_ms == at_ms
        now_ms = at_ms
    for wait_ms, full_ms in zip(waits, (1_000, 2_000, 4_000, 8_000, 16_000), strict=False):
        assert full_ms <= wait_ms <= 1.5 * full_ms
    assert waits[5:] == [30_000] * 7
    assert len({w % 1_000 for w in waits[:5]}) > 1, "jitter"


def test_only_a_connection_that_has_proven_itself_starts_the_wait_over() -> None:
    session = make_session(BBO)
    now_ms = 0
    for _ in range(4):  # opened, answered, and gone at once
        session.opened(now_ms)
        session.heard(ack(BBO), now_ms)
        now_ms = reconnect_ms(session.lost(now_ms + 1_000, "gone"))
    assert session.failures == 4
    session.opened(now_ms)
    session.heard(ack(BBO), now_ms)
    assert session.next_due_ms == now_ms + RULES.proven_after_ms
    session.tick(now_ms + RULES.proven_after_ms)
    assert session.failures == 0
    lost_ms = now_ms + 60_000
    assert 1_000 <= reconnect_ms(session.lost(lost_ms, "gone")) - lost_ms <= 1_500


def test_a_connection_that_never_had_all_answers_proves_nothing() -> None:
    session = make_session(BBO, ETH)
    session.lost(0, "refused")
    session.opened(1_000)
    session.heard(ack(BBO), 1_001)
    session.heard(bbo(), 30_000)
    session.tick(1_000 + RULES.ack_timeout_ms)
    assert session.failures == 1


def test_the_operator_hears_once_of_a_venue_that_cannot_be_reached() -> None:
    session = make_session(BBO)
    told = [each for n in range(20) for each in tells(session.lost(n * 60_000, "DNS failed"))]
    assert [each.code for each in told] == ["feed_not_connecting"]
    assert "DNS failed" in told[0].text


def test_everything_is_asked_for_again_after_a_reconnect() -> None:
    session = live(ORDERS, FILLS, BBO)
    session.lost(1_000, "gone")
    assert asked(session.opened(3_000)) == [ORDERS.key, FILLS.key, BBO.key]
    session.heard(ack(ORDERS), 3_001)
    assert Resynced((ORDERS.key, FILLS.key)) in session.heard(ack(FILLS), 3_002)


# ── the coin that kills its socket ───────────────────────────────────────────────────────────────


def drop_at(session: WsSession, killer: Subscription, now_ms: int) -> tuple[int, list[Do]]:
    """One connection to a venue that goes silent at `killer` and drops the socket a moment later."""
    todo = list(session.opened(now_ms))
    told: list[Do] = []
    questions = asked(todo)
    session.heard(Pong(), now_ms + 10)
    by_key = {each.key: each for each in (BBO, CANDLE, TRADES, ETH, ORDERS, FILLS)}
    while questions:
        key = questions.pop(0)
        if key == killer.key:
            done = session.lost(now_ms + 150, "closed with 1006")
            return reconnect_ms(done), told + done
        more = session.heard(ack(by_key[key]), now_ms + 20)
        questions += asked(more)
        told += more
    return -1, told


@pytest.mark.parametrize("wanted", [(ETH, BBO, CANDLE), (BBO, ETH, CANDLE), (BBO, CANDLE, ETH)])
def test_a_stream_that_kills_its_socket_is_found_and_quarantined(wanted: tuple[Subscription, ...]) -> None:
    session = make_session(*wanted)
    now_ms, connections, told = 0, 0, []
    while now_ms >= 0:
        now_ms, todo = drop_at(session, ETH, now_ms)
        told += tells(todo)
        connections += 1
        assert connections < 10, "a loop"
    assert session.given_up == (ETH.key,)
    assert [each.code for each in told] == ["stream_quarantined"]
    assert session.phase is Phase.LIVE
    assert connections <= RULES.strikes_limit + 2


def test_a_suspect_is_asked_for_last_and_alone() -> None:
    session = make_session(ETH, BBO, CANDLE)
    session.opened(0)
    session.heard(Pong(), 10)
    session.lost(100, "closed with 1006")
    assert asked(session.opened(2_000)) == [BBO.key, CANDLE.key]
    assert asked(session.heard(ack(BBO), 2_010)) == []
    assert asked(session.heard(ack(CANDLE), 2_020)) == [ETH.key]
    session.heard(ack(ETH), 2_030)
    session.lost(2_040, "gone")
    assert asked(session.opened(5_000)) == [ETH.key, BBO.key, CANDLE.key], "an answer clears it"


def test_a_venue_that_drops_everybody_accuses_nobody() -> None:
    session = make_session(BBO, ETH)
    now_ms = 0
    for _ in range(20):
        session.opened(now_ms)
        todo = session.lost(now_ms + 5, "closed with 1006")
        assert not [each for each in tells(todo) if each.code == "stream_quarantined"]
        now_ms = reconnect_ms(todo)
    assert session.given_up == ()


def test_a_drop_long_after_the_question_accuses_nobody() -> None:
    session = make_session(BBO)
    session.opened(0)
    session.heard(Pong(), 10)
    session.lost(RULES.suspect_window_ms + 1, "gone")
    assert asked(session.opened(60_000)) == [BBO.key]


def test_a_frame_that_we_refuse_is_told_and_accuses_no_stream() -> None:
    session = make_session(BBO)
    session.opened(0)
    session.heard(Pong(), 10)
    assert tells(session.lost(20, "too large", by_us=True)) == [Tell("frame_refused", "too large")]
    assert asked(session.opened(5_000)) == [BBO.key]
    assert session._streams[BBO.key].strikes == 0, "a suspect would be asked alone"


# ── spreading over connections ───────────────────────────────────────────────────────────────────


def test_the_account_has_a_connection_of_its_own_and_the_market_is_spread_evenly() -> None:
    market = market_subscriptions([f"C{n}" for n in range(100)], Interval.M1, bbo=True, candle=True)
    parts = spread(account_subscriptions(ME), market, 125)
    assert [len(part) for part in parts] == [5, 100, 100]
    assert {each.kind for each in parts[0]} == {
        *("orderUpdates", "userFills", "userEvents", "userFundings", "userNonFundingLedgerUpdates")
    }
    assert [each for part in parts[1:] for each in part] == market


def test_what_the_limits_cannot_carry_is_refused_with_the_arithmetic() -> None:
    symbols = [f"C{n}" for n in range(MAX_SUBSCRIPTIONS)]
    market = market_subscriptions(symbols, Interval.M1, bbo=False, candle=True)
    assert len(spread([], market[:-1], 130)) == 4
    arithmetic = r"510 market streams \(1 allMids, 509 candle 1m\) and 5 of the account are 515 subscriptions on 5 "
    with pytest.raises(TooManySubscriptions, match=arithmetic):
        spread(account_subscriptions(ME), market[:-1], 130)
    with pytest.raises(TooManySubscriptions, match="11 connections of 50"):
        spread([], market[:-1], 50)


def test_five_hundred_symbols_with_candles_alone_and_half_as_many_with_quotes_fit_beside_the_account() -> None:
    per_connection = FeedSettings().subscriptions_per_socket
    candles = market_subscriptions([f"C{n}" for n in range(500)], Interval.M1, bbo=False, candle=True)
    both = market_subscriptions([f"C{n}" for n in range(250)], Interval.M1, bbo=True, candle=True)
    for market in (candles, both):
        assert len(spread(account_subscriptions(ME), market, per_connection)) == MAX_CONNECTIONS


@pytest.mark.parametrize(
    ("bbo", "candle", "helps"),
    [
        (True, True, {"AI_QUANT_WS_ENABLE_BBO=0", "AI_QUANT_WS_ENABLE_CANDLE=0"}),
        (True, False, {"AI_QUANT_WS_ENABLE_BBO=0"}),
        (False, True, {"AI_QUANT_WS_ENABLE_CANDLE=0"}),
    ],
)
def test_a_refusal_says_what_helps_and_only_that(bbo: bool, candle: bool, helps: set[str]) -> None:
    market = market_subscriptions([f"C{n}" for n in range(600)], Interval.M1, bbo=bbo, candle=candle)
    with pytest.raises(TooManySubscriptions) as refused:
        spread([], market, 125)
    text = str(refused.value)
    assert {each for each in ("AI_QUANT_WS_ENABLE_BBO=0", "AI_QUANT_WS_ENABLE_CANDLE=0") if each in text} == helps
    assert "AI_QUANT_SYMBOLS" in text
    assert "AI_QUANT_TOP_N" in text


def test_without_quotes_one_stream_tells_all_prices_and_without_candles_there_are_none_for_exits_either() -> None:
    both = market_subscriptions(["BTC", "ETH"], Interval.M1, bbo=False, candle=True, exit_interval=Interval.M5)
    assert [each.key for each in both] == ["allMids", "candle:coin=BTC:interval=1m", "candle:coin=ETH:interval=1m"]
    bare = market_subscriptions(
        ["BTC"], Interval.M1, bbo=False, candle=False, exit_symbols=["BTC"], exit_interval=Interval.M5
    )
    assert [each.key for each in bare] == ["allMids"]
    assert market_subscriptions([], Interval.M1, bbo=False, candle=True) == []


def test_exit_symbols_have_the_candles_of_the_exit_interval_besides() -> None:
    market = market_subscriptions(
        ["BTC", "ETH"], Interval.M1, bbo=True, candle=True, exit_symbols=["SOL", "ETH"], exit_interval=Interval.M5
    )
    assert [each.key for each in market] == [
        *("bbo:coin=BTC", "candle:coin=BTC:interval=1m"),
        *("bbo:coin=ETH", "candle:coin=ETH:interval=1m", "candle:coin=ETH:interval=5m"),
        "candle:coin=SOL:interval=5m",
    ]
    same = market_subscriptions(
        ["BTC"], Interval.M1, bbo=False, candle=True, exit_symbols=["BTC", "SOL"], exit_interval=Interval.M1
    )
    assert [each.coin for each in same] == ["", "BTC", "SOL"], "one interval is one stream"


def test_orders_are_delivered_whatever_their_stream_s_state() -> None:
    session = make_session(ORDERS)
    session.opened(0)
    frame = OrderUpdatesHeard(())
    assert session.heard(frame, 1) == [Deliver(frame, False)]


def _delivered(session: WsSession, *frames: Heard, now_ms: int = 1) -> list[Deliver]:
    return [do for frame in frames for do in session.heard(frame, now_ms) if isinstance(do, Deliver)]
