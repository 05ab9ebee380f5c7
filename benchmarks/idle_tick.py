"""Idle cost: one engine tick with nothing due, beside rebuilding every symbol's frame and indicators with pandas."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapters.clocks import SystemClock
from adapters.sim.symbols import profiles
from adapters.strategies.mei_alpha_v1 import MeiAlphaV1
from adapters.strategies.stream_bank import StreamBank
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.inbox import Inbox
from application.strategy_manager import StrategyManager
from benchmarks._runs import Figures, best_of, main
from config.yaml_reader import OverridesParser
from domain.candles import CandleBatch, CandleWindow, Interval
from domain.config_events import ABSENT, OverridesText
from domain.events import CandleUpdates, HistoryLoaded, TimerFired
from domain.instruments import Universe

COUNTS = (100, 500, 2_000)
TICKS = 20_000
ROWS = 300
DAEMON_SYMBOLS = 100
DAEMON_S = 60


def run() -> Figures:
    figures: Figures = {}
    for count in COUNTS:
        figures[f"tick_us_{count}"] = round(_tick_s(count) * 1e6, 3)
    rebuild_s = _rebuild_s(500)
    figures["rebuild_ms_at_500"] = round(rebuild_s * 1e3, 1)
    figures["ratio_to_rebuild_at_500"] = round(rebuild_s / (figures["tick_us_500"] / 1e6))
    figures["growth_2000_over_100"] = round(figures["tick_us_2000"] / figures["tick_us_100"], 3)
    figures["daemon_symbols"] = DAEMON_SYMBOLS
    figures["idle_cpu_s_per_hour"] = round(_daemon_cpu_s(DAEMON_S) * 3600 / DAEMON_S, 1)
    return figures


def _tick_s(count: int) -> float:
    """Seconds of one tick: the clock is asked, a timer goes through the inbox, the engine looks at the hub."""
    clock, inbox = SystemClock(), Inbox()
    engine = _warm_engine(count, clock.now_ms())

    def ticks() -> None:
        for seq in range(TICKS):
            inbox.put(TimerFired())
            event = inbox.take()
            assert event is not None, "a timer was put"
            step = engine.handle(seq, clock.now_ms(), event)
            assert not step.facts and not step.effects, "nothing is due"

    return best_of(5, ticks) / TICKS


def _warm_engine(count: int, now_ms: int) -> UnifiedEngine:
    """An engine with a full ring for every symbol and a running candle that ends in an hour."""
    interval = Interval.H1
    universe = Universe(profile.instrument for profile in profiles(count))
    manager = StrategyManager(OverridesParser(False, None, ()), OverridesText("defaults", None, ABSENT, 0, 0, 0, 0))
    engine = UnifiedEngine(EngineSettings("bench", interval), universe, MeiAlphaV1(StreamBank()), manager)
    newest_ms = interval.open_of(now_ms)
    times = np.arange(newest_ms - 610 * interval.ms, newest_ms, interval.ms, dtype=np.int64)
    window = _walk(universe.symbols[0], interval, times)
    for symbol in universe.symbols:
        columns = (window.open, window.high, window.low, window.close, window.volume)
        own = CandleWindow(symbol, interval, times.copy(), *columns)
        engine.handle(0, now_ms, HistoryLoaded(symbol, interval, own, "bench"))
    ids = np.arange(count, dtype=np.intp)
    ones = np.full(count, window.close[-1])
    engine.handle(0, now_ms, CandleUpdates(CandleBatch(interval, newest_ms, ids, ones, ones, ones, ones, ones), now_ms))
    assert not engine.hub.is_due(now_ms), "what had closed was taken"
    return engine


def _walk(symbol: str, interval: Interval, times: npt.NDArray[np.int64]) -> CandleWindow:
    chance = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.003, len(times))))
    return CandleWindow(symbol, interval, times, close, close * 1.002, close * 0.998, close, np.full(len(times), 10.0))


def _rebuild_s(count: int) -> float:
    """Seconds to rebuild `count` frames of 300 rows with the strategy's indicators, the way pandas users write them."""
    import pandas as pd

    window = _walk("BTC", Interval.H1, np.arange(ROWS, dtype=np.int64) * Interval.H1.ms)
    rows = list(zip(window.open_ms, window.open, window.high, window.low, window.close, window.volume, strict=True))

    def rebuild() -> None:
        for _ in range(count):
            frame = pd.DataFrame(rows, columns=["timestamp", "Open", "High", "Low", "Close", "Volume"])
            high, low, close, volume = frame["High"], frame["Low"], frame["Close"], frame["Volume"]
            for name, span in (("EMA_fast", 20), ("EMA_slow", 50), ("EMA_macro", 200)):
                frame[name] = close.ewm(span=span, adjust=False).mean()
            before = close.shift()
            true_range = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(axis=1)
            frame["ATR"] = true_range.ewm(alpha=1 / 14, adjust=False).mean()
            up, down = high.diff(), -low.diff()
            plus = up.where((up > down) & (up > 0), 0.0).ewm(alpha=1 / 14, adjust=False).mean() / frame["ATR"]
            minus = down.where((down > up) & (down > 0), 0.0).ewm(alpha=1 / 14, adjust=False).mean() / frame["ATR"]
            frame["ADX"] = ((plus - minus).abs() / (plus + minus) * 100).ewm(alpha=1 / 14, adjust=False).mean()
            change = close.diff()
            gain = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
            loss = (-change.clip(upper=0)).ewm(alpha=1 / 14, adjust=False).mean()
            frame["RSI"] = 100 - 100 / (1 + gain / loss)
            least, most = frame["RSI"].rolling(14).min(), frame["RSI"].rolling(14).max()
            frame["stoch_k"] = ((frame["RSI"] - least) / (most - least)).rolling(3).mean()
            macd = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
            frame["MACD_hist"] = macd - macd.ewm(span=9, adjust=False).mean()
            middle, spread = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
            frame["bb_width"] = ((middle + 2 * spread) - (middle - 2 * spread)) / close
            frame["avg_bb_width"] = frame["bb_width"].rolling(30).mean()
            frame["vol_sma"] = volume.rolling(20).mean()
            frame["vol_trend"] = volume.rolling(5).mean() > frame["vol_sma"]
            frame["avg_ATR"] = frame["ATR"].rolling(50).mean()

    return best_of(2, rebuild)


def _daemon_cpu_s(seconds: int) -> float:
    """CPU seconds of the real daemon over a stretch in which no candle closes; its venue is a process of its own."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AI_QUANT_")}
        environ |= {
            "AI_QUANT_USER_DIR": folder,
            "AI_QUANT_INTERVAL": "1h",
            "AI_QUANT_TIME_SCALE": "1",
            "AI_QUANT_LOCAL_SYMBOLS": str(DAEMON_SYMBOLS),
            "AI_QUANT_LOG_FORMAT": "json",
            "PYTHONPATH": str(root),
        }
        log_path = Path(folder) / "log"
        with log_path.open("w") as log:
            command = [sys.executable, "-m", "entrypoints.daemon"]
            daemon = subprocess.Popen(command, env=environ, cwd=root, stdout=log, stderr=log)
            try:
                _wait_until_warm(log_path, daemon)
                before = _cpu_s(daemon.pid)
                time.sleep(seconds)
                used = _cpu_s(daemon.pid) - before
            finally:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(timeout=30)
    return used


def _wait_until_warm(log_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while '"still_to_come": 0' not in log_path.read_text():
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the daemon did not warm up:\n{log_path.read_text()[-2000:]}")
        time.sleep(0.2)
    time.sleep(3)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
