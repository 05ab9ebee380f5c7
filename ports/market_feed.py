"""Market data as it happens, and the account's own news."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
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

    def watch(self, symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
        """Stream quotes and candles of `symbols`, and candles of the exit interval of `exit_symbols`, and nothing else.

        Replaces what was asked for before; may be called at any time, also before `events`. Every one of them is a
        symbol of the session's universe. Which candle streams run is told by `CandleStreams` events.
        """
        ...
