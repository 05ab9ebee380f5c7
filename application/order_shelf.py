"""OrderShelf: the orders that may be alive at the venue, and those that ended not long ago, each with its decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.intents import OrderIntent
from domain.orders import ENDED_ORDERS_KEPT, Order, OrderStatus


@dataclass(frozen=True, slots=True)
class LiveOrder:
    """An order that may be alive at the venue, or was, with the decision behind it."""

    intent: OrderIntent
    order: Order


class OrderShelf:
    """Every order stands in one of two places; `put` finds the right one by its status."""

    def __init__(self) -> None:
        self._live: dict[str, dict[str, LiveOrder]] = {}
        self._ended: dict[str, dict[str, LiveOrder]] = {}
        self._symbol_of: dict[str, str] = {}
        self._unknown: dict[str, set[str]] = {}

    def find(self, cloid: str) -> LiveOrder | None:
        """A live order, or one that ended not long ago."""
        symbol = self._symbol_of.get(cloid)
        if symbol is None:
            return None
        return self._live.get(symbol, {}).get(cloid) or self._ended[symbol][cloid]

    def live(self, symbol: str) -> list[LiveOrder]:
        """Orders of a symbol that may be alive, oldest first."""
        return list(self._live.get(symbol, {}).values())

    def all_live(self) -> list[LiveOrder]:
        return [live for orders in self._live.values() for live in orders.values()]

    def known(self, symbol: str) -> Iterable[LiveOrder]:
        """Orders of a symbol that a fill can belong to, the live ones first."""
        yield from self._live.get(symbol, {}).values()
        yield from self._ended.get(symbol, {}).values()

    def has_unknown(self, symbol: str) -> bool:
        return symbol in self._unknown

    def put(self, changed: LiveOrder) -> None:
        """Take an order in, or over in its new state. An ended one that a stronger word revives is live again."""
        request = changed.order.request
        symbol, cloid = request.symbol, request.cloid
        self._symbol_of[cloid] = symbol
        self._note_unknown(symbol, cloid, is_unknown=changed.order.status is OrderStatus.UNKNOWN)
        if not changed.order.status.is_terminal:
            self._ended.get(symbol, {}).pop(cloid, None)
            self._live.setdefault(symbol, {})[cloid] = changed
            return
        orders = self._live.get(symbol, {})
        orders.pop(cloid, None)
        if not orders:
            self._live.pop(symbol, None)
        kept = self._ended.setdefault(symbol, {})
        kept[cloid] = changed
        if len(kept) > ENDED_ORDERS_KEPT:
            oldest = next(iter(kept))
            del kept[oldest], self._symbol_of[oldest]

    def _note_unknown(self, symbol: str, cloid: str, *, is_unknown: bool) -> None:
        if is_unknown:
            self._unknown.setdefault(symbol, set()).add(cloid)
        elif symbol in self._unknown:
            self._unknown[symbol].discard(cloid)
            if not self._unknown[symbol]:
                del self._unknown[symbol]
