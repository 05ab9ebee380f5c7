"""The real process under a service manager: what it tells, and a backup and a health check while it trades."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon_process import PATIENCE_S, Daemon, aiq, aiq_json, environment
from tests.sqlite_files import run_sql

CHAIN = "SELECT seq, fact, hash FROM ledger_events ORDER BY seq"


class Manager:
    """Hears the daemon's datagrams, as systemd does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.messages: list[str] = []

    def lines(self, line: str) -> int:
        """How often a line has been told so far."""
        while True:
            try:
                self.messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return sum(message.split("\n").count(line) for message in self.messages)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.mark.timeout(180)
def test_a_daemon_under_a_service_manager(manager: Manager, tmp_path: Path) -> None:
    user_dir = tmp_path / "user"
    extra = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1200000", "AI_QUANT_SEED": "3"}
    with Daemon(user_dir, extra) as daemon:
        daemon.wait_for(lambda running: manager.lines("READY=1") == 1)
        assert manager.messages[0].startswith("STATUS=recovering")
        daemon.wait_for(lambda running: manager.lines("WATCHDOG=1") >= 6)
        assert any("STATUS=paper on local: positions " in message for message in manager.messages)
        health = subprocess.run(
            [sys.executable, "-P", "-m", "entrypoints.healthcheck"],
            env=environment(user_dir),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (health.returncode, health.stdout) == (0, "at work\n"), health.stderr
        copy = tmp_path / "copy.sqlite"
        said = aiq_json(user_dir, "db", "backup", "--all", "--out", str(copy))
        assert [file["kind"] for file in said["files"]] == ["ledger", "decision log", "candle store"]
        assert manager.lines("STOPPING=1") == 0
        assert daemon.end(signal.SIGTERM) == 0
        assert manager.lines("STOPPING=1") == 1 and manager.lines("READY=1") == 1
        assert manager.messages[-1].startswith("STOPPING=1"), "nothing after it"
    checked = aiq(user_dir, "db", "check", "--json", "--db", str(copy))
    assert checked.returncode == 0 and json.loads(checked.stdout)["sound"], checked.stdout
    copied, written = run_sql(copy, CHAIN), run_sql(user_dir / "paper-local.sqlite", CHAIN)
    assert copied and written[: len(copied)] == copied, "the copy is a prefix of the chain"


def test_a_daemon_that_refuses_to_start_is_never_ready(manager: Manager, tmp_path: Path) -> None:
    with Daemon(tmp_path / "user", {"NOTIFY_SOCKET": str(manager.path), "AI_QUANT_MODE": "papper"}) as daemon:
        assert daemon.process.wait(timeout=PATIENCE_S) == 3
    assert manager.lines("READY=1") == 0
