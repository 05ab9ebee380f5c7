"""Whatever the answers' ways and our clock do: no skew is proven that is not true, and no running candle is history."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from adapters.clocks import ManualClock
from adapters.hyperliquid.budget import WeightBudget
from adapters.hyperliquid.history import SETTLE_MS, HyperliquidHistory
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.transport import HttpReply
from adapters.hyperliquid.venue_skew import VenueSkew
from adapters.hyperliquid.watch import look_at_clock
from domain.candles import Interval
from domain.instruments import Instrument, Universe, single_tier

NOON_MS = 1_791_244_800_000
MINUTE = Interval.M1
SKEWS = st.one_of(st.integers(-10_000, 10_000), st.sampled_from([-10_000, -2_001, -2_000, -1, 0, 1, 10_000]))
WAYS = st.integers(0, 12_000)
QUICK_WAYS = st.integers(0, SETTLE_MS)
"""A look whose question took longer than a candle settles may leave more open than the settling covers."""


class SkewedClock(ManualClock):
    """Ours: may be set, while real time goes on."""

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms)
        self.set_by_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.set_by_ms

    def monotonic_ms(self) -> int:
        return super().now_ms()

    async def pass_ms(self, ms: int) -> None:
        await self.advance_to(super().now_ms() + ms)

    async def sleep_until(self, at_ms: int) -> None:
        """Nobody else sleeps here: time goes there by itself."""
        await self.pass_ms(max(0, at_ms - self.now_ms()))


class Venue:
    """Its clock is the real time. It trades in every minute, and shows the running one like any other.

    `set_ms`: by so much our clock is set while the next question is under way.
    """

    def __init__(self, clock: SkewedClock) -> None:
        self._clock = clock
        self.out_ms = self.back_ms = self.set_ms = 0
        self.set_first = False
        self.candles_asked_ms: list[int] = []

    @property
    def now_ms(self) -> int:
        return self._clock.monotonic_ms()

    @property
    def skew_ms(self) -> int:
        return -self._clock.set_by_ms

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None
    ) -> HttpReply:
        request = json.loads(body)
        if self.set_first:
            self._set_clock()
        await self._clock.pass_ms(self.out_ms)
        answer: object = {"time": self.now_ms}
        if request["type"] == "candleSnapshot":
            self.candles_asked_ms.append(self.now_ms)
            answer = self._candles(request["req"])
        await self._clock.pass_ms(self.back_ms)
        self._set_clock()
        return HttpReply(200, json.dumps(answer).encode())

    def _set_clock(self) -> None:
        self._clock.set_by_ms += self.set_ms
        self.set_ms = 0

    def _candles(self, wanted: dict[str, int]) -> list[dict[str, object]]:
        last_ms = min(wanted["endTime"], self.now_ms)
        opens = range(MINUTE.open_of(wanted["startTime"]), last_ms + 1, MINUTE.ms)
        return [{"t": t, "T": t + MINUTE.ms - 1, "s": "BTC", "i": "1m", **_TRADED} for t in opens]

    async def close(self) -> None: ...


_TRADED = {"o": "10.0", "h": "12.0", "l": "9.0", "c": "11.0", "v": "1.0", "n": 1}


class World:
    def __init__(self, skew_ms: int, start_ms: int = NOON_MS) -> None:
        self.clock = SkewedClock(start_ms)
        self.clock.set_by_ms = -skew_ms
        self.venue = Venue(self.clock)
        self.info = InfoClient(self.venue, WeightBudget(self.clock, 1_000_000), self.clock, pause_s=0.0)
        self.skew = VenueSkew()

    async def look(self, out_ms: int, back_ms: int, set_ms: int = 0, *, set_first: bool = False) -> None:
        self.venue.out_ms, self.venue.back_ms = out_ms, back_ms
        self.venue.set_ms, self.venue.set_first = set_ms, set_first
        self.skew.learn(*(await look_at_clock(self.info, self.clock)).bounds_ms)


@given(SKEWS, st.lists(st.tuples(WAYS, WAYS), min_size=1, max_size=6))
def test_what_is_proven_lies_between_nothing_and_the_truth(skew_ms: int, ways: list[tuple[int, int]]) -> None:
    world = World(skew_ms)

    async def looks() -> None:
        for out_ms, back_ms in ways:
            await world.look(out_ms, back_ms)
            assert min(skew_ms, 0) <= world.skew() <= max(skew_ms, 0)
            assert abs(world.skew()) >= abs(skew_ms) - max(out_ms, back_ms)

    asyncio.run(looks())


@given(SKEWS, st.lists(st.tuples(WAYS, WAYS, SKEWS, st.booleans()), min_size=1, max_size=6))
def test_however_our_clock_is_set_the_venue_is_never_taken_for_further_ahead_than_it_is(
    skew_ms: int, looks: list[tuple[int, int, int, bool]]
) -> None:
    world = World(skew_ms)

    async def follow() -> None:
        for out_ms, back_ms, set_ms, set_first in looks:
            await world.look(out_ms, back_ms, set_ms, set_first=set_first)
            assert world.skew() <= max(world.venue.skew_ms, 0)

    asyncio.run(follow())


@given(SKEWS, QUICK_WAYS, WAYS, st.integers(-20_000, 20_000), st.integers(1, 5), st.integers(-1, 2))
def test_no_running_candle_passes_for_a_closed_one(
    skew_ms: int, out_ms: int, back_ms: int, past_close_ms: int, count: int, later: int
) -> None:
    """Whatever is asked for, at any moment around a close: what comes had ended at the venue when it was asked."""
    world = World(skew_ms)
    history = HyperliquidHistory(world.info, Universe([Instrument("BTC", 5, single_tier(40))]), world.clock, world.skew)
    close_ms = NOON_MS + 2 * MINUTE.ms
    end_ms = close_ms + later * MINUTE.ms

    async def ask() -> None:
        await world.look(out_ms, back_ms)
        await world.clock.pass_ms(close_ms + past_close_ms - world.venue.now_ms)
        world.venue.out_ms = world.venue.back_ms = 0
        window = await history.candles("BTC", MINUTE, end_ms - count * MINUTE.ms, end_ms)
        if len(window):
            (asked_ms,) = world.venue.candles_asked_ms
            assert int(window.open_ms[-1]) + MINUTE.ms <= asked_ms

    asyncio.run(ask())
