"""GET /metrics and GET /healthz on loopback, in the daemon's own loop: what is told is one moment's truth.

Nothing can be changed through it. A Host that is not this machine is refused: a web page that rebinds its own name to
127.0.0.1 would read the account otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.types import Receive, Scope, Send

from domain.strategy_config import Place
from entrypoints.metrics.collector import registry_of
from entrypoints.metrics.health_answer import health_answer
from entrypoints.metrics.watched import Watched
from ports.strategy_config import ConfigError, ConfigProblem

LOOPBACK = "127.0.0.1"
_HOSTS = frozenset((LOOPBACK, "localhost", "[::1]"))
_CONNECTIONS = 16
"""More at once are answered 503."""
_KEEP_ALIVE_S = 30
_STOP_S = 1

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"


class MetricsServer:
    """Listens from `listen` on, and answers while `serve` runs."""

    def __init__(self, watched: Watched, port: int) -> None:
        self._watched = watched
        self._port = port
        self._registry: CollectorRegistry = registry_of(watched)
        self._server = _Server(
            uvicorn.Config(
                self,
                loop="none",
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_STOP_S,
            )
        )

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Serve while the body runs; a server that ends before stops it. Raises `ConfigError` for a taken port."""
        listener = _listening(self._port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve(listener), name="metrics")
            try:
                yield
            finally:
                self._server.should_exit = True

    async def _serve(self, listener: socket.socket) -> None:
        with listener:
            await self._server.serve(sockets=[listener])
        if not self._server.should_exit:
            raise RuntimeError("the metrics server ended on its own")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not is_this_machine(hosts[0]):
            await _respond(send, HTTPStatus.MISDIRECTED_REQUEST, _TEXT, b"this server is 127.0.0.1 and nobody else\n")
        elif scope["path"] not in ("/metrics", "/healthz"):
            await _respond(send, HTTPStatus.NOT_FOUND, _TEXT, b"there are /metrics and /healthz\n")
        elif scope["method"] != "GET":
            await _respond(send, HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"only GET\n", (b"allow", b"GET"))
        elif scope["path"] == "/metrics":
            await _respond(send, HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry))
        else:
            answer = health_answer(self._watched)
            status = HTTPStatus.OK if answer.ok else HTTPStatus.SERVICE_UNAVAILABLE
            await _respond(send, status, _JSON, msgspec.json.encode(answer) + b"\n")


def is_this_machine(host: str) -> bool:
    """Whether a Host header names this machine, with whatever port: it may be reached through a tunnel."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name.lower() in _HOSTS


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGINT and SIGTERM to the daemon."""
        yield


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(_CONNECTIONS)
    except OSError as error:
        listener.close()
        text = f"cannot listen on {LOOPBACK}:{port}: {error.strerror}; choose another port, or unset it"
        raise ConfigError([ConfigProblem(Place("environment"), "AI_QUANT_METRICS_PORT", text)]) from error
    return listener


async def _respond(send: Send, status: int, content_type: str, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    fixed = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})
