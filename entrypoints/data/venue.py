"""The way to a venue's candles: public questions only, no account, no key, no order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from adapters.clocks import SystemClock
from adapters.hyperliquid.budget import Lane, WeightBudget
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.history import HyperliquidHistory
from adapters.hyperliquid.http_pool import RequestsTransport
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.universe import UnknownDexes, UnknownSymbols, dex_of, markets_of, read_universe
from adapters.hyperliquid.venue_skew import VenueSkew
from adapters.hyperliquid.watch import look_at_clock
from adapters.hyperliquid.wire_rest import decode_meta_and_volumes
from adapters.sim.symbols import MAX_SYMBOLS, profiles
from config.settings import Settings
from config.suggestions import did_you_mean
from config.variables import Network
from domain.instruments import Universe
from domain.strategy_config import Place
from entrypoints.local_market import LocalMarket, local_market
from entrypoints.venue_connection import LOCAL_WEIGHT, PLANNED_WEIGHT, child_of, endpoint_of
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable
from ports.strategy_config import ConfigError, ConfigProblem

_COMMAND_LINE = Place("command line")


@dataclass(slots=True)
class CandleVenue:
    """An open way to one venue; `is_ours`: it was started for this, and enforces no limits."""

    url: str
    clock: Clock
    info: InfoClient
    budget: WeightBudget
    skew: VenueSkew
    is_ours: bool

    def now_ms(self) -> int:
        """The venue's time, as far as it is known."""
        return self.clock.now_ms() + self.skew()

    async def history_of(self, universe: Universe) -> HyperliquidHistory:
        """The venue's candles of these symbols, closed by its clock and not by ours."""
        look = await look_at_clock(self.info, self.clock)
        self.skew.learn(*look.bounds_ms)
        return HyperliquidHistory(self.info, universe, self.clock, self.skew)

    async def named(self, symbols: Sequence[str]) -> Universe:
        """These symbols. Raises `ConfigError` with what may have been meant where the venue does not have one."""
        dexes = tuple(dict.fromkeys(dex_of(symbol) for symbol in symbols if dex_of(symbol)))
        try:
            return (await read_universe(self.info, symbols, dexes)).universe
        except UnknownSymbols as error:
            near = "".join(did_you_mean(symbol, error.known) for symbol in error.unknown[:1])
            raise _wrong_symbols(f"{error}{near}") from error
        except UnknownDexes as error:
            raise _wrong_symbols(str(error)) from error

    async def traded_most(self, count: int) -> Universe:
        """The symbols with the largest volumes of the last 24 hours; all where there are fewer."""
        body = await self.info.ask({"type": "metaAndAssetCtxs"}, lane=Lane.ACCOUNT)
        try:
            meta, volumes = decode_meta_and_volumes(body)
        except DecodeError as error:
            raise VenueUnavailable(str(error)) from error
        listed = [each.symbol for each in meta.instruments if not each.delisted and each.symbol in volumes]
        if not listed:
            raise VenueUnavailable(f"nobody knows what is traded most: {'; '.join(meta.problems[:3])}")
        most = sorted(listed, key=lambda symbol: -volumes[symbol])[:count]
        return markets_of(meta, frozenset(most)).universe

    async def all_of(self, symbols: Sequence[str]) -> Universe:
        """The venue's symbols, those of the dexes that these are from included, whether it has these or not."""
        dexes = tuple(dict.fromkeys(dex_of(symbol) for symbol in symbols if dex_of(symbol)))
        try:
            return (await read_universe(self.info, None, dexes)).universe
        except UnknownDexes as error:
            known = tuple(dex for dex in dexes if dex not in error.unknown)
            return (await read_universe(self.info, None, known)).universe


@asynccontextmanager
async def candle_venue(settings: Settings, symbols: Sequence[str], count: int = 0) -> AsyncIterator[CandleVenue]:
    """Open the venue of the settings. One of our own is started, large enough for `symbols` or the first `count`, and
    stopped at the end. Raises `VenueUnavailable`."""
    local = _local(settings, symbols, count)
    child = None if local is None else child_of(settings, local)
    try:
        endpoint = endpoint_of(settings, child)
        clock: Clock = SystemClock() if local is None else local.clock()
        transport = RequestsTransport(endpoint.url)
        try:
            budget = WeightBudget(clock, per_minute=PLANNED_WEIGHT if child is None else LOCAL_WEIGHT)
            info = InfoClient(transport, budget, clock)
            yield CandleVenue(endpoint.url, clock, info, budget, VenueSkew(), is_ours=child is not None)
        except VenueUnavailable as error:
            raise VenueUnavailable(f"{endpoint.url}: {error}; AI_QUANT_NETWORK says which venue is asked") from error
        finally:
            await transport.close()
    finally:
        if child is not None:
            child.stop()


def refuse_unknown_local(settings: Settings, symbols: Sequence[str]) -> None:
    """Raise `ConfigError` for names that a market of ours cannot have. To be asked before it is started: it will hold
    only what is asked for, and could not suggest much."""
    if not _is_ours(settings):
        return
    names = _local_names()
    unknown = [symbol for symbol in symbols if symbol not in names]
    if unknown:
        shown = ", ".join(repr(symbol) for symbol in unknown)
        near = did_you_mean(unknown[0], names)
        raise _wrong_symbols(f"the local market has no {shown} (names are case-sensitive){near}")


def _local(settings: Settings, symbols: Sequence[str], count: int) -> LocalMarket | None:
    if not _is_ours(settings):
        return None
    names = _local_names()
    known = tuple(symbol for symbol in symbols if symbol in names)
    size = min(count, len(names)) or settings.local_symbols
    return local_market(replace(settings, symbols=known, local_symbols=size))


def _is_ours(settings: Settings) -> bool:
    return settings.network is Network.LOCAL and settings.venue_url is None


def _local_names() -> list[str]:
    return [profile.instrument.symbol for profile in profiles(MAX_SYMBOLS)]


def _wrong_symbols(message: str) -> ConfigError:
    return ConfigError([ConfigProblem(_COMMAND_LINE, "--symbols", message)])
