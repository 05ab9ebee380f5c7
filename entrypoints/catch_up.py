"""What the account did while nobody listened, asked again after every reconnect and when something does not fit."""

from __future__ import annotations

from collections.abc import Sequence

from application.engine import UnifiedEngine
from domain.events import AccountSnapshot, Event
from ports.account import Account

LOOKS = 3
"""How often the account is asked at once until its state is as new as what the streams said."""


class CatchUp:
    """Asks the account for everything since it was last read completely."""

    def __init__(self, account: Account, engine: UnifiedEngine) -> None:
        self._account = account
        self._engine = engine

    async def __call__(self) -> Sequence[Event]:
        """Raises `VenueUnavailable`; the next call then asks for as much again."""
        events: Sequence[Event] = ()
        for _ in range(LOOKS):
            live = list(self._engine.oms.all_live_orders())
            read_ms = self._engine.reconciliation.read_until_ms
            since_ms = min([each.order.sent_ms for each in live] + [read_ms])
            events = await self._account.recover([each.order.request.cloid for each in live], max(1, since_ms))
            if not self._is_overtaken(events):
                break
        return events

    def _is_overtaken(self, events: Sequence[Event]) -> bool:
        """Whether fills have come by stream that the account's state does not know yet: ask once more."""
        states = [event.at_ms for event in events if isinstance(event, AccountSnapshot)]
        return any(at_ms < self._engine.portfolio.newest_fill_ms for at_ms in states)
