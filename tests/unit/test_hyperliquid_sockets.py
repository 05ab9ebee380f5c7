"""`WebSocketTransport` against a server of the `websockets` library: every frame once and in order, however it came."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection

from adapters.hyperliquid.transport import SocketClosedError
from tests.socket_lines import check_a_slow_reader, line

MANY = 5_000


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
    await check_a_slow_reader(MANY)


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
