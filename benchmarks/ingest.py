"""From the socket to the hub at 200 symbols: the feed as the daemon has it, beside bare `websockets` read loops.

A process of its own sends quotes, candles and a little of the account, as fast as they are taken. The bare loops hold
the same connections and decode the same frames with msgspec into typed values, in one pass, and do nothing with them:
no checks, no session, no conflation, no hub.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from adapters.clocks import SystemClock
from adapters.hyperliquid.feed import FeedSettings, HyperliquidFeed
from adapters.hyperliquid.sockets import WebSocketTransport
from adapters.hyperliquid.subscriptions import Subscription, account_subscriptions, market_subscriptions, spread
from adapters.sim.symbols import profiles
from application.inbox import Inbox
from application.market_data_hub import MarketDataHub
from application.supervisor import BATCH_LIMIT
from benchmarks._runs import Figures, main
from benchmarks._venue_clients import process
from domain.candles import Interval
from domain.events import CandleStreams, CandleUpdates, Event, Quotes
from domain.instruments import Universe

SYMBOLS = 200
ROUNDS = 4
WINDOWS = 4
WINDOW_S = 0.4
SETTLE_S = 0.5
PATIENCE_S = 30.0
ENOUGH = 2_000
"""Frames after which they flow: there are far fewer acknowledgements."""
USER = "0x" + "ab" * 20
GRACE_MS = 1_000
TARGET = 0.6

_Reading = AbstractAsyncContextManager[Callable[[], int]]
"""While it lasts frames are read; what it gives counts them."""


def run(symbols: int = SYMBOLS, rounds: int = ROUNDS, window_s: float = WINDOW_S) -> Figures:
    """Frames a second of the best of several windows, ours and bare by turns. `ratio` is ours over bare."""
    universe = Universe(profile.instrument for profile in profiles(symbols))
    account = account_subscriptions(USER)
    market = market_subscriptions(universe.symbols, Interval.M1, bbo=True, candle=True)
    parts = spread(account, market, FeedSettings().subscriptions_per_socket)
    figures: Figures = {"symbols": symbols, "connections": len(parts), "load_before": round(os.getloadavg()[0], 2)}
    ours, bare = [], []
    with process("-m", "benchmarks._frame_server", str(len(account) + len(market))) as ready:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            bare.append(asyncio.run(_rate(_bare(ready["url"], parts), window_s)))
            pipeline = _Pipeline(ready["url"], universe)
            ours.append(asyncio.run(_rate(pipeline.reading(), window_s)))
            pipeline.check()
    figures["frames_per_s"] = round(max(ours))
    figures["frames_per_s_bare"] = round(max(bare))
    figures["us_per_frame"] = round(1e6 / max(ours), 2)
    figures["us_per_frame_bare"] = round(1e6 / max(bare), 2)
    figures["ratio"] = round(max(ours) / max(bare), 3)
    figures["target"] = TARGET
    figures["load_after"] = round(os.getloadavg()[0], 2)
    return figures


async def _rate(reading: _Reading, window_s: float) -> float:
    async with reading as frames:
        async with asyncio.timeout(PATIENCE_S):
            while frames() < ENOUGH:  # noqa: ASYNC110  (from outside, as frames are counted)
                await asyncio.sleep(0.01)
        await asyncio.sleep(SETTLE_S)
        rates = []
        for _ in range(WINDOWS):
            before, started = frames(), time.perf_counter()
            await asyncio.sleep(window_s)
            rates.append((frames() - before) / (time.perf_counter() - started))
    return max(rates)


# ── ours ─────────────────────────────────────────────────────────────────────────────────────────


class _Pipeline:
    """Feed, inbox and hub, put together as the supervisor and the engine do."""

    def __init__(self, url: str, universe: Universe) -> None:
        wanted = FeedSettings(user=USER)
        self._clock = SystemClock()
        self._feed = HyperliquidFeed(
            universe,
            Interval.M1,
            WebSocketTransport(url),
            self._clock,
            wanted,
            self,
            self,
            _nothing_happened,
            random.Random(7),
        )
        self._inbox = Inbox()
        self._hub = MarketDataHub(universe, Interval.M1, GRACE_MS)
        self._quoted = self._told = self._of_account = 0

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Callable[[], int]]:
        tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._take())]
        try:
            yield lambda: self._feed.frames
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    def check(self) -> None:
        """Everything arrived: no symbol without a price, nothing drifted, and the account was heard."""
        counts = self._feed.counts
        assert self._quoted and self._told and self._of_account, "all kinds of events arrive"
        assert not counts.drifted and not counts.market.ahead and not counts.market.foreign, counts
        assert not (self._hub.mid != self._hub.mid).any(), "every symbol is quoted"

    async def _follow(self) -> None:
        async for event in self._feed.events():
            self._inbox.put(event)

    async def _take(self) -> None:
        while True:
            taken = 0
            while taken < BATCH_LIMIT and (event := self._inbox.take()) is not None:
                taken += 1
                self._handle(event)
            # The supervisor waits here for the ledger, and lets others run as much.
            await (asyncio.sleep(0) if taken else self._inbox.wait())

    def _handle(self, event: Event) -> None:
        at_ms = self._clock.now_ms()
        match event:
            case Quotes():
                self._quoted += 1
                self._hub.apply_quotes(event, at_ms)
            case CandleUpdates():
                self._told += 1
                self._hub.apply_updates(event, at_ms)
            case CandleStreams():
                self._hub.candles.set_streams(event.ids, at_ms, running=event.running)
            case _:
                self._of_account += 1
        self._hub.due(at_ms)

    def note(self, where: str, raw: str | bytes, problem: str) -> None:
        raise AssertionError(f"{where}: {problem}: {raw!r}")

    def send(self, code: str, text: str) -> None:
        raise AssertionError(f"{code}: {text}")


async def _nothing_happened() -> Sequence[Event]:
    return ()


# ── bare ─────────────────────────────────────────────────────────────────────────────────────────


class _Side(msgspec.Struct, gc=False):
    px: float


class _Quote(msgspec.Struct, gc=False):
    coin: str
    time: int
    bbo: list[_Side | None]


class _Candle(msgspec.Struct, gc=False):
    t: int
    end: int = msgspec.field(name="T")
    s: str
    i: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741  (the venue's spelling)
    v: float


class _Bbo(msgspec.Struct, tag_field="channel", tag="bbo", gc=False):
    data: _Quote


class _CandleFrame(msgspec.Struct, tag_field="channel", tag="candle", gc=False):
    data: _Candle


class _Updates(msgspec.Struct, tag_field="channel", tag="orderUpdates", gc=False):
    data: list[dict[str, object]]


class _Fills(msgspec.Struct, tag_field="channel", tag="userFills", gc=False):
    data: dict[str, object]


class _Ack(msgspec.Struct, tag_field="channel", tag="subscriptionResponse", gc=False):
    data: dict[str, object]


_decode = msgspec.json.Decoder(_Bbo | _CandleFrame | _Updates | _Fills | _Ack, strict=False).decode


@asynccontextmanager
async def _bare(url: str, parts: Sequence[Sequence[Subscription]]) -> AsyncIterator[Callable[[], int]]:
    """One loop a connection; each reads a frame as bytes, decodes it, and reads the next."""
    counted = [0] * len(parts)

    async def read(place: int, connection: ClientConnection) -> None:
        while True:
            _decode(await connection.recv(decode=False))
            counted[place] += 1

    async with AsyncExitStack() as closing:
        tasks = []
        for place, part in enumerate(parts):
            connection = await connect(url, compression=None, ping_interval=None, close_timeout=0.1, proxy=None)
            closing.push_async_callback(connection.close)
            for each in part:
                await connection.send(json.dumps({"method": "subscribe", "subscription": each.request}))
            tasks.append(asyncio.create_task(read(place, connection)))
        try:
            yield lambda: sum(counted)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
