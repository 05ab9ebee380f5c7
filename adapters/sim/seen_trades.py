"""Which public trades have been heard: the first frame after a subscription is a backlog, and none counts twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.market import PublicTrade

TRADES_KEPT = 500
"""Trades of one symbol that are remembered by name: far more than a backlog has."""


@dataclass(slots=True)
class SeenTrades:
    """The trades heard of one symbol: tid to time for the newest. Up to `forgotten_ms` all count as heard."""

    recent: dict[int, int] = field(default_factory=dict)
    forgotten_ms: int = -1

    def hear(self, trade: PublicTrade) -> bool:
        """Remember a trade; False where it was heard before."""
        if trade.tid in self.recent or trade.time_ms <= self.forgotten_ms:
            return False
        self.recent[trade.tid] = trade.time_ms
        return True

    def forget_old(self) -> None:
        """Keep `TRADES_KEPT` names: between two frames, for the trades of one may share a millisecond."""
        for tid in list(self.recent)[: max(0, len(self.recent) - TRADES_KEPT)]:
            self.forgotten_ms = max(self.forgotten_ms, self.recent.pop(tid))


def unheard(seen: dict[str, SeenTrades], trades: Iterable[PublicTrade]) -> list[PublicTrade]:
    """The trades of a frame that were not heard before, oldest first. Afterwards they were."""
    fresh = []
    for trade in trades:
        if seen.setdefault(trade.symbol, SeenTrades()).hear(trade):
            fresh.append(trade)
    for symbol in dict.fromkeys(trade.symbol for trade in fresh):
        seen[symbol].forget_old()
    return sorted(fresh, key=lambda trade: trade.time_ms)
