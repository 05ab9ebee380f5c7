"""What rules a session follows, and what it wants done."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.hyperliquid.heard import Heard


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Times are real milliseconds."""

    ping_every_ms: int = 20_000
    dead_after_ms: int = 45_000
    ack_timeout_ms: int = 10_000
    ack_tries: int = 2
    """How often a stream is asked for on one connection before the connection is given up."""
    unanswered_limit: int = 20
    """Subscriptions that may wait for their answer at once: the venue's answers pace us."""
    backoff_first_ms: int = 1_000
    backoff_max_ms: int = 30_000
    proven_after_ms: int = 20_000
    suspect_window_ms: int = 3_000
    """A drop this soon after a request may be its answer."""
    strikes_limit: int = 3
    unreadable_per_minute: int = 30
    """More frames that are not even JSON: the connection itself is damaged."""
    failures_told: int = 5
    """After so many attempts in a row that proved nothing the operator hears of it."""
    room_retry_ms: int = 100
    """Between two looks whether other connections have left room for one more stream."""


@dataclass(frozen=True, slots=True)
class Send:
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection and say so with `lost`."""

    why: str


@dataclass(slots=True)
class Deliver:
    """`is_backlog`: it repeats what happened before this subscription began, and maybe what was told before."""

    heard: Heard
    is_backlog: bool


@dataclass(frozen=True, slots=True)
class Reconnect:
    at_ms: int


@dataclass(frozen=True, slots=True)
class Resynced:
    """These streams run (again) from here on: what happened before has to be asked for elsewhere."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """These streams run no longer, or cannot be relied on any more. Only said of streams that were `Resynced`.

    `silent_ms`: for so long they, or their whole connection, had brought nothing.
    """

    keys: tuple[str, ...]
    silent_ms: int = 0


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the operator."""

    code: str
    text: str


Do = Send | Close | Deliver | Reconnect | Resynced | Stopped | Tell
