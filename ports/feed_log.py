"""Where a feed notes what it does, so that the same frames give the same events again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from domain.events import Event
from ports.session_log import Entry


class FeedLog(Protocol):
    """Called in the event loop, for each frame: appends, and nothing else. Never raises."""

    def put(self, entry: Entry) -> None: ...

    def born(self, events: Sequence[Event]) -> None:
        """These events came of what was put last. They are numbered in this order, from 0 on."""
        ...


class NoFeedLog:
    """Notes nothing."""

    def put(self, entry: Entry) -> None:
        pass

    def born(self, events: Sequence[Event]) -> None:
        pass
