"""The sentinel for messages that are not what we know: keeps the evidence, counts, and tells the operator once.

Everything about it is bounded (places, files, bytes): a changed venue repeats itself thousands of times an hour.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import Counter
from pathlib import Path

from ports.alerts import Alerts

log = logging.getLogger(__name__)

MAX_PLACES = 100
FILES_PER_PLACE = 3
MAX_FILE_BYTES = 200_000
MAX_FILES = 300
OTHER_PLACES = "other places"
ALERT = "venue_drifted"


class DriftSentinel:
    """One for all that reads the venue. `counts` says how often something odd was noted, by place."""

    def __init__(self, alerts: Alerts, folder: Path | None) -> None:
        """Without a `folder` nothing is kept, only counted and told."""
        self._alerts = alerts
        self._folder = folder
        self.counts: Counter[str] = Counter()

    def note(self, where: str, raw: str | bytes, problem: str) -> None:
        """Count an odd message; the first of its place are kept as files, the very first is told. Never raises.

        Past `MAX_PLACES` places, all others are one: names of places may come from the venue.
        """
        place = where or "frame"
        if place not in self.counts and len(self.counts) >= MAX_PLACES:
            place = OTHER_PLACES
        self.counts[place] += 1
        kept = None
        if self.counts[place] <= FILES_PER_PLACE:
            kept = self._keep(place, raw, problem)
        if self.counts[place] == 1:
            text = f"{place}: {problem}" + ("" if kept is None else f" (kept as {kept.name})")
            self._alerts.send(ALERT, text)
        log.debug("venue_drifted", extra={"place": place, "problem": problem, "count": self.counts[place]})

    def _keep(self, place: str, raw: str | bytes, problem: str) -> Path | None:
        """Write one message down, unless there are enough of its place (or in all) from before."""
        folder = self._folder
        if folder is None:
            return None
        body = raw.encode("utf-8", "backslashreplace") if isinstance(raw, str) else raw
        note = problem.encode("utf-8", "backslashreplace").replace(b"\n", b" ")[:1000]
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", place)[:60].strip(".") or "frame"
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if sum(1 for _ in folder.iterdir()) >= MAX_FILES:
                return None
            for number in range(FILES_PER_PLACE):
                path = folder / f"{name}-{number}.txt"
                with contextlib.suppress(FileExistsError), path.open("xb") as file:
                    file.write(note + b"\n" + body[:MAX_FILE_BYTES])
                    return path
        return None
