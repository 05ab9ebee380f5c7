"""A simulated venue that trades on candles: what a backtest runs against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from domain.candles import CandleBatch
from domain.events import AccountSnapshot, Event
from domain.intents import OrderRequest


class CandleExchange(Protocol):
    """Sees each candle before the engine does, in two halves: its open, then the rest of it."""

    def snapshot(self) -> AccountSnapshot: ...

    def submit(self, request: OrderRequest, sent_ms: int) -> None:
        """Put an order on its way. It meets later market events only; what becomes of it comes as events."""
        ...

    def cancel(self, symbol: str, cloid: str) -> Sequence[Event]:
        """End an order; nothing happens where it has ended already."""
        ...

    def open_candles(self, candles: CandleBatch) -> Sequence[Event]:
        """These candles open: funding of the hour is paid, then orders that are on their way execute."""
        ...

    def run_candles(self, candles: CandleBatch) -> Sequence[Event]:
        """The rest of these candles passes: triggers, resting orders, liquidation."""
        ...
