"""The inbox: every event waits here until the engine takes it, one at a time.

Four lanes, taken in this order: the account's news, the operator's, time, the market. Account
news is never dropped. Market data conflates when the engine is behind: of quotes and running
candles only the newest per kind and candle matters, and a timer that has fired twice has fired.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from domain.config_events import OverridesText
from domain.events import CandleUpdates, Event, Quotes, TimerFired

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

    def __init__(self) -> None:
        self._account: deque[Event] = deque()
        self._operator: deque[Event] = deque()
        self._timer: TimerFired | None = None
        self._market: deque[Event] = deque()
        self._filled = asyncio.Event()
        self.counts = InboxCounts()

    def put(self, event: Event) -> None:
        """Add an event to the lane of its kind. Never waits."""
        match event:
            case Quotes() | CandleUpdates():
                self._put_market(event)
            case TimerFired():
                self._timer = event
            case OverridesText():
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
        elif self._timer is not None:
            event, self._timer = self._timer, None
        elif self._market:
            event = self._market.popleft()
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

    def _put_market(self, event: Quotes | CandleUpdates) -> None:
        if len(self._market) >= MARKET_LANE_LIMIT:
            self._conflate(event)
        self._market.append(event)

    def _conflate(self, newest: Quotes | CandleUpdates) -> None:
        """Drop the oldest event that the newest says anew: the same symbols, and the same candle if it is one."""
        for waiting in self._market:
            if _supersedes(newest, waiting):
                self._market.remove(waiting)
                self.counts.conflated += 1
                return


def _supersedes(newest: Quotes | CandleUpdates, waiting: Event) -> bool:
    if isinstance(newest, Quotes) and isinstance(waiting, Quotes):
        return newest.ids is waiting.ids or newest.ids.tolist() == waiting.ids.tolist()
    if isinstance(newest, CandleUpdates) and isinstance(waiting, CandleUpdates):
        new, old = newest.candles, waiting.candles
        return new.open_ms == old.open_ms and (new.ids is old.ids or new.ids.tolist() == old.ids.tolist())
    return False
