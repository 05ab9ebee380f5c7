"""The simulated exchange: what becomes of an order, on candles and on quotes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.sim.exchange import ExchangeRules, SimExchange
from domain.events import Event, FillArrived, FundingPaid, OrderCanceled, OrderOutcome
from domain.fills import Fill, FillCause
from domain.instruments import Universe
from domain.intents import Side, TimeInForce, Trigger, TriggerKind
from domain.orders import Accepted, Rejected, RejectReason
from tests.engine_builders import MINUTE_MS, START_MS, batch_of, order, quotes_of, universe_of

NO_SLIPPAGE = ExchangeRules(slippage_bps=Decimal(0))
HOUR_MS = 3_600_000
BUY, SELL = Side.BUY, Side.SELL
GTC, ALO = TimeInForce.GTC, TimeInForce.ALO


class CandleMarket:
    """One symbol's candles, one minute each, and what the exchange says of them."""

    def __init__(
        self, rules: ExchangeRules = NO_SLIPPAGE, cash: str = "10000", universe: Universe | None = None
    ) -> None:
        self.exchange = SimExchange(universe or universe_of("BTC"), rules, Decimal(cash))
        self.open_ms = START_MS

    def candle(self, open_: float, high: float, low: float, close: float) -> list[Event]:
        batch = batch_of(self.open_ms, {0: (open_, high, low, close, 1.0)})
        self.open_ms += MINUTE_MS
        return [*self.exchange.open_candles(batch), *self.exchange.run_candles(batch)]

    def flat(self, price: float) -> list[Event]:
        return self.candle(price, price, price, price)

    def hold(self, side: Side, size: str, price: float) -> None:
        """Take a position at a price."""
        limit = str(price * 1.05 if side is BUY else price * 0.95)
        self.exchange.submit(order(side, size, limit, cloid=f"hold-{self.open_ms}", leverage="50"), self.open_ms)
        assert len(fills_in(self.flat(price))) == 1


def fills_in(events: list[Event]) -> list[Fill]:
    return [event.fill for event in events if isinstance(event, FillArrived)]


def outcome_of(events: list[Event], cloid: str = "") -> object:
    return next(event.outcome for event in events if isinstance(event, OrderOutcome) and cloid in ("", event.cloid))


def refusal_of(events: list[Event]) -> RejectReason:
    outcome = outcome_of(events)
    assert isinstance(outcome, Rejected)
    return outcome.reason


def ended(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.cloid, event.reason) for event in events if isinstance(event, OrderCanceled)]


# ── orders on candles ────────────────────────────────────────────────────────────────────────


def test_an_order_decided_at_a_close_fills_at_the_next_open() -> None:
    market = CandleMarket()
    market.candle(100, 105, 95, 102)
    market.exchange.submit(order(BUY, "2", "110"), sent_ms=market.open_ms)
    opened_ms = market.open_ms
    (fill,) = fills_in(market.candle(103, 120, 80, 90))
    assert (fill.price, fill.size, fill.time_ms) == (Decimal("103"), Decimal(2), opened_ms)
    assert fill.start_position == 0 and fill.crossed


def test_an_order_sent_inside_a_candle_does_not_meet_the_rest_of_it() -> None:
    market = CandleMarket()
    batch = batch_of(START_MS, {0: (100.0, 101.0, 99.0, 100.0, 1.0)})
    market.exchange.open_candles(batch)
    market.exchange.submit(order(BUY, "1", "110"), START_MS)
    market.exchange.submit(order(BUY, "1", "99.5", time_in_force=GTC), START_MS)
    assert market.exchange.run_candles(batch) == []


def test_slippage_is_against_the_taker_and_stays_on_the_tick() -> None:
    for side, price in ((BUY, "100.05"), (SELL, "99.927")):  # 99.987 ± 6 bps: 100.0469922 and 99.9270078
        market = CandleMarket(ExchangeRules(slippage_bps=Decimal(6)))
        market.exchange.submit(order(side, "1", "120" if side is BUY else "80"), START_MS)
        (fill,) = fills_in(market.flat(99.987))
        assert fill.price == Decimal(price)


def test_an_ioc_order_outside_its_limit_is_refused() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "1", "100"), START_MS)
    events = market.candle(100.5, 101, 99, 100)
    assert refusal_of(events) is RejectReason.NO_IMMEDIATE_MATCH
    assert not fills_in(events) and not market.exchange.is_alive("buy-1-100-ioc-None")


def test_slippage_counts_against_the_limit_of_an_ioc_order() -> None:
    market = CandleMarket(ExchangeRules(slippage_bps=Decimal(10)))
    market.exchange.submit(order(BUY, "1", "100.05"), START_MS)
    assert refusal_of(market.flat(100)) is RejectReason.NO_IMMEDIATE_MATCH


@pytest.mark.parametrize(
    ("side", "limit", "touch", "through"), [(BUY, "99", 99.0, 98.99), (SELL, "101", 101.0, 101.01)]
)
def test_a_resting_order_fills_when_traded_through_and_not_at_a_touch(
    side: Side, limit: str, touch: float, through: float
) -> None:
    market = CandleMarket()
    market.exchange.submit(order(side, "1", limit, time_in_force=GTC), START_MS)
    assert isinstance(outcome_of(market.flat(100)), Accepted)
    assert not fills_in(market.candle(100, max(100, touch), min(100, touch), 100))
    (fill,) = fills_in(market.candle(100, max(100, through), min(100, through), 100))
    assert fill.price == Decimal(limit) and not fill.crossed


def test_a_resting_order_pays_the_maker_fee_and_a_taker_the_takers() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "1", "99", time_in_force=GTC), START_MS)
    market.flat(100)
    (fill,) = fills_in(market.candle(100, 100, 98, 99))
    assert fill.fee == Decimal("0.014850")  # 99 × 0.00015
    market.exchange.submit(order(SELL, "1", "50"), market.open_ms)
    (fill,) = fills_in(market.flat(99))
    assert fill.fee == Decimal("0.044550")  # 99 × 0.00045


def test_a_gtc_order_whose_limit_slippage_would_break_takes_at_its_limit() -> None:
    market = CandleMarket(ExchangeRules(slippage_bps=Decimal(10)))
    market.exchange.submit(order(BUY, "1", "100.05", time_in_force=GTC), START_MS)
    (fill,) = fills_in(market.candle(100, 100.5, 99.5, 100))
    assert fill.price == Decimal("100.05") and fill.crossed


def test_post_only_is_refused_with_the_touch_when_it_would_match() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "1", "100", time_in_force=ALO), START_MS)
    outcome = outcome_of(market.candle(100, 101, 99, 100))
    expected = "Post only order would have immediately matched, bbo was 100@100."
    assert outcome == Rejected(RejectReason.POST_ONLY_WOULD_MATCH, expected)


def test_post_only_rests_when_it_does_not_match() -> None:
    market = CandleMarket()
    market.exchange.submit(order(SELL, "1", "100.5", time_in_force=ALO), START_MS)
    events = market.candle(100, 100.6, 99, 100)
    assert isinstance(outcome_of(events), Accepted)
    assert [fill.price for fill in fills_in(events)] == [Decimal("100.5")]


def test_fees_are_cut_to_six_decimals() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "0.37", "40"), START_MS)
    (fill,) = fills_in(market.flat(33.333))
    assert fill.fee == Decimal("0.005549")  # 33.333 × 0.37 × 0.00045 = 0.0055499445
    assert market.exchange.account.cash == Decimal(10_000) - Decimal("0.005549")


def test_a_cancelled_order_never_fills() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "1", "200", cloid="coming"), START_MS)
    market.exchange.submit(order(BUY, "1", "90", cloid="resting", time_in_force=GTC), START_MS)
    assert ended(market.exchange.cancel("BTC", "coming")) == [("coming", "canceled")]
    market.flat(100)
    assert ended(market.exchange.cancel("BTC", "resting")) == [("resting", "canceled")]
    assert market.exchange.cancel("BTC", "resting") == [] == market.exchange.cancel("BTC", "never heard of")
    assert not fills_in(market.candle(100, 200, 50, 100))


def test_an_attempt_is_never_sent_twice() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "1", "100", cloid="once"), START_MS)
    with pytest.raises(AssertionError, match="sent once"):
        market.exchange.submit(order(BUY, "1", "100", cloid="once"), START_MS)


# ── triggers ─────────────────────────────────────────────────────────────────────────────────

SL, TP = TriggerKind.STOP_LOSS, TriggerKind.TAKE_PROFIT


def rest_trigger(market: CandleMarket, side: Side, size: str, level: str, kind: TriggerKind, cloid: str = "") -> None:
    limit = "10" if side is SELL else "1000"
    name = cloid or kind.value
    market.exchange.submit(
        order(
            side, size, limit, cloid=name, time_in_force=GTC, reduce_only=True, trigger=Trigger(kind, Decimal(level))
        ),
        market.open_ms,
    )


@pytest.mark.parametrize(
    ("side", "kind", "level", "short_of_it", "reached"),
    [
        (SELL, SL, "95", (101, 95.01), (101, 95)),
        (SELL, TP, "105", (104.99, 99), (105, 99)),
        (BUY, SL, "105", (104.99, 99), (105, 99)),
        (BUY, TP, "95", (101, 95.01), (101, 95)),
    ],
)
def test_a_trigger_fires_exactly_when_its_level_is_reached(
    side: Side, kind: TriggerKind, level: str, short_of_it: tuple[float, float], reached: tuple[float, float]
) -> None:
    market = CandleMarket()
    market.hold(side.opposite, "2", 100)
    rest_trigger(market, side, "2", level, kind)
    market.flat(100)
    assert not fills_in(market.candle(100, *short_of_it, 100))
    (fill,) = fills_in(market.candle(100, *reached, 100))
    assert (fill.price, fill.side, fill.size, fill.crossed) == (Decimal(level), side, Decimal(2), True)


@pytest.mark.parametrize(
    ("side", "kind", "level", "open_"),
    [(SELL, SL, "95", 93.0), (BUY, SL, "105", 108.0), (SELL, TP, "105", 107.0), (BUY, TP, "95", 94.0)],
)
def test_a_gap_over_a_trigger_fills_at_the_open(side: Side, kind: TriggerKind, level: str, open_: float) -> None:
    market = CandleMarket()
    market.hold(side.opposite, "2", 100)
    rest_trigger(market, side, "2", level, kind)
    market.flat(100)
    (fill,) = fills_in(market.candle(open_, 110, 90, 100))
    assert fill.price == Decimal(str(open_))


@pytest.mark.parametrize(
    ("side", "kind", "level"), [(SELL, SL, "100"), (SELL, TP, "99.9"), (BUY, SL, "100"), (BUY, TP, "100.1")]
)
def test_a_trigger_that_the_price_has_reached_already_is_refused(side: Side, kind: TriggerKind, level: str) -> None:
    market = CandleMarket()
    market.hold(side.opposite, "2", 100)
    rest_trigger(market, side, "2", level, kind)
    assert refusal_of(market.flat(100)) is RejectReason.BAD_TRIGGER


def test_a_fired_trigger_never_fills_beyond_its_own_limit() -> None:
    market = CandleMarket()
    market.hold(BUY, "2", 100)
    stop = Trigger(SL, Decimal(95))
    market.exchange.submit(
        order(SELL, "2", "93", cloid="sl", time_in_force=GTC, reduce_only=True, trigger=stop), market.open_ms
    )
    market.flat(100)
    events = market.candle(92, 100, 91, 100)
    assert not fills_in(events)
    assert ended(events) == [("sl", "canceled")]
    assert market.exchange.account.size("BTC") == 2


def test_resting_orders_hold_margin() -> None:
    market = CandleMarket(cash="100")
    market.exchange.submit(order(BUY, "6", "90", cloid="first", time_in_force=GTC), market.open_ms)
    market.flat(100)
    market.exchange.submit(order(BUY, "6", "90", cloid="second", time_in_force=GTC), market.open_ms)
    assert refusal_of(market.flat(100)) is RejectReason.INSUFFICIENT_MARGIN


@pytest.mark.parametrize("side", [SELL, BUY])
def test_the_stop_comes_before_the_target_inside_one_candle(side: Side) -> None:
    market = CandleMarket()
    market.hold(side.opposite, "2", 100)
    target, loss = ("105", "95") if side is SELL else ("95", "105")
    rest_trigger(market, side, "2", target, TP)  # the older order
    rest_trigger(market, side, "2", loss, SL)
    events = market.candle(100, 110, 90, 100)
    assert [(fill.price, fill.cloid) for fill in fills_in(events)] == [(Decimal(loss), "sl")]
    assert ended(events) == [("tp", "reduceOnlyCanceled")]
    assert market.exchange.account.size("BTC") == 0


def test_a_stop_sent_at_the_fill_protects_the_rest_of_that_candle() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "2", "110"), START_MS)
    batch = batch_of(START_MS, {0: (100.0, 101.0, 90.0, 91.0, 1.0)})
    assert fills_in(market.exchange.open_candles(batch))
    rest_trigger(market, SELL, "2", "95", SL)
    assert [fill.price for fill in fills_in(market.exchange.run_candles(batch))] == [Decimal(95)]


def test_slippage_is_on_top_of_a_triggered_level() -> None:
    market = CandleMarket(ExchangeRules(slippage_bps=Decimal(10)))
    market.hold(BUY, "2", 100)
    rest_trigger(market, SELL, "2", "95.29", SL)
    (fill,) = fills_in(market.candle(100, 100, 94, 94))
    assert fill.price == Decimal("95.194")  # 95.29 × 0.999 = 95.19471, down


# ── reduce-only ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("side", [BUY, SELL])
def test_reduce_only_is_refused_when_there_is_nothing_to_reduce(side: Side) -> None:
    market = CandleMarket()
    limit = "200" if side is BUY else "50"
    market.exchange.submit(order(side, "1", limit, cloid="flat", reduce_only=True), START_MS)
    assert refusal_of(market.flat(100)) is RejectReason.REDUCE_ONLY_WOULD_INCREASE
    market.hold(side, "1", 100)
    market.exchange.submit(order(side, "1", limit, cloid="more", reduce_only=True), market.open_ms)
    assert refusal_of(market.flat(100)) is RejectReason.REDUCE_ONLY_WOULD_INCREASE


@pytest.mark.parametrize("side", [BUY, SELL])
def test_reduce_only_never_flips_a_position(side: Side) -> None:
    market = CandleMarket()
    market.hold(side.opposite, "1.5", 100)
    market.exchange.submit(
        order(side, "4", "200" if side is BUY else "50", cloid="out", reduce_only=True), market.open_ms
    )
    events = market.flat(100)
    (fill,) = fills_in(events)
    assert fill.size == Decimal("1.5") and market.exchange.account.size("BTC") == 0
    assert outcome_of(events) == Accepted(fill.oid, Decimal("1.5"))
    assert ended(events) == [("out", "reduceOnlyCanceled")]


def test_a_resting_reduce_only_order_shrinks_with_the_position() -> None:
    market = CandleMarket()
    market.hold(BUY, "3", 100)
    rest_trigger(market, SELL, "3", "95", SL)
    market.flat(100)
    market.exchange.submit(order(SELL, "1", "50", cloid="part", reduce_only=True), market.open_ms)
    market.flat(100)
    events = market.candle(100, 100, 90, 90)
    assert [fill.size for fill in fills_in(events)] == [Decimal(2)]
    assert market.exchange.account.size("BTC") == 0 and not market.exchange.is_alive("sl")


def test_resting_reduce_only_orders_end_when_the_position_is_flat() -> None:
    market = CandleMarket()
    market.hold(BUY, "3", 100)
    rest_trigger(market, SELL, "3", "95", SL)
    rest_trigger(market, SELL, "3", "120", TP)
    market.flat(100)
    market.exchange.submit(order(SELL, "3", "50", cloid="out", reduce_only=True), market.open_ms)
    events = market.flat(100)
    assert sorted(ended(events)) == [("sl", "reduceOnlyCanceled"), ("tp", "reduceOnlyCanceled")]
    assert not fills_in(market.candle(100, 130, 80, 100))


# ── what the venue refuses ───────────────────────────────────────────────────────────────────


def test_a_price_off_the_tick_is_refused() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "1", "100.001"), START_MS)
    assert refusal_of(market.flat(100)) is RejectReason.BAD_PRICE


def test_a_trigger_off_the_tick_is_refused() -> None:
    market = CandleMarket()
    market.hold(BUY, "1", 100)
    rest_trigger(market, SELL, "1", "95.0001", SL)
    assert refusal_of(market.flat(100)) is RejectReason.BAD_PRICE


def test_a_size_off_the_step_is_refused() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "1.001", "120"), START_MS)
    assert refusal_of(market.flat(100)) is RejectReason.BAD_SIZE


def test_an_order_below_ten_dollars_is_refused() -> None:
    market = CandleMarket()
    market.exchange.submit(order(BUY, "0.09", "110"), START_MS)  # 9.90
    assert refusal_of(market.flat(100)) is RejectReason.MIN_NOTIONAL
    market.exchange.submit(order(BUY, "0.10", "100"), market.open_ms)  # 10.00
    assert len(fills_in(market.flat(100))) == 1


@pytest.mark.parametrize("reduce_only", [True, False])
def test_a_close_of_the_whole_position_may_be_small_and_a_part_may_not(reduce_only: bool) -> None:
    market = CandleMarket()
    market.hold(BUY, "0.20", 100)
    market.exchange.submit(order(SELL, "0.15", "40", cloid="part", reduce_only=reduce_only), market.open_ms)
    assert refusal_of(market.flat(50)) is RejectReason.MIN_NOTIONAL
    market.exchange.submit(order(SELL, "0.20", "40", cloid="all", reduce_only=reduce_only), market.open_ms)
    assert [fill.size for fill in fills_in(market.flat(50))] == [Decimal("0.20")]


def test_an_order_that_the_account_cannot_carry_is_refused() -> None:
    market = CandleMarket(cash="1000")
    market.exchange.submit(order(BUY, "100", "100.1", leverage="10", cloid="a"), START_MS)  # 1,001 of margin
    assert refusal_of(market.flat(100)) is RejectReason.INSUFFICIENT_MARGIN
    market.exchange.submit(order(BUY, "100", "100", leverage="10", cloid="b"), market.open_ms)
    assert len(fills_in(market.flat(100))) == 1


def test_margin_in_use_and_losses_count_against_the_next_order() -> None:
    market = CandleMarket(cash="1000")
    market.exchange.submit(order(BUY, "50", "105", leverage="10", cloid="held"), START_MS)
    assert len(fills_in(market.flat(100))) == 1
    market.exchange.submit(order(BUY, "45", "98", leverage="10"), market.open_ms)  # 490 + 441 > 1,000 - 100 - fee
    assert refusal_of(market.flat(98)) is RejectReason.INSUFFICIENT_MARGIN


def test_orders_that_arrive_together_share_one_account() -> None:
    market = CandleMarket(cash="1000")
    for name in ("first", "second"):
        market.exchange.submit(order(BUY, "60", "100", leverage="10", cloid=name), START_MS)
    events = market.flat(100)
    assert isinstance(outcome_of(events, "first"), Accepted)
    assert outcome_of(events, "second") == Rejected(
        RejectReason.INSUFFICIENT_MARGIN, "Insufficient margin to place order."
    )


# ── funding and liquidation ──────────────────────────────────────────────────────────────────


def funded(rate: str, oracle: str, cash: str = "10000") -> SimExchange:
    return SimExchange(
        universe_of("BTC"), NO_SLIPPAGE, Decimal(cash), lambda symbol, hour_ms: (Decimal(rate), Decimal(oracle))
    )


@pytest.mark.parametrize(
    ("side", "rate", "amount"),
    [(BUY, "0.0001", "-0.02"), (SELL, "0.0001", "0.02"), (BUY, "-0.0001", "0.02"), (SELL, "-0.0001", "-0.02")],
)
def test_longs_pay_a_positive_rate_and_shorts_receive_it(side: Side, rate: str, amount: str) -> None:
    exchange = funded(rate, "200")
    exchange.submit(order(side, "1", "200" if side is BUY else "50"), START_MS)
    for minute in range(60):
        batch = batch_of(START_MS + minute * MINUTE_MS, {0: (100.0, 100.0, 100.0, 100.0, 1.0)})
        assert not [event for event in exchange.open_candles(batch) if isinstance(event, FundingPaid)]
        exchange.run_candles(batch)
    cash = exchange.account.cash
    batch = batch_of(START_MS + HOUR_MS, {0: (100.0, 100.0, 100.0, 100.0, 1.0)})
    paid = [event for event in exchange.open_candles(batch) if isinstance(event, FundingPaid)]
    sign = Decimal(side.sign)
    assert paid == [FundingPaid("BTC", START_MS + HOUR_MS, sign, Decimal(rate), Decimal(amount))]
    assert exchange.account.cash == cash + Decimal(amount)
    assert exchange.open_candles(batch) == []


def test_every_hour_that_passed_is_paid_once() -> None:
    exchange = funded("0.0001", "100")
    exchange.on_quotes(quotes_of(START_MS, {0: (100.0, 100.0)}))
    exchange.submit(order(BUY, "1", "200"), START_MS)
    exchange.on_quotes(quotes_of(START_MS + 1_000, {0: (100.0, 100.0)}))
    events = exchange.on_quotes(quotes_of(START_MS + 3 * HOUR_MS + 5, {0: (100.0, 100.0)}))
    assert [event.time_ms for event in events if isinstance(event, FundingPaid)] == [
        START_MS + hour * HOUR_MS for hour in (1, 2, 3)
    ]


def test_a_position_opened_at_the_hour_does_not_pay_that_hour() -> None:
    exchange = funded("0.0001", "100")
    batch = batch_of(START_MS - MINUTE_MS, {0: (100.0, 100.0, 100.0, 100.0, 1.0)})
    exchange.open_candles(batch)
    exchange.submit(order(BUY, "1", "200"), START_MS)
    events = exchange.open_candles(batch_of(START_MS, {0: (100.0, 100.0, 100.0, 100.0, 1.0)}))
    assert fills_in(events) and not [event for event in events if isinstance(event, FundingPaid)]


def test_a_quote_from_before_the_hour_does_not_make_the_hour_pay_again() -> None:
    exchange = funded("0.0001", "100")
    exchange.on_quotes(quotes_of(START_MS - 10_000, {0: (100.0, 100.0)}))
    exchange.submit(order(BUY, "1", "200"), START_MS - 10_000)
    paid: list[Event] = []
    for venue_ms in (START_MS - 5_000, START_MS + 10, START_MS - 20, START_MS + 30):
        paid += [
            event
            for event in exchange.on_quotes(quotes_of(venue_ms, {0: (100.0, 100.0)}))
            if isinstance(event, FundingPaid)
        ]
    assert len(paid) == 1


def test_liquidation_closes_everything_and_cancels_every_order() -> None:
    universe = universe_of("BTC", "ETH", max_leverage=50)
    exchange = SimExchange(universe, NO_SLIPPAGE, Decimal(1000))
    exchange.submit(order(BUY, "40", "120", cloid="b"), START_MS)
    exchange.submit(order(SELL, "40", "80", symbol="ETH", cloid="e"), START_MS)
    exchange.submit(order(BUY, "1", "50", cloid="rest", time_in_force=GTC), START_MS)
    calm = dict.fromkeys((0, 1), (100.0, 100.0, 100.0, 100.0, 1.0))
    assert len(fills_in(exchange.open_candles(batch_of(START_MS, calm)))) == 2
    assert exchange.run_candles(batch_of(START_MS, calm)) == []
    crash = {0: (100.0, 100.0, 76.0, 77.0, 1.0), 1: (100.0, 101.0, 100.0, 100.0, 1.0)}
    events = [*exchange.open_candles(batch_of(START_MS + MINUTE_MS, crash))]
    assert events == []
    events = exchange.run_candles(batch_of(START_MS + MINUTE_MS, crash))
    assert ended(events) == [("rest", "liquidatedCanceled")]
    closed = {fill.symbol: fill for fill in fills_in(events)}
    assert closed["BTC"].side is SELL and closed["BTC"].price == 76 and closed["BTC"].size == 40
    assert closed["ETH"].side is BUY and closed["ETH"].price == 101 and closed["ETH"].size == 40
    assert all(fill.cause is FillCause.LIQUIDATION and fill.cloid is None for fill in closed.values())
    assert exchange.snapshot().positions == ()
    fees = sum((fill.fee for fill in exchange.book.fills), Decimal(0))
    assert exchange.account.cash == 1000 - 40 * 24 - 40 * 1 - fees


def test_an_account_just_above_its_maintenance_margin_lives() -> None:
    market = CandleMarket(cash="100")
    market.hold(BUY, "10", 100)  # 1,000 of notional, max leverage 50: maintenance is 1 % of the value
    fee = Decimal("0.45")
    # value = 100 - 0.45 + 10 × (p - 100) >= 0.1 × p  ⇔  p >= 900.45 / 9.9 = 90.9545…
    assert market.exchange.account.cash == 100 - fee
    assert not fills_in(market.candle(100, 100, 90.955, 95))
    assert [fill.cause for fill in fills_in(market.candle(95, 95, 90.954, 95))] == [FillCause.LIQUIDATION]


# ── orders on quotes ─────────────────────────────────────────────────────────────────────────


class QuoteMarket:
    def __init__(self, rules: ExchangeRules = NO_SLIPPAGE) -> None:
        self.exchange = SimExchange(universe_of("BTC", "ETH"), rules, Decimal(10_000))
        self.now_ms = START_MS

    def quote(self, bid: float, ask: float, symbol_id: int = 0, after_ms: int = 1_000) -> list[Event]:
        self.now_ms += after_ms
        return self.exchange.on_quotes(quotes_of(self.now_ms, {symbol_id: (bid, ask)}))

    def hold(self, side: Side, size: str, price: float) -> None:
        limit = str(price * 1.05 if side is BUY else price * 0.95)
        self.exchange.submit(order(side, size, limit, cloid=f"hold-{self.now_ms}", leverage="50"), self.now_ms)
        assert len(fills_in(self.quote(price, price))) == 1

    def rest_trigger(self, side: Side, size: str, level: str, kind: TriggerKind) -> None:
        limit = "10" if side is SELL else "1000"
        trigger = Trigger(kind, Decimal(level))
        self.exchange.submit(
            order(side, size, limit, cloid=kind.value, time_in_force=GTC, reduce_only=True, trigger=trigger),
            self.now_ms,
        )


def test_an_order_arrives_after_its_latency_in_event_time() -> None:
    market = QuoteMarket(ExchangeRules(slippage_bps=Decimal(0), latency_ms=200))
    market.exchange.submit(order(BUY, "1", "120"), START_MS)
    assert market.quote(100, 101, after_ms=199) == []
    (fill,) = fills_in(market.quote(102, 103, after_ms=1))
    assert (fill.price, fill.time_ms) == (Decimal(103), START_MS + 200)


def test_an_order_meets_only_quotes_of_its_own_symbol() -> None:
    market = QuoteMarket()
    market.exchange.submit(order(BUY, "1", "120"), START_MS)
    assert market.quote(50, 51, symbol_id=1) == []
    assert [fill.price for fill in fills_in(market.quote(100, 101))] == [Decimal(101)]


@pytest.mark.parametrize(("side", "price"), [(BUY, "101"), (SELL, "100")])
def test_a_taker_pays_its_side_of_the_spread(side: Side, price: str) -> None:
    market = QuoteMarket()
    market.exchange.submit(order(side, "1", "120" if side is BUY else "80"), START_MS)
    assert [fill.price for fill in fills_in(market.quote(100, 101))] == [Decimal(price)]


@pytest.mark.parametrize("time_in_force", [GTC, ALO])
@pytest.mark.parametrize(
    ("side", "limit", "beside", "touch", "through"),
    [
        (BUY, "100.5", (100, 101), (99, 100.5), (99, 100.4)),
        (SELL, "100.5", (100, 101), (100.5, 102), (100.6, 102)),
    ],
)
def test_a_resting_order_inside_the_spread_waits_for_the_other_side_to_come_through(
    side: Side,
    limit: str,
    time_in_force: TimeInForce,
    beside: tuple[float, float],
    touch: tuple[float, float],
    through: tuple[float, float],
) -> None:
    market = QuoteMarket()
    market.exchange.submit(order(side, "1", limit, time_in_force=time_in_force), START_MS)
    assert isinstance(outcome_of(market.quote(*beside)), Accepted)
    assert not fills_in(market.quote(*beside)) and not fills_in(market.quote(*touch))
    (fill,) = fills_in(market.quote(*through))
    assert fill.price == Decimal(limit) and not fill.crossed


@pytest.mark.parametrize(
    ("side", "kind", "level", "not_yet", "reached", "price"),
    [
        (SELL, SL, "95", (94, 96.02), (93, 97), "93"),
        (SELL, TP, "105", (102, 107), (104, 106), "104"),
        (BUY, SL, "105", (103.98, 106), (103, 107), "107"),
        (BUY, TP, "95", (93, 98), (94, 96), "96"),
    ],
)
def test_a_trigger_on_quotes_goes_by_the_mid_and_pays_the_touch(
    side: Side, kind: TriggerKind, level: str, not_yet: tuple[float, float], reached: tuple[float, float], price: str
) -> None:
    market = QuoteMarket()
    market.hold(side.opposite, "1", 100)
    market.rest_trigger(side, "1", level, kind)
    market.quote(100, 100)
    assert not fills_in(market.quote(*not_yet))
    assert [fill.price for fill in fills_in(market.quote(*reached))] == [Decimal(price)]


@pytest.mark.parametrize(
    "quote", [(0.0, 101.0), (100.0, 0.0), (101.0, 100.0), (float("nan"), 101.0), (99.0, float("inf"))]
)
def test_a_one_sided_or_crossed_quote_moves_nothing(quote: tuple[float, float]) -> None:
    market = QuoteMarket()
    market.hold(BUY, "1", 100)
    market.rest_trigger(SELL, "1", "95", SL)
    market.quote(100, 100)
    market.exchange.submit(order(SELL, "0.5", "60", cloid="out", reduce_only=True), market.now_ms)
    assert market.quote(*quote) == []
    assert [fill.price for fill in fills_in(market.quote(99, 100))] == [Decimal(99)]


def test_a_position_is_liquidated_when_the_quotes_fall() -> None:
    market = QuoteMarket()
    market.hold(BUY, "900", 100)
    assert not fills_in(market.quote(95, 95))
    (fill,) = fills_in(market.quote(80, 80))
    assert fill.cause is FillCause.LIQUIDATION and fill.price == 80 and market.exchange.account.size("BTC") == 0


def test_what_the_venue_says_of_the_account_is_what_its_fills_add_up_to() -> None:
    market = QuoteMarket()
    market.hold(BUY, "3", 100)
    market.exchange.submit(order(SELL, "5", "50", cloid="flip"), market.now_ms)
    market.quote(110, 110)
    snapshot = market.exchange.snapshot()
    fees = sum((fill.fee for fill in market.exchange.book.fills), Decimal(0))
    assert snapshot.positions == (("BTC", Decimal(-2)),)
    assert snapshot.cash_usd == 10_000 + 3 * 10 - fees and snapshot.at_ms == market.now_ms
