"""The venue's server around a core that knows one answer and one frame: what the sockets cost without a venue."""

from __future__ import annotations

import asyncio
import json

from adapters.clocks import SystemClock
from adapters.sim.venue.outputs import Frame, HttpAnswer, Output
from adapters.sim.venue.server.server import VenueServer

ANSWER = b'{"status":"ok","response":{"type":"order","data":{"statuses":[{"resting":{"oid":77738308}}]}}}'


class ConstantCore:
    """Answers every request alike; a text `N SIZE` is answered by N frames of SIZE bytes."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._output: list[Output] = []

    def request(self, request_id: int, ip: str, method: str, path: str, content_type: str | None, body: bytes) -> None:
        self._output.append(HttpAnswer(request_id, 200, ANSWER))

    def open_socket(self, socket_id: int, ip: str) -> None:
        pass

    def receive(self, socket_id: int, text: str) -> None:
        count, size = (int(part) for part in text.split())
        frame = Frame(socket_id, "x" * size)
        self._output += [frame] * count

    def socket_closed(self, socket_id: int) -> None:
        pass

    def advance(self, to_ms: int) -> None:
        self.now_ms = to_ms

    def next_due_ms(self) -> int:
        return self.now_ms + 1_000

    def take_output(self) -> list[Output]:
        output, self._output = self._output, []
        return output


async def _serve() -> None:
    core = ConstantCore()
    clock = SystemClock()
    core.now_ms = clock.now_ms()
    server = VenueServer(core, clock)
    print(json.dumps({"url": server.url}), flush=True)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(_serve())
