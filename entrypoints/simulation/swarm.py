"""Which faults a seed has, and when: a random subset, for faults hide each other where all are always there."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from entrypoints.simulation.fault_kinds import KINDS, FaultKind

DAY_MS = 86_400_000
FIRST_MS = 360_000
"""Before that the daemon comes up in peace."""


@dataclass(frozen=True, slots=True)
class Armed:
    at_ms: int
    kind: FaultKind


def swarm(seed: int, storm_ms: int, only: Collection[str] | None = None, density: float = 1.0) -> list[Armed]:
    """What is armed when, in milliseconds from the start, in order. `only`: these kinds, and all of them.
    `density`: so many times as often."""
    chance = random.Random(f"{seed} swarm")
    armed: list[tuple[int, int, FaultKind]] = []
    for place, kind in enumerate(KINDS):
        chosen = chance.random() < kind.share if only is None else kind.name in only
        if not chosen:
            continue
        most = density * kind.most_a_day * storm_ms / DAY_MS
        count = int(most * chance.uniform(0.5, 1.5) + chance.random())
        for _ in range(max(1, count)):
            armed.append((chance.randrange(FIRST_MS, max(FIRST_MS + 1, storm_ms)), place, kind))
    return [Armed(at_ms, kind) for at_ms, _, kind in sorted(armed, key=lambda each: each[:2])]
