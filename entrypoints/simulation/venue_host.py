"""The local venue's core on the loop's time: it lives when something is due, and what leaves it goes to the network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from adapters.sim.venue.outputs import Output
from adapters.sim.venue.venue import Venue


class VenueHost:
    """`deliver` gets everything that the venue sends, at the moment at which it leaves."""

    def __init__(self, venue: Venue, start_ms: int, loop: asyncio.AbstractEventLoop) -> None:
        self.venue = venue
        self.deliver: Callable[[Output], None] = lambda _: None
        self._start_ms = start_ms
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._stands_until_ms = 0

    @property
    def now_ms(self) -> int:
        """True time, by which the venue lives."""
        return self._start_ms + round(self._loop.time() * 1000)

    def at(self, at_ms: int, act: Callable[..., None], *arguments: object) -> asyncio.TimerHandle:
        """Do something at a moment of true time."""
        return self._loop.call_at((at_ms - self._start_ms) / 1000, act, *arguments)

    def live(self) -> Venue:
        """The venue as of now; call `told` after doing something to it."""
        self.venue.advance(self.now_ms)
        return self.venue

    def told(self) -> None:
        """Send what it has to say, and look when it is due next."""
        for output in self.venue.take_output():
            self.deliver(output)
        due_ms = max(self.venue.next_due_ms(), self.now_ms)
        if self._timer is None or due_ms != self._timer_ms:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_ms = due_ms
            self._timer = self.at(due_ms, self._due)

    def _due(self) -> None:
        self._timer = None
        self.live()
        self.told()
