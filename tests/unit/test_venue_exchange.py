"""The local venue's exchange, case by case of the protocol reference (§5.4, §5.5, §10.1 to §10.7)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.sim.venue import words
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.events import Filled, Liquidated, NonUserCanceled, OrderChanged
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.margin import account_value, cross_value, liquidation_price, margin_used, withdrawable
from adapters.sim.venue.exchange.orders import (
    FilledNow,
    Grouping,
    OrderSpec,
    PlaceResult,
    Refused,
    Resting,
    Tif,
    TriggerSpec,
    Waiting,
)
from adapters.sim.venue.exchange.state import VAULT
from adapters.sim.venue.settings import Limits, VenueSettings
from domain.instruments import Instrument, MarginTier, single_tier
from domain.intents import Side, Trigger, TriggerKind

BUY, SELL = Side.BUY, Side.SELL
TX = "0x" + 64 * "7"
COINS = (
    Instrument("BTC", 5, (MarginTier(Decimal(0), 40), MarginTier(Decimal(150_000), 20))),
    Instrument("HYPE", 2, single_tier(10)),
)


class Floor:
    """Two traders with 10,000 each, BTC at 100 and HYPE at 37.829."""

    def __init__(self, settings: VenueSettings | None = None) -> None:
        self.exchange = Exchange(COINS, settings or VenueSettings(), 1_000)
        self.mark("BTC", "100")
        self.mark("HYPE", "37.829")
        self.ann = self.exchange.open_account("0xa", cash=Decimal(10_000))
        self.bob = self.exchange.open_account("0xb", cash=Decimal(10_000))
        self.exchange.take_events()

    def mark(self, coin: str, price: str) -> None:
        self.exchange.set_marks({coin: Decimal(price)}, {coin: Decimal(price)})

    def place(self, who: VenueAccount, *specs: OrderSpec, grouping: Grouping = Grouping.NA) -> list[PlaceResult]:
        return self.exchange.place(who, specs, grouping, TX)

    def one(self, who: VenueAccount, spec: OrderSpec) -> PlaceResult:
        (result,) = self.place(who, spec)
        return result

    def story(self) -> list[tuple[str, str, str]]:
        """Order changes since the last call: (address, status, remaining size)."""
        return [
            (event.address, event.change.status.value, str(event.change.size.normalize()))
            for event in self.exchange.take_events()
            if isinstance(event, OrderChanged)
        ]


@pytest.fixture
def floor() -> Floor:
    return Floor()


def spec(
    side: Side,
    price: str,
    size: str,
    tif: Tif | None = Tif.GTC,
    *,
    reduce_only: bool = False,
    asset: int = 0,
    cloid: str | None = None,
) -> OrderSpec:
    return OrderSpec(asset, side, Decimal(price), Decimal(size), reduce_only, tif, None, cloid)


def trigger(
    kind: TriggerKind, side: Side, level: str, limit: str, size: str, *, is_market: bool = True, asset: int = 0
) -> OrderSpec:
    when = TriggerSpec(Trigger(kind, Decimal(level)), is_market)
    return OrderSpec(asset, side, Decimal(limit), Decimal(size), True, None, when, None)


TP, SL = TriggerKind.TAKE_PROFIT, TriggerKind.STOP_LOSS


# ── §10.3: requests and what becomes of them ─────────────────────────────────────────────────


def test_gtc_without_a_match_rests(floor: Floor) -> None:
    result = floor.one(floor.ann, spec(BUY, "99", "1", cloid="0x01"))
    assert isinstance(result, Resting) and result.cloid == "0x01"
    assert floor.story() == [("0xa", "open", "1")]


def test_gtc_full_match_is_open_then_filled(floor: Floor) -> None:
    floor.one(floor.ann, spec(SELL, "101", "1"))
    floor.story()
    result = floor.one(floor.bob, spec(BUY, "102", "1"))
    assert isinstance(result, FilledNow)
    assert (result.total_size, result.average_price) == (Decimal(1), Decimal(101))
    assert floor.story() == [("0xb", "open", "1"), ("0xa", "filled", "0"), ("0xb", "filled", "0")]


def test_gtc_partial_match_answers_filled_and_rests_under_the_same_oid(floor: Floor) -> None:
    floor.one(floor.ann, spec(SELL, "101", "0.4"))
    result = floor.one(floor.bob, spec(BUY, "101", "1"))
    assert isinstance(result, FilledNow) and result.total_size == Decimal("0.4")
    assert floor.bob.orders[result.oid].size == Decimal("0.6")
    assert floor.exchange.books["BTC"].best_bid == 101


def test_ioc_partial_cancels_the_rest_silently(floor: Floor) -> None:
    floor.one(floor.ann, spec(SELL, "101", "0.4"))
    floor.story()
    result = floor.one(floor.bob, spec(BUY, "101", "1", Tif.IOC))
    assert isinstance(result, FilledNow) and result.total_size == Decimal("0.4")
    assert floor.story()[-1] == ("0xb", "canceled", "0.6")
    assert not floor.bob.orders


@pytest.mark.parametrize(
    ("tif", "text", "status"),
    [
        (Tif.IOC, words.IOC_NO_MATCH, "iocCancelRejected"),
        (Tif.FRONTEND_MARKET, words.NO_LIQUIDITY, "marketOrderNoLiquidityRejected"),
    ],
)
def test_nothing_to_match_is_refused_with_an_oid_in_the_record(floor: Floor, tif: Tif, text: str, status: str) -> None:
    result = floor.one(floor.bob, spec(BUY, "101", "1", tif))
    assert result == Refused(f"{text} asset=0")
    assert floor.story() == [("0xb", status, "1")]
    assert len(floor.bob.history) == 1


def test_alo_that_would_match_names_the_touch(floor: Floor) -> None:
    floor.one(floor.ann, spec(SELL, "101", "1"))
    floor.one(floor.ann, spec(BUY, "99", "1"))
    result = floor.one(floor.bob, spec(BUY, "101", "1", Tif.ALO))
    assert result == Refused("Post only order would have immediately matched, bbo was 99@101. asset=0")


def test_price_time_priority(floor: Floor) -> None:
    first = floor.one(floor.ann, spec(SELL, "101", "1"))
    better = floor.one(floor.ann, spec(SELL, "100.5", "1"))
    floor.one(floor.exchange.open_account("0xc", cash=Decimal(1000)), spec(SELL, "101", "1"))
    assert isinstance(first, Resting) and isinstance(better, Resting)
    result = floor.one(floor.bob, spec(BUY, "101", "1.5", Tif.IOC))
    assert isinstance(result, FilledNow) and result.total_size * result.average_price == Decimal("151.0")
    assert better.oid not in floor.ann.orders
    assert floor.ann.orders[first.oid].size == Decimal("0.5")
    assert floor.exchange.accounts["0xc"].size("BTC") == 0


def test_self_trade_cancels_the_resting_order(floor: Floor) -> None:
    floor.one(floor.ann, spec(SELL, "101", "1"))
    floor.one(floor.bob, spec(SELL, "101", "0.5"))
    floor.story()
    result = floor.one(floor.ann, spec(BUY, "101", "1"))
    assert isinstance(result, FilledNow) and result.total_size == Decimal("0.5")
    assert ("0xa", "selfTradeCanceled", "1") in floor.story()


def test_fees_and_cash(floor: Floor) -> None:
    floor.one(floor.ann, spec(SELL, "101", "1"))
    floor.one(floor.bob, spec(BUY, "101", "1", Tif.IOC))
    assert floor.bob.cash == 10_000 - Decimal("0.04545")
    assert floor.ann.cash == 10_000 - Decimal("0.01515")
    assert floor.exchange.fees_collected == Decimal("0.0606")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("order", "text", "status"),
    [
        (spec(BUY, "100.001", "1"), words.PRICE_TICK, "tickRejected"),
        (spec(BUY, "99", "0.1"), words.MIN_NOTIONAL, "minTradeNtlRejected"),
        (spec(BUY, "99", "2000.1"), words.MAX_POSITION, "perpMaxPositionRejected"),
        (spec(BUY, "100", "2000.1", reduce_only=True), words.REDUCE_ONLY_INCREASES, "reduceOnlyRejected"),
        (spec(BUY, "181", "1"), words.price_band(80), "oracleRejected"),
        (trigger(SL, SELL, "99", "98", "1"), words.REDUCE_ONLY_INCREASES, "reduceOnlyRejected"),
    ],
)
def test_refusals_consume_an_oid(floor: Floor, order: OrderSpec, text: str, status: str) -> None:
    floor.exchange.update_leverage(floor.ann, 0, is_cross=True, leverage=40)
    assert floor.one(floor.ann, order) == Refused(f"{text} asset=0")
    assert floor.story()[0][1] == status


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (spec(BUY, "100", "0"), words.ZERO_SIZE),
        (spec(BUY, "100", "0.000001"), words.BAD_SIZE),
        (spec(BUY, "0", "1"), words.BAD_PRICE),
        (spec(BUY, "100", "1", asset=7), words.UNKNOWN_ASSET),
    ],
)
def test_what_is_no_order_has_no_oid(floor: Floor, order: OrderSpec, text: str) -> None:
    result = floor.one(floor.ann, order)
    assert isinstance(result, Refused) and result.text.startswith(text)
    assert floor.story() == []


def test_margin_counts_resting_orders_on_the_worse_side(floor: Floor) -> None:
    poor = floor.exchange.open_account("0xc", cash=Decimal(10))
    assert isinstance(floor.one(poor, spec(BUY, "99", "1.5")), Resting)  # 7.5 at 20x and the mark of 100
    assert isinstance(floor.one(poor, spec(SELL, "101", "1.5")), Resting)  # the other side is free
    assert floor.one(poor, spec(BUY, "98", "1")) == Refused(words.NO_MARGIN + " asset=0")
    assert withdrawable(poor, floor.exchange.marks, floor.exchange.by_coin) == Decimal("2.5")


def test_a_resting_order_without_margin_is_canceled_when_it_would_fill(floor: Floor) -> None:
    poor = floor.exchange.open_account("0xc", cash=Decimal(10))
    floor.one(poor, spec(BUY, "99", "1.9"))
    poor.cash = Decimal(1)  # lost elsewhere
    floor.story()
    assert isinstance(floor.one(floor.bob, spec(SELL, "99", "1.9", Tif.IOC)), Refused)
    assert ("0xc", "marginCanceled", "1.9") in floor.story()


def test_closing_whole_may_be_small_but_part_of_it_may_not(floor: Floor) -> None:
    floor.one(floor.ann, spec(SELL, "100", "0.15"))
    floor.one(floor.bob, spec(BUY, "100", "0.15"))
    floor.mark("BTC", "50")
    floor.one(floor.ann, spec(BUY, "50", "5"))
    part = floor.one(floor.bob, spec(SELL, "50", "0.1", Tif.IOC, reduce_only=True))
    assert part == Refused(words.MIN_NOTIONAL + " asset=0")
    assert isinstance(floor.one(floor.bob, spec(SELL, "50", "0.15", Tif.IOC, reduce_only=True)), FilledNow)


# ── reduce-only ──────────────────────────────────────────────────────────────────────────────


def long_btc(floor: Floor, size: str = "1") -> None:
    """Bob is long at 100 from Ann."""
    floor.one(floor.ann, spec(SELL, "100", size))
    floor.one(floor.bob, spec(BUY, "100", size))
    floor.exchange.take_events()


def test_reduce_only_shrinks_to_the_position(floor: Floor) -> None:
    long_btc(floor)
    rests = floor.one(floor.bob, spec(SELL, "105", "3", reduce_only=True))
    assert isinstance(rests, Resting)
    order = floor.bob.orders[rests.oid]
    assert (order.size, order.original_size) == (Decimal(1), Decimal(3))
    floor.one(floor.ann, spec(BUY, "100", "2"))
    taken = floor.one(floor.bob, spec(SELL, "100", "2", Tif.IOC, reduce_only=True))
    assert isinstance(taken, FilledNow) and taken.total_size == 1
    assert floor.bob.size("BTC") == 0
    assert order.status.value == "reduceOnlyCanceled"


def test_the_oldest_reduce_only_order_shrinks_first(floor: Floor) -> None:
    long_btc(floor, "2")
    old = floor.one(floor.bob, spec(SELL, "105", "1.2", reduce_only=True))
    new = floor.one(floor.bob, spec(SELL, "106", "0.8", reduce_only=True))
    assert isinstance(old, Resting) and isinstance(new, Resting)
    floor.one(floor.ann, spec(BUY, "100", "0.5"))
    floor.one(floor.bob, spec(SELL, "100", "0.5", Tif.IOC))
    assert floor.bob.orders[old.oid].size == Decimal("0.7")
    assert floor.bob.orders[new.oid].size == Decimal("0.8")


# ── TP/SL ────────────────────────────────────────────────────────────────────────────────────


def test_children_wake_when_the_parent_has_filled_and_one_ends_the_other(floor: Floor) -> None:
    group = (
        spec(BUY, "99", "1"),
        trigger(SL, SELL, "95", "90", "1"),
        trigger(TP, SELL, "110", "104", "1"),
    )
    results = floor.place(floor.bob, *group, grouping=Grouping.NORMAL_TPSL)
    assert isinstance(results[0], Resting) and results[1:] == [Waiting.FOR_FILL, Waiting.FOR_FILL]
    assert floor.story() == [("0xb", "open", "1")]
    floor.one(floor.ann, spec(SELL, "99", "1"))
    assert [each for each in floor.story() if each[0] == "0xb"] == [
        ("0xb", "filled", "0"),
        ("0xb", "open", "1"),
        ("0xb", "open", "1"),
    ]
    floor.one(floor.ann, spec(BUY, "94", "5"))
    floor.story()
    floor.mark("BTC", "95")
    told = [each for each in floor.story() if each[0] == "0xb"]
    assert told == [("0xb", "triggered", "1"), ("0xb", "siblingFilledCanceled", "1"), ("0xb", "filled", "0")]
    assert floor.bob.size("BTC") == 0


def test_canceling_a_parent_cancels_its_children_at_the_same_time(floor: Floor) -> None:
    group = (spec(BUY, "99", "1"), trigger(SL, SELL, "95", "90", "1"))
    (parent, _) = floor.place(floor.bob, *group, grouping=Grouping.NORMAL_TPSL)
    assert isinstance(parent, Resting)
    floor.exchange.now_ms = 5_000
    assert floor.exchange.cancel(floor.bob, 0, parent.oid) is None
    changes = [event.change for event in floor.exchange.take_events() if isinstance(event, OrderChanged)][1:]
    assert [(each.status.value, each.time_ms) for each in changes] == [("canceled", 5_000)] * 2
    assert not floor.bob.orders


@pytest.mark.parametrize(
    ("specs", "grouping", "text"),
    [
        ((), Grouping.NA, words.ORDERS_EMPTY),
        ((trigger(SL, SELL, "95", "90", "1"),) * 2, Grouping.NORMAL_TPSL, words.MAIN_IS_TRIGGER),
        ((spec(BUY, "99", "1"),), Grouping.NORMAL_TPSL, words.BAD_TRIGGER_COUNT),
        ((spec(BUY, "99", "1"),), Grouping.POSITION_TPSL, words.BAD_TRIGGER_COUNT),
    ],
)
def test_bad_groups_are_refused_whole(
    floor: Floor, specs: tuple[OrderSpec, ...], grouping: Grouping, text: str
) -> None:
    assert floor.place(floor.bob, *specs, grouping=grouping) == [Refused(text)]


def test_a_group_with_one_bad_child_leaves_nothing_behind(floor: Floor) -> None:
    group = (spec(BUY, "99", "1"), trigger(SL, SELL, "95", "90", "1"), trigger(TP, SELL, "110.00001", "104", "1"))
    assert floor.place(floor.bob, *group, grouping=Grouping.NORMAL_TPSL) == [Refused(words.PRICE_TICK + " asset=0")]
    assert not floor.bob.orders
    assert [status for _, status, _ in floor.story()] == ["tickRejected"] * 3


def test_a_stop_goes_by_the_mark_not_by_trades(floor: Floor) -> None:
    long_btc(floor)
    assert isinstance(floor.one(floor.bob, trigger(SL, SELL, "95", "90", "1")), Resting)
    floor.one(floor.ann, spec(BUY, "94", "1"))
    floor.one(floor.exchange.open_account("0xc", cash=Decimal(500)), spec(SELL, "94", "0.2", Tif.IOC))
    assert floor.bob.size("BTC") == 1
    floor.mark("BTC", "95.5")
    assert floor.bob.size("BTC") == 1
    floor.mark("BTC", "94.9")
    assert floor.bob.size("BTC") == Decimal("0.2"), "0.8 were left at 94"


def test_a_market_stop_never_goes_below_its_limit(floor: Floor) -> None:
    long_btc(floor)
    floor.one(floor.bob, trigger(SL, SELL, "95", "93", "1"))
    floor.one(floor.ann, spec(BUY, "92", "1"))
    floor.story()
    floor.mark("BTC", "94")
    assert floor.bob.size("BTC") == 1
    assert floor.story() == [("0xb", "triggered", "1"), ("0xb", "canceled", "1")]


@pytest.mark.parametrize(("kind", "level"), [(SL, "101"), (TP, "99")])
def test_a_trigger_on_the_wrong_side_is_refused(floor: Floor, kind: TriggerKind, level: str) -> None:
    long_btc(floor)
    assert floor.one(floor.bob, trigger(kind, SELL, level, "90", "1")) == Refused(words.BAD_TRIGGER + " asset=0")


def test_a_limit_target_that_rests_after_firing_ends_its_sibling_when_it_fills(floor: Floor) -> None:
    group = (
        spec(BUY, "99", "1"),
        trigger(SL, SELL, "95", "90", "1"),
        trigger(TP, SELL, "110", "112", "1", is_market=False),
    )
    floor.place(floor.bob, *group, grouping=Grouping.NORMAL_TPSL)
    floor.one(floor.ann, spec(SELL, "99", "1"))
    floor.mark("BTC", "110")
    assert floor.exchange.books["BTC"].best_ask == 112
    floor.story()
    floor.one(floor.ann, spec(BUY, "112", "0.4", Tif.IOC))
    told = [each for each in floor.story() if each[0] == "0xb"]
    assert ("0xb", "siblingFilledCanceled", "1") in told
    assert floor.bob.size("BTC") == Decimal("0.6")


def test_position_tpsl_follows_the_position_and_ends_with_it(floor: Floor) -> None:
    long_btc(floor)
    pair = (trigger(SL, SELL, "95", "90", "0"), trigger(TP, SELL, "110", "104", "0"))
    assert floor.place(floor.bob, *pair, grouping=Grouping.POSITION_TPSL) == [Waiting.FOR_TRIGGER] * 2
    floor.one(floor.ann, spec(SELL, "100", "0.5"))
    floor.one(floor.bob, spec(BUY, "100", "0.5"))
    floor.one(floor.ann, spec(BUY, "94", "5"))
    floor.mark("BTC", "95")
    assert floor.bob.size("BTC") == 0
    assert not floor.bob.orders
    fills = [fill for fill in floor.bob.fills if fill.side is SELL]
    assert [fill.size for fill in fills] == [Decimal("1.5")]


# ── modify, cancel, the dead man's switch ────────────────────────────────────────────────────


def test_modify_gives_a_new_oid_and_forces_post_only(floor: Floor) -> None:
    old = floor.one(floor.bob, spec(BUY, "99", "1", cloid="0x0a"))
    assert isinstance(old, Resting)
    new = floor.exchange.modify(floor.bob, "0x0a", spec(BUY, "98", "1"), TX)
    assert isinstance(new, Resting) and new.oid > old.oid
    assert floor.bob.orders[new.oid].tif is Tif.ALO
    assert old.oid not in floor.bob.orders


def test_a_modify_that_would_match_loses_the_old_order(floor: Floor) -> None:
    floor.one(floor.ann, spec(SELL, "101", "1"))
    old = floor.one(floor.bob, spec(BUY, "99", "1"))
    assert isinstance(old, Resting)
    result = floor.exchange.modify(floor.bob, old.oid, spec(BUY, "101", "1"), TX)
    assert isinstance(result, Refused) and result.text.startswith("Error placing new order during modify: Post only")
    assert not floor.bob.orders


def test_a_malformed_modify_leaves_the_old_order_alone(floor: Floor) -> None:
    old = floor.one(floor.bob, spec(BUY, "99", "1"))
    assert isinstance(old, Resting)
    assert isinstance(floor.exchange.modify(floor.bob, old.oid, spec(BUY, "99.0001", "1"), TX), Refused)
    assert old.oid in floor.bob.orders
    again = floor.exchange.modify(floor.bob, 7, spec(BUY, "99", "1"), TX)
    assert again == Refused("Cannot modify canceled or filled order asset=0")


def test_from_a_thousand_open_orders_on_only_plain_orders_may_come_as_far_as_volume_allows() -> None:
    floor = Floor(VenueSettings(limits=Limits(open_orders=3)))
    floor.bob.volume = Decimal(10_000_000)
    floor.one(floor.ann, spec(SELL, "100", "1"))
    floor.one(floor.bob, spec(BUY, "100", "1"))
    stop = trigger(TriggerKind.STOP_LOSS, SELL, "90", "80", "1")
    for number in range(2):
        assert isinstance(floor.one(floor.bob, spec(BUY, f"{90 - number}", "1")), Resting)
    resting_stop = floor.one(floor.bob, stop)
    assert isinstance(resting_stop, Resting)
    for refused in (stop, spec(SELL, "110", "1", reduce_only=True)):
        result = floor.one(floor.bob, refused)
        assert isinstance(result, Refused) and result.text.startswith(words.TOO_MANY_OPEN_ORDERS)
    for _ in range(2):
        assert isinstance(floor.one(floor.bob, spec(BUY, "80", "1")), Resting)
    assert isinstance(floor.one(floor.bob, spec(BUY, "80", "1")), Refused)


def test_cancel_by_oid_and_cloid_and_too_late(floor: Floor) -> None:
    one = floor.one(floor.bob, spec(BUY, "99", "1", cloid="0x0a"))
    assert isinstance(one, Resting)
    assert floor.exchange.cancel(floor.bob, 1, one.oid) == words.CANCEL_TOO_LATE + " asset=1", "another coin"
    assert floor.exchange.cancel(floor.ann, 0, one.oid) == words.CANCEL_TOO_LATE + " asset=0", "another account"
    assert floor.exchange.cancel_by_cloid(floor.bob, 0, "0x0a") is None
    assert floor.exchange.cancel(floor.bob, 0, one.oid) == words.CANCEL_TOO_LATE + " asset=0"
    assert floor.exchange.cancel_by_cloid(floor.bob, 0, "0x0a") == words.CANCEL_TOO_LATE + " asset=0"


def test_the_dead_mans_switch(floor: Floor) -> None:
    refusal = floor.exchange.schedule_cancel(floor.bob, 10_000)
    assert refusal == (
        "Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: $0.00."
    )
    floor.bob.volume = Decimal(1_000_000)
    assert floor.exchange.schedule_cancel(floor.bob, 5_999) == words.SCHEDULE_TOO_EARLY
    assert floor.exchange.schedule_cancel(floor.bob, 6_000) is None
    floor.one(floor.bob, spec(BUY, "99", "1"))
    floor.exchange.now_ms = 5_999
    floor.exchange.expire_schedules()
    assert floor.bob.orders
    floor.exchange.now_ms = 6_000
    floor.exchange.expire_schedules()
    assert not floor.bob.orders
    events = floor.exchange.take_events()
    assert isinstance(events[-1], NonUserCanceled)


# ── leverage and isolated margin ─────────────────────────────────────────────────────────────


def test_isolated_margin_as_on_the_real_sample(floor: Floor) -> None:
    """2 HYPE at 37.829 and 10x isolated: raw cash -68.126246 (§3.8, the fee comes out of the position's margin)."""
    assert floor.exchange.update_leverage(floor.bob, 1, is_cross=False, leverage=10) is None
    floor.one(floor.ann, spec(SELL, "37.829", "2", asset=1))
    floor.one(floor.bob, spec(BUY, "37.829", "2", asset=1))
    held = floor.bob.positions["HYPE"]
    assert held.raw_usd == Decimal("-68.126246") or held.raw_usd == Decimal("-68.1262460")
    assert margin_used(held, Decimal("37.826")) == Decimal("7.525754")
    assert floor.bob.cash == 10_000 - Decimal("7.5658")
    assert held.unrealized(Decimal("37.826")) == Decimal("-0.006")
    floor.mark("HYPE", "37.826")
    price = liquidation_price(floor.bob, "HYPE", floor.exchange.marks, floor.exchange.by_coin)
    assert price is not None and round(price, 10) == Decimal("35.8559189474")


def test_closing_an_isolated_position_gives_its_margin_back(floor: Floor) -> None:
    floor.exchange.update_leverage(floor.bob, 1, is_cross=False, leverage=10)
    floor.one(floor.ann, spec(SELL, "37.829", "2", asset=1))
    floor.one(floor.bob, spec(BUY, "37.829", "2", asset=1))
    floor.one(floor.ann, spec(BUY, "38", "2", asset=1))
    floor.one(floor.bob, spec(SELL, "38", "2", Tif.IOC, asset=1, reduce_only=True))
    fees = sum(fill.fee for fill in floor.bob.fills)
    assert floor.bob.cash == 10_000 + 2 * (Decimal(38) - Decimal("37.829")) - fees
    assert floor.bob.fills[-1].closed_pnl == Decimal("0.342")


def test_closing_half_of_an_isolated_position_leaves_half_of_its_cash(floor: Floor) -> None:
    floor.exchange.update_leverage(floor.bob, 1, is_cross=False, leverage=10)
    floor.one(floor.ann, spec(SELL, "37.829", "2", asset=1))
    floor.one(floor.bob, spec(BUY, "37.829", "2", asset=1))
    before = floor.bob.positions["HYPE"].raw_usd
    assert before is not None
    floor.one(floor.ann, spec(BUY, "38", "1", asset=1))
    floor.one(floor.bob, spec(SELL, "38", "1", Tif.IOC, asset=1, reduce_only=True))
    assert floor.bob.positions["HYPE"].raw_usd == before / 2 - floor.bob.fills[-1].fee


@pytest.mark.parametrize(
    ("leverage", "is_cross", "text"),
    [(0, True, words.BAD_LEVERAGE), (41, True, words.BAD_LEVERAGE), (5, False, words.NO_SWITCH_WITH_POSITION)],
)
def test_leverage_refusals(floor: Floor, leverage: int, is_cross: bool, text: str) -> None:
    long_btc(floor)
    assert floor.exchange.update_leverage(floor.bob, 0, is_cross=is_cross, leverage=leverage) == text


def test_leverage_may_not_fall_below_what_the_account_carries(floor: Floor) -> None:
    poor = floor.exchange.open_account("0xc", cash=Decimal(10))
    floor.one(floor.ann, spec(SELL, "100", "1.5"))
    floor.one(poor, spec(BUY, "100", "1.5"))
    assert floor.exchange.update_leverage(poor, 0, is_cross=True, leverage=10) == words.CROSS_NO_DECREASE
    assert floor.exchange.update_leverage(poor, 0, is_cross=True, leverage=30) is None


def test_isolated_margin_moves_and_refusals(floor: Floor) -> None:
    assert floor.exchange.update_isolated_margin(floor.bob, 1, Decimal(1)) == words.EMPTY_POSITION
    long_btc(floor)
    assert floor.exchange.update_isolated_margin(floor.bob, 0, Decimal(1)) == words.NOT_ISOLATED
    floor.exchange.update_leverage(floor.bob, 1, is_cross=False, leverage=10)
    floor.one(floor.ann, spec(SELL, "37.829", "2", asset=1))
    floor.one(floor.bob, spec(BUY, "37.829", "2", asset=1))
    assert floor.exchange.update_isolated_margin(floor.bob, 1, Decimal(0)) == words.ZERO_MARGIN_UPDATE
    assert floor.exchange.update_isolated_margin(floor.bob, 1, Decimal(-1)) == words.NO_MARGIN_FOR_REDUCTION
    assert floor.exchange.update_isolated_margin(floor.bob, 1, Decimal(99_999)) == words.NO_MARGIN_FOR_INCREASE
    before = floor.bob.cash
    assert floor.exchange.update_isolated_margin(floor.bob, 1, Decimal(5)) is None
    assert floor.exchange.update_isolated_margin(floor.bob, 1, Decimal(-4)) is None
    assert before - floor.bob.cash == 1


# ── funding, liquidation, deleveraging, delisting ────────────────────────────────────────────


def test_funding_goes_from_longs_to_shorts(floor: Floor) -> None:
    long_btc(floor)
    before = floor.ann.cash, floor.bob.cash
    floor.exchange.fund(3_600_000, {"BTC": Decimal("0.0000125")})
    assert floor.ann.cash - before[0] == Decimal("0.00125")
    assert floor.bob.cash - before[1] == Decimal("-0.00125")
    assert floor.bob.fundings[-1].usdc == Decimal("-0.00125")
    assert floor.bob.positions["BTC"].funding_since_open == Decimal("0.00125"), "the sign of a cost"


def test_an_account_below_maintenance_is_closed_at_market(floor: Floor) -> None:
    poor = floor.exchange.open_account("0xc", cash=Decimal("10.1"))
    floor.exchange.update_leverage(poor, 0, is_cross=True, leverage=40)
    floor.one(floor.ann, spec(SELL, "100", "3"))
    floor.one(poor, spec(BUY, "100", "3"))
    floor.one(poor, spec(BUY, "90", "0.2"))
    floor.one(floor.bob, spec(BUY, "97.5", "9"))
    price = liquidation_price(poor, "BTC", floor.exchange.marks, floor.exchange.by_coin)
    assert price is not None and 97 < price < 98
    floor.exchange.take_events()
    floor.mark("BTC", str(round(price + Decimal("0.01"), 2)))
    assert poor.size("BTC") == 3
    floor.mark("BTC", str(round(price - Decimal("0.01"), 2)))
    events = floor.exchange.take_events()
    assert poor.size("BTC") == 0 and not poor.orders
    assert any(isinstance(event, Liquidated) and event.address == "0xc" for event in events)
    sides = {event.address: event.fill for event in events if isinstance(event, Filled)}
    assert sides["0xb"].liquidation == sides["0xc"].liquidation, "it stands on the counterparty's fill too"
    assert sides["0xc"].liquidation is not None and sides["0xc"].liquidation.liquidated == "0xc"
    assert sides["0xc"].direction == "Liquidated Long"


def test_far_below_maintenance_the_vault_takes_everything(floor: Floor) -> None:
    poor = floor.exchange.open_account("0xc", cash=Decimal(10))
    floor.one(floor.ann, spec(SELL, "100", "1.5"))
    floor.one(poor, spec(BUY, "100", "1.5"))
    floor.mark("BTC", "92")
    assert not poor.positions and poor.cash == 0
    assert floor.exchange.accounts[VAULT].size("BTC") == Decimal("1.5")


def test_a_loss_beyond_the_account_is_the_vaults(floor: Floor) -> None:
    poor = floor.exchange.open_account("0xc", cash=Decimal("10.1"))
    floor.exchange.update_leverage(poor, 0, is_cross=True, leverage=40)
    floor.one(floor.ann, spec(SELL, "100", "3"))
    floor.one(poor, spec(BUY, "100", "3"))
    floor.one(floor.bob, spec(BUY, "90", "9"))
    floor.mark("BTC", "97.6")
    assert not poor.positions
    assert poor.cash == 0
    assert floor.exchange.accounts[VAULT].cash < -19


def test_a_large_position_is_liquidated_in_parts_with_a_pause(floor: Floor) -> None:
    rich = floor.exchange.open_account("0xc", cash=Decimal(7_600))
    whale = floor.exchange.open_account("0xd", cash=Decimal(10_000_000))
    floor.exchange.update_leverage(rich, 0, is_cross=True, leverage=20)
    floor.one(whale, spec(SELL, "100", "1500"))
    floor.one(rich, spec(BUY, "100", "1500"))
    floor.one(whale, spec(BUY, "96", "5000"))
    floor.mark("BTC", "96.05")
    assert rich.size("BTC") == 1_200
    floor.mark("BTC", "96.04")
    assert rich.size("BTC") == 1_200, "cooling down"
    floor.exchange.now_ms += 30_000
    floor.mark("BTC", "95.5")
    assert rich.size("BTC") < 1_200


def test_deleveraging_closes_at_the_mark_against_the_other_side(floor: Floor) -> None:
    long_btc(floor)
    floor.mark("BTC", "120")
    floor.exchange.deleverage("0xb", "BTC")
    assert floor.ann.size("BTC") == floor.bob.size("BTC") == 0
    assert floor.ann.fills[-1].direction == "Auto-Deleveraging"
    assert floor.bob.fills[-1].closed_pnl == 20


def test_delisting_settles_at_the_oracle_and_closes_the_market(floor: Floor) -> None:
    long_btc(floor)
    floor.one(floor.bob, spec(SELL, "120", "1"))
    floor.exchange.delist("BTC")
    assert not floor.bob.positions and not floor.bob.orders
    assert cross_value(floor.bob, floor.exchange.marks) == account_value(floor.bob, floor.exchange.marks)
    result = floor.one(floor.bob, spec(BUY, "100", "1"))
    assert isinstance(result, Refused)


def test_a_cap_on_open_interest_stops_what_grows_it(floor: Floor) -> None:
    long_btc(floor)
    floor.exchange.capped.add("BTC")
    result = floor.one(floor.bob, spec(BUY, "99", "1"))
    assert result == Refused(words.OPEN_INTEREST_CAPPED + " asset=0")
    assert isinstance(floor.one(floor.bob, spec(SELL, "101", "1")), Resting)
