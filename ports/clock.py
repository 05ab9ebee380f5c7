"""Time, as the daemon's world has it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two questions: what time it is in the market's world, and how much real time has passed."""

    def now_ms(self) -> int:
        """UTC epoch milliseconds in the market's world: the system's time, or a simulated one.

        It only goes forward, also where the system's clock is set, and may be off the venue's time.
        """
        ...

    def monotonic_ms(self) -> int:
        """Real milliseconds since some start; never goes back."""
        ...

    async def sleep_until(self, at_ms: int) -> None:
        """Return once `now_ms()` has reached `at_ms`; at once where it has already."""
        ...
