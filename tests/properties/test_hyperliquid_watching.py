"""A feed whose symbols change, over sockets that drop and a venue that forgets to answer.

Whatever was asked for in which order: once things are calm the venue sends what is watched, once, and nothing else. And
what the reader hears of candle streams is always true: no candle of a stream that does not run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hyperliquid.subscriptions import MAX_CONNECTIONS, market_subscriptions
from domain.candles import Interval
from domain.events import CandleStreams, CandleUpdates, Quotes
from entrypoints.simulation.jumping_time import run_jumping
from tests.feed_worlds import ME, T0, FakeSocket, Rig, bbo, candle

COINS = ("BTC", "ETH", "SOL", "HYPE", "NOPE")
"""The venue does not know the last one."""
PER_SOCKET = 3
EXIT = Interval.M5


@dataclass(frozen=True)
class Watch:
    symbols: tuple[str, ...]
    exits: tuple[str, ...]


@dataclass(frozen=True)
class Do:
    what: str
    place: int
    ms: int


fitting = st.lists(st.sampled_from(COINS), unique=True, max_size=4).map(tuple)
steps = st.one_of(
    st.builds(Watch, fitting, fitting),
    st.builds(
        Do,
        st.sampled_from(
            ["drop", "mute", "hear", "speak", "speak", "wait", "wait", "resubscribe", "reconnect", "pause"]
        ),
        st.integers(0, 4),
        st.sampled_from([0, 0, 1, 30, 1_000, 11_000]),
    ),
)


@settings(max_examples=150)
@given(st.lists(steps, max_size=25), st.booleans())
def test_once_calm_the_venue_sends_what_is_watched(todo: Sequence[Watch | Do], with_account: bool) -> None:
    async def test() -> None:
        rig = Rig(
            coins=COINS,
            user=ME if with_account else None,
            exit_interval=EXIT,
            watched=4,
            subscriptions_per_socket=PER_SOCKET,
            watch=(COINS[:2], ()),
        )
        async with rig:
            world = World(rig)
            for step in todo:
                await world.take(step)
            await world.calm_down()
            world.check()

    run_jumping(test)


class World:
    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._watched = Watch(COINS[:2], ())
        self._spoken = 0

    async def take(self, step: Watch | Do) -> None:
        rig = self._rig
        if isinstance(step, Watch):
            self._watched = step
            rig.feed.watch(step.symbols, step.exits)
            return
        sockets = self._open
        socket = sockets[step.place % len(sockets)] if sockets else FakeSocket()
        match step.what:
            case "drop":
                socket.drop()
            case "mute":
                socket.mute = frozenset(("subscribe", "unsubscribe")[step.place % 2 :])
            case "hear":
                socket.mute = frozenset()
            case "speak":
                self._speak()
            case "resubscribe":
                rig.feed.resubscribe(COINS[step.place :])
            case "reconnect" if self._numbers:
                rig.feed.reconnect(self._numbers[step.place % len(self._numbers)], "somebody wants so")
            case "pause":
                rig.may_read.clear() if step.place % 2 else rig.may_read.set()
            case _:
                pass
        await asyncio.sleep(step.ms / 1000)
        assert len(self._open) <= MAX_CONNECTIONS

    async def calm_down(self) -> None:
        self._rig.may_read.set()
        for _ in range(90):
            for socket in self._open:
                socket.mute = frozenset()
            await asyncio.sleep(1)
        self._speak()
        await asyncio.sleep(1)

    def check(self) -> None:
        rig = self._rig
        wanted = market_subscriptions(
            self._watched.symbols,
            Interval.M1,
            bbo=True,
            candle=True,
            exit_symbols=self._watched.exits,
            exit_interval=EXIT,
        )
        served = {each.key for each in wanted if each.coin != "NOPE"}
        market = [key for key in rig.subscribed if "user=" not in key]
        assert sorted(market) == sorted(served), "each once, and nothing else"
        assert rig.is_live()
        assert not set(served) & set(rig.feed.given_up)
        running: set[tuple[Interval, int]] = set()
        newest: dict[tuple[Interval, int], float] = {}
        for event in rig.told:
            if isinstance(event, CandleStreams):
                streams = {(event.interval, each) for each in event.ids.tolist()}
                assert event.ids.tolist() == sorted(event.ids.tolist())
                assert not event.running or not streams & running, "said twice"
                running = running | streams if event.running else running - streams
            elif isinstance(event, CandleUpdates):
                batch = event.candles
                for symbol_id, volume in zip(batch.ids.tolist(), batch.volume.tolist(), strict=True):
                    stream = (batch.interval, symbol_id)
                    assert stream in running, "a candle of a stream that does not run"
                    assert newest.get(stream, 0.0) < volume, "told again, or out of order"
                    newest[stream] = volume
        assert running == {
            (each.interval, COINS.index(each.coin)) for each in wanted if each.key in served and each.interval
        }
        assert all(newest[each] == self._spoken for each in running), "the last word was heard"
        quoted = {each for event in rig.told if isinstance(event, Quotes) for each in event.ids.tolist()}
        assert {COINS.index(each) for each in self._watched.symbols if each != "NOPE"} <= quoted

    @property
    def _open(self) -> list[FakeSocket]:
        return [socket for socket in self._rig.transport.sockets if not socket.closed]

    @property
    def _numbers(self) -> list[int]:
        return [each.number for each in self._rig.feed.line_reports()]

    def _speak(self) -> None:
        """The venue says something on every stream that it believes to send."""
        self._spoken += 1
        for socket in self._open:
            for key in socket.subscribed:
                coin = key.partition("coin=")[2].partition(":")[0]
                if key.startswith("bbo"):
                    socket.say(bbo(coin, "10.0", "11.0", T0 + self._spoken))
                elif key.startswith("candle"):
                    interval = Interval(key.rpartition("=")[2])
                    socket.say(candle(coin, "12.0", f"{self._spoken}.0", interval.open_of(T0), interval))
