"""The simulated market: a minute of all symbols, and warm-up histories, beside plain random numbers as many."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np

from adapters.sim.market import MINUTE_MS, SimMarket
from adapters.sim.tape import SECONDS
from benchmarks._runs import Figures, best_of, main
from domain.candles import Interval

COUNTS = (24, 500)
BARS = 700
HOURLY_BARS = 200
START_MS = 1_767_571_200_000


def run() -> Figures:
    figures: Figures = {}
    for symbols in COUNTS:
        market = SimMarket(seed=7, symbol_count=symbols)
        minutes = count(START_MS, MINUTE_MS)
        minute_s = best_of(20, partial(_minute, market, minutes))
        figures[f"minute_ms_{symbols}"] = round(minute_s * 1e3, 3)
        figures[f"minute_ratio_to_normals_{symbols}"] = round(minute_s / _normals_s(SECONDS, symbols), 1)

        starts = count(START_MS, BARS * MINUTE_MS)
        history_s = best_of(3, partial(_history, market, symbols, starts))
        figures[f"history_s_{symbols}_x_{BARS}"] = round(history_s, 3)
        figures[f"history_bars_per_s_{symbols}"] = round(symbols * BARS / history_s)
        figures[f"history_ratio_to_normals_{symbols}"] = round(history_s / _normals_s(SECONDS * BARS, symbols), 1)
    market = SimMarket(seed=7, symbol_count=1)
    end_ms = START_MS + HOURLY_BARS * Interval.H1.ms
    hourly_s = best_of(3, lambda: market.candles(0, Interval.H1, START_MS, end_ms))
    figures[f"history_ms_1_x_{HOURLY_BARS}_hours"] = round(hourly_s * 1e3, 1)
    return figures


def _minute(market: SimMarket, minutes: Iterator[int]) -> None:
    market.minute(next(minutes))


def _history(market: SimMarket, symbols: int, starts: Iterator[int]) -> None:
    start_ms = next(starts)
    market.history(range(symbols), Interval.M1, start_ms, start_ms + BARS * MINUTE_MS)


def _normals_s(rows: int, columns: int) -> float:
    """Seconds to draw one normal number for every second of every symbol."""
    chance = np.random.default_rng(7)
    return best_of(3, lambda: chance.standard_normal((rows, columns)))


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
