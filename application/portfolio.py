"""Portfolio: the account's cash and positions as our own books have them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from domain.facts import LedgerState
from domain.fills import Fill
from domain.positions import Position, PositionStep, apply_fill, apply_funding

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

    def book_fill(self, fill: Fill, intent_id: str | None, reason: str) -> PositionStep:
        """Fold a fill into its position and the totals. The caller has deduped."""
        self.newest_fill_ms = max(self.newest_fill_ms, fill.time_ms)
        result = apply_fill(self.position(fill.symbol), fill, intent_id, reason)
        self._put(result.position)
        self.realised_usd += result.realised
        self.fees_usd += fill.fee
        if self.cash_usd is not None:
            self.cash_usd += result.realised - fill.fee
        return result

    def book_funding(self, symbol: str, amount_usd: Decimal) -> Position:
        position = apply_funding(self.position(symbol), amount_usd)
        self._put(position)
        self.funding_usd += amount_usd
        if self.cash_usd is not None:
            self.cash_usd += amount_usd
        return position

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

    def _put(self, position: Position) -> None:
        if position.is_flat:
            self.positions.pop(position.symbol, None)
        else:
            self.positions[position.symbol] = position
