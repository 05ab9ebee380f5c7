"""Alerts that go to the log: always there, needs nothing."""

from __future__ import annotations

import logging

log = logging.getLogger("alert")


class LoggedAlerts:
    """Writes each alert as a warning; the same one, said again at once, only once."""

    def __init__(self) -> None:
        self._last: tuple[str, str] = ("", "")

    def send(self, code: str, text: str) -> None:
        if (code, text) != self._last:
            log.warning(code, extra={"detail": text})
        self._last = (code, text)
