"""What must be true between fields, whatever layers they came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from domain.field_rules import Value, text_of
from domain.strategy_sections import SymbolConfig


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """Two keys that contradict each other, and how to say so."""

    keys: tuple[str, str]
    message: str


def broken_rules(config: SymbolConfig) -> tuple[BrokenRule, ...]:
    """Every contradiction in a config; none in the defaults."""
    found = []
    for low_key, relation, high_key in _ORDERED:
        low, high = value_at(config, low_key), value_at(config, high_key)
        if low is not None and high is not None and not _RELATIONS[relation](low, high):
            words = f"must be {relation} {high_key} (these are {text_of(low)} and {text_of(high)})"
            found.append(BrokenRule((low_key, high_key), words))
    if 0 < config.trade.leverage_max_cap < 1:
        keys = ("trade.leverage_max_cap", "trade.leverage_max_cap")
        found.append(BrokenRule(keys, "must be 0 (no cap) or at least 1: a cap below 1 would override every leverage"))
    return tuple(found)


def value_at(config: SymbolConfig, dotted_key: str) -> Value:
    """The value of a dotted key, such as `thresholds.entry.min_adx`."""
    value: Any = config
    for name in dotted_key.split("."):
        value = getattr(value, name)
    return cast(Value, value)


_RELATIONS: dict[str, Callable[..., bool]] = {
    "below": lambda low, high: low < high,
    "at most": lambda low, high: low <= high,
}

_ORDERED = (
    ("indicators.ema_fast_window", "below", "indicators.ema_slow_window"),
    ("indicators.ema_slow_window", "at most", "indicators.ema_macro_window"),
    ("indicators.vol_trend_window", "at most", "indicators.vol_sma_window"),
    ("trade.leverage_low", "at most", "trade.leverage_medium"),
    ("trade.leverage_medium", "at most", "trade.leverage_high"),
    ("trade.vol_scalar_min", "at most", "trade.vol_scalar_max"),
    ("trade.min_notional_usd", "at most", "trade.max_notional_usd_per_order"),
    ("trade.reentry_cooldown_min_mins", "at most", "trade.reentry_cooldown_max_mins"),
    ("trade.breakeven_buffer_atr", "at most", "trade.breakeven_start_atr"),
    ("trade.reef_long_rsi_block_gt", "at most", "trade.reef_long_rsi_extreme_gt"),
    ("trade.reef_short_rsi_extreme_lt", "at most", "trade.reef_short_rsi_block_lt"),
    ("trade.rsi_exit_lb_lo_profit", "below", "trade.rsi_exit_ub_lo_profit"),
    ("trade.rsi_exit_lb_hi_profit", "below", "trade.rsi_exit_ub_hi_profit"),
    ("trade.rsi_exit_lb_lo_profit_low_conf", "below", "trade.rsi_exit_ub_lo_profit_low_conf"),
    ("trade.rsi_exit_lb_hi_profit_low_conf", "below", "trade.rsi_exit_ub_hi_profit_low_conf"),
    ("market_regime.breadth_block_long_below", "at most", "market_regime.breadth_block_short_above"),
    ("market_regime.auto_reverse_breadth_low", "at most", "market_regime.auto_reverse_breadth_high"),
    ("market_regime.regime_gate_breadth_low", "at most", "market_regime.regime_gate_breadth_high"),
    ("thresholds.ranging.rsi_low", "below", "thresholds.ranging.rsi_high"),
    ("thresholds.tp_and_momentum.adx_weak_lt", "at most", "thresholds.tp_and_momentum.adx_strong_gt"),
    ("thresholds.tp_and_momentum.tp_mult_weak", "at most", "thresholds.tp_and_momentum.tp_mult_strong"),
    ("thresholds.tp_and_momentum.rsi_long_strong", "at most", "thresholds.tp_and_momentum.rsi_long_weak"),
    ("thresholds.tp_and_momentum.rsi_short_weak", "at most", "thresholds.tp_and_momentum.rsi_short_strong"),
    ("thresholds.stoch_rsi.block_short_if_k_lt", "below", "thresholds.stoch_rsi.block_long_if_k_gt"),
)
