"""What may be said of a connection or a stream, and what a feed tells of its connections."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from adapters.hyperliquid.session import Phase

_COINS_SHOWN = 5


class Verdict(enum.Enum):
    STARTING = "starting"
    """It has not said anything since the daemon's start, a moment ago."""
    CONNECTING = "connecting"
    """Lost a moment ago."""
    WELL = "well"
    QUIET = "quiet"
    """Silent, and a spot check says that there is nothing to hear."""
    SUSPECT = "suspect"
    """Silent for longer than chance explains; why is not known yet."""
    DOWN = "down"
    """Not connected, and that for a while."""
    FROZEN = "frozen"
    """It speaks, but of the past."""
    DEAD = "dead"
    """Silent, and there would be something to hear."""

    @property
    def is_well(self) -> bool:
        return self in (Verdict.WELL, Verdict.QUIET)

    @property
    def is_sick(self) -> bool:
        return self in (Verdict.DOWN, Verdict.FROZEN, Verdict.DEAD)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`reason` names what was silent (or late), since when, and for how long; `since_ms` is the market's time."""

    verdict: Verdict
    reason: str = ""
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks. `pace`: milliseconds of the market in a real one, which is 1 but in time-lapse."""

    real_ms: int
    venue_ms: int
    pace: float = 1.0

    def before(self, ago_ms: int) -> int:
        """The market's time so many real milliseconds ago."""
        return self.venue_ms - int(ago_ms * self.pace)


class Report(Protocol):
    """What a feed tells of one connection. All silences are real milliseconds."""

    @property
    def number(self) -> int: ...
    @property
    def phase(self) -> Phase: ...
    @property
    def data_silence_ms(self) -> int:
        """Since the last frame of market data: pongs and acknowledgements are none."""
        ...

    @property
    def any_silence_ms(self) -> int: ...
    @property
    def newest_venue_ms(self) -> int:
        """The newest time that a quote on it bore; -1 before any."""
        ...

    @property
    def quiet(self) -> Mapping[str, int]:
        """Since the newest quote of each acknowledged quote stream."""
        ...

    @property
    def is_account(self) -> bool: ...


class WatchedFeed(Protocol):
    """A feed that tells how it is, and takes orders to begin again."""

    def line_reports(self) -> Sequence[Report]: ...

    def resubscribe(self, symbols: Sequence[str], /) -> None: ...

    def reconnect(self, number: int, why: str, /) -> None: ...


def at_text(at_ms: int) -> str:
    """A time of day for the operator."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%H:%M:%S} UTC"


def silence_text(silence_ms: int, now: Moment) -> str:
    return f"nothing for {silence_ms / 1000:.1f} s (since {at_text(now.before(silence_ms))})"


def count_text(coins: int) -> str:
    return f" on {coins} coin{'s' * (coins != 1)}" if coins else ""


def coins_text(symbols: Iterable[str]) -> str:
    """A few names, and how many more there are."""
    names = sorted(symbols)
    shown = ", ".join(names[:_COINS_SHOWN])
    return shown if len(names) <= _COINS_SHOWN else f"{shown} and {len(names) - _COINS_SHOWN} more"
