"""The simulated venue's own books of one account: cash, positions, margin.

Kept apart from the daemon's books on purpose: what the venue says and what we think are two
opinions, and tests compare them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from domain.instruments import Universe
from domain.margin import maintenance_margin

ZERO = Decimal(0)


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
        before = held.size if held is not None else ZERO
        after = before + signed_size
        closed_pnl = ZERO
        if held is None or before * signed_size > 0:
            cost = (held.entry_price * abs(before) if held is not None else ZERO) + price * abs(signed_size)
            self.positions[symbol] = VenuePosition(after, cost / abs(after), leverage)
        else:
            closing = min(abs(before), abs(signed_size))
            closed_pnl = (price - held.entry_price) * closing * (1 if before > 0 else -1)
            if after == 0:
                del self.positions[symbol]
            elif before * after > 0:
                held.size = after
            else:
                self.positions[symbol] = VenuePosition(after, price, leverage)
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
