"""Backtest: the engine of the daemon over closed candles of the past.

Per close, in this order: the exchange sees the candle's open (funding, orders on their way), the
engine hears what came of it; the exchange sees the rest of the candle (stops, targets), the
engine hears; then the engine takes the close and decides. Orders it sends now meet the next open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from application.digest import RunDigest
from application.engine import UnifiedEngine
from domain.candles import CandleBatch
from domain.effects import Alert, CancelOrder, Effect, RunStrategy, SubmitOrder
from domain.events import CandlesClosed, Event, Recovered, StrategyAnswered
from domain.facts import (
    CandlesSkipped,
    DecisionsRecorded,
    FillRecorded,
    FundingRecorded,
    IntentRecorded,
    LedgerFact,
    TradeClosed,
)
from domain.signals import Analyses
from domain.strategy_job import StrategyJob
from ports.candle_exchange import CandleExchange
from ports.ledger import Ledger
from ports.strategy import StrategyFailed

PROGRESS_EVERY_BATCHES = 50


class JobRunner(Protocol):
    """Runs a job of a strategy that is not ours and waits for it."""

    def run_sync(self, job: StrategyJob) -> Analyses:
        """Raises `StrategyFailed`."""
        ...


@dataclass(slots=True)
class BacktestRecord:
    """What a run left behind. Money in USD; equity at every close, as (close time, equity)."""

    start_equity_usd: Decimal
    bars: int = 0
    analyses: int = 0
    signals: int = 0
    intents: list[IntentRecorded] = field(default_factory=list)
    fills: list[FillRecorded] = field(default_factory=list)
    fundings: list[FundingRecorded] = field(default_factory=list)
    trades: list[TradeClosed] = field(default_factory=list)
    equity: list[tuple[int, Decimal]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    digest: str = ""


class Backtest:
    def __init__(
        self,
        engine: UnifiedEngine,
        exchange: CandleExchange,
        ledger: Ledger,
        jobs: JobRunner | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._ledger = ledger
        self._jobs = jobs
        self._on_progress = on_progress
        self._digest = RunDigest()
        self._seq = 0
        snapshot = exchange.snapshot()
        self._record = BacktestRecord(snapshot.cash_usd)

    def run(self, batches: Iterable[CandleBatch]) -> BacktestRecord:
        """Run to the last candle. Raises what the ledger raises; positions stay open at the end."""
        record = self._record
        started = False
        for number, candles in enumerate(batches):
            if not started:
                self._feed(
                    (Recovered(self._ledger.load(), self._ledger.digest()), self._exchange.snapshot()), candles.open_ms
                )
                started = True
            end_ms = candles.open_ms + candles.interval.ms
            self._feed(self._exchange.open_candles(candles), candles.open_ms)
            self._feed(self._exchange.run_candles(candles), end_ms - 1)
            self._feed((CandlesClosed(candles),), end_ms)
            record.bars += len(candles)
            equity = self._engine.equity_usd()
            assert equity is not None, "cash and every held symbol's price are known in a backtest"
            record.equity.append((end_ms, equity))
            if self._on_progress is not None and number % PROGRESS_EVERY_BATCHES == 0:
                self._on_progress(record.bars)
        if self._on_progress is not None:
            self._on_progress(record.bars)
        record.analyses = self._engine.analyses_done
        record.digest = self._digest.hexdigest()
        return record

    def _feed(self, events: Sequence[Event], at_ms: int) -> None:
        """Take events one at a time: facts first, then effects, whose answers are events too."""
        queue = deque(events)
        while queue:
            self._seq += 1
            step = self._engine.handle(self._seq, at_ms, queue.popleft())
            facts: list[LedgerFact] = []
            for fact in step.facts:
                self._digest.add(fact)
                if isinstance(fact, DecisionsRecorded):
                    self._record.signals += int((fact.signal != 0).sum())
                elif not isinstance(fact, CandlesSkipped):  # a data set has no gaps to repair
                    facts.append(fact)
                    self._keep(fact)
            if facts:
                self._ledger.commit(facts)
            for effect in step.effects:
                queue.extend(self._run(effect, at_ms))

    def _keep(self, fact: LedgerFact) -> None:
        match fact:
            case IntentRecorded():
                self._record.intents.append(fact)
            case FillRecorded():
                self._record.fills.append(fact)
            case FundingRecorded():
                self._record.fundings.append(fact)
            case TradeClosed():
                self._record.trades.append(fact)
            case _:
                pass

    def _run(self, effect: Effect, at_ms: int) -> Sequence[Event]:
        match effect:
            case SubmitOrder(request=request):
                self._exchange.submit(request, at_ms)
            case CancelOrder(symbol=symbol, cloid=cloid):
                return self._exchange.cancel(symbol, cloid)
            case RunStrategy(job=job):
                return (self._answer(job),)
            case Alert():
                self._record.alerts.append(effect)
            case _:
                pass  # candles come from the data set: nothing to fetch or store
        return ()

    def _answer(self, job: StrategyJob) -> StrategyAnswered:
        assert self._jobs is not None, "a strategy that makes jobs comes with a worker"
        try:
            return StrategyAnswered(job.job_no, self._jobs.run_sync(job))
        except StrategyFailed as error:
            return StrategyAnswered(job.job_no, None, str(error))


def max_drawdown_pct(equity: Sequence[tuple[int, Decimal]], start_usd: Decimal) -> float:
    """Largest fall from a peak, in percent of that peak."""
    peak, worst = start_usd, Decimal(0)
    for _, value in equity:
        peak = max(peak, value)
        if peak > 0:
            worst = max(worst, (peak - value) / peak)
    return float(worst * 100)
