"""What we want to hear: subscriptions, the names they are known by, and how they are spread over connections.

The account's streams have a connection of their own: a coin that the venue does not know kills its whole
socket, and a flood of market data must not delay a fill.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from adapters.hyperliquid.heard import subscription_key
from domain.candles import Interval

MAX_SUBSCRIPTIONS = 510
"""Of all connections together: half of what the venue allows one IP for candles and quotes, and ten for streams that
do not grow with the symbols, the account's and that of all mids."""
MAX_CONNECTIONS = 5
"""Likewise half."""
MAX_MESSAGES_PER_MINUTE = 1_000
"""Likewise half, over all connections."""

ACCOUNT_STREAMS = ("orderUpdates", "userFills", "userEvents", "userFundings", "userNonFundingLedgerUpdates")
ALL_MIDS = "allMids"
_MINUTE_MS = 60_000


class TooManySubscriptions(ValueError):
    """More than the venue's limits carry; the message has the arithmetic and what helps."""


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
    symbols: Sequence[str],
    interval: Interval,
    *,
    bbo: bool,
    candle: bool,
    trades: bool = False,
    exit_symbols: Sequence[str] = (),
    exit_interval: Interval | None = None,
) -> list[Subscription]:
    """Every stream of one symbol beside the other, so that they share a connection.

    Without `bbo` one stream tells the mid prices of all symbols. Without `candle` there are no candles at all, without
    an `exit_interval` none for `exit_symbols`.
    """
    exits = set(exit_symbols) if candle and exit_interval is not None else set()
    wanted = [] if bbo or not symbols else [Subscription(ALL_MIDS)]
    for symbol in symbols:
        if bbo:
            wanted.append(Subscription("bbo", symbol))
        if candle:
            wanted.append(Subscription("candle", symbol, interval))
        if symbol in exits and exit_interval is not interval:
            wanted.append(Subscription("candle", symbol, exit_interval))
        if trades:
            wanted.append(Subscription("trades", symbol))
    others = exits.difference(symbols)
    wanted += [Subscription("candle", symbol, exit_interval) for symbol in exit_symbols if symbol in others]
    return wanted


def check_limits(account: Sequence[Subscription], market: Sequence[Subscription], per_connection: int) -> None:
    """Raise `TooManySubscriptions` for more streams or connections than we may have at once."""
    assert per_connection > 0, "a connection carries something"
    total = len(account) + len(market)
    connections = -(-len(market) // per_connection) + bool(account)
    if total <= MAX_SUBSCRIPTIONS and connections <= MAX_CONNECTIONS:
        return
    kinds = Counter(each.kind if each.interval is None else f"{each.kind} {each.interval.value}" for each in market)
    parts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    raise TooManySubscriptions(
        f"{len(market)} market streams ({parts}) and {len(account)} of the account are {total} subscriptions on "
        f"{connections} connections of {per_connection}; we use at most {MAX_SUBSCRIPTIONS} on {MAX_CONNECTIONS}, "
        f"half of what the venue allows one address. What helps: {'; '.join(_remedies({each.kind for each in market}))}"
    )


def _remedies(kinds: Collection[str]) -> list[str]:
    found = ["fewer symbols (AI_QUANT_SYMBOLS or AI_QUANT_TOP_N)"]
    if "bbo" in kinds:
        found.append("AI_QUANT_WS_ENABLE_BBO=0 (one stream for all prices)")
    if "candle" in kinds:
        found.append("AI_QUANT_WS_ENABLE_CANDLE=0 (candles from REST)")
    return found


def spread(
    account: Sequence[Subscription], market: Sequence[Subscription], per_connection: int
) -> list[tuple[Subscription, ...]]:
    """One tuple a connection, the account's first. Raises `TooManySubscriptions`."""
    check_limits(account, market, per_connection)
    parts = [tuple(account)] if account else []
    needed = -(-len(market) // per_connection)
    start = 0
    for place in range(needed):
        size = len(market) // needed + (place < len(market) % needed)
        parts.append(tuple(market[start : start + size]))
        start += size
    return parts


def by_coin(subscriptions: Iterable[Subscription]) -> list[list[Subscription]]:
    """The streams of each coin together, in the order in which coins first appear."""
    groups: dict[str, list[Subscription]] = {}
    for each in subscriptions:
        groups.setdefault(each.coin, []).append(each)
    return list(groups.values())


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


class StreamRoom:
    """How many streams all connections together may have at the venue at once.

    A stream takes its room when it is asked for, and leaves it when its end is answered or its connection is gone.
    """

    def __init__(self, limit: int = MAX_SUBSCRIPTIONS) -> None:
        self._free = limit

    @property
    def is_full(self) -> bool:
        return self._free == 0

    def take(self) -> None:
        assert self._free > 0, "look before you take"
        self._free -= 1

    def leave(self) -> None:
        self._free += 1
