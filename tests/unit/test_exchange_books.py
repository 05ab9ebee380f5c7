"""The simulated exchange on recorded books and trades: takers walk levels, resting orders wait in a queue."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from adapters.sim.book_depth import FRESH_MS
from adapters.sim.exchange import ExchangeRules, SimExchange
from adapters.sim.exchange_book import HeldOrder
from adapters.sim.queue_estimate import Queue
from adapters.sim.seen_trades import TRADES_KEPT
from domain.events import Event, FillArrived, FundingPaid, OrderCanceled, OrderOutcome
from domain.fills import Fill
from domain.intents import Side, TimeInForce, Trigger, TriggerKind
from domain.market import BookSnapshot, PublicTrade
from domain.orders import Accepted, Rejected, RejectReason
from tests.engine_builders import START_MS, order, quotes_of, universe_of

BUY, SELL = Side.BUY, Side.SELL
GTC, ALO, IOC = TimeInForce.GTC, TimeInForce.ALO, TimeInForce.IOC
Levels = Sequence[tuple[str, str]]
BIDS: Levels = (("100", "5"), ("99", "10"), ("98", "20"))
ASKS: Levels = (("101", "5"), ("102", "10"), ("103", "20"))
HOUR_MS = 3_600_000


def book_at(venue_ms: int, bids: Levels = BIDS, asks: Levels = ASKS, symbol: str = "BTC") -> BookSnapshot:
    sides = (tuple((Decimal(price), Decimal(size)) for price, size in side) for side in (bids, asks))
    return BookSnapshot(symbol, venue_ms, *sides)


class BookMarket:
    """One symbol's books, quotes and trades, a second apart, and what the exchange says of them."""

    def __init__(self, slippage_bps: int = 10, cash: str = "100000") -> None:
        rules = ExchangeRules(slippage_bps=Decimal(slippage_bps), latency_ms=200)
        self.exchange = SimExchange(universe_of("BTC", "ETH"), rules, Decimal(cash))
        self.now_ms = START_MS
        self.tid = 0

    def book(self, bids: Levels = BIDS, asks: Levels = ASKS, after_ms: int = 1_000) -> list[Event]:
        self.now_ms += after_ms
        return self.exchange.on_book(book_at(self.now_ms, bids, asks))

    def quote(self, bid: float, ask: float, after_ms: int = 1_000) -> list[Event]:
        self.now_ms += after_ms
        return self.exchange.on_quotes(quotes_of(self.now_ms, {0: (bid, ask)}))

    def trade(self, side: Side, price: str, size: str, after_ms: int = 1_000) -> list[Event]:
        self.now_ms += after_ms
        self.tid += 1
        return self.exchange.on_trades([self.public_trade(side, price, size)])

    def public_trade(self, side: Side, price: str, size: str) -> PublicTrade:
        return PublicTrade("BTC", side, Decimal(price), Decimal(size), self.now_ms, self.tid)

    def send(
        self, side: Side, size: str, limit: str, time_in_force: TimeInForce = IOC, *, reduce_only: bool = False
    ) -> str:
        request = order(
            side, size, limit, time_in_force=time_in_force, reduce_only=reduce_only, cloid=f"{side.value}-{self.now_ms}"
        )
        self.exchange.submit(request, self.now_ms)
        return request.cloid

    def rests(self, side: Side, size: str, limit: str, *, reduce_only: bool = False) -> str:
        cloid = self.send(side, size, limit, GTC, reduce_only=reduce_only)
        events = self.book()
        assert isinstance(outcome_in(events), Accepted) and not fills_in(events)
        return cloid

    def hold(self, side: Side, size: str) -> None:
        self.send(side, size, "110" if side is BUY else "90")
        assert sum(fill.size for fill in fills_in(self.book())) == Decimal(size)

    def held(self) -> HeldOrder:
        (held,) = self.exchange.book.all_resting()
        return held


def fills_in(events: list[Event]) -> list[Fill]:
    return [event.fill for event in events if isinstance(event, FillArrived)]


def got(events: list[Event]) -> list[tuple[str, str]]:
    """Price and size of the fills."""
    return [(plain(fill.price), plain(fill.size)) for fill in fills_in(events)]


def plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def outcome_in(events: list[Event]) -> object:
    return next((event.outcome for event in events if isinstance(event, OrderOutcome)), None)


def ended(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.cloid, event.reason) for event in events if isinstance(event, OrderCanceled)]


# ── takers ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("side", "limit", "levels"),
    [
        (BUY, "110", [("101", "5"), ("102", "10"), ("103", "3")]),
        (SELL, "90", [("100", "5"), ("99", "10"), ("98", "3")]),
    ],
)
def test_a_taker_walks_the_levels_and_pays_each_ones_price(
    side: Side, limit: str, levels: list[tuple[str, str]]
) -> None:
    market = BookMarket()
    cloid = market.send(side, "18", limit)
    events = market.book()
    fills = fills_in(events)
    assert got(events) == levels
    assert outcome_in(events) == Accepted(fills[0].oid, Decimal(18)) and ended(events) == []
    assert len({fill.tid for fill in fills}) == 3 and all(fill.crossed and fill.cloid == cloid for fill in fills)
    assert [abs(fill.start_position or 0) for fill in fills] == [0, 5, 15]
    assert not market.exchange.is_alive(cloid)


def test_the_limit_stops_the_walk_and_the_rest_of_an_ioc_order_ends() -> None:
    market = BookMarket()
    cloid = market.send(BUY, "18", "102")
    events = market.book()
    assert got(events) == [("101", "5"), ("102", "10")]
    assert isinstance(outcome := outcome_in(events), Accepted) and outcome.filled == 15
    assert ended(events) == [(cloid, "canceled")] and isinstance(events[-1], OrderCanceled)
    assert not market.exchange.is_alive(cloid)


def test_an_exhausted_book_fills_nothing_further() -> None:
    market = BookMarket()
    cloid = market.send(SELL, "36", "50")
    events = market.book()
    assert got(events) == [("100", "5"), ("99", "10"), ("98", "20")] and ended(events) == [(cloid, "canceled")]


def test_an_ioc_order_that_finds_no_level_within_its_limit_is_refused() -> None:
    market = BookMarket()
    market.send(BUY, "1", "100.9")
    outcome = outcome_in(market.book())
    assert isinstance(outcome, Rejected) and outcome.reason is RejectReason.NO_IMMEDIATE_MATCH


def test_what_was_taken_of_a_snapshot_is_gone_until_the_next() -> None:
    market = BookMarket()
    market.book()
    market.send(BUY, "7", "110")
    assert got(market.quote(100, 101)) == [("101", "5"), ("102", "2")]
    market.send(BUY, "9", "110")
    assert got(market.quote(100, 101)) == [("102", "8"), ("103", "1")]
    market.send(BUY, "1", "101")
    assert isinstance(outcome_in(market.quote(100, 101)), Rejected), "nobody is left at the touch"
    market.send(SELL, "1", "100")
    assert got(market.quote(100, 101)) == [("100", "1")], "the other side is whole"
    market.send(BUY, "6", "110")
    assert got(market.book()) == [("101", "5"), ("102", "1")]


def test_a_snapshot_told_again_or_an_older_one_gives_nothing_back() -> None:
    market = BookMarket()
    market.send(BUY, "5", "101")
    market.book()
    taken_ms = market.now_ms
    market.send(BUY, "5", "101")
    for venue_ms in (taken_ms, taken_ms - 500):
        assert market.exchange.on_book(book_at(venue_ms)) == []
    assert isinstance(outcome_in(market.quote(100, 101)), Rejected)


def test_levels_better_than_a_newer_touch_are_gone() -> None:
    market = BookMarket()
    market.book()
    market.send(BUY, "7", "110")
    assert got(market.quote(101.5, 102)) == [("102", "7")]
    market.book()
    market.send(BUY, "7", "110")
    assert got(market.quote(99, 99.5)) == [("101", "5"), ("102", "2")], "what was not recorded is not bought"


def test_a_touch_that_has_run_over_the_whole_book_leaves_only_itself() -> None:
    market = BookMarket(slippage_bps=10)
    market.book()
    market.send(SELL, "50", "80")
    assert got(market.quote(90, 91)) == [("89.91", "50")]  # 90 less 10 bps


def test_an_old_touch_does_not_bind_a_newer_book() -> None:
    market = BookMarket()
    market.hold(BUY, "1")
    market.quote(104.5, 105)
    market.send(BUY, "1", "110")
    assert got(market.book()) == [("101", "1")]


@pytest.mark.parametrize(
    ("age_ms", "filled"), [(FRESH_MS, [("101", "5"), ("102", "2")]), (FRESH_MS + 1, [("101.11", "7")])]
)
def test_a_book_that_is_too_old_says_nothing(age_ms: int, filled: list[tuple[str, str]]) -> None:
    market = BookMarket(slippage_bps=10)
    market.book()
    market.send(BUY, "7", "110")
    assert got(market.quote(100, 101, after_ms=age_ms)) == filled  # 101 and 10 bps: 101.101, up


def test_a_symbol_without_a_book_pays_the_touch_and_slippage() -> None:
    market = BookMarket(slippage_bps=10)
    market.exchange.on_book(book_at(START_MS, symbol="ETH"))
    market.send(BUY, "700", "110")
    assert got(market.quote(100, 101)) == [("101.11", "700")]


def test_an_order_meets_no_book_from_before_its_arrival() -> None:
    market = BookMarket()
    market.send(BUY, "1", "110")
    assert market.book(after_ms=199) == []
    assert [fill.time_ms for fill in fills_in(market.book(after_ms=1))] == [START_MS + 200]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [((), ASKS), (BIDS, ()), ((("102", "1"),), (("101", "1"),))],
    ids=["no bids", "no asks", "crossed"],
)
def test_a_book_on_which_nobody_could_trade_moves_nothing(bids: Levels, asks: Levels) -> None:
    market = BookMarket(slippage_bps=0)
    market.send(BUY, "1", "110")
    assert market.book(bids, asks) == []
    assert got(market.quote(100, 100.5)) == [("100.5", "1")], "the touch, for that book is none"


def test_post_only_is_refused_by_the_best_of_a_book() -> None:
    market = BookMarket()
    market.send(BUY, "1", "101", ALO)
    expected = "Post only order would have immediately matched, bbo was 100@101."
    assert outcome_in(market.book()) == Rejected(RejectReason.POST_ONLY_WOULD_MATCH, expected)


def test_reduce_only_takes_no_more_of_a_book_than_the_position() -> None:
    market = BookMarket()
    market.hold(BUY, "7")
    cloid = market.send(SELL, "30", "90", reduce_only=True)
    events = market.book()
    assert got(events) == [("100", "5"), ("99", "2")] and ended(events) == [(cloid, "reduceOnlyCanceled")]
    market.send(SELL, "8", "99")
    assert got(market.quote(100, 101)) == [("99", "8")], "the rest of the level is still there"


def test_each_piece_pays_its_fee_and_the_books_add_up() -> None:
    market = BookMarket(cash="10000")
    market.send(BUY, "7", "110")
    fills = fills_in(market.book())
    assert [fill.fee for fill in fills] == [Decimal("0.227250"), Decimal("0.091800")]
    snapshot = market.exchange.snapshot()
    assert snapshot.cash_usd == 10_000 - Decimal("0.319050") and snapshot.positions == (("BTC", Decimal(7)),)
    assert market.exchange.account.positions["BTC"].entry_price == Decimal(5 * 101 + 2 * 102) / 7


# ── what an order that crosses leaves over ───────────────────────────────────────────────────


def test_the_rest_of_a_gtc_order_rests_and_takes_from_the_next_snapshot() -> None:
    market = BookMarket()
    cloid = market.send(BUY, "18", "102", GTC)
    events = market.book()
    assert got(events) == [("101", "5"), ("102", "10")] and ended(events) == []
    assert isinstance(outcome := outcome_in(events), Accepted) and outcome.filled == 15
    assert market.held().remaining == 3 and market.held().filled == 15
    assert market.quote(100, 101) == [], "this snapshot is used up"
    (fill,) = fills_in(market.book())
    assert (fill.price, fill.size, fill.crossed, fill.cloid) == (Decimal(101), Decimal(3), True, cloid)
    assert not market.exchange.is_alive(cloid) and market.exchange.book.resting == {}


def test_the_rest_of_an_order_that_crosses_is_no_maker_before_the_touch_has_left_it() -> None:
    market = BookMarket()
    market.send(BUY, "18", "102", GTC)
    market.book()
    assert not fills_in(market.trade(SELL, "100", "50")), "the market trades on, beside us"
    market.book((("102.5", "1"),), (("103", "1"),))
    (fill,) = fills_in(market.trade(SELL, "101.9", "1"))
    assert (fill.price, fill.size, fill.crossed) == (Decimal(102), Decimal(3), False)


def test_the_rest_of_an_order_that_crosses_pays_the_touch_once_the_book_is_old() -> None:
    market = BookMarket(slippage_bps=10)
    market.send(BUY, "18", "102", GTC)
    market.book()
    (fill,) = fills_in(market.quote(100, 101, after_ms=FRESH_MS + 1))
    assert (fill.price, fill.size, fill.crossed) == (Decimal("101.11"), Decimal(3), True)


def test_an_order_that_has_filled_in_part_can_be_canceled() -> None:
    market = BookMarket()
    cloid = market.send(BUY, "18", "102", GTC)
    market.book()
    assert ended(market.exchange.cancel("BTC", cloid)) == [(cloid, "canceled")]
    assert market.book() == [] and market.exchange.account.size("BTC") == 15


def test_what_is_left_of_an_order_holds_margin() -> None:
    market = BookMarket(cash="200")  # 18 at 102 and leverage 10: 183.60
    market.send(BUY, "18", "102", GTC)
    market.book()
    market.send(BUY, "2", "95", GTC)
    outcome = outcome_in(market.book((("100", "5"),), (("102.5", "5"),)))
    assert isinstance(outcome, Rejected) and outcome.reason is RejectReason.INSUFFICIENT_MARGIN


# ── triggers ─────────────────────────────────────────────────────────────────────────────────


def rest_stop(market: BookMarket, size: str, level: str, limit: str = "50") -> None:
    stop = Trigger(TriggerKind.STOP_LOSS, Decimal(level))
    request = order(SELL, size, limit, cloid="sl", time_in_force=GTC, reduce_only=True, trigger=stop)
    market.exchange.submit(request, market.now_ms)
    assert isinstance(outcome_in(market.book()), Accepted)


FALLEN = (("94", "3"), ("93", "3"), ("92", "3")), (("95.9", "5"),)


def test_a_stop_goes_by_the_mid_of_the_book_and_walks_it() -> None:
    market = BookMarket()
    market.hold(BUY, "7")
    rest_stop(market, "7", "95")
    assert market.book((("94.5", "3"),), (("95.6", "5"),)) == [], "the mid is 95.05"
    events = market.book(*FALLEN)
    assert got(events) == [("94", "3"), ("93", "3"), ("92", "1")] and ended(events) == []
    assert all(fill.crossed for fill in fills_in(events)) and not market.exchange.is_alive("sl")


@pytest.mark.parametrize(
    ("size", "limit", "filled"),
    [("12", "50", [("94", "3"), ("93", "3"), ("92", "3")]), ("7", "93", [("94", "3"), ("93", "3")]), ("7", "94.1", [])],
    ids=["exhausted", "limited", "beyond its limit"],
)
def test_a_stop_that_fired_ends_where_the_book_or_its_limit_does(
    size: str, limit: str, filled: list[tuple[str, str]]
) -> None:
    market = BookMarket()
    market.hold(BUY, size)
    rest_stop(market, size, "95", limit)
    events = market.book(*FALLEN)
    assert got(events) == filled and ended(events) == [("sl", "canceled")]


def test_a_stop_walks_a_fresh_book_when_a_quote_fires_it() -> None:
    market = BookMarket()
    market.hold(BUY, "7")
    rest_stop(market, "7", "99.9")
    assert got(market.quote(99, 99.5)) == [("99", "7")]


def test_a_stop_fills_at_the_touch_where_that_has_run_over_the_book() -> None:
    market = BookMarket(slippage_bps=0)
    market.hold(BUY, "7")
    rest_stop(market, "7", "95")
    assert got(market.quote(94, 94.5)) == [("94", "7")]


# ── the queue ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("side", "limit"), [(BUY, "99"), (SELL, "102")])
def test_trades_work_off_the_queue_and_then_fill_us_in_part(side: Side, limit: str) -> None:
    market = BookMarket()
    cloid = market.rests(side, "4", limit)
    other = side.opposite
    assert market.held().queue == Queue(Decimal(10), market.now_ms)
    assert market.trade(other, limit, "6") == [] and market.trade(side, limit, "50") == []
    assert market.trade(other, limit, "4") == [], "that was the last before us"
    events = [*market.trade(other, limit, "1.5"), *market.trade(other, limit, "30")]
    assert got(events) == [(limit, "1.5"), (limit, "2.5")]
    assert all(not fill.crossed and fill.cloid == cloid for fill in fills_in(events))
    assert not market.exchange.is_alive(cloid) and market.exchange.book.resting == {}


def test_a_trade_larger_than_the_queue_fills_us_with_what_is_over() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "99")
    assert got(market.trade(SELL, "99", "11")) == [("99", "1")]
    assert market.held().remaining == 3 and market.held().filled == 1


def test_nobody_stands_before_an_order_that_improves_the_touch() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "100.5")
    assert got(market.trade(SELL, "100.5", "1")) == [("100.5", "1")]


def test_nobody_stands_before_an_order_between_two_levels() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "99.5")
    assert got(market.trade(SELL, "99.5", "1")) == [("99.5", "1")]


def test_a_queue_deeper_than_the_book_is_not_known_until_a_book_shows_it() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "97")
    assert market.trade(SELL, "97", "100") == []
    market.book((("98", "1"), ("97", "8")))
    assert market.held().queue == Queue(Decimal(8), market.now_ms)
    assert got(market.trade(SELL, "97", "10")) == [("97", "2")]


def test_without_a_book_only_an_order_better_than_the_touch_knows_its_queue() -> None:
    market = BookMarket()
    market.send(BUY, "4", "99", GTC)
    market.quote(99, 101)
    assert market.trade(SELL, "99", "100") == []
    market.quote(98, 101)
    assert got(market.trade(SELL, "99", "1")) == [("99", "1")]


@pytest.mark.parametrize("aggressor", [BUY, SELL])
@pytest.mark.parametrize(("side", "limit", "through"), [(BUY, "99", "98.99"), (SELL, "102", "102.01")])
def test_a_trade_through_our_price_fills_all_of_us(side: Side, limit: str, through: str, aggressor: Side) -> None:
    market = BookMarket()
    market.rests(side, "4", limit)
    assert got(market.trade(aggressor, through, "0.01")) == [(limit, "4")]


def test_a_snapshot_shortens_the_queue_and_never_lengthens_it() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "99")
    for recorded, ahead in (("30", 10), ("7", 7), ("9", 7), ("7", 7)):
        market.book((("100", "5"), ("99", recorded)))
        assert (market.held().queue or Queue(Decimal(-1), 0)).ahead == ahead
    market.book((("100", "5"), ("98", "5")))
    assert got(market.trade(SELL, "99", "1")) == [("99", "1")], "everybody before us has gone"


def test_a_snapshot_that_ends_before_our_level_leaves_the_queue() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "98")
    market.book((("100", "5"), ("99", "5")))
    assert (market.held().queue or Queue(Decimal(-1), 0)).ahead == 20


def test_a_snapshot_from_before_our_arrival_shortens_nothing() -> None:
    market = BookMarket()
    market.exchange.on_book(book_at(market.now_ms))
    market.send(BUY, "4", "99", GTC)
    assert outcome_in(market.quote(100, 101)) is not None
    market.exchange.on_book(book_at(START_MS + 199, (("100", "5"), ("99", "1"))))
    assert (market.held().queue or Queue(Decimal(-1), 0)).ahead == 10


def test_a_trade_that_a_snapshot_knew_already_does_not_count_again() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "99")
    market.tid += 1
    late = market.public_trade(SELL, "99", "6")
    market.book((("100", "5"), ("99", "4")))
    market.exchange.on_trades([late])
    assert market.trade(SELL, "99", "4") == []
    assert got(market.trade(SELL, "99", "1")) == [("99", "1")]


def test_a_trade_from_before_our_arrival_does_not_count() -> None:
    market = BookMarket()
    market.book(after_ms=0)
    market.send(BUY, "4", "100.5", GTC)
    early = PublicTrade("BTC", SELL, Decimal("90"), Decimal(50), START_MS + 199, 901)
    on_time = PublicTrade("BTC", SELL, Decimal("90"), Decimal(50), START_MS + 200, 902)
    market.quote(100, 101)
    assert market.exchange.on_trades([early]) == []
    assert got(market.exchange.on_trades([on_time])) == [("100.5", "4")]


def test_trades_let_no_order_arrive() -> None:
    market = BookMarket()
    market.book()
    market.send(BUY, "1", "110")
    assert market.trade(SELL, "101", "5") == []
    assert got(market.book()) == [("101", "1")]


def test_a_trade_told_again_does_not_count_again() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "99")
    market.tid, market.now_ms = 7, market.now_ms + 1_000
    trade = market.public_trade(SELL, "99", "6")
    for frame in ([trade, trade], [trade]):
        assert market.exchange.on_trades(frame) == []
    assert (market.held().queue or Queue(Decimal(-1), 0)).ahead == 4


def test_a_trade_whose_name_was_forgotten_does_not_count_again() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "99")
    first_ms = market.now_ms + 1
    frame = [
        PublicTrade("BTC", SELL, Decimal(99), Decimal("0.01"), first_ms + number, number)
        for number in range(TRADES_KEPT + 1)
    ]
    market.exchange.on_trades(frame)
    queue = market.held().queue
    market.exchange.on_trades(frame)
    assert market.held().queue == queue and len(market.exchange.book.trades_seen["BTC"].recent) == TRADES_KEPT


def test_trades_of_one_frame_are_taken_by_their_time() -> None:
    market = BookMarket()
    market.rests(BUY, "4", "99")
    late, early = (
        PublicTrade("BTC", SELL, Decimal(99), Decimal(size), market.now_ms + ms, int(size))
        for ms, size in ((20, "3"), (10, "9"))
    )
    assert [fill.time_ms for fill in fills_in(market.exchange.on_trades([late, early]))] == [market.now_ms + 20]


def test_a_trade_fills_only_one_of_two_orders_of_ours() -> None:
    market = BookMarket()
    first, second = market.send(BUY, "2", "100.5", GTC), order(BUY, "2", "100.5", time_in_force=GTC, cloid="second")
    market.exchange.submit(second, market.now_ms)
    market.book()
    filled = fills_in(market.trade(SELL, "100.5", "3"))
    assert [(fill.cloid, plain(fill.size)) for fill in filled] == [(first, "2"), ("second", "1")]


def test_a_reduce_only_order_fills_in_part_and_ends_with_the_position() -> None:
    market = BookMarket()
    market.hold(BUY, "5")
    cloid = market.rests(SELL, "5", "102", reduce_only=True)
    assert got(market.trade(BUY, "102", "12")) == [("102", "2")]
    assert market.exchange.is_alive(cloid)
    market.send(SELL, "2", "90")
    assert ended(market.book()) == []
    events = market.trade(BUY, "103", "1")
    assert got(events) == [("102", "1")] and ended(events) == [(cloid, "reduceOnlyCanceled")]
    assert market.exchange.account.size("BTC") == 0


def test_a_position_made_by_a_trade_after_the_hour_does_not_pay_that_hour() -> None:
    exchange = SimExchange(
        universe_of("BTC"), ExchangeRules(), Decimal(10_000), lambda symbol, hour_ms: (Decimal("0.001"), None)
    )
    exchange.submit(order(BUY, "4", "100.5", time_in_force=GTC), START_MS - 5_000)
    exchange.on_book(book_at(START_MS - 1_000))
    trade = PublicTrade("BTC", SELL, Decimal("100.5"), Decimal(5), START_MS + 10, 1)
    events = [*exchange.on_trades([trade]), *exchange.on_book(book_at(START_MS + 20))]
    assert len(fills_in(events)) == 1 and not [event for event in events if isinstance(event, FundingPaid)]
