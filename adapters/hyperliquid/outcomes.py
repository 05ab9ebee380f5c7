"""What an answer of `/exchange` says about each order and cancel it answers.

The venue's word about one order stands in its own entry of `statuses`, inside an answer with `status: ok`. Nothing else
proves that an order does not live: on 2025-07-29 errors came back for orders that had been accepted. So whatever is not
such an entry, in a shape that we know, is `Unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
)
"""Parts of the venue's texts in lower case: their ends and punctuation vary (reference §6.3)."""

_OF_THE_WHOLE_BATCH = (
    RejectReason.MIN_NOTIONAL,
    RejectReason.BAD_PRICE,
    RejectReason.BAD_SIZE,
    RejectReason.BAD_TRIGGER,
)
"""What the venue can say of a payload before it looks at any order (§6.2), and what allows no other attempt."""

_ABOUT_THE_ID = ("cloid", "client order id")
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


def order_outcomes(reply: HttpReply, requests: Sequence[OrderRequest]) -> list[SubmitOutcome]:
    """One outcome per order, in the order of `requests`.

    Entries count by their place while there is one for each order and every cloid they repeat is the one sent in that
    place. Otherwise only entries that name a cloid of ours count; all else is `Unknown`.
    """
    statuses = _statuses(reply, "order")
    if isinstance(statuses, str):
        return [Unknown(statuses)] * len(requests)
    if len(requests) > 1 and len(statuses) == 1:
        refused = _of_payload(statuses[0])
        if refused is not None:
            return [refused] * len(requests)
    echoes = [_echoed_cloid(status) for status in statuses]
    in_place = len(statuses) == len(requests) and all(
        echo is None or echo == request.cloid.lower() for echo, request in zip(echoes, requests, strict=True)
    )
    if in_place:
        return [_outcome(status, request) for status, request in zip(statuses, requests, strict=True)]
    named = {echo: status for echo, status in zip(echoes, statuses, strict=True) if echo is not None}
    lost = Unknown(f"{len(statuses)} answers to {len(requests)} orders: this one's is not among them")
    return [
        _outcome(named[cloid], request) if (cloid := request.cloid.lower()) in named else lost for request in requests
    ]


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


def _of_payload(status: object) -> Rejected | None:
    """One error for a whole batch: none of its orders exists (§6.2).

    Only of the kinds that need no look at book or account: any other may be the word about one order of an answer that
    lost its rest.
    """
    match status:
        case {"error": str(text), **others} if not others and reject_reason(text) in _OF_THE_WHOLE_BATCH:
            return Rejected(reject_reason(text), _clean(text))
        case _:
            return None


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
