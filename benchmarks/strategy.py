"""What mei_alpha_v1 costs: one live step, one batch of gates, and a backtest's indicators.

Every figure stands beside a baseline of the same run, because machines differ:

* a stream step against computing the last 300 candles again with TA-Lib's full functions;
* the gates of a batch against the same gates asked symbol by symbol;
* the backtest's columns against TA-Lib's calls alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np

from adapters.strategies.gate_parameters import parameters_of
from adapters.strategies.indicators import Periods, periods_of, raw_series
from adapters.strategies.mei_gates import evaluate
from adapters.strategies.series_bank import SeriesBank
from adapters.strategies.stream_bank import StreamBank
from domain.candles import CandleBatch, CandleWindow, FloatColumn, Interval
from domain.strategy_config import book_of

HISTORY = 600
RECOMPUTED = 300
STEPS = 300
REPEATS = 6


def run(symbols: int = 106, candles: int = 4894) -> dict[str, float]:
    """Measure on seeded random walks. `ratio_…` says how many times the baseline costs, or is cost."""
    windows = [_window(place, max(candles, HISTORY + STEPS)) for place in range(symbols)]
    book = book_of([])
    periods = [periods_of(book.for_symbol(window.symbol)) for window in windows]

    series_s = _best(lambda: SeriesBank(windows, book))
    talib_s = _best(lambda: [_raw(window, len(window), periods[0]) for window in windows])
    stream_us = _stream_step_us(windows)
    recompute_us = _best(lambda: [_raw(window, RECOMPUTED, periods[0]) for window in windows]) / symbols * 1e6
    gates_us, one_by_one_us = _gates_us(windows)
    bars = sum(len(window) for window in windows)
    return {
        "symbols": symbols,
        "stream_step_us": round(stream_us, 2),
        "ratio_recompute_to_stream_step": round(recompute_us / stream_us, 1),
        "gates_us_per_batch": round(gates_us, 1),
        "ratio_one_by_one_to_gates": round(one_by_one_us / gates_us, 1),
        "series_bars": bars,
        "series_bars_per_s": round(bars / series_s),
        "ratio_series_to_talib_alone": round(series_s / talib_s, 1),
    }


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench strategy", description=run.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--symbols", type=int, default=106)
    parser.add_argument("--candles", type=int, default=4894, help="candles a symbol in the backtest figure")
    options = parser.parse_args(argv)
    figures = run(options.symbols, options.candles)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:32} {figure:>14,}")
    return 0


def _stream_step_us(windows: Sequence[CandleWindow]) -> float:
    """CPU of one candle of one symbol, with all symbols in the batch as live."""
    bank = StreamBank()
    bank.fit([periods_of(book_of([]).everyone)] * len(windows))
    for symbol_id, window in enumerate(windows):
        bank.rebuild(symbol_id, _first(window, HISTORY))
    batches = [_batch(windows, HISTORY + step) for step in range(STEPS)]
    decide = np.ones(len(windows), dtype=bool)
    waiting = iter(batches)
    part = STEPS // REPEATS
    taken = _best(lambda: [bank.advance(next(waiting), decide) for _ in range(part)])
    return taken / part / len(windows) * 1e6


def _gates_us(windows: Sequence[CandleWindow]) -> tuple[float, float]:
    """One batch of gates in one call, and the same symbol by symbol."""
    bank = SeriesBank([_first(window, HISTORY) for window in windows], book_of([]))
    batch = _batch(windows, HISTORY - 1)
    columns = bank.advance(batch, np.ones(len(windows), dtype=bool))
    config = book_of([]).everyone
    parameters = parameters_of([window.symbol for window in windows], [config] * len(windows))
    alone = [parameters.take(np.array([place])) for place in range(len(windows))]
    together = _best(lambda: [evaluate(columns, parameters, 1.0) for _ in range(50)]) / 50
    one_by_one = _best(
        lambda: [evaluate(columns[:, place : place + 1], alone[place], 1.0) for place in range(len(windows))]
    )
    return together * 1e6, one_by_one * 1e6


def _best(work: Callable[[], object]) -> float:
    """The quickest of a few runs, in seconds: the one that others disturbed least."""
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _raw(window: CandleWindow, count: int, periods: Periods) -> FloatColumn:
    cut = slice(-count, None)
    return raw_series(
        window.high[cut],
        window.low[cut],
        window.close[cut],
        window.volume[cut],
        periods,
    )


def _window(seed: int, count: int) -> CandleWindow:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, count)))
    open_ = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    open_ms = np.arange(count, dtype=np.int64) * Interval.H1.ms
    return CandleWindow(f"S{seed}", Interval.H1, open_ms, open_, high, low, close, rng.lognormal(0.0, 1.0, count))


def _first(window: CandleWindow, count: int) -> CandleWindow:
    columns = (window.open, window.high, window.low, window.close, window.volume)
    return CandleWindow(window.symbol, window.interval, window.open_ms[:count], *(column[:count] for column in columns))


def _batch(windows: Sequence[CandleWindow], place: int) -> CandleBatch:
    names = ("open", "high", "low", "close", "volume")
    columns = (np.array([getattr(window, name)[place] for window in windows]) for name in names)
    return CandleBatch(Interval.H1, place * Interval.H1.ms, np.arange(len(windows)), *columns)


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
