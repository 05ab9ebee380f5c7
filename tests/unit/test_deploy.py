"""What deploy/ ships: a unit that systemd accepts and finds tight, a container that is small in rights."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.hyperliquid.keys import KEYSTORE_CREDENTIAL, KEYSTORE_VARIABLE, PASSPHRASE_CREDENTIAL
from application.supervisor import STOP_DEADLINE_S
from config.variables import VARIABLES
from entrypoints.exit_codes import ExitCode
from entrypoints.service_notify import PINGS_PER_WATCHDOG, STATUS_EVERY_S

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "ai-quant.service"
INSTALLED_PYTHON = "/opt/ai-quant/venv/bin/python"
HIGHEST_EXPOSURE = 2.0
FINAL = {ExitCode.USAGE, ExitCode.CONFIGURATION, ExitCode.REFUSED, ExitCode.HELD}
"""Codes after which a start would end the same way."""

Directives = dict[str, list[str]]


def sections() -> dict[str, Directives]:
    """The unit's directives by section, each with all its values in order."""
    found: dict[str, Directives] = {}
    here: Directives = {}
    for line in UNIT.read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            here = found.setdefault(match[1], {})
        elif line and not line.startswith("#"):
            name, value = line.split("=", 1)
            here.setdefault(name, []).append(value)
    return found


def seconds(span: str) -> float:
    """A span as systemd reads it: a bare number is seconds."""
    match = re.fullmatch(r"(\d+)(s|min|h)?", span)
    assert match, span
    return int(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2] or "s"]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no systemd-analyze here; the other tests of this file read the unit themselves")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60, check=False)


# ── the service ──────────────────────────────────────────────────────────────────────────────────


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """With a Python that is there: where ours is installed is the operator's matter."""
    text = UNIT.read_text()
    assert text.count(INSTALLED_PYTHON) == 1
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(INSTALLED_PYTHON, sys.executable))
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(copy))
    ours = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    assert (done.returncode, ours) == (0, [])


def test_systemd_finds_it_little_exposed() -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(UNIT))
    match = re.search(r"Overall exposure level for ai-quant\.service: ([\d.]+)", done.stdout)
    assert match, done.stdout + done.stderr
    assert float(match[1]) <= HIGHEST_EXPOSURE


def test_the_loop_is_watched_and_a_stop_has_time() -> None:
    service = sections()["Service"]
    assert service["Type"] == ["notify"] and service["NotifyAccess"] == ["main"]
    watchdog_s = seconds(service["WatchdogSec"][0])
    assert watchdog_s / PINGS_PER_WATCHDOG >= 5 and watchdog_s > STATUS_EVERY_S * 2
    assert service["KillSignal"] == ["SIGTERM"]
    assert seconds(service["TimeoutStopSec"][0]) >= STOP_DEADLINE_S * 4
    assert service["LimitCORE"] == ["0"], "the watchdog's SIGABRT leaves no core file with a key in it"


def test_it_starts_again_after_a_failure_but_does_not_flap() -> None:
    found = sections()
    assert found["Service"]["Restart"] == ["on-failure"]
    assert {int(code) for code in found["Service"]["RestartPreventExitStatus"][0].split()} == FINAL
    burst, interval_s = int(found["Unit"]["StartLimitBurst"][0]), seconds(found["Unit"]["StartLimitIntervalSec"][0])
    assert burst * seconds(found["Service"]["RestartSec"][0]) < interval_s, "or the limit is never reached"
    assert not [name for name in found["Service"] if name.startswith("StartLimit")], "there it would be ignored"


def test_it_runs_our_module_from_nowhere_in_particular() -> None:
    [command] = sections()["Service"]["ExecStart"]
    assert command == f"{INSTALLED_PYTHON} -P -m entrypoints.daemon"


def test_its_credentials_and_variables_have_the_names_that_the_daemon_reads() -> None:
    service = sections()["Service"]
    assert service["LoadCredential"] == [KEYSTORE_CREDENTIAL, PASSPHRASE_CREDENTIAL]
    given = dict(pair.split("=", 1) for line in service["Environment"] for pair in line.split())
    assert {name for name in given if name.startswith("AI_QUANT_")} <= {variable.name for variable in VARIABLES}
    assert KEYSTORE_VARIABLE not in given, "it would beat the credential"
    assert "ExecStartPre" not in service, "no copy of a key is made"
    assert given["AI_QUANT_USER_DIR"] == f"%S/{service['StateDirectory'][0]}" == service["WorkingDirectory"][0]


def test_its_folders_and_files_are_its_users_alone() -> None:
    service = sections()["Service"]
    assert service["User"] == service["Group"] == ["ai-quant"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert service["UMask"] == ["0077"] and service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""] and service["NoNewPrivileges"] == ["yes"]


# ── the container ────────────────────────────────────────────────────────────────────────────────


def instructions() -> list[tuple[str, str]]:
    joined = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in lines)]


def of(name: str) -> list[str]:
    return [rest for each, rest in instructions() if each == name]


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    [service] = loaded["services"].values()
    return {**service, "named": loaded["volumes"]}


def test_the_image_is_made_from_the_lock_and_names_no_registry() -> None:
    for file in DEPLOY.iterdir():
        assert not re.search(r"https?://|--index-url|--extra-index|registry\.", file.read_text()), file
    assert {line.split()[0] for line in of("FROM")} == {"python:3.13-slim"}
    [install] = [line for line in of("RUN") if "pip install" in line]
    assert "--require-hashes" in install and "--no-deps" in install and "--only-binary :all:" in install
    assert ("COPY", "requirements/run.lock /tmp/run.lock") in instructions()


def test_the_image_holds_the_wheels_packages_and_nothing_else_of_ours() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = [line.split() for line in of("COPY") if not line.startswith("--from")]
    version = "pyproject.toml"  # where recordings find the name of this version
    assert [source for source, _ in copied] == ["requirements/run.lock", *wheel["packages"], version]
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert allowed == {source for source, _ in copied}


def test_the_container_runs_as_nobody_in_particular() -> None:
    assert of("USER") == ["10001:10001"] and compose()["user"] == "10001:10001"
    order = [name for name, _ in instructions()]
    assert "RUN" not in order[order.index("USER") :], "nothing is made with the rights of the one who runs"
    assert compose()["read_only"] is True and compose()["cap_drop"] == ["ALL"]
    assert compose()["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in compose() and "ports" not in compose()


def test_what_is_written_goes_into_a_volume() -> None:
    assert of("VOLUME") == ['["/data"]'] and of("WORKDIR") == ["/data"]
    [volume] = compose()["volumes"]
    name, _, folder = volume.partition(":")
    assert name in compose()["named"] and folder == "/data"
    assert "AI_QUANT_USER_DIR=/data" in of("ENV")[0]


def test_the_container_is_asked_and_stopped_as_the_daemon_needs_it() -> None:
    [health] = of("HEALTHCHECK")
    assert health.endswith(f'CMD ["{INSTALLED_PYTHON}", "-P", "-m", "entrypoints.healthcheck"]')
    assert of("ENTRYPOINT") == [f'["{INSTALLED_PYTHON}", "-P", "-m", "entrypoints.daemon"]']
    assert of("STOPSIGNAL") == ["SIGTERM"]
    assert seconds(compose()["stop_grace_period"]) >= STOP_DEADLINE_S * 4
    assert re.fullmatch(r"on-failure:\d+", compose()["restart"]), "a number of restarts that has an end"
