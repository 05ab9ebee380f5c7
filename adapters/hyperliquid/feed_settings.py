"""What a feed hears, and how patient it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.hyperliquid.session_steps import SessionRules
from domain.candles import Interval


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """`user`: whose account, None for market data alone. `trades` only tell the venue's time.

    Without `bbo` prices are mids, of one stream for all symbols.
    """

    bbo: bool = True
    candle: bool = True
    user: str | None = None
    exit_interval: Interval | None = None
    """Whose candles are streamed for the exit symbols; None for no such streams."""
    watched: int | None = None
    """The most symbols that will ever be watched at once; None for all of the universe."""
    exits_watched: int | None = None
    """Likewise of the exit symbols; None for as many as are watched."""
    pace: float = 1.0
    """The market's milliseconds in a real one."""
    subscriptions_per_socket: int = 130
    trades: bool = False
    slice_ms: int = 25
    """How long market data is collected before it is told."""
    ahead_limit_ms: int = 60_000
    """What the venue stamps further in the future of our clock is not believed."""
    connects_per_minute: int = 15
    """New connections of all sockets together: half of what the venue allows one address."""
    catch_up_first_ms: int = 1_000
    catch_up_max_ms: int = 30_000
    catch_up_gap_ms: int = 5_000
    """Between two questions that no reconnect made necessary."""
    rules: SessionRules = field(default_factory=SessionRules)
