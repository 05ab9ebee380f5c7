"""One account's books at the local venue: cash, positions, leverage, orders, and what happened to it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from adapters.sim.venue.exchange.events import LedgerUpdate, VenueFill, VenueFunding
from adapters.sim.venue.exchange.orders import VenueOrder

ZERO = Decimal(0)
ROWS_KEPT = 10_000
ORDERS_KEPT = 2_000
DEFAULT_LEVERAGE = 20


@dataclass(frozen=True, slots=True)
class LeverageSetting:
    value: int
    is_cross: bool


@dataclass(slots=True)
class VenuePosition:
    """Signed size and exact average entry. `raw_usd` is an isolated position's own cash (margin less signed
    entry cost and fees); None for cross. Funding figures have the sign of a cost: positive was paid."""

    size: Decimal
    entry_price: Decimal
    leverage: int
    raw_usd: Decimal | None = None
    funding_since_open: Decimal = ZERO
    funding_since_change: Decimal = ZERO

    @property
    def is_cross(self) -> bool:
        return self.raw_usd is None

    def unrealized(self, mark: Decimal) -> Decimal:
        return self.size * (mark - self.entry_price)


@dataclass(slots=True)
class VenueAccount:
    """`address` is lower case. `cash` backs cross positions; isolated ones keep their own.

    `orders` are the open ones by oid, children and waiting triggers included, oldest first. `history` is every
    order of the last `ORDERS_KEPT`, rejected ones included. A house account has no limits and no margin.
    """

    address: str
    cash: Decimal = ZERO
    spot_usdc: Decimal = ZERO
    is_house: bool = False
    master: str | None = None
    name: str = ""
    sub_accounts: list[str] = field(default_factory=list)
    positions: dict[str, VenuePosition] = field(default_factory=dict)
    leverage: dict[str, LeverageSetting] = field(default_factory=dict)
    orders: dict[int, VenueOrder] = field(default_factory=dict)
    history: dict[int, VenueOrder] = field(default_factory=dict)
    by_cloid: dict[str, VenueOrder] = field(default_factory=dict)
    fills: deque[VenueFill] = field(default_factory=lambda: deque(maxlen=ROWS_KEPT))
    fundings: deque[VenueFunding] = field(default_factory=lambda: deque(maxlen=ROWS_KEPT))
    ledger_updates: deque[LedgerUpdate] = field(default_factory=lambda: deque(maxlen=ROWS_KEPT))
    funding_all_time: dict[str, Decimal] = field(default_factory=dict)
    volume: Decimal = ZERO
    deposits: Decimal = ZERO
    """Net money brought in from outside the venue."""
    scheduled_cancel_ms: int | None = None
    scheduled_cancels_today: int = 0
    scheduled_cancel_day: int = 0
    liquidation_cooldown_ms: int = 0

    def size(self, coin: str) -> Decimal:
        held = self.positions.get(coin)
        return held.size if held is not None else ZERO
