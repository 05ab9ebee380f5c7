"""BatchDecider: from a strategy's opinions on a batch to closes and entries, with one record of all of it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt

from application.candle_board import ClosedBatch
from application.entry_desk import Candidate, EntryDesk, EntryMoment, ranked
from application.exit_desk import ExitDesk
from application.live_oms import LiveOms
from application.market_context import MarketOverview
from application.market_data_hub import MarketDataHub
from application.portfolio import Portfolio
from application.protection import ExitMoment
from application.reconciliation import Reconciliation
from application.risk_guard import RiskGuard
from application.step import Step
from application.strategy_health import StrategyHealth
from domain.confidence import Confidence
from domain.effects import Alert
from domain.facts import DecisionsRecorded
from domain.gating import SIGNAL_FLIP, effective_signal
from domain.instruments import Universe
from domain.intents import Action
from domain.signals import Analyses, Signal
from domain.strategy_config import StrategyBook
from domain.verdicts import Verdict


class BatchDecider:
    """Decides on one batch at a time; knows every desk, remembers nothing of its own but counts."""

    def __init__(
        self,
        universe: Universe,
        hub: MarketDataHub,
        overview: MarketOverview,
        portfolio: Portfolio,
        oms: LiveOms,
        guard: RiskGuard,
        exits: ExitDesk,
        entries: EntryDesk,
        reconciliation: Reconciliation,
        health: StrategyHealth,
        *,
        smart_exits: bool = True,
    ) -> None:
        """`smart_exits`: indicators may end a position at the close of these candles."""
        self._universe = universe
        self._hub = hub
        self._overview = overview
        self._portfolio = portfolio
        self._oms = oms
        self._guard = guard
        self._exits = exits
        self._entries = entries
        self._reconciliation = reconciliation
        self._health = health
        self._smart_exits = smart_exits
        self._symbols_of: tuple[bytes, tuple[str, ...]] = (b"", ())
        self.analyses_done = 0

    def decide(self, step: Step, batch: ClosedBatch, analyses: Analyses, book: StrategyBook) -> None:
        """Exits of what is held, then entries of what has a signal; one record for all of it."""
        self._overview.take_analyses(analyses)
        context = self._overview.context()
        record = DecisionsRecorded(
            seq=step.seq,
            at_ms=step.at_ms,
            interval=batch.candles.interval,
            open_ms=batch.candles.open_ms,
            batch_no=batch.batch_no,
            config_digest=book.digest,
            context=context,
            symbols=self._names(analyses),
            analyses=analyses,
            signal=analyses.signal.copy(),
            verdict=np.zeros(len(analyses.ids), dtype=np.int8),
            notes=analyses.failures,
        )
        failures = {record.symbols[place]: reason for place, reason in analyses.failures.items()}
        step.effects += [Alert("strategy_failed", f"{symbol}: {reason}") for symbol, reason in failures.items()]
        self._health.take(step, record.symbols, failures, record.open_ms)
        self.analyses_done += len(analyses.ids)
        for symbol, place in self._held_places(analyses.ids).items():
            self._exits.note_row(symbol, analyses.feature_row(place))
        self.check_exits(step, analyses.ids, batch.candles.open_ms, book)
        candidates = self._candidates(record, book)
        equity = self._portfolio.equity_usd(self._hub.mark)
        if equity is not None:
            self._guard.update_equity(step, equity, book.risk)
        if candidates:
            self._enter(step, candidates, record, book, equity)
        step.facts.append(record)

    def check_exits(self, step: Step, ids: npt.NDArray[np.intp], open_ms: int, book: StrategyBook) -> None:
        """Look at the exits of what is held among these symbols, at the close of their candle."""
        for symbol in self._held_places(ids):
            view = self._hub.price(self._universe.id_of(symbol), step.at_ms)
            if view is not None:
                moment = ExitMoment(view.price, view.source, open_ms)
                self._exits.check(step, symbol, moment, book, smart=self._smart_exits)

    def _candidates(self, record: DecisionsRecorded, book: StrategyBook) -> list[Candidate]:
        analyses, breadth_pct = record.analyses, record.context.breadth_pct
        candidates = []
        for place in np.flatnonzero(analyses.signal).tolist():
            symbol_id = int(analyses.ids[place])
            symbol = self._universe.symbols[symbol_id]
            config = book.for_symbol(symbol)
            raw = Signal(int(analyses.signal[place]))
            signal = effective_signal(raw, config.trade, config.market_regime, breadth_pct)
            record.signal[place] = signal
            confidence = Confidence(int(analyses.confidence[place]))
            candidates.append(Candidate(place, symbol_id, symbol, signal, confidence, analyses.feature_row(place)))
        return ranked(candidates)

    def _enter(
        self,
        step: Step,
        candidates: list[Candidate],
        record: DecisionsRecorded,
        book: StrategyBook,
        equity: Decimal | None,
    ) -> None:
        for candidate in candidates:
            position = self._portfolio.positions.get(candidate.symbol)
            view = self._hub.price(candidate.symbol_id, step.at_ms)
            if position is not None and position.side.sign != candidate.signal:
                assert view is not None, "a symbol with a closed candle has a price"
                moment = ExitMoment(view.price, view.source, record.open_ms)
                intent = self._exits.close(step, candidate.symbol, moment, SIGNAL_FLIP, book)
                record.verdict[candidate.place] = Verdict.CLOSE if intent else Verdict.HOLD
                if intent is not None:
                    record.intent_ids[candidate.place] = intent.intent_id
                continue
            entry_moment = EntryMoment(
                interval=record.interval,
                open_ms=record.open_ms,
                context=record.context,
                book=book,
                equity_usd=equity,
                trading_ready=self._hindrance(candidate.symbol),
            )
            decision = self._entries.decide(step, candidate, view, entry_moment)
            record.verdict[candidate.place] = decision.verdict
            record.entry_gates[candidate.place] = decision.gates
            if decision.intent is not None:
                record.intent_ids[candidate.place] = decision.intent.intent_id

    def _hindrance(self, symbol: str) -> str:
        """Why no entry of this symbol is possible now at all; empty when one is."""
        if symbol in self._reconciliation.differs:
            return "books differ from the venue's"
        if symbol in self._portfolio.positions and self._exits.in_our_care(symbol) is None:
            return "the position is not ours"
        exits = (Action.CLOSE, Action.REDUCE)
        if any(live.intent.key.action in exits for live in self._oms.live_orders(symbol)):
            return "an exit is under way"
        return ""

    def _held_places(self, ids: npt.NDArray[np.intp]) -> dict[str, int]:
        """Where the symbols that are held stand in a batch of these ids, in alphabetical order."""
        places = {}
        for symbol in sorted(self._portfolio.positions):
            symbol_id = self._universe.find(symbol)
            place = len(ids) if symbol_id is None else int(np.searchsorted(ids, symbol_id))
            if place < len(ids) and ids[place] == symbol_id:
                places[symbol] = place
        return places

    def _names(self, analyses: Analyses) -> tuple[str, ...]:
        """Symbols of a batch; batches of the same symbols share one tuple."""
        key = analyses.ids.tobytes()
        if key != self._symbols_of[0]:
            self._symbols_of = (key, tuple(self._universe.symbols[symbol_id] for symbol_id in analyses.ids.tolist()))
        return self._symbols_of[1]
