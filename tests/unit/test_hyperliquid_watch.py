"""VenueWatch: what is told and what is held, from the venue's own answers, once per change."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from adapters.clocks import ManualClock
from adapters.hyperliquid.budget import WeightBudget
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.transport import HttpReply, NotSentError
from adapters.hyperliquid.venue_skew import SURE_MS, VenueSkew
from adapters.hyperliquid.watch import (
    AGENT,
    AGENT_HELD_MS,
    AGENT_TOLD_MS,
    CLOCK,
    CLOCK_HELD_MS,
    CLOCK_TOLD_MS,
    FAILED_LOOKS,
    ClockLook,
    VenueWatch,
    look_at_clock,
)
from domain.events import EntriesHeld, Event, VenueTime
from ports.order_gateway import VenueUnavailable

NOW_MS = 1_791_275_808_695
MASTER, AGENT_ADDRESS, OTHER = "0x" + 40 * "a", "0x" + 40 * "b", "0x" + 40 * "c"
DAY_MS = 86_400_000


class Venue:
    """A transport with a clock and a list of agents of its own. `way_ms`: each way takes so long, by our clock."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.ahead_ms = 0
        self.way_ms = 0
        self.agents: object = []
        self.status: dict[str, Any] = {"specialStatuses": None}
        self.is_down = False
        self.asked: list[str] = []

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None
    ) -> HttpReply:
        request = json.loads(body)
        self.asked.append(request["type"])
        assert path == "/info", "a watch only reads"
        if self.is_down:
            raise NotSentError("nobody there")
        await self._clock.advance_to(self._clock.now_ms() + self.way_ms)
        now_ms = self._clock.now_ms() + self.ahead_ms
        await self._clock.advance_to(self._clock.now_ms() + self.way_ms)
        answer = {"time": now_ms, **self.status} if request["type"] == "exchangeStatus" else self.agents
        if request["type"] == "extraAgents":
            assert request["user"] == MASTER
        return HttpReply(200, json.dumps(answer).encode())

    async def close(self) -> None: ...


class Bench:
    def __init__(self, signer: str = AGENT_ADDRESS) -> None:
        self.clock = ManualClock(NOW_MS)
        self.venue = Venue(self.clock)
        self.info = InfoClient(self.venue, WeightBudget(self.clock, 100_000), self.clock, pause_s=0.0)
        self.alerts: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.watch = VenueWatch(self.info, self.clock, self, signer=signer.upper(), account=MASTER, every_s=0.0)

    def send(self, code: str, text: str) -> None:
        self.alerts.append((code, text))

    async def look(self) -> None:
        await self.watch.look(self.events.append)

    def agent(self, left_ms: int, address: str = AGENT_ADDRESS) -> None:
        until = self.clock.now_ms() + left_ms
        self.venue.agents = [{"name": "bot", "address": address, "validUntil": until}]

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.alerts]

    @property
    def held(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for event in self.events:
            assert isinstance(event, EntriesHeld)
            found[event.source] = event.reason
        return {source: reason for source, reason in found.items() if reason}


# ── the clock ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("off_ms", "told", "held"),
    [
        (0, False, False),
        (CLOCK_TOLD_MS, False, False),
        (CLOCK_TOLD_MS + 1, True, False),
        (CLOCK_HELD_MS, True, False),
        (CLOCK_HELD_MS + 1, True, True),
    ],
)
async def test_a_clock_that_is_off_is_told_and_then_holds(off_ms: int, sign: int, told: bool, held: bool) -> None:
    bench = Bench(MASTER)
    bench.venue.ahead_ms = off_ms * sign
    await bench.look()
    assert bench.codes == [CLOCK] * told
    assert list(bench.held) == [CLOCK] * held
    if told:
        side = "behind" if sign > 0 else "ahead of"
        assert f"{off_ms / 1000:.1f} s {side} the venue's" in bench.alerts[0][1]


async def test_each_change_is_told_once_and_the_hold_is_lifted() -> None:
    bench = Bench(MASTER)
    for ahead_ms in (0, 3_000, 4_000, 12_000, 60_000, 5_000, 0, 0):
        bench.venue.ahead_ms = ahead_ms
        await bench.look()
    assert bench.codes == [CLOCK] * 4
    assert [isinstance(each, EntriesHeld) and bool(each.reason) for each in bench.events] == [True, False]
    assert "entries go on" in bench.alerts[2][1]
    assert "agrees" in bench.alerts[3][1]


async def test_what_took_long_is_no_skew_and_proves_no_agreement() -> None:
    bench = Bench(MASTER)
    bench.venue.way_ms = 8_000
    await bench.look()
    assert not bench.alerts
    bench.venue.ahead_ms = 30_000
    await bench.look()
    assert list(bench.held) == [CLOCK], "further off than the way can explain"
    bench.venue.ahead_ms = 0
    await bench.look()
    assert list(bench.held) == [CLOCK], "a slow answer lifts nothing"
    bench.venue.way_ms = SURE_MS // 2
    await bench.look()
    assert not bench.held


async def test_a_look_names_what_the_venue_says_of_itself() -> None:
    bench = Bench()
    assert (await look_at_clock(bench.info, bench.clock)).special == ""
    bench.venue.status["specialStatuses"] = {"postOnly": True}
    assert "postOnly" in (await look_at_clock(bench.info, bench.clock)).special


@pytest.mark.parametrize("wrong", [{"time": "soon"}, {"time": None}, {"time": 1.5}, {"time": NOW_MS // 1000}])
async def test_an_answer_without_a_time_is_no_time(wrong: dict[str, Any]) -> None:
    bench = Bench(MASTER)
    bench.venue.status = wrong
    with pytest.raises(VenueUnavailable):
        await look_at_clock(bench.info, bench.clock)
    await bench.look()
    assert not bench.alerts and not bench.events


async def test_a_venue_that_says_nothing_changes_nothing_and_is_told_once() -> None:
    bench = Bench(MASTER)
    bench.venue.ahead_ms = 60_000
    await bench.look()
    bench.venue.is_down = True
    for _ in range(2 * FAILED_LOOKS):
        await bench.look()
    assert list(bench.held) == [CLOCK]
    assert bench.codes == [CLOCK, "clock_skew_unknown"]
    bench.venue.is_down, bench.venue.ahead_ms = False, 0
    await bench.look()
    assert not bench.held


@pytest.mark.parametrize(
    ("venue_ms", "asked_ms", "heard_ms", "round_trip_ms", "bounds_ms", "skew_ms"),
    [
        (1_050, 1_000, 1_100, 100, (-50, 50), 0),
        (1_100, 1_000, 1_100, 100, (0, 100), 0),
        (1_101, 1_000, 1_100, 100, (1, 101), 1),
        (999, 1_000, 1_100, 100, (-101, -1), -1),
        (6_050, 1_000, 1_100, 100, (4_950, 5_050), 4_950),
        (-3_950, 1_000, 1_100, 100, (-5_050, -4_950), -4_950),
        # ten times as fast as real time: the way took 100 ms of the market's
        (1_050, 1_000, 1_100, 10, (-50, 50), 0),
        # our clock was set back by 5 s on the way: it agrees now, and was ahead when it was asked
        (1_050, 6_000, 1_100, 100, (-50, 50), 0),
        # our clock was set forward by 5 s on the way: the answer may be as old as that for all it shows
        (1_050, 1_000, 6_100, 100, (-5_050, 50), 0),
    ],
)
def test_a_look_proves_what_its_way_leaves_no_room_for(
    venue_ms: int, asked_ms: int, heard_ms: int, round_trip_ms: int, bounds_ms: tuple[int, int], skew_ms: int
) -> None:
    look = ClockLook(venue_ms, asked_ms, heard_ms, round_trip_ms, "")
    assert (look.bounds_ms, look.skew_ms) == (bounds_ms, skew_ms)


async def test_every_look_tells_the_venues_time_and_keeps_its_skew_where_that_is_wanted() -> None:
    bench, skew = Bench(MASTER), VenueSkew()
    watch = VenueWatch(bench.info, bench.clock, bench, signer=MASTER, account=MASTER, every_s=0.0, skew=skew)
    bench.venue.ahead_ms = -4_000
    await watch.look(bench.events.append)
    assert (skew(), bench.events) == (-4_000, [VenueTime(NOW_MS - 4_000)])
    bench.venue.is_down = True
    await watch.look(bench.events.append)
    assert (skew(), len(bench.events)) == (-4_000, 1), "no answer, no news"
    bench.venue.is_down, bench.venue.ahead_ms = False, 20_000
    await watch.look(bench.events.append)
    assert (skew(), bench.events[1]) == (20_000, VenueTime(NOW_MS + 20_000))
    bench.venue.way_ms, bench.venue.ahead_ms = 2_000, 0
    await watch.look(bench.events.append)
    assert skew() == 0, "a slow answer that rules out what was proven"
    assert VenueTime(NOW_MS + 2_000) in bench.events


# ── the agent ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("left_ms", "told", "held"),
    [
        (90 * DAY_MS, False, False),
        (AGENT_TOLD_MS + 1, False, False),
        (AGENT_TOLD_MS, True, False),
        (AGENT_HELD_MS + 1, True, False),
        (AGENT_HELD_MS, True, True),
        (1, True, True),
        (-DAY_MS, True, True),
    ],
)
async def test_an_agent_that_ends_is_told_and_then_holds(left_ms: int, told: bool, held: bool) -> None:
    bench = Bench()
    bench.agent(left_ms)
    await bench.look()
    assert bench.codes == [AGENT] * told
    assert list(bench.held) == [AGENT] * held


async def test_time_runs_on_while_the_venue_says_nothing() -> None:
    bench = Bench()
    bench.agent(2 * AGENT_HELD_MS)
    await bench.look()
    bench.venue.is_down = True
    await bench.clock.advance_to(NOW_MS + AGENT_HELD_MS + 1)
    await bench.look()
    assert list(bench.held) == [AGENT]


async def test_an_agent_ends_by_the_venues_clock() -> None:
    bench = Bench()
    bench.venue.ahead_ms = 5_000
    bench.agent(AGENT_HELD_MS + 4_000)
    await bench.look()
    assert list(bench.held) == [AGENT]


async def test_an_agent_that_is_listed_no_more_holds_until_it_is_listed_again() -> None:
    bench = Bench()
    bench.agent(90 * DAY_MS)
    await bench.look()
    bench.agent(90 * DAY_MS, OTHER)
    await bench.look()
    await bench.look()
    assert "no longer listed" in bench.held[AGENT]
    assert bench.codes == [AGENT]
    bench.agent(90 * DAY_MS)
    await bench.look()
    assert not bench.held


async def test_an_agent_that_was_never_listed_has_no_known_end() -> None:
    bench = Bench()
    bench.agent(1, OTHER)
    await bench.look()
    assert not bench.alerts and not bench.events


@pytest.mark.parametrize("agents", [None, {}, [{"name": "bot"}]])
async def test_a_list_that_cannot_be_read_is_not_an_empty_one(agents: object) -> None:
    bench = Bench()
    bench.agent(90 * DAY_MS)
    await bench.look()
    bench.venue.agents = agents
    await bench.look()
    assert not bench.alerts and not bench.events


async def test_the_accounts_own_key_has_no_end() -> None:
    bench = Bench(MASTER)
    bench.agent(1)
    await bench.look()
    assert bench.venue.asked == ["exchangeStatus"]


async def test_clock_and_agent_hold_each_for_itself() -> None:
    bench = Bench()
    bench.agent(1)
    bench.venue.ahead_ms = 20_000
    await bench.look()
    assert set(bench.held) == {CLOCK, AGENT}
    bench.venue.ahead_ms = 0
    await bench.look()
    assert set(bench.held) == {AGENT}


async def test_it_looks_at_once_and_again_and_again() -> None:
    bench = Bench(MASTER)
    watching = asyncio.create_task(bench.watch.keep_watch(bench.events.append))
    async with asyncio.timeout(5):
        while len(bench.venue.asked) < 3:  # noqa: ASYNC110  (others take their turns)
            await asyncio.sleep(0)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
