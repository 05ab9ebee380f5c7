"""The streams of one connection: which are wanted, what was asked about each, and what the venue answered. No I/O.

    IDLE ──▶ QUEUED ──asked──▶ ASKED ──yes──▶ RUNNING ──dropped, renewed──▶ ENDING ──asked──▶ LEAVING
               ▲                 └──refused──▶ GIVEN_UP                                          │
               └──────────────────────────── answered, if it is still wanted ────────────────────┘

About one stream one question is open at a time, and what follows an answer is judged by what is wanted by then: the
late answer to an unsubscription must not be taken for one about the subscription after it. Ends are asked for before
starts, so that room is there first.
"""

from __future__ import annotations

import enum
import json
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adapters.hyperliquid.session_steps import Send, SessionRules
from adapters.hyperliquid.subscriptions import MessageBudget, StreamRoom, Subscription

NEVER_MS = 1 << 62


class Stage(enum.Enum):
    IDLE = "not asked for"
    QUEUED = "to be asked for"
    ASKED = "asked for"
    RUNNING = "running"
    ENDING = "to be ended"
    LEAVING = "its end is asked for"
    GIVEN_UP = "given up"


@dataclass(slots=True, eq=False)
class Stream:
    subscription: Subscription
    stage: Stage = Stage.IDLE
    wanted: bool = True
    announced: bool = False
    """`Resynced` was said on this connection, and `Stopped` was not."""
    fresh: bool = True
    """No trades were heard since it was asked for on this connection."""
    sent_ms: int = 0
    tries: int = 0
    strikes: int = 0
    heard_ms: int = 0
    venue_ms: int = -1
    """The venue's stamp on its newest quote."""

    @property
    def has_room(self) -> bool:
        """It counts as one of the venue's streams."""
        return self.stage in (Stage.ASKED, Stage.RUNNING, Stage.ENDING, Stage.LEAVING)


class StreamTable:
    """What one connection carries and is to carry. `quotes`, `candles` and `others` find a stream by what it sends."""

    def __init__(
        self, wanted: Sequence[Subscription], rules: SessionRules, budget: MessageBudget, room: StreamRoom
    ) -> None:
        self._rules = rules
        self._budget = budget
        self._room = room
        self._streams: dict[str, Stream] = {}
        self.quotes: dict[str, Stream] = {}
        self.candles: dict[tuple[int, str], Stream] = {}
        """By the interval's length and the coin: hashing an `Interval` costs a call for each of very many frames."""
        self.others: dict[tuple[str, str], Stream] = {}
        self.unanswered: dict[str, Stream] = {}
        """Asked about something, in the order of the first time."""
        self._starts: deque[Stream] = deque()
        self._ends: deque[Stream] = deque()
        self._looked_ms = 0
        self._left_venue_ms = -1
        for each in wanted:
            assert each.key not in self._streams, "a stream is wanted once"
            self._add(each)

    # ── what may be asked at any time ────────────────────────────────────────────────────────────

    def __contains__(self, key: str) -> bool:
        """Whether this stream is, or was until a moment ago, or will not be again: one that we have to remember."""
        return key in self._streams

    def __getitem__(self, key: str) -> Stream:
        return self._streams[key]

    @property
    def wanted(self) -> int:
        return sum(stream.wanted for stream in self._streams.values())

    @property
    def is_settled(self) -> bool:
        """Everything that is wanted runs or was given up."""
        return all(s.stage in (Stage.RUNNING, Stage.GIVEN_UP) for s in self._streams.values() if s.wanted)

    @property
    def given_up(self) -> tuple[str, ...]:
        return tuple(key for key, stream in self._streams.items() if stream.stage is Stage.GIVEN_UP)

    @property
    def of_account(self) -> list[Stream]:
        return [stream for stream in self._streams.values() if stream.subscription.of_account]

    @property
    def running(self) -> dict[str, Stream]:
        """Acknowledged and wanted on."""
        return {key: s for key, s in self._streams.items() if s.stage is Stage.RUNNING}

    def newest_venue_ms(self, believed_ms: int) -> int:
        """The newest stamp of a quote that is not later than `believed_ms`; -1 before any."""
        stamps = [self._left_venue_ms, *(stream.venue_ms for stream in self.quotes.values())]
        return max((stamp for stamp in stamps if stamp <= believed_ms), default=-1)

    def due_ms(self, now_ms: int) -> int:
        """When `ask` or `late` has something to do."""
        due, free_ms = NEVER_MS, self._budget.free_ms(now_ms)
        for stream in self.unanswered.values():
            late_ms = stream.sent_ms + self._rules.ack_timeout_ms
            due = min(due, late_ms if self.is_exhausted(stream) else max(late_ms, free_ms))
        following = self._next()
        if following is not None:
            waits = following.stage is Stage.QUEUED and self._room.is_full
            due = min(due, max(free_ms, self._looked_ms + self._rules.room_retry_ms) if waits else free_ms)
        return due

    # ── what is wanted ───────────────────────────────────────────────────────────────────────────

    def want(self, subscriptions: Sequence[Subscription], *, is_open: bool) -> None:
        """Want these too. One that is being ended is asked for again after that; one given up stays given up."""
        for each in subscriptions:
            stream = self._streams.get(each.key) or self._add(each)
            stream.wanted = True
            if is_open and stream.stage is Stage.IDLE:
                self._queue(stream)

    def drop(self, keys: Collection[str]) -> tuple[str, ...]:
        """Want these no longer. Returns those that ran."""
        stopped: list[str] = []
        for key in keys:
            stream = self._streams.get(key)
            if stream is None:
                continue
            stream.wanted = False
            match stream.stage:
                case Stage.QUEUED:
                    self._starts.remove(stream)
                    stream.stage = Stage.IDLE
                    self._forget(stream)
                case Stage.IDLE:
                    self._forget(stream)
                case Stage.RUNNING:
                    stopped += self._end(stream)
                case Stage.ASKED | Stage.ENDING | Stage.LEAVING | Stage.GIVEN_UP:
                    pass  # the answer decides, or there is nothing to decide
        return tuple(stopped)

    def renew(self, keys: Collection[str]) -> tuple[str, ...]:
        """Ask anew for those of these that run: end them, then begin again. Returns them."""
        streams = [self._streams[key] for key in keys if key in self._streams]
        return tuple(key for stream in streams if stream.stage is Stage.RUNNING for key in self._end(stream))

    # ── a connection comes and goes ──────────────────────────────────────────────────────────────

    def opened(self) -> None:
        """Queue everything that is wanted: the account first, suspects last."""
        for stream in self._streams.values():
            stream.fresh = True
        waiting = [stream for stream in self._streams.values() if stream.wanted and stream.stage is Stage.IDLE]
        for stream in sorted(waiting, key=lambda each: (each.strikes > 0, not each.subscription.of_account)):
            self._queue(stream)

    def lost(self) -> tuple[str, ...]:
        """Nothing runs any more. Returns what was announced."""
        announced = tuple(key for key, stream in self._streams.items() if stream.announced)
        for stream in list(self._streams.values()):
            if stream.has_room:
                self._room.leave()
            stream.announced = False
            if stream.stage is not Stage.GIVEN_UP:
                stream.stage = Stage.IDLE
            if not stream.wanted:
                self._forget(stream)
        self.unanswered.clear()
        self._starts.clear()
        self._ends.clear()
        return announced

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    def ask(self, now_ms: int) -> list[Send]:
        """Ask as much as pace, room and budget allow."""
        self._looked_ms = now_ms
        questions = []
        while (stream := self._next()) is not None:
            starts = stream.stage is Stage.QUEUED
            if (starts and self._room.is_full) or not self._budget.take(now_ms):
                break
            if starts:
                self._starts.popleft()
                self._room.take()
            else:
                self._ends.popleft()
            stream.stage = Stage.ASKED if starts else Stage.LEAVING
            stream.tries = 0
            questions.append(self._sent(stream, now_ms))
        return questions

    def late(self, now_ms: int) -> list[Stream]:
        """Streams that have waited too long for an answer."""
        return [s for s in self.unanswered.values() if now_ms - s.sent_ms >= self._rules.ack_timeout_ms]

    def is_exhausted(self, stream: Stream) -> bool:
        """It was asked often enough on this connection. One that is not wanted any more is to be ended instead."""
        return stream.tries >= self._rules.ack_tries and not self._is_passing(stream)

    def ask_again(self, stream: Stream, now_ms: int) -> list[Send]:
        """Repeat the open question, or put the one that follows from it by now; nothing where there is no budget."""
        if not self._budget.take(now_ms):
            return []
        if self._is_passing(stream):
            stream.stage = Stage.LEAVING
            stream.tries = 0
        return [self._sent(stream, now_ms)]

    def _next(self) -> Stream | None:
        """What is asked next, None while answers have to come first.

        A suspect waits until everybody else has an answer, and then nobody is asked beside it.
        """
        following = self._ends[0] if self._ends else self._starts[0] if self._starts else None
        if following is None or len(self.unanswered) >= self._rules.unanswered_limit:
            return None
        suspicious = following.strikes or any(stream.strikes for stream in self.unanswered.values())
        return None if suspicious and self.unanswered else following

    def _sent(self, stream: Stream, now_ms: int) -> Send:
        stream.sent_ms = now_ms
        stream.tries += 1
        self.unanswered[stream.subscription.key] = stream
        return Send(_question("unsubscribe" if stream.stage is Stage.LEAVING else "subscribe", stream.subscription))

    @staticmethod
    def _is_passing(stream: Stream) -> bool:
        return stream.stage is Stage.ASKED and not stream.wanted

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def started(self, key: str) -> Stream | None:
        """The venue says that this stream runs; None where that answers no question of ours."""
        stream = self.unanswered.get(key)
        if stream is None or stream.stage is not Stage.ASKED:
            return None
        del self.unanswered[key]
        stream.stage = Stage.RUNNING
        stream.strikes = 0
        if not stream.wanted:
            self._end(stream)
        return stream

    def ended(self, key: str) -> bool:
        """The venue says that this stream runs no longer; False where that answers no question of ours."""
        stream = self.unanswered.get(key)
        if stream is None or stream.stage is not Stage.LEAVING:
            return False
        del self.unanswered[key]
        self._room.leave()
        stream.stage = Stage.IDLE
        if stream.wanted:
            self._queue(stream)
        else:
            self._forget(stream)
        return True

    def give_up(self, stream: Stream) -> None:
        """Never ask for it again."""
        self.unanswered.pop(stream.subscription.key, None)
        if stream.has_room:
            self._room.leave()
        stream.stage = Stage.GIVEN_UP

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _add(self, subscription: Subscription) -> Stream:
        stream = self._streams[subscription.key] = Stream(subscription)
        if subscription.kind == "bbo":
            self.quotes[subscription.coin] = stream
        elif subscription.interval is not None:
            self.candles[subscription.interval.ms, subscription.coin] = stream
        else:
            self.others[subscription.kind, subscription.coin] = stream
        return stream

    def _forget(self, stream: Stream) -> None:
        """Drop what nobody wants, but not what is held against it: it may be wanted again."""
        if stream.strikes or stream.stage is Stage.GIVEN_UP:
            return
        subscription = stream.subscription
        del self._streams[subscription.key]
        if subscription.kind == "bbo":
            del self.quotes[subscription.coin]
            self._left_venue_ms = max(self._left_venue_ms, stream.venue_ms)
        elif subscription.interval is not None:
            del self.candles[subscription.interval.ms, subscription.coin]
        else:
            del self.others[subscription.kind, subscription.coin]

    def _queue(self, stream: Stream) -> None:
        stream.stage = Stage.QUEUED
        stream.fresh = True
        first_suspect = next((place for place, each in enumerate(self._starts) if each.strikes), len(self._starts))
        self._starts.insert(len(self._starts) if stream.strikes else first_suspect, stream)

    def _end(self, stream: Stream) -> list[str]:
        """Queue the end of a running stream. Returns its key if it was announced."""
        stream.stage = Stage.ENDING
        self._ends.append(stream)
        was_announced, stream.announced = stream.announced, False
        return [stream.subscription.key] if was_announced else []


def _question(method: str, subscription: Subscription) -> str:
    return json.dumps({"method": method, "subscription": subscription.request}, separators=(",", ":"))
