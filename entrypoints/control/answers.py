"""OperatorAnswers: where a request waits for the engine's answer, and where it is found again.

Whoever repeats a request, because its connection broke, gets the one answer: it acts once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from entrypoints.control.protocol import Answer, BadRequest, Request

REMEMBERED = 256
"""Requests of which the answer is known here; older ones only the ledger knows."""


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    answer: asyncio.Future[Answer]


class OperatorAnswers:
    """`Operators` of a running daemon: fed by the effect runner, asked by the control server. One loop."""

    def __init__(self) -> None:
        self._asked: dict[str, _Asked] = {}

    def expect(self, request: Request) -> tuple[asyncio.Future[Answer], bool]:
        """Where the answer will be, and whether the request is new: only then it has to be put to the engine.

        Raises `BadRequest` for an id that stands for something else, and where too many wait for their answer.
        """
        before = self._asked.get(request.request_id)
        if before is not None:
            if (before.request.verb, before.request.symbol) != (request.verb, request.symbol):
                raise BadRequest(f"request_id {request.request_id} stands for another request already")
            return before.answer, False
        self._make_room()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[request.request_id] = _Asked(request, answer)
        return answer, True

    def answer(self, request_id: str, text: str, *, is_done: bool) -> None:
        """See `Operators`. Of requests that came by file or environment nobody waits for the answer."""
        asked = self._asked.get(request_id)
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(Answer(is_done=is_done, text=text))

    def _make_room(self) -> None:
        """Forget the oldest that was answered."""
        if len(self._asked) < REMEMBERED:
            return
        oldest = next((name for name, asked in self._asked.items() if asked.answer.done()), None)
        if oldest is None:
            raise BadRequest(f"{REMEMBERED} requests wait for an answer already")
        del self._asked[oldest]
