"""Backtest speed: the real engine over hourly candles, beside a bare Python loop over the same candles as tuples."""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from pathlib import Path

from adapters.datasets.instruments import infer_instruments
from adapters.sim.market import SimMarket
from benchmarks._runs import Figures, best_of, main
from config.yaml_reader import OverridesParser
from domain.candles import Interval
from domain.config_events import ABSENT, OverridesText
from entrypoints.backtest_container import BacktestInputs
from entrypoints.backtest_run import expected_analyses, run_backtest
from entrypoints.strategies import MEI_ALPHA_V1
from ports.datasets import CandleSet, FundingSet

GENERATED_SYMBOLS = 100
GENERATED_CANDLES = 2_000
START_MS = 1_767_571_200_000


def run() -> Figures:
    """Bars a second of the engine with everything on, and of the loop that a bar-by-bar program starts from."""
    candles, funding, source = _data()
    inputs = BacktestInputs(
        candles=candles,
        funding=funding,
        instruments=infer_instruments(candles),
        parser=OverridesParser(False, None, ()),
        first_look=OverridesText("defaults", None, ABSENT, 0, 0, 0, 0),
        strategy=MEI_ALPHA_V1,
        strategy_deadline_ms=1_000,
        start_cash_usd=Decimal(10_000),
    )
    outcomes = [run_backtest(inputs, lambda done: None) for _ in range(2)]
    engine_s = min(outcome.run_s for outcome in outcomes)
    record = outcomes[0].record
    assert record.digest == outcomes[1].record.digest, "two runs of one backtest are one run"
    rows = _tuples(candles)
    loop_s = best_of(3, lambda: _loop(rows))
    return {
        "source": source,
        "symbols": len(candles.symbols),
        "bars": candles.bars,
        "analyses": record.analyses,
        "expected_analyses": expected_analyses(candles),
        "trades": len(record.trades),
        "bars_per_s": round(candles.bars / engine_s),
        "loop_bars_per_s": round(candles.bars / loop_s),
        "ratio_to_loop": round(loop_s / engine_s, 4),
    }


def _data() -> tuple[CandleSet, FundingSet | None, str]:
    """Recorded candles where they lie beside the project, else generated ones."""
    beside_us = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AIQ_SHARED_DATA", beside_us)) / "candles"
    candles, funding = folder / "hl_perp_candles_1h.parquet", folder / "hl_perp_funding_1h.parquet"
    if candles.is_file() and funding.is_file():
        from adapters.datasets.candle_files import read_candles
        from adapters.datasets.funding_files import read_funding

        found = read_candles([str(candles)])
        return found, read_funding(str(funding), found.symbols), "recorded"
    return _generated(), None, "generated"


def _generated() -> CandleSet:
    market = SimMarket(seed=7, symbol_count=GENERATED_SYMBOLS)
    end_ms = START_MS + GENERATED_CANDLES * Interval.H1.ms
    windows = [market.candles(place, Interval.H1, START_MS, end_ms) for place in range(GENERATED_SYMBOLS)]
    windows.sort(key=lambda window: window.symbol)
    return CandleSet(Interval.H1, tuple(window.symbol for window in windows), tuple(windows), ("generated",))


def _tuples(candles: CandleSet) -> list[tuple[int, int, float, float, float, float, float]]:
    rows = []
    for batch in candles.batches():
        columns = (batch.ids, batch.open, batch.high, batch.low, batch.close, batch.volume)
        rows += [(batch.open_ms, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return rows


def _loop(rows: list[tuple[int, int, float, float, float, float, float]]) -> int:
    """EMA(20/50) cross, one state a symbol: the least that a loop over bars can do and still decide something."""
    fast: dict[int, float] = {}
    slow: dict[int, float] = {}
    long: dict[int, bool] = {}
    crosses = 0
    for _, symbol_id, _open, _high, _low, close, _volume in rows:
        fast_now = fast[symbol_id] = (quick := fast.get(symbol_id, close)) + (close - quick) * 2 / 21
        slow_now = slow[symbol_id] = (lazy := slow.get(symbol_id, close)) + (close - lazy) * 2 / 51
        above = fast_now > slow_now
        if above != long.get(symbol_id, False):
            long[symbol_id] = above
            crosses += 1
    return crosses


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
