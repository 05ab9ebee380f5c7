"""When something that comes by itself comes next."""

from __future__ import annotations

from typing import Final

NEVER: Final = 2**62
"""A due time that does not come."""


class CadenceClock:
    """Strikes at multiples of its period in venue time, so that all coins share one clock; stands until started."""

    __slots__ = ("_every_ms", "due_ms")

    def __init__(self, every_ms: int) -> None:
        assert every_ms > 0, "a clock's period is positive"
        self._every_ms = every_ms
        self.due_ms = NEVER

    def start(self, now_ms: int) -> None:
        """Strike at the next multiple after `now_ms`, unless it runs already."""
        if self.due_ms == NEVER:
            self.due_ms = self._after(now_ms)

    def stop(self) -> None:
        self.due_ms = NEVER

    def strikes(self, now_ms: int) -> bool:
        """Whether it is time; strikes that were missed do not come back."""
        if now_ms < self.due_ms:
            return False
        self.due_ms = self._after(now_ms)
        return True

    def _after(self, now_ms: int) -> int:
        return now_ms - now_ms % self._every_ms + self._every_ms
