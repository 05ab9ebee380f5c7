"""What the account did while its streams were down, asked again after every reconnect."""

from __future__ import annotations

from collections.abc import Sequence

from application.live_oms import LiveOms
from domain.events import Event, FillArrived, FundingPaid
from ports.account import Account
from ports.clock import Clock


class CatchUp:
    """Asks the account for everything since it was last asked.

    Executions older than `floor_ms` are nobody's news: the ledger has them, or they are from before it.
    """

    def __init__(self, account: Account, oms: LiveOms, clock: Clock, floor_ms: int) -> None:
        self._account = account
        self._oms = oms
        self._clock = clock
        self._floor_ms = floor_ms
        self._asked_ms = floor_ms

    async def __call__(self) -> Sequence[Event]:
        """Raises `VenueUnavailable`; the next call then asks for as much again."""
        now_ms = self._clock.now_ms()
        live = list(self._oms.all_live_orders())
        since_ms = min([each.order.sent_ms for each in live] + [self._asked_ms])
        events = await self._account.recover([each.order.request.cloid for each in live], max(1, since_ms))
        self._asked_ms = now_ms
        return [event for event in events if not self._is_old(event)]

    def _is_old(self, event: Event) -> bool:
        if isinstance(event, FillArrived):
            return event.fill.time_ms < self._floor_ms
        return isinstance(event, FundingPaid) and event.time_ms < self._floor_ms
