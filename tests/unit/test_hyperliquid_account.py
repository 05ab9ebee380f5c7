"""What the account tells after an absence: every fill once whatever the pages look like, and all of it or nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

import pytest

from adapters.hyperliquid.transport import HttpReply
from domain.events import (
    AccountSnapshot,
    Event,
    FillArrived,
    FundingPaid,
    HeldPosition,
    OrderCanceled,
    OrderOutcome,
)
from domain.orders import Accepted, Rejected, RejectReason
from ports.order_gateway import VenueUnavailable
from tests.hyperliquid_books import (
    HOUR_MS,
    MINUTE_MS,
    SINCE_MS,
    Books,
    Row,
    fill_row,
    fills_of,
    funding_row,
    order_row,
    rig_over,
    whole_books,
)
from tests.hyperliquid_rigs import NOW_MS, cloid, reply


async def recovered(books: Books, cloids: Sequence[str] = (), since_ms: int = SINCE_MS) -> list[Event]:
    return list(await rig_over(books).account.recover(cloids, since_ms))


# ── what is told ─────────────────────────────────────────────────────────────────────────────────


async def test_fills_and_funding_come_first_then_ends_of_orders_and_the_snapshot_last() -> None:
    books = Books(
        fills=[fill_row(1, NOW_MS - HOUR_MS)],
        fundings=[funding_row(NOW_MS - HOUR_MS), funding_row(NOW_MS - HOUR_MS, "ETH")],
        orders={cloid(2): order_row(2, "canceled")},
        positions=[("BTC", "0.001", "-1.5"), ("ETH", "-0.5", "2.25")],
    )
    events = await recovered(books, [cloid(2)])
    assert [type(event) for event in events] == [FillArrived, FundingPaid, FundingPaid, OrderCanceled, AccountSnapshot]
    fill = events[0]
    assert isinstance(fill, FillArrived)
    assert (fill.fill.symbol, fill.fill.size, fill.fill.cloid) == ("BTC", Decimal("0.001"), cloid(1))
    assert events[-1] == AccountSnapshot(
        Decimal("999.25"),
        (("BTC", Decimal("0.001")), ("ETH", Decimal("-0.5"))),
        NOW_MS,
        (HeldPosition("BTC", Decimal("90000.0"), 3), HeldPosition("ETH", Decimal("90000.0"), 3)),
        (),
        SINCE_MS - 10 * MINUTE_MS,
    )


async def test_a_flat_account_is_flat_by_the_venue_s_word() -> None:
    assert await recovered(Books()) == [
        AccountSnapshot(Decimal(1_000), (), NOW_MS, (), (), fills_since_ms=SINCE_MS - 10 * MINUTE_MS)
    ]


async def test_a_payment_that_the_state_does_not_hold_yet_is_not_told_with_it() -> None:
    books = Books(state_ms=NOW_MS - 10)
    books.on_state = lambda: books.fundings.extend([funding_row(NOW_MS - 10), funding_row(NOW_MS - 9, "ETH")])
    events = await recovered(books)
    assert [event.symbol for event in events if isinstance(event, FundingPaid)] == ["BTC"], "all up to its time"


async def test_without_a_past_the_account_s_own_is_left_alone() -> None:
    books = Books(
        fills=[fill_row(1, NOW_MS - HOUR_MS)], fundings=[funding_row(NOW_MS)], positions=[("BTC", "1.0", "0.0")]
    )
    events = await recovered(books, since_ms=0)
    assert [type(event) for event in events] == [AccountSnapshot]


async def test_some_time_before_the_last_known_fill_is_read_again() -> None:
    books = Books(fills=[fill_row(1, SINCE_MS - 5 * MINUTE_MS), fill_row(2, SINCE_MS), fill_row(3, SINCE_MS + 1)])
    assert fills_of(await recovered(books)) == [1, 2, 3]


@pytest.mark.parametrize("word", ["unifiedAccount", "portfolioMargin"])
async def test_the_cash_of_a_unified_account_is_its_spot_balance(word: str) -> None:
    snapshot = (await recovered(Books(abstraction=word, equity="77.0")))[-1]
    assert isinstance(snapshot, AccountSnapshot) and snapshot.cash_usd == Decimal("5000.5")


async def test_an_agent_s_or_other_markets_rows_are_no_error_and_no_event() -> None:
    rows = [fill_row(1, NOW_MS - 5), fill_row(2, NOW_MS - 4, "@107"), fill_row(3, NOW_MS - 3, "xyz:TSLA")]
    assert fills_of(await recovered(Books(fills=rows))) == [1]


# ── the ends of orders ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (order_row(1, "open"), [OrderOutcome(cloid(1), Accepted(1_001))]),
        (order_row(1, "canceled"), [OrderCanceled(cloid(1), "canceled")]),
        (order_row(1, "reduceOnlyCanceled"), [OrderCanceled(cloid(1), "reduceOnlyCanceled")]),
        (order_row(1, "somethingNewCanceled"), [OrderCanceled(cloid(1), "somethingNewCanceled")]),
        (
            order_row(1, "iocCancelRejected"),
            [OrderOutcome(cloid(1), Rejected(RejectReason.NO_IMMEDIATE_MATCH, "iocCancelRejected"))],
        ),
        # Some of it was filled before: the rest is gone, but it lived.
        (order_row(1, "iocCancelRejected", "0.004"), [OrderCanceled(cloid(1), "iocCancelRejected")]),
        # Its size may have been cut before it filled: what is missing of ours will not come any more.
        (
            order_row(1, "filled", "0.0"),
            [OrderOutcome(cloid(1), Accepted(1_001)), OrderCanceled(cloid(1), "filled")],
        ),
        (order_row(1, "triggered"), []),
        (order_row(1, "pondering"), []),
        ({"status": "unknownOid"}, []),
    ],
)
async def test_what_the_venue_says_of_a_live_order(row: Row, told: list[Event]) -> None:
    events = await recovered(Books(orders={cloid(1): row}), [cloid(1)])
    assert events[:-1] == told


async def test_a_status_that_nobody_has_heard_of_is_told_to_the_sentinel() -> None:
    rig = rig_over(Books(orders={cloid(1): order_row(1, "pondering")}))
    await rig.account.recover([cloid(1)], SINCE_MS)
    assert [(where, raw) for where, raw, _ in rig.sentinel.noted] == [("orderStatus", "pondering")]


async def test_an_answer_about_another_order_is_no_answer() -> None:
    rig = rig_over(Books(orders={cloid(1): order_row(2, "canceled")}))
    with pytest.raises(VenueUnavailable, match="told of"):
        await rig.account.recover([cloid(1)], SINCE_MS)
    assert len(rig.sentinel.noted) == 1


# ── pages ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("count", [1, 499, 500, 501, 1_999, 2_000, 2_001, 4_000, 5_300])
async def test_every_fill_comes_once_and_in_order_however_the_pages_fall(count: int, newest_first: bool) -> None:
    # Seven share each millisecond, so that pages end within one.
    rows = [fill_row(number, NOW_MS - HOUR_MS + number // 7) for number in range(count)]
    assert fills_of(await recovered(Books(fills=rows, newest_first=newest_first))) == list(range(count))


@pytest.mark.parametrize("newest_first", [False, True])
async def test_every_funding_comes_once_and_in_order(newest_first: bool) -> None:
    rows = [funding_row(SINCE_MS + hour * HOUR_MS, coin) for hour in range(90) for coin in "ABCDEFGHIJKL"]
    events = await recovered(Books(fundings=rows, newest_first=newest_first))
    told = [(event.time_ms, event.symbol) for event in events if isinstance(event, FundingPaid)]
    assert told == [(row["time"], row["delta"]["coin"]) for row in rows]


async def test_pages_of_other_markets_hide_nothing() -> None:
    rows = [fill_row(number, NOW_MS - HOUR_MS + number, "@107") for number in range(3_000)]
    rows.append(fill_row(9_000, NOW_MS - 5))
    assert fills_of(await recovered(Books(fills=rows))) == [9_000]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_full_page_within_one_millisecond_proves_nothing(newest_first: bool) -> None:
    rows = [fill_row(number, NOW_MS - HOUR_MS) for number in range(2_001)]
    with pytest.raises(VenueUnavailable, match="there may be more"):
        await recovered(Books(fills=rows, newest_first=newest_first))


async def test_many_fills_within_one_millisecond_that_fit_are_all_there_are() -> None:
    rows = [fill_row(number, NOW_MS - HOUR_MS) for number in range(1_500)]
    assert len(fills_of(await recovered(Books(fills=rows)))) == 1_500


async def test_two_fills_of_one_pair_of_orders_are_two() -> None:
    rows = [fill_row(1, NOW_MS - 9), fill_row(1, NOW_MS - 8)]
    assert fills_of(await recovered(Books(fills=rows))) == [1, 1]


# ── state and fills belong together ──────────────────────────────────────────────────────────────


async def test_a_fill_that_comes_while_the_state_is_read_is_told_and_the_state_read_again() -> None:
    books = Books(fills=[fill_row(1, NOW_MS - HOUR_MS)], positions=[("BTC", "0.001", "0.0")])

    def trade() -> None:
        if len(books.fills) == 1:
            books.fills.append(fill_row(2, NOW_MS - 1))
            books.positions = [("BTC", "0.002", "0.0")]

    books.on_state = trade
    events = await recovered(books)
    assert fills_of(events) == [1, 2]
    snapshot = events[-1]
    assert isinstance(snapshot, AccountSnapshot) and snapshot.positions == (("BTC", Decimal("0.002")),)


async def test_a_state_older_than_the_fills_is_not_taken() -> None:
    books = Books(fills=[fill_row(1, NOW_MS - 10)], state_ms=NOW_MS - 11)
    with pytest.raises(VenueUnavailable, match="not as new"):
        await recovered(books)
    books.state_ms = NOW_MS - 10
    assert len(await recovered(books)) == 2


# ── all of it or nothing ─────────────────────────────────────────────────────────────────────────

KINDS = (
    *("userFillsByTime", "userFunding", "orderStatus", "clearinghouseState", "userAbstraction"),
    *("frontendOpenOrders", "userNonFundingLedgerUpdates"),
)


@pytest.mark.parametrize("kind", [*KINDS, "spotClearinghouseState"])
@pytest.mark.parametrize(
    "answer", [reply(b"null", 500), reply(b"null"), reply(b"{}"), reply(b"[[]]"), reply(b"<html>")]
)
async def test_one_answer_that_is_missing_or_odd_and_there_is_none_at_all(kind: str, answer: HttpReply) -> None:
    books = whole_books()
    books.abstraction = "unifiedAccount" if kind == "spotClearinghouseState" else "default"
    rig = rig_over(books)
    rig.transport.info = lambda request: answer if request["type"] == kind else books.answer(request)
    with pytest.raises(VenueUnavailable):
        await rig.account.recover([cloid(1)], SINCE_MS)
    is_json = answer.status == 200 and answer.body != b"<html>"
    assert len(rig.sentinel.noted) == is_json, "whatever is JSON and odd is told"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("px", value) for value in ("0.0", "-1", "NaN", "1e5", 90_000.0, None)),
        *(("sz", value) for value in ("0.0", "", "-0.001", None)),
        *(("side", value) for value in ("X", "b", None)),
        *(("time", value) for value in ("1", None, 5)),
        *(("startPosition", value) for value in (None, "much", 0.5)),
        *(("oid", value) for value in ("5", None, -1)),
        *(("fee", value) for value in (None, 0.01)),
        *(("cloid", value) for value in ("0x12", 5)),
        ("feeToken", "HYPE"),
        ("coin", None),
    ],
)
async def test_one_fill_that_cannot_be_read_and_there_are_none(name: str, value: object) -> None:
    books = whole_books()
    books.fills[3] = {**books.fills[3], name: value}
    rig = rig_over(books)
    rig.transport.info = lambda request: (
        reply(books.fills) if request["type"] == "userFillsByTime" else books.answer(request)
    )
    with pytest.raises(VenueUnavailable, match="cannot be read"):
        await rig.account.recover([], SINCE_MS)
    (where, raw, _problem) = rig.sentinel.noted[0]
    assert where == "userFillsByTime" and json.loads(raw) == books.fills, "the sentinel has it as it came"


@pytest.mark.parametrize("missing", ["szi", "coin", "unrealizedPnl"])
async def test_one_position_that_cannot_be_read_and_there_is_no_snapshot(missing: str) -> None:
    books = whole_books()
    state = books._state()
    del state["assetPositions"][0]["position"][missing]
    rig = rig_over(books)
    rig.transport.info = lambda request: (
        reply(state) if request["type"] == "clearinghouseState" else books.answer(request)
    )
    with pytest.raises(VenueUnavailable, match="cannot be read"):
        await rig.account.recover([], SINCE_MS)
    assert rig.sentinel.noted[0][0] == "clearinghouseState"


async def test_an_unheard_of_kind_of_account_has_no_known_cash() -> None:
    with pytest.raises(VenueUnavailable, match="cannot be read"):
        await recovered(Books(abstraction="somethingNew"))
