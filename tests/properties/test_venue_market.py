"""The local venue's market over all inputs: candles and trades agree, books never cross, queues are honest."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sim.venue.exchange.orders import Resting, Tif, VenueOrder
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.market.house import LEVELS, House
from adapters.sim.venue.market.market import Top
from adapters.sim.venue.market.path import MarketPath
from adapters.sim.venue.market.recorded_path import RecordedPath
from domain.candles import CandleWindow, Interval
from domain.instruments import Instrument, PriceRounding, exact_price, single_tier
from domain.intents import Side
from tests.venue_market_rig import COINS, T0, Rig, ScriptedPath, candle_rows, folded, path_trades

SEEDS = st.integers(min_value=0, max_value=2**32)
MINUTE_MS = 60_000


def recording(chance: Random, instrument: Instrument, interval: Interval, count: int) -> CandleWindow:
    """Candles on the tick, some of them without volume, some with next to none, some missing."""
    step = float(instrument.size_step)
    price = 10 ** chance.uniform(-3, 5)
    rows = []
    for at in range(count):
        if chance.random() < 0.1:
            continue
        prices = [price * chance.uniform(0.97, 1.03) if chance.random() < 0.8 else price for _ in range(4)]
        on_tick = [float(instrument.round_price(Decimal(repr(each)), PriceRounding.UP)) for each in prices]
        volume = chance.choice((0.0, step, 3 * step, 1_000 * step, 10 ** chance.uniform(0, 6)))
        if volume == 0.0:
            on_tick = on_tick[:1]
        rows.append(
            (
                T0 + at * interval.ms,
                on_tick[0],
                max(on_tick),
                min(on_tick),
                on_tick[-1],
                round(volume, instrument.size_decimals),
            )
        )
        price = on_tick[-1]
    if not rows:
        return recording(chance, instrument, interval, count)
    times = np.array([row[0] for row in rows], dtype=np.int64)
    columns = (np.array([row[field] for row in rows]) for field in range(1, 6))
    return CandleWindow(instrument.symbol, interval, times, *columns)


@given(seed=SEEDS, interval=st.sampled_from((Interval.M1, Interval.M3, Interval.M5)))
@settings(max_examples=40)
def test_trades_of_a_recorded_path_fold_into_the_recorded_candles(seed: int, interval: Interval) -> None:
    chance = Random(seed)
    coins = [Instrument(f"C{decimals}", decimals, single_tier(5)) for decimals in (0, 2, 5)]
    windows = [recording(chance, coin, interval, 5) for coin in coins]
    path = RecordedPath(windows, coins, seed)
    end_ms = T0 + 5 * interval.ms
    for place, (window, coin) in enumerate(zip(windows, coins, strict=True)):
        trades = path_trades(path, place, T0, end_ms)
        told = candle_rows(*path.candles(place, interval, T0, end_ms))
        assert told == folded(trades, interval)
        assert candle_rows(*path.candles(place, Interval.M1, T0, end_ms)) == folded(trades, Interval.M1)
        assert candle_rows(*path.candles(place, Interval.M15, T0, end_ms)) == folded(trades, Interval.M15)
        recorded = candle_rows(window, np.ones(len(window), dtype=np.int64))
        for row, said in zip(told, [row for row in recorded if row[5] > 0], strict=True):
            assert row[:5] == said[:5]
            # Four prices cannot be seen in fewer than four trades, and a trade has a step at least.
            missed = abs(Decimal(repr(row[5])) - Decimal(repr(said[5])))
            assert missed <= (3 * coin.size_step if said[5] < 4 * float(coin.size_step) else 0)


@given(seed=SEEDS)
@settings(max_examples=15)
def test_every_second_of_a_path_is_one_that_a_house_can_quote(seed: int) -> None:
    chance = Random(seed)
    coins = [Instrument(f"C{decimals}", decimals, single_tier(5)) for decimals in (0, 2, 5)]
    windows = [recording(chance, coin, Interval.M1, 3) for coin in coins]
    paths: tuple[MarketPath, ...] = (RecordedPath(windows, coins, seed), GeneratedPath(seed, 30))
    for path in paths:
        for open_ms in range(T0 - MINUTE_MS, T0 + 4 * MINUTE_MS, 1_000 * chance.randint(3, 9)):
            second = path.second(open_ms)
            assert (second.bid < second.ask).all() and (second.bid > 0).all()
            at = np.where(second.buys, second.ask, second.bid) == second.price
            assert at[second.traded].all() and (second.size[second.traded] > 0).all()
            assert ((second.offset_ms >= 0) & (second.offset_ms < 1_000)).all()
            for place, coin in enumerate(path.instruments()):
                for price in (second.bid.item(place), second.ask.item(place)):
                    assert coin.is_valid_price(exact_price(price)), (coin, price)
                for size in (second.bid_size.item(place), second.ask_size.item(place)):
                    assert coin.is_valid_size(Decimal(repr(size))), (coin, size)


@given(seed=SEEDS)
@settings(max_examples=15)
def test_ladders_are_valid_and_run_outwards(seed: int) -> None:
    path = GeneratedPath(seed, 30)
    rig = Rig(path)
    house = House(path, rig.exchange, seed)
    second = path.second(T0 + seed % 3_600 * 1_000)
    for place, coin in enumerate(path.instruments()):
        for side in Side:
            quotes = house.quotes(place, side, second)
            assert 1 <= len(quotes) <= LEVELS
            prices = list(quotes)
            assert prices == sorted(prices, reverse=side is Side.BUY)
            assert all(coin.is_valid_price(price) and coin.is_valid_size(size) for price, size in quotes.items())


# ── a user at random in a market at random ───────────────────────────────────────────────────


def walk(chance: Random, seconds: int) -> ScriptedPath:
    """Quotes that wander and sometimes jump, with trades on both sides."""
    path = ScriptedPath()
    for place in range(len(COINS)):
        bid = 1_000
        for second in range(seconds):
            if chance.random() < 0.5:
                bid = max(900, bid + chance.choice((-30, -3, -2, -1, 0, 0, 1, 2, 3, 30)))
            ask = bid + chance.randint(1, 4)
            path.quote(second, bid / 10, ask / 10, float(chance.randint(1, 9)), place=place)
            if chance.random() < 0.6:
                size, buys = float(chance.randint(1, 12)), chance.random() < 0.5
                path.trade(second, size, buys=buys, offset_ms=chance.randrange(1_000), place=place)
    return path


def act(rig: Rig, chance: Random) -> None:
    """Something that Ann may do: mostly quote near the touch."""
    orders = list(rig.ann.orders.values())
    if orders and chance.random() < 0.3:
        order = chance.choice(orders)
        rig.exchange.cancel(rig.ann, rig.exchange.asset_of(order.coin), order.oid)
        rig.settle()
        return
    coin = chance.choice(COINS).symbol
    mid = rig.market.mid(coin)
    assert mid is not None
    price = str((mid + Decimal(chance.randint(-8, 8)) / 10).quantize(Decimal("0.1")))
    tif = chance.choice((Tif.GTC, Tif.GTC, Tif.IOC, Tif.ALO))
    rig.place(chance.choice(list(Side)), price, str(chance.randint(1, 9)), tif, coin=coin)


def check_books(rig: Rig, path: MarketPath, now_ms: int) -> None:
    second = path.second(now_ms - now_ms % 1_000)
    for place, instrument in enumerate(path.instruments()):
        book = rig.exchange.books[instrument.symbol]
        bid, ask = book.best_bid, book.best_ask
        assert bid is None or ask is None or bid < ask, "a book has crossed"
        for order in book.orders():
            # Who comes within the second may rest where he took the house's quotes away.
            if order.address == rig.ann.address and order.placed_ms < second.open_ms:
                far = second.ask if order.side is Side.BUY else second.bid
                gap = exact_price(far.item(place)) - order.price
                assert gap * order.side.sign > 0, "the touch has passed an order that still rests"


def live(seed: int, path: MarketPath, seconds: int) -> tuple[Rig, list[VenueOrder]]:
    chance = Random(seed)
    rig = Rig(path, seed=seed)
    mirror: dict[str, Top] = {coin.symbol: rig.market.top(coin.symbol) for coin in COINS}
    now_ms, end_ms = T0, T0 + seconds * 1_000
    while now_ms < end_ms:
        now_ms = min(end_ms, now_ms + chance.choice((70, 130, 900, 1_000, 2_500)))
        rig.run((now_ms - T0) / 1_000)
        for step in range(chance.randint(0, 2) + 1):
            if step:
                act(rig, chance)
            check_books(rig, path, now_ms)
            mirror.update((coin, rig.market.top(coin)) for coin in rig.tops)
            running = rig.market.candles("BTC", Interval.M5, now_ms, now_ms)
            assert len(running) <= 1 and all(row.open_ms == T0 for row in running)
            assert mirror == {coin: rig.market.top(coin) for coin in mirror}, "a top changed and was not told"
    return rig, list(rig.ann.history.values())


@given(seed=SEEDS)
@settings(max_examples=12)
def test_users_at_random_meet_an_honest_market(seed: int) -> None:
    path = walk(Random(seed), 150)
    rig, orders = live(seed, path, 149)
    by_oid = {order.oid: order for order in orders}
    for filled in rig.fills:
        order = by_oid[filled.fill.oid]
        if not filled.fill.crossed:
            assert filled.fill.price == order.price, "a resting order trades at its own price"
        assert (order.price - filled.fill.price) * order.side.sign >= 0
    now_ms = T0 + 149_000
    for coin in COINS:
        trades = [
            (each.time_ms, float(each.price), float(each.size)) for each in rig.prints if each.coin == coin.symbol
        ]
        assert [trade[0] for trade in trades] == sorted(trade[0] for trade in trades)
        for interval in (Interval.M1, Interval.M5):
            rows = rig.market.candles(coin.symbol, interval, T0, now_ms)
            assert [(*row[:1], *row[2:]) for row in rows] == folded(trades, interval)


@given(seed=SEEDS)
@settings(max_examples=6)
def test_the_same_seed_and_the_same_acts_give_the_same_trades(seed: int) -> None:
    (one, _), (other, _) = (live(seed, walk(Random(seed), 40), 39) for _ in range(2))
    assert one.prints == other.prints and one.fills == other.fills


@given(
    sold=st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=12),
    size=st.integers(min_value=1, max_value=12),
)
def test_a_user_fills_only_with_what_trades_beyond_the_size_before_him(sold: list[int], size: int) -> None:
    """The house shows 5 at the bid when he comes, and 5 again every second."""
    path = ScriptedPath()
    for second, amount in enumerate(sold, start=1):
        path.trade(second, float(amount), buys=False)
    rig = Rig(path)
    assert isinstance(rig.place(Side.BUY, "100", str(size)), Resting)
    total = 0
    for second, amount in enumerate(sold, start=1):
        rig.run(second + 0.5)
        total += amount
        assert sum(filled.fill.size for filled in rig.fills) == min(size, max(0, total - 5))
