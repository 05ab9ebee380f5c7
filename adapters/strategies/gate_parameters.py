"""The config of mei_alpha_v1's gates as columns over symbols.

Built once per config. A switch that is off is folded in: its column `…_off` is True and its
limits are NaN, so a gate needs no branch per symbol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from domain.candles import BoolColumn, FloatColumn
from domain.confidence import Confidence
from domain.strategy_config import MacdHistEntry, SymbolConfig
from domain.strategy_rules import value_at

BTC = "BTC"
"""The symbol whose trend the others are held against."""

ADX_SLOPE_EASED = 0.5
EASED_MIN_ADX = 25.0
"""With ADX rising faster than this, `min_adx` counts for at most 25 (nothing, at the default of 22)."""


@dataclass(frozen=True, slots=True)
class GateParameters:
    """One array a parameter, one place a symbol. Names are those of the YAML keys, shortened."""

    ranging_off: BoolColumn
    ranging_min_signals: FloatColumn
    ranging_adx_below: FloatColumn
    ranging_width_below: FloatColumn
    ranging_rsi_low: FloatColumn
    ranging_rsi_high: FloatColumn
    anomaly_off: BoolColumn
    anomaly_change: FloatColumn
    anomaly_gap: FloatColumn
    extension_off: BoolColumn
    extension_gap: FloatColumn
    volume_off: BoolColumn
    volume_least: FloatColumn
    volume_include_previous: BoolColumn
    adx_rising_off: BoolColumn
    adx_rising_least: FloatColumn
    adx_rising_saturation: FloatColumn
    min_adx: FloatColumn
    min_adx_eased: FloatColumn
    ave_off: BoolColumn
    ave_atr_ratio: FloatColumn
    ave_adx_mult: FloatColumn
    macro_off: BoolColumn
    macro_least: FloatColumn
    btc_off: BoolColumn
    btc_adx_override: FloatColumn
    rsi_long_weak: FloatColumn
    rsi_long_rise: FloatColumn
    rsi_short_weak: FloatColumn
    rsi_short_rise: FloatColumn
    rsi_adx_span: FloatColumn
    macd_off: BoolColumn
    macd_accelerates: BoolColumn
    macd_fixed: FloatColumn
    stoch_off: BoolColumn
    stoch_long_most: FloatColumn
    stoch_short_least: FloatColumn
    high_conf_volume: FloatColumn
    adx_strong: FloatColumn
    adx_weak: FloatColumn
    tp_strong: FloatColumn
    tp_middle: FloatColumn
    tp_weak: FloatColumn
    pullback_on: BoolColumn
    pullback_confidence: FloatColumn
    pullback_min_adx: FloatColumn
    pullback_rsi_long: FloatColumn
    pullback_rsi_short: FloatColumn
    pullback_macd_off: BoolColumn
    drift_on: BoolColumn
    drift_slope: FloatColumn
    drift_min_adx: FloatColumn
    drift_rsi_long: FloatColumn
    drift_rsi_short: FloatColumn
    drift_macd_off: BoolColumn
    any_volume: bool
    any_pullback: bool
    any_drift: bool

    def take(self, ids: npt.NDArray[np.intp]) -> GateParameters:
        """The same parameters for the symbols at `ids`, in that order. The `any_…` flags stay."""
        columns = {name: getattr(self, name)[ids] for name in _COLUMN_NAMES}
        return replace(self, **columns)


_COLUMN_NAMES = tuple(field.name for field in fields(GateParameters) if not field.name.startswith("any_"))

DRIFT_CONFIDENCE = Confidence.LOW

_LEAST_SPAN = 1e-9
"""Stands for no span at all, where `min_adx` is at or above `adx_strong_gt`: any ADX beyond it is strong."""


def parameters_of(symbols: Sequence[str], configs: Sequence[SymbolConfig]) -> GateParameters:
    """The gates' parameters of `symbols`, whose configs are `configs`."""
    column = _ColumnReader(configs)
    numbers, switch = column.numbers, column.switch
    ranging_off, anomaly_off = ~switch("filters.enable_ranging_filter"), ~switch("filters.enable_anomaly_filter")
    extension_off = ~switch("filters.enable_extension_filter")
    volume_off, rising_off = ~switch("filters.require_volume_confirmation"), ~switch("filters.require_adx_rising")
    macro_off, stoch_off = ~switch("filters.require_macro_alignment"), ~switch("filters.use_stoch_rsi_filter")
    is_btc = np.array([symbol == BTC for symbol in symbols], dtype=bool)
    macd_mode = np.array([config.thresholds.entry.macd_hist_entry_mode.value for config in configs])
    min_adx = numbers("thresholds.entry.min_adx")
    rsi_long_weak = numbers("thresholds.tp_and_momentum.rsi_long_weak")
    rsi_short_weak = numbers("thresholds.tp_and_momentum.rsi_short_weak")
    adx_strong = numbers("thresholds.tp_and_momentum.adx_strong_gt")
    pullback_on = switch("thresholds.entry.enable_pullback_entries")
    drift_on = switch("thresholds.entry.enable_slow_drift_entries")
    return GateParameters(
        ranging_off=ranging_off,
        ranging_min_signals=_unless(ranging_off, numbers("thresholds.ranging.min_signals")),
        ranging_adx_below=numbers("thresholds.ranging.adx_below"),
        ranging_width_below=numbers("thresholds.ranging.bb_width_ratio_below"),
        ranging_rsi_low=numbers("thresholds.ranging.rsi_low"),
        ranging_rsi_high=numbers("thresholds.ranging.rsi_high"),
        anomaly_off=anomaly_off,
        anomaly_change=_unless(anomaly_off, numbers("thresholds.anomaly.price_change_pct_gt")),
        anomaly_gap=_unless(anomaly_off, numbers("thresholds.anomaly.ema_fast_dev_pct_gt")),
        extension_off=extension_off,
        extension_gap=_unless(extension_off, numbers("thresholds.entry.max_dist_ema_fast")),
        volume_off=volume_off,
        volume_least=_unless(volume_off, np.ones(len(configs))),
        volume_include_previous=switch("filters.vol_confirm_include_prev"),
        adx_rising_off=rising_off,
        adx_rising_least=_unless(rising_off, np.zeros(len(configs))),
        adx_rising_saturation=numbers("filters.adx_rising_saturation"),
        min_adx=min_adx,
        min_adx_eased=np.minimum(min_adx, EASED_MIN_ADX),
        ave_off=~switch("thresholds.entry.ave_enabled"),
        ave_atr_ratio=numbers("thresholds.entry.ave_atr_ratio_gt"),
        ave_adx_mult=numbers("thresholds.entry.ave_adx_mult"),
        macro_off=macro_off,
        macro_least=_unless(macro_off, np.zeros(len(configs))),
        btc_off=~switch("filters.require_btc_alignment") | is_btc,
        btc_adx_override=numbers("thresholds.entry.btc_adx_override"),
        rsi_long_weak=rsi_long_weak,
        rsi_long_rise=numbers("thresholds.tp_and_momentum.rsi_long_strong") - rsi_long_weak,
        rsi_short_weak=rsi_short_weak,
        rsi_short_rise=numbers("thresholds.tp_and_momentum.rsi_short_strong") - rsi_short_weak,
        rsi_adx_span=np.maximum(adx_strong - min_adx, _LEAST_SPAN),
        macd_off=macd_mode == MacdHistEntry.NONE.value,
        macd_accelerates=macd_mode == MacdHistEntry.ACCEL.value,
        macd_fixed=np.where(macd_mode == MacdHistEntry.SIGN.value, 0.0, np.nan),
        stoch_off=stoch_off,
        stoch_long_most=_unless(stoch_off, numbers("thresholds.stoch_rsi.block_long_if_k_gt")),
        stoch_short_least=_unless(stoch_off, numbers("thresholds.stoch_rsi.block_short_if_k_lt")),
        high_conf_volume=numbers("thresholds.entry.high_conf_volume_mult"),
        adx_strong=adx_strong,
        adx_weak=numbers("thresholds.tp_and_momentum.adx_weak_lt"),
        tp_strong=numbers("thresholds.tp_and_momentum.tp_mult_strong"),
        tp_middle=numbers("trade.tp_atr_mult"),
        tp_weak=numbers("thresholds.tp_and_momentum.tp_mult_weak"),
        pullback_on=pullback_on,
        pullback_confidence=numbers("thresholds.entry.pullback_confidence"),
        pullback_min_adx=numbers("thresholds.entry.pullback_min_adx"),
        pullback_rsi_long=numbers("thresholds.entry.pullback_rsi_long_min"),
        pullback_rsi_short=numbers("thresholds.entry.pullback_rsi_short_max"),
        pullback_macd_off=~switch("thresholds.entry.pullback_require_macd_sign"),
        drift_on=drift_on,
        drift_slope=numbers("thresholds.entry.slow_drift_min_slope_pct"),
        drift_min_adx=numbers("thresholds.entry.slow_drift_min_adx"),
        drift_rsi_long=numbers("thresholds.entry.slow_drift_rsi_long_min"),
        drift_rsi_short=numbers("thresholds.entry.slow_drift_rsi_short_max"),
        drift_macd_off=~switch("thresholds.entry.slow_drift_require_macd_sign"),
        any_volume=bool((~volume_off).any()),
        any_pullback=bool(pullback_on.any()),
        any_drift=bool(drift_on.any()),
    )


class _ColumnReader:
    """Reads one key of many configs. Symbols mostly share a config, so each one is read once."""

    def __init__(self, configs: Sequence[SymbolConfig]) -> None:
        self._distinct = list({id(config): config for config in configs}.values())
        place_of = {id(config): place for place, config in enumerate(self._distinct)}
        self._places = np.array([place_of[id(config)] for config in configs], dtype=np.intp)

    def numbers(self, key: str) -> FloatColumn:
        return np.array([_number(value_at(config, key)) for config in self._distinct], dtype=np.float64)[self._places]

    def switch(self, key: str) -> BoolColumn:
        return np.array([value_at(config, key) for config in self._distinct], dtype=bool)[self._places]


def _number(value: Any) -> float:
    return float(value)


def _unless(off: BoolColumn, values: FloatColumn) -> FloatColumn:
    return np.where(off, np.nan, values)
