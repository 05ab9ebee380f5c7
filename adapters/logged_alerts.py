"""Alerts that go to the log: always there, needs nothing."""

from __future__ import annotations

import logging
from collections import Counter

log = logging.getLogger("alert")


class LoggedAlerts:
    """Writes each alert as a warning; the same one, said again at once, only once."""

    def __init__(self) -> None:
        self._last: tuple[str, str] = ("", "")
        self.counts: Counter[str] = Counter()
        """Alerts by code, repeated ones too."""

    def send(self, code: str, text: str) -> None:
        self.counts[code] += 1
        if (code, text) != self._last:
            log.warning(code, extra={"detail": text})
        self._last = (code, text)
