"""A simulated venue that trades on recorded prices: what a what-if runs against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from domain.events import AccountSnapshot, Event, Quotes
from domain.intents import OrderRequest


class PaperExchange(Protocol):
    """Sees the market before the engine does. One account, which nobody else knows."""

    def snapshot(self) -> AccountSnapshot: ...

    def submit(self, request: OrderRequest, sent_ms: int) -> None:
        """Put an order on its way. It meets later market events only; what becomes of it comes as events."""
        ...

    def cancel(self, symbol: str, cloid: str) -> Sequence[Event]:
        """End an order; nothing happens where it has ended already."""
        ...

    def on_quotes(self, quotes: Quotes) -> Sequence[Event]:
        """Best prices moved; returns what that did to the account."""
        ...
