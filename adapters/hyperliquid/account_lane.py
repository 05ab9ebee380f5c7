"""What the account's streams say, as events: nothing of it is ever dropped, and nothing about others gets through.

Its streams have no replay. After each (re)connect the account is asked what happened meanwhile; the same when they say
something that cannot be read, for it may have been a fill. Of a snapshot only what is newer than the start is told: it
reaches back thousands of fills, and what happened before is the catch-up's to say.
"""

from __future__ import annotations

from typing import Protocol

from adapters.hyperliquid.account_events import fill_events, funding_events, order_event
from adapters.hyperliquid.heard import (
    FillsHeard,
    FundingsHeard,
    LedgerHeard,
    OrderUpdatesHeard,
    StatusKind,
    UserEventsHeard,
)
from domain.events import Event

ACCOUNT_CHANNELS = frozenset(("orderUpdates", "userFills", "user", "userFundings", "userNonFundingLedgerUpdates"))

AccountHeard = FillsHeard | FundingsHeard | LedgerHeard | OrderUpdatesHeard | UserEventsHeard


class AccountListener(Protocol):
    """Whoever has to act on what the account's streams say. Never waits."""

    def tell(self, code: str, text: str) -> None: ...

    def ask_soon(self) -> None:
        """The account has to be asked what happened."""
        ...

    def foreign(self, where: str, raw: str) -> None:
        """A frame about somebody else's account."""
        ...


class AccountLane:
    """`user` is in lower case. `started_ms` is the feed's start."""

    def __init__(self, user: str | None, listener: AccountListener) -> None:
        self.started_ms = 0
        self._user = user
        self._listener = listener

    def events_of(self, heard: AccountHeard, raw: str, *, is_backlog: bool) -> list[Event]:
        """Turn one frame into events."""
        since_ms = self.started_ms if is_backlog else 0
        events: list[Event] = []
        match heard:
            case FillsHeard(fills=fills):
                if self._is_ours(heard.user, "userFills", raw):
                    events += fill_events(fills, since_ms)
            case FundingsHeard(fundings=fundings):
                if self._is_ours(heard.user, "userFundings", raw):
                    events += funding_events(fundings, since_ms)
            case LedgerHeard(rows=rows):
                if self._is_ours(heard.user, "userNonFundingLedgerUpdates", raw) and rows and not is_backlog:
                    self._listener.ask_soon()  # money came or went: only the account knows what it has now
            case OrderUpdatesHeard():
                events += self._of_orders(heard)
            case UserEventsHeard(fills=fills, fundings=fundings):
                events += fill_events(fills)
                events += funding_events(fundings)
                if any(each.liquidated_user == self._user for each in heard.liquidations):
                    self._listener.tell("liquidated", "the venue has liquidated a position of the account")
                if heard.canceled or heard.liquidations:
                    self._listener.ask_soon()
        return events

    def _of_orders(self, heard: OrderUpdatesHeard) -> list[Event]:
        events = []
        for update in heard.updates:
            if update.kind is StatusKind.ASK_AGAIN and update.status != "triggered":
                self._listener.ask_soon()
            event = order_event(update)
            if event is not None:
                events.append(event)
        return events

    def _is_ours(self, user: str, where: str, raw: str) -> bool:
        if user.lower() == self._user:
            return True
        self._listener.foreign(where, raw)
        return False
