"""What the venue knows of our account."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.events import Event


class Account(Protocol):
    async def recover(self, live_cloids: Collection[str]) -> Sequence[Event]:
        """Tell everything that happened to the account since we last listened.

        Fills and funding first (some may be known already), then the end of every order of
        `live_cloids` that is no longer alive, and an `AccountSnapshot` last. Raises
        `VenueUnavailable` when the venue cannot say: an empty answer means that there was nothing.
        """
        ...
