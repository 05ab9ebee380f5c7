"""Probes for the look-ahead check: a user's `analyze`, and mei_alpha_v1 through its banks."""

from __future__ import annotations

from typing import Any

import numpy as np

from adapters.strategies.candle_frames import frame_of
from adapters.strategies.gate_parameters import parameters_of
from adapters.strategies.indicators import Columns, column_series, periods_of, raw_series
from adapters.strategies.lookahead import Probe, ProbeTable
from adapters.strategies.mei_gates import btc_sign_of, evaluate, gate_names
from adapters.strategies.plain_config import plain_config
from adapters.strategies.user_answer import BadAnswer, read_answer
from adapters.strategies.user_strategy import UserAnalyze
from domain.candles import CandleWindow
from domain.signals import Signal
from domain.strategy_config import StrategyBook
from ports.strategy import StrategyFailed


def analyze_probe(analyze: UserAnalyze, book: StrategyBook, btc_bullish: bool | None) -> Probe:
    """Run a user's function in this process. Its table is what it adds to its frame or changes there.

    StrategyFailed says what it raised, or what is wrong with its answer.
    """

    def probe(window: CandleWindow) -> ProbeTable:
        frame = frame_of(window)
        given = frame.copy()
        try:
            answer = analyze(frame, window.symbol, btc_bullish, plain_config(book.for_symbol(window.symbol)))
            signal = Signal(read_answer(answer, float(window.close[-1])).signal).name
        except BadAnswer as error:
            raise StrategyFailed(f"{window.symbol}, {len(window)} candles: {error}") from error
        except Exception as error:
            text = f"{window.symbol}, {len(window)} candles: analyze raised {type(error).__name__}: {error}"
            raise StrategyFailed(text) from error
        if len(frame) != len(window):
            raise StrategyFailed(f"{window.symbol}: analyze changed the number of rows of its frame")
        columns: dict[str, np.ndarray[Any, Any]] = {
            str(name): frame[name].to_numpy()
            for name in frame.columns
            if name not in given.columns or not frame[name].equals(given[name])
        }
        return ProbeTable(columns, [None] * (len(window) - 1) + [signal])

    return probe


def mei_probe(book: StrategyBook, btc_bullish: bool | None) -> Probe:
    """mei_alpha_v1 over a whole series: indicators, gate values, features and the signal of every candle."""

    def probe(window: CandleWindow) -> ProbeTable:
        config = book.for_symbol(window.symbol)
        raw = raw_series(window.high, window.low, window.close, window.volume, periods_of(config))
        columns = column_series(raw)
        parameters = parameters_of((window.symbol,), (config,))
        said = evaluate(columns[:, :, np.newaxis], parameters, btc_sign_of(btc_bullish))
        table = dict(zip(Columns._fields, columns, strict=True))
        table |= {f"gate {name}": row[:, 0] for name, row in zip(gate_names(parameters), said.values, strict=True)}
        return ProbeTable(table, [Signal(sign).name for sign in said.signal[:, 0].tolist()])

    return probe
