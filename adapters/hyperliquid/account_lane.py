"""News of the account on their way to the reader: nothing of it is ever dropped, and nothing about others gets through.

Its streams have no replay. After each (re)connect the account is asked what happened meanwhile; the same when they say
something that cannot be read, for it may have been a fill. Of a snapshot only what is newer than the start is told: it
reaches back thousands of fills, and what happened before is the catch-up's to say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from adapters.hyperliquid.account_events import fill_events, funding_events, order_event
from adapters.hyperliquid.feed_counts import FeedCounts
from adapters.hyperliquid.heard import (
    FillsHeard,
    FundingsHeard,
    LedgerHeard,
    OrderUpdatesHeard,
    StatusKind,
    UserEventsHeard,
)
from adapters.hyperliquid.key_watch import Sentinel
from domain.events import Event
from ports.alerts import Alerts

ACCOUNT_CHANNELS = frozenset(("orderUpdates", "userFills", "user", "userFundings", "userNonFundingLedgerUpdates"))

AccountHeard = FillsHeard | FundingsHeard | LedgerHeard | OrderUpdatesHeard | UserEventsHeard


class AccountLane:
    """`waiting` are the events that nobody has read yet; `wake` is called when there are new ones.

    `user` is in lower case. `ask_soon` has the account asked what happened. `started_ms` is the feed's start.
    """

    def __init__(
        self,
        user: str | None,
        sentinel: Sentinel,
        alerts: Alerts,
        counts: FeedCounts,
        ask_soon: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self.waiting: deque[Event] = deque()
        self.started_ms = 0
        self._user = user
        self._sentinel = sentinel
        self._alerts = alerts
        self._counts = counts
        self._ask_soon = ask_soon
        self._wake = wake

    def put(self, events: Sequence[Event]) -> None:
        if events:
            self.waiting += events
            self._counts.account_events += len(events)
            self._counts.account_waiting_max = max(self._counts.account_waiting_max, len(self.waiting))
            self._wake()

    def take(self, heard: AccountHeard, raw: str, *, is_backlog: bool) -> None:
        """Turn one frame into events."""
        since_ms = self.started_ms if is_backlog else 0
        match heard:
            case FillsHeard(fills=fills):
                if self._is_ours(heard.user, "userFills", raw):
                    self.put(fill_events(fills, since_ms))
            case FundingsHeard(fundings=fundings):
                if self._is_ours(heard.user, "userFundings", raw):
                    self.put(funding_events(fundings, since_ms))
            case LedgerHeard(rows=rows):
                if self._is_ours(heard.user, "userNonFundingLedgerUpdates", raw) and rows and not is_backlog:
                    self._ask_soon()  # money came or went: only the account knows what it has now
            case OrderUpdatesHeard():
                self._take_orders(heard)
            case UserEventsHeard(fills=fills, fundings=fundings):
                self.put(fill_events(fills))
                self.put(funding_events(fundings))
                if any(each.liquidated_user == self._user for each in heard.liquidations):
                    self._alerts.send("liquidated", "the venue has liquidated a position of the account")
                if heard.canceled or heard.liquidations:
                    self._ask_soon()

    def _take_orders(self, heard: OrderUpdatesHeard) -> None:
        events = []
        for update in heard.updates:
            if update.kind is StatusKind.ASK_AGAIN and update.status != "triggered":
                self._ask_soon()
            event = order_event(update)
            if event is not None:
                events.append(event)
        self.put(events)

    def _is_ours(self, user: str, where: str, raw: str) -> bool:
        if user.lower() == self._user:
            return True
        self._counts.foreign_users += 1
        self._sentinel.note(where, raw, "about another user")
        return False
