"""Exit rules that read indicators: a trend that broke, tired or turned against the position.

Each rule is a function of the same facts and answers with True to close. They are asked in a
fixed order and the first that fires names the exit. NaN compares false, so a rule whose
indicator is not known does not fire: the price stops still hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from domain.confidence import Confidence
from domain.exits import ExitState, Holding, profit_atr
from domain.signals import FeatureRow
from domain.sizing import floored_atr
from domain.strategy_config import SymbolConfig


@dataclass(frozen=True, slots=True)
class ExitFacts:
    """All that a rule may look at, at one moment. `gained` is profit in entry ATRs."""

    holding: Holding
    state: ExitState
    price: float
    gained: float
    row: FeatureRow
    config: SymbolConfig
    funding_rate: float | None
    at_ms: int


def smart_exit(
    holding: Holding,
    state: ExitState,
    price: float,
    row: FeatureRow,
    config: SymbolConfig,
    funding_rate: float | None,
    at_ms: int,
) -> str | None:
    """Name of the first rule that wants out, or None."""
    facts = ExitFacts(holding, state, price, profit_atr(holding, state, price), row, config, funding_rate, at_ms)
    return next((name for name, rule in _RULES if rule(facts)), None)


def is_glitch(holding: Holding, state: ExitState, price: float, config: SymbolConfig) -> bool:
    """A price so far from the entry that it is more likely wrong than real (off unless configured)."""
    trade = config.trade
    if not trade.block_exits_on_extreme_dev:
        return False
    far = abs(price - holding.entry_price)
    return far > trade.glitch_price_dev_pct * holding.entry_price or (
        state.entry_atr > 0 and far > trade.glitch_atr_mult * state.entry_atr
    )


def _trend_breakdown(facts: ExitFacts) -> bool:
    row = facts.row
    against = (row.ema_fast - row.ema_slow) * facts.holding.direction < 0
    hairline = abs(row.ema_fast - row.ema_slow) / row.close < 0.001 and not row.adx <= 25
    return against and not hairline


def _adx_exhaustion(facts: ExitFacts) -> bool:
    trade = facts.config.trade
    limit = trade.smart_exit_adx_exhaustion_lt
    if facts.state.confidence is Confidence.LOW and trade.smart_exit_adx_exhaustion_lt_low_conf is not None:
        limit = trade.smart_exit_adx_exhaustion_lt_low_conf
    elif limit > 0 and facts.state.entry_adx_threshold > 0:
        limit = facts.state.entry_adx_threshold
    return limit > 0 and facts.row.adx < limit


def _macro_break(facts: ExitFacts) -> bool:
    if not facts.config.filters.require_macro_alignment:
        return False
    return (facts.row.close - facts.row.ema_macro) * facts.holding.direction < 0


def _stagnation(facts: ExitFacts) -> bool:
    """Under water in a market that fell asleep. Both ATRs have the same floor, or a quiet entry would fire at once."""
    return facts.gained < 0 and floored_atr(facts.row, facts.config.trade) < 0.70 * facts.state.entry_atr


_HEADWIND_STEPS = ((0.0001, 0.15), (0.00006, 0.25), (0.00004, 0.40), (0.00002, 0.60), (0.00001, 0.80))
_HEADWIND_LEAST = 0.95
_HOUR_MS = 3_600_000


def _funding_headwind(facts: ExitFacts) -> bool:
    """Under water and paying for it: out once the loss exceeds what the rate, age and trend allow."""
    rate = facts.funding_rate
    if rate is None or facts.gained >= 0 or rate * facts.holding.direction <= 0:
        return False
    allowed = next((limit for floor, limit in _HEADWIND_STEPS if abs(rate) > floor), _HEADWIND_LEAST)
    return -facts.gained > allowed * _headwind_patience(facts)


def _headwind_patience(facts: ExitFacts) -> float:
    """Multiplier on the allowed loss: less with age, more while the trend is strong or confidence was high."""
    row = facts.row
    direction = facts.holding.direction
    age_h = (facts.at_ms - facts.holding.opened_ms) / _HOUR_MS
    patience = max(0.35, 1.0 - 0.65 * min(max(age_h - 1.0, 0.0) / 11.0, 1.0))
    with_trend = (row.ema_fast - row.ema_slow) * direction > 0
    if with_trend:
        patience = max(patience, 0.75)
    if row.macd_hist * direction > 0:
        patience *= 1.5
    if row.adx > 35:
        patience *= 1.4
    if row.adx > 45:
        patience *= 1.6
    if row.adx_slope > 1:
        patience *= 1.4
    if row.adx_slope < 0:
        patience *= 0.75
    if facts.state.confidence is Confidence.HIGH:
        patience *= 1.25
    if (row.close - row.ema_macro) * direction > 0:
        patience *= 1.3
    return patience


def _trend_saturation(facts: ExitFacts) -> bool:
    """A very strong trend in good profit whose strength and momentum both turn down: take the money."""
    trade, row, direction = facts.config.trade, facts.row, facts.holding.direction
    if not (row.adx > 50 and facts.gained >= trade.tsme_min_profit_atr):
        return False
    if trade.tsme_require_adx_slope_negative and not row.adx_slope < 0:
        return False
    return (
        row.macd_hist * direction < row.macd_hist_1 * direction
        and row.macd_hist_1 * direction < row.macd_hist_2 * direction
    )


def _momentum_divergence(facts: ExitFacts) -> bool:
    row, direction = facts.row, facts.holding.direction
    if not (facts.gained > 1.5 and row.adx > 35):
        return False
    history = (row.macd_hist, row.macd_hist_1, row.macd_hist_2, row.macd_hist_3)
    return all(newer * direction < older * direction for newer, older in pairwise(history))


def _rsi_overextension(facts: ExitFacts) -> bool:
    trade, long = facts.config.trade, facts.holding.direction > 0
    if not trade.enable_rsi_overextension_exit:
        return False
    low_confidence = facts.state.confidence is Confidence.LOW
    if facts.gained < trade.rsi_exit_profit_atr_switch:
        upper, lower = trade.rsi_exit_ub_lo_profit, trade.rsi_exit_lb_lo_profit
        upper_low, lower_low = trade.rsi_exit_ub_lo_profit_low_conf, trade.rsi_exit_lb_lo_profit_low_conf
    else:
        upper, lower = trade.rsi_exit_ub_hi_profit, trade.rsi_exit_lb_hi_profit
        upper_low, lower_low = trade.rsi_exit_ub_hi_profit_low_conf, trade.rsi_exit_lb_hi_profit_low_conf
    if long:
        limit = upper_low if low_confidence and upper_low is not None else upper
        return facts.row.rsi > limit
    limit = lower_low if low_confidence and lower_low is not None else lower
    return facts.row.rsi < limit


_RULES: tuple[tuple[str, Callable[[ExitFacts], bool]], ...] = (
    ("trend_breakdown", _trend_breakdown),
    ("adx_exhaustion", _adx_exhaustion),
    ("macro_break", _macro_break),
    ("stagnation", _stagnation),
    ("funding_headwind", _funding_headwind),
    ("trend_saturation", _trend_saturation),
    ("momentum_divergence", _momentum_divergence),
    ("rsi_overextension", _rsi_overextension),
)
