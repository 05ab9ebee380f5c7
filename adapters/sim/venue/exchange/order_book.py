"""One coin's book: price levels, and inside a level the order in which orders came.

Prices of a side are kept sorted so that the best is at the end of the list: taking the best away
is cheap, and that is where a market moves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from adapters.sim.venue.exchange.orders import VenueOrder
from domain.intents import Side


class Level(NamedTuple):
    """All orders of one side at one price."""

    price: Decimal
    size: Decimal
    count: int  # type: ignore[assignment]  # the wire's `n`; nobody needs tuple.count here


class OrderBook:
    """Resting orders of one coin. An order keeps its place until it is removed; only its size may shrink."""

    __slots__ = ("_asks", "_bids")

    def __init__(self) -> None:
        self._bids = _SideOfBook(Side.BUY)
        self._asks = _SideOfBook(Side.SELL)

    @property
    def best_bid(self) -> Decimal | None:
        return self._bids.best_price()

    @property
    def best_ask(self) -> Decimal | None:
        return self._asks.best_price()

    def add(self, order: VenueOrder) -> None:
        """Put an order behind everything at its price."""
        self._of(order.side).add(order)

    def remove(self, order: VenueOrder) -> None:
        """Take an order off; it must rest here."""
        self._of(order.side).remove(order)

    def front(self, side: Side) -> VenueOrder | None:
        """The order of `side` that trades next: best price, then the oldest."""
        return self._of(side).front()

    def queue(self, side: Side, price: Decimal) -> Sequence[VenueOrder]:
        """The orders of one level, oldest first."""
        return list(self._of(side).levels.get(price, {}).values())

    def levels(self, side: Side, depth: int | None = None) -> list[Level]:
        """Levels of a side, best first."""
        found = self._of(side)
        prices = found.prices[::-1] if depth is None else found.prices[: -depth - 1 : -1]
        return [
            Level(found.price_at(price), sum((order.size for order in level.values()), Decimal(0)), len(level))
            for price in prices
            for level in (found.levels[found.price_at(price)],)
        ]

    def orders(self) -> Iterator[VenueOrder]:
        """Every resting order: bids, then asks, best first and oldest first."""
        for side in (self._bids, self._asks):
            for key in reversed(side.prices):
                yield from side.levels[side.price_at(key)].values()

    def _of(self, side: Side) -> _SideOfBook:
        return self._bids if side is Side.BUY else self._asks


class _SideOfBook:
    """`prices` holds the levels' keys in rising order of attractiveness: the price for bids, its negative for asks."""

    __slots__ = ("_sign", "levels", "prices")

    def __init__(self, side: Side) -> None:
        self._sign = side.sign
        self.prices: list[Decimal] = []
        self.levels: dict[Decimal, dict[int, VenueOrder]] = {}

    def price_at(self, key: Decimal) -> Decimal:
        return key if self._sign > 0 else -key

    def best_price(self) -> Decimal | None:
        return self.price_at(self.prices[-1]) if self.prices else None

    def front(self) -> VenueOrder | None:
        if not self.prices:
            return None
        return next(iter(self.levels[self.price_at(self.prices[-1])].values()))

    def add(self, order: VenueOrder) -> None:
        level = self.levels.get(order.price)
        if level is None:
            level = self.levels[order.price] = {}
            key = order.price * self._sign
            self.prices.insert(bisect_left(self.prices, key), key)
        assert order.oid not in level, "an order rests once"
        level[order.oid] = order

    def remove(self, order: VenueOrder) -> None:
        level = self.levels[order.price]
        del level[order.oid]
        if not level:
            del self.levels[order.price]
            del self.prices[bisect_left(self.prices, order.price * self._sign)]
