"""The inbox: every event waits here until the engine takes it, one at a time.

Three lanes, taken in this order: the account's news, the operator's, the market's. Account news is never dropped.
Quotes and running candles conflate when the engine is behind: only the newest per kind and candle matters. Time passes
in the market's lane, and what is answered about the market stands there too: whatever says that a candle has closed
must not overtake what was heard of that candle before. A timer that has fired twice has fired.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from domain.config_events import OverridesText
from domain.events import (
    CandlesChecked,
    CandleStreams,
    CandleUpdates,
    Event,
    HistoryLoaded,
    MidsChecked,
    OperatorSpoke,
    Quotes,
    TimerFired,
    VenueTime,
    VolumesHeard,
)

MARKET_LANE_LIMIT = 256
"""Market events that may wait before older ones give way to newer ones of the same kind."""


@dataclass(slots=True)
class InboxCounts:
    """What went through since the start; `conflated` market events gave way to newer ones."""

    taken: int = 0
    conflated: int = 0
    account_waiting_max: int = 0


class Inbox:
    """One reader (the engine's task), any number of writers on the same loop."""

    def __init__(self, on_dropped: Callable[[Event], None] = lambda _: None) -> None:
        """`on_dropped` hears of each event that gave way to a newer one."""
        self._on_dropped = on_dropped
        self._account: deque[Event] = deque()
        self._operator: deque[Event] = deque()
        self._timer_waits = False
        self._market: deque[Event] = deque()
        self._filled = asyncio.Event()
        self.counts = InboxCounts()

    @property
    def waiting(self) -> dict[str, int]:
        """Events that nobody has taken yet, by lane."""
        return {"account": len(self._account), "operator": len(self._operator), "market": len(self._market)}

    def put(self, event: Event) -> None:
        """Add an event to the lane of its kind. Never waits."""
        match event:
            case Quotes() | CandleUpdates():
                self._put_data(event)
            case TimerFired():
                if not self._timer_waits:
                    self._timer_waits = True
                    self._market.append(event)
            case CandleStreams() | HistoryLoaded() | CandlesChecked() | MidsChecked() | VolumesHeard() | VenueTime():
                self._market.append(event)
            case OverridesText() | OperatorSpoke():
                self._operator.append(event)
            case _:
                self._account.append(event)
                self.counts.account_waiting_max = max(self.counts.account_waiting_max, len(self._account))
        self._filled.set()

    def take(self) -> Event | None:
        """The next event by lane, None when all lanes are empty."""
        event: Event | None
        if self._account:
            event = self._account.popleft()
        elif self._operator:
            event = self._operator.popleft()
        elif self._market:
            event = self._market.popleft()
            if type(event) is TimerFired:
                self._timer_waits = False
        else:
            self._filled.clear()
            return None
        self.counts.taken += 1
        return event

    async def wait(self) -> None:
        """Return once there is something to take."""
        await self._filled.wait()

    def wake(self) -> None:
        """Let a waiting reader look again though nothing came."""
        self._filled.set()

    def _put_data(self, event: Quotes | CandleUpdates) -> None:
        if len(self._market) >= MARKET_LANE_LIMIT:
            self._conflate(event)
        self._market.append(event)

    def _conflate(self, newest: Quotes | CandleUpdates) -> None:
        """Drop the oldest event that the newest says anew: the same symbols, and the same candle if it is one."""
        for waiting in self._market:
            if _supersedes(newest, waiting):
                self._market.remove(waiting)
                self._on_dropped(waiting)
                self.counts.conflated += 1
                return


def _supersedes(newest: Quotes | CandleUpdates, waiting: Event) -> bool:
    if isinstance(newest, Quotes) and isinstance(waiting, Quotes):
        return newest.ids is waiting.ids or newest.ids.tolist() == waiting.ids.tolist()
    if isinstance(newest, CandleUpdates) and isinstance(waiting, CandleUpdates):
        new, old = newest.candles, waiting.candles
        return new.open_ms == old.open_ms and (new.ids is old.ids or new.ids.tolist() == old.ids.tolist())
    return False
