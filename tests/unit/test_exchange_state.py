"""The simulated exchange's file: everything comes back, damage is named."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.sim.account import VenueAccount, VenuePosition
from adapters.sim.exchange_book import ExchangeBook, HeldOrder
from adapters.sim.exchange_state import NEWS_KEPT, load_book, save_book
from adapters.sim.queue_estimate import Queue
from adapters.sim.seen_trades import SeenTrades
from domain.events import FundingPaid
from domain.fills import FillCause
from domain.intents import Trigger, TriggerKind
from ports.ledger import StorageError
from tests.builders import T0, make_fill, make_order

MARKET = {"seed": 7, "market_ms": T0, "real_ms": 2, "scale_milli": 60_000}


def full_book() -> ExchangeBook:
    request = make_order().request
    stop = replace(
        request, cloid="0x02", reduce_only=True, trigger=Trigger(TriggerKind.STOP_LOSS, Decimal("0.00012345"))
    )
    book = ExchangeBook(
        VenueAccount(
            Decimal("9876.543210000001"), {"kPEPE": VenuePosition(Decimal("-12"), Decimal("0.0123"), Decimal(3))}
        ),
        coming=[HeldOrder(request, 5, T0 + 200, Decimal("0.5"))],
        next_oid=9,
        next_tid=4,
        funded_hour=123,
        now_ms=T0,
        fills=[
            make_fill(tid=3, cloid="0x09", fee="-0.000001"),
            *(make_fill(tid=4 + number, cause=cause) for number, cause in enumerate(FillCause)),
        ],
        fundings=[FundingPaid("kPEPE", T0, Decimal("-12"), Decimal("-0.0000125"), Decimal("0.01"))],
    )
    book.rest(HeldOrder(stop, 6, T0, Decimal(1)))
    limit = replace(request, cloid="0x03")
    book.rest(HeldOrder(limit, 7, T0, Decimal("0.3"), Decimal("0.2"), Queue(Decimal("12.50"), T0 - 5), crosses=True))
    book.by_cloid = {request.cloid: 5, "0x02": 6, "0x03": 7}
    book.trades_seen = {limit.symbol: SeenTrades({990: T0 - 1, 7: T0}, T0 - 60)}
    return book


def test_everything_comes_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "exchange.json"
    save_book(path, full_book(), MARKET)
    found = load_book(path)
    assert found is not None
    assert found.book == full_book()
    assert found.market == MARKET


def test_a_file_from_before_fills_had_causes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "exchange.json"
    save_book(path, full_book(), MARKET)
    state = json.loads(path.read_text())
    state["fills"] = [[*row[:-1], is_forced] for row, is_forced in zip(state["fills"][:2], (True, False), strict=True)]
    path.write_text(json.dumps(state))
    found = load_book(path)
    assert found is not None
    assert [fill.cause for fill in found.book.fills] == [FillCause.LIQUIDATION, FillCause.ORDER]


def test_a_file_from_before_books_were_recorded_is_read(tmp_path: Path) -> None:
    path = tmp_path / "exchange.json"
    save_book(path, full_book(), MARKET)
    state = json.loads(path.read_text())
    del state["trades_seen"]
    for orders in ("coming", "resting"):
        state[orders] = [row[:13] for row in state[orders]]
    path.write_text(json.dumps(state))
    found = load_book(path)
    assert found is not None and found.book.trades_seen == {}
    (limit,) = (held for held in found.book.all_resting() if held.oid == 7)
    assert limit == replace(limit, remaining=Decimal("0.3"), filled=Decimal(0), queue=None, crosses=False)


def test_trades_are_kept_only_where_an_order_could_meet_them_again(tmp_path: Path) -> None:
    book = full_book()
    book.trades_seen["ELSE"] = SeenTrades({1: T0})
    save_book(tmp_path / "exchange.json", book, MARKET)
    found = load_book(tmp_path / "exchange.json")
    assert found is not None and found.book.trades_seen == full_book().trades_seen


def test_no_file_is_no_exchange(tmp_path: Path) -> None:
    assert load_book(tmp_path / "none.json") is None


def test_only_recent_news_is_kept(tmp_path: Path) -> None:
    book = ExchangeBook(VenueAccount(Decimal(1)), fills=[make_fill(tid=tid) for tid in range(NEWS_KEPT + 5)])
    save_book(tmp_path / "exchange.json", book, MARKET)
    found = load_book(tmp_path / "exchange.json")
    assert found is not None
    assert [fill.tid for fill in found.book.fills] == list(range(5, NEWS_KEPT + 5))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 99}', '{"version": 1}', "\x00\x01"])
def test_a_damaged_file_is_named_and_says_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "exchange.json"
    path.write_text(damage)
    with pytest.raises(StorageError, match=r"exchange\.json.*move this file"):
        load_book(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be saved"):
        save_book(tmp_path / "nowhere" / "exchange.json", full_book(), MARKET)
