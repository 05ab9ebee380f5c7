"""From frames to events, without I/O: what a feed's connections bring, in the order in which they bring it.

    frame ─▶ decode ─▶ (the session says whether it counts) ─▶ deliver ─▶ account events, at once
                                                                     └─▶ market slice ─▶ take ─▶ market events

Everything that is done here is noted in the feed's log, and each event that comes of it has a number.
The same notes, done again by `redo` in another process, give the same events: a recorded session holds raw frames and
what was done with them, not what they were thought to mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from adapters.hyperliquid.account_lane import AccountLane
from adapters.hyperliquid.heard import (
    BboHeard,
    CandleHeard,
    Drifted,
    FillsHeard,
    FundingsHeard,
    Heard,
    LedgerHeard,
    MidsHeard,
    OrderUpdatesHeard,
    TradesHeard,
    UserEventsHeard,
)
from adapters.hyperliquid.market_slice import CandleStream, MarketEvent, MarketSlice
from adapters.hyperliquid.wire_frames import decode_frame
from domain.candles import Interval
from domain.events import Event
from domain.instruments import Universe
from ports.feed_log import FeedLog
from ports.session_log import Entry, Tag


class DeskListener(Protocol):
    """Whoever has to act on what frames say. Called in the event loop; never waits."""

    def tell(self, code: str, text: str) -> None: ...

    def ask_soon(self) -> None:
        """The account has to be asked what happened."""
        ...

    def foreign(self, where: str, raw: str) -> None:
        """A frame about somebody else's account."""
        ...

    def drifted(self, heard: Drifted, raw: str) -> None: ...


class NobodyListens:
    """For frames of the past: whatever had to be done was done then."""

    def tell(self, code: str, text: str) -> None:
        pass

    def ask_soon(self) -> None:
        pass

    def foreign(self, where: str, raw: str) -> None:
        pass

    def drifted(self, heard: Drifted, raw: str) -> None:
        pass


class FrameDesk:
    """`user` (lower case) is whose account the frames may be about. Times are the market's."""

    def __init__(
        self,
        universe: Universe,
        interval: Interval,
        exit_interval: Interval | None,
        ahead_limit_ms: int,
        user: str | None,
        log: FeedLog,
        listener: DeskListener,
    ) -> None:
        self._universe = universe
        self._user = user
        self._ahead_limit_ms = ahead_limit_ms
        self._market = MarketSlice(universe, interval, ahead_limit_ms, exit_interval)
        self._account = AccountLane(user, listener)
        self._log = log
        self._put = log.put
        self._listener = listener
        self._frame_no = self._line = 0
        self._unnoted = False
        """The frame that was decoded last is not on record yet: whether it counts is known in a moment."""
        self._raw = ""
        self._heard: Heard | None = None
        self._decoded_ms = 0
        self._skew_ms = 0
        self.counts = self._market.counts

    @property
    def is_empty(self) -> bool:
        """Nothing of the market waits to be told."""
        return self._market.is_empty

    @property
    def heard(self) -> Heard | None:
        """The frame that was decoded last."""
        return self._heard

    # ── frames ───────────────────────────────────────────────────────────────────────────────────

    def decode(self, line: int, raw: str, now_ms: int) -> Heard:
        """Say what a frame of connection `line` is. It is on record whatever becomes of it."""
        if self._unnoted:
            self._note_frame(Tag.HELD)
        self._frame_no += 1
        self._unnoted = True
        self._line, self._raw, self._decoded_ms = line, raw, now_ms
        self._heard = heard = decode_frame(raw, self._universe, self._user, now_ms)
        return heard

    def deliver(self, *, is_backlog: bool) -> Sequence[Event]:
        """Let the frame that was decoded last count; returns what it says of the account. Market data wait for `take`.

        `is_backlog`: it tells what was, not what is happening.
        """
        if self._unnoted and not is_backlog:
            self._note_frame(Tag.FRAME)
        else:
            self._do((Tag.BACKLOG,) if is_backlog else (Tag.DELIVER,))
        heard = self._heard
        match heard:
            case BboHeard():
                if not self._market.quote(heard, self._decoded_ms):
                    text = f"{heard.coin} is quoted at {heard.venue_ms}: check the clock"
                    self._listener.tell("venue_time_ahead", text)
            case CandleHeard():
                if not self._market.candle(heard, self._decoded_ms):
                    text = f"{heard.coin} has a candle of {heard.open_ms}: check the clock"
                    self._listener.tell("venue_time_ahead", text)
            case MidsHeard(mids=mids):
                self._market.mids(mids, self._decoded_ms + self._skew_ms)
            case TradesHeard():
                self._note_trades(heard)
            case FillsHeard() | FundingsHeard() | LedgerHeard() | OrderUpdatesHeard() | UserEventsHeard():
                events = self._account.events_of(heard, self._raw, is_backlog=is_backlog)
                self._log.born(events)
                return events
            case Drifted():
                self._listener.drifted(heard, self._raw)
            case _:
                pass
        return ()

    def _note_trades(self, heard: TradesHeard) -> None:
        newest_ms = max((trade.time_ms for trade in heard.trades), default=0)
        if newest_ms <= self._decoded_ms + self._ahead_limit_ms:
            self._market.stamp(newest_ms)

    def _note_frame(self, tag: str) -> None:
        self._unnoted = False
        self._put((tag, self._frame_no, self._line, self._decoded_ms, self._raw))

    def _do(self, entry: Entry) -> None:
        """Note what follows on the frame that was decoded last."""
        if self._unnoted:
            self._note_frame(Tag.HELD)
        self._put(entry)

    def note_line(self, line: int, what: str, why: str = "") -> None:
        """A connection was opened or lost. Nothing follows from it here; it explains what does not come."""
        self._do((Tag.LINE, line, what, why))

    # ── what is known besides ────────────────────────────────────────────────────────────────────

    def begin(self, now_ms: int) -> None:
        """From now on snapshots tell what is new; what was before is told by others."""
        self._do((Tag.FEED, "begin", now_ms))
        self._account.started_ms = now_ms

    def set_skew(self, skew_ms: int) -> None:
        """How far the venue's time is ahead of ours."""
        if skew_ms != self._skew_ms:
            self._do((Tag.FEED, "set_skew", skew_ms))
            self._skew_ms = skew_ms

    def watch(self, symbols: Sequence[str]) -> None:
        """See `MarketSlice.watch`; so below."""
        self._do((Tag.FEED, "watch", list(symbols)))
        self._market.watch(symbols)

    def mids_began(self) -> None:
        self._do((Tag.FEED, "mids_began"))
        self._market.mids_began()

    def started(self, streams: Iterable[CandleStream]) -> None:
        named = list(streams)
        if named:
            self._do((Tag.FEED, "started", _plain(named)))
            self._market.started(named)

    def stopped(self, streams: Collection[CandleStream], silent_ms: int = 0) -> list[MarketEvent]:
        if not streams:
            return []
        self._do((Tag.FEED, "stopped", _plain(streams), silent_ms))
        return self._told(self._market.stopped(streams, silent_ms))

    def not_running(self, streams: Collection[CandleStream]) -> list[MarketEvent]:
        if not streams:
            return []
        self._do((Tag.FEED, "not_running", _plain(streams)))
        return self._told(self._market.not_running(streams))

    def take(self) -> list[MarketEvent]:
        """Everything of the market that was collected; the next slice is empty."""
        self._do((Tag.FEED, "take"))
        return self._told(self._market.take())

    def _told(self, events: list[MarketEvent]) -> list[MarketEvent]:
        self._log.born(events)
        return events

    def end(self) -> None:
        """Nothing follows: the frame that was decoded last goes on record if it is not there."""
        if self._unnoted:
            self._note_frame(Tag.HELD)

    # ── from a record ────────────────────────────────────────────────────────────────────────────

    def redo(self, entry: Sequence[Any]) -> None:
        """Do what a note says. Raises `ValueError` where it is none of a desk's notes."""
        if len(entry) == 5 and entry[0] == Tag.FRAME:  # first what comes by the million
            _, _, line, now_ms, raw = entry
            if type(line) is int and type(now_ms) is int and type(raw) is str:
                self.decode(line, raw, now_ms)
                self.deliver(is_backlog=False)
                return
        match entry:
            case [Tag.HELD, _, int() as line, int() as now_ms, str() as raw]:
                self.decode(line, raw, now_ms)
            case [Tag.DELIVER]:
                self.deliver(is_backlog=False)
            case [Tag.BACKLOG]:
                self.deliver(is_backlog=True)
            case [Tag.FEED, str() as name, *arguments] if name in _REDO:
                _REDO[name](self, *arguments)
            case _:
                raise ValueError(f"{str(entry)[:80]} is nothing that a feed does")


def _plain(streams: Iterable[CandleStream]) -> list[list[str]]:
    return [[symbol, interval.value] for symbol, interval in streams]


def _streams(plain: Iterable[Sequence[str]]) -> list[CandleStream]:
    return [(symbol, Interval(interval)) for symbol, interval in plain]


_REDO: dict[str, Callable[..., object]] = {
    "begin": FrameDesk.begin,
    "set_skew": FrameDesk.set_skew,
    "watch": FrameDesk.watch,
    "mids_began": FrameDesk.mids_began,
    "started": lambda desk, streams: desk.started(_streams(streams)),
    "stopped": lambda desk, streams, silent_ms: desk.stopped(_streams(streams), silent_ms),
    "not_running": lambda desk, streams: desk.not_running(_streams(streams)),
    "take": FrameDesk.take,
}
