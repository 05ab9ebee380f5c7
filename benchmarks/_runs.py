"""What the benchmarks share: timing, and the command line of a single one."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

Figures = dict[str, Any]


def best_of(repeats: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs: what the machine can do when nobody disturbs it."""
    fastest = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - started)
    return fastest


def main(run: Callable[[], Figures], argv: Sequence[str]) -> int:
    """Run one benchmark from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args(argv).json
    figures = run()
    lines = [f"{name}: {value}" for name, value in figures.items()]
    print(json.dumps(figures, indent=2) if as_json else "\n".join(lines))
    return 0
