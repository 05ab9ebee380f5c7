"""What the service manager hears, on a real datagram socket: a path's and an abstract one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrypoints.service_notify import NotifyTarget, ServiceNotify, notify_target

WATCHED = {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7"}


@dataclass
class Manager:
    """Stands in for systemd: hears datagrams."""

    address: str
    listening: socket.socket

    def heard(self) -> list[str]:
        """Messages since the last call."""
        messages = []
        while True:
            try:
                messages.append(self.listening.recv(4096).decode())
            except BlockingIOError:
                return messages


@dataclass
class Clock:
    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@aiq-test-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.setblocking(False)
        yield Manager(name, listening)


def notifier(manager: Manager, clock: Clock, **environ: str) -> ServiceNotify:
    target = notify_target({"NOTIFY_SOCKET": manager.address, **environ}, pid=7)
    return ServiceNotify(target, lambda: "all is well", clock)


def fill_queue(address: str) -> None:
    """Send until nothing more fits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
        other.setblocking(False)
        while True:
            other.sendto(b"noise", "\0" + address[1:] if address.startswith("@") else address)


def test_ready_comes_with_the_first_turn_and_pings_follow_the_turns(manager: Manager) -> None:
    clock = Clock()
    service = notifier(manager, clock, **WATCHED)
    service.recovering()
    assert manager.heard() == ["STATUS=recovering: asking the venue what happened meanwhile"]
    service.turned()
    assert manager.heard() == ["READY=1\nWATCHDOG=1\nSTATUS=all is well"]
    clock.now_s += 4.9
    service.turned()
    assert manager.heard() == [], "a quarter of the watchdog's time has not gone by"
    clock.now_s += 0.1
    service.turned()
    assert manager.heard() == ["WATCHDOG=1\nSTATUS=all is well"]


def test_a_loop_that_does_not_turn_says_nothing_however_long_it_takes(manager: Manager) -> None:
    clock = Clock()
    service = notifier(manager, clock, **WATCHED)
    service.turned()
    manager.heard()
    clock.now_s += 3_600
    assert manager.heard() == []


def test_stopping_is_told_once_and_ends_the_pings(manager: Manager) -> None:
    clock = Clock()
    service = notifier(manager, clock, **WATCHED)
    service.turned()
    manager.heard()
    service.stopping()
    service.stopping()
    clock.now_s += 60
    service.turned()
    [message] = manager.heard()
    assert message.splitlines()[0] == "STOPPING=1"


def test_without_a_watchdog_there_are_no_pings_but_a_status(manager: Manager) -> None:
    clock = Clock()
    service = notifier(manager, clock)
    service.turned()
    clock.now_s += 10
    service.turned()
    assert manager.heard() == ["READY=1\nSTATUS=all is well", "STATUS=all is well"]


def test_a_status_of_two_lines_cannot_smuggle_in_another_message(manager: Manager) -> None:
    target = notify_target({"NOTIFY_SOCKET": manager.address}, pid=7)
    ServiceNotify(target, lambda: "one\nSTOPPING=1").turned()
    assert manager.heard() == ["READY=1\nSTATUS=one STOPPING=1"]


def test_a_manager_that_does_not_read_holds_up_nothing_and_is_told_later(manager: Manager) -> None:
    clock = Clock()
    service = notifier(manager, clock, **WATCHED)
    fill_queue(manager.address)
    service.turned()
    manager.heard()
    service.turned()
    assert manager.heard() == ["READY=1\nWATCHDOG=1\nSTATUS=all is well"], "ready was not lost"


def test_a_socket_that_is_not_there_is_logged_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = ServiceNotify(NotifyTarget(str(tmp_path / "absent")), lambda: "well")
    for _ in range(3):
        service.turned()
    service.stopping()
    assert [record.message for record in caplog.records] == ["service_manager_unheard"]


def test_without_a_service_manager_nothing_is_done() -> None:
    def status() -> str:
        raise AssertionError("nobody asks")

    service = ServiceNotify(notify_target({}, pid=7), status)
    service.recovering()
    service.turned()
    service.stopping()


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": ""}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, None),
        ({"NOTIFY_SOCKET": "/run/n"}, NotifyTarget("/run/n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "8000000"}, NotifyTarget("@n", 2.0, pings=True)),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "8"}, NotifyTarget("@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "0"}, NotifyTarget("@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "soon"}, NotifyTarget("@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "600000000"}, NotifyTarget("@n", 10.0, pings=True)),
    ],
)
def test_what_the_environment_asks_for(environ: dict[str, str], target: NotifyTarget | None) -> None:
    assert notify_target(environ, pid=7) == target
