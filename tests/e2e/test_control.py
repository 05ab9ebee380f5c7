"""The operator's verbs against the real process: paused, killed, restarted, flattened, cleared."""

from __future__ import annotations

import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrypoints.control.client import ask, new_request
from entrypoints.control.failures import NotRunning
from entrypoints.exit_codes import ExitCode
from tests.daemon_process import Daemon, aiq, aiq_json

EAGER = "global:\n  trade:\n    entry_min_confidence: low\n    max_open_positions: 6\n"
PATIENCE_S = 45.0

Status = dict[str, Any]


def status_of(folder: Path) -> Status | None:
    """What the daemon tells, None while it does not listen."""
    try:
        return ask(folder / "paper-local.sock", folder / "paper-local.sqlite", new_request("status")).status
    except NotRunning:
        return None


def until(folder: Path, daemon: Daemon, what: Callable[[Status], bool]) -> Status:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status = status_of(folder)
        if status is not None and what(status):
            return status
        assert daemon.process.poll() is None, daemon.text[-3000:]
        assert time.monotonic() < deadline, f"{status}\n{daemon.text[-3000:]}"
        time.sleep(0.1)


def was_flattened(trade: dict[str, Any]) -> bool:
    return bool(trade["exit_reason"] == "flatten")


def protected(status: Status) -> list[str]:
    return [each["symbol"] for each in status["positions"] if each["stops"]]


@pytest.mark.timeout(240)
def test_an_operator_has_the_last_word(tmp_path: Path) -> None:
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(EAGER)
    extra = {"AI_QUANT_SEED": "2", "AI_QUANT_TIME_SCALE": "20", "AI_QUANT_STRATEGY_YAML": str(overrides)}
    kill_file, socket_file = tmp_path / "paper-local.kill", tmp_path / "paper-local.sock"

    def told(*arguments: str, code: ExitCode = ExitCode.DONE) -> str:
        done = aiq(tmp_path, *arguments, extra=extra)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    assert "no daemon runs on" in told("status", code=ExitCode.NOT_RUNNING)
    with Daemon(tmp_path, extra) as daemon:
        until(tmp_path, daemon, lambda status: len(protected(status)) >= 2)
        assert stat.S_IMODE(socket_file.stat().st_mode) == 0o600

        told("pause", "--reason", "lunch")
        status = aiq_json(tmp_path, "status", extra=extra)
        assert status["paused"] == "cli: lunch"
        assert status["entries"] == "entries are paused: cli: lunch"
        assert status["pid"] == daemon.process.pid
        assert status["recording"]
        assert isinstance(status["equity_usd"], str)

        symbol = protected(status)[0]
        assert f"did you mean '{symbol}'?" in told("flatten", symbol.swapcase(), code=ExitCode.USAGE)
        told("flatten", symbol, "--reason", "enough")
        until(tmp_path, daemon, lambda status: symbol not in [each["symbol"] for each in status["positions"]])
        flattened = [
            trade["symbol"] for trade in aiq_json(tmp_path, "show-trades", extra=extra) if was_flattened(trade)
        ]
        assert flattened == [symbol]
        assert "no position in NOPE; held: " in told("force-exit", "NOPE", code=ExitCode.REFUSED)
        told("resume")
        assert "entries are paused" not in aiq_json(tmp_path, "status", extra=extra)["entries"]

        overrides.write_text("global:\n  trade:\n    no_such_key: 1\n")
        assert "no_such_key" in told("reload", code=ExitCode.REFUSED)
        overrides.write_text(EAGER + "    sl_atr_mult: 3.5\n")
        assert "in force is" in told("reload")

        assert "close_only" in told("kill", "soft", "--reason", "it is odd")
        assert kill_file.read_text() == "soft\nit is odd\n"
        assert aiq_json(tmp_path, "status", extra=extra)["latch"]["state"] == "close_only"
        assert daemon.end(signal.SIGTERM) == 0, daemon.text[-3000:]
    assert not socket_file.exists()

    kill_file.unlink()
    with Daemon(tmp_path, extra) as daemon:
        status = until(tmp_path, daemon, lambda status: True)
        assert status["latch"]["state"] == "close_only", "the ledger remembers, whatever became of the file"
        assert "it is odd" in status["latch"]["why"]
        assert "is open again" in told("kill", "--clear")
        until(tmp_path, daemon, lambda status: len(protected(status)) >= 1)
        daemon.end(signal.SIGKILL)
    assert socket_file.exists()
    assert status_of(tmp_path) is None, "a dead daemon's socket is nobody"

    assert "nothing is closed or cancelled" in told("kill", "hard", "--yes", code=ExitCode.NOT_RUNNING)
    with Daemon(tmp_path, extra) as daemon:
        status = until(tmp_path, daemon, lambda status: not status["positions"] and not status["leaving"])
        assert (status["latch"]["state"], status["latch"]["why"]) == ("halt", "file")
        assert "flatten" in {trade["exit_reason"] for trade in aiq_json(tmp_path, "show-trades", extra=extra)[-1:]}
        assert not [line for line in daemon.lines("intent") if line["action"] in ("OPEN", "ADD")]
        assert "is open again" in told("kill", "--clear")
        assert not kill_file.exists()
        assert aiq_json(tmp_path, "status", extra=extra)["latch"]["state"] == "open"
        assert daemon.end(signal.SIGTERM) == 0, daemon.text[-3000:]

    told("kill", "soft")
    assert "no daemon runs on" in told("kill", "--clear")
    assert "sound" in told("db", "check")
    told("replay", "latest", "--verify")
