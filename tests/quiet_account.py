"""An account on which nothing happens: what tests of other things give to whoever wants one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

from domain.events import AccountSnapshot, Event, OrderLooked, OrderNamed


class QuietAccount:
    """`cash_usd` and nothing else; it knows no order."""

    def __init__(self, cash_usd: Decimal = Decimal(10_000), at_ms: int = 0) -> None:
        self.cash_usd = cash_usd
        self.at_ms = at_ms

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        return [await self.snapshot()]

    async def snapshot(self) -> AccountSnapshot:
        return AccountSnapshot(self.cash_usd, (), self.at_ms)

    async def look(self, cloid: str, since_ms: int, *, everywhere: bool) -> Sequence[Event]:
        return [OrderLooked(cloid, False, self.at_ms, everywhere)]

    async def name_order(self, symbol: str, oid: int) -> OrderNamed | None:
        return None


def ask_nobody() -> None:
    """For an effect runner whose engine never wants the account read."""
