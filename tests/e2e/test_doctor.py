"""`./aiq doctor` against local venues: each wrong set-up is named with its fix, and nothing is changed or sent."""

from __future__ import annotations

import json
import random
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account
from hyperliquid.exchange import Exchange  # type: ignore[import-untyped]

from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from tests.daemon_process import Daemon, aiq
from tests.venue_process import venue

pytestmark = pytest.mark.xdist_group("doctor")

Ready = dict[str, Any]
DAY_MS = 86_400_000
ONE_SYMBOL = {"AI_QUANT_NETWORK": "local", "AI_QUANT_SYMBOLS": "BTC"}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    with venue(tmp_path_factory.mktemp("venue"), "--symbols", "4", "--accounts", "8", "--no-limits") as (_, said):
        yield said


class SetUp:
    """A user folder and the settings of one live set-up on a local venue, with an agent of a toy account."""

    def __init__(self, folder: Path, ready: Ready, number: int, agent: str = "bot") -> None:
        self.folder, self.ready = folder, ready
        self.user_dir = folder / "user"
        given = ready["accounts"][number]
        self.master: str = given["address"].lower()
        self.exchange = Exchange(Account.from_key(given["key"]), ready["url"])
        self.agent = self.approve(agent)
        self.key_file = folder / "agent.key"
        self.key_file.write_text(self.agent.key.hex())
        self.key_file.chmod(0o600)
        self.more: dict[str, str] = {}

    def approve(self, name: str) -> Any:
        answer, key = self.exchange.approve_agent(name)
        assert answer["status"] == "ok", answer
        return Account.from_key(key)

    def environ(self) -> dict[str, str]:
        return {
            "AI_QUANT_MODE": "live",
            "AI_QUANT_NETWORK": "local",
            "AI_QUANT_USER_DIR": str(self.user_dir),
            "AI_QUANT_VENUE_URL": self.ready["url"],
            "AI_QUANT_ACCOUNT_ADDRESS": self.master,
            "AI_QUANT_AGENT_KEY_FILE": str(self.key_file),
            **self.more,
        }

    def doctor(self) -> Look:
        before = everything_in(self.folder)
        done = aiq(self.folder, "doctor", "--json", extra=self.environ())
        assert everything_in(self.folder) == before, "nothing was made, changed or removed"
        assert "Traceback" not in done.stderr
        assert not re.search("[0-9a-fA-F]{64}", done.stdout + done.stderr), "no key is shown"
        return Look(done.returncode, json.loads(done.stdout))

    def control(self, verb: str, path: str, body: object = None) -> Any:
        answer = requests.request(verb, self.ready["control_url"] + path, json=body, timeout=10)
        assert answer.ok, answer.text
        return answer


class Look:
    def __init__(self, status: int, said: dict[str, Any]) -> None:
        assert said["exit_code"] == status
        assert said["ok"] == (status == 0)
        self.status = status
        self.findings = said["findings"]

    def level(self, check: str) -> str:
        """The worst one of this check."""
        levels = [each["level"] for each in self.findings if each["check"] == check]
        return next(level for level in ("bad", "warning", "ok", "skipped") if level in levels)

    def text(self, check: str) -> str:
        return " | ".join(each["text"] for each in self.findings if each["check"] == check)

    @property
    def bad(self) -> list[str]:
        return [each["check"] for each in self.findings if each["level"] == "bad"]


def everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


def exchange_requests(set_up: SetUp) -> int:
    rows = [json.loads(line) for line in set_up.control("GET", "/log?kind=request").text.splitlines()]
    return sum(row["path"] == "/exchange" for row in rows)


def test_a_healthy_set_up_is_ok_throughout_and_sends_nothing(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 0)
    before = exchange_requests(set_up)
    look = set_up.doctor()
    assert look.status == 0, look.findings
    checks = "configuration key signature network clock symbols account agent requests database disk"
    assert {check: look.level(check) for check in checks.split()} == dict.fromkeys(checks.split(), "ok")
    assert set_up.agent.address.lower() in look.text("agent")
    assert "days" in look.text("agent")
    assert set_up.master in look.text("account")
    assert exchange_requests(set_up) == before > 0
    assert not set_up.user_dir.exists()


def test_people_get_lines_and_a_count(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 0)
    done = aiq(tmp_path, "doctor", extra=set_up.environ())
    assert done.returncode == 0
    assert re.search("^ok +clock ", done.stdout, re.MULTILINE)
    assert "0 bad, 0 warnings" in done.stderr


def test_the_agents_address_given_as_the_account_is_named_with_the_right_one(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 1)
    set_up.more["AI_QUANT_ACCOUNT_ADDRESS"] = set_up.agent.address
    look = set_up.doctor()
    assert look.status == 3
    assert "account" in look.bad
    assert (
        f"agent's address, for which every query answers empty: set it to the account of that agent, {set_up.master}"
        in (look.text("account"))
    )


def test_an_agent_of_somebody_else_is_refused(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 1)
    other = ready["accounts"][2]["address"].lower()
    set_up.more["AI_QUANT_ACCOUNT_ADDRESS"] = other
    look = set_up.doctor()
    assert (look.status, look.bad) == (3, ["agent"])
    assert f"is an agent of {set_up.master}, not of {other}" in look.text("agent")


def test_an_agent_that_was_replaced_is_not_known_any_more(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 3)
    set_up.approve("bot")
    look = set_up.doctor()
    assert (look.status, look.bad) == (3, ["agent"])
    assert "with a new key" in look.text("agent")


def test_an_agent_that_has_expired_is_refused_and_one_that_ends_soon_is_warned_about(
    tmp_path: Path, ready: Ready
) -> None:
    until = time.time_ns() // 1_000_000 + 4_000
    short, soon = tmp_path / "short", tmp_path / "soon"
    short.mkdir()
    soon.mkdir()
    expired = SetUp(short, ready, 4, f"short valid_until {until}")
    ending = SetUp(soon, ready, 5, f"soon valid_until {until + DAY_MS}")
    look = ending.doctor()
    assert (look.status, look.level("agent")) == (0, "warning")
    assert "ends in 24 hours" in look.text("agent")
    while time.time_ns() // 1_000_000 <= until:
        time.sleep(0.05)
    look = expired.doctor()
    assert (look.status, look.bad) == (3, ["agent"])
    assert "expired" in look.text("agent")


@pytest.mark.parametrize(
    ("off_ms", "level", "status", "side"),
    [(-3_000, "warning", 0, "ahead of"), (3_000, "warning", 0, "behind"), (8_000, "bad", 1, "behind")],
)
def test_a_clock_that_is_off(tmp_path: Path, ready: Ready, off_ms: int, level: str, status: int, side: str) -> None:
    set_up = SetUp(tmp_path, ready, 6)
    rule = {"fault": "clock_skew", "with": {"ms": off_ms}, "match": {"request_type": "exchangeStatus"}}
    (number,) = set_up.control("POST", "/faults", rule).json()["ids"]
    try:
        look = set_up.doctor()
    finally:
        set_up.control("DELETE", f"/faults/{number}")
    assert (look.level("clock"), look.status) == (level, status)
    assert f"s {side} the venue's" in look.text("clock")
    assert "NTP" in look.text("clock")


def test_a_venue_that_is_not_there_is_4_and_the_rest_is_still_looked_at(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 6)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        set_up.more["AI_QUANT_VENUE_URL"] = f"http://127.0.0.1:{taken.getsockname()[1]}"
        look = set_up.doctor()
    assert (look.status, look.bad) == (4, ["network"])
    assert look.level("signature") == look.level("database") == "ok"
    assert look.level("account") == "skipped"


def test_a_key_that_others_can_read_is_3_with_the_command_that_mends_it(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 6)
    set_up.key_file.chmod(0o644)
    look = set_up.doctor()
    assert (look.status, look.bad) == (3, ["key"])
    assert f"chmod 600 {set_up.key_file}" in look.text("key")
    assert look.level("account") == "ok", "the account can be looked at without a key"
    set_up.key_file.chmod(0o600)
    assert set_up.doctor().status == 0


def test_requests_that_are_used_up_are_bad(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 6)
    body = json.dumps({"cumVlm": "1.0", "nRequestsUsed": 10_001, "nRequestsCap": 10_001, "nRequestsSurplus": 0})
    rule = {
        "fault": "replace_answer",
        "match": {"request_type": "userRateLimit"},
        "with": {"status": 200, "body": "text", "text": body},
    }
    (number,) = set_up.control("POST", "/faults", rule).json()["ids"]
    try:
        look = set_up.doctor()
    finally:
        set_up.control("DELETE", f"/faults/{number}")
    assert (look.status, look.bad) == (4, ["requests"])


def test_dry_live_needs_no_key_and_says_so(tmp_path: Path, ready: Ready) -> None:
    set_up = SetUp(tmp_path, ready, 6)
    set_up.more["AI_QUANT_MODE"] = "dry_live"
    look = set_up.doctor()
    assert look.status == 0
    assert look.level("key") == look.level("agent") == "skipped"
    assert look.level("account") == "ok"


def test_a_configuration_that_cannot_be_read_is_3_with_every_problem(tmp_path: Path) -> None:
    done = aiq(tmp_path, "doctor", "--json", extra={"AI_QUANT_MODE": "lve", "AI_QUANT_SEED": "x"})
    look = Look(done.returncode, json.loads(done.stdout))
    assert (look.status, look.bad) == (3, ["configuration", "configuration"])
    assert "AI_QUANT_SEED" in look.text("configuration")


def test_paper_on_a_venue_of_our_own_starts_it_and_stops_it(tmp_path: Path) -> None:
    before = everything_in(tmp_path)
    done = aiq(tmp_path, "doctor", "--json")
    look = Look(done.returncode, json.loads(done.stdout))
    assert look.status == 0, look.findings
    assert look.level("network") == look.level("symbols") == "ok"
    assert look.level("key") == look.level("account") == look.level("clock") == "skipped"
    assert everything_in(tmp_path) == before


def test_the_ledger_of_a_running_daemon_a_killed_one_and_a_stopped_one(tmp_path: Path) -> None:
    with Daemon(tmp_path, ONE_SYMBOL) as daemon:
        daemon.wait_for(lambda running: bool(running.lines("warming_up")))
        look = _paper(tmp_path)
        assert (look.status, look.level("database")) == (0, "warning")
        assert f"process {daemon.process.pid} is writing it" in look.text("database")
    for end in ("killed", "stopped"):
        before = everything_in(tmp_path)
        look = _paper(tmp_path)
        assert look.status == 0
        assert "process" not in look.text("database")
        assert everything_in(tmp_path) == before, f"of a {end} daemon nothing is touched"
        with Daemon(tmp_path, {**ONE_SYMBOL, "AI_QUANT_RUN_FOR": "1"}) as again:
            assert again.process.wait(timeout=60) == 0, again.text[-3000:]
    assert _paper(tmp_path).level("database") == "ok"


def test_a_ledger_of_another_mode_is_5_and_a_damaged_one_is_8(tmp_path: Path) -> None:
    ledger = tmp_path / "paper-local.sqlite"
    identity = LedgerIdentity("paper", "local", "local")
    SqliteLedger(ledger, identity, created_ms=1, chance=random.Random(1)).close()
    look = _paper(tmp_path)
    assert (look.status, look.level("database")) == (0, "ok")
    ledger.chmod(0o644)
    look = _paper(tmp_path)
    assert (look.status, look.level("database")) == (0, "warning")
    assert f"chmod 600 {ledger}" in look.text("database")
    assert ledger.stat().st_mode & 0o777 == 0o644, "said, not done"
    look = _paper(tmp_path, {"AI_QUANT_MODE": "live", "AI_QUANT_DB_PATH": str(ledger)})
    assert (look.status, look.bad) == (5, ["database"])
    assert "mode paper" in look.text("database")
    ledger.write_bytes(b"not a database" * 500)
    look = _paper(tmp_path)
    assert (look.status, look.bad) == (8, ["database"])


def _paper(folder: Path, extra: dict[str, str] | None = None) -> Look:
    done = aiq(folder, "doctor", "--json", extra={**ONE_SYMBOL, **(extra or {})})
    assert "Traceback" not in done.stderr, done.stderr
    return Look(done.returncode, json.loads(done.stdout))
