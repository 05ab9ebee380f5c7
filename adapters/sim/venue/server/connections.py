"""The local venue's connections: uvicorn's, with what a misbehaving venue needs and a short way for frames.

Three things are ours. A WebSocket writes frames without ASGI: the text is framed here and a batch leaves in
one write, so a frame costs a microsecond instead of fifty. An HTTP connection can be cut in the middle of an
answer. And uvicorn leaves the process's signals and its log alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from ports.order_gateway import VenueUnavailable

LOOPBACK = "127.0.0.1"
_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_UNSENT_BYTES = 16 * 1024 * 1024
"""A client that leaves more than this unread is dropped."""
_KEEP_ALIVE_S = 75
"""Idle HTTP connections stay open so long, about as long as the real venue's front keeps them."""
_STOP_S = 2


class SocketEvents(Protocol):
    """Whoever wants to know what happens on WebSockets. Called in the event loop, one at a time."""

    def socket_opened(self, socket: VenueSocket) -> None:
        """Called before the handshake is answered; may refuse or write already."""
        ...

    def socket_received(self, socket: VenueSocket, text: str) -> None: ...

    def socket_closed(self, socket: VenueSocket) -> None:
        """Called once for every socket that was opened and not refused."""
        ...


def is_local_host(header: str | None) -> bool:
    """Tell whether a Host header names this machine: a page that rebinds its own name does not get through."""
    if header is None:
        return False
    host = header if header.endswith("]") else header.rsplit(":", 1)[0] if ":" in header else header
    return host.lower() in _HOSTS


def listening_socket(port: int) -> socket.socket:
    """Listen on a port of the loopback interface, any free one for 0. Raises `VenueUnavailable` where it is taken."""
    # Naming the protocol matters: asyncio turns off Nagle's algorithm only where it sees TCP, and an answer
    # of two writes would wait 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(2048)
    except OSError as e:
        listener.close()
        raise VenueUnavailable(f"cannot listen on {LOOPBACK}:{port}: {e.strerror}; choose another port") from e
    return listener


def quiet_server(app: ASGIApp, *, message_bytes: int) -> uvicorn.Server:
    """A server for `app` on sockets given to `serve`; an app that is a `SocketEvents` gets the WebSockets."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=CuttableHttp,
        ws=VenueSocket if hasattr(app, "socket_opened") else "none",
        ws_max_size=message_bytes,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_S,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGINT and SIGTERM to the process that we are a part of."""
        yield


class CuttableHttp(H11Protocol):
    """An HTTP connection that its request finds in `scope["state"]["connection"]`."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, _loop)
        self.waiting: asyncio.Future[Any] | None = None
        """The answer that the running request waits for; cancelled when the client goes."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
        super().connection_lost(exc)

    def cut(self) -> None:
        """Close at once, whatever was promised."""
        self.transport.abort()


class VenueSocket(WebSocketsSansIOProtocol):
    """A WebSocket without an ASGI task: `SocketEvents` gets its texts, `write` frames what leaves."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.number = 0
        """For whoever listens, to know the socket by."""
        self._events = cast(SocketEvents, config.loaded_app)
        self._unsent: list[bytes] = []
        self._announced = False

    @property
    def ip(self) -> str:
        return LOOPBACK if self.client is None else self.client[0]

    def write(self, text: str) -> None:
        """Put one frame into the next `flush`."""
        payload = text.encode()
        size = len(payload)
        if size < 126:
            self._unsent.append(b"\x81" + size.to_bytes(1))
        elif size < 65_536:
            self._unsent.append(b"\x81\x7e" + size.to_bytes(2))
        else:
            self._unsent.append(b"\x81\x7f" + size.to_bytes(8))
        self._unsent.append(payload)

    def flush(self) -> bool:
        """Send everything written, in one piece. False, and the socket is dropped, where the client does not read."""
        if not self._unsent or not self.handshake_complete:
            return True
        batch = b"".join(self._unsent)
        self._unsent.clear()
        if self.disconnected or self.close_sent or self.transport.is_closing():
            return True
        self.transport.write(batch)
        if self.transport.get_write_buffer_size() > _UNSENT_BYTES:
            self.drop()
            return False
        return True

    def drop(self) -> None:
        """Close without a close frame: the client sees 1006."""
        self.transport.abort()

    def refuse(self, status: int, body: bytes) -> None:
        """Answer the handshake with an HTTP status; a socket that is already open is dropped."""
        if self.handshake_complete:
            self.drop()
            return
        self.handshake_complete = self.close_sent = True
        self._announced = False
        headers = Headers(
            {
                "Date": formatdate(usegmt=True),
                "Connection": "close",
                "Content-Length": str(len(body)),
                "Content-Type": "text/plain; charset=utf-8",
            }
        )
        self._send_response(Response(status, HTTPStatus(status).phrase, headers, body))
        self.transport.close()

    # ── what uvicorn's protocol does with an ASGI task ───────────────────────────────────────────

    def handle_connect(self, event: Request) -> None:
        self.request = event
        self.handshake_initiated = True
        response = self.conn.accept(event)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self.refuse(response.status_code, bytes(response.body or b""))
        elif not is_local_host(event.headers.get("Host")):
            self.refuse(HTTPStatus.BAD_REQUEST, b"Invalid host header")
        elif event.path.partition("?")[0] != "/ws":
            self.refuse(HTTPStatus.NOT_FOUND, b"")
        else:
            self._announced = True
            self._events.socket_opened(self)
            if not self.close_sent and not self.transport.is_closing():
                self._send_response(response)
                self.handshake_complete = True
                self.flush()

    def send_receive_event_to_app(self) -> None:
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if not self._announced or self.close_sent or self.transport.is_closing():
            return
        if self.curr_msg_data_type == "bytes":
            self.drop()
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.drop()
            return
        self._events.socket_received(self, text)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._announced:
            self._announced = False
            self._events.socket_closed(self)

    def shutdown(self) -> None:
        self.drop()

    def _send_response(self, response: Response) -> None:
        self.conn.send_response(response)
        self.transport.write(b"".join(self.conn.data_to_send()))
