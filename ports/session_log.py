"""The record of a session: entries in the order in which things happened."""

from __future__ import annotations

from typing import Any, Protocol

Entry = tuple[Any, ...]
"""A tag, then what belongs to it: plain JSON values, or values of the domain that are written out later."""


class Tag:
    """What an entry says, by its first part."""

    FRAME = "f"
    """frame_no, connection, at_ms, text: a raw frame, as it came, and it counts."""
    HELD = "h"
    """The same, and it does not count, or not before one of the next two says so."""
    DELIVER = "d"
    """The frame before counts."""
    BACKLOG = "b"
    """The frame before counts, as what was before."""
    FEED = "o"
    """name, arguments: something else that a feed did (`adapters.hyperliquid.frame_desk`)."""
    LINE = "l"
    """connection, what, why: it was opened or lost."""
    REST = "r"
    """path, request, status (0: none came), answer or why there is none, started_ms, ended_ms."""
    TAKEN = "t"
    """seq, at_ms, number: the engine took an event that came of frames, by its number."""
    EVENT = "e"
    """seq, at_ms, kind, value: the engine took any other event."""
    DROPPED = "c"
    """number: an event of frames gave way to a newer one."""
    STEP = "x"
    """seq, facts, effects: what came of the event taken with this seq, where anything did."""
    END = "z"
    """reason, seq, digest of the ledger: the session ended properly."""


class SessionLog(Protocol):
    """Never raises: a session that cannot be recorded any more is told to the operator, and trading goes on."""

    def put(self, entry: Entry) -> None:
        """Append an entry. Called in the event loop thousands of times a second, by one thread."""
        ...

    def flush(self) -> None:
        """Hand everything that was put so far to the kernel: a killed process loses nothing of it. From any thread."""
        ...

    def close(self, reason: str) -> None:
        """Flush, and end the record. Nothing can be put afterwards. Idempotent."""
        ...


class NoRecord:
    """Recording is off."""

    def put(self, entry: Entry) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self, reason: str) -> None:
        pass
