"""The local venue's market: quotes of the house, trades of its flow, users in between, and what readers see."""

from __future__ import annotations

from decimal import Decimal

from adapters.sim.venue.exchange.orders import FilledNow, Refused, Resting, Tif
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.market.house import FLOW, LEVELS, MAKER
from adapters.sim.venue.market.market import Top
from adapters.sim.venue.numbers import text
from domain.candles import Interval
from domain.intents import Side
from tests.venue_market_rig import COINS, T0, Rig, ScriptedPath

BUY, SELL = Side.BUY, Side.SELL


def sizes(rig: Rig, side: Side, price: str, coin: str = "BTC") -> list[str]:
    """The queue at a price: sizes, those of users in brackets."""
    queue = rig.exchange.books[coin].queue(side, Decimal(price))
    return [text(each.size) if each.address == MAKER else f"[{text(each.size)}]" for each in queue]


# ── the house ────────────────────────────────────────────────────────────────────────────────


def test_twenty_levels_a_side_start_at_the_touch() -> None:
    rig = Rig(ScriptedPath())
    bids, asks = rig.market.levels("BTC")
    assert len(bids) == len(asks) == LEVELS
    assert (bids[0].price, bids[0].size, asks[0].price) == (Decimal("100.0"), Decimal("5.0"), Decimal("101.0"))
    assert [level.price for level in bids] == sorted((level.price for level in bids), reverse=True)
    assert [level.price for level in asks] == sorted(level.price for level in asks)
    for level in (*bids, *asks):
        assert COINS[0].is_valid_price(level.price) and COINS[0].is_valid_size(level.size)


def test_levels_stay_on_the_tick_over_a_power_of_ten_and_above_zero() -> None:
    path = ScriptedPath()
    path.quote(0, 9_998.0, 9_999.5)
    path.quote(0, 0.0005, 0.0006, place=1)
    rig = Rig(path)
    _, asks = rig.market.levels("BTC")
    assert asks[-1].price > 10_000 and all(COINS[0].is_valid_price(level.price) for level in asks)
    bids, _ = rig.market.levels("HYPE")
    assert len(bids) < LEVELS and all(level.price > 0 for level in bids)


def test_what_is_shown_is_what_stands_on_the_book() -> None:
    rig = Rig(ScriptedPath())
    shown = rig.market.levels("BTC")
    rig.market.sync("BTC")
    book = rig.exchange.books["BTC"]
    assert (book.levels(BUY), book.levels(SELL)) == shown == rig.market.levels("BTC")


def test_a_market_order_takes_from_the_touch_outwards() -> None:
    rig = Rig(ScriptedPath())
    _, asks = rig.market.levels("BTC")
    result = rig.place(BUY, "150", "6", Tif.IOC)
    assert isinstance(result, FilledNow) and result.total_size == 6
    assert rig.filled() == [("101.0", "5"), (str(asks[1].price), "1")]
    assert rig.market.top("BTC").ask_px == text(asks[1].price)


def test_what_users_took_stays_taken_within_the_second_and_is_back_in_the_next() -> None:
    rig = Rig(ScriptedPath())
    rig.place(BUY, "150", "5", Tif.IOC)
    rig.run(0.9)
    gone = rig.market.top("BTC").ask_px
    rig.run(1)
    assert gone != "101.0" == rig.market.top("BTC").ask_px
    assert not list(rig.exchange.books["BTC"].orders())


def test_who_takes_twice_in_a_second_goes_deeper_the_second_time() -> None:
    rig = Rig(ScriptedPath())
    _, asks = rig.market.levels("BTC")
    rig.place(BUY, "150", "5", Tif.IOC)
    rig.place(BUY, "150", "0.1", Tif.IOC)
    assert rig.filled() == [("101.0", "5"), (str(asks[1].price), "0.1")]


def test_quotes_stand_while_a_user_rests_and_leave_with_him() -> None:
    rig = Rig(ScriptedPath())
    resting = rig.place(BUY, "90", "1")
    assert isinstance(resting, Resting)
    rig.run(5)
    assert len(rig.exchange.books["BTC"].levels(SELL)) == LEVELS
    assert rig.exchange.cancel(rig.ann, 0, resting.oid) is None
    rig.run(6)
    assert not list(rig.exchange.books["BTC"].orders())


def test_post_only_against_the_touch_is_refused() -> None:
    assert isinstance(Rig(ScriptedPath()).place(BUY, "101", "1", Tif.ALO), Refused)


# ── what makes a resting order trade ─────────────────────────────────────────────────────────


def test_an_order_that_the_touch_passes_fills_whole_at_its_own_price() -> None:
    path = ScriptedPath()
    path.quote(2, 94.0, 95.0)
    rig = Rig(path)
    rig.place(BUY, "97", "50")
    rig.place(BUY, "96", "1")
    rig.place(BUY, "94", "1")
    rig.run(1.9)
    assert not rig.fills
    rig.run(2)
    assert rig.filled() == [("97", "50"), ("96", "1")]
    assert [(each.buyer, each.seller, each.side) for each in rig.prints] == [("0xa", FLOW, SELL)] * 2
    assert rig.market.top("BTC")[:3] == ("94.0", "6.0", 2)


def test_an_order_at_the_other_sides_touch_has_been_passed() -> None:
    path = ScriptedPath()
    path.quote(2, 104.0, 105.0)
    rig = Rig(path)
    rig.place(SELL, "104", "3")
    rig.run(2)
    assert rig.filled() == [("104", "3")]


def test_a_user_waits_behind_what_was_shown_when_he_came() -> None:
    path = ScriptedPath()
    for second, size in ((1, 4.0), (2, 3.0)):
        path.trade(second, size, buys=False)
    rig = Rig(path)
    rig.place(BUY, "100", "1")
    assert sizes(rig, BUY, "100") == ["5.0", "[1.0]"]
    rig.run(1.9)
    assert not rig.fills and sizes(rig, BUY, "100") == ["1.0", "[1.0]"]
    rig.run(2.4)  # what the house shows again, it shows behind the user
    assert not rig.fills and sizes(rig, BUY, "100") == ["1.0", "[1.0]", "4.0"]
    rig.run(2.5)
    assert rig.filled() == [("100", "1")]
    assert [(text(each.size), each.time_ms - T0) for each in rig.prints] == [
        ("4.0", 1_500),
        ("1.0", 2_500),
        ("1.0", 2_500),
        ("1.0", 2_500),
    ]


def test_quotes_that_shrink_lose_their_newest_part() -> None:
    path = ScriptedPath()
    for second, size in ((1, 9.0), (2, 6.0), (3, 2.0)):
        path.quote(second, 100.0, 101.0, size)
    rig = Rig(path)
    rig.place(BUY, "100", "1")
    told = []
    for second in (1, 2, 3):
        rig.run(second)
        told.append(sizes(rig, BUY, "100"))
    assert told == [["5.0", "[1.0]", "4.0"], ["5.0", "[1.0]", "1.0"], ["2.0", "[1.0]"]]


def test_a_better_price_trades_first_and_the_rest_of_the_trade_is_printed() -> None:
    path = ScriptedPath()
    path.trade(1, 20.0, buys=False)
    rig = Rig(path)
    rig.place(BUY, "100.5", "2")
    rig.run(2)
    assert rig.filled() == [("100.5", "2")]
    assert [(text(each.price), text(each.size)) for each in rig.prints] == [
        ("100.5", "2.0"),
        ("100.0", "5.0"),
        ("100.0", "13.0"),
    ]


def test_the_mark_fires_a_stop_into_quotes() -> None:
    path = ScriptedPath()
    path.quote(2, 90.0, 91.0)
    rig = Rig(path)
    rig.place(BUY, "101", "1", Tif.IOC)
    rig.place(SELL, "80", "1", stop="95")
    rig.run(2.9)
    assert len(rig.fills) == 1
    rig.run(3)
    assert rig.filled() == [("101.0", "1"), ("90.0", "1")]


# ── marks and funding ────────────────────────────────────────────────────────────────────────


def test_marks_move_on_their_own_clock() -> None:
    path = ScriptedPath()
    path.quote(1, 110.0, 111.0)
    rig = Rig(path)
    assert rig.exchange.marks["BTC"] == Decimal("100.5")
    rig.run(2.999)
    assert rig.exchange.marks["BTC"] == Decimal("100.5")
    rig.run(3)
    assert rig.exchange.marks == {"BTC": Decimal("110.5"), "HYPE": Decimal("100.5")} == rig.exchange.oracles


def test_funding_is_paid_at_the_full_hour_and_only_then() -> None:
    rig = Rig(ScriptedPath(), T0 + 3_595_000)
    rig.place(BUY, "101", "2", Tif.IOC)
    rig.run(3_599.9)
    assert not rig.ann.fundings
    rig.run(3_700)
    assert [(each.time_ms - T0, each.usdc) for each in rig.ann.fundings] == [(3_600_000, Decimal("-0.2010"))]


def test_time_goes_in_one_leap_as_in_many_steps() -> None:
    def lived(step_s: float) -> object:
        rig = Rig(GeneratedPath(5, 6))
        rig.place(BUY, text(Decimal(rig.market.top("SOL").bid_px or 0)), "400", coin="SOL")
        at = 0.0
        while at < 150:
            at = min(150, at + step_s)
            rig.run(at)
        return rig.prints, rig.filled(), rig.exchange.marks, rig.market.candles("SOL", Interval.M1, T0, T0 + 150_000)

    leap = lived(150)
    assert lived(0.07) == leap == lived(1.3)


# ── what readers see ─────────────────────────────────────────────────────────────────────────


def test_tops_are_the_wires_text() -> None:
    path = ScriptedPath()
    path.quote(0, 0.00001, 0.000012, 1e9, place=1)
    rig = Rig(path)
    assert rig.market.top("BTC") == Top("100.0", "5.0", 1, "101.0", "5.0", 1)
    assert rig.market.top("HYPE") == Top("0.00001", "1000000000.0", 1, "0.000012", "1000000000.0", 1)
    assert rig.market.mid("BTC") == Decimal("100.5")


def test_only_tops_that_changed_are_told() -> None:
    path = ScriptedPath()
    path.quote(2, 100.0, 101.0, 4.0)
    path.quote(3, 99.0, 101.0, 4.0, place=1)
    rig = Rig(path)
    told = []
    for second in (1, 2, 3, 4):
        rig.run(second)
        told.append(rig.tops)
    assert told == [[], ["BTC"], ["HYPE"], []]
    rig.place(BUY, "100.5", "1")
    assert rig.tops == ["BTC"] and rig.market.top("BTC").bid_px == "100.5"
    rig.run(5)
    assert rig.tops == []
    rig.exchange.cancel(rig.ann, 0, next(iter(rig.ann.orders)))
    rig.settle()
    assert rig.tops == ["BTC"]
    rig.run(6)
    assert rig.tops == [] and rig.market.top("BTC").bid_px == "100.0"


def test_a_delisted_coin_has_no_book_no_trades_and_its_last_mark() -> None:
    path = ScriptedPath()
    path.trade(0, 1.0, buys=True)
    for second in range(2, 9):
        path.trade(second, 1.0, buys=True)
    path.quote(2, 120.0, 121.0)
    rig = Rig(path)
    rig.run(1)
    rig.exchange.delist("BTC")
    rig.run(70)
    assert rig.market.top("BTC") == Top(None, None, 0, None, None, 0)
    assert rig.market.levels("BTC") == ([], []) and rig.market.mid("BTC") is None
    assert [each.time_ms - T0 for each in rig.prints] == [500]
    assert rig.exchange.marks["BTC"] == Decimal("100.5")
    (candle,) = rig.market.candles("BTC", Interval.M1, T0, T0 + 70_000)
    assert (candle.volume, candle.trades) == (1.0, 1)
    context = rig.market.context("BTC")
    assert (context.mid, context.premium, context.impact) == (None, None, None)


def test_the_flow_takes_from_the_maker() -> None:
    path = ScriptedPath()
    path.trade(0, 1.0, buys=True)
    path.trade(1, 1.0, buys=False)
    rig = Rig(path)
    rig.run(2)
    told = [(each.side, each.buyer, each.seller, each.price, each.time_ms - T0) for each in rig.prints]
    assert told == [(BUY, FLOW, MAKER, Decimal("101.0"), 500), (SELL, MAKER, FLOW, Decimal("100.0"), 1_500)]
    assert len({each.hash for each in rig.prints}) == 2 and {len(each.hash) for each in rig.prints} == {66}


def test_users_trades_show_once_in_prints_recent_trades_and_candles() -> None:
    path = ScriptedPath()
    path.trade(0, 2.0, buys=True)
    path.trade(61, 4.0, buys=True)
    rig = Rig(path)
    rig.run(1)
    rig.place(BUY, "150", "5", Tif.IOC)
    rig.run(62)
    assert [text(each.size) for each in rig.prints] == ["2.0", "5.0", "4.0"]
    assert rig.market.recent_trades("BTC") == rig.prints
    assert rig.market.recent_trades("BTC", 1) == rig.prints[-1:]
    first, running = rig.market.candles("BTC", Interval.M1, T0, T0 + 62_000)
    assert (first.volume, first.trades, first.end_ms) == (7.0, 2, T0 + 59_999)
    assert (running.volume, running.trades, running.open_ms) == (4.0, 1, T0 + 60_000)
    (quarter,) = rig.market.candles("BTC", Interval.M15, T0, T0 + 62_000)
    assert (quarter.volume, quarter.trades, quarter.close) == (11.0, 3, 101.0)
    assert rig.market.context("BTC").day_volume == Decimal("11.0")


def test_a_trade_that_a_user_bettered_is_in_the_candle_at_his_price() -> None:
    path = ScriptedPath()
    path.trade(1, 2.0, buys=False)
    rig = Rig(path)
    rig.place(BUY, "100.5", "2")
    rig.run(3_700)
    for interval in (Interval.M1, Interval.H1):
        candle = rig.market.candles("BTC", interval, T0, T0 + 3_700_000)[0]
        assert (candle.open, candle.high, candle.low, candle.close) == (100.5, 100.5, 100.5, 100.5)
        assert (candle.volume, candle.trades) == (2.0, 1)


def test_a_trade_that_begins_with_a_user_opens_the_candle_at_his_price() -> None:
    path = ScriptedPath()
    path.trade(1, 20.0, buys=False)
    rig = Rig(path)
    rig.place(BUY, "100.5", "2")
    rig.run(10)
    (candle,) = rig.market.candles("BTC", Interval.M1, T0, T0 + 10_000)
    assert (candle.open, candle.high, candle.low, candle.close) == (100.5, 100.5, 100.0, 100.0)
    assert (candle.volume, candle.trades) == (20.0, 3)


def test_only_the_newest_five_thousand_candles_exist() -> None:
    rig = Rig(GeneratedPath(1, 1))
    rig.run(30)
    rows = rig.market.candles("BTC", Interval.M1, 0, T0 + 30_000)
    assert len(rows) == 5_000 and rows[-1].open_ms == T0
    assert rig.market.candles("BTC", Interval.M1, 0, T0 - 5_000 * 60_000) == []


def test_the_candle_that_holds_the_start_is_told_and_none_after_the_end() -> None:
    rig = Rig(GeneratedPath(1, 1))
    rows = rig.market.candles("BTC", Interval.M5, T0 - 14 * 60_000, T0 - 5 * 60_000)
    assert [row.open_ms - T0 for row in rows] == [-900_000, -600_000, -300_000]


def test_a_start_in_the_middle_of_a_minute_knows_what_was() -> None:
    whole, late = Rig(GeneratedPath(1, 2)), Rig(GeneratedPath(1, 2), T0 + 31_450)
    for rig in (whole, late):
        rig.run(40)
    now_ms = T0 + 40_000
    assert whole.market.candles("ETH", Interval.H1, now_ms, now_ms) == late.market.candles(
        "ETH", Interval.H1, now_ms, now_ms
    )
    assert all(each.time_ms > T0 + 31_450 for each in late.prints)
    assert {each.time_ms for each in late.prints} < {each.time_ms for each in whole.prints}


def test_trades_from_before_the_start_fill_up_the_recent_ones() -> None:
    rig = Rig(GeneratedPath(1, 2))
    recent = rig.market.recent_trades("BTC")
    assert len(recent) == 30 and recent[-1].time_ms < T0
    assert [each.time_ms for each in recent] == sorted(each.time_ms for each in recent)
    assert not rig.prints


def test_aggregated_levels_round_away_from_the_touch() -> None:
    rig = Rig(ScriptedPath())
    bids, asks = rig.market.levels("BTC", significant=4, mantissa=None)
    fine_bids, fine_asks = rig.market.levels("BTC")
    assert sum(level.size for level in asks) == sum(level.size for level in fine_asks)
    assert all(level.price == level.price.quantize(Decimal("0.1")) for level in (*bids, *asks))
    assert bids[0].price <= fine_bids[0].price and asks[-1].price >= fine_asks[-1].price
    coarse, _ = rig.market.levels("BTC", significant=2)
    assert coarse[0].price == 100 and coarse[1].price == 99


def test_a_context_knows_the_day_the_funding_and_the_premium() -> None:
    path = ScriptedPath()
    path.trade(0, 3.0, buys=True)
    path.quote(1, 103.0, 104.0)
    rig = Rig(path)
    rig.run(1)
    context = rig.market.context("BTC")
    assert (context.mark, context.oracle, context.mid) == (Decimal("100.5"), Decimal("100.5"), Decimal("103.5"))
    assert context.prev_day_px == 101 and context.day_volume == 3 and context.day_notional == 303
    assert context.impact == (Decimal("103.0"), Decimal("104.0"))
    assert context.premium == Decimal("2.5") / Decimal("100.5") and context.funding == Decimal("0.001")
    assert rig.market.context("HYPE").prev_day_px == Decimal("100.5")


def test_the_day_moves_on() -> None:
    path = ScriptedPath()
    path.trade(30, 3.0, buys=True)
    path.trade(86_390, 2.0, buys=True)
    rig = Rig(path, T0 + 86_385_000)
    volumes = []
    for second in (86_385, 86_399, 86_400, 86_459, 86_460, 86_525):
        rig.run(second)
        volumes.append(rig.market.context("BTC").day_volume)
    assert volumes == [3, 5, 5, 5, 2, 2]


def test_the_next_due_moment_is_a_trade_a_second_or_a_mark() -> None:
    path = ScriptedPath()
    path.trade(0, 1.0, buys=True, offset_ms=470)
    rig = Rig(path)
    assert rig.market.next_due_ms() == T0 + 400
    rig.run(0.4)
    assert rig.prints[0].time_ms == T0 + 400 and rig.market.next_due_ms() == T0 + 1_000
