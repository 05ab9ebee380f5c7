"""UnifiedEngine: one event in, facts and effects out. The same for every mode.

A candle's way is one straight line: `CandleUpdates` → hub → a batch that closed → strategy →
exits of open positions → gates, ranking, sizing → intent → `SubmitOrder`. `handle` never waits
and never touches storage; everything that can sway it is an event, so the same events give the
same facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from application.batch_decider import BatchDecider
from application.candle_board import ClosedBatch
from application.engine_settings import EngineSettings
from application.entry_desk import EntryDesk, entry_cost_bps, exit_state_of
from application.exit_desk import ExitDesk
from application.fill_desk import BookedFill
from application.flattening import Flattening
from application.live_oms import LiveOms
from application.market_context import MarketOverview
from application.market_desk import MarketDesk
from application.operator_desk import OperatorDesk
from application.portfolio import Portfolio
from application.protection import ExitMoment
from application.protection_watch import ProtectionWatch
from application.reconciliation import Reconciliation
from application.retry_desk import RetryDesk
from application.risk_guard import RiskGuard
from application.step import Step
from application.strategy_health import StrategyHealth
from application.strategy_manager import Accepted as ConfigAccepted
from application.strategy_manager import Refused as ConfigRefused
from application.strategy_manager import StrategyManager
from domain.candles import BoolColumn
from domain.config_events import OverridesText
from domain.effects import Alert, RunStrategy, StoreCandles
from domain.events import (
    AccountSnapshot,
    CandlesClosed,
    CashFlowed,
    EntriesHeld,
    Event,
    FillArrived,
    FundingPaid,
    MidsChecked,
    NonceBurned,
    OperatorSpoke,
    OrderCanceled,
    OrderLooked,
    OrderNamed,
    OrderOutcome,
    Quotes,
    Recovered,
    StrategyAnswered,
    TimerFired,
)
from domain.facts import ConfigTaken
from domain.gating import SIGNAL_FLIP, LastClose
from domain.instruments import Universe
from domain.orders import Rejected, RejectReason
from domain.signals import analyses_problem
from domain.strategy_config import StrategyBook
from domain.strategy_job import StrategyJob
from ports.order_encoder import OrderEncoder
from ports.strategy import Strategy

EQUITY_EVERY_MS = 5_000
"""How often limits on equity are looked at between two candles."""


@dataclass(slots=True)
class _Waiting:
    """A batch whose analysis runs in a worker."""

    batch: ClosedBatch
    decide: BoolColumn


class UnifiedEngine:
    def __init__(
        self,
        settings: EngineSettings,
        universe: Universe,
        strategy: Strategy,
        manager: StrategyManager,
        encoder: OrderEncoder | None = None,
    ) -> None:
        """`encoder` writes orders for a venue that wants them signed; None where there is none."""
        self.settings = settings
        self.universe = universe
        self.portfolio = Portfolio()
        self.oms = LiveOms(
            settings.account,
            strategy.name,
            settings.interval,
            self.portfolio,
            encoder,
            lambda at_ms: self.hub.venue_ms(at_ms),
        )
        self.guard = RiskGuard(self.portfolio, self.oms, lambda symbol: self.hub.mark(symbol))
        self.reconciliation = Reconciliation(self.portfolio, self.oms, self.guard)
        self.exits = ExitDesk(universe, self.portfolio, self.oms)
        self.overview = MarketOverview(universe)
        self.market = MarketDesk(
            settings, universe, strategy, self.overview, self.portfolio, self.oms, self.guard, manager.book
        )
        self.hub = self.market.hub
        watchlist = self.market.watchlist
        self.health = StrategyHealth()
        self.entries = EntryDesk(
            universe, self.portfolio, self.oms, self.guard, self.exits.states, watchlist, self.health
        )
        self.flattening = Flattening(
            universe, self.portfolio, self.oms, self.guard, self._price_of, lambda symbol: self._is_in_our_care(symbol)
        )
        self.retries = RetryDesk(universe, self.hub, self.oms, self.guard, self.reconciliation, self.equity_usd)
        self.protection = ProtectionWatch(self.portfolio, self.oms, self.exits)
        self.operators = OperatorDesk(
            self.portfolio,
            self.oms,
            self.guard,
            self.exits,
            self.flattening,
            self.equity_usd,
            self._on_resume,
            self._config_said,
        )
        self.manager = manager
        self._decider = BatchDecider(
            universe,
            self.hub,
            self.overview,
            self.portfolio,
            self.oms,
            self.guard,
            self.exits,
            self.entries,
            self.reconciliation,
            self.health,
            smart_exits=not self.market.has_exit_candles,
        )
        self._strategy = strategy
        self._book = manager.book
        self._checked_price: dict[str, float] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._recovered = False
        self._equity_due_ms = 0
        strategy.configure(self._book, universe)

    @property
    def analyses_done(self) -> int:
        """Analyses of this session, one per symbol and candle."""
        return self._decider.analyses_done

    @property
    def book(self) -> StrategyBook:
        return self._book

    def handle(self, seq: int, at_ms: int, event: Event) -> Step:
        """Take one event. `seq` counts up by one; `at_ms` never goes back."""
        step = Step(seq, at_ms)
        match event:
            case CandlesClosed():
                self._on_batch(step, self.hub.close(event.candles, at_ms))
            case FillArrived():
                self._on_fill(step, event)
            case OrderOutcome():
                self._on_outcome(step, event)
                self.reconciliation.hear_of(step, "an order", event.cloid)
                self.market.watch(step)
            case OrderCanceled():
                self.oms.on_canceled(step, event)
                self.reconciliation.hear_of(step, "an order", event.cloid)
                self.market.watch(step)
            case OrderLooked():
                self.oms.on_looked(step, event)
                self.market.watch(step)
            case NonceBurned():
                self.oms.on_burned(step, event)
            case OrderNamed():
                self._on_named(step, event)
            case FundingPaid():
                if event.time_ms >= self.reconciliation.born_ms and self.oms.on_funding(step, event):
                    self.exits.note_funding_rate(event.symbol, float(event.rate))
            case CashFlowed():
                if event.time_ms >= self.reconciliation.born_ms:
                    self.guard.note_flow(step, event)
            case AccountSnapshot():
                self.reconciliation.take(step, event)
                self.protection.hear_snapshot(step, event)
                self.flattening.hear_snapshot(step, event)
                self.market.watch(step)
            case EntriesHeld():
                self.guard.hold_entries(event.source, event.reason)
            case OperatorSpoke():
                self.operators.hear(step, event, self._open_ms(step.at_ms), self._book)
                self.flattening.work(step, self._book, self._open_ms(step.at_ms))
                self.market.watch(step)
            case OverridesText():
                self._on_overrides(step, event)
            case StrategyAnswered():
                self._on_answer(step, event)
            case Recovered():
                self._on_recovered(step, event)
            case _:  # what is left is the market's
                self.market.hear(step, event)
                if isinstance(event, (Quotes, MidsChecked)):
                    self._check_exits(step)
                    self.retries.work(step, self._book)
                elif isinstance(event, TimerFired):
                    self.oms.on_timer(step)
                    self._keep_watch(step)
                self._take_closed(step)
        return step

    def equity_usd(self) -> Decimal | None:
        """Cash plus unrealised PnL at the newest prices; None while either is not known."""
        return self.portfolio.equity_usd(self.hub.mark)

    # ── start ────────────────────────────────────────────────────────────────────────────────

    def _on_recovered(self, step: Step, event: Recovered) -> None:
        assert not self._recovered, "a session recovers once"
        self._recovered = True
        state = event.state
        self.portfolio.restore(state)
        self.oms.restore(state)
        self.guard.restore(state)
        self.reconciliation.restore(step, state, accepts_strangers=self.settings.accepts_foreign_orders)
        self.oms.recover(step)
        self.exits.restore(state)
        self.entries.restore(dict(state.last_closes), dict(state.last_entry_ms))
        self.market.restore(state)
        first = self.manager.first
        step.facts.append(ConfigTaken(self._book.digest, first.path, first.content or "", (), step.at_ms))
        for symbol in self.portfolio.positions:
            if symbol not in self.universe:
                text = f"{symbol} is held but not watched: no exits for it, and no entries while equity is unknown"
                step.effects.append(Alert("position_unwatched", text))
        self.market.start(step)

    def _on_overrides(self, step: Step, event: OverridesText) -> None:
        """A new overrides text: in force from the next decision on, or refused with every problem named."""
        match self.manager.offer(event):
            case ConfigAccepted() as accepted:
                self._book = accepted.book
                self.health.clear()
                step.facts.append(ConfigTaken(self._book.digest, event.path, event.content or "", (), step.at_ms))
                step.effects.append(Alert("config_reloaded", f"{event.path} is in force as {self._book.digest[:12]}"))
                self.market.take_config(step, self._book, self._strategy.configure(self._book, self.universe))
            case ConfigRefused() as refused:
                problems = tuple(str(problem) for problem in refused.problems)
                step.facts.append(ConfigTaken(self._book.digest, event.path, event.content or "", problems, step.at_ms))
                text = f"{event.path} refused, the last good version stays in force: " + "; ".join(problems)
                step.effects.append(Alert("config_refused", text))
            case _:
                pass

    # ── candles ──────────────────────────────────────────────────────────────────────────────

    def _take_closed(self, step: Step) -> None:
        """Decide on what has closed. A price looks at stops at once; indicators wait for a candle's close."""
        for batch in self.market.take_closed(step):
            self._on_batch(step, batch)
        for symbol, open_ms, close in self.market.take_exit_closes(step):
            self.exits.check(step, symbol, ExitMoment(close, "candle", open_ms), self._book)

    def _on_batch(self, step: Step, batch: ClosedBatch) -> None:
        """Take the candles of one close: indicators move on for all, opinions for those that are warm."""
        candles = batch.candles
        decide = self.market.warm_up.take_candles(candles)
        self.overview.take_candles(candles)
        traded = batch.traded()
        if len(traded):
            step.effects.append(StoreCandles(traded))
        answer = self._strategy.advance(candles, decide, self.overview.btc_bullish)
        if not self.settings.warms_up_from_history:
            self.market.warm_up.build_warmed(candles)
        if isinstance(answer, StrategyJob):
            self._waiting[answer.job_no] = _Waiting(batch, decide)
            step.effects.append(RunStrategy(answer))
        elif len(answer.ids):
            self._decider.decide(step, batch, answer, self._book)

    def _on_answer(self, step: Step, event: StrategyAnswered) -> None:
        waiting = self._waiting.pop(event.job_no, None)
        if waiting is None:
            return
        candles, analyses = waiting.batch.candles, event.analyses
        asked = candles.ids[waiting.decide]
        problem = event.problem if analyses is None else analyses_problem(analyses)
        if analyses is not None and not problem and not np.array_equal(analyses.ids, asked):
            problem = "an answer for other symbols than those asked about"
        if analyses is None or problem:
            step.effects.append(Alert("strategy_failed", f"batch {candles.open_ms}: {problem}"))
            names = [self.universe.symbols[symbol_id] for symbol_id in asked.tolist()]
            self.health.take(step, names, dict.fromkeys(names, problem or "no answer"), candles.open_ms)
            self._decider.check_exits(step, asked, candles.open_ms, self._book)
            return
        if len(analyses.ids):
            self._decider.decide(step, waiting.batch, analyses, self._book)

    # ── positions ────────────────────────────────────────────────────────────────────────────

    def _keep_watch(self, step: Step) -> None:
        """Time has passed: limits, closings, and positions without their stop are looked at, whatever prices do."""
        if step.at_ms >= self._equity_due_ms:
            self._equity_due_ms = step.at_ms + EQUITY_EVERY_MS
            equity = self.equity_usd()
            if equity is not None:
                self.guard.update_equity(step, equity, self._book.risk, between_candles=True)
        self.flattening.work(step, self._book, self._open_ms(step.at_ms))
        for symbol in self.protection.look(step, self._book.risk.unprotected_alert_s):
            if symbol in self.universe:
                self._check_exit(step, symbol, self._open_ms(step.at_ms))

    def _on_outcome(self, step: Step, event: OrderOutcome) -> None:
        changed = self.oms.on_outcome(step, event)
        if changed is None:
            return
        reason = event.outcome.reason if isinstance(event.outcome, Rejected) else None
        self.flattening.hear(step, changed, reason)
        may_pass = reason is None or reason is RejectReason.NOT_SENT or reason.allows_another_attempt
        if changed.intent.key.action.increases_exposure and not may_pass:
            self.guard.note_refusal(step, changed.intent.key.symbol, self._book.risk)

    def _on_fill(self, step: Step, event: FillArrived) -> None:
        if self.reconciliation.is_from_before(event.fill):
            return
        booked = self.oms.on_fill(step, event)
        if booked is None:
            return
        symbol = booked.after.symbol
        self.reconciliation.note_fill(step, event.fill)
        self.reconciliation.hear_of(step, symbol, event.fill.cloid)
        self._remember_close(booked)
        entry = exit_state_of(booked.intent) if booked.intent is not None else None
        if booked.intent is not None and entry is not None:
            self.guard.note_entry_cost(step, entry_cost_bps(booked.intent, event.fill.price), self._book.risk)
        if symbol not in self.universe:
            return
        moment = ExitMoment(float(event.fill.price), "fill", self._open_ms(event.fill.time_ms))
        self.exits.after_fill(step, booked, entry, self._book, moment)
        self._checked_price.pop(symbol, None)
        self.market.watch(step)

    def _on_named(self, step: Step, event: OrderNamed) -> None:
        """Whose fills of an order are has become known."""
        self.oms.on_named(step, event)
        self.reconciliation.hear_of(step, event.symbol, event.cloid)

    def _remember_close(self, booked: BookedFill) -> None:
        trade = booked.trade
        if trade is not None:
            flip = trade.exit_reason == SIGNAL_FLIP
            self.entries.last_closes[trade.symbol] = LastClose(trade.side.sign, trade.closed_ms, flip)

    def _check_exits(self, step: Step) -> None:
        """Exits of every open position whose price has changed since it was last looked at."""
        for symbol in list(self.portfolio.positions):
            symbol_id = self.universe.find(symbol)
            if symbol_id is None:
                continue  # told at start: nobody here knows its price
            mid = float(self.hub.mid[symbol_id])
            if mid == mid and mid != self._checked_price.get(symbol):
                self._checked_price[symbol] = mid
                self._check_exit(step, symbol, self._open_ms(step.at_ms))

    def _check_exit(self, step: Step, symbol: str, open_ms: int) -> None:
        view = self.hub.price(self.universe.id_of(symbol), step.at_ms)
        if view is not None:
            moment = ExitMoment(view.price, view.source, open_ms)
            self.exits.check(step, symbol, moment, self._book, smart=not self.market.has_exit_candles)

    def _price_of(self, symbol: str, at_ms: int) -> float | None:
        view = self.hub.price(self.universe.id_of(symbol), at_ms)
        return None if view is None else view.price

    def _is_in_our_care(self, symbol: str) -> bool:
        return self.exits.in_our_care(symbol) is not None

    def _on_resume(self) -> None:
        """An operator has looked: what waits for that goes on."""
        self.health.clear()

    def _config_said(self) -> str:
        in_force = f"in force is {self._book.digest[:12]}"
        problems = "; ".join(str(problem) for problem in self.manager.standing_problems)
        return f"refused, {in_force} as before: {problems}" if problems else in_force

    def _open_ms(self, time_ms: int) -> int:
        """The candle that exits at this moment are counted to: the last one that has closed."""
        return self.settings.interval.open_of(time_ms) - self.settings.interval.ms
