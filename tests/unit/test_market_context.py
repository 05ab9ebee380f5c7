"""MarketOverview: BTC's trend, and the share of symbols that trend up."""

import numpy as np
import pytest

from application.market_context import BTC_EMA_CANDLES, MarketOverview
from domain.candles import CandleBatch, CandleWindow, Interval
from domain.instruments import Universe
from domain.signals import FEATURE_INDEX, NO_GATE, Analyses, FeatureRow
from tests.builders import make_instrument

SYMBOLS = ("ADA", "BTC", "ETH", "SOL")
BTC_ID = 1
NAN = float("nan")


def overview(symbols: tuple[str, ...] = SYMBOLS) -> MarketOverview:
    return MarketOverview(Universe(make_instrument(symbol) for symbol in symbols))


def window(closes: list[float]) -> CandleWindow:
    column = np.array(closes)
    times = np.arange(len(closes), dtype=np.int64) * Interval.H1.ms
    return CandleWindow("BTC", Interval.H1, times, *(column.copy() for _ in range(5)))


def batch(closes: dict[int, float]) -> CandleBatch:
    ids = np.array(sorted(closes), dtype=np.intp)
    column = np.array([closes[symbol_id] for symbol_id in ids.tolist()])
    return CandleBatch(Interval.H1, 0, ids, column, column, column, column, column)


def analysed(trends: dict[int, tuple[float, float]], adx: float = 25.0, atr: float = 1.0) -> Analyses:
    """Symbols by id with (fast EMA, slow EMA)."""
    ids = np.array(sorted(trends), dtype=np.intp)
    features = np.full((len(FeatureRow._fields), len(ids)), 100.0)
    for place, symbol_id in enumerate(ids.tolist()):
        features[FEATURE_INDEX["ema_fast"], place], features[FEATURE_INDEX["ema_slow"], place] = trends[symbol_id]
    features[FEATURE_INDEX["adx"]] = adx
    features[FEATURE_INDEX["atr"]] = atr
    none = np.zeros(len(ids), dtype=np.int8)
    nothing = np.zeros((0, len(ids)))
    return Analyses(
        ids, none, none, none + NO_GATE, features, (), nothing, nothing, np.zeros((0, len(ids)), dtype=np.bool_)
    )


UP, DOWN, UNKNOWN = (2.0, 1.0), (1.0, 2.0), (NAN, 1.0)


def test_before_anything_was_seen_nothing_is_known() -> None:
    context = overview().context()
    assert (context.btc_bullish, context.breadth_pct, context.btc_adx, context.btc_atr_pct) == (None,) * 4


def test_btc_is_bullish_above_its_ema_once_there_are_enough_candles() -> None:
    market = overview()
    market.restart_btc(window([100.0] * (BTC_EMA_CANDLES - 1)))
    seen = [market.btc_bullish]
    for candles in (batch({0: 5.0, BTC_ID: 101.0}), batch({BTC_ID: 99.0})):
        market.take_candles(candles)
        seen.append(market.btc_bullish)
    assert seen == [None, True, False]


def test_a_close_at_the_ema_is_not_above_it() -> None:
    market = overview()
    market.restart_btc(window([100.0] * BTC_EMA_CANDLES))
    assert market.btc_bullish is False


def test_other_symbols_do_not_move_btc() -> None:
    market = overview()
    market.restart_btc(window([100.0] * BTC_EMA_CANDLES))
    market.take_candles(batch({0: 500.0, 2: 500.0, 3: 500.0}))
    assert market.btc_bullish is False


def test_the_same_anchor_gives_the_same_trend_by_candles_or_at_once() -> None:
    closes = [100.0 + (7 * number % 13) for number in range(80)]
    at_once, step_by_step = overview(), overview()
    at_once.restart_btc(window(closes))
    for close in closes:
        step_by_step.take_candles(batch({BTC_ID: close}))
    trends: list[list[bool | None]] = []
    for market in (at_once, step_by_step):
        trends.append([])
        for close in (103.0, 105.0, 106.5, 106.0, 105.9, 105.8):
            market.take_candles(batch({BTC_ID: close}))
            trends[-1].append(market.btc_bullish)
    assert trends[0] == trends[1] and len(set(trends[0])) == 2


def test_a_restart_forgets_what_was_before_the_anchor() -> None:
    market = overview()
    market.restart_btc(window([10.0] * 100))
    market.restart_btc(window([100.0] * (BTC_EMA_CANDLES - 1)))
    assert market.btc_bullish is None


def test_a_universe_without_btc_has_no_btc_trend() -> None:
    market = overview(("ADA", "ETH"))
    market.take_candles(batch({0: 5.0}))
    market.take_analyses(analysed({0: UP, 1: DOWN}))
    assert (market.btc_bullish, market.context().btc_adx, market.context().breadth_pct) == (None, None, 50.0)


def test_breadth_is_the_share_of_known_symbols_that_trend_up() -> None:
    market = overview()
    market.take_analyses(analysed({0: UP, 1: UP, 2: DOWN, 3: UNKNOWN}))
    assert market.context().breadth_pct == pytest.approx(200 / 3)


def test_breadth_keeps_symbols_that_were_not_in_the_last_batch() -> None:
    market = overview()
    market.take_analyses(analysed({0: UP, 1: UP}))
    market.take_analyses(analysed({2: DOWN, 3: DOWN}))
    assert market.context().breadth_pct == 50.0
    market.take_analyses(analysed({2: UP}))
    assert market.context().breadth_pct == 75.0


def test_a_trend_that_is_no_longer_known_no_longer_counts() -> None:
    market = overview()
    market.take_analyses(analysed({0: UP, 1: DOWN}))
    market.take_analyses(analysed({0: UNKNOWN}))
    assert market.context().breadth_pct == 0.0


def test_symbols_outside_the_watchlist_do_not_count() -> None:
    market = overview()
    market.count_only(np.array([True, True, False, False]))
    market.take_analyses(analysed({0: UP, 1: DOWN, 2: DOWN, 3: DOWN}))
    assert market.context().breadth_pct == 50.0


def test_without_a_known_symbol_breadth_is_not_known() -> None:
    market = overview()
    market.take_analyses(analysed({0: UNKNOWN}))
    assert market.context().breadth_pct is None


def test_btcs_strength_and_range_are_those_of_its_last_candle() -> None:
    market = overview()
    market.take_analyses(analysed({0: UP, BTC_ID: UP}, adx=30.0, atr=2.0))
    assert (market.context().btc_adx, market.context().btc_atr_pct) == (30.0, 0.02)
    market.take_analyses(analysed({0: UP}, adx=10.0))
    assert market.context().btc_adx == 30.0
    market.take_analyses(analysed({BTC_ID: UP}, adx=NAN, atr=NAN))
    assert (market.context().btc_adx, market.context().btc_atr_pct) == (None, None)
