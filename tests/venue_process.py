"""A local venue in a process of its own, as a user starts it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.daemon_process import environment

PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class VenueProcess:
    """`ready` is the line of JSON that `./aiq venue --json` prints."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def control_url(self) -> str:
        return str(self.ready["control_url"])

    def account(self, number: int) -> dict[str, str]:
        """`address` and `key` of one of the toy accounts."""
        found: dict[str, str] = self.ready["accounts"][number]
        return found


@contextmanager
def running_venue(user_dir: Any, *arguments: str) -> Iterator[VenueProcess]:
    """Start `./aiq venue`, and make sure that it stops cleanly when it is told to."""
    command = [sys.executable, "-m", "entrypoints.cli", "venue", "--json", *arguments]
    process = subprocess.Popen(
        command, env=environment(user_dir), cwd=user_dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the venue said nothing: {process.communicate()[1]}"
        yield VenueProcess(process, json.loads(line))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
    finally:
        process.kill()
        process.communicate()
