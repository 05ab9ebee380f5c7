"""Which alerts go out, and when what was held back is told. No I/O and no clock: times are arguments.

A window opens with the first alert of a (code, subject) and takes in all others of it. When it ends, those are told in
one summary, which opens the next window: so a steady stream costs one message a window. Over all of them at most so
many messages go out an hour; what that limit holds back waits for a summary too, and is told once there is room again.
Nothing is lost without a count. The limit counts critical messages and never stops one.

Times are real monotonic milliseconds, and may not go back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from adapters.alerts.channel import Message
from adapters.alerts.severities import Severity, severity_of

HOUR_MS = 3_600_000
WINDOWS = 500
"""Open windows at most; beyond them all subjects of a code share one."""
SUMMARY_LINES = 10
"""Windows that one summary names; the others are only counted."""
LINE_CHARS = 160

_ANY_SUBJECT = "…"


@dataclass(frozen=True, slots=True)
class AlertLimits:
    """`window_ms`: one (code, subject) goes out once in it. `per_hour`: messages in any hour, over all of them."""

    window_ms: int = 900_000
    per_hour: int = 30

    def __post_init__(self) -> None:
        assert self.window_ms > 0 and self.per_hour > 0, "limits let something through"


@dataclass(slots=True)
class _Window:
    ends_ms: int
    is_told: bool
    """Whether its first alert went out, or was held back like the others."""
    held: int = 0
    last: str = ""


_Key = tuple[str, str]


class Throttle:
    def __init__(self, limits: AlertLimits) -> None:
        self._limits = limits
        self._windows: dict[_Key, _Window] = {}  # all are equally long: their order is that of their ends
        self._sent_ms: deque[int] = deque()

    def offer(self, code: str, text: str, now_ms: int) -> Message | None:
        """The message that this alert is to be, or None: then it is counted for the next summary."""
        self._drop_quiet(now_ms)
        key = self._key(code, text)
        window = self._windows.get(key)
        if window is not None and (window.held or now_ms < window.ends_ms):
            window.held += 1
            window.last = text
            return None
        goes = severity_of(code) is Severity.CRITICAL or self._has_room(now_ms)
        self._open(key, now_ms, is_told=goes)
        if not goes:
            self._windows[key].held, self._windows[key].last = 1, text
            return None
        self._sent_ms.append(now_ms)
        return Message(severity_of(code), code, text)

    def summary(self, now_ms: int) -> Message | None:
        """One message about all that was held back in windows that have ended, as far as the hour has room for it."""
        self._drop_quiet(now_ms)
        has_room = self._has_room(now_ms)
        told: dict[_Key, _Window] = {}
        for key, window in self._windows.items():
            if window.ends_ms > now_ms:
                break
            if window.held and (has_room or severity_of(key[0]) is Severity.CRITICAL):
                told[key] = window
        if not told:
            return None
        for key in told:
            self._open(key, now_ms, is_told=True)
        self._sent_ms.append(now_ms)
        return self._summed_up(told)

    def rest(self) -> Message | None:
        """At the end: one message about everything that is still held back, whatever the limits say."""
        held = {key: window for key, window in self._windows.items() if window.held}
        self._windows.clear()
        return self._summed_up(held) if held else None

    @property
    def due_ms(self) -> int | None:
        """When `summary` will have something to say; None: nothing is held back."""
        over = len(self._sent_ms) - self._limits.per_hour
        room_ms = self._sent_ms[over] + HOUR_MS if over >= 0 else 0
        return min(
            (
                window.ends_ms if severity_of(code) is Severity.CRITICAL else max(window.ends_ms, room_ms)
                for (code, _), window in self._windows.items()
                if window.held
            ),
            default=None,
        )

    def _key(self, code: str, text: str) -> _Key:
        key = (code, subject_of(text))
        return key if key in self._windows or len(self._windows) < WINDOWS else (code, _ANY_SUBJECT)

    def _open(self, key: _Key, now_ms: int, *, is_told: bool) -> None:
        self._windows.pop(key, None)
        self._windows[key] = _Window(now_ms + self._limits.window_ms, is_told)

    def _drop_quiet(self, now_ms: int) -> None:
        """Forget windows that ended with nothing held back, from the oldest on."""
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.held or window.ends_ms > now_ms:
                return
            del self._windows[key]

    def _has_room(self, now_ms: int) -> bool:
        while self._sent_ms and self._sent_ms[0] <= now_ms - HOUR_MS:
            self._sent_ms.popleft()
        return len(self._sent_ms) < self._limits.per_hour

    def _summed_up(self, windows: dict[_Key, _Window]) -> Message:
        severity = max(severity_of(code) for code, _ in windows)
        if len(windows) == 1:
            [((code, _), window)] = windows.items()
            return Message(severity, code, self._line(window, window.last))
        named = sorted(windows.items(), key=lambda item: -severity_of(item[0][0]))  # stable: oldest first in each
        lines = [
            f"{code}: {self._line(window, shortened(window.last, LINE_CHARS))}"
            for (code, _), window in named[:SUMMARY_LINES]
        ]
        if others := named[SUMMARY_LINES:]:
            lines.append(f"… and {sum(window.held for _, window in others)} more, of {len(others)} other kinds")
        return Message(severity, "held_back", "\n".join(lines))

    def _line(self, window: _Window, last: str) -> str:
        if window.is_told:
            return f"… and {window.held} more of these; the last: {last}"
        return f"{window.held} held back by the limit of {self._limits.per_hour} an hour; the last: {last}"


def subject_of(text: str) -> str:
    """What an alert is about: the first word of its text, which is a symbol's name wherever there is one."""
    words = text.split(maxsplit=1)
    return words[0].rstrip(":;,.") if words else ""


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
