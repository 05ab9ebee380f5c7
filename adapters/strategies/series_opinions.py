"""Opinions of a backtest, judged many candles at a time.

The gates are columns, whatever their shape: a stretch of the series is judged in one go and read
one close at a time. What a candle's opinion depends on is that candle's own columns and BTC's trend
at its close, which is only known then; so a stretch is judged once for each trend that occurs in it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from adapters.strategies.gate_parameters import GateParameters
from adapters.strategies.mei_gates import Opinions, evaluate
from adapters.strategies.series_bank import SeriesBank
from domain.candles import BoolColumn, CandleBatch

STRETCH = 256
"""Closes judged together: enough to spread the cost of a call, little enough to stay in the cache."""


class SeriesOpinions:
    def __init__(self, bank: SeriesBank) -> None:
        self._bank = bank
        self._stretch = -1
        self._judged: dict[float, Opinions] = {}

    def forget(self) -> None:
        """Another config is in force: nothing judged before counts any more."""
        self._judged.clear()

    def at(
        self, batch: CandleBatch, decide: BoolColumn, parameters: GateParameters, btc_sign: float
    ) -> tuple[npt.NDArray[np.intp], Opinions]:
        """The opinions on the symbols of a batch that decide, and who they are. `parameters` are everybody's."""
        row = self._bank.row_of(batch, decide)
        stretch, place = divmod(row, STRETCH)
        if stretch != self._stretch:
            self._stretch = stretch
            self._judged.clear()
        trend = 0.0 if math.isnan(btc_sign) else btc_sign
        said = self._judged.get(trend)
        if said is None:
            columns = self._bank.stretch(stretch * STRETCH, STRETCH)
            said = self._judged[trend] = evaluate(columns, parameters, btc_sign)
        ids = batch.ids[decide]
        everybody = len(ids) == said.signal.shape[-1]
        who: slice | npt.NDArray[np.intp] = slice(None) if everybody else ids
        return ids, Opinions(
            said.signal[place, who],
            said.confidence[place, who],
            said.first_no[place, who],
            said.features[:, place, who],
            said.values[:, place, who],
            said.thresholds[:, place, who],
            said.passed[:, place, who],
        )
