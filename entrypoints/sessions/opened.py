"""A session that is being read: its records as one stream of entries, with progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from adapters.session_files.reader import SessionReader
from entrypoints.progress import progress
from ports.session_errors import SessionDamaged
from ports.session_log import Entry

_LARGE = 5_000_000
"""Bytes from which on progress is shown."""


class OpenedSession:
    """`salvage`: what stands before the first damage is read. `check_hashes` off: for one that was edited."""

    def __init__(self, path: Path, *, salvage: bool = False, check_hashes: bool = True, quiet: bool = False) -> None:
        self.reader = SessionReader(path, salvage=salvage)
        if not self.reader.has_manifest:
            raise SessionDamaged(
                str(path),
                "the manifest is missing, and with it what the engine was made from",
                advice="a replay needs a copy of it; `./aiq sessions show` tells what the segments hold",
            )
        self.manifest = self.reader.manifest
        if self.manifest.pruned:
            raise SessionDamaged(
                str(path),
                f"its first {self.manifest.pruned} segments were pruned, and a replay begins at the beginning",
                advice="`./aiq why` and the ledger still tell what was decided; AI_QUANT_SESSIONS_CAP_GB keeps more",
            )
        self._salvage, self._check_hashes = salvage, check_hashes
        self._quiet = quiet

    def entries(self, label: str = "replay") -> Iterator[Entry]:
        """Everything that was recorded, in order. May be asked for again."""
        reader = self.reader
        quiet = self._quiet or reader.bytes < _LARGE
        with progress(label, reader.bytes, quiet=quiet) as show:
            for record in reader.records(check_hashes=self._check_hashes, salvage=self._salvage):
                yield from record.entries
                show(reader.bytes_read)

    @property
    def problems(self) -> list[str]:
        """What of it could not be read, in words."""
        found = [] if self.reader.tail is None else [self.reader.tail]
        if self.manifest.stopped is not None:
            found.append(f"recording stopped before the session did: {self.manifest.stopped}")
        if self.reader.damage is not None:
            found.append(str(self.reader.damage))
        return found


def pacer(speed: float | None) -> Callable[[int], None]:
    """Waits before each event so that recorded time passes `speed` times as fast as real time; None: no waiting."""
    if speed is None:
        return lambda _: None
    began: tuple[float, int] | None = None

    def wait(at_ms: int) -> None:
        nonlocal began
        now_s = time.monotonic()
        if began is None:
            began = (now_s, at_ms)
        ahead_s = (at_ms - began[1]) / 1000 / speed - (now_s - began[0])
        if ahead_s > 0:
            time.sleep(ahead_s)

    return wait
