"""The local venue on loopback sockets: moves its time, passes requests in and answers and frames out.

The core knows neither sockets nor clocks. Here it lives in the event loop's thread: every input brings it up to
the present, is handed over, and what comes out leaves at once; in between one task sleeps until the core has
something due. Where time runs faster than the core can follow, it falls behind rather than starving the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol, assert_never, cast

from starlette.types import Receive, Scope, Send

from adapters.sim.venue.outputs import (
    Frame,
    HttpAnswer,
    HttpCut,
    Output,
    ProcessKilled,
    SocketDropped,
    SocketRefused,
)
from adapters.sim.venue.server.connections import (
    LOOPBACK,
    CuttableHttp,
    VenueSocket,
    is_local_host,
    listening_socket,
    quiet_server,
)
from ports.clock import Clock

STRIDE_MS = 1_000
"""Venue time that passes at most before the sockets get their turn."""
_OVERSIZE_READ = 8 * 1024 * 1024
"""So much of an oversized body is still read, and thrown away: a client that is writing reads no answer."""
_CUT_PROMISES = 64
"""Bytes that a cut answer promised and never sent."""
_COMMON_HEADERS = [
    (b"access-control-allow-origin", b"*"),
    (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
]
Headers = list[tuple[bytes, bytes]]
_PATHS = frozenset({"/info", "/exchange"})


class _ClientGone(Exception):
    """The client of a request closed its connection: there is nobody to answer."""


class Core(Protocol):
    """What a server needs of a venue. Nothing here waits."""

    @property
    def now_ms(self) -> int: ...

    def request(
        self, request_id: int, ip: str, method: str, path: str, content_type: str | None, body: bytes
    ) -> None: ...

    def open_socket(self, socket_id: int, ip: str) -> None: ...

    def receive(self, socket_id: int, text: str) -> None: ...

    def socket_closed(self, socket_id: int) -> None: ...

    def advance(self, to_ms: int) -> None: ...

    def next_due_ms(self) -> int: ...

    def take_output(self) -> list[Output]: ...


@dataclass(slots=True)
class Traffic:
    """What went through since the start."""

    requests: int = 0
    sockets: int = 0
    messages: int = 0
    frames: int = 0
    slow_clients_dropped: int = 0
    processes_killed: int = 0


class VenueServer:
    """One venue behind one port. Listens from its making on; `clock` None leaves time to `step`.

    `date_ms` is the time for the `Date` of answers, where it is not the core's own.
    """

    def __init__(
        self,
        core: Core,
        clock: Clock | None,
        port: int = 0,
        *,
        body_bytes: int = 1_048_576,
        date_ms: Callable[[], int] | None = None,
    ) -> None:
        self.core = core
        self.traffic = Traffic()
        self._clock = clock
        self._body_bytes = body_bytes
        self._date_ms = date_ms or (lambda: core.now_ms)
        self._listener = listening_socket(port)
        self.port: int = self._listener.getsockname()[1]
        self._count = 0
        self._answers: dict[int, asyncio.Future[HttpAnswer | HttpCut]] = {}
        self._sockets: dict[int, VenueSocket] = {}
        self._due_ms = 0
        self._sleeper: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._failure: Exception | None = None
        self._dated = -1
        self._common: Headers = []

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}/ws"

    @property
    def open_sockets(self) -> int:
        return len(self._sockets)

    def stop(self) -> None:
        """Make `serve` return."""
        self._stopped.set()

    def close(self) -> None:
        """Let go of the port of a server that never served."""
        self._listener.close()

    async def serve(self) -> None:
        """Serve until `stop`. Raises whatever the core raised: a venue with a bug is no venue."""
        server = quiet_server(self, message_bytes=self._body_bytes)
        tasks = [asyncio.create_task(server.serve(sockets=[self._listener]), name="venue sockets")]
        if self._clock is not None:
            tasks.append(asyncio.create_task(self._pace(self._clock), name="venue time"))
        tasks.append(asyncio.create_task(self._until_stopped(), name="venue stop"))
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[1:]:
            task.cancel()
        self._let_go()
        server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        if self._failure is not None:
            raise self._failure

    @property
    def is_stepped(self) -> bool:
        return self._clock is None

    async def step(self, by_ms: int) -> None:
        """Let time pass that stands still by itself; what happens in it happens at its own moments."""
        assert self._clock is None, "time that runs is not stepped"
        end_ms = self.core.now_ms + by_ms
        while self.core.now_ms < end_ms and self._failure is None:
            self.run(lambda: self.core.advance(min(end_ms, self.core.now_ms + STRIDE_MS)))
            await asyncio.sleep(0)

    def run(self, act: Callable[[], object]) -> None:
        """Bring the core up to the present, let `act` touch it, and send what comes of it."""
        if self._failure is not None:
            return
        try:
            self._advance()
            act()
            if self.core.next_due_ms() <= self.core.now_ms:
                self.core.advance(self.core.now_ms)
            self._deliver(self.core.take_output())
            if self._sleeper is not None and self.core.next_due_ms() < self._due_ms:
                self._sleeper.cancel()
        except Exception as e:  # noqa: BLE001  (a bug of the core's: `serve` raises it)
            self._failure = e
            self.stop()

    # ── time ─────────────────────────────────────────────────────────────────────────────────────

    async def _pace(self, clock: Clock) -> None:
        while True:
            self.run(_nothing)
            self._due_ms = self.core.next_due_ms()
            if self._due_ms <= self.core.now_ms or clock.now_ms() > self.core.now_ms + STRIDE_MS:
                await asyncio.sleep(0)
                continue
            self._sleeper = asyncio.create_task(clock.sleep_until(self._due_ms), name="venue sleep")
            try:
                await asyncio.wait([self._sleeper])
            finally:
                self._sleeper.cancel()
                self._sleeper = None

    def _advance(self) -> None:
        """To the present, as far as one stride reaches; a clock that was set back stands still meanwhile."""
        now_ms = self.core.now_ms
        if self._clock is not None and (clock_ms := self._clock.now_ms()) > now_ms:
            self.core.advance(min(clock_ms, now_ms + STRIDE_MS))

    async def _until_stopped(self) -> None:
        await self._stopped.wait()

    # ── out ──────────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, outputs: list[Output]) -> None:
        touched: dict[int, VenueSocket] = {}
        for output in outputs:
            if isinstance(output, Frame):
                if (socket := self._sockets.get(output.socket_id)) is not None:
                    socket.write(output.text)
                    touched[output.socket_id] = socket
                    self.traffic.frames += 1
            elif isinstance(output, HttpAnswer | HttpCut):
                waiting = self._answers.pop(output.request_id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(output)
            elif isinstance(output, SocketDropped):
                if (socket := self._sockets.get(output.socket_id)) is not None:
                    socket.flush()
                    socket.drop()
            elif isinstance(output, SocketRefused):
                if (socket := self._sockets.pop(output.socket_id, None)) is not None:
                    socket.refuse(output.status, output.body)
            elif isinstance(output, ProcessKilled):
                self._kill(output.pid)
            else:
                assert_never(output)
        for socket in touched.values():
            if not socket.flush():
                self.traffic.slow_clients_dropped += 1

    def _kill(self, pid: int) -> None:
        if may_be_killed(pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                self.traffic.processes_killed += 1

    def _let_go(self) -> None:
        """Cut what still waits or listens, so that stopping waits for nobody."""
        for request_id, waiting in self._answers.items():
            if not waiting.done():
                waiting.set_result(HttpCut(request_id))
        self._answers.clear()
        for socket in list(self._sockets.values()):
            socket.drop()

    # ── WebSockets in (`connections.SocketEvents`) ───────────────────────────────────────────────

    def socket_opened(self, socket: VenueSocket) -> None:
        if self._stopped.is_set():
            socket.drop()
            return
        self._count += 1
        socket.number = self._count
        self._sockets[socket.number] = socket
        self.traffic.sockets += 1
        self.run(lambda: self.core.open_socket(socket.number, socket.ip))

    def socket_received(self, socket: VenueSocket, text: str) -> None:
        self.traffic.messages += 1
        self.run(lambda: self.core.receive(socket.number, text))

    def socket_closed(self, socket: VenueSocket) -> None:
        if self._sockets.pop(socket.number, None) is not None:
            self.run(lambda: self.core.socket_closed(socket.number))

    # ── HTTP in (ASGI) ───────────────────────────────────────────────────────────────────────────

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(_ClientGone):
            await self._serve_request(scope, receive, send)

    async def _serve_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        method, path = scope["method"], scope["path"]
        if not is_local_host(_text(headers.get(b"host"))):
            await self._respond(send, HTTPStatus.BAD_REQUEST, b"Invalid host header", "text/plain; charset=utf-8")
        elif path not in _PATHS and path != "/ws":
            await self._respond(send, HTTPStatus.NOT_FOUND)
        elif method != "POST" or path == "/ws":
            await self._respond(send, HTTPStatus.METHOD_NOT_ALLOWED)
        elif (body := await self._body(headers, receive)) is None:
            await self._respond(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, close=True)
        else:
            connection: CuttableHttp = scope["state"]["connection"]
            client = scope["client"]
            ip = LOOPBACK if client is None else client[0]
            answer = await self._answer(connection, ip, method, path, _text(headers.get(b"content-type")), body)
            if isinstance(answer, HttpAnswer):
                await self._respond(send, answer.status, answer.body, answer.content_type)
            else:
                await self._cut(connection, answer.sent, receive, send)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body, or None where it is too large."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise _ClientGone
            part = message.get("body", b"")
            size += len(part)
            if size <= self._body_bytes:
                parts.append(part)
            else:
                parts.clear()
            if not message.get("more_body", False):
                return b"".join(parts) if size <= self._body_bytes else None
            if size > self._body_bytes + _OVERSIZE_READ:
                return None

    async def _answer(
        self, connection: CuttableHttp, ip: str, method: str, path: str, content_type: str | None, body: bytes
    ) -> HttpAnswer | HttpCut:
        """The core's answer, however long it takes."""
        self._count += 1
        request_id = self._count
        if self._stopped.is_set():
            return HttpCut(request_id)
        waiting = asyncio.get_running_loop().create_future()
        self._answers[request_id] = connection.waiting = waiting
        self.traffic.requests += 1
        self.run(lambda: self.core.request(request_id, ip, method, path, content_type, body))
        try:
            return cast(HttpAnswer | HttpCut, await waiting)
        except asyncio.CancelledError:
            if connection.transport.is_closing():
                raise _ClientGone from None
            raise
        finally:
            connection.waiting = None
            self._answers.pop(request_id, None)

    async def _respond(
        self, send: Send, status: int, body: bytes = b"", content_type: str | None = None, *, close: bool = False
    ) -> None:
        headers = [*self._headers(), (b"content-length", str(len(body)).encode())]
        if content_type is not None:
            headers.append((b"content-type", content_type.encode("latin-1")))
        if close:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _cut(self, connection: CuttableHttp, sent: bytes, receive: Receive, send: Send) -> None:
        """Close the connection, after the beginning of an answer where one got out."""
        if sent:
            promised = str(len(sent) + _CUT_PROMISES).encode()
            headers = [*self._headers(), (b"content-type", b"application/json"), (b"content-length", promised)]
            await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
            await send({"type": "http.response.body", "body": sent, "more_body": True})
        connection.cut()
        while (await receive())["type"] != "http.disconnect":
            pass

    def _headers(self) -> Headers:
        """What every answer carries; the date is the venue's."""
        second = self._date_ms() // 1000
        if second != self._dated:
            self._dated = second
            self._common = [(b"date", formatdate(second, usegmt=True).encode()), *_COMMON_HEADERS]
        return self._common


def may_be_killed(pid: int) -> bool:
    """Numbers up to 1 mean groups, everybody or init; without us and who started us there is no experiment."""
    return pid > 1 and pid not in (os.getpid(), os.getppid())


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _nothing() -> None:
    pass
