"""The local venue's WebSocket side: what each request is answered, and what each stream tells when."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from adapters.sim.venue import shapes
from adapters.sim.venue.exchange.events import (
    NO_HASH,
    BalanceChanged,
    FundingBooked,
    LedgerUpdate,
    Liquidated,
    NonUserCanceled,
    VenueEvent,
    VenueFunding,
)
from adapters.sim.venue.exchange.orders import FilledNow, Resting, Tif, TriggerSpec
from adapters.sim.venue.outputs import Frame, SocketDropped, SocketRefused
from adapters.sim.venue.settings import Cadence, Limits, VenueSettings
from adapters.sim.venue.streams.sockets import Post
from domain.candles import Interval
from domain.intents import Side, Trigger, TriggerKind
from tests.venue_sockets import ALICE, BOB, COINS, EMPTY, IP, NOBODY, START_MS, Moves, Said, Seafront, Top

TOP = Top("84143.0", "10.25923", 36, "84144.0", "50.66422", 18)
OTHER = Top("84142.0", "1.5", 2, "84144.0", "50.66422", 18)


def harbour(settings: VenueSettings | None = None, *, legacy_web_data: bool = False) -> Seafront:
    """Socket 1 open, a top in BTC."""
    front = Seafront(settings, legacy_web_data=legacy_web_data)
    assert front.open() == []
    front.market.quote("BTC", TOP)
    front.publish()
    return front


def limited(**limits: Any) -> VenueSettings:
    return VenueSettings(limits=Limits(**limits))


def of_channel(frames: Sequence[Said], channel: str) -> list[Any]:
    return [frame["data"] for frame in frames if frame["channel"] == channel]


def error(text: str) -> Said:
    return {"channel": "error", "data": text}


def trade(front: Seafront, coin: str = "BTC", price: str = "84143.0", size: str = "0.5") -> None:
    front.market.trade(coin, Side.BUY, price, size)


def hand_over(front: Seafront) -> FilledNow:
    """Bob's bid is hit by Alice."""
    front.place(BOB, Side.BUY, "84000", "1")
    result = front.place(ALICE, Side.SELL, "84000", "0.4", tif=Tif.IOC)
    assert isinstance(result, FilledNow), "it crosses"
    return result


# -- requests --------------------------------------------------------------------------------------------------------


def test_a_ping_is_answered_without_data() -> None:
    front = harbour()
    assert front.streams.receive(1, '{"method":"ping"}', START_MS) == [Frame(1, '{"channel":"pong"}')]


def test_an_acknowledgement_echoes_the_canonical_form() -> None:
    front = harbour()
    ack, book = front.streams.receive(
        1, '{"subscription":{"coin":"BTC","type":"l2Book"},"method":"subscribe"}', START_MS
    )
    assert ack == Frame(
        1,
        '{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":'
        '{"type":"l2Book","coin":"BTC","nSigFigs":null,"mantissa":null,"fast":false}}}',
    )
    assert isinstance(book, Frame) and json.loads(book.text)["channel"] == "l2Book"


def test_the_same_subscription_twice_is_an_error_and_the_first_stays() -> None:
    front = harbour()
    front.subscribe(type="l2Book", coin="BTC")
    assert front.subscribe(type="l2Book", coin="BTC", nSigFigs=None, fast=False) == [
        error('Already subscribed: {"type":"l2Book","coin":"BTC","nSigFigs":null,"mantissa":null,"fast":false}')
    ]
    assert len(of_channel(front.heard(5_400), "l2Book")) == 1


def test_an_unsubscribe_is_acknowledged_once() -> None:
    front = harbour()
    front.subscribe(type="bbo", coin="BTC")
    echo = {"type": "bbo", "coin": "BTC"}
    assert front.unsubscribe(type="bbo", coin="BTC") == [
        {"channel": "subscriptionResponse", "data": {"method": "unsubscribe", "subscription": echo}}
    ]
    assert front.unsubscribe(type="bbo", coin="BTC") == [error('Already unsubscribed: {"type":"bbo","coin":"BTC"}')]
    front.market.quote("BTC", OTHER)
    assert front.heard() == []


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        '{"method":"subscribe","subscription":{"type":"bbo","coin":["BTC","ETH"]}}',
        '{"method":"subscribe","subscription":{"type":"webData2","user":"0x0000000000000000000000000000000000000001"}}',
        '{"method":"post","request":{"type":"info","payload":{"type":"meta"}}}',
        '"\ud800 ü"',
    ],
)
def test_what_cannot_be_read_is_quoted_back(text: str) -> None:
    front = harbour()
    assert front.say(text) == [error(f"Error parsing JSON into valid websocket request: {text}")]


def test_a_dex_that_does_not_exist_is_an_invalid_subscription() -> None:
    front = harbour()
    assert front.subscribe(type="openOrders", user=ALICE, dex="xyz") == [
        error(f'Invalid subscription {{"type":"openOrders","user":"{ALICE}","dex":"xyz"}}')
    ]


@pytest.mark.parametrize(
    "subscription",
    [
        {"type": "l2Book", "coin": "NOPE"},
        {"type": "bbo", "coin": "btc"},
        {"type": "trades", "coin": "xyz:BTC"},
        {"type": "candle", "coin": "NOPE", "interval": "1m"},
        {"type": "activeAssetCtx", "coin": ""},
        {"type": "activeAssetData", "user": ALICE, "coin": "NOPE"},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 6},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 4, "mantissa": 2},
    ],
)
def test_some_requests_kill_the_socket_without_a_word(subscription: dict[str, object]) -> None:
    front = harbour()
    front.subscribe(type="bbo", coin="BTC")
    assert front.say({"method": "subscribe", "subscription": subscription}) == []
    assert front.say({"method": "ping"}) == [], "it is dying"
    assert front.streams.next_due_ms() == START_MS + 100
    front.market.quote("BTC", OTHER)
    assert front.publish(99) == []
    assert front.publish(1) == [SocketDropped(1)]
    assert front.publish(1_000) == []
    front.streams.closed(1)
    assert front.open() == [], "its places are free again"


def test_a_delisted_coin_is_accepted_and_its_book_is_empty() -> None:
    front = harbour()
    front.exchange.delist("kPEPE")
    _, book = front.subscribe(type="l2Book", coin="kPEPE")
    assert book["data"]["levels"] == [[], []]
    assert len(front.subscribe(type="bbo", coin="kPEPE")) == 1, "no top, no frame"


def test_a_socket_to_which_nothing_was_sent_for_a_minute_is_dropped() -> None:
    front = harbour()
    front.exchange.now_ms += 30_000
    assert front.say({"method": "ping"}) == [{"channel": "pong"}]
    assert front.streams.next_due_ms() == START_MS + 90_000
    assert front.publish(59_999) == []
    assert front.publish(1) == [SocketDropped(1)]
    assert front.say({"method": "ping"}) == []


def test_published_frames_keep_a_socket_alive() -> None:
    front = harbour()
    front.subscribe(type="allMids")
    for _ in range(30):
        assert front.heard(5_000)
    assert front.say({"method": "ping"})


# -- limits ----------------------------------------------------------------------------------------------------------


def test_too_many_connections_are_refused_with_429() -> None:
    front = Seafront(limited(connections=2))
    assert front.open(1) == front.open(2) == []
    (refused,) = front.open(3)
    assert isinstance(refused, SocketRefused) and refused.status == 429
    assert front.open(4, "10.0.0.2") == []
    front.streams.closed(3)
    front.streams.closed(1)
    assert front.open(5) == []


def test_a_closed_socket_gives_its_subscriptions_and_users_back() -> None:
    front = Seafront(limited(subscriptions=2, users=1))
    front.open(1)
    front.open(2)
    assert len(front.subscribe(1, type="orderUpdates", user=ALICE)) == 1
    (refusal,) = front.subscribe(2, type="orderUpdates", user=BOB)
    assert refusal["channel"] == "error" and refusal["data"].startswith("Cannot track more than ")
    assert front.subscribe(2, type="userEvents", user=ALICE)[0]["channel"] == "subscriptionResponse"
    (refusal,) = front.subscribe(2, type="allMids")
    assert refusal == error("Cannot subscribe to more than 2 channels.")
    front.streams.closed(1)
    front.unsubscribe(2, type="userEvents", user=ALICE)
    assert front.subscribe(2, type="orderUpdates", user=BOB)[0]["channel"] == "subscriptionResponse"


def test_too_many_messages_are_not_acted_upon() -> None:
    front = harbour(limited(messages_per_minute=2))
    front.say({"method": "ping"})
    front.say("what")
    (refusal,) = front.subscribe(type="allMids")
    assert refusal["channel"] == "error"
    assert front.heard(60_000 - 1) == []
    assert front.say({"method": "ping"})[0]["channel"] == "error"
    front.exchange.now_ms += 1
    assert front.say({"method": "ping"}) == [{"channel": "pong"}]


def test_more_posts_than_may_wait_are_refused_with_their_id() -> None:
    front = harbour(limited(inflight_posts=1))
    post = {"method": "post", "id": 7, "request": {"type": "info", "payload": {"type": "meta"}}}
    (waiting,) = front.streams.receive(1, json.dumps(post), START_MS)
    assert isinstance(waiting, Post)
    (refusal,) = front.say(post | {"id": 8})
    assert refusal["channel"] == "error" and "8" in refusal["data"]
    front.streams.answer(waiting, 200, {}, START_MS)
    assert front.say(post) == [{"post": 7, "kind": "info", "payload": {"type": "meta"}}]
    front.streams.closed(1)
    front.open(2)
    assert front.say(post, 2)[0].get("post") == 7, "posts of a closed socket wait no more"


# -- posts -----------------------------------------------------------------------------------------------------------


def posted(front: Seafront, kind: str, payload: Said) -> Post:
    said = {"method": "post", "id": 7, "request": {"type": kind, "payload": payload}}
    (post,) = front.streams.receive(1, json.dumps(said), front.now_ms)
    assert isinstance(post, Post), "the facade answers it"
    return post


def test_an_info_post_repeats_its_type() -> None:
    front = harbour()
    post = posted(front, "info", {"type": "l2Book", "coin": "NOPE"})
    assert front.streams.answer(post, 200, None, front.now_ms) == [
        Frame(
            1,
            '{"channel":"post","data":{"id":7,"response":{"type":"info","payload":{"type":"l2Book","data":null}}}}',
        )
    ]


def test_an_action_post_carries_the_exchange_answer() -> None:
    front = harbour()
    post = posted(front, "action", {"action": {"type": "noop"}, "nonce": 1})
    answer = {"status": "ok", "response": {"type": "default"}}
    (told,) = front.streams.answer(post, 200, answer, front.now_ms)
    assert isinstance(told, Frame)
    assert json.loads(told.text)["data"] == {"id": 7, "response": {"type": "action", "payload": answer}}


def test_a_failed_post_mirrors_the_http_status() -> None:
    front = harbour()
    post = posted(front, "info", {"type": "fundingHistory", "coin": "NOPE"})
    (told,) = front.streams.answer(post, 500, None, front.now_ms)
    assert isinstance(told, Frame)
    assert json.loads(told.text)["data"] == {
        "id": 7,
        "response": {"type": "error", "payload": "500 Internal Server Error"},
    }


def test_a_post_of_an_unknown_type_is_answered_without_its_id() -> None:
    front = harbour()
    post = posted(front, "info", {"type": "nonsense"})
    (told,) = front.streams.answer(post, 422, None, front.now_ms)
    assert isinstance(told, Frame)
    assert json.loads(told.text) == error(f"Error parsing JSON into valid websocket request: {post.text}")


def test_the_answer_for_a_socket_that_has_gone_is_nothing() -> None:
    front = harbour()
    post = posted(front, "info", {"type": "meta"})
    front.streams.closed(1)
    assert front.streams.answer(post, 200, {}, front.now_ms) == []


# -- tops ------------------------------------------------------------------------------------------------------------


def test_a_top_is_told_at_once_and_then_when_it_changes() -> None:
    front = harbour()
    _, first = front.subscribe(type="bbo", coin="BTC")
    assert first == {
        "channel": "bbo",
        "data": {
            "coin": "BTC",
            "time": START_MS,
            "bbo": [{"px": "84143.0", "sz": "10.25923", "n": 36}, {"px": "84144.0", "sz": "50.66422", "n": 18}],
        },
    }
    assert front.heard(70) == []
    front.market.quote("BTC", OTHER)
    front.market.quote("ETH", OTHER)
    (told,) = of_channel(front.heard(70), "bbo")
    assert told["time"] == START_MS + 140 and told["bbo"][0] == {"px": "84142.0", "sz": "1.5", "n": 2}
    front.market.quote("BTC", OTHER)
    assert front.heard(70) == [], "it moved and came back: nothing changed in a block"


def test_an_empty_side_of_a_top_is_null() -> None:
    front = harbour()
    front.subscribe(type="bbo", coin="BTC")
    front.market.quote("BTC", Top(None, None, 0, "84144.0", "1.0", 1))
    (told,) = of_channel(front.heard(), "bbo")
    assert told["bbo"] == [None, {"px": "84144.0", "sz": "1.0", "n": 1}]
    front.market.quote("BTC", EMPTY)
    assert of_channel(front.heard(), "bbo")[0]["bbo"] == [None, None]
    front.open(2)
    assert len(front.subscribe(2, type="bbo", coin="BTC")) == 1


def test_a_newcomer_is_not_told_a_change_before_the_others() -> None:
    front = harbour()
    front.open(2)
    front.subscribe(1, type="bbo", coin="BTC")
    front.market.quote("BTC", OTHER)
    _, first = front.subscribe(2, type="bbo", coin="BTC")
    assert first["data"]["bbo"][0]["px"] == "84143.0"
    assert [frame.socket_id for frame in front.publish() if isinstance(frame, Frame)] == [1, 2]


# -- trades ----------------------------------------------------------------------------------------------------------


def test_trades_begin_with_the_last_thirty_oldest_first() -> None:
    front = harbour()
    for _ in range(40):
        trade(front)
    front.publish()
    for _ in range(2):
        _, backfill = front.subscribe(type="trades", coin="BTC")
        assert [row["tid"] for row in backfill["data"]] == list(range(11, 41))
        front.unsubscribe(type="trades", coin="BTC")


def test_a_backfill_is_not_repeated_by_the_next_publication() -> None:
    front = harbour()
    front.open(2)
    front.subscribe(2, type="trades", coin="BTC")
    trade(front)
    _, backfill = front.subscribe(1, type="trades", coin="BTC")
    trade(front)
    outputs = front.publish()
    tids = {frame.socket_id: [row["tid"] for row in json.loads(frame.text)["data"]] for frame in frames_of(outputs)}
    assert [row["tid"] for row in backfill["data"]] == [1] and tids == {1: [2], 2: [1, 2]}


def test_a_trade_id_that_comes_again_later_is_told() -> None:
    front = harbour()
    trade(front)
    front.subscribe(type="trades", coin="BTC")
    front.publish()
    front.market.printed.append(front.market.printed[0])
    assert [[row["tid"] for row in rows] for rows in of_channel(front.heard(), "trades")] == [[1]]


def frames_of(outputs: Sequence[Frame | SocketDropped]) -> list[Frame]:
    return [output for output in outputs if isinstance(output, Frame)]


def test_new_trades_of_one_coin_share_a_frame_and_read_like_the_rows_of_answers() -> None:
    front = harbour()
    assert len(front.subscribe(type="trades", coin="BTC")) == 1, "nothing has traded"
    front.subscribe(type="trades", coin="kPEPE")
    rows = [front.market.trade("BTC", Side.BUY, "84143", "0.00036"), front.market.trade("BTC", Side.SELL, "84142", "2")]
    small = front.market.trade("kPEPE", Side.BUY, "0.000004411", "2058973")
    front.market.trade("ETH", Side.BUY, "3000", "1")
    told = front.heard()
    assert of_channel(told, "trades") == [[shapes.trade_row(row) for row in rows], [shapes.trade_row(small)]]
    assert list(told[0]["data"][0]) == list(shapes.trade_row(rows[0])), "the same order of keys"


# -- candles ---------------------------------------------------------------------------------------------------------


def test_a_candle_comes_after_trades_with_a_gap() -> None:
    front = harbour()
    assert len(front.subscribe(type="candle", coin="BTC", interval="1m")) == 1
    assert front.heard(600) == [], "nothing has traded"
    trade(front, price="84143.0")
    (candle,) = of_channel(front.heard(), "candle")
    assert candle == {
        "t": START_MS, "T": START_MS + 59_999, "s": "BTC", "i": "1m",
        "o": "84143.0", "c": "84143.0", "h": "84143.0", "l": "84143.0", "v": "0.5", "n": 1,
    }  # fmt: skip
    trade(front, price="84150.0")
    assert front.heard(599) == []
    trade(front, price="84140.5")
    (candle,) = of_channel(front.heard(1), "candle")
    assert (candle["h"], candle["l"], candle["c"], candle["n"]) == ("84150.0", "84140.5", "84140.5", 3)
    (row,) = front.market.candles("BTC", Interval.M1, START_MS, front.now_ms)
    assert candle == shapes.candle_row("BTC", Interval.M1, row)
    assert front.heard(600) == []


def test_the_running_bucket_is_told_to_a_newcomer_alone() -> None:
    front = harbour()
    front.open(2)
    front.subscribe(1, type="candle", coin="BTC", interval="1m")
    trade(front)
    front.publish(1_000)
    front.subscribe(2, type="candle", coin="BTC", interval="1m")
    assert front.streams.next_due_ms() == front.now_ms + 600
    assert [frame.socket_id for frame in frames_of(front.publish(600))] == [2]
    trade(front)
    assert [frame.socket_id for frame in frames_of(front.publish(600))] == [1, 2]


def test_the_last_state_of_an_ended_bucket_is_told_before_the_next() -> None:
    front = harbour()
    front.subscribe(type="candle", coin="BTC", interval="1m")
    front.subscribe(type="candle", coin="BTC", interval="1h")
    front.exchange.now_ms += 59_700
    trade(front, price="100.0")
    assert len(front.heard()) == 2
    front.exchange.now_ms += 200
    trade(front, price="101.0")
    assert front.heard() == []
    front.exchange.now_ms += 200
    trade(front, price="102.0")
    told = of_channel(front.heard(200), "candle")
    assert [(row["i"], row["t"] - START_MS, row["c"], row["n"]) for row in told] == [
        ("1m", 0, "101.0", 2),
        ("1m", 60_000, "102.0", 1),
        ("1h", START_MS // 3_600_000 * 3_600_000 - START_MS, "102.0", 3),
    ]


def test_an_ended_bucket_is_told_even_if_nothing_trades_after_it() -> None:
    front = harbour()
    front.subscribe(type="candle", coin="BTC", interval="1m")
    front.exchange.now_ms += 59_600
    trade(front)
    front.heard()
    front.exchange.now_ms += 399
    trade(front)
    assert front.heard() == []
    assert front.streams.next_due_ms() == START_MS + 60_200
    (candle,) = of_channel(front.heard(201), "candle")
    assert (candle["t"], candle["n"]) == (START_MS, 2)


def test_a_trade_belongs_to_the_bucket_of_its_own_time() -> None:
    front = harbour()
    front.subscribe(type="candle", coin="BTC", interval="1m")
    front.publish(59_990)
    front.say({"method": "ping"})
    trade(front)
    front.exchange.now_ms += 20
    trade(front)
    assert [row["t"] for row in of_channel(front.heard(), "candle")] == [START_MS, START_MS + 60_000]


# -- books and contexts ----------------------------------------------------------------------------------------------


def test_books_have_one_clock_for_all_coins() -> None:
    front = harbour()
    front.publish(5_400 - START_MS % 5_400)
    front.subscribe(type="l2Book", coin="BTC")
    front.publish(1_000)
    front.subscribe(type="l2Book", coin="ETH")
    front.subscribe(type="l2Book", coin="BTC", fast=True)
    fast_due_ms = front.streams.next_due_ms()
    assert fast_due_ms % 540 == 0
    told = of_channel(front.heard(fast_due_ms - front.now_ms), "l2Book")
    assert [(book["coin"], book.get("fast"), len(book["levels"][0])) for book in told] == [("BTC", True, 5)]
    slow_due_ms = -(-front.now_ms // 5_400) * 5_400
    told = of_channel(front.heard(slow_due_ms - front.now_ms), "l2Book")
    assert [(book["coin"], book.get("fast")) for book in told] == [("BTC", None), ("ETH", None), ("BTC", True)]
    assert len(told[0]["levels"][0]) == 20 and told[0]["time"] == slow_due_ms
    assert list(told[0]) == ["coin", "time", "levels"]


def test_an_aggregated_book_tells_the_spread_of_the_plain_one() -> None:
    front = harbour()
    _, book = front.subscribe(type="l2Book", coin="BTC", nSigFigs=5, mantissa=2)
    assert book["data"]["spread"] == "1.0"


def test_mids_come_with_one_decimal_more_and_without_empty_books() -> None:
    front = harbour()
    trade(front, "ETH", "3000.5")
    _, mids = front.subscribe(type="allMids")
    assert mids == {"channel": "allMids", "data": {"mids": {"BTC": "84143.5", "ETH": "3000.5"}}}
    assert len(of_channel(front.heard(5_000), "allMids")) == 1


def test_contexts_come_every_second() -> None:
    front = harbour()
    _, context = front.subscribe(type="activeAssetCtx", coin="BTC")
    assert context["data"]["coin"] == "BTC" and context["data"]["ctx"]["markPx"] == "84148.0"
    assert [len(front.heard(500)) for _ in range(4)] == [0, 1, 0, 1]
    _, contexts = front.subscribe(type="allDexsAssetCtxs")
    ((dex, rows),) = contexts["data"]["ctxs"]
    assert dex == "" and [row["midPx"] for row in rows] == ["84143.5", None, None]


def unpacked(frame: Said) -> Said:
    found = json.loads(zlib.decompress(base64.b64decode(frame["data"]), wbits=-15))
    assert isinstance(found, dict), "a map by coin"
    return found


def test_fast_contexts_are_whole_first_and_then_only_what_changed() -> None:
    front = harbour()
    front.open(2)
    _, first = front.subscribe(type="fastAssetCtxs")
    assert unpacked(first) == {
        "BTC": {"markPx": "84148.0", "midPx": "84143.5"},
        "ETH": {"markPx": "3000.0", "midPx": None},
        "kPEPE": {"markPx": "0.004411", "midPx": None},
    }
    assert front.heard(1_000) == [], "nothing changed"
    front.exchange.marks["ETH"] = Decimal("3001")
    front.market.quote("BTC", EMPTY)
    _, whole = front.subscribe(2, type="fastAssetCtxs")
    assert whole == first, "a newcomer knows what the others know"
    outputs = front.publish(1_000)
    assert [frame.socket_id for frame in frames_of(outputs)] == [1, 2]
    told = unpacked(json.loads(frames_of(outputs)[0].text))
    assert told == {"BTC": {"midPx": None}, "ETH": {"markPx": "3001.0"}}


def test_a_coin_that_comes_later_is_told_whole() -> None:
    front = harbour()
    mark = front.exchange.marks.pop("ETH")
    front.subscribe(type="fastAssetCtxs")
    front.exchange.marks["ETH"] = mark
    (told,) = front.heard(1_000)
    assert unpacked(told) == {"ETH": {"markPx": "3000.0", "midPx": None}}


# -- what happened to an account -------------------------------------------------------------------------------------


def test_order_updates_begin_with_nothing_and_tell_all_changes_in_one_frame() -> None:
    front = harbour()
    front.place(BOB, Side.BUY, "84000", "1")
    assert len(front.subscribe(type="orderUpdates", user=ALICE)) == 1
    result = front.place(ALICE, Side.SELL, "84000", "0.4", cloid="0x" + 32 * "a")
    assert isinstance(result, FilledNow)
    (changes,) = of_channel(front.heard(), "orderUpdates")
    assert [(row["order"]["sz"], row["status"]) for row in changes] == [("0.4", "open"), ("0.0", "filled")]
    assert changes[0] == {
        "order": {
            "coin": "BTC", "side": "A", "limitPx": "84000.0", "sz": "0.4", "oid": result.oid, "timestamp": START_MS,
            "origSz": "0.4", "cloid": "0x" + 32 * "a",
        },
        "status": "open",
        "statusTimestamp": START_MS,
    }  # fmt: skip
    assert front.heard(1_000) == []


def test_addresses_of_any_case_are_one_user() -> None:
    front = harbour()
    front.subscribe(type="orderUpdates", user=ALICE.replace("a", "A"))
    assert front.subscribe(type="orderUpdates", user=ALICE) == [
        error(f'Already subscribed: {{"type":"orderUpdates","user":"{ALICE}"}}')
    ]
    front.place(ALICE, Side.BUY, "84000", "1")
    assert len(front.heard()) == 1


def test_fills_come_on_both_streams_and_the_snapshot_mark_only_once() -> None:
    front = harbour()
    hand_over(front)
    front.publish()
    _, snapshot = front.subscribe(type="userFills", user=BOB)
    assert list(snapshot["data"]) == ["isSnapshot", "user", "fills"]
    assert snapshot["data"]["isSnapshot"] is True and len(snapshot["data"]["fills"]) == 1
    assert len(front.subscribe(type="userEvents", user=BOB)) == 1
    front.exchange.now_ms += 1
    front.place(ALICE, Side.SELL, "84000", "0.1")
    front.place(ALICE, Side.SELL, "84000", "0.2")
    told = front.heard()
    rows = [shapes.fill_row(fill) for fill in list(front.account(BOB).fills)[-2:]]
    assert of_channel(told, "userFills") == [{"user": BOB, "fills": rows}]
    assert of_channel(told, "user") == [{"fills": rows}]
    front.unsubscribe(type="userFills", user=BOB)
    _, again = front.subscribe(type="userFills", user=BOB)
    assert again["data"]["fills"] == [*reversed(rows), *snapshot["data"]["fills"]], "newest first"


def test_partial_fills_are_merged_on_request() -> None:
    front = harbour()
    front.subscribe(type="userFills", user=ALICE, aggregateByTime=True)
    front.place(BOB, Side.BUY, "84000", "1")
    front.place(BOB, Side.BUY, "83990", "1")
    front.place(ALICE, Side.SELL, "83990", "2")
    (told,) = of_channel(front.heard(), "userFills")
    assert [(row["px"], row["sz"]) for row in told["fills"]] == [("83995.0", "2.0")]
    _, snapshot = Seafront.subscribe(front, type="userFills", user=ALICE)
    assert [row["sz"] for row in snapshot["data"]["fills"]] == ["1.0", "1.0"]


def test_the_channel_of_user_events_tells_one_thing_per_frame_in_order() -> None:
    front = harbour()
    front.subscribe(type="userEvents", user=ALICE)
    funding = VenueFunding(START_MS, "BTC", Decimal("-0.601087"), Decimal("0.55919"), Decimal("0.0000125"))
    events: list[VenueEvent] = [
        NonUserCanceled(ALICE, "BTC", 11),
        NonUserCanceled(ALICE, "ETH", 12),
        NonUserCanceled(BOB, "ETH", 13),
        FundingBooked(ALICE, funding),
        FundingBooked(ALICE, replace(funding, coin="ETH")),
        Liquidated(ALICE, 123456, Decimal("356.80015"), Decimal("2.956494")),
        NonUserCanceled(ALICE, "BTC", 14),
    ]
    frames = frames_of(front.streams.publish(START_MS, events, Moves([], [])))
    told = [json.loads(frame.text) for frame in frames]
    assert {frame["channel"] for frame in told} == {"user"}
    assert [frame["data"] for frame in told] == [
        {"nonUserCancel": [{"coin": "BTC", "oid": 11}, {"coin": "ETH", "oid": 12}]},
        {"funding": shapes.funding_event_row(funding)},
        {"funding": shapes.funding_event_row(replace(funding, coin="ETH"))},
        {
            "liquidation": {
                "lid": 123456,
                "liquidator": "0x0000000000000000000000000000000000000009",
                "liquidated_user": ALICE,
                "liquidated_ntl_pos": "356.80015",
                "liquidated_account_value": "2.956494",
            }
        },
        {"nonUserCancel": [{"coin": "BTC", "oid": 14}]},
    ]


def test_fundings_and_balances_are_told_under_their_odd_names() -> None:
    front = harbour()
    funding = VenueFunding(START_MS, "BTC", Decimal("-0.6"), Decimal("0.5"), Decimal("0.0000125"))
    update = LedgerUpdate(START_MS, NO_HASH, {"type": "deposit", "usdc": "5.0"})
    front.account(ALICE).fundings.extend([funding, replace(funding, time_ms=START_MS + 1)])
    _, fundings = front.subscribe(type="userFundings", user=ALICE)
    assert [row["time"] for row in fundings["data"]["fundings"]] == [START_MS, START_MS + 1]
    _, balances = front.subscribe(type="userNonFundingLedgerUpdates", user=ALICE)
    assert [row["delta"]["type"] for row in balances["data"]["nonFundingLedgerUpdates"]] == ["deposit"]
    frames = frames_of(
        front.streams.publish(START_MS, [FundingBooked(ALICE, funding), BalanceChanged(ALICE, update)], Moves([], []))
    )
    assert [json.loads(frame.text)["data"] for frame in frames] == [
        {"user": ALICE, "fundings": [shapes.funding_event_row(funding)]},
        {"user": ALICE, "nonFundingLedgerUpdates": [shapes.ledger_row(update)]},
    ]


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("userFills", "fills"),
        ("userFundings", "fundings"),
        ("userNonFundingLedgerUpdates", "nonFundingLedgerUpdates"),
        ("userHistoricalOrders", "orderHistory"),
        ("userTwapSliceFills", "twapSliceFills"),
        ("userTwapHistory", "history"),
    ],
)
def test_an_unknown_address_has_empty_snapshots(kind: str, key: str) -> None:
    front = harbour()
    _, snapshot = front.subscribe(type=kind, user=NOBODY)
    assert snapshot == {"channel": kind, "data": {"isSnapshot": True, "user": NOBODY, key: []}}


def test_order_history_tells_each_changed_order_as_it_is() -> None:
    front = harbour()
    front.place(BOB, Side.BUY, "84000", "1")
    front.publish()
    front.subscribe(type="userHistoricalOrders", user=ALICE)
    front.place(ALICE, Side.SELL, "84000", "0.4")
    (told,) = of_channel(front.heard(), "userHistoricalOrders")
    assert [(row["status"], row["order"]["sz"]) for row in told["orderHistory"]] == [("filled", "0.0")]
    assert "isSnapshot" not in told


def test_a_filled_resting_order_is_a_notification() -> None:
    front = harbour()
    assert len(front.subscribe(type="notification", user=BOB)) == 1
    front.subscribe(type="notification", user=ALICE)
    hand_over(front)
    assert of_channel(front.heard(), "notification") == [
        {"notification": "Resting order filled: Bought 0.4 BTC at $84000"}
    ]


def test_two_sockets_of_one_stream_get_one_text() -> None:
    front = harbour()
    front.open(2)
    for socket_id in (1, 2):
        front.subscribe(socket_id, type="orderUpdates", user=ALICE)
        front.subscribe(socket_id, type="trades", coin="BTC")
    front.place(ALICE, Side.BUY, "84000", "1")
    trade(front)
    frames = frames_of(front.publish())
    assert [frame.socket_id for frame in frames] == [1, 2, 1, 2]
    assert frames[0].text is frames[1].text and frames[2].text is frames[3].text


# -- the state of an account -----------------------------------------------------------------------------------------


def test_states_come_at_once_and_then_by_one_clock() -> None:
    front = harbour()
    hand_over(front)
    kinds = ["clearinghouseState", "openOrders", "spotState", "twapStates", "webData3", "allDexsClearinghouseState"]
    firsts = [front.subscribe(type=kind, user=BOB)[1] for kind in kinds]
    firsts.append(front.subscribe(type="activeAssetData", user=BOB, coin="BTC")[1])
    due_ms = front.streams.next_due_ms()
    assert due_ms % 4_500 == 0
    told = front.heard(due_ms - front.now_ms)
    assert [frame["channel"] for frame in told] == [*kinds, "activeAssetData"]
    state = firsts[0]["data"]
    assert list(state) == ["dex", "user", "clearinghouseState"]
    assert state["clearinghouseState"]["assetPositions"][0]["position"]["szi"] == "0.4"
    assert firsts[5]["data"]["clearinghouseStates"] == [["", state["clearinghouseState"]]]
    assert firsts[3]["data"] == {"dex": "", "user": BOB, "states": []}
    assert firsts[6]["data"]["leverage"] == {"type": "cross", "value": 20}


def test_open_orders_are_newest_first_with_their_trigger_fields() -> None:
    front = harbour()
    front.place(BOB, Side.BUY, "80000", "1")
    stop = TriggerSpec(Trigger(TriggerKind.STOP_LOSS, Decimal(70000)), is_market=True)
    front.place(BOB, Side.BUY, "81000", "1")
    hand_over(front)
    front.place(BOB, Side.SELL, "69000", "0.4", tif=None, trigger=stop, reduce_only=True)
    _, told = front.subscribe(type="openOrders", user=BOB)
    orders = told["data"]["orders"]
    assert [order["oid"] for order in orders] == sorted((order["oid"] for order in orders), reverse=True)
    assert [order["isTrigger"] for order in orders] == [True, False, False, False]
    assert orders[0]["orderType"] == "Stop Market"


def test_web_data_names_the_unnamed_agent_and_capped_coins() -> None:
    front = harbour()
    agent = "0x" + 39 * "0" + "d"
    assert front.signers.approve(ALICE, agent, None, START_MS, START_MS + 1_000_000) is None
    front.exchange.capped.update(["kPEPE", "BTC"])
    _, told = front.subscribe(type="webData3", user=ALICE)
    assert told["data"] == {
        "userState": {
            "agentAddress": agent,
            "agentValidUntil": START_MS + 1_000_000,
            "cumLedger": "1000000.0",
            "serverTime": START_MS,
            "isVault": False,
            "user": ALICE,
        },
        "perpDexStates": [{"totalVaultEquity": "0.0", "perpsAtOpenInterestCap": ["BTC", "kPEPE"]}],
    }
    _, told = front.subscribe(type="webData3", user=NOBODY)
    assert told["data"]["userState"]["agentAddress"] is None


def test_the_old_web_data_is_served_on_request() -> None:
    front = harbour(legacy_web_data=True)
    result = front.place(ALICE, Side.BUY, "80000", "1")
    assert isinstance(result, Resting)
    _, told = front.subscribe(type="webData2", user=ALICE)
    data = told["data"]
    assert told["channel"] == "webData2" and data["user"] == ALICE
    assert [order["oid"] for order in data["openOrders"]] == [result.oid]
    assert [coin["name"] for coin in data["meta"]["universe"]] == list(COINS) and len(data["assetCtxs"]) == len(COINS)


# -- time ------------------------------------------------------------------------------------------------------------


def test_nothing_is_due_without_readers() -> None:
    front = Seafront()
    assert front.streams.next_due_ms() > 10**15
    front.open()
    front.subscribe(type="allMids")
    assert front.streams.next_due_ms() <= START_MS + 5_000
    front.unsubscribe(type="allMids")
    assert front.streams.next_due_ms() == START_MS + 60_000
    front.streams.closed(1)
    assert front.streams.next_due_ms() > 10**15


def test_strikes_that_were_missed_do_not_come_back() -> None:
    front = harbour(VenueSettings(cadence=Cadence(idle_close=10**9)))
    front.subscribe(type="activeAssetCtx", coin="BTC")
    assert len(front.heard(10_500)) == 1
    assert front.heard(499) == []
    assert len(front.heard(1)) == 1


def test_a_newcomer_does_not_put_off_what_is_due() -> None:
    front = harbour()
    front.open(2)
    front.subscribe(1, type="activeAssetCtx", coin="BTC")
    front.exchange.now_ms = front.streams.next_due_ms()
    front.subscribe(2, type="activeAssetCtx", coin="ETH")
    assert [frame.socket_id for frame in frames_of(front.publish())] == [1, 2]


def test_closing_a_socket_twice_is_nothing() -> None:
    front = harbour()
    front.streams.closed(1)
    front.streams.closed(1)
    assert front.streams.receive(1, "{}", START_MS) == []
    assert front.streams.open(1, IP, START_MS) == []
