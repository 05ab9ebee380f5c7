"""What `Account` promises, asked of the simulated venue and of Hyperliquid's adapter on a venue process."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from domain.events import AccountSnapshot, Event, FillArrived, OrderCanceled, OrderOutcome
from domain.fills import Fill
from domain.intents import Side, TimeInForce
from domain.orders import Accepted
from ports.account import Account
from ports.order_gateway import VenueUnavailable
from tests.hyperliquid_rigs import VenueControl
from tests.order_worlds import CASH_USD, HyperliquidWorld, World, hyperliquid_world, sim_world
from tests.venue_process import venue

pytestmark = pytest.mark.xdist_group("account_contracts")


class AccountContract(ABC):
    @pytest.fixture
    @abstractmethod
    def world(self) -> AsyncIterator[World]: ...

    async def test_where_nothing_happened_the_snapshot_is_all(self, world: World) -> None:
        account: Account = world.account
        for since_ms in (0, world.now_ms() - 1_000):
            (snapshot,) = await account.recover([], since_ms)
            assert isinstance(snapshot, AccountSnapshot)
            assert (snapshot.cash_usd, snapshot.positions) == (CASH_USD, ())

    async def test_every_fill_is_told_with_its_order_and_the_snapshot_comes_last(self, world: World) -> None:
        since_ms = world.now_ms() - 1_000
        bought, sold = await world.request(), await world.request("ETH", side=Side.SELL)
        oids = {}
        for request in (bought, sold):
            outcome = await world.gateway.submit(request)
            assert isinstance(outcome, Accepted)
            oids[request.cloid] = outcome.oid
        events = await world.told(since_ms=since_ms)
        fills = fills_of(events)
        for request in (bought, sold):
            mine = [fill for fill in fills if fill.cloid == request.cloid]
            assert sum(fill.size for fill in mine) == request.size
            assert {(fill.symbol, fill.side, fill.oid) for fill in mine} == {
                (request.symbol, request.side, oids[request.cloid])
            }
        assert isinstance(events[-1], AccountSnapshot)
        assert not any(isinstance(event, AccountSnapshot) for event in events[:-1])
        assert dict(events[-1].positions) == {"BTC": bought.size, "ETH": -sold.size}
        fees = sum(fill.fee for fill in fills)
        assert abs(events[-1].cash_usd - (CASH_USD - fees)) < Decimal("0.00001")

    async def test_asking_again_tells_the_same_fills_under_the_same_ids(self, world: World) -> None:
        since_ms = world.now_ms() - 1_000
        await world.gateway.submit(await world.request())
        await world.gateway.submit(await world.request(side=Side.SELL, reduce_only=True))
        first, second = [fills_of(await world.told(since_ms=since_ms)) for _ in range(2)]
        assert first == second
        assert len({fill.trade_id for fill in first}) == len(first) >= 2
        times = [fill.time_ms for fill in first]
        assert times == sorted(times)

    async def test_positions_before_each_fill_form_a_chain(self, world: World) -> None:
        since_ms = world.now_ms() - 1_000
        for side in (Side.BUY, Side.BUY, Side.SELL):
            assert isinstance(await world.gateway.submit(await world.request(side=side)), Accepted)
        fills = fills_of(await world.told(since_ms=since_ms))
        held = fills[0].start_position
        assert held == 0
        for fill in fills:
            assert fill.start_position == held
            held += fill.signed_size
        assert (await world.snapshot()).positions == (("BTC", held),)

    async def test_an_order_that_lives_is_not_ended_and_one_that_ended_is(self, world: World) -> None:
        lives = await world.request(away=-20, time_in_force=TimeInForce.GTC)
        ended = await world.request("ETH", away=-20, time_in_force=TimeInForce.GTC)
        filled = await world.request("SOL")
        oids = {}
        for request in (lives, ended, filled):
            outcome = await world.gateway.submit(request)
            assert isinstance(outcome, Accepted)
            oids[request.cloid] = outcome.oid
        await world.gateway.cancel("ETH", ended.cloid)
        events = await world.told(lives.cloid, ended.cloid, filled.cloid)
        assert {event.cloid for event in events if isinstance(event, OrderCanceled)} == {ended.cloid, filled.cloid}
        assert OrderOutcome(lives.cloid, Accepted(oids[lives.cloid])) in events, "and has its oid"
        places = {type(event): place for place, event in enumerate(events)}
        assert places[FillArrived] < places[OrderCanceled], "fills before ends"


def fills_of(events: list[Event]) -> list[Fill]:
    return [event.fill for event in events if isinstance(event, FillArrived)]


class TestSimAccount(AccountContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        async with sim_world(tmp_path) as made:
            yield made


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueControl]:
    options = ("--symbols", "4", "--accounts", "40", "--block", "20", "--no-limits")
    with venue(tmp_path_factory.mktemp("venue"), *options) as (process, ready):
        yield VenueControl(ready)
        assert process.end(signal.SIGTERM) == 0, process.err


class TestHyperliquidAccount(AccountContract):
    @pytest.fixture
    async def world(self, control: VenueControl, tmp_path: Path) -> AsyncIterator[World]:
        async with hyperliquid_world(control, tmp_path) as made:
            yield made

    @pytest.mark.parametrize("kind", ["userFillsByTime", "userFunding", "clearinghouseState", "userAbstraction"])
    async def test_one_question_without_an_answer_and_there_is_none_at_all(
        self, control: VenueControl, world: World, kind: str
    ) -> None:
        assert isinstance(world, HyperliquidWorld)
        control.fault("refuse", match={"request_type": kind}, times=50, status=500)
        with pytest.raises(VenueUnavailable, match=kind):
            await world.told()
        control.no_faults()
        assert isinstance((await world.told())[-1], AccountSnapshot)

    async def test_trades_by_hand_elsewhere_are_told_without_a_cloid(self, control: VenueControl, world: World) -> None:
        control.operate("trade", user=control.user, coin="ETH", side="buy", size="0.1")
        (fill,) = {fill.cloid for fill in fills_of(await world.told())}
        assert fill is None
        assert [symbol for symbol, _ in (await world.snapshot()).positions] == ["ETH"]

    async def test_a_liquidation_is_told_as_one(self, control: VenueControl, world: World) -> None:
        assert isinstance(await world.gateway.submit(await world.request()), Accepted)
        control.operate("liquidate", user=control.user)
        fills = fills_of(await world.told())
        assert not fills[0].liquidation
        assert fills[-1].liquidation
        assert (await world.snapshot()).positions == ()
