"""What a broken invariant leaves behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Violation:
    """`newest` are the last things that happened before it."""

    invariant: str
    text: str
    at_ms: int
    newest: tuple[str, ...] = ()


@dataclass(slots=True)
class Court:
    """Collects violations: the first of each invariant, for the others follow from it as a rule."""

    now_ms: Callable[[], int]
    violations: list[Violation] = field(default_factory=list)
    count: int = 0
    _newest: deque[tuple[int, str, object]] = field(default_factory=lambda: deque(maxlen=25))

    def note(self, what: str, thing: object) -> None:
        """Remember something that happened; it is put into words only if somebody is blamed."""
        self._newest.append((self.now_ms(), what, thing))

    def blame(self, invariant: str, text: str) -> None:
        self.count += 1
        if all(each.invariant != invariant for each in self.violations):
            self.violations.append(Violation(invariant, text, self.now_ms(), self._told()))

    def _told(self) -> tuple[str, ...]:
        return tuple(f"{at_ms} {what} {thing!r}"[:400] for at_ms, what, thing in self._newest)

    def require(self, holds: bool, invariant: str, text: str) -> None:
        if not holds:
            self.blame(invariant, text)
