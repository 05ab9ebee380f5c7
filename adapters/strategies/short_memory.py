"""A strategy that needs two candles: to see a short recording traded, and an example of what a user's own looks like.

It follows a candle that closes beyond the close before it. Nobody should expect to earn with it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

CANDLES = 5
"""What it looks back on, if there is so much."""


def analyze(
    df: pd.DataFrame, symbol: str, btc_bullish: bool | None, config: dict[str, Any]
) -> tuple[str, str, dict[str, float]]:
    """`BUY` above the close before, `SELL` below it; the row has what entry gates, stops and sizes read."""
    newest = df.tail(CANDLES)
    close = float(newest["Close"].iloc[-1])
    before = float(newest["Close"].iloc[-2]) if len(newest) > 1 else close
    signal = "BUY" if close > before else "SELL" if close < before else "NEUTRAL"
    ranges = newest["High"] - newest["Low"]
    row = {
        "Close": close,
        "ATR": max(float(ranges.mean()), close * 1e-4),
        "ADX": 30.0,
        "RSI": 50.0,
        "MACD_hist": close - before,
    }
    return signal, "high", row
