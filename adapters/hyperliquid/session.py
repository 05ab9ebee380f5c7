"""One WebSocket connection as a state machine: frames and moments in, things to do out. No I/O.

    WAITING ──opened──▶ SUBSCRIBING ◀──── all that is wanted runs ───▶ LIVE
       ▲                    │                                            │
       └──lost── CLOSING ◀──┴──── silent too long, no answer, unreadable ┘

Liveness: a ping every 20 s, and a connection that has said nothing at all for 45 s is dead. One that was lost is
tried again after a growing, jittered time, which starts over only once a connection has proven itself: every
stream answered, and some time survived.

What is wanted may change at any time; `stream_table` says how one stream gets from wanted to running and back.
What the venue refuses in words (`Invalid subscription`, too many users) is told once and given up; what it refuses
by dropping the socket without a word is found by elimination (`blame`).
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Collection, Sequence

from adapters.hyperliquid.backoff import Backoff
from adapters.hyperliquid.blame import Blame
from adapters.hyperliquid.error_texts import ErrorKind, read_error
from adapters.hyperliquid.heard import (
    Acked,
    BboHeard,
    BookHeard,
    CandleHeard,
    ContextHeard,
    Drifted,
    FillsHeard,
    FundingsHeard,
    Heard,
    Ignored,
    LedgerHeard,
    MidsHeard,
    OrderUpdatesHeard,
    Pong,
    Posted,
    TradesHeard,
    UserEventsHeard,
    VenueError,
)
from adapters.hyperliquid.session_steps import (
    Close,
    Deliver,
    Do,
    Resynced,
    Send,
    SessionRules,
    Stopped,
    Tell,
)
from adapters.hyperliquid.stream_table import NEVER_MS, Stage, Stream, StreamTable
from adapters.hyperliquid.subscriptions import MessageBudget, StreamRoom, Subscription

PING = '{"method":"ping"}'
_MINUTE_MS = 60_000


class Phase(enum.Enum):
    WAITING = "waiting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    CLOSING = "closing"


class WsSession:
    """The conversation over one connection and its successors. Times never go backwards."""

    def __init__(
        self,
        wanted: Sequence[Subscription],
        rules: SessionRules,
        chance: random.Random,
        budget: MessageBudget | None = None,
        room: StreamRoom | None = None,
    ) -> None:
        """`budget` and `room` are shared by all sessions of one address."""
        self._rules = rules
        self._backoff = Backoff(rules, chance)
        self._budget = budget or MessageBudget()
        self._streams = StreamTable(wanted, rules, self._budget, room or StreamRoom())
        self._blame = Blame(self._streams, rules)
        self._quotes, self._candles = self._streams.quotes, self._streams.candles
        self.phase = Phase.WAITING
        self.connections = 0
        self._opened_ms = self._frame_ms = self._data_ms = self._ping_ms = 0
        self._anything_heard = False
        self._proven = False
        self._unreadable: deque[int] = deque()

    # ── what may be asked at any time ────────────────────────────────────────────────────────────

    @property
    def is_open(self) -> bool:
        """There is a connection that is not being given up."""
        return self.phase is Phase.SUBSCRIBING or self.phase is Phase.LIVE

    @property
    def next_due_ms(self) -> int:
        """When `tick` (or, while waiting, a new connection) is due."""
        if self.phase is Phase.WAITING:
            return self._backoff.next_ms
        if self.phase is Phase.CLOSING:
            return NEVER_MS
        due = min(self._ping_ms, self._frame_ms + self._rules.dead_after_ms, self._streams.due_ms(self._frame_ms))
        if self.phase is Phase.LIVE and not self._proven:
            due = min(due, self._opened_ms + self._rules.proven_after_ms)
        return due

    @property
    def failures(self) -> int:
        """Attempts in a row that proved nothing."""
        return self._backoff.failures

    @property
    def wanted(self) -> int:
        """How many streams are wanted."""
        return self._streams.wanted

    @property
    def given_up(self) -> tuple[str, ...]:
        """Streams that are not asked for any more, in the order in which they were wanted."""
        return self._streams.given_up

    def knows(self, key: str) -> bool:
        """Whether this stream is wanted here, is still being ended, or is one that something is held against."""
        return key in self._streams

    def silences(self, now_ms: int) -> dict[str, int]:
        """How long each running stream has been silent. Whether that is too long depends on the stream."""
        if not self.is_open:
            return {}
        return {key: now_ms - max(s.heard_ms, s.sent_ms) for key, s in self._streams.running.items()}

    def quiet(self, now_ms: int) -> dict[str, int]:
        """Likewise, by symbol, for the streams of quotes alone."""
        if not self.is_open:
            return {}
        running = (each for each in self._quotes.items() if each[1].stage is Stage.RUNNING)
        return {coin: now_ms - max(stream.heard_ms, stream.sent_ms) for coin, stream in running}

    def data_silence_ms(self, now_ms: int) -> int:
        """How long this connection has brought no market data, since it was opened at most; 0 without a connection."""
        return now_ms - self._data_ms if self.is_open else 0

    def any_silence_ms(self, now_ms: int) -> int:
        """How long this connection has brought nothing at all; 0 without a connection."""
        return now_ms - self._frame_ms if self.is_open else 0

    def newest_venue_ms(self, believed_ms: int) -> int:
        """The newest stamp of a quote, on any connection so far, not later than `believed_ms`; -1 before any."""
        return self._streams.newest_venue_ms(believed_ms)

    # ── what is wanted ───────────────────────────────────────────────────────────────────────────

    def want(self, subscriptions: Sequence[Subscription], now_ms: int) -> list[Do]:
        """Want these streams too. What is wanted already, or was given up, stays as it is."""
        if not self._streams.wanted:
            self._data_ms = now_ms  # nobody can have been silent so far
        self._streams.want(subscriptions, is_open=self.is_open)
        return self._follow(now_ms)

    def drop(self, keys: Collection[str], now_ms: int) -> list[Do]:
        """Want these streams no longer: they are ended as soon as the venue may be asked to. Unknown ones are none."""
        return [*_stopped(self._streams.drop(keys)), *self._follow(now_ms)]

    def renew(self, keys: Collection[str], now_ms: int) -> list[Do]:
        """Ask the venue anew for those of these streams that run: end them, and once that is answered begin again."""
        silences = self.silences(now_ms)
        renewed = self._streams.renew(keys)
        silent_ms = max((silences.get(key, 0) for key in renewed), default=0)
        return [*_stopped(renewed, silent_ms), *self._follow(now_ms)]

    def give_up_connection(self, why: str) -> list[Do]:
        """Let this connection end, to be followed by another one. Nothing happens where there is none."""
        return self._close(why) if self.is_open else []

    def _follow(self, now_ms: int) -> list[Do]:
        return [*self._streams.ask(now_ms), *self._settle()] if self.is_open else []

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    def opened(self, now_ms: int) -> list[Do]:
        """A connection is there. A ping goes first: its answer tells a venue that listens from one that drops us."""
        assert self.phase is Phase.WAITING, "one connection at a time"
        self.phase = Phase.SUBSCRIBING
        self.connections += 1
        self._opened_ms = self._frame_ms = self._data_ms = now_ms
        self._anything_heard = self._proven = False
        self._unreadable.clear()
        self._streams.opened()
        return [*self._ping(now_ms), *self._follow(now_ms)]

    def heard(self, frame: Heard, now_ms: int) -> list[Do]:
        """Take one frame of the connection that is open."""
        if self.phase is Phase.CLOSING:
            return []
        assert self.phase is not Phase.WAITING, "frames come over a connection"
        self._frame_ms = now_ms
        self._anything_heard = True
        # First what comes by the million.
        if isinstance(frame, BboHeard):
            self._data_ms = now_ms
            stream = self._quotes.get(frame.coin)
            if stream is not None:
                stream.heard_ms = now_ms
                stream.venue_ms = frame.venue_ms
            return [Deliver(frame, False)]
        if isinstance(frame, CandleHeard):
            self._data_ms = now_ms
            stream = self._candles.get((frame.interval.ms, frame.coin))
            if stream is not None:
                stream.heard_ms = now_ms
            return [Deliver(frame, False)]
        match frame:
            case TradesHeard() | BookHeard() | ContextHeard():
                self._data_ms = now_ms
                stream = self._streams.others.get((_KINDS[type(frame)], frame.coin))
                backlog = type(frame) is TradesHeard and stream is not None and stream.fresh
                return self._deliver(frame, stream, now_ms, backlog=backlog)
            case MidsHeard():
                self._data_ms = now_ms
                return self._deliver(frame, self._stream_of(frame), now_ms, backlog=False)
            case FillsHeard() | FundingsHeard() | LedgerHeard():
                return self._deliver(frame, self._stream_of(frame), now_ms, backlog=frame.is_snapshot)
            case OrderUpdatesHeard() | UserEventsHeard():
                return self._deliver(frame, self._stream_of(frame), now_ms, backlog=False)
            case Acked(method="subscribe", key=key):
                return self._started(key, now_ms)
            case Acked(method="unsubscribe", key=key):
                return self._ended(key, now_ms)
            case VenueError(text=text):
                return self._refused(text, now_ms)
            case Drifted():
                return self._unknown(frame, now_ms)
            case Posted():
                return [Deliver(frame, False)]
            case Pong() | Acked() | Ignored():
                return []

    def tick(self, now_ms: int) -> list[Do]:
        """Time has passed: ping, ask again, give the connection up."""
        if not self.is_open:
            return []
        rules = self._rules
        if now_ms - self._frame_ms >= rules.dead_after_ms:
            return self._close(f"nothing was heard for {(now_ms - self._frame_ms) / 1000:g} s")
        todo = self._ping(now_ms) if now_ms >= self._ping_ms else []
        late = self._streams.late(now_ms)
        for stream in late:
            if self._streams.is_exhausted(stream):
                told = self._blame.ignored(stream) if self._anything_heard else []
                self._clear_failures(told)
                return [*todo, *told, *self._close(f"no answer to the {_word_for(stream)} {stream.subscription.key}")]
            todo += self._streams.ask_again(stream, now_ms)
        if late:
            todo += self._resynced_account(even_partly=True)
        todo += self._streams.ask(now_ms)
        if not self._proven and self.phase is Phase.LIVE and now_ms - self._opened_ms >= rules.proven_after_ms:
            self._proven = True
            self._backoff.begin_anew()
        return todo

    def lost(self, now_ms: int, why: str, *, by_us: bool = False) -> list[Do]:
        """The connection is gone, or was not to be had. `by_us`: a frame that we refuse to take has ended it."""
        told: list[Tell] = []
        if by_us:
            told.append(Tell("frame_refused", why))
        elif self.phase is Phase.SUBSCRIBING and self._anything_heard:
            told += self._blame.dropped(now_ms, why)
            self._clear_failures(told)
        todo = [*_stopped(self._streams.lost(), now_ms - self._data_ms), *told]
        self.phase = Phase.WAITING
        return [*todo, *self._backoff.failed(now_ms, why)]

    def _ping(self, now_ms: int) -> list[Do]:
        self._ping_ms = now_ms + self._rules.ping_every_ms
        self._budget.note(now_ms)
        return [Send(PING)]

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def _started(self, key: str, now_ms: int) -> list[Do]:
        stream = self._streams.started(key)
        if stream is None:
            return []
        told: list[Do] = []
        if stream.stage is Stage.RUNNING and not stream.subscription.of_account:
            stream.announced = True
            told.append(Resynced((key,)))
        return [*told, *self._follow(now_ms)]

    def _ended(self, key: str, now_ms: int) -> list[Do]:
        return self._follow(now_ms) if self._streams.ended(key) else []

    def _refused(self, text: str, now_ms: int) -> list[Do]:
        """A text on the error channel; the socket lives on."""
        kind, key = read_error(text)
        if kind is ErrorKind.ALREADY_ON:
            return self._started(key, now_ms)
        if kind is ErrorKind.ALREADY_OFF:
            return self._ended(key, now_ms)
        stream = self._blame.meant(kind, key)
        if stream is None:
            return [Tell("venue_error", text)]
        if stream.stage is Stage.LEAVING:
            return self._ended(key, now_ms)  # what the venue does not know it does not send
        return [self._blame.refused(stream, text), *self._follow(now_ms)]

    def _settle(self) -> list[Do]:
        """Be live while every question that matters has its answer; say once the account's streams are complete."""
        self.phase = Phase.LIVE if self._streams.is_settled else Phase.SUBSCRIBING
        return self._resynced_account(even_partly=False)

    def _resynced_account(self, *, even_partly: bool) -> list[Do]:
        """The account's streams together: what they missed is asked for once."""
        group = self._streams.of_account
        if not even_partly and not all(s.stage in (Stage.RUNNING, Stage.GIVEN_UP) for s in group):
            return []
        new = [s for s in group if s.stage is Stage.RUNNING and not s.announced]
        for stream in new:
            stream.announced = True
        return [Resynced(tuple(s.subscription.key for s in new))] if new else []

    # ── data ─────────────────────────────────────────────────────────────────────────────────────

    def _stream_of(self, frame: Heard) -> Stream | None:
        return self._streams.others.get((_KINDS[type(frame)], ""))

    def _deliver(self, frame: Heard, stream: Stream | None, now_ms: int, *, backlog: bool) -> list[Do]:
        if stream is not None:
            stream.heard_ms = now_ms
            stream.fresh = False
        return [Deliver(frame, backlog)]

    def _unknown(self, frame: Drifted, now_ms: int) -> list[Do]:
        if not frame.channel:
            self._unreadable.append(now_ms)
            while self._unreadable[0] <= now_ms - _MINUTE_MS:
                self._unreadable.popleft()
            if len(self._unreadable) >= self._rules.unreadable_per_minute:
                return [Deliver(frame, False), *self._close("what arrives cannot be read")]
        return [Deliver(frame, False)]

    # ── giving up ────────────────────────────────────────────────────────────────────────────────

    def _close(self, why: str) -> list[Do]:
        self.phase = Phase.CLOSING
        return [Close(why)]

    def _clear_failures(self, given_up: Sequence[Tell]) -> None:
        """Who took the connection along will do so no more."""
        if given_up:
            self._backoff.begin_anew()


_KINDS: dict[type, str] = {
    TradesHeard: "trades",
    BookHeard: "l2Book",
    ContextHeard: "activeAssetCtx",
    MidsHeard: "allMids",
    OrderUpdatesHeard: "orderUpdates",
    FillsHeard: "userFills",
    FundingsHeard: "userFundings",
    LedgerHeard: "userNonFundingLedgerUpdates",
    UserEventsHeard: "userEvents",
}


def _word_for(stream: Stream) -> str:
    return "unsubscription" if stream.stage is Stage.LEAVING else "subscription"


def _stopped(keys: tuple[str, ...], silent_ms: int = 0) -> list[Do]:
    return [Stopped(keys, silent_ms)] if keys else []
