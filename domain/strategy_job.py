"""A batch whose analysis runs away from the engine."""

from __future__ import annotations

from dataclasses import dataclass

from domain.candles import CandleBatch, CandleWindow
from domain.strategy_config import StrategyBook


@dataclass(frozen=True, slots=True)
class StrategyJob:
    """The candles of a batch and the windows that end with them, for a strategy's worker.

    `windows` are in the order of `batch.ids`. `job_no` counts up within a session; the answer
    returns as an event that names it.
    """

    job_no: int
    batch: CandleBatch
    windows: tuple[CandleWindow, ...]
    btc_bullish: bool | None
    book: StrategyBook
