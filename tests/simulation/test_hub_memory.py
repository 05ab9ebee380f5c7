"""A million events leave nothing behind: in a process of its own, so that nobody else's memory is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon_process import ROOT, environment

ALLOWED_KIB = 1_024


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc: resident memory cannot be read here")
def test_a_million_events_leave_the_memory_as_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.hub_events", "--json"]
    done = subprocess.run(
        command, env=environment(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["events"] == 1_000_000
    assert figures["candles_closed"] == figures["candles_expected"], "and all of them were really taken"
    assert figures["rss_growth_kib"] <= ALLOWED_KIB
