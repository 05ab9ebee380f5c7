"""What went through a feed since its start."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.hyperliquid.catching_up import CatchUpCounts
from adapters.hyperliquid.market_slice import MarketCounts


@dataclass(slots=True)
class FeedCounts:
    connections_opened: int = 0
    connections_lost: int = 0
    drifted: int = 0
    foreign_users: int = 0
    account_events: int = 0
    account_waiting_max: int = 0
    market: MarketCounts = field(default_factory=MarketCounts)
    catch_up: CatchUpCounts = field(default_factory=CatchUpCounts)
