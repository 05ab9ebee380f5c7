"""How the account stands, what the venue knows of one order, and whose an order is: by its word, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.hyperliquid.account import KIND_AGAIN_MS
from adapters.hyperliquid.transport import HttpReply
from domain.events import (
    AccountSnapshot,
    HeldPosition,
    OrderCanceled,
    OrderLooked,
    OrderNamed,
    OrderOutcome,
    RestingOrder,
)
from domain.intents import Side
from domain.orders import Accepted
from ports.order_gateway import VenueUnavailable
from tests.hyperliquid_books import (
    MINUTE_MS,
    Books,
    Row,
    fill_row,
    fills_of,
    open_row,
    order_row,
    rig_over,
    whole_books,
)
from tests.hyperliquid_rigs import NOW_MS, cloid, reply

# ── how it stands ────────────────────────────────────────────────────────────────────────────────


async def test_a_snapshot_says_how_the_account_stands_and_not_what_led_to_it() -> None:
    books = whole_books()
    books.state_ms = NOW_MS - 40
    books.resting = [
        open_row(3),
        open_row(4, cloid=None, isTrigger=True, triggerPx="85000.0", coin="ETH", side="A", sz="0.004", reduceOnly=True),
        open_row(5, coin="@107"),
        open_row(6, children=[open_row(7, timestamp=NOW_MS - 7)]),
    ]
    plain = (Side.BUY, Decimal("0.01"), None, False)
    assert await rig_over(books).account.snapshot() == AccountSnapshot(
        Decimal("1000.0"),
        (("BTC", Decimal("0.005")),),
        NOW_MS - 40,
        (HeldPosition("BTC", Decimal("90000.0"), 3),),
        (
            RestingOrder("BTC", 1_003, cloid(3), NOW_MS, *plain),
            RestingOrder("ETH", 1_004, None, NOW_MS, Side.SELL, Decimal("0.004"), Decimal("85000.0"), reduce_only=True),
            RestingOrder("BTC", 1_006, cloid(6), NOW_MS, *plain),
            RestingOrder("BTC", 1_007, cloid(7), NOW_MS - 7, *plain),
        ),
        fills_since_ms=None,
    )
    assert books.asked == ["clearinghouseState", "userAbstraction", "frontendOpenOrders"]


async def test_what_kind_of_account_it_is_is_asked_now_and_then() -> None:
    books = Books(equity="77.0")
    rig = rig_over(books)
    cash: list[Decimal] = []
    for at_ms, word in (
        (0, "default"),
        (1, "unifiedAccount"),
        (KIND_AGAIN_MS, "unifiedAccount"),
        (KIND_AGAIN_MS + 1, "unifiedAccount"),
    ):
        books.abstraction = word
        await rig.clock.advance_to(NOW_MS + at_ms)
        cash.append((await rig.account.snapshot()).cash_usd)
    assert cash == [Decimal(77), Decimal(77), Decimal(77), Decimal("5000.5")]
    assert books.asked.count("userAbstraction") == 2


async def test_a_kind_of_account_that_could_not_be_read_is_asked_for_again() -> None:
    books = Books(abstraction="somethingNew")
    rig = rig_over(books)
    with pytest.raises(VenueUnavailable):
        await rig.account.snapshot()
    books.abstraction = "unifiedAccount"
    assert (await rig.account.snapshot()).cash_usd == Decimal("5000.5")


# ── looking for one order ────────────────────────────────────────────────────────────────────────


async def test_an_order_that_the_venue_knows_is_told_with_its_fills() -> None:
    books = Books(
        fills=[fill_row(1, NOW_MS - 5), fill_row(2, NOW_MS - 4), fill_row(3, NOW_MS - 2 * MINUTE_MS)],
        orders={cloid(1): order_row(1, "filled", "0.0")},
        state_ms=NOW_MS - 3,
    )
    events = list(await rig_over(books).account.look(cloid(1), NOW_MS - MINUTE_MS, everywhere=False))
    assert fills_of(events) == [3, 1, 2], "from a while before it was sent, for our clock is not the venue's"
    assert events[3:] == [
        OrderOutcome(cloid(1), Accepted(1_001)),
        OrderCanceled(cloid(1), "filled"),
        OrderLooked(cloid(1), True, NOW_MS - 3, False),
    ]


async def test_an_order_that_is_not_known_is_looked_for_elsewhere_only_if_asked_to() -> None:
    books = Books(fills=[fill_row(1, NOW_MS - 5)], resting=[open_row(1)], state_ms=NOW_MS - 3)
    events = await rig_over(books).account.look(cloid(1), NOW_MS - MINUTE_MS, everywhere=False)
    assert events == [OrderLooked(cloid(1), False, NOW_MS - 3, False)]
    assert books.asked == ["clearinghouseState", "orderStatus"]


async def test_an_order_that_only_a_fill_tells_of_is_found() -> None:
    books = Books(fills=[fill_row(1, NOW_MS - 5), fill_row(2, NOW_MS - 4)])
    for number, found in ((1, True), (3, False)):
        events = list(await rig_over(books).account.look(cloid(number), NOW_MS - MINUTE_MS, everywhere=True))
        assert fills_of(events) == [1, 2]
        assert events[2:] == [OrderLooked(cloid(number), found, NOW_MS, True)]


async def test_an_order_that_only_the_list_of_open_ones_tells_of_is_found() -> None:
    books = Books(resting=[open_row(1), open_row(2, isTrigger=True, triggerPx="85000.0")])
    for number, found in ((1, True), (2, True), (3, False)):
        events = list(await rig_over(books).account.look(cloid(number), NOW_MS - MINUTE_MS, everywhere=True))
        told = [OrderOutcome(cloid(number), Accepted(1_000 + number))] if found else []
        assert events == [*told, OrderLooked(cloid(number), found, NOW_MS, True)]


async def test_an_order_that_fills_between_two_questions_is_found() -> None:
    books = Books(resting=[open_row(1)])

    def fill() -> None:
        books.resting, books.fills = [], [fill_row(1, NOW_MS)]

    books.on_state = fill  # asked for first: it filled before everything else was asked
    assert (await rig_over(books).account.look(cloid(1), NOW_MS, everywhere=True))[-1] == OrderLooked(
        cloid(1), True, NOW_MS, True
    )
    books = Books()
    books.on_resting = lambda: books.fills.append(fill_row(1, NOW_MS))
    assert (await rig_over(books).account.look(cloid(1), NOW_MS, everywhere=True))[-1] == OrderLooked(
        cloid(1), True, NOW_MS, True
    )


async def test_where_the_venue_tells_no_time_nothing_was_looked_for() -> None:
    with pytest.raises(VenueUnavailable, match="told no time"):
        await rig_over(Books(state_ms=None)).account.look(cloid(1), NOW_MS, everywhere=True)


@pytest.mark.parametrize("kind", ["clearinghouseState", "orderStatus", "userFillsByTime", "frontendOpenOrders"])
@pytest.mark.parametrize("answer", [reply(b"null", 500), reply(b"null"), reply(b"{}"), reply(b"[[]]")])
async def test_one_answer_that_is_missing_or_odd_and_the_order_was_not_looked_for(kind: str, answer: HttpReply) -> None:
    books = Books()
    rig = rig_over(books)
    rig.transport.info = lambda request: answer if request["type"] == kind else books.answer(request)
    with pytest.raises(VenueUnavailable):
        await rig.account.look(cloid(1), NOW_MS, everywhere=True)


# ── whose an order is ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (order_row(1, "filled", "0.0"), OrderNamed("BTC", 1_001, cloid(1), is_trigger=False)),
        (order_row(1, "open", cloid=None), OrderNamed("BTC", 1_001, None, is_trigger=False)),
        (
            order_row(1, "triggered", isTrigger=True, triggerPx="85000.0"),
            OrderNamed("BTC", 1_001, cloid(1), is_trigger=True),
        ),
        (order_row(1, "filled", cloid=None, isTrigger=True), OrderNamed("BTC", 1_001, None, is_trigger=True)),
        (
            order_row(1, "pondering", cloid=cloid(1).upper().replace("0X", "0x")),
            OrderNamed("BTC", 1_001, cloid(1), False),
        ),
        ({"status": "unknownOid"}, None),
    ],
)
async def test_the_order_behind_a_fill(row: Row, named: OrderNamed | None) -> None:
    books = Books(orders={1_001: row})
    assert await rig_over(books).account.name_order("BTC", 1_001) == named


@pytest.mark.parametrize(
    "answer",
    [
        reply(order_row(2, "filled")),
        reply(order_row(1, "filled", cloid="0x12")),
        reply(order_row(1, "filled", isTrigger="no")),
        reply({"status": "order"}),
        reply({"status": "unknownOid", "order": order_row(1, "filled")["order"]}),
        reply(b"null"),
        reply(b"null", 500),
    ],
)
async def test_an_answer_that_names_no_order_is_none(answer: HttpReply) -> None:
    rig = rig_over(Books())
    rig.transport.info = lambda request: answer
    with pytest.raises(VenueUnavailable):
        await rig.account.name_order("BTC", 1_001)
