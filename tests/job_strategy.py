"""A scripted strategy that runs elsewhere, and the job in a step."""

from __future__ import annotations

import numpy as np

from application.step import Step
from domain.candles import CandleBatch
from domain.effects import RunStrategy
from domain.strategy_job import StrategyJob
from tests.engine_builders import ScriptedStrategy, effects_of, manager_of, universe_of


class JobStrategy(ScriptedStrategy):
    """Hands every batch out as a job, as a user's strategy does."""

    def __init__(self, *symbols: str) -> None:
        super().__init__(universe_of(*symbols))
        self.jobs = 0

    def advance(  # type: ignore[override]
        self, batch: CandleBatch, decide: np.ndarray[tuple[int], np.dtype[np.bool_]], btc_bullish: bool | None
    ) -> StrategyJob:
        self.jobs += 1
        return StrategyJob(self.jobs, batch, (), btc_bullish, manager_of().book)


def job_in(step: Step) -> StrategyJob:
    (effect,) = effects_of(RunStrategy, step)
    return effect.job
