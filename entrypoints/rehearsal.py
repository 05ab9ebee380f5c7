"""A venue of our own starts anew each time, so a rehearsal of live on it starts with a new ledger.

The last one's files stay beside it under another name: its orders and positions were on a venue that is gone, and
asking the new one about them would only find differences.
"""

from __future__ import annotations

import time
from pathlib import Path

from adapters.sqlite.writer_lock import writer_of
from config.settings import Settings
from config.variables import Mode, Network
from entrypoints.paths import failures_path


def put_away_last_rehearsal(settings: Settings) -> Path | None:
    """Rename the ledger of the last rehearsal and the files beside it; returns its new path, None where there is none.

    A ledger that somebody writes stays where it is: opening it will say so.
    """
    is_rehearsal = settings.mode is not Mode.PAPER and settings.network is Network.LOCAL and settings.venue_url is None
    ledger = settings.db_path
    if not is_rehearsal or not ledger.exists() or writer_of(ledger) is not None:
        return None
    ended = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(ledger.stat().st_mtime))
    about_the_next_start = (settings.kill_switch_file, failures_path(settings))
    for file in sorted(ledger.parent.glob(f"{ledger.stem}.*")):
        if file.is_file() and file not in about_the_next_start:
            file.rename(file.with_name(f"{ledger.stem}-{ended}{file.name.removeprefix(ledger.stem)}"))
    return ledger.with_name(f"{ledger.stem}-{ended}{ledger.suffix}")
