"""The faults themselves: what each one does to a request, a frame or a socket, and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Milliseconds = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Status = Annotated[int, Meta(ge=200, le=599)]
Body = Literal["null", "empty", "text", "html", "err"]
"""Of an answer: JSON null, nothing, the status in words, a proxy's error page, `{"status":"err"}` with the text."""
Point = Literal["before", "after"]
TIME_FIELDS = ("time", "timestamp", "statusTimestamp", "serverTime")


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens when a rule fires."""


# To requests, over HTTP or posted over a socket.


class DropRequest(Fault, frozen=True):
    """The venue never sees it. The connection dies, or with `hang` simply stays silent."""

    hang: bool = False


class Refuse(Fault, frozen=True):
    """Answered instead of handled: over the limit, edge trouble, an upgrade."""

    status: Status = 429
    body: Body = "null"
    text: str = ""


class ExecuteLate(Fault, frozen=True):
    """An error at once, but the action lands `ms` later (2025-07-29). `cut`: no answer but a dead connection."""

    ms: Milliseconds
    jitter_ms: Milliseconds = 0
    status: Status = 500
    body: Literal["null", "empty", "text", "html", "err", "cut", "hang"] = "null"
    text: str = ""


class DelayAnswer(Fault, frozen=True):
    """Handled at once, answered `ms` later, and up to `jitter_ms` more."""

    ms: Milliseconds
    jitter_ms: Milliseconds = 0


class LoseReply(Fault, frozen=True):
    """Handled, but the connection dies after `sent_bytes` of the body, or with `hang` stays silent."""

    sent_bytes: Milliseconds = 0
    hang: bool = False


class ReplaceAnswer(Fault, frozen=True):
    """Handled, but answered with this: 500, 502 with HTML, 200 with `err` and a text."""

    status: Status = 500
    body: Body = "null"
    text: str = ""


# To answers and frames alike.


class Truncate(Fault, frozen=True):
    """Only this share of the text arrives, as if it were all."""

    keep: Annotated[float, Meta(ge=0, lt=1)] = 0.5


class UnknownValue(Fault, frozen=True):
    """An order status, a fill's direction or a side becomes a word that nobody has heard of."""

    field: Literal["status", "dir", "side"] = "status"
    word: str = "unheardOf"


class BareNumbers(Fault, frozen=True):
    """Numbers that the venue writes as text come as numbers; only those of `fields`, if any are named."""

    fields: tuple[str, ...] = ()


class ClockSkew(Fault, frozen=True):
    """The venue's times are off by `ms`: those in JSON, the `Date` of HTTP answers, or both."""

    ms: int
    of: Literal["times", "date", "both"] = "times"
    fields: tuple[str, ...] = TIME_FIELDS


# To frames.


class DropFrames(Fault, frozen=True):
    """They never arrive."""


class DelayFrames(Fault, frozen=True):
    """They arrive later, in their channel's order; other channels go on."""

    ms: Milliseconds
    jitter_ms: Milliseconds = 0


class DuplicateFrames(Fault, frozen=True):
    copies: Count = 1
    after_ms: Milliseconds = 0


class ReorderFrames(Fault, frozen=True):
    """Each arrives some time within the window: later ones can overtake earlier ones, by no more than it."""

    window_ms: Count = 500


class UnknownChannel(Fault, frozen=True):
    """A frame of a channel that does not exist comes before the frame, or instead of it."""

    channel: str = "surprise"
    instead: bool = False


class StaleStream(Fault, frozen=True):
    """From the frame on that fires it, its stream sends nothing on its socket, while all else goes on.

    Ends with a new subscription, or only with a new socket, or after `for_ms`.
    """

    ends: Literal["resubscribe", "reconnect"] = "resubscribe"
    for_ms: Milliseconds | None = None


class NoPongs(Fault, frozen=True):
    """Pings go unanswered."""


class LieOnResubscribe(Fault, frozen=True):
    """A stream that the client had before is acknowledged again, but sends nothing, or the snapshot of before."""

    data: Literal["nothing", "old"] = "nothing"


# To sockets and processes.


class HalfOpen(Fault, frozen=True):
    """Nothing gets through the socket either way, and nobody is told."""

    for_ms: Milliseconds | None = None


class Disconnect(Fault, frozen=True):
    """The socket dies without a close frame, before or after the frame that fires it."""

    point: Point = "before"


class RefuseSocket(Fault, frozen=True):
    """A handshake is answered with an HTTP status."""

    status: Annotated[int, Meta(ge=400, le=599)] = 502
    body: Body = "html"
    text: str = ""


class Kill(Fault, frozen=True):
    """SIGKILL for a client: before the request is handled or after its reply is written; likewise for a frame.

    With `before`, `handled` says whether the venue still executes what it had received.
    """

    pid: Annotated[int, Meta(ge=2)]
    point: Point = "before"
    handled: bool = True


FAULTS: Mapping[str, type[Fault]] = {
    "drop_request": DropRequest,
    "refuse": Refuse,
    "execute_late": ExecuteLate,
    "delay_answer": DelayAnswer,
    "lose_reply": LoseReply,
    "replace_answer": ReplaceAnswer,
    "truncate": Truncate,
    "unknown_value": UnknownValue,
    "bare_numbers": BareNumbers,
    "clock_skew": ClockSkew,
    "drop_frames": DropFrames,
    "delay_frames": DelayFrames,
    "duplicate_frames": DuplicateFrames,
    "reorder_frames": ReorderFrames,
    "unknown_channel": UnknownChannel,
    "stale_stream": StaleStream,
    "no_pongs": NoPongs,
    "lie_on_resubscribe": LieOnResubscribe,
    "half_open": HalfOpen,
    "disconnect": Disconnect,
    "refuse_socket": RefuseSocket,
    "kill": Kill,
}

OnRequest = DropRequest | Refuse | ExecuteLate | DelayAnswer | LoseReply | ReplaceAnswer
OnText = Truncate | UnknownValue | BareNumbers | ClockSkew
OnFrame = (
    DropFrames
    | DelayFrames
    | DuplicateFrames
    | ReorderFrames
    | UnknownChannel
    | StaleStream
    | NoPongs
    | LieOnResubscribe
)
