"""Time that passes only when nobody has anything to do: weeks of waiting take seconds, and every run is the same."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from heapq import heappop
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class JumpingLoop(asyncio.SelectorEventLoop):
    """Never waits: the time of the next timer is now."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        super().__init__(selector or _NoWaiting())
        self.now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now_s = max(self.now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class ClosedLoop(JumpingLoop):
    """Hears nothing from outside, and never asks the system whether there is anything: for millions of turns."""

    def __init__(self) -> None:
        super().__init__(_NoLooking())

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""

    def _run_once(self) -> None:
        """One turn as the base class has it, without what only waiting and looking need."""
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
            heappop(timers)._scheduled = False  # type: ignore[attr-defined]
        if timers and not ready:
            self.now_s = max(self.now_s, timers[0].when())
        due_s = self.now_s + _RESOLUTION_S
        while timers and timers[0].when() < due_s:
            timer = heappop(timers)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()


_RESOLUTION_S = 1e-9


class _NoWaiting(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(0)


class _NoLooking(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return ()


class LoopClock:
    """Market and real time are the loop's; the market's began at `start_ms`."""

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms

    def now_ms(self) -> int:
        return self._start_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    async def sleep_until(self, at_ms: int) -> None:
        await asyncio.sleep(max(0, at_ms - self.now_ms()) / 1000)


class SteppingClock:
    """The clock of a machine whose system time is set now and then.

    `system_off_ms` is how far that is off now. As the daemon's own (`adapters.clocks.SystemClock`) it looks at it once,
    at the start of a life: setting it later moves nothing.
    """

    def __init__(self, start_ms: int, loop: asyncio.AbstractEventLoop) -> None:
        self._start_ms = start_ms
        self._loop = loop
        self.system_off_ms = 0
        self._off_ms = 0

    def begin_life(self) -> None:
        self._off_ms = self.system_off_ms

    def now_ms(self) -> int:
        return self._start_ms + round(self._loop.time() * 1000) + self._off_ms

    def monotonic_ms(self) -> int:
        return round(self._loop.time() * 1000)

    async def sleep_until(self, at_ms: int) -> None:
        await asyncio.sleep(max(0, at_ms - self.now_ms()) / 1000)


class InlineExecutor(Executor):
    """Runs what it is given at once: a thread would take real time, which does not pass here."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  (the waiting side raises it)
            future.set_exception(error)
        return future


def run_jumping(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function to its end in a loop of jumping time; nothing may be left running."""
    with asyncio.Runner(loop_factory=ClosedLoop) as runner:
        runner.run(test())
        assert not asyncio.all_tasks(runner.get_loop()), "a task is left over"
