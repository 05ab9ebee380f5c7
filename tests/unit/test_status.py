"""What a running daemon says of itself: everything an operator asks for, and nothing that JSON cannot carry."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from adapters.clocks import ManualClock
from adapters.hyperliquid.budget import WeightBudget
from application.inbox import Inbox
from config.load import load_configuration
from domain.events import EntriesHeld, OperatorSpoke, OrderOutcome, TimerFired
from domain.facts import LedgerState
from domain.intents import Action
from domain.operator import OperatorVerb
from domain.orders import Accepted
from domain.positions import opened_with
from entrypoints.status import DaemonStatus, Life
from ports.session_log import NoRecord
from tests.engine_builders import START_MS, EngineRig, submitted, universe_of


def snapshot(rig: EngineRig, folder: Path, *, decided_ms: int | None = None) -> dict[str, Any]:
    settings = load_configuration({"AI_QUANT_USER_DIR": str(folder)}, root=folder, cwd=folder, seen_ms=0).settings
    clock = ManualClock(rig.now_ms)
    inbox = Inbox()
    inbox.put(TimerFired())
    life = Life("session-1", NoRecord(), 42, START_MS, clock.monotonic_ms())
    status = DaemonStatus(settings, rig.engine, inbox, lambda: decided_ms, WeightBudget(clock), clock, life)
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(status.snapshot()))
    return found


def money_of(values: object) -> list[object]:
    """Every value whose name says that it is money or a price."""
    if isinstance(values, list):
        return [money for each in values for money in money_of(each)]
    if not isinstance(values, dict):
        return []
    found = [value for name, value in values.items() if name.endswith(("_usd", "_price", "size", "filled"))]
    return found + [money for each in values.values() for money in money_of(each)]


def test_a_calm_daemon(tmp_path: Path) -> None:
    told = snapshot(EngineRig(universe_of("BTC", "ETH")), tmp_path)
    assert (told["mode"], told["network"], told["account"], told["pid"]) == ("paper", "local", "account", 42)
    assert told["entries"] == "open"
    assert told["latch"] == {"state": "open", "why": "", "since": None}
    assert told["equity_usd"] == told["cash_usd"] == "10000"
    assert (told["positions"], told["orders"], told["holds"]) == ([], [], {})
    assert (told["symbols"], told["warming_up"]) == (2, 0)
    assert told["quote_age_ms"] == {"worst": 0, "median": 0, "never_heard": 0}
    assert told["waiting_events"] == {"account": 0, "operator": 0, "market": 1}
    assert told["recording"] is False
    assert told["last_decision"] is None


def test_a_position_with_what_protects_it(tmp_path: Path) -> None:
    rig = EngineRig(universe_of("BTC"))
    filled = rig.open_position("BTC")
    for request in submitted(filled):
        rig.take(OrderOutcome(request.cloid, Accepted(11)))
    rig.quote(100.1)
    told = snapshot(rig, tmp_path, decided_ms=START_MS)
    (position,) = told["positions"]
    held = rig.engine.portfolio.positions["BTC"]
    assert Decimal(position["size"]) == held.size
    assert (position["entry_price"], position["mark_price"]) == ("100", "100.1")
    assert Decimal(position["unrealised_usd"]) == held.size / 10
    (stop,) = [each for each in rig.engine.oms.live_orders("BTC") if each.intent.key.action is Action.STOP]
    assert stop.order.request.trigger is not None
    assert [Decimal(each) for each in position["stops"]] == [stop.order.request.trigger.price]
    assert position["in_our_care"] is True
    assert {each["action"] for each in told["orders"]} >= {"STOP"}
    assert told["last_decision"] == "2023-11-14 22:00:00"
    assert all(value is None or isinstance(value, str) for value in money_of(told)), "money is text"


def test_a_stop_that_the_venue_has_not_taken_does_not_count_as_resting(tmp_path: Path) -> None:
    rig = EngineRig(universe_of("BTC"))
    rig.open_position("BTC")
    (position,) = snapshot(rig, tmp_path)["positions"]
    assert position["stops"] == []


def test_everything_that_holds_entries_is_named(tmp_path: Path) -> None:
    rig = EngineRig(universe_of("BTC"))
    rig.take(EntriesHeld("feed", "connection 0: silent"))
    assert snapshot(rig, tmp_path)["entries"] == "feed: connection 0: silent"
    rig.take(OperatorSpoke("request-1", OperatorVerb.KILL_SOFT, None, "cli", "odd"))
    told = snapshot(rig, tmp_path)
    assert told["entries"] == "the kill latch is close_only: cli: odd; feed: connection 0: silent"
    assert told["latch"]["why"] == "cli: odd"
    assert told["latch"]["since"].startswith("2023-11-14 22:00:0")


def test_what_is_not_known_is_not_made_up(tmp_path: Path) -> None:
    held = opened_with("DOGE", Decimal(5), Decimal("0.1"), START_MS)
    rig = EngineRig(universe_of("BTC"), state=LedgerState(instance_tag=b"ab", positions=(held,)))
    told = snapshot(rig, tmp_path)
    (position,) = told["positions"]
    assert (position["mark_price"], position["unrealised_usd"], position["in_our_care"]) == (None, None, False)
    assert told["equity_usd"] is None
    assert told["day_pnl_usd"] is None
