"""What this process takes of its machine, where the system tells it (/proc): elsewhere None."""

from __future__ import annotations

import os
from pathlib import Path

_MEMORY = Path("/proc/self/statm")
_FILES = Path("/proc/self/fd")


def resident_bytes() -> int | None:
    """Memory that is really there, now."""
    if not _MEMORY.exists():
        return None
    return int(_MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int | None:
    """Open file descriptors, sockets and pipes among them; the one that counts them is not."""
    return len(list(_FILES.iterdir())) - 1 if _FILES.exists() else None
