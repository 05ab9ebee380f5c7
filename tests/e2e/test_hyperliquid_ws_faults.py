"""The feed against the local venue in a process of its own, over real sockets, while that venue misbehaves.

The names E01 … E21 are those of the fault catalogue. Times are shortened by rules and by the venue's scale. What cannot
be made here, and where it is tested instead:

- E17, news of another user: the venue has no such fault; the feed's unit tests say it with a fake socket.
- E19 in part: DNS and TLS failures need a network; a refused connection and a refused handshake take the same way.
- E20 in part: frozen times of a talking server; the venue skews times, it does not stop them.
- E21, a reader that dies of a bug: the feed has none on purpose; the unit tests plant one.
- Invalid UTF-8 and deep nesting of E13: the venue writes text of its own; the unit tests send them.
- "Cannot track more than …" of E18: one user is never too many; the session's unit tests say it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import requests

from adapters.clocks import ScaledClock
from adapters.hyperliquid.feed import FeedSettings, HyperliquidFeed
from adapters.hyperliquid.session_steps import SessionRules
from adapters.hyperliquid.sockets import WebSocketTransport
from adapters.hyperliquid.transport import NotSentError
from domain.candles import Interval
from domain.events import CandleUpdates, Event, FillArrived, Quotes
from domain.instruments import Universe
from tests.builders import make_instrument
from tests.venue_process import venue

pytestmark = pytest.mark.xdist_group("hyperliquid ws faults")

SCALE = 10
PATIENCE_S = 10.0
RULES = SessionRules(
    ping_every_ms=150,
    dead_after_ms=500,
    ack_timeout_ms=250,
    backoff_first_ms=40,
    backoff_max_ms=160,
    proven_after_ms=200,
    suspect_window_ms=200,
    failures_told=4,
)
SETTINGS = FeedSettings(rules=RULES, connects_per_minute=10_000, catch_up_first_ms=20, catch_up_gap_ms=50)


class Notes:
    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []
        self.told: list[tuple[str, str]] = []

    def note(self, where: str, raw: str | bytes, problem: str) -> None:
        self.noted.append((where, problem))

    def send(self, code: str, text: str) -> None:
        self.told.append((code, text))


class Venue:
    """The venue's control port."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.symbols: list[str] = ready["symbols"]
        self.ws_url: str = ready["ws_url"]
        self.clock = self._read_clock(ready["control_url"])
        self.user: str = ready["accounts"][0]["address"]
        self._control: str = ready["control_url"]

    def rule(
        self, fault: str, match: dict[str, Any] | None = None, when: dict[str, Any] | None = None, **values: Any
    ) -> None:
        self._post("/faults", {"fault": fault, "match": match or {}, "when": when or {}, "with": values})

    @staticmethod
    def _read_clock(control_url: str) -> ScaledClock:
        state = requests.get(control_url + "/state", timeout=PATIENCE_S).json()
        return ScaledClock(state["time"], time.time_ns() // 1_000_000, SCALE)

    def calm(self) -> None:
        requests.delete(self._control + "/faults", timeout=PATIENCE_S).raise_for_status()

    def trade(self) -> None:
        self._post("/operator/trade", {"user": self.user, "coin": "BTC", "side": "buy", "size": "0.001"})

    def _post(self, path: str, body: dict[str, Any]) -> None:
        answer = requests.post(self._control + path, json=body, timeout=PATIENCE_S)
        assert answer.ok, answer.text


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder = tmp_path_factory.mktemp("venue")
    with venue(folder, "--symbols", "4", "--scale", str(SCALE), "--no-limits") as (_, ready):
        yield Venue(ready)


@pytest.fixture
def sea(running: Venue) -> Iterator[Venue]:
    yield running
    running.calm()


class Watch:
    """A feed that runs, and what it said."""

    def __init__(self, sea: Venue, settings: FeedSettings, transport: WebSocketTransport, extra: Sequence[str]) -> None:
        self.notes = Notes()
        self.events: list[Event] = []
        self.old_fills: set[str] = set()
        self.catch_ups = 0
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.feed = HyperliquidFeed(
            Universe(make_instrument(coin) for coin in [*sea.symbols, *extra]),
            Interval.M1,
            transport,
            sea.clock,
            replace(settings, user=sea.user),
            self.notes,
            self.notes,
            self._catch_up,
            random.Random(7),
        )

    async def _catch_up(self) -> Sequence[Event]:
        self.catch_ups += 1
        return []

    async def read(self) -> None:
        async with contextlib.aclosing(self.feed.events()) as events:
            async for event in events:
                self.events.append(event)
                await self.may_read.wait()

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def fills(self) -> list[str]:
        """Of this test: the venue's clock is not ours to the millisecond, and a snapshot may tell the last one's."""
        found = [event.fill.trade_id for event in self.of(FillArrived)]
        return [each for each in found if each not in self.old_fills]

    @property
    def connections(self) -> tuple[int, ...]:
        """Of the account's session, then the market's."""
        return tuple(line.session.connections for line in self.feed._lines)

    async def until(self, what: Callable[[], object], why: str = "") -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline, f"{why}: {self.notes.told[-3:]} {self.notes.noted[-3:]}"
            await asyncio.sleep(0.01)

    async def reconnect(self, sea: Venue) -> None:
        """Drop every socket and wait until all are back."""
        before = self.connections
        sea.rule("disconnect")
        await self.until(lambda: min(self.connections) > min(before) and self.feed.is_live, "no reconnect")

    async def until_new(self, kind: type, count: int = 3) -> None:
        """Until `count` more events of a kind have come."""
        before = len(self.of(kind))
        await self.until(lambda: len(self.of(kind)) >= before + count, f"no new {kind.__name__}")


@contextlib.asynccontextmanager
async def watching(
    sea: Venue,
    settings: FeedSettings = SETTINGS,
    transport: WebSocketTransport | None = None,
    *,
    extra: Sequence[str] = (),
    live: bool = True,
) -> AsyncIterator[Watch]:
    watch = Watch(sea, settings, transport or WebSocketTransport(sea.ws_url), extra)
    task = asyncio.create_task(watch.read())
    try:
        if live:
            await watch.until(lambda: watch.feed.is_live and watch.of(Quotes), "never live")
            watch.old_fills = set(watch.fills)
        yield watch
        assert not task.done(), "the feed has ended"
    finally:
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)
    assert len(asyncio.all_tasks()) == 1, "a task is left over"


async def test_calm_water_everything_comes_and_nothing_is_alerted(sea: Venue) -> None:
    async with watching(sea) as watch:
        await watch.until(lambda: watch.of(CandleUpdates), "no candles")
        sea.trade()
        await watch.until(lambda: watch.fills, "no fill")
        assert len(set(watch.fills)) == 1, "told by two streams, one identity"
        assert watch.catch_ups == 1
        assert watch.notes.told == watch.notes.noted == []
        assert watch.connections == (1, 1)


# ── silence ──────────────────────────────────────────────────────────────────────────────────────


async def test_e01_half_open_sockets_are_found_dead_and_replaced(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("half_open")
        await watch.until(lambda: watch.connections == (2, 2) and watch.feed.is_live, "no reconnect")
        await watch.until_new(Quotes)
        await watch.until(lambda: watch.catch_ups == 2, "not caught up")


async def test_e01_without_pongs_a_silent_connection_is_dead_and_a_busy_one_is_not(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("no_pongs")
        await watch.until(lambda: watch.connections[0] >= 2, "the account's connection was silent")
        await watch.until_new(Quotes)
        assert watch.connections[1] == 1, "quotes are signs of life"


async def test_e02_a_stream_that_falls_silent_is_reported_while_the_rest_goes_on(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("stale_stream", match={"channel": "bbo", "coin": "BTC"})
        key = "bbo:coin=BTC"
        await watch.until(lambda: watch.feed.silences()[key] > 1_000, "no silence")
        assert all(
            ms < 1_000 for other, ms in watch.feed.silences().items() if other.startswith("bbo") and other != key
        )
        assert watch.connections == (1, 1)
        assert watch.feed.is_live


async def test_e03_a_lost_acknowledgement_is_asked_for_again(sea: Venue) -> None:
    sea.rule("drop_frames", match={"channel": "bbo", "coin": "ETH", "phase": "ack"}, when={"times": 1})
    sea.rule("drop_frames", match={"channel": "userFills", "phase": "ack"}, when={"times": 1})
    async with watching(sea) as watch:
        assert watch.connections == (1, 1), "'Already subscribed' is an answer"
        assert watch.feed.given_up == ()
        await watch.until(lambda: watch.catch_ups >= 1, "not caught up")
        assert watch.notes.told == []


# ── torn and missing ─────────────────────────────────────────────────────────────────────────────


async def test_e04_a_torn_snapshot_is_not_applied_and_the_account_is_asked(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.trade()
        await watch.until(lambda: watch.fills)
        sea.rule("truncate", match={"channel": "userFills", "phase": "first"}, keep=0.9)
        sea.rule("disconnect")
        before = len(watch.fills)
        await watch.until(lambda: watch.connections == (2, 2) and watch.catch_ups >= 2, "no reconnect")
        await watch.until(lambda: watch.notes.noted, "the torn frame is kept")
        assert len(watch.fills) == before


async def test_e04_a_disconnect_in_the_middle_of_subscribing_is_survived(sea: Venue) -> None:
    sea.rule("disconnect", match={"channel": "candle", "phase": "ack"}, when={"times": 2})
    sea.rule("disconnect", match={"channel": "userFills", "phase": "first"}, when={"times": 2})
    async with watching(sea) as watch:
        await watch.until(lambda: watch.connections == (3, 3), "reconnected")
        assert watch.feed.given_up == ()
        await watch.until(lambda: watch.catch_ups >= 1)
        await watch.until_new(CandleUpdates, 1)


async def test_e05_an_accept_then_close_loop_is_met_with_growing_waits_and_accuses_nobody(sea: Venue) -> None:
    sea.rule("disconnect", match={"channel": "pong"}, when={"every": 1})
    async with watching(sea, live=False) as watch:
        begun = time.monotonic()
        await watch.until(lambda: watch.connections[1] >= 6, "no attempts")
        assert time.monotonic() - begun > 0.04 + 0.08 + 3 * 0.16
        codes = [code for code, _ in watch.notes.told]
        assert codes.count("feed_not_connecting") == 2, "once a session"
        sea.calm()
        await watch.until(lambda: watch.feed.is_live and watch.of(Quotes), "no recovery")
        assert watch.feed.given_up == ()


async def test_e06_e07_what_happened_while_down_is_asked_for_and_told(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("refuse_socket")
        sea.rule("disconnect")
        await watch.until(lambda: not watch.feed.is_live, "still there")
        sea.trade()
        await asyncio.sleep(0.1)
        assert watch.fills == []
        assert watch.catch_ups == 1
        sea.calm()
        await watch.until(lambda: watch.catch_ups == 2, "not caught up")
        await watch.until(lambda: watch.fills, "the snapshot tells it too")


async def test_e08_a_snapshot_of_old_fills_is_no_news(sea: Venue) -> None:
    sea.trade()
    await asyncio.sleep(0.5)
    async with watching(sea) as watch:
        await watch.until(lambda: watch.feed.frames > 30)
        assert watch.of(FillArrived) == []


async def test_e09_duplicates_keep_their_identity(sea: Venue) -> None:
    async with watching(sea) as watch:
        for channel in ("userFills", "user", "orderUpdates", "bbo", "candle", "subscriptionResponse"):
            sea.rule("duplicate_frames", match={"channel": channel}, copies=2)
        sea.trade()
        await watch.until(lambda: len(watch.fills) >= 6, "three of each stream")
        assert len(set(watch.fills)) == 1
        sea.rule("disconnect")
        await watch.until(lambda: watch.connections == (2, 2) and watch.feed.is_live)
        await watch.until_new(Quotes)
        assert watch.notes.told == watch.notes.noted == []


async def test_e10_reordered_quotes_never_go_back_in_time(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("reorder_frames", match={"channel": "bbo"}, window_ms=8_000)
        await watch.until(lambda: watch.feed.counts.market.stale >= 3, "nothing was reordered")
        newest: dict[int, int] = {}
        for quotes in watch.of(Quotes):
            for symbol_id in quotes.ids.tolist():
                assert quotes.venue_ms >= newest.get(symbol_id, 0)
                newest[symbol_id] = quotes.venue_ms


async def test_e10_delayed_quotes_keep_their_own_time(sea: Venue) -> None:
    async with watching(sea) as watch:
        await watch.until_new(Quotes)
        sea.rule("delay_frames", match={"channel": "bbo"}, ms=5_000)
        await asyncio.sleep(1)
        count = len(watch.of(Quotes))
        await watch.until(lambda: len(watch.of(Quotes)) > count, "delayed is not lost")
        assert 4_000 < sea.clock.now_ms() - watch.of(Quotes)[-1].venue_ms < 20_000
        assert watch.connections == (1, 1)


async def test_e11_a_fill_lost_on_one_stream_comes_over_the_other(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("drop_frames", match={"channel": "userFills"})
        sea.trade()
        await watch.until(lambda: watch.fills, "userEvents tells it")


async def test_e12_a_frame_larger_than_the_limit_is_told_as_such_and_accuses_no_stream(sea: Venue) -> None:
    sea.trade()
    await asyncio.sleep(0.2)
    transport = WebSocketTransport(sea.ws_url, max_frame_bytes=300)
    async with watching(sea, transport=transport, live=False) as watch:
        await watch.until(lambda: watch.connections[0] >= 4, "no attempts")
        assert watch.notes.told[0] == ("frame_refused", "a frame is larger than 300 bytes (1009)")
        assert {code for code, _ in watch.notes.told} <= {"frame_refused", "feed_not_connecting"}
        assert watch.feed.given_up == ()


# ── words nobody knows ───────────────────────────────────────────────────────────────────────────


async def test_e13_truncated_frames_are_kept_aside_and_in_masses_end_the_connection(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("truncate", match={"channel": "bbo"}, when={"times": 5})
        await watch.until(lambda: len(watch.notes.noted) == 5, "not kept")
        assert watch.connections == (1, 1)
        await watch.until_new(Quotes)
        sea.rule("truncate", match={"channel": "bbo"})
        await watch.until(lambda: watch.connections[1] >= 2, "it goes on with garbage")
        assert watch.connections[0] == 1
        sea.calm()
        await watch.until(lambda: watch.feed.is_live)
        await watch.until_new(Quotes)


async def test_e14_unknown_channels_are_kept_and_end_nothing(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("unknown_channel", match={"channel": "bbo"})
        await watch.until(lambda: len(watch.notes.noted) > 50)
        assert all(where.startswith("surprise") for where, _ in watch.notes.noted)
        assert watch.connections == (1, 1)
        assert watch.notes.told == []


@pytest.mark.parametrize(("channel", "field"), [("orderUpdates", "status"), ("userFills", "side")])
async def test_e14_an_unknown_word_of_the_account_is_kept_and_the_account_asked(
    sea: Venue, channel: str, field: str
) -> None:
    async with watching(sea) as watch:
        await watch.until(lambda: watch.catch_ups == 1)
        sea.rule("unknown_value", match={"channel": channel}, field=field)
        sea.trade()
        await watch.until(lambda: watch.catch_ups == 2, "not asked")
        assert {where.partition(" ")[0] for where, _ in watch.notes.noted} == {channel}
        await watch.until(lambda: watch.fills, "the other stream still tells the fill")


async def test_e14_an_unknown_description_of_a_fill_does_not_lose_it(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("unknown_value", match={"channel": "userFills"}, field="dir")
        sea.rule("drop_frames", match={"channel": "user"})
        sea.trade()
        await watch.until(lambda: watch.fills, "lost for a word that decides nothing")


async def test_e15_bare_numbers_make_quotes_but_never_fills(sea: Venue) -> None:
    async with watching(sea) as watch:
        await watch.until(lambda: watch.catch_ups == 1)
        sea.rule("bare_numbers")
        await watch.until_new(Quotes)
        sea.trade()
        await watch.until(lambda: watch.catch_ups == 2, "money from a float is not money: the account is asked")
        assert watch.fills == []
        assert {where for where, _ in watch.notes.noted} >= {"userFills", "user"}


async def test_e16_a_slow_reader_gets_the_newest_quotes_and_all_fills(sea: Venue) -> None:
    async with watching(sea) as watch:
        watch.may_read.clear()
        await asyncio.sleep(0.1)
        before = len(watch.events)
        for _ in range(3):
            sea.trade()
            await asyncio.sleep(0.3)
        assert len(watch.events) <= before + 1
        conflated = watch.feed.counts.market.conflated
        watch.may_read.set()
        await watch.until(lambda: len(set(watch.fills)) == 3, "fills were dropped")
        assert conflated > 0
        assert watch.connections == (1, 1), "the reader's slowness is not the venue's silence"


# ── refusals and lies ────────────────────────────────────────────────────────────────────────────


async def test_e18_a_coin_that_kills_its_socket_is_quarantined_and_the_rest_lives(sea: Venue) -> None:
    async with watching(sea, extra=["NOPE"], live=False) as watch:
        await watch.until(lambda: watch.feed.is_live and len(watch.feed.given_up) == 2, "a reconnect loop")
        assert set(watch.feed.given_up) == {"bbo:coin=NOPE", "candle:coin=NOPE:interval=1m"}
        codes = [code for code, _ in watch.notes.told if code != "feed_not_connecting"]
        assert codes == ["stream_quarantined"] * 2
        assert watch.connections[0] == 1, "the account has a connection of its own"
        assert watch.connections[1] <= 9
        await watch.until_new(Quotes)


async def test_e19_a_refused_handshake_is_a_disconnect_like_any_other(sea: Venue) -> None:
    sea.rule("refuse_socket", when={"times": 4})
    async with watching(sea) as watch:
        assert watch.connections == (1, 1)
        assert watch.notes.told == []


async def test_e19_a_port_where_nobody_listens_and_a_page_that_is_no_socket(sea: Venue) -> None:
    for url in ("ws://127.0.0.1:9/ws", sea.ws_url.replace("/ws", "/nothing"), "ws://127.0.0.1:0/ws"):
        with pytest.raises(NotSentError, match="no connection to"):
            await WebSocketTransport(url, open_s=2).connect()


@pytest.mark.parametrize("skew_ms", [3_600_000, -3_600_000])
async def test_e20_times_that_cannot_be_right_are_not_believed(sea: Venue, skew_ms: int) -> None:
    async with watching(sea) as watch:
        sea.rule("clock_skew", match={"channel": "bbo"}, ms=skew_ms)
        counts = watch.feed.counts.market
        await watch.until(lambda: counts.ahead + counts.stale > 20, "believed")
        told = [code for code, _ in watch.notes.told]
        assert told == (["venue_time_ahead"] if skew_ms > 0 else [])
        sea.calm()
        await watch.until_new(Quotes)
        times = [each.venue_ms for each in watch.of(Quotes)]
        assert max(times) - min(times) < 600_000


@pytest.mark.parametrize("data", ["nothing", "old"])
async def test_lies_on_resubscribe_are_reported_as_silence_or_repeated_harmlessly(sea: Venue, data: str) -> None:
    async with watching(sea) as watch:
        sea.rule("lie_on_resubscribe", match={"channel": "bbo"}, data=data)
        for _ in range(2):
            await watch.reconnect(sea)
        if data == "nothing":
            await watch.until(lambda: watch.feed.silences()["bbo:coin=BTC"] > 500, "no silence")
        else:
            await watch.until_new(Quotes)
        assert watch.feed.is_live
        assert watch.notes.told == []


async def test_sockets_that_die_every_moment_do_no_lasting_harm(sea: Venue) -> None:
    async with watching(sea) as watch:
        sea.rule("disconnect", when={"at_ms": 0, "every_ms": 1_500})
        await watch.until(lambda: min(watch.connections) >= 5, "no reconnects")
        sea.calm()
        before = watch.catch_ups
        sea.rule("disconnect")
        await watch.until(lambda: watch.feed.is_live and watch.catch_ups > before, "no recovery")
        assert watch.feed.given_up == ()
        await watch.until_new(Quotes)
