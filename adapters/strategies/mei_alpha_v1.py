"""mei_alpha_v1: enter with an established trend, confirmed by ADX, RSI, MACD and BTC.

The strategy is columns from end to end: a bank of indicators advances all symbols that
closed, the gates judge them together. With a `StreamBank` it runs live, with a `SeriesBank`
in the backtest; what it says from the same anchor is the same to the bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapters.strategies.banks import IndicatorBank
from adapters.strategies.gate_parameters import GateParameters, parameters_of
from adapters.strategies.indicators import periods_of
from adapters.strategies.mei_analyze import analyze
from adapters.strategies.mei_gates import btc_sign_of, evaluate, gate_names
from adapters.strategies.series_bank import SeriesBank
from adapters.strategies.series_opinions import SeriesOpinions
from domain.candles import BoolColumn, CandleBatch, CandleWindow
from domain.instruments import Universe
from domain.signals import Analyses
from domain.strategy_config import StrategyBook

__all__ = ["MeiAlphaV1", "analyze"]


class MeiAlphaV1:
    """The strategy behind the `Strategy` port. Configure it before the first batch."""

    name = "mei_alpha_v1"

    def __init__(self, bank: IndicatorBank) -> None:
        self._bank = bank
        self._series = SeriesOpinions(bank) if isinstance(bank, SeriesBank) else None
        self._parameters: GateParameters | None = None
        self._gate_names: tuple[str, ...] = ()
        self._taken_ids: npt.NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._taken: GateParameters | None = None

    def configure(self, book: StrategyBook, universe: Universe) -> tuple[str, ...]:
        """Put a config in force. The first call finds no state and so returns nothing to rebuild."""
        configs = [book.for_symbol(symbol) for symbol in universe.symbols]
        self._parameters = parameters_of(universe.symbols, configs)
        self._gate_names = gate_names(self._parameters)
        self._taken = None
        if self._series is not None:
            self._series.forget()
        lost = self._bank.fit([periods_of(config) for config in configs])
        return tuple(universe.symbols[symbol_id] for symbol_id in lost)

    def rebuild(self, symbol_id: int, window: CandleWindow) -> None:
        self._bank.rebuild(symbol_id, window)

    def forget(self, symbol_id: int) -> None:
        self._bank.forget(symbol_id)

    def advance(self, batch: CandleBatch, decide: BoolColumn, btc_bullish: bool | None) -> Analyses:
        assert self._parameters is not None, "configure before the first batch"
        if self._series is not None:
            ids, said = self._series.at(batch, decide, self._parameters, btc_sign_of(btc_bullish))
        else:
            columns = self._bank.advance(batch, decide)
            ids = batch.ids if columns.shape[1] == len(batch) else batch.ids[decide]
            said = evaluate(columns, self._parameters_for(ids), btc_sign_of(btc_bullish))
        return Analyses(
            ids=ids,
            signal=said.signal,
            confidence=said.confidence,
            first_no=said.first_no,
            features=said.features,
            gate_names=self._gate_names,
            gate_values=said.values,
            gate_thresholds=said.thresholds,
            gate_passed=said.passed,
        )

    def _parameters_for(self, ids: npt.NDArray[np.intp]) -> GateParameters:
        """The parameters of these symbols; batches mostly repeat the ids of the one before."""
        assert self._parameters is not None, "configure before the first batch"
        if self._taken is None or not np.array_equal(ids, self._taken_ids):
            self._taken = self._parameters.take(ids)
            self._taken_ids = ids.copy()
        return self._taken
