"""The composition root of a backtest: candle files, the simulated exchange, a ledger in memory, no database."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from dependency_injector import containers, providers

from adapters.sim.exchange import FundingSource, SimExchange
from adapters.sim.memory_ledger import MemoryLedger
from application.backtest import Backtest
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.strategy_manager import StrategyManager
from domain.config_events import OverridesText
from domain.instruments import Instrument, Universe
from entrypoints.rows import exchange_rules
from entrypoints.strategies import series_strategy, worker_of
from ports.datasets import CandleSet, FundingSet
from ports.strategy_config import StrategyConfigParser

BACKTEST_ACCOUNT = "backtest"


@dataclass(frozen=True, slots=True)
class BacktestInputs:
    """What one backtest is made from. `candles` and `funding` have been checked by their reader."""

    candles: CandleSet
    funding: FundingSet | None
    instruments: tuple[Instrument, ...]
    parser: StrategyConfigParser
    first_look: OverridesText
    strategy: str
    strategy_deadline_ms: int
    start_cash_usd: Decimal


def _recorded_funding(funding: FundingSet | None) -> FundingSource | None:
    """Realised rates of a data set; the exchange's own price stands in for the oracle's."""
    if funding is None:
        return None

    def paid(symbol: str, hour_ms: int) -> tuple[Decimal, Decimal | None] | None:
        rate = funding.rate(symbol, hour_ms)
        return None if rate is None else (rate, None)

    return paid


class BacktestContainer(containers.DeclarativeContainer):
    inputs = providers.Dependency(instance_of=BacktestInputs)

    universe = providers.Singleton(Universe, inputs.provided.instruments)
    manager = providers.Singleton(StrategyManager, inputs.provided.parser, inputs.provided.first_look)
    strategy = providers.Singleton(series_strategy, inputs.provided.strategy, inputs.provided.candles, manager)
    worker = providers.Singleton(worker_of, inputs.provided.strategy, inputs.provided.strategy_deadline_ms)
    engine_settings = providers.Singleton(
        EngineSettings,
        account=BACKTEST_ACCOUNT,
        interval=inputs.provided.candles.interval,
        warms_up_from_history=False,
    )
    engine = providers.Singleton(UnifiedEngine, engine_settings, universe, strategy, manager)
    exchange = providers.Singleton(
        SimExchange,
        universe,
        providers.Singleton(exchange_rules, manager),
        inputs.provided.start_cash_usd,
        providers.Singleton(_recorded_funding, inputs.provided.funding),
    )
    ledger = providers.Singleton(MemoryLedger)
    backtest = providers.Factory(Backtest, engine, exchange, ledger, worker)
