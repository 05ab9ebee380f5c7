"""One soak: the real daemon for hours on a local market in time-lapse, watched from outside until it is stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.daemon_process import aiq, environment
from tests.soak.picture import picture_of
from tests.soak.samples import DecidedCandles, Sample, sample_of
from tests.soak.verdict import Caps, Ending, report_of

SESSIONS_CAP_GB = "0.1"
LOG_FILE_MB, LOG_FILES_KEPT = 1, 3
DECISIONS_KEPT = 100_000
"""Some hours of two hundred symbols, so that the oldest go all the time."""
SAMPLE_S = 5.0
LOOK_EACH = 4
"""Samples from one look at the decisions to the next."""
SAY_S = 60.0
START_S = 120.0
STOP_S = 60.0
SPARE_S = 600
"""So much later the daemon stops by itself, should nobody be left to stop it."""

OVERRIDES = """\
global:
  trade:
    entry_min_confidence: low
    reentry_cooldown_minutes: 1
    max_open_positions: 30
    max_notional_usd_per_order: 200
  risk:
    max_entry_orders_per_minute: 100
"""
"""Small orders of a large account: it trades all the time, and has not lost its money after a month of it."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    hours: float
    symbols: int
    scale: float
    folder: Path

    @property
    def caps(self) -> Caps:
        # The file in use and the ones kept; a line may be the one that is too much.
        log_mib = (LOG_FILES_KEPT + 1) * LOG_FILE_MB * 1.05
        return Caps(float(SESSIONS_CAP_GB) * 1e9 / 2**20, log_mib)


class Soak:
    def __init__(self, plan: Plan, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._samples: list[Sample] = []
        self._decided = DecidedCandles(plan.symbols)
        self._port = _free_port()

    def run(self) -> dict[str, Any]:
        """Run to its end, or to Ctrl-C, and report what was seen; `interrupted` says which. All files stay."""
        plan = self._plan
        plan.folder.mkdir(parents=True, exist_ok=True)
        out = plan.folder / "output.log"
        interrupted = False
        with out.open("w") as file:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "entrypoints.daemon"],
                env=_environment(plan, self._port),
                cwd=plan.folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the soak, which then stops the daemon
            )
            try:
                self._watch(daemon)
            except KeyboardInterrupt:
                interrupted = True
                self._say("interrupted: stopping the daemon, and judging what there is")
            finally:
                exit_code = _stopped(daemon)
        checked = aiq(plan.folder, "db", "check", "--db", str(plan.folder / "soak.sqlite"))
        ending = Ending(exit_code, checked.returncode, checked.stdout + checked.stderr, out)
        report = report_of(self._samples, plan.scale, plan.caps, self._decided, ending)
        report = {"symbols": plan.symbols, "scale": plan.scale, "interrupted": interrupted, **report}
        report["picture"] = str(plan.folder / "soak.svg")
        (plan.folder / "soak.svg").write_text(picture_of(self._samples, plan.scale))
        (plan.folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        return report

    def _watch(self, daemon: subprocess.Popen[bytes]) -> None:
        started_s = time.monotonic()
        end_s = started_s + self._plan.hours * 3_600
        decisions = self._plan.folder / "soak.decisions.sqlite"
        while not decisions.exists() or _heartbeats(self._plan.folder) == 0:
            if daemon.poll() is not None or time.monotonic() > started_s + START_S:
                return  # the report says how it ended
            time.sleep(0.5)
        said_s = 0.0
        with (self._plan.folder / "samples.jsonl").open("w", buffering=1) as file:
            while time.monotonic() < end_s and daemon.poll() is None:
                try:
                    sample = sample_of(daemon.pid, self._plan.folder, started_s, self._port)
                except ProcessLookupError:
                    break
                self._samples.append(sample)
                file.write(json.dumps(asdict(sample)) + "\n")
                if len(self._samples) % LOOK_EACH == 0:
                    self._decided.look(decisions)
                if sample.at_s - said_s >= SAY_S:
                    said_s = sample.at_s
                    self._say(self._progress(sample))
                time.sleep(max(0.0, min(SAMPLE_S, end_s - time.monotonic())))
        self._decided.look(decisions)

    def _progress(self, sample: Sample) -> str:
        days = sample.at_s * self._plan.scale / 86_400
        return (
            f"{sample.at_s / 60:.0f} min, {days:.2f} days: RSS {sample.rss_mib:.1f} MiB, {sample.fds} fds, "
            f"{sample.threads} threads, {sample.tasks if sample.tasks is not None else '?'} tasks, "
            f"{sample.positions} positions, {sample.fills} fills, {self._decided.candles} candles, "
            f"{self._decided.missing} decisions missing, sessions {sample.sessions_mib:.0f} MiB, "
            f"log {sample.log_mib:.1f} MiB, ledger {sample.ledger_mib:.1f} MiB"
        )


def _environment(plan: Plan, port: int) -> dict[str, str]:
    overrides = plan.folder / "overrides.yaml"
    overrides.write_text(OVERRIDES)
    own = {
        "AI_QUANT_MODE": "paper",
        "AI_QUANT_NETWORK": "local",
        "AI_QUANT_LOCAL_SYMBOLS": str(plan.symbols),
        "AI_QUANT_TIME_SCALE": str(plan.scale),
        "AI_QUANT_PAPER_BALANCE": "10000000",
        "AI_QUANT_STRATEGY_YAML": str(overrides),
        "AI_QUANT_DB_PATH": str(plan.folder / "soak.sqlite"),
        "AI_QUANT_DECISIONS_KEEP": str(DECISIONS_KEPT),
        "AI_QUANT_SESSIONS_CAP_GB": SESSIONS_CAP_GB,
        "AI_QUANT_SESSION_SEGMENT_MB": "16",
        "AI_QUANT_LOG_FILE": str(plan.folder / "daemon.log"),
        "AI_QUANT_LOG_FILE_MB": str(LOG_FILE_MB),
        "AI_QUANT_LOG_FILES_KEPT": str(LOG_FILES_KEPT),
        "AI_QUANT_METRICS_PORT": str(port),
        "AI_QUANT_HEARTBEAT_SECS": "5",
        "AI_QUANT_RUN_FOR": f"{round(plan.hours * 3_600) + SPARE_S}s",
    }
    shell = {name: value for name, value in environment(plan.folder).items() if not name.startswith("AI_QUANT_")}
    return {**shell, "AI_QUANT_USER_DIR": str(plan.folder), "AI_QUANT_LOG_FORMAT": "json", **own}


def _heartbeats(folder: Path) -> int:
    return (folder / "output.log").read_text(errors="replace").count('"event": "heartbeat"')


def _stopped(daemon: subprocess.Popen[bytes]) -> int:
    """Stop it as a service manager would; killed where that is not enough, which the exit status tells."""
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
    try:
        return daemon.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.kill(daemon.pid, signal.SIGKILL)
        return daemon.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
