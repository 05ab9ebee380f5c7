"""The queue before a resting order: how much must trade at its price before it does.

    arrival: the recorded size at our price ──trades at it, cancels seen in a snapshot──▶ 0 ──▶ trades fill us

An estimate, and a cautious one: cancels show only once a whole level is smaller than the queue, and whoever is not
known to stand behind us stands ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.intents import OrderRequest
from domain.market import PublicTrade

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Queue:
    """What stands ahead of us at our price; `seen_ms` is the market's time of the book or touch that said so."""

    ahead: Decimal
    seen_ms: int


def shortened(queue: Queue | None, seen: Queue | None, arrived_ms: int) -> Queue | None:
    """The queue after a look at the market: never longer. What was seen before our arrival shortens nothing, for others
    may have come between."""
    if seen is None or seen.seen_ms < arrived_ms or (queue is not None and seen.ahead >= queue.ahead):
        return queue
    return seen


def after_trade(queue: Queue, size: Decimal, time_ms: int) -> tuple[Queue, Decimal]:
    """The queue after a trade at our price, and how much of the trade was left for us.

    A trade that is not younger than the look which gave the queue is in it already.
    """
    if time_ms <= queue.seen_ms:
        return queue, ZERO
    worked_off = min(queue.ahead, size)
    return Queue(queue.ahead - worked_off, queue.seen_ms), size - worked_off


def trades_through(trade: PublicTrade, request: OrderRequest) -> bool:
    """Whether somebody traded at a price worse than ours, whoever the aggressor: our order stood in the way."""
    return (request.limit_price - trade.price) * request.side.sign > 0


def trades_at(trade: PublicTrade, request: OrderRequest) -> bool:
    """Whether somebody hit the level that our order stands in."""
    return trade.price == request.limit_price and trade.side is request.side.opposite
