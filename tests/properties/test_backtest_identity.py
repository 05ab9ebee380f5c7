"""A backtest's money adds up, twice the same, and nothing in it knows the future.

The recount below reads the fills, the fundings and the candles, in fractions, and shares nothing with
the engine or the exchange.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sim.exchange import ExchangeRules, SimExchange
from adapters.sim.memory_ledger import MemoryLedger
from application.backtest import Backtest, BacktestRecord, JobRunner, max_drawdown_pct
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.step import Step
from domain.candles import BoolColumn, CandleBatch, Interval
from domain.confidence import Confidence
from domain.events import Event
from domain.facts import FillRecorded, FundingRecorded
from domain.fills import FillCause
from domain.intents import Side
from domain.signals import Analyses, Signal
from domain.strategy_job import StrategyJob
from ports.strategy import WARMUP_CANDLES, Strategy, StrategyFailed
from tests.engine_builders import START_MS, Bar, Opinion, ScriptedStrategy, batch_of, manager_of, universe_of

SYMBOLS = ("BTC", "ETH", "SOL")
HOUR_MS = Interval.H1.ms
START_USD = Decimal(10_000)
NANO = Fraction(1, 10**9)
"""Averages are cut somewhere: what a sum may be off while a position is open, in USD."""
CONFIG = """
global:
  trade: {entry_min_confidence: low, allocation_pct: 0.3, add_cooldown_minutes: 0, entry_cooldown_s: 0,
          reentry_cooldown_minutes: 0, min_atr_pct: 0, max_total_margin_pct: 1}
"""

# ── a market and a strategy, both a function of one number ───────────────────────────────────


def bars_of(seed: int, symbol_id: int, count: int) -> list[Bar]:
    """A walk in whole cents with gaps, wicks and candles without any trade."""
    rng = random.Random(f"{seed} {symbol_id}")
    close, bars = rng.randint(12_000, 60_000), []
    for _ in range(count):
        step = max(1, close // 100)
        open_ = close + (rng.randint(-3 * step, 3 * step) if rng.random() < 0.1 else 0)
        up, down = rng.randint(0, 2 * step), rng.randint(0, 2 * step)
        if rng.random() < 0.1:
            up = down = 0
        high, low = open_ + up, max(10_000, open_ - down)
        open_ = max(open_, low)
        close = rng.randint(low, max(high, open_))
        bars.append((open_ / 100, max(high, open_) / 100, low / 100, close / 100, 0.0 if high == low else 7.0))
    return bars


@dataclass(frozen=True)
class Market:
    """Candles of some symbols; `first` and `last` say where each symbol's begin and end."""

    seed: int
    hours: int
    first: tuple[int, ...]
    last: tuple[int, ...]

    @property
    def total(self) -> int:
        return WARMUP_CANDLES + self.hours

    def batches(self) -> list[CandleBatch]:
        bars = [bars_of(self.seed, symbol_id, self.total) for symbol_id in range(len(SYMBOLS))]
        batches = []
        for number in range(self.total):
            there = {
                symbol_id: bars[symbol_id][number]
                for symbol_id in range(len(SYMBOLS))
                if self.first[symbol_id] <= number < self.total - self.last[symbol_id]
            }
            if there:
                batches.append(batch_of(START_MS + number * HOUR_MS, there, Interval.H1))
        return batches


MARKETS = st.builds(
    Market,
    seed=st.integers(0, 2**32),
    hours=st.integers(5, 120),
    first=st.tuples(st.just(0), st.just(0), st.integers(0, 30)),
    last=st.tuples(st.just(0), st.sampled_from([0, 0, 4]), st.just(0)),
)


def opinions_of(seed: int, signal_share: float = 0.3) -> ScriptedStrategy:
    def opinion(symbol: str, open_ms: int) -> Opinion:
        rng = random.Random(hashlib.blake2b(f"{seed} {symbol} {open_ms}".encode()).digest())
        signal = rng.choice([Signal.BUY, Signal.SELL]) if rng.random() < signal_share else Signal.NEUTRAL
        features = {
            "adx": rng.uniform(19, 60),
            "adx_slope": rng.uniform(-1, 1),
            "rsi": rng.uniform(25, 75),
            "macd_hist": 0.5 * signal,
            "macd_hist_1": 0.2 * signal,
        }
        if rng.random() < 0.1:
            features |= {"ema_fast": rng.uniform(90, 110), "ema_slow": 100.0}
        return Opinion(signal, rng.choice(list(Confidence)), features)

    return ScriptedStrategy(universe_of(*SYMBOLS), opinion)


def rate_of(symbol: str, hour_ms: int) -> tuple[Decimal, Decimal] | None:
    hour = hour_ms // HOUR_MS
    if (hour + len(symbol)) % 11 == 0:
        return None
    return Decimal((hour * 7919 + SYMBOLS.index(symbol)) % 41 - 20) / 100_000, Decimal(100 + hour % 50)


class ToldEngine(UnifiedEngine):
    """Keeps every step it made."""

    def __init__(self, strategy: Strategy) -> None:
        engine_settings = EngineSettings("account", Interval.H1, warms_up_from_history=False)
        super().__init__(engine_settings, universe_of(*SYMBOLS), strategy, manager_of(CONFIG))
        self.told: list[Step] = []

    def handle(self, seq: int, at_ms: int, event: Event) -> Step:
        step = super().handle(seq, at_ms, event)
        self.told.append(step)
        return step


@dataclass
class Run:
    record: BacktestRecord
    engine: ToldEngine
    exchange: SimExchange
    ledger: MemoryLedger


def run(seed: int, batches: Sequence[CandleBatch]) -> Run:
    return run_with(opinions_of(seed), seed, batches)


def run_with(strategy: Strategy, seed: int, batches: Sequence[CandleBatch], jobs: JobRunner | None = None) -> Run:
    engine, ledger = ToldEngine(strategy), MemoryLedger()
    rules = ExchangeRules(slippage_bps=Decimal(seed % 3 * 10))
    exchange = SimExchange(engine.universe, rules, START_USD, rate_of)
    return Run(Backtest(engine, exchange, ledger, jobs).run(batches), engine, exchange, ledger)


# ── the recount ──────────────────────────────────────────────────────────────────────────────


@dataclass
class Recount:
    """Realised, fees, funding and what is open, counted from the exported rows alone."""

    realised: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        self.open: dict[str, tuple[Fraction, Fraction]] = {}  # signed size and what it cost
        self.realised_in: dict[str, Fraction] = {}

    def fill(self, row: FillRecorded) -> Fraction:
        fill = row.fill
        size = Fraction(fill.size) * (1 if fill.side is Side.BUY else -1)
        held, cost = self.open.get(fill.symbol, (Fraction(0), Fraction(0)))
        gained = Fraction(0)
        if held * size < 0:
            part = size if abs(size) <= abs(held) else -held
            share = -part / held
            gained = cost * -share + -part * Fraction(fill.price)
            held, cost, size = held + part, cost * (1 - share), size - part
        self.open[fill.symbol] = (held + size, cost + size * Fraction(fill.price))
        self.realised += gained
        self.realised_in[fill.symbol] = self.realised_in.get(fill.symbol, Fraction(0)) + gained
        self.fees += Fraction(fill.fee)
        return gained

    def fund(self, row: FundingRecorded) -> None:
        self.funding += Fraction(row.amount_usd)

    def equity(self, prices: dict[str, float]) -> Fraction:
        unrealised = sum(
            (size * Fraction(str(prices[symbol])) - cost for symbol, (size, cost) in self.open.items() if size),
            Fraction(0),
        )
        return Fraction(START_USD) + self.realised - self.fees + self.funding + unrealised


@settings(max_examples=30)
@given(market=MARKETS)
def test_equity_is_start_plus_realised_minus_fees_plus_funding_plus_unrealised_at_every_close(market: Market) -> None:
    batches = market.batches()
    done = run(market.seed, batches)
    record = done.record
    recount, prices = Recount(), dict[str, float]()
    fills, fundings = deque(record.fills), deque(record.fundings)
    for number, (batch, (at_ms, equity)) in enumerate(zip(batches, record.equity, strict=True)):
        assert at_ms == batch.open_ms + HOUR_MS
        while fundings and fundings[0].time_ms < at_ms:
            recount.fund(fundings.popleft())
        while fills and fills[0].fill.time_ms < at_ms:
            row = fills.popleft()
            assert abs(recount.fill(row) - Fraction(row.realised)) < NANO
        for symbol_id, close in zip(batch.ids.tolist(), batch.close.tolist(), strict=True):
            prices[SYMBOLS[symbol_id]] = close
        if number >= WARMUP_CANDLES:
            assert abs(recount.equity(prices) - Fraction(equity)) < NANO
    assert not fills and not fundings
    portfolio = done.engine.portfolio
    assert abs(recount.realised - Fraction(portfolio.realised_usd)) < NANO
    assert recount.fees == Fraction(portfolio.fees_usd) and recount.funding == Fraction(portfolio.funding_usd)
    assert portfolio.cash_usd is not None
    assert abs(portfolio.cash_usd - done.exchange.account.cash) < Decimal("1e-9"), "our books and the venue's agree"
    ours = {symbol: position.size for symbol, position in portfolio.positions.items()}
    assert ours == dict(done.exchange.snapshot().positions)
    assert {symbol: size for symbol, (size, _) in recount.open.items() if size} == {
        symbol: Fraction(size) for symbol, size in ours.items()
    }
    for symbol, exact in recount.realised_in.items():
        if symbol not in ours:
            told = sum((Fraction(row.realised) for row in record.fills if row.fill.symbol == symbol), Fraction(0))
            assert told == exact, "once flat, not a fraction is missing"
    seen(f"fills: {min(len(record.fills), 40) // 10 * 10}+")
    seen("funded" if record.fundings else "not funded")
    seen("open at the end" if ours else "flat at the end")


@settings(max_examples=15)
@given(market=MARKETS)
def test_trades_fills_and_the_ledger_tell_one_story(market: Market) -> None:
    done = run(market.seed, market.batches())
    record = done.record
    state = done.ledger.load()
    portfolio = done.engine.portfolio
    assert (state.realised_usd, state.fees_usd, state.funding_usd) == (
        portfolio.realised_usd,
        portfolio.fees_usd,
        portfolio.funding_usd,
    )
    assert {position.symbol: position for position in state.positions} == portfolio.positions
    assert len({row.fill.trade_id for row in record.fills}) == len(record.fills)
    intents = {row.intent.intent_id: row.intent for row in record.intents}
    assert len(intents) == len(record.intents)
    opened: set[tuple[str, int, str]] = set()
    for intent in intents.values():
        if intent.key.action.increases_exposure:
            place = (intent.key.symbol, intent.key.open_ms, intent.key.action.value)
            assert place not in opened, "at most one entry per symbol and candle"
            opened.add(place)
    filled: dict[str, Decimal] = {}
    for row in record.fills:
        assert row.intent_id is not None or row.fill.cause is FillCause.LIQUIDATION, "every fill has its intent"
        if row.intent_id is not None:
            intent = intents[row.intent_id]
            filled[row.intent_id] = filled.get(row.intent_id, Decimal(0)) + row.fill.size
            assert filled[row.intent_id] <= intent.size
            assert row.fill.time_ms >= intent.decided_ms, "nothing fills before it was decided"
            if not intent.reduce_only:
                worse = (row.fill.price - intent.limit_price) * row.fill.side.sign
                assert worse <= 0 and row.fill.time_ms == intent.key.open_ms + HOUR_MS, "filled at the next open"
    round_trips = sum((Fraction(closed.trade.pnl) for closed in record.trades), Fraction(0))
    still_open = sum((Fraction(position.realised) for position in portfolio.positions.values()), Fraction(0))
    assert abs(round_trips + still_open - Fraction(portfolio.realised_usd)) < NANO
    for closed in record.trades:
        assert closed.trade.intent_id in intents and closed.trade.opened_ms <= closed.trade.closed_ms


@settings(max_examples=15)
@given(market=MARKETS)
def test_a_second_run_is_the_same_run(market: Market) -> None:
    first, second = run(market.seed, market.batches()), run(market.seed, market.batches())
    assert first.record == second.record and first.record.digest == second.record.digest
    assert first.ledger.digest() == second.ledger.digest()


@settings(max_examples=15)
@given(market=MARKETS, other=st.integers(0, 2**32), share=st.floats(0, 1))
def test_the_future_changes_nothing_that_was_decided_before(market: Market, other: int, share: float) -> None:
    """Everything through the open of the next candle is the same, whatever that candle and all later ones become."""
    batches = market.batches()
    cut = WARMUP_CANDLES + int(share * (market.hours - 2))
    future = Market(other, market.hours, market.first, market.last).batches()
    changed = [*batches[: cut + 1], same_open(batches[cut + 1], future[cut + 1]), *future[cut + 2 :]]
    known_ms = batches[cut + 1].open_ms
    warm_ms = batches[WARMUP_CANDLES - 1].open_ms
    before, after = (
        [repr(step) for step in run(market.seed, each).engine.told if warm_ms < step.at_ms <= known_ms]
        for each in (batches, changed)
    )
    assert before == after and len(before) > cut - WARMUP_CANDLES


def same_open(batch: CandleBatch, other: CandleBatch) -> CandleBatch:
    """The other's high, low and close around this one's open."""
    shift = batch.open - other.open
    columns = (np.round(column + shift, 2) for column in (other.high, other.low, other.close))
    high, low, close = (np.maximum(column, 1.0) for column in columns)
    return CandleBatch(
        batch.interval, batch.open_ms, batch.ids, batch.open, np.maximum(high, batch.open), low, close, other.volume
    )


def test_a_change_in_one_candle_changes_the_digest() -> None:
    market = Market(7, 60, (0, 0, 0), (0, 0, 0))
    batches = market.batches()
    digest = run(7, batches).record.digest
    last = batches[-20]
    batches[-20] = CandleBatch(
        last.interval, last.open_ms, last.ids, last.open * 1.03, last.high * 1.03, last.low, last.close, last.volume
    )
    assert run(7, batches).record.digest != digest


def test_a_run_counts_what_it_did() -> None:
    market = Market(3, 50, (0, 0, 20), (0, 4, 0))
    done = run(3, market.batches())
    record = done.record
    bars = 3 * market.total - 24
    assert record.bars == bars
    assert record.analyses == bars - 3 * WARMUP_CANDLES == len(done.engine.told and analysed_by(done.engine))
    assert len(record.fills) > 10 and len(record.trades) > 3 and len(record.fundings) > 10
    assert record.signals > 0 and len(record.intents) >= len(record.fills)
    assert len(record.equity) == market.total and record.start_equity_usd == START_USD


def analysed_by(engine: ToldEngine) -> list[tuple[str, int]]:
    strategy = engine._strategy
    assert isinstance(strategy, ScriptedStrategy)
    return strategy.analysed


class JobsOf(ScriptedStrategy):
    """The same opinions, handed out as jobs and made by a runner; `fails_at` is a job that raises."""

    def __init__(self, seed: int, fails_at: int | None = None) -> None:
        super().__init__(universe_of(*SYMBOLS))
        self._made_by = opinions_of(seed)
        self._answers: dict[int, Analyses] = {}
        self._fails_at = fails_at

    def advance(  # type: ignore[override]
        self, batch: CandleBatch, decide: BoolColumn, btc_bullish: bool | None
    ) -> Analyses | StrategyJob:
        answer = self._made_by.advance(batch, decide, btc_bullish)
        if not len(answer.ids):
            return answer
        number = len(self._answers) + 1
        self._answers[number] = answer
        return StrategyJob(number, batch, (), btc_bullish, manager_of(CONFIG).book)

    def run_sync(self, job: StrategyJob) -> Analyses:
        if job.job_no == self._fails_at:
            raise StrategyFailed("analyze() raised ValueError: no")
        return self._answers[job.job_no]


def test_a_strategy_that_makes_jobs_runs_the_same_backtest() -> None:
    batches = Market(5, 60, (0, 0, 9), (0, 4, 0)).batches()
    jobs = JobsOf(5)
    elsewhere, inline = run_with(jobs, 5, batches, jobs).record, run(5, batches).record
    assert elsewhere.digest == inline.digest and elsewhere.equity == inline.equity
    assert [closed.trade for closed in elsewhere.trades] == [closed.trade for closed in inline.trades]


def test_a_job_that_fails_costs_one_batch_and_is_told() -> None:
    batches = Market(5, 60, (0, 0, 9), (0, 4, 0)).batches()
    jobs = JobsOf(5, fails_at=7)
    record = run_with(jobs, 5, batches, jobs).record
    assert [(alert.code, "no" in alert.text) for alert in record.alerts] == [("strategy_failed", True)]
    assert record.analyses == run(5, batches).record.analyses - 2  # SOL was not warm yet


@pytest.mark.parametrize(
    ("equity", "drawdown"),
    [([], 0), ([110, 120], 0), ([110, 55, 90], 50), ([50, 200, 150, 160, 100], 50), ([-20], 120)],
)
def test_a_drawdown_is_the_largest_fall_from_a_peak(equity: list[int], drawdown: float) -> None:
    points = [(number, Decimal(value)) for number, value in enumerate(equity)]
    assert max_drawdown_pct(points, Decimal(100)) == pytest.approx(drawdown)


def digest_in_a_process_of_its_own(hash_seed: int) -> str:
    code = (
        "from tests.properties.test_backtest_identity import Market, run;"
        "market = Market(11, 60, (0, 0, 9), (0, 4, 0));"
        "print(run(11, market.batches()).record.digest)"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_digest_does_not_depend_on_the_hash_seed() -> None:
    here = run(11, Market(11, 60, (0, 0, 9), (0, 4, 0)).batches()).record.digest
    assert {digest_in_a_process_of_its_own(seed) for seed in (0, 3)} == {here}
