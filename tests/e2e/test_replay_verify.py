"""A live run under faults, killed in the middle and started again, replayed: the same decisions, effects and ledger.

The real daemon on a local venue over loopback. One run, recorded once, serves every test here.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.session_files.reader import SessionReader
from config.variables import MASTER_KEY_CONSENT
from ports.session_log import Tag
from tests.daemon_process import Daemon, aiq
from tests.hyperliquid_rigs import VenueControl
from tests.session_edits import edited, entries_of
from tests.venue_process import venue

pytestmark = [pytest.mark.xdist_group("replay"), pytest.mark.timeout(900)]

SYMBOLS = "BTC,ETH,SOL,DOGE"
PLACES = (("UTC", "C"), ("Asia/Kolkata", "C.UTF-8"), ("America/St_Johns", "POSIX"), ("Pacific/Chatham", "C"))
OVERRIDES = """\
global:
  trade:
    entry_min_confidence: low
    enable_reef_filter: false
    enable_ssf_filter: false
    reentry_cooldown_minutes: 0
    sl_atr_mult: {stop}
"""
NO_MATCH = {
    "status": "ok",
    "response": {
        "type": "order",
        "data": {"statuses": [{"error": "Order could not immediately match against any resting orders. asset=1"}]},
    },
}
FAULTS = [
    {"fault": "duplicate_frames", "match": {"channel": "userFills"}},
    {"fault": "duplicate_frames", "match": {"channel": "orderUpdates"}, "when": {"probability": 0.5}},
    {"fault": "disconnect", "when": {"at_ms": 30_000, "every_ms": 23_000}},
    {
        "fault": "refuse",
        "match": {"action": "order"},
        "when": {"nth": 2, "every": 6},
        "with": {"status": 200, "body": "text", "text": json.dumps(NO_MATCH)},
    },
    {"fault": "lose_reply", "match": {"action": "order"}, "when": {"nth": 3, "every": 5}},
    {
        "fault": "refuse",
        "match": {"request_type": "orderStatus"},
        "with": {"status": 429},
        "when": {"probability": 0.1},
    },
]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A folder with two sessions of one ledger: the first was killed, the second stopped."""

    folder: Path
    killed: Path
    stopped: Path

    def aiq(self, *arguments: str, extra: dict[str, str] | None = None) -> Any:
        return aiq(self.folder, *arguments, extra=extra)

    def replayed(self, session: Path, *options: str, extra: dict[str, str] | None = None, code: int = 0) -> Any:
        done = self.aiq("replay", str(session), "--json", *options, extra=extra)
        assert done.returncode == code, done.stderr + done.stdout[-3000:]
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("replay")
    faults = folder / "faults.json"
    faults.write_text(json.dumps(FAULTS))
    ledger = folder / "ledger.sqlite"
    with venue(folder, "--faults", str(faults), "--seed", "5") as (_, ready):
        control = VenueControl(ready)
        overrides = folder / "overrides.yaml"
        overrides.write_text(OVERRIDES.format(stop=2))
        settings = {
            "AI_QUANT_MODE": "live",
            "AI_QUANT_NETWORK": "local",
            "AI_QUANT_VENUE_URL": ready["url"],
            "AI_QUANT_ACCOUNT_ADDRESS": control.user,
            "AI_QUANT_AGENT_KEY": control.key,
            "AI_QUANT_MASTER_KEY_CONSENT": MASTER_KEY_CONSENT,
            "AI_QUANT_SYMBOLS": SYMBOLS,
            "AI_QUANT_INTERVAL": "1m",
            "AI_QUANT_STRATEGY": "tests.eager_strategy:analyze",
            "AI_QUANT_STRATEGY_YAML": str(overrides),
            "AI_QUANT_DB_PATH": str(ledger),
            "AI_QUANT_SESSION_SEGMENT_MB": "1",
        }
        with Daemon(folder, settings) as daemon:
            daemon.wait_for(lambda _: fills_in(ledger) >= 2, 270)
            control.operate("trade", user=control.user, coin="BTC", side="buy", size="0.002")
            overrides.write_text(OVERRIDES.format(stop=0.5))
            daemon.wait_for(lambda each: "config_reloaded" in each.text, 30)
            booked = fills_in(ledger)
            daemon.wait_for(lambda _: fills_in(ledger) > booked, 180)
            assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
        with Daemon(folder, settings) as daemon:
            booked = fills_in(ledger)
            # What was on its way when it was killed may be booked at once: it has to decide anew, too.
            daemon.wait_for(has_acted, 270)
            daemon.wait_for(lambda _: fills_in(ledger) > booked, 180)
            time.sleep(3)
            assert daemon.end(signal.SIGTERM) == 0, daemon.text[-3000:]
            assert control.key.removeprefix("0x") not in daemon.text
        secret = control.key.removeprefix("0x").lower()
    first, second = sorted((folder / "sessions").iterdir(), key=lambda each: each.name)
    for session in (first, second):
        assert secret not in (session / "manifest.json").read_text().lower()
        assert not any(secret in str(entry).lower() for entry in entries_of(session))
    return Recorded(folder, first, second)


def has_acted(daemon: Daemon) -> bool:
    return any(line["verdict"] in ("OPEN", "ADD", "CLOSE") for line in daemon.lines("decision"))


def fills_in(ledger: Path) -> int:
    if not ledger.exists():
        return 0
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        try:
            return int(database.execute("SELECT count(*) FROM fills").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def head_of(ledger: Path) -> str:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        return bytes(database.execute("SELECT head_hash FROM meta").fetchone()[0]).hex()


def kinds_in(session: Path) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for entry in entries_of(session):
        kinds[entry[0]] += 1
        if entry[0] == Tag.EVENT:
            kinds[entry[3]] += 1
        if entry[0] == Tag.LINE:
            kinds[entry[2]] += 1
        if entry[0] == Tag.STEP:
            kinds.update(fact["fact"] for fact in entry[2])
    return kinds


def test_both_sessions_are_replayed_to_the_last_digest(run: Recorded) -> None:
    killed, stopped = run.replayed(run.killed, "--verify"), run.replayed(run.stopped, "--verify")
    assert killed["verified"] and stopped["verified"]
    assert not killed["ended"] and stopped["ended"]
    assert stopped["ledger_digest"] == head_of(run.folder / "ledger.sqlite")
    assert SessionReader(run.stopped).manifest.previous == run.killed.name
    assert {"digest", "events", "decisions", "wall_s", "events_per_s", "speedup"} <= stopped.keys()
    for session in (killed, stopped):
        assert session["events"] > 50 and session["decisions"] and session["intents"] and session["fills"]


def test_it_was_a_run_worth_replaying(run: Recorded) -> None:
    kinds = kinds_in(run.killed) + kinds_in(run.stopped)
    lost = kinds["lost"]
    assert lost >= 2, "connections were lost"
    assert kinds["overrides"] >= 2 and kinds["config"] >= 3, "the config was reloaded"
    wanted = ("recovered", "answered", "account", "timer", "history", "fill", "intent", "order")
    assert [each for each in wanted if not kinds[each]] == []
    outcomes = {
        (entry[4]["outcome"]["is"], entry[4]["outcome"].get("reason"))
        for session in (run.killed, run.stopped)
        for entry in entries_of(session)
        if entry[0] == Tag.EVENT and entry[3] == "outcome"
    }
    assert outcomes >= {("Accepted", None), ("Unknown", None), ("Rejected", "no_immediate_match")}
    frames = [entry[4] for session in (run.killed, run.stopped) for entry in entries_of(session) if entry[0] == "f"]
    told = Counter(text for text in frames if '"userFills"' in text and '"isSnapshot":true' not in text)
    assert max(told.values()) >= 2, "fills were told twice"


def test_neither_hash_seed_nor_place_changes_a_thing(run: Recorded) -> None:
    digests = set()
    for seed in range(8):
        zone, locale = PLACES[seed % len(PLACES)]
        place = {"PYTHONHASHSEED": str(seed), "TZ": zone, "LC_ALL": locale}
        found = run.replayed(run.stopped, "--verify", extra=place)
        digests.add((found["digest"], found["ledger_digest"], found["events"]))
    assert len(digests) == 1


def test_the_whole_ledger_comes_out_of_the_two(run: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "again.sqlite"
    done = run.aiq("replay", str(run.stopped), "--export-ledger", str(out))
    assert done.returncode == 0, done.stderr
    assert head_of(out) == head_of(run.folder / "ledger.sqlite")
    assert fills_in(out) == fills_in(run.folder / "ledger.sqlite")
    assert run.aiq("db", "check", "--db", str(out)).returncode == 0
    assert run.aiq("replay", str(run.stopped), "--export-ledger", str(out)).returncode == 5, "never over a file"


def test_one_changed_byte_is_named_by_its_own_hash(run: Recorded, tmp_path: Path) -> None:
    broken = tmp_path / run.stopped.name
    broken.mkdir()
    for path in run.stopped.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    segment = sorted(broken.glob("*.zst"))[0]
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    done = run.aiq("replay", str(broken), "--verify")
    assert done.returncode == 8
    assert segment.name in done.stderr and "record" in done.stderr and "--salvage" in done.stderr
    salvaged = run.replayed(broken, "--salvage", code=8)
    whole = run.replayed(run.stopped)
    assert 0 < salvaged["events"] < whole["events"] and salvaged["difference"] is None


def test_a_changed_price_is_named_by_the_first_event_that_differs(run: Recorded, tmp_path: Path) -> None:
    expected: list[int] = []

    def change(entries: list[list[Any]]) -> None:
        """The last quote before the first order is another one."""
        end, intent, seq = next(
            (place, fact["intent"], entry[1])
            for place, entry in enumerate(entries)
            if entry[0] == Tag.STEP
            for fact in entry[2]
            if fact["fact"] == "intent" and fact["intent"]["key"]["action"] == "OPEN"
        )
        for entry in reversed(entries[:end]):
            if (
                entry[0] == Tag.FRAME
                and entry[4].startswith('{"channel":"bbo"')
                and intent["key"]["symbol"] in entry[4]
            ):
                frame = json.loads(entry[4])
                for side in frame["data"]["bbo"]:
                    side["px"] = str(round(float(side["px"]) * 1.01, 2))
                entry[4] = json.dumps(frame)
                expected.append(seq)
                return
        raise AssertionError("there was a quote")

    folder = edited(run.killed, tmp_path / "edited", change)
    found = run.replayed(folder, "--verify", "--ignore-hashes", code=1)
    assert found["difference"]["seq"] == expected[0]
    done = run.aiq("replay", str(folder), "--verify", "--ignore-hashes")
    assert done.returncode == 1
    assert f"first difference at seq {expected[0]}" in done.stdout
    assert "--- recorded" in done.stdout and "+++ replayed" in done.stdout and "events before it" in done.stdout


def test_a_replay_can_stop_before_its_end(run: Recorded) -> None:
    assert run.replayed(run.stopped, "--until", "50")["last_seq"] == 50
    whole = run.replayed(run.stopped)
    middle = (whole["first_ms"] + whole["last_ms"]) // 2
    part = run.replayed(run.stopped, "--until", str(middle))
    assert part["last_ms"] <= middle and 0 < part["events"] < whole["events"]


def test_what_if(run: Recorded, tmp_path: Path) -> None:
    same, wide = tmp_path / "same.yaml", tmp_path / "wide.yaml"
    same.write_text(OVERRIDES.format(stop=0.5))
    wide.write_text(OVERRIDES.format(stop=8))
    unchanged = run.replayed(run.stopped, "--what-if", str(same))
    assert unchanged["change"] == {"decisions": [], "intents": [], "trades": [], "pnl_usd": 0}
    assert unchanged["recorded_fills"] > 0, "what really happened is told apart"
    changed = run.replayed(run.stopped, "--what-if", str(wide))
    assert changed["digest"] == unchanged["digest"], "as recorded is as recorded"
    assert changed["change"]["intents"], "stops are orders"
    done = run.aiq("replay", str(run.stopped), "--what-if", str(tmp_path / "absent.yaml"))
    assert done.returncode == 3 and "absent.yaml" in done.stderr
