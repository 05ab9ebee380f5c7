"""What the way between daemon and venue is like: how long it takes, and what happens to what is on it.

Faults are armed one by one, and each strikes the next thing that it fits; `firings` counts them by kind.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field

NOT_SENT = "F02n request never leaves"
REQUEST_LOST = "F02 request lost on its way"
REPLY_LOST = "F01 reply lost on its way"
RESET = "F04 connection reset after the body"
LATE_ARRIVAL = "F03n request arrives long after its sender gave up"
SLOW_WAY = "F01s answer slower than patience"
CUT = "E05n network cut"
SLOW_FRAMES = "E10n frames held up"
NETWORK_FAULTS = (NOT_SENT, REQUEST_LOST, REPLY_LOST, RESET, LATE_ARRIVAL, SLOW_WAY, CUT, SLOW_FRAMES)


@dataclass(slots=True)
class Weather:
    chance: random.Random
    firings: Counter[str] = field(default_factory=Counter)
    cut_until_ms: int = 0
    slow_until_ms: int = 0
    _armed: dict[str, deque[int]] = field(default_factory=dict)

    def arm(self, kind: str, amount_ms: int = 0) -> None:
        self._armed.setdefault(kind, deque()).append(amount_ms)

    def strikes(self, kind: str) -> int | None:
        """Whether a fault of this kind is to strike now, and with what amount (ms). It is spent then."""
        waiting = self._armed.get(kind)
        if not waiting:
            return None
        self.firings[kind] += 1
        return waiting.popleft()

    def cut(self, now_ms: int, for_ms: int) -> None:
        self.firings[CUT] += 1
        self.cut_until_ms = max(self.cut_until_ms, now_ms + for_ms)

    def is_cut(self, now_ms: int) -> bool:
        return now_ms < self.cut_until_ms

    def way_ms(self) -> int:
        """One way of a request or an answer."""
        drawn = self.chance.random()
        return 12 + int(30 * drawn) + (int(900 * self.chance.random()) if drawn > 0.985 else 0)

    def clear(self) -> None:
        """The calm after the storm."""
        self._armed.clear()
        self.cut_until_ms = self.slow_until_ms = 0
