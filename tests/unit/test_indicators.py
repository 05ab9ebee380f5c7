"""Indicator columns by example, and what the two banks promise."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from adapters.strategies.banks import IndicatorBank
from adapters.strategies.indicators import (
    COLUMN_ROWS,
    FEATURE_COLUMNS,
    Columns,
    Periods,
    Raw,
    column_series,
    periods_of,
    raw_series,
)
from adapters.strategies.series_bank import SeriesBank
from adapters.strategies.stream_bank import OpenSymbol, StreamBank
from domain.candles import CandleWindow, FloatColumn
from domain.signals import FeatureRow
from domain.strategy_config import SymbolConfig
from tests.strategy_samples import (
    HOUR_MS,
    SMALL_PERIODS,
    batch_at,
    book_with,
    everyone,
    part_of,
    random_window,
    window_of,
)


def raw_of(window: CandleWindow, periods: Periods = SMALL_PERIODS) -> Raw:
    return Raw._make(raw_series(window.high, window.low, window.close, window.volume, periods))


def columns_of(window: CandleWindow, periods: Periods = SMALL_PERIODS) -> Columns:
    raw = raw_series(window.high, window.low, window.close, window.volume, periods)
    return Columns._make(column_series(raw))


def last(column: FloatColumn) -> float:
    return float(column[-1])


def test_the_defaults_are_the_periods_of_the_description() -> None:
    periods = periods_of(SymbolConfig())
    assert (periods.ema_fast, periods.ema_slow, periods.ema_macro) == (20, 50, 200)
    assert (periods.adx, periods.atr, periods.rsi, periods.stoch_rsi, periods.stoch_smooth) == (14, 14, 14, 14, 3)
    assert (periods.bb, periods.bb_width_average, periods.atr_average) == (20, 30, 50)
    assert (periods.volume_average, periods.volume_trend, periods.slow_slope) == (20, 5, 20)


def test_the_first_columns_are_the_first_features() -> None:
    assert Columns._fields[:FEATURE_COLUMNS] == FeatureRow._fields[:FEATURE_COLUMNS]


def test_an_ema_starts_from_the_average_of_its_first_window() -> None:
    closes = np.array([1.0, 2.0, 6.0, 4.0, 8.0])
    ema = raw_of(window_of("A", closes)).ema_fast
    assert np.isnan(ema[:2]).all()
    assert ema[2:].tolist() == [3.0, 3.5, 5.75]


def test_band_width_is_four_population_deviations_over_the_close() -> None:
    closes = np.array([5.0, 1.0, 2.0, 3.0, 4.0])
    width = raw_of(window_of("A", closes)).bb_width
    assert last(width) == pytest.approx(4 * math.sqrt(1.25) / 4.0, rel=1e-12)


def test_stoch_k_is_smoothed_and_runs_from_zero_to_one() -> None:
    window = random_window("A", 1, 200)
    k = raw_of(window).stoch_k
    rsi = raw_of(window).rsi
    fast = [
        (rsi[place] - rsi[place - 2 : place + 1].min()) / np.ptp(rsi[place - 2 : place + 1]) for place in (198, 199)
    ]
    assert last(k) == pytest.approx(sum(fast) / 2, abs=1e-12)
    assert np.nanmin(k) == pytest.approx(0.0, abs=1e-12)
    assert np.nanmax(k) == pytest.approx(1.0, abs=1e-12)


def test_the_macd_histogram_and_its_lags_are_those_of_the_candles_before() -> None:
    columns = columns_of(random_window("A", 2, 60))
    assert last(columns.macd_hist_1) == columns.macd_hist[-2]
    assert last(columns.macd_hist_2) == columns.macd_hist[-3]
    assert last(columns.macd_hist_3) == columns.macd_hist[-4]


def test_slopes_gaps_and_ratios_say_what_their_names_say() -> None:
    window = random_window("A", 3, 80)
    raw, columns = raw_of(window), columns_of(window)
    assert last(columns.adx_slope) == raw.adx[-1] - raw.adx[-2]
    assert last(columns.atr_slope) == raw.atr[-1] - raw.atr[-2]
    assert last(columns.close_change) == abs(window.close[-1] - window.close[-2]) / window.close[-2]
    assert last(columns.ema_fast_gap) == (window.close[-1] - raw.ema_fast[-1]) / raw.ema_fast[-1]
    assert last(columns.ema_fast_gap_1) == columns.ema_fast_gap[-2]
    assert last(columns.trend_gap) == (raw.ema_fast[-1] - raw.ema_slow[-1]) / window.close[-1]
    assert last(columns.slow_slope) == (raw.ema_slow[-1] - raw.ema_slow[-3]) / window.close[-1]
    assert last(columns.atr_ratio) == pytest.approx(raw.atr[-1] / raw.atr[-5:].mean(), rel=1e-12)
    assert last(columns.volume_ratio) == pytest.approx(window.volume[-1] / window.volume[-4:].mean(), rel=1e-12)
    assert last(columns.volume_ratio_1) == columns.volume_ratio[-2]
    assert last(columns.volume_trend) == pytest.approx(window.volume[-2:].mean() / window.volume[-4:].mean(), rel=1e-12)
    assert last(columns.bb_width_ratio) == pytest.approx(raw.bb_width[-1] / raw.bb_width[-3:].mean(), rel=1e-12)


def test_what_cannot_be_divided_is_not_known() -> None:
    still = window_of("A", np.full(80, 5.0), np.zeros(80))
    flat = CandleWindow(
        "A",
        still.interval,
        still.open_ms,
        still.open,
        still.close.copy(),
        still.close.copy(),
        still.close,
        still.volume,
    )
    columns = columns_of(flat)
    assert math.isnan(last(columns.volume_ratio))
    assert math.isnan(last(columns.bb_width_ratio))
    assert math.isnan(last(columns.atr_ratio))
    assert not np.isinf(column_series(raw_series(flat.high, flat.low, flat.close, flat.volume, SMALL_PERIODS))).any()


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**-20, 2.0**30])
def test_the_size_of_a_price_does_not_matter(scale: float) -> None:
    """Coins trade at a millionth of a dollar too: no indicator may take small moves for none."""
    window = random_window("A", 4, 120)
    small = window_of("A", window.close * scale, window.volume)
    relative = ("adx", "rsi", "bb_width_ratio", "ema_fast_gap", "trend_gap", "atr_ratio", "stoch_k", "slow_slope")
    reference = columns_of(window_of("A", window.close, window.volume))
    for name in relative:
        assert np.array_equal(getattr(columns_of(small), name), getattr(reference, name), equal_nan=True), name


def test_indicators_do_not_import_talib_or_pandas_before_they_are_used() -> None:
    code = (
        "import sys, adapters.strategies.mei_alpha_v1, adapters.strategies.stream_bank, "
        "adapters.strategies.series_bank, adapters.strategies.dataframe, adapters.strategies.worker\n"
        "sys.exit(int('talib' in sys.modules or 'pandas' in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


# --- banks --------------------------------------------------------------------------------------


def stream_bank_with(*windows: CandleWindow, periods: Periods = SMALL_PERIODS) -> StreamBank:
    bank = StreamBank()
    assert bank.fit([periods] * len(windows)) == ()
    for symbol_id, window in enumerate(windows):
        bank.rebuild(symbol_id, window)
    return bank


def test_a_bank_is_an_indicator_bank() -> None:
    banks: list[IndicatorBank] = [StreamBank(), SeriesBank([], book_with())]
    assert len(banks) == 2


def test_an_empty_window_is_a_state_too() -> None:
    window = random_window("A", 5, 60)
    bank = stream_bank_with(part_of(window, 0, 0))
    for time in range(60):
        columns = bank.advance(batch_at([window], time * HOUR_MS), np.array([True]))
    assert columns[:, 0].tobytes() == np.array(columns_of(window))[:, -1].tobytes()


def test_a_symbol_lets_its_candles_go_once_its_handles_are_open() -> None:
    window = random_window("A", 6, 60)
    bank = stream_bank_with(part_of(window, 0, 30))
    assert not isinstance(bank._symbols[0], OpenSymbol)
    for time in range(30, 60):
        bank.advance(batch_at([window], time * HOUR_MS), np.array([True]))
    assert isinstance(bank._symbols[0], OpenSymbol)


def test_columns_cannot_be_changed_by_who_reads_them() -> None:
    window = random_window("A", 7, 60)
    batch = batch_at([window], 59 * HOUR_MS)
    for bank in (stream_bank_with(part_of(window, 0, 59)), SeriesBank([window], book_with())):
        columns = bank.advance(batch, everyone(batch))
        with pytest.raises(ValueError, match="read-only"):
            columns[0, 0] = 1.0


def test_an_answer_stays_as_it_is_when_the_bank_moves_on() -> None:
    window = random_window("A", 8, 60)
    bank = stream_bank_with(part_of(window, 0, 50))
    first = bank.advance(batch_at([window], 50 * HOUR_MS), np.array([True]))
    before = first.copy()
    bank.advance(batch_at([window], 51 * HOUR_MS), np.array([True]))
    assert first.tobytes() == before.tobytes()


def test_the_universe_of_a_session_does_not_change() -> None:
    bank = stream_bank_with(random_window("A", 9, 10))
    with pytest.raises(AssertionError, match="universe"):
        bank.fit([SMALL_PERIODS, SMALL_PERIODS])


def test_series_follow_symbols_that_start_later_and_skip_candles() -> None:
    whole = random_window("A", 10, 300)
    kept = np.delete(np.arange(300), [250, 251, 270])
    columns = (whole.open, whole.high, whole.low, whole.close, whole.volume)
    gappy = CandleWindow("A", whole.interval, whole.open_ms[kept], *(column[kept] for column in columns))
    late = random_window("B", 11, 150, first_open_ms=150 * HOUR_MS)
    nothing = random_window("C", 12, 0)
    bank = SeriesBank([gappy, late, nothing], book_with())
    batch = batch_at([gappy, late, nothing], 249 * HOUR_MS)
    assert batch.ids.tolist() == [0, 1]
    bank.advance(batch, everyone(batch))
    only_late = batch_at([gappy, late, nothing], 250 * HOUR_MS)
    assert only_late.ids.tolist() == [1]
    assert bank.advance(only_late, everyone(only_late)).shape == (COLUMN_ROWS, 1)
    # A lag counts candles, not hours: the candle before 252 is 249.
    after = batch_at([gappy, late, nothing], 252 * HOUR_MS)
    change = Columns._make(bank.advance(after, everyone(after))).close_change[0]
    assert change == abs(whole.close[252] - whole.close[249]) / whole.close[249]


def test_a_candle_that_is_not_in_the_history_is_a_bug() -> None:
    window = random_window("A", 13, 60)
    bank = SeriesBank([window], book_with())
    batch = batch_at([window], 50 * HOUR_MS)
    batch.close[0] *= 1.0001
    with pytest.raises(AssertionError, match="not in the history"):
        bank.advance(batch, everyone(batch))


def test_a_series_is_not_rebuilt_from_another_anchor() -> None:
    window = random_window("A", 14, 60)
    bank = SeriesBank([window], book_with())
    bank.rebuild(0, part_of(window, 0, 40))
    with pytest.raises(AssertionError, match="anchor"):
        bank.rebuild(0, part_of(window, 1, 40))


def test_a_series_with_other_periods_is_computed_again() -> None:
    window = random_window("A", 15, 60)
    bank = SeriesBank([window], book_with())
    assert bank.fit([SMALL_PERIODS]) == ()
    batch = batch_at([window], 59 * HOUR_MS)
    assert bank.advance(batch, everyone(batch))[:, 0].tobytes() == np.array(columns_of(window))[:, -1].tobytes()
