"""The `Alerts` port with ways out of this machine: the log at once, everything else in a thread of its own.

`send` writes the log, counts, and leaves; one daemon thread does the rest in `turn`s, each at most one message per
channel. A channel that hangs delays the others by its own time-out and nobody else. Windows, limits and pauses are real
time, also where the market's runs faster.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence

from adapters.alerts.channel import AlertChannel, Message, problem_of
from adapters.alerts.masking import masked
from adapters.alerts.throttle import AlertLimits, Throttle, shortened
from adapters.alerts.waiting_line import WAITING, Waiting, WaitingLine
from ports.alerts import Alerts
from ports.clock import Clock

log = logging.getLogger("alerts")

TEXT_CHARS = 1_500
"""The shortest limit of the usual services is Discord's, 2,000 characters with the title."""
OLD_MS = 60_000
"""A message that waited longer says so."""
CLOSE_S = 2.0
"""How long `close` waits for what is on its way."""
THREAD = "alerts"


class ThrottledAlerts:
    """Sends to `inner`, which is the log, every alert; to `channels` what the limits let through.

    `origin` says which daemon it is, in every title. Nothing goes out before `start`, and nothing after `close`.
    """

    def __init__(
        self,
        inner: Alerts,
        channels: Sequence[AlertChannel],
        clock: Clock,
        limits: AlertLimits,
        origin: str = "",
        waiting_limit: int = WAITING,
    ) -> None:
        self._inner, self._clock, self._origin = inner, clock, origin
        self.counts: Counter[str] = Counter()
        """Alerts by code, those too that the limits held back."""
        self._throttle = Throttle(limits)
        self._lines = [WaitingLine(channel, waiting_limit) for channel in channels]
        self._changed = threading.Condition()  # guards the throttle and the lines; nobody waits for a channel under it
        self._closing, self._abandoned = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, code: str, text: str) -> None:
        """Keep the port's promise: no I/O but the log's."""
        self._inner.send(code, text)
        with self._changed:
            self.counts[code] += 1
            if self._closing.is_set():
                return
            message = self._throttle.offer(code, masked(text), self._clock.monotonic_ms())
            if message is not None:
                self._put(message)
            self._changed.notify()

    def turn(self) -> int | None:
        """Do what is due now. Returns how many milliseconds may pass until the next turn; None: any number."""
        with self._changed:
            now_ms = self._clock.monotonic_ms()
            summary = self._throttle.summary(now_ms)
            if summary is not None:
                self._put(summary)
        for line in self._lines:
            self._deliver_next(line)
        with self._changed:
            return self._wait_ms()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Send what waits and tell what was held back, each once and without pauses. Waits for it no longer than this.

        Blocks: not for the event loop's thread. A second call does nothing.
        """
        with self._changed:
            if self._closing.is_set():
                return
            self._closing.set()
            rest = self._throttle.rest()
            if rest is not None:
                self._put(rest)
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(within_s)
        with self._changed:
            self._abandoned.set()
            left = sum(len(line) for line in self._lines) + self._thread.is_alive()  # one may be on its way
        if left:
            log.warning("alerts_left_behind", extra={"messages": left})

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self.turn()
                with self._changed:
                    wait_ms = self._wait_ms()  # asked anew: whoever sent meanwhile found nobody waiting
                    if not self._closing.is_set() and wait_ms != 0:
                        self._changed.wait(None if wait_ms is None else wait_ms / 1000)
            for line in self._lines:
                while not self._abandoned.is_set() and self._deliver_next(line, is_last=True):
                    pass
        except Exception:
            log.exception("alerts_ended")  # the log still has every alert
            raise

    def _put(self, message: Message) -> None:
        """Called under the lock."""
        for line in self._lines:
            gone = line.put(message, self._clock.monotonic_ms())
            if gone is not None:
                _tell_lost(line, gone, "too many wait")

    def _deliver_next(self, line: WaitingLine, *, is_last: bool = False) -> bool:
        """Send a line's next message, if one is due. `is_last`: pauses are over, and nothing is tried again."""
        with self._changed:
            waiting = line.take(self._clock.monotonic_ms(), in_pauses=is_last)
            if waiting is None:
                return False
            title, text, dropped = *self._words(line, waiting), line.dropped
        problem = problem_of(line.channel, title, text, waiting.message.severity)
        with self._changed:
            if not problem:
                line.succeeded(dropped)
                return True
            gone = waiting.message if is_last else line.failed(waiting, self._clock.monotonic_ms())
        if gone is not None:
            _tell_lost(line, gone, problem)
        elif waiting.failures == 1:
            log.info("alert_waits", extra={"code": waiting.message.code, "channel": line.channel.name, "why": problem})
        return True

    def _words(self, line: WaitingLine, waiting: Waiting) -> tuple[str, str]:
        """Title and text of a message as they go out now."""
        message = waiting.message
        title = f"{message.severity.word}: {message.code}" + (f" ({self._origin})" if self._origin else "")
        lines = [shortened(message.text, TEXT_CHARS)]
        waited_ms = self._clock.monotonic_ms() - waiting.put_ms
        if waited_ms >= OLD_MS:
            lines.append(f"(this was {waited_ms // 60_000} min ago)")
        if line.dropped:
            lines.append(f"({line.dropped} messages before this were dropped: too many waited)")
        return title, "\n".join(lines)

    def _wait_ms(self) -> int | None:
        """Called under the lock."""
        due = [line.due_ms for line in self._lines]
        due.append(self._throttle.due_ms)
        first_ms = min((each for each in due if each is not None), default=None)
        return None if first_ms is None else max(0, first_ms - self._clock.monotonic_ms())


def _tell_lost(line: WaitingLine, message: Message, why: str) -> None:
    log.warning("alert_not_delivered", extra={"code": message.code, "channel": line.channel.name, "why": why})
