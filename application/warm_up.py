"""Which symbols are warm, and how they become so: anchors, histories, and starting again from them.

A symbol's indicators start at its anchor, which the ledger keeps, and are always rebuilt from it.
Live, histories are fetched; in a data set the candles themselves begin at the anchor.
"""

from __future__ import annotations

import numpy as np

from application.market_context import BTC, MarketOverview
from application.market_data_hub import MarketDataHub
from application.step import Step
from domain.candles import NO_CANDLE_MS, BoolColumn, CandleBatch, CandleWindow, Interval
from domain.effects import Alert, FetchCandles
from domain.events import HistoryLoaded
from domain.facts import AnchorSet, LedgerState
from domain.instruments import Universe
from ports.strategy import WARMUP_CANDLES, Strategy

HISTORY_MARGIN_CANDLES = 20
"""Candles fetched beyond the warm-up, so that one that is missing does not hold a symbol back."""

ANCHOR_MAX_CANDLES = 5_000
"""An anchor further back than this is given up for a fresh one: the venue serves no more history."""


class WarmUp:
    """Counts candles since each symbol's anchor; a symbol decides once it has more than the warm-up."""

    def __init__(
        self, universe: Universe, interval: Interval, hub: MarketDataHub, strategy: Strategy, overview: MarketOverview
    ) -> None:
        self._universe = universe
        self._interval = interval
        self._hub = hub
        self._strategy = strategy
        self._overview = overview
        self._anchors: dict[str, int] = {}
        self._awaited: set[str] = set()
        self._seen = np.zeros(len(universe), dtype=np.int64)
        self._decided = np.full(len(universe), NO_CANDLE_MS, dtype=np.int64)
        self._cold = len(universe)

    @property
    def awaited(self) -> int:
        """Symbols whose first history has not come yet."""
        return len(self._awaited)

    def restore(self, state: LedgerState) -> None:
        self._anchors = {symbol: open_ms for symbol, interval, open_ms in state.anchors if interval is self._interval}

    def fetch_all(self, step: Step) -> None:
        """Ask for everybody's history."""
        self._awaited.update(self._universe.symbols)
        for symbol in self._universe.symbols:
            self._fetch(step, symbol)

    def take_candles(self, candles: CandleBatch) -> BoolColumn:
        """Count these candles; True where the symbol is warm and has not decided on this candle before."""
        self._seen[candles.ids] += 1
        warm = self._seen[candles.ids] > WARMUP_CANDLES
        decide: BoolColumn = warm & (self._decided[candles.ids] < candles.open_ms)
        self._decided[candles.ids[decide]] = candles.open_ms  # a rebuilt symbol is offered its last candle again
        return decide

    def take_history(self, step: Step, event: HistoryLoaded) -> None:
        """Start a symbol (again) from its anchor; too short a history leaves it out until there is more."""
        self._awaited.discard(event.symbol)
        symbol_id = self._universe.id_of(event.symbol)
        window = event.window
        if window is None or len(window) <= WARMUP_CANDLES:
            have = 0 if window is None else len(window)
            problem = event.problem or f"{have} candles, {WARMUP_CANDLES + 1} needed"
            step.effects.append(Alert("history_short", f"{event.symbol}: {problem}"))
            return
        if (np.diff(window.open_ms) != self._interval.ms).any():
            step.effects.append(Alert("history_gap", f"{event.symbol}: the history has a hole or is out of order"))
            return
        anchor_ms = int(window.open_ms[0])
        if self._anchors.get(event.symbol) != anchor_ms:
            self._anchors[event.symbol] = anchor_ms
            step.facts.append(AnchorSet(event.symbol, self._interval, anchor_ms))
        before_last = _without_last(window)
        self._strategy.rebuild(symbol_id, before_last)
        if event.symbol == BTC:
            self._overview.restart_btc(before_last)
        self._seen[symbol_id] = len(before_last)
        self._hub.anchor(symbol_id, window)

    def restart(self, step: Step, symbol_id: int) -> None:
        """Rebuild a symbol from its anchor; until then it is not decided on."""
        self._hub.drop(symbol_id)
        self._strategy.forget(symbol_id)
        self._fetch(step, self._universe.symbols[symbol_id])

    def _fetch(self, step: Step, symbol: str) -> None:
        """Ask for a symbol's candles from its anchor on, or from a fresh one where it has none or too old a one."""
        interval = self._interval
        newest_ms = interval.open_of(step.at_ms)
        fresh_ms = newest_ms - (WARMUP_CANDLES + HISTORY_MARGIN_CANDLES) * interval.ms
        anchor_ms = self._anchors.get(symbol, fresh_ms)
        if anchor_ms < newest_ms - ANCHOR_MAX_CANDLES * interval.ms:
            anchor_ms = fresh_ms
        step.effects.append(FetchCandles(symbol, interval, anchor_ms))

    def build_warmed(self, candles: CandleBatch) -> None:
        """Where no history is loaded, a symbol's state is built from the candles that warmed it up."""
        if not self._cold:
            return
        for place in np.flatnonzero(self._seen[candles.ids] == WARMUP_CANDLES).tolist():
            symbol_id = int(candles.ids[place])
            self._strategy.rebuild(symbol_id, self._hub.window(symbol_id, candles.open_ms, WARMUP_CANDLES))
            self._cold -= 1


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
