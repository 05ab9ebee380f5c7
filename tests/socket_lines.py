"""A WebSocket connection of ours to a server of the `websockets` library that does as a test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from websockets.asyncio.server import ServerConnection, serve

from adapters.hyperliquid.sockets import WebSocketLine, WebSocketTransport

Act = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def line(act: Act, rest_ms: int = 0) -> AsyncIterator[WebSocketLine]:
    """A connection to a server that does `act` and then says goodbye."""
    async with serve(act, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        socket = await WebSocketTransport(f"ws://127.0.0.1:{port}", rest_ms=rest_ms).connect()
        try:
            yield socket
        finally:
            await socket.close()


async def check_a_slow_reader(count: int, rest_ms: int = 0) -> None:
    """Whoever does not read holds up the sender, and loses nothing of `count` long frames."""
    sent = 0
    padding = "x" * 10_000

    async def act(connection: ServerConnection) -> None:
        nonlocal sent
        for number in range(count):
            await connection.send(f"{number} {padding}")
            sent += 1

    async with line(act, rest_ms) as socket:
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < count, "nobody reads, and still everything was taken"
        for number in range(count):
            assert (await socket.receive()).split()[0] == str(number)
