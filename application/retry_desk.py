"""RetryDesk: another attempt at entries that found nobody, once the price is within their limit again.

The decision stands as it was taken; whether there is room for it is asked anew, by the limits of this moment.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from application.live_oms import LiveOms
from application.market_data_hub import MarketDataHub
from application.reconciliation import Reconciliation
from application.risk_guard import RiskGuard
from application.step import Step
from domain.gating import first_refusal
from domain.instruments import Universe, exact_price
from domain.intents import OrderIntent
from domain.sizing import SizedEntry
from domain.strategy_config import StrategyBook


class RetryDesk:
    def __init__(
        self,
        universe: Universe,
        hub: MarketDataHub,
        oms: LiveOms,
        guard: RiskGuard,
        reconciliation: Reconciliation,
        equity_usd: Callable[[], Decimal | None],
    ) -> None:
        self._universe = universe
        self._hub = hub
        self._oms = oms
        self._guard = guard
        self._reconciliation = reconciliation
        self._equity_usd = equity_usd

    def work(self, step: Step, book: StrategyBook) -> None:
        """Send again what may be sent again. Called at every price; rarely is there anything to do."""
        for rejected in self._oms.waiting_for_another_attempt():
            intent = rejected.intent
            symbol = intent.key.symbol
            view = self._hub.price(self._universe.id_of(symbol), step.at_ms)
            if view is None or self._guard.is_holding or symbol in self._reconciliation.differs:
                continue
            over = (exact_price(view.price) - intent.limit_price) * intent.side.sign
            if (
                over <= 0
                and self._has_room(step, intent, exact_price(view.price), book)
                and self._oms.try_again(step, rejected)
            ):
                worth = intent.size * intent.limit_price
                self._guard.note_entry(symbol, intent.leverage, step.at_ms, worth)

    def _has_room(self, step: Step, intent: OrderIntent, price: Decimal, book: StrategyBook) -> bool:
        """Whether an entry that was decided before is within the limits as they are now."""
        equity = self._equity_usd()
        if equity is None:
            return False
        worth, symbol = intent.size * max(intent.limit_price, price), intent.key.symbol
        sized = SizedEntry(intent.size, intent.leverage, worth / intent.leverage, worth, worth)
        config = book.for_symbol(symbol)
        gates = self._guard.gates(symbol, intent.side, sized, equity, config, book.risk, step.at_ms)
        return first_refusal(gates) is None
