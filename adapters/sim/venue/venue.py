"""The local venue's core: requests and frames in, answers and frames out, and time as it is told. No I/O.

    request ─▶ faults ─▶ limits ─▶ info desk ──────────────────────────────▶ answer ─┐
                               └─▶ chain ─▶ block ─▶ exchange ─▶ events ─▶ streams ──┴▶ faults ─▶ output
    advance ─▶ market (quotes, flow, marks, funding) ─▶ block ─▶ what comes by itself

Whoever drives it (a server, or a simulation on a virtual network) brings it to a time with `advance`, hands in
what clients send, and takes the output. Same seed, same calls: same output, same log.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus

import msgspec

from adapters.sim.venue.chain.answers import Answer
from adapters.sim.venue.chain.chain import Chain
from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.exchange.events import NO_HASH, LedgerUpdate, VenueEvent
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.faults.answer_faults import RequestFate, Timed
from adapters.sim.venue.faults.facts import RequestFacts, request_facts
from adapters.sim.venue.faults.operator import Operator
from adapters.sim.venue.faults.switchboard import Switchboard
from adapters.sim.venue.info.desk import UNREADABLE, InfoAnswer, InfoDesk
from adapters.sim.venue.limits import AddressBudget, IpLimits, exchange_weight, info_weight
from adapters.sim.venue.log import VenueLog
from adapters.sim.venue.market.market import Market
from adapters.sim.venue.market.path import MarketPath
from adapters.sim.venue.numbers import usd as usd_text
from adapters.sim.venue.outputs import Frame, HttpAnswer, Output, SocketDropped, SocketRefused
from adapters.sim.venue.settings import VenueSettings
from adapters.sim.venue.streams.sockets import Post
from adapters.sim.venue.streams.streams import Streams

NOT_JSON = b"Failed to parse the request body as JSON"
WRONG_TYPE = b"Expected request with `Content-Type: application/json`"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
INFO, EXCHANGE = "/info", "/exchange"


@dataclass(slots=True)
class Asked:
    """A request on its way through the venue: over HTTP, or as a post over a socket."""

    number: int
    """Its name in the log, and the chain's ticket: HTTP requests as their carrier numbers them, posts downwards."""
    ip: str
    path: str
    body: bytes | Mapping[str, object]
    post: Post | None = None
    facts: RequestFacts | None = None
    fate: RequestFate | None = None


class Venue:
    """`path` is the market without users; `start_ms` the venue's first moment."""

    def __init__(
        self,
        path: MarketPath,
        settings: VenueSettings,
        start_ms: int,
        seed: int,
        log: VenueLog | None = None,
        *,
        legacy_web_data: bool = True,
    ) -> None:
        self.settings = settings
        self.log = VenueLog() if log is None else log
        self.exchange = Exchange(path.instruments(), settings, start_ms)
        cadence = settings.cadence
        self.market = Market(path, self.exchange, seed, start_ms, mark_every_ms=cadence.mark, step_ms=cadence.quotes)
        self.signers = Signers(self.exchange.accounts, settings, start_ms)
        self._budget = AddressBudget(settings.limits)
        self._limits = IpLimits(settings.limits)
        self.chain = Chain(self.exchange, self.market, self.signers, self._budget, settings)
        self._desk = InfoDesk(self.exchange, self.market, self.signers, self._budget, settings)
        self._streams = Streams(
            self.exchange, self.market, self.signers, self._limits, settings, legacy_web_data=legacy_web_data
        )
        self.switchboard = Switchboard(seed, self.log, start_ms)
        self.operator = Operator(self.exchange, self.market, self.chain, self.signers, self.log)
        self._random = random.Random(seed)
        self._now_ms = start_ms
        self._coins = tuple(self.exchange.by_coin)
        self._posts = 0
        self._put_offs = 0
        self._in_chain: dict[int, Asked] = {}
        self._later: list[tuple[int, int, Output | Asked]] = []
        self._output: list[Output] = []
        self._tell(())

    @property
    def now_ms(self) -> int:
        return self._now_ms

    def fund_account(self, address: str, usd: Decimal) -> None:
        """Bring money in from outside: the address has a perp account with it from now on."""
        lowered = address.lower()
        account = self.exchange.account(lowered)
        if account is None:
            self.exchange.open_account(lowered, cash=usd)
        else:
            update = LedgerUpdate(self._now_ms, NO_HASH, {"type": "deposit", "usdc": usd_text(usd)})
            self.exchange.change_balance(account, update, cash=usd, outside=usd)

    def perform(self, act: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """An act of the operator by its name; what comes of it is told at once. Raises `OperatorRefused`."""
        told = self.operator.perform(act, arguments)
        self._tell(())
        return told

    # ── time ─────────────────────────────────────────────────────────────────────────────────

    def advance(self, to_ms: int) -> None:
        """Let everything happen that is due up to `to_ms`, each at its own moment."""
        while (due_ms := self.next_due_ms()) <= to_ms:
            self._live(max(due_ms, self._now_ms))
        if to_ms > self._now_ms:
            self._live(to_ms)

    def next_due_ms(self) -> int:
        """When something happens by itself."""
        due_ms = min(self.market.next_due_ms(), self._streams.next_due_ms())
        for each in (self.chain.next_due_ms(), self.switchboard.next_due_ms()):
            if each is not None and each < due_ms:
                due_ms = each
        if self._later and self._later[0][0] < due_ms:
            due_ms = self._later[0][0]
        return due_ms

    def take_output(self) -> list[Output]:
        """What has left since the last call, in order."""
        taken, self._output = self._output, []
        return taken

    def _live(self, now_ms: int) -> None:
        """One moment: the market moves, faults strike, a block is executed, everybody hears of it."""
        self._now_ms = now_ms
        self.market.advance(now_ms)
        self.operator.perform_due(self.switchboard.acts_due(now_ms))
        for output in self.switchboard.outputs_due(now_ms):
            self._leave(output)
        while self._later and self._later[0][0] <= now_ms:
            item = heapq.heappop(self._later)[2]
            if isinstance(item, Asked):
                self._handle(item)
            else:
                self._leave(item)
        self._tell(self.chain.run_block(now_ms))

    def _tell(self, answers: Sequence[tuple[int, Answer]]) -> None:
        """Tell what happened since the last time: to the log, to the sockets, to those who asked for it.

        Over HTTP and over sockets nothing arrives in a fixed order (§1.6): chance decides who hears first.
        """
        events = self.exchange.take_events()
        self.market.see(events)
        self.log.see(events, self._now_ms)
        frames = self._frames_of(events)
        answers_first = bool(answers) and self._random.random() < 0.5
        if not answers_first:
            self._send(frames)
        for ticket, answer in answers:
            self._answer(self._in_chain.pop(ticket), InfoAnswer(HTTPStatus.OK, answer, 0, ""))
        if answers_first:
            self._send(frames)

    def _frames_of(self, events: Sequence[VenueEvent]) -> list[Frame | SocketDropped]:
        moves = self.market.take_moves()
        return self._streams.publish(self._now_ms, events, moves)

    # ── HTTP ─────────────────────────────────────────────────────────────────────────────────

    def request(self, request_id: int, ip: str, method: str, path: str, content_type: str | None, body: bytes) -> None:
        """A request has arrived; its answer comes as output, now or later, once."""
        if path not in (INFO, EXCHANGE):
            self._output.append(HttpAnswer(request_id, HTTPStatus.NOT_FOUND, b"", None))
        elif method != "POST":
            self._output.append(HttpAnswer(request_id, HTTPStatus.METHOD_NOT_ALLOWED, b"", None))
        elif content_type is None or content_type.partition(";")[0].strip().lower() != JSON:
            self._output.append(HttpAnswer(request_id, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, WRONG_TYPE, TEXT))
        else:
            self._take_in(Asked(request_id, ip, path, body))

    def _take_in(self, asked: Asked) -> None:
        """A request, from whichever way it came: its fate first."""
        post = asked.post
        self.log.append(
            "request",
            self._now_ms,
            request=asked.number,
            path=asked.path,
            ip=asked.ip,
            socket=None if post is None else post.socket_id,
            body=asked.body,
        )
        if self.switchboard.watches_requests:
            asked.facts = request_facts(
                asked.number,
                asked.ip,
                asked.path,
                asked.body,
                self._coins,
                signer=lambda: self.chain.acts_for(_raw(asked.body)),
                socket_id=None if post is None else post.socket_id,
                post_id=None if post is None else post.id,
            )
            asked.fate = self.switchboard.request_fate(asked.facts, self._now_ms)
        if asked.fate is not None:
            for due_ms, output in asked.fate.outputs:
                self._send_at(due_ms, output)
            if not asked.fate.handled:
                self.log.append("lost_request", self._now_ms, request=asked.number)
                return
            if asked.fate.handle_after_ms:
                self._put_off(self._now_ms + asked.fate.handle_after_ms, asked)
                return
        self._handle(asked)

    def _handle(self, asked: Asked) -> None:
        if asked.path == INFO:
            self._answer(asked, self._inform(asked))
            return
        received = self.chain.receive(asked.number, _raw(asked.body), self._now_ms)
        if received is None:
            unreadable = isinstance(asked.body, bytes) and not _is_json(asked.body)
            self._answer(asked, _NOT_JSON if unreadable else _UNFIT)
        elif asked.post is None and not self._limits.weigh(asked.ip, exchange_weight(received.items), self._now_ms):
            self.chain.forget(asked.number)
            self._answer(asked, _TOO_MANY)
        else:
            self._in_chain[asked.number] = asked

    def _inform(self, asked: Asked) -> InfoAnswer:
        """The answer to an info request, if its IP may ask. Rows are charged once they are known."""
        request: object = asked.body
        if isinstance(asked.body, bytes):
            try:
                request = msgspec.json.decode(asked.body)
            except _NOT_READ:
                return _NOT_JSON
        kind = request.get("type") if isinstance(request, Mapping) else None
        weight = info_weight(kind if isinstance(kind, str) else "", 0)
        if asked.post is None and not self._limits.weigh(asked.ip, weight, self._now_ms):
            return _TOO_MANY
        self._desk.special_status = "postOnly" if self._now_ms < self.chain.post_only_until_ms else None
        answer = self._desk.answer(request, self._now_ms)
        if asked.post is None and answer.rows:
            self._limits.charge(asked.ip, info_weight(answer.weight_type, answer.rows) - weight, self._now_ms)
        return answer

    def _answer(self, asked: Asked, answer: InfoAnswer) -> None:
        self.log.append("answer", self._now_ms, request=asked.number, status=answer.status, body=answer.body)
        leaving: Sequence[HttpAnswer | Frame | Output]
        if asked.post is None:
            leaving = [_http_answer(asked.number, answer)]
        else:
            leaving = self._streams.answer(asked.post, answer.status, answer.body, self._now_ms)
        for each in leaving:
            if asked.fate is not None and asked.facts is not None and isinstance(each, HttpAnswer | Frame):
                for due_ms, output in self.switchboard.answers(asked.facts, asked.fate, each, self._now_ms):
                    self._send_at(due_ms, output)
            else:
                self._send([each])

    # ── WebSockets ───────────────────────────────────────────────────────────────────────────

    def open_socket(self, socket_id: int, ip: str) -> None:
        """A handshake has arrived; `SocketRefused` follows where it is refused."""
        refused = self.switchboard.socket_opened(socket_id, ip, self._now_ms)
        if refused is not None:
            self._leave(refused)
            return
        outputs = self._streams.open(socket_id, ip, self._now_ms)
        self.log.append("socket_opened", self._now_ms, socket=socket_id, ip=ip, refused=bool(outputs))
        if outputs:
            self.switchboard.socket_closed(socket_id)
        for output in outputs:
            self._leave(output)

    def receive(self, socket_id: int, text: str) -> None:
        """A text frame has arrived from a client."""
        if not self.switchboard.hears(socket_id, text, self._now_ms):
            return
        for each in self._streams.receive(socket_id, text, self._now_ms):
            if isinstance(each, Post):
                self._posts += 1
                path = INFO if each.kind == "info" else EXCHANGE
                ip = self._streams.ip_of(socket_id)
                self._take_in(Asked(-self._posts, ip, path, each.payload, post=each))
            else:
                self._send([each])

    def socket_closed(self, socket_id: int) -> None:
        """The client's side of a socket is gone."""
        self.log.append("socket_closed", self._now_ms, socket=socket_id)
        self._streams.closed(socket_id)
        self.switchboard.socket_closed(socket_id)

    # ── out ──────────────────────────────────────────────────────────────────────────────────

    def _send(self, outputs: Sequence[Output]) -> None:
        """Let outputs leave, past the rules that watch frames."""
        watched = self.switchboard.watches_frames
        for output in outputs:
            if watched and isinstance(output, Frame) and not self.switchboard.passes(output):
                facts = self.switchboard.facts(output)
                self._schedule(self.switchboard.frames(facts, output, self._now_ms))
            else:
                self._leave(output)

    def _send_at(self, due_ms: int, output: Output) -> None:
        if isinstance(output, Frame) and due_ms <= self._now_ms:
            self._send([output])
        else:
            self._schedule([(due_ms, output)])

    def _schedule(self, timed: Sequence[Timed]) -> None:
        for due_ms, output in timed:
            if due_ms <= self._now_ms:
                self._leave(output)
            else:
                self._put_off(due_ms, output)

    def _put_off(self, due_ms: int, item: Output | Asked) -> None:
        self._put_offs += 1
        heapq.heappush(self._later, (due_ms, self._put_offs, item))

    def _leave(self, output: Output) -> None:
        if isinstance(output, SocketDropped | SocketRefused):
            if isinstance(output, SocketDropped) and not self.switchboard.reaches(output.socket_id, self._now_ms):
                return
            self.log.append("socket_dropped", self._now_ms, socket=output.socket_id)
            self._streams.closed(output.socket_id)
            self.switchboard.socket_closed(output.socket_id)
        self._output.append(output)


_NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON raises for anything that is none."""
_NOT_JSON = InfoAnswer(HTTPStatus.BAD_REQUEST, NOT_JSON.decode(), 0, "")
_UNFIT = InfoAnswer(HTTPStatus.UNPROCESSABLE_ENTITY, UNREADABLE, 0, "")
_TOO_MANY = InfoAnswer(HTTPStatus.TOO_MANY_REQUESTS, None, 0, "")
_PLAIN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Statuses whose body is plain text."""


def _http_answer(request_id: int, answer: InfoAnswer) -> HttpAnswer:
    if answer.status in _PLAIN:
        return HttpAnswer(request_id, answer.status, str(answer.body).encode(), TEXT)
    return HttpAnswer(request_id, answer.status, msgspec.json.encode(answer.body), JSON)


def _raw(body: bytes | Mapping[str, object]) -> bytes | dict[str, object]:
    return body if isinstance(body, bytes) else dict(body)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except _NOT_READ:
        return False
    return True
