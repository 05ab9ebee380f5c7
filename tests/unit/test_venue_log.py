"""The venue's log: one order of everything, nothing of the house's own business, no secrets."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from adapters.sim.venue.exchange.events import (
    BalanceChanged,
    Filled,
    LedgerUpdate,
    NonUserCanceled,
    OrderChanged,
    Printed,
    VenueFill,
)
from adapters.sim.venue.exchange.orders import OrderChange, Status, Tif, VenueOrder
from adapters.sim.venue.exchange.state import VAULT
from adapters.sim.venue.log import HOUSE, LEFT_OUT, VenueLog
from adapters.sim.venue.market.house import FLOW, MAKER
from domain.intents import Side

USER = "0x" + 40 * "a"
R = "0x53749d5b30552aeb2fca34b530185976545bb22d0b3ce6f62e31be961a59298"
SIGNATURE = {"r": R, "s": "0x755c40ba9bf05223521753995abb2f73ab3229be8ec921f350cb447e384d8ed8", "v": 27}


def printed(buyer: str, seller: str) -> Printed:
    return Printed("BTC", Side.BUY, Decimal("85000.0"), Decimal("0.10"), 5_000, "0x1", 7, buyer, seller)


def fill_of(address: str) -> Filled:
    fill = VenueFill(
        coin="BTC",
        price=Decimal(85_000),
        size=Decimal("0.1"),
        side=Side.BUY,
        time_ms=5_000,
        start_position=Decimal(0),
        direction="Open Long",
        closed_pnl=Decimal(0),
        hash="0x1",
        oid=9,
        crossed=True,
        fee=Decimal("3.825"),
        tid=7,
        cloid=None,
    )
    return Filled(address, fill)


def test_rows_have_running_numbers_time_and_kind() -> None:
    log = VenueLog()
    assert log.append("socket_open", 1_000, socket=1) == 1
    assert log.append("socket_closed", 2_000, socket=1, reason=None) == 2
    assert log.rows() == [
        {"n": 1, "time": 1_000, "kind": "socket_open", "socket": 1},
        {"n": 2, "time": 2_000, "kind": "socket_closed", "socket": 1, "reason": None},
    ]


def test_values_become_json() -> None:
    log = VenueLog()
    log.append("x", 0, a=Decimal("1.50"), b=Side.BUY, c=(1, Decimal(2)), d={3: {Decimal("0.1")}}, e=float("nan"))
    log.append("x", 0, f=OrderChange(4, Status.OPEN, Decimal("0E-8")), g=b"", h=b'{"type":"meta"}', i=b"\xff!", j=True)
    said = [json.loads(line) for line in log.export()]
    assert said == log.rows()
    assert said[0] | {"n": 0} == {
        "n": 0,
        "time": 0,
        "kind": "x",
        "a": "1.5",
        "b": "buy",
        "c": [1, "2.0"],
        "d": {"3": ["0.1"]},
        "e": "nan",
    }
    assert said[1]["f"] == {"time_ms": 4, "status": "open", "size": "0.0"}
    assert (said[1]["g"], said[1]["h"], said[1]["i"], said[1]["j"]) == ("", {"type": "meta"}, "\ufffd!", True)


BODY = {"action": {"type": "order", "orders": []}, "nonce": 5, "signature": SIGNATURE, "vaultAddress": None}


@pytest.mark.parametrize(
    "said",
    [
        BODY,
        json.dumps(BODY),
        json.dumps(BODY).encode(),
        json.dumps(BODY).encode()[:-3],
        {"method": "post", "id": 1, "request": {"type": "action", "payload": BODY}},
        json.dumps({"method": "post", "id": 1, "request": {"type": "action", "payload": BODY}}),
        json.dumps(
            {"channel": "error", "data": "Error parsing JSON into valid websocket request: " + json.dumps(BODY)}
        ),
        [{"deep": [{"signatures": [SIGNATURE]}]}],
        "signed 0x" + 65 * "5a",
        {"secret": R},
    ],
)
def test_signatures_leave_no_trace(said: object) -> None:
    lines: list[str] = []
    log = VenueLog(sink=lines.append)
    log.append("request", 0, body=said, signature=SIGNATURE)
    for line in (*lines, *log.export()):
        assert R[2:] not in line
        assert str(SIGNATURE["s"]) not in line
        assert 65 * "5a" not in line


def test_what_was_asked_stays_readable() -> None:
    log = VenueLog()
    log.append("request", 0, body=json.dumps(BODY).encode())
    assert log.rows()[0]["body"] == {key: value for key, value in BODY.items() if key != "signature"}
    log.append("request", 0, body=b'{"nonce": 5, "signature": {"r"')
    assert log.rows()[1]["body"] == '{"nonce": 5, "signature' + LEFT_OUT


def test_old_rows_leave_and_are_counted() -> None:
    lines: list[str] = []
    log = VenueLog(kept=3, sink=lines.append)
    for number in range(5):
        log.append("x", number)
    assert [row["n"] for row in log.rows()] == [3, 4, 5]
    assert (log.count, log.left, len(lines)) == (5, 2, 5)
    assert json.loads(lines[0])["n"] == 1


def test_rows_can_be_asked_by_kind_and_number() -> None:
    log = VenueLog()
    for kind in ("fill", "order", "fill"):
        log.append(kind, 0)
    assert [row["n"] for row in log.rows("fill")] == [1, 3]
    assert [row["n"] for row in log.rows("fill", after=1)] == [3]
    assert [row["n"] for row in log.rows(after=1)] == [2, 3]


def test_the_house_is_the_venues_own_accounts() -> None:
    assert {MAKER, FLOW, VAULT} == HOUSE


def test_the_house_among_itself_is_left_out() -> None:
    log = VenueLog()
    log.see([printed(FLOW, MAKER), fill_of(MAKER), fill_of(FLOW), printed(USER, MAKER), fill_of(USER)])
    assert [(row["kind"], row.get("user"), row.get("buyer")) for row in log.rows()] == [
        ("print", None, USER),
        ("fill", USER, None),
    ]


def test_a_fill_is_told_whole() -> None:
    log = VenueLog()
    log.see([fill_of(USER)])
    row = log.rows()[0]
    assert row["time"] == 5_000
    assert (row["price"], row["size"], row["side"], row["fee"], row["tid"]) == ("85000.0", "0.1", "buy", "3.825", 7)
    assert (row["start_position"], row["direction"], row["oid"], row["crossed"]) == ("0.0", "Open Long", 9, True)


def test_order_steps_and_balances_are_told() -> None:
    order = VenueOrder(
        oid=9,
        address=USER,
        coin="BTC",
        side=Side.SELL,
        price=Decimal(90_000),
        size=Decimal(0),
        original_size=Decimal("0.1"),
        tif=Tif.GTC,
        trigger=None,
        reduce_only=False,
        cloid="0x" + 32 * "1",
        placed_ms=1,
    )
    log = VenueLog()
    log.see([OrderChanged(USER, order, OrderChange(1, Status.OPEN, Decimal("0.1")))])
    log.see([BalanceChanged(USER, LedgerUpdate(2, "0x5", {"type": "deposit", "usdc": "10.0"}))])
    step, money = log.rows()
    assert (step["kind"], step["status"], step["remaining"], step["size"], step["tif"]) == (
        "order",
        "open",
        "0.1",
        "0.1",
        "Gtc",
    )
    assert money == {"n": 2, "time": 2, "kind": "balance", "user": USER, "hash": "0x5"} | {
        "delta": {"type": "deposit", "usdc": "10.0"}
    }


def test_events_without_a_time_get_one() -> None:
    log = VenueLog()
    log.append("x", 40)
    log.see([NonUserCanceled(USER, "BTC", 1)])
    log.see([NonUserCanceled(USER, "BTC", 2)], now_ms=50)
    assert [row["time"] for row in log.rows()] == [40, 40, 50]
