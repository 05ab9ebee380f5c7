"""What we want to hear: subscriptions, the names they are known by, and how they are spread over connections.

The account's streams have a connection of their own: a coin that the venue does not know kills its whole
socket, and a flood of market data must not delay a fill.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from adapters.hyperliquid.heard import subscription_key
from domain.candles import Interval

MAX_SUBSCRIPTIONS = 500
"""Of all connections together: half of what the venue allows one IP."""
MAX_CONNECTIONS = 5
"""Likewise half."""
MAX_MESSAGES_PER_MINUTE = 1_000
"""Likewise half, over all connections."""

ACCOUNT_STREAMS = ("orderUpdates", "userFills", "userEvents", "userFundings", "userNonFundingLedgerUpdates")
_MINUTE_MS = 60_000


class TooManySubscriptions(ValueError):
    """More than the venue's limits carry; the message has the arithmetic."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One stream. `key` is its canonical name: the same for what we ask and for what the venue echoes."""

    kind: str
    coin: str = ""
    interval: Interval | None = None
    user: str = ""
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", subscription_key(self.request))

    @property
    def request(self) -> dict[str, object]:
        """The subscription object of the venue's protocol."""
        request: dict[str, object] = {"type": self.kind}
        if self.coin:
            request["coin"] = self.coin
        if self.interval is not None:
            request["interval"] = self.interval.value
        if self.user:
            request["user"] = self.user.lower()
        return request

    @property
    def of_account(self) -> bool:
        return bool(self.user)


def account_subscriptions(user: str) -> list[Subscription]:
    return [Subscription(kind, user=user) for kind in ACCOUNT_STREAMS]


def market_subscriptions(
    symbols: Iterable[str], interval: Interval, *, bbo: bool, candle: bool, trades: bool = False
) -> list[Subscription]:
    """Every stream of one symbol beside the other, so that they share a connection."""
    wanted = []
    for symbol in symbols:
        if bbo:
            wanted.append(Subscription("bbo", symbol))
        if candle:
            wanted.append(Subscription("candle", symbol, interval))
        if trades:
            wanted.append(Subscription("trades", symbol))
    return wanted


def spread(
    account: Sequence[Subscription], market: Sequence[Subscription], per_connection: int
) -> list[tuple[Subscription, ...]]:
    """One tuple a connection, the account's first. Raises `TooManySubscriptions`."""
    assert per_connection > 0, "a connection carries something"
    total = len(account) + len(market)
    needed = -(-len(market) // per_connection)
    connections = needed + bool(account)
    if total > MAX_SUBSCRIPTIONS or connections > MAX_CONNECTIONS:
        raise TooManySubscriptions(
            f"{len(market)} market streams and {len(account)} of the account are {total} subscriptions on "
            f"{connections} connections of {per_connection}; we use at most {MAX_SUBSCRIPTIONS} on {MAX_CONNECTIONS}, "
            "half of what the venue allows one address: watch fewer symbols, or turn off candle or bbo"
        )
    parts = [tuple(account)] if account else []
    start = 0
    for place in range(needed):
        size = len(market) // needed + (place < len(market) % needed)
        parts.append(tuple(market[start : start + size]))
        start += size
    return parts


class MessageBudget:
    """What all connections together may send in a minute. Times never go backwards."""

    def __init__(self, per_minute: int = MAX_MESSAGES_PER_MINUTE) -> None:
        self._limit = per_minute
        self._sent: deque[int] = deque()

    def take(self, now_ms: int) -> bool:
        """Account for one message; False where it has to wait until `free_ms`."""
        if self.free_ms(now_ms) > now_ms:
            return False
        self._sent.append(now_ms)
        return True

    def note(self, now_ms: int) -> None:
        """Account for a message that cannot wait: a ping."""
        self._sent.append(now_ms)

    def free_ms(self, now_ms: int) -> int:
        """When the next message may leave."""
        while self._sent and self._sent[0] <= now_ms - _MINUTE_MS:
            self._sent.popleft()
        excess = len(self._sent) - self._limit
        return now_ms if excess < 0 else self._sent[excess] + _MINUTE_MS
