"""One WebSocket connection as a state machine: frames and moments in, things to do out. No I/O.

    WAITING ──opened──▶ SUBSCRIBING ──every stream answered──▶ LIVE
       ▲                    │                                    │
       └──lost── CLOSING ◀──┴── silent too long, no answer, unreadable

Liveness: a ping every 20 s, and a connection that has said nothing at all for 45 s is dead. One that was lost is
tried again after a growing, jittered time, which starts over only once a connection has proven itself: every
stream answered, and some time survived.

What the venue refuses in words (`Invalid subscription`, too many users) is told once and given up. What it refuses
by dropping the socket without a word (an unknown coin) is found by elimination: the oldest stream that had no
answer yet is the suspect; next time it is asked for last and alone, and the third time it takes the connection with
it, it is left out. A connection that died before it said anything accuses nobody.
"""

from __future__ import annotations

import enum
import json
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

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
    subscription_key,
)
from adapters.hyperliquid.session_steps import (
    Close,
    Deliver,
    Do,
    Reconnect,
    Resynced,
    Send,
    SessionRules,
    Tell,
)
from adapters.hyperliquid.subscriptions import MessageBudget, Subscription

PING = '{"method":"ping"}'
NEVER_MS = 1 << 62
_MINUTE_MS = 60_000


class Phase(enum.Enum):
    WAITING = "waiting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    CLOSING = "closing"


class _Answer(enum.Enum):
    NONE = enum.auto()
    YES = enum.auto()
    GIVEN_UP = enum.auto()


@dataclass(slots=True)
class _Stream:
    subscription: Subscription
    text: str
    answer: _Answer = _Answer.NONE
    announced: bool = False
    """`Resynced` was said on this connection."""
    fresh: bool = True
    """Nothing was heard since it was asked for on this connection."""
    sent_ms: int = 0
    tries: int = 0
    strikes: int = 0
    heard_ms: int = 0


class WsSession:
    """The conversation over one connection and its successors. Times never go backwards."""

    def __init__(
        self,
        wanted: Sequence[Subscription],
        rules: SessionRules,
        chance: random.Random,
        budget: MessageBudget | None = None,
    ) -> None:
        self._rules = rules
        self._chance = chance
        self._budget = budget or MessageBudget()
        self._streams = {each.key: _Stream(each, _subscribe_text(each)) for each in wanted}
        assert len(self._streams) == len(wanted), "a stream is wanted once"
        # A frame names its stream by kind and coin; intervals of one kind do not mix on one connection.
        self._places = {(s.subscription.kind, s.subscription.coin): s for s in self._streams.values()}
        self.phase = Phase.WAITING
        self.failures = 0
        """Attempts in a row that proved nothing."""
        self.connections = 0
        self._queue: deque[_Stream] = deque()
        self._unanswered: dict[str, _Stream] = {}
        self._opened_ms = self._frame_ms = self._ping_ms = 0
        self._anything_heard = False
        self._proven = False
        self._reconnect_ms = 0
        self._unreadable: deque[int] = deque()

    # ── what may be asked at any time ────────────────────────────────────────────────────────────

    @property
    def next_due_ms(self) -> int:
        """When `tick` (or, while waiting, a new connection) is due."""
        if self.phase is Phase.WAITING:
            return self._reconnect_ms
        if self.phase is Phase.CLOSING:
            return NEVER_MS
        due = min(self._ping_ms, self._frame_ms + self._rules.dead_after_ms)
        if self._unanswered:
            due = min(due, min(s.sent_ms for s in self._unanswered.values()) + self._rules.ack_timeout_ms)
        elif self.phase is Phase.LIVE and not self._proven:
            due = min(due, self._opened_ms + self._rules.proven_after_ms)
        if self._queue and self._may_ask():
            due = min(due, self._budget.free_ms(self._frame_ms))
        return due

    @property
    def given_up(self) -> tuple[str, ...]:
        """Streams that are not asked for any more, in the order in which they were wanted."""
        return tuple(key for key, stream in self._streams.items() if stream.answer is _Answer.GIVEN_UP)

    def silences(self, now_ms: int) -> dict[str, int]:
        """How long each running stream has been silent. Whether that is too long depends on the stream."""
        if self.phase not in (Phase.SUBSCRIBING, Phase.LIVE):
            return {}
        return {key: now_ms - s.heard_ms for key, s in self._streams.items() if s.answer is _Answer.YES}

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    def opened(self, now_ms: int) -> list[Do]:
        """A connection is there. A ping goes first: its answer tells a venue that listens from one that drops us."""
        assert self.phase is Phase.WAITING, "one connection at a time"
        self.phase = Phase.SUBSCRIBING
        self.connections += 1
        self._opened_ms = self._frame_ms = now_ms
        self._anything_heard = self._proven = False
        self._unanswered.clear()
        self._unreadable.clear()
        for stream in self._streams.values():
            stream.announced, stream.fresh, stream.tries = False, True, 0
            if stream.answer is _Answer.YES:
                stream.answer = _Answer.NONE
        wanted = [stream for stream in self._streams.values() if stream.answer is _Answer.NONE]
        wanted.sort(key=lambda stream: (stream.strikes > 0, not stream.subscription.of_account))
        self._queue = deque(wanted)
        return [*self._ping(now_ms), *self._ask(now_ms), *self._settle()]

    def heard(self, frame: Heard, now_ms: int) -> list[Do]:
        """Take one frame of the connection that is open."""
        if self.phase is Phase.CLOSING:
            return []
        assert self.phase is not Phase.WAITING, "frames come over a connection"
        self._frame_ms = now_ms
        self._anything_heard = True
        match frame:
            case BboHeard() | CandleHeard() | TradesHeard() | BookHeard() | ContextHeard():
                stream = self._places.get((_KINDS[type(frame)], frame.coin))
                backlog = type(frame) is TradesHeard and stream is not None and stream.fresh
                if stream is not None:
                    stream.heard_ms = now_ms
                    stream.fresh = False
                return [Deliver(frame, backlog)]  # as `_deliver`, which costs a call for each of very many frames
            case FillsHeard() | FundingsHeard() | LedgerHeard():
                stream = self._places.get((_KINDS[type(frame)], ""))
                return self._deliver(frame, stream, now_ms, backlog=frame.is_snapshot)
            case MidsHeard() | OrderUpdatesHeard() | UserEventsHeard():
                return self._deliver(frame, self._places.get((_KINDS[type(frame)], "")), now_ms, backlog=False)
            case Acked(method="subscribe", key=key):
                return self._answered(key, now_ms)
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
        if self.phase not in (Phase.SUBSCRIBING, Phase.LIVE):
            return []
        rules = self._rules
        if now_ms - self._frame_ms >= rules.dead_after_ms:
            return self._close(f"nothing was heard for {(now_ms - self._frame_ms) / 1000:g} s")
        todo = self._ping(now_ms) if now_ms >= self._ping_ms else []
        late = [s for s in self._unanswered.values() if now_ms - s.sent_ms >= rules.ack_timeout_ms]
        for stream in late:
            if stream.tries >= rules.ack_tries:
                return [*todo, *self._ignored(stream)]
            self._budget.note(now_ms)
            todo.append(self._sent(stream, now_ms))
        if late:
            todo += self._resynced(even_partly=True)
        todo += self._ask(now_ms)
        if not self._proven and self.phase is Phase.LIVE and now_ms - self._opened_ms >= rules.proven_after_ms:
            self._proven = True
            self.failures = 0
        return todo

    def lost(self, now_ms: int, why: str, *, by_us: bool = False) -> list[Do]:
        """The connection is gone, or was not to be had. `by_us`: a frame that we refuse to take has ended it."""
        todo: list[Do] = []
        if by_us:
            todo.append(Tell("frame_refused", why))
        elif self.phase is Phase.SUBSCRIBING and (suspect := self._suspect(now_ms)) is not None:
            todo += self._strike(
                suspect, "stream_quarantined", f"the venue dropped the connection each time it was asked for; {why}"
            )
        self.phase = Phase.WAITING
        self._unanswered.clear()
        self._queue.clear()
        rules = self._rules
        wait_ms = min(rules.backoff_max_ms, rules.backoff_first_ms << min(self.failures, 20))
        wait_ms = min(rules.backoff_max_ms, int(wait_ms * (1 + self._chance.random() / 2)))
        self.failures += 1
        if self.failures == rules.failures_told:
            todo.append(Tell("feed_not_connecting", f"{self.failures} attempts in a row failed: {why}"))
        self._reconnect_ms = now_ms + wait_ms
        return [*todo, Reconnect(self._reconnect_ms)]

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    def _ask(self, now_ms: int) -> list[Do]:
        todo: list[Do] = []
        while self._queue and self._may_ask() and self._budget.take(now_ms):
            stream = self._queue.popleft()
            todo.append(self._sent(stream, now_ms))
        return todo

    def _may_ask(self) -> bool:
        """A suspect waits until everybody else has an answer, and then nobody is asked beside it."""
        if any(stream.strikes for stream in self._unanswered.values()) or self._queue[0].strikes:
            return not self._unanswered
        return len(self._unanswered) < self._rules.unanswered_limit

    def _sent(self, stream: _Stream, now_ms: int) -> Do:
        stream.sent_ms = stream.heard_ms = now_ms
        stream.tries += 1
        self._unanswered[stream.subscription.key] = stream
        return Send(stream.text)

    def _ping(self, now_ms: int) -> list[Do]:
        self._ping_ms = now_ms + self._rules.ping_every_ms
        self._budget.note(now_ms)
        return [Send(PING)]

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def _answered(self, key: str, now_ms: int) -> list[Do]:
        stream = self._unanswered.pop(key, None)
        if stream is None:
            return []
        stream.answer = _Answer.YES
        stream.strikes = 0
        return [*self._ask(now_ms), *self._settle()]

    def _refused(self, text: str, now_ms: int) -> list[Do]:
        """A text on the error channel; the socket lives on."""
        key = _key_in(text)
        if text.startswith("Already subscribed"):
            return self._answered(key, now_ms) if key is not None else []
        if text.startswith(("Invalid subscription", "Error parsing JSON")):
            stream = self._unanswered.get(key) if key is not None else None
        elif text.startswith(("Cannot track more than", "Cannot subscribe to more than")):
            # It names no stream. Answers come in the order of the questions.
            of_users = "track" in text
            waiting = (s for s in self._unanswered.values() if s.subscription.of_account or not of_users)
            stream = next(waiting, None)
        else:
            stream = None
        if stream is None:
            return [Tell("venue_error", text)]
        told = self._give_up(stream, "stream_refused", f"the venue says: {text}")
        return [told, *self._ask(now_ms), *self._settle()]

    def _settle(self) -> list[Do]:
        """Say which streams are complete, and go live once every question has its answer."""
        todo = self._resynced(even_partly=False)
        if not self._unanswered and not self._queue and self.phase is Phase.SUBSCRIBING:
            self.phase = Phase.LIVE
        return todo

    def _resynced(self, *, even_partly: bool) -> list[Do]:
        """The account's streams together, then the market's; those that wait hold up their own kind only."""
        todo: list[Do] = []
        for of_account in (True, False):
            group = [s for s in self._streams.values() if s.subscription.of_account is of_account]
            if even_partly or all(s.answer is not _Answer.NONE for s in group):
                new = [s for s in group if s.answer is _Answer.YES and not s.announced]
                for stream in new:
                    stream.announced = True
                if new:
                    todo.append(Resynced(tuple(s.subscription.key for s in new)))
        return todo

    # ── data ─────────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, frame: Heard, stream: _Stream | None, now_ms: int, *, backlog: bool) -> list[Do]:
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

    def _suspect(self, now_ms: int) -> _Stream | None:
        """The stream whose request may have killed the connection, if the connection had worked before."""
        oldest = next(iter(self._unanswered.values()), None)
        if oldest is None or not self._anything_heard:
            return None
        return oldest if now_ms - oldest.sent_ms <= self._rules.suspect_window_ms else None

    def _ignored(self, stream: _Stream) -> list[Do]:
        """No answer to the last question either: a new connection, and in the end one without this stream."""
        key = stream.subscription.key
        told: list[Do] = []
        if self._anything_heard:
            told = self._strike(stream, "stream_refused", "the venue never answered its subscription")
        return [*told, *self._close(f"no answer to the subscription {key}")]

    def _strike(self, stream: _Stream, code: str, why: str) -> list[Do]:
        stream.strikes += 1
        if stream.strikes < self._rules.strikes_limit:
            return []
        self.failures = 0
        return [self._give_up(stream, code, why)]

    def _give_up(self, stream: _Stream, code: str, why: str) -> Tell:
        self._unanswered.pop(stream.subscription.key, None)
        stream.answer = _Answer.GIVEN_UP
        return Tell(code, f"{stream.subscription.key} is left out until the next start: {why}")


_KINDS: dict[type, str] = {
    BboHeard: "bbo",
    CandleHeard: "candle",
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


def _subscribe_text(subscription: Subscription) -> str:
    return json.dumps({"method": "subscribe", "subscription": subscription.request}, separators=(",", ":"))


def _key_in(text: str) -> str | None:
    """The key of the subscription that an error text quotes, alone or inside the frame that asked for it."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        quoted, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    if isinstance(quoted, dict) and isinstance(quoted.get("subscription"), dict):
        quoted = quoted["subscription"]
    return subscription_key(quoted) if isinstance(quoted, dict) else None
