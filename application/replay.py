"""Replay: a recorded session once more through the engine, step by step beside what was recorded.

    entries ──▶ what a feed did ──▶ frames ──▶ the events that came of them, by number ─┐
           └──▶ what the engine took, in its order: such an event, or one told in full ─┴─▶ engine ──▶ step ══ recorded?

Nothing is decided here: the order in which things happened is the record's. Floats may differ in their last digits
between machines and are compared as such; everything else is compared exactly.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from application.digest import RunDigest
from application.engine import UnifiedEngine
from application.step import Step
from domain.event_text import effects_to_plain, event_from_plain, event_name, facts_to_plain
from domain.events import Event, Recovered
from domain.fact_text import chained, fact_to_json
from domain.facts import CandlesSkipped, DecisionsRecorded, FillRecorded, IntentRecorded, LedgerFact, TradeClosed
from domain.value_text import ValueTextError
from ports.session_errors import SessionDamaged
from ports.session_log import Entry, Tag

EVENTS_SHOWN = 12
"""Events before a difference that are kept to be shown with it."""

FLOAT_TOLERANCE = 1e-9

OF_A_FEED = frozenset((Tag.FRAME, Tag.HELD, Tag.DELIVER, Tag.BACKLOG, Tag.FEED))
"""Entries that a feed made, to be done again."""


class Frames(Protocol):
    """Does again what a feed did; what comes of it goes to the `Births` it was made with."""

    def redo(self, entry: Sequence[Any]) -> None:
        """Raises `ValueError` for what no feed does."""
        ...


class Births:
    """A `FeedLog` that keeps the events that come of frames, by their numbers, until they are taken."""

    def __init__(self) -> None:
        self._next = 0
        self._waiting: dict[int, Event] = {}

    def put(self, entry: Entry) -> None:
        pass

    def born(self, events: Sequence[Event]) -> None:
        for event in events:
            self._waiting[self._next] = event
            self._next += 1

    def take(self, number: int) -> Event:
        """Raises `ValueError` where there is no such event: the frames are others than they were."""
        event = self._waiting.pop(number, None)
        if event is None:
            raise ValueError(f"no event number {number} came of the recorded frames: they are others than they were")
        return event


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as the engine took it, in short."""

    seq: int
    at_ms: int
    kind: str


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is otherwise than recorded. `recorded` and `replayed` are plain JSON values.

    `seq` is the event's that was taken, `before` the events up to it, oldest first.
    """

    seq: int
    at_ms: int
    what: str
    recorded: Any
    replayed: Any
    before: tuple[Heard, ...]


@dataclass(slots=True)
class Replayed:
    """What a replay came to. `digest` is over verdicts, intents, fills and funding; `ledger_digest` over all facts.

    `ended`: the session came to a proper end. `unrecorded`: what came of its last event is not on record.
    """

    events: int = 0
    steps: int = 0
    decisions: int = 0
    intents: int = 0
    fills: int = 0
    trades: int = 0
    frames: int = 0
    first_ms: int = 0
    last_ms: int = 0
    last_seq: int = 0
    digest: str = ""
    ledger_digest: str = ""
    differing_steps: int = 0
    difference: Difference | None = None
    ended: bool = False
    unrecorded: bool = False
    reached_until: bool = False


@dataclass(slots=True)
class Stop:
    """Where to stop: after this seq, or before the first event that is later than this time."""

    seq: int | None = None
    at_ms: int | None = None

    def reached(self, seq: int, at_ms: int) -> bool:
        return (self.seq is not None and seq > self.seq) or (self.at_ms is not None and at_ms > self.at_ms)


@dataclass(slots=True)
class Replay:
    """One session. `on_step` hears of every step, `on_event` of every moment before its event is taken."""

    engine: UnifiedEngine
    frames: Frames
    births: Births
    on_step: Callable[[Step], None] = lambda _: None
    on_event: Callable[[int], None] = lambda _: None
    stops_at_difference: bool = False
    until: Stop = field(default_factory=Stop)
    result: Replayed = field(default_factory=Replayed)
    _run: RunDigest = field(default_factory=RunDigest)
    _head: bytes | None = None
    _recent: deque[Heard] = field(default_factory=lambda: deque(maxlen=EVENTS_SHOWN))
    _step: Step | None = None
    """The last step, as long as nothing was said of it in the record."""

    def run(self, entries: Iterable[Entry]) -> Replayed:
        """Replay to the end, or to the first difference. Raises `SessionDamaged` where a record contradicts itself."""
        result, redo = self.result, self.frames.redo
        for entry in entries:
            tag = entry[0]
            if tag in OF_A_FEED:
                try:
                    redo(entry)
                except (ValueError, KeyError, TypeError) as error:
                    raise self._contradiction(str(error)) from error
                if tag != Tag.FEED:
                    result.frames += tag == Tag.FRAME or tag == Tag.HELD
            elif tag == Tag.TAKEN or tag == Tag.EVENT:
                self._settle()
                if result.difference is not None and self.stops_at_difference:
                    break
                if self.until.reached(entry[1], entry[2]):
                    result.reached_until = True
                    break
                self._take(entry)
            elif tag == Tag.STEP:
                self._compare(entry)
            elif tag == Tag.DROPPED:
                self._born(entry[1])
            elif tag == Tag.END:
                self._settle()
                self._end(entry)
        if self._step is not None and (self._step.facts or self._step.effects):
            if result.reached_until:
                self._settle()
            else:
                result.unrecorded = True
        result.digest = self._run.hexdigest()
        result.ledger_digest = "" if self._head is None else self._head.hex()
        return result

    # ── what happened ────────────────────────────────────────────────────────────────────────────

    def _born(self, number: int) -> Event:
        try:
            return self.births.take(number)
        except ValueError as error:
            raise self._contradiction(str(error)) from error

    def _take(self, entry: Entry) -> None:
        result = self.result
        if entry[0] == Tag.TAKEN:
            _, seq, at_ms, number = entry
            event = self._born(number)
        else:
            _, seq, at_ms, kind, value = entry
            try:
                event = event_from_plain(kind, value)
            except ValueTextError as error:
                raise self._contradiction(f"event {seq} cannot be read: {error}") from error
        if result.last_seq and seq != result.last_seq + 1:
            raise self._contradiction(f"event {seq} follows on {result.last_seq}")
        self._recent.append(Heard(seq, at_ms, event_name(event)))
        self.on_event(at_ms)
        if isinstance(event, Recovered):
            self._head = bytes.fromhex(event.digest)
        self._step = self.engine.handle(seq, at_ms, event)
        result.first_ms = result.first_ms or at_ms
        result.last_ms, result.last_seq = at_ms, seq
        result.events += 1
        self._count(self._step)

    def _count(self, step: Step) -> None:
        result = self.result
        result.steps += bool(step.facts or step.effects)
        for fact in step.facts:
            self._run.add(fact)
            match fact:
                case DecisionsRecorded():
                    result.decisions += len(fact.symbols)
                case CandlesSkipped():
                    pass
                case _:
                    result.intents += isinstance(fact, IntentRecorded)
                    result.fills += isinstance(fact, FillRecorded)
                    result.trades += isinstance(fact, TradeClosed)
                    self._chain(fact)
        self.on_step(step)

    def _chain(self, fact: LedgerFact) -> None:
        assert self._head is not None, "a session begins with what was recovered"
        self._head = chained(self._head, fact_to_json(fact))

    # ── what was recorded of it ──────────────────────────────────────────────────────────────────

    def _compare(self, entry: Entry) -> None:
        _, seq, facts, effects = entry
        step, self._step = self._step, None
        if step is None or step.seq != seq:
            raise self._contradiction(f"it says what came of event {seq}, which was not taken before it")
        ours_facts, ours_effects = facts_to_plain(step.facts), effects_to_plain(step.effects)
        if not same(facts, ours_facts):
            self._differs(step, "facts", facts, ours_facts)
        elif not same(effects, ours_effects):
            self._differs(step, "effects", effects, ours_effects)

    def _settle(self) -> None:
        """The record goes on: of the last step nothing was recorded, so nothing came of it."""
        step, self._step = self._step, None
        if step is not None and (step.facts or step.effects):
            ours = [*facts_to_plain(step.facts), *effects_to_plain(step.effects)]
            self._differs(step, "what came of an event", [], ours)

    def _end(self, entry: Entry) -> None:
        _, _, seq, digest = entry
        result = self.result
        result.ended = True
        ours = "" if self._head is None else self._head.hex()
        if digest != ours and result.difference is None:
            what = "the ledger's digest"
            result.difference = Difference(seq, result.last_ms, what, digest, ours, tuple(self._recent))

    def _differs(self, step: Step, what: str, recorded: Any, replayed: Any) -> None:
        self.result.differing_steps += 1
        if self.result.difference is None:
            before = tuple(self._recent)
            self.result.difference = Difference(step.seq, step.at_ms, what, recorded, replayed, before)

    def _contradiction(self, what: str) -> SessionDamaged:
        advice = "./aiq sessions verify looks at every record"
        return SessionDamaged("the session", what, seq=self.result.last_seq or None, advice=advice)


def same(left: Any, right: Any) -> bool:
    """Equal, but for the last digits of floats."""
    if left == right:
        return True
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=FLOAT_TOLERANCE, abs_tol=FLOAT_TOLERANCE)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return False
