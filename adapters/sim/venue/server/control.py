"""The control port: plug faults in, act as the operator, read the log, move time. Not part of the venue's protocol.

    GET    /state             time, accounts, rules, traffic
    GET    /log?from=&kind=   the log as lines of JSON, from row `from` on
    GET    /faults            the rules at work
    POST   /faults            a rule, or an array of rules: all or none
    DELETE /faults/{id}       one rule; /faults: all
    POST   /operator/{act}    an act of the operator, its arguments as JSON
    POST   /time              {"advance_ms": n}, where time is stepped

Whoever can reach it can do anything here, killing processes included. So it listens on loopback only, and a web
page gets nothing: a foreign Host is refused, and so is whatever carries an Origin.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.margin import account_value
from adapters.sim.venue.faults.forms import BadForm, read_object, require_known
from adapters.sim.venue.faults.operator import OperatorRefused
from adapters.sim.venue.faults.operator_acts import ACTS, read_act
from adapters.sim.venue.faults.rules import rule_from_json
from adapters.sim.venue.faults.switchboard import Switchboard
from adapters.sim.venue.info.readable import ReadableExchange
from adapters.sim.venue.log import VenueLog
from adapters.sim.venue.numbers import text as number_text
from adapters.sim.venue.server.connections import LOOPBACK, is_local_host, listening_socket, quiet_server
from adapters.sim.venue.server.server import Core, VenueServer

MOST_AT_ONCE_MS = 7 * 86_400_000
"""The longest step: a week of a market takes minutes already."""
_BODY_BYTES = 1_048_576
_LINES_AT_ONCE = 1_000


class ControlledVenue(Core, Protocol):
    """A venue with everything that can be done to it."""

    @property
    def log(self) -> VenueLog: ...

    @property
    def switchboard(self) -> Switchboard: ...

    @property
    def exchange(self) -> ReadableExchange: ...

    def perform(self, act: str, arguments: Mapping[str, object]) -> dict[str, object]: ...


class ControlPort:
    """The control port of one served venue. Listens from its making on."""

    def __init__(self, venue: ControlledVenue, server: VenueServer, port: int = 0) -> None:
        self._venue = venue
        self._server = server
        self._listener = listening_socket(port)
        self.port: int = self._listener.getsockname()[1]
        self._stepping = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def serve(self) -> None:
        """Serve until cancelled."""
        server = quiet_server(self._app(), message_bytes=_BODY_BYTES)
        serving = asyncio.create_task(server.serve(sockets=[self._listener]), name="venue control")
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await asyncio.wait([serving])

    def close(self) -> None:
        """Let go of the port of one that never served."""
        self._listener.close()

    def _app(self) -> ASGIApp:
        routes = [
            Route("/state", self._state, methods=["GET"]),
            Route("/log", self._log, methods=["GET"]),
            Route("/faults", self._rules, methods=["GET"]),
            Route("/faults", self._add, methods=["POST"]),
            Route("/faults", self._clear, methods=["DELETE"]),
            Route("/faults/{id}", self._remove, methods=["DELETE"]),
            Route("/operator/{act}", self._act, methods=["POST"]),
            Route("/time", self._time, methods=["POST"]),
        ]
        return _LocalOnly(Starlette(routes=routes, exception_handlers={HTTPException: _http_error, BadForm: _bad_form}))

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    async def _state(self, request: Request) -> Response:
        venue, log = self._venue, self._venue.log
        return _json(
            {
                "time": venue.now_ms,
                "stepped": self._server.is_stepped,
                "accounts": {address: _told(account, venue) for address, account in venue.exchange.accounts.items()},
                "rules": venue.switchboard.rules(),
                "log": {"rows": log.count, "left": log.left},
                "sockets": self._server.open_sockets,
                "traffic": asdict(self._server.traffic),
            }
        )

    async def _log(self, request: Request) -> Response:
        require_known(request.query_params.keys(), ("from", "kind"), "/log")
        first = _whole(request.query_params.get("from", "1"), "from")
        rows = self._venue.log.rows(request.query_params.get("kind"), first - 1)
        return StreamingResponse(_lines(rows), media_type="application/x-ndjson")

    async def _rules(self, request: Request) -> Response:
        return _json(self._venue.switchboard.rules())

    # ── doing ────────────────────────────────────────────────────────────────────────────────────

    async def _add(self, request: Request) -> Response:
        given = await _body(request)
        rules = [rule_from_json(raw) for raw in (given if isinstance(given, list) else [given])]
        switchboard = self._venue.switchboard
        ids = self._do(lambda: [switchboard.add(rule) for rule in rules])
        return _json({"ids": ids}, HTTPStatus.CREATED)

    async def _remove(self, request: Request) -> Response:
        rule_id = _whole(request.path_params["id"], "the rule's id")
        switchboard = self._venue.switchboard
        try:
            self._do(lambda: switchboard.remove(rule_id))
        except BadForm as e:
            raise HTTPException(HTTPStatus.NOT_FOUND, str(e)) from e
        return _json({"removed": [rule_id]})

    async def _clear(self, request: Request) -> Response:
        switchboard = self._venue.switchboard
        removed = [rule["id"] for rule in switchboard.rules()]
        self._do(switchboard.clear)
        return _json({"removed": removed})

    async def _act(self, request: Request) -> Response:
        name = request.path_params["act"]
        if name not in ACTS:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"the operator knows no {name!r}; it knows: {', '.join(ACTS)}")
        arguments = read_object(await _body(request, empty={}), f"arguments of {name}")
        read_act(name, arguments)
        return _json(self._do(lambda: self._venue.perform(name, arguments)))

    async def _time(self, request: Request) -> Response:
        if not self._server.is_stepped:
            raise HTTPException(HTTPStatus.CONFLICT, "time runs by itself here; start the venue with --stepped")
        given = read_object(await _body(request), "/time")
        require_known(given, ("advance_ms",), "/time")
        by_ms = given.get("advance_ms")
        if not isinstance(by_ms, int) or isinstance(by_ms, bool) or not 0 < by_ms <= MOST_AT_ONCE_MS:
            raise BadForm(f"advance_ms must be a whole number from 1 to {MOST_AT_ONCE_MS}")
        async with self._stepping:
            await self._server.step(by_ms)
        return _json({"time": self._venue.now_ms})

    def _do(self, act: Callable[[], object]) -> object:
        """Touch the venue at the present. What it refuses is raised here; any other exception ends the server."""
        results: list[object] = []
        refusals: list[BadForm | HTTPException] = []

        def guarded() -> None:
            try:
                results.append(act())
            except BadForm as e:
                refusals.append(e)
            except OperatorRefused as e:
                refusals.append(HTTPException(HTTPStatus.CONFLICT, str(e)))

        self._server.run(guarded)
        if refusals:
            raise refusals[0]
        if not results:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the venue has stopped")
        return results[0]


class _LocalOnly:
    """Refuse what a web page could send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        host = headers.get(b"host")
        if not is_local_host(None if host is None else host.decode("latin-1")):
            await _error(HTTPStatus.BAD_REQUEST, "the Host must be 127.0.0.1 or localhost")(scope, receive, send)
        elif b"origin" in headers:
            await _error(HTTPStatus.FORBIDDEN, "not for web pages")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _told(account: VenueAccount, venue: ControlledVenue) -> dict[str, object]:
    """An account in one line; house accounts show no value, for nobody counts their money."""
    told: dict[str, object] = {
        "name": account.name,
        "master": account.master,
        "house": account.is_house,
        "cash": number_text(account.cash),
        "spot_usdc": number_text(account.spot_usdc),
        "positions": {coin: number_text(held.size) for coin, held in account.positions.items()},
        "open_orders": len(account.orders),
    }
    if not account.is_house:
        told["account_value"] = number_text(account_value(account, venue.exchange.marks))
    return told


async def _lines(rows: Sequence[Mapping[str, object]]) -> AsyncIterator[bytes]:
    """Rows as they were when asked; the venue goes on between the pieces."""
    for start in range(0, len(rows), _LINES_AT_ONCE):
        yield b"".join(msgspec.json.encode(row) + b"\n" for row in rows[start : start + _LINES_AT_ONCE])
        await asyncio.sleep(0)


async def _body(request: Request, empty: object = None) -> object:
    """The JSON of a request, `empty` where there is no body."""
    size = 0
    parts: list[bytes] = []
    async for part in request.stream():
        size += len(part)
        if size > _BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {_BODY_BYTES} bytes")
        parts.append(part)
    if not size and empty is not None:
        return empty
    try:
        return msgspec.json.decode(b"".join(parts))
    except msgspec.DecodeError as e:
        raise BadForm(f"the body is not JSON: {e}") from e


def _whole(value: str, name: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadForm(f"{name} must be a whole number, not {value!r}")
    return int(value)


def _json(value: object, status: int = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode({"error": message}), status, headers, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "that is what it is registered for"
    return _error(error.status_code, error.detail, error.headers)


async def _bad_form(request: Request, error: Exception) -> Response:
    return _error(HTTPStatus.BAD_REQUEST, str(error))
