"""AccountWatch: asks how the account stands, from time to time and when the engine wants to know.

A look (positions, cash, open orders) is cheap and comes every minute; everything that happened is read when something
does not fit, and every ten minutes anyway. While nobody can say for long, entries are held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from domain.events import EntriesHeld, Event
from ports.account import Account
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

EVERY_S = 60.0
"""Real time between looks."""

WHOLE_EVERY = 10
"""Every so many looks all is read."""

GAP_S = 5.0
"""Between a reading that was asked for and the next one."""

PATIENCE_MS = 180_000
"""Nobody has said for so long (real time) how the account stands: no entries."""

SOURCE = "account"


class AccountWatch:
    def __init__(
        self,
        account: Account,
        read_all: Callable[[], Awaitable[Sequence[Event]]],
        clock: Clock,
        every_s: float = EVERY_S,
    ) -> None:
        """`read_all` tells everything that happened since it was asked last. It may raise `VenueUnavailable`."""
        self._account = account
        self._read_all = read_all
        self._clock = clock
        self._every_s = every_s
        self._asked = asyncio.Event()
        self._is_holding = False
        self.heard_ms: int | None = None
        """When (real time) somebody last said how the account stands; None before this watch began."""

    def ask(self) -> None:
        """Have everything read soon."""
        self._asked.set()

    async def keep(self, put: Callable[[Event], None]) -> None:
        """Long-lived: look, and put what is told into the inbox."""
        looks = 0
        self.heard_ms = heard_ms = self._clock.monotonic_ms()
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._asked.wait()
            except TimeoutError:
                looks += 1
            reads_all = self._asked.is_set() or looks % WHOLE_EVERY == 0
            self._asked.clear()
            try:
                events = await self._read_all() if reads_all else [await self._account.snapshot()]
            except VenueUnavailable as error:
                if reads_all:
                    self._asked.set()
                self._hold(put, heard_ms, str(error))
            else:
                self.heard_ms = heard_ms = self._clock.monotonic_ms()
                for event in events:
                    put(event)
                self._lift(put)
            if self._asked.is_set() or reads_all:
                await asyncio.sleep(GAP_S)

    def _hold(self, put: Callable[[Event], None], heard_ms: int, why: str) -> None:
        silent_ms = self._clock.monotonic_ms() - heard_ms
        if silent_ms >= PATIENCE_MS and not self._is_holding:
            self._is_holding = True
            put(EntriesHeld(SOURCE, f"for {silent_ms // 1000} s nobody has said how it stands: {why}"))

    def _lift(self, put: Callable[[Event], None]) -> None:
        if self._is_holding:
            self._is_holding = False
            put(EntriesHeld(SOURCE, ""))
