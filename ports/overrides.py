"""Where the text of the strategy's overrides comes from."""

from __future__ import annotations

from typing import Protocol

from domain.config_events import OverridesText


class OverridesSource(Protocol):
    def poll(self, seen_ms: int) -> OverridesText | None:
        """Look at the file once; None when there is nothing new to consider. Never raises.

        `seen_ms` is real monotonic time: how long a writer may pause does not shrink in time-lapse.
        """
        ...
