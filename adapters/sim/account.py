"""The simulated venue's own books of one account: cash, positions, margin.

Kept apart from the daemon's books on purpose: what the venue says and what we think are two
opinions, and tests compare them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from domain.instruments import Universe
from domain.margin import maintenance_margin

ZERO = Decimal(0)


class PositionChange(NamedTuple):
    """What an execution makes of a position: signed size and average entry after it, PnL of the part that it closed."""

    size: Decimal
    entry_price: Decimal
    closed_pnl: Decimal


def position_after(size: Decimal, entry_price: Decimal, signed_size: Decimal, price: Decimal) -> PositionChange:
    """Average entry on growth, unchanged on decrease, a new entry on a flip (flat: `size` 0, any entry)."""
    after = size + signed_size
    if size * signed_size >= 0:
        cost = entry_price * abs(size) + price * abs(signed_size)
        return PositionChange(after, cost / abs(after), ZERO)
    closing = min(abs(size), abs(signed_size))
    closed_pnl = (price - entry_price) * closing * (1 if size > 0 else -1)
    return PositionChange(after, entry_price if size * after >= 0 else price, closed_pnl)


@dataclass(slots=True)
class VenuePosition:
    size: Decimal
    entry_price: Decimal
    leverage: Decimal


@dataclass(slots=True)
class VenueAccount:
    """Cash changes by closed PnL, fees and funding; a position is signed size and average entry."""

    cash: Decimal
    positions: dict[str, VenuePosition] = field(default_factory=dict)

    def size(self, symbol: str) -> Decimal:
        held = self.positions.get(symbol)
        return held.size if held is not None else ZERO

    def execute(self, symbol: str, signed_size: Decimal, price: Decimal, fee: Decimal, leverage: Decimal) -> Decimal:
        """Book an execution; returns the PnL it closed."""
        held = self.positions.get(symbol)
        before, entry_price = (ZERO, ZERO) if held is None else (held.size, held.entry_price)
        after, entry_price, closed_pnl = position_after(before, entry_price, signed_size, price)
        if after == 0:
            self.positions.pop(symbol, None)
        elif held is not None and before * after > 0 and before * signed_size < 0:
            held.size = after
        else:
            self.positions[symbol] = VenuePosition(after, entry_price, leverage)
        self.cash += closed_pnl - fee
        return closed_pnl

    def value(self, mark: Callable[[str], Decimal]) -> Decimal:
        """Cash plus unrealised PnL."""
        unrealised = ((mark(symbol) - held.entry_price) * held.size for symbol, held in self.positions.items())
        return self.cash + sum(unrealised, ZERO)

    def initial_margin(self, mark: Callable[[str], Decimal]) -> Decimal:
        return sum((abs(held.size) * mark(symbol) / held.leverage for symbol, held in self.positions.items()), ZERO)

    def maintenance(self, universe: Universe, mark: Callable[[str], Decimal]) -> Decimal:
        return sum(
            (
                maintenance_margin(universe.instrument(symbol), abs(held.size) * mark(symbol))
                for symbol, held in self.positions.items()
            ),
            ZERO,
        )
