"""Every request and its answer, on record: what the venue was asked, what it said, or why it said nothing."""

from __future__ import annotations

import msgspec

from adapters.hyperliquid.transport import Bar, BrokenError, HttpReply, HttpTransport, NotSentError
from ports.clock import Clock
from ports.session_log import NoRecord, SessionLog, Tag

UNSENT, BROKEN = 0, -1
"""Stand for a status where there was no answer: nothing had left, or it is not known."""


class RecordedHttp:
    """`HttpTransport` that notes what goes through it in `log`, which may be set at any time; signatures are not."""

    def __init__(self, transport: HttpTransport, clock: Clock) -> None:
        self.log: SessionLog = NoRecord()
        self._transport = transport
        self._clock = clock

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: Bar | None = None
    ) -> HttpReply:
        started_ms = self._clock.now_ms()
        try:
            reply = await self._transport.post(path, body, timeout_s, urgent=urgent, bar=bar)
        except (NotSentError, BrokenError) as error:
            self._note(path, body, UNSENT if isinstance(error, NotSentError) else BROKEN, str(error), started_ms)
            raise
        self._note(path, body, reply.status, reply.body.decode(errors="replace"), started_ms)
        return reply

    async def close(self) -> None:
        await self._transport.close()

    def _note(self, path: str, body: bytes, status: int, answer: str, started_ms: int) -> None:
        asked = _unsigned(body) if path == "/exchange" else body.decode(errors="replace")
        self.log.put((Tag.REST, path, asked, status, answer, started_ms, self._clock.now_ms()))


def _unsigned(body: bytes) -> str:
    request = msgspec.json.decode(body)
    request.pop("signature", None)
    return msgspec.json.encode(request).decode()
