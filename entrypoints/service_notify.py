"""What the service manager hears from the daemon: sd_notify, one datagram a message, no library.

    STATUS=recovering ──▶ READY=1 ──▶ WATCHDOG=1, STATUS=… again and again ──▶ STOPPING=1

`turned` is called by the engine's loop itself, never by a timer: a loop that hangs says nothing, and the manager's
watchdog ends the process. Without `$NOTIFY_SOCKET` all of it does nothing. Telling is no duty: a message that cannot be
sent now is left out, and the next one is tried; nothing here waits or raises.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

STATUS_EVERY_S = 10.0
"""How often the status is told when no watchdog asks for more."""

PINGS_PER_WATCHDOG = 4
"""Two may be lost or late, and the watchdog does not bark."""

log = logging.getLogger("service")


@dataclass(frozen=True, slots=True)
class NotifyTarget:
    """Who listens. `address`: a path, or @name for an abstract socket. `every_s`: between two messages of the loop."""

    address: str
    every_s: float = STATUS_EVERY_S
    pings: bool = False


def notify_target(environ: Mapping[str, str], pid: int) -> NotifyTarget | None:
    """What the service manager asks for in the environment; None where there is none."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None  # none is named, or one of a kind that only virtual machines have
    span_us = environ.get("WATCHDOG_USEC", "")
    is_asked = span_us.isdecimal() and int(span_us) > 0 and environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    if not is_asked:
        return NotifyTarget(address)
    return NotifyTarget(address, min(STATUS_EVERY_S, int(span_us) / 1_000_000 / PINGS_PER_WATCHDOG), pings=True)


class ServiceNotify:
    """Tells the service manager how the daemon fares. `status` makes one line for `systemctl status`."""

    def __init__(
        self,
        target: NotifyTarget | None,
        status: Callable[[], str],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._status = status
        self._monotonic_s = monotonic_s
        self._next_s: float | None = None
        self._is_stopping = False
        self._has_failed = False

    @classmethod
    def of_this_process(cls, status: Callable[[], str]) -> ServiceNotify:
        return cls(notify_target(os.environ, os.getpid()), status)

    def recovering(self) -> None:
        """The process is there; the ledger and the venue come first."""
        self._send("STATUS=recovering: asking the venue what happened meanwhile")

    def turned(self) -> None:
        """The engine's loop has come round. The first time means that the daemon is ready."""
        if self._target is None or self._is_stopping:
            return
        now_s = self._monotonic_s()
        if self._next_s is not None and now_s < self._next_s:
            return
        lines = [] if self._next_s is not None else ["READY=1"]
        if self._target.pings:
            lines.append("WATCHDOG=1")
        if self._send(*lines, f"STATUS={self._status()}"):
            self._next_s = now_s + self._target.every_s

    def stopping(self) -> None:
        """The daemon has begun to stop. Told once."""
        if not self._is_stopping:
            self._is_stopping = True
            self._send("STOPPING=1", "STATUS=stopping: orders on their way are heard out")

    def _send(self, *lines: str) -> bool:
        """Send one message, or say once why that fails. Whether it was sent."""
        if self._target is None:
            return True
        address = self._target.address
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(message, "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            if not self._has_failed:
                log.warning("service_manager_unheard", extra={"address": address, "error": str(error)})
            self._has_failed = True
            return False
        return True
