"""What the simulated exchange knows: everything that a restart must find again, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from adapters.sim.account import VenueAccount
from adapters.sim.queue_estimate import Queue
from adapters.sim.seen_trades import SeenTrades
from domain.events import FundingPaid
from domain.fills import Fill
from domain.intents import OrderRequest

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class HeldOrder:
    """An order on its way or resting. `oid` also gives the time priority.

    `remaining` may still fill; with `filled` it is less than the request's size where reduce-only cut it. `queue`
    stands before it at its price (None: nobody knows). `crosses`: it would take more than the recorded book had, and
    goes on taking from the next one.
    """

    request: OrderRequest
    oid: int
    arrives_ms: int
    remaining: Decimal
    filled: Decimal = ZERO
    queue: Queue | None = None
    crosses: bool = False


@dataclass(slots=True)
class ExchangeBook:
    """Account, orders and executions of one simulated venue.

    `coming` are orders that have not arrived; `resting` maps symbol to oid to order. `by_cloid`
    names the orders that are alive. `changes` counts up with everything worth keeping: queues and
    trades heard are kept along with it, for they may fall behind together.
    """

    account: VenueAccount
    coming: list[HeldOrder] = field(default_factory=list)
    resting: dict[str, dict[int, HeldOrder]] = field(default_factory=dict)
    by_cloid: dict[str, int] = field(default_factory=dict)
    next_oid: int = 1
    next_tid: int = 1
    funded_hour: int | None = None
    now_ms: int = 0
    fills: list[Fill] = field(default_factory=list)
    fundings: list[FundingPaid] = field(default_factory=list)
    trades_seen: dict[str, SeenTrades] = field(default_factory=dict)
    changes: int = 0

    def rest(self, held: HeldOrder) -> None:
        """Let an order rest; one that rests already takes its newer state."""
        self.resting.setdefault(held.request.symbol, {})[held.oid] = held

    def rests(self, held: HeldOrder) -> bool:
        return held.oid in self.resting.get(held.request.symbol, {})

    def take_off(self, symbol: str, oid: int) -> None:
        """End an order's rest; nothing happens where it does not rest."""
        orders = self.resting.get(symbol, {})
        orders.pop(oid, None)
        if not orders:
            self.resting.pop(symbol, None)

    def resting_in(self, symbol: str) -> list[HeldOrder]:
        return list(self.resting.get(symbol, {}).values())

    def all_resting(self) -> list[HeldOrder]:
        return sorted((held for orders in self.resting.values() for held in orders.values()), key=lambda held: held.oid)
