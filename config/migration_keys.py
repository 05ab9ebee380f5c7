"""Every key of the earlier engine's overrides file, and what became of it (see `config.migration`)."""

from __future__ import annotations

from config.migration import Fate, heritage

_LOW_CONF = "0 means not set: the general value counts (it used to close every low-confidence long at once)"
_ONE_INTERVAL = "a signal is decided on once, when its candle closes, at the price of that moment"
_RISK_LATER = "the risk guard does not know this limit yet"
_NEVER = "the earlier documents name it, the earlier code never read it"

KEYS = (
    # Layers.
    *heritage("", "global symbols.SYM live", Fate.KEPT),
    *heritage(
        "", "modes.NAME", Fate.KEPT, "chosen by AI_QUANT_STRATEGY_MODE; a name the file does not have is refused"
    ),
    *heritage(
        "",
        "modes.primary modes.fallback modes.conservative modes.flat",
        Fate.KEPT,
        "plain names without built-in meaning: `flat` closes nothing and blocks nothing, it never did",
    ),
    *heritage("", "watchlist_exclude", Fate.KEPT, "in a global scope only; entries stop, open positions stay managed"),
    # Trade.
    *heritage(
        "trade.",
        """allocation_pct sl_atr_mult tp_atr_mult leverage enable_dynamic_leverage leverage_low leverage_medium
        leverage_high slippage_bps bump_to_min_notional max_total_margin_pct enable_dynamic_sizing
        confidence_mult_high confidence_mult_medium confidence_mult_low adx_sizing_min_mult adx_sizing_full_adx
        vol_baseline_pct vol_scalar_min vol_scalar_max enable_pyramiding max_adds_per_symbol
        add_fraction_of_base_margin add_cooldown_minutes add_min_profit_atr add_min_confidence entry_min_confidence
        enable_partial_tp tp_partial_pct tp_partial_min_notional_usd tp_partial_atr_mult trailing_start_atr
        trailing_distance_atr enable_vol_buffered_trailing enable_ssf_filter enable_breakeven_stop
        breakeven_start_atr breakeven_buffer_atr enable_rsi_overextension_exit rsi_exit_profit_atr_switch
        rsi_exit_ub_lo_profit rsi_exit_ub_hi_profit rsi_exit_lb_lo_profit rsi_exit_lb_hi_profit enable_reef_filter
        reef_long_rsi_block_gt reef_short_rsi_block_lt reef_adx_threshold reef_long_rsi_extreme_gt
        reef_short_rsi_extreme_lt reentry_cooldown_min_mins reentry_cooldown_max_mins tsme_min_profit_atr
        tsme_require_adx_slope_negative min_atr_pct block_exits_on_extreme_dev glitch_price_dev_pct glitch_atr_mult
        smart_exit_adx_exhaustion_lt max_open_positions entry_cooldown_s max_notional_usd_per_order min_margin_usd
        size_multiplier""",
        Fate.KEPT,
    ),
    *heritage("trade.", "use_bbo_for_fills", Fate.DROPPED, "simulated fills always start from the best bid and ask"),
    *heritage("trade.", "leverage_max_cap", Fate.KEPT, "0, or at least 1: a cap of 0.999 once locked everything to 1x"),
    *heritage("trade.", "min_notional_usd", Fate.KEPT, "at least 10, which is the venue's own minimum"),
    *heritage(
        "trade.",
        """trailing_start_atr_low_conf trailing_distance_atr_low_conf rsi_exit_ub_lo_profit_low_conf
        rsi_exit_ub_hi_profit_low_conf rsi_exit_lb_lo_profit_low_conf rsi_exit_lb_hi_profit_low_conf
        smart_exit_adx_exhaustion_lt_low_conf""",
        Fate.KEPT,
        _LOW_CONF,
    ),
    *heritage("trade.", "reentry_cooldown_minutes", Fate.KEPT, "an on/off switch, as before: 0 is off"),
    *heritage(
        "trade.", "reverse_entry_signal", Fate.KEPT, "auto-reverse overrides it while breadth is known, as before"
    ),
    *heritage("trade.", "exit_cooldown_s", Fate.KEPT, "a stop never waits for it any more"),
    *heritage("trade.", "max_entry_orders_per_loop", Fate.KEPT, "counts entries of candles that closed together"),
    # Indicators and filters.
    *heritage(
        "indicators.",
        """ema_slow_window ema_fast_window ema_macro_window adx_window bb_window bb_width_avg_window atr_window
        rsi_window vol_sma_window vol_trend_window stoch_rsi_window stoch_rsi_smooth1 stoch_rsi_smooth2""",
        Fate.KEPT,
        "at most 200, so that 600 candles of warm-up settle it",
    ),
    *heritage(
        "filters.",
        """enable_ranging_filter enable_anomaly_filter enable_extension_filter require_adx_rising
        adx_rising_saturation require_volume_confirmation vol_confirm_include_prev use_stoch_rsi_filter
        require_btc_alignment require_macro_alignment block_exits_on_anomaly""",
        Fate.KEPT,
    ),
    # Market regime.
    *heritage(
        "market_regime.",
        "enable_regime_filter breadth_block_short_above breadth_block_long_below",
        Fate.KEPT,
        "the first meaning: do not trade against the tide; no alias of the regime gate",
    ),
    *heritage("market_regime.", "enable_auto_reverse auto_reverse_breadth_low auto_reverse_breadth_high", Fate.KEPT),
    *heritage(
        "market_regime.",
        """enable_regime_gate regime_gate_breadth_low regime_gate_breadth_high regime_gate_btc_adx_min
        regime_gate_btc_atr_pct_min regime_gate_fail_open""",
        Fate.KEPT,
        "under its own names only",
    ),
    # Thresholds.
    *heritage(
        "thresholds.entry.",
        """min_adx high_conf_volume_mult btc_adx_override max_dist_ema_fast ave_enabled ave_atr_ratio_gt ave_adx_mult
        macd_hist_entry_mode enable_pullback_entries pullback_confidence pullback_min_adx pullback_rsi_long_min
        pullback_rsi_short_max pullback_require_macd_sign enable_slow_drift_entries slow_drift_slope_window
        slow_drift_min_slope_pct slow_drift_min_adx slow_drift_rsi_long_min slow_drift_rsi_short_max
        slow_drift_require_macd_sign""",
        Fate.KEPT,
    ),
    *heritage("thresholds.entry.", "ave_avg_atr_window", Fate.KEPT, "at most 200 (was 500), for the warm-up's sake"),
    *heritage("thresholds.ranging.", "min_signals adx_below bb_width_ratio_below rsi_low rsi_high", Fate.KEPT),
    *heritage("thresholds.anomaly.", "price_change_pct_gt ema_fast_dev_pct_gt", Fate.KEPT),
    *heritage(
        "thresholds.tp_and_momentum.",
        """adx_strong_gt adx_weak_lt tp_mult_strong tp_mult_weak rsi_long_strong rsi_long_weak rsi_short_strong
        rsi_short_weak""",
        Fate.KEPT,
    ),
    *heritage("thresholds.stoch_rsi.", "block_long_if_k_gt block_short_if_k_lt", Fate.KEPT),
    # Engine.
    *heritage(
        "engine.",
        "interval signal_on_candle_close heartbeat_every_s",
        Fate.KEPT,
        "read at start only; the environment beats the file",
    ),
    *heritage(
        "engine.",
        "candle_close_grace_ms",
        Fate.KEPT,
        "default 1000 (was 2000); waits after the candle's end, it used to cut the end off",
    ),
    *heritage("engine.", "entry_interval", Fate.DROPPED, _ONE_INTERVAL),
    *heritage(
        "engine.",
        "exit_interval",
        Fate.KEPT,
        "indicators end a position at the close of these candles; stops are looked at on every price all the same",
    ),
    *heritage("engine.", "loop_target_s", Fate.DROPPED, "there is no polling loop: work is done when it is due"),
    # Risk.
    *heritage(
        "risk.", "max_drawdown_pct max_daily_loss_usd", Fate.KEPT, "the environment beats the file, as everywhere"
    ),
    *heritage("risk.", "drawdown_reduce_policy", Fate.KEPT, "close_all tries until everything is flat"),
    *heritage(
        "risk.slippage_guard.",
        "enabled window_fills max_median_bps",
        Fate.KEPT,
        "the median is taken against the price that the entry was decided at; a breach shuts the kill latch",
    ),
    *heritage("risk.", "exposure heat perf_stop", Fate.LATER, _RISK_LATER),
    # Names that only ever existed on paper; `?` stands for any section.
    *heritage(
        "?.", "enable_ranging_regime_filter bearish_breadth_threshold_pct pullback_pct bb_std", Fate.DROPPED, _NEVER
    ),
)
