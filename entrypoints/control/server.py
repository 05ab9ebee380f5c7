"""ControlServer: hears the operator on a private socket while the daemon runs.

A request becomes an event like any other, and is answered once what it did is durable. Whatever a client sends or
leaves undone costs nobody else anything: lines, waiting and the number of clients are bounded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from domain.events import Event, OperatorSpoke
from domain.operator import OperatorVerb
from entrypoints.control.answers import OperatorAnswers
from entrypoints.control.private_socket import listening, peer_uid
from entrypoints.control.protocol import (
    LINE_LIMIT,
    Answer,
    BadRequest,
    Request,
    request_from,
    status_answer,
    to_line,
)

MOST_CLIENTS = 16
ACCEPT_AGAIN_S = 1.0
SOURCE = "cli"

log = logging.getLogger("control")

Put = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """Real seconds: to send a whole line, to take an answer, and for the engine to decide."""

    read_s: float = 10.0
    write_s: float = 5.0
    engine_s: float = 10.0


class ControlServer:
    def __init__(
        self,
        path: Path,
        answers: OperatorAnswers,
        status: Callable[[], Mapping[str, Any]],
        refusal: Callable[[OperatorVerb], str] = lambda _: "",
        overrides_judged: Callable[[], Awaitable[str]] | None = None,
        patience: Patience = Patience(),
    ) -> None:
        """`refusal` says what keeps a verb from the engine, empty for nothing. `overrides_judged` returns once the
        overrides file as it is now has been judged: empty where it is in force, else why not."""
        self._path = path
        self._answers = answers
        self._status = status
        self._refusal = refusal
        self._overrides_judged = overrides_judged
        self._patience = patience
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> int:
        """How many are being served now."""
        return len(self._clients)

    async def keep(self, put: Put) -> None:
        """Long-lived: listen, and answer. The socket's file is there as long as this runs."""
        loop = asyncio.get_running_loop()
        with listening(self._path) as listener:
            try:
                while True:
                    try:
                        line, _ = await loop.sock_accept(listener)
                    except OSError as error:  # no file handles left, most likely: that passes
                        log.warning("control_not_accepting", extra={"error": str(error)})
                        await asyncio.sleep(ACCEPT_AGAIN_S)
                        continue
                    client = loop.create_task(self._serve(line, put), name="control client")
                    self._clients.add(client)
                    client.add_done_callback(partial(self._ended, line))
            finally:
                for client in self._clients:
                    client.cancel()
                await asyncio.gather(*self._clients, return_exceptions=True)

    def _ended(self, line: socket.socket, client: asyncio.Task[None]) -> None:
        """A bug in how one is served is told with its traceback; trading goes on without him."""
        line.close()  # also where it was cancelled before it began
        self._clients.discard(client)
        if not client.cancelled() and (error := client.exception()) is not None:
            log.error("control_failed", exc_info=error)

    # ── one client ───────────────────────────────────────────────────────────────────────────

    async def _serve(self, line: socket.socket, put: Put) -> None:
        """Answer one client's requests, one after another, until it goes."""
        uid = peer_uid(line)
        reader, writer = await asyncio.open_unix_connection(sock=line, limit=LINE_LIMIT)
        writer.transport.set_write_buffer_limits(high=0)  # so that draining means: it has been taken
        try:
            if uid != os.geteuid():
                log.warning("control_stranger", extra={"uid": uid})
                await self._say(writer, Answer(problem=f"only the daemon's own user is served, not uid {uid}"))
            elif len(self._clients) > MOST_CLIENTS:
                await self._say(writer, Answer(problem=f"{MOST_CLIENTS} clients are being served already"))
            else:
                while (answer := await self._next(reader, put)) is not None:
                    await self._say(writer, answer)
        except (ConnectionError, _Gone):
            pass  # whoever asked has gone; what was asked for is on record
        finally:
            writer.transport.abort()

    async def _next(self, reader: asyncio.StreamReader, put: Put) -> Answer | None:
        """The answer to the next request; None when there is none. Raises `_Gone` after an answer that is the last."""
        try:
            async with asyncio.timeout(self._patience.read_s):
                text = await reader.readuntil(b"\n")
        except TimeoutError:
            return Answer(problem=f"no whole request within {self._patience.read_s:g} s")
        except asyncio.LimitOverrunError:
            return Answer(problem=f"a request has at most {LINE_LIMIT} bytes")
        except asyncio.IncompleteReadError as error:
            return Answer(problem="a request ends with a line end") if error.partial else None
        try:
            return await self._answer(request_from(text), put)
        except BadRequest as error:
            return Answer(problem=str(error))

    async def _answer(self, request: Request, put: Put) -> Answer:
        verb = request.operator_verb
        if verb is None:
            return status_answer(self._status())
        refusal = self._refusal(verb)
        if refusal:
            return Answer(is_done=False, text=refusal)
        answer, is_new = self._answers.expect(request)
        if is_new:
            if verb is OperatorVerb.RELOAD and self._overrides_judged is not None:
                problem = await self._overrides_judged()
                if problem:
                    self._answers.answer(request.request_id, problem, is_done=False)
                    return answer.result()
            put(OperatorSpoke(request.request_id, verb, request.symbol, SOURCE, request.reason))
        done, _ = await asyncio.wait([answer], timeout=self._patience.engine_s)
        if done:
            return answer.result()
        return Answer(
            problem=f"the engine has not answered within {self._patience.engine_s:g} s; it has the request and will "
            "get to it: look at `./aiq status`, or ask again with the same request_id"
        )

    async def _say(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        writer.write(to_line(answer))
        try:
            async with asyncio.timeout(self._patience.write_s):
                await writer.drain()
        except TimeoutError as error:
            raise _Gone from error
        if answer.problem:
            raise _Gone


class _Gone(Exception):
    """This client is not served any further."""
