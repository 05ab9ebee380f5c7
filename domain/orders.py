"""Orders: what the venue said about an attempt, and the order's life as a join of that evidence.

    SENT ──accepted──▶ OPEN ──fills──▶ FILLED
      │                  ├──────────▶ CANCELED          (what was filled before stays filled)
      ├──rejected──▶ REJECTED
      └──no answer──▶ UNKNOWN ──evidence──▶ any of the above, or DEAD when proven never to have lived

Evidence ranks fill > venue status > answer > silence, and the strongest stands whatever the order
in which it arrives: a lost, late or repeated answer never undoes a fill, nor a fill's order a cancel.
Of two answers that contradict each other the one counts by which the order may live.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.intents import OrderRequest

ZERO = Decimal(0)

ENDED_ORDERS_KEPT = 20
"""Orders per symbol remembered after their end, by restarts too: a fill may be told later than the end of its order."""


class RejectReason(enum.Enum):
    """The venue's own word about one order, as far as we act on it."""

    NO_IMMEDIATE_MATCH = "no_immediate_match"
    POST_ONLY_WOULD_MATCH = "post_only_would_match"
    PRICE_OUTSIDE_BAND = "price_outside_band"
    REDUCE_ONLY_WOULD_INCREASE = "reduce_only_would_increase"
    MIN_NOTIONAL = "min_notional"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    BAD_PRICE = "bad_price"
    BAD_SIZE = "bad_size"
    BAD_TRIGGER = "bad_trigger"
    TOO_MANY_ORDERS = "too_many_orders"
    NOT_SENT = "not_sent"
    """Nothing has left this machine."""
    OTHER = "other"

    @property
    def allows_another_attempt(self) -> bool:
        """A proven rejection that says nothing against trying the same decision again."""
        return self in (
            RejectReason.NO_IMMEDIATE_MATCH,
            RejectReason.POST_ONLY_WOULD_MATCH,
            RejectReason.PRICE_OUTSIDE_BAND,
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue holds the order. `filled` is what it said was filled at once."""

    oid: int
    filled: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Rejected:
    """The venue's own word about this order: it never lived."""

    reason: RejectReason
    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Bytes may have left and no answer says what became of them."""

    text: str


@dataclass(frozen=True, slots=True)
class Would:
    """The order was checked and written, and by design not sent (dry_live)."""


SubmitOutcome = Accepted | Rejected | Unknown | Would


class OrderStatus(enum.Enum):
    SENT = "sent"
    UNKNOWN = "unknown"
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    DEAD = "dead"
    WOULD = "would"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def may_live(self) -> bool:
        """Whether the venue may hold the order: what is not proven ended may still fill."""
        return not self.is_terminal


_TERMINAL = frozenset(
    (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.DEAD, OrderStatus.WOULD)
)


_RANK = {
    status: rank
    for rank, status in enumerate(
        (
            OrderStatus.SENT,
            OrderStatus.UNKNOWN,
            OrderStatus.WOULD,
            OrderStatus.DEAD,
            OrderStatus.REJECTED,
            OrderStatus.OPEN,
            OrderStatus.CANCELED,
            OrderStatus.FILLED,
        )
    )
}
"""How strong the evidence behind a status is. Joining is taking the stronger, so order and repetition do not matter."""


@dataclass(frozen=True, slots=True)
class Order:
    """One attempt and all that is known of it."""

    request: OrderRequest
    attempt: int
    sent_ms: int
    status: OrderStatus = OrderStatus.SENT
    oid: int | None = None
    filled: Decimal = ZERO
    reason: str = ""

    @property
    def remaining(self) -> Decimal:
        return self.request.size - self.filled

    @property
    def in_flight(self) -> bool:
        """Sent, outcome not yet known."""
        return self.status in (OrderStatus.SENT, OrderStatus.UNKNOWN)


def with_outcome(order: Order, outcome: SubmitOutcome) -> Order:
    """Join the answer to a submission into an order. Repeated and late answers change nothing but a missing oid."""
    match outcome:
        case Accepted(oid=oid):
            return _joined(order if order.oid == oid else replace(order, oid=oid), OrderStatus.OPEN, "")
        case Rejected(reason=reason, text=text):
            return _joined(order, OrderStatus.REJECTED, f"{reason.value}: {text}")
        case Unknown(text=text):
            return _joined(order, OrderStatus.UNKNOWN, text)
        case Would():
            return _joined(order, OrderStatus.WOULD, "")


def with_fill(order: Order, size: Decimal, oid: int | None) -> Order:
    """Join an execution into an order: it lived, whatever was said before. The caller has deduped.

    The rest of an order that was canceled stays canceled. The oid of an answer stands; of a fill that was matched by
    time alone none is given (None), for it may be somebody else's.
    """
    filled = order.filled + size
    known = replace(order, filled=filled, oid=oid if order.oid is None else order.oid)
    return _joined(known, OrderStatus.FILLED if filled >= order.request.size else OrderStatus.OPEN, "")


def without_fill(order: Order, size: Decimal) -> Order:
    """Take back an execution that was laid to an order by weak evidence and was another's: a correction.

    What is left to be known is what was known without it; an order that had no other sign of life is unknown again.
    """
    filled = order.filled - size
    assert filled >= ZERO, "only what was laid to an order is taken back"
    status = order.status
    if status in (OrderStatus.FILLED, OrderStatus.OPEN):
        status = OrderStatus.OPEN if filled > ZERO or order.oid is not None else OrderStatus.UNKNOWN
    return replace(order, filled=filled, status=status, reason="corrected: a fill laid to it was another order's")


def with_death(order: Order, proof: str) -> Order:
    """Join the proof that an order whose fate was unknown never lived (`domain.unknown`)."""
    return _joined(order, OrderStatus.DEAD, proof)


def with_cancel(order: Order, reason: str) -> Order:
    """Join the venue's word that the rest of an order is gone."""
    return _joined(order, OrderStatus.CANCELED, reason)


def _joined(order: Order, status: OrderStatus, reason: str) -> Order:
    """The order under the stronger of two statuses: the same object when that is the one it has."""
    return replace(order, status=status, reason=reason) if _RANK[status] > _RANK[order.status] else order
