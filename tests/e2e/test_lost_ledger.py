"""The lost-disk drill: a live daemon's ledger is gone, and the venue's memory is what the next one starts from."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from adapters.sqlite.writer_lock import WriterLock
from entrypoints.exit_codes import ExitCode
from tests.daemon_process import Daemon, aiq, aiq_json
from tests.e2e.test_live_on_venue import log_of, market_of, rows, settings_of
from tests.hyperliquid_rigs import VenueControl
from tests.venue_process import venue

SYMBOLS = "BTC,ETH,SOL"
"""Few, so that their histories leave weight for orders within the first minute."""
TRADES_IN_S = 180.0
"""Two candles of a minute close, are decided on, and their orders come to rest."""

HELD = (
    "SELECT symbol, size, entry_price, realised, fees, opened_ms, intent_id FROM positions WHERE size <> '0' ORDER BY 1"
)


@contextmanager
def traded(folder: Path, shared_data: Path) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """A venue on which a live daemon has traded and was stopped: positions are open, stops rest."""
    with venue(folder, *market_of(shared_data)) as (_, ready):
        extra = settings_of(folder, ready, "live") | {"AI_QUANT_SYMBOLS": SYMBOLS, "AI_QUANT_RUN_FOR": "300"}
        with Daemon(folder, extra) as daemon:
            daemon.wait_for(lambda d: _is_settled(d, ready), TRADES_IN_S)
            assert daemon.end(signal.SIGTERM) == 0, daemon.text[-3000:]
        yield ready, extra


def _is_settled(daemon: Daemon, ready: dict[str, Any]) -> bool:
    """Every symbol is held, its stop and target rest, and the daemon has heard of every fill."""
    symbols = len(SYMBOLS.split(","))
    if len(daemon.lines("fill")) < symbols or len(_resting(ready)) < 2 * symbols:
        return False
    return len(daemon.lines("fill")) == len(_asked(ready, "userFills"))


def _asked(ready: dict[str, Any], kind: str) -> Any:
    question = {"type": kind, "user": ready["accounts"][0]["address"].lower()}
    return requests.post(ready["url"] + "/info", json=question, timeout=10).json()


def _resting(ready: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _asked(ready, "frontendOpenOrders")
    return found


def _held(ready: dict[str, Any]) -> dict[str, Decimal]:
    state = _asked(ready, "clearinghouseState")
    return {each["position"]["coin"]: Decimal(each["position"]["szi"]) for each in state["assetPositions"]}


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("ledger.sqlite*")) if path.suffix != ".lock"}


@pytest.mark.timeout(500)
def test_a_lost_ledger_is_rebuilt_and_traded_on(tmp_path: Path, shared_data: Path) -> None:
    with traded(tmp_path, shared_data) as (ready, extra):
        ledger = tmp_path / "ledger.sqlite"
        held = rows(ledger, HELD)
        fills = rows(ledger, "SELECT trade_id, intent_id, price, size, fee, realised FROM fills ORDER BY 1")
        before = _files(tmp_path)

        refused = aiq(tmp_path, "recover", "--from-venue", "--yes", extra=extra)
        assert refused.returncode == ExitCode.REFUSED and "holds" in refused.stderr
        assert _files(tmp_path) == before

        lost = tmp_path / "lost"
        lost.mkdir()
        for path in [*tmp_path.glob("ledger.*"), *tmp_path.glob("nonces*"), *tmp_path.glob("live-*")]:
            shutil.move(path, lost / path.name)

        dry = aiq_json(tmp_path, "recover", "--from-venue", extra=extra)
        assert dry["written"] is False and not ledger.exists()
        assert dry["fills"] == len(fills) and dry["problems"] == []
        resting = {order["cloid"] for order in _resting(ready)}
        assert {order["cloid"] for order in dry["resting"]} == resting
        assert dry["decisions_proven"] == dry["decisions"], "every key can be guessed, and is proven by its cloid"

        done = aiq(tmp_path, "recover", "--from-venue", "--yes", extra=extra)
        print(done.stdout)
        assert done.returncode == 0, done.stderr
        assert "facts written" in done.stdout
        assert list(tmp_path.glob("*recovering*")) == []
        checked = aiq_json(tmp_path, "db", "check", "--db", str(ledger))
        assert checked["sound"], checked["problems"]
        assert rows(ledger, "SELECT trade_id, intent_id, price, size, fee, realised FROM fills ORDER BY 1") == fills
        assert rows(ledger, HELD) == held

        known = {order["cloid"] for order in log_of(ready) if order["kind"] == "order" and order["cloid"]}
        with Daemon(tmp_path, extra | {"AI_QUANT_RUN_FOR": "85"}) as daemon:
            assert daemon.process.wait(timeout=150) == 0, daemon.text[-3000:]
            assert "Traceback" not in daemon.text
            for alert in ("foreign_order", "position_differs", "opening_balance", "order_unknown"):
                assert daemon.lines(alert) == [], daemon.text
        assert aiq_json(tmp_path, "db", "check", "--db", str(ledger))["sound"]
        sizes = {symbol: Decimal(size) for symbol, size in rows(ledger, "SELECT symbol, size FROM positions")}
        assert {symbol: size for symbol, size in sizes.items() if size} == _held(ready)
        placed = [row["cloid"] for row in log_of(ready) if row["kind"] == "order" and row["status"] == "open"]
        assert len(placed) == len(set(placed)), "no attempt twice"
        entries = rows(ledger, "SELECT symbol FROM order_intents WHERE action = 'OPEN' AND reason <> 'recovered'")
        closes = rows(ledger, "SELECT symbol FROM order_intents WHERE action = 'CLOSE' AND reason <> 'recovered'")
        assert entries or closes, "the next candle was decided on"
        assert set(placed) - known, "new orders could be sent"
        stops = [order for order in _resting(ready) if order["orderType"].startswith("Stop")]
        assert sorted(order["coin"] for order in stops) == sorted(_held(ready)), "one stop for each position"


def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    with venue(tmp_path) as (_, ready):
        extra = settings_of(tmp_path, ready, "live")
        ledger = tmp_path / "ledger.sqlite"
        with _held_by_us(tmp_path / f"live-local-{ready['accounts'][0]['address'].lower()}"):
            done = aiq(tmp_path, "recover", "--from-venue", "--yes", extra=extra)
            assert done.returncode == ExitCode.HELD and "trades on" in done.stderr
        with _held_by_us(ledger):
            done = aiq(tmp_path, "recover", "--from-venue", "--yes", extra=extra)
            assert done.returncode == ExitCode.HELD
        paper = aiq(tmp_path, "recover", "--from-venue", extra=extra | {"AI_QUANT_MODE": "paper"})
        assert paper.returncode == ExitCode.REFUSED
        control = VenueControl(ready)
        for kind in ("historicalOrders", "frontendOpenOrders", "clearinghouseState", "userFillsByTime", "userFunding"):
            control.fault("replace_answer", match={"request_type": kind}, times=9, status=200, body="null")
            done = aiq(tmp_path, "recover", "--from-venue", "--yes", extra=extra)
            assert done.returncode == ExitCode.VENUE and kind in done.stderr, done.stderr
            control.no_faults()
        assert not ledger.exists()
        done = aiq(tmp_path, "recover", "--from-venue", "--yes", extra=extra)
        assert done.returncode == 0, done.stderr
        assert aiq_json(tmp_path, "db", "check", "--db", str(ledger))["sound"]
    gone = tmp_path / "gone"
    gone.mkdir()
    done = aiq(gone, "recover", "--from-venue", "--yes", extra=extra | {"AI_QUANT_DB_PATH": str(gone / "new.sqlite")})
    assert done.returncode == ExitCode.VENUE
    assert [path.name for path in gone.glob("new.sqlite*") if path.suffix != ".lock"] == []


@contextmanager
def _held_by_us(path: Path) -> Iterator[None]:
    lock = WriterLock(path)
    try:
        yield
    finally:
        lock.release()
