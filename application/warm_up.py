"""Which symbols are warm, and how they become so: anchors, histories, and starting again from them.

A symbol's indicators start at its anchor, which the ledger keeps, and are always rebuilt from it.
Live, histories are fetched, the most urgent symbol's first; in a data set the candles themselves begin at the anchor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from application.market_context import BTC, MarketOverview
from application.market_data_hub import MarketDataHub
from application.step import Step
from domain.candles import NO_CANDLE_MS, BoolColumn, CandleBatch, CandleWindow, Interval
from domain.effects import Alert, FetchCandles
from domain.events import HistoryLoaded
from domain.facts import AnchorSet, CandlesSkipped, LedgerState
from domain.instruments import Universe
from ports.strategy import WARMUP_CANDLES, Strategy

HISTORY_MARGIN_CANDLES = 20
"""Candles fetched beyond the warm-up, so that one that is missing does not hold a symbol back."""

HISTORY_AGAIN_MS = 600_000
"""How long after a history that was too short or torn a symbol is asked for again (never sooner than a candle)."""

ANCHOR_MAX_CANDLES = 5_000
"""An anchor further back than this is given up for a fresh one: the venue serves no more history."""


class WarmUp:
    """Counts candles since each symbol's anchor; a symbol decides once it has more than the warm-up."""

    def __init__(
        self,
        universe: Universe,
        interval: Interval,
        hub: MarketDataHub,
        strategy: Strategy,
        overview: MarketOverview,
        *,
        from_store: bool = False,
        warmup_candles: int = WARMUP_CANDLES,
    ) -> None:
        """`from_store`: a history of which nothing is stored is not asked of the venue."""
        self._universe = universe
        self._interval = interval
        self._hub = hub
        self._strategy = strategy
        self._overview = overview
        self._from_store = from_store
        self._enough = warmup_candles
        self._anchors: dict[str, int] = {}
        self._watched: tuple[str, ...] = ()
        self._awaited: set[str] = set()
        self._again_ms: dict[str, int] = {}
        self._next_again_ms: int | None = None
        self._seen = np.zeros(len(universe), dtype=np.int64)
        self._decided = np.full(len(universe), NO_CANDLE_MS, dtype=np.int64)
        self._cold = len(universe)

    @property
    def awaited(self) -> int:
        """Symbols whose first history has not come yet."""
        return len(self._awaited)

    @property
    def watched(self) -> tuple[str, ...]:
        """Symbols that are kept warm, the most urgent first."""
        return self._watched

    def restore(self, state: LedgerState) -> None:
        self._anchors = {symbol: open_ms for symbol, interval, open_ms in state.anchors if interval is self._interval}

    def watch(self, step: Step, symbols: tuple[str, ...]) -> None:
        """Keep these symbols warm from now on, and no others: ask for the histories of those that are new."""
        before, self._watched = set(self._watched), symbols
        for symbol in sorted(before.difference(symbols)):
            self._leave(symbol)
        for symbol in symbols:
            if symbol not in before:
                self._awaited.add(symbol)
                self._fetch(step, symbol)

    def ask_again(self, step: Step) -> None:
        """Ask once more for histories that could not be used; one comparison while none is due."""
        if self._next_again_ms is None or step.at_ms < self._next_again_ms:
            return
        for symbol in [symbol for symbol, due_ms in self._again_ms.items() if due_ms <= step.at_ms]:
            del self._again_ms[symbol]
            self._fetch(step, symbol)
        self._next_again_ms = min(self._again_ms.values(), default=None)

    def take_candles(self, candles: CandleBatch) -> BoolColumn:
        """Count these candles; True where the symbol is warm and has not decided on this candle before."""
        self._seen[candles.ids] += 1
        warm = self._seen[candles.ids] > self._enough
        decide: BoolColumn = warm & (self._decided[candles.ids] < candles.open_ms)
        self._decided[candles.ids[decide]] = candles.open_ms  # a rebuilt symbol is offered its last candle again
        return decide

    def take_history(self, step: Step, event: HistoryLoaded) -> None:
        """Start a symbol (again) from its anchor, or go on with candles that the stream did not tell.

        Too short a history leaves it out until there is more.
        """
        symbol_id = self._universe.id_of(event.symbol)
        window = event.window
        if event.symbol not in self._watched:
            return  # it left the watchlist meanwhile
        if window is not None and event.is_tail:
            self._hub.candles.extend(symbol_id, window)
            return
        self._awaited.discard(event.symbol)
        if window is None:  # whoever fetches goes on trying
            step.effects.append(Alert("history_missing", f"{event.symbol}: {event.problem}"))
            return
        problem = self._problem(window)
        if problem:
            step.effects.append(
                Alert("history_unusable", f"{event.symbol}: {problem}; it is left out until there is more")
            )
            again_ms = step.at_ms + max(HISTORY_AGAIN_MS, self._interval.ms)
            self._again_ms[event.symbol] = again_ms
            self._next_again_ms = min(self._again_ms.values())
            return
        anchor_ms = int(window.open_ms[0])
        if self._anchors.get(event.symbol) != anchor_ms:
            self._anchors[event.symbol] = anchor_ms
            step.facts.append(AnchorSet(event.symbol, self._interval, anchor_ms))
        before_last = window.without_last()
        self._strategy.rebuild(symbol_id, before_last)
        if event.symbol == BTC:
            self._overview.restart_btc(before_last)
        self._seen[symbol_id] = len(before_last)
        self._note_skipped(step, symbol_id, int(window.open_ms[-1]))
        self._hub.anchor(symbol_id, window)

    def _note_skipped(self, step: Step, symbol_id: int, next_ms: int) -> None:
        """Record the candles that nobody will decide on any more: they are known now, but were not in time."""
        first_ms = int(self._decided[symbol_id]) + self._interval.ms
        if self._decided[symbol_id] != NO_CANDLE_MS and first_ms < next_ms:
            symbol = self._universe.symbols[symbol_id]
            last_ms = next_ms - self._interval.ms
            step.facts.append(
                CandlesSkipped(step.seq, step.at_ms, symbol, self._interval, first_ms, last_ms, "gap repaired late")
            )

    def _problem(self, window: CandleWindow) -> str:
        """Why indicators cannot start from this history, empty when they can."""
        if len(window) <= self._enough:
            return f"{len(window)} candles, {self._enough + 1} needed"
        if (np.diff(window.open_ms) != self._interval.ms).any():
            return "the history has a hole or is out of order"
        return ""

    def restart(self, step: Step, symbol_ids: Collection[int]) -> None:
        """Rebuild these symbols from their anchors; until then they are not decided on."""
        for symbol in self._by_urgency(symbol_ids):
            symbol_id = self._universe.id_of(symbol)
            self._hub.drop(symbol_id)
            self._strategy.forget(symbol_id)
            self._fetch(step, symbol)

    def fetch_tails(self, step: Step, symbol_ids: Collection[int]) -> None:
        """Ask for the candles that have closed since each symbol's last."""
        for symbol in self._by_urgency(symbol_ids):
            start_ms = int(self._hub.candles.taken[self._universe.id_of(symbol)]) + self._interval.ms
            end_ms = self._interval.open_of(self._hub.venue_ms(step.at_ms))
            step.effects.append(FetchCandles(symbol, self._interval, start_ms, end_ms, is_tail=True))

    def _by_urgency(self, symbol_ids: Iterable[int]) -> list[str]:
        """The watched ones of these, in the watchlist's order."""
        wanted = {self._universe.symbols[symbol_id] for symbol_id in symbol_ids}
        return [symbol for symbol in self._watched if symbol in wanted] if wanted else []

    def _leave(self, symbol: str) -> None:
        symbol_id = self._universe.id_of(symbol)
        self._hub.drop(symbol_id)
        self._strategy.forget(symbol_id)
        self._awaited.discard(symbol)
        self._again_ms.pop(symbol, None)

    def _fetch(self, step: Step, symbol: str) -> None:
        """Ask for a symbol's candles from its anchor on, or from a fresh one where it has none or too old a one."""
        interval = self._interval
        newest_ms = interval.open_of(step.at_ms)
        fresh_ms = newest_ms - (self._enough + HISTORY_MARGIN_CANDLES) * interval.ms
        anchor_ms = self._anchors.get(symbol, fresh_ms)
        if anchor_ms < newest_ms - ANCHOR_MAX_CANDLES * interval.ms:
            anchor_ms = fresh_ms
        step.effects.append(FetchCandles(symbol, interval, anchor_ms, newest_ms, is_stored=self._from_store))

    def build_warmed(self, candles: CandleBatch) -> None:
        """Where no history is loaded, a symbol's state is built from the candles that warmed it up."""
        if not self._cold:
            return
        for place in np.flatnonzero(self._seen[candles.ids] == self._enough).tolist():
            symbol_id = int(candles.ids[place])
            self._strategy.rebuild(symbol_id, self._hub.window(symbol_id, candles.open_ms, self._enough))
            self._cold -= 1
