"""Reading a ledger from outside: everything of one moment, beside a running daemon or without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.sqlite import queries
from adapters.sqlite.order_queries import executions, orders
from adapters.sqlite.queries import TradeRow
from domain.facts import OrderChanged, TradeClosed
from domain.intents import Action, Side
from domain.orders import Rejected, RejectReason, with_outcome
from domain.positions import Position
from ports.ledger import StorageError
from tests.ledger_facts import T0, accepted, intent, order_for, recorded, story, trade
from tests.sqlite_files import opened, run_sql, write_ledger

READERS: list[Callable[[Path], object]] = [
    queries.closed_trades,
    orders,
    executions,
    queries.positions,
    queries.summary,
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_ledger(tmp_path / "ledger.sqlite", story())
    return tmp_path / "ledger.sqlite"


def test_closed_trades_are_oldest_first(path: Path) -> None:
    first, second = queries.closed_trades(path)
    assert first == TradeRow(
        symbol="BTC",
        side="long",
        opened_ms=T0 + 61_300,
        closed_ms=T0 + 600_000,
        size=Decimal("0.5"),
        entry_price=Decimal(50000),
        exit_price=Decimal(51000),
        pnl=Decimal(500),
        fees=Decimal("0.2"),
        funding=Decimal("-0.01"),
        intent_id=None,
        exit_reason="stop_loss",
        meta='{"oms":{"matched_via":"cloid"}}',
    )
    assert second.exit_reason == "signal_flip"
    assert json.loads(first.meta)["oms"] == {"matched_via": "cloid"}


def test_trades_can_be_asked_for_by_symbol_and_number(path: Path) -> None:
    with opened(path) as ledger:
        short = replace(trade("ETH", T0 + 800_000), side=Side.SELL)
        ledger.commit([TradeClosed(short, "{}", 50), TradeClosed(replace(short, closed_ms=T0 + 900_000), "{}", 51)])
        eth = queries.closed_trades(path, "ETH")
        assert [(row.symbol, row.side, row.closed_ms) for row in eth] == [
            ("ETH", "short", T0 + 800_000),
            ("ETH", "short", T0 + 900_000),
        ]
        assert [row.closed_ms for row in queries.closed_trades(path, limit=3)] == [
            T0 + 700_000,
            T0 + 800_000,
            T0 + 900_000,
        ]
        assert queries.closed_trades(path, "DOGE") == []


def test_orders_say_where_every_attempt_stands(path: Path) -> None:
    doge = recorded(intent("DOGE"))
    rejected = with_outcome(doge.order, Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no match"))
    again = order_for(doge.intent, attempt=2)
    with opened(path) as ledger:
        ledger.commit([doge, OrderChanged(rejected, T0)])
        [row] = orders(path, "DOGE")
        assert (row.attempt, row.status, row.status_reason) == (1, "rejected", "no_immediate_match: no match")
        ledger.commit([accepted(again, 99)])
    told = {row.attempt: row for row in orders(path, "DOGE")}
    assert (told[1].status, told[2].status, told[2].cloid, told[2].oid) == ("rejected", "open", again.request.cloid, 99)
    assert (told[2].symbol, told[2].action, told[2].side) == ("DOGE", "OPEN", "buy")
    assert sorted(row.action for row in orders(path)) == ["OPEN"] * 4 + ["STOP"]
    assert orders(path, limit=2) == orders(path)[-2:]


def test_fills_carry_hash_and_attribution(path: Path) -> None:
    rows = executions(path)
    assert [(row.tid, row.hash, row.matched_via, row.intent_id) for row in rows] == [
        (900, "0xfeed", "cloid", intent().intent_id),
        (901, "0xfeed", "cloid", intent().intent_id),
        (902, "0xfeed", "cloid", intent("ETH", T0 + 60_000).intent_id),
    ]
    assert [row.tid for row in executions(path, "BTC", limit=1)] == [901]


def test_only_open_positions_are_listed(path: Path) -> None:
    other = intent("ETH", T0 + 60_000, Action.OPEN)
    assert queries.positions(path) == [
        Position("ETH", Decimal("-0.4"), Decimal(3000), T0, T0, intent_id=other.intent_id)
    ]


def test_the_summary_adds_up(path: Path) -> None:
    assert queries.summary(path) == queries.Summary(
        mode="paper",
        network="local",
        account="0xme",
        realised=Decimal(0),
        fees=Decimal("0.323456789"),
        funding=Decimal("-0.3125"),
        cash=Decimal(10000),
        intents=3,
        fills=3,
        trades=2,
        winning_trades=2,
        open_positions=1,
    )


def test_a_running_daemon_is_no_obstacle_and_is_not_disturbed(path: Path) -> None:
    with opened(path) as ledger:
        ledger.commit([recorded(intent("SOL"))])
        assert queries.summary(path).intents == 4
        ledger.commit([recorded(intent("DOGE"))])
        assert queries.summary(path).intents == 5
        assert ledger.verify() is None
    assert queries.summary(path).intents == 5
    before = path.read_bytes()
    for read in READERS:
        read(path)
    assert path.read_bytes() == before


def test_what_a_killed_daemon_left_is_read_and_left_as_it_is(path: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with opened(path) as ledger:
        ledger.commit([recorded(intent("SOL"))])
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):  # as they lie on the disk at this moment
            (left / name).write_bytes((tmp_path / name).read_bytes())
    before = {found.name: found.read_bytes() for found in left.iterdir()}
    assert queries.summary(left / "ledger.sqlite").intents == 4
    after = {found.name: found.read_bytes() for found in left.iterdir() if not found.name.endswith("-shm")}
    assert after == before


@pytest.mark.parametrize("read", READERS)
def test_an_absent_ledger_is_named_and_not_made(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "none.sqlite"
    with pytest.raises(StorageError, match=r"none\.sqlite: there is no ledger here\. Start the daemon once"):
        read(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("content", "problem"), [(b"", "schema 0"), (b"my diary\n" * 500, "not a SQLite database")])
def test_what_is_no_ledger_is_named_and_left_alone(
    tmp_path: Path, read: Callable[[Path], object], content: bytes, problem: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=problem):
        read(path)
    assert path.read_bytes() == content


def test_a_row_that_cannot_be_read_is_damage(path: Path) -> None:
    run_sql(path, "UPDATE trades SET pnl = 'a lot'")
    with pytest.raises(StorageError, match=r"has a row that cannot be read: 'a lot' is not a plain decimal"):
        queries.closed_trades(path)
