"""`RequestsTransport` over loopback sockets: above all, what it knows of a request that failed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from adapters.hyperliquid.http_pool import RequestsTransport
from adapters.hyperliquid.transport import BrokenError, HttpReply, NotSentError

BODY = b'{"type":"meta","mark":"the-body-itself"}'
URGENT = b'{"action":"urgent"}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Act = Callable[["Peer", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server on loopback that does with every connection what a test says."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.connections = 0
        self.requests: list[bytes] = []
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        """The client closed a connection, or shut it."""
        self.url = ""

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        self.requests.append(head + await reader.readexactly(length))
        self.arrived.set()
        return self.requests[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.act(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def peer(act: Act) -> AsyncIterator[Peer]:
    acting = Peer(act)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(acting.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    acting.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield acting
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def transport(url: str, **options: Any) -> AsyncIterator[RequestsTransport]:
    made = RequestsTransport(url, **options)
    try:
        yield made
    finally:
        await made.close()


def answering(*replies: bytes) -> Act:
    """One reply after another on each connection, which then stays open; the last one repeats."""

    async def act(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count = 0
        while True:
            await peer.request(reader)
            writer.write(replies[min(count, len(replies) - 1)])
            await writer.drain()
            count += 1

    return act


async def silent(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await peer.request(reader)
    await reader.readexactly(1)


async def closing(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await peer.request(reader)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def crowded() -> Any:
    """A port whose queue is full: connections to it neither come nor fail. Yields its listener and its URL."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_is_a_json_post_and_its_answer_comes_back_whole() -> None:
    async with peer(answering(OK)) as venue, transport(venue.url) as http:
        assert await http.post("/info", BODY, 5) == HttpReply(200, b"{}")
    head, _, body = venue.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /info HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json" in head
    assert body == BODY


@pytest.mark.parametrize("status", [204, 301, 307, 400, 422, 429, 500, 502, 599])
async def test_every_status_is_an_answer_and_no_redirect_is_followed(status: int) -> None:
    reply = b"HTTP/1.1 %d Odd\r\nLocation: /exchange\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n" % status
    async with peer(answering(reply)) as venue, transport(venue.url) as http:
        assert (await http.post("/info", BODY, 5)).status == status
    assert len(venue.requests) == 1


async def test_a_connection_is_kept_and_no_cookie_is() -> None:
    reply = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}"
    async with peer(answering(reply)) as venue, transport(venue.url, workers=3) as http:
        for _ in range(6):
            await http.post("/info", BODY, 5)
    assert venue.connections <= 3, "one per thread"
    assert not any(b"cookie" in request.lower() for request in venue.requests)


async def test_a_packed_answer_is_unpacked() -> None:
    packed = gzip.compress(b"[1,2,3]")
    reply = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed)
    async with peer(answering(reply)) as venue, transport(venue.url) as http:
        assert (await http.post("/info", BODY, 5)).body == b"[1,2,3]"


# ── it cannot have left ──────────────────────────────────────────────────────────────────────────


async def test_refused_has_not_left() -> None:
    async with transport(f"http://127.0.0.1:{free_port()}") as http:
        with pytest.raises(NotSentError, match="refused") as raised:
            await http.post("/exchange", BODY, 5)
    assert "the-body-itself" not in str(raised.value)


async def test_a_name_that_nobody_knows_has_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    async with transport("http://venue.invalid") as http:
        with pytest.raises(NotSentError, match="not known"):
            await http.post("/exchange", BODY, 5)


async def test_a_connection_that_does_not_come_has_not_left() -> None:
    with crowded() as (_, url):
        async with transport(url, connect_s=0.2) as http:
            with pytest.raises(NotSentError, match=r"[Tt]imeout|timed out"):
                await http.post("/exchange", BODY, 5)


async def test_a_handshake_that_fails_has_not_left() -> None:
    async def plain(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with peer(plain) as venue, transport(venue.url.replace("http", "https")) as http:
        with pytest.raises(NotSentError, match="SSL"):
            await http.post("/exchange", BODY, 5)


async def test_what_is_given_up_before_the_connection_stands_never_leaves() -> None:
    with crowded() as (listener, url):
        async with transport(url, connect_s=10) as http:
            with pytest.raises(NotSentError, match="could not be sent within"):
                await http.post("/exchange", BODY, 0.1)
            cancelled = asyncio.create_task(http.post("/exchange", BODY, 10))
            await asyncio.sleep(0.1)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert await asyncio.to_thread(drained, listener) == b""


def drained(listener: socket.socket, for_s: float = 3.0) -> bytes:
    """Accept whoever waits or still comes, and return all that they say."""
    said, ends_s = b"", time.monotonic() + for_s
    listener.settimeout(0.2)
    with contextlib.ExitStack() as stack:
        accepted: list[socket.socket] = []
        while time.monotonic() < ends_s:
            with contextlib.suppress(TimeoutError):
                accepted.append(stack.enter_context(listener.accept()[0]))
                accepted[-1].settimeout(0.02)
            for each in accepted:
                with contextlib.suppress(OSError):
                    said += each.recv(65_536)
    return said


async def test_what_waits_for_a_thread_longer_than_its_time_never_leaves() -> None:
    async with peer(silent) as venue, transport(venue.url, workers=3) as http:
        busy = [asyncio.create_task(http.post("/exchange", b"{}", 2.0, urgent=True)) for _ in range(3)]
        while len(venue.requests) < 3:  # noqa: ASYNC110  (all threads are busy, however slow the machine is)
            await asyncio.sleep(0.01)
        for urgent in (True, False):
            with pytest.raises(NotSentError, match="could not be sent within"):
                await http.post("/exchange", BODY, 0.1, urgent=urgent)
        for each in busy:
            with pytest.raises(BrokenError):
                await each
        await asyncio.sleep(0.2)
    assert not any(BODY in request for request in venue.requests)
    assert venue.connections == 3


# ── it may have arrived ──────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_closes_instead_of_answering_is_broken_and_nothing_is_sent_twice() -> None:
    async with peer(closing) as venue, transport(venue.url) as http:
        with pytest.raises(BrokenError):
            await http.post("/exchange", BODY, 5)
    assert len(venue.requests) == venue.connections == 1


async def test_a_kept_connection_that_dies_under_a_request_is_broken_and_nothing_is_sent_twice() -> None:
    async def once(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(OK)
        await peer.request(reader)

    async with peer(once) as venue, transport(venue.url, workers=3) as http:
        answered = broken = 0
        while not broken:
            try:
                await http.post("/exchange", BODY, 5)
                answered += 1
            except BrokenError:
                broken += 1
    assert len(venue.requests) == answered + broken


async def test_a_kept_connection_that_was_closed_in_peace_is_replaced() -> None:
    async def once(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(OK)
        await writer.drain()

    async with peer(once) as venue, transport(venue.url, workers=3) as http:
        for _ in range(5):
            assert (await http.post("/exchange", BODY, 5)).status == 200
            await asyncio.sleep(0.02)
    assert len(venue.requests) == 5


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\xff\x00\xff\r\n\r\n",
    ],
)
async def test_half_an_answer_and_a_strange_one_are_broken(said: bytes) -> None:
    async def act(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(said)
        await writer.drain()

    async with peer(act) as venue, transport(venue.url) as http:
        with pytest.raises(BrokenError) as raised:
            await http.post("/exchange", BODY, 5)
    assert len(str(raised.value)) <= 160
    assert len(venue.requests) == 1


@pytest.mark.parametrize("head", [b"", b"Content-Length: many\r\n\r\n[1", b"Content-Le", b"\r\n[1"])
async def test_an_answer_without_a_length_is_what_came_until_the_end(head: bytes) -> None:
    """Whoever reads it finds no JSON in it."""

    async def act(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n" + head)
        await writer.drain()

    async with peer(act) as venue, transport(venue.url) as http:
        assert await http.post("/exchange", BODY, 5) == HttpReply(200, b"[1" if b"[" in head else b"")


async def test_a_larger_answer_than_allowed_is_broken_and_not_read_to_its_end() -> None:
    written = 0

    async def flood(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await peer.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while written < 200_000_000:
            writer.write(b"x" * 65_536)
            await writer.drain()
            written += 65_536

    async with peer(flood) as venue, transport(venue.url, max_body_bytes=100_000) as http:
        with pytest.raises(BrokenError, match="larger than 100000"):
            await http.post("/info", BODY, 5)
        await asyncio.wait_for(venue.gone.wait(), 5)
    assert written < 50_000_000


async def test_an_unpacked_answer_counts_as_large_as_it_gets() -> None:
    packed = gzip.compress(b" " * 5_000_000)
    reply = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed)
    async with peer(answering(reply)) as venue, transport(venue.url, max_body_bytes=100_000) as http:
        with pytest.raises(BrokenError, match="larger"):
            await http.post("/info", BODY, 5)


DRIPS = {
    "nothing": b"",
    "its head": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000,
    "its body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"1" * 1000,
}


@pytest.mark.parametrize("drip", DRIPS)
async def test_the_time_is_for_the_whole_answer_and_its_thread_is_free_again(drip: str) -> None:
    async def dripping(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if BODY not in await peer.request(reader):
            writer.write(OK)
            return
        for place in range(len(DRIPS[drip])):
            writer.write(DRIPS[drip][place : place + 1])
            await writer.drain()
            await asyncio.sleep(0.02)
        await reader.readexactly(1)

    async with peer(dripping) as venue, transport(venue.url, workers=3) as http:
        for _ in range(3):
            started_s = time.monotonic()
            with pytest.raises(BrokenError, match=r"no answer within 0\.2 s"):
                await http.post("/exchange", BODY, 0.2)
            assert time.monotonic() - started_s < 1.0
        assert (await http.post("/exchange", b"{}", 2)).status == 200


async def test_a_cancelled_request_lets_go_of_its_connection() -> None:
    async with peer(silent) as venue, transport(venue.url) as http:
        asking = asyncio.create_task(http.post("/info", BODY, 30))
        await venue.arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(venue.gone.wait(), 2)


# ── threads, the environment, the end ────────────────────────────────────────────────────────────


async def only_urgent_ones(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers those, and hangs on everything else."""
    while URGENT in await peer.request(reader):
        writer.write(OK)
    await reader.readexactly(1)


def names_of(ends: Sequence[object]) -> list[str]:
    return sorted(type(end).__name__ for end in ends)


async def answered(http: RequestsTransport, body: bytes, *, urgent: bool = False) -> bool:
    """Whether an action is answered, without having to wait for what hangs."""
    started_s = time.monotonic()
    assert (await http.post("/exchange", body, 0.5, urgent=urgent)).status == 200
    return time.monotonic() - started_s < 0.4


async def test_reads_leave_a_thread_for_entries_and_one_for_what_is_urgent() -> None:
    async with peer(only_urgent_ones) as venue, transport(venue.url, workers=6) as http:
        reads = [asyncio.create_task(http.post("/info", BODY, seconds)) for seconds in (1.0, 1.0, 0.4, 0.4, 0.4)]
        await asyncio.sleep(0.2)
        assert await answered(http, URGENT), "an entry, as far as the transport knows"
        ends = await asyncio.gather(*reads, return_exceptions=True)
    assert names_of(ends) == ["BrokenError"] * 2 + ["NotSentError"] * 3


async def test_entries_and_reads_that_hang_leave_a_thread_for_what_is_urgent() -> None:
    async with peer(only_urgent_ones) as venue, transport(venue.url, workers=6) as http:
        reads = [asyncio.create_task(http.post("/info", BODY, 1.0)) for _ in range(2)]
        await asyncio.sleep(0.1)
        entries = [asyncio.create_task(http.post("/exchange", BODY, seconds)) for seconds in (1.0, 0.4, 0.4)]
        await asyncio.sleep(0.1)
        for _ in range(3):
            assert await answered(http, URGENT, urgent=True)
        assert names_of(await asyncio.gather(*reads, return_exceptions=True)) == ["BrokenError"] * 2
        assert names_of(await asyncio.gather(*entries, return_exceptions=True)) == ["BrokenError"] + 2 * [
            "NotSentError"
        ]
    assert sum(BODY in request for request in venue.requests) == 3


async def test_an_action_that_would_have_hardly_any_time_left_for_its_answer_does_not_leave() -> None:
    async with peer(only_urgent_ones) as venue, transport(venue.url, workers=3) as http:
        hanging = [asyncio.create_task(http.post("/exchange", BODY, 2.0)) for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(NotSentError, match=r"no connection was free within 0\.4 s"):
            await http.post("/exchange", b"late", 0.8)
        assert names_of(await asyncio.gather(*hanging, return_exceptions=True)) == ["BrokenError"] * 2
    assert len(venue.requests) == 2


async def test_entries_alone_leave_a_thread_too_and_what_gave_up_its_place_in_line_took_none() -> None:
    async with peer(only_urgent_ones) as venue, transport(venue.url, workers=3) as http:
        hanging = [asyncio.create_task(http.post("/exchange", BODY, 0.6)) for _ in range(2)]
        await asyncio.sleep(0.1)
        waiting = [asyncio.create_task(http.post(path, BODY, 5.0)) for path in ("/info", "/exchange", "/info")]
        await asyncio.sleep(0.1)
        for each in waiting:
            each.cancel()
        assert await answered(http, URGENT, urgent=True)
        assert names_of(await asyncio.gather(*hanging, *waiting, return_exceptions=True)) == (
            ["BrokenError"] * 2 + ["CancelledError"] * 3
        )
        for _ in range(3):
            assert await answered(http, URGENT), "every place was given back"
            with pytest.raises(BrokenError):
                await http.post("/info", BODY, 0.1)


async def test_what_is_barred_while_it_waits_for_a_thread_or_a_connection_never_leaves() -> None:
    """The kill latch falls while all connections hang: what waits behind them is asked about when it would leave."""
    reason = ""
    async with peer(only_urgent_ones) as venue, transport(venue.url, workers=3) as http:
        hanging = [asyncio.create_task(http.post("/exchange", BODY, 0.6)) for _ in range(2)]
        await asyncio.sleep(0.1)
        waits = asyncio.create_task(http.post("/exchange", b"entry", 5.0, bar=lambda: reason))
        await asyncio.sleep(0.1)
        reason = "the kill latch is shut"
        with pytest.raises(NotSentError, match="the kill latch is shut"):
            await waits
        await asyncio.gather(*hanging, return_exceptions=True)
        reason = ""
        assert (await http.post("/exchange", URGENT, 5.0, bar=lambda: reason)).status == 200
    assert not any(b"entry" in request for request in venue.requests)


async def test_a_read_that_was_given_up_gives_its_place_back() -> None:
    async with peer(silent) as venue, transport(venue.url, workers=3) as http:
        for _ in range(4):
            with pytest.raises(BrokenError):
                await http.post("/info", BODY, 0.1)
    assert len(venue.requests) == 4


async def test_the_environment_counts_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    async with peer(answering(OK)) as venue:
        async with transport(venue.url) as http:
            assert (await http.post("/info", BODY, 5)).status == 200
        async with transport(venue.url, trust_env=True) as http:
            with pytest.raises(NotSentError, match="refused"):
                await http.post("/info", BODY, 5)
    assert len(venue.requests) == 1


async def test_closing_ends_what_runs_and_refuses_what_comes() -> None:
    async with peer(silent) as venue:
        http = RequestsTransport(venue.url)
        asking = asyncio.create_task(http.post("/exchange", BODY, 30))
        await venue.arrived.wait()
        await http.close()
        with pytest.raises(BrokenError):
            await asking
        with pytest.raises(NotSentError, match="closed"):
            await http.post("/exchange", BODY, 5)
        await http.close()
