"""Programs of ours under a wall clock that a test sets, and a nursery that starts daemons from one warm process.

    python -m tests.set_clock CLOCK MODULE [ARGUMENTS]     run a program under this clock
    python -m tests.set_clock --nursery                    start daemons under clocks on request (`Nursery`)

CLOCK is a file that says how far the clock is ahead. All who map it live in the same time: a candle closes when a test
wants it to, and nobody waits for the real minute. Of the program itself nothing is changed, and it runs in the very
process whose number the test knows; time that only passes (timers, time-outs) stays the machine's.

A child of the nursery is a process like any other: own memory, own files, own sockets, `python -m entrypoints.daemon`
from its first line. What it is spared is loading the libraries, which is most of a start's work and not what dies.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import mmap
import os
import runpy
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.daemon_process import PATIENCE_S, environment

_AHEAD = struct.Struct("<q")
_DAEMON = "entrypoints.daemon"
_LOADED_AHEAD = (
    "alembic.command",
    "alembic.config",
    "entrypoints.container",
    "entrypoints.candle_weight",
    "adapters.hyperliquid.account",
    "adapters.hyperliquid.encoder",
    "adapters.hyperliquid.gateway",
    "adapters.hyperliquid.nonces",
    "adapters.hyperliquid.watch",
    "adapters.strategies.dataframe",
    "adapters.strategies.worker_process",
)


class ClockFile:
    """How far the clock of some processes is ahead of this machine's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(_AHEAD.pack(0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _AHEAD.size)

    @property
    def ahead_ms(self) -> int:
        return int(_AHEAD.unpack_from(self._map)[0])

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def set_to(self, now_ms: int) -> None:
        """Set the clock; it goes forward only."""
        ahead_ms = now_ms - time.time_ns() // 1_000_000
        assert ahead_ms >= self.ahead_ms, "the clock is set forward only"
        _AHEAD.pack_into(self._map, 0, ahead_ms)


def under_clock(clock: ClockFile, module: str, *arguments: str) -> list[str]:
    """The command that runs a program of ours under this clock."""
    return [sys.executable, "-m", "tests.set_clock", str(clock.path), module, *arguments]


# ── the nursery, from outside ────────────────────────────────────────────────────────────────────


class Nursery:
    """Starts daemons. Every one of them dies with it."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.set_clock", "--nursery"],
            env=environment(folder),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE_S)

    def start(self, clock: ClockFile, folder: Path, extra: Mapping[str, str], out: Path) -> int:
        """A daemon's process, which waits for `go`."""
        env = environment(folder, extra)
        out.touch()  # it can die before it opens it
        return int(self._ask("start", clock=str(clock.path), folder=str(folder), env=env, out=str(out)))

    def go(self, pid: int) -> None:
        self._ask("go", pid=pid)

    def status(self, pid: int) -> int | None:
        """How a daemon ended (negative: the signal that killed it); None while it lives."""
        answer = self._ask("status", pid=pid)
        return None if answer is None else int(answer)

    def _ask(self, what: str, **more: object) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, "the nursery is gone"
        return json.loads(line)


# ── inside ───────────────────────────────────────────────────────────────────────────────────────


def _set_clock(path: Path) -> None:
    """Live in the file's time. Where it goes forward, this machine has slept: what counts sleep moves along."""
    clock, real_ns, real_clock_ns = ClockFile(path), time.time_ns, time.clock_gettime_ns
    slept = getattr(time, "CLOCK_BOOTTIME", None)

    def now_ns() -> int:
        return real_ns() + clock.ahead_ms * 1_000_000

    def clock_ns(which: int) -> int:
        return real_clock_ns(which) + (clock.ahead_ms * 1_000_000 if which == slept else 0)

    time.time_ns = now_ns
    time.time = lambda: now_ns() / 1e9
    time.clock_gettime_ns = clock_ns


def _keep_nursery() -> None:
    for name in _LOADED_AHEAD:
        with contextlib.suppress(ModuleNotFoundError):  # what moved is loaded by the daemon itself
            importlib.import_module(name)
    with contextlib.suppress(ImportError):
        importlib.import_module("adapters.strategies.lean_talib").import_lean_talib()
        importlib.import_module("adapters.strategies.mei_alpha_v1")
    gates: dict[int, int] = {}
    ended: dict[int, int] = {}
    acts: dict[str, Callable[[dict[str, Any]], int | None]] = {
        "start": lambda asked: _born(asked, gates),
        "go": lambda asked: os.close(gates.pop(asked["pid"])),
        "status": lambda asked: _status(asked["pid"], ended),
    }
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    born: set[int] = set()
    try:
        for line in sys.stdin:
            asked = json.loads(line)
            answer = acts[asked["do"]](asked)
            if asked["do"] == "start":
                assert answer is not None
                born.add(answer)
            print(json.dumps(answer), flush=True)
    finally:
        for pid in born:
            if _status(pid, ended) is None:
                os.kill(pid, signal.SIGKILL)


def _born(asked: dict[str, Any], gates: dict[int, int]) -> int:
    """Fork; the child runs the daemon once its gate is closed, which is what opens it."""
    waits, opens = os.pipe()
    pid = os.fork()
    if pid:
        os.close(waits)
        gates[pid] = opens
        return pid
    code = 70
    try:
        os.close(opens)
        for other in gates.values():
            os.close(other)
        os.read(waits, 1)
        os.close(waits)
        _take_place(asked)
        runpy.run_module(_DAEMON, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  (whatever it is, it ends this process and no other)
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _take_place(asked: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["folder"])
    _set_clock(Path(asked["clock"]))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)
    sys.argv = [_DAEMON]


def _status(pid: int, ended: dict[int, int]) -> int | None:
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found == 0:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


if __name__ == "__main__":
    if sys.argv[1] == "--nursery":
        _keep_nursery()
    else:
        _set_clock(Path(sys.argv[1]))
        sys.argv = sys.argv[2:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
