"""Whatever comes and goes: no minute holds more than its weight, lanes go first, everybody is served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from adapters.clocks import ManualClock
from adapters.hyperliquid.budget import EMERGENCY_PAUSE_MS, MINUTE_MS, OVERDUE_MS, Lane, WeightBudget

PER_MINUTE, RESERVE = 100, 30
FOR_EXITS = 12
"""What cancels leave of the reserve."""
START_MS = 1_700_000_000_000


@dataclass
class Ask:
    number: int
    lane: Lane
    weight: int
    came_ms: int
    through_ms: int | None = None
    place: int | None = None
    task: asyncio.Task[None] | None = None
    ahead: list[Ask] = field(default_factory=list)
    """Who waited in a lane above, or earlier in its own, when it came."""
    was_cancelled: bool = False


@dataclass(frozen=True)
class Come:
    lane: Lane
    weight: int


@dataclass(frozen=True)
class Pass:
    ms: int


@dataclass(frozen=True)
class Cancel:
    which: int
    turns: int


@dataclass(frozen=True)
class Pause:
    ms: int


Act = Come | Pass | Cancel | Pause
WEIGHTS = st.one_of(st.sampled_from([1, 2, 20, 60, PER_MINUTE - RESERVE]), st.integers(1, PER_MINUTE - RESERVE))
ACTS = st.lists(
    st.one_of(
        st.builds(Come, st.sampled_from(Lane), WEIGHTS),
        st.builds(Pass, st.one_of(st.just(0), st.integers(1, 3_000), st.integers(1, 2 * MINUTE_MS))),
        st.builds(Cancel, st.integers(0, 30), st.integers(0, 3)),
        st.builds(Pause, st.integers(1, 20_000)),
    ),
    max_size=40,
)


class Run:
    def __init__(self) -> None:
        self.clock = ManualClock(START_MS)
        self.budget = WeightBudget(self.clock, PER_MINUTE, RESERVE)
        self.asks: list[Ask] = []
        self.pauses: list[tuple[int, int, int]] = []
        self.served = 0

    async def play(self, acts: Sequence[Act]) -> None:
        for act in acts:
            match act:
                case Come():
                    await self.come(act.lane, act.weight)
                case Pass(ms=ms):
                    await self.clock.advance_to(self.clock.now_ms() + ms)
                case Pause(ms=ms):
                    await settle()
                    self.budget.pause(ms)
                    self.pauses.append((self.served, self.clock.now_ms(), self.clock.now_ms() + ms))
                case Cancel():
                    await self.cancel(act)

    async def come(self, lane: Lane, weight: int) -> Ask:
        waiting = [ask for ask in self.asks if ask.through_ms is None and not ask.was_cancelled]
        ahead = [other for other in waiting if other.lane <= lane]
        ask = Ask(len(self.asks), lane, weight, self.clock.now_ms(), ahead=ahead)
        ask.task = asyncio.create_task(self._wait(ask))
        self.asks.append(ask)
        await settle()
        return ask

    async def cancel(self, act: Cancel) -> None:
        waiting = [ask for ask in self.asks if ask.through_ms is None and not ask.was_cancelled]
        if waiting:
            ask = waiting[act.which % len(waiting)]
            assert ask.task is not None
            ask.task.cancel()
            # Others may be cancelled before the line has heard of the first.
            for _ in range(act.turns):
                await asyncio.sleep(0)
            ask.was_cancelled = ask.through_ms is None
            if not act.turns:
                return
            await settle()

    async def _wait(self, ask: Ask) -> None:
        await self.budget.take(ask.weight, ask.lane)
        ask.through_ms, ask.place = self.clock.now_ms(), self.served
        self.served += 1

    async def end(self) -> None:
        for ask in self.asks:
            assert ask.task is not None
            ask.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ask.task


async def settle() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


def check_minutes(asks: Sequence[Ask]) -> None:
    through = [(ask.through_ms, ask) for ask in asks if ask.through_ms is not None]
    for end_ms, _ in through:
        minute = [ask for at_ms, ask in through if end_ms - MINUTE_MS < at_ms <= end_ms]
        assert sum(ask.weight for ask in minute) <= PER_MINUTE
    for end_ms, last in through:
        kept = {Lane.EMERGENCY: 0, Lane.CANCELS: FOR_EXITS}.get(last.lane, RESERVE)
        if kept:
            assert last.place is not None
            before = [
                ask
                for at_ms, ask in through
                if end_ms - MINUTE_MS < at_ms and ask.place is not None and ask.place <= last.place
            ]
            assert sum(ask.weight for ask in before) <= PER_MINUTE - kept, "the reserve is not for everybody"


def check_lanes(asks: Sequence[Ask]) -> None:
    """Inside a lane as they came; nobody before an order or an emergency that waited already."""
    for ask in asks:
        if ask.place is None:
            continue
        for other in ask.ahead:
            if other.was_cancelled or not (other.lane is ask.lane or other.lane <= Lane.ORDERS):
                continue
            assert other.place is not None and other.place < ask.place


@given(ACTS)
def test_no_minute_holds_more_than_its_weight_and_lanes_are_honoured(acts: list[Act]) -> None:
    async def play() -> Run:
        run = Run()
        await run.play(acts)
        await run.end()
        return run

    run = asyncio.run(play())
    check_minutes(run.asks)
    check_lanes(run.asks)
    for place, from_ms, until_ms in run.pauses:
        for ask in run.asks:
            if ask.place is not None and ask.through_ms is not None and ask.place >= place:
                short_ms = min(until_ms, from_ms + EMERGENCY_PAUSE_MS)
                end_ms = short_ms if ask.lane <= Lane.CANCELS else until_ms
                assert not from_ms <= ask.through_ms < end_ms


@given(ACTS)
def test_once_nobody_comes_any_more_everybody_is_served_and_nothing_is_lost(acts: list[Act]) -> None:
    async def play() -> Run:
        run = Run()
        await run.play(acts)
        await settle()
        waiting = sum(ask.through_ms is None and not ask.was_cancelled for ask in run.asks)
        for _ in range(2 * (waiting + 1)):
            await run.clock.advance_to(run.clock.now_ms() + MINUTE_MS)
        assert run.budget.waiting == 0
        assert run.budget.used == sum(
            ask.weight
            for ask in run.asks
            if ask.through_ms is not None and ask.through_ms > run.clock.now_ms() - MINUTE_MS
        )
        await run.clock.advance_to(run.clock.now_ms() + MINUTE_MS)
        whole = await run.come(Lane.EMERGENCY, PER_MINUTE)
        assert whole.through_ms is not None, "a cancelled wait keeps nothing"
        await run.end()
        return run

    run = asyncio.run(play())
    assert all(ask.through_ms is not None or ask.was_cancelled for ask in run.asks)


@given(st.sampled_from([Lane.ACCOUNT, Lane.NORMAL, Lane.BULK]), WEIGHTS, st.lists(WEIGHTS, min_size=1, max_size=4))
def test_a_read_is_served_in_time_however_many_reads_keep_coming(lane: Lane, weight: int, others: list[int]) -> None:
    async def play() -> int:
        run = Run()
        await run.come(Lane.NORMAL, PER_MINUTE - RESERVE)
        patient = await run.come(lane, weight)
        for second in range(1, 30):
            for other in others:
                if (above := Lane(max(Lane.ACCOUNT, lane - 1))) is not lane:
                    await run.come(above, other)
                await run.come(lane, other)
            await run.clock.advance_to(START_MS + second * 15_000)
            if patient.through_ms is not None:
                break
        await run.end()
        assert patient.through_ms is not None
        return patient.through_ms - patient.came_ms

    assert asyncio.run(play()) <= OVERDUE_MS + 2 * MINUTE_MS
