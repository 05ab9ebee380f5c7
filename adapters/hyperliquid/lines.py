"""A session and its sockets: connect, talk until it ends, wait as the session says, connect again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from adapters.hyperliquid.heard import Heard
from adapters.hyperliquid.session import WsSession
from adapters.hyperliquid.session_steps import Close, Deliver, Do, Reconnect, Resynced, Send, Stopped, Tell
from adapters.hyperliquid.subscriptions import Subscription
from adapters.hyperliquid.transport import NotSentError, Socket, SocketClosedError, SocketTransport
from ports.clock import Clock

_MINUTE_MS = 60_000


class FrameRefusedError(SocketClosedError):
    """We ended the connection over a frame that is too large or no text: every reconnect will meet it again."""


class LineReader(Protocol):
    """Whoever wants to know what a line hears. Called in the event loop; never waits."""

    def deliver(self, heard: Heard, raw: str, *, is_backlog: bool) -> None: ...

    def resynced(self, keys: tuple[str, ...]) -> None: ...

    def stopped(self, keys: tuple[str, ...], silent_ms: int) -> None: ...

    def tell(self, code: str, text: str) -> None: ...

    def opened(self, line: int) -> None: ...

    def lost(self, line: int, why: str) -> None: ...


class ConnectTurns:
    """The venue limits new connections per minute and address: all lines share these turns."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._taken: deque[int] = deque()

    async def take(self) -> None:
        """Return when one more connection may be opened."""
        while True:
            now_ms = self._clock.monotonic_ms()
            while self._taken and self._taken[0] <= now_ms - _MINUTE_MS:
                self._taken.popleft()
            if len(self._taken) < self._per_minute:
                self._taken.append(now_ms)
                return
            await asyncio.sleep((self._taken[0] + _MINUTE_MS - now_ms) / 1000)


class Line:
    """One session, connected for as long as `follow` runs. Times are real. `number` tells it from the others."""

    def __init__(
        self,
        number: int,
        session: WsSession,
        transport: SocketTransport,
        turns: ConnectTurns,
        clock: Clock,
        decode: Callable[[str], Heard],
        reader: LineReader,
    ) -> None:
        self.number = number
        self.session = session
        self.frames = 0
        self._transport = transport
        self._turns = turns
        self._clock = clock
        self._decode = decode
        self._reader = reader
        self._outbox: deque[str] = deque()
        self._closing: str | None = None
        self._wake = asyncio.Event()

    async def follow(self) -> None:
        """Keep the session connected, for ever. What is raised is a bug."""
        session = self.session
        while True:
            await self._turns.take()
            try:
                socket = await self._transport.connect()
            except NotSentError as e:
                self._end(e)
            else:
                try:
                    self._end(await self._converse(socket))
                finally:
                    await socket.close()
            await asyncio.sleep(max(0, session.next_due_ms - self._clock.monotonic_ms()) / 1000)

    def want(self, subscriptions: Sequence[Subscription]) -> None:
        """Hear these streams too."""
        self._do(self.session.want(subscriptions, self._clock.monotonic_ms()))

    def drop(self, keys: Collection[str]) -> None:
        """Hear these streams no longer."""
        self._do(self.session.drop(keys, self._clock.monotonic_ms()))

    def renew(self, keys: Collection[str]) -> None:
        """Ask for those of these streams that run anew."""
        self._do(self.session.renew(keys, self._clock.monotonic_ms()))

    def reconnect(self, why: str) -> None:
        """End the connection, if there is one; the next one follows as after any loss."""
        self._do(self.session.give_up_connection(why))

    def _end(self, ending: Exception) -> None:
        """Say that the connection is gone before it is closed, which may take a while."""
        self._reader.lost(self.number, str(ending))
        by_us = isinstance(ending, FrameRefusedError)
        self._do(self.session.lost(self._clock.monotonic_ms(), str(ending), by_us=by_us))

    async def _converse(self, socket: Socket) -> Exception:
        """Talk until the connection ends; says how it ended."""
        self._outbox.clear()
        self._closing = None
        self._reader.opened(self.number)
        self._do(self.session.opened(self._clock.monotonic_ms()))
        both = (
            asyncio.create_task(self._keep(socket), name="feed keeper"),
            asyncio.create_task(self._listen(socket), name="feed listener"),
        )
        # No task group: where a connection breaks while we are cancelled it would tell of the break, and forget that.
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            ends = await asyncio.gather(*both, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, SocketClosedError):
                raise end
        return next((end for end in ends if isinstance(end, SocketClosedError)), SocketClosedError())

    async def _listen(self, socket: Socket) -> None:
        receive, decode, heard, monotonic_ms = (
            socket.receive,
            self._decode,
            self.session.heard,
            self._clock.monotonic_ms,
        )
        deliver = self._reader.deliver
        while True:
            raw = await receive()
            self.frames += 1
            for do in heard(decode(raw), monotonic_ms()):
                if type(do) is Deliver:
                    deliver(do.heard, raw, is_backlog=do.is_backlog)
                else:
                    self._do([do])

    async def _keep(self, socket: Socket) -> None:
        """Send what is to be sent, and let the session know that time passes. Reading never waits for this."""
        session = self.session
        while True:
            while self._outbox:
                await socket.send(self._outbox.popleft())
            if self._closing is not None:
                raise SocketClosedError(self._closing)
            wait_s = (session.next_due_ms - self._clock.monotonic_ms()) / 1000
            try:
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._wake.wait()
            except TimeoutError:
                self._do(session.tick(self._clock.monotonic_ms()))
            self._wake.clear()

    def _do(self, todo: Sequence[Do]) -> None:
        for do in todo:
            match do:
                case Send(text=text):
                    self._outbox.append(text)
                    self._wake.set()
                case Close(why=why):
                    self._closing = why
                    self._wake.set()
                case Resynced(keys=keys):
                    self._reader.resynced(keys)
                case Stopped(keys=keys, silent_ms=silent_ms):
                    self._reader.stopped(keys, silent_ms)
                case Tell(code=code, text=text):
                    self._reader.tell(code, text)
                case Reconnect():
                    pass  # the session's next due time says when
                case Deliver():
                    raise AssertionError("only frames are delivered")
