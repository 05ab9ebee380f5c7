"""Positions: signed size and average price from fills, realised PnL, and the trade they make up.

Long is positive, short negative, flat is zero. Realised PnL excludes fees; fees and funding
are kept beside it, so that every dollar has one place. An average price need not be a finite
decimal: what a partial close realises is rounded, and the close that ends a trade takes what is
left, so that a trade's PnL is to the last digit what its fills paid and received. Of a trade
that was adjusted on the way that cannot be said: some of its fills are not known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from domain.fills import Fill, split_flip
from domain.intents import Side

ZERO = Decimal(0)

GAP = "gap"
"""Exit reason of a trade that ended by fills we do not know."""

_PNL_STEP = Decimal("1E-12")
"""Finer than any price times size, and short enough that sums of realised amounts stay exact."""


@dataclass(frozen=True, slots=True)
class Trade:
    """A round trip: from flat to flat. Amounts in USD; `pnl` excludes fees and funding.

    `size` is the largest position it had; `entry_price` and `exit_price` are averages over
    all that was opened and closed. `intent_id` names the intent that opened it (None: not ours).
    """

    symbol: str
    side: Side
    opened_ms: int
    closed_ms: int
    size: Decimal
    entry_price: Decimal
    exit_price: Decimal
    pnl: Decimal
    fees: Decimal
    funding: Decimal
    intent_id: str | None
    exit_reason: str


@dataclass(frozen=True, slots=True)
class Position:
    """One symbol's position and the running totals of the round trip it is part of.

    `opened_notional` and `closed_notional` are sums of price times size over the trip's fills.
    """

    symbol: str
    size: Decimal = ZERO
    entry_price: Decimal = ZERO
    opened_ms: int = 0
    updated_ms: int = 0
    peak_size: Decimal = ZERO
    opened_size: Decimal = ZERO
    opened_notional: Decimal = ZERO
    closed_size: Decimal = ZERO
    closed_notional: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    intent_id: str | None = None

    @property
    def is_flat(self) -> bool:
        return self.size == 0

    @property
    def side(self) -> Side:
        assert self.size != 0, "a flat position has no side"
        return Side.BUY if self.size > 0 else Side.SELL

    def unrealised(self, mark_price: Decimal) -> Decimal:
        return (mark_price - self.entry_price) * self.size

    def notional(self, mark_price: Decimal) -> Decimal:
        return abs(self.size) * mark_price


@dataclass(frozen=True, slots=True)
class PositionStep:
    """What one fill did: the position after it, PnL realised by it, and a trade if one ended."""

    position: Position
    realised: Decimal
    closed_trade: Trade | None


def apply_fill(position: Position, fill: Fill, intent_id: str | None, reason: str) -> PositionStep:
    """Fold one fill into a position. A flip closes the old trade and opens a new one.

    The caller has deduped: a fill applied twice counts twice. `intent_id` and `reason` are
    those of the order behind the fill; the intent that opens a trade names it.
    """
    assert fill.symbol == position.symbol, "fills go to their own symbol's position"
    assert fill.size > 0 and fill.price > 0, "an execution has a size and a price"
    realised = ZERO
    closed: Trade | None = None
    for part in split_flip(fill, position.size):
        position, gained = _apply_part(position, part, intent_id)
        realised += gained
        if position.is_flat:
            closed = _finish(position, part.side.opposite, reason)
            position = Position(position.symbol, updated_ms=part.time_ms)
    return PositionStep(position, realised, closed)


def adjust(position: Position, size: Decimal, price: Decimal, time_ms: int) -> PositionStep:
    """Take the venue's word for a position's size where no fill of ours explains it.

    What is there and was not has opened at `price`; what is there no more has closed at its own
    entry price. So no PnL is invented: nothing is realised here. A position that is gone or has
    turned around ends its trade with the reason `GAP`, and one that begins here is not ours.
    """
    assert price > 0, "an unexplained part is valued at a price"
    closed: Trade | None = None
    if not position.is_flat and (size == 0 or (size > 0) != (position.size > 0)):
        side = position.side
        position = _without(position, position.size, time_ms)
        closed = _finish(position, side, GAP)
        position = Position(position.symbol, updated_ms=time_ms)
    if abs(size) > abs(position.size):
        position = _grow(position, size - position.size, price, time_ms, None)
    elif size != position.size:
        position = _without(position, position.size - size, time_ms)
    return PositionStep(position, ZERO, closed)


def opened_with(symbol: str, size: Decimal, entry_price: Decimal, at_ms: int) -> Position:
    """A position that is taken over as it stands: nobody's trade."""
    return Position(
        symbol=symbol,
        size=size,
        entry_price=entry_price,
        opened_ms=at_ms,
        updated_ms=at_ms,
        peak_size=abs(size),
        opened_size=abs(size),
        opened_notional=abs(size) * entry_price,
    )


def apply_funding(position: Position, amount: Decimal) -> Position:
    """Book a funding payment (positive: received) on the round trip that is open."""
    return replace(position, funding=position.funding + amount)


def _apply_part(position: Position, fill: Fill, intent_id: str | None) -> tuple[Position, Decimal]:
    """Apply a fill that does not cross zero."""
    if position.is_flat or (position.size > 0) == (fill.side is Side.BUY):
        return _grow(position, fill.signed_size, fill.price, fill.time_ms, intent_id, fill.fee), ZERO
    notional = fill.price * fill.size
    after = position.size + fill.signed_size
    closed_notional = position.closed_notional + notional
    if after == 0:
        gained = (closed_notional - position.opened_notional) * position.side.sign - position.realised
    else:
        gained = ((fill.price - position.entry_price) * -fill.signed_size).quantize(_PNL_STEP)
    shrunk = replace(
        position,
        size=after,
        updated_ms=fill.time_ms,
        closed_size=position.closed_size + fill.size,
        closed_notional=closed_notional,
        realised=position.realised + gained,
        fees=position.fees + fill.fee,
    )
    return shrunk, gained


def _grow(
    position: Position, change: Decimal, price: Decimal, time_ms: int, intent_id: str | None, fee: Decimal = ZERO
) -> Position:
    """More of the same, or the first of a new trip."""
    notional = price * abs(change)
    after = position.size + change
    return replace(
        position,
        size=after,
        entry_price=(position.entry_price * abs(position.size) + notional) / abs(after),
        opened_ms=time_ms if position.is_flat else position.opened_ms,
        updated_ms=time_ms,
        peak_size=max(position.peak_size, abs(after)),
        opened_size=position.opened_size + abs(change),
        opened_notional=position.opened_notional + notional,
        fees=position.fees + fee,
        intent_id=intent_id if position.is_flat else position.intent_id,
    )


def _without(position: Position, part: Decimal, time_ms: int) -> Position:
    """A part of a position is gone at what it cost."""
    return replace(
        position,
        size=position.size - part,
        updated_ms=time_ms,
        closed_size=position.closed_size + abs(part),
        closed_notional=position.closed_notional + abs(part) * position.entry_price,
    )


def _finish(position: Position, side: Side, reason: str) -> Trade:
    return Trade(
        symbol=position.symbol,
        side=side,
        opened_ms=position.opened_ms,
        closed_ms=position.updated_ms,
        size=position.peak_size,
        entry_price=position.opened_notional / position.opened_size,
        exit_price=position.closed_notional / position.closed_size,
        pnl=position.realised,
        fees=position.fees,
        funding=position.funding,
        intent_id=position.intent_id,
        exit_reason=reason,
    )
