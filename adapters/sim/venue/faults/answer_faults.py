"""What faults make of a request's answer: the fate decided before handling, carried out after it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from adapters.sim.venue.faults.distortions import answer_body, distort, post_payload
from adapters.sim.venue.faults.facts import RequestFacts
from adapters.sim.venue.faults.kinds import (
    Body,
    DelayAnswer,
    Disconnect,
    ExecuteLate,
    Fault,
    Kill,
    LoseReply,
    OnText,
    Refuse,
    ReplaceAnswer,
)
from adapters.sim.venue.outputs import Frame, HttpAnswer, HttpCut, Output, ProcessKilled, SocketDropped

Timed = tuple[int, Output]
"""When something leaves, and what."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fault that waits for the answer. `delay_ms` is drawn already; `sockets` die with it."""

    rule_id: int
    fault: Fault
    delay_ms: int = 0
    sockets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestFate:
    """What the facade does with a request: let `outputs` leave, and, if `handled`, handle it `handle_after_ms` later.

    `answered`: the client has got its answer, or never gets one; what handling brings is dropped by `answers`.
    """

    outputs: tuple[Timed, ...] = ()
    handled: bool = True
    handle_after_ms: int = 0
    answered: bool = False
    marks: tuple[Mark, ...] = ()


def cut(request: RequestFacts, sent: bytes = b"") -> Output:
    """The connection that a request came by dies."""
    return HttpCut(request.request_id, sent) if request.socket_id is None else SocketDropped(request.socket_id)


def reply(request: RequestFacts, status: int, body: Body, text: str) -> Output:
    """An answer that the venue itself would not have given."""
    if request.socket_id is None:
        said, content_type = answer_body(body, status, text)
        return HttpAnswer(request.request_id, status, said, content_type)
    data = {"id": request.post_id, "response": post_payload(body, status, text)}
    return Frame(request.socket_id, json.dumps({"channel": "post", "data": data}, separators=(",", ":")))


def early_outputs(request: RequestFacts, fault: Refuse | ExecuteLate, now_ms: int) -> tuple[Timed, ...]:
    """What the client gets at once."""
    if fault.body == "hang":
        return ()
    if fault.body == "cut":
        return ((now_ms, cut(request)),)
    return ((now_ms, reply(request, fault.status, fault.body, fault.text)),)


def marked_answers(
    request: RequestFacts, marks: tuple[Mark, ...], answer: HttpAnswer | Frame, now_ms: int
) -> list[Timed]:
    """The answer as the marks leave it, one after another."""
    items: list[Timed] = [(now_ms, answer)]
    for mark in marks:
        items = _marked(request, mark, items)
    return items


def _marked(request: RequestFacts, mark: Mark, items: list[Timed]) -> list[Timed]:
    last_ms = max((due_ms for due_ms, _ in items), default=0)
    match mark.fault:
        case DelayAnswer():
            return [(due_ms + mark.delay_ms, output) for due_ms, output in items]
        case LoseReply(sent_bytes=sent, hang=hang):
            return [lost for item in items for lost in _lost(request, item, sent, hang=hang)]
        case ReplaceAnswer(status=status, body=body, text=text):
            return [
                (due_ms, reply(request, status, body, text) if isinstance(output, HttpAnswer | Frame) else output)
                for due_ms, output in items
            ]
        case Kill(pid=pid):
            return [*items, (last_ms, ProcessKilled(pid))]
        case Disconnect():
            return [*items, *((last_ms, SocketDropped(socket_id)) for socket_id in mark.sockets)]
        case _:
            assert isinstance(mark.fault, OnText), f"rule {mark.rule_id}: {mark.fault} is not for answers"
            return [(due_ms, distorted(output, mark.fault)) for due_ms, output in items]


def _lost(request: RequestFacts, item: Timed, sent: int, *, hang: bool) -> list[Timed]:
    due_ms, output = item
    if not isinstance(output, HttpAnswer | Frame):
        return [item]
    if hang:
        return []
    return [(due_ms, cut(request, output.body[:sent] if isinstance(output, HttpAnswer) else b""))]


def distorted(output: Output, fault: OnText) -> Output:
    """An answer or frame with its text changed; a body that is no text stays."""
    if isinstance(output, Frame):
        return replace(output, text=distort(output.text, fault))
    if isinstance(output, HttpAnswer):
        return replace(output, body=distort(output.body.decode("utf-8", "replace"), fault).encode())
    return output
