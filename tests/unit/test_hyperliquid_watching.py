"""A feed whose symbols change while it runs: what is subscribed, where, and what is told of it."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from adapters.hyperliquid.feed import FeedSettings, HyperliquidFeed
from adapters.hyperliquid.session import Phase
from adapters.hyperliquid.subscriptions import MAX_CONNECTIONS, MAX_MESSAGES_PER_MINUTE, TooManySubscriptions
from domain.candles import Interval
from domain.events import CandleStreams, CandleUpdates, Event, Quotes
from domain.instruments import Universe
from entrypoints.simulation.jumping_time import LoopClock, run_jumping
from tests.builders import make_instrument
from tests.feed_worlds import COINS, ME, T0, FakeSocket, FakeTransport, Notes, Rig, bbo, candle, fills_of_nobody, mids

MANY = tuple(f"C{n}" for n in range(40))


def candles_of(*coins: str, interval: str = "1m") -> list[str]:
    return [f"candle:coin={coin}:interval={interval}" for coin in coins]


def quotes_of(*coins: str) -> list[str]:
    return [f"bbo:coin={coin}" for coin in coins]


# ── what is subscribed ───────────────────────────────────────────────────────────────────────────


def test_what_is_watched_before_the_start_is_subscribed_first_and_nothing_else() -> None:
    async def test() -> None:
        async with Rig(watch=(["ETH"], [])) as rig:
            assert rig.subscribed == quotes_of("ETH") + candles_of("ETH")

    run_jumping(test)


def test_without_a_word_everything_is_watched() -> None:
    async def test() -> None:
        async with Rig() as rig:
            assert rig.subscribed == quotes_of(*COINS) + candles_of(*COINS)

    run_jumping(test)


def test_symbols_enter_and_leave_and_the_account_does_not_notice() -> None:
    async def test() -> None:
        async with Rig(user=ME, watch=(["BTC", "ETH"], [])) as rig:
            account = list(rig.account_socket.keys)
            rig.feed.watch(["ETH", "kPEPE"], [])
            assert not rig.is_live()
            await asyncio.sleep(0.1)
            assert rig.is_live()
            assert rig.market_socket.keys[-4:] == [
                *[("unsubscribe", key) for key in quotes_of("BTC") + candles_of("BTC")],
                *[("subscribe", key) for key in quotes_of("kPEPE") + candles_of("kPEPE")],
            ]
            assert set(rig.market_socket.subscribed) == {*quotes_of("ETH", "kPEPE"), *candles_of("ETH", "kPEPE")}
            assert rig.account_socket.keys == account
            assert len(rig.transport.sockets) == 2

    run_jumping(test)


def test_the_same_again_asks_nothing() -> None:
    async def test() -> None:
        async with Rig() as rig:
            before = list(rig.market_socket.keys)
            rig.feed.watch([*COINS, "BTC"], [])
            await asyncio.sleep(1)
            assert rig.market_socket.keys == before
            assert len(rig.of(CandleStreams)) == 2

    run_jumping(test)


def test_a_symbol_that_comes_back_before_its_end_is_answered_ends_subscribed() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.mute = frozenset(("unsubscribe",))
            rig.feed.watch(["BTC", "ETH"], [])
            await asyncio.sleep(1)
            assert set(rig.subscribed) == {*quotes_of("BTC", "ETH"), *candles_of("BTC", "ETH")}
            rig.feed.watch(COINS, [])
            await asyncio.sleep(1)
            assert ("subscribe", "bbo:coin=kPEPE") not in rig.market_socket.keys[6:], "not before the answer"
            rig.market_socket.mute = frozenset()
            await asyncio.sleep(15)
            assert set(rig.subscribed) == {*quotes_of(*COINS), *candles_of(*COINS)}
            assert len(rig.transport.sockets) == 1
            assert rig.streams[-1] == ("1m", True, [2])
            rig.market_socket.say(bbo("kPEPE", "1.0", "2.0"))
            await asyncio.sleep(0.1)
            assert len(rig.of(Quotes)) == 1

    run_jumping(test)


def test_back_and_forth_within_a_moment_ends_with_what_was_said_last() -> None:
    async def test() -> None:
        async with Rig() as rig:
            for symbols in (["BTC"], COINS, [], ["ETH"], COINS, ["kPEPE", "ETH"]):
                rig.feed.watch(symbols, [])
            await asyncio.sleep(1)
            assert set(rig.subscribed) == {*quotes_of("kPEPE", "ETH"), *candles_of("kPEPE", "ETH")}
            assert rig.is_live()
            running = {0: True, 1: True, 2: True}
            for _, is_running, ids in rig.streams[2:]:
                running.update(dict.fromkeys(ids, is_running))
            assert running == {0: False, 1: True, 2: True}

    run_jumping(test)


def test_streams_given_up_stay_given_up() -> None:
    async def test() -> None:
        async with Rig(coins=["BTC", "NOPE"]) as rig:
            assert set(rig.feed.given_up) == {*quotes_of("NOPE"), *candles_of("NOPE")}
            rig.feed.watch(["BTC"], [])
            await asyncio.sleep(1)
            rig.feed.watch(["BTC", "NOPE"], [])
            await asyncio.sleep(1)
            rig.market_socket.drop()
            await asyncio.sleep(5)
            first, second = rig.transport.sockets
            assert [key for _, key in first.keys].count("bbo:coin=NOPE") == 1
            assert second.asked == ["bbo", "candle"]
            assert rig.notes.codes == ["stream_refused"] * 2
            assert rig.is_live()
            assert ("1m", True, [1]) not in rig.streams

    run_jumping(test)


def test_exit_symbols_have_candles_of_the_exit_interval_besides() -> None:
    async def test() -> None:
        async with Rig(exit_interval=Interval.M5, watch=(["BTC", "ETH"], ["ETH"])) as rig:
            assert "candle:coin=ETH:interval=5m" in rig.subscribed
            assert len(rig.subscribed) == 5
            rig.feed.watch(["BTC", "ETH"], ["BTC"])
            await asyncio.sleep(0.1)
            assert [each for each in rig.subscribed if each.endswith("5m")] == candles_of("BTC", interval="5m")
            assert rig.streams[-2:] == [("5m", False, [0]), ("5m", True, [0])]

    run_jumping(test)


def test_without_an_exit_interval_exit_symbols_do_not_matter() -> None:
    async def test() -> None:
        async with Rig(watch=(["BTC"], ["ETH"])) as rig:
            assert rig.subscribed == quotes_of("BTC") + candles_of("BTC")

    run_jumping(test)


def test_nothing_to_watch_needs_no_connection_until_there_is_something() -> None:
    async def test() -> None:
        async with Rig(watch=([], [])) as rig:
            assert rig.transport.sockets == []
            assert rig.told == []
            rig.feed.watch(["ETH"], [])
            await asyncio.sleep(0.1)
            assert rig.subscribed == quotes_of("ETH") + candles_of("ETH")
            rig.market_socket.say(bbo("ETH", "1.0", "2.0"))
            await asyncio.sleep(0.1)
            assert len(rig.of(Quotes)) == 1

    run_jumping(test)


# ── where ────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_symbol_goes_to_the_connection_with_the_most_room() -> None:
    async def test() -> None:
        async with Rig(coins=MANY, watched=8, subscriptions_per_socket=10, watch=(MANY[:8], [])) as rig:
            first, second = rig.transport.sockets
            assert [len(each.subscribed) for each in (first, second)] == [8, 8]
            rig.feed.watch([*MANY[:7], MANY[8]], [])  # one of the second makes room there
            await asyncio.sleep(0.1)
            assert quotes_of("C8")[0] in second.subscribed
            rig.feed.watch([*MANY[1:7], *MANY[8:10]], [])
            await asyncio.sleep(0.1)
            assert {*quotes_of("C9"), *candles_of("C9")} <= set(first.subscribed), "and both of its streams"
            assert len(rig.transport.sockets) == 2

    run_jumping(test)


def test_another_connection_is_made_where_there_is_no_room_and_told_of_as_the_others() -> None:
    async def test() -> None:
        async with Rig(coins=MANY, watched=8, subscriptions_per_socket=4, watch=(MANY[:2], [])) as rig:
            assert len(rig.transport.sockets) == 1
            rig.feed.watch(MANY[:3], [])
            assert not rig.is_live()
            await asyncio.sleep(0.1)
            assert [len(each.subscribed) for each in rig.transport.sockets] == [4, 2]
            assert rig.is_live()
            rig.transport.sockets[1].say(bbo("C2", "1.0", "2.0"))
            rig.transport.sockets[1].drop()
            await asyncio.sleep(5)
            assert len(rig.of(Quotes)) == 1
            assert rig.streams[-2:] == [("1m", False, [2]), ("1m", True, [2])]
            assert [len(each.subscribed) for each in rig.transport.sockets] == [4, 0, 2]

    run_jumping(test)


def test_at_the_last_connection_a_symbol_s_streams_may_be_parted() -> None:
    async def test() -> None:
        async with Rig(coins=MANY, watched=6, subscriptions_per_socket=3, user=ME, watch=((), ())) as rig:
            for count in range(1, 7):
                rig.feed.watch(MANY[:count], [])
                await asyncio.sleep(0.1)
            market = [each for each in rig.transport.sockets if each is not rig.account_socket]
            assert [len(each.subscribed) for each in market] == [3, 3, 3, 3]
            assert len(rig.transport.sockets) == MAX_CONNECTIONS
            assert rig.is_live()

    run_jumping(test)


def test_an_empty_connection_waits_idle_for_the_next_symbol() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.feed.watch([], [])
            await asyncio.sleep(90)
            assert rig.subscribed == []
            assert len(rig.transport.sockets) == 1
            assert rig.feed.line_reports() == ()
            rig.feed.watch(["BTC"], [])
            await asyncio.sleep(0.1)
            assert rig.subscribed == quotes_of("BTC") + candles_of("BTC")
            assert len(rig.transport.sockets) == 1
            (report,) = rig.feed.line_reports()
            assert report.data_silence_ms <= 100, "nobody can have been silent"

    run_jumping(test)


def test_a_stream_goes_back_to_where_its_end_is_not_answered_yet() -> None:
    async def test() -> None:
        async with Rig(coins=MANY, candle=False, watched=8, subscriptions_per_socket=4, watch=(MANY[:8], [])) as rig:
            first, second = rig.transport.sockets
            second.mute = frozenset(("unsubscribe",))
            rig.feed.watch([*MANY[:2], *MANY[5:8]], [])
            await asyncio.sleep(0.1)
            rig.feed.watch([*MANY[:2], *MANY[4:8]], [])
            await asyncio.sleep(0.1)
            assert "bbo:coin=C4" not in first.subscribed, "though there is more room"
            second.mute = frozenset()
            await asyncio.sleep(15)
            assert "bbo:coin=C4" in second.subscribed

    run_jumping(test)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────


def make(symbols: int, **settings: Any) -> HyperliquidFeed:
    universe = Universe(make_instrument(f"C{n}") for n in range(symbols))
    notes = Notes()

    async def nothing() -> list[Event]:
        return []

    return HyperliquidFeed(
        universe,
        Interval.M1,
        FakeTransport(),
        LoopClock(T0),
        FeedSettings(**settings),
        notes,
        notes,
        nothing,
        random.Random(1),
    )


def test_the_limits_are_judged_over_what_will_be_watched_at_most() -> None:
    make(2_000, user=ME, watched=252)
    with pytest.raises(TooManySubscriptions, match="511 subscriptions"):
        make(2_000, user=ME, watched=253)
    with pytest.raises(TooManySubscriptions, match="4000 market streams"):
        make(2_000)
    make(100, watched=2_000)


def test_streams_of_exit_candles_and_the_one_of_all_mids_count() -> None:
    make(165, exit_interval=Interval.M5)
    with pytest.raises(TooManySubscriptions, match=r"\(171 bbo, 171 candle 1m, 171 candle 5m\)"):
        make(171, exit_interval=Interval.M5)
    make(200, exit_interval=Interval.M5, exits_watched=105, user=ME)
    with pytest.raises(TooManySubscriptions, match="511 subscriptions"):
        make(200, exit_interval=Interval.M5, exits_watched=106, user=ME)
    make(509, bbo=False)
    with pytest.raises(TooManySubscriptions, match="1 allMids, 510 candle 1m"):
        make(510, bbo=False)
    make(10_000, bbo=False, candle=False)


def test_more_than_the_limits_carry_is_refused_and_changes_nothing() -> None:
    async def test() -> None:
        coins = [f"C{n}" for n in range(300)]
        async with Rig(coins=coins, watched=100, watch=(coins[:100], [])) as rig:
            said = [len(each.said) for each in rig.transport.sockets]
            before, told = rig.subscribed, list(rig.told)
            with pytest.raises(TooManySubscriptions, match="600 market streams"):
                rig.feed.watch(coins, [])
            await asyncio.sleep(1)
            assert [len(each.said) for each in rig.transport.sockets] == said
            assert rig.subscribed == before
            assert rig.told == told
            rig.transport.sockets[0].say(bbo("C299", "1.0", "2.0"))
            await asyncio.sleep(0.1)
            assert rig.of(Quotes) == []

    run_jumping(test)


def test_never_more_streams_than_the_limit_are_at_the_venue_though_all_are_exchanged() -> None:
    async def test() -> None:
        coins = [f"C{n}" for n in range(494)]
        async with Rig(coins=coins, watched=247, user=ME, watch=(coins[:247], [])) as rig:
            await asyncio.sleep(1)
            most = 0
            rig.feed.watch(coins[247:], [])
            for _ in range(300):
                await asyncio.sleep(0)
                most = max(most, len(rig.subscribed))
            await asyncio.sleep(70)
            assert rig.is_live()
            assert len(rig.subscribed) == 499
            assert most <= 500
            said_ms = sorted(at_ms for each in rig.transport.sockets for at_ms in each.said_ms)
            assert len(said_ms) > 1_480
            pings = 5 * 3
            busiest = max(sum(at <= each < at + 60_000 for each in said_ms) for at in said_ms[::50])
            assert busiest <= MAX_MESSAGES_PER_MINUTE + pings

    run_jumping(test)


# ── what is told ─────────────────────────────────────────────────────────────────────────────────


def test_candle_streams_do_not_run_until_they_are_acknowledged() -> None:
    async def test() -> None:
        async with Rig(user=ME, exit_interval=Interval.M5, watch=(COINS, ["ETH"])) as rig:
            assert rig.streams == [
                *[("1m", False, [0, 1, 2]), ("5m", False, [1])],
                *[("1m", True, [0, 1, 2]), ("5m", True, [1])],
            ]
            assert rig.told[:2] == rig.of(CandleStreams)[:2], "before anything else"

    run_jumping(test)


def test_without_acknowledgement_a_stream_does_not_run_and_its_candles_wait() -> None:
    async def test() -> None:
        rig = Rig()
        rig.transport.make = lambda: FakeSocket(mute=frozenset(("subscribe",)))
        async with rig:
            rig.transport.sockets[0].say(candle("BTC", "12.0"))
            await asyncio.sleep(0.1)
            assert rig.of(CandleUpdates) == []
            assert rig.streams == [("1m", False, [0, 1, 2])]
            rig.transport.sockets[0].mute = frozenset()
            await asyncio.sleep(10)
            assert rig.streams[-1] == ("1m", True, [0, 1, 2]), "'Already subscribed' is an answer"
            rig.transport.sockets[0].say(candle("BTC", "13.0"))
            await asyncio.sleep(0.1)
            assert [each.candles.close.tolist() for each in rig.of(CandleUpdates)] == [[13.0]]

    run_jumping(test)


def test_what_was_heard_before_a_loss_is_told_before_it_and_what_comes_later_after_it() -> None:
    async def test() -> None:
        async with Rig() as rig:
            before = len(rig.told)
            rig.market_socket.say(bbo("ETH", "1.0", "2.0"))
            rig.market_socket.say(candle("BTC", "12.0"))
            rig.market_socket.drop()
            await asyncio.sleep(0.001)
            kinds = [type(event) for event in rig.told[before:]]
            assert kinds == [Quotes, CandleUpdates, CandleStreams], "and at once"
            assert rig.streams[-1] == ("1m", False, [0, 1, 2])
            rig.transport.make = lambda: FakeSocket(frames=_first(candle("BTC", "13.0")))
            await asyncio.sleep(5)
            assert rig.streams[-1] == ("1m", True, [0, 1, 2])
            rig.market_socket.say(candle("BTC", "14.0", "2.0"))
            await asyncio.sleep(0.1)
            assert [type(event) for event in rig.told[before:]] == [*kinds, CandleStreams, CandleUpdates]
            assert rig.of(CandleUpdates)[-1].candles.close.tolist() == [14.0], "before its answer it does not run"

    run_jumping(test)


def _first(frame: dict[str, Any]) -> asyncio.Queue[str | None]:
    """Frames of a venue that talks before it answers."""
    frames: asyncio.Queue[str | None] = asyncio.Queue()
    frames.put_nowait(json.dumps(frame))
    return frames


def test_a_loss_stops_the_streams_of_its_connection_only() -> None:
    async def test() -> None:
        async with Rig(coins=MANY[:4], subscriptions_per_socket=4) as rig:
            rig.transport.sockets[1].drop()
            await asyncio.sleep(0.01)
            assert rig.streams[-1] == ("1m", False, [2, 3])
            rig.transport.sockets[0].say(candle("C0", "12.0"))
            await asyncio.sleep(0.1)
            assert len(rig.of(CandleUpdates)) == 1
            await asyncio.sleep(5)
            assert rig.streams[-1] == ("1m", True, [2, 3])

    run_jumping(test)


def test_a_loss_is_told_before_the_socket_is_closed_which_may_take_a_while() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.close_s = 3.0
            rig.market_socket.drop()
            await asyncio.sleep(0.1)
            assert rig.streams[-1] == ("1m", False, [0, 1, 2])

    run_jumping(test)


def test_a_slow_reader_hears_the_streams_in_their_place() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.may_read.clear()
            rig.market_socket.say(bbo("BTC", "1.0", "2.0"))
            await asyncio.sleep(0.1)
            before = len(rig.told)
            for round_ in range(3):
                rig.market_socket.say(candle("BTC", f"{10 + round_}.0", f"{round_ + 1}.0"))
                rig.market_socket.drop()
                await asyncio.sleep(10)
            rig.may_read.set()
            await asyncio.sleep(0.1)
            said = [event.running if isinstance(event, CandleStreams) else type(event) for event in rig.told[before:]]
            assert said == [CandleUpdates, False, True] * 3

    run_jumping(test)


def test_a_symbol_that_leaves_stops_and_nothing_of_it_is_told_any_more() -> None:
    async def test() -> None:
        async with Rig() as rig:
            rig.market_socket.say(candle("ETH", "12.0"))
            await asyncio.sleep(0.001)
            rig.market_socket.mute = frozenset(("unsubscribe",))
            rig.feed.watch(["BTC", "kPEPE"], [])
            rig.market_socket.say(candle("ETH", "13.0", "2.0"))
            rig.market_socket.say(bbo("ETH", "1.0", "2.0"))
            rig.market_socket.say(bbo("BTC", "1.0", "2.0"))
            await asyncio.sleep(0.1)
            update, stopped, quotes = rig.told[-3:]
            assert isinstance(update, CandleUpdates)
            assert update.candles.close.tolist() == [12.0]
            assert isinstance(stopped, CandleStreams)
            assert (stopped.running, stopped.ids.tolist()) == (False, [1])
            assert isinstance(quotes, Quotes)
            assert quotes.ids.tolist() == [0]
            assert rig.feed.counts.market.foreign == 2

    run_jumping(test)


def test_those_that_leave_together_are_told_together() -> None:
    async def test() -> None:
        async with Rig(coins=MANY, watched=20, subscriptions_per_socket=10, watch=(MANY[:20], [])) as rig:
            rig.feed.watch([MANY[7], MANY[30]], [])
            await asyncio.sleep(0.1)
            leaving = [n for n in range(20) if n != 7]
            assert rig.streams[-3:] == [("1m", False, leaving), ("1m", False, [30]), ("1m", True, [30])]

    run_jumping(test)


def test_candles_of_two_intervals_do_not_mix() -> None:
    async def test() -> None:
        async with Rig(exit_interval=Interval.M5, watch=(["BTC", "ETH"], ["BTC"])) as rig:
            open_ms = Interval.M5.open_of(T0)
            rig.market_socket.say(candle("BTC", "12.0", "7.0", open_ms, Interval.M5))
            rig.market_socket.say(candle("BTC", "13.0", "1.0", open_ms, Interval.M1))
            rig.market_socket.say(candle("ETH", "14.0", "1.0", open_ms, Interval.M5))
            await asyncio.sleep(0.1)
            told = [
                (each.candles.interval, each.candles.ids.tolist(), each.candles.close.tolist())
                for each in rig.of(CandleUpdates)
            ]
            assert told == [(Interval.M1, [0], [13.0]), (Interval.M5, [0], [12.0])]
            assert rig.feed.counts.market.foreign == 1, "nobody asked for the exit candles of that one"
            rig.feed.watch(["BTC", "ETH"], [])
            rig.market_socket.say(candle("BTC", "15.0", "8.0", open_ms, Interval.M5))
            rig.market_socket.say(candle("BTC", "16.0", "2.0", open_ms, Interval.M1))
            await asyncio.sleep(0.1)
            assert rig.streams[-1] == ("5m", False, [0])
            last = rig.of(CandleUpdates)[2:]
            assert [each.candles.close.tolist() for each in last] == [[16.0]]

    run_jumping(test)


# ── prices without quotes ────────────────────────────────────────────────────────────────────────


def test_without_quotes_mids_that_changed_come_as_quotes_without_a_spread() -> None:
    async def test() -> None:
        async with Rig(bbo=False, skew_ms=2_000, watch=(["BTC", "ETH"], [])) as rig:
            (socket,) = rig.transport.sockets
            assert rig.subscribed == ["allMids", *candles_of("BTC", "ETH")]
            at_ms = T0 + 100
            socket.say(mids(BTC="100.0", ETH="10.0", kPEPE="3.0", HYPE="4.0"))
            await asyncio.sleep(1)
            socket.say(mids(BTC="100.0", ETH="11.0", kPEPE="4.0"))
            await asyncio.sleep(1)
            first, second = rig.of(Quotes)
            assert (first.venue_ms, first.ids.tolist()) == (at_ms + 2_000, [0, 1])
            assert first.bid.tolist() == first.ask.tolist() == [100.0, 10.0]
            assert (second.venue_ms, second.ids.tolist()) == (at_ms + 3_000, [1])
            socket.say(mids(BTC="100.0", ETH="11.0"))
            await asyncio.sleep(1)
            assert len(rig.of(Quotes)) == 2, "no news"

    run_jumping(test)


def test_the_time_of_mids_never_goes_back() -> None:
    async def test() -> None:
        async with Rig(bbo=False, candle=False, skew_ms=5_000) as rig:
            rig.transport.sockets[0].say(mids(BTC="100.0"))
            await asyncio.sleep(1)
            rig.skew_ms = -5_000
            rig.transport.sockets[0].say(mids(BTC="101.0"))
            await asyncio.sleep(1)
            first, second = rig.of(Quotes)
            assert second.venue_ms == first.venue_ms == T0 + 5_100

    run_jumping(test)


def test_with_candles_off_too_one_stream_is_all_there_is_of_the_market() -> None:
    async def test() -> None:
        async with Rig(bbo=False, candle=False, user=ME) as rig:
            account, market = rig.transport.sockets
            assert market.subscribed == ["allMids"]
            assert len(account.subscribed) == 5
            assert rig.told == []
            rig.feed.watch(["BTC"], [])
            await asyncio.sleep(0.1)
            assert len(market.keys) == 1, "one stream tells all prices"
            market.say(mids(BTC="100.0", ETH="10.0"))
            await asyncio.sleep(0.1)
            assert [each.ids.tolist() for each in rig.of(Quotes)] == [[0]]
            rig.feed.watch([], [])
            await asyncio.sleep(0.1)
            assert market.subscribed == []

    run_jumping(test)


def test_a_symbol_that_enters_and_a_new_connection_have_their_mids_told_though_they_are_the_old_ones() -> None:
    async def test() -> None:
        async with Rig(bbo=False, candle=False) as rig:
            prices = mids(BTC="100.0", ETH="10.0")
            rig.transport.sockets[0].say(prices)
            await asyncio.sleep(0.1)
            rig.feed.watch(["ETH"], [])
            rig.feed.watch(["ETH", "BTC"], [])
            rig.transport.sockets[0].say(prices)
            await asyncio.sleep(0.1)
            rig.transport.sockets[0].drop()
            await asyncio.sleep(5)
            rig.transport.sockets[1].say(prices)
            await asyncio.sleep(0.1)
            assert [each.ids.tolist() for each in rig.of(Quotes)] == [[0, 1], [0], [0, 1]]

    run_jumping(test)


def test_the_time_of_mids_proves_nothing_about_candles() -> None:
    async def test() -> None:
        async with Rig(bbo=False, skew_ms=40_000) as rig:
            rig.transport.sockets[0].say(mids(BTC="100.0"))
            rig.transport.sockets[0].say(candle("BTC", "12.0"))
            await asyncio.sleep(0.1)
            (update,) = rig.of(CandleUpdates)
            assert update.venue_ms == T0

    run_jumping(test)


# ── what a watchdog sees and does ────────────────────────────────────────────────────────────────


def test_a_report_of_each_connection() -> None:
    async def test() -> None:
        async with Rig(user=ME, coins=MANY[:4], subscriptions_per_socket=4) as rig:
            account, first, second = rig.transport.sockets
            await asyncio.sleep(2)
            first.say(bbo("C1", "1.0", "2.0", T0 + 1_900))
            account.say(fills_of_nobody())
            await asyncio.sleep(1)
            reports = rig.feed.line_reports()
            assert [each.number for each in reports] == [0, 1, 2]
            assert [each.is_account for each in reports] == [True, False, False]
            assert {each.phase for each in reports} == {Phase.LIVE}
            assert [each.data_silence_ms for each in reports] == [3_100, 1_000, 3_100]
            assert [each.any_silence_ms for each in reports] == [1_000, 1_000, 3_100]
            assert [each.newest_venue_ms for each in reports] == [-1, T0 + 1_900, -1]
            assert [each.quiet for each in reports] == [{}, {"C0": 3_100, "C1": 1_000}, {"C2": 3_100, "C3": 3_100}]
            first.say(bbo("C0", "1.0", "2.0", T0 + 1_800))
            first.say(bbo("C1", "1.0", "2.0", T0 + 900_000))
            second.drop()
            await asyncio.sleep(0.1)
            reports = rig.feed.line_reports()
            assert reports[1].newest_venue_ms == T0 + 1_800, "what cannot be right is not believed"
            assert reports[2].phase is Phase.WAITING
            assert (reports[2].data_silence_ms, reports[2].quiet) == (0, {})

    run_jumping(test)


def test_mids_have_no_stream_of_a_symbol_that_could_be_quiet() -> None:
    async def test() -> None:
        async with Rig(bbo=False) as rig:
            rig.transport.sockets[0].say(mids(BTC="100.0"))
            await asyncio.sleep(1)
            (report,) = rig.feed.line_reports()
            assert (report.quiet, report.data_silence_ms, report.newest_venue_ms) == ({}, 1_000, -1)

    run_jumping(test)


def test_streams_asked_for_anew_end_and_begin_on_their_connection() -> None:
    async def test() -> None:
        async with Rig(exit_interval=Interval.M5, watch=(COINS, ["ETH"])) as rig:
            before, said = len(rig.told), len(rig.market_socket.keys)
            rig.market_socket.say(candle("BTC", "12.0"))
            await asyncio.sleep(0.001)
            rig.feed.resubscribe(["ETH"])
            await asyncio.sleep(0.1)
            streams = [*quotes_of("ETH"), *candles_of("ETH"), *candles_of("ETH", interval="5m")]
            asked = rig.market_socket.keys[said:]
            assert [key for method, key in asked if method == "unsubscribe"] == streams
            assert sorted(key for method, key in asked if method == "subscribe") == sorted(streams)
            assert len(rig.transport.sockets) == 1
            assert rig.is_live()
            assert [type(event) for event in rig.told[before:]] == [CandleUpdates, *[CandleStreams] * 4]
            assert rig.streams[-4:] == [
                *[("1m", False, [1]), ("5m", False, [1])],
                *[("1m", True, [1]), ("5m", True, [1])],
            ]

    run_jumping(test)


def test_a_connection_can_be_ended_and_the_next_one_follows() -> None:
    async def test() -> None:
        async with Rig(user=ME) as rig:
            account, market = rig.transport.sockets
            rig.feed.reconnect(1, "quotes come late")
            await asyncio.sleep(0.1)
            assert market.closed
            assert not account.closed
            assert rig.streams[-1] == ("1m", False, [0, 1, 2])
            rig.feed.reconnect(1, "again, while there is none")
            await asyncio.sleep(5)
            assert rig.is_live()
            assert len(rig.transport.sockets) == 3
            assert rig.streams[-1] == ("1m", True, [0, 1, 2])
            assert rig.catch_ups == 1

    run_jumping(test)
