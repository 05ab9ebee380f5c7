"""Candle, funding and instrument files for backtests: read, checked row by row, and turned into columns."""
