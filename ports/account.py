"""What the venue knows of our account."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.events import Event


class Account(Protocol):
    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        """Tell everything that happened to the account since we last listened.

        Fills and funding from `fills_since_ms` on (some may be known already, earlier ones may come
        along), then what is known of the orders of `live_cloids`: the end of every one that is no
        longer alive. An `AccountSnapshot` last. With `fills_since_ms` 0 nothing was ever booked, and
        nothing of ours can be waiting: what the account did before is its owner's own, and a venue
        may keep it to itself.

        All of it or nothing: raises `VenueUnavailable` when the venue cannot say, or says what cannot be read. An
        empty answer means that there was nothing.
        """
        ...
