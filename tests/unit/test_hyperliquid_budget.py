"""`WeightBudget` and `AddressBudget` by example, on a clock moved by hand."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from adapters.clocks import ManualClock, ScaledClock
from adapters.hyperliquid.budget import (
    EMERGENCY_PAUSE_MS,
    MINUTE_MS,
    OVERDUE_MS,
    TRICKLE_MS,
    AddressBudget,
    Lane,
    Purpose,
    WeightBudget,
)

START_MS = 1_700_000_000_000


class JumpingClock(ManualClock):
    """Can be set to another time, forth and back, without waking anybody."""

    jump_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.jump_ms


class Line:
    """A budget, and who got through it in which order."""

    def __init__(self, per_minute: int = 100, reserve: int = 30) -> None:
        self.clock = JumpingClock(START_MS)
        self.budget = WeightBudget(self.clock, per_minute, reserve)
        self.through: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def join(self, name: str, weight: int, lane: Lane = Lane.NORMAL) -> None:
        async def wait() -> None:
            await self.budget.take(weight, lane)
            self.through.append(name)

        self.tasks[name] = asyncio.create_task(wait())
        await turns()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.tasks[name]

    async def pass_ms(self, ms: int) -> None:
        await self.clock.advance_to(self.clock.now_ms() + ms)
        await turns()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_fits_goes_at_once_and_the_rest_waits_for_the_first_to_be_a_minute_old() -> None:
    line = Line()
    await line.join("a", 40)
    await line.pass_ms(10_000)
    await line.join("b", 30)
    await line.join("c", 1)
    assert line.through == ["a", "b"]
    await line.pass_ms(49_999)
    assert line.through == ["a", "b"]
    await line.pass_ms(1)
    assert line.through == ["a", "b", "c"]
    assert line.budget.used == 31


async def test_the_reserve_is_for_emergencies_only() -> None:
    line = Line(per_minute=100, reserve=30)
    await line.join("read", 70)
    await line.join("order", 1, Lane.ORDERS)
    await line.join("cancel", 30, Lane.EMERGENCY)
    await line.join("another cancel", 1, Lane.EMERGENCY)
    assert line.through == ["read", "cancel"]
    await line.pass_ms(MINUTE_MS)
    assert line.through == ["read", "cancel", "another cancel", "order"]


async def test_lanes_come_in_their_order_and_each_one_first_come_first_served() -> None:
    line = Line()
    await line.join("full", 100, Lane.EMERGENCY)
    for number in (1, 2):
        for lane in reversed(Lane):
            await line.join(f"{lane.name}{number}", 4, lane)
    await line.pass_ms(MINUTE_MS)
    assert line.through[1:] == [f"{lane.name}{number}" for lane in Lane for number in (1, 2)]


async def test_who_comes_last_does_not_overtake_those_let_through_together_with_it() -> None:
    line = Line()
    await line.join("full", 70)
    await line.join("first", 1)
    line.clock.jump_ms = MINUTE_MS  # the timer has not told anybody yet
    await line.join("last", 1)
    assert line.through == ["full", "first", "last"]


async def test_a_large_request_is_not_overtaken_by_small_ones_behind_it() -> None:
    line = Line()
    await line.join("full", 60)
    await line.join("large", 70)
    await line.join("small", 1)
    assert line.through == ["full"]
    await line.pass_ms(MINUTE_MS)
    assert line.through == ["full", "large"]
    await line.pass_ms(MINUTE_MS)
    assert line.through == ["full", "large", "small"]


async def test_a_lane_that_gets_nothing_for_long_has_its_turn_among_reads() -> None:
    line = Line()
    await line.join("full", 70)
    await line.join("bulk", 5, Lane.BULK)
    await line.join("bulk again", 5, Lane.BULK)
    for minute in range(OVERDUE_MS // MINUTE_MS + 1):
        await line.join(f"read {minute}", 70)
        await line.pass_ms(MINUTE_MS)
    assert line.through == ["full", "read 0", "bulk", "read 1"], "one of them, and the reads go on"


async def test_orders_do_not_wait_for_a_lane_that_is_overdue() -> None:
    line = Line()
    await line.join("full", 70)
    await line.join("bulk", 70, Lane.BULK)
    for minute in range(4):
        await line.join(f"order {minute}", 70, Lane.ORDERS)
        await line.pass_ms(MINUTE_MS)
    assert line.through == ["full", "order 0", "order 1", "order 2", "order 3"]


async def test_a_cancelled_wait_spends_nothing_and_lets_the_next_go() -> None:
    line = Line()
    await line.join("full", 60)
    await line.join("large", 70)
    await line.join("small", 10)
    await line.cancel("large")
    await turns()
    assert line.through == ["full", "small"]
    assert line.budget.waiting == 0
    assert line.budget.used == 70


async def test_who_is_cancelled_between_being_let_through_and_hearing_of_it_gives_it_back() -> None:
    line = Line()
    await line.join("full", 60)
    await line.join("front", 70)
    await line.join("behind", 10)
    line.tasks["front"].cancel()
    await asyncio.sleep(0)  # the front left the line, and `behind` was let through in its place
    assert line.budget.used == 70
    line.tasks["behind"].cancel()
    await turns()
    assert line.through == ["full"]
    assert line.budget.used == 60
    await line.join("next", 10)
    assert line.through == ["full", "next"]
    await line.pass_ms(MINUTE_MS)
    assert line.budget.used == 0


async def test_two_who_are_cancelled_at_once_take_nothing_with_them() -> None:
    line = Line()
    await line.join("full", 60)
    await line.join("front", 70)
    await line.join("second", 10)
    await line.join("third", 10)
    line.tasks["front"].cancel()
    line.tasks["second"].cancel()
    await turns()
    assert line.through == ["full", "third"]
    assert line.tasks["front"].cancelled() and line.tasks["second"].cancelled()
    assert line.budget.used == 70


async def test_an_emergency_does_not_wait_until_the_read_before_it_would_have_room() -> None:
    line = Line(per_minute=100, reserve=30)
    await line.join("full", 70)
    await line.pass_ms(30_000)
    await line.join("cancels", 30, Lane.EMERGENCY)
    await line.join("read", 70)
    await line.join("cancel", 10, Lane.EMERGENCY)
    await line.pass_ms(30_000)
    assert line.through == ["full", "cancels", "cancel"]


async def test_after_a_pause_the_line_goes_on_in_its_order() -> None:
    line = Line()
    line.budget.pause(10_000)
    line.budget.pause(5_000)
    await line.join("read", 1)
    await line.join("order", 1, Lane.ORDERS)
    await line.pass_ms(9_999)
    assert line.through == []
    await line.pass_ms(1)
    assert line.through == ["order", "read"]


async def test_an_emergency_hardly_waits_for_a_pause() -> None:
    line = Line()
    line.budget.pause(10_000)
    await line.join("order", 1, Lane.ORDERS)
    await line.join("exit", 1, Lane.EMERGENCY)
    await line.pass_ms(EMERGENCY_PAUSE_MS - 1)
    assert line.through == []
    await line.pass_ms(1)
    assert line.through == ["exit"]
    await line.join("cancel", 1, Lane.EMERGENCY)
    assert line.through == ["exit", "cancel"], "the rest of the pause is not for it"
    line.budget.pause(10_000)
    await line.join("stop", 1, Lane.EMERGENCY)
    assert line.through == ["exit", "cancel"], "the venue said so again"
    await line.pass_ms(EMERGENCY_PAUSE_MS)
    assert line.through == ["exit", "cancel", "stop"]
    await line.pass_ms(9_999 - EMERGENCY_PAUSE_MS)
    assert "order" not in line.through
    await line.pass_ms(1)
    assert line.through[-1] == "order"


async def test_an_emergency_waits_no_longer_than_a_short_pause_and_not_for_one_that_is_over() -> None:
    line = Line()
    line.budget.pause(100)
    await line.join("exit", 1, Lane.EMERGENCY)
    await line.pass_ms(99)
    assert line.through == []
    await line.pass_ms(1)
    assert line.through == ["exit"]
    line.clock.jump_ms = -3_600_000  # as if the pause had been an hour from now
    await line.join("cancel", 1, Lane.EMERGENCY)
    assert line.through == ["exit", "cancel"]


async def test_a_clock_that_is_set_back_costs_nobody_an_hour() -> None:
    line = Line()
    await line.join("full", 70)
    await line.pass_ms(30_000)
    await line.join("next", 70)
    line.clock.jump_ms = -3_600_000
    assert line.budget.used == 70, "what was spent half a minute ago still counts"
    line.clock.jump_ms += 29_999
    await asyncio.sleep(1.1)
    assert line.through == ["full"]
    line.clock.jump_ms += 1
    await asyncio.wait_for(line.tasks["next"], 3)


async def test_minutes_are_the_markets() -> None:
    budget = WeightBudget(ScaledClock(START_MS, START_MS, 600.0), 100, 30)
    async with asyncio.timeout(5):
        for _ in range(5):
            await budget.take(70)


async def test_more_than_a_minute_holds_is_our_mistake() -> None:
    budget = WeightBudget(ManualClock(START_MS), 100, 30)
    with pytest.raises(AssertionError):
        await budget.take(71)
    await budget.take(100, Lane.EMERGENCY)


# ── per address ──────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_refused_before_the_venue_was_asked() -> None:
    budget = AddressBudget()
    budget.spend(50_000, START_MS)
    assert budget.left is None
    assert all(budget.refusal(purpose, 100, START_MS) is None for purpose in Purpose)


def test_entries_are_refused_before_exits_and_exits_before_cancels() -> None:
    budget = AddressBudget(exit_requests=200)
    refused: list[set[Purpose]] = []
    for used in (9_799, 9_800, 9_999, 10_000, 20_000):
        budget.told(used, 10_000)
        budget.spend(0, START_MS)
        refused.append({purpose for purpose in Purpose if budget.refusal(purpose, 1, START_MS) is not None})
    entry, exit_, cancel = Purpose.ENTRY, Purpose.EXIT, Purpose.CANCEL
    assert refused == [set(), {entry}, {entry}, {entry, exit_}, {entry, exit_, cancel}]


def test_an_exhausted_address_sends_one_exit_at_a_time() -> None:
    budget = AddressBudget()
    budget.told(10_000, 10_000)
    assert budget.refusal(Purpose.EXIT, 1, START_MS) is None, "nothing was sent yet as far as we know"
    budget.spend(1, START_MS)
    assert budget.refusal(Purpose.EXIT, 1, START_MS + TRICKLE_MS - 1) is not None
    assert budget.refusal(Purpose.EXIT, 1, START_MS + TRICKLE_MS) is None
    assert budget.refusal(Purpose.ENTRY, 1, START_MS + TRICKLE_MS) is not None


def test_what_was_sent_and_bought_counts() -> None:
    budget = AddressBudget(exit_requests=10)
    budget.told(used=231, cap=300, surplus=31)
    assert budget.left == 100
    budget.spend(90, START_MS)
    assert budget.left == 10
    text = budget.refusal(Purpose.ENTRY, 1, START_MS)
    assert text == "the address has 10 requests left, 10 of them for exits: no room for 1 (entry)"
    budget.told(used=231, cap=500)
    assert budget.left == 269


async def test_weight_that_is_given_back_lets_others_through() -> None:
    line = Line()
    await line.join("lost", 70)
    await line.join("next", 30)
    assert line.through == ["lost"]

    line.budget.give_back(70)
    await turns()
    assert line.through == ["lost", "next"]
    assert (line.budget.used, line.budget.spent) == (30, 30)
    await line.pass_ms(MINUTE_MS)
    assert line.budget.used == 0


async def test_the_oldest_weight_is_given_back_so_that_the_rest_counts_longer() -> None:
    line = Line()
    await line.join("early", 20)
    await line.pass_ms(MINUTE_MS // 2)
    await line.join("late", 20)
    line.budget.give_back(20)
    await line.pass_ms(MINUTE_MS // 2)
    assert line.budget.used == 20
