"""`./aiq venue` as a user runs it: ready in one line, used by the official SDK, stopped by a signal."""

from __future__ import annotations

import csv
import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account
from hyperliquid.exchange import Exchange  # type: ignore[import-untyped]
from hyperliquid.info import Info  # type: ignore[import-untyped]
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from adapters.sim.market import SimMarket
from domain.candles import Interval
from entrypoints.local_venue import toy_account
from tests.daemon_process import PATIENCE_S, aiq
from tests.venue_process import VenueProcess, venue

DAY_MS = 86_400_000
RECORDED_MS = 1_767_571_200_000
CANDLES = 2 * 1_440


def info(ready: dict[str, Any], **request: object) -> Any:
    answer = requests.post(ready["url"] + "/info", json=request, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return answer.json()


# ── life and death ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_stops_cleanly(tmp_path: Path, number: int) -> None:
    with venue(tmp_path, "--symbols", "3", "--accounts", "2", "--balance", "1234.5") as (running, ready):
        assert ready["network"] == "testnet"
        assert ready["symbols"] == [coin["name"] for coin in info(ready, type="meta")["universe"]]
        assert len(ready["symbols"]) == 3
        assert len({account["address"] for account in ready["accounts"]}) == 2
        for account in ready["accounts"]:
            assert Account.from_key(account["key"]).address.lower() == account["address"]
            state = info(ready, type="clearinghouseState", user=account["address"])
            assert state["marginSummary"]["accountValue"] == "1234.5"
        assert running.end(number) == 0
        assert running.err.startswith("stopped after")
        assert "3 requests" in running.err
        assert "Traceback" not in running.err


def test_people_are_told_that_the_key_is_a_toy(tmp_path: Path) -> None:
    running = VenueProcess(tmp_path, "--symbols", "2")
    try:
        lines: list[str] = []
        while not (lines and lines[-1].startswith("Ctrl-C")):
            lines.append(running.line())
        assert running.end(signal.SIGINT) == 0
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()
    shown = dict(line.split(maxsplit=1) for line in lines[:8])
    assert shown["venue"].startswith("http://127.0.0.1:")
    assert shown["websocket"].startswith("ws://127.0.0.1:")
    assert shown["control"].startswith("http://127.0.0.1:")
    assert shown["key"].startswith("0x")
    assert "toys" in "".join(lines)
    assert running.out.splitlines()[-1].startswith("stopped after")


def test_the_key_follows_from_the_seed_and_is_the_address_s() -> None:
    accounts = [toy_account(seed, number) for seed in (1, 2) for number in (0, 1)]
    assert len({account.key for account in accounts}) == 4
    assert accounts[0] == toy_account(1, 0)
    for account in accounts:
        assert Account.from_key(account.key).address.lower() == account.address


@pytest.mark.parametrize("option", ["--port", "--control-port"])
def test_a_taken_port_ends_it_with_4(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = aiq(tmp_path, "venue", "--symbols", "1", option, port)
    assert done.returncode == 4
    assert port in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--symbols", "0"), 2, "--symbols"),
        (("--symbols", "100000"), 2, "--symbols"),
        (("--scale", "0"), 2, "--scale"),
        (("--scale", "nan"), 2, "--scale"),
        (("--scale", "2", "--stepped"), 2, "--stepped"),
        (("--balance", "much"), 2, "much"),
        (("--balance", "-1"), 2, "-1"),
        (("--interval", "1m"), 2, "--candles"),
        (("--candles", "nowhere.csv"), 8, "nowhere.csv"),
        (("--faults", "nowhere.json"), 3, "nowhere.json"),
        (("--log", "no/such/folder.jsonl"), 8, "folder.jsonl"),
    ],
)
def test_what_cannot_be_is_said_once(tmp_path: Path, arguments: tuple[str, ...], status: int, says: str) -> None:
    done = aiq(tmp_path, "venue", *arguments)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


# ── its clients ──────────────────────────────────────────────────────────────────────────────────


def test_the_official_sdk_trades_and_listens(tmp_path: Path) -> None:
    with venue(tmp_path, "--symbols", "2") as (running, ready):
        wallet = Account.from_key(ready["accounts"][0]["key"])
        exchange = Exchange(wallet, ready["url"], timeout=PATIENCE_S)
        listener = Info(ready["url"], timeout=PATIENCE_S)
        updates: list[Any] = []
        heard = threading.Event()

        def on_update(message: Any) -> None:
            updates.append(message)
            heard.set()

        try:
            listener.subscribe({"type": "orderUpdates", "user": wallet.address}, on_update)
            deadline = time.monotonic() + PATIENCE_S
            while not requests.get(ready["control_url"] + "/state", timeout=10).json()["traffic"]["messages"]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            opened = exchange.market_open("BTC", True, 0.01)
            assert "filled" in opened["response"]["data"]["statuses"][0], opened
            assert heard.wait(PATIENCE_S)
            assert updates[0]["channel"] == "orderUpdates"
        finally:
            listener.disconnect_websocket()
        positions = listener.user_state(wallet.address)["assetPositions"]
        assert [(each["position"]["coin"], each["position"]["szi"]) for each in positions] == [("BTC", "0.01")]
        assert "filled" in exchange.market_close("BTC")["response"]["data"]["statuses"][0]
        assert running.end(signal.SIGTERM) == 0


def test_sockets_die_as_the_real_ones_do(tmp_path: Path) -> None:
    with venue(tmp_path, "--symbols", "2") as (running, ready):
        with connect(ready["ws_url"], proxy=None) as first, connect(ready["ws_url"], proxy=None) as second:
            first.send('{"method":"subscribe","subscription":{"type":"bbo","coin":"btc"}}')
            with pytest.raises(ConnectionClosed) as closed:
                list(first)
            assert closed.value.rcvd is None, "1006: no close frame"
            second.send('{"method":"ping"}')
            assert json.loads(second.recv(timeout=PATIENCE_S)) == {"channel": "pong"}
        refuse = {"fault": "refuse_socket", "with": {"status": 503}}
        requests.post(ready["control_url"] + "/faults", json=refuse, timeout=PATIENCE_S).raise_for_status()
        with pytest.raises(InvalidStatus) as refused:
            connect(ready["ws_url"], proxy=None)
        assert refused.value.response.status_code == 503
        assert requests.get(ready["control_url"] + "/state", timeout=PATIENCE_S).json()["sockets"] == 0
        assert running.end(signal.SIGTERM) == 0


def test_a_reply_can_be_lost_after_the_order_was_executed(tmp_path: Path) -> None:
    with venue(tmp_path, "--symbols", "2") as (running, ready):
        wallet = Account.from_key(ready["accounts"][0]["key"])
        exchange = Exchange(wallet, ready["url"], timeout=PATIENCE_S)
        lose = {"fault": "lose_reply", "match": {"action": "order"}, "with": {"sent_bytes": 9}}
        requests.post(ready["control_url"] + "/faults", json=lose, timeout=PATIENCE_S).raise_for_status()
        with pytest.raises(requests.RequestException):
            exchange.market_open("BTC", True, 0.01)
        positions = info(ready, type="clearinghouseState", user=wallet.address)["assetPositions"]
        assert [each["position"]["szi"] for each in positions] == ["0.01"]
        assert running.end(signal.SIGTERM) == 0


def test_time_can_run_faster(tmp_path: Path) -> None:
    with venue(tmp_path, "--symbols", "2", "--scale", "60") as (running, ready):
        deadline = time.monotonic() + PATIENCE_S
        control = ready["control_url"] + "/state"
        while requests.get(control, timeout=10).json()["time"] < ready["time"] + 90_000:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        wallet = Account.from_key(ready["accounts"][0]["key"])
        placed = Exchange(wallet, ready["url"], timeout=PATIENCE_S).market_open("BTC", True, 0.01)
        assert placed["status"] == "ok", "a client whose clock is behind may still trade"
        assert running.end(signal.SIGTERM) == 0


def test_stepped_time_stands_still_and_orders_are_answered_all_the_same(tmp_path: Path) -> None:
    with venue(tmp_path, "--symbols", "2", "--stepped") as (running, ready):
        wallet = Account.from_key(ready["accounts"][0]["key"])
        exchange = Exchange(wallet, ready["url"], timeout=PATIENCE_S)
        assert exchange.market_open("BTC", True, 0.01)["status"] == "ok"
        control = ready["control_url"]
        assert requests.get(control + "/state", timeout=10).json()["time"] == ready["time"]
        moved = requests.post(control + "/time", json={"advance_ms": 60_000}, timeout=PATIENCE_S)
        assert moved.json() == {"time": ready["time"] + 60_000}
        assert running.end(signal.SIGTERM) == 0


def test_faults_apply_from_the_start_and_the_log_is_kept(tmp_path: Path) -> None:
    rules, log = tmp_path / "faults.json", tmp_path / "log.jsonl"
    rules.write_text('[{"fault": "refuse", "match": {"path": "/info"}, "when": {"nth": 2}, "with": {"status": 503}}]')
    with venue(tmp_path, "--symbols", "1", "--faults", str(rules), "--log", str(log)) as (running, ready):
        statuses = [
            requests.post(ready["url"] + "/info", json={"type": "allMids"}, timeout=PATIENCE_S).status_code
            for _ in range(3)
        ]
        assert statuses == [200, 503, 200]
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))
        assert sum(row["kind"] == "request" for row in rows) == 3
        assert ready["accounts"][0]["key"] not in log.read_text()
        assert running.end(signal.SIGTERM) == 0


def test_a_wrong_rule_in_the_file_ends_it_with_3(tmp_path: Path) -> None:
    rules = tmp_path / "faults.json"
    for text, says in (("[", "JSON"), ('{"fault": "explode"}', "explode")):
        rules.write_text(text)
        done = aiq(tmp_path, "venue", "--faults", str(rules))
        assert done.returncode == 3, done.stderr
        assert "faults.json" in done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr


# ── recorded candles ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of minutes of two symbols."""
    market = SimMarket(seed=5, symbol_count=2)
    path = tmp_path_factory.mktemp("data") / "candles.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("symbol", "t", "o", "h", "l", "c", "v"))
        for place, instrument in enumerate(market.instruments()):
            window = market.candles(place, Interval.M1, RECORDED_MS, RECORDED_MS + CANDLES * 60_000)
            columns = (window.open_ms, window.open, window.high, window.low, window.close, window.volume)
            writer.writerows(
                (instrument.symbol, *row) for row in zip(*(column.tolist() for column in columns), strict=True)
            )
    return path


def test_recorded_candles_are_the_market_with_a_day_before_now(tmp_path: Path, candles: Path) -> None:
    with venue(tmp_path, "--candles", str(candles), "--fill-gaps") as (running, ready):
        assert ready["market"] == "recorded"
        assert sorted(ready["symbols"]) == ["BTC", "ETH"]
        recorded = ready["recorded"]
        assert recorded["interval"] == "1m"
        assert abs(ready["time"] - recorded["from_ms"] - DAY_MS) < 120_000
        assert recorded["until_ms"] > ready["time"] + DAY_MS // 2
        asked = {"coin": "BTC", "interval": "1m", "startTime": recorded["from_ms"], "endTime": ready["time"]}
        rows = info(ready, type="candleSnapshot", req=asked)
        assert len(rows) > 1_000
        shift_ms = recorded["from_ms"] - RECORDED_MS
        with candles.open() as file:
            known = {
                int(row["t"]) + shift_ms: float(row["c"]) for row in csv.DictReader(file) if row["symbol"] == "BTC"
            }
        assert all(float(row["c"]) == pytest.approx(known[row["t"]]) for row in rows[:-1])
        assert running.end(signal.SIGTERM) == 0


def test_damaged_candles_end_it_with_8(tmp_path: Path, candles: Path) -> None:
    rows = candles.read_text().splitlines()
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([*rows[:5], rows[5].rsplit(",", 2)[0] + ",-1,nan", *rows[6:50]]))
    done = aiq(tmp_path, "venue", "--candles", str(bad))
    assert done.returncode == 8, done.stderr
    assert "bad.csv" in done.stderr
    assert "Traceback" not in done.stderr
