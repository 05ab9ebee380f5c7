"""Give every frame of a file a receive time, none earlier than the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from adapters.recordings.frames import MS_NS, FoundFrame, ReadLog
from adapters.recordings.wire import venue_ms

LATENCY_MS = 500
"""From the venue's time to ours, where a recording does not tell: half a second is usual in those that do."""

MAX_STEP_BACK_NS = 60_000_000_000
"""A recorder's clock that is set right goes back by less; more is lines out of order."""


class TimedFrame:
    """A found frame with its receive time. (Plain slots: made by the million.)"""

    __slots__ = ("at_ns", "channel", "data", "line", "text")

    def __init__(self, at_ns: int, line: int, found: FoundFrame) -> None:
        self.at_ns = at_ns
        self.line = line
        self.text = found.text
        self.channel = found.channel
        self.data = found.data

    @property
    def at_ms(self) -> int:
        return self.at_ns // MS_NS


def timed(frames: Iterable[FoundFrame], line: int, latency_ms: int, log: ReadLog) -> Iterator[TimedFrame]:
    """Take the recorder's time where it wrote one, else the venue's plus `latency_ms`, else that of the frame before.

    Frames without any time at the head of a file get that of the first one that has one. A clock that goes back
    stands still instead.
    """
    newest: int | None = None
    is_dated = False
    waiting: list[FoundFrame] = []
    for found in frames:
        at_ns = found.at_ns
        if at_ns is not None:
            is_dated = True
            at_ns = _not_back(at_ns, newest, found.place, log)
        elif is_dated:
            log.mend("no receive time: that of the line before is used", found.place)
            at_ns = newest
        else:
            at_ns = _from_venue(found, newest, latency_ms)
        if at_ns is None:
            waiting.append(found)
            continue
        for early in waiting:
            yield TimedFrame(at_ns, line, early)
        waiting.clear()
        newest = at_ns
        yield TimedFrame(at_ns, line, found)
    if waiting:
        log.damage("neither a receive time nor one of the venue stands in this file", waiting[0].place)


def _not_back(at_ns: int, newest: int | None, place: int, log: ReadLog) -> int:
    if newest is None or at_ns >= newest:
        return at_ns
    if newest - at_ns > MAX_STEP_BACK_NS:
        log.damage("it was received more than a minute before the line above it", place)
    else:
        log.mend("the receive time goes back: that of the line before is used", place)
    return newest


def _from_venue(found: FoundFrame, newest: int | None, latency_ms: int) -> int | None:
    told_ms = venue_ms(found.data)
    if told_ms is None:
        return newest
    at_ns = (told_ms + latency_ms) * MS_NS
    return at_ns if newest is None else max(at_ns, newest)
