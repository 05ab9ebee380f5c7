"""What the contracts of `OrderGateway` and `Account` are asked of: a venue with one account, as the ports show it.

One is the simulated exchange in this process, one Hyperliquid's adapter on a venue process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from adapters.clocks import ScaledClock, SystemClock
from adapters.hyperliquid.encoder import ActionEncoder
from adapters.sim.exchange import ExchangeRules, SimExchange
from adapters.sim.market import SimMarket
from adapters.sim.paper_desk import PaperDesk
from domain.candles import CandleWindow, Interval, with_quiet_spans
from domain.events import AccountSnapshot, Event, Quotes
from domain.instruments import PriceRounding, Universe
from domain.intents import OrderRequest, Side, Trigger
from ports.account import Account
from ports.order_gateway import OrderGateway
from tests.hyperliquid_rigs import VenueControl, order_request, venue_rig
from tests.venue_process import venue

CASH_USD = Decimal(10_000)
_NUMBERS = itertools.count(1)


class World(ABC):
    """The ports, and what a test must know to order something sensible. Every world begins flat."""

    gateway: OrderGateway
    account: Account
    universe: Universe
    encoder: ActionEncoder | None = None

    @abstractmethod
    async def mid(self, symbol: str) -> Decimal: ...

    @abstractmethod
    def now_ms(self) -> int:
        """The venue's time."""

    async def request(self, symbol: str = "BTC", usd: int = 100, **changes: Any) -> OrderRequest:
        """A market buy; `away` moves its limit, in percent of the mid, and `trigger` is (kind, percent off the mid)."""
        instrument, mid = self.universe.instrument(symbol), await self.mid(symbol)
        side: Side = changes.get("side", Side.BUY)
        limit = mid * (1 + side.sign * Decimal(changes.pop("away", 5)) / 100)
        if (wanted := changes.pop("trigger", None)) is not None:
            price = instrument.round_price(mid * (1 + Decimal(wanted[1]) / 100), PriceRounding.DOWN)
            changes["trigger"] = Trigger(wanted[0], price)
        terms: dict[str, Any] = {
            "symbol": symbol,
            "size": instrument.round_size(Decimal(usd) / mid) + instrument.size_step,
            "limit_price": instrument.round_price(limit, PriceRounding.UP if side is Side.BUY else PriceRounding.DOWN),
        }
        return order_request(next(_NUMBERS), encoder=self.encoder, at_ms=self.now_ms(), **(terms | changes))

    def nonce_of(self, request: OrderRequest) -> int:
        """Under which it is signed; any one where nothing is."""
        return self.now_ms() if request.payload is None else request.payload.nonce

    async def told(self, *cloids: str, since_ms: int | None = None) -> list[Event]:
        since = self.now_ms() - 60_000 if since_ms is None else since_ms
        return list(await self.account.recover(cloids, since))

    async def snapshot(self) -> AccountSnapshot:
        last = (await self.told())[-1]
        assert isinstance(last, AccountSnapshot)
        return last


class FastMarket:
    """A generated market's quotes, once a second of its time, and its candles."""

    def __init__(self, market: SimMarket, universe: Universe, clock: ScaledClock) -> None:
        self._market, self._universe, self._clock = market, universe, clock

    def watch(self, symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
        """All of the market is told, always."""

    async def events(self) -> AsyncIterator[Event]:
        while True:
            at_ms = self._clock.now_ms() // 1_000 * 1_000 + 1_000
            await self._clock.sleep_until(at_ms)
            bid, ask = self._market.quotes(at_ms)
            yield Quotes(at_ms, np.arange(len(self._universe)), bid, ask)

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        drawn = self._market.candles(self._universe.id_of(symbol), interval, start_ms, end_ms)
        return with_quiet_spans(drawn, end_ms)


class SimWorld(World):
    """The simulated exchange, on time that runs fast so that its latency costs little."""

    def __init__(self, folder: Path) -> None:
        self._market = SimMarket(seed=11, symbol_count=4)
        self._clock = ScaledClock(1_767_571_200_000, SystemClock().now_ms(), 40.0)
        self.universe = Universe(self._market.instruments())
        exchange = SimExchange(self.universe, ExchangeRules(), CASH_USD)
        market = FastMarket(self._market, self.universe, self._clock)
        self.desk = PaperDesk(
            market, market, self.universe, exchange, self._clock, folder / "exchange.json", {"seed": 11}
        )
        self.gateway = self.account = self.desk

    async def mid(self, symbol: str) -> Decimal:
        bid, ask = self._market.quotes(self._clock.now_ms())
        place = self.universe.id_of(symbol)
        return Decimal(repr(float(bid[place] + ask[place]) / 2))

    def now_ms(self) -> int:
        return self._clock.now_ms()


@contextlib.asynccontextmanager
async def sim_world(folder: Path) -> AsyncIterator[SimWorld]:
    world = SimWorld(folder)

    async def follow() -> None:
        async for _ in world.desk.events():
            pass

    following = asyncio.create_task(follow())
    await asyncio.sleep(0)
    try:
        yield world
    finally:
        following.cancel()


class HyperliquidWorld(World):
    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.gateway, self.account, self.universe = rig.gateway, rig.account, rig.universe
        self.encoder = rig.encoder

    async def mid(self, symbol: str) -> Decimal:
        mid: Decimal = await self.rig.mid(symbol)
        return mid

    def now_ms(self) -> int:
        return SystemClock().now_ms()


@contextlib.contextmanager
def contract_venue(folder: Path) -> Iterator[VenueControl]:
    """A venue process with an account for every test of a suite."""
    options = ("--symbols", "4", "--accounts", "60", "--block", "20", "--no-limits")
    with venue(folder, *options) as (process, ready):
        yield VenueControl(ready)
        assert process.end(signal.SIGTERM) == 0, process.err


@contextlib.asynccontextmanager
async def hyperliquid_world(control: VenueControl, folder: Path) -> AsyncIterator[HyperliquidWorld]:
    """On an account of the venue that no test has used yet."""
    control.account += 1
    async with venue_rig(control, folder) as rig:
        yield HyperliquidWorld(rig)
