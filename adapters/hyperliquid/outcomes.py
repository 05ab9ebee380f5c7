"""What an answer of `/exchange` says about each order and cancel it answers.

The venue's word about one order stands in its own entry of `statuses`, inside an answer with `status: ok`. Nothing else
proves that an order does not live: on 2025-07-29 errors came back for orders that had been accepted. So whatever is not
such an entry, in a shape that we know, is `Unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from adapters.hyperliquid.transport import HttpReply
from adapters.hyperliquid.wire_numbers import UNREADABLE
from domain.intents import OrderRequest
from domain.orders import ZERO, Accepted, Rejected, RejectReason, SubmitOutcome, Unknown

_REASONS: tuple[tuple[str, RejectReason], ...] = (
    ("could not immediately match", RejectReason.NO_IMMEDIATE_MATCH),
    ("no liquidity available", RejectReason.NO_IMMEDIATE_MATCH),
    ("would have immediately matched", RejectReason.POST_ONLY_WOULD_MATCH),
    ("away from the reference price", RejectReason.PRICE_OUTSIDE_BAND),
    ("price too far from oracle", RejectReason.PRICE_OUTSIDE_BAND),
    ("reduce only order would increase", RejectReason.REDUCE_ONLY_WOULD_INCREASE),
    ("must have minimum value", RejectReason.MIN_NOTIONAL),
    ("insufficient margin", RejectReason.INSUFFICIENT_MARGIN),
    ("insufficient spot balance", RejectReason.INSUFFICIENT_MARGIN),
    ("exceed margin tier limit", RejectReason.INSUFFICIENT_MARGIN),
    ("invalid tp/sl price", RejectReason.BAD_TRIGGER),
    ("divisible by tick size", RejectReason.BAD_PRICE),
    ("has invalid price", RejectReason.BAD_PRICE),
    ("has zero size", RejectReason.BAD_SIZE),
    ("has invalid size", RejectReason.BAD_SIZE),
    ("order value too large", RejectReason.BAD_SIZE),
    ("too many open", RejectReason.TOO_MANY_ORDERS),
    ("open orders", RejectReason.TOO_MANY_ORDERS),
)
"""Parts of the venue's texts in lower case: their ends and punctuation vary (reference §6.3)."""

_ABOUT_THE_ID = ("cloid", "client order id")
_BURNED = ("duplicate nonce", "nonce too low")
_CANCEL_TOO_LATE = "never placed, already canceled, or filled"
_SPENT = re.compile(r"too many cumulative requests sent \(([0-9]{1,15}) > ([0-9]{1,15})\)", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")
_SHOWN_CHARS = 200


class Spent(NamedTuple):
    """The address has used up its requests."""

    used: int
    cap: int


def reject_reason(text: str) -> RejectReason:
    """Sort the venue's text about one order; what we do not act on is OTHER."""
    lower = text.lower()
    return next((reason for part, reason in _REASONS if part in lower), RejectReason.OTHER)


def order_outcome(reply: HttpReply, request: OrderRequest) -> SubmitOutcome:
    """What an answer to one order says of it: its own entry, and the only one, unless that names another order."""
    statuses = _statuses(reply, "order")
    if isinstance(statuses, str):
        return Unknown(statuses)
    if len(statuses) != 1:
        return Unknown(f"{len(statuses)} answers to one order")
    echo = _echoed_cloid(statuses[0])
    if echo is not None and echo != request.cloid.lower():
        return Unknown(f"an answer about {echo}")
    return _outcome(statuses[0], request)


def is_burned(reply: HttpReply) -> bool:
    """Whether an answer to a `noop` proves that its nonce is used up, by this action or by another one."""
    if action_problem(reply) is None:
        return True
    text = refused_text(reply)
    return text is not None and any(part in text.lower() for part in _BURNED)


def cancel_problems(reply: HttpReply, count: int) -> list[str | None]:
    """Per cancel: None when the order is canceled, or what the venue says instead (see `came_too_late`)."""
    statuses = _statuses(reply, "cancel")
    if isinstance(statuses, str):
        return [statuses] * count
    if len(statuses) != count:
        return [f"{len(statuses)} answers to {count} cancels"] * count
    return [_cancel_problem(status) for status in statuses]


def came_too_late(problem: str) -> bool:
    """Whether the venue knows no such open order: ended before, or not arrived yet."""
    return _CANCEL_TOO_LATE in problem.lower()


def action_problem(reply: HttpReply) -> str | None:
    """Of an action without entries (`updateLeverage`): None when it was done, or why it may not have been."""
    response = _response(reply)
    if isinstance(response, str):
        return response
    return None if response.get("type") == "default" else f"an odd answer: {_shown(reply.body)}"


def refused_text(reply: HttpReply) -> str | None:
    """What the venue says against an action as a whole, if it says so."""
    answer = _json(reply) if reply.status == 200 else None
    if not isinstance(answer, dict) or answer.get("status") != "err":
        return None
    return _clean(str(answer.get("response")))


def spent_requests(text: str) -> Spent | None:
    """The venue's own count, when it refuses because the address has no requests left."""
    found = _SPENT.search(text)
    return None if found is None else Spent(int(found[1]), int(found[2]))


# ── one entry ────────────────────────────────────────────────────────────────────────────────────


def _outcome(status: object, request: OrderRequest) -> SubmitOutcome:
    match status:
        case {"error": str(text), **others} if not others:
            return _refused(text)
        case {"resting": {"oid": int(oid)}, **others} if not others and _is_oid(oid):
            return Accepted(oid)
        case {"filled": {"oid": int(oid), "totalSz": str(total)}, **others} if not others and _is_oid(oid):
            filled = _amount(total)
            if filled is not None and ZERO < filled <= request.size:
                return Accepted(oid, filled)
        case _:
            pass
    return Unknown(f"an odd answer: {_clean(repr(status))}")


def _refused(text: str) -> SubmitOutcome:
    """A word about the id is none about the order: an order of that id may live."""
    lower = text.lower()
    if any(part in lower for part in _ABOUT_THE_ID):
        return Unknown(_clean(text))
    return Rejected(reject_reason(text), _clean(text))


def _cancel_problem(status: object) -> str | None:
    match status:
        case "success":
            return None
        case {"error": str(text)}:
            return _clean(text)
        case _:
            return f"an odd answer: {_clean(repr(status))}"


def _echoed_cloid(status: object) -> str | None:
    match status:
        case {"resting": {"cloid": str(cloid)}} | {"filled": {"cloid": str(cloid)}}:
            return cloid.lower()
        case _:
            return None


def _is_oid(oid: int) -> bool:
    return type(oid) is int and oid >= 0


def _amount(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


# ── the answer as a whole ────────────────────────────────────────────────────────────────────────


def _statuses(reply: HttpReply, kind: str) -> list[object] | str:
    """The entries of an answer with status ok, or why there are none to go by."""
    response = _response(reply)
    if isinstance(response, str):
        return response
    match response:
        case {"type": found, "data": {"statuses": list(statuses)}} if found == kind:
            return statuses
        case _:
            return f"an odd answer: {_shown(reply.body)}"


def _response(reply: HttpReply) -> Mapping[str, object] | str:
    if reply.status != 200:
        return f"HTTP {reply.status}: {_shown(reply.body)}"
    answer = _json(reply)
    match answer:
        case {"status": "ok", "response": dict(response)}:
            return response
        case {"status": "err", "response": text}:
            return _clean(str(text))
        case _:
            return f"an odd answer: {_shown(reply.body)}"


def _json(reply: HttpReply) -> object:
    try:
        return msgspec.json.decode(reply.body)
    except UNREADABLE:
        return None


def _shown(body: bytes) -> str:
    return _clean(body[: 2 * _SHOWN_CHARS].decode("utf-8", "replace")) or "nothing"


def _clean(text: str) -> str:
    """A foreign text, fit for one line of a log or a column."""
    plain = " ".join(text.split())
    plain = "".join(sign if sign.isprintable() else "?" for sign in plain)
    return plain if len(plain) <= _SHOWN_CHARS else plain[: _SHOWN_CHARS - 1] + "…"
