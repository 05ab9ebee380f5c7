"""mei_alpha_v1: every gate by example, its paths, and the promises of the Strategy port."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from adapters.strategies.gate_parameters import parameters_of
from adapters.strategies.indicators import Columns
from adapters.strategies.mei_alpha_v1 import MeiAlphaV1, analyze
from adapters.strategies.mei_gates import TREND_GATES, Opinions, btc_sign_of, evaluate, gate_names
from adapters.strategies.plain_config import config_from
from adapters.strategies.series_bank import SeriesBank
from adapters.strategies.stream_bank import StreamBank
from domain.confidence import Confidence
from domain.signals import FEATURE_INDEX, NO_GATE, Analyses, Signal, analyses_problem
from ports.strategy import Strategy
from tests.strategy_samples import (
    HOUR_MS,
    LONG_SETUP,
    SHORT_SETUP,
    batch_at,
    book_with,
    columns_like,
    everyone,
    part_of,
    random_window,
    universe_of,
    window_of,
)

PULLBACK = {"thresholds": {"entry": {"enable_pullback_entries": True}}}
DRIFT = {"thresholds": {"entry": {"enable_slow_drift_entries": True}}}


def judged(
    setup: Columns,
    sections: dict[str, Any] | None = None,
    *,
    btc: bool | None = None,
    symbol: str = "ETH",
    **changed: Any,
) -> Opinions:
    config = config_from(sections or {})
    return evaluate(columns_like(setup, **changed), parameters_of((symbol,), (config,)), btc_sign_of(btc))


def signal_of(said: Opinions) -> Signal:
    return Signal(int(said.signal[0]))


def refusal_of(said: Opinions) -> str | None:
    return None if said.first_no[0] == NO_GATE else TREND_GATES[said.first_no[0]]


def gate_of(said: Opinions, name: str) -> tuple[float, float, bool]:
    row = TREND_GATES.index(name)
    return float(said.values[row, 0]), float(said.thresholds[row, 0]), bool(said.passed[row, 0])


def feature_of(said: Opinions, name: str) -> float:
    return float(said.features[FEATURE_INDEX[name], 0])


def test_a_clean_long_setup_is_a_buy_of_medium_confidence() -> None:
    said = judged(LONG_SETUP, btc=True)
    assert signal_of(said) is Signal.BUY
    assert said.confidence[0] == Confidence.MEDIUM
    assert refusal_of(said) is None
    assert said.passed[:, 0].all()


def test_a_clean_short_setup_is_a_sell() -> None:
    said = judged(SHORT_SETUP, btc=False)
    assert signal_of(said) is Signal.SELL
    assert refusal_of(said) is None


def test_confidence_is_high_from_more_than_two_and_a_half_times_the_usual_volume() -> None:
    assert judged(LONG_SETUP, volume_ratio=2.5).confidence[0] == Confidence.MEDIUM
    assert judged(LONG_SETUP, volume_ratio=2.51).confidence[0] == Confidence.HIGH


def test_a_refused_candle_has_low_confidence() -> None:
    assert judged(LONG_SETUP, volume_ratio=9.0, adx=10.0).confidence[0] == Confidence.LOW


@pytest.mark.parametrize(
    ("gate", "changed"),
    [
        ("ranging", {"bb_width_ratio": 0.7, "rsi": 52.9}),
        ("ranging", {"adx": 20.9, "bb_width_ratio": 0.79}),
        ("anomaly", {"close_change": 0.101}),
        ("anomaly", {"ema_fast_gap": 0.51}),
        ("extension", {"ema_fast_gap": 0.041}),
        ("adx_rising", {"adx_slope": 0.0}),
        ("adx_rising", {"adx_slope": -0.1, "adx": 40.0}),
        ("min_adx", {"adx": 22.0}),
        ("min_adx", {"adx": 27.5, "atr_ratio": 1.51}),
        ("alignment", {"trend_gap": 0.0}),
        ("ema_side", {"ema_fast_gap": -0.001}),
        ("rsi_limit", {"rsi": 54.0}),
        ("macd", {"macd_hist": 0.3}),
        ("stoch_rsi", {"stoch_k": 0.86}),
    ],
)
def test_each_gate_refuses_a_long_entry_on_its_own(gate: str, changed: dict[str, Any]) -> None:
    said = judged(LONG_SETUP, **changed)
    assert signal_of(said) is Signal.NEUTRAL
    assert refusal_of(said) == gate
    assert not gate_of(said, gate)[2]


@pytest.mark.parametrize(
    ("gate", "changed"),
    [
        ("ema_side", {"ema_fast_gap": 0.001}),
        ("rsi_limit", {"rsi": 46.0}),
        ("macd", {"macd_hist": -0.3}),
        ("stoch_rsi", {"stoch_k": 0.14}),
        ("extension", {"ema_fast_gap": -0.041}),
    ],
)
def test_each_directed_gate_refuses_a_short_entry_on_its_own(gate: str, changed: dict[str, Any]) -> None:
    said = judged(SHORT_SETUP, **changed)
    assert signal_of(said) is Signal.NEUTRAL
    assert refusal_of(said) == gate


def test_gates_just_inside_their_limits_pass() -> None:
    long = judged(LONG_SETUP, close_change=0.10, ema_fast_gap=0.04, stoch_k=0.85, adx=22.1, rsi=56.0)
    assert signal_of(long) is Signal.BUY
    assert signal_of(judged(SHORT_SETUP, stoch_k=0.15)) is Signal.SELL


def test_one_sign_of_a_range_is_not_a_range() -> None:
    said = judged(LONG_SETUP, bb_width_ratio=0.5)
    assert signal_of(said) is Signal.BUY
    assert gate_of(said, "ranging") == (1.0, 2.0, True)


def test_the_rsi_limit_falls_as_the_trend_gets_stronger() -> None:
    at = {adx: gate_of(judged(LONG_SETUP, adx=adx), "rsi_limit")[1] for adx in (10.0, 22.0, 31.0, 40.0, 70.0)}
    assert at == {10.0: 56.0, 22.0: 56.0, 31.0: 54.0, 40.0: 52.0, 70.0: 52.0}
    short = {adx: gate_of(judged(SHORT_SETUP, adx=adx), "rsi_limit")[1] for adx in (22.0, 31.0, 40.0)}
    assert short == {22.0: 44.0, 31.0: 46.0, 40.0: 48.0}


def test_adx_above_its_saturation_need_not_rise() -> None:
    assert signal_of(judged(LONG_SETUP, adx=40.1, adx_slope=-1.0)) is Signal.BUY


def test_volatility_above_average_asks_for_a_quarter_more_adx() -> None:
    assert gate_of(judged(LONG_SETUP, atr_ratio=1.5), "min_adx") == (31.0, 22.0, True)
    assert gate_of(judged(LONG_SETUP, atr_ratio=1.51), "min_adx") == (31.0, 27.5, True)
    off = {"thresholds": {"entry": {"ave_enabled": False}}}
    assert gate_of(judged(LONG_SETUP, off, atr_ratio=9.0), "min_adx") == (31.0, 22.0, True)


def test_a_fast_rising_adx_eases_a_high_minimum_to_25() -> None:
    strict = {"thresholds": {"entry": {"min_adx": 35}}}
    assert gate_of(judged(LONG_SETUP, strict, adx_slope=0.5), "min_adx") == (31.0, 35.0, False)
    assert gate_of(judged(LONG_SETUP, strict, adx_slope=0.51), "min_adx") == (31.0, 25.0, True)


def test_the_macro_trend_counts_only_when_asked_for() -> None:
    required = {"filters": {"require_macro_alignment": True}}
    assert signal_of(judged(LONG_SETUP, ema_macro=110.0)) is Signal.BUY
    assert refusal_of(judged(LONG_SETUP, required, ema_macro=110.0)) == "macro_alignment"
    assert refusal_of(judged(SHORT_SETUP, required, ema_macro=90.0)) == "macro_alignment"
    assert signal_of(judged(LONG_SETUP, required)) is Signal.BUY


def test_btc_against_the_entry_refuses_it() -> None:
    assert refusal_of(judged(LONG_SETUP, btc=False)) == "btc_alignment"
    assert refusal_of(judged(SHORT_SETUP, btc=True)) == "btc_alignment"


def test_btc_does_not_matter_to_itself_nor_in_a_strong_trend_nor_when_unknown_nor_when_switched_off() -> None:
    off = {"filters": {"require_btc_alignment": False}}
    assert signal_of(judged(LONG_SETUP, btc=False, symbol="BTC")) is Signal.BUY
    assert signal_of(judged(LONG_SETUP, btc=False, adx=40.1)) is Signal.BUY
    assert signal_of(judged(LONG_SETUP, btc=None)) is Signal.BUY
    assert signal_of(judged(LONG_SETUP, off, btc=False)) is Signal.BUY


def test_volume_confirmation_wants_volume_and_its_trend_now_or_one_candle_ago() -> None:
    on = {"filters": {"require_volume_confirmation": True}}
    only_now = {"filters": {"require_volume_confirmation": True, "vol_confirm_include_prev": False}}
    before: dict[str, Any] = {"volume_ratio": 0.5, "volume_ratio_1": 1.4, "volume_trend": 0.8, "volume_trend_1": 1.2}
    assert signal_of(judged(LONG_SETUP, on)) is Signal.BUY
    assert signal_of(judged(LONG_SETUP, on, **before)) is Signal.BUY
    assert refusal_of(judged(LONG_SETUP, only_now, **before)) == "volume_confirmation"
    assert refusal_of(judged(LONG_SETUP, only_now, **{**before, "volume_trend": 1.2})) == "volume_confirmation"
    assert refusal_of(judged(LONG_SETUP, only_now, **{**before, "volume_ratio": 1.4})) == "volume_confirmation"
    assert refusal_of(judged(LONG_SETUP, on, volume_ratio=0.9)) == "volume_confirmation"
    quiet = judged(LONG_SETUP, on, volume_trend=0.9)
    assert gate_of(quiet, "volume_confirmation") == (0.9, 1.0, False)


def test_the_macd_rule_follows_its_mode() -> None:
    def with_mode(mode: str, **changed: Any) -> str | None:
        return refusal_of(judged(LONG_SETUP, {"thresholds": {"entry": {"macd_hist_entry_mode": mode}}}, **changed))

    assert with_mode("accel", macd_hist=-0.2, macd_hist_1=-0.3) is None
    assert with_mode("sign", macd_hist=-0.2, macd_hist_1=-0.3) == "macd"
    assert with_mode("sign", macd_hist=0.1, macd_hist_1=0.3) is None
    assert with_mode("none", macd_hist=-0.4) is None


@pytest.mark.parametrize(
    ("gate", "section", "changed"),
    [
        ("ranging", {"enable_ranging_filter": False}, {"bb_width_ratio": 0.1, "rsi": 52.9, "adx": 39.9}),
        ("anomaly", {"enable_anomaly_filter": False}, {"close_change": 0.5}),
        ("extension", {"enable_extension_filter": False}, {"ema_fast_gap": 0.4}),
        ("adx_rising", {"require_adx_rising": False}, {"adx_slope": -3.0}),
        ("stoch_rsi", {"use_stoch_rsi_filter": False}, {"stoch_k": 1.0}),
    ],
)
def test_a_filter_that_is_off_passes_and_has_no_threshold(
    gate: str, section: dict[str, Any], changed: dict[str, Any]
) -> None:
    said = judged(LONG_SETUP, {"filters": section}, **changed)
    assert signal_of(said) is Signal.BUY
    _, threshold, passed = gate_of(said, gate)
    assert passed
    assert math.isnan(threshold)


def test_the_anomaly_gate_shows_the_measure_that_refuses() -> None:
    assert gate_of(judged(LONG_SETUP, close_change=0.2), "anomaly") == (0.2, 0.1, False)
    assert gate_of(judged(LONG_SETUP, ema_fast_gap=-0.6), "anomaly") == (0.6, 0.5, False)


NEEDED = {
    "ranging": ("adx", "bb_width_ratio", "rsi"),
    "anomaly": ("close_change", "ema_fast_gap"),
    "extension": ("ema_fast_gap",),
    "adx_rising": ("adx_slope",),
    "min_adx": ("adx", "atr_ratio"),
    "alignment": ("trend_gap",),
    "ema_side": ("ema_fast_gap",),
    "rsi_limit": ("rsi", "adx"),
    "macd": ("macd_hist", "macd_hist_1"),
    "stoch_rsi": ("stoch_k",),
}


@pytest.mark.parametrize("setup", [LONG_SETUP, SHORT_SETUP], ids=["long", "short"])
@pytest.mark.parametrize(("gate", "column"), [(gate, column) for gate, columns in NEEDED.items() for column in columns])
def test_a_value_that_is_not_known_fails_every_gate_that_needs_it(setup: Columns, gate: str, column: str) -> None:
    unknown: dict[str, Any] = {column: math.nan}
    said = judged(setup, **unknown)
    assert signal_of(said) is Signal.NEUTRAL
    assert not gate_of(said, gate)[2]


def test_unknown_volume_fails_the_confirmation_and_never_makes_confidence_high() -> None:
    on = {"filters": {"require_volume_confirmation": True, "vol_confirm_include_prev": False}}
    assert refusal_of(judged(LONG_SETUP, on, volume_ratio=math.nan)) == "volume_confirmation"
    assert refusal_of(judged(LONG_SETUP, on, volume_trend=math.nan)) == "volume_confirmation"
    assert judged(LONG_SETUP, volume_ratio=math.nan).confidence[0] == Confidence.MEDIUM


def test_nothing_known_is_neutral_on_every_path() -> None:
    both = {"thresholds": {"entry": {"enable_pullback_entries": True, "enable_slow_drift_entries": True}}}
    unknown: dict[str, Any] = dict.fromkeys(Columns._fields, math.nan)
    said = judged(LONG_SETUP, both, **unknown)
    assert signal_of(said) is Signal.NEUTRAL
    assert np.isnan(said.features[:14]).all()
    assert math.isnan(feature_of(said, "tp_mult"))
    assert math.isnan(feature_of(said, "is_anomaly"))


def test_without_a_direction_nothing_that_depends_on_one_passes_or_has_a_threshold() -> None:
    said = judged(LONG_SETUP, btc=True, trend_gap=0.0)
    for gate in ("alignment", "btc_alignment", "ema_side", "rsi_limit", "macd", "stoch_rsi"):
        assert not gate_of(said, gate)[2], gate
    assert np.isnan(said.thresholds[TREND_GATES.index("btc_alignment") :, 0]).all()


def test_the_target_is_far_in_strong_and_near_in_weak_trends() -> None:
    mults = {adx: feature_of(judged(LONG_SETUP, adx=adx), "tp_mult") for adx in (29.9, 30.0, 40.0, 40.1)}
    assert mults == {29.9: 3.0, 30.0: 4.0, 40.0: 4.0, 40.1: 7.0}
    assert feature_of(judged(LONG_SETUP, {"trade": {"tp_atr_mult": 6}}, adx=35.0), "tp_mult") == 6.0


def test_the_entry_remembers_the_adx_it_asked_for() -> None:
    assert feature_of(judged(LONG_SETUP, atr_ratio=2.0), "entry_adx_threshold") == 27.5


def test_the_anomaly_feature_follows_the_filter() -> None:
    assert feature_of(judged(LONG_SETUP), "is_anomaly") == 0.0
    assert feature_of(judged(LONG_SETUP, close_change=0.2), "is_anomaly") == 1.0
    assert (
        feature_of(judged(LONG_SETUP, {"filters": {"enable_anomaly_filter": False}}, close_change=0.2), "is_anomaly")
        == 0.0
    )


# What the trend path refuses (MACD slows down) and a crossing back over the fast EMA allows.
CROSSING: dict[str, Any] = {"ema_fast_gap_1": -0.002, "macd_hist": 0.2, "rsi": 55.0}


def test_a_pullback_enters_where_price_crosses_back_with_the_trend() -> None:
    said = judged(LONG_SETUP, PULLBACK, **CROSSING)
    assert signal_of(said) is Signal.BUY
    assert said.confidence[0] == Confidence.LOW
    assert said.first_no[0] == NO_GATE
    assert feature_of(said, "entry_adx_threshold") == 22.0
    mirrored = judged(SHORT_SETUP, PULLBACK, ema_fast_gap_1=0.002, macd_hist=-0.2, rsi=45.0)
    assert signal_of(mirrored) is Signal.SELL


@pytest.mark.parametrize(
    "changed",
    [
        {"ema_fast_gap_1": 0.001},
        {"macd_hist": -0.1},
        {"rsi": 49.9},
        {"adx": 21.9},
        {"close_change": 0.2},
        {"bb_width_ratio": 0.5, "rsi": 52.0},  # two signs of a range
        {"ema_fast_gap_1": math.nan},
    ],
)
def test_a_pullback_needs_all_it_asks_for(changed: dict[str, Any]) -> None:
    said = judged(LONG_SETUP, PULLBACK, **{**CROSSING, **changed})
    assert signal_of(said) is Signal.NEUTRAL


def test_pullbacks_are_off_by_default_and_btc_can_refuse_them() -> None:
    assert refusal_of(judged(LONG_SETUP, **CROSSING)) == "macd"
    assert signal_of(judged(LONG_SETUP, PULLBACK, btc=False, **CROSSING)) is Signal.NEUTRAL


def test_pullback_confidence_comes_from_the_config() -> None:
    config = {"thresholds": {"entry": {"enable_pullback_entries": True, "pullback_confidence": "high"}}}
    assert judged(LONG_SETUP, config, **CROSSING).confidence[0] == Confidence.HIGH


def test_a_trend_entry_comes_before_a_pullback() -> None:
    config = {"thresholds": {"entry": {"enable_pullback_entries": True, "pullback_confidence": "high"}}}
    said = judged(LONG_SETUP, config, ema_fast_gap_1=-0.002)
    assert said.confidence[0] == Confidence.MEDIUM
    assert feature_of(said, "entry_adx_threshold") == 22.0
    assert not said.passed[len(TREND_GATES), 0]


# A quiet climb: too little ADX for the trend path, two signs of a range.
DRIFTING: dict[str, Any] = {"adx": 14.0, "bb_width_ratio": 0.6, "rsi": 54.0, "slow_slope": 0.0006}


def test_a_slow_drift_enters_a_quiet_climb_and_is_no_range() -> None:
    said = judged(LONG_SETUP, DRIFT, **DRIFTING)
    assert signal_of(said) is Signal.BUY
    assert said.confidence[0] == Confidence.LOW
    assert gate_of(said, "ranging") == (2.0, 2.0, True)
    assert feature_of(said, "entry_adx_threshold") == 10.0
    mirrored = judged(SHORT_SETUP, DRIFT, **{**DRIFTING, "rsi": 46.0, "slow_slope": -0.0006})
    assert signal_of(mirrored) is Signal.SELL


@pytest.mark.parametrize(
    "changed",
    [
        {"slow_slope": 0.00059},
        {"slow_slope": -0.01},
        {"adx": 9.9},
        {"rsi": 49.0},
        {"macd_hist": 0.0},
        {"close": 99.0},
        {"close_change": 0.2},
        {"slow_slope": math.nan},
    ],
)
def test_a_slow_drift_needs_all_it_asks_for(changed: dict[str, Any]) -> None:
    assert signal_of(judged(LONG_SETUP, DRIFT, **{**DRIFTING, **changed})) is Signal.NEUTRAL


def test_slow_drifts_are_off_by_default() -> None:
    assert refusal_of(judged(LONG_SETUP, **DRIFTING)) == "ranging"


def test_paths_answer_with_a_row_only_where_somebody_uses_them() -> None:
    plain, both = config_from({}), config_from(PULLBACK)
    assert gate_names(parameters_of(("A",), (plain,))) == TREND_GATES
    parameters = parameters_of(("A", "B"), (plain, both))
    assert gate_names(parameters) == (*TREND_GATES, "pullback_path")
    said = evaluate(np.repeat(columns_like(LONG_SETUP, **CROSSING), 2, axis=1), parameters, math.nan)
    assert said.signal.tolist() == [0, 1]
    assert said.passed[-1].tolist() == [False, True]


def test_symbols_keep_their_own_limits() -> None:
    parameters = parameters_of(("A", "B"), (config_from({}), config_from({"thresholds": {"entry": {"min_adx": 35}}})))
    said = evaluate(np.repeat(columns_like(LONG_SETUP), 2, axis=1), parameters, math.nan)
    assert said.signal.tolist() == [1, 0]
    taken = parameters.take(np.array([1, 0]))
    assert evaluate(np.repeat(columns_like(LONG_SETUP), 2, axis=1), taken, math.nan).signal.tolist() == [0, 1]


def test_a_block_of_times_is_judged_like_its_batches() -> None:
    parameters = parameters_of(("A", "B"), (config_from({}), config_from(PULLBACK)))
    rng = np.random.default_rng(3)
    block = columns_like(LONG_SETUP)[:, :, np.newaxis] * rng.uniform(0.5, 1.5, (25, 40, 2))
    together = evaluate(block, parameters, 1.0)
    for time in range(40):
        alone = evaluate(block[:, time], parameters, 1.0)
        assert together.signal[time].tobytes() == alone.signal.tobytes()
        assert together.features[:, time].tobytes() == alone.features.tobytes()
        assert together.thresholds[:, time].tobytes() == alone.thresholds.tobytes()


# --- the port ---------------------------------------------------------------------------------


def two_symbols(count: int = 700) -> tuple[list[Any], MeiAlphaV1]:
    windows = [random_window("BTC", 1, count), random_window("kPEPE", 2, count, drift=0.002)]
    strategy: Strategy = MeiAlphaV1(StreamBank())
    assert strategy.configure(book_with(), universe_of("BTC", "kPEPE")) == ()
    assert isinstance(strategy, MeiAlphaV1)
    return windows, strategy


def test_answers_are_for_the_symbols_that_decide_in_batch_order() -> None:
    windows, strategy = two_symbols()
    for symbol_id, window in enumerate(windows):
        strategy.rebuild(symbol_id, part_of(window, 0, 650))
    batch = batch_at(windows, 650 * HOUR_MS)
    said = strategy.advance(batch, np.array([False, True]), True)
    assert said.ids.tolist() == [1]
    assert analyses_problem(said) is None
    assert said.feature_row(0).close == windows[1].close[650]
    # The one that did not decide has moved on all the same.
    both = strategy.advance(batch_at(windows, 651 * HOUR_MS), np.array([True, True]), True)
    untouched = MeiAlphaV1(StreamBank())
    untouched.configure(book_with(), universe_of("BTC", "kPEPE"))
    for symbol_id, window in enumerate(windows):
        untouched.rebuild(symbol_id, part_of(window, 0, 651))
    same = untouched.advance(batch_at(windows, 651 * HOUR_MS), np.array([True, True]), True)
    assert both.features.tobytes() == same.features.tobytes()


def test_a_symbol_without_state_is_passed_over_unless_it_has_to_decide() -> None:
    windows, strategy = two_symbols()
    strategy.rebuild(0, part_of(windows[0], 0, 600))
    batch = batch_at(windows, 600 * HOUR_MS)
    assert strategy.advance(batch, np.array([True, False]), None).ids.tolist() == [0]
    strategy.forget(0)
    with pytest.raises(AssertionError, match="rebuilt"):
        strategy.advance(batch, np.array([True, False]), None)


def test_nobody_deciding_is_an_empty_answer() -> None:
    windows, strategy = two_symbols()
    said = strategy.advance(batch_at(windows, 0), np.array([False, False]), None)
    assert len(said.ids) == 0
    assert analyses_problem(said) is None


def test_configure_names_the_symbols_whose_periods_changed_and_drops_their_state() -> None:
    windows, strategy = two_symbols()
    universe = universe_of("BTC", "kPEPE")
    for symbol_id, window in enumerate(windows):
        strategy.rebuild(symbol_id, part_of(window, 0, 600))
    assert strategy.configure(book_with(thresholds={"entry": {"min_adx": 30}}), universe) == ()
    changed = book_with({"kPEPE": {"indicators": {"adx_window": 10}}}, thresholds={"entry": {"min_adx": 30}})
    assert strategy.configure(changed, universe) == ("kPEPE",)
    batch = batch_at(windows, 600 * HOUR_MS)
    assert strategy.advance(batch, np.array([True, False]), None).ids.tolist() == [0]
    assert strategy.configure(changed, universe) == ()
    with pytest.raises(AssertionError, match="rebuilt"):
        strategy.advance(batch_at(windows, 601 * HOUR_MS), np.array([True, True]), None)


def test_a_changed_limit_counts_from_the_next_batch() -> None:
    windows, strategy = two_symbols()
    for symbol_id, window in enumerate(windows):
        strategy.rebuild(symbol_id, part_of(window, 0, 600))
    row = TREND_GATES.index("min_adx")
    open_ms = 600 * HOUR_MS
    first = strategy.advance(batch_at(windows, open_ms), np.array([True, True]), None)
    strategy.configure(
        book_with(thresholds={"entry": {"min_adx": 33, "ave_enabled": False}}), universe_of("BTC", "kPEPE")
    )
    second = strategy.advance(batch_at(windows, open_ms + HOUR_MS), np.array([True, True]), None)
    assert first.gate_thresholds[row, 0] in (22.0, 27.5)
    assert second.gate_thresholds[row].tolist() in ([33.0, 33.0], [25.0, 33.0], [33.0, 25.0], [25.0, 25.0])


def test_each_batch_is_judged_by_the_limits_of_its_own_symbols() -> None:
    windows, strategy = two_symbols()
    strategy.configure(
        book_with({"kPEPE": {"filters": {"enable_extension_filter": False}}}), universe_of("BTC", "kPEPE")
    )
    for symbol_id, window in enumerate(windows):
        strategy.rebuild(symbol_id, part_of(window, 0, 600))
    row = TREND_GATES.index("extension")
    limits = []
    for place, decide in enumerate(([True, False], [False, True], [True, True], [True, False])):
        said = strategy.advance(batch_at(windows, (600 + place) * HOUR_MS), np.array(decide), None)
        limits.append([None if math.isnan(limit) else limit for limit in said.gate_thresholds[row].tolist()])
    assert limits == [[0.04], [None], [0.04, None], [0.04]]


def test_backtest_and_live_say_the_same() -> None:
    windows, live = two_symbols()
    universe, book = universe_of("BTC", "kPEPE"), book_with()
    backtest = MeiAlphaV1(SeriesBank(windows, book))
    backtest.configure(book, universe)
    for symbol_id, window in enumerate(windows):
        live.rebuild(symbol_id, part_of(window, 0, 600))
    for time in range(600, 700):
        batch = batch_at(windows, time * HOUR_MS)
        one, other = (strategy.advance(batch, everyone(batch), True) for strategy in (live, backtest))
        assert answer_bits(one) == answer_bits(other)


def answer_bits(said: Analyses) -> tuple[bytes, ...]:
    columns = (said.signal, said.confidence, said.first_no, said.features, said.gate_values, said.gate_passed)
    return tuple(np.ascontiguousarray(column).tobytes() for column in columns)


# --- analyze(df, …) ---------------------------------------------------------------------------


def frame_like(window: Any) -> Any:
    import pandas as pd

    names = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}
    return pd.DataFrame(
        {name: getattr(window, column) for name, column in names.items()} | {"timestamp": window.open_ms}
    )


def test_analyze_agrees_with_the_strategy_on_every_candle_of_a_trend() -> None:
    window = random_window("ETH", 11, 700, drift=0.001)
    strategy = MeiAlphaV1(StreamBank())
    strategy.configure(book_with(), universe_of("ETH"))
    strategy.rebuild(0, part_of(window, 0, 640))
    for count in range(641, 701):
        said = strategy.advance(batch_at([window], (count - 1) * HOUR_MS), np.array([True]), False)
        signal, confidence, row = analyze(frame_like(part_of(window, 0, count)), "ETH", False)
        assert Signal[signal] == said.signal[0]
        assert confidence == Confidence(int(said.confidence[0])).text
        features = said.feature_row(0)
        assert (row["ATR"], row["ADX"], row["RSI"]) == (features.atr, features.adx, features.rsi)
        assert row["prev3_MACD_hist"] == features.macd_hist_3
        assert (row["tp_mult"], row["entry_adx_threshold"]) == (features.tp_mult, features.entry_adx_threshold)
        assert list(row["audit"]["gates"].values()) == said.gate_passed[:, 0].tolist()
        assert row["Close"] == window.close[count - 1]


def test_analyze_leaves_its_frame_alone() -> None:
    frame = frame_like(random_window("ETH", 5, 300))
    before = frame.copy()
    analyze(frame, "ETH", None)
    assert frame.equals(before)
    assert list(frame.columns) == list(before.columns)


def test_analyze_takes_the_config_as_the_files_sections() -> None:
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(4).normal(0.004, 0.008, 400)))
    frame = frame_like(window_of("ETH", closes))
    loose = {
        "thresholds": {"entry": {"min_adx": 0, "macd_hist_entry_mode": "none", "max_dist_ema_fast": 1}},
        "filters": {
            "enable_ranging_filter": False,
            "require_adx_rising": False,
            "use_stoch_rsi_filter": False,
            "require_btc_alignment": False,
        },
    }
    assert analyze(frame, "ETH", None, loose)[0] == "BUY"
    assert analyze(frame, "ETH", None, config_from(loose))[0] == "BUY"
    assert analyze(frame, "ETH", None, {"thresholds": {"entry": {"min_adx": 100}}})[0] == "NEUTRAL"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"thresholds": {"entry": {"min_adxx": 3}}}, "thresholds.entry.min_adxx"),
        ({"filters": {"require_adx_rising": 1}}, "filters.require_adx_rising"),
        ({"indicators": {"adx_window": 14.5}}, "indicators.adx_window"),
        ({"indicators": 3}, "indicators is a section"),
        ({"thresholds": {"entry": {"min_adx": float("nan")}}}, "finite"),
        ({"indicators": {"ema_fast_window": 60}}, "ema_slow_window"),
    ],
)
def test_analyze_names_a_wrong_key(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        analyze(frame_like(random_window("ETH", 5, 50)), "ETH", None, config)


def test_analyze_refuses_a_frame_it_cannot_read() -> None:
    frame = frame_like(random_window("ETH", 5, 50))
    with pytest.raises(ValueError, match="Volume"):
        analyze(frame.drop(columns="Volume"), "ETH", None)
    with pytest.raises(ValueError, match="no rows"):
        analyze(frame.iloc[:0], "ETH", None)


def test_analyze_is_neutral_on_a_frame_that_is_too_short() -> None:
    signal, confidence, row = analyze(frame_like(random_window("ETH", 5, 3)), "ETH", True)
    assert (signal, confidence) == ("NEUTRAL", "low")
    assert math.isnan(row["ATR"])
