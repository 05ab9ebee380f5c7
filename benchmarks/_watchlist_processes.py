"""The processes of the watchlist benchmark: a venue and a daemon as users start them, and what /proc says of one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks._watchlist_figures import Usage

ROOT = Path(__file__).resolve().parents[1]
STOP_S = 20.0
"""How long a process may take to end after it was asked to."""
ANSWER_S = 60.0
_MIB = 1_024
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Child:
    """A process with a session of its own, so that Ctrl-C is for the benchmark, and a file of its last words."""

    name: str
    process: subprocess.Popen[bytes]
    words: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """End the benchmark with its last words if it has ended."""
        status = self.process.poll()
        if status is not None:
            raise SystemExit(f"the {self.name} ended with {status}:\n{self.words.read_text()[-2_000:]}")

    def end(self) -> int:
        """Stop it by SIGTERM, the hard way if it takes too long, and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextlib.contextmanager
def running(folder: Path, name: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Run a Python module of ours in `folder`, without the caller's own settings; ended in any case.

    Its input is a pipe that closes when the benchmark is gone, however that ends.
    """
    words = folder / f"{name}.log"
    own = {key: value for key, value in os.environ.items() if not key.startswith("AI_QUANT_")}
    with words.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**own, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if name == "venue" else file,
            stderr=file,
            start_new_session=True,
        )
    child = Child(name, process, words)
    try:
        yield child
    finally:
        child.end()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def venue(folder: Path, symbols: int, seed: int) -> Iterator[dict[str, Any]]:
    """The local venue with its limits, in real time. Gives what it says of itself when it is ready."""
    command = ("-m", "entrypoints.cli", "venue", "--json", "--with-parent", "--scale", "1")
    with running(folder, "venue", *command, "--symbols", str(symbols), "--seed", str(seed)) as child:
        assert child.process.stdout is not None, "the venue's output is a pipe"
        line = child.process.stdout.readline()
        if not line:
            child.process.wait(STOP_S)
            child.check()
        yield json.loads(line)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does: whatever was started is ended in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def usage_of(pid: int) -> Usage:
    """What a process has used up until now, all its threads together."""
    at_s = time.monotonic()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = _status(pid)
    return Usage(
        at_s,
        (int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        int(status["VmRSS"].split()[0]) / _MIB,
        int(status["voluntary_ctxt_switches"]),
    )


def rss_peak_mib(pid: int) -> float:
    """The most memory that a process has held."""
    return round(int(_status(pid)["VmHWM"].split()[0]) / _MIB, 1)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def traffic_of(control_url: str) -> Mapping[str, int]:
    """What went through the venue since its start."""
    state = ask(control_url, "GET", "/state")
    traffic: dict[str, int] = state["traffic"]
    return traffic


def ask(url: str, method: str, path: str, body: object = None, *, from_ip: str = "127.0.0.1") -> Any:
    """One question over loopback. The venue counts what each address asks; all of 127.0.0.0/8 is ours."""
    where = urlsplit(url)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, ANSWER_S, source_address=(from_ip, 0))
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == http.client.OK, f"{path}: {answer.status} {text[:200]!r}"
        return json.loads(text)
    finally:
        connection.close()
