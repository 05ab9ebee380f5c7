"""The real process on the local market: it trades, stops cleanly, survives kill -9, and follows its config."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import Daemon, aiq, aiq_json

SLOW = {"AI_QUANT_TIME_SCALE": "8", "AI_QUANT_SEED": "2"}
"""Candles of 7.5 real seconds: room to stop and start inside one."""

REAL_MONEY = {
    "AI_QUANT_MODE": "live",
    "AI_QUANT_LIVE_ENABLE": "1",
    "AI_QUANT_LIVE_CONFIRM": "I_UNDERSTAND_THIS_CAN_LOSE_MONEY",
}

EAGER = "global:\n  trade:\n    entry_min_confidence: low\n"


def overrides(folder: Path, text: str) -> Path:
    path = folder / "overrides.yaml"
    path.write_text(text)
    return path


@pytest.mark.seeds(1, 3)
@pytest.mark.timeout(300)
def test_twenty_seconds_of_paper_trading_close_a_trade(tmp_path: Path, seed: int) -> None:
    extra = {"AI_QUANT_RUN_FOR": "20", "AI_QUANT_SEED": str(seed)}
    trades: list[dict[str, Any]] = []
    for _ in range(3):  # beside other tests a start may take most of it; the next one goes on with the same market
        with Daemon(tmp_path, extra) as daemon:
            assert daemon.process.wait(timeout=90) == 0, daemon.text[-3000:]
            assert "time-lapse 60x" in daemon.text
            assert "session summary" in daemon.text
        trades = aiq_json(tmp_path, "show-trades")
        if trades or os.getloadavg()[0] < (os.cpu_count() or 1):
            break
    assert trades, "no trade was closed in twenty seconds"
    for trade in trades:
        assert trade["side"] in ("long", "short")
        assert trade["opened_ms"] <= trade["closed_ms"]
        assert trade["meta"]["oms"]["intent_id"] == trade["intent_id"]
        assert trade["meta"]["entry"]["why"]["gates"], "every trade says why it happened"


def test_sigterm_stops_cleanly_and_a_restart_goes_on(tmp_path: Path) -> None:
    with Daemon(tmp_path, {"AI_QUANT_SEED": "3"}) as daemon:
        daemon.wait_for(lambda running: bool(running.lines("no_signal")))
        assert daemon.end(signal.SIGTERM) == 0
        assert "session summary" in daemon.text
    with Daemon(tmp_path, {"AI_QUANT_SEED": "3", "AI_QUANT_RUN_FOR": "6"}) as again:
        assert again.process.wait(timeout=60) == 0, again.text[-3000:]


@pytest.mark.timeout(240)
def test_kill_9_inside_the_entry_candle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The same key is offered again and refused on record; position and stops are back; the market went on."""
    extra = {**SLOW, "AI_QUANT_STRATEGY_YAML": str(overrides(tmp_path, EAGER))}
    with Daemon(tmp_path, extra) as daemon:
        daemon.wait_for(lambda running: any(line["action"] == "TAKE_PROFIT" for line in running.lines("intent")), 120)
        daemon.end(signal.SIGKILL)
        opened = next(
            line for line in daemon.lines("intent") if line["action"] == "OPEN" and _has_stop(daemon, line["symbol"])
        )
    symbol = opened["symbol"]
    ledger = tmp_path / "paper-local.sqlite"
    before = _position(ledger, symbol)
    stops = _live_stops(ledger, symbol)
    assert before is not None
    assert len(stops) == 1
    key_ms = _open_key_ms(ledger, symbol)

    with Daemon(tmp_path, extra) as again:
        again.wait_for(lambda running: any(_is_refused_again(line, symbol) for line in running.lines("decision")), 30)
        assert not [
            line for line in again.lines("intent") if line["symbol"] == symbol and line["action"] in ("OPEN", "ADD")
        ]
        assert _position(ledger, symbol) == before or _closed_since(ledger, symbol)
        assert again.end(signal.SIGTERM) == 0
    rows = aiq_json(tmp_path, "why", symbol, "--limit", "50", extra=extra)
    again_offered = [row for row in rows if row["open_ms"] == key_ms]
    assert [row["verdict"] for row in again_offered] == ["REFUSED", "OPEN"]
    assert again_offered[0]["gate"] == "dedupe"
    assert again_offered[0]["at_ms"] > again_offered[1]["at_ms"], "the market's time went on"
    assert _count_opens(ledger, symbol, key_ms) == 1


def test_an_edit_is_in_force_within_three_seconds_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = overrides(tmp_path, "global: {}\n")
    with Daemon(tmp_path, {"AI_QUANT_STRATEGY_YAML": str(path)}) as daemon:
        daemon.wait_for(lambda running: bool(running.lines("no_signal")))
        path.write_text("global:\n  trade:\n    sl_atr_mult: 3.5\n")
        edited = time.monotonic()
        daemon.wait_for(lambda running: bool(running.lines("config_reloaded")), 10)
        assert time.monotonic() - edited < 3.0
        path.write_text("global:\n  trade:\n    sl_atr_mlt: 3.5\n")
        daemon.wait_for(lambda running: bool(running.lines("config_refused")), 10)
        said = daemon.lines("config_refused")[0]["detail"]
        assert "overrides.yaml:3:5" in said
        assert "sl_atr_mult" in said, "a misspelt key comes with a suggestion"
        assert daemon.end(signal.SIGTERM) == 0
    with closing(sqlite3.connect(tmp_path / "paper-local.decisions.sqlite")) as connection:
        digests = [row[0] for row in connection.execute("SELECT DISTINCT config_digest FROM decisions ORDER BY at_ms")]
    assert len(digests) == 2, "decisions name the version they were made under: the first, then the edited one"


def test_a_second_daemon_on_the_same_ledger_is_refused_with_7(tmp_path: Path) -> None:
    with Daemon(tmp_path) as first:
        first.wait_for(lambda running: bool(running.lines("warming_up")))
        with Daemon(tmp_path) as second:
            assert second.process.wait(timeout=30) == 7
            assert str(first.process.pid) in second.text


def test_a_ledger_of_another_mode_is_refused_with_5(tmp_path: Path) -> None:
    with Daemon(tmp_path, {"AI_QUANT_RUN_FOR": "2"}) as daemon:
        assert daemon.process.wait(timeout=60) == 0, daemon.text[-3000:]
    with closing(sqlite3.connect(tmp_path / "paper-local.sqlite")) as connection, connection:
        connection.execute("UPDATE meta SET mode = 'live'")
    with Daemon(tmp_path) as other:
        assert other.process.wait(timeout=30) == 5
        assert "live" in other.text


def test_another_seed_on_the_same_account_is_refused_with_5(tmp_path: Path) -> None:
    with Daemon(tmp_path, {"AI_QUANT_RUN_FOR": "2", "AI_QUANT_SEED": "4"}) as daemon:
        assert daemon.process.wait(timeout=60) == 0, daemon.text[-3000:]
    with Daemon(tmp_path, {"AI_QUANT_SEED": "5"}) as other:
        assert other.process.wait(timeout=30) == 5
        assert "seed 4" in other.text


@pytest.mark.parametrize(
    ("extra", "status", "says"),
    [
        ({"AI_QUANT_MODE": "papper"}, 3, "AI_QUANT_MODE"),
        ({"AI_QUANT_MODE": "live"}, 5, "AI_QUANT_LIVE_ENABLE=1"),
        ({"AI_QUANT_MODE": "live", "AI_QUANT_LIVE_ENABLE": "1"}, 5, "AI_QUANT_LIVE_CONFIRM"),
        ({**REAL_MONEY, "AI_QUANT_NETWORK": "mainnet"}, 3, "AI_QUANT_ACCOUNT_ADDRESS"),
        ({**REAL_MONEY, "AI_QUANT_NETWORK": "testnet"}, 3, "AI_QUANT_ACCOUNT_ADDRESS"),
        ({**REAL_MONEY, "AI_QUANT_NETWORK": "testnet", "AI_QUANT_ACCOUNT_ADDRESS": "0x" + 40 * "a"}, 3, "no agent key"),
        ({"AI_QUANT_MODE": "dry_live"}, 3, "AI_QUANT_ACCOUNT_ADDRESS"),
        ({"AI_QUANT_TOP_N": "5", "AI_QUANT_SYMBOLS": "BTC"}, 3, "AI_QUANT_TOP_N"),
        ({"AI_QUANT_EXIT_INTERVAL": "5m", "AI_QUANT_INTERVAL": "1m"}, 3, "AI_QUANT_EXIT_INTERVAL"),
        ({"AI_QUANT_VENUE_URL": "http://127.0.0.1:9"}, 4, "http://127.0.0.1:9"),
        ({"AI_QUANT_SYMBOLS": "BTC,kpepe"}, 3, "kPEPE"),
        ({"AI_QUANT_STRATEGY": "nowhere:analyze"}, 3, "nowhere"),
        ({"AI_QUANT_TIME_SCALE": "0"}, 3, "AI_QUANT_TIME_SCALE"),
        ({"AI_QUANT_STRATEGY_YAML": "/nonexistent/overrides.yaml"}, 3, "no such file"),
        ({"AI_QUANT_DB_PATH": "/proc/ledger.sqlite"}, 8, "/proc/ledger.sqlite"),
    ],
)
def test_a_start_that_cannot_be_says_why_once(tmp_path: Path, extra: dict[str, str], status: int, says: str) -> None:
    with Daemon(tmp_path, extra) as daemon:
        assert daemon.process.wait(timeout=30) == status, daemon.text[-3000:]
        assert says in daemon.text
        assert "Traceback" not in daemon.text


def test_overrides_of_a_symbol_that_is_not_there_are_warned_about_with_a_suggestion(tmp_path: Path) -> None:
    path = overrides(tmp_path, "symbols:\n  kpepe:\n    trade:\n      sl_atr_mult: 3\n")
    with Daemon(tmp_path, {"AI_QUANT_STRATEGY_YAML": str(path), "AI_QUANT_RUN_FOR": "1"}) as daemon:
        assert daemon.process.wait(timeout=60) == 0, daemon.text[-3000:]
        assert "'kpepe', which is not in this market" in daemon.text
        assert "kPEPE" in daemon.text


def test_a_misspelt_variable_is_warned_about_with_a_suggestion(tmp_path: Path) -> None:
    done = aiq(tmp_path, "show-config", "--changed", extra={"AI_QUANT_SEEED": "4"})
    assert done.returncode == 0
    assert "AI_QUANT_SEEED" in done.stderr
    assert "AI_QUANT_SEED" in done.stderr.replace("AI_QUANT_SEEED", "")


def _has_stop(daemon: Daemon, symbol: str) -> bool:
    return any(line["symbol"] == symbol and line["action"] == "TAKE_PROFIT" for line in daemon.lines("intent"))


def _is_refused_again(line: dict[str, object], symbol: str) -> bool:
    return line["symbol"] == symbol and line.get("gate") == "dedupe"


def _rows(ledger: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        return connection.execute(query, values).fetchall()


def _position(ledger: Path, symbol: str) -> object:
    rows = _rows(ledger, "SELECT size FROM positions WHERE symbol = ?", symbol)
    return rows[0][0] if rows and rows[0][0] != "0" else None


def _closed_since(ledger: Path, symbol: str) -> bool:
    return bool(_rows(ledger, "SELECT 1 FROM trades WHERE symbol = ?", symbol))


def _live_stops(ledger: Path, symbol: str) -> list[tuple[object, ...]]:
    return _rows(
        ledger,
        "SELECT i.intent_id FROM order_intents i JOIN order_attempts USING (intent_id) JOIN orders o USING (cloid) "
        "WHERE i.symbol = ? AND i.action = 'STOP' AND o.status IN ('sent', 'open')",
        symbol,
    )


def _open_key_ms(ledger: Path, symbol: str) -> object:
    return _rows(ledger, "SELECT max(open_ms) FROM order_intents WHERE symbol = ? AND action = 'OPEN'", symbol)[0][0]


def _count_opens(ledger: Path, symbol: str, key_ms: object) -> object:
    query = "SELECT count(*) FROM order_intents WHERE symbol = ? AND action = 'OPEN' AND open_ms = ?"
    return _rows(ledger, query, symbol, key_ms)[0][0]


def test_in_real_time_the_paper_market_keeps_its_own_date(tmp_path: Path) -> None:
    """It is January there: a daemon on the system's clock would believe none of its frames."""
    extra = {"AI_QUANT_TIME_SCALE": "1", "AI_QUANT_SYMBOLS": "BTC,ETH", "AI_QUANT_RUN_FOR": "8"}
    with Daemon(tmp_path, extra) as daemon:
        assert daemon.process.wait(timeout=60) == 0, daemon.text[-3000:]
        assert daemon.lines("warming_up")[-1]["still_to_come"] == 0
        assert daemon.lines("venue_drifted") == daemon.lines("history_unusable") == []


def children_of(pid: int) -> list[int]:
    """Process ids of a process's own children, from its threads' entries in /proc."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_venue_ends_with_its_daemon(tmp_path: Path, number: int) -> None:
    with Daemon(tmp_path, {"AI_QUANT_SYMBOLS": "BTC,ETH"}) as daemon:
        daemon.wait_for(lambda running: bool(running.lines("warming_up")))
        (venue,) = children_of(daemon.process.pid)
        daemon.end(number)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{venue}").exists():
            assert time.monotonic() < deadline, "an orphaned venue"
            time.sleep(0.05)
