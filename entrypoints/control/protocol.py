"""What is said over the control socket: one JSON object a line, a request one way, an answer the other.

    {"request_id": "4f1c…", "verb": "force-exit", "symbol": "BTC", "reason": "news"}
    {"is_done": true, "text": "closing BTC; entries go on"}

A verb is one of `OperatorVerb` or `status`. An answer with a `problem` means that nobody has decided anything; one
without is the engine's, and durable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from domain.operator import OperatorVerb

LINE_LIMIT = 64 * 1024
"""Bytes of a request without its line end. Answers have no limit: they come from our own daemon."""

STATUS = "status"

REASON_LIMIT = 500
SYMBOL_LIMIT = 64
_REQUEST_ID = re.compile(r"[0-9A-Za-z_-]{8,64}")


class BadRequest(Exception):
    """What came is no request; the message says why. Nothing was done."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`request_id` is the sender's, and its own for ever: the same one again asks for the same answer.

    `symbol` names one, None stands for all, where the verb acts on symbols.
    """

    request_id: str
    verb: str
    symbol: str | None = None
    reason: str = ""

    @property
    def operator_verb(self) -> OperatorVerb | None:
        """None where the engine is not asked."""
        return None if self.verb == STATUS else OperatorVerb(self.verb)


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`is_done` False: the engine would not, and `text` says why."""

    is_done: bool = False
    text: str = ""
    problem: str = ""
    status: dict[str, Any] | None = None


def to_line(message: Request | Answer) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def request_from(line: bytes) -> Request:
    """Read a request. Raises `BadRequest` for anything that is none."""
    try:
        request = msgspec.json.decode(line, type=Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"this is no request: {error}") from error
    if not _REQUEST_ID.fullmatch(request.request_id):
        raise BadRequest("a request_id is 8 to 64 of the characters 0-9 A-Z a-z _ -")
    verbs = [STATUS, *(verb.value for verb in OperatorVerb)]
    if request.verb not in verbs:
        raise BadRequest(f"no verb {request.verb[:40]!r}; there are: {', '.join(verbs)}")
    if len(request.reason) > REASON_LIMIT or not request.reason.isprintable():
        raise BadRequest(f"a reason is one line of at most {REASON_LIMIT} characters")
    verb = request.operator_verb
    symbol = request.symbol
    if symbol is not None and (verb is None or not verb.acts_on_symbols):
        raise BadRequest(f"{request.verb} takes no symbol")
    if symbol is not None and not (0 < len(symbol) <= SYMBOL_LIMIT and symbol.isprintable()):
        raise BadRequest(f"a symbol has 1 to {SYMBOL_LIMIT} printable characters")
    return request


def answer_from(line: bytes) -> Answer:
    """Read an answer. Raises `BadRequest` where this is none."""
    try:
        return msgspec.json.decode(line, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"this is no answer: {error}") from error


def status_answer(status: Mapping[str, Any]) -> Answer:
    return Answer(is_done=True, status=dict(status))
