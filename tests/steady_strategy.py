"""A strategy that never changes its mind: half of the symbols are bought, the other half sold, at every candle."""

from __future__ import annotations

from typing import Any

Opinion = tuple[str, str, dict[str, float]]
ATR_SHARE = 0.004


def analyze(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Opinion:
    close = float(df.iloc[-1]["Close"])
    buys = sum(map(ord, symbol)) % 2 == 0
    row = {"Close": close, "ATR": close * ATR_SHARE, "ATR_slope": 1.0, "ADX": 40.0, "ADX_slope": 1.0, "RSI": 50.0}
    momentum = 1.0 if buys else -1.0
    return "BUY" if buys else "SELL", "high", row | {"MACD_hist": 2 * momentum, "prev_MACD_hist": momentum}
