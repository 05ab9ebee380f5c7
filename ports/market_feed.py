"""Market data as it happens, and the account's own news."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from domain.events import Event


class MarketFeed(Protocol):
    """A venue's stream, already in domain words."""

    def events(self) -> AsyncIterator[Event]:
        """Yield events in the order in which they happened, without end, until cancelled.

        Fills, funding and cancellations of ours come through here too, each once or more than
        once: a reader dedupes by identity, never by count.
        """
        ...
