"""Portfolio: the account's cash and positions as our own books have them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from domain.facts import LedgerState
from domain.positions import Position

ZERO = Decimal(0)


class Portfolio:
    """Positions that are open, cash, and the running totals behind them.

    Cash is None until the venue has named it once: equity is then not known, and nothing that
    needs it may go on. From there on it moves by what is booked: realised - fees + funding.
    """

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.cash_usd: Decimal | None = None
        self.realised_usd = ZERO
        self.fees_usd = ZERO
        self.funding_usd = ZERO
        self.newest_fill_ms = 0
        """Venue time of the newest fill booked: what the venue said of the account before it says nothing any more."""

    def restore(self, state: LedgerState) -> None:
        self.positions = {position.symbol: position for position in state.positions if not position.is_flat}
        self.cash_usd = state.cash_usd
        self.realised_usd = state.realised_usd
        self.fees_usd = state.fees_usd
        self.funding_usd = state.funding_usd
        self.newest_fill_ms = state.newest_fill_ms

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol)

    def earn(self, realised: Decimal, fee: Decimal) -> None:
        """Count what an execution realised and cost."""
        self.realised_usd += realised
        self.fees_usd += fee
        if self.cash_usd is not None:
            self.cash_usd += realised - fee

    def be_paid(self, amount_usd: Decimal) -> None:
        """Count a funding payment (negative: paid)."""
        self.funding_usd += amount_usd
        if self.cash_usd is not None:
            self.cash_usd += amount_usd

    def put(self, position: Position) -> None:
        """Take over what a symbol's position is now."""
        if position.is_flat:
            self.positions.pop(position.symbol, None)
        else:
            self.positions[position.symbol] = position

    def equity_usd(self, mark: Callable[[str], Decimal | None]) -> Decimal | None:
        """Cash plus unrealised PnL; None while cash, or the price of an open position, is not known."""
        if self.cash_usd is None:
            return None
        equity = self.cash_usd
        for position in self.positions.values():
            price = mark(position.symbol)
            if price is None:
                return None
            equity += position.unrealised(price)
        return equity
