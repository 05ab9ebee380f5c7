"""A user's analyze(df, …): loading it, running it in a process, and what its answers may be."""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from adapters.strategies.dataframe import CandleRing, DataFrameStrategy
from adapters.strategies.plain_config import config_from, plain_config
from adapters.strategies.user_answer import BadAnswer, read_answer
from adapters.strategies.user_strategy import load_user_strategy
from adapters.strategies.worker import DataFrameWorker
from adapters.strategies.worker_process import WorkerProcess
from adapters.strategies.worker_protocol import WorkRequest, pack_request
from domain.candles import CandleWindow
from domain.signals import FEATURE_INDEX, NO_GATE, Analyses, analyses_problem
from domain.strategy_config import SymbolConfig
from domain.strategy_job import StrategyJob
from ports.strategy import Strategy, StrategyFailed, StrategyNotFound, StrategyWorker
from tests.strategy_samples import HOUR_MS, batch_at, book_with, part_of, random_window, universe_of

FIXTURE = '''
import math, os, sys, time

def analyze(df, symbol, btc_bullish, config):
    """Buys what rose, sells what fell; some symbols misbehave by their name."""
    if symbol == "RAISES":
        raise ValueError("cannot judge this")
    if symbol == "EXITS":
        sys.exit(3)
    if symbol == "NAN":
        return float("nan"), "low", None
    print("noise on standard output", symbol)
    change = df["Close"].iloc[-1] - df["Close"].iloc[0]
    signal = "BUY" if change > 0 else "SELL" if change < 0 else "NEUTRAL"
    row = df.iloc[-1].copy()
    row["ATR"], row["ADX"] = 1.5, 30.0
    row["audit"] = {"gates": {"rose": bool(change > 0)}}
    return signal, "high", row

def seen(df, symbol, btc_bullish, config):
    """Reports what it was given, through the features."""
    row = {
        "ATR": float(len(df)), "ADX": float(btc_bullish is True), "RSI": config["thresholds"]["entry"]["min_adx"],
        "EMA_fast": float(df["T"].iloc[-1]), "EMA_slow": float(df["timestamp"].iloc[-1]),
        "EMA_macro": df["Volume"].iloc[-1],
        "MACD_hist": df["Open"].iloc[0], "prev_MACD_hist": df["High"].max(), "prev2_MACD_hist": df["Low"].min(),
        "tp_mult": float(list(df.columns) == ["timestamp", "T", "s", "i", "Open", "High", "Low", "Close", "Volume"]),
        "prev3_MACD_hist": float(df["s"].iloc[0] == symbol and df["i"].iloc[0] == "1h"),
    }
    config["thresholds"]["entry"]["min_adx"] = 77.0     # must not reach the next call
    df["Close"] = 0.0
    return "NEUTRAL", "low", row

def environment(df, symbol, btc_bullish, config):
    hidden = [name for name in os.environ if name.startswith(("AI_QUANT_", "HL_"))]
    fixed = os.environ["PYTHONHASHSEED"] == "0"
    return "NEUTRAL", "low", {"ATR": float(len(hidden)), "ADX": float(fixed), "EMA_fast": float(os.getpid())}

def forever(df, symbol, btc_bullish, config):
    if symbol == "SLOW":
        while True:
            pass
    return "BUY", "low", {"EMA_fast": float(os.getpid())}

def all_slow(df, symbol, btc_bullish, config):
    time.sleep(60)

def dies(df, symbol, btc_bullish, config):
    if symbol.startswith("DIES"):
        os._exit(7)
    return "BUY", "low", None

def forges(df, symbol, btc_bullish, config):
    if symbol == "FORGES":
        import gc, io, json, struct
        is_file = lambda each: isinstance(each, io.BufferedWriter) and isinstance(each.name, int) and each.name > 2
        pipe = next(each for each in gc.get_objects() if is_file(each))
        body = json.dumps({"job_no": 1, "symbol": symbol, "answer": {"signal": True, "confidence": 2}}).encode()
        pipe.write(struct.pack(">Q", len(body)) + body)
        pipe.flush()
    return "BUY", "low", None

def many_gates(df, symbol, btc_bullish, config):
    return "BUY", "low", {"audit": {"gates": {f"{symbol} {number}": False for number in range(40)}}}

def three_arguments(df, symbol, config):
    return "NEUTRAL", "low", None

async def coroutine(df, symbol, btc_bullish, config):
    return "NEUTRAL", "low", None

number = 3
'''


WorkerMaker: TypeAlias = Callable[..., DataFrameWorker]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A module of the user's, importable here and in workers."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "user_strategies_of_the_tests.py").write_text(FIXTURE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield "user_strategies_of_the_tests"


@pytest.fixture(scope="module")
def shared_worker_for(module: str) -> Iterator[WorkerMaker]:
    """One worker a function, for tests that leave it running: a start takes a second."""
    workers: dict[str, DataFrameWorker] = {}

    def get(function: str) -> DataFrameWorker:
        return workers.setdefault(function, DataFrameWorker(f"{module}:{function}"))

    yield get
    for worker in workers.values():
        worker.close_sync()


@pytest.fixture
def worker_for(module: str) -> Iterator[WorkerMaker]:
    workers: list[DataFrameWorker] = []

    def make(function: str, **settings: Any) -> DataFrameWorker:
        worker = DataFrameWorker(f"{module}:{function}", **settings)
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.close_sync()


def job_for(
    *symbols: str, lookback: int = 50, count: int = 60, btc: bool | None = None, **sections: Any
) -> StrategyJob:
    """The job of a batch in which all symbols decide, made by the strategy itself."""
    windows = [random_window(symbol, 7 + place, count) for place, symbol in enumerate(symbols)]
    strategy = DataFrameStrategy("user:analyze", lookback=lookback)
    assert strategy.configure(book_with(**sections), universe_of(*symbols)) == ()
    for symbol_id, window in enumerate(windows):
        strategy.rebuild(symbol_id, part_of(window, 0, count - 1))
    job = strategy.advance(batch_at(windows, (count - 1) * HOUR_MS), np.ones(len(symbols), dtype=bool), btc)
    assert isinstance(job, StrategyJob)
    return job


def feature(said: Analyses, place: int, name: str) -> float:
    return float(said.features[FEATURE_INDEX[name], place])


# --- the strategy: candles in, jobs out ---------------------------------------------------------


def test_it_is_a_strategy_named_after_its_function() -> None:
    strategy: Strategy = DataFrameStrategy("mine:analyze", lookback=10)
    assert strategy.name == "mine:analyze"


def test_a_job_holds_the_newest_candles_of_who_decides_in_batch_order() -> None:
    symbols = ("A", "B", "C")
    windows = [random_window(symbol, place, 40) for place, symbol in enumerate(symbols)]
    strategy = DataFrameStrategy("mine:analyze", lookback=12)
    strategy.configure(book_with(), universe_of(*symbols))
    for symbol_id, window in enumerate(windows):
        strategy.rebuild(symbol_id, part_of(window, 0, 30))
    job = strategy.advance(batch_at(windows, 30 * HOUR_MS), np.array([True, False, True]), True)
    assert isinstance(job, StrategyJob)
    assert job.batch.ids.tolist() == [0, 2]
    assert job.batch.close.tolist() == [windows[0].close[30], windows[2].close[30]]
    assert [window.symbol for window in job.windows] == ["A", "C"]
    assert all(len(window) == 12 for window in job.windows)
    assert job.windows[1].close.tolist() == windows[2].close[19:31].tolist()
    assert job.windows[1].open_ms.tolist() == windows[2].open_ms[19:31].tolist()
    assert (job.job_no, job.btc_bullish) == (1, True)
    following = strategy.advance(batch_at(windows, 31 * HOUR_MS), np.array([False, True, False]), None)
    assert isinstance(following, StrategyJob)
    assert following.job_no == 2
    assert following.windows[0].close.tolist() == windows[1].close[20:32].tolist()  # it moved on without deciding


def test_a_young_symbol_gives_what_it_has() -> None:
    assert len(job_for("A", lookback=50, count=5).windows[0]) == 5


def test_nobody_deciding_is_an_empty_answer_and_no_job() -> None:
    window = random_window("A", 1, 10)
    strategy = DataFrameStrategy("mine:analyze", lookback=5)
    strategy.configure(book_with(), universe_of("A"))
    said = strategy.advance(batch_at([window], 0), np.array([False]), None)
    assert isinstance(said, Analyses)
    assert analyses_problem(said) is None
    with pytest.raises(AssertionError, match="rebuilt"):
        strategy.advance(batch_at([window], HOUR_MS), np.array([True]), None)


def test_a_forgotten_symbol_counts_as_never_built() -> None:
    window = random_window("A", 1, 10)
    strategy = DataFrameStrategy("mine:analyze", lookback=5)
    strategy.configure(book_with(), universe_of("A"))
    strategy.rebuild(0, part_of(window, 0, 5))
    strategy.forget(0)
    strategy.forget(0)
    with pytest.raises(AssertionError, match="rebuilt"):
        strategy.advance(batch_at([window], 5 * HOUR_MS), np.array([True]), None)


@pytest.mark.parametrize("lookback", [1, 2, 63, 64, 65, 200])
def test_a_ring_is_the_tail_of_all_it_saw(lookback: int) -> None:
    whole = random_window("A", 2, 500)
    ring = CandleRing(part_of(whole, 0, 90), lookback)
    columns = (whole.open, whole.high, whole.low, whole.close, whole.volume)
    for place in range(90, 500):
        open_, high, low, close, volume = (float(column[place]) for column in columns)
        ring.append(int(whole.open_ms[place]), (open_, high, low, close, volume))
        if place % 7 == 0 or place == 499:
            window, wanted = ring.window(), part_of(whole, max(0, place + 1 - lookback), place + 1)
            assert same_window(window, wanted)


def same_window(one: CandleWindow, other: CandleWindow) -> bool:
    names = ("open_ms", "open", "high", "low", "close", "volume")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_a_job_does_not_change_when_the_ring_moves_on() -> None:
    windows = [random_window("A", 1, 400)]
    strategy = DataFrameStrategy("mine:analyze", lookback=50)
    strategy.configure(book_with(), universe_of("A"))
    strategy.rebuild(0, part_of(windows[0], 0, 100))
    job = strategy.advance(batch_at(windows, 100 * HOUR_MS), np.array([True]), None)
    assert isinstance(job, StrategyJob)
    before = job.windows[0].close.copy()
    for place in range(101, 400):
        strategy.advance(batch_at(windows, place * HOUR_MS), np.array([False]), None)
    assert job.windows[0].close.tolist() == before.tolist()


# --- loading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_colon", "module:function"),
        ("a:b:c", "module:function"),
        ("rm -rf:x", "module:function"),
        ("no_such_module_here:analyze", "no module no_such_module_here"),
        ("no_such_package.inner:analyze", "no module no_such_package.inner"),
        ("math:no_such_function", "no function no_such_function"),
        ("{module}:number", "int, not a function"),
        ("{module}:three_arguments", "cannot be called with"),
        ("{module}:coroutine", "coroutine"),
    ],
)
def test_a_strategy_that_cannot_be_loaded_says_why(module: str, spec: str, message: str) -> None:
    pattern = message.replace("(", r"\(")
    with pytest.raises(StrategyNotFound, match=pattern):
        load_user_strategy(spec.format(module=module))


def test_a_module_that_fails_while_it_is_imported_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_user_module.py").write_text("import no_such_library_at_all\n")
    (tmp_path / "exiting_user_module.py").write_text("raise SystemExit(2)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StrategyNotFound, match="no_such_library_at_all"):
        load_user_strategy("broken_user_module:analyze")
    with pytest.raises(StrategyNotFound, match="SystemExit"):
        load_user_strategy("exiting_user_module:analyze")


def test_the_earlier_engines_strategy_can_be_named_too() -> None:
    assert callable(load_user_strategy("adapters.strategies.mei_alpha_v1:analyze"))


# --- answers ------------------------------------------------------------------------------------


def answer_with(row: object, signal: object = "BUY", confidence: object = "low") -> Any:
    return read_answer((signal, confidence, row), 100.0)


def test_a_row_is_read_by_the_names_of_the_earlier_engine() -> None:
    row = {
        "ATR": 1,
        "ADX": np.float32(30.5),
        "RSI": Decimal("55.5"),
        "bb_width": 0.3,
        "avg_bb_width": 0.2,
        "is_anomaly": np.bool_(True),
        "prev2_MACD_hist": -0.5,
        "Close": 3.0,
        "entry_adx_threshold": 22,
    }
    answer = answer_with(row)
    known = {
        name: answer.features[place] for name, place in FEATURE_INDEX.items() if not math.isnan(answer.features[place])
    }
    assert known == {
        "close": 100.0,  # the candle's own
        "atr": 1.0,
        "adx": 30.5,
        "rsi": 55.5,
        "macd_hist_2": -0.5,
        "bb_width_ratio": pytest.approx(1.5),
        "is_anomaly": 1.0,
        "entry_adx_threshold": 22.0,
    }


def test_what_a_row_does_not_say_is_not_known() -> None:
    import pandas as pd

    for row in (
        None,
        {},
        {"ATR": None},
        {"ATR": math.nan},
        {"ATR": pd.NA},
        pd.Series({"ATR": np.nan}),
        {"ATR": pd.NaT},
    ):
        assert math.isnan(answer_with(row).features[FEATURE_INDEX["atr"]])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "has to return"),
        (("BUY", "low"), "has to return"),
        (["BUY", "low", None], "has to return"),
        (("HOLD", "low", None), "signal"),
        (("buy", "low", None), "signal"),
        ((math.nan, "low", None), "signal"),
        ((True, "low", None), "signal"),
        ((1, "low", None), "signal"),
        ((None, "low", None), "signal"),
        (("BUY", True, None), "confidence"),
        (("BUY", 2, None), "confidence"),
        (("BUY", math.nan, None), "confidence"),
        (("BUY", "sure", None), "confidence"),
        (("BUY", "low", 3), "row"),
        (("BUY", "low", "ATR"), "row"),
        (("BUY", "low", {"ATR": "1.5"}), "ATR"),
        (("BUY", "low", {"ATR": True}), "ATR"),
        (("BUY", "low", {"ATR": np.bool_(True)}), "ATR"),
        (("BUY", "low", {"ATR": math.inf}), "ATR"),
        (("BUY", "low", {"ATR": -math.inf}), "ATR"),
        (("BUY", "low", {"ATR": 10**400}), "ATR"),
        (("BUY", "low", {"ATR": -0.1}), "ATR"),
        (("BUY", "low", {"ADX": 100.1}), "ADX"),
        (("BUY", "low", {"RSI": -1}), "RSI"),
        (("BUY", "low", {"tp_mult": -2}), "tp_mult"),
        (("BUY", "low", {"EMA_fast": 1j}), "EMA_fast"),
        (("BUY", "low", {"MACD_hist": [1.0]}), "MACD_hist"),
        (("BUY", "low", {"is_anomaly": "yes"}), "is_anomaly"),
        (("BUY", "low", {"is_anomaly": 2}), "is_anomaly"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused_with_its_reason(answer: object, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        read_answer(answer, 100.0)


def test_the_config_survives_the_way_there_and_back() -> None:
    assert config_from(plain_config(SymbolConfig())) == SymbolConfig()
    changed = config_from(
        {"trade": {"leverage": 7, "entry_min_confidence": "low"}, "thresholds": {"entry": {"min_adx": 9}}}
    )
    assert config_from(plain_config(changed)) == changed
    assert plain_config(changed)["trade"]["leverage"] == 7.0
    assert plain_config(changed)["thresholds"]["entry"]["macd_hist_entry_mode"] == "accel"


# --- the worker ---------------------------------------------------------------------------------


def test_a_job_comes_back_as_columns(shared_worker_for: WorkerMaker) -> None:
    worker: StrategyWorker = shared_worker_for("analyze")
    assert isinstance(worker, DataFrameWorker)
    job = job_for("A", "B", "C")
    said = worker.run_sync(job)
    rose = [bool(window.close[-1] > window.close[0]) for window in job.windows]
    assert said.ids.tolist() == job.batch.ids.tolist()
    assert said.signal.tolist() == [1 if up else -1 for up in rose]
    assert said.confidence.tolist() == [2, 2, 2]
    assert said.first_no.tolist() == [NO_GATE] * 3
    assert said.gate_names == ("rose", "analyze")
    assert said.gate_passed.tolist() == [rose, [True] * 3]
    assert feature(said, 1, "atr") == 1.5
    assert math.isnan(feature(said, 1, "rsi"))
    assert feature(said, 2, "close") == job.windows[2].close[-1]
    assert said.failures == {}


def test_a_symbol_that_fails_costs_only_its_own_decision(shared_worker_for: WorkerMaker) -> None:
    worker = shared_worker_for("analyze")
    said = worker.run_sync(job_for("A", "RAISES", "NAN", "EXITS", "B"))
    assert [sign != 0 for sign in said.signal.tolist()] == [True, False, False, False, True]
    row = said.gate_names.index("analyze")
    assert said.gate_passed[row].tolist() == [True, False, False, False, True]
    assert said.first_no[1:4].tolist() == [row] * 3
    assert np.isnan(said.features[:, 1:4]).all()
    assert list(said.failures) == [1, 2, 3]
    assert "ValueError: cannot judge this" in said.failures[1]
    assert ".py:" in said.failures[1]
    assert "signal has to be" in said.failures[2]
    assert "SystemExit" in said.failures[3]
    again = worker.run_sync(job_for("A"))
    assert again.signal.tolist() != [0]
    assert again.failures == {}


def test_analyze_sees_frame_config_and_btc_as_before_and_changes_reach_nobody(
    shared_worker_for: WorkerMaker,
) -> None:
    worker = shared_worker_for("seen")
    job = job_for("A", "B", lookback=20, btc=True, thresholds={"entry": {"min_adx": 31}})
    for _ in range(2):
        said = worker.run_sync(job)
        assert said.signal.tolist() == [0, 0]
        for place, window in enumerate(job.windows):
            assert feature(said, place, "atr") == 20
            assert feature(said, place, "adx") == 1.0
            assert feature(said, place, "rsi") == 31.0
            assert feature(said, place, "ema_fast") == window.open_ms[-1] + HOUR_MS - 1
            assert feature(said, place, "ema_slow") == window.open_ms[-1]
            assert feature(said, place, "ema_macro") == window.volume[-1]
            assert feature(said, place, "macd_hist") == window.open[0]
            assert feature(said, place, "macd_hist_1") == window.high.max()
            assert feature(said, place, "macd_hist_2") == window.low.min()
            assert feature(said, place, "macd_hist_3") == 1.0
            assert feature(said, place, "tp_mult") == 1.0
            assert feature(said, place, "close") == window.close[-1]
    other = worker.run_sync(job_for("A", "B", lookback=20, thresholds={"entry": {"min_adx": 32}}))
    assert [feature(other, place, "rsi") for place in (0, 1)] == [32.0, 32.0]
    assert feature(other, 0, "adx") == 0.0


def test_no_variable_of_the_daemon_reaches_a_users_code(
    worker_for: WorkerMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_QUANT_SECRETS_PATH", "somewhere")
    monkeypatch.setenv("HL_WS_URL", "somewhere")
    said = worker_for("environment").run_sync(job_for("A"))
    assert feature(said, 0, "atr") == 0
    assert feature(said, 0, "adx") == 1.0


def test_who_does_not_come_to_an_end_costs_the_others_nothing(worker_for: WorkerMaker) -> None:
    worker = worker_for("forever", deadline_s=8.0)
    first = int(feature(worker.run_sync(job_for("A")), 0, "ema_fast"))
    began_s = time.monotonic()
    said = worker.run_sync(job_for("A", "SLOW", "B", "C"))
    assert time.monotonic() - began_s < 8.5
    assert said.failures == {1: "it overran its deadline of 4 s"} or "overran its deadline of 3." in said.failures[1]
    assert said.signal.tolist() == [1, 0, 1, 1]
    assert_gone(first)
    assert int(feature(said, 2, "ema_fast")) == int(feature(said, 3, "ema_fast")) != first


def test_who_overran_is_asked_last_and_briefly_from_then_on(worker_for: WorkerMaker) -> None:
    worker = worker_for("forever", deadline_s=4.0)
    worker.run_sync(job_for("SLOW", "A"))
    worker.start()
    began_s = time.monotonic()
    said = worker.run_sync(job_for("SLOW", "A", "B"))
    assert said.failures == {0: "it overran its deadline of 0.4 s"}
    assert said.signal.tolist() == [0, 1, 1]
    assert time.monotonic() - began_s < 3.0


def test_a_batch_ends_in_time_and_everybody_left_is_told_why(worker_for: WorkerMaker) -> None:
    worker = worker_for("all_slow", deadline_s=2.0)
    worker.start()
    began_s = time.monotonic()
    said = worker.run_sync(job_for("A", "B", "C", "D", "E", "F", "G", "H"))
    assert time.monotonic() - began_s < 3.0
    assert not said.signal.any()
    assert list(said.failures) == list(range(8))
    assert "overran its deadline of 1 s" in said.failures[0] or "0.9" in said.failures[0]
    assert "before its turn" in said.failures[7] or "did not start" in said.failures[7]


def test_a_worker_ends_with_its_parent_even_out_of_an_endless_loop(module: str) -> None:
    process = WorkerProcess(f"{module}:forever")
    process.exchange(b"", 60.0)
    job = job_for("SLOW")
    request = pack_request(WorkRequest(1, job.windows, None, (pickle.dumps({}),)))
    assert os.write(process.requests.fileno(), request) == len(request)
    process.requests.close()  # what the kernel does for a parent that was killed
    try:
        _, status = os.waitpid(process.pid, 0)
    finally:
        process.stop()
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_process_that_dies_fails_the_symbol_that_it_was_at(worker_for: WorkerMaker) -> None:
    worker = worker_for("dies")
    said = worker.run_sync(job_for("A", "DIES", "B"))
    assert said.failures == {1: "its process ended with status 7"}
    assert said.signal.tolist() == [1, 0, 1]


def test_a_batch_uses_up_a_few_processes_at_most(worker_for: WorkerMaker) -> None:
    worker = worker_for("dies")
    said = worker.run_sync(job_for("DIES", "DIES2", "DIES3", "DIES4", "A", "B"))
    assert [said.failures[place] for place in range(4)] == ["its process ended with status 7"] * 4
    assert said.failures[4] == said.failures[5] == "the strategy's process was lost 4 times over this batch"
    said = worker.run_sync(job_for("DIES", "DIES2", "DIES3", "DIES4", "A", "B"))
    assert said.signal.tolist() == [0, 0, 0, 0, 1, 1]  # who died is asked last from now on


def test_a_process_that_says_something_else_is_not_believed(worker_for: WorkerMaker) -> None:
    worker = worker_for("forges")
    said = worker.run_sync(job_for("A", "FORGES", "B"))
    assert list(said.failures) == [1]
    assert "no signal" in said.failures[1]
    assert said.signal.tolist() == [1, 0, 1]


def test_names_of_gates_are_limited_over_a_batch_too(worker_for: WorkerMaker) -> None:
    said = worker_for("many_gates").run_sync(job_for("A", "B", "C", "D", "E", "F"))
    assert said.failures == {}
    assert len(said.gate_names) == 101
    assert said.signal.tolist() == [1] * 6


def test_a_process_is_replaced_after_so_many_jobs(worker_for: WorkerMaker) -> None:
    worker = worker_for("environment", recycle_after_jobs=2)
    pids = [int(feature(worker.run_sync(job_for("A")), 0, "ema_fast")) for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]
    assert_gone(pids[0])


def test_start_says_what_cannot_be_loaded(worker_for: WorkerMaker) -> None:
    with pytest.raises(StrategyNotFound, match="no function missing"):
        worker_for("missing").start()
    with pytest.raises(StrategyFailed, match="no function missing"):
        worker_for("missing").run_sync(job_for("A"))


async def test_closing_ends_the_process_and_is_idempotent(worker_for: WorkerMaker) -> None:
    worker = worker_for("environment")
    pid = int(feature(await worker.run(job_for("A")), 0, "ema_fast"))
    await worker.close()
    await worker.close()
    assert_gone(pid)
    with pytest.raises(StrategyFailed, match="closed"):
        await worker.run(job_for("A"))


def test_the_same_job_gives_the_same_answer_in_any_process(
    shared_worker_for: WorkerMaker, worker_for: WorkerMaker
) -> None:
    job = job_for("A", "B")
    one, other = (worker.run_sync(job) for worker in (shared_worker_for("analyze"), worker_for("analyze")))
    assert one.features.tobytes() == other.features.tobytes()
    assert one.signal.tolist() == other.signal.tolist()


def test_mei_runs_in_a_worker_too() -> None:
    worker = DataFrameWorker("adapters.strategies.mei_alpha_v1:analyze")
    try:
        said = worker.run_sync(job_for("BTC", "ETH", lookback=300, count=400))
    finally:
        worker.close_sync()
    assert said.failures == {}
    assert analyses_problem(said) is None
    assert said.gate_names[-1] == "analyze"
    assert "min_adx" in said.gate_names
    assert not np.isnan(said.features[FEATURE_INDEX["atr"]]).any()


def assert_gone(pid: int) -> None:
    """The process has ended and was waited for: its number is free."""
    end = time.monotonic() + 5.0
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} is still there")
