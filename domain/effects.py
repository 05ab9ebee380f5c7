"""Effects: what the engine wants done outside. They leave only after the facts they rest on are durable."""

from __future__ import annotations

from dataclasses import dataclass

from domain.candles import CandleBatch, Interval
from domain.intents import OrderRequest
from domain.strategy_job import StrategyJob


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class CancelOrder:
    symbol: str
    cloid: str


@dataclass(frozen=True, slots=True)
class FetchCandles:
    """Ask for closed candles of a symbol from `start_ms` on; answered by `HistoryLoaded`."""

    symbol: str
    interval: Interval
    start_ms: int


@dataclass(frozen=True, slots=True)
class StoreCandles:
    """Keep closed candles, in their final state, in the candle store."""

    candles: CandleBatch


@dataclass(frozen=True, slots=True)
class RunStrategy:
    """Analyse a batch in the strategy's worker; answered by `StrategyAnswered`."""

    job: StrategyJob


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell the operator. `code` is stable, `text` is for people."""

    code: str
    text: str


Effect = SubmitOrder | CancelOrder | FetchCandles | StoreCandles | RunStrategy | Alert
