"""A strategy that always wants something: a test of the way from signal to ledger must not wait for the market."""

from __future__ import annotations

from typing import Any

Opinion = tuple[str, str, dict[str, float]]
MINUTE_MS = 60_000


def analyze(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Opinion:
    """Buy and sell by turns, minute by minute; half of the symbols begin with the other side."""
    last = df.iloc[-1]
    close = float(last["Close"])
    turn = (int(last["timestamp"]) // MINUTE_MS + sum(map(ord, symbol))) % 2
    row = {"Close": close, "ATR": close * 0.004, "ATR_slope": 1.0, "ADX": 40.0, "ADX_slope": 1.0, "RSI": 50.0}
    return "BUY" if turn else "SELL", "high", row
