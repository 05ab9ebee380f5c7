"""The real daemon, started again and again over a ledger that it cannot read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from entrypoints.exit_codes import ExitCode
from entrypoints.start_limit import MOST_FAILURES
from tests.daemon_process import PATIENCE_S, environment


def start(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.daemon"],
        env=environment(folder, {"AI_QUANT_MODE": "paper"}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_daemon_that_cannot_live_gives_up_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "paper-local.sqlite").write_bytes(b"this is no database" * 500)
    now_ms = time.time_ns() // 1_000_000
    earlier = [{"at_ms": now_ms - place, "what": "KeyError: 'x'"} for place in range(MOST_FAILURES - 1)]
    (tmp_path / "paper-local.failures.json").write_text(json.dumps(earlier))
    assert start(tmp_path).returncode == ExitCode.DATA
    refused = start(tmp_path)
    assert refused.returncode == ExitCode.REFUSED, refused.stderr
    assert "5 runs have failed within 10 minutes" in refused.stderr and "./aiq doctor" in refused.stderr
    (tmp_path / "paper-local.failures.json").unlink()
    assert start(tmp_path).returncode == ExitCode.DATA, "deleting the file lets it try again"
