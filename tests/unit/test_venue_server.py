"""The venue's sockets around a core that does what a test tells it: transport, time, faults of connections."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import requests
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.clocks import ManualClock, SystemClock
from adapters.sim.venue.outputs import (
    Frame,
    HttpAnswer,
    HttpCut,
    Output,
    ProcessKilled,
    SocketDropped,
    SocketRefused,
)
from adapters.sim.venue.server import connections
from adapters.sim.venue.server.server import STRIDE_MS, VenueServer, may_be_killed
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

START_MS = 1_767_571_200_000
BODY_BYTES = 10_000


class FakeCore:
    """Echoes requests and texts, unless `on_request`, `on_open` or `on_receive` answer something else."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms
        self.due: list[tuple[int, Output]] = []
        self.output: list[Output] = []
        self.seen: list[tuple[str, str, str | None, bytes]] = []
        self.texts: list[str] = []
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.advances: list[int] = []
        self.on_request: Callable[[int], list[Output]] = self._echo
        self.on_open: Callable[[int], list[Output]] = lambda socket_id: []
        self.on_receive: Callable[[int, str], list[Output]] = lambda socket_id, text: [Frame(socket_id, text)]

    def _echo(self, request_id: int) -> list[Output]:
        return [HttpAnswer(request_id, 200, self.seen[-1][3])]

    def request(self, request_id: int, ip: str, method: str, path: str, content_type: str | None, body: bytes) -> None:
        self.seen.append((ip, path, content_type, body))
        self.output += self.on_request(request_id)

    def open_socket(self, socket_id: int, ip: str) -> None:
        self.opened.append(socket_id)
        self.output += self.on_open(socket_id)

    def receive(self, socket_id: int, text: str) -> None:
        self.texts.append(text)
        self.output += self.on_receive(socket_id, text)

    def socket_closed(self, socket_id: int) -> None:
        self.closed.append(socket_id)

    def advance(self, to_ms: int) -> None:
        assert to_ms >= self.now_ms, "time goes forward"
        assert to_ms - self.now_ms <= STRIDE_MS, "in strides"
        self.advances.append(to_ms)
        self.now_ms = to_ms
        self.output += [output for at_ms, output in self.due if at_ms <= to_ms]
        self.due = [(at_ms, output) for at_ms, output in self.due if at_ms > to_ms]

    def next_due_ms(self) -> int:
        return min((at_ms for at_ms, _ in self.due), default=self.now_ms + 60_000)

    def take_output(self) -> list[Output]:
        output, self.output = self.output, []
        return output


class Served:
    """A running server and blocking HTTP from outside the loop."""

    def __init__(self, server: VenueServer, core: FakeCore) -> None:
        self.server = server
        self.core = core
        self.session = requests.Session()
        self.session.trust_env = False

    async def post(self, path: str = "/info", data: bytes = b"{}", **headers: str) -> requests.Response:
        merged = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        return await asyncio.to_thread(self.session.post, self.server.url + path, data=data, headers=merged, timeout=10)

    async def get(self, path: str) -> requests.Response:
        return await asyncio.to_thread(self.session.get, self.server.url + path, timeout=10)

    def connect(self, **options: object) -> connect:
        return connect(self.server.websocket_url, proxy=None, **options)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def serving(core: FakeCore, clock: Clock | None) -> AsyncIterator[Served]:
    server = VenueServer(core, clock, body_bytes=BODY_BYTES)
    running = asyncio.create_task(server.serve())
    served = Served(server, core)
    try:
        yield served
    finally:
        served.session.close()
        server.stop()
        await asyncio.wait_for(running, 10)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A venue whose time stands still."""
    async with serving(FakeCore(), None) as served:
        yield served


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (the other side of a socket has no event to wait for)
            await asyncio.sleep(0.005)


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_reaches_the_core_as_it_came_and_its_answer_the_client(served: Served) -> None:
    answer = await served.post("/exchange", b'{"a": 1}')
    assert (answer.status_code, answer.content) == (200, b'{"a": 1}')
    assert served.core.seen == [("127.0.0.1", "/exchange", "application/json", b'{"a": 1}')]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["vary"] == "origin, access-control-request-method, access-control-request-headers"
    assert answer.headers["date"] == "Mon, 05 Jan 2026 00:00:00 GMT", "the venue's time"
    assert "server" not in answer.headers


async def test_status_and_content_type_are_the_core_s(served: Served) -> None:
    served.core.on_request = lambda request_id: [HttpAnswer(request_id, 502, b"<html>", "text/html")]
    answer = await served.post()
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (502, "<html>", "text/html")
    served.core.on_request = lambda request_id: [HttpAnswer(request_id, 405, b"", None)]
    answer = await served.post()
    assert (answer.status_code, answer.content) == (405, b"")
    assert "content-type" not in answer.headers


async def test_one_connection_serves_many_requests(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.server.port, timeout=10)
    sockets = set()

    def ask(text: str) -> bytes:
        connection.request("POST", "/info", text.encode())
        sockets.add(connection.sock)
        return connection.getresponse().read()

    for number in range(20):
        assert await asyncio.to_thread(ask, str(number)) == str(number).encode()
    assert len(sockets) == 1
    connection.close()


@pytest.mark.parametrize(
    ("path", "status"), [("/info", 405), ("/exchange", 405), ("/ws", 405), ("/", 404), ("/x", 404)]
)
async def test_get_is_not_allowed_and_nothing_else_is_there(served: Served, path: str, status: int) -> None:
    answer = await served.get(path)
    assert (answer.status_code, answer.content) == (status, b"")
    assert not served.core.seen


async def test_an_oversized_body_is_413_and_the_core_never_sees_it(served: Served) -> None:
    assert (await served.post(data=b"x" * BODY_BYTES)).status_code == 200
    assert (await served.post(data=b"x" * (BODY_BYTES + 1))).status_code == 413
    assert (await served.post(data=b"x" * 2_000_000)).status_code == 413
    assert [len(body) for *_, body in served.core.seen] == [BODY_BYTES]
    assert (await served.post()).status_code == 200


async def test_an_endless_body_is_not_read_to_its_end(served: Served) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(b"POST /info HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 64_000_000:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()
            sent += 0x10000
    assert sent < 64_000_000
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
async def test_a_foreign_host_is_refused(served: Served, host: str) -> None:
    answer = await served.post(Host=host)
    assert answer.status_code == 400
    assert not served.core.seen
    with pytest.raises(InvalidStatus) as refused:
        await served.connect(additional_headers={"Host": host})
    assert refused.value.response.status_code == 400
    assert not served.core.opened


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:3001", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:3001"])
def test_this_machine_has_several_names(host: str) -> None:
    assert connections.is_local_host(host)


async def test_a_cut_connection_gives_no_answer_and_the_next_request_works(served: Served) -> None:
    served.core.on_request = lambda request_id: [HttpCut(request_id)]
    with pytest.raises(requests.ConnectionError):
        await served.post()
    served.core.on_request = lambda request_id: [HttpAnswer(request_id, 200, b"1")]
    assert (await served.post()).content == b"1"


async def test_an_answer_can_be_cut_after_its_beginning(served: Served) -> None:
    served.core.on_request = lambda request_id: [HttpCut(request_id, b'{"status"')]
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(b"POST /info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b'{"status"'
    promised = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert promised > len(body)
    writer.close()
    await writer.wait_closed()
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        await served.post()


async def test_a_client_that_goes_before_its_answer_leaves_nothing_behind(served: Served) -> None:
    served.core.on_request = lambda request_id: []
    with pytest.raises(requests.Timeout):
        await asyncio.to_thread(served.session.post, served.server.url + "/info", data=b"{}", timeout=0.1)
    served.session.close()
    await until(lambda: not served.server._answers)


# ── WebSocket ────────────────────────────────────────────────────────────────────────────────────


async def test_texts_go_in_and_frames_come_out_in_order(served: Served) -> None:
    async with served.connect() as socket:
        texts = ["", "x" * 125, "y" * 126, "z" * 65_535, "w" * 65_536, "grüße"]
        served.core.on_receive = lambda socket_id, text: [Frame(socket_id, each) for each in texts]
        await socket.send("go")
        assert [await socket.recv() for _ in texts] == texts
        assert served.core.texts == ["go"]
    await until(lambda: served.core.closed == served.core.opened)


async def test_compression_is_never_negotiated(served: Served) -> None:
    async with served.connect(compression="deflate") as socket:
        assert not socket.protocol.extensions


async def test_every_socket_gets_its_own_frames(served: Served) -> None:
    async with served.connect() as first, served.connect() as second:
        one, two = served.core.opened
        served.core.on_receive = lambda socket_id, text: [Frame(two, "two"), Frame(one, "one"), Frame(two, "again")]
        await first.send("go")
        assert await first.recv() == "one"
        assert [await second.recv(), await second.recv()] == ["two", "again"]


async def closed_code(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(socket.recv(), 10)
    return 1006 if closed.value.rcvd is None else closed.value.rcvd.code


async def test_a_dropped_socket_dies_without_a_close_frame_after_what_came_before(served: Served) -> None:
    served.core.on_receive = lambda socket_id, text: [Frame(socket_id, "last"), SocketDropped(socket_id)]
    async with served.connect() as socket:
        await socket.send("die")
        assert await socket.recv() == "last"
        assert await closed_code(socket) == 1006
    await until(lambda: served.core.closed == served.core.opened)


async def test_a_binary_frame_drops_the_socket(served: Served) -> None:
    async with served.connect() as socket:
        await socket.send(b"\x00")
        assert await closed_code(socket) == 1006
    assert not served.core.texts


async def test_a_handshake_can_be_refused_with_any_status(served: Served) -> None:
    served.core.on_open = lambda socket_id: [SocketRefused(socket_id, 429, b"too many")]
    with pytest.raises(InvalidStatus) as refused:
        await served.connect()
    assert (refused.value.response.status_code, refused.value.response.body) == (429, b"too many")
    assert not served.core.closed, "what was never open is not closed"


async def test_frames_for_a_socket_that_is_being_opened_follow_the_handshake(served: Served) -> None:
    served.core.on_open = lambda socket_id: [Frame(socket_id, "hello")]
    async with served.connect() as socket:
        assert await socket.recv() == "hello"


async def test_only_ws_is_a_websocket(served: Served) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(served.server.websocket_url + "s", proxy=None)
    assert refused.value.response.status_code == 404


async def test_a_fragmented_text_is_one_text(served: Served) -> None:
    async with served.connect() as socket:
        await socket.send(["be", "ginn", "ing"])
        assert await socket.recv() == "beginning"


async def test_an_oversized_message_ends_the_socket(served: Served) -> None:
    async with served.connect() as socket:
        await socket.send("x" * (BODY_BYTES + 1))
        assert await closed_code(socket) == 1009
    assert not served.core.texts


async def test_a_client_that_reads_nothing_is_dropped(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_UNSENT_BYTES", 100_000)
    served.core.on_receive = lambda socket_id, text: [Frame(socket_id, "x" * 50_000_000)]
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x81\x82\x00\x00\x00\x00go")
    await until(lambda: served.core.closed == served.core.opened)
    assert served.server.traffic.slow_clients_dropped == 1
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


# ── time ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_due_later_comes_when_the_clock_gets_there() -> None:
    core = FakeCore()

    def answer_late(request_id: int) -> list[Output]:
        core.due.append((START_MS + 500, HttpAnswer(request_id, 200, b"late")))
        return []

    core.on_request = answer_late
    clock = ManualClock(START_MS)
    async with serving(core, clock) as served:
        asked = asyncio.create_task(served.post())
        await until(lambda: bool(core.seen))
        await clock.advance_to(START_MS + 499)
        assert not asked.done()
        await clock.advance_to(START_MS + 500)
        assert (await asked).content == b"late"


async def test_time_passes_in_strides_and_catches_up() -> None:
    present_ms = SystemClock().now_ms()
    core = FakeCore(present_ms - 10 * STRIDE_MS)
    async with serving(core, SystemClock()) as served:
        await until(lambda: core.now_ms >= present_ms - STRIDE_MS)
        assert (await served.post()).status_code == 200
    assert len(core.advances) >= 10


async def test_a_clock_that_is_set_back_stops_the_venue_s_time_only() -> None:
    core = FakeCore(SystemClock().now_ms() + 3_600_000)
    async with serving(core, SystemClock()) as served:
        assert (await served.post()).status_code == 200
    assert not core.advances


async def test_time_that_stands_still_moves_by_steps(served: Served) -> None:
    served.core.due.append((START_MS + 2_500, Frame(1, "tick")))
    async with served.connect() as socket:
        await served.server.step(2_499)
        assert served.core.now_ms == START_MS + 2_499
        await served.server.step(1)
        assert await socket.recv() == "tick"


# ── the process ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:
        yield process
        process.kill()


async def test_a_client_s_process_can_be_killed(served: Served, victim: subprocess.Popen[bytes]) -> None:
    served.core.on_request = lambda request_id: [ProcessKilled(victim.pid), HttpAnswer(request_id, 200, b"")]
    await served.post()
    assert await asyncio.to_thread(victim.wait, 10) == -signal.SIGKILL
    assert served.server.traffic.processes_killed == 1


_NOT_CLIENTS = ["we", "our parent", "init", "our group", "everybody", "our own group"]


@pytest.mark.parametrize("pid", [os.getpid(), os.getppid(), 1, 0, -1, -os.getpid()], ids=_NOT_CLIENTS)
def test_we_init_and_whole_groups_are_no_clients(pid: int) -> None:
    assert not may_be_killed(pid)


async def test_a_bug_in_the_core_ends_the_server_with_it() -> None:
    core = FakeCore()
    server = VenueServer(core, None)

    def broken(request_id: int) -> list[Output]:
        raise AssertionError("a bug")

    core.on_request = broken
    running = asyncio.create_task(server.serve())
    with pytest.raises(requests.ConnectionError):
        await asyncio.to_thread(requests.post, server.url + "/info", data=b"{}", timeout=10)
    with pytest.raises(AssertionError, match="a bug"):
        await asyncio.wait_for(running, 10)


async def test_stopping_waits_for_nobody_and_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    core = FakeCore()
    core.on_request = lambda request_id: []
    async with serving(core, None) as served:
        assert (await served.get("/info")).status_code == 405
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        asked = asyncio.create_task(served.post())
        socket = await served.connect()
        await until(lambda: bool(core.seen))
        served.server.stop()
        with pytest.raises(requests.ConnectionError):
            await asked
        assert await closed_code(socket) == 1006


def test_a_taken_port_is_said_and_not_shared() -> None:
    first = VenueServer(FakeCore(), None)
    with pytest.raises(VenueUnavailable, match=str(first.port)):
        VenueServer(FakeCore(), None, first.port)
    first.close()
    VenueServer(FakeCore(), None, first.port).close()
