"""What the simulated exchange sees of the market: the newest touch of each symbol, and its recorded book if any.

The last quote is the touch, or the best of a book that is not older. Nothing of this survives a restart: the market
tells it again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from adapters.sim.book_depth import BookDepth
from adapters.sim.queue_estimate import Queue
from domain.intents import OrderRequest, Side
from domain.market import BookLevel, BookSnapshot

ZERO = Decimal(0)


class Touch(NamedTuple):
    """Best bid and ask as of the market's time."""

    bid: Decimal
    ask: Decimal
    venue_ms: int

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2

    def met_by(self, side: Side) -> Decimal:
        """What a taker of this side meets."""
        return self.ask if side is Side.BUY else self.bid


class MarketView:
    def __init__(self) -> None:
        self.touches: dict[str, Touch] = {}
        self._depths: dict[str, BookDepth] = {}

    def show_book(self, book: BookSnapshot) -> bool:
        """Take a snapshot for the newest; False for an older one or one told again, which changes nothing."""
        known = self._depths.get(book.symbol)
        if known is not None and book.venue_ms <= known.snapshot.venue_ms:
            return False
        self._depths[book.symbol] = BookDepth(book)
        touch = self.touches.get(book.symbol)
        if book.touch is not None and (touch is None or book.venue_ms >= touch.venue_ms):
            self.touches[book.symbol] = Touch(*book.touch, book.venue_ms)
        return True

    def take(self, request: OrderRequest, size: Decimal, now_ms: int) -> list[BookLevel] | None:
        """Take up to `size` from the recorded levels within the order's limit; what was got is gone.

        None where there is no fresh book, or the touch has run over all of it: then only the touch is known.
        """
        depth, touch = self._depths.get(request.symbol), self.touches.get(request.symbol)
        if depth is None or not depth.is_fresh(now_ms):
            return None
        newer = touch is not None and touch.venue_ms > depth.snapshot.venue_ms
        bound = touch.met_by(request.side) if touch is not None and newer else None
        if not depth.reach(request.side, bound):
            return None
        return depth.take(request.side, size, request.limit_price, bound)

    def queue(self, request: OrderRequest, now_ms: int) -> Queue | None:
        """What stands at an order's price as far as the market shows it: nobody at a price better than the touch, else
        the recorded size. None where nobody knows."""
        touch, depth = self.touches.get(request.symbol), self._depths.get(request.symbol)
        if touch is not None:
            best = touch.met_by(request.side.opposite)
            if (request.limit_price - best) * request.side.sign > 0:
                return Queue(ZERO, touch.venue_ms)
        if depth is None or not depth.is_fresh(now_ms):
            return None
        size = depth.size_at(request.side, request.limit_price)
        return None if size is None else Queue(size, depth.snapshot.venue_ms)
