"""A strategy that changes its mind every other candle: opens, adds and reversals in a row, whatever the market does."""

from __future__ import annotations

from typing import Any

Opinion = tuple[str, str, dict[str, float]]
CANDLES_OF_ONE_MIND = 2


def analyze(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Opinion:
    """Buy for two candles, sell for two; half of the symbols begin with the other side."""
    last, before = df.iloc[-1], df.iloc[-2]
    close, opened_ms = float(last["Close"]), int(last["timestamp"])
    candle = opened_ms // (opened_ms - int(before["timestamp"]))
    buys = (candle // CANDLES_OF_ONE_MIND + sum(map(ord, symbol))) % 2 == 0
    row = {"Close": close, "ATR": close * 0.004, "ATR_slope": 1.0, "ADX": 40.0, "ADX_slope": 1.0, "RSI": 50.0}
    momentum = 1.0 if buys else -1.0
    return "BUY" if buys else "SELL", "high", row | {"MACD_hist": 2 * momentum, "prev_MACD_hist": momentum}
