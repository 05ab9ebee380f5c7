"""The kill switch at its worst: 2,000 orders of somebody else on the account, and no requests left for the address.

The real daemon at the local venue, whose limits are on: from 1,000 open orders on nothing that only reduces is taken,
and an address without requests gets one action in ten seconds through, cancels aside. All of it in jumping time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.hyperliquid.keys import AgentKey
from adapters.sim.venue.exchange.orders import Grouping, OrderSpec, Tif
from adapters.sim.venue.limits import Spent
from adapters.sim.venue.settings import Cadence, VenueSettings
from adapters.sim.venue.venue import Venue
from domain.events import OperatorSpoke
from domain.field_rules import SecretText
from domain.instruments import PriceRounding
from domain.intents import Side
from domain.operator import OperatorVerb
from domain.risk import Latch
from entrypoints.simulation import daemon_settings
from entrypoints.simulation.jumping_time import ClosedLoop, SteppingClock
from entrypoints.simulation.life import CrashPoint, Life, Plug
from entrypoints.simulation.network import Network
from entrypoints.simulation.oracle.oracle import Oracle
from entrypoints.simulation.oracle.signed_requests import read_signed
from entrypoints.simulation.run import START_MS
from entrypoints.simulation.scripted_path import STEP_MS, ScriptedPath
from entrypoints.simulation.venue_host import VenueHost
from entrypoints.simulation.venue_log import OracleLog
from entrypoints.simulation.weather import Weather

pytestmark = pytest.mark.xdist_group("kill with many orders")

SEED = 3
FOREIGN_ORDERS = 2_000
FAR = Decimal("0.5")
VOLUME_USD = Decimal(5_000_000_000)
"""What an account must have traded to have so many orders open."""
POSITIONS = 3
SILENT_S = 60
MOST_S = 60
"""Of a working venue. What bounds it here is the address: one order in 10 s passes, of unknown fate it is for 12 s
before the next is tried, and room among the open orders comes first. Some 14 s, and 12 s for each position."""


class World:
    """A venue with its limits on, and one life of the daemon after the other; `Witness` of what passes."""

    def __init__(self, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        path = ScriptedPath(SEED, START_MS, 60)
        cadence = Cadence(quotes=STEP_MS, mark=STEP_MS, all_mids=STEP_MS, candle=STEP_MS)
        key = AgentKey(SecretText("22" * 32), "a test")
        clock = SteppingClock(START_MS, loop)
        sizes = [each.size_decimals for each in path.instruments()]
        self.oracle = Oracle(
            key.address.lower(),
            folder / "ledger.sqlite",
            sizes,
            daemon_settings.CAPS,
            clock.now_ms,
            lambda: START_MS + round(loop.time() * 1000),
            lambda: self.venue.exchange.marks,
        )
        self.venue = Venue(path, VenueSettings(cadence=cadence), START_MS, SEED, OracleLog(self.oracle.logged))
        self.venue.fund_account(key.address, Decimal(10_000))
        account = self.venue.exchange.account(key.address.lower())
        assert account is not None
        self.account = account
        self.host = VenueHost(self.venue, START_MS, loop)
        self.network = Network(self.host, Weather(random.Random(SEED)), self, loop)
        self.entries_arrived = 0
        plug = Plug(folder, self.network, clock, key, SEED, False, 0.2, lambda: self.host.now_ms)
        plug.on_turn = self.oracle.goes_by
        self._plug = plug
        self._lives = 0
        self._clock = clock
        daemon_settings.write_overrides(folder, 0)
        self.host.told()
        self.life = self.begin_life()

    def sent(self, body: bytes) -> None:
        self.oracle.sent(body)

    def arrives(self, body: bytes) -> None:
        self.oracle.arrives(body)
        self.entries_arrived += sum(not order.reduce_only for order in read_signed(body).orders)

    def begin_life(self) -> Life:
        self._lives += 1
        self._clock.begin_life()
        self.life = Life(self._plug, self._lives, self.oracle)
        return self.life

    def kill(self) -> None:
        spoken = OperatorSpoke("the-kill", OperatorVerb.KILL_HARD, None, "test", "enough")
        assert self.life.hear(spoken), "the daemon listens"

    def place_foreign_orders(self) -> None:
        """Somebody's grid on the same account, far below the price, with an agent of their own."""
        self.host.live()
        self.account.volume = VOLUME_USD
        coins = daemon_settings.SYMBOLS
        for number in range(FOREIGN_ORDERS):
            coin = coins[number % len(coins)]
            instrument, mark = self.venue.exchange.by_coin[coin], self.venue.exchange.marks[coin]
            price = instrument.round_price(mark * FAR, PriceRounding.DOWN)
            size = instrument.round_size(Decimal(11) / price) + instrument.size_step
            spec = OrderSpec(self.venue.exchange.asset_of(coin), Side.BUY, price, size, False, Tif.GTC, None, None)
            self.venue.exchange.place(self.account, [spec], Grouping.NA, f"0x{number:064x}")
        self.host.told()

    def use_up_requests(self) -> None:
        """Nobody sends five billion requests in a test."""
        cap = self.venue.settings.limits.address_requests + int(self.account.volume)
        self.venue._budget._spent[self.account.address] = Spent(used=cap, last_accepted_ms=self.host.now_ms)

    @property
    def held(self) -> dict[str, Decimal]:
        return {coin: each.size for coin, each in self.account.positions.items() if each.size}

    async def until(self, holds: Callable[[], bool], most_s: int) -> float:
        """Wait for something; give how long it took, in seconds of the venue's time."""
        started_ms = self.host.now_ms
        while not holds():
            waited_s = (self.host.now_ms - started_ms) / 1000
            assert waited_s < most_s, f"not within {most_s} s: {self.held} are held, {self.oracle.image.risk}"
            assert self.life.is_dead or not self.life.over.is_set(), f"the daemon ended: {self.life.error!r}"
            await asyncio.sleep(0.1)
        return (self.host.now_ms - started_ms) / 1000

    async def until_flat(self, most_s: int) -> None:
        """Everything is closed and nothing goes on, without an entry since the kill."""
        before = self.entries_arrived
        await self.until(lambda: not self.held, most_s)
        await self.until(lambda: not self.oracle.image.risk.leaving, 10)
        assert self.oracle.image.risk.residuals == ()
        assert self.oracle.image.risk.latch is Latch.HALT
        assert self.entries_arrived == before
        assert len(self.account.orders) < self.venue.settings.limits.open_orders, "there is room for what reduces"

    async def end(self) -> None:
        if not self.life.is_dead:
            self.life.ask_to_stop(self.host.now_ms)
            await self.life.over.wait()
        await self.life.bury(silently=False)
        self.oracle.after_life()
        assert not self.oracle.court.violations, self.oracle.court.violations


def in_jumping_time(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=ClosedLoop) as runner:
        runner.run(test())


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(level)


async def with_positions(folder: Path) -> World:
    world = World(folder)
    await world.until(lambda: len(world.held) >= POSITIONS, 3_000)
    world.place_foreign_orders()
    await asyncio.sleep(2)
    assert len(world.account.orders) >= FOREIGN_ORDERS
    world.use_up_requests()
    return world


def test_all_is_closed_among_2000_foreign_orders_without_requests_left(tmp_path: Path) -> None:
    async def live() -> None:
        world = await with_positions(tmp_path)
        world.kill()
        await world.until_flat(MOST_S)
        await world.end()

    in_jumping_time(live)


def test_a_silent_venue_is_waited_for(tmp_path: Path) -> None:
    async def live() -> None:
        world = await with_positions(tmp_path)
        world.network.cut(SILENT_S * 1000)
        world.kill()
        await asyncio.sleep(SILENT_S)
        assert len(world.held) == POSITIONS
        await world.until_flat(MOST_S)
        await world.end()

    in_jumping_time(live)


@pytest.mark.parametrize("after_s", [0.05, 20])
def test_the_next_life_goes_on_closing_without_being_asked(tmp_path: Path, after_s: float) -> None:
    async def live() -> None:
        world = await with_positions(tmp_path)
        world.kill()
        await asyncio.sleep(after_s)
        assert world.held, "it dies in the middle"
        world.life.will_die(CrashPoint.ANYWHERE, lambda _: None)
        await world.life.bury(silently=True)
        world.oracle.after_life()
        world.begin_life()
        await world.until_flat(MOST_S)
        await world.end()

    in_jumping_time(live)
