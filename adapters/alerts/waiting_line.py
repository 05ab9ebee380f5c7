"""What waits for one channel: bounded, critical messages first, tried again after pauses. No I/O and no clock.

Times are real monotonic milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.alerts.channel import AlertChannel, Message
from adapters.alerts.severities import Severity

WAITING = 100
"""Messages that wait for a channel at most."""
PAUSES_MS = (5_000, 30_000, 120_000)
"""After a message's first, second and third failure. After the fourth it is given up: the log has had it all along."""


@dataclass(slots=True)
class Waiting:
    message: Message
    put_ms: int
    failures: int = 0


class WaitingLine:
    def __init__(self, channel: AlertChannel, limit: int = WAITING) -> None:
        assert limit > 0, "a line has a place"
        self.channel = channel
        self.dropped = 0
        """Messages that had to go for newer ones and of which no message has told yet."""
        self._limit = limit
        self._waiting: list[Waiting] = []  # oldest first
        self._paused_until_ms = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message, now_ms: int) -> Message | None:
        """Take one more. Where there is no place, the oldest that is not critical goes, and is returned.

        A critical one waits for no pause: what the channel refused before it may have been the message's fault.
        """
        self._waiting.append(Waiting(message, now_ms))
        if message.severity is Severity.CRITICAL:
            self._paused_until_ms = 0
        return self._trimmed()

    def take(self, now_ms: int, *, in_pauses: bool = False) -> Waiting | None:
        """The next one to send, taken out: the oldest critical one, else the oldest."""
        if not self._waiting or (now_ms < self._paused_until_ms and not in_pauses):
            return None
        places = range(len(self._waiting))
        return self._waiting.pop(next((place for place in places if self._is_critical(place)), 0))

    def succeeded(self, told: int) -> None:
        """One went out, and said how many were dropped before it: `told`."""
        self._paused_until_ms = 0
        self.dropped -= told

    def failed(self, waiting: Waiting, now_ms: int) -> Message | None:
        """Put back what did not go out, behind a pause. Returns what will never go out for it: itself, or another."""
        waiting.failures += 1
        if waiting.failures > len(PAUSES_MS):
            self._paused_until_ms = 0
            return waiting.message
        self._paused_until_ms = now_ms + PAUSES_MS[waiting.failures - 1]
        self._waiting.insert(0, waiting)
        return self._trimmed()

    @property
    def due_ms(self) -> int | None:
        """When the next one may be taken; None: nothing waits."""
        return self._paused_until_ms if self._waiting else None

    def _trimmed(self) -> Message | None:
        if len(self._waiting) <= self._limit:
            return None
        places = range(len(self._waiting))
        self.dropped += 1
        return self._waiting.pop(next((place for place in places if not self._is_critical(place)), 0)).message

    def _is_critical(self, place: int) -> bool:
        return self._waiting[place].message.severity is Severity.CRITICAL
