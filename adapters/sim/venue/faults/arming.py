"""A fault rule at work: what it has seen, how often it fired, its own chance, and when the clock wants it."""

from __future__ import annotations

import random

import msgspec

from adapters.sim.venue.faults.kinds import LieOnResubscribe, NoPongs, StaleStream
from adapters.sim.venue.faults.rules import FaultRule, Match, hooks, rule_to_json


class ArmedRule:
    """Counts what matches and says which of them it fires at.

    Its chance is its own, made of the switchboard's seed and its id: other rules coming and going change nothing.
    """

    def __init__(self, rule_id: int, rule: FaultRule, seed: int, start_ms: int, now_ms: int) -> None:
        self.id = rule_id
        self.rule = rule
        self.hooks = hooks(rule)
        self.match = _effective(rule)
        self.seen = 0
        self.fired = 0
        self._chance = random.Random(f"{seed}:{rule_id}")
        when = rule.when
        self.from_ms = start_ms + when.at_ms if when.at_ms is not None else start_ms
        self.until_ms = start_ms + when.until_ms if when.until_ms is not None else None
        self.next_ms: int | None = None
        """When the clock wants it next; None where the clock has no say (any more)."""
        if rule.by_clock:
            self._wait_for(max(self.from_ms, now_ms))

    def is_over(self, now_ms: int) -> bool:
        """It cannot fire again. By the clock it fires late rather than never."""
        return self.next_ms is None if self.rule.by_clock else self._has_ended(now_ms)

    def fires(self, now_ms: int) -> bool:
        """One more event matches: does the rule fire at it?"""
        if now_ms < self.from_ms or self._has_ended(now_ms):
            return False
        self.seen += 1
        when = self.rule.when
        first = when.nth or when.every or 1
        if self.seen < first or (self.seen - first) % (when.every or 1):
            return False
        return self._strikes()

    def strikes_by_clock(self) -> bool:
        """Its time has come: does it fire? Sets its next time."""
        assert self.next_ms is not None, "the clock has no say in this rule"
        self.seen += 1
        struck = self._strikes()
        every_ms = self.rule.when.every_ms
        self._wait_for(None if every_ms is None else self.next_ms + every_ms)
        return struck

    def _wait_for(self, next_ms: int | None) -> None:
        self.next_ms = None if next_ms is None or self._has_ended(next_ms) else next_ms

    def draw(self, most: int) -> int:
        """A whole number from 0 to `most`."""
        return self._chance.randint(0, most) if most else 0

    def told(self, now_ms: int) -> dict[str, object]:
        state = {"id": self.id, "seen": self.seen, "fired": self.fired, "over": self.is_over(now_ms)}
        return state | rule_to_json(self.rule)

    def _has_ended(self, now_ms: int) -> bool:
        limit = self.rule.limit
        spent = limit is not None and self.fired >= limit
        return spent or (self.until_ms is not None and now_ms >= self.until_ms)

    def _strikes(self) -> bool:
        probability = self.rule.when.probability
        if probability is not None and self._chance.random() >= probability:
            return False
        self.fired += 1
        return True


def _effective(rule: FaultRule) -> Match:
    """What to match, with what the fault itself implies."""
    match rule.fault:
        case LieOnResubscribe(data="nothing"):
            return msgspec.structs.replace(rule.match, phase="ack")
        case LieOnResubscribe(data="old"):
            return msgspec.structs.replace(rule.match, phase="first")
        case NoPongs():
            return msgspec.structs.replace(rule.match, channel="pong")
        case StaleStream() if rule.match.phase is None:
            return msgspec.structs.replace(rule.match, phase="data")
    return rule.match
