"""The port behind which strategies live: columns of a batch in, columns of opinions out."""

from __future__ import annotations

from typing import Protocol

from domain.candles import BoolColumn, CandleBatch, CandleWindow
from domain.instruments import Universe
from domain.signals import Analyses
from domain.strategy_config import StrategyBook
from domain.strategy_job import StrategyJob

__all__ = ["WARMUP_CANDLES", "Strategy", "StrategyFailed", "StrategyJob", "StrategyNotFound", "StrategyWorker"]

WARMUP_CANDLES = 600
"""Candles of a symbol that are seen before its first analysis: three times the longest period
(the macro EMA's 200), so that what the first candle seeded has faded."""


class StrategyFailed(Exception):
    """A strategy raised, overran its deadline or broke its contract; the message says which."""


class StrategyNotFound(Exception):
    """A strategy cannot be loaded under the name given; the message says what is missing and how to name one."""


class Strategy(Protocol):
    """Opinions on closed candles. It never sees positions, orders or the clock.

    State (indicator streams) is per symbol and always a function of the candles since that
    symbol's anchor: rebuilt from the same first candle it holds the same bits.
    """

    name: str

    def configure(self, book: StrategyBook, universe: Universe) -> tuple[str, ...]:
        """Put a config in force for the next batch.

        Returns the symbols whose indicator state no longer fits (their periods changed) and
        that must be rebuilt from their anchor before they can be analysed again.
        """
        ...

    def rebuild(self, symbol_id: int, window: CandleWindow) -> None:
        """Make a symbol's state what it is after the last candle of `window`.

        `window` begins at the symbol's anchor and has no gap. Replaces any earlier state.
        """
        ...

    def forget(self, symbol_id: int) -> None:
        """Drop a symbol's state; it counts as never built."""
        ...

    def advance(self, batch: CandleBatch, decide: BoolColumn, btc_bullish: bool | None) -> Analyses | StrategyJob:
        """Take one closed candle a symbol and say what it means.

        `decide[j]` is False for symbols that are only warming up: their state moves on, they
        are not in the answer. The answer's `ids` are `batch.ids[decide]`, in that order.
        """
        ...


class StrategyWorker(Protocol):
    """Runs jobs of a strategy that is not ours, away from the engine."""

    async def run(self, job: StrategyJob) -> Analyses:
        """Analyse one batch. A symbol whose analysis raises or overruns is in the answer's `failures`.

        Raises `StrategyFailed` when the strategy cannot be asked at all.
        """
        ...

    async def close(self) -> None:
        """End the worker process. Idempotent."""
        ...
