"""What the account did while its streams were down, asked again after every reconnect."""

from __future__ import annotations

from collections.abc import Sequence

from application.engine import UnifiedEngine
from domain.events import AccountSnapshot, Event, FillArrived, FundingPaid
from ports.account import Account
from ports.clock import Clock

LOOKS = 3
"""How often the account is asked at once until its state is as new as what the streams said."""


class CatchUp:
    """Asks the account for everything since it was last asked.

    Executions older than `floor_ms` are nobody's news: the ledger has them, or they are from before it.
    """

    def __init__(self, account: Account, engine: UnifiedEngine, clock: Clock, floor_ms: int) -> None:
        self._account = account
        self._engine = engine
        self._clock = clock
        self._floor_ms = floor_ms
        self._asked_ms = floor_ms

    async def __call__(self) -> Sequence[Event]:
        """Raises `VenueUnavailable`; the next call then asks for as much again."""
        for _ in range(LOOKS):
            now_ms = self._clock.now_ms()
            live = list(self._engine.oms.all_live_orders())
            since_ms = min([each.order.sent_ms for each in live] + [self._asked_ms])
            events = await self._account.recover([each.order.request.cloid for each in live], max(1, since_ms))
            if not self._is_overtaken(events):
                break
        self._asked_ms = now_ms
        return [event for event in events if not self._is_old(event)]

    def _is_overtaken(self, events: Sequence[Event]) -> bool:
        """Whether fills have come by stream that the account's state does not know yet: ask once more."""
        states = [event.at_ms for event in events if isinstance(event, AccountSnapshot)]
        return any(at_ms < self._engine.portfolio.newest_fill_ms for at_ms in states)

    def _is_old(self, event: Event) -> bool:
        if isinstance(event, FillArrived):
            return event.fill.time_ms < self._floor_ms
        return isinstance(event, FundingPaid) and event.time_ms < self._floor_ms
