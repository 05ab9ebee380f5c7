"""What every WebSocket client of the local venue may rely on, whatever clients say and whatever happens when.

`Client` below is a client's own picture: it knows acknowledgements and frames, and what the exchange and the market
say happened; it shares nothing with the streams.
"""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sim.venue import shapes
from adapters.sim.venue.exchange.events import Filled, OrderChanged
from adapters.sim.venue.exchange.orders import Tif
from adapters.sim.venue.outputs import Frame, SocketDropped
from adapters.sim.venue.settings import Limits, VenueSettings
from adapters.sim.venue.streams.sockets import Post
from domain.candles import Interval
from domain.intents import Side
from tests.venue_sockets import ALICE, BOB, COINS, EMPTY, IP, NOBODY, START_MS, Said, Seafront, Top

GAP_MS, IDLE_MS, DROP_MS = 600, 60_000, 100
SOCKETS = (1, 2, 3)
SETTINGS = VenueSettings(limits=Limits(enforced=False))
EVERY_MS = {
    "allMids": 5_000,
    "l2Book": 5_400,
    "activeAssetCtx": 1_000,
    "clearinghouseState": 4_500,
    "openOrders": 4_500,
    "webData3": 4_500,
    "activeAssetData": 4_500,
}
TOPS = (
    EMPTY,
    Top("84143.0", "1.0", 3, "84144.0", "2.0", 4),
    Top("84143.0", "1.5", 3, "84144.0", "2.0", 4),
    Top(None, None, 0, "84144.0", "2.0", 4),
)

# ── what may happen ──────────────────────────────────────────────────────────────────────────

USERS = (ALICE, BOB, NOBODY, ALICE.upper().replace("X", "x"))
SERVED: tuple[Said, ...] = (
    *({"type": kind, "coin": coin} for kind in ("bbo", "trades", "l2Book", "activeAssetCtx") for coin in COINS),
    *({"type": "candle", "coin": coin, "interval": interval} for coin in COINS for interval in ("1m", "1h")),
    *(
        {"type": kind, "user": user}
        for kind in ("orderUpdates", "userEvents", "userFills", "clearinghouseState", "openOrders", "webData3")
        for user in USERS
    ),
    *({"type": "activeAssetData", "user": user, "coin": "BTC"} for user in USERS),
    {"type": "l2Book", "coin": "BTC", "fast": True},
    {"type": "allMids"},
    {"type": "fastAssetCtxs"},
)
DEADLY: tuple[Said, ...] = (
    {"type": "bbo", "coin": "NOPE"},
    {"type": "l2Book", "coin": "BTC", "nSigFigs": 7},
    {"type": "trades", "coin": ""},
)
NOISE = ("", "hello", "[]", '{"method":"subscribe"}', '{"method":"post","id":3,"request":{"type":"info","payload":{}}}')


def history_of(seed: int) -> list[tuple[Any, ...]]:
    """Three sockets, subscriptions that come and go, a market that trades in bursts."""
    rng = random.Random(seed)
    steps: list[tuple[Any, ...]] = [("open", socket_id) for socket_id in SOCKETS]
    steps += [("subscribe", socket_id, asked) for socket_id in SOCKETS for asked in rng.sample(SERVED, 12)]
    for _ in range(rng.randrange(20, 160)):
        socket_id, coin, side = rng.choice(SOCKETS), rng.choice(COINS), rng.choice(list(Side))
        steps += rng.choices(
            [
                ("trade", coin, side, rng.randrange(80_000, 80_010)),
                ("quote", coin, rng.choice(TOPS)),
                ("order", rng.choice([ALICE, BOB]), side, rng.randrange(84_000, 84_003), rng.choice(list(Tif))),
                ("wait", rng.choice([0, 1, 70, 300, 600, 1_000])),
                ("wait", rng.choice([5_000, 61_000])),
                ("subscribe", socket_id, rng.choice(SERVED)),
                ("unsubscribe", socket_id, rng.choice(SERVED)),
                ("subscribe", socket_id, rng.choice(DEADLY)),
                ("ping", socket_id),
                ("noise", socket_id, rng.choice(NOISE)),
                ("close", socket_id),
                ("open", socket_id),
            ],
            [30, 15, 20, 30, 2, 15, 8, 0.5, 2, 1, 0.5, 3],
        )
    return steps


histories = st.integers(0, 2**32).map(history_of)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
mangled = st.builds(
    lambda method, asked, key, value: json.dumps({"method": method, "subscription": asked | {key: value}}),
    st.sampled_from(["subscribe", "unsubscribe", "post", "ping"]),
    st.sampled_from(SERVED),
    st.sampled_from(["type", "coin", "user", "interval", "fast", "nSigFigs", "mantissa", "dex", "aggregateByTime"]),
    json_like,
)
noise = st.text(max_size=20) | json_like.map(json.dumps) | mangled

# ── a client's own picture ───────────────────────────────────────────────────────────────────


@dataclass
class Reading:
    """One subscription of one socket, from its acknowledgement on: what it was told when, and what it should be."""

    asked: Said
    since_ms: int
    events: int
    prints: int
    backfill: list[int]
    fills: list[Said]
    frames: list[tuple[int, Any]] = field(default_factory=list)


@dataclass
class Client:
    """`last_ms`: when something was last sent to it."""

    last_ms: int
    readings: dict[str, Reading] = field(default_factory=dict)
    doomed_ms: int | None = None


class Run:
    """One history, played. `log` is everything that left, in order."""

    def __init__(self) -> None:
        self.front = Seafront(SETTINGS)
        self.clients: dict[int, Client] = {}
        self.log: list[tuple[int, object]] = []

    def play(self, history: Sequence[tuple[Any, ...]]) -> None:
        for step in history:
            self._step(*step)
        self._wait(2_000)
        for client in self.clients.values():
            for reading in client.readings.values():
                self._check(reading)
                if reading.frames:
                    seen(f"{reading.asked['type']} was told")

    def _step(self, what: str, *args: Any) -> None:
        match what, args:
            case "open", (socket_id,) if socket_id not in self.clients:
                assert self.front.open(socket_id) == []
                self.clients[socket_id] = Client(self.front.now_ms)
            case "close", (socket_id,):
                self.front.streams.closed(socket_id)
                self._end(socket_id)
            case (("subscribe" | "unsubscribe"), (socket_id, asked)):
                self._say(socket_id, json.dumps({"method": what, "subscription": asked}), asked)
            case "ping", (socket_id,):
                self._say(socket_id, '{"method":"ping"}')
            case "noise", (socket_id, text):
                self._say(socket_id, text)
            case "trade", (coin, side, price):
                self.front.market.trade(coin, side, str(price), "0.5")
            case "quote", (coin, top):
                self.front.market.quote(coin, top)
            case "order", (address, side, price, tif):
                self.front.place(address, side, str(price), "0.1", tif=tif)
            case "wait", (length_ms,):
                self._wait(length_ms)
            case _:
                pass

    def _say(self, socket_id: int, text: str, asked: Said | None = None) -> None:
        front, client = self.front, self.clients.get(socket_id)
        outputs = front.streams.receive(socket_id, text, front.now_ms)
        for output in outputs:
            if isinstance(output, Post):
                outputs += front.streams.answer(output, 200, {}, front.now_ms)
        if client is None or client.doomed_ms is not None:
            assert outputs == [], "nobody is there to hear it"
            return
        if not outputs:
            client.doomed_ms = front.now_ms
            client.readings.clear()
        for output in outputs:
            if isinstance(output, Frame):
                assert output.socket_id == socket_id
                self._hear(client, output)

    def _wait(self, length_ms: int) -> None:
        """Publish what is pending, then go from one due time to the next."""
        front = self.front
        end_ms = front.now_ms + length_ms
        self._take(front.publish())
        while front.now_ms < end_ms:
            due_ms = front.streams.next_due_ms()
            assert due_ms > front.now_ms, "what was due is done"
            outputs = front.publish(min(due_ms, end_ms) - front.now_ms)
            assert due_ms <= end_ms or not outputs, "nothing comes before it is due"
            self._take(outputs)

    def _take(self, outputs: Sequence[Frame | SocketDropped]) -> None:
        heard: dict[tuple[int, str], int] = {}
        for output in outputs:
            client = self.clients[output.socket_id]
            if isinstance(output, Frame):
                told = self._hear(client, output)
                heard[output.socket_id, told] = heard.get((output.socket_id, told), 0) + 1
                continue
            self.log.append((self.front.now_ms, output))
            doomed = client.doomed_ms is not None and self.front.now_ms == client.doomed_ms + DROP_MS
            assert doomed or self.front.now_ms == client.last_ms + IDLE_MS, "it had no reason to die"
            self._end(output.socket_id)
        for (_, told), count in heard.items():
            assert count == 1 or told in ("user", "candle", "orderUpdates"), f"{told} was told in pieces"
        for client in self.clients.values():
            assert self.front.now_ms < client.last_ms + IDLE_MS, "it should have died"

    def _end(self, socket_id: int) -> None:
        client = self.clients.pop(socket_id, None)
        for reading in client.readings.values() if client is not None else ():
            self._check(reading)

    # -- hearing -----------------------------------------------------------------------------------------------------

    def _hear(self, client: Client, frame: Frame) -> str:
        """Put a frame to the subscription that it belongs to; answers that one's name."""
        now_ms = self.front.now_ms
        assert client.doomed_ms is None, "a dying socket is silent"
        client.last_ms = now_ms
        self.log.append((now_ms, frame))
        told = json.loads(frame.text)
        channel, data = told["channel"], told.get("data")
        if channel in ("pong", "error", "post"):
            return str(channel)
        if channel == "subscriptionResponse":
            echo = json.dumps(data["subscription"])
            if data["method"] == "subscribe":
                assert echo not in client.readings
                client.readings[echo] = self._begin(data["subscription"])
            else:
                self._check(client.readings.pop(echo))
            return "ack"
        readers = [name for name, reading in client.readings.items() if self._is_for(reading.asked, channel, data)]
        assert len(readers) == 1, f"{channel} came without a subscription, or for {readers}"
        client.readings[readers[0]].frames.append((now_ms, data))
        return channel if channel in ("user", "candle", "orderUpdates") else readers[0]

    def _begin(self, asked: Said) -> Reading:
        front = self.front
        coin = asked.get("coin")
        backfill = [row.tid for row in front.market.printed if row.coin == coin][-30:]
        account = front.exchange.account(asked.get("user", ""))
        fills = [] if account is None else [shapes.fill_row(fill) for fill in account.fills]
        # Events that nobody was told yet count as later: the exchange keeps them until the next publication.
        return Reading(asked, front.now_ms, len(front.events), len(front.market.printed), backfill, fills)

    def _is_for(self, asked: Said, channel: str, data: Any) -> bool:
        kind = asked["type"]
        if channel != {"userEvents": "user"}.get(kind, kind):
            return False
        match kind:
            case "bbo" | "activeAssetCtx":
                return bool(data["coin"] == asked["coin"])
            case "l2Book":
                return bool(data["coin"] == asked["coin"] and data.get("fast", False) == asked["fast"])
            case "trades":
                return bool(data[0]["coin"] == asked["coin"])
            case "candle":
                return (data["s"], data["i"]) == (asked["coin"], asked["interval"])
            case "activeAssetData":
                return bool(data["user"] == asked["user"] and data["coin"] == asked["coin"])
            case "orderUpdates":
                return {self._owner(row["order"]["oid"]) for row in data} == {asked["user"]}
            case "userEvents":
                (rows,) = data.values()
                return {self._owner(row["oid"]) for row in rows} == {asked["user"]}
            case "webData3":
                return bool(data["userState"]["user"] == asked["user"])
            case "allMids" | "fastAssetCtxs":
                return True
            case _:
                return bool(data["user"] == asked["user"])

    def _owner(self, oid: int) -> str:
        (owner,) = (each.address for each in self.front.exchange.accounts.values() if oid in each.history)
        return owner

    # -- judging -----------------------------------------------------------------------------------------------------

    def _check(self, reading: Reading) -> None:
        """What was told is what happened, all of it, once, in order."""
        match reading.asked["type"]:
            case "bbo":
                self._check_tops(reading)
            case "trades":
                self._check_trades(reading)
            case "candle":
                self._check_candles(reading)
            case "orderUpdates" | "userEvents" | "userFills":
                self._check_events(reading)
            case "fastAssetCtxs":
                self._check_fast(reading)
            case kind:
                self._check_cadence(reading, 540 if reading.asked.get("fast") else EVERY_MS[kind])

    def _check_tops(self, reading: Reading) -> None:
        tops = [data["bbo"] for _, data in reading.frames]
        assert all(before != after for before, after in pairwise(tops)), "only changes are told"
        if self.front.market.all_taken:
            top = self.front.market.top(reading.asked["coin"])
            sides = [(top.bid_px, top.bid_sz, top.bid_n), (top.ask_px, top.ask_sz, top.ask_n)]
            now = [None if px is None else {"px": px, "sz": sz, "n": n} for px, sz, n in sides]
            assert tops[-1] == now if tops else now == [None, None]

    def _check_trades(self, reading: Reading) -> None:
        told = [row["tid"] for _, data in reading.frames for row in data]
        new = [row.tid for row in self.front.market.printed[reading.prints :] if row.coin == reading.asked["coin"]]
        expected = reading.backfill + new
        if self.front.market.all_taken:
            assert told == expected
        else:
            assert told == expected[: len(told)]

    def _check_candles(self, reading: Reading) -> None:
        coin, interval = reading.asked["coin"], Interval(reading.asked["interval"])
        told = [(data["t"], data["n"]) for _, data in reading.frames]
        assert told == sorted(told), "buckets and their trades only grow"
        times = sorted({time_ms for time_ms, _ in reading.frames})
        assert all(after - before >= GAP_MS for before, after in pairwise(times)), "too soon"
        last = {data["t"]: data for _, data in reading.frames}
        for row in self.front.market.candles(coin, interval, reading.since_ms, self.front.now_ms):
            traded = [
                printed.time_ms
                for printed in self.front.market.printed[reading.prints :]
                if printed.coin == coin and interval.open_of(printed.time_ms) == row.open_ms
            ]
            if traded and traded[-1] + GAP_MS < self.front.now_ms:
                assert last[row.open_ms] == shapes.candle_row(coin, interval, row), "its last state was told"

    def _check_events(self, reading: Reading) -> None:
        kind, user = reading.asked["type"], reading.asked["user"]
        frames = [data for _, data in reading.frames]
        events = self.front.events[reading.events :]
        if kind == "orderUpdates":
            changes = [each for each in events if isinstance(each, OrderChanged) and each.address == user]
            assert [row for data in frames for row in data] == [
                shapes.order_change_row(each.order, each.change) for each in changes
            ]
            return
        fills = [shapes.fill_row(each.fill) for each in events if isinstance(each, Filled) and each.address == user]
        if kind == "userFills":
            snapshot, *frames = frames
            assert snapshot["isSnapshot"] is True and snapshot["fills"] == list(reversed(reading.fills))
            assert not any("isSnapshot" in data for data in frames)
        assert [row for data in frames for row in data.get("fills", [])] == fills

    def _check_cadence(self, reading: Reading, every_ms: int) -> None:
        times = [time_ms for time_ms, _ in reading.frames]
        strikes = range(reading.since_ms // every_ms * every_ms + every_ms, self.front.now_ms + 1, every_ms)
        assert times == [reading.since_ms, *strikes], "at once, then by the clock"

    def _check_fast(self, reading: Reading) -> None:
        known: dict[str, Said] = {}
        for _, data in reading.frames:
            for coin, values in json.loads(zlib.decompress(base64.b64decode(data), wbits=-15)).items():
                known[coin] = known.get(coin, {}) | values
        assert set(known) == set(COINS)
        for time_ms, data in reading.frames[1:]:
            assert time_ms % 1_000 == 0 and data


@settings(max_examples=120)
@given(histories)
def test_every_stream_tells_everything_once_in_order_and_only_to_its_readers(history: list[tuple[Any, ...]]) -> None:
    Run().play(history)


@settings(max_examples=20)
@given(histories)
def test_the_same_inputs_give_the_same_frames(history: list[tuple[Any, ...]]) -> None:
    first, second = Run(), Run()
    first.play(history)
    second.play(history)
    assert first.log == second.log


@settings(max_examples=200)
@given(st.lists(noise, max_size=10))
def test_whatever_a_client_says_has_an_answer_or_silence(said: list[str]) -> None:
    front = Seafront(legacy_web_data=True)
    front.open()
    for text in said:
        for output in front.streams.receive(1, text, START_MS):
            if isinstance(output, Frame):
                assert set(json.loads(output.text)) <= {"channel", "data"}
    front.publish(1_000)
    assert front.streams.open(2, IP, front.now_ms) == []


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), st.sampled_from(SERVED)), max_size=20),
    st.booleans(),
)
def test_a_closed_socket_leaves_nothing_behind(said: list[tuple[str, Said]], asks_for_its_death: bool) -> None:
    front = Seafront()
    front.open()
    for method, asked in said:
        front.say({"method": method, "subscription": asked})
    if asks_for_its_death:
        front.subscribe(type="bbo", coin="NOPE")
        front.publish(DROP_MS)
    else:
        front.streams.closed(1)
    assert front.streams.next_due_ms() > 10**15
    for coin in COINS:
        front.market.trade(coin, Side.BUY, "1", "1")
        front.market.quote(coin, TOPS[1])
    front.place(ALICE, Side.BUY, "84000", "1")
    assert front.publish(20_000) == []
