"""What the venue knows of our account."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.events import AccountSnapshot, Event, OrderNamed


class Account(Protocol):
    """Every question is answered wholly or not at all: `VenueUnavailable` when the venue cannot say, or says what
    cannot be read. An empty answer means that there was nothing."""

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        """Tell everything that happened to the account since we last listened.

        Fills, funding and flows of cash from `fills_since_ms` on (some may be known already, earlier ones may come
        along; of flows exactly those that are in the snapshot's cash), then what is known of the orders of
        `live_cloids`: the end of every one that is no longer alive. An `AccountSnapshot` last, with resting orders.
        With `fills_since_ms` 0 nothing was ever booked,
        and what the account did before now is its owner's own.
        """
        ...

    async def snapshot(self) -> AccountSnapshot:
        """How the account stands, resting orders included, without what led to it."""
        ...

    async def look(self, cloid: str, since_ms: int, *, everywhere: bool) -> Sequence[Event]:
        """What the venue knows of one order; `OrderLooked` last.

        By its id; `everywhere`: among open orders too, and in fills from `since_ms` on, which are told.
        """
        ...

    async def name_order(self, symbol: str, oid: int) -> OrderNamed | None:
        """Whose the order of an oid is; None when the venue does not know it (any more)."""
        ...
