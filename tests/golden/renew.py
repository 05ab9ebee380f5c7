"""Record the golden sessions anew: `python -m tests.golden.renew [NAME…]`.

Only after a change that is meant to decide otherwise, once `tests/simulation/test_golden_sessions.py` has shown what it
decides otherwise. The markets and accounts are our own venue's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.session_files.export import export
from entrypoints.simulation.eager_strategy import EagerStrategy
from entrypoints.simulation.run import ENTRIES_PER_CANDLE, live_through
from ports.session_log import Tag
from ports.strategy import Strategy
from tests.session_edits import edited

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEED = 7
DENSITY = 6.0


def paper(folder: Path) -> Path:
    """`mei_alpha_v1` on a paper account: 20 minutes of six symbols on the local venue."""
    sessions = folder / "sessions"
    overrides = folder / "overrides.yaml"
    overrides.write_text("global:\n  trade:\n    entry_min_confidence: low\n")
    settings = {
        "AI_QUANT_USER_DIR": str(folder),
        "AI_QUANT_SESSIONS_DIR": str(sessions),
        "AI_QUANT_STRATEGY_YAML": str(overrides),
        "AI_QUANT_LOCAL_SYMBOLS": "6",
        "AI_QUANT_SEED": "3",
        "AI_QUANT_RUN_FOR": "20",
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AI_QUANT_")}
    subprocess.run([sys.executable, "-m", "entrypoints.daemon"], env={**kept, **settings}, cwd=folder, check=True)
    (session,) = sessions.iterdir()
    return session


def faults(folder: Path) -> Path:
    """The first life of a simulated day: live orders under faults."""
    sessions = folder / "sessions"
    live_through(SEED, 0.7, density=DENSITY, sessions=sessions)
    return min(sessions.iterdir(), key=lambda each: each.name)


def named(name: str) -> Path:
    return HERE / f"{name}.tar"


def strategy_of(name: str) -> Strategy | None:
    """What a session was recorded with that its manifest cannot name."""
    return EagerStrategy(SEED, ENTRIES_PER_CANDLE * DENSITY) if name == "faults" else None


def without_exchanges(entries: list[list[Any]]) -> None:
    """REST exchanges explain, and sway nothing."""
    entries[:] = [entry for entry in entries if entry[0] != Tag.REST]


MAKERS: dict[str, Callable[[Path], Path]] = {"paper": paper, "faults": faults}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or MAKERS:
        with tempfile.TemporaryDirectory() as temporary:
            made = MAKERS[chosen](Path(temporary))
            lean = edited(made, Path(temporary) / chosen, without_exchanges)
            named(chosen).unlink(missing_ok=True)
            export(lean, named(chosen))
            print(f"{named(chosen)}: {named(chosen).stat().st_size:,} bytes")
