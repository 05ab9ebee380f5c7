"""A local venue in a process of its own, as a user starts it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.daemon_process import PATIENCE_S, environment


class VenueProcess:
    """A venue in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "entrypoints.cli", "venue", *arguments],
            env=environment(folder),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out = ""
        self.err = ""

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.out, self.err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


@contextlib.contextmanager
def venue(folder: Path, *arguments: str) -> Iterator[tuple[VenueProcess, dict[str, Any]]]:
    running = VenueProcess(folder, "--json", *arguments)
    try:
        line = running.line()
        assert line, running.process.communicate()[1]
        yield running, json.loads(line)
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()
