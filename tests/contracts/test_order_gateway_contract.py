"""What `OrderGateway` promises, asked of the simulated venue and of Hyperliquid's adapter on a venue process."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.events import OrderCanceled
from domain.intents import Side, TimeInForce, TriggerKind
from domain.orders import Accepted, Rejected, RejectReason, Unknown
from ports.order_gateway import OrderGateway, VenueUnavailable
from tests.daemon_process import PATIENCE_S
from tests.hyperliquid_rigs import VenueControl, nonce_of
from tests.order_worlds import HyperliquidWorld, World, contract_venue, hyperliquid_world, sim_world

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

    async def test_an_order_is_canceled_by_the_venue_s_own_number_and_no_other_with_it(self, world: World) -> None:
        """What a stranger placed has no other name here. Again, or for what never was, is harmless."""
        goes, stays = [await world.request(away=-20, time_in_force=TimeInForce.GTC) for _ in range(2)]
        outcomes = [await world.gateway.submit(each) for each in (goes, stays)]
        oids = [outcome.oid for outcome in outcomes if isinstance(outcome, Accepted)]
        await world.gateway.cancel_foreign("ETH", oids[0])  # a number of another symbol's order
        await world.gateway.cancel_foreign("BTC", 3)
        assert {order.oid for order in (await world.snapshot()).resting or ()} == set(oids)
        for _ in range(2):
            await world.gateway.cancel_foreign("BTC", oids[0])
        assert _is_ended(await world.told(goes.cloid), goes.cloid)
        assert [order.cloid for order in (await world.snapshot()).resting or ()] == [stays.cloid]

    async def test_more_cancels_than_one_action_holds_all_arrive(self, world: World) -> None:
        rests = [await world.request(away=-20, usd=20, time_in_force=TimeInForce.GTC) for _ in range(41)]
        outcomes = await asyncio.gather(*(world.gateway.submit(each) for each in rests))
        oids = [outcome.oid for outcome in outcomes if isinstance(outcome, Accepted)]
        assert len(oids) == len(rests)
        await asyncio.gather(*(world.gateway.cancel_foreign("BTC", oid) for oid in oids))
        assert (await world.snapshot()).resting == ()

    async def test_what_rests_is_told_with_its_side_size_trigger_and_whether_it_only_reduces(
        self, world: World
    ) -> None:
        assert isinstance(await world.gateway.submit(await world.request()), Accepted)
        held = (await world.snapshot()).positions[0][1]
        terms: dict[str, Any] = {"time_in_force": TimeInForce.GTC}
        stop = await world.request(
            side=Side.SELL, size=held, reduce_only=True, trigger=(TriggerKind.STOP_LOSS, -10), away=15, **terms
        )
        bid = await world.request(away=-20, **terms)
        for request in (stop, bid):
            assert isinstance(await world.gateway.submit(request), Accepted)
        assert stop.trigger is not None
        told = {each.cloid: each for each in (await world.snapshot()).resting or ()}
        assert [
            (each.side, each.size, each.trigger_price, each.reduce_only) for each in (told[stop.cloid], told[bid.cloid])
        ] == [(Side.SELL, held, stop.trigger.price, True), (Side.BUY, bid.size, None, False)]

    async def test_burning_what_nobody_used_is_certain_and_asking_again_is_harmless(self, world: World) -> None:
        nonce = world.nonce_of(await world.request())
        assert [await world.gateway.burn(nonce) for _ in range(3)] == [True, True, True]
        assert (await world.snapshot()).positions == ()

    async def test_burning_the_nonce_of_an_accepted_order_leaves_it_as_it_is(self, world: World) -> None:
        bought, rests = await world.request(), await world.request(away=-20, time_in_force=TimeInForce.GTC)
        for request in (bought, rests):
            assert isinstance(await world.gateway.submit(request), Accepted)
            assert await world.gateway.burn(world.nonce_of(request)) is True
        snapshot = await world.snapshot()
        assert snapshot.positions == (("BTC", bought.size),)
        assert [order.cloid for order in snapshot.resting or ()] == [rests.cloid]
        await world.gateway.cancel("BTC", rests.cloid)
        assert _is_ended(await world.told(rests.cloid), rests.cloid), "it stood until now"

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
    with contract_venue(tmp_path_factory.mktemp("venue")) as running:
        yield running


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
            with pytest.raises(VenueUnavailable):
                await world.gateway.cancel_foreign("BTC", 77)
            with pytest.raises(VenueUnavailable):
                await world.gateway.burn(world.nonce_of(request))

    async def test_what_is_signed_with_a_burned_nonce_never_lives(self, control: VenueControl, world: World) -> None:
        request = await world.request()
        assert await world.gateway.burn(nonce_of(request)) is True
        outcome = await world.gateway.submit(request)
        assert isinstance(outcome, Unknown) and "duplicate nonce" in outcome.text
        assert not control.lived(request.cloid)

    async def test_an_order_that_is_held_back_never_lives_once_its_nonce_is_burned(
        self, control: VenueControl, world: World
    ) -> None:
        """2025-07-29: errors came back, the orders landed later. The first one shows that it would."""
        lands, burned = await world.request("ETH"), await world.request()
        control.fault("execute_late", times=2, ms=700, body="cut")
        for request in (lands, burned):
            assert isinstance(await world.gateway.submit(request), Unknown)
        assert not control.lived(lands.cloid), "both are on their way"
        assert await world.gateway.burn(nonce_of(burned)) is True
        await _until(lambda: control.lived(lands.cloid))
        await asyncio.sleep(0.3)
        assert not control.lived(burned.cloid)
        assert (await world.snapshot()).positions == (("ETH", lands.size),)

    @pytest.mark.parametrize(
        ("fault", "parts"),
        [
            ("lose_reply", {}),
            ("drop_request", {}),
            ("refuse", {"status": 503}),
            ("replace_answer", {"status": 200, "body": "err", "text": "Internal error"}),
            ("truncate", {"keep": 0.7}),
        ],
    )
    async def test_a_burn_without_a_clear_answer_is_none_until_it_is_asked_again(
        self, control: VenueControl, world: World, fault: str, parts: dict[str, Any]
    ) -> None:
        nonce = nonce_of(await world.request())
        control.fault(fault, match={"action": "noop"}, **parts)
        assert await world.gateway.burn(nonce) is False
        assert await world.gateway.burn(nonce) is True

    @pytest.mark.parametrize(
        ("fault", "parts"), [("lose_reply", {}), ("drop_request", {}), ("refuse", {"status": 503})]
    )
    async def test_a_stranger_s_order_whose_cancel_got_no_answer_is_asked_for_again(
        self, control: VenueControl, world: World, fault: str, parts: dict[str, Any]
    ) -> None:
        rests = await world.request(away=-20, time_in_force=TimeInForce.GTC)
        outcome = await world.gateway.submit(rests)
        assert isinstance(outcome, Accepted)
        control.fault(fault, match={"action": "cancel"}, **parts)
        with pytest.raises(VenueUnavailable):
            await world.gateway.cancel_foreign("BTC", outcome.oid)
        await world.gateway.cancel_foreign("BTC", outcome.oid)
        assert (await world.snapshot()).resting == ()

    async def test_an_exit_leaves_soon_though_two_thousand_cancels_are_queued_before_it(
        self, control: VenueControl, world: World
    ) -> None:
        assert isinstance(await world.gateway.submit(await world.request()), Accepted)
        held = (await world.snapshot()).positions[0][1]
        way_out = await world.request(side=Side.SELL, reduce_only=True, size=held)
        control.fault("delay_answer", match={"action": "cancel"}, times=100, ms=100)
        cancels = [asyncio.create_task(world.gateway.cancel_foreign("BTC", oid)) for oid in range(1, 2_001)]
        await asyncio.sleep(0.05)
        started_s = time.monotonic()
        assert isinstance(await world.gateway.submit(way_out), Accepted)
        took_s = time.monotonic() - started_s
        ended = sum(cancel.done() for cancel in cancels)
        await asyncio.gather(*cancels)
        control.no_faults()
        assert ended <= 200, f"after {took_s:.2f} s, and {ended} of the cancels"

    async def test_the_venue_s_switch_is_refused_in_its_own_words_and_hurts_nothing(self, world: World) -> None:
        assert isinstance(world, HyperliquidWorld)
        for at_ms in (world.now_ms() + 30_000, None):
            refusal = await world.rig.gateway.schedule_cancel(at_ms)
            assert refusal is not None and "until enough volume traded" in refusal
        assert isinstance(await world.gateway.submit(await world.request()), Accepted)

    async def test_a_nonce_of_long_ago_can_have_no_effect_any_more(self, world: World) -> None:
        nonce = world.now_ms() - 3 * 86_400_000
        assert await world.gateway.burn(nonce) is True
        request = await world.request(nonce=nonce, side=Side.SELL, reduce_only=True)
        outcome = await world.gateway.submit(request)
        assert isinstance(outcome, Unknown) and "nonce too low" in outcome.text

    async def test_a_nonce_that_the_venue_would_take_later_is_not_burned(self, world: World) -> None:
        assert await world.gateway.burn(world.now_ms() + 2 * 86_400_000) is False

    async def test_a_stranger_burns_nothing(self, control: VenueControl, tmp_path: Path, world: World) -> None:
        request = await world.request(away=-20, time_in_force=TimeInForce.GTC)
        async with hyperliquid_world(control, tmp_path / "other") as other:
            assert await other.gateway.burn(nonce_of(request)) is True, "a nonce of its own"
        assert isinstance(await world.gateway.submit(request), Accepted)


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.05)
