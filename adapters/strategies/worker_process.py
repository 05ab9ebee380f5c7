"""The parent's end of a strategy worker: one child process, messages with deadlines.

The child is a plain interpreter, started fresh (never forked from a process with threads and
connections). It gets no variable of the daemon's, so no key can reach a user's code that way,
and a fixed hash seed, so that sets come out in the same order in every run.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from adapters.strategies.worker_protocol import HEADER, MAX_MESSAGE

HIDDEN_PREFIXES = ("AI_QUANT_", "HL_")
_CHUNK = 1 << 16


class WorkerGone(Exception):
    """The process ended, said something that is no answer, or overran its deadline. Nothing but `stop` is left."""


class WorkerProcess:
    """A running worker. Not shared between threads, except that `stop` may be called from anywhere."""

    def __init__(self, spec: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "adapters.strategies.worker_main", spec],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            bufsize=0,
            start_new_session=True,  # Ctrl-C at the terminal is for the daemon; and its children end with it
        )
        self._stopped = False
        self._received = bytearray()
        self.requests, self.answers = _pipe(self._process.stdin), _pipe(self._process.stdout)
        os.set_blocking(self.requests.fileno(), False)
        os.set_blocking(self.answers.fileno(), False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exchange(self, request: bytes, deadline_s: float) -> bytes:
        """Send a framed request (or nothing) and return the body of the next answer. Raises WorkerGone.

        One request may have many answers: each call returns one, in the order in which they were sent.
        """
        try:
            return self._exchange(request, deadline_s)
        except (OSError, ValueError) as error:  # a broken or closed pipe
            raise WorkerGone(f"its process ended {self._ending()}") from error

    def stop(self) -> None:
        """Kill the process and everything it started. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.requests.close()
        self.answers.close()

    def _exchange(self, request: bytes, deadline_s: float) -> bytes:
        end = time.monotonic() + deadline_s
        unsent = memoryview(request)
        with selectors.DefaultSelector() as selector:
            selector.register(self.answers, selectors.EVENT_READ)
            if unsent:
                selector.register(self.requests, selectors.EVENT_WRITE)
            while unsent or (body := self._next_body()) is None:
                ready = selector.select(max(0.0, end - time.monotonic()))
                if time.monotonic() >= end:
                    raise WorkerGone(f"it overran its deadline of {deadline_s:g} s")
                for key, _ in ready:
                    if key.fileobj is self.requests:
                        unsent = unsent[os.write(key.fd, unsent[:_CHUNK]) :]
                        if not unsent:
                            selector.unregister(self.requests)
                    elif not (chunk := os.read(key.fd, _CHUNK)):
                        raise WorkerGone(f"its process ended {self._ending()}")
                    else:
                        self._received += chunk
        return body

    def _next_body(self) -> bytes | None:
        """The next body in what has been read, taken out once all of it is there."""
        if len(self._received) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._received)
        end = HEADER.size + length
        if length > MAX_MESSAGE:
            raise WorkerGone("it sent something that is no answer")
        if len(self._received) < end:
            return None
        body = bytes(self._received[HEADER.size : end])
        del self._received[:end]
        return body

    def _ending(self) -> str:
        try:
            status = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "its answers but not itself"
        return f"by signal {-status}" if status < 0 else f"with status {status}"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "both pipes were asked for"
    return pipe


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN_PREFIXES)}
    kept["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    kept["PYTHONHASHSEED"] = "0"
    return kept
