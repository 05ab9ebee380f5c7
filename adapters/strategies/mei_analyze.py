"""`analyze(df, symbol, btc_bullish, config)`: mei_alpha_v1 for one frame, as the earlier engine offered it.

It computes through the same series and the same gates as the strategy, so it agrees with it
when the frame begins at the same candle. The frame is not changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.strategies.gate_parameters import GateParameters, parameters_of
from adapters.strategies.indicators import BAND_SIGMAS, Columns, Raw, column_series, periods_of, raw_series
from adapters.strategies.mei_gates import (
    PULLBACK_PATH,
    SLOW_DRIFT_PATH,
    Opinions,
    btc_sign_of,
    evaluate,
    gate_names,
)
from adapters.strategies.plain_config import config_from
from domain.candles import FloatColumn
from domain.confidence import Confidence
from domain.signals import FEATURE_INDEX, NO_GATE, Signal
from domain.strategy_config import SymbolConfig

if TYPE_CHECKING:
    import pandas as pd

PRICE_COLUMNS = ("Open", "High", "Low", "Close", "Volume")


def analyze(
    df: pd.DataFrame,
    symbol: str,
    btc_bullish: bool | None,
    config: SymbolConfig | Mapping[str, Any] | None = None,
) -> tuple[str, str, pd.Series[Any]]:
    """Say BUY, SELL or NEUTRAL about the last row of a frame, with low, medium or high confidence.

    The frame holds closed candles, oldest first, in the columns Open, High, Low, Close and
    Volume. `config` is what is in force for the symbol, or the sections of the overrides file as
    a mapping (ValueError names a key that is wrong), or None for the defaults. The third part of
    the answer is the last row with every indicator, every gate in `audit`, and what exits need.
    """
    own = config if isinstance(config, SymbolConfig) else config_from({} if config is None else config)
    missing = [name for name in PRICE_COLUMNS if name not in df.columns]
    if missing:
        raise ValueError(f"the frame has no column {', '.join(missing)}")
    if not len(df):
        raise ValueError("the frame has no rows")
    _, high, low, close, volume = (np.ascontiguousarray(df[name], dtype=np.float64) for name in PRICE_COLUMNS)
    raw = raw_series(high, low, close, volume, periods_of(own))
    columns = column_series(raw)[:, -1:]
    parameters = parameters_of((symbol,), (own,))
    said = evaluate(columns, parameters, btc_sign_of(btc_bullish))
    signal, confidence = Signal(int(said.signal[0])).name, Confidence(int(said.confidence[0])).text
    row = df.iloc[-1].copy().astype(object)
    values = {
        **_indicators(raw, columns, own, high, low, close),
        **_decisions(said, parameters, own),
        "audit": _audit(said, parameters, symbol, signal, confidence),
    }
    for name, value in values.items():
        row[name] = value
    return signal, confidence, row


def _indicators(
    raw: FloatColumn,
    columns: FloatColumn,
    config: SymbolConfig,
    high: FloatColumn,
    low: FloatColumn,
    close: FloatColumn,
) -> dict[str, Any]:
    """The indicator columns by the names of the earlier engine, with those that only people read."""
    import talib

    own = config.indicators
    last = Raw._make(raw[:, -1].tolist())
    now = Columns._make(columns[:, -1].tolist())
    upper, _, lower = talib.BBANDS(close, own.bb_window, BAND_SIGMAS, BAND_SIGMAS)
    return {
        "EMA_fast": now.ema_fast,
        "EMA_slow": now.ema_slow,
        "EMA_macro": now.ema_macro,
        "ADX": now.adx,
        "ADX_pos": float(talib.PLUS_DI(high, low, close, own.adx_window)[-1]),
        "ADX_neg": float(talib.MINUS_DI(high, low, close, own.adx_window)[-1]),
        "ADX_slope": now.adx_slope,
        "bb_high": float(upper[-1]),
        "bb_low": float(lower[-1]),
        "bb_width": last.bb_width,
        "avg_bb_width": last.bb_width_average,
        "ATR": now.atr,
        "ATR_slope": now.atr_slope,
        "atr_ratio": now.atr_ratio,
        "RSI": now.rsi,
        "MACD_hist": now.macd_hist,
        "prev_MACD_hist": now.macd_hist_1,
        "prev2_MACD_hist": now.macd_hist_2,
        "prev3_MACD_hist": now.macd_hist_3,
        "vol_sma": last.volume_average,
        "vol_trend": bool(last.volume_trend > last.volume_average),
        "vol_spike_mult": now.volume_ratio,
        "ema_slow_slope_pct": now.slow_slope,
        "stoch_k": now.stoch_k,
        "stoch_d": float(talib.SMA(raw[Raw._fields.index("stoch_k")], own.stoch_rsi_smooth2)[-1]),
    }


def _decisions(said: Opinions, parameters: GateParameters, config: SymbolConfig) -> dict[str, Any]:
    features = said.features[:, 0].tolist()
    used = dict(zip(gate_names(parameters), said.passed[:, 0].tolist(), strict=True))
    entry = config.thresholds.entry
    return {
        "tp_mult": features[FEATURE_INDEX["tp_mult"]],
        "is_anomaly": features[FEATURE_INDEX["is_anomaly"]] == 1.0,
        "entry_adx_threshold": features[FEATURE_INDEX["entry_adx_threshold"]],
        "macd_entry_mode": entry.macd_hist_entry_mode.value,
        "ave_enabled": entry.ave_enabled,
        "pullback_enabled": entry.enable_pullback_entries,
        "pullback_used": used.get(PULLBACK_PATH, False),
        "slow_drift_enabled": entry.enable_slow_drift_entries,
        "slow_drift_used": used.get(SLOW_DRIFT_PATH, False),
    }


def _audit(said: Opinions, parameters: GateParameters, symbol: str, signal: str, confidence: str) -> dict[str, Any]:
    """What every gate said, in plain values that JSON can hold (NaN becomes None)."""
    names = gate_names(parameters)
    first_no = int(said.first_no[0])
    return {
        "symbol": symbol,
        "signal": signal,
        "confidence": confidence,
        "tags": [] if first_no == NO_GATE else [names[first_no]],
        "gates": dict(zip(names, said.passed[:, 0].tolist(), strict=True)),
        "values": dict(zip(names, map(_or_none, said.values[:, 0].tolist()), strict=True)),
        "thresholds": dict(zip(names, map(_or_none, said.thresholds[:, 0].tolist()), strict=True)),
    }


def _or_none(value: float) -> float | None:
    return None if value != value else value
