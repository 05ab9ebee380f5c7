"""What a frame or an answer of the venue says, as typed values: the words between decoding and everybody else.

Market values are floats (they end in columns), values of the account `Decimal`s made from the venue's own text.
Rows of other markets (spot, outcomes, builder dexes) never stand in these values: they are counted in `skipped`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from domain.candles import Interval
from domain.events import FundingPaid
from domain.fills import Fill
from domain.intents import Side


class DecodeError(Exception):
    """The venue said something that we cannot read. `where` names the place, `problem` what is wrong with it."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


class StatusKind(enum.Enum):
    """What a venue's order status means for the order's life."""

    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    ASK_AGAIN = "ask again"
    """A word we do not know, or one that decides nothing: only another question helps."""

    @property
    def is_end(self) -> bool:
        return self in (StatusKind.FILLED, StatusKind.CANCELED, StatusKind.REJECTED)


def status_kind(status: str) -> StatusKind:
    """Sort a status by its word: the venue adds new causes, but keeps to its endings (`…Canceled`, `…Rejected`)."""
    if status == "open":
        return StatusKind.OPEN
    if status == "filled":
        return StatusKind.FILLED
    if status == "rejected" or status.endswith("Rejected"):
        return StatusKind.REJECTED
    if status == "canceled" or status.endswith(("Canceled", "Cancel")):
        return StatusKind.CANCELED
    return StatusKind.ASK_AGAIN


def subscription_key(subscription: Mapping[str, object]) -> str:
    """Name a subscription by what it is, however it is spelled.

    The venue's echo differs from what was asked: defaults are filled in, addresses are lower-cased, keys reordered.
    """
    rest = sorted(
        f"{name}={str(value).lower() if name == 'user' else value}"
        for name, value in subscription.items()
        if name != "type" and value is not None and value is not False and value != ""
    )
    return ":".join((str(subscription.get("type", "")), *rest))


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class Acked:
    """`method` is `subscribe` or `unsubscribe`; `key` is `subscription_key` of what the venue echoed."""

    method: str
    key: str
    subscription: dict[str, object]


@dataclass(frozen=True, slots=True)
class VenueError:
    """A text on the error channel; the socket stays open."""

    text: str


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer to a posted request.

    `kind` is the venue's word: `info`, `action`, or `error` (then `status_ok` is False). `payload` is JSON, and for
    `info` and `action` what the body would have been over HTTP.
    """

    id: int
    status_ok: bool
    kind: str
    payload: bytes


@dataclass(slots=True)
class MidsHeard:
    mids: dict[str, float]


@dataclass(slots=True)
class BboHeard:
    """Best bid and ask; a side that is empty is None."""

    coin: str
    venue_ms: int
    bid: float | None
    ask: float | None


@dataclass(slots=True)
class CandleHeard:
    """The newest state of a running candle; `end_ms` is its last millisecond."""

    coin: str
    interval: Interval
    open_ms: int
    end_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(slots=True)
class Trade:
    """One public trade; `side` is the aggressor's."""

    side: Side
    price: float
    size: float
    time_ms: int
    tid: int


@dataclass(slots=True)
class TradesHeard:
    coin: str
    trades: tuple[Trade, ...]


@dataclass(slots=True)
class BookHeard:
    """(price, size) per level, best first on each side."""

    coin: str
    venue_ms: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


@dataclass(slots=True)
class ContextHeard:
    """`funding` is the rate of the next hour as it stands now; `mid` is None without a usable book."""

    coin: str
    funding: float
    mark: float
    oracle: float
    mid: float | None
    open_interest: float


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """A step in an order's life. `size` is what remains; `time_ms` is when this status came to be."""

    coin: str
    oid: int
    cloid: str | None
    status: str
    size: Decimal
    original_size: Decimal
    time_ms: int

    @property
    def kind(self) -> StatusKind:
        return status_kind(self.status)


@dataclass(frozen=True, slots=True)
class OrderUpdatesHeard:
    updates: tuple[OrderUpdate, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class FillsHeard:
    user: str
    is_snapshot: bool
    fills: tuple[Fill, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class FundingsHeard:
    user: str
    is_snapshot: bool
    fundings: tuple[FundingPaid, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A movement of money that is neither a trade nor funding; `kind` is the venue's word.

    `amount_usd` is its size in USD without a direction, None where the venue gives no such number.
    """

    kind: str
    time_ms: int
    amount_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class LedgerHeard:
    user: str
    is_snapshot: bool
    rows: tuple[LedgerRow, ...]


@dataclass(frozen=True, slots=True)
class Liquidation:
    """A position was taken over: whose, and what it was worth."""

    liquidated_user: str
    liquidator: str
    notional_usd: Decimal
    account_value_usd: Decimal


@dataclass(frozen=True, slots=True)
class UserEventsHeard:
    """`canceled` are (coin, oid) of orders that the system ended, not we."""

    fills: tuple[Fill, ...] = ()
    fundings: tuple[FundingPaid, ...] = ()
    liquidations: tuple[Liquidation, ...] = ()
    canceled: tuple[tuple[str, int], ...] = ()
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Drifted:
    """A frame that is not what we know: nothing of it was used. The raw frame belongs to the sentinel."""

    channel: str
    problem: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame we know, with nothing in it for us (`channel` says of what kind)."""

    channel: str


Heard = (
    Pong
    | Acked
    | VenueError
    | Posted
    | MidsHeard
    | BboHeard
    | CandleHeard
    | TradesHeard
    | BookHeard
    | ContextHeard
    | OrderUpdatesHeard
    | FillsHeard
    | FundingsHeard
    | LedgerHeard
    | UserEventsHeard
    | Drifted
    | Ignored
)
