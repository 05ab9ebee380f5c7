"""What faults do to texts: pure, text in, text out. What does not fit a fault passes unchanged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from http import HTTPStatus

from adapters.sim.venue.exchange.orders import Status
from adapters.sim.venue.faults.facts import read_json
from adapters.sim.venue.faults.kinds import BareNumbers, Body, ClockSkew, OnText, Truncate, UnknownValue

PLAIN = "text/plain; charset=utf-8"
HTML = "text/html"
JSON = "application/json"
_STATUSES = frozenset(status.value for status in Status)
_QUOTED_NUMBER = re.compile(r'("(\w+)"\s*:\s*)"(-?(?:0|[1-9]\d*)(?:\.\d+)?)"')


def distort(text: str, fault: OnText) -> str:
    match fault:
        case Truncate(keep=keep):
            return text[: int(len(text) * keep)]
        case UnknownValue(field=field, word=word):
            return _replace(text, lambda name, value: word if name == field and _is_word(field, value) else value)
        case BareNumbers(fields=fields):
            return _QUOTED_NUMBER.sub(lambda found: _bare(found, fields), text)
        case ClockSkew(ms=ms, of=of, fields=fields):
            if of == "date":
                return text
            return _replace(text, lambda name, value: _shifted(value, ms) if name in fields else value)


def answer_body(body: Body, status: int, text: str) -> tuple[bytes, str | None]:
    """Body and content type of an answer that the venue never gave."""
    words = text or _words(status)
    match body:
        case "null":
            return b"null", JSON
        case "text":
            return words.encode(), PLAIN
        case "html":
            page = f"<html>\r\n<head><title>{status} {words}</title></head>\r\n<body>\r\n<center><h1>{status} {words}"
            return f"{page}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n".encode(), HTML
        case "err":
            return json.dumps({"status": "err", "response": words}, separators=(",", ":")).encode(), JSON
        case "empty":
            return b"", None


def post_payload(body: Body, status: int, text: str) -> dict[str, object]:
    """The same over a socket: the `response` of a post."""
    words = text or _words(status)
    if body == "err":
        return {"type": "action", "payload": {"status": "err", "response": words}}
    return {"type": "error", "payload": f"{status} {words}"}


def _words(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"


def _bare(found: re.Match[str], fields: Collection[str]) -> str:
    return found[1] + found[3] if not fields or found[2] in fields else found[0]


def _is_word(field: str, value: object) -> bool:
    """An answer's own `status` ("ok", "order") is not an order's."""
    return isinstance(value, str) and (field != "status" or value in _STATUSES)


def _shifted(value: object, ms: int) -> object:
    return value + ms if isinstance(value, int) and not isinstance(value, bool) else value


def _replace(text: str, change: Callable[[str, object], object]) -> str:
    raw = read_json(text)
    if not isinstance(raw, dict | list):
        return text
    changed = _walk(raw, change)
    return text if changed == raw else json.dumps(changed, separators=(",", ":"))


def _walk(value: object, change: Callable[[str, object], object]) -> object:
    if isinstance(value, dict):
        return {name: _walk(change(name, inner), change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, change) for inner in value]
    return value
