"""The virtual network: the adapter's transports on one side, the venue's core on the other, seeded weather between.

    VirtualHttp.post ──way──▶ venue.request … output ──way──▶ HttpReply
    VirtualSocket.send ─way─▶ venue.receive … Frame  ──way──▶ receive()

Everything belongs to a `Wire`, one daemon life's plug: once it is pulled nothing of that life gets through any more,
while what has left already arrives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from adapters.hyperliquid.transport import Bar, BrokenError, HttpReply, NotSentError, SocketClosedError
from adapters.sim.venue.outputs import Frame, HttpAnswer, HttpCut, Output, SocketDropped, SocketRefused
from entrypoints.simulation import weather
from entrypoints.simulation.venue_host import VenueHost
from entrypoints.simulation.weather import Weather

IP = "10.0.0.1"
JSON = "application/json"
EXCHANGE = "/exchange"
CONNECT_S = 10.0


FALLEN_MS = 40_000
"""After so long a machine that fell is up again, and answers what comes for its old connections by ending them."""


class Witness(Protocol):
    """Who watches what passes."""

    def sent(self, body: bytes) -> None:
        """A signed request leaves the daemon."""

    def arrives(self, body: bytes) -> None:
        """A signed request reaches the venue, which has not looked at it yet."""


class Wire:
    """One daemon life's plug into the network."""

    def __init__(self) -> None:
        self.is_plugged = True
        self.on_sent: Callable[[], None] = lambda: None
        """After the bytes of a signed request have left, before anything else happens."""
        self.on_replied: Callable[[], None] = lambda: None
        """Before the answer to a signed request is handed over."""
        self.on_asked: Callable[[], None] = lambda: None
        self.sockets: set[int] = set()

    def pull(self) -> None:
        self.is_plugged = False


class Network:
    def __init__(self, host: VenueHost, conditions: Weather, witness: Witness, loop: asyncio.AbstractEventLoop) -> None:
        self.weather = conditions
        self._host = host
        self._witness = witness
        self._loop = loop
        self._requests = 0
        self._sockets = 0
        self._answers: dict[int, asyncio.Future[HttpReply]] = {}
        self._lost: set[int] = set()
        self._open: dict[int, VirtualSocket] = {}
        host.deliver = self._deliver

    # ── what daemons do ──────────────────────────────────────────────────────────────────────

    async def post(self, wire: Wire, path: str, body: bytes, timeout_s: float) -> HttpReply:
        if not wire.is_plugged:
            await self._loop.create_future()  # its machine is gone: nobody hears anything any more
        is_action = path == EXCHANGE
        if self.weather.is_cut(self._host.now_ms):
            raise NotSentError("no route to the venue")
        if is_action and self.weather.strikes(weather.NOT_SENT) is not None:
            raise NotSentError("connection refused")
        self._requests += 1
        number = self._requests
        if is_action:
            self._witness.sent(body)
        self._leave(number, path, body, is_action=is_action)
        (wire.on_sent if is_action else wire.on_asked)()
        if not wire.is_plugged:
            await self._loop.create_future()
        answer: asyncio.Future[HttpReply] = self._loop.create_future()
        self._answers[number] = answer
        try:
            async with asyncio.timeout(timeout_s):
                reply = await answer
        except TimeoutError:
            raise BrokenError(f"no answer within {timeout_s:g} s") from None
        finally:
            self._answers.pop(number, None)
        if is_action:
            wire.on_replied()
        return reply

    async def connect(self, wire: Wire) -> VirtualSocket:
        if not wire.is_plugged:
            await self._loop.create_future()
        if self.weather.is_cut(self._host.now_ms):
            raise NotSentError("no route to the venue")
        self._sockets += 1
        socket = VirtualSocket(self, wire, self._sockets, self._loop)
        self._open[socket.number] = socket
        wire.sockets.add(socket.number)
        self._later(self.weather.way_ms(), self._open_at_venue, socket)
        try:
            async with asyncio.timeout(CONNECT_S):
                await socket.opened
        except TimeoutError:
            raise NotSentError("the handshake got no answer") from None
        return socket

    def unplug(self, wire: Wire, *, silently: bool) -> None:
        """A daemon is gone. The venue hears of it, or (`silently`: its machine fell) learns it from what comes back."""
        wire.pull()
        for number in sorted(wire.sockets):
            self._open.pop(number, None)
            self._later(FALLEN_MS if silently else self.weather.way_ms(), self._close_at_venue, number)
        wire.sockets.clear()

    def cut(self, for_ms: int) -> None:
        """Nothing passes for so long, and all connections die of it."""
        self.weather.cut(self._host.now_ms, for_ms)
        for socket in list(self._open.values()):
            self._later(for_ms, self._close_at_venue, socket.number)
            self._end(socket.number, "the connection broke off (1006)")
        for number, answer in list(self._answers.items()):
            self._lost.add(number)
            if not answer.done():
                answer.set_exception(BrokenError("the connection broke off"))

    # ── on the way ───────────────────────────────────────────────────────────────────────────

    def say(self, socket: VirtualSocket, text: str) -> None:
        self._later(socket.way_ms, self._hear_at_venue, socket.number, text)

    def hang_up(self, socket: VirtualSocket) -> None:
        if self._open.pop(socket.number, None) is not None:
            self._later(socket.way_ms, self._close_at_venue, socket.number)

    def _leave(self, number: int, path: str, body: bytes, *, is_action: bool) -> None:
        way_ms = self.weather.way_ms()
        if is_action:
            if self.weather.strikes(weather.REQUEST_LOST) is not None:
                return
            if (late_ms := self.weather.strikes(weather.LATE_ARRIVAL)) is not None:
                way_ms += late_ms
            if self.weather.strikes(weather.REPLY_LOST) is not None:
                self._lost.add(number)
            if self.weather.strikes(weather.RESET) is not None:
                self._lost.add(number)
                self._later(2 * way_ms, self._break, number, "connection reset by peer")
        self._later(way_ms, self._arrive, number, path, body, is_action)

    def _arrive(self, number: int, path: str, body: bytes, is_action: bool) -> None:
        venue = self._host.live()
        if is_action:
            self._witness.arrives(body)
        venue.request(number, IP, "POST", path, JSON, body)
        self._host.told()

    def _deliver(self, output: Output) -> None:
        match output:
            case Frame(number, text):
                socket = self._open.get(number)
                if socket is not None:
                    socket.frame_leaves(text, self._host.now_ms)
            case HttpAnswer(number, status, body):
                if number in self._lost:
                    self._lost.discard(number)
                    return
                way_ms = self.weather.way_ms()
                if (slow_ms := self.weather.strikes(weather.SLOW_WAY)) is not None:
                    way_ms += slow_ms
                self._later(way_ms, self._answer, number, HttpReply(status, body))
            case HttpCut(number):
                self._later(self.weather.way_ms(), self._break, number, "the connection was closed")
            case SocketDropped(number):
                self._later(self.weather.way_ms(), self._end, number, "the connection broke off (1006)")
            case SocketRefused(number, status):
                socket = self._open.pop(number, None)
                if socket is not None and not socket.opened.done():
                    socket.opened.set_exception(NotSentError(f"HTTP {status} instead of a WebSocket"))
            case _:
                raise AssertionError(f"nobody here asks for {type(output).__name__}")

    def _answer(self, number: int, reply: HttpReply) -> None:
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def _break(self, number: int, why: str) -> None:
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_exception(BrokenError(why))

    def _end(self, number: int, why: str) -> None:
        socket = self._open.pop(number, None)
        if socket is not None:
            socket.ends(why)

    def _open_at_venue(self, socket: VirtualSocket) -> None:
        venue = self._host.live()
        venue.open_socket(socket.number, IP)
        self._host.told()
        if socket.number in self._open and not socket.opened.done():
            socket.opened.set_result(None)

    def _hear_at_venue(self, number: int, text: str) -> None:
        self._host.live().receive(number, text)
        self._host.told()

    def _close_at_venue(self, number: int) -> None:
        self._host.live().socket_closed(number)
        self._host.told()

    def _later(self, ms: int, act: Callable[..., None], *arguments: object) -> None:
        self._loop.call_later(ms / 1000, act, *arguments)


class VirtualHttp:
    """`HttpTransport` of one daemon life."""

    def __init__(self, network: Network, wire: Wire) -> None:
        self._network = network
        self._wire = wire

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: Bar | None = None
    ) -> HttpReply:
        if bar is not None and (reason := bar()):
            raise NotSentError(reason)
        return await self._network.post(self._wire, path, body, timeout_s)

    async def close(self) -> None: ...


class VirtualSockets:
    """`SocketTransport` of one daemon life."""

    def __init__(self, network: Network, wire: Wire) -> None:
        self._network = network
        self._wire = wire

    async def connect(self) -> VirtualSocket:
        return await self._network.connect(self._wire)


class VirtualSocket:
    """One WebSocket: its way takes the same time for every frame, so that they keep their order."""

    def __init__(self, network: Network, wire: Wire, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        self.way_ms = network.weather.way_ms()
        self.opened: asyncio.Future[None] = loop.create_future()
        self._network = network
        self._wire = wire
        self._loop = loop
        self._under_way: list[str] = []
        self._texts: deque[str] = deque()
        self._ended: str | None = None
        self._reader: asyncio.Future[None] | None = None

    async def send(self, text: str) -> None:
        if self._ended is not None:
            raise SocketClosedError(self._ended)
        if self._wire.is_plugged:
            self._network.say(self, text)

    async def receive(self) -> str:
        while not self._texts:
            if self._ended is not None:
                raise SocketClosedError(self._ended)
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._texts.popleft()

    async def close(self) -> None:
        self._ended = self._ended or "closed by us"
        if self._wire.is_plugged:  # else the venue learns of it as the whole daemon is unplugged
            self._wire.sockets.discard(self.number)
            self._network.hang_up(self)

    def frame_leaves(self, text: str, now_ms: int) -> None:
        """The venue sends a frame. Those of one moment arrive together."""
        self._under_way.append(text)
        if len(self._under_way) == 1:
            held_ms = max(0, self._network.weather.slow_until_ms - now_ms)
            self._loop.call_later((self.way_ms + held_ms) / 1000, self._frames_arrive)

    def ends(self, why: str) -> None:
        self._ended = self._ended or why
        self._wake()

    def _frames_arrive(self) -> None:
        texts, self._under_way = self._under_way, []
        if self._wire.is_plugged and self._ended is None:
            self._texts += texts
            self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
