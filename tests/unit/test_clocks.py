"""Clocks: what time it is, how long it took, and waking up at the right moment."""

from __future__ import annotations

import asyncio
import time

from freezegun import freeze_time

from adapters.clocks import ManualClock, ScaledClock, SystemClock
from ports.clock import Clock

NOON_MS = 1_767_614_400_000  # 2026-01-05 12:00 UTC


def real_ms() -> int:
    return time.time_ns() // 1_000_000


# ── the system's clock ───────────────────────────────────────────────────────────────────────


@freeze_time("2026-01-05 12:00:00.500")
def test_the_system_clock_tells_utc_milliseconds() -> None:
    assert 0 <= SystemClock().now_ms() - (NOON_MS + 500) < 5_000


async def test_a_sleeper_on_the_system_clock_wakes_when_that_time_has_come() -> None:
    clock = SystemClock()
    until_ms = clock.now_ms() + 30
    await asyncio.wait_for(clock.sleep_until(until_ms), timeout=5)
    assert clock.now_ms() >= until_ms


def test_setting_the_system_s_time_moves_nothing() -> None:
    """A step is no time that has passed: candles would close before their end."""
    with freeze_time("2026-01-05 12:00:00") as frozen:
        clock = SystemClock()
        for moment in ("2026-01-05 18:00:00", "2026-01-01 00:00:00"):
            frozen.move_to(moment)
            assert 0 <= clock.now_ms() - NOON_MS < 5_000


async def test_a_time_that_has_passed_needs_no_sleep() -> None:
    clocks: tuple[Clock, ...] = (SystemClock(), ScaledClock(NOON_MS, real_ms(), 60), ManualClock(NOON_MS))
    for clock in clocks:
        await asyncio.wait_for(clock.sleep_until(clock.now_ms()), timeout=5)
        await asyncio.wait_for(clock.sleep_until(0), timeout=5)


def test_elapsed_time_never_goes_back() -> None:
    for clock in (SystemClock(), ScaledClock(NOON_MS, real_ms(), 60)):
        assert clock.monotonic_ms() <= clock.monotonic_ms()


# ── scaled time ──────────────────────────────────────────────────────────────────────────────


def test_scaled_time_runs_faster_from_its_start_on() -> None:
    with freeze_time("2026-03-01 08:00:00") as frozen:
        clock = ScaledClock(NOON_MS, real_ms(), 60)
        assert clock.now_ms() == NOON_MS
        frozen.tick(2.5)
        assert clock.now_ms() == NOON_MS + 150_000


def test_a_restart_finds_the_time_that_it_would_be() -> None:
    with freeze_time("2026-03-01 08:00:00") as frozen:
        started_ms = real_ms()
        before = ScaledClock(NOON_MS, started_ms, 60)
        frozen.tick(90)
        assert ScaledClock(NOON_MS, started_ms, 60).now_ms() == before.now_ms() == NOON_MS + 90 * 60_000


def test_scaled_time_does_not_start_before_its_start() -> None:
    with freeze_time("2026-03-01 08:00:00"):
        assert ScaledClock(NOON_MS, real_ms() + 5_000, 60).now_ms() == NOON_MS


async def test_a_sleeper_in_scaled_time_waits_the_shorter_real_time() -> None:
    clock = ScaledClock(NOON_MS, real_ms(), 60_000)
    wake_ms = clock.now_ms() + 600_000
    await asyncio.wait_for(clock.sleep_until(wake_ms), timeout=5)
    assert clock.now_ms() >= wake_ms


# ── time by hand ─────────────────────────────────────────────────────────────────────────────


async def test_sleepers_wake_at_their_own_time_in_order() -> None:
    clock = ManualClock(1_000)
    woken: list[tuple[str, int]] = []

    async def sleeper(name: str, at_ms: int) -> None:
        await clock.sleep_until(at_ms)
        woken.append((name, clock.now_ms()))

    async with asyncio.TaskGroup() as tasks:
        for name, at_ms in (("late", 1_300), ("early", 1_100), ("first of two", 1_200), ("second of two", 1_200)):
            tasks.create_task(sleeper(name, at_ms))
        await asyncio.sleep(0)
        await clock.advance_to(1_250)
        assert woken == [("early", 1_100), ("first of two", 1_200), ("second of two", 1_200)]
        assert clock.now_ms() == 1_250
        await clock.advance_to(2_000)
    assert woken[-1] == ("late", 1_300)


async def test_a_sleeper_may_sleep_again_before_time_moves_on() -> None:
    clock = ManualClock()
    ticks: list[int] = []

    async def ticker() -> None:
        for at_ms in range(100, 600, 100):
            await clock.sleep_until(at_ms)
            ticks.append(clock.now_ms())

    task = asyncio.create_task(ticker())
    await asyncio.sleep(0)
    await clock.advance_to(1_000)
    await task
    assert ticks == [100, 200, 300, 400, 500]


async def test_a_cancelled_sleeper_is_left_alone() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep_until(50))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await clock.advance_to(100)
    assert task.cancelled()
    assert clock.now_ms() == clock.monotonic_ms() == 100
