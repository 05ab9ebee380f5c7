"""The simulated market at any time: one answer whatever was asked before; quotes, trades and candles agree."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sim.market import MINUTE_MS, MinuteColumns, SimMarket
from domain.candles import CandleWindow, Interval, candle_problem
from domain.market import Trade

SYMBOLS = 24
HOUR_MS = 60 * MINUTE_MS
YEAR_MINUTES = 366 * 1440

# From before 1970 to 2036; a market must not care.
MINUTES = st.integers(min_value=-YEAR_MINUTES, max_value=66 * YEAR_MINUTES)
SEEDS = st.integers(min_value=0, max_value=2**63)
IDS = st.integers(min_value=0, max_value=SYMBOLS - 1)

Row = tuple[int, float, float, float, float, float]


def rows(window: CandleWindow) -> list[Row]:
    columns = (window.open_ms, window.open, window.high, window.low, window.close, window.volume)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def folded(trades: Sequence[Trade], interval: Interval) -> list[Row]:
    """Candles made from trades one by one, by code that shares nothing with the market's."""
    spans: dict[int, list[Trade]] = {}
    for trade in trades:
        spans.setdefault(interval.open_of(trade.time_ms), []).append(trade)
    return [
        (
            open_ms,
            inside[0].price,
            max(trade.price for trade in inside),
            min(trade.price for trade in inside),
            inside[-1].price,
            float(sum(Decimal(repr(trade.size)) for trade in inside)),
        )
        for open_ms, inside in sorted(spans.items())
    ]


def same_minute(one: MinuteColumns, other: MinuteColumns) -> bool:
    names = ("bid", "ask", "mid", "traded_size", "open", "high", "low", "close", "volume", "traded")
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)


@given(seed=SEEDS, minutes=st.lists(MINUTES, min_size=2, max_size=6), data=st.data())
@settings(max_examples=30)
def test_the_answers_do_not_depend_on_the_order_of_the_questions(
    seed: int, minutes: list[int], data: st.DataObject
) -> None:
    one, other = SimMarket(seed, SYMBOLS), SimMarket(seed, SYMBOLS)
    answers = {minute: one.minute(minute * MINUTE_MS) for minute in minutes}
    for minute in data.draw(st.permutations(minutes)):
        other.candles(minute % SYMBOLS, Interval.M5, minute * MINUTE_MS, (minute + 7) * MINUTE_MS)
        assert same_minute(other.minute(minute * MINUTE_MS), answers[minute])


@given(seed=SEEDS, minute=MINUTES, symbol_id=IDS, cut=st.integers(min_value=0, max_value=1_200))
@settings(max_examples=20)
def test_a_long_query_is_its_parts_put_together(seed: int, minute: int, symbol_id: int, cut: int) -> None:
    market = SimMarket(seed, SYMBOLS)
    start_ms, end_ms = minute * MINUTE_MS, (minute + 1_200) * MINUTE_MS
    middle_ms = start_ms + cut * MINUTE_MS
    parts = [market.candles(symbol_id, Interval.M1, *span) for span in ((start_ms, middle_ms), (middle_ms, end_ms))]
    assert rows(market.candles(symbol_id, Interval.M1, start_ms, end_ms)) == rows(parts[0]) + rows(parts[1])


@given(seed=SEEDS, minute=MINUTES, fewer=st.integers(min_value=1, max_value=SYMBOLS))
@settings(max_examples=20)
def test_a_smaller_market_is_the_beginning_of_a_larger_one(seed: int, minute: int, fewer: int) -> None:
    small, large = (SimMarket(seed, count).minute(minute * MINUTE_MS) for count in (fewer, SYMBOLS))
    assert np.array_equal(small.bid, large.bid[:, :fewer])
    assert np.array_equal(small.close, large.close[:fewer])


@given(seed=SEEDS, minute=MINUTES, symbol_id=IDS, interval=st.sampled_from(list(Interval)[:6]))
@settings(max_examples=40)
def test_candles_are_the_fold_of_the_trades(seed: int, minute: int, symbol_id: int, interval: Interval) -> None:
    market = SimMarket(seed, SYMBOLS)
    start_ms = interval.open_of(minute * MINUTE_MS)
    end_ms = start_ms + 2 * interval.ms
    trades = market.trades(symbol_id, start_ms, end_ms)
    assert rows(market.candles(symbol_id, interval, start_ms, end_ms)) == folded(trades, interval)
    assert [trade.time_ms for trade in trades] == sorted(trade.time_ms for trade in trades)


@given(seed=SEEDS, minute=MINUTES)
@settings(max_examples=30)
def test_the_minute_of_all_symbols_is_the_candle_of_each(seed: int, minute: int) -> None:
    market = SimMarket(seed, SYMBOLS)
    open_ms = minute * MINUTE_MS
    columns = market.minute(open_ms)
    windows = market.history(range(SYMBOLS), Interval.M1, open_ms, open_ms + MINUTE_MS)
    for symbol_id, window in enumerate(windows):
        seen = tuple(
            float(column[symbol_id])
            for column in (columns.open, columns.high, columns.low, columns.close, columns.volume)
        )
        assert rows(window) == ([(open_ms, *seen)] if columns.traded[symbol_id] else [])
        if columns.traded[symbol_id]:
            assert candle_problem(*seen) is None
        else:
            assert columns.volume[symbol_id] == 0


@given(seed=SEEDS, minute=MINUTES)
@settings(max_examples=15)
def test_quotes_never_cross_and_every_price_is_one_the_venue_would_take(seed: int, minute: int) -> None:
    market = SimMarket(seed, SYMBOLS)
    open_ms = minute * MINUTE_MS
    columns = market.minute(open_ms)
    assert (columns.bid > 0).all()
    assert (columns.bid < columns.mid).all()
    assert (columns.mid < columns.ask).all()
    for symbol_id, instrument in enumerate(market.instruments()):
        quoted = {*columns.bid[:, symbol_id].tolist(), *columns.ask[:, symbol_id].tolist()}
        assert all(instrument.is_valid_price(Decimal(repr(price))) for price in quoted), instrument.symbol


@given(seed=SEEDS, minute=MINUTES, symbol_id=IDS)
@settings(max_examples=40)
def test_trades_happen_at_the_quote_in_sizes_that_can_be_traded(seed: int, minute: int, symbol_id: int) -> None:
    market = SimMarket(seed, SYMBOLS)
    instrument = market.instruments()[symbol_id]
    for trade in market.trades(symbol_id, minute * MINUTE_MS, (minute + 2) * MINUTE_MS):
        bid, ask = market.quotes(trade.time_ms)
        assert trade.symbol == instrument.symbol
        assert trade.price == (ask if trade.buy else bid)[symbol_id]
        assert instrument.is_valid_size(Decimal(repr(trade.size)))


@given(seed=SEEDS, hour=st.integers(min_value=-9_000, max_value=600_000), symbol_id=IDS)
@settings(max_examples=30)
def test_funding_stays_within_its_cap_and_the_oracle_between_the_quotes(seed: int, hour: int, symbol_id: int) -> None:
    market = SimMarket(seed, SYMBOLS)
    rate = market.funding_rate(symbol_id, hour * HOUR_MS)
    assert rate == SimMarket(seed, SYMBOLS).funding_rate(symbol_id, hour * HOUR_MS)
    assert abs(rate) <= Decimal("0.00051251")
    bid, ask = market.quotes(hour * HOUR_MS)
    assert bid[symbol_id] < market.oracle_price(symbol_id, hour * HOUR_MS) < ask[symbol_id]
