"""Asking what happened to the account, each time there is a reason to, until there is an answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.events import Event
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable


@dataclass(slots=True)
class CatchUpCounts:
    done: int = 0
    failed: int = 0


class CatchUpReader(Protocol):
    """Whoever wants to know what comes of it. Called in the event loop; never waits."""

    def caught_up(self, events: Sequence[Event]) -> None: ...

    def not_caught_up(self, why: str) -> None: ...


class CatchUp:
    """`ask` tells what happened since it was asked last; it may raise `VenueUnavailable`. Times are real."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[Sequence[Event]]],
        reader: CatchUpReader,
        clock: Clock,
        chance: random.Random,
        *,
        first_ms: int,
        max_ms: int,
        gap_ms: int,
    ) -> None:
        """After a failure it waits `first_ms`, then longer and longer up to `max_ms`."""
        self.counts = CatchUpCounts()
        self._ask = ask
        self._reader = reader
        self._clock = clock
        self._chance = chance
        self._first_ms, self._max_ms, self._gap_ms = first_ms, max_ms, gap_ms
        self._asked = asyncio.Event()
        self._asked_ms = -gap_ms
        self._timer: asyncio.TimerHandle | None = None

    def ask_now(self) -> None:
        """Ask: the account's streams have begun anew, and nothing says what they missed."""
        self._asked.set()

    def ask_soon(self) -> None:
        """Ask for a reason other than a reconnect: not more often than the gap allows."""
        if self._asked.is_set():
            return
        wait_ms = self._asked_ms + self._gap_ms - self._clock.monotonic_ms()
        if wait_ms <= 0:
            self._asked.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._timed)

    def _timed(self) -> None:
        self._timer = None
        self._asked.set()

    async def follow(self) -> None:
        """Ask whenever there is a reason to, for ever."""
        try:
            while True:
                await self._asked.wait()
                self._reader.caught_up(await self._answer())
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def _answer(self) -> Sequence[Event]:
        wait_ms = self._first_ms
        while True:
            self._asked.clear()
            self._asked_ms = self._clock.monotonic_ms()
            try:
                events = await self._ask()
            except VenueUnavailable as e:
                self.counts.failed += 1
                self._reader.not_caught_up(str(e))
            else:
                self.counts.done += 1
                return events
            await asyncio.sleep(wait_ms * (1 + self._chance.random() / 2) / 1000)
            wait_ms = min(self._max_ms, 2 * wait_ms)
