"""`./aiq download-data`, `verify-data --online` and a backtest on what came, against a local venue in its own process.

The venue's time is stepped: no candle closes unless the test says so, and the client goes by the venue's time.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from adapters.hyperliquid.history import candles_weight
from tests.daemon_process import PATIENCE_S, ROOT, Daemon, aiq, environment
from tests.sqlite_files import run_sql
from tests.venue_process import venue as running_venue

pytestmark = pytest.mark.xdist_group("data_commands")

MINUTE = 60_000
META, CLOCK = 20, 2
"""What it costs to ask which markets there are, and for the time."""
KEPT = 4_998


class Venue:
    def __init__(self, ready: dict[str, Any]) -> None:
        self.url: str = ready["url"]
        self._control: str = ready["control_url"]
        self.advance(MINUTE - ready["time"] % MINUTE + 10_000)

    def advance(self, by_ms: int) -> None:
        """Let the market live on."""
        requests.post(self._control + "/time", json={"advance_ms": by_ms}, timeout=10).raise_for_status()

    def snapshots(self) -> int:
        """How often candles were asked for so far."""
        text = requests.get(self._control + "/log", params={"kind": "request"}, timeout=10).text
        bodies = [json.loads(line)["body"] for line in text.splitlines()]
        return sum(isinstance(body, dict) and body.get("type") == "candleSnapshot" for body in bodies)

    @contextmanager
    def faulty(self, rule: dict[str, Any]) -> Iterator[None]:
        requests.post(self._control + "/faults", json=rule, timeout=10).raise_for_status()
        try:
            yield
        finally:
            requests.delete(self._control + "/faults", timeout=10).raise_for_status()

    def refusing(self, request_type: str) -> AbstractContextManager[None]:
        return self.faulty({"fault": "refuse", "with": {"status": 400}, "match": {"request_type": request_type}})


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with running_venue(tmp_path_factory.mktemp("venue"), "--symbols", "4", "--stepped", "--no-limits") as (_, ready):
        yield Venue(ready)


class Desk:
    """A user folder, and the commands in it."""

    def __init__(self, folder: Path, venue: Venue) -> None:
        self.folder, self.venue = folder, venue
        folder.mkdir(exist_ok=True)
        self.path = folder / "market.sqlite"
        self.extra = {
            "AI_QUANT_NETWORK": "local",
            "AI_QUANT_VENUE_URL": venue.url,
            "AI_QUANT_MARKET_DB_PATH": str(self.path),
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = aiq(self.folder, *arguments, extra=self.extra)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *arguments: str, status: int = 0) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    def download(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = self.json("download-data", *arguments)
        return found


@pytest.fixture
def desk(tmp_path: Path, venue: Venue) -> Desk:
    return Desk(tmp_path / "user", venue)


def test_a_second_download_costs_almost_nothing_and_two_machines_can_compare(desk: Desk, venue: Venue) -> None:
    arguments = ("--symbols", "BTC,HYPE", "--interval", "1m,1h", "--days", "30")
    first = desk.download(*arguments)
    assert [(row["symbol"], row["interval"], row["new"]) for row in first["rows"]] == [
        ("BTC", "1m", KEPT),
        ("HYPE", "1m", KEPT),
        ("BTC", "1h", 720),
        ("HYPE", "1h", 720),
    ]
    assert first["weight"] == META + CLOCK + 2 * 104 + 2 * candles_weight(720), "5,000 rows, no lead before the oldest"
    asked = venue.snapshots()
    second = desk.download(*arguments)
    assert second["weight"] == META + CLOCK
    assert venue.snapshots() == asked
    assert (second["new"], second["known"], second["revised"]) == (0, first["new"], 0)

    venue.advance(3 * MINUTE)
    third = desk.download(*arguments)
    assert [row["new"] for row in third["rows"][:2]] == [3, 3]
    assert venue.snapshots() - asked in (2, 4), "an hour may have ended too"
    assert third["weight"] <= META + CLOCK + 4 * candles_weight(3)

    other = Desk(desk.folder / "other", venue)
    other.download("--symbols", "HYPE", "--interval", "1h", "--days", "30")
    theirs = other.json("verify-data")
    # Ours has the oldest hour still, if one has ended meanwhile.
    run_sql(desk.path, f"DELETE FROM candles WHERE open_ms < {theirs['rows'][0]['first_ms']}")
    assert desk.json("verify-data", "--symbols", "HYPE", "--interval", "1h")["sha256"] == theirs["sha256"]


def test_people_are_told_how_far_back_it_went_and_what_came(desk: Desk) -> None:
    done = desk("download-data", "--top", "2", "--interval", "1m", "--days", "30")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["BTC", "ETH"], "traded most"
    assert "1m: the venue keeps the newest 5,000 candles: from " in lines[3]
    assert lines[4].startswith(f"{2 * KEPT:,} new candles, 0 revised, 0 known before; weight ")
    assert "downloading: 100%" in done.stderr


def test_what_verify_finds_its_own_command_repairs(desk: Desk) -> None:
    """A gap, a candle that the stream had otherwise, an impossible one, and a confirmed one that differs."""
    desk.download("--symbols", "BTC,ETH", "--interval", "5m", "--days", "2")
    newest = run_sql(desk.path, "SELECT max(open_ms) FROM candles")[0][0]
    length = 5 * MINUTE
    run_sql(
        desk.path,
        f"DELETE FROM candles WHERE symbol = 'BTC' AND open_ms IN ({newest - 9 * length}, {newest - 8 * length})",
        f"UPDATE candles SET c = l, confirmed = 0 WHERE symbol = 'BTC' AND open_ms = {newest - 5 * length}",
    )
    found = desk.json("verify-data", status=8)
    assert [(row["symbol"], row["missing"], len(row["gaps"])) for row in found["rows"]] == [
        ("BTC", 2, 1),
        ("ETH", 0, 0),
    ]
    (todo,) = found["todo"]
    assert todo["command"] == "./aiq download-data --symbols BTC --interval 5m --days 1"
    repaired = desk.download(*todo["command"].split()[2:])
    assert (repaired["new"], repaired["revised"]) == (2, 1)

    run_sql(
        desk.path,
        f"UPDATE candles SET v = v + 1 WHERE symbol = 'ETH' AND open_ms = {newest - 3 * length}",
        f"UPDATE candles SET h = l / 2 WHERE symbol = 'BTC' AND open_ms = {newest - 2 * length}",
    )
    before = desk.path.read_bytes()
    found = desk.json("verify-data", "--online", status=8)
    assert desk.path.read_bytes() == before, "nothing is changed"
    assert [(len(row["violations"]), len(row["differences"]), row["compared"]) for row in found["rows"]] == [
        (1, 1, 576),
        (0, 1, 576),
    ]
    (difference,) = found["rows"][1]["differences"]
    assert difference["open_ms"] == newest - 3 * length
    assert difference["stored"][4] == difference["venue"][4] + 1
    assert desk.download(*arguments_of(found))["revised"] == 2
    done = desk("verify-data", "--online")
    assert done.returncode == 0, done.stdout
    revised = run_sql(desk.path, "SELECT symbol, count(*) FROM candle_revisions GROUP BY symbol ORDER BY symbol")
    assert revised == [("BTC", 2), ("ETH", 1)]


def arguments_of(found: dict[str, Any]) -> list[str]:
    (todo,) = found["todo"]
    words: list[str] = todo["command"].split()
    assert words[-1] == "--again"
    return words[2:]


def test_a_backtest_on_the_store_is_the_one_on_a_file_of_the_same_candles(desk: Desk, tmp_path: Path) -> None:
    desk.download("--symbols", "BTC,ETH", "--interval", "15m", "--days", "9")
    csv = tmp_path / "candles.csv"
    rows = run_sql(desk.path, "SELECT symbol, open_ms, o, h, l, c, v FROM candles ORDER BY symbol, open_ms")
    csv.write_text("\n".join(["symbol,t,o,h,l,c,v", *(",".join(map(str, row)) for row in rows)]) + "\n")
    stored = desk.json("backtesting", "--from-store", "--interval", "15m", "--symbols", "BTC,ETH")
    assert stored["bars"] == len(rows) == 2 * 864
    assert stored["digest"] == desk.json("backtesting", "--candles", str(csv))["digest"]


def test_ctrl_c_keeps_what_has_come_and_the_next_one_goes_on_from_there(desk: Desk, venue: Venue) -> None:
    arguments = ("download-data", "--symbols", "BTC,ETH,SOL", "--interval", "1m", "--days", "1", "--json")
    hang = {"fault": "drop_request", "with": {"hang": True}, "match": {"request_type": "candleSnapshot"}}
    asked, deadline = venue.snapshots(), time.monotonic() + PATIENCE_S
    with (
        venue.faulty(hang | {"when": {"nth": 2}}),
        subprocess.Popen(
            [sys.executable, "-m", "entrypoints.cli", *arguments],
            env=environment(desk.folder, desk.extra),
            cwd=desk.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever runs this in the background ignores Ctrl-C, and would hand that down.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
        ) as running,
    ):
        while venue.snapshots() < asked + 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    found = json.loads(out)
    assert found["interrupted"]
    assert found["rows"][0]["new"] == rows_in(desk.path) == 1_440
    assert found["new"] == 1_440
    assert ([row["whole"] for row in found["rows"]], found["not_asked"]) == ([True, False], 1)
    rest = desk.download(*arguments[1:-1])
    assert [row["new"] for row in rest["rows"]] == [0, 1_440, 1_440]


def rows_in(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM candles").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # being made


def test_a_venue_that_has_no_such_symbol_or_refuses_to_say_leaves_no_file(desk: Desk, venue: Venue) -> None:
    done = desk("download-data", "--symbols", "BTC,hype", "--days", "1")
    assert done.returncode == 3
    assert "'hype'" in done.stderr and "did you mean 'HYPE'?" in done.stderr
    with venue.refusing("meta"):
        done = desk("download-data", "--symbols", "BTC", "--days", "1")
    assert done.returncode == 4
    assert venue.url in done.stderr
    assert not desk.path.exists()


def test_a_venue_that_falls_silent_is_4_and_what_came_is_kept(desk: Desk, venue: Venue) -> None:
    (before,) = desk.download("--symbols", "BTC", "--interval", "1h", "--days", "1")["rows"]
    with venue.refusing("candleSnapshot"):
        found = desk.json("download-data", "--symbols", "BTC,ETH,SOL,HYPE", "--interval", "1h", "--days", "2", status=4)
    assert [bool(row["problem"]) for row in found["rows"]] == [True] * 3
    assert (found["not_asked"], found["known"], before["new"]) == (1, 24, 24)


def test_everything_works_beside_a_running_daemon(tmp_path: Path) -> None:
    """On the market that `./run` starts for itself, in the file that the daemon is writing."""
    assert ROOT.is_dir()
    extra = {"AI_QUANT_SYMBOLS": "BTC"}
    path = tmp_path / "paper-local.market.sqlite"
    with Daemon(tmp_path, extra) as daemon:
        daemon.wait_for(lambda _: rows_in(path) > 2)
        done = aiq(tmp_path, "download-data", "--symbols", "BTC,ETH", "--interval", "1m", "--days", "1", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["new"] > 1_440
        held = rows_in(path)
        listed = aiq(tmp_path, "list-data", "--json")
        assert {row["symbol"] for row in json.loads(listed.stdout)} == {"BTC", "ETH"}
        verified = aiq(tmp_path, "verify-data", "--symbols", "ETH")
        assert verified.returncode == 0, verified.stderr
        daemon.wait_for(lambda _: rows_in(path) > held)
        assert daemon.end(signal.SIGINT) == 0, daemon.text[-3000:]
