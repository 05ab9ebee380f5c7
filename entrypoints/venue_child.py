"""The local venue as a child process of the daemon: on loopback, on the daemon's clock, gone when the daemon is."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ports.order_gateway import VenueUnavailable

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 5.0


@dataclass(slots=True)
class VenueChild:
    """`ready` is what the venue said of itself: `url`, `control_url`, `symbols`, `accounts`, `time`."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def stop(self) -> None:
        """End the venue: closing its input is the word for it, a signal the last one."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def start_venue(
    *,
    symbols: int,
    seed: int,
    scale: float,
    since: tuple[int, int],
    balance_usd: Decimal,
) -> VenueChild:
    """Start a venue and wait until it listens. Raises `VenueUnavailable` with its last words when it does not."""
    command = [
        *(sys.executable, "-m", "entrypoints.cli", "venue", "--json", "--with-parent"),
        *("--symbols", str(symbols), "--seed", str(seed), "--scale", repr(scale)),
        *("--since", f"{since[0]},{since[1]}", "--balance", str(balance_usd), "--no-limits"),
    ]
    # A session of its own: Ctrl-C is for the daemon, which still has orders to end before the venue may go.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = _first_line(process)
    if not line:
        process.kill()
        _, words = process.communicate()
        raise VenueUnavailable(f"the local venue did not start: {words.strip()[-500:] or 'it said nothing'}")
    return VenueChild(process, json.loads(line))


def _first_line(process: subprocess.Popen[str]) -> str:
    """What it prints when it is ready; empty when it ends or takes too long."""
    assert process.stdout is not None, "the venue's output is a pipe"
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([process.stdout], [], [], 0.1)[0]:
            return process.stdout.readline()
    return ""
