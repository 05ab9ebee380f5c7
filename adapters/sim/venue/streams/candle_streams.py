"""Running candles as the venue streams them: after trades only, one object a frame, no closed flag (§4.5).

A trade makes its bucket due; it is told a moment later, so that a burst is one frame. What is told is looked up then:
every bucket since the first untold trade, hence also the last state of one that has ended meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from adapters.sim.venue.info.readable import ReadableCandle
from adapters.sim.venue.numbers import float_text
from adapters.sim.venue.outputs import Frame
from adapters.sim.venue.streams.cadence_clock import NEVER
from adapters.sim.venue.streams.sockets import Stream, leave
from adapters.sim.venue.streams.streamed import StreamedMarket
from adapters.sim.venue.streams.subscriptions import Subscription
from domain.candles import Interval


@dataclass(slots=True)
class _CandleStream(Stream):
    """`untold_ms`: open time of the first bucket with a trade that was not told. `newcomers` were told nothing yet."""

    interval: Interval = Interval.M1
    head: str = ""
    untold_ms: int | None = None
    due_ms: int = NEVER
    last_sent_ms: int = -NEVER
    newcomers: list[int] = field(default_factory=list)


class CandleStreams:
    """The candles of all coins and intervals; `gap_ms` is the shortest time between two frames of one stream."""

    def __init__(self, market: StreamedMarket, gap_ms: int) -> None:
        self._market = market
        self._gap_ms = gap_ms
        self._streams: dict[str, dict[str, _CandleStream]] = {}
        self._due: list[tuple[int, int, _CandleStream]] = []
        self._queued = 0

    def subscribe(self, socket_id: int, subscription: Subscription, now_ms: int) -> None:
        """The running bucket is told one gap later, to the newcomer alone if nothing has traded until then."""
        coin, name = subscription.coin, subscription.interval
        streams = self._streams.setdefault(coin, {})
        stream = streams.get(name)
        if stream is None:
            head = f'"s":"{coin}","i":"{name}","o":"'
            stream = streams[name] = _CandleStream(subscription, [], Interval(name), head)
        stream.sockets.append(socket_id)
        stream.newcomers.append(socket_id)
        self._queue(stream, now_ms + self._gap_ms)

    def unsubscribe(self, socket_id: int, subscription: Subscription) -> None:
        streams = self._streams[subscription.coin]
        stream = streams[subscription.interval]
        if socket_id in stream.newcomers:
            stream.newcomers.remove(socket_id)
        leave(streams, subscription.interval, socket_id)
        if not stream.sockets:
            stream.due_ms = NEVER
        if not streams:
            del self._streams[subscription.coin]

    def note(self, coin: str, traded_ms: int, now_ms: int) -> None:
        """A coin has traded, first at `traded_ms`."""
        for stream in self._streams.get(coin, _NONE).values():
            if stream.untold_ms is None:
                stream.untold_ms = stream.interval.open_of(traded_ms)
                self._queue(stream, max(now_ms, stream.last_sent_ms + self._gap_ms))

    def next_due_ms(self) -> int:
        while self._due and self._due[0][0] != self._due[0][2].due_ms:
            heappop(self._due)
        return self._due[0][0] if self._due else NEVER

    def publish(self, now_ms: int, out: list[Frame]) -> None:
        while self._due and self._due[0][0] <= now_ms:
            due_ms, _, stream = heappop(self._due)
            if due_ms == stream.due_ms:
                stream.due_ms = NEVER
                self._tell(stream, now_ms, out)

    def _queue(self, stream: _CandleStream, due_ms: int) -> None:
        if due_ms < stream.due_ms:
            stream.due_ms = due_ms
            self._queued += 1
            heappush(self._due, (due_ms, self._queued, stream))

    def _tell(self, stream: _CandleStream, now_ms: int, out: list[Frame]) -> None:
        untold_ms, readers = stream.untold_ms, stream.sockets
        if untold_ms is None:
            untold_ms, readers = stream.interval.open_of(now_ms), stream.newcomers
        for row in self._market.candles(stream.subscription.coin, stream.interval, untold_ms, now_ms):
            if row.trades:
                told = _candle_text(stream.head, row)
                stream.last_sent_ms = now_ms
                for socket_id in readers:
                    out.append(Frame(socket_id, told))
        stream.untold_ms = None
        stream.newcomers.clear()


_NONE: Final[dict[str, _CandleStream]] = {}


def _candle_text(head: str, row: ReadableCandle) -> str:
    return (
        f'{{"channel":"candle","data":{{"t":{row.open_ms},"T":{row.end_ms},{head}{float_text(row.open)}",'
        f'"c":"{float_text(row.close)}","h":"{float_text(row.high)}","l":"{float_text(row.low)}",'
        f'"v":"{float_text(row.volume)}","n":{row.trades}}}}}'
    )
