"""Orders at the local venue: what was asked for, and what became of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from decimal import Decimal

from domain.intents import Side, Trigger


class Tif(enum.Enum):
    """Time in force, in the venue's spelling."""

    GTC = "Gtc"
    IOC = "Ioc"
    ALO = "Alo"
    FRONTEND_MARKET = "FrontendMarket"
    LIQUIDATION_MARKET = "LiquidationMarket"

    @property
    def may_rest(self) -> bool:
        return self in (Tif.GTC, Tif.ALO)


@dataclass(frozen=True, slots=True)
class TriggerSpec:
    """A waiting order's level. `is_market`: once fired it takes like a market order, bounded by its price."""

    trigger: Trigger
    is_market: bool


@dataclass(frozen=True, slots=True)
class OrderSpec:
    """One order of an action, decoded. Either `tif` or `trigger` is set. `cloid` is lower case.

    `size` 0 is legal for position TP/SL only: the whole position when it fires.
    """

    asset: int
    side: Side
    price: Decimal
    size: Decimal
    reduce_only: bool
    tif: Tif | None
    trigger: TriggerSpec | None
    cloid: str | None


class Status(enum.Enum):
    """An order's last status, in the venue's spelling (§3.12)."""

    OPEN = "open"
    FILLED = "filled"
    TRIGGERED = "triggered"
    CANCELED = "canceled"
    MARGIN_CANCELED = "marginCanceled"
    SELF_TRADE_CANCELED = "selfTradeCanceled"
    REDUCE_ONLY_CANCELED = "reduceOnlyCanceled"
    SIBLING_FILLED_CANCELED = "siblingFilledCanceled"
    DELISTED_CANCELED = "delistedCanceled"
    LIQUIDATED_CANCELED = "liquidatedCanceled"
    SCHEDULED_CANCEL = "scheduledCancel"
    OPEN_INTEREST_CAP_CANCELED = "openInterestCapCanceled"
    REJECTED = "rejected"
    TICK_REJECTED = "tickRejected"
    MIN_NOTIONAL_REJECTED = "minTradeNtlRejected"
    MARGIN_REJECTED = "perpMarginRejected"
    REDUCE_ONLY_REJECTED = "reduceOnlyRejected"
    BAD_ALO_REJECTED = "badAloPxRejected"
    IOC_REJECTED = "iocCancelRejected"
    BAD_TRIGGER_REJECTED = "badTriggerPxRejected"
    NO_LIQUIDITY_REJECTED = "marketOrderNoLiquidityRejected"
    OPEN_INTEREST_REJECTED = "positionIncreaseAtOpenInterestCapRejected"
    ORACLE_REJECTED = "oracleRejected"
    MAX_POSITION_REJECTED = "perpMaxPositionRejected"
    TOO_MANY_ORDERS_REJECTED = "tooManyOpenOrdersRejected"

    @property
    def ends(self) -> bool:
        return self not in _STANDING


_STANDING = (Status.OPEN, Status.TRIGGERED)


@dataclass(slots=True, eq=False)
class VenueOrder:
    """An order that the venue has given an oid. `size` is what remains; `changes` is its whole life.

    `waiting`: a TP/SL child whose parent has not filled, or a trigger that has not fired: it stands in
    no book. `siblings` are the oids of which one execution cancels the others.
    """

    oid: int
    address: str
    coin: str
    side: Side
    price: Decimal
    size: Decimal
    original_size: Decimal
    tif: Tif | None
    trigger: TriggerSpec | None
    reduce_only: bool
    cloid: str | None
    placed_ms: int
    is_position_tpsl: bool = False
    follows_position: bool = False
    waiting_for_parent: bool = False
    parent: VenueOrder | None = None
    children: list[VenueOrder] = field(default_factory=list)
    siblings: tuple[int, ...] = ()
    fired: bool = False
    status: Status = Status.OPEN
    status_ms: int = 0
    changes: list[OrderChange] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """A trigger that has not fired (its parent's fill included)."""
        return self.trigger is not None and not self.fired


@dataclass(frozen=True, slots=True)
class OrderChange:
    """One step in an order's life. `size` is what remained then."""

    time_ms: int
    status: Status
    size: Decimal


class Grouping(enum.Enum):
    NA = "na"
    NORMAL_TPSL = "normalTpsl"
    POSITION_TPSL = "positionTpsl"


@dataclass(frozen=True, slots=True)
class Resting:
    """On the book, nothing filled at once."""

    oid: int
    cloid: str | None


@dataclass(frozen=True, slots=True)
class FilledNow:
    """Something filled at once; what remains of a GTC rests under the same oid."""

    total_size: Decimal
    average_price: Decimal
    oid: int
    cloid: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    text: str


class Waiting(enum.Enum):
    FOR_FILL = "waitingForFill"
    FOR_TRIGGER = "waitingForTrigger"


PlaceResult = Resting | FilledNow | Refused | Waiting
