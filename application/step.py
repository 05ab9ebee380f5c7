"""What one step of the engine produced, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.effects import Effect
from domain.facts import Fact


@dataclass(slots=True)
class Step:
    """The facts and effects of one event. Effects leave only after the facts are durable."""

    seq: int
    at_ms: int
    facts: list[Fact] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
