"""WebSockets by the `websockets` library, as the seam wants them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from adapters.hyperliquid.lines import FrameRefusedError
from adapters.hyperliquid.transport import NotSentError, SocketClosedError

MAX_FRAME_BYTES = 32 * 1024 * 1024
"""A snapshot of 2,000 fills has a megabyte, which is the library's limit: it would close on every reconnect."""
OPEN_S = 10.0
CLOSE_S = 1.0
SEND_S = 5.0
_NO_TEXT = "a frame is no UTF-8 text (1007)"
_QUEUED_FRAMES = 256
"""Frames that wait for us before the kernel has to keep them."""
_FULL_READ_BYTES = 256 * 1024
"""What asyncio reads at once: where it got so much, more is waiting."""


class WebSocketTransport:
    """Opens connections to one URL. Environment variables about proxies are not looked at: `proxy` names one.

    `rest_ms`: after each read a connection is left alone until the next multiple of this on the loop's clock, and what
    comes meanwhile is read in one go, of all connections of this pace together. A frame waits so long at most; to wake
    up for each costs several times what reading it does. The venue quotes block by block, 65 to 80 ms apart: a shorter
    rest finds one block at a time and gains nothing. 0: every frame at once.
    """

    def __init__(
        self,
        url: str,
        *,
        proxy: str | None = None,
        open_s: float = OPEN_S,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        rest_ms: int = 0,
    ) -> None:
        self._url = url
        self._proxy = proxy
        self._open_s = open_s
        self._max_frame_bytes = max_frame_bytes
        self._rest_s = rest_ms / 1000

    async def connect(self) -> WebSocketLine:
        try:
            # The venue speaks no compression and answers no protocol pings of its own accord: liveness is judged above.
            connection = await connect(
                self._url,
                compression=None,
                proxy=self._proxy,
                open_timeout=self._open_s,
                ping_interval=None,
                close_timeout=CLOSE_S,
                max_size=self._max_frame_bytes,
                max_queue=_QUEUED_FRAMES,
                user_agent_header=None,
                create_connection=_Connection,
            )
        except (OSError, WebSocketException, ValueError, EOFError) as e:
            raise NotSentError(f"no connection to {self._url}: {type(e).__name__}: {e}") from e
        assert isinstance(connection, _Connection), "made by what makes connections"
        if self._rest_s:
            connection.rest_between_reads(self._rest_s)
        return WebSocketLine(connection, self._max_frame_bytes)


class _Connection(ClientConnection):
    """Keeps whole texts in a line of its own, ready to be taken: the library's way costs four coroutines a frame.

    From the first frame on that is anything else (a fragment, a binary one) data go the library's way, so that their
    order stays; control frames and the end of the connection always do.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.texts: deque[bytes | bytearray | memoryview] = deque()
        self._all_whole = True
        self._is_held = False
        self._reader: asyncio.Future[None] | None = None
        self._rest_s = 0.0
        self._resting: asyncio.TimerHandle | None = None

    def rest_between_reads(self, rest_s: float) -> None:
        self._rest_s = rest_s
        if hasattr(self.transport, "set_read_buffer_limits"):
            # TLS reads ahead of us otherwise, and wakes up for every piece of it.
            self.transport.set_read_buffer_limits(high=1, low=0)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._rest_s and self._all_whole and len(data) < _FULL_READ_BYTES and self.protocol.state is State.OPEN:
            self._rest()

    def process_event(self, event: Any) -> None:
        if self._all_whole and type(event) is Frame and event.opcode in _DATA:
            if event.opcode is Opcode.TEXT and event.fin:
                self.texts.append(event.data)
                if self._reader is not None:
                    self._wake()
                if len(self.texts) > _QUEUED_FRAMES and not self._is_held:
                    self._is_held = True
                    self.transport.pause_reading()
                return
            self._all_whole = False
            self.end_rest()  # from here on it is the library that holds up the sender
            self._wake()
        super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end_rest()
        super().connection_lost(exc)
        self._wake()

    async def some(self) -> None:
        """Return once there are texts, or nothing more will come this way. For one reader that has taken all."""
        if self._is_held:
            self._is_held = False
            if self._resting is None:
                self.transport.resume_reading()
        if not self._all_whole or self.connection_lost_waiter.done():
            return
        self._reader = self.loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _rest(self) -> None:
        if self._resting is None:
            self.transport.pause_reading()
            until_s = (self.loop.time() // self._rest_s + 1) * self._rest_s
            self._resting = self.loop.call_at(until_s, self.end_rest)

    def end_rest(self) -> None:
        """Read on now, if it is only for the rest that nothing is read."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
            if not self._is_held:
                self.transport.resume_reading()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class WebSocketLine:
    """One open WebSocket."""

    def __init__(self, connection: _Connection, max_frame_bytes: int) -> None:
        self._connection = connection
        self._texts = connection.texts
        self._max_frame_bytes = max_frame_bytes

    async def send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await self._connection.send(text)
        except ConnectionClosed as e:
            raise self._ending(e) from e
        except TimeoutError as e:
            raise SocketClosedError(f"nothing could be sent for {SEND_S:g} s") from e

    async def receive(self) -> str:
        if not self._texts:
            await self._connection.some()
        if self._texts:
            try:
                return str(self._texts.popleft(), "utf-8")
            except UnicodeDecodeError as e:
                raise FrameRefusedError(_NO_TEXT) from e
        try:
            data = await self._connection.recv()
        except ConnectionClosed as e:
            raise self._ending(e) from e
        return data if isinstance(data, str) else data.decode(errors="replace")

    async def close(self) -> None:
        """Say goodbye, for a moment; then cut the line."""
        connection = self._connection
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                connection.end_rest()  # the venue's goodbye is waited for
                await connection.close()
        except (TimeoutError, OSError, WebSocketException):
            pass
        finally:
            connection.transport.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await asyncio.shield(connection.connection_lost_waiter)

    def _ending(self, error: ConnectionClosed) -> SocketClosedError:
        sent = error.sent
        if sent is not None and sent.code == CloseCode.MESSAGE_TOO_BIG:
            return FrameRefusedError(f"a frame is larger than {self._max_frame_bytes} bytes (1009)")
        if sent is not None and sent.code == CloseCode.INVALID_DATA:
            return FrameRefusedError(_NO_TEXT)
        received = error.rcvd
        if received is None:
            return SocketClosedError("the connection broke off without a goodbye (1006)")
        return SocketClosedError(
            f"the venue closed with {received.code}" + (received.reason and f" ({received.reason})")
        )
