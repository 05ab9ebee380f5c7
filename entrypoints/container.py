"""The composition root: the one place that knows every adapter, and the one that asks for the mode.

What only some rows need (SQLite, indicators) is imported where it is wired: a backtest opens no database.

row        market data         orders               account      clock    ledger
paper      local market        simulated exchange   simulated    scaled   SQLite
backtest   candle files        simulated exchange   simulated    candles  in memory
dry_live   not yet: these rows need the Hyperliquid adapter
live       not yet
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from dependency_injector import containers, providers

from adapters.logged_alerts import LoggedAlerts
from adapters.sim.exchange import FundingSource, SimExchange
from adapters.sim.local_venue import LocalVenue
from adapters.sim.memory_ledger import MemoryLedger
from adapters.strategies.lean_talib import import_lean_talib
from adapters.strategies.worker import DataFrameWorker
from application.backtest import Backtest
from application.committer import Committer
from application.effect_runner import EffectRunner
from application.engine import EngineSettings, UnifiedEngine
from application.strategy_manager import StrategyManager
from application.supervisor import Supervisor
from config.load import Configuration
from config.settings import Settings
from config.variables import Mode, Network
from domain.config_events import OverridesText
from domain.events import Event
from domain.instruments import Instrument, Universe
from domain.strategy_config import Place
from entrypoints.local_market import LocalMarket, exchange_rules, local_exchange, local_market
from entrypoints.paths import decisions_path, exchange_path
from entrypoints.screen import Screen
from ports.candle_history import CandleStore
from ports.datasets import CandleSet, FundingSet
from ports.ledger import DecisionLog, Ledger
from ports.strategy import Strategy
from ports.strategy_config import ConfigError, ConfigProblem, StrategyConfigParser

MEI_ALPHA_V1 = "mei_alpha_v1"
"""The name of our own strategy; any other is a user's, given as `module:function`."""

USER_LOOKBACK_CANDLES = 300
"""Candles in the frame a user's strategy gets: what the earlier engine gave, and room for its macro EMA."""

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


def _series_strategy(name: str, candles: CandleSet, manager: StrategyManager) -> Strategy:
    if name == MEI_ALPHA_V1:
        import_lean_talib()
        from adapters.strategies.mei_alpha_v1 import MeiAlphaV1
        from adapters.strategies.series_bank import SeriesBank

        return MeiAlphaV1(SeriesBank(candles.windows, manager.book))
    from adapters.strategies.dataframe import DataFrameStrategy

    return DataFrameStrategy(name, lookback=USER_LOOKBACK_CANDLES)


def _worker(name: str, deadline_ms: int) -> DataFrameWorker | None:
    """The worker of a user's strategy; our own needs none."""
    if name == MEI_ALPHA_V1:
        return None
    worker = DataFrameWorker(name, deadline_s=deadline_ms / 1000)
    worker.start()
    return worker


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
    strategy = providers.Singleton(_series_strategy, inputs.provided.strategy, inputs.provided.candles, manager)
    worker = providers.Singleton(_worker, inputs.provided.strategy, inputs.provided.strategy_deadline_ms)
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


# ── the daemon ───────────────────────────────────────────────────────────────────────────────────

LOCAL_ACCOUNT = "local"


def refuse_unbuilt(settings: Settings) -> None:
    """The rows of the mode table that are not built yet say so, before anything is opened."""
    if settings.mode is Mode.PAPER and settings.network is Network.LOCAL:
        return
    asked = f"{settings.mode.value} on {settings.network.value}"
    message = (
        f"{asked} needs the Hyperliquid adapter, which is not part of this version yet; "
        "AI_QUANT_MODE=paper with AI_QUANT_NETWORK=local trades on the simulated market"
    )
    raise ConfigError([ConfigProblem(Place("environment"), "AI_QUANT_NETWORK", message)])


def _stream_strategy(name: str) -> Strategy:
    if name == MEI_ALPHA_V1:
        import_lean_talib()
        from adapters.strategies.mei_alpha_v1 import MeiAlphaV1
        from adapters.strategies.stream_bank import StreamBank

        return MeiAlphaV1(StreamBank())
    from adapters.strategies.dataframe import DataFrameStrategy

    return DataFrameStrategy(name, lookback=USER_LOOKBACK_CANDLES)


def _engine_settings(settings: Settings) -> EngineSettings:
    return EngineSettings(
        account=LOCAL_ACCOUNT,
        interval=settings.interval,
        signal_on_candle_close=settings.signal_on_candle_close,
        candle_close_grace_ms=settings.candle_close_grace_ms,
    )


def _ledger(settings: Settings) -> Ledger:
    from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger

    identity = LedgerIdentity(settings.mode.value, settings.network.value, LOCAL_ACCOUNT)
    created_ms = time.time_ns() // 1_000_000
    return SqliteLedger(settings.db_path, identity, created_ms=created_ms, chance=random.SystemRandom())


def _decision_log(settings: Settings) -> DecisionLog:
    from adapters.sqlite.decision_log import SqliteDecisionLog

    session = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    return SqliteDecisionLog(decisions_path(settings), settings.decisions_keep, session)


def _candle_store(settings: Settings, universe: Universe) -> CandleStore:
    from adapters.sqlite.candle_store import SqliteCandleStore

    return SqliteCandleStore(settings.market_db_path, universe.symbols)


@dataclass(frozen=True, slots=True)
class DaemonParts:
    """What the entrypoint needs of a wired daemon."""

    universe: Universe
    engine: UnifiedEngine
    supervisor: Supervisor
    screen: Screen
    committer: Committer
    ledger: Ledger
    decisions: DecisionLog
    candles: CandleStore
    worker: DataFrameWorker | None

    async def close(self) -> None:
        """Let go of everything, storage last."""
        if self.worker is not None:
            await self.worker.close()
        self.committer.close()
        self.candles.close()
        self.decisions.close()
        self.ledger.close()


def _runner_maker(
    venue: LocalVenue, committer: Committer, local: LocalMarket, worker: DataFrameWorker | None
) -> Callable[[Callable[[Event], None]], EffectRunner]:
    def make(put: Callable[[Event], None]) -> EffectRunner:
        return EffectRunner(venue, venue, committer, LoggedAlerts(), local.clock, worker, put)

    return make


class DaemonContainer(containers.DeclarativeContainer):
    """The paper row. The ledger comes first: whoever may not write it changes nothing else."""

    configuration = providers.Dependency(instance_of=Configuration)
    settings = configuration.provided.settings

    ledger = providers.Singleton(_ledger, settings)
    local = providers.Singleton(local_market, settings)
    universe = local.provided.universe
    manager = providers.Singleton(StrategyManager, configuration.provided.parser, configuration.provided.first)
    strategy = providers.Singleton(_stream_strategy, settings.strategy)
    worker = providers.Singleton(_worker, settings.strategy, settings.strategy_deadline_ms)
    engine = providers.Singleton(
        UnifiedEngine, providers.Singleton(_engine_settings, settings), universe, strategy, manager
    )
    exchange = providers.Singleton(local_exchange, local, manager, settings)
    venue = providers.Singleton(
        LocalVenue,
        local.provided.market,
        universe,
        exchange,
        local.provided.clock,
        settings.interval,
        providers.Callable(exchange_path, settings),
        local.provided.identity,
    )
    decisions = providers.Singleton(_decision_log, settings)
    candles = providers.Singleton(_candle_store, settings, universe)
    committer = providers.Singleton(Committer, ledger, decisions, candles)
    screen = providers.Singleton(Screen, engine)
    supervisor = providers.Singleton(
        Supervisor,
        engine,
        local.provided.clock,
        venue,
        venue,
        ledger,
        committer,
        providers.Callable(_runner_maker, venue, committer, local, worker),
        configuration.provided.watch,
        screen.provided.show,
        screen.provided.heartbeat,
        settings.heartbeat_secs,
    )
    parts = providers.Singleton(
        DaemonParts,
        ledger=ledger,
        universe=universe,
        engine=engine,
        screen=screen,
        worker=worker,
        decisions=decisions,
        candles=candles,
        committer=committer,
        supervisor=supervisor,
    )
