"""Fills: one execution each, its identity, and which order it belongs to."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal

from domain.intents import Side

_FEE_STEP = Decimal("0.000001")
"""The venue's fees have six decimals; a share of one has no more, so that the shares add up exactly."""

MATCH_WINDOW_MS = 600_000
"""How far a fill may lie from an order's sending and still be its, by time alone."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of ours at the venue. `size` is positive; `fee` is paid when positive.

    `start_position` is the signed position before it, by the venue's word (None where the
    venue does not say). `liquidation` marks a fill the venue forced on us.
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
    liquidation: bool = False

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
    TIME = "time"
    EXTERNAL = "external"


_STRENGTH = {MatchedVia.CLOID: 3, MatchedVia.OID: 3, MatchedVia.TIME: 1, MatchedVia.EXTERNAL: 0}


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
    or side than the order it names: it would count against what that order never traded.
    """
    candidates = [attempt for attempt in attempts if attempt.symbol == fill.symbol and attempt.side is fill.side]
    if fill.cloid is not None:
        for attempt in candidates:
            if attempt.cloid == fill.cloid:
                return FillMatch(attempt.intent_id, attempt.cloid, MatchedVia.CLOID)
    for attempt in candidates:
        if attempt.oid is not None and attempt.oid == fill.oid:
            return FillMatch(attempt.intent_id, attempt.cloid, MatchedVia.OID)
    if fill.cloid is not None or fill.liquidation:
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
