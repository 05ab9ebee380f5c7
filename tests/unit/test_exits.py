"""Exit levels: stop, breakeven, trailing and target, with an entry at 100 and an ATR of 1."""

from dataclasses import replace
from typing import Any

import pytest

from domain.confidence import Confidence
from domain.exits import (
    ExitLevels,
    ExitState,
    Holding,
    after_add,
    after_partial_take_profit,
    atr_of,
    exit_levels,
    profit_atr,
)
from domain.signals import FeatureRow
from tests.builders import LONG, SHORT, make_config, make_exit_state, make_row

NAN = float("nan")
DULL = make_row(adx=30.0, adx_slope=0.0, rsi=50.0, atr_slope=0.0)
"""Indicators that neither widen nor narrow anything."""


def levels(
    price: float,
    holding: Holding = LONG,
    state: ExitState | None = None,
    row: FeatureRow | None = DULL,
    funding_rate: float | None = None,
    **trade: Any,
) -> ExitLevels:
    return exit_levels(holding, state or make_exit_state(), price, row, make_config(trade).trade, funding_rate)


def walked(*prices: float, holding: Holding = LONG, row: FeatureRow | None = DULL, **trade: Any) -> ExitLevels:
    """The levels after the price has been at each of these."""
    found = levels(prices[0], holding, None, row, **trade)
    for price in prices[1:]:
        found = levels(price, holding, found.state, row, **trade)
    return found


def test_profit_is_counted_in_entry_atrs_and_is_negative_under_water() -> None:
    state = make_exit_state(entry_atr=2.0)
    assert profit_atr(LONG, state, 103.0) == 1.5
    assert profit_atr(SHORT, state, 103.0) == -1.5


def test_an_entry_atr_that_is_not_known_counts_as_half_a_percent() -> None:
    assert atr_of(LONG, make_exit_state(entry_atr=0.0)) == 0.5
    assert atr_of(LONG, make_exit_state(entry_atr=NAN)) == 0.5
    assert atr_of(LONG, make_exit_state(entry_atr=2.0)) == 2.0


def test_the_stop_is_two_atrs_on_the_loss_side() -> None:
    assert (levels(100.0).stop, levels(100.0).stop_rule) == (98.0, "stop_loss")
    assert levels(100.0, SHORT).stop == 102.0
    assert levels(100.0, sl_atr_mult=1.5).stop == 98.5


@pytest.mark.parametrize(
    ("price", "row", "funding_rate", "stop"),
    [
        (99.9, make_row(adx=30.0, adx_slope=-0.1), None, 98.4),
        (100.1, make_row(adx=30.0, adx_slope=-0.1), None, 98.4),
        (100.0, DULL, -0.00006, 97.6),
        (100.0, DULL, -0.00005, 98.0),
        (100.0, DULL, 0.00006, 98.0),
        (100.6, make_row(adx=41.0, adx_slope=0.0), None, 98.0),
        (100.5, make_row(adx=41.0, adx_slope=0.0), None, 98.0),
        (100.0, make_row(adx=46.0, adx_slope=0.0), None, 97.8),
        (100.6, make_row(adx=46.0, adx_slope=0.0), None, 97.8),
        (99.0, make_row(adx=NAN, adx_slope=NAN), None, 98.0),
        (99.0, None, None, 98.0),
    ],
)
def test_indicators_widen_or_narrow_the_first_stop(
    price: float, row: FeatureRow | None, funding_rate: float | None, stop: float
) -> None:
    assert levels(price, row=row, funding_rate=funding_rate).stop == pytest.approx(stop)


def test_the_target_stays_where_the_entry_put_it() -> None:
    assert levels(100.0, state=make_exit_state(tp_mult=3.0)).take_profit == 103.0
    assert levels(150.0, state=make_exit_state(tp_mult=3.0)).take_profit == 103.0
    assert levels(100.0, SHORT, make_exit_state(tp_mult=3.0)).take_profit == 97.0


def test_a_target_that_was_taken_or_lies_below_zero_is_none() -> None:
    assert levels(100.0, state=make_exit_state(take_profit_taken=True)).take_profit is None
    assert levels(100.0, SHORT, make_exit_state(entry_atr=30.0)).take_profit is None


def test_at_0_7_atr_of_profit_the_stop_moves_beyond_the_entry_and_stays() -> None:
    assert levels(100.69).stop == 98.0
    assert levels(100.7).stop == pytest.approx(100.05)
    fallen = walked(100.7, 100.1)
    assert fallen.stop == fallen.state.locked_stop == pytest.approx(100.05)
    assert walked(99.3, 99.9, holding=SHORT).stop == pytest.approx(99.95)


def test_without_breakeven_the_stop_waits_for_the_trail() -> None:
    assert levels(100.9, enable_breakeven_stop=False).stop == 98.0


def test_a_stop_that_breakeven_set_is_named_after_it_even_when_it_is_hit_later() -> None:
    assert levels(100.7).stop_rule == "breakeven_stop"
    assert walked(100.7, 100.0).stop_rule == "breakeven_stop"
    assert walked(99.3, 100.0, holding=SHORT).stop_rule == "breakeven_stop"


def test_a_stop_that_trailing_set_is_named_after_it_even_when_it_is_hit_later() -> None:
    assert walked(101.5).stop_rule == "trailing_stop"
    assert walked(101.5, 100.7).stop_rule == "trailing_stop"
    assert walked(101.5, 100.2).stop_rule == "trailing_stop"


def test_from_one_atr_of_profit_the_stop_trails_by_0_8() -> None:
    assert walked(101.5).stop == pytest.approx(100.7)
    assert walked(98.5, holding=SHORT).stop == pytest.approx(99.3)


def test_the_trailing_stop_only_tightens() -> None:
    assert walked(101.5, 101.9, 101.6).stop == pytest.approx(101.1)
    assert walked(101.5, 100.9, 99.0).stop == pytest.approx(100.7)


@pytest.mark.parametrize(
    ("price", "row", "distance"),
    [
        (101.9, DULL, 0.8),
        (101.9, DULL._replace(bb_width_ratio=1.3), 1.0),
        (101.9, DULL._replace(adx=24.0), 0.56),
        (103.0, DULL, 0.5),
        (103.0, DULL._replace(atr_slope=0.1), 0.6),
        (103.0, DULL._replace(adx=36.0, adx_slope=0.1), 0.8),
        (103.0, DULL._replace(rsi=61.0), 0.7),
        (101.9, DULL._replace(adx=24.0, rsi=61.0), 0.7),
        (101.9, make_row(adx=NAN, rsi=NAN, bb_width_ratio=NAN, adx_slope=NAN, atr_slope=NAN), 0.8),
        (103.0, None, 0.8),
    ],
)
def test_the_trail_is_wider_in_wild_markets_and_tighter_far_in_profit_or_without_trend(
    price: float, row: FeatureRow | None, distance: float
) -> None:
    assert walked(price, row=row).stop == pytest.approx(price - distance)


def test_volatility_does_not_widen_the_trail_when_switched_off() -> None:
    wild = DULL._replace(bb_width_ratio=2.0)
    assert walked(101.9, row=wild, enable_vol_buffered_trailing=False).stop == pytest.approx(101.1)


def test_a_low_confidence_entry_trails_by_its_own_numbers() -> None:
    low = make_exit_state(confidence=Confidence.LOW)
    own: dict[str, Any] = {"trailing_start_atr_low_conf": 0.5, "trailing_distance_atr_low_conf": 0.6}
    assert levels(100.6, state=low, **own).stop == pytest.approx(100.0)
    assert levels(100.6, **own).stop == 98.0
    assert levels(101.5, state=low).stop == pytest.approx(100.7)


def test_a_wide_trail_does_not_undercut_breakeven() -> None:
    """A price that jumps past both starts is protected by the tighter of the two."""
    wild = DULL._replace(bb_width_ratio=1.3)
    assert levels(101.0, row=wild).stop == pytest.approx(100.05)
    assert levels(101.0, trailing_distance_atr=3.0).stop == pytest.approx(100.05)
    assert levels(99.0, SHORT, trailing_distance_atr=3.0).stop == pytest.approx(99.95)


def test_a_partial_take_profit_locks_the_entry_and_spends_the_target() -> None:
    state = after_partial_take_profit(LONG, make_exit_state())
    assert (state.locked_stop, state.take_profit_taken) == (100.0, True)
    assert after_partial_take_profit(LONG, make_exit_state(locked_stop=101.0)).locked_stop == 101.0
    assert after_partial_take_profit(SHORT, make_exit_state(locked_stop=99.0)).locked_stop == 99.0
    assert after_partial_take_profit(SHORT, make_exit_state(locked_stop=101.0)).locked_stop == 100.0


def test_an_add_averages_the_atr_by_size_and_arms_the_target_anew() -> None:
    state = after_add(
        make_exit_state(take_profit_taken=True, locked_stop=100.5), 2.0, old_size=3.0, added_size=1.0, at_ms=77
    )
    assert state == make_exit_state(entry_atr=1.25, locked_stop=100.5, adds=1, last_add_ms=77)


def test_an_add_to_a_position_whose_atr_is_not_known_takes_the_known_one() -> None:
    """An average with zero would put the stop far closer than either entry asked for."""
    assert after_add(make_exit_state(entry_atr=0.0), 2.0, old_size=3.0, added_size=1.0, at_ms=77).entry_atr == 2.0
    assert after_add(make_exit_state(entry_atr=2.0), NAN, old_size=3.0, added_size=1.0, at_ms=77).entry_atr == 2.0


def test_nothing_new_leaves_the_state_as_it_is() -> None:
    state = make_exit_state()
    assert levels(100.0, state=state).state is state
    locked = replace(state, locked_stop=101.1)
    assert levels(101.5, state=locked).state is locked


def test_a_partial_target_of_its_own_comes_first_and_the_full_one_closes_the_rest() -> None:
    apart: dict[str, Any] = {"tp_partial_atr_mult": 1.5}
    state = make_exit_state(tp_mult=4.0)
    assert levels(100.0, state=state, **apart).take_profit == 101.5
    spent = replace(state, take_profit_taken=True)
    assert levels(100.0, state=spent, **apart).take_profit == 104.0
    assert levels(100.0, state=spent).take_profit is None, "with one level for both the stop ends the rest"
    assert levels(100.0, state=state, **apart, enable_partial_tp=False).take_profit == 104.0
