"""Many seeds on several processes; what is done by the time of Ctrl-C is not lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from entrypoints.simulation.run import SeedReport, live_through


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def live_through_all(seeds: range, hours: float, jobs: int) -> Iterator[SeedReport]:
    """The reports as they come, in no order. `KeyboardInterrupt` ends it, and the processes with it."""
    if jobs == 1 or len(seeds) == 1:
        for seed in seeds:
            yield live_through(seed, hours)
        return
    # Forked children would share the terminal's and the loop's state: spawned ones begin as `./aiq` does.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(jobs, len(seeds)), _ignore_interrupts, maxtasksperchild=16) as pool:
        try:
            yield from pool.imap_unordered(partial(live_through, hours=hours), seeds)
        except BaseException:
            pool.terminate()
            raise


def _ignore_interrupts() -> None:
    """Ctrl-C reaches the whole group; the parent decides what follows."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
