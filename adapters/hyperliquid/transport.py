"""The seam between this adapter and any network: bytes in, bytes out, and what is known when it breaks.

Everything above it (sessions, decoding, budgets, outcomes) runs unchanged over real sockets, over a recording, or over
a simulated network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HttpReply:
    """Whatever the other side answered, error pages included."""

    status: int
    body: bytes


class NotSentError(Exception):
    """Nothing of the request has left: it cannot have had any effect."""


class BrokenError(Exception):
    """The request may have arrived, and there is no answer: what became of it is not known."""


Bar = Callable[[], str]
"""Tells why a request may not leave now; empty where it may."""


class HttpTransport(Protocol):
    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: Bar | None = None
    ) -> HttpReply:
        """Send one JSON request to `/info` or `/exchange`. Raises `NotSentError` or `BrokenError`; never retries.

        What is `urgent` (exits, cancels) does not wait behind what is not. `bar` is asked when the first byte is about
        to leave, however long that took, in whatever thread: what it bars is `NotSentError`, in its words.
        """
        ...

    async def close(self) -> None: ...


class SocketClosedError(Exception):
    """The WebSocket is gone, whoever ended it; the message says how as far as is known."""


class Socket(Protocol):
    """One open WebSocket that carries text frames."""

    async def send(self, text: str) -> None:
        """Raises `SocketClosedError`."""
        ...

    async def receive(self) -> str:
        """The next frame. Raises `SocketClosedError`."""
        ...

    async def close(self) -> None:
        """End it now; never raises."""
        ...


class SocketTransport(Protocol):
    async def connect(self) -> Socket:
        """Open a WebSocket. Raises `NotSentError` where that does not succeed in time."""
        ...
