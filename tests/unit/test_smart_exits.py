"""Exit rules that read indicators: when each fires, when it does not, and what it does not know."""

from typing import Any

import pytest

from domain.confidence import Confidence
from domain.exits import ExitState, Holding
from domain.signals import FeatureRow
from domain.smart_exits import is_glitch, smart_exit
from tests.builders import LONG, SHORT, T0, make_config, make_exit_state, make_row

NAN = float("nan")
HOUR_MS = 3_600_000
UNSURE = make_exit_state(confidence=Confidence.MEDIUM)
MIRRORED = make_row(
    rsi=45.0,
    ema_fast=98.0,
    ema_slow=99.0,
    ema_macro=105.0,
    macd_hist=-0.4,
    macd_hist_1=-0.3,
    macd_hist_2=-0.2,
    macd_hist_3=-0.1,
)
"""The candle of `make_row` seen by a short."""


def rule_for(
    row: FeatureRow | None = None,
    price: float = 100.0,
    holding: Holding = LONG,
    state: ExitState | None = None,
    funding_rate: float | None = None,
    age_ms: int = 0,
    filters: dict[str, Any] | None = None,
    **trade: Any,
) -> str | None:
    """The rule that wants out of a long at 100, one ATR being 1; the candle is a calm uptrend unless said otherwise."""
    config = make_config(trade, filters=filters)
    default = make_row() if holding.direction > 0 else MIRRORED
    return smart_exit(holding, state or make_exit_state(), price, row or default, config, funding_rate, T0 + age_ms)


def test_in_a_calm_trend_nothing_wants_out() -> None:
    assert rule_for() is None
    assert rule_for(holding=SHORT) is None


def test_a_trend_that_crossed_against_the_position_ends_it() -> None:
    assert rule_for(make_row(ema_fast=98.0, ema_slow=99.0)) == "trend_breakdown"
    assert rule_for(MIRRORED._replace(ema_fast=99.0, ema_slow=98.0), holding=SHORT) == "trend_breakdown"


def test_a_hairline_cross_in_a_strong_trend_is_forgiven() -> None:
    hairline = make_row(ema_fast=98.0, ema_slow=98.09)
    assert rule_for(hairline._replace(adx=26.0)) is None
    assert rule_for(hairline._replace(adx=25.0)) == "trend_breakdown"
    assert rule_for(make_row(ema_fast=98.0, ema_slow=98.11, adx=26.0)) == "trend_breakdown"


def test_a_hairline_cross_at_unknown_strength_does_not_fire() -> None:
    assert rule_for(make_row(ema_fast=98.0, ema_slow=98.09, adx=NAN)) is None


def test_a_trend_weaker_than_the_entry_asked_for_ends_it() -> None:
    assert rule_for(make_row(adx=21.9)) == "adx_exhaustion"
    assert rule_for(make_row(adx=22.0)) is None
    unknown_threshold = make_exit_state(entry_adx_threshold=0.0)
    assert rule_for(make_row(adx=17.9), state=unknown_threshold) == "adx_exhaustion"
    assert rule_for(make_row(adx=18.0), state=unknown_threshold) is None


def test_exhaustion_can_be_switched_off() -> None:
    assert rule_for(make_row(adx=1.0), smart_exit_adx_exhaustion_lt=0.0) is None


def test_a_low_confidence_entry_has_its_own_exhaustion_limit() -> None:
    low = make_exit_state(confidence=Confidence.LOW)
    own: dict[str, Any] = {"smart_exit_adx_exhaustion_lt_low_conf": 28.0}
    assert rule_for(make_row(adx=27.9), state=low, **own) == "adx_exhaustion"
    assert rule_for(make_row(adx=27.9), **own) is None
    assert rule_for(make_row(adx=21.9), state=low) == "adx_exhaustion"


def test_price_beyond_the_macro_trend_ends_a_position_that_asked_for_alignment() -> None:
    below = make_row(ema_macro=100.5)
    assert rule_for(below) is None
    assert rule_for(below, filters={"require_macro_alignment": True}) == "macro_break"
    assert rule_for(filters={"require_macro_alignment": True}) is None


def test_a_market_that_fell_asleep_under_water_is_left() -> None:
    assert rule_for(make_row(atr=0.69), price=99.9) == "stagnation"
    assert rule_for(make_row(atr=0.70), price=99.9) is None
    assert rule_for(make_row(atr=0.69), price=100.0) is None


@pytest.mark.parametrize(
    ("rate", "allowed"),
    [(0.00011, 0.15), (0.00007, 0.25), (0.00005, 0.40), (0.00003, 0.60), (0.000011, 0.80), (0.00001, 0.95)],
)
def test_the_more_funding_costs_the_less_loss_is_allowed(rate: float, allowed: float) -> None:
    """Without a trend or momentum to wait for; a trend alone keeps the limits at this age."""
    row = make_row(macd_hist=0.0, ema_macro=101.0, adx_slope=0.0)
    assert rule_for(row, 100.0 - allowed - 0.01, state=UNSURE, funding_rate=rate) == "funding_headwind"
    assert rule_for(row, 100.0 - allowed + 0.01, state=UNSURE, funding_rate=rate) is None


def test_funding_that_is_received_or_not_known_is_no_headwind() -> None:
    assert rule_for(price=98.5, funding_rate=-0.001) is None
    assert rule_for(price=98.5, funding_rate=None) is None
    assert rule_for(price=98.5, funding_rate=0.0) is None
    assert rule_for(price=101.5, holding=SHORT, funding_rate=-0.001) == "funding_headwind"


def test_in_profit_funding_costs_do_not_matter() -> None:
    assert rule_for(price=100.0, funding_rate=0.001) is None


def test_patience_with_funding_shrinks_with_age() -> None:
    """Twelve hours on, a third of the loss is allowed, three quarters with the trend."""
    row = make_row(macd_hist=0.0, ema_macro=101.0, adx_slope=0.0)
    aged: dict[str, Any] = {"state": UNSURE, "funding_rate": 0.00003, "age_ms": 12 * HOUR_MS}
    assert rule_for(row, price=99.54, **aged) == "funding_headwind"  # 0.46 of loss, 0.45 allowed
    assert rule_for(row, price=99.56, **aged) is None
    sideways = row._replace(ema_fast=98.0, ema_slow=98.0)
    assert rule_for(sideways, price=99.78, **aged) == "funding_headwind"  # 0.22 of loss, 0.21 allowed
    assert rule_for(sideways, price=99.80, **aged) is None


def test_a_very_strong_trend_that_turns_down_in_profit_is_left() -> None:
    turning = make_row(adx=51.0, adx_slope=-0.1, macd_hist=0.1, macd_hist_1=0.2, macd_hist_2=0.3)
    assert rule_for(turning, price=101.0) == "trend_saturation"
    assert rule_for(turning, price=100.9) is None
    assert rule_for(turning._replace(adx=50.0), price=101.0) is None
    assert rule_for(turning._replace(adx_slope=0.1), price=101.0) is None
    assert rule_for(turning._replace(macd_hist_1=0.05), price=101.0) is None
    assert (
        rule_for(turning._replace(adx_slope=0.1), price=101.0, tsme_require_adx_slope_negative=False)
        == "trend_saturation"
    )


def test_momentum_that_fades_three_candles_running_ends_a_winner() -> None:
    fading = make_row(adx=36.0, macd_hist=0.1, macd_hist_1=0.2, macd_hist_2=0.3, macd_hist_3=0.4)
    assert rule_for(fading, price=101.6) == "momentum_divergence"
    assert rule_for(fading, price=101.5) is None
    assert rule_for(fading._replace(adx=35.0), price=101.6) is None
    assert rule_for(fading._replace(macd_hist_3=0.3), price=101.6) is None
    rising = MIRRORED._replace(adx=36.0, macd_hist=-0.1, macd_hist_1=-0.2, macd_hist_2=-0.3, macd_hist_3=-0.4)
    assert rule_for(rising, price=98.4, holding=SHORT) == "momentum_divergence"


@pytest.mark.parametrize(
    ("rsi", "price", "rule"),
    [
        (80.0, 101.0, None),
        (80.1, 101.0, "rsi_overextension"),
        (70.1, 101.4, None),
        (70.1, 101.5, "rsi_overextension"),
        (70.0, 101.5, None),
    ],
)
def test_an_rsi_beyond_its_limit_ends_a_long_and_the_limit_is_closer_in_high_profit(
    rsi: float, price: float, rule: str | None
) -> None:
    assert rule_for(make_row(rsi=rsi), price=price) == rule
    assert rule_for(MIRRORED._replace(rsi=100.0 - rsi), price=200.0 - price, holding=SHORT) == rule


def test_a_low_confidence_long_whose_own_limits_are_not_set_uses_the_general_ones() -> None:
    """Defect of the earlier engine: an unset limit of 0 closed every such long at once."""
    low = make_exit_state(confidence=Confidence.LOW)
    assert rule_for(make_row(rsi=55.0), state=low) is None
    assert rule_for(make_row(rsi=62.0), state=low, rsi_exit_ub_lo_profit_low_conf=60.0) == "rsi_overextension"
    assert rule_for(make_row(rsi=62.0), rsi_exit_ub_lo_profit_low_conf=60.0) is None


def test_the_rsi_exit_can_be_switched_off() -> None:
    assert rule_for(make_row(rsi=99.0), price=102.0, enable_rsi_overextension_exit=False) is None


def test_the_first_rule_in_order_names_the_exit() -> None:
    assert rule_for(make_row(ema_fast=98.0, ema_slow=99.0, adx=10.0, rsi=99.0)) == "trend_breakdown"
    assert rule_for(make_row(adx=10.0, rsi=99.0)) == "adx_exhaustion"


def test_a_rule_whose_indicators_are_not_known_does_not_fire() -> None:
    unknown = FeatureRow(*(NAN for _ in FeatureRow._fields))
    for price in (95.0, 100.0, 105.0):
        for holding in (LONG, SHORT):
            assert rule_for(unknown, price, holding, filters={"require_macro_alignment": True}) is None


def test_an_impossible_price_is_a_glitch_only_when_the_guard_is_on() -> None:
    state = make_exit_state()
    on = make_config({"block_exits_on_extreme_dev": True})
    assert not is_glitch(LONG, state, 1.0, make_config())
    assert is_glitch(LONG, state, 112.1, on)
    assert is_glitch(LONG, state, 87.9, on)
    assert not is_glitch(LONG, state, 112.0, on)
    assert is_glitch(LONG, make_exit_state(entry_atr=0.0), 140.1, on)
    assert not is_glitch(LONG, make_exit_state(entry_atr=0.0), 140.0, on)
