"""Stops and targets over any walk of the price: they only tighten, protect the right side, and mirror each other."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.confidence import Confidence
from domain.exits import ExitLevels, ExitState, Holding, after_add, after_partial_take_profit, atr_of, exit_levels
from domain.signals import FeatureRow
from domain.smart_exits import smart_exit
from domain.strategy_config import SymbolConfig, TradeConfig
from tests.builders import LONG, SHORT, T0, make_config, make_exit_state, make_row

EIGHTHS = st.integers(96 * 8, 104 * 8).map(lambda eighths: eighths / 8)
"""Prices around 100 that floats hold exactly, so that 200 less a price is exact too."""
RATES = st.sampled_from([None, 0.0, 0.00003, -0.00003, 0.0002, -0.0002])
HOLDINGS = st.sampled_from([LONG, SHORT])
HOUR_MS = 3_600_000


SIGNS = [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
KNOWN = {
    "atr": [0.25, 0.5, 1.0, 2.0],
    "atr_slope": SIGNS,
    "adx": [10.0, 24.75, 30.0, 36.0, 41.0, 46.0, 51.0],
    "adx_slope": SIGNS,
    "rsi": [15.0, 25.0, 35.0, 45.0, 50.0, 55.0, 65.0, 75.0, 85.0],
    "ema_fast": [98.0, 99.0, 99.9375, 100.0],
    "ema_slow": [98.0, 99.0, 100.0],
    "ema_macro": [95.0, 100.0, 105.0],
    "macd_hist": SIGNS,
    "macd_hist_1": SIGNS,
    "macd_hist_2": SIGNS,
    "macd_hist_3": SIGNS,
    "bb_width_ratio": [0.5, 1.0, 1.5],
}
"""Values on both sides of every limit that a rule compares with."""
ROWS = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in KNOWN.items()}).map(
    lambda values: make_row(**values)
)
BLURRED = st.builds(
    lambda row, lost: row._replace(**dict.fromkeys(lost, math.nan)),
    ROWS,
    st.sets(st.sampled_from(sorted(KNOWN)), max_size=3),
)
"""The same, with some values not known."""


@st.composite
def states(draw: st.DrawFn) -> ExitState:
    return make_exit_state(
        entry_atr=draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])),
        confidence=draw(st.sampled_from(Confidence)),
        tp_mult=draw(st.sampled_from([3.0, 4.0, 7.0])),
        entry_adx_threshold=draw(st.sampled_from([0.0, 22.0])),
    )


@st.composite
def configs(draw: st.DrawFn) -> SymbolConfig:
    trade: dict[str, Any] = {
        "sl_atr_mult": draw(st.sampled_from([0.5, 2.0, 5.0])),
        "enable_breakeven_stop": draw(st.booleans()),
        "breakeven_start_atr": draw(st.sampled_from([0.25, 0.75, 3.0])),
        "breakeven_buffer_atr": draw(st.sampled_from([0.0, 0.125, 0.25])),
        "trailing_start_atr": draw(st.sampled_from([0.0, 1.0, 3.0])),
        "trailing_distance_atr": draw(st.sampled_from([0.5, 0.75, 4.0])),
        "trailing_start_atr_low_conf": draw(st.sampled_from([None, 0.5])),
        "enable_vol_buffered_trailing": draw(st.booleans()),
        "enable_rsi_overextension_exit": draw(st.booleans()),
    }
    return make_config(trade, filters={"require_macro_alignment": draw(st.booleans())})


Looks = list[tuple[float, FeatureRow | None]]
LOOKS = st.lists(st.tuples(EIGHTHS, BLURRED | st.none()), min_size=1, max_size=6)


def walked(
    holding: Holding, state: ExitState, looks: Looks, trade: TradeConfig, rate: float | None
) -> list[ExitLevels]:
    """The levels at each look, the state carried from one to the next."""
    found = []
    for price, row in looks:
        found.append(exit_levels(holding, state, price, row, trade, rate))
        state = found[-1].state
    return found


@given(HOLDINGS, states(), LOOKS, configs(), RATES)
def test_a_locked_stop_only_ever_tightens_and_the_stop_is_never_looser_than_it(
    holding: Holding, state: ExitState, looks: Looks, config: SymbolConfig, rate: float | None
) -> None:
    locked = -math.inf
    for levels in walked(holding, state, looks, config.trade, rate):
        now = levels.state.locked_stop
        tightness = -math.inf if now is None else now * holding.direction
        assert tightness >= locked
        assert levels.stop * holding.direction >= tightness
        locked = tightness


@given(HOLDINGS, states(), LOOKS, configs(), RATES)
def test_before_any_profit_was_locked_the_stop_lies_on_the_loss_side(
    holding: Holding, state: ExitState, looks: Looks, config: SymbolConfig, rate: float | None
) -> None:
    for levels in walked(holding, state, looks, config.trade, rate):
        if levels.state.locked_stop is None:
            assert levels.stop_rule == "stop_loss"
            assert (holding.entry_price - levels.stop) * holding.direction > 0
        widest = config.trade.sl_atr_mult * 1.2 * 1.10 * atr_of(holding, state)
        assert (holding.entry_price - levels.stop) * holding.direction <= widest * (1 + 1e-12)


@given(HOLDINGS, states(), LOOKS, configs(), RATES)
def test_once_breakeven_was_reached_the_stop_never_gives_back_more_than_the_entry(
    holding: Holding, state: ExitState, looks: Looks, config: SymbolConfig, rate: float | None
) -> None:
    trade = replace(config.trade, enable_breakeven_stop=True)
    level = holding.entry_price + holding.direction * trade.breakeven_buffer_atr * atr_of(holding, state)
    reached = False
    for (price, _), levels in zip(looks, walked(holding, state, looks, trade, rate), strict=True):
        gained = (price - holding.entry_price) * holding.direction / atr_of(holding, state)
        reached = reached or gained >= trade.breakeven_start_atr
        if reached:
            assert (levels.stop - level) * holding.direction >= 0
            assert levels.stop_rule in ("breakeven_stop", "trailing_stop")


@given(HOLDINGS, states(), LOOKS, configs(), RATES)
def test_the_target_never_moves_and_lies_in_profit(
    holding: Holding, state: ExitState, looks: Looks, config: SymbolConfig, rate: float | None
) -> None:
    targets = {levels.take_profit for levels in walked(holding, state, looks, config.trade, rate)}
    (target,) = targets
    assert target is not None and (target - holding.entry_price) * holding.direction > 0


@given(states(), LOOKS, configs(), RATES)
def test_long_and_short_are_mirror_images(
    state: ExitState, looks: Looks, config: SymbolConfig, rate: float | None
) -> None:
    mirrored: Looks = [(200 - price, None if row is None else row._replace(rsi=100 - row.rsi)) for price, row in looks]
    longs = walked(LONG, state, looks, config.trade, rate)
    shorts = walked(SHORT, state, mirrored, config.trade, None if rate is None else -rate)
    for one, other in zip(longs, shorts, strict=True):
        assert one.stop_rule == other.stop_rule
        assert other.stop == pytest.approx(200 - one.stop, abs=1e-9)
        assert one.take_profit is not None and other.take_profit == 200 - one.take_profit


@given(HOLDINGS, states(), LOOKS, configs(), RATES)
def test_a_restart_between_two_prices_changes_nothing(
    holding: Holding, state: ExitState, looks: Looks, config: SymbolConfig, rate: float | None
) -> None:
    whole = walked(holding, state, looks, config.trade, rate)
    for place, levels in enumerate(whole[:-1]):
        restored = replace(levels.state)
        assert walked(holding, restored, looks[place + 1 :], config.trade, rate) == whole[place + 1 :]


@given(HOLDINGS, states(), st.one_of(st.none(), EIGHTHS))
def test_a_partial_take_profit_never_loosens_and_locks_at_least_the_entry(
    holding: Holding, state: ExitState, locked: float | None
) -> None:
    after = after_partial_take_profit(holding, replace(state, locked_stop=locked))
    assert after.locked_stop is not None
    assert (after.locked_stop - holding.entry_price) * holding.direction >= 0
    assert locked is None or (after.locked_stop - locked) * holding.direction >= 0
    assert after_partial_take_profit(holding, after) == after


SIZES = st.floats(0.001, 1000)


@given(states(), st.sampled_from([0.5, 1.0, 4.0]), SIZES, SIZES)
def test_an_add_averages_between_the_two_atrs_and_keeps_the_locked_stop(
    state: ExitState, atr: float, old_size: float, added_size: float
) -> None:
    after = after_add(replace(state, locked_stop=99.5), atr, old_size, added_size, T0)
    known = [value for value in (state.entry_atr, atr) if value > 0]
    assert min(known) * (1 - 1e-12) <= after.entry_atr <= max(known) * (1 + 1e-12)
    assert (after.locked_stop, after.adds, after.take_profit_taken) == (99.5, state.adds + 1, False)


# ── rules that read indicators ───────────────────────────────────────────────────────────────────


def mirrored_row(row: FeatureRow) -> FeatureRow:
    """What a short sees where a long sees `row`."""
    return row._replace(
        rsi=100 - row.rsi,
        ema_fast=row.ema_slow,
        ema_slow=row.ema_fast,
        ema_macro=200 - row.ema_macro,
        macd_hist=-row.macd_hist,
        macd_hist_1=-row.macd_hist_1,
        macd_hist_2=-row.macd_hist_2,
        macd_hist_3=-row.macd_hist_3,
    )


@given(states(), EIGHTHS, BLURRED, configs(), RATES, st.integers(0, 24))
def test_the_rules_of_a_long_and_a_short_are_mirror_images(
    state: ExitState, price: float, row: FeatureRow, config: SymbolConfig, rate: float | None, hours: int
) -> None:
    at_ms = T0 + hours * HOUR_MS
    one = smart_exit(LONG, state, price, row, config, rate, at_ms)
    other = smart_exit(SHORT, state, 200 - price, mirrored_row(row), config, None if rate is None else -rate, at_ms)
    assert one == other


@st.composite
def headwinds(draw: st.DrawFn) -> tuple[float, FeatureRow, float, int]:
    """A long under water that pays funding, in a candle in which no other rule fires: price, row, rate, age."""
    row = make_row(
        atr=2.0,
        adx=draw(st.sampled_from([30.0, 36.0, 46.0])),
        adx_slope=draw(st.sampled_from([-0.5, 0.5, 1.5])),
        ema_fast=draw(st.sampled_from([99.0, 99.5])),
        ema_slow=99.0,
        ema_macro=draw(st.sampled_from([95.0, 105.0])),
        macd_hist=draw(st.sampled_from([-0.5, 0.0, 0.5])),
    )
    price = 100 - draw(st.integers(0, 128)) / 64
    return price, row, draw(st.sampled_from([0.00001, 0.00003, 0.00005, 0.00007, 0.0002])), draw(st.integers(0, 24))


@given(headwinds(), st.sampled_from(Confidence))
def test_funding_costs_are_judged_alike_for_long_and_short(
    headwind: tuple[float, FeatureRow, float, int], confidence: Confidence
) -> None:
    price, row, rate, hours = headwind
    state, config, at_ms = make_exit_state(confidence=confidence), make_config(), T0 + hours * HOUR_MS
    one = smart_exit(LONG, state, price, row, config, rate, at_ms)
    assert one in (None, "funding_headwind")
    assert one == smart_exit(SHORT, state, 200 - price, mirrored_row(row), config, -rate, at_ms)


@given(headwinds(), st.integers(0, 64), st.integers(0, 24), st.sampled_from([1, 2, 10]))
def test_more_loss_more_age_and_more_funding_never_make_more_patient(
    headwind: tuple[float, FeatureRow, float, int], loss: int, hours: int, times: int
) -> None:
    price, row, rate, age = headwind

    def fires(price: float, rate: float, age: int) -> bool:
        return smart_exit(LONG, make_exit_state(), price, row, make_config(), rate, T0 + age * HOUR_MS) is not None

    if fires(price, rate, age):
        assert fires(price - loss / 64, rate, age)
        assert fires(price, rate, age + hours)
        assert fires(price, rate * times, age)


@given(HOLDINGS, states(), EIGHTHS, configs(), RATES)
def test_no_rule_fires_on_indicators_that_are_not_known(
    holding: Holding, state: ExitState, price: float, config: SymbolConfig, rate: float | None
) -> None:
    unknown = FeatureRow(*(math.nan for _ in FeatureRow._fields))
    rule = smart_exit(holding, state, price, unknown, config, rate, T0)
    assert rule in (None, "funding_headwind")  # funding reads the rate and the price; indicators only lend patience


@given(HOLDINGS, states(), EIGHTHS, ROWS, configs(), st.sampled_from(["adx", "rsi", "atr", "ema_macro"]))
def test_an_indicator_that_gets_lost_does_not_make_its_own_rule_fire(
    holding: Holding, state: ExitState, price: float, row: FeatureRow, config: SymbolConfig, lost: str
) -> None:
    """Whatever fires without it fired for another reason, which some value of it would show too."""
    rule = smart_exit(holding, state, price, row._replace(**{lost: math.nan}), config, None, T0)
    values = {"adx": (30.0, 100.0), "rsi": (50.0,), "atr": (9.0,), "ema_macro": (100.0,)}[lost]
    assert rule in {
        smart_exit(holding, state, price, row._replace(**{lost: value}), config, None, T0) for value in values
    }
