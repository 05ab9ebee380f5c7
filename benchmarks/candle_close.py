"""Candle close: from the last frame of a candle to its recorded decisions, all symbols closing together."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import numpy as np

from adapters.sim.symbols import profiles
from adapters.sqlite.candle_store import SqliteCandleStore
from adapters.sqlite.decision_log import SqliteDecisionLog
from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from adapters.strategies.mei_alpha_v1 import MeiAlphaV1
from adapters.strategies.stream_bank import StreamBank
from application.committer import Committer
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.strategy_manager import StrategyManager
from benchmarks._runs import Figures, main
from config.yaml_reader import OverridesParser
from domain.candles import CandleBatch, CandleWindow, FloatColumn, Interval
from domain.config_events import ABSENT, OverridesText
from domain.events import AccountSnapshot, CandleUpdates, HistoryLoaded, Quotes, Recovered, TimerFired
from domain.facts import DecisionsRecorded
from domain.instruments import Universe

COUNTS = (100, 500)
CLOSES = 60
HISTORY = 610
START_MS = 1_767_571_200_000
GRACE_MS = 1_000


def run() -> Figures:
    """Milliseconds from the last frame of a close to its decisions on disk, and of one bare insert of as many rows."""
    figures: Figures = {}
    for count in COUNTS:
        waits, store_ms = asyncio.run(_closes(count))
        figures[f"p50_ms_{count}"] = round(statistics.median(waits), 3)
        figures[f"p99_ms_{count}"] = round(sorted(waits)[int(len(waits) * 0.99)], 3)
        figures[f"ratio_to_store_{count}"] = round(statistics.median(waits) / store_ms, 2)
    return figures


async def _closes(count: int) -> tuple[list[float], float]:
    interval = Interval.M1
    universe = Universe(profile.instrument for profile in profiles(count))
    manager = StrategyManager(OverridesParser(False, None, ()), OverridesText("defaults", None, ABSENT, 0, 0, 0, 0))
    engine = UnifiedEngine(EngineSettings("bench", interval), universe, MeiAlphaV1(StreamBank()), manager)
    prices = _walks(count)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        identity = LedgerIdentity("paper", "local", "bench")
        ledger = SqliteLedger(where / "ledger.sqlite", identity, created_ms=START_MS, chance=random.Random(7))
        decisions = SqliteDecisionLog(where / "decisions.sqlite", 1_000_000, "bench")
        candles = SqliteCandleStore(where / "candles.sqlite", universe.symbols)
        committer = Committer(ledger, decisions, candles)
        now_ms = START_MS + HISTORY * interval.ms
        await committer.commit(engine.handle(1, now_ms, Recovered(ledger.load(), "")).facts)
        engine.handle(2, now_ms, AccountSnapshot(Decimal(10_000), (), now_ms))
        for place, symbol in enumerate(universe.symbols):
            window = _window(symbol, interval, prices[:HISTORY, place])
            await committer.commit(engine.handle(3, now_ms, HistoryLoaded(symbol, interval, window, "bench")).facts)
        waits, stores = [], []
        for close in range(CLOSES):
            wait_ms, store_ms = await _one_close(engine, committer, prices, HISTORY + close, interval)
            waits.append(wait_ms)
            stores.append(store_ms)
        committer.close()
        for store in (candles, decisions, ledger):
            store.close()
    return waits[5:], statistics.median(stores[5:])


async def _one_close(
    engine: UnifiedEngine, committer: Committer, prices: FloatColumn, row: int, interval: Interval
) -> tuple[float, float]:
    """Milliseconds of one close, and of writing its decisions alone once more."""
    count = prices.shape[1]
    ids = np.arange(count, dtype=np.intp)
    open_ms = START_MS + row * interval.ms
    close = prices[row]
    frame = CandleBatch(interval, open_ms, ids, close, close * 1.001, close * 0.999, close, np.full(count, 10.0))
    end_ms = open_ms + interval.ms
    engine.handle(4, end_ms - 1, Quotes(end_ms - 1, ids, close * 0.9999, close * 1.0001))
    started = time.perf_counter()
    step = engine.handle(5, end_ms - 1, CandleUpdates(frame, end_ms - 1))
    assert not step.facts, "nothing is decided before the close"
    step = engine.handle(6, end_ms + GRACE_MS, TimerFired())
    await committer.commit(step.facts)
    waited = time.perf_counter() - started
    records = [fact for fact in step.facts if isinstance(fact, DecisionsRecorded)]
    assert sum(len(record.symbols) for record in records) == count, "every symbol is decided on"
    started = time.perf_counter()
    await committer.commit(records)
    return waited * 1000, (time.perf_counter() - started) * 1000


def _walks(count: int) -> FloatColumn:
    chance = np.random.default_rng(7)
    return 100 * np.exp(np.cumsum(chance.normal(0, 0.002, (HISTORY + CLOSES, count)), axis=0))


def _window(symbol: str, interval: Interval, close: FloatColumn) -> CandleWindow:
    times = START_MS + np.arange(len(close), dtype=np.int64) * interval.ms
    close = close.copy()
    return CandleWindow(symbol, interval, times, close, close * 1.001, close * 0.999, close, np.full(len(close), 10.0))


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
