"""Clocks: the system's, one that runs faster, and one that is moved by hand."""

from __future__ import annotations

import asyncio
import heapq
import time

_LONGEST_SLEEP_S = 1.0
"""No sleep is longer: a machine that slept meanwhile is noticed this soon."""


class SystemClock:
    """The system's time as it was when this clock was made, and what has passed since: setting it moves nothing.

    A step of the system's clock is no time that has passed: candles would close before their end, limits a minute would
    forget, waits would end or never end. How far the clock is off the venue's is learned from the venue. Time that the
    machine slept has passed all the same.
    """

    def __init__(self) -> None:
        self._made_ns = time.time_ns() - _passed_ns()

    def now_ms(self) -> int:
        return (self._made_ns + _passed_ns()) // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    async def sleep_until(self, at_ms: int) -> None:
        while (left_ms := at_ms - self.now_ms()) > 0:  # noqa: ASYNC110  (time is what is waited for)
            await asyncio.sleep(min(left_ms / 1000, _LONGEST_SLEEP_S))


def _passed_ns() -> int:
    """Real time since some start, a machine's sleep included where the system tells it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()


class ScaledClock:
    """Simulated time that runs `scale` times as fast as real time, from `start_ms` on.

    `real_start_ms` is the real moment (UTC epoch ms) at which simulated time was `start_ms`: kept
    on disk, the pair lets a restart find the time that it would be. From its making on the clock
    follows the monotonic clock, so that setting the system's time moves nothing.
    """

    def __init__(self, start_ms: int, real_start_ms: int, scale: float) -> None:
        assert scale > 0, "time goes forward"
        self.scale = scale
        passed_ms = max(0, time.time_ns() // 1_000_000 - real_start_ms)
        self._start_ms = start_ms + int(passed_ms * scale)
        self._made_ns = time.monotonic_ns()

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic_ns() - self._made_ns) * self.scale) // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    async def sleep_until(self, at_ms: int) -> None:
        while (left_ms := at_ms - self.now_ms()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left_ms / 1000 / self.scale, _LONGEST_SLEEP_S))


class ManualClock:
    """Time that stands still until somebody moves it; sleepers wake in the order of their times."""

    def __init__(self, start_ms: int = 0) -> None:
        self._now_ms = start_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._now_ms

    async def sleep_until(self, at_ms: int) -> None:
        if at_ms <= self._now_ms:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (at_ms, self._count, waiting))
        await waiting

    async def advance_to(self, at_ms: int) -> None:
        """Move time forward, stopping at every sleeper so that what it does happens at its own time."""
        assert at_ms >= self._now_ms, "time goes forward"
        while self._sleepers and self._sleepers[0][0] <= at_ms:
            due_ms, _, waiting = heapq.heappop(self._sleepers)
            self._now_ms = max(self._now_ms, due_ms)
            if not waiting.done():
                waiting.set_result(None)
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        self._now_ms = at_ms


_TURNS = 20
"""Turns of the loop that a woken sleeper gets before time moves on."""
