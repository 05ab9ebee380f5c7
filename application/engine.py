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
import numpy.typing as npt

from application.entry_desk import Candidate, EntryDesk, EntryMoment, exit_state_of, ranked
from application.exit_desk import ExitDesk, ExitMoment
from application.live_oms import BookedFill, LiveOms
from application.market_context import BTC, MarketOverview
from application.market_data_hub import ClosedBatch, MarketDataHub
from application.portfolio import Portfolio
from application.risk_guard import RiskGuard
from application.step import Step
from application.strategy_manager import Accepted as ConfigAccepted
from application.strategy_manager import Refused as ConfigRefused
from application.strategy_manager import StrategyManager
from domain.candles import NO_CANDLE_MS, BoolColumn, CandleBatch, CandleWindow, Interval
from domain.confidence import Confidence
from domain.config_events import OverridesText
from domain.effects import Alert, FetchCandles, RunStrategy, StoreCandles
from domain.events import (
    AccountSnapshot,
    CandlesClosed,
    CandleUpdates,
    Event,
    FillArrived,
    FundingPaid,
    HistoryLoaded,
    OrderCanceled,
    OrderOutcome,
    Quotes,
    Recovered,
    StrategyAnswered,
    TimerFired,
)
from domain.facts import AnchorSet, CashSet, ConfigTaken, DecisionsRecorded
from domain.gating import LastClose, effective_signal
from domain.instruments import Universe
from domain.intents import Action
from domain.signals import Analyses, Signal, analyses_problem
from domain.strategy_config import StrategyBook
from domain.strategy_job import StrategyJob
from domain.verdicts import Verdict
from ports.strategy import WARMUP_CANDLES, Strategy

HISTORY_MARGIN_CANDLES = 20
"""Candles fetched beyond the warm-up, so that one that is missing does not hold a symbol back."""

ANCHOR_MAX_CANDLES = 5_000
"""An anchor further back than this is given up for a fresh one: the venue serves no more history."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is: one account and one strategy on one interval."""

    account: str
    interval: Interval
    signal_on_candle_close: bool = True
    candle_close_grace_ms: int = 1000
    warms_up_from_history: bool = True
    """Ask for history at start. Off where the candles themselves begin at the anchor (a data set)."""


@dataclass(slots=True)
class _Waiting:
    """A batch whose analysis runs in a worker."""

    batch: ClosedBatch
    decide: BoolColumn


class UnifiedEngine:
    def __init__(
        self, settings: EngineSettings, universe: Universe, strategy: Strategy, manager: StrategyManager
    ) -> None:
        self.settings = settings
        self.universe = universe
        self.hub = MarketDataHub(
            universe,
            settings.interval,
            settings.candle_close_grace_ms,
            on_close=settings.signal_on_candle_close,
        )
        self.portfolio = Portfolio()
        self.oms = LiveOms(settings.account, strategy.name, settings.interval, self.portfolio)
        self.guard = RiskGuard(self.portfolio, self.oms)
        self.exits = ExitDesk(universe, self.portfolio, self.oms)
        self.entries = EntryDesk(universe, self.portfolio, self.oms, self.guard, self.exits.states)
        self.overview = MarketOverview(universe)
        self.manager = manager
        self._strategy = strategy
        self._book = manager.book
        self._seen = np.zeros(len(universe), dtype=np.int64)
        self._decided = np.full(len(universe), NO_CANDLE_MS, dtype=np.int64)
        self._cold = len(universe)
        self._anchors: dict[str, int] = {}
        self._symbols_of: tuple[bytes, tuple[str, ...]] = (b"", ())
        self._checked_price: dict[str, float] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._differs: frozenset[str] = frozenset()
        self._warming: set[str] = set()
        self._recovered = False
        self.analyses_done = 0
        strategy.configure(self._book, universe)
        self.overview.count_only(_watched(universe, self._book))

    @property
    def warming(self) -> int:
        """Symbols whose first history has not come yet."""
        return len(self._warming)

    @property
    def book(self) -> StrategyBook:
        return self._book

    def handle(self, seq: int, at_ms: int, event: Event) -> Step:
        """Take one event. `seq` counts up by one; `at_ms` never goes back."""
        step = Step(seq, at_ms)
        match event:
            case Quotes():
                self.hub.apply_quotes(event, at_ms)
                self._check_exits(step)
                self._take_due(step)
            case CandleUpdates():
                self.hub.apply_updates(event, at_ms)
                self._take_due(step)
            case TimerFired():
                self._take_due(step)
            case CandlesClosed():
                self._on_batch(step, self.hub.close(event.candles, at_ms))
            case FillArrived():
                self._on_fill(step, event)
            case OrderOutcome():
                self.oms.on_outcome(step, event)
            case OrderCanceled():
                self.oms.on_canceled(step, event)
            case FundingPaid():
                if self.oms.on_funding(step, event):
                    self.exits.note_funding_rate(event.symbol, float(event.rate))
            case AccountSnapshot():
                self._on_account(step, event)
            case HistoryLoaded():
                self._on_history(step, event)
                self._take_due(step)
            case OverridesText():
                self._on_overrides(step, event)
            case StrategyAnswered():
                self._on_answer(step, event)
            case Recovered():
                self._on_recovered(step, event)
        return step

    def equity_usd(self) -> Decimal | None:
        """Cash plus unrealised PnL at the newest prices; None while either is not known."""
        return self.portfolio.equity_usd(self._mark)

    # ── start ────────────────────────────────────────────────────────────────────────────────

    def _on_recovered(self, step: Step, event: Recovered) -> None:
        assert not self._recovered, "a session recovers once"
        self._recovered = True
        state = event.state
        self.portfolio.restore(state)
        self.oms.restore(state)
        self.guard.restore(state.risk)
        self.exits.restore(state)
        self.entries.restore(dict(state.last_closes), dict(state.last_entry_ms))
        self._anchors = {
            symbol: open_ms for symbol, interval, open_ms in state.anchors if interval is self.settings.interval
        }
        first = self.manager.first
        step.facts.append(ConfigTaken(self._book.digest, first.path, first.content or "", (), step.at_ms))
        for symbol in self.portfolio.positions:
            if symbol not in self.universe:
                text = f"{symbol} is held but not watched: no exits for it, and no entries while equity is unknown"
                step.effects.append(Alert("position_unwatched", text))
        if self.settings.warms_up_from_history:
            self._warming.update(self.universe.symbols)
            for symbol in self.universe.symbols:
                self._fetch(step, symbol)

    def _on_account(self, step: Step, event: AccountSnapshot) -> None:
        """The venue's word on the account. Our books must say the same, or the symbol takes no entries."""
        theirs = dict(event.positions)
        ours = {symbol: position.size for symbol, position in self.portfolio.positions.items()}
        differs = frozenset(
            symbol
            for symbol in theirs.keys() | ours.keys()
            if theirs.get(symbol, Decimal(0)) != ours.get(symbol, Decimal(0))
        )
        for symbol in sorted(differs - self._differs):
            text = f"{symbol}: ours {ours.get(symbol, 0)}, venue {theirs.get(symbol, 0)}: no entries until they agree"
            step.effects.append(Alert("position_differs", text))
        self._differs = differs
        if self.portfolio.cash_usd != event.cash_usd:
            self.portfolio.cash_usd = event.cash_usd
            step.facts.append(CashSet(event.cash_usd, event.at_ms))

    def _on_history(self, step: Step, event: HistoryLoaded) -> None:
        """Start a symbol (again) from its anchor; too short a history leaves it out until there is more."""
        self._warming.discard(event.symbol)
        symbol_id = self.universe.id_of(event.symbol)
        window = event.window
        if window is None or len(window) <= WARMUP_CANDLES:
            have = 0 if window is None else len(window)
            problem = event.problem or f"{have} candles, {WARMUP_CANDLES + 1} needed"
            step.effects.append(Alert("history_short", f"{event.symbol}: {problem}"))
            return
        if (np.diff(window.open_ms) != self.settings.interval.ms).any():
            step.effects.append(Alert("history_gap", f"{event.symbol}: the history has a hole or is out of order"))
            return
        anchor_ms = int(window.open_ms[0])
        if self._anchors.get(event.symbol) != anchor_ms:
            self._anchors[event.symbol] = anchor_ms
            step.facts.append(AnchorSet(event.symbol, self.settings.interval, anchor_ms))
        before_last = _without_last(window)
        self._strategy.rebuild(symbol_id, before_last)
        if event.symbol == BTC:
            self.overview.restart_btc(before_last)
        self._seen[symbol_id] = len(before_last)
        self.hub.anchor(symbol_id, window)

    def _on_overrides(self, step: Step, event: OverridesText) -> None:
        """A new overrides text: in force from the next decision on, or refused with every problem named."""
        match self.manager.offer(event):
            case ConfigAccepted() as accepted:
                self._book = accepted.book
                step.facts.append(ConfigTaken(self._book.digest, event.path, event.content or "", (), step.at_ms))
                step.effects.append(Alert("config_reloaded", f"{event.path} is in force as {self._book.digest[:12]}"))
                self.overview.count_only(_watched(self.universe, self._book))
                for symbol in self._strategy.configure(self._book, self.universe):
                    self._restart(step, self.universe.id_of(symbol))
            case ConfigRefused() as refused:
                problems = tuple(str(problem) for problem in refused.problems)
                step.facts.append(ConfigTaken(self._book.digest, event.path, event.content or "", problems, step.at_ms))
                text = f"{event.path} refused, the last good version stays in force: " + "; ".join(problems)
                step.effects.append(Alert("config_refused", text))
            case _:
                pass

    def _restart(self, step: Step, symbol_id: int) -> None:
        """Rebuild a symbol from its anchor; until then it is not decided on."""
        self.hub.drop(symbol_id)
        self._strategy.forget(symbol_id)
        self._fetch(step, self.universe.symbols[symbol_id])

    def _fetch(self, step: Step, symbol: str) -> None:
        """Ask for a symbol's candles from its anchor on, or from a fresh one where it has none or too old a one."""
        interval = self.settings.interval
        newest_ms = interval.open_of(step.at_ms)
        fresh_ms = newest_ms - (WARMUP_CANDLES + HISTORY_MARGIN_CANDLES) * interval.ms
        anchor_ms = self._anchors.get(symbol, fresh_ms)
        if anchor_ms < newest_ms - ANCHOR_MAX_CANDLES * interval.ms:
            anchor_ms = fresh_ms
        step.effects.append(FetchCandles(symbol, interval, anchor_ms))

    # ── candles ──────────────────────────────────────────────────────────────────────────────

    def _take_due(self, step: Step) -> None:
        """Take what has closed. Not while the session still warms up: the first batch is everybody's.

        A revised symbol is rebuilt before anything else is decided on it.
        """
        for symbol_id in sorted(set(self.hub.take_revised())):
            self._restart(step, symbol_id)
        if not self.hub.is_due(step.at_ms) or self._warming:
            return
        for batch in self.hub.due(step.at_ms):
            self._on_batch(step, batch)
        for symbol_id in sorted(set(self.hub.take_gaps())):
            self._restart(step, symbol_id)

    def _on_batch(self, step: Step, batch: ClosedBatch) -> None:
        """Take the candles of one close: indicators move on for all, opinions for those that are warm."""
        candles = batch.candles
        self._seen[candles.ids] += 1
        warm = self._seen[candles.ids] > WARMUP_CANDLES
        decide = warm & (self._decided[candles.ids] < candles.open_ms)  # a rebuilt symbol is offered its last one again
        self._decided[candles.ids[decide]] = candles.open_ms
        self.overview.take_candles(candles)
        traded = batch.traded()
        if len(traded):
            step.effects.append(StoreCandles(traded))
        answer = self._strategy.advance(candles, decide, self.overview.btc_bullish)
        if self._cold and not self.settings.warms_up_from_history:
            self._build_warmed(candles)
        if isinstance(answer, StrategyJob):
            self._waiting[answer.job_no] = _Waiting(batch, decide)
            step.effects.append(RunStrategy(answer))
        elif len(answer.ids):
            self._decide(step, batch, answer)

    def _build_warmed(self, candles: CandleBatch) -> None:
        """Where no history is loaded, a symbol's state is built from the candles that warmed it up."""
        for place in np.flatnonzero(self._seen[candles.ids] == WARMUP_CANDLES).tolist():
            symbol_id = int(candles.ids[place])
            self._strategy.rebuild(symbol_id, self.hub.window(symbol_id, candles.open_ms, WARMUP_CANDLES))
            self._cold -= 1

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
            for symbol in self._held_places(asked):
                self._check_exit(step, symbol, candles.open_ms)
            return
        if len(analyses.ids):
            self._decide(step, waiting.batch, analyses)

    # ── decisions ────────────────────────────────────────────────────────────────────────────

    def _decide(self, step: Step, batch: ClosedBatch, analyses: Analyses) -> None:
        """Exits of what is held, then entries of what has a signal; one record for all of it."""
        self.overview.take_analyses(analyses)
        context = self.overview.context()
        record = DecisionsRecorded(
            seq=step.seq,
            at_ms=step.at_ms,
            interval=batch.candles.interval,
            open_ms=batch.candles.open_ms,
            batch_no=batch.batch_no,
            config_digest=self._book.digest,
            context=context,
            symbols=self._names(analyses),
            analyses=analyses,
            signal=analyses.signal.copy(),
            verdict=np.zeros(len(analyses.ids), dtype=np.int8),
        )
        self.analyses_done += len(analyses.ids)
        places = self._held_places(analyses.ids)
        for symbol, place in places.items():
            self.exits.note_row(symbol, analyses.feature_row(place))
            self._check_exit(step, symbol, batch.candles.open_ms)
        candidates = self._candidates(record, context.breadth_pct)
        equity = self.equity_usd()
        if equity is not None:
            self.guard.update_equity(step, equity, self._book.risk)
        if candidates:
            self._enter(step, candidates, record, equity)
        step.facts.append(record)

    def _candidates(self, record: DecisionsRecorded, breadth_pct: float | None) -> list[Candidate]:
        analyses = record.analyses
        candidates = []
        for place in np.flatnonzero(analyses.signal).tolist():
            symbol_id = int(analyses.ids[place])
            symbol = self.universe.symbols[symbol_id]
            config = self._book.for_symbol(symbol)
            raw = Signal(int(analyses.signal[place]))
            signal = effective_signal(raw, config.trade, config.market_regime, breadth_pct)
            record.signal[place] = signal
            confidence = Confidence(int(analyses.confidence[place]))
            candidates.append(Candidate(place, symbol_id, symbol, signal, confidence, analyses.feature_row(place)))
        return ranked(candidates)

    def _enter(
        self, step: Step, candidates: list[Candidate], record: DecisionsRecorded, equity: Decimal | None
    ) -> None:
        for candidate in candidates:
            position = self.portfolio.positions.get(candidate.symbol)
            if position is not None and position.side.sign != candidate.signal:
                intent = self.exits.close(
                    step,
                    candidate.symbol,
                    self._moment(step, candidate.symbol, record.open_ms),
                    "signal_flip",
                    self._book,
                )
                record.verdict[candidate.place] = Verdict.CLOSE if intent else Verdict.HOLD
                if intent is not None:
                    record.intent_ids[candidate.place] = intent.intent_id
                continue
            moment = EntryMoment(
                interval=record.interval,
                open_ms=record.open_ms,
                context=record.context,
                book=self._book,
                equity_usd=equity,
                trading_ready=self._hindrance(candidate.symbol),
            )
            decision = self.entries.decide(step, candidate, self.hub.price(candidate.symbol_id, step.at_ms), moment)
            record.verdict[candidate.place] = decision.verdict
            record.entry_gates[candidate.place] = decision.gates
            if decision.intent is not None:
                record.intent_ids[candidate.place] = decision.intent.intent_id

    def _hindrance(self, symbol: str) -> str:
        """Why no entry of this symbol is possible now at all; empty when one is."""
        if symbol in self._differs:
            return "books differ from the venue's"
        exits = (Action.CLOSE, Action.REDUCE)
        if any(live.intent.key.action in exits for live in self.oms.live_orders(symbol)):
            return "an exit is under way"
        return ""

    # ── positions ────────────────────────────────────────────────────────────────────────────

    def _on_fill(self, step: Step, event: FillArrived) -> None:
        booked = self.oms.on_fill(step, event)
        if booked is None:
            return
        symbol = booked.after.symbol
        self._remember_close(booked, event)
        entry = exit_state_of(booked.intent) if booked.intent is not None else None
        if symbol not in self.universe:
            return
        moment = ExitMoment(float(event.fill.price), "fill", self._open_ms(event.fill.time_ms))
        self.exits.after_fill(step, booked, entry, self._book, moment)
        self._checked_price.pop(symbol, None)

    def _remember_close(self, booked: BookedFill, event: FillArrived) -> None:
        trade = booked.trade
        if trade is not None:
            flip = trade.exit_reason == "signal_flip"
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
            self.exits.check(step, symbol, ExitMoment(view.price, view.source, open_ms), self._book)

    def _moment(self, step: Step, symbol: str, open_ms: int) -> ExitMoment:
        view = self.hub.price(self.universe.id_of(symbol), step.at_ms)
        assert view is not None, "a symbol with a closed candle has a price"
        return ExitMoment(view.price, view.source, open_ms)

    def _held_places(self, ids: npt.NDArray[np.intp]) -> dict[str, int]:
        """Where the symbols that are held stand in a batch of these ids, in alphabetical order."""
        places = {}
        for symbol in sorted(self.portfolio.positions):
            symbol_id = self.universe.find(symbol)
            place = len(ids) if symbol_id is None else int(np.searchsorted(ids, symbol_id))
            if place < len(ids) and ids[place] == symbol_id:
                places[symbol] = place
        return places

    def _mark(self, symbol: str) -> Decimal | None:
        symbol_id = self.universe.find(symbol)
        view = None if symbol_id is None else self.hub.price(symbol_id, 0)
        return None if view is None else Decimal(repr(view.price))

    def _open_ms(self, time_ms: int) -> int:
        """The candle that exits at this moment are counted to: the last one that has closed."""
        return self.settings.interval.open_of(time_ms) - self.settings.interval.ms

    def _names(self, analyses: Analyses) -> tuple[str, ...]:
        """Symbols of a batch; batches of the same symbols share one tuple."""
        key = analyses.ids.tobytes()
        if key != self._symbols_of[0]:
            self._symbols_of = (key, tuple(self.universe.symbols[symbol_id] for symbol_id in analyses.ids.tolist()))
        return self._symbols_of[1]


def _without_last(window: CandleWindow) -> CandleWindow:
    end = len(window) - 1
    return CandleWindow(
        window.symbol,
        window.interval,
        window.open_ms[:end],
        window.open[:end],
        window.high[:end],
        window.low[:end],
        window.close[:end],
        window.volume[:end],
    )


def _watched(universe: Universe, book: StrategyBook) -> BoolColumn:
    return np.array([symbol not in book.watchlist_exclude for symbol in universe.symbols], dtype=np.bool_)
