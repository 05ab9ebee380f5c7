"""Recorder: what sways a decision, in the order in which it did, and what was decided.

What came of frames is told by its number, for the frames are on record; everything else is told in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from application.step import Step
from domain.event_text import effects_to_plain, event_name, event_to_plain, facts_to_plain
from domain.events import Event
from ports.session_log import Entry, NoRecord, SessionLog, Tag

_WITH_VALUES = frozenset((Tag.EVENT, Tag.STEP))


class Recorder:
    """Notes what the loop does. Everything here is called in the event loop; never waits, never raises."""

    def __init__(self, log: SessionLog) -> None:
        self.put = log.put
        self.records = not isinstance(log, NoRecord)
        self._births = 0
        self._waiting: dict[int, tuple[Event, int]] = {}
        """Events of frames that nobody has taken, by identity. The event is kept, so that no other takes its place."""

    def born(self, events: Sequence[Event]) -> None:
        """See `FeedLog`."""
        for event in events:
            self._waiting[id(event)] = (event, self._births)
            self._births += 1

    def taken(self, seq: int, at_ms: int, event: Event) -> None:
        """The engine is about to hear this event."""
        known = self._waiting.pop(id(event), None)
        self.put((Tag.EVENT, seq, at_ms, event) if known is None else (Tag.TAKEN, seq, at_ms, known[1]))

    def dropped(self, event: Event) -> None:
        """A newer event said it anew; the engine never hears this one."""
        known = self._waiting.pop(id(event), None)
        if known is not None:
            self.put((Tag.DROPPED, known[1]))

    def stepped(self, step: Step) -> None:
        """What came of the event that was taken last."""
        if step.facts or step.effects:
            self.put((Tag.STEP, step.seq, step.facts, step.effects))

    def ended(self, reason: str, seq: int, digest: str) -> None:
        """Nothing comes after this."""
        self.put((Tag.END, reason, seq, digest))


def entry_to_plain(entry: Entry) -> Sequence[Any]:
    """An entry with the values in it written out. Asked once, when it is written, away from the loop."""
    if entry[0] not in _WITH_VALUES:
        return entry
    match entry:
        case (Tag.EVENT, seq, at_ms, event):
            return (Tag.EVENT, seq, at_ms, event_name(event), event_to_plain(event))
        case (Tag.STEP, seq, facts, effects):
            return (Tag.STEP, seq, facts_to_plain(facts), effects_to_plain(effects))
        case _:
            return entry
