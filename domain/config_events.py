"""Config texts as events: what a look at the overrides file found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

ABSENT = "there is no such file"
"""The reason that stands for a missing file: fine at start (defaults), refused later (keep the last good)."""


@dataclass(frozen=True, slots=True)
class OverridesText:
    """The overrides file as one look found it.

    `content` is None when there was nothing to read, and `reason` then says why. `seen_ms` is the
    moment of the look on a monotonic clock in *real* milliseconds, never the session's time: how
    long a writer may pause does not shrink in time-lapse. It travels with the event so that a
    replay settles exactly as the session did.
    """

    path: str
    content: str | None
    reason: str
    mtime_ns: int
    size: int
    inode: int
    seen_ms: int

    def __post_init__(self) -> None:
        assert (self.content is None) == bool(self.reason), "either a content, or a reason why there is none"

    @property
    def is_absent(self) -> bool:
        return self.reason == ABSENT

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content, or of the reason. It alone says whether two looks found the same."""
        kind, text = ("absent", self.reason) if self.content is None else ("content", self.content)
        return hashlib.sha256(f"{kind}:{text}".encode(errors="surrogatepass")).hexdigest()
