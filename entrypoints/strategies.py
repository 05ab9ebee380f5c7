"""Strategies by name: our own, or a user's `module:function`. What only some need is imported where it is made."""

from __future__ import annotations

from adapters.strategies.lean_talib import import_lean_talib
from adapters.strategies.worker import DataFrameWorker
from application.strategy_manager import StrategyManager
from ports.datasets import CandleSet
from ports.strategy import Strategy

MEI_ALPHA_V1 = "mei_alpha_v1"
"""The name of our own strategy; any other is a user's, given as `module:function`."""

USER_LOOKBACK_CANDLES = 300
"""Candles in the frame a user's strategy gets: what the earlier engine gave, and room for its macro EMA."""


def series_strategy(name: str, candles: CandleSet, manager: StrategyManager) -> Strategy:
    if name == MEI_ALPHA_V1:
        import_lean_talib()
        from adapters.strategies.mei_alpha_v1 import MeiAlphaV1
        from adapters.strategies.series_bank import SeriesBank

        return MeiAlphaV1(SeriesBank(candles.windows, manager.book))
    from adapters.strategies.dataframe import DataFrameStrategy

    return DataFrameStrategy(name, lookback=USER_LOOKBACK_CANDLES)


def stream_strategy(name: str) -> Strategy:
    if name == MEI_ALPHA_V1:
        import_lean_talib()
        from adapters.strategies.mei_alpha_v1 import MeiAlphaV1
        from adapters.strategies.stream_bank import StreamBank

        return MeiAlphaV1(StreamBank())
    from adapters.strategies.dataframe import DataFrameStrategy

    return DataFrameStrategy(name, lookback=USER_LOOKBACK_CANDLES)


def worker_of(name: str, deadline_ms: int) -> DataFrameWorker | None:
    """The worker of a user's strategy; our own needs none."""
    if name == MEI_ALPHA_V1:
        return None
    worker = DataFrameWorker(name, deadline_s=deadline_ms / 1000)
    worker.start()
    return worker
