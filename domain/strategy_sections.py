"""The sections of the overrides file: every key, spelled as in the file, with its default.

Every field carries its rule: bounds and a line of meaning (see `domain.field_rules`). Defaults
are the code defaults of the earlier engine, not the figures it shipped in its file. `Decimal`
is for what multiplies money or size, `float` for what is compared with an indicator.

`domain.strategy_rules` holds what must be true between fields, `domain.strategy_config` how
layers of overrides become one `SymbolConfig` per symbol.
"""

# ruff: noqa: RUF009  (the field makers return `dataclasses.field`; ruff cannot see through them)

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from decimal import Decimal

from domain.candles import Interval
from domain.confidence import Confidence
from domain.field_rules import FieldRule, Kind, Schema, amount, choice, count, number, schema_of, switch


class MacdHistEntry(enum.Enum):
    """What the MACD histogram must do for an entry: grow in its direction, have its sign, or nothing."""

    ACCEL = "accel"
    SIGN = "sign"
    NONE = "none"


_UNSET = "; not set: the general value counts"


@dataclass(frozen=True, slots=True)
class TradeConfig:
    """Sizing, pyramiding, exits and the limits on entries."""

    # Size and leverage. A share is written as a fraction: 0.03 is 3 %.
    allocation_pct: Decimal = amount("0.03", "0.0001", "1", "share of equity used as margin, before multipliers")
    size_multiplier: Decimal = amount("1", "0.01", "10", "scales every margin")
    leverage: Decimal = amount("3", "1", "50", "leverage while enable_dynamic_leverage is off")
    enable_dynamic_leverage: bool = switch(True, "leverage by the signal's confidence")
    leverage_low: Decimal = amount("1", "1", "50", "leverage at low confidence")
    leverage_medium: Decimal = amount("3", "1", "50", "leverage at medium confidence")
    leverage_high: Decimal = amount("5", "1", "50", "leverage at high confidence")
    leverage_max_cap: Decimal = amount("0", "0", "50", "highest leverage whatever the confidence; 0: only the venue's")
    enable_dynamic_sizing: bool = switch(True, "scale the margin by confidence and ADX")
    confidence_mult_high: Decimal = amount("1", "0.01", "5", "margin multiplier at high confidence")
    confidence_mult_medium: Decimal = amount("0.7", "0.01", "5", "margin multiplier at medium confidence")
    confidence_mult_low: Decimal = amount("0.5", "0.01", "5", "margin multiplier at low confidence")
    adx_sizing_min_mult: Decimal = amount("0.6", "0.01", "1", "margin multiplier at min_adx, rising to 1")
    adx_sizing_full_adx: float = number(40, 1, 100, "ADX from which the ADX multiplier is 1")
    vol_baseline_pct: float = number(0.01, 0.0001, 1, "ATR as a share of price at which the volatility scalar is 1")
    vol_scalar_min: float = number(0.5, 0.01, 10, "lower end of the volatility scalar")
    vol_scalar_max: float = number(1.0, 0.01, 10, "upper end of the volatility scalar")
    min_atr_pct: float = number(0.003, 0, 0.5, "ATR used for size and stops is at least this share of price")

    # Orders and their limits.
    slippage_bps: Decimal = amount("10", "0", "1000", "slippage of simulated taker fills, in basis points")
    min_notional_usd: Decimal = amount("10", "10", "1000000", "smallest order, in USD; the venue's own least is 10")
    bump_to_min_notional: bool = switch(False, "raise a too small entry to min_notional_usd instead of skipping it")
    max_total_margin_pct: Decimal = amount("0.60", "0.01", "1", "share of equity that all margins together may use")
    max_open_positions: int = count(20, 0, 1000, "positions open at one time")
    max_entry_orders_per_loop: int = count(6, 1, 1000, "entries sent for candles that closed together")
    max_notional_usd_per_order: Decimal | None = amount(
        None, "10", "100000000", "largest notional of one order; not set: no such limit"
    )
    min_margin_usd: Decimal | None = amount(None, "0", "1000000", "margin is at least this; not set: no such floor")

    # Entries.
    entry_min_confidence: Confidence = choice(Confidence, Confidence.HIGH, "least confidence that may enter")
    entry_cooldown_s: int = count(20, 0, 86400, "seconds between two entries in one symbol")
    exit_cooldown_s: int = count(15, 0, 86400, "seconds between two exits in one symbol; a stop never waits")
    reverse_entry_signal: bool = switch(False, "trade the opposite of every signal")
    enable_ssf_filter: bool = switch(True, "an entry needs the MACD histogram on its side")
    enable_reef_filter: bool = switch(True, "no entry into an overextended RSI")
    reef_long_rsi_block_gt: float = number(70, 0, 100, "no long entry with RSI above this")
    reef_short_rsi_block_lt: float = number(30, 0, 100, "no short entry with RSI below this")
    reef_adx_threshold: float = number(45, 0, 100, "from this ADX on the extreme limits count instead")
    reef_long_rsi_extreme_gt: float = number(75, 0, 100, "no long entry with RSI above this in a strong trend")
    reef_short_rsi_extreme_lt: float = number(25, 0, 100, "no short entry with RSI below this in a strong trend")
    reentry_cooldown_minutes: int = count(60, 0, 10080, "0 switches the wait after a close off; else see the next two")
    reentry_cooldown_min_mins: int = count(45, 0, 10080, "minutes to wait after a close at ADX 40 and above")
    reentry_cooldown_max_mins: int = count(180, 0, 10080, "minutes to wait after a close at ADX 25 and below")

    # Adding to a winner.
    enable_pyramiding: bool = switch(True, "add to positions in profit")
    max_adds_per_symbol: int = count(2, 0, 20, "adds per position")
    add_fraction_of_base_margin: Decimal = amount("0.5", "0.01", "5", "margin of an add, as a share of the entry's")
    add_cooldown_minutes: int = count(60, 0, 10080, "minutes between two adds")
    add_min_profit_atr: float = number(0.5, 0, 50, "profit an add needs, in ATR")
    add_min_confidence: Confidence = choice(Confidence, Confidence.MEDIUM, "least confidence that may add")

    # Stop, breakeven, trailing.
    sl_atr_mult: float = number(2.0, 0.1, 50, "stop distance, in ATR at entry")
    enable_breakeven_stop: bool = switch(True, "move the stop to the entry price once in profit")
    breakeven_start_atr: float = number(0.7, 0, 50, "profit that arms the breakeven stop, in ATR")
    breakeven_buffer_atr: float = number(0.05, 0, 50, "how far beyond the entry the breakeven stop lies, in ATR")
    trailing_start_atr: float = number(1.0, 0, 50, "profit from which the stop trails, in ATR")
    trailing_start_atr_low_conf: float | None = number(
        None, 0, 50, "trailing_start_atr for low-confidence entries" + _UNSET, zero_is_unset=True
    )
    trailing_distance_atr: float = number(0.8, 0.05, 50, "distance of the trailing stop, in ATR")
    trailing_distance_atr_low_conf: float | None = number(
        None, 0, 50, "trailing_distance_atr for low-confidence entries" + _UNSET, zero_is_unset=True
    )
    enable_vol_buffered_trailing: bool = switch(True, "trail wider while Bollinger bands are wide")

    # Taking profit.
    tp_atr_mult: float = number(4.0, 0.1, 100, "take-profit distance, in ATR at entry")
    enable_partial_tp: bool = switch(True, "the first take profit closes a part")
    tp_partial_pct: Decimal = amount("0.5", "0.01", "0.99", "share closed by the partial take profit")
    tp_partial_min_notional_usd: Decimal = amount("10", "0", "1000000", "smallest partial take profit, in USD")
    tp_partial_atr_mult: float = number(0, 0, 100, "distance of the partial take profit, in ATR; 0: the full one's")

    # Smart exits.
    enable_rsi_overextension_exit: bool = switch(True, "leave when RSI says the move is overextended")
    rsi_exit_profit_atr_switch: float = number(1.5, 0, 50, "profit in ATR from which the hi_profit limits count")
    rsi_exit_ub_lo_profit: float = number(80, 0, 100, "leave a long above this RSI while profit is low")
    rsi_exit_ub_hi_profit: float = number(70, 0, 100, "leave a long above this RSI once profit is high")
    rsi_exit_lb_lo_profit: float = number(20, 0, 100, "leave a short below this RSI while profit is low")
    rsi_exit_lb_hi_profit: float = number(30, 0, 100, "leave a short below this RSI once profit is high")
    rsi_exit_ub_lo_profit_low_conf: float | None = number(
        None, 0, 100, "rsi_exit_ub_lo_profit for low-confidence entries" + _UNSET, zero_is_unset=True
    )
    rsi_exit_ub_hi_profit_low_conf: float | None = number(
        None, 0, 100, "rsi_exit_ub_hi_profit for low-confidence entries" + _UNSET, zero_is_unset=True
    )
    rsi_exit_lb_lo_profit_low_conf: float | None = number(
        None, 0, 100, "rsi_exit_lb_lo_profit for low-confidence entries" + _UNSET, zero_is_unset=True
    )
    rsi_exit_lb_hi_profit_low_conf: float | None = number(
        None, 0, 100, "rsi_exit_lb_hi_profit for low-confidence entries" + _UNSET, zero_is_unset=True
    )
    smart_exit_adx_exhaustion_lt: float = number(18, 0, 100, "leave when ADX falls below this; 0: off")
    smart_exit_adx_exhaustion_lt_low_conf: float | None = number(
        None, 0, 100, "smart_exit_adx_exhaustion_lt for low-confidence entries" + _UNSET, zero_is_unset=True
    )
    tsme_min_profit_atr: float = number(1.0, 0, 50, "profit the trend-saturation exit needs, in ATR")
    tsme_require_adx_slope_negative: bool = switch(True, "the trend-saturation exit needs a falling ADX")

    # Guards against impossible prices.
    block_exits_on_extreme_dev: bool = switch(False, "take no exit at a price that looks like a glitch")
    glitch_price_dev_pct: float = number(0.40, 0.01, 10, "a price this share away from the entry is a glitch")
    glitch_atr_mult: float = number(12, 1, 1000, "a price this many ATR away from the entry is a glitch")


@dataclass(frozen=True, slots=True)
class IndicatorConfig:
    """Windows, in candles. 200 is the most: a window needs three times its length of warm-up, which is 600."""

    ema_slow_window: int = count(50, 2, 200, "slow EMA")
    ema_fast_window: int = count(20, 2, 200, "fast EMA")
    ema_macro_window: int = count(200, 2, 200, "EMA of the large trend")
    adx_window: int = count(14, 2, 200, "ADX")
    bb_window: int = count(20, 2, 200, "Bollinger bands")
    bb_width_avg_window: int = count(30, 2, 200, "average of the Bollinger width")
    atr_window: int = count(14, 1, 200, "ATR")
    rsi_window: int = count(14, 2, 200, "RSI")
    vol_sma_window: int = count(20, 2, 200, "average of the volume")
    vol_trend_window: int = count(5, 1, 200, "short average of the volume, compared with the long one")
    stoch_rsi_window: int = count(14, 2, 200, "stochastic RSI")
    stoch_rsi_smooth1: int = count(3, 1, 50, "first smoothing of the stochastic RSI (K)")
    stoch_rsi_smooth2: int = count(3, 1, 50, "second smoothing of the stochastic RSI (D)")


@dataclass(frozen=True, slots=True)
class FilterConfig:
    """Which of the strategy's gates are on."""

    enable_ranging_filter: bool = switch(True, "no trend entry in a ranging market")
    enable_anomaly_filter: bool = switch(True, "no entry on a candle that looks like an accident")
    enable_extension_filter: bool = switch(True, "no entry far away from the fast EMA")
    require_adx_rising: bool = switch(True, "an entry needs a rising ADX")
    adx_rising_saturation: float = number(40, 0, 100, "above this ADX it need not rise")
    require_volume_confirmation: bool = switch(False, "an entry needs volume above its average")
    vol_confirm_include_prev: bool = switch(True, "the previous candle's volume counts too")
    use_stoch_rsi_filter: bool = switch(True, "no entry into an exhausted stochastic RSI")
    require_btc_alignment: bool = switch(True, "longs need a bullish BTC, shorts a bearish one")
    require_macro_alignment: bool = switch(False, "an entry needs the slow EMA on its side of the macro EMA")
    block_exits_on_anomaly: bool = switch(False, "take no exit on a candle that looks like an accident")


@dataclass(frozen=True, slots=True)
class RegimeConfig:
    """The market as a whole. Breadth is the percentage of symbols whose fast EMA is above the slow one."""

    enable_regime_filter: bool = switch(False, "do not trade against nearly the whole market")
    breadth_block_short_above: float = number(90, 0, 100, "no short entry with breadth above this")
    breadth_block_long_below: float = number(10, 0, 100, "no long entry with breadth below this")
    enable_auto_reverse: bool = switch(False, "reverse signals while breadth lies between the next two")
    auto_reverse_breadth_low: float = number(10, 0, 100, "lower end of the reversing zone")
    auto_reverse_breadth_high: float = number(90, 0, 100, "upper end of the reversing zone")
    enable_regime_gate: bool = switch(False, "no entries at all while the market chops")
    regime_gate_breadth_low: float = number(20, 0, 100, "breadth from which on the market chops")
    regime_gate_breadth_high: float = number(80, 0, 100, "breadth up to which the market chops")
    regime_gate_btc_adx_min: float = number(20, 0, 100, "the gate is shut with BTC's ADX below this")
    regime_gate_btc_atr_pct_min: float = number(0.003, 0, 1, "the gate is shut with BTC's ATR, as a share, below")
    regime_gate_fail_open: bool = switch(False, "what is not known opens the gate instead of shutting it")


@dataclass(frozen=True, slots=True)
class EntryThresholds:
    """Limits of the trend, pullback and slow-drift entries."""

    min_adx: float = number(22, 0, 100, "least ADX of a trend entry")
    high_conf_volume_mult: float = number(2.5, 0.1, 100, "volume against its average that makes confidence high")
    btc_adx_override: float = number(40, 0, 100, "above this ADX the direction of BTC does not matter")
    max_dist_ema_fast: float = number(0.04, 0.0001, 1, "farthest an entry may be from the fast EMA, share of price")
    ave_enabled: bool = switch(True, "ask for more ADX while volatility is above average")
    ave_atr_ratio_gt: float = number(1.5, 0.1, 100, "ATR against its average from which more ADX is asked for")
    ave_adx_mult: float = number(1.25, 0.1, 10, "how much more")
    ave_avg_atr_window: int = count(50, 5, 200, "candles of the average ATR")
    macd_hist_entry_mode: MacdHistEntry = choice(MacdHistEntry, MacdHistEntry.ACCEL, "the MACD histogram's part")
    enable_pullback_entries: bool = switch(False, "enter where price crosses back over the fast EMA")
    pullback_confidence: Confidence = choice(Confidence, Confidence.LOW, "confidence of a pullback entry")
    pullback_min_adx: float = number(22, 0, 100, "least ADX of a pullback entry")
    pullback_rsi_long_min: float = number(50, 0, 100, "least RSI of a long pullback entry")
    pullback_rsi_short_max: float = number(50, 0, 100, "most RSI of a short pullback entry")
    pullback_require_macd_sign: bool = switch(True, "a pullback entry needs the MACD histogram on its side")
    enable_slow_drift_entries: bool = switch(False, "enter into slow, steady trends")
    slow_drift_slope_window: int = count(20, 1, 200, "candles over which the slow EMA's slope is taken")
    slow_drift_min_slope_pct: float = number(0.0006, 0, 1, "least slope, share of price")
    slow_drift_min_adx: float = number(10, 0, 100, "least ADX of a slow-drift entry")
    slow_drift_rsi_long_min: float = number(50, 0, 100, "least RSI of a long slow-drift entry")
    slow_drift_rsi_short_max: float = number(50, 0, 100, "most RSI of a short slow-drift entry")
    slow_drift_require_macd_sign: bool = switch(True, "a slow-drift entry needs the MACD histogram on its side")


@dataclass(frozen=True, slots=True)
class RangingThresholds:
    """Signs of a ranging market, and how many of them it takes."""

    min_signals: int = count(2, 1, 3, "signs that make a market ranging")
    adx_below: float = number(21, 0, 100, "sign: ADX below this")
    bb_width_ratio_below: float = number(0.8, 0, 10, "sign: Bollinger width against its average below this")
    rsi_low: float = number(47, 0, 100, "sign: RSI above this and below rsi_high")
    rsi_high: float = number(53, 0, 100, "sign: RSI below this and above rsi_low")


@dataclass(frozen=True, slots=True)
class AnomalyThresholds:
    """When a candle looks like an accident. Shares: 0.10 is 10 %."""

    price_change_pct_gt: float = number(0.10, 0.001, 10, "close moved by more than this share")
    ema_fast_dev_pct_gt: float = number(0.50, 0.001, 10, "close is farther than this share from the fast EMA")


@dataclass(frozen=True, slots=True)
class TpAndMomentumThresholds:
    """How trend strength shapes the target and the RSI asked for."""

    adx_strong_gt: float = number(40, 0, 100, "ADX above this is strong")
    adx_weak_lt: float = number(30, 0, 100, "ADX below this is weak")
    tp_mult_strong: float = number(7, 0.1, 100, "take-profit distance in a strong trend, in ATR")
    tp_mult_weak: float = number(3, 0.1, 100, "take-profit distance in a weak trend, in ATR")
    rsi_long_strong: float = number(52, 0, 100, "least RSI of a long at strong ADX")
    rsi_long_weak: float = number(56, 0, 100, "least RSI of a long at min_adx")
    rsi_short_strong: float = number(48, 0, 100, "most RSI of a short at strong ADX")
    rsi_short_weak: float = number(44, 0, 100, "most RSI of a short at min_adx")


@dataclass(frozen=True, slots=True)
class StochRsiThresholds:
    """Where the stochastic RSI (0 to 1) is exhausted."""

    block_long_if_k_gt: float = number(0.85, 0, 1, "no long entry with K above this")
    block_short_if_k_lt: float = number(0.15, 0, 1, "no short entry with K below this")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The strategy's numbers, by subject."""

    entry: EntryThresholds = field(default_factory=EntryThresholds)
    ranging: RangingThresholds = field(default_factory=RangingThresholds)
    anomaly: AnomalyThresholds = field(default_factory=AnomalyThresholds)
    tp_and_momentum: TpAndMomentumThresholds = field(default_factory=TpAndMomentumThresholds)
    stoch_rsi: StochRsiThresholds = field(default_factory=StochRsiThresholds)


@dataclass(frozen=True, slots=True)
class SymbolConfig:
    """Everything in force for one symbol. Immutable: symbols may share one without bleeding into each other."""

    trade: TradeConfig = field(default_factory=TradeConfig)
    indicators: IndicatorConfig = field(default_factory=IndicatorConfig)
    filters: FilterConfig = field(default_factory=FilterConfig)
    market_regime: RegimeConfig = field(default_factory=RegimeConfig)
    thresholds: Thresholds = field(default_factory=Thresholds)


class DrawdownPolicy(enum.Enum):
    """What a drawdown does besides ending entries: nothing, or close every position."""

    NONE = "none"
    CLOSE_ALL = "close_all"


@dataclass(frozen=True, slots=True)
class SlippageGuard:
    """Ends entries when they cost too much more than the price they were decided at."""

    enabled: bool = switch(False, "shut entries when the median slippage of the newest entries is too high")
    window_fills: int = count(20, 3, 50, "entries that the median is taken of")
    max_median_bps: Decimal = amount("0", "0", "10000", "highest median, in basis points")


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """Limits on the account as a whole."""

    max_drawdown_pct: Decimal = amount("0", "0", "100", "stop entries after this fall from the peak, percent; 0: off")
    max_daily_loss_usd: Decimal = amount("0", "0", "1000000000", "stop entries after this loss in a UTC day; 0: off")
    max_entry_orders_per_minute: int = count(30, 1, 1000, "entry orders a minute, all symbols together")
    max_entry_orders_per_minute_per_symbol: int = count(6, 1, 1000, "entry orders a minute in one symbol")
    max_total_notional_usd: Decimal = amount("0", "0", "1000000000", "notional of all positions together; 0: no limit")
    max_symbol_notional_usd: Decimal = amount("0", "0", "1000000000", "notional of one symbol; 0: no limit")
    max_side_notional_usd: Decimal = amount("0", "0", "1000000000", "notional of all longs, or all shorts; 0: no limit")
    max_account_leverage: Decimal = amount("0", "0", "50", "all notional together over equity; 0: no limit")
    notional_window_s: int = count(60, 1, 3600, "seconds over which max_notional_per_window_usd counts")
    max_notional_per_window_usd: Decimal = amount(
        "0", "0", "1000000000", "notional of all entries within the window; 0: no limit"
    )
    reject_cooldown_s: int = count(60, 0, 86400, "no entry in a symbol for so long after the venue refused one")
    unprotected_alert_s: int = count(30, 5, 3600, "seconds a position may be without its stop before it is told")
    drawdown_reduce_policy: DrawdownPolicy = choice(
        DrawdownPolicy, DrawdownPolicy.NONE, "what a drawdown does besides ending entries"
    )
    slippage_guard: SlippageGuard = field(default_factory=SlippageGuard)


@dataclass(frozen=True, slots=True)
class EngineSection:
    """Settings of the engine that may stand in the file. Read at start only; the environment beats them."""

    interval: Interval | None = choice(Interval, None, "candle that signals come from")
    exit_interval: Interval | None = choice(Interval, None, "candle at whose close indicators may end a position")
    signal_on_candle_close: bool | None = switch(None, "decide on closed candles")
    candle_close_grace_ms: int | None = count(None, 0, 60000, "wait after a candle's end before it counts as closed")
    heartbeat_every_s: int | None = count(None, 1, 3600, "seconds between two heartbeat lines")


SYMBOL_SCHEMA: Schema = schema_of(SymbolConfig)
"""What may be set for one symbol."""

SHARED_SCHEMA: Schema = {
    **SYMBOL_SCHEMA,
    "watchlist_exclude": FieldRule(Kind.SYMBOLS, "symbols that are never entered"),
    "risk": schema_of(RiskConfig),
    "engine": schema_of(EngineSection),
}
"""What may be set for all symbols together: the above, and what belongs to the account and the engine."""
