"""What happens at the local venue, told in order: to its log, to the streams, to whoever asks later."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from adapters.sim.venue.exchange.orders import OrderChange, VenueOrder
from domain.intents import Side

NO_HASH = "0x" + 64 * "0"
"""What stands for a transaction where the chain itself acted: funding, liquidation."""


@dataclass(frozen=True, slots=True)
class Liquidation:
    """Stands on both sides' fills. `method` is `market` or `backstop`."""

    liquidated: str
    mark_price: Decimal
    method: str


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One side of an execution. `direction` is display text (`Open Long`, `Long > Short`, …)."""

    coin: str
    price: Decimal
    size: Decimal
    side: Side
    time_ms: int
    start_position: Decimal
    direction: str
    closed_pnl: Decimal
    hash: str
    oid: int
    crossed: bool
    fee: Decimal
    tid: int
    cloid: str | None
    liquidation: Liquidation | None = None


@dataclass(frozen=True, slots=True)
class VenueFunding:
    """`usdc` is negative where the account paid."""

    time_ms: int
    coin: str
    usdc: Decimal
    size: Decimal
    rate: Decimal


@dataclass(frozen=True, slots=True)
class LedgerUpdate:
    """A change of balance that is neither trade nor funding; `delta` is the wire's object, `type` first."""

    time_ms: int
    hash: str
    delta: dict[str, object]


@dataclass(frozen=True, slots=True)
class OrderChanged:
    address: str
    order: VenueOrder
    change: OrderChange


@dataclass(frozen=True, slots=True)
class Filled:
    address: str
    fill: VenueFill


@dataclass(frozen=True, slots=True)
class Printed:
    """A trade on the public tape. `side` is the aggressor's."""

    coin: str
    side: Side
    price: Decimal
    size: Decimal
    time_ms: int
    hash: str
    tid: int
    buyer: str
    seller: str


@dataclass(frozen=True, slots=True)
class FundingBooked:
    address: str
    funding: VenueFunding


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    address: str
    update: LedgerUpdate


@dataclass(frozen=True, slots=True)
class Liquidated:
    address: str
    lid: int
    notional: Decimal
    account_value: Decimal


@dataclass(frozen=True, slots=True)
class NonUserCanceled:
    """The chain canceled an order by itself (scheduled, liquidated, delisted, self-trade, margin)."""

    address: str
    coin: str
    oid: int


VenueEvent = OrderChanged | Filled | Printed | FundingBooked | BalanceChanged | Liquidated | NonUserCanceled
