"""Running the real daemon and the real command line in tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 60.0


def environment(user_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with a user folder of the test's own, as `./run` and `./aiq` set it up."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
        "AI_QUANT_USER_DIR": str(user_dir),
        "AI_QUANT_LOG_FORMAT": "json",
        **(extra or {}),
    }


def aiq(user_dir: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command of the command line to its end."""
    command = [sys.executable, "-m", "entrypoints.cli", *arguments]
    return subprocess.run(
        command,
        env=environment(user_dir, extra),
        cwd=user_dir,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def aiq_json(user_dir: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> Any:
    done = aiq(user_dir, *arguments, "--json", extra=extra)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Daemon:
    """The daemon as a process of its own; its output is kept in a file and read as log lines."""

    def __init__(self, user_dir: Path, extra: Mapping[str, str] | None = None, *arguments: str) -> None:
        user_dir.mkdir(parents=True, exist_ok=True)
        self._out = user_dir / f"daemon-{time.monotonic_ns()}.log"
        self._file = self._out.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "entrypoints.daemon", *arguments],
            env=environment(user_dir, extra),
            cwd=user_dir,
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=PATIENCE_S)
        self._file.close()

    @property
    def text(self) -> str:
        return self._out.read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Log lines of one event so far."""
        found = []
        for line in self.text.splitlines():
            if line.startswith("{") and f'"event": "{event}"' in line:
                found.append(json.loads(line))
        return found

    def wait_for(self, what: Callable[[Daemon], bool], patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not what(self):
            assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}:\n{self.text[-3000:]}"
            assert time.monotonic() < deadline, f"waited for {patience_s} s:\n{self.text[-3000:]}"
            time.sleep(0.02)

    def end(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_S)
