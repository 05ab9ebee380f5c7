"""The two paths of the local venue: the simulated market, and recorded candles."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from adapters.sim.market import SimMarket
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.market.recorded_path import RecordedPath
from domain.candles import CandleWindow, Interval
from domain.instruments import Instrument, single_tier
from ports.datasets import FundingSet
from tests.venue_market_rig import T0, candle_rows, folded, path_trades

HOUR_MS = 3_600_000
BTC, DOGE = Instrument("BTC", 5, single_tier(40)), Instrument("DOGE", 0, single_tier(10))

CandleTuple = tuple[float, float, float, float, float]


def window_of(symbol: str, interval: Interval, *candles: CandleTuple, start_ms: int = T0) -> CandleWindow:
    times = start_ms + np.arange(len(candles), dtype=np.int64) * interval.ms
    columns = np.array(candles, dtype=np.float64).T.reshape(5, -1)
    return CandleWindow(symbol, interval, times, *(column.copy() for column in columns))


BTC_MINUTES: tuple[CandleTuple, ...] = (
    (99_995.0, 100_010.0, 99_990.0, 100_000.0, 1.2345),
    (100_000.0, 100_000.0, 100_000.0, 100_000.0, 0.0),
    (100_001.0, 100_001.0, 99_950.0, 99_950.0, 0.00002),
)
DOGE_MINUTES: tuple[CandleTuple, ...] = (
    (0.19, 0.19, 0.19, 0.19, 1.0),
    (0.19001, 0.1903, 0.1899, 0.19001, 200_003.0),
    (0.19, 0.19001, 0.18999, 0.19, 4.0),
)


def recorded(seed: int = 1, shift_ms: int = 0) -> RecordedPath:
    windows = window_of("BTC", Interval.M1, *BTC_MINUTES), window_of("DOGE", Interval.M1, *DOGE_MINUTES)
    return RecordedPath(windows, (BTC, DOGE), seed, shift_ms=shift_ms)


# ── the simulated market ─────────────────────────────────────────────────────────────────────


def test_a_second_of_the_generated_path_is_the_simulated_market_of_that_second() -> None:
    path, market = GeneratedPath(3, 24), SimMarket(3, 24)
    second = path.second(T0 + 17_000)
    bid, ask = market.quotes(T0 + 17_000)
    assert second.bid.tolist() == bid.tolist() and second.ask.tolist() == ask.tolist()
    bid_size, ask_size = market.quote_sizes(T0 + 17_000)
    assert second.bid_size.tolist() == bid_size.tolist() and second.ask_size.tolist() == ask_size.tolist()
    (trade,) = market.trades(0, T0 + 17_000, T0 + 18_000)
    assert (second.price[0], second.size[0], second.buys[0]) == (trade.price, trade.size, trade.buy)
    assert (second.open_ms + second.offset_ms[0], second.tid[0]) == (trade.time_ms, trade.tid)


@pytest.mark.parametrize("interval", [Interval.M1, Interval.M3, Interval.M15])
def test_candles_of_the_generated_path_are_the_fold_of_its_seconds(interval: Interval) -> None:
    path = GeneratedPath(3, 24)
    for place in (0, 20):
        told = candle_rows(*path.candles(place, interval, T0, T0 + 15 * 60_000))
        assert told == folded(path_trades(path, place, T0, T0 + 15 * 60_000), interval)


def test_no_candle_is_older_than_the_listing() -> None:
    path = GeneratedPath(3, 1, listed_ms=T0)
    window, trades = path.candles(0, Interval.H1, T0 - 5 * HOUR_MS, T0 + 2 * HOUR_MS)
    assert window.open_ms.tolist() == [T0, T0 + HOUR_MS] and len(trades) == 2
    assert len(path.candles(0, Interval.H1, T0 - 5 * HOUR_MS, T0)[0]) == 0


# ── recorded candles ─────────────────────────────────────────────────────────────────────────


@pytest.mark.seeds(1, 2, 3, 4, 5)
def test_trades_fold_back_into_the_recorded_candles(seed: int) -> None:
    path = recorded(seed)
    for place, recording in ((0, BTC_MINUTES), (1, DOGE_MINUTES)):
        rows = folded(path_trades(path, place, T0, T0 + 3 * 60_000), Interval.M1)
        wanted = [(T0 + at * 60_000, *candle[:4], candle[4]) for at, candle in enumerate(recording) if candle[4] > 0]
        assert [row[:6] for row in rows] == wanted


def test_two_steps_of_volume_are_two_trades_at_open_and_close() -> None:
    trades = path_trades(recorded(), 0, T0 + 120_000, T0 + 180_000)
    assert [trade[1:] for trade in trades] == [(100_001.0, 0.00001), (99_950.0, 0.00001)]


def test_candles_are_told_in_any_interval() -> None:
    path = recorded()
    for place in (0, 1):
        trades = path_trades(path, place, T0, T0 + 180_000)
        for interval in (Interval.M1, Interval.M3, Interval.H1):
            assert candle_rows(*path.candles(place, interval, T0, T0 + interval.ms * 3)) == folded(trades, interval)


def test_hours_are_told_by_the_minute() -> None:
    hours = ((85_000.0, 86_123.0, 84_000.0, 85_500.0, 1_234.5), (85_500.0, 85_600.0, 85_400.0, 85_450.0, 0.3))
    path = RecordedPath([window_of("BTC", Interval.H1, *hours)], [BTC], 1)
    trades = path_trades(path, 0, T0, T0 + 2 * HOUR_MS)
    for interval in (Interval.M1, Interval.M15, Interval.H1):
        assert candle_rows(*path.candles(0, interval, T0, T0 + 2 * HOUR_MS)) == folded(trades, interval)
    part = candle_rows(*path.candles(0, Interval.M5, T0 + 61_000, T0 + 11 * 60_000))
    assert part == [row for row in folded(trades, Interval.M5) if T0 + 61_000 <= row[0] < T0 + 11 * 60_000]


def test_an_interval_that_recorded_candles_straddle() -> None:
    eights = ((100.0, 110.0, 90.0, 105.0, 700.0), (105.0, 106.0, 95.0, 95.5, 800.0), (95.5, 99.0, 95.0, 98.0, 900.0))
    path = RecordedPath([window_of("DOGE", Interval.H8, *eights)], [DOGE], 1)
    trades = path_trades(path, 0, T0, T0 + 24 * HOUR_MS)
    assert candle_rows(*path.candles(0, Interval.H12, T0, T0 + 24 * HOUR_MS)) == folded(trades, Interval.H12)


def test_nothing_trades_without_volume_and_the_price_stands() -> None:
    path = recorded()
    for open_ms in range(T0 + 60_000, T0 + 120_000, 7_000):
        second = path.second(open_ms)
        assert not second.traded[0]
        assert second.bid[0] == 100_000.0 or second.ask[0] == 100_000.0


def test_outside_the_recording_the_price_stands() -> None:
    path = recorded()
    before, after = path.second(T0 - 3_600_000), path.second(T0 + 86_400_000)
    assert not before.traded.any() and not after.traded.any()
    assert 99_995.0 in (before.bid[0], before.ask[0]) and 99_950.0 in (after.bid[0], after.ask[0])


def test_a_gap_stands_at_the_close_before_it() -> None:
    first = window_of("DOGE", Interval.M1, (0.2, 0.2, 0.2, 0.2, 9.0))
    later = window_of("DOGE", Interval.M1, (0.3, 0.3, 0.3, 0.3, 9.0), start_ms=T0 + 300_000)
    columns = (np.concatenate((getattr(first, name), getattr(later, name))) for name in CandleWindow.__slots__[2:])
    path = RecordedPath([CandleWindow("DOGE", Interval.M1, *columns)], [DOGE], 1)
    gap = path.second(T0 + 200_000)
    assert gap.bid[0] == 0.2 and not gap.traded[0]
    assert len(path.candles(0, Interval.M1, T0, T0 + 400_000)[0]) == 2


def test_a_shifted_path_does_the_same_at_another_time() -> None:
    day = 86_400_000
    here, there = recorded(), recorded(shift_ms=day)
    for open_ms in range(T0, T0 + 180_000, 11_000):
        one, other = here.second(open_ms), there.second(open_ms + day)
        assert one.bid.tolist() == other.bid.tolist() and one.tid.tolist() == other.tid.tolist()
    assert [row[0] for row in candle_rows(*there.candles(1, Interval.M1, T0 + day, T0 + day + 120_000))] == [
        T0 + day,
        T0 + day + 60_000,
    ]


def test_a_busy_market_has_a_tight_spread_and_a_quiet_one_a_wide_one() -> None:
    candle = (50.0, 50.5, 49.5, 50.0)
    busy, quiet = (window_of("DOGE", Interval.M1, (*candle, volume)) for volume in (100_000.0, 0.1))
    path = RecordedPath([busy, quiet], [DOGE, DOGE], 1)
    second = path.second(T0 + 30_000)
    spread = (second.ask - second.bid) / second.bid
    assert spread[0] < 0.00005 < 0.0005 < spread[1] < 0.002
    assert second.bid_size[0] > second.bid_size[1]


def test_funding_is_asked_for_at_recorded_time() -> None:
    hours, ids = np.array([T0], dtype=np.int64), np.array([0], dtype=np.int64)
    funding = FundingSet(["BTC"], hours, ids, np.array([0.0003]), "a test")
    path = RecordedPath([window_of("BTC", Interval.M1, *BTC_MINUTES)], [BTC], 1, shift_ms=5 * HOUR_MS, funding=funding)
    assert path.funding_rate(0, T0 + 5 * HOUR_MS) == Decimal("0.0003")
    assert path.funding_rate(0, T0 + 6 * HOUR_MS) == Decimal("0.0000125")
