"""A feed over scripted sockets, in an event loop whose time jumps; the venue keeps its word unless told otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.hyperliquid.feed import FeedSettings, HyperliquidFeed
from adapters.hyperliquid.heard import subscription_key
from adapters.hyperliquid.transport import NotSentError, SocketClosedError
from domain.candles import Interval
from domain.events import CandleStreams, Event
from domain.instruments import Universe
from entrypoints.simulation.jumping_time import LoopClock
from ports.market_feed import MarketFeed
from tests.builders import make_instrument

T0 = 1_790_232_180_000
ME = "0x" + 40 * "a"
COINS = ("BTC", "ETH", "kPEPE")


@dataclass
class FakeSocket:
    """A venue that acknowledges and answers pings, unless told otherwise.

    `subscribed` is what it believes to send; questions of a kind in `mute` have their effect, but no answer. Streams
    of the coin `NOPE` are refused in words.
    """

    acks: bool = True
    pongs: bool = True
    mute: frozenset[str] = frozenset()
    said: list[dict[str, Any]] = field(default_factory=list)
    said_ms: list[int] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    closed: bool = False
    close_s: float = 0.0
    frames: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)

    async def send(self, text: str) -> None:
        if self.closed:
            raise SocketClosedError("closed")
        said = json.loads(text)
        self.said.append(said)
        self.said_ms.append(round(asyncio.get_running_loop().time() * 1000))
        if said["method"] == "ping":
            if self.pongs:
                self.say({"channel": "pong"})
        elif self.acks:
            answer = self._answer(said)
            if said["method"] not in self.mute:
                self.say(answer)

    def _answer(self, said: dict[str, Any]) -> dict[str, Any]:
        key, wants = subscription_key(said["subscription"]), said["method"] == "subscribe"
        if said["subscription"].get("coin") == "NOPE":
            return {"channel": "error", "data": f"Invalid subscription {json.dumps(said['subscription'])}"}
        if wants is (key in self.subscribed):
            word = "subscribed" if wants else "unsubscribed"
            return {"channel": "error", "data": f"Already {word}: {json.dumps(said['subscription'])}"}
        if wants:
            self.subscribed.append(key)
        else:
            self.subscribed.remove(key)
        return {"channel": "subscriptionResponse", "data": said}

    async def receive(self) -> str:
        frame = await self.frames.get()
        if frame is None:
            self.subscribed.clear()
            raise SocketClosedError("closed with 1006")
        return frame

    async def close(self) -> None:
        self.closed = True
        self.subscribed.clear()
        await asyncio.sleep(self.close_s)

    def say(self, frame: object) -> None:
        self.frames.put_nowait(frame if isinstance(frame, str) else json.dumps(frame))

    def drop(self) -> None:
        self.frames.put_nowait(None)

    @property
    def asked(self) -> list[str]:
        return [each["subscription"]["type"] for each in self.said if each["method"] == "subscribe"]

    @property
    def keys(self) -> list[tuple[str, str]]:
        """What was asked, and about which stream, in order."""
        return [
            (each["method"], subscription_key(each["subscription"])) for each in self.said if each["method"] != "ping"
        ]


class FakeTransport:
    def __init__(self) -> None:
        self.sockets: list[FakeSocket] = []
        self.refuse = 0
        self.opened_ms: list[int] = []
        self.make: Callable[[], FakeSocket] = FakeSocket

    async def connect(self) -> FakeSocket:
        self.opened_ms.append(round(asyncio.get_running_loop().time() * 1000))
        if self.refuse > 0:
            self.refuse -= 1
            raise NotSentError("refused")
        self.sockets.append(self.make())
        return self.sockets[-1]


class Notes:
    """A sentinel and alerts in one: what was noted and what was told."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str | bytes, str]] = []
        self.told: list[tuple[str, str]] = []

    def note(self, where: str, raw: str | bytes, problem: str) -> None:
        self.noted.append((where, raw, problem))

    def send(self, code: str, text: str) -> None:
        self.told.append((code, text))

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.told]


class Rig:
    """A feed, its fake venue, and a reader that keeps up unless it is paused."""

    def __init__(
        self,
        catch_up: Callable[[], Awaitable[Sequence[Event]]] | None = None,
        *,
        coins: Sequence[str] = COINS,
        watch: tuple[Sequence[str], Sequence[str]] | None = None,
        skew_ms: int = 0,
        **settings: Any,
    ) -> None:
        self.transport = FakeTransport()
        self.notes = Notes()
        self.told: list[Event] = []
        self.catch_ups = 0
        self.skew_ms = skew_ms
        self.may_read = asyncio.Event()
        self.may_read.set()

        async def count() -> Sequence[Event]:
            self.catch_ups += 1
            return []

        feed = HyperliquidFeed(
            Universe(make_instrument(coin) for coin in coins),
            Interval.M1,
            self.transport,
            LoopClock(T0),
            FeedSettings(**settings),
            self.notes,
            self.notes,
            catch_up or count,
            random.Random(7),
            lambda: self.skew_ms,
        )
        port: MarketFeed = feed
        assert port is feed, "the types agree"
        self.feed = feed
        if watch is not None:
            feed.watch(*watch)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with contextlib.aclosing(self.feed.events()) as events:
            async for event in events:
                self.told.append(event)
                await self.may_read.wait()

    async def __aenter__(self) -> Rig:
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        assert all(socket.closed for socket in self.transport.sockets), "a socket is left open"

    @property
    def events(self) -> list[Event]:
        """Without what is said of streams."""
        return [event for event in self.told if not isinstance(event, CandleStreams)]

    @property
    def streams(self) -> list[tuple[str, bool, list[int]]]:
        """What was said of candle streams: the interval, whether they run, whose."""
        return [(each.interval.value, each.running, each.ids.tolist()) for each in self.of(CandleStreams)]

    @property
    def account_socket(self) -> FakeSocket:
        return next(s for s in reversed(self.transport.sockets) if "userFills" in s.asked)

    @property
    def market_socket(self) -> FakeSocket:
        return next(s for s in reversed(self.transport.sockets) if "bbo" in s.asked)

    @property
    def subscribed(self) -> list[str]:
        """What the venue sends, over all connections."""
        return sorted(key for socket in self.transport.sockets for key in socket.subscribed)

    def is_live(self) -> bool:
        return self.feed.is_live

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


# ── what the venue says ──────────────────────────────────────────────────────────────────────────


def bbo(coin: str, bid: str | None, ask: str | None, at_ms: int = T0) -> dict[str, Any]:
    sides = [None if px is None else {"px": px, "sz": "1.0", "n": 1} for px in (bid, ask)]
    return {"channel": "bbo", "data": {"coin": coin, "time": at_ms, "bbo": sides}}


def candle(
    coin: str, close: str, volume: str = "1.0", open_ms: int = T0, interval: Interval = Interval.M1
) -> dict[str, Any]:
    row = {"t": open_ms, "T": open_ms + interval.ms - 1, "s": coin, "i": interval.value, "n": 1}
    return {"channel": "candle", "data": row | {"o": "10.0", "c": close, "h": "20.0", "l": "5.0", "v": volume}}


def mids(**prices: str) -> dict[str, Any]:
    return {"channel": "allMids", "data": {"mids": prices}}


def fills_of_nobody() -> dict[str, Any]:
    """A frame of the account with nothing in it."""
    return {"channel": "userFills", "data": {"user": ME, "fills": []}}
