"""The venue's log as the oracle reads it: what happened, as it happens, and a digest of all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from adapters.sim.venue.log import Row, VenueLog

_LEFT_OUT = frozenset(("request", "answer", "print", "socket_opened", "socket_closed"))
"""What others see themselves, or nobody asks for."""
NEWEST_KEPT = 400


class OracleLog(VenueLog):
    """`tell` gets every row that matters."""

    def __init__(self, tell: Callable[[Row], None]) -> None:
        self._digest = hashlib.sha256()
        super().__init__(kept=NEWEST_KEPT, sink=self._write)
        self._tell = tell

    def append(self, kind: str, now_ms: int, **fields: object) -> int:
        if kind in _LEFT_OUT:
            return self.count
        number = super().append(kind, now_ms, **fields)
        self._tell(self._rows[-1])
        return number

    def digest(self) -> str:
        return self._digest.hexdigest()

    def _write(self, line: str) -> None:
        self._digest.update(line.encode())
