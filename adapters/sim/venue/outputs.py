"""What leaves the venue's core: answers, frames, and the ways a connection can die."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to one HTTP request. `content_type` is None where the body is empty."""

    request_id: int
    status: int
    body: bytes
    content_type: str | None = "application/json"


@dataclass(frozen=True, slots=True)
class HttpCut:
    """The connection of one HTTP request dies; `sent` bytes of a started answer got out before (maybe none)."""

    request_id: int
    sent: bytes = b""


@dataclass(frozen=True, slots=True)
class Frame:
    socket_id: int
    text: str


@dataclass(frozen=True, slots=True)
class SocketDropped:
    """The socket dies without a close frame (the client sees 1006)."""

    socket_id: int


@dataclass(frozen=True, slots=True)
class SocketRefused:
    """A WebSocket handshake is answered with an HTTP status."""

    socket_id: int
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class ProcessKilled:
    """A fault asks for SIGKILL of a client's process."""

    pid: int


Output = HttpAnswer | HttpCut | Frame | SocketDropped | SocketRefused | ProcessKilled
