"""From the same anchor live and backtest hold the same bits, and nothing looks ahead."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talipp.indicators import ADX, ATR, EMA, RSI  # type: ignore[import-untyped]
from talipp.ohlcv import OHLCV  # type: ignore[import-untyped]

from adapters.strategies.indicators import Periods, Raw, column_series, raw_series
from adapters.strategies.mei_alpha_v1 import MeiAlphaV1
from adapters.strategies.series_bank import SeriesBank
from adapters.strategies.stream_bank import StreamBank
from domain.candles import CandleWindow, FloatColumn
from domain.signals import Analyses
from tests.strategy_samples import HOUR_MS, batch_at, book_with, everyone, part_of, universe_of, window_of

COUNT = 90
"""Candles of a history: enough for small periods and MACD, few enough for many examples."""


@st.composite
def periods(draw: st.DrawFn) -> Periods:
    """Any lengths, short enough that histories of `COUNT` candles see both young and open symbols."""
    length = st.integers(2, 12)
    slow = draw(st.integers(3, 15))
    average = draw(length)
    return Periods(
        ema_fast=draw(st.integers(2, slow)),
        ema_slow=slow,
        ema_macro=draw(st.integers(slow, 30)),
        adx=draw(length),
        bb=draw(length),
        bb_width_average=draw(length),
        atr=draw(st.integers(1, 12)),
        atr_average=draw(st.integers(5, 12)),
        rsi=draw(length),
        volume_average=average,
        volume_trend=draw(st.integers(1, average)),
        stoch_rsi=draw(length),
        stoch_smooth=draw(st.integers(1, 5)),
        slow_slope=draw(st.integers(1, 12)),
    )


@dataclass(frozen=True)
class Walk:
    """A history in few words: a random walk in which the price may stand still and nothing may be traded."""

    seed: int
    drift: float
    volatility: float
    volume_scale: float
    price: float
    still: list[tuple[int, int, bool]]
    """Stretches without a move: start, length, and whether anything is traded."""
    wicks: bool
    anchor: int

    def window(self, symbol: str, count: int = COUNT) -> CandleWindow:
        rng = np.random.default_rng(self.seed)
        steps = rng.normal(self.drift, self.volatility, count)
        volumes = rng.lognormal(0.0, 2.0, count) * self.volume_scale
        for start, length, traded in self.still:
            steps[start : start + length] = 0.0
            volumes[start : start + length] *= float(traded)
        closes = self.price * np.exp(np.cumsum(np.clip(steps, -0.5, 0.5)))
        window = window_of(symbol, closes, volumes, self.anchor * HOUR_MS)
        if self.wicks:
            return window
        body = (np.maximum(window.open, window.close), np.minimum(window.open, window.close))
        return replace(window, high=body[0], low=body[1])


walks = st.builds(
    Walk,
    seed=st.integers(0, 2**32 - 1),
    drift=st.sampled_from([-0.01, 0.0, 0.003]),
    volatility=st.sampled_from([0.0, 1e-6, 0.01, 0.2]),
    volume_scale=st.sampled_from([1e-6, 1.0, 1e9]),
    price=st.sampled_from([1e-6, 0.9, 1e5]),
    still=st.lists(st.tuples(st.integers(0, COUNT), st.integers(1, COUNT), st.booleans()), max_size=3),
    wicks=st.booleans(),
    anchor=st.integers(0, 5),
)


def columns_of(window: CandleWindow, lengths: Periods) -> FloatColumn:
    return column_series(raw_series(window.high, window.low, window.close, window.volume, lengths))


def series_bank_of(windows: list[CandleWindow], lengths: list[Periods]) -> SeriesBank:
    bank = SeriesBank(windows, book_with())
    assert bank.fit(lengths) == ()
    return bank


@settings(max_examples=60)
@given(st.data())
def test_streams_and_series_give_the_same_bits(data: st.DataObject) -> None:
    """Over symbols with anchors, periods and gaps in batches of their own, rebuilt at any candle."""
    symbols = ("BTC", "ETH", "kPEPE")
    windows = [data.draw(walks).window(symbol) for symbol in symbols]
    lengths = [data.draw(periods()) for _ in symbols]
    series = series_bank_of(windows, lengths)
    streams = StreamBank()
    streams.fit(lengths)
    start = data.draw(st.integers(0, COUNT - 1), label="first candle after the rebuild")
    for symbol_id, window in enumerate(windows):
        streams.rebuild(symbol_id, part_of(window, 0, int((window.open_ms < start * HOUR_MS).sum())))
    again = data.draw(st.integers(start, COUNT + 5), label="candle of a second rebuild")
    for time in range(start, COUNT + 5):
        batch = batch_at(windows, time * HOUR_MS) if any((w.open_ms == time * HOUR_MS).any() for w in windows) else None
        if batch is None:
            continue
        if time == again:
            symbol_id = int(batch.ids[0])
            window = windows[symbol_id]
            streams.rebuild(symbol_id, part_of(window, 0, int((window.open_ms < time * HOUR_MS).sum())))
        decide = np.array([data.draw(st.booleans()) for _ in batch.ids]) if time % 16 == 0 else everyone(batch)
        live, known = streams.advance(batch, decide), series.advance(batch, decide)
        assert live.shape == known.shape
        assert live.tobytes() == known.tobytes(), f"candle {time}"


@settings(max_examples=40)
@given(walks, periods(), st.integers(1, COUNT - 1), st.integers(0, 2**32 - 1))
def test_no_column_depends_on_later_candles(walk: Walk, lengths: Periods, cut: int, seed: int) -> None:
    window = walk.window("ETH")
    rng = np.random.default_rng(seed)
    closes = window.close.copy()
    closes[cut:] *= np.exp(rng.normal(0, 0.05, COUNT - cut))
    volumes = window.volume.copy()
    volumes[cut:] = rng.lognormal(0, 2, COUNT - cut)
    other = window_of(window.symbol, closes, volumes)
    high, low = window.high.copy(), window.low.copy()
    high[cut:], low[cut:] = other.high[cut:], other.low[cut:]
    changed = replace(window, high=high, low=low, close=closes, volume=volumes)
    assert columns_of(window, lengths)[:, :cut].tobytes() == columns_of(changed, lengths)[:, :cut].tobytes()
    alone = columns_of(part_of(window, 0, cut), lengths)
    assert columns_of(window, lengths)[:, :cut].tobytes() == alone.tobytes()


@settings(max_examples=15)
@given(st.data())
def test_strategy_answers_are_the_same_live_and_in_the_backtest(data: st.DataObject) -> None:
    """With symbols of different config, whole answers: signals, confidence, features and every gate."""
    symbols = ("BTC", "ETH", "kPEPE")
    windows = [replace(data.draw(walks), anchor=0).window(symbol, 280) for symbol in symbols]
    short = {"ema_fast_window": 8, "ema_slow_window": 15, "ema_macro_window": 40, "adx_window": 10, "bb_window": 15}
    paths = {"enable_pullback_entries": True, "enable_slow_drift_entries": True, "min_adx": 12}
    book = book_with({"ETH": {"indicators": short}, "kPEPE": {"thresholds": {"entry": paths}}})
    live, backtest = MeiAlphaV1(StreamBank()), MeiAlphaV1(SeriesBank(windows, book))
    for strategy in (live, backtest):
        assert strategy.configure(book, universe_of(*symbols)) == ()
    start = data.draw(st.sampled_from([5, 190, 230]))
    for symbol_id, window in enumerate(windows):
        live.rebuild(symbol_id, part_of(window, 0, start))
    btc_bullish = data.draw(st.sampled_from([True, False, None]))
    for time in range(start, 280):
        batch = batch_at(windows, time * HOUR_MS)
        assert bits_of(live.advance(batch, everyone(batch), btc_bullish)) == bits_of(
            backtest.advance(batch, everyone(batch), btc_bullish)
        )


def bits_of(said: Analyses) -> tuple[bytes, ...]:
    columns = (
        *(said.ids, said.signal, said.confidence, said.first_no, said.features),
        *(said.gate_values, said.gate_thresholds, said.gate_passed),
    )
    return tuple(np.ascontiguousarray(column).tobytes() for column in columns)


@settings(max_examples=20)
@given(walks, st.integers(2, 20))
def test_another_library_agrees(walk: Walk, length: int) -> None:
    """talipp seeds the EMA as TA-Lib does; its Wilder averages start otherwise, which fades."""
    moving = replace(walk, volatility=max(walk.volatility, 0.01), still=[])
    window = moving.window("ETH", FADED + 100)
    lengths = Periods(length, length, length, length, 20, 30, length, 50, length, 20, 5, 14, 3, 20)
    raw = Raw._make(raw_series(window.high, window.low, window.close, window.volume, lengths))
    closes = window.close.tolist()
    candles = zip(window.open.tolist(), window.high.tolist(), window.low.tolist(), closes, strict=True)
    bars = [OHLCV(*candle) for candle in candles]
    ema = list(EMA(length, closes))
    assert np.isnan(raw.ema_fast[: length - 1]).all()
    assert ema[: length - 1] == [None] * (length - 1)
    assert raw.ema_fast[length - 1 :].tolist() == pytest.approx(ema[length - 1 :], rel=1e-9)
    assert raw.rsi[FADED:].tolist() == pytest.approx(list(RSI(length, closes))[FADED:], rel=1e-6)
    assert raw.atr[FADED:].tolist() == pytest.approx(list(ATR(length, bars))[FADED:], rel=1e-6)
    adx = [value.adx for value in list(ADX(length, length, bars))[FADED:]]
    assert raw.adx[FADED:].tolist() == pytest.approx(adx, rel=1e-4, abs=1e-4)


FADED = 500
"""Candles after which the start of a Wilder average of at most 20 has faded: (19/20) ** 500 is 1e-11."""
