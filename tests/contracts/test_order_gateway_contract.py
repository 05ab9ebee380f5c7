"""What `OrderGateway` promises, asked of the simulated venue and of Hyperliquid's adapter on a venue process."""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from domain.events import OrderCanceled
from domain.intents import Side, TimeInForce, TriggerKind
from domain.orders import Accepted, Rejected, RejectReason
from ports.order_gateway import OrderGateway, VenueUnavailable
from tests.hyperliquid_rigs import VenueControl
from tests.order_worlds import HyperliquidWorld, World, hyperliquid_world, sim_world
from tests.venue_process import venue

pytestmark = pytest.mark.xdist_group("order_contracts")


class OrderGatewayContract(ABC):
    @pytest.fixture
    @abstractmethod
    def world(self) -> AsyncIterator[World]: ...

    async def test_a_market_order_is_accepted_and_becomes_a_position(self, world: World) -> None:
        gateway: OrderGateway = world.gateway
        request = await world.request()
        outcome = await gateway.submit(request)
        assert isinstance(outcome, Accepted) and outcome.oid >= 0
        assert outcome.filled in (0, request.size), "filled at once, where the answer can say so"
        assert (await world.snapshot()).positions == (("BTC", request.size),)

    async def test_orders_of_one_moment_have_each_their_own_answer(self, world: World) -> None:
        good = await world.request()
        small = await world.request("ETH", 100, size=world.universe.instrument("ETH").size_step)
        far = await world.request(away=-20)
        rests = await world.request("SOL", away=-20, time_in_force=TimeInForce.GTC)
        requests = (good, small, far, rests)
        outcomes = await asyncio.gather(*(world.gateway.submit(each) for each in requests))
        assert [type(outcome) for outcome in outcomes] == [Accepted, Rejected, Rejected, Accepted]
        oids = {outcome.oid for outcome in outcomes if isinstance(outcome, Accepted)}
        assert len(oids) == 2

    @pytest.mark.parametrize(
        ("reason", "changes"),
        [
            (RejectReason.MIN_NOTIONAL, {"usd": 2, "symbol": "ETH"}),
            (RejectReason.NO_IMMEDIATE_MATCH, {"away": -20}),
            (RejectReason.REDUCE_ONLY_WOULD_INCREASE, {"side": Side.SELL, "reduce_only": True}),
            (RejectReason.POST_ONLY_WOULD_MATCH, {"time_in_force": TimeInForce.ALO}),
            (RejectReason.INSUFFICIENT_MARGIN, {"usd": 400_000, "symbol": "ETH"}),
        ],
    )
    async def test_a_refusal_is_the_venue_s_word_and_changes_nothing(
        self, world: World, reason: RejectReason, changes: dict[str, object]
    ) -> None:
        outcome = await world.gateway.submit(await world.request(**changes))  # type: ignore[arg-type]
        assert isinstance(outcome, Rejected) and outcome.text
        assert outcome.reason is reason
        assert (await world.snapshot()).positions == ()

    async def test_an_exit_closes_what_is_open_and_no_more(self, world: World) -> None:
        assert isinstance(await world.gateway.submit(await world.request()), Accepted)
        held = (await world.snapshot()).positions[0][1]
        way_out = await world.request(side=Side.SELL, reduce_only=True, size=2 * held)
        assert isinstance(await world.gateway.submit(way_out), Accepted)
        assert (await world.snapshot()).positions == ()

    async def test_a_stop_rests_until_it_is_canceled(self, world: World) -> None:
        assert isinstance(await world.gateway.submit(await world.request()), Accepted)
        held = (await world.snapshot()).positions[0][1]
        stop = await world.request(
            side=Side.SELL,
            size=held,
            reduce_only=True,
            time_in_force=TimeInForce.GTC,
            trigger=(TriggerKind.STOP_LOSS, -10),
            away=15,
        )
        assert isinstance(await world.gateway.submit(stop), Accepted)
        assert not _is_ended(await world.told(stop.cloid), stop.cloid)
        await world.gateway.cancel("BTC", stop.cloid)
        assert _is_ended(await world.told(stop.cloid), stop.cloid)
        assert (await world.snapshot()).positions == (("BTC", held),)

    async def test_canceling_again_or_what_never_was_is_harmless(self, world: World) -> None:
        rests = await world.request(away=-20, time_in_force=TimeInForce.GTC)
        assert isinstance(await world.gateway.submit(rests), Accepted)
        for _ in range(2):
            await world.gateway.cancel("BTC", rests.cloid)
        await world.gateway.cancel("BTC", (await world.request()).cloid)
        assert (await world.snapshot()).positions == ()

    async def test_one_attempt_is_sent_once(self, world: World) -> None:
        request = await world.request(away=-20, time_in_force=TimeInForce.GTC)
        assert isinstance(await world.gateway.submit(request), Accepted)
        with pytest.raises(AssertionError):
            await world.gateway.submit(request)


def _is_ended(events: object, cloid: str) -> bool:
    assert isinstance(events, list)
    return any(isinstance(event, OrderCanceled) and event.cloid == cloid for event in events)


class TestSimOrderGateway(OrderGatewayContract):
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


class TestHyperliquidOrderGateway(OrderGatewayContract):
    @pytest.fixture
    async def world(self, control: VenueControl, tmp_path: Path) -> AsyncIterator[World]:
        async with hyperliquid_world(control, tmp_path) as made:
            yield made

    async def test_where_nobody_listens_nothing_was_sent(self, control: VenueControl, tmp_path: Path) -> None:
        async with hyperliquid_world(control, tmp_path) as world:
            assert isinstance(world, HyperliquidWorld)
            request = await world.request(leverage=Decimal(20))
            world.rig.transport._url = "http://127.0.0.1:9"
            with pytest.raises(VenueUnavailable):
                await world.gateway.submit(request)
            with pytest.raises(VenueUnavailable):
                await world.gateway.cancel("BTC", request.cloid)
