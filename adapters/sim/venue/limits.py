"""How much one IP and one address may ask (`hyperliquid-protocol` §9).

With `Limits.enforced` off nothing is refused, but everything is still counted.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.settings import Limits
from adapters.sim.venue.words import (
    too_many_messages,
    too_many_posts,
    too_many_requests,
    too_many_subscriptions,
    too_many_users,
)

MINUTE_MS = 60_000
EXCHANGE_ITEMS_PER_WEIGHT = 40
USUAL_WEIGHT = 20
INFO_WEIGHTS = {
    "l2Book": 2,
    "allMids": 2,
    "clearinghouseState": 2,
    "orderStatus": 2,
    "spotClearinghouseState": 2,
    "exchangeStatus": 2,
    "userRole": 60,
}
ROWS_PER_WEIGHT = {
    "recentTrades": 20,
    "historicalOrders": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "twapHistory": 20,
    "userTwapSliceFills": 20,
    "delegatorHistory": 20,
    "delegatorRewards": 20,
    "validatorStats": 20,
    "candleSnapshot": 60,
}

TRICKLE_MS = 10_000
"""An exhausted address may send one action per so long."""
EXTRA_CANCELS = 100_000
STALE_ACTION_COST = 5


def info_weight(request_type: str, rows: int) -> int:
    """What an info request costs its IP; `rows` are known with the answer only, 0 before."""
    per_weight = ROWS_PER_WEIGHT.get(request_type)
    return INFO_WEIGHTS.get(request_type, USUAL_WEIGHT) + (rows // per_weight if per_weight is not None else 0)


def exchange_weight(items: int) -> int:
    """What a signed action of so many orders or cancels costs its IP."""
    return 1 + items // EXCHANGE_ITEMS_PER_WEIGHT


@dataclass(slots=True)
class SlidingMinute:
    """A sum over the last 60 s. Times never go backwards."""

    total: int = 0
    entries: deque[tuple[int, int]] = field(default_factory=deque)

    def at(self, now_ms: int) -> int:
        while self.entries and self.entries[0][0] <= now_ms - MINUTE_MS:
            self.total -= self.entries.popleft()[1]
        return self.total

    def add(self, amount: int, now_ms: int) -> None:
        self.total += amount
        if self.entries and self.entries[-1][0] == now_ms:
            amount += self.entries.pop()[1]
        self.entries.append((now_ms, amount))


@dataclass(slots=True)
class Visitor:
    """What one IP does at the moment."""

    weight: SlidingMinute = field(default_factory=SlidingMinute)
    new_connections: SlidingMinute = field(default_factory=SlidingMinute)
    messages: SlidingMinute = field(default_factory=SlidingMinute)
    connections: int = 0
    subscriptions: int = 0
    users: Counter[str] = field(default_factory=Counter)
    posts: int = 0


class IpLimits:
    """Counts per IP over all its sockets. What is refused does not count."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._visitors: dict[str, Visitor] = {}

    # REST

    def weigh(self, ip: str, weight: int, now_ms: int) -> bool:
        """Spend weight; False (HTTP 429) where the minute has not so much left."""
        used = self._visitor(ip).weight
        if used.at(now_ms) + weight > self._limits.weight_per_minute and self._limits.enforced:
            return False
        used.add(weight, now_ms)
        return True

    def charge(self, ip: str, weight: int, now_ms: int) -> None:
        """Spend weight that nobody can refuse any more: the rows of an answer."""
        self._visitor(ip).weight.add(weight, now_ms)

    def weight_used(self, ip: str, now_ms: int) -> int:
        return self._visitor(ip).weight.at(now_ms)

    # WebSocket

    def connect(self, ip: str, now_ms: int) -> bool:
        """Open a socket; False (HTTP 429) where there are too many, or too many new ones."""
        visitor = self._visitor(ip)
        recent = visitor.new_connections.at(now_ms)
        if self._limits.enforced and (
            visitor.connections >= self._limits.connections or recent >= self._limits.new_connections_per_minute
        ):
            return False
        visitor.connections += 1
        visitor.new_connections.add(1, now_ms)
        return True

    def disconnect(self, ip: str) -> None:
        """Close a socket. Its subscriptions and posts are ended one by one by the caller, who knows them."""
        visitor = self._visitor(ip)
        assert visitor.connections > 0, "closed more sockets than were opened"
        visitor.connections -= 1

    def message(self, ip: str, now_ms: int) -> str | None:
        """Count a message from the client, of any kind; the refusal text where there were too many."""
        messages = self._visitor(ip).messages
        if messages.at(now_ms) >= self._limits.messages_per_minute and self._limits.enforced:
            return too_many_messages(self._limits.messages_per_minute)
        messages.add(1, now_ms)
        return None

    def subscribe(self, ip: str, user: str | None) -> str | None:
        """Count a subscription, and the user it is about (lower case); the refusal text where it is too much."""
        visitor = self._visitor(ip)
        if self._limits.enforced:
            if visitor.subscriptions >= self._limits.subscriptions:
                return too_many_subscriptions(self._limits.subscriptions)
            if user is not None and user not in visitor.users and len(visitor.users) >= self._limits.users:
                return too_many_users(self._limits.users)
        visitor.subscriptions += 1
        if user is not None:
            visitor.users[user] += 1
        return None

    def unsubscribe(self, ip: str, user: str | None) -> None:
        visitor = self._visitor(ip)
        assert visitor.subscriptions > 0, "ended more subscriptions than were made"
        visitor.subscriptions -= 1
        if user is None:
            return
        assert visitor.users[user] > 0, "ended more of a user's subscriptions than were made"
        visitor.users[user] -= 1
        if not visitor.users[user]:
            del visitor.users[user]

    def begin_post(self, ip: str, post_id: int) -> str | None:
        """Count a post until `end_post`; the refusal text where too many wait for their answers."""
        visitor = self._visitor(ip)
        if self._limits.enforced and visitor.posts >= self._limits.inflight_posts:
            return too_many_posts(post_id)
        visitor.posts += 1
        return None

    def end_post(self, ip: str) -> None:
        visitor = self._visitor(ip)
        assert visitor.posts > 0, "ended more posts than were begun"
        visitor.posts -= 1

    def _visitor(self, ip: str) -> Visitor:
        visitor = self._visitors.get(ip)
        if visitor is None:
            visitor = self._visitors[ip] = Visitor()
        return visitor


class BudgetStatus(NamedTuple):
    """What `userRateLimit` tells. `surplus` is what was bought on top of the cap."""

    cum_volume: Decimal
    used: int
    cap: int
    surplus: int


@dataclass(slots=True)
class Spent:
    used: int = 0
    bought: int = 0
    last_accepted_ms: int | None = None


class AddressBudget:
    """Requests per address against its traded volume. A sub-account has a budget of its own, the house none."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._spent: dict[str, Spent] = {}

    def spend(self, account: VenueAccount, n: int, now_ms: int, *, cancels: bool) -> str | None:
        """Count an action of `n` orders or cancels, or say why not.

        Beyond the cap one action is let through per 10 s after the last accepted one, whatever its size; what is
        refused neither counts nor restarts that wait. Cancels have a cap of their own over the same count.
        """
        if account.is_house:
            return None
        spent = self._spent.setdefault(account.address, Spent())
        cap = self._cap(account) + spent.bought
        bound = min(cap + EXTRA_CANCELS, 2 * cap) if cancels else cap
        if self._limits.enforced and spent.used + n > bound and not _has_waited(spent, now_ms):
            # The recorded text's bound is one below that address's cap: it compares what was used before.
            return too_many_requests(spent.used, bound - n, account.volume)
        spent.used += n
        spent.last_accepted_ms = now_ms
        return None

    def charge_stale(self, account: VenueAccount) -> None:
        """Count an action whose `expiresAfter` had passed; it was refused already, so this cannot be."""
        if not account.is_house:
            self._spent.setdefault(account.address, Spent()).used += STALE_ACTION_COST

    def buy(self, account: VenueAccount, weight: int) -> None:
        """Add requests that were paid for (`reserveRequestWeight`)."""
        self._spent.setdefault(account.address, Spent()).bought += weight

    def status(self, account: VenueAccount) -> BudgetStatus:
        spent = self._spent.get(account.address, Spent())
        return BudgetStatus(account.volume, spent.used, self._cap(account), spent.bought)

    def _cap(self, account: VenueAccount) -> int:
        return self._limits.address_requests + int(account.volume)


def _has_waited(spent: Spent, now_ms: int) -> bool:
    return spent.last_accepted_ms is None or now_ms - spent.last_accepted_ms >= TRICKLE_MS
