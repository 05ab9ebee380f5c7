"""The feed over scripted sockets, in an event loop whose time jumps: what is told, merged, kept and asked again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from adapters.hyperliquid.feed import FeedSettings, HyperliquidFeed
from adapters.hyperliquid.heard import BboHeard, CandleHeard
from adapters.hyperliquid.market_slice import MarketSlice
from adapters.hyperliquid.session_steps import SessionRules
from adapters.hyperliquid.subscriptions import TooManySubscriptions
from domain.candles import Interval
from domain.events import (
    AccountSnapshot,
    CandleUpdates,
    Event,
    FillArrived,
    FundingPaid,
    OrderCanceled,
    OrderOutcome,
    Quotes,
)
from domain.instruments import Universe
from domain.intents import cloid_of
from domain.orders import Accepted, Rejected, RejectReason
from entrypoints.simulation.jumping_time import LoopClock, run_jumping
from ports.order_gateway import VenueUnavailable
from tests.builders import make_instrument
from tests.feed_worlds import ME, T0, FakeSocket, FakeTransport, Notes, Rig, bbo, candle

CLOID = cloid_of("intent", 1, b"\x01\x02")


def fill(tid: int = 1, at_ms: int = T0, coin: str = "BTC") -> dict[str, Any]:
    return {
        "coin": coin,
        "px": "100.0",
        "sz": "0.5",
        "side": "B",
        "time": at_ms,
        "startPosition": "0.0",
        "dir": "Open Long",
        "closedPnl": "0.0",
        "hash": "0x" + 64 * "1",
        "oid": 77,
        "crossed": True,
        "fee": "0.01",
        "tid": tid,
        "feeToken": "USDC",
        "cloid": CLOID,
        "twapId": None,
    }


def fills(*rows: dict[str, Any], user: str = ME, **more: Any) -> dict[str, Any]:
    return {"channel": "userFills", "data": {**more, "user": user, "fills": list(rows)}}


def order(status: str, size: str = "0.5", cloid: str | None = CLOID) -> dict[str, Any]:
    body = {"coin": "BTC", "side": "B", "limitPx": "100.0", "sz": size, "oid": 77, "timestamp": T0, "origSz": "0.5"}
    return {"order": body | ({} if cloid is None else {"cloid": cloid}), "status": status, "statusTimestamp": T0}


def updates(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"channel": "orderUpdates", "data": list(rows)}


# ── the market ───────────────────────────────────────────────────────────────────────────────────


def test_quotes_of_one_slice_and_venue_time_come_together_by_id() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.say(bbo("kPEPE", "3.0", "3.5"))
            rig.market_socket.say(bbo("BTC", "100.0", "101.0"))
            rig.market_socket.say(bbo("BTC", "100.5", "101.0"))
            await asyncio.sleep(0.1)
            (quotes,) = rig.of(Quotes)
            assert quotes.venue_ms == T0
            assert quotes.ids.tolist() == [0, 2]
            assert quotes.bid.tolist() == [100.5, 3.0]
            assert quotes.ask.tolist() == [101.0, 3.5]
            assert rig.feed.counts.market.conflated == 1
            for at_ms in (T0 + 1, T0 + 2):
                rig.market_socket.say(bbo("kPEPE", "3.0", "3.5", at_ms))
                rig.market_socket.say(bbo("BTC", "100.0", "101.0", at_ms))
                await asyncio.sleep(0.1)
            assert rig.of(Quotes)[-1].ids is quotes.ids, "the same ids are the same object"

    run_jumping(test)


def test_each_quote_keeps_its_own_venue_time() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.say(bbo("BTC", "100.0", "101.0", T0 + 70))
            rig.market_socket.say(bbo("ETH", "10.0", "11.0", T0 - 5_000))
            await asyncio.sleep(0.1)
            assert [(each.venue_ms, each.ids.tolist()) for each in rig.of(Quotes)] == [
                (T0 - 5_000, [1]),
                (T0 + 70, [0]),
            ]

    run_jumping(test)


@pytest.mark.parametrize(("bid", "ask"), [("100.0", None), (None, "101.0"), (None, None)])
def test_a_quote_without_two_sides_leaves_the_last_good_one(bid: str | None, ask: str | None) -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.say(bbo("BTC", "100.0", "101.0"))
            rig.market_socket.say(bbo("BTC", bid, ask, T0 + 1))
            await asyncio.sleep(0.1)
            (quotes,) = rig.of(Quotes)
            assert quotes.bid.tolist() == [100.0]
            assert quotes.venue_ms == T0
            assert rig.feed.counts.market.unusable == 1

    run_jumping(test)


def test_a_crossed_or_older_quote_is_set_aside() -> None:
    market = MarketSlice(Universe([make_instrument("BTC")]), Interval.M1, 60_000)
    assert market.quote(BboHeard("BTC", T0, 101.0, 100.0), T0)
    assert market.is_empty
    assert market.quote(BboHeard("BTC", T0, 100.0, 101.0), T0)
    assert market.quote(BboHeard("BTC", T0 - 1, 90.0, 91.0), T0)
    (quotes,) = market.take()
    assert isinstance(quotes, Quotes)
    assert quotes.bid.tolist() == [100.0]
    assert market.counts.stale == market.counts.unusable == 1


def test_what_is_stamped_far_ahead_is_not_believed_and_told_once() -> None:
    async def test() -> None:
        async with Rig() as rig:
            for ahead_ms in (3_600_000, 3_600_001):
                rig.market_socket.say(bbo("BTC", "100.0", "101.0", T0 + ahead_ms))
                rig.market_socket.say(candle("BTC", "12.0", open_ms=T0 + 3_600_000))
            await asyncio.sleep(0.1)
            assert rig.events == []
            assert rig.notes.codes == ["venue_time_ahead"]
            rig.market_socket.say(bbo("BTC", "100.0", "101.0"))
            await asyncio.sleep(0.1)
            assert len(rig.of(Quotes)) == 1

    run_jumping(test)


def test_candles_come_per_open_time_and_stamped_by_the_venue() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.say(candle("ETH", "12.0", "2.0"))
            rig.market_socket.say(candle("BTC", "13.0"))
            rig.market_socket.say(candle("ETH", "11.0", "1.0"))  # less volume: an older state
            rig.market_socket.say(candle("BTC", "14.0", open_ms=T0 - 60_000))
            rig.market_socket.say(bbo("BTC", "100.0", "101.0", T0 + 40))
            await asyncio.sleep(0.1)
            before, now = rig.of(CandleUpdates)
            assert (before.candles.open_ms, before.venue_ms) == (T0 - 60_000, T0 + 40)
            assert (now.candles.open_ms, now.venue_ms) == (T0, T0 + 40)
            assert now.candles.ids.tolist() == [0, 1]
            assert now.candles.close.tolist() == [13.0, 12.0]
            assert now.candles.volume.tolist() == [1.0, 2.0]
            assert now.candles.interval is Interval.M1

    run_jumping(test)


def test_without_any_stamp_a_candle_proves_that_it_has_begun_and_no_more() -> None:
    market = MarketSlice(Universe([make_instrument("BTC")]), Interval.M1, 60_000)
    market.started([("BTC", Interval.M1)])
    market.candle(CandleHeard("BTC", Interval.M1, T0, T0 + 59_999, 10, 20, 5, 12, 1), T0 + 30_000)
    _, update = market.take()
    assert isinstance(update, CandleUpdates)
    assert update.venue_ms == T0


def test_a_slow_reader_gets_the_newest_quote_and_every_fill() -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            rig.market_socket.say(bbo("BTC", "1.0", "2.0"))
            await asyncio.sleep(0.1)
            rig.may_read.clear()
            for n in range(500):
                rig.market_socket.say(bbo("BTC", f"{n + 100}.0", f"{n + 101}.0", T0 + n))
                rig.account_socket.say(fills(fill(n + 1)))
                await asyncio.sleep(0.01)
            assert len(rig.events) == 2, "it stands at the second"
            rig.may_read.set()
            await asyncio.sleep(0.1)
            assert [event.fill.tid for event in rig.of(FillArrived)] == list(range(1, 501))
            assert [each.bid.tolist() for each in rig.of(Quotes)] == [[1.0], [599.0]]
            assert rig.feed.counts.account_waiting_max == 499
            assert rig.feed.counts.market.conflated == 499

    run_jumping(test)


# ── the account ──────────────────────────────────────────────────────────────────────────────────


def test_fills_and_funding_of_updates_arrive_and_those_of_others_do_not() -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            rig.account_socket.say(fills(fill(1)))
            rig.account_socket.say(fills(fill(2), user="0x" + 40 * "b"))
            funding = {"time": T0, "coin": "BTC", "usdc": "-0.6", "szi": "0.5", "fundingRate": "0.0000125"}
            rig.account_socket.say({"channel": "userFundings", "data": {"user": ME, "fundings": [funding]}})
            rig.account_socket.say({"channel": "user", "data": {"fills": [fill(3)]}})
            await asyncio.sleep(0.1)
            assert [event.fill.tid for event in rig.of(FillArrived)] == [1, 3]
            (paid,) = rig.of(FundingPaid)
            assert (paid.symbol, paid.amount_usd) == ("BTC", Decimal("-0.6"))
            assert rig.feed.counts.foreign_users == 1
            assert rig.notes.noted[0][2] == "about another user"

    run_jumping(test)


def test_a_snapshot_tells_only_what_happened_since_the_start() -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            rig.account_socket.say(fills(fill(1, T0 - 1), fill(2, T0 + 5), isSnapshot=True))
            await asyncio.sleep(0.1)
            assert [event.fill.tid for event in rig.of(FillArrived)] == [2], "older ones are the catch-up's"

    run_jumping(test)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([order("open")], [OrderOutcome(CLOID, Accepted(77))]),
        ([order("open"), order("filled", "0.0")], [OrderOutcome(CLOID, Accepted(77))] * 2),
        ([order("canceled")], [OrderCanceled(CLOID, "canceled")]),
        ([order("scheduledCancel")], [OrderCanceled(CLOID, "scheduledCancel")]),
        ([order("unheardOfCanceled")], [OrderCanceled(CLOID, "unheardOfCanceled")]),
        (
            [order("iocCancelRejected")],
            [OrderOutcome(CLOID, Rejected(RejectReason.NO_IMMEDIATE_MATCH, "iocCancelRejected"))],
        ),
        (
            [order("tooManyOpenOrdersRejected")],
            [OrderOutcome(CLOID, Rejected(RejectReason.TOO_MANY_ORDERS, "tooManyOpenOrdersRejected"))],
        ),
        ([order("iocCancelRejected", "0.2")], [OrderCanceled(CLOID, "iocCancelRejected")]),
        ([order("open", cloid=None)], []),
        ([order("open", cloid="0x" + 32 * "9")], []),
        ([order("triggered")], []),
    ],
)
def test_order_updates_become_outcomes_of_our_orders(rows: list[dict[str, Any]], expected: list[Event]) -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            rig.account_socket.say(updates(*rows))
            await asyncio.sleep(0.1)
            assert rig.events == expected
            assert [where for where, _, _ in rig.notes.noted if "unheardOf" not in where] == []

    run_jumping(test)


def test_an_unknown_status_is_noted_and_the_account_asked() -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            assert rig.catch_ups == 1
            rig.account_socket.say(updates(order("unheardOf")))
            await asyncio.sleep(6)
            assert rig.events == []
            assert "unheardOf" in rig.notes.noted[0][0]
            assert rig.catch_ups == 2

    run_jumping(test)


def test_unreadable_account_frames_ask_the_account_but_not_more_often_than_the_gap() -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            for _ in range(100):
                rig.account_socket.say({"channel": "userFills", "data": {"user": ME, "fills": [{"coin": 1}]}})
                await asyncio.sleep(0.1)
            assert len(rig.notes.noted) == 100
            assert 2 <= rig.catch_ups <= 4
            assert rig.feed.counts.drifted == 100

    run_jumping(test)


def test_money_that_comes_or_goes_asks_the_account() -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            row = {"time": T0, "hash": "0x" + 64 * "2", "delta": {"type": "deposit", "usdc": "5.0"}}
            for more in ({"isSnapshot": True}, {}):
                data = {**more, "user": ME, "nonFundingLedgerUpdates": [row]}
                rig.account_socket.say({"channel": "userNonFundingLedgerUpdates", "data": data})
                await asyncio.sleep(10)
                assert rig.catch_ups == (1 if more else 2)

    run_jumping(test)


# ── connections ──────────────────────────────────────────────────────────────────────────────────


def test_the_account_has_a_socket_of_its_own_and_catches_up_after_each_connect() -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            account, market = rig.transport.sockets
            assert set(account.asked) == {
                *("orderUpdates", "userFills", "userEvents", "userFundings", "userNonFundingLedgerUpdates")
            }
            assert market.asked == ["bbo", "candle"] * 3
            assert rig.catch_ups == 1
            market.drop()
            await asyncio.sleep(5)
            assert rig.catch_ups == 1, "the market has nothing to catch up"
            account.drop()
            await asyncio.sleep(5)
            assert rig.catch_ups == 2
            assert len(rig.transport.sockets) == 4
            assert rig.transport.sockets[-1].asked == account.asked

    run_jumping(test)


def test_catching_up_is_repeated_until_there_is_an_answer_and_streams_go_on_meanwhile() -> None:
    async def test() -> None:
        snapshot = AccountSnapshot(Decimal(5), (), T0)
        asked_ms: list[int] = []

        async def catch_up() -> Sequence[Event]:
            asked_ms.append(round(asyncio.get_running_loop().time() * 1000))
            if len(asked_ms) < 8:
                raise VenueUnavailable("502")
            return [snapshot]

        async with Rig(catch_up, user=ME) as rig:
            rig.account_socket.say(fills(fill(1)))
            await asyncio.sleep(0.1)
            assert len(rig.of(FillArrived)) == 1
            await asyncio.sleep(300)
            assert rig.events[-1] == snapshot
            assert len(asked_ms) == 8
            gaps = [b - a for a, b in pairwise(asked_ms)]
            assert 1_000 <= gaps[0] <= 1_500
            assert 30_000 <= gaps[-1] <= 45_000
            assert rig.notes.codes == ["account_not_caught_up"]
            assert rig.feed.counts.catch_up.failed == 7

    run_jumping(test)


def test_what_could_not_be_sent_is_not_sent_over_the_next_connection() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.transport.make = lambda: FakeSocket(closed=True)
            rig.market_socket.drop()
            await asyncio.sleep(3)
            rig.transport.make = FakeSocket
            await asyncio.sleep(60)
            assert rig.market_socket.asked == ["bbo", "candle"] * 3
            assert [each["method"] for each in rig.market_socket.said].count("ping") <= 4
            assert rig.feed.is_live

    run_jumping(test)


def test_a_dead_socket_is_left_and_the_next_one_works() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.pongs = False
            await asyncio.sleep(60)
            first, second = rig.transport.sockets
            assert first.closed
            assert second.asked == first.asked
            second.say(bbo("BTC", "100.0", "101.0", T0 + 50_000))
            await asyncio.sleep(0.1)
            assert len(rig.of(Quotes)) == 1
            assert rig.feed.is_live

    run_jumping(test)


def test_new_connections_stay_under_the_limit_of_all_together() -> None:
    async def test() -> None:
        rules = SessionRules(backoff_first_ms=1, backoff_max_ms=1)
        async with Rig(user=ME, rules=rules) as rig:
            rig.transport.refuse = 1_000
            for socket in rig.transport.sockets:
                socket.drop()
            await asyncio.sleep(300)
            times = rig.transport.opened_ms
            assert len(times) > 60
            assert all(b - a >= 60_000 for a, b in zip(times, times[15:], strict=False)), "15 in any minute"
            assert rig.notes.codes.count("feed_not_connecting") == 2, "one for each session"

    run_jumping(test)


def test_a_bare_greeting_is_nothing_and_garbage_is_kept() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.say("Websocket connection established.")
            rig.market_socket.say('{"channel":"bbo","data":{"coin"')
            rig.market_socket.say({"channel": "surprise", "data": 1})
            rig.market_socket.say("[" * 100_000)
            await asyncio.sleep(0.1)
            assert len(rig.notes.noted) == 3
            assert rig.feed.counts.drifted == 3
            assert rig.feed.is_live

    run_jumping(test)


def test_cancelling_leaves_no_task_and_no_socket() -> None:
    async def test() -> None:
        before = len(asyncio.all_tasks())
        rig = Rig(user=ME)
        await asyncio.sleep(0.1)
        rig.market_socket.say(bbo("BTC", "100.0", "101.0"))
        await asyncio.sleep(0)
        rig.task.cancel()
        await asyncio.gather(rig.task, return_exceptions=True)
        assert rig.task.cancelled()
        assert len(asyncio.all_tasks()) == before
        assert all(socket.closed for socket in rig.transport.sockets)

    run_jumping(test)


def test_a_feed_is_read_once() -> None:
    async def test() -> None:
        async with Rig() as rig:
            with pytest.raises(AssertionError, match="read once"):
                await anext(rig.feed.events())

    run_jumping(test)


def test_a_reader_that_stops_and_closes_ends_everything() -> None:
    async def test() -> None:
        rig = Rig(user=ME)
        rig.may_read.clear()
        await asyncio.sleep(0.1)
        rig.account_socket.say(fills(fill(1), fill(2)))
        await asyncio.sleep(0.1)
        assert len(rig.told) == 1, "it stands between two events"
        rig.task.cancel()
        await asyncio.gather(rig.task, return_exceptions=True)
        assert all(socket.closed for socket in rig.transport.sockets)

    run_jumping(test)


@pytest.mark.parametrize("which", ["account", "market"])
def test_a_connection_that_is_lost_while_the_reader_is_cancelled_does_not_live_on(which: str) -> None:
    """The one ending must not be taken for the other: nobody would ever end the feed again."""

    async def test() -> None:
        rig = Rig(user=ME)
        await asyncio.sleep(1)
        socket = rig.account_socket if which == "account" else rig.market_socket
        socket.drop()
        for _ in range(6):  # at each step of the way on which the loss is heard of
            rig.task.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await asyncio.gather(rig.task, return_exceptions=True)
        assert all(each.closed for each in rig.transport.sockets)

    run_jumping(test)


@pytest.mark.parametrize("steps", range(8))
def test_it_ends_wherever_the_news_of_a_loss_has_come_to(steps: int) -> None:
    async def test() -> None:
        rig = Rig(user=ME)
        await asyncio.sleep(1)
        for socket in rig.transport.sockets:
            socket.drop()
        for _ in range(steps):
            await asyncio.sleep(0)
        rig.task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(rig.task, return_exceptions=True)
        assert all(each.closed for each in rig.transport.sockets)

    run_jumping(test)


@pytest.mark.parametrize("where", ["catching up", "listening"])
def test_a_bug_ends_the_feed_loudly(where: str) -> None:
    async def test() -> None:
        async def broken() -> Sequence[Event]:
            raise ZeroDivisionError("a bug")

        rig = Rig(broken if where == "catching up" else None, user=ME)
        await asyncio.sleep(0.1)
        if where == "listening":
            rig.feed._desk._market = None  # type: ignore[assignment]
            rig.market_socket.say(bbo("BTC", "100.0", "101.0"))
        await asyncio.sleep(1)
        (result,) = await asyncio.gather(rig.task, return_exceptions=True)
        assert isinstance(result, ZeroDivisionError if where == "catching up" else AttributeError)
        assert all(socket.closed for socket in rig.transport.sockets)

    run_jumping(test)


def test_what_the_limits_cannot_carry_is_refused_at_construction() -> None:
    universe = Universe(make_instrument(f"C{n}") for n in range(300))
    notes = Notes()

    async def nothing() -> Sequence[Event]:
        return []

    def make(settings: FeedSettings) -> HyperliquidFeed:
        return HyperliquidFeed(
            universe, Interval.M1, FakeTransport(), LoopClock(T0), settings, notes, notes, nothing, random.Random(1)
        )

    with pytest.raises(TooManySubscriptions, match="605 subscriptions"):
        make(FeedSettings(user=ME))
    make(replace(FeedSettings(user=ME), bbo=False))
