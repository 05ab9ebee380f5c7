"""ExitCandles: closed candles of the exit interval, for what is held and nothing else.

They need no warm-up: an exit looks at the close of a candle, its indicators are those of the interval that signals come
from. A position's stop does not wait for them, it is looked at on every price.
"""

from __future__ import annotations

import numpy as np

from application.candle_board import CandleBoard
from application.step import Step
from application.venue_clock import VenueClock
from domain.candles import Interval
from domain.effects import FetchCandles
from domain.events import CandlesChecked, CandleStreams, CandleUpdates, HistoryLoaded
from domain.instruments import Universe

_DEPTH = 32
"""Spans kept: enough to tell quiet from silence."""
_FIRST_CANDLES = 24
"""Asked for when a position begins: the same, at no more weight than one."""


class ExitCandles:
    def __init__(
        self, universe: Universe, interval: Interval, clock: VenueClock, grace_ms: int, *, streamed: bool
    ) -> None:
        self._universe = universe
        self._clock = clock
        self.interval = interval
        self._board = CandleBoard(len(universe), interval, clock, grace_ms, streamed=streamed, depth=_DEPTH)
        self._held: frozenset[str] = frozenset()

    def follow(self, step: Step, held: frozenset[str]) -> None:
        """Look at the candles of these symbols from now on."""
        for symbol in sorted(self._held - held):
            self._board.drop(self._universe.id_of(symbol))
        for symbol in sorted(held - self._held):
            self._fetch(step, symbol)
        self._held = held

    def hear(self, event: CandleUpdates, at_ms: int) -> None:
        self._board.apply_updates(event, at_ms)

    def set_streams(self, event: CandleStreams, at_ms: int) -> None:
        self._board.set_streams(event.ids, at_ms, running=event.running, silent_ms=event.silent_ms)

    def take_history(self, event: HistoryLoaded) -> None:
        window = event.window
        if window is None or event.symbol not in self._held:
            return
        symbol_id = self._universe.id_of(event.symbol)
        if event.is_tail:
            self._board.extend(symbol_id, window)
        elif len(window) >= 2 and not (np.diff(window.open_ms) != self.interval.ms).any():
            self._board.anchor(symbol_id, window)

    def check(self, event: CandlesChecked) -> None:
        self._board.check(self._universe.id_of(event.symbol), event.window)

    def take_closed(self, step: Step) -> list[tuple[str, int, float]]:
        """(symbol, open time, close) of every candle that has closed since the last call, oldest first."""
        if not self._board.is_due(step.at_ms):
            return []
        closed = []
        for batch in self._board.due(step.at_ms):
            candles = batch.candles
            for symbol_id, close in zip(candles.ids.tolist(), candles.close.tolist(), strict=True):
                closed.append((self._universe.symbols[symbol_id], candles.open_ms, close))
        for symbol_id in sorted(self._board.take_missing()):
            symbol, start_ms = self._universe.symbols[symbol_id], int(self._board.taken[symbol_id]) + self.interval.ms
            end_ms = self.interval.open_of(self._clock.now(step.at_ms))
            step.effects.append(FetchCandles(symbol, self.interval, start_ms, end_ms, is_tail=True))
        for symbol_id in sorted(set(self._board.take_gaps())):
            self._fetch(step, self._universe.symbols[symbol_id])
        self._board.take_revised()
        return closed

    def _fetch(self, step: Step, symbol: str) -> None:
        end_ms = self.interval.open_of(step.at_ms)
        start_ms = end_ms - _FIRST_CANDLES * self.interval.ms
        step.effects.append(FetchCandles(symbol, self.interval, start_ms, end_ms))
