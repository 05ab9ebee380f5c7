"""A connection that rests between two reads: what comes meanwhile comes together, and nothing else changes."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection

from adapters.hyperliquid.transport import SocketClosedError
from tests.socket_lines import check_a_slow_reader, line

SHORT_MS = 20
FOR_EVER_MS = 10**9
MANY = 3_000


async def answer(connection: ServerConnection) -> None:
    """Send back whatever comes."""
    async for text in connection:
        await connection.send(text)


async def test_the_first_frame_is_heard_at_once_and_the_next_after_the_rest() -> None:
    async with line(answer, FOR_EVER_MS) as socket:
        await socket.send("first")
        assert await socket.receive() == "first"
        await socket.send("second")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await socket.receive()


async def test_a_connection_that_rests_is_closed_without_waiting_for_the_end_of_the_rest() -> None:
    codes: list[int | None] = []

    async def act(connection: ServerConnection) -> None:
        await answer(connection)
        codes.append(connection.close_code)

    async with line(act, FOR_EVER_MS) as socket:
        await socket.send("first")
        assert await socket.receive() == "first"
    assert codes == [1000], "both sides said goodbye"


async def test_every_frame_comes_once_and_in_order_and_then_the_end() -> None:
    async def act(connection: ServerConnection) -> None:
        for number in range(MANY):
            await connection.send(str(number))
            if number % 100 == 0:
                await asyncio.sleep(0.002)

    async with line(act, SHORT_MS) as socket:
        assert [await socket.receive() for _ in range(MANY)] == [str(number) for number in range(MANY)]
        with pytest.raises(SocketClosedError, match="closed with 1000"):
            await socket.receive()


async def test_fragments_and_bytes_keep_their_place_and_end_the_rests() -> None:
    async def act(connection: ServerConnection) -> None:
        await connection.send("first")
        await connection.send(["sec", "ond"])
        await connection.send("third")
        await connection.send(b"fourth")

    async with line(act, SHORT_MS) as socket:
        assert [await socket.receive() for _ in range(4)] == ["first", "second", "third", "fourth"]


async def test_a_slow_reader_holds_up_the_sender_and_loses_nothing() -> None:
    await check_a_slow_reader(MANY, SHORT_MS)
