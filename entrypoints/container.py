"""The composition root of the daemon: the one place that knows every adapter, and the one that asks for the mode.

What only some rows need (SQLite, indicators) is imported where it is wired. A backtest has a root of its own.

row        market data     orders                         account                  clock            ledger
paper      Hyperliquid     simulated exchange             simulated                system, scaled   SQLite
dry_live   Hyperliquid     written as WOULD, never sent   Hyperliquid, read only   system           SQLite
live       Hyperliquid     Hyperliquid, signed            Hyperliquid              system           SQLite

Hyperliquid is its main or test network, or a local venue that speaks the same wire (`venue_connection`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dependency_injector import containers, providers

from adapters.clocks import SystemClock
from adapters.strategies.worker import DataFrameWorker
from application.candle_audit import CandleAudit
from application.candle_sources import CandleSources
from application.committer import Committer
from application.effect_runner import EffectRunner
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.fetch_queue import FetchQueue
from application.recorder import Recorder
from application.step import Step
from application.strategy_manager import StrategyManager
from application.supervisor import Companion, Supervisor
from config.load import Configuration
from config.settings import Settings
from config.variables import LIVE_CONFIRMATION, Mode, Network
from domain.events import Event
from domain.instruments import Universe
from entrypoints.alerting import alerts_of
from entrypoints.control.answers import OperatorAnswers
from entrypoints.control.desk import control_companions, inbox_of, kill_file_of
from entrypoints.gates import GateClosed
from entrypoints.metrics.commits import TimedCommitter
from entrypoints.metrics.health import Health
from entrypoints.metrics.tally import Tally
from entrypoints.metrics.watched import Watched
from entrypoints.paths import decisions_path
from entrypoints.pauses import Pauses
from entrypoints.recording import open_record, session_name
from entrypoints.rows import Row, dry_live_row, live_row, paper_row, watch_what_fits
from entrypoints.screen import Screen
from entrypoints.strategies import stream_strategy, worker_of
from entrypoints.venue_connection import VenueConnection
from ports.alerts import Alerts
from ports.candle_history import CandleStore
from ports.ledger import DecisionLog, Ledger
from ports.operators import Operators
from ports.order_encoder import OrderEncoder
from ports.session_log import SessionLog

# ── the daemon ───────────────────────────────────────────────────────────────────────────────────

PAPER_ACCOUNT = "local"
"""The account of a paper ledger, whatever network its prices are from."""


FRAME_MS = 40
"""What a frame needs from the venue to the engine, in real time: in time-lapse that is seconds of the market's."""


def refuse_closed(settings: Settings) -> None:
    """What may not start, before anything is opened: real orders without their two switches."""
    if settings.mode is not Mode.LIVE or settings.network is Network.LOCAL:
        return
    if not settings.live_enable or settings.live_confirm != LIVE_CONFIRMATION:
        raise GateClosed(
            f"live on {settings.network.value} sends real orders: set AI_QUANT_LIVE_ENABLE=1 and "
            f"AI_QUANT_LIVE_CONFIRM={LIVE_CONFIRMATION}, or rehearse with AI_QUANT_NETWORK=local; nothing was sent"
        )


def _row(
    settings: Settings,
    connection: VenueConnection,
    manager: StrategyManager,
    engine: UnifiedEngine,
    recorder: Recorder,
    alerts: Alerts,
    pauses: Pauses,
) -> Row:
    match settings.mode:
        case Mode.PAPER:
            return paper_row(settings, connection, manager, engine, recorder, alerts)
        case Mode.DRY_LIVE:
            return dry_live_row(settings, connection, engine, recorder, alerts)
        case Mode.LIVE:
            return live_row(settings, connection, engine, recorder, alerts, pauses)


def _encoder(settings: Settings, connection: VenueConnection) -> OrderEncoder | None:
    """Who writes orders as they will be signed; the simulated exchange takes them as they are."""
    if settings.mode is Mode.PAPER:
        return None
    from adapters.hyperliquid.encoder import ActionEncoder

    return ActionEncoder(connection.universe, connection.asset_of, settings.vault_address)


def account_name(settings: Settings) -> str:
    """What stands for the account in the ledger and in every intent's key."""
    if settings.mode is Mode.PAPER:
        return PAPER_ACCOUNT
    address = settings.vault_address or settings.account_address
    return PAPER_ACCOUNT if address is None else address.lower()


def _engine_settings(settings: Settings) -> EngineSettings:
    return EngineSettings(
        account=account_name(settings),
        interval=settings.interval,
        signal_on_candle_close=settings.signal_on_candle_close,
        candle_close_grace_ms=settings.candle_close_grace_ms + round(FRAME_MS * (settings.time_scale - 1)),
        from_store=settings.from_store,
        accepts_foreign_orders=settings.accept_foreign_orders,
        candles_streamed=settings.ws_enable_candle,
        exit_interval=settings.exit_interval,
        named=settings.symbols or None,
        top=settings.top_n,
        waits_for_volumes=True,
    )


def _ledger(settings: Settings) -> Ledger:
    from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger

    identity = LedgerIdentity(settings.mode.value, settings.network.value, account_name(settings))
    created_ms = time.time_ns() // 1_000_000
    return SqliteLedger(settings.db_path, identity, created_ms=created_ms, chance=random.SystemRandom())


def _decision_log(settings: Settings, session: str) -> DecisionLog:
    from adapters.sqlite.decision_log import SqliteDecisionLog

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
    row: Row
    session: str
    record: SessionLog
    watched: Watched

    async def close(self) -> None:
        """Let go of everything, storage last."""
        if self.worker is not None:
            await self.worker.close()
        self.committer.close()
        self.record.close("stopped")
        self.candles.close()
        await self.row.close()
        self.decisions.close()
        self.ledger.close()


def _runner_maker(
    row: Row,
    sources: CandleSources,
    fetches: FetchQueue,
    committer: Committer,
    connection: VenueConnection,
    worker: DataFrameWorker | None,
    operators: Operators,
) -> Callable[[Callable[[Event], None]], EffectRunner]:
    def make(put: Callable[[Event], None]) -> EffectRunner:
        return EffectRunner(
            row.gateway,
            row.account,
            row.account_watch.ask,
            sources,
            fetches,
            watch_what_fits(row.feed, row.alerts),
            committer,
            row.alerts,
            connection.clock,
            worker,
            put,
            operators,
        )

    return make


def _companions(
    row: Row,
    connection: VenueConnection,
    engine: UnifiedEngine,
    sources: CandleSources,
    fetches: FetchQueue,
    pauses: Pauses,
    control: Mapping[str, Companion],
) -> Mapping[str, Companion]:
    """Tasks that run as long as the daemon does: those of the row, those that hear the operator, and the one that
    checks the stream's candles."""
    audit = CandleAudit(
        sources,
        connection.clock,
        row.alerts,
        engine.settings.interval,
        watched=lambda: engine.market.watched,
        is_busy=lambda: len(fetches) > 0,
        every_ms=pauses.audit_ms,
    )
    return {**row.companions, **control, "candle audit": audit.keep}


def _tally(settings: Settings, engine: UnifiedEngine, connection: VenueConnection, ledger: Ledger) -> Tally:
    """Counts of this session; where somebody reads them, it knows what earlier ones left open."""
    earlier = () if settings.metrics_port is None else ledger.load().open_differences
    return Tally(engine.hub, connection.clock, earlier)


def _on_step(screen: Screen, tally: Tally) -> Callable[[Step], None]:
    def note(step: Step) -> None:
        tally.note(step)
        screen.show(step)

    return note


class DaemonContainer(containers.DeclarativeContainer):
    """One daemon. `ledger` may be asked for before `connection` is there: whoever may not write it changes nothing
    else, and starts no venue. So may `alerts`, which is one object for all that tells of something."""

    configuration = providers.Dependency(instance_of=Configuration)
    connection = providers.Dependency(instance_of=VenueConnection)
    pauses = providers.Singleton(Pauses)
    settings = configuration.provided.settings

    ledger = providers.Singleton(_ledger, settings)
    alerts = providers.Singleton(alerts_of, settings, providers.Singleton(SystemClock))
    universe = connection.provided.universe
    manager = providers.Singleton(StrategyManager, configuration.provided.parser, configuration.provided.first)
    strategy = providers.Singleton(stream_strategy, settings.strategy)
    worker = providers.Singleton(worker_of, settings.strategy, settings.strategy_deadline_ms)
    engine_settings = providers.Singleton(_engine_settings, settings)
    engine = providers.Singleton(
        UnifiedEngine,
        engine_settings,
        universe,
        strategy,
        manager,
        providers.Singleton(_encoder, settings, connection),
    )
    session = providers.Singleton(session_name)
    record = providers.Singleton(open_record, session, configuration, connection, engine_settings, alerts)
    recorder = providers.Singleton(Recorder, record)
    row = providers.Singleton(_row, settings, connection, manager, engine, recorder, alerts, pauses)
    decisions = providers.Singleton(_decision_log, settings, session)
    candles = providers.Singleton(_candle_store, settings, universe)
    committer = providers.Singleton(
        TimedCommitter, ledger, decisions, candles, connection.provided.clock, record=record
    )
    sources = providers.Singleton(CandleSources, committer, row.provided.history, connection.provided.clock)
    fetches = providers.Singleton(FetchQueue)
    screen = providers.Singleton(Screen, engine, sources, connection.provided.budget)
    answers = providers.Singleton(OperatorAnswers)
    kill_file = providers.Singleton(kill_file_of, settings)
    inbox = providers.Singleton(inbox_of, settings, recorder, kill_file)
    control = providers.Singleton(
        control_companions,
        configuration,
        engine,
        inbox,
        screen,
        connection.provided.budget,
        connection.provided.clock,
        session,
        record,
        answers,
        kill_file,
    )
    tally = providers.Singleton(_tally, settings, engine, connection, ledger)
    health = providers.Singleton(Health, connection.provided.clock, committer)
    supervisor = providers.Singleton(
        Supervisor,
        engine,
        connection.provided.clock,
        row.provided.feed,
        row.provided.account,
        ledger,
        committer,
        providers.Callable(_runner_maker, row, sources, fetches, committer, connection, worker, answers),
        configuration.provided.watch,
        providers.Callable(_on_step, screen, tally),
        screen.provided.heartbeat,
        settings.heartbeat_secs,
        providers.Singleton(_companions, row, connection, engine, sources, fetches, pauses, control),
        recorder,
        inbox,
        timer_s=pauses.provided.timer_s,
        config_poll_s=pauses.provided.config_poll_s,
    )
    watched = providers.Singleton(
        Watched,
        settings,
        session,
        engine,
        supervisor.provided.inbox,
        row,
        connection.provided.budget,
        connection.provided.sentinel,
        committer,
        record,
        tally,
        health,
        connection.provided.clock,
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
        row=row,
        session=session,
        record=record,
        watched=watched,
    )
