"""Fills: one execution each, its identity, and which order it belongs to."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal

from domain.intents import Side, is_our_cloid

_FEE_STEP = Decimal("0.000001")
"""The venue's fees have six decimals; a share of one has no more, so that the shares add up exactly."""

MATCH_WINDOW_MS = 600_000
"""How far a fill may lie from an order's sending and still be its, by time alone."""


class FillCause(enum.Enum):
    """What made the venue execute: an order on the book, or something of its own doing."""

    ORDER = "order"
    LIQUIDATION = "liquidation"
    """Our margin did not hold."""
    ADL = "adl"
    """Our profit stood against a loss that nobody could pay."""
    TWAP = "twap"
    """A slice of an order that the venue works off in time."""
    SETTLEMENT = "settlement"
    """The market was delisted."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of ours at the venue. `size` is positive; `fee` is paid when positive.

    `start_position` is the signed position before it, by the venue's word (None where the
    venue does not say).
    """

    symbol: str
    side: Side
    price: Decimal
    size: Decimal
    time_ms: int
    tid: int
    oid: int
    cloid: str | None
    fee: Decimal
    start_position: Decimal | None
    hash: str = ""
    crossed: bool = True
    cause: FillCause = FillCause.ORDER

    @property
    def signed_size(self) -> Decimal:
        return self.size * self.side.sign

    @property
    def trade_id(self) -> str:
        """Unique name of this execution: the venue's `tid` alone can repeat."""
        return f"{self.symbol}:{self.time_ms}:{self.tid}:{self.oid}:{self.side.value}"


class MatchedVia(enum.Enum):
    """The evidence that ties a fill to its intent, strongest first."""

    CLOID = "cloid"
    OID = "oid"
    STATUS = "status"
    """The venue, asked about the fill's oid, named the order."""
    TIME = "time"
    EXTERNAL = "external"


_STRENGTH = {
    MatchedVia.CLOID: 3,
    MatchedVia.OID: 3,
    MatchedVia.STATUS: 2,
    MatchedVia.TIME: 1,
    MatchedVia.EXTERNAL: 0,
}


def is_stronger(new: MatchedVia, old: MatchedVia) -> bool:
    """Whether evidence `new` may replace an attribution made by `old`."""
    return _STRENGTH[new] > _STRENGTH[old]


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """What fill matching needs to know of one order of ours."""

    intent_id: str
    cloid: str
    oid: int | None
    symbol: str
    side: Side
    remaining: Decimal
    sent_ms: int


@dataclass(frozen=True, slots=True)
class FillMatch:
    """`intent_id` is None exactly for `MatchedVia.EXTERNAL`."""

    intent_id: str | None
    cloid: str | None
    via: MatchedVia


EXTERNAL = FillMatch(None, None, MatchedVia.EXTERNAL)


def match_fill(fill: Fill, attempts: Iterable[OpenAttempt]) -> FillMatch:
    """Find the attempt a fill belongs to: by cloid, then oid, then proximity in time.

    Time decides only when exactly one attempt fits: same symbol and side, large enough for
    the fill, not yet tied to another oid, sent within `MATCH_WINDOW_MS`. Two that fit are no
    evidence, and a hash never is (all slices of one venue action share it). A fill with a
    cloid that is not among ours is external: it names its own order. So is one of another symbol
    or side than the order it names: it would count against what that order never traded. And so is,
    whatever its oid, what the venue did by itself, unless it carries a cloid.
    """
    if fill.cloid is None and fill.cause is not FillCause.ORDER:
        return EXTERNAL
    candidates = [attempt for attempt in attempts if attempt.symbol == fill.symbol and attempt.side is fill.side]
    if fill.cloid is not None:
        for attempt in candidates:
            if attempt.cloid == fill.cloid:
                return FillMatch(attempt.intent_id, attempt.cloid, MatchedVia.CLOID)
    for attempt in candidates:
        if attempt.oid is not None and attempt.oid == fill.oid:
            return FillMatch(attempt.intent_id, attempt.cloid, MatchedVia.OID)
    if fill.cloid is not None:
        return EXTERNAL
    near = [
        attempt
        for attempt in candidates
        if attempt.oid is None
        and fill.size <= attempt.remaining
        and abs(fill.time_ms - attempt.sent_ms) <= MATCH_WINDOW_MS
    ]
    if len(near) == 1:
        return FillMatch(near[0].intent_id, near[0].cloid, MatchedVia.TIME)
    return EXTERNAL


class ExternalKind(enum.Enum):
    """Whose doing a fill is that belongs to no intent of ours."""

    MANUAL = "manual"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    TWAP = "twap"
    TPSL = "tpsl"
    SETTLEMENT = "settlement"
    OTHER_BOT = "other_bot"
    OPENING_BALANCE = "opening_balance"
    """No fill at all: what was held before our first look."""


_KIND_OF_CAUSE = {
    FillCause.LIQUIDATION: ExternalKind.LIQUIDATION,
    FillCause.ADL: ExternalKind.ADL,
    FillCause.TWAP: ExternalKind.TWAP,
    FillCause.SETTLEMENT: ExternalKind.SETTLEMENT,
}


def external_kind(fill: Fill, is_trigger: bool = False) -> ExternalKind:
    """Name whose doing an external fill is: the venue's first, then that of whoever placed the order.

    `is_trigger`: its order is known to have been a trigger. Stops and targets that a human sets
    carry no cloid, and any cloid at all is a program's: one that is ours by its looks is of another
    ledger, or it would not be external.
    """
    if fill.cause is not FillCause.ORDER:
        return _KIND_OF_CAUSE[fill.cause]
    if is_trigger and (fill.cloid is None or not is_our_cloid(fill.cloid)):
        return ExternalKind.TPSL
    return ExternalKind.MANUAL if fill.cloid is None else ExternalKind.OTHER_BOT


def split_flip(fill: Fill, position: Decimal) -> tuple[Fill, ...]:
    """Cut a fill that turns a position around into its closing and its opening part.

    The parts add up to the fill exactly, fee included; a fill that does not flip comes back
    whole. The parts keep the fill's identity: they are one execution seen as two steps.
    """
    after = position + fill.signed_size
    if position == 0 or after == 0 or (position > 0) == (after > 0):
        return (fill,)
    closing_size = abs(position)
    closing_fee = (fill.fee * closing_size / fill.size).quantize(_FEE_STEP, rounding=ROUND_DOWN)
    closing = replace(fill, size=closing_size, fee=closing_fee, start_position=position)
    opening = replace(fill, size=fill.size - closing_size, fee=fill.fee - closing_fee, start_position=Decimal(0))
    return (closing, opening)
