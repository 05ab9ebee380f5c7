"""The WebSockets of the local venue: what each one is subscribed to, when it dies, and the frames that answer it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

import msgspec

from adapters.sim.venue.outputs import Frame
from adapters.sim.venue.streams.cadence_clock import NEVER
from adapters.sim.venue.streams.subscriptions import Subscription

DROP_LAG_MS = 100
"""From a request that kills the socket to its death (§1.4)."""
PONG = '{"channel":"pong"}'


@dataclass(slots=True)
class Socket:
    """One open socket. `subscriptions` by canonical text. `drop_ms`: doomed, and silent until then."""

    socket_id: int
    ip: str
    last_sent_ms: int
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    posts_in_flight: int = 0
    drop_ms: int = NEVER

    @property
    def is_doomed(self) -> bool:
        return self.drop_ms != NEVER


@dataclass(frozen=True, slots=True)
class Post:
    """A request over a socket, for the desk or the chain to answer. `text` is the frame that it came in."""

    socket_id: int
    id: int
    kind: str
    payload: dict[str, object]
    text: str


@dataclass(slots=True)
class Stream:
    """The sockets of one subscription, in the order in which they came."""

    subscription: Subscription
    sockets: list[int] = field(default_factory=list)

    def tell(self, text: str, out: list[Frame]) -> None:
        for socket_id in self.sockets:
            out.append(Frame(socket_id, text))


_StreamT = TypeVar("_StreamT", bound=Stream)


def leave(streams: dict[str, _StreamT], key: str, socket_id: int) -> None:
    """Take a socket off a stream; one without readers is forgotten."""
    stream = streams[key]
    stream.sockets.remove(socket_id)
    if not stream.sockets:
        del streams[key]


def data_frame(channel: str, data: object) -> str:
    return msgspec.json.encode({"channel": channel, "data": data}).decode()


def acknowledgement(method: str, subscription: Subscription) -> str:
    echo = subscription.canonical
    return f'{{"channel":"subscriptionResponse","data":{{"method":"{method}","subscription":{echo}}}}}'


def error_frame(text: str) -> str:
    """`text` may be anything that a client sent, hence the ASCII encoder."""
    return f'{{"channel":"error","data":{json.dumps(text)}}}'


def unreadable(text: str) -> str:
    return error_frame(f"Error parsing JSON into valid websocket request: {text}")


def post_frame(post: Post, status: int, body: object) -> str:
    """The answer to a post; a failure of the transport is a string in place of the payload (§1.3)."""
    if status != HTTPStatus.OK:
        response: dict[str, object] = {"type": "error", "payload": f"{status} {HTTPStatus(status).phrase}"}
    elif post.kind == "info":
        response = {"type": "info", "payload": {"type": post.payload.get("type"), "data": body}}
    else:
        response = {"type": "action", "payload": body}
    return data_frame("post", {"id": post.id, "response": response})
