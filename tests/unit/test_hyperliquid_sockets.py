"""`WebSocketTransport` against a server of the `websockets` library: every frame once and in order, however it came."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from adapters.hyperliquid.sockets import WebSocketLine, WebSocketTransport
from adapters.hyperliquid.transport import SocketClosedError

MANY = 5_000


@contextlib.asynccontextmanager
async def line(act: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[WebSocketLine]:
    """A connection to a server that does `act` and then says goodbye."""
    async with serve(act, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        socket = await WebSocketTransport(f"ws://127.0.0.1:{port}").connect()
        try:
            yield socket
        finally:
            await socket.close()


async def test_fragments_and_bytes_keep_their_place_among_whole_texts() -> None:
    async def act(connection: ServerConnection) -> None:
        await connection.send("first")
        await connection.send(["sec", "ond"])
        await connection.send("third")
        await connection.send(b"fourth")
        await connection.send("fifth")

    async with line(act) as socket:
        heard = [await socket.receive() for _ in range(5)]
        assert heard == ["first", "second", "third", "fourth", "fifth"]
        with pytest.raises(SocketClosedError, match="closed with 1000"):
            await socket.receive()


async def test_a_reader_that_waits_hears_what_comes_later_and_the_end() -> None:
    go = asyncio.Event()

    async def act(connection: ServerConnection) -> None:
        await go.wait()
        await connection.send("late")

    async with line(act) as socket:
        reading = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        go.set()
        assert await reading == "late"
        with pytest.raises(SocketClosedError):
            await socket.receive()


async def test_a_slow_reader_holds_up_the_sender_and_loses_nothing() -> None:
    sent = 0
    padding = "x" * 10_000

    async def act(connection: ServerConnection) -> None:
        nonlocal sent
        for number in range(MANY):
            await connection.send(f"{number} {padding}")
            sent += 1

    async with line(act) as socket:
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < MANY, "nobody reads, and still everything was taken"
        for number in range(MANY):
            assert (await socket.receive()).split()[0] == str(number)


async def test_a_text_that_is_none_ends_the_connection_after_what_came_before() -> None:
    async def act(connection: ServerConnection) -> None:
        await connection.send("well")
        await connection.send(b"\xff\xfe", text=True)
        await connection.wait_closed()

    async with line(act) as socket:
        assert await socket.receive() == "well"
        with pytest.raises(SocketClosedError, match="no UTF-8 text"):
            await socket.receive()


async def test_a_wait_that_was_given_up_takes_nothing_with_it() -> None:
    go = asyncio.Event()

    async def act(connection: ServerConnection) -> None:
        await go.wait()
        await connection.send("kept")
        await connection.wait_closed()

    async with line(act) as socket:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await socket.receive()
        go.set()
        assert await socket.receive() == "kept"
