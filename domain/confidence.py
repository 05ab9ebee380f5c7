"""How sure a strategy is of its signal."""

from __future__ import annotations

import enum


class Confidence(enum.IntEnum):
    """Three steps, ordered. Config and logs spell them in lower case: `low`, `medium`, `high`."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2

    @property
    def text(self) -> str:
        return self.name.lower()
