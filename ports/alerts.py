"""Telling the operator."""

from __future__ import annotations

from typing import Protocol


class Alerts(Protocol):
    def send(self, code: str, text: str) -> None:
        """Tell the operator once. Never raises and never waits: an alert must not cost a trade."""
        ...
