"""The daemon's way to a venue: Hyperliquid's networks, a venue that runs already, or a child of its own on loopback."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from adapters.clocks import SystemClock
from adapters.hyperliquid.budget import WeightBudget
from adapters.hyperliquid.drift import DriftSentinel
from adapters.hyperliquid.endpoints import MAINNET, TESTNET, Endpoint, local_endpoint
from adapters.hyperliquid.http_pool import RequestsTransport
from adapters.hyperliquid.key_watch import KeyWatch
from adapters.hyperliquid.keys import AgentKey, load_agent_key
from adapters.hyperliquid.recorded_http import RecordedHttp
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.sockets import WebSocketTransport
from adapters.hyperliquid.transport import HttpTransport, SocketTransport
from adapters.hyperliquid.universe import UnknownDexes, UnknownSymbols, VenueMarkets, read_universe
from adapters.hyperliquid.venue_skew import VenueSkew
from adapters.hyperliquid.watch import look_at_clock
from adapters.logged_alerts import LoggedAlerts
from adapters.sim.exchange_state import load_book
from config.settings import Settings
from config.suggestions import did_you_mean
from config.variables import Mode, Network
from domain.field_rules import SecretText
from domain.instruments import Universe
from domain.strategy_config import Place
from entrypoints.agent_key import key_sources
from entrypoints.key_standing import refuse_wrong_key
from entrypoints.local_market import LocalMarket, local_market
from entrypoints.paths import drift_path, exchange_path
from entrypoints.venue_child import VenueChild, start_venue
from ports.alerts import Alerts
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable
from ports.strategy_config import ConfigError, ConfigProblem

_ENVIRONMENT = Place("environment")

PLANNED_WEIGHT = 640
"""Weight a minute that the daemon plans with: little more than half of what the venue allows one IP. A start reads the
account twice besides its warm-up, and an entry must not wait for the next minute."""

LOCAL_WEIGHT = 100_000
"""A child of ours enforces no limits: a rehearsal need not wait for a warm-up that the real venue would slow down."""


@dataclass(slots=True)
class VenueConnection:
    """An open way to one venue, and what trades there. `local` is set where the market is ours."""

    endpoint: Endpoint
    clock: Clock
    transport: HttpTransport
    budget: WeightBudget
    info: InfoClient
    sentinel: DriftSentinel
    universe: Universe
    asset_of: Mapping[str, int]
    listed: tuple[str, ...] = ()
    """Everything that trades there, watched or not."""
    skew: VenueSkew = field(default_factory=VenueSkew)
    """How far the venue's clock is ahead of ours, as far as its answers prove it."""
    local: LocalMarket | None = None
    child: VenueChild | None = None
    account: str | None = None
    """Whose account it is about: the master, sub-account or vault; None where no account is needed."""
    key: AgentKey | None = None
    """Only where orders are signed."""
    open_sockets: Callable[[int], SocketTransport] | None = None
    """What opens WebSockets, by the rest between two reads (ms); None: the network."""
    chance: random.Random = field(default_factory=random.Random)
    """What jitters the feed's reconnects."""
    exchanges: RecordedHttp | None = None
    """The transport's record; None where its requests are not recorded."""

    @property
    def account_address(self) -> str:
        assert self.account is not None, "this row connects with an account"
        return self.account

    def sockets(self, rest_ms: int = 0) -> SocketTransport:
        if self.open_sockets is not None:
            return self.open_sockets(rest_ms)
        return WebSocketTransport(self.endpoint.ws_url, rest_ms=rest_ms)

    async def close(self) -> None:
        await self.transport.close()
        if self.child is not None:
            self.child.stop()


async def connect(settings: Settings, held: Collection[str] = (), alerts: Alerts | None = None) -> VenueConnection:
    """Reach the venue and read what trades there. Raises `VenueUnavailable` where it cannot be reached, and
    `ConfigError` for symbols that it does not have. What is `held` belongs to the universe, asked for or not. Without
    `alerts` what the venue says in unknown words is told to the log alone."""
    is_ours = settings.network is Network.LOCAL and settings.venue_url is None
    account = None if settings.mode is Mode.PAPER or is_ours else account_of(settings)
    key = None if settings.mode is not Mode.LIVE or is_ours else load_agent_key(key_sources(settings))
    local = local_market(settings) if is_ours else None
    child = None if local is None else child_of(settings, local)
    connection = None
    try:
        connection = await _connected(settings, local, child, held, alerts or LoggedAlerts())
        connection.account, connection.key = account, key
        if child is not None and settings.mode is not Mode.PAPER:
            connection.account, connection.key = _toy(child, signs=settings.mode is Mode.LIVE)
        elif key is not None:
            await refuse_wrong_key(connection.info, connection, settings)
    except BaseException as error:
        if connection is not None:
            await connection.close()
        elif child is not None:
            child.stop()
        if isinstance(error, VenueUnavailable):
            where = endpoint_of(settings, child).url
            raise VenueUnavailable(f"{where}: {error}; AI_QUANT_NETWORK=local needs no internet") from error
        raise
    return connection


async def _connected(
    settings: Settings, local: LocalMarket | None, child: VenueChild | None, held: Collection[str], alerts: Alerts
) -> VenueConnection:
    endpoint = endpoint_of(settings, child)
    clock: Clock = SystemClock() if local is None else local.clock()
    transport = RecordedHttp(RequestsTransport(endpoint.url), clock)
    try:
        budget = WeightBudget(clock, per_minute=PLANNED_WEIGHT if child is None else LOCAL_WEIGHT)
        sentinel = DriftSentinel(alerts, drift_path(settings))
        info = InfoClient(transport, budget, clock, chance=random.Random(), watch=KeyWatch(sentinel))
        markets = await markets_of(settings, local, info, held)
        connection = VenueConnection(
            endpoint,
            clock,
            transport,
            budget,
            info,
            sentinel,
            markets.universe,
            markets.asset_of,
            markets.listed,
            local=local,
            child=child,
            exchanges=transport,
        )
        # Before any candle is asked for: a clock of ours that is ahead would take a running one for a closed one.
        connection.skew.learn(*(await look_at_clock(info, clock)).bounds_ms)
        return connection
    except BaseException:
        await transport.close()
        raise


async def markets_of(
    settings: Settings, local: LocalMarket | None, info: InfoClient, held: Collection[str] = ()
) -> VenueMarkets:
    """What is traded: the symbols asked for, BTC, and what is held; or everything."""
    asked = set(settings.symbols) if local is None else set(local.symbols)
    kept = set(held)
    if asked:
        asked.add("BTC")
        if settings.mode is Mode.PAPER and local is None and (saved := load_book(exchange_path(settings))) is not None:
            kept |= {*saved.book.account.positions, *saved.book.resting}
    try:
        return await _read_universe(settings, info, asked | kept if asked else asked)
    except UnknownSymbols as error:
        missing = {*error.unknown, *error.delisted}
        if not missing & asked:
            return await _read_universe(settings, info, (asked | kept) - missing)  # the engine tells what it lacks
        near = "".join(did_you_mean(symbol, error.known) for symbol in error.unknown[:1])
        raise ConfigError([ConfigProblem(_ENVIRONMENT, "AI_QUANT_SYMBOLS", f"{error}{near}")]) from error


async def _read_universe(settings: Settings, info: InfoClient, wanted: Collection[str]) -> VenueMarkets:
    try:
        return await read_universe(info, wanted or None, settings.builder_dexes)
    except UnknownDexes as error:
        raise ConfigError([ConfigProblem(_ENVIRONMENT, "AI_QUANT_BUILDER_DEXES", str(error))]) from error


def account_of(settings: Settings) -> str:
    """Whose state is read: that of the vault or sub-account, else of the master."""
    address = settings.vault_address or settings.account_address
    if address is None:
        message = "whose account? Give the master account's address (never the agent's)"
        raise ConfigError([ConfigProblem(_ENVIRONMENT, "AI_QUANT_ACCOUNT_ADDRESS", message)])
    return address.lower()


def _toy(child: VenueChild, *, signs: bool) -> tuple[str, AgentKey | None]:
    """Account and key that a venue of our own gives away."""
    given = child.ready["accounts"][0]
    secret = SecretText(str(given["key"]).removeprefix("0x"))
    return str(given["address"]).lower(), AgentKey(secret, "the local venue") if signs else None


def endpoint_of(settings: Settings, child: VenueChild | None) -> Endpoint:
    if child is not None:
        return local_endpoint(child.url)
    if settings.venue_url is not None:
        return local_endpoint(settings.venue_url)
    return MAINNET if settings.network is Network.MAINNET else TESTNET


def child_of(settings: Settings, local: LocalMarket) -> VenueChild:
    return start_venue(
        symbols=local.symbol_count,
        seed=local.seed,
        scale=local.scale,
        since=local.since,
        balance_usd=settings.paper_balance,
    )
