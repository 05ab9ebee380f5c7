"""A feed whose symbols change, against the local venue in a process of its own, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest
import requests

from adapters.clocks import ScaledClock
from adapters.hyperliquid.feed import FeedSettings, HyperliquidFeed
from adapters.hyperliquid.session_steps import SessionRules
from adapters.hyperliquid.sockets import WebSocketTransport
from domain.candles import Interval
from domain.events import CandleStreams, CandleUpdates, Event, Quotes
from domain.instruments import Universe
from tests.builders import make_instrument
from tests.venue_process import venue

pytestmark = pytest.mark.xdist_group("hyperliquid watching")

SCALE = 10
PATIENCE_S = 10.0
RULES = SessionRules(
    ping_every_ms=150, dead_after_ms=1_000, ack_timeout_ms=500, backoff_first_ms=40, backoff_max_ms=160
)


@pytest.fixture(scope="module")
def sea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("venue")
    with venue(folder, "--symbols", "6", "--scale", str(SCALE), "--no-limits") as (_, ready):
        yield ready


class Watch:
    """A feed that runs, and what it said."""

    def __init__(self, sea: dict[str, Any], first: Sequence[str], /, **settings: Any) -> None:
        self.symbols: list[str] = sea["symbols"]
        self.events: list[Event] = []
        self.problems: list[tuple[str, ...]] = []
        state = requests.get(sea["control_url"] + "/state", timeout=PATIENCE_S).json()
        self.feed = HyperliquidFeed(
            Universe(make_instrument(coin) for coin in self.symbols),
            Interval.M1,
            WebSocketTransport(sea["ws_url"]),
            ScaledClock(state["time"], time.time_ns() // 1_000_000, SCALE),
            FeedSettings(rules=RULES, connects_per_minute=10_000, exit_interval=Interval.M3, **settings),
            self,
            self,
            self._nothing_happened,
            random.Random(7),
        )
        self.feed.watch(first, [])

    async def _nothing_happened(self) -> Sequence[Event]:
        return []

    def note(self, where: str, raw: str | bytes, problem: str) -> None:
        self.problems.append((where, problem))

    def send(self, code: str, text: str) -> None:
        self.problems.append((code, text))

    async def read(self) -> None:
        async with contextlib.aclosing(self.feed.events()) as events:
            async for event in events:
                self.events.append(event)

    async def until(self, what: Callable[[], object], why: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline, f"{why}: {self.problems[-3:]}"
            await asyncio.sleep(0.01)

    async def heard(self, kind: type[Quotes] | type[CandleUpdates], interval: Interval = Interval.M1) -> set[str]:
        """Of whom something is told in the next half second."""
        before = len(self.events)
        await asyncio.sleep(0.5)
        found: set[int] = set()
        for event in self.events[before:]:
            if isinstance(event, Quotes) and kind is Quotes:
                found.update(event.ids.tolist())
            elif isinstance(event, CandleUpdates) and kind is CandleUpdates and event.candles.interval is interval:
                found.update(event.candles.ids.tolist())
        return {self.symbols[each] for each in found}

    async def settles(self, kind: type, wanted: set[str], interval: Interval = Interval.M1) -> bool:
        """Whether soon nobody but these is told of: what was on its way when they changed may still come."""
        for _ in range(20):
            if await self.heard(kind, interval) == wanted:
                return True
        return False

    def running(self, interval: Interval = Interval.M1) -> set[str]:
        ids: set[int] = set()
        for event in self.events:
            if isinstance(event, CandleStreams) and event.interval is interval:
                ids = ids | set(event.ids.tolist()) if event.running else ids - set(event.ids.tolist())
        return {self.symbols[each] for each in ids}


@contextlib.asynccontextmanager
async def watching(sea: dict[str, Any], places: Sequence[int], /, **settings: Any) -> AsyncIterator[Watch]:
    watch = Watch(sea, [sea["symbols"][place] for place in places], **settings)
    task = asyncio.create_task(watch.read())
    try:
        await watch.until(lambda: watch.feed.is_live, "never live")
        yield watch
        assert not task.done(), "the feed has ended"
        assert watch.problems == []
    finally:
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)


async def test_symbols_enter_and_leave_with_their_quotes_and_candles(sea: dict[str, Any]) -> None:
    async with watching(sea, (0, 1, 2)) as watch:
        names = watch.symbols
        await watch.until(lambda: watch.running() == set(names[:3]), "not running")
        watch.feed.watch(names[2:5], [names[3]])
        assert watch.running() <= set(names[:3])
        await watch.until(lambda: watch.feed.is_live and watch.running() == set(names[2:5]), "not changed")
        await watch.until(lambda: watch.running(Interval.M3) == {names[3]}, "no exit candles")
        assert await watch.settles(Quotes, set(names[2:5]))
        assert await watch.settles(CandleUpdates, set(names[2:5]))
        assert await watch.settles(CandleUpdates, {names[3]}, Interval.M3)


async def test_away_and_back_at_once_is_there(sea: dict[str, Any]) -> None:
    async with watching(sea, (0, 1, 2)) as watch:
        names = watch.symbols
        for place in range(20):
            watch.feed.watch(names[:1], [])
            await asyncio.sleep(0.001 * (place % 4))
            watch.feed.watch(names[:3], [])
        await watch.until(lambda: watch.feed.is_live and watch.running() == set(names[:3]), "lost")
        assert await watch.heard(Quotes) == set(names[:3])


async def test_another_connection_is_made_while_running_and_one_is_ended(sea: dict[str, Any]) -> None:
    async with watching(sea, (0,), subscriptions_per_socket=2, watched=3, exits_watched=0) as watch:
        names = watch.symbols
        watch.feed.watch(names[:3], [])
        await watch.until(lambda: watch.feed.is_live and watch.running() == set(names[:3]), "no more connections")
        assert [each.number for each in watch.feed.line_reports()] == [0, 1, 2]
        watch.feed.reconnect(1, "for a test")
        await watch.until(lambda: watch.running() == {names[0], names[2]}, "not ended")
        await watch.until(lambda: watch.feed.is_live and watch.running() == set(names[:3]), "not back")
        watch.feed.resubscribe([names[2]])
        await watch.until(lambda: watch.feed.is_live and watch.running() == set(names[:3]), "not asked anew")
        assert await watch.heard(Quotes) == set(names[:3])


async def test_one_stream_tells_all_mids(sea: dict[str, Any]) -> None:
    async with watching(sea, (0, 1), bbo=False, candle=False) as watch:
        await watch.until(lambda: len([each for each in watch.events if isinstance(each, Quotes)]) >= 3, "no mids")
        told = [each for each in watch.events if isinstance(each, Quotes)]
        assert {each for quotes in told for each in quotes.ids.tolist()} == {0, 1}
        assert all((quotes.bid == quotes.ask).all() for quotes in told)
        assert [quotes.venue_ms for quotes in told] == sorted(quotes.venue_ms for quotes in told)
        assert not [each for each in watch.events if isinstance(each, CandleStreams)]
