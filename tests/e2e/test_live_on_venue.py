"""The whole loop over loopback sockets: signals become signed orders, fills and a ledger that the venue's log confirms.

The venue is a process of its own, driven by recorded candles. What is compared is compared here, outside of the
daemon, from its ledger file and the venue's own log.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from config.variables import MASTER_KEY_CONSENT
from tests.daemon_process import Daemon
from tests.venue_process import venue

SYMBOLS = "BTC,ETH,SOL,HYPE,XRP,DOGE"
RUN_FOR_S = 130
"""Two candles of a minute close in it, wherever it begins."""

OVERRIDES = """\
global:
  trade:
    entry_min_confidence: low
    enable_reef_filter: false
    enable_ssf_filter: false
    reentry_cooldown_minutes: 0
"""
STARTING_CASH = Decimal(10_000)


def settings_of(folder: Path, ready: dict[str, Any], mode: str) -> dict[str, str]:
    overrides = folder / "overrides.yaml"
    overrides.write_text(OVERRIDES)
    toy = ready["accounts"][0]
    return {
        "AI_QUANT_MODE": mode,
        "AI_QUANT_NETWORK": "local",
        "AI_QUANT_VENUE_URL": ready["url"],
        "AI_QUANT_ACCOUNT_ADDRESS": toy["address"],
        "AI_QUANT_AGENT_KEY": toy["key"],
        "AI_QUANT_MASTER_KEY_CONSENT": MASTER_KEY_CONSENT,
        "AI_QUANT_SYMBOLS": SYMBOLS,
        "AI_QUANT_INTERVAL": "1m",
        "AI_QUANT_STRATEGY": "tests.eager_strategy:analyze",
        "AI_QUANT_STRATEGY_YAML": str(overrides),
        "AI_QUANT_DB_PATH": str(folder / "ledger.sqlite"),
        "AI_QUANT_RUN_FOR": str(RUN_FOR_S),
    }


def market_of(shared_data: Path) -> tuple[str, ...]:
    """Real candles drive the venue's prices."""
    candles = str(shared_data / "candles" / "hl_perp_candles_1m.parquet")
    return ("--candles", candles, "--interval", "1m", "--fill-gaps")


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def log_of(ready: dict[str, Any]) -> list[dict[str, Any]]:
    text = requests.get(ready["control_url"] + "/log", timeout=30).text
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.timeout(300)
def test_live_on_real_candles_agrees_with_the_venues_log(tmp_path: Path, shared_data: Path) -> None:
    with venue(tmp_path, *market_of(shared_data)) as (_, ready):
        with Daemon(tmp_path, settings_of(tmp_path, ready, "live")) as daemon:
            assert daemon.process.wait(timeout=RUN_FOR_S + 60) == 0, daemon.text[-3000:]
            assert "Traceback" not in daemon.text
            assert ready["accounts"][0]["key"].removeprefix("0x") not in daemon.text
        user = ready["accounts"][0]["address"].lower()
        told = log_of(ready)
        state = requests.post(
            ready["url"] + "/info", json={"type": "clearinghouseState", "user": user}, timeout=10
        ).json()
    ledger = tmp_path / "ledger.sqlite"

    venue_fills = {
        (
            row["coin"],
            row["oid"],
            row["tid"],
            Decimal(row["price"]),
            Decimal(row["size"]),
            row["side"],
            Decimal(row["fee"]),
            row["cloid"],
            Decimal(row["start_position"]),
            row["time"],
        )
        for row in told
        if row["kind"] == "fill" and row["user"] == user
    }
    ours = {
        (symbol, oid, tid, Decimal(price), Decimal(size), side, Decimal(fee), cloid, Decimal(start), time_ms)
        for symbol, oid, tid, price, size, side, fee, cloid, start, time_ms in rows(
            ledger, "SELECT symbol, oid, tid, price, size, side, fee, cloid, start_position, time_ms FROM fills"
        )
    }
    assert len(venue_fills) >= 6, "two closes of six symbols, and hardly anything traded"
    assert ours == venue_fills

    held = {each["position"]["coin"]: Decimal(each["position"]["szi"]) for each in state["assetPositions"]}
    positions = {
        symbol: Decimal(size)
        for symbol, size in rows(ledger, "SELECT symbol, size FROM positions")
        if Decimal(size) != 0
    }
    assert positions == held

    summary = state["marginSummary"]
    unrealised = sum(Decimal(each["position"]["unrealizedPnl"]) for each in state["assetPositions"])
    cash = Decimal(summary["accountValue"]) - unrealised
    realised, fees = (
        sum((Decimal(value) for (value,) in rows(ledger, f"SELECT {column} FROM fills")), Decimal(0))
        for column in ("realised", "fee")
    )
    funding = sum((Decimal(value) for (value,) in rows(ledger, "SELECT amount_usd FROM funding")), Decimal(0))
    assert abs(STARTING_CASH + realised - fees + funding - cash) < Decimal("0.0001")

    cloids = [row["cloid"] for row in told if row["kind"] == "order" and row["status"] == "open"]
    attempts = {cloid for (cloid,) in rows(ledger, "SELECT cloid FROM order_attempts")}
    oids_of: dict[str, set[int]] = {}
    for row in told:
        if row["kind"] == "order" and row["cloid"] is not None:
            oids_of.setdefault(row["cloid"], set()).add(row["oid"])
    assert set(cloids) <= attempts, "the venue knows no order that the ledger does not"
    assert all(len(oids) == 1 for oids in oids_of.values()), "no attempt was sent twice"
    assert all(intent is not None for (intent,) in rows(ledger, "SELECT intent_id FROM fills"))


@pytest.mark.timeout(300)
def test_dry_live_sends_nothing(tmp_path: Path, shared_data: Path) -> None:
    with venue(tmp_path, *market_of(shared_data)) as (_, ready):
        with Daemon(tmp_path, settings_of(tmp_path, ready, "dry_live")) as daemon:
            assert daemon.process.wait(timeout=RUN_FOR_S + 60) == 0, daemon.text[-3000:]
            assert "Traceback" not in daemon.text
        told = log_of(ready)
        assets = {name: place for place, name in enumerate(ready["symbols"])}
    assert [row for row in told if row["kind"] == "request" and row["path"] == "/exchange"] == []
    assert any(row["kind"] == "request" for row in told), "it did read the market"
    would = [json.loads(line)["would"] for line in (tmp_path / "ledger.would.jsonl").read_text().splitlines()]
    orders = [order for action in would if action["type"] == "order" for order in action["orders"]]
    intents = rows(
        tmp_path / "ledger.sqlite",
        "SELECT cloid, symbol, side, size, limit_price FROM order_attempts",
    )
    assert len(orders) == len(intents) >= 6
    by_cloid = {order["c"]: order for order in orders}
    for cloid, symbol, side, size, limit in intents:
        order = by_cloid[cloid]
        assert (order["a"], order["b"]) == (assets[symbol], side == "buy")
        assert (Decimal(order["s"]), Decimal(order["p"])) == (Decimal(size), Decimal(limit))
    statuses = {status for (status,) in rows(tmp_path / "ledger.sqlite", "SELECT status FROM orders")}
    assert statuses <= {"would", "sent"}
    assert rows(tmp_path / "ledger.sqlite", "SELECT * FROM fills") == []
