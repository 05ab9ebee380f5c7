"""The rows of the mode table: which feed, gateway, account and history a daemon of each mode is made of.

row        market data    orders                         account
paper      Hyperliquid    simulated exchange             simulated
dry_live   Hyperliquid    written as WOULD, never sent   Hyperliquid, read only
live       Hyperliquid    Hyperliquid, signed            Hyperliquid

Where Hyperliquid is (main network, test network, a local venue) is the connection's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.hyperliquid.budget import AddressBudget
from adapters.hyperliquid.feed import FeedSettings, HyperliquidFeed
from adapters.hyperliquid.feed_watch import FeedWatch
from adapters.hyperliquid.history import HyperliquidHistory
from adapters.hyperliquid.market_watch import MarketWatch
from adapters.hyperliquid.subscriptions import TooManySubscriptions
from adapters.sim.exchange import ExchangeRules
from application.account_watch import AccountWatch
from application.engine import UnifiedEngine
from application.strategy_manager import StrategyManager
from application.supervisor import Companion
from config.settings import Settings
from domain.events import Event
from domain.strategy_config import Place
from entrypoints.catch_up import CatchUp
from entrypoints.paths import exchange_path, would_path
from entrypoints.pauses import USUAL, Pauses
from entrypoints.venue_connection import VenueConnection
from ports.account import Account
from ports.alerts import Alerts
from ports.candle_history import CandleHistory
from ports.feed_log import FeedLog
from ports.market_feed import MarketFeed
from ports.order_gateway import OrderGateway
from ports.strategy_config import ConfigError, ConfigProblem


async def _hold_nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """`companions` are tasks that run as long as the daemon does. `close` lets go of what only this row holds.

    `stream` is the venue's own, also where the engine's `feed` passes through the simulated exchange. `address_budget`
    is what the account may still send; None where nothing is sent.
    """

    feed: MarketFeed
    gateway: OrderGateway
    account: Account
    account_watch: AccountWatch
    history: CandleHistory
    alerts: Alerts
    stream: HyperliquidFeed
    address_budget: AddressBudget | None = None
    companions: Mapping[str, Companion] = field(default_factory=dict)
    close: Callable[[], Awaitable[None]] = _hold_nothing


def paper_row(
    settings: Settings,
    connection: VenueConnection,
    manager: StrategyManager,
    engine: UnifiedEngine,
    log: FeedLog,
    alerts: Alerts,
) -> Row:
    """Public data, and an account that only this process knows."""
    from adapters.hyperliquid.funding import FundingRates, read_rates
    from adapters.sim.exchange import SimExchange
    from adapters.sim.exchange_state import load_book
    from adapters.sim.paper_desk import PaperDesk

    feed = _feed(settings, connection, engine, alerts, None, _nothing_happened, log)
    history = HyperliquidHistory(connection.info, connection.universe, connection.clock, connection.skew)
    rates = FundingRates(lambda: read_rates(connection.info), connection.clock, alerts)
    state_path = exchange_path(settings)
    saved = load_book(state_path)
    book = None if saved is None else saved.book
    exchange = SimExchange(connection.universe, exchange_rules(manager), settings.paper_balance, rates.paid, book)
    identity = {} if connection.local is None else connection.local.identity
    desk = PaperDesk(feed, history, connection.universe, exchange, connection.clock, state_path, identity)
    watches = _watches(settings, connection, alerts, feed, engine)
    account_watch = AccountWatch(desk, CatchUp(desk, engine), connection.clock)
    companions = {"funding rates": lambda _: rates.keep_fresh(), "account watch": account_watch.keep, **watches}
    return Row(desk, desk, desk, account_watch, history, alerts, feed, companions=companions)


def dry_live_row(
    settings: Settings, connection: VenueConnection, engine: UnifiedEngine, log: FeedLog, alerts: Alerts
) -> Row:
    """Everything as in live, up to the last step: no signer is made, and nothing here can send."""
    from adapters.hyperliquid.account import HyperliquidAccount
    from adapters.hyperliquid.dry_gateway import DryGateway
    from adapters.hyperliquid.encoder import ActionEncoder
    from entrypoints.line_file import LineFile

    user = connection.account_address
    account = HyperliquidAccount(connection.info, user, connection.sentinel, connection.clock)
    catch_up = CatchUp(account, engine)
    account_watch = AccountWatch(account, catch_up, connection.clock)
    feed = _feed(settings, connection, engine, alerts, user, catch_up, log)
    history = HyperliquidHistory(connection.info, connection.universe, connection.clock, connection.skew)
    would = LineFile(would_path(settings))
    gateway = DryGateway(ActionEncoder(connection.universe, connection.asset_of), would.write)

    async def close() -> None:
        would.close()

    watches = _watches(settings, connection, alerts, feed, engine)
    companions = {"account watch": account_watch.keep, **watches}
    return Row(feed, gateway, account, account_watch, history, alerts, feed, companions=companions, close=close)


def live_row(
    settings: Settings,
    connection: VenueConnection,
    engine: UnifiedEngine,
    log: FeedLog,
    alerts: Alerts,
    pauses: Pauses = USUAL,
) -> Row:
    """Orders are signed and sent."""
    from adapters.hyperliquid.account import HyperliquidAccount
    from adapters.hyperliquid.encoder import ActionEncoder
    from adapters.hyperliquid.gateway import GatewaySettings, HyperliquidGateway
    from adapters.hyperliquid.nonces import NonceSource, nonce_path
    from adapters.hyperliquid.schedule_cancel import DeadMansSwitch
    from adapters.hyperliquid.signing import Signer
    from adapters.hyperliquid.watch import VenueWatch

    assert connection.key is not None, "live connects with a key"
    signer = Signer(connection.key, is_mainnet=connection.endpoint.is_mainnet)
    nonces = NonceSource(nonce_path(settings.user_dir, settings.network.value, signer.address))
    user = connection.account_address
    account = HyperliquidAccount(connection.info, user, connection.sentinel, connection.clock)
    catch_up = CatchUp(account, engine)
    account_watch = AccountWatch(account, catch_up, connection.clock, pauses.account_look_s)
    feed = _feed(settings, connection, engine, alerts, user, catch_up, log)
    history = HyperliquidHistory(connection.info, connection.universe, connection.clock, connection.skew)
    address_budget = AddressBudget()
    span_s = settings.schedule_cancel_s
    switch = (
        None
        if span_s is None
        else DeadMansSwitch(
            lambda at_ms: gateway.schedule_cancel(at_ms),
            lambda: _may_have_stops(engine),
            connection.clock,
            connection.skew,
            alerts,
            span_s,
        )
    )
    gateway = HyperliquidGateway(
        connection.transport,
        signer,
        nonces,
        ActionEncoder(connection.universe, connection.asset_of),
        connection.budget,
        address_budget,
        connection.info,
        connection.clock,
        GatewaySettings(user=user, vault=settings.vault_address),
        alerts,
        connection.skew,
        engine.guard.bars_entries,
        _do_nothing if switch is None else switch.stop_leaves,
    )
    master = settings.account_address or user
    watch = VenueWatch(
        connection.info, connection.clock, alerts, signer=signer.address, account=master, skew=connection.skew
    )
    watches = _watches(settings, connection, alerts, feed, engine, asks_time=False, pauses=pauses)

    async def close() -> None:
        if switch is not None:
            await switch.close()
        await gateway.close()
        nonces.close()

    companions = {"venue watch": watch.keep_watch, "account watch": account_watch.keep, **watches}
    if switch is not None:
        companions["venue switch"] = switch.keep
    return Row(feed, gateway, account, account_watch, history, alerts, feed, address_budget, companions, close)


def _may_have_stops(engine: UnifiedEngine) -> bool:
    """Whether a stop of ours rests or is on its way, or may be any moment: a position gets one at once."""
    waits = any(live.order.request.trigger is not None for live in engine.oms.all_live_orders())
    return waits or bool(engine.portfolio.positions)


def _do_nothing() -> None:
    return None


def exchange_rules(manager: StrategyManager) -> ExchangeRules:
    return ExchangeRules(slippage_bps=manager.book.everyone.trade.slippage_bps)


def _watches(
    settings: Settings,
    connection: VenueConnection,
    alerts: Alerts,
    feed: HyperliquidFeed,
    engine: UnifiedEngine,
    *,
    asks_time: bool = True,
    pauses: Pauses = USUAL,
) -> dict[str, Companion]:
    """Companions of every row: who is most traded and what time it is at the venue, and whether the feed is alive.

    `asks_time` off: somebody else looks at the venue's clock already.
    """
    scale = settings.time_scale  # their pauses are real; what they look at moves with the market
    market = MarketWatch(
        connection.info,
        connection.clock,
        alerts,
        connection.universe,
        listed=connection.listed,
        skew=connection.skew if asks_time else None,
        every_s=settings.watchlist_refresh_s / scale,
    )
    health = FeedWatch(
        feed,
        connection.info,
        connection.universe,
        connection.clock,
        alerts,
        watched=lambda: engine.market.watched,
        price_of=lambda symbol: _mid_of(engine, symbol),
        skew_ms=connection.skew,
        pace=scale,
        every_s=pauses.feed_look_s,
    )
    return {"market watch": market.keep_watch, "feed watch": health.keep_watch}


def _mid_of(engine: UnifiedEngine, symbol: str) -> float | None:
    """The newest mid price that the engine has heard."""
    mid = float(engine.hub.mid[engine.universe.id_of(symbol)])
    return None if mid != mid else mid


def watch_what_fits(feed: MarketFeed, alerts: Alerts) -> Callable[[Sequence[str], Sequence[str]], None]:
    """Stream as much of what is wanted as the venue's limits carry: exit candles give way first, the rest from the
    end, where the least urgent are. What is not streamed is asked for; nothing ends for it."""

    def watch(symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
        fitting, exits = list(symbols), list(exit_symbols)
        while True:
            try:
                feed.watch(fitting, exits)
                break
            except TooManySubscriptions as error:
                alerts.send("too_many_streams", str(error))
                if exits:
                    exits = []
                else:
                    del fitting[-1:]

    return watch


async def _nothing_happened() -> Sequence[Event]:
    return ()


def _feed(
    settings: Settings,
    connection: VenueConnection,
    engine: UnifiedEngine,
    alerts: Alerts,
    user: str | None,
    catch_up: Callable[[], Awaitable[Sequence[Event]]],
    log: FeedLog,
) -> HyperliquidFeed:
    wanted = FeedSettings(
        bbo=settings.ws_enable_bbo,
        candle=settings.ws_enable_candle,
        user=user,
        exit_interval=settings.exit_interval,
        watched=settings.top_n,
        exits_watched=engine.book.everyone.trade.max_open_positions,
        pace=settings.time_scale,
    )
    try:
        return HyperliquidFeed(
            connection.universe,
            settings.interval,
            connection.sockets(),
            connection.clock,
            wanted,
            connection.sentinel,
            alerts,
            catch_up,
            connection.chance,
            connection.skew,
            connection.sockets(round(settings.ws_rest_ms / settings.time_scale)),
            log,
        )
    except TooManySubscriptions as error:
        raise ConfigError([ConfigProblem(Place("environment"), "AI_QUANT_SYMBOLS", str(error))]) from error
