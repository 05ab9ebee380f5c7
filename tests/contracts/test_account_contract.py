"""What `Account` promises, asked of the simulated venue and of Hyperliquid's adapter on a venue process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.clocks import SystemClock
from adapters.hyperliquid.account import HyperliquidAccount
from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.leverage import AsksInfo
from domain.events import (
    AccountSnapshot,
    CashFlowed,
    Event,
    FillArrived,
    OrderCanceled,
    OrderLooked,
    OrderNamed,
    OrderOutcome,
)
from domain.fills import Fill, FillCause
from domain.intents import OrderRequest, Side, TimeInForce, TriggerKind
from domain.orders import Accepted
from ports.account import Account
from ports.order_gateway import VenueUnavailable
from tests.hyperliquid_rigs import VenueControl, venue_rig
from tests.order_worlds import CASH_USD, HyperliquidWorld, World, contract_venue, hyperliquid_world, sim_world

pytestmark = pytest.mark.xdist_group("account_contracts")


class AccountContract(ABC):
    @pytest.fixture
    @abstractmethod
    def world(self) -> AsyncIterator[World]: ...

    async def test_where_nothing_happened_the_snapshot_is_all(self, world: World) -> None:
        account: Account = world.account
        for since_ms in (0, world.now_ms() - 1_000):
            *flows, snapshot = await account.recover([], since_ms)
            assert isinstance(snapshot, AccountSnapshot)
            assert all(isinstance(flow, CashFlowed) for flow in flows), "how its first money came, at most"
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

    async def test_a_snapshot_says_what_is_held_and_what_rests_and_nothing_of_the_past(self, world: World) -> None:
        bought = await world.request(leverage=Decimal(5))
        rests = await world.request("ETH", away=-20, time_in_force=TimeInForce.GTC)
        assert isinstance(await world.gateway.submit(bought), Accepted)
        stop = await stop_for(world, bought)
        oids = {request.cloid: await oid_of(world, request) for request in (rests, stop)}
        snapshot = await world.account.snapshot()
        assert snapshot.positions == (("BTC", bought.size),)
        (held,) = snapshot.held
        price = next(fill.price for fill in fills_of(await world.told()) if fill.cloid == bought.cloid)
        assert (held.symbol, held.leverage) == ("BTC", 5)
        assert held.entry_price is not None and abs(held.entry_price / price - 1) < Decimal("0.01")
        assert snapshot.resting is not None
        assert {(order.symbol, order.cloid, order.oid) for order in snapshot.resting} == {
            ("ETH", rests.cloid, oids[rests.cloid]),
            ("BTC", stop.cloid, oids[stop.cloid]),
        }
        assert all(abs(order.placed_ms - world.now_ms()) < 60_000 for order in snapshot.resting)
        assert snapshot.fills_since_ms is None, "no fill was read"
        assert abs(snapshot.at_ms - world.now_ms()) < 60_000
        for request in (rests, stop):
            await world.gateway.cancel(request.symbol, request.cloid)
        assert (await world.account.snapshot()).resting == ()

    async def test_what_recover_tells_ends_with_such_a_snapshot_and_says_from_when_on_it_told_all(
        self, world: World
    ) -> None:
        since_ms = world.now_ms() - 1_000
        rests = await world.request("ETH", away=-20, time_in_force=TimeInForce.GTC)
        await oid_of(world, rests)
        last = (await world.told(since_ms=since_ms))[-1]
        assert isinstance(last, AccountSnapshot)
        assert [order.cloid for order in last.resting or ()] == [rests.cloid]
        assert last.fills_since_ms is not None and last.fills_since_ms <= since_ms

    @pytest.mark.parametrize("everywhere", [False, True])
    async def test_an_order_that_is_looked_for_is_found_as_it_stands(self, world: World, everywhere: bool) -> None:
        since_ms = world.now_ms()
        filled = await world.request()
        rests = await world.request("ETH", away=-20, time_in_force=TimeInForce.GTC)
        oids = {request.cloid: await oid_of(world, request) for request in (filled, rests)}
        told = list(await world.account.look(rests.cloid, since_ms, everywhere=everywhere))
        looked = told[-1]
        assert isinstance(looked, OrderLooked)
        assert (looked.cloid, looked.found, looked.everywhere) == (rests.cloid, True, everywhere)
        assert OrderOutcome(rests.cloid, Accepted(oids[rests.cloid])) in told
        assert not any(isinstance(event, OrderCanceled) for event in told)
        told = list(await world.account.look(filled.cloid, since_ms, everywhere=everywhere))
        assert isinstance(told[-1], OrderLooked) and told[-1].found is True
        mine = [fill for fill in fills_of(told) if fill.cloid == filled.cloid]
        assert sum(fill.size for fill in mine) == filled.size, "and with what it did"
        assert {fill.oid for fill in mine} == {oids[filled.cloid]}

    @pytest.mark.parametrize("everywhere", [False, True])
    async def test_an_order_that_never_was_is_not_found(self, world: World, everywhere: bool) -> None:
        assert isinstance(await world.gateway.submit(await world.request()), Accepted)
        never = await world.request()
        told = list(await world.account.look(never.cloid, world.now_ms(), everywhere=everywhere))
        looked = told[-1]
        assert isinstance(looked, OrderLooked)
        assert (looked.cloid, looked.found, looked.everywhere) == (never.cloid, False, everywhere)
        assert not [event for event in told if getattr(event, "cloid", None) == never.cloid and event is not looked]
        assert all(fill.cloid != never.cloid for fill in fills_of(told))
        assert abs(looked.venue_ms - world.now_ms()) < 60_000

    async def test_the_order_behind_a_fill_has_a_name_and_one_that_never_was_has_none(self, world: World) -> None:
        bought = await world.request()
        oid = await oid_of(world, bought)
        assert await world.account.name_order("BTC", oid) == OrderNamed("BTC", oid, bought.cloid, is_trigger=False)
        assert await world.account.name_order("BTC", oid + 1_000_000) is None


class Forgetful:
    """The venue, but of no order does it know how it stands."""

    def __init__(self, info: AsksInfo) -> None:
        self._info = info

    async def ask(self, request: dict[str, object], *, lane: Lane = Lane.NORMAL, rows_expected: int = 0) -> bytes:
        if request["type"] == "orderStatus":
            return b'{"status":"unknownOid"}'
        return await self._info.ask(request, lane=lane, rows_expected=rows_expected)


async def oid_of(world: World, request: OrderRequest) -> int:
    """Submit it; under which oid it was accepted."""
    outcome = await world.gateway.submit(request)
    assert isinstance(outcome, Accepted), outcome
    return outcome.oid


async def stop_for(world: World, bought: OrderRequest) -> OrderRequest:
    return await world.request(
        side=Side.SELL,
        size=bought.size,
        reduce_only=True,
        time_in_force=TimeInForce.GTC,
        trigger=(TriggerKind.STOP_LOSS, -10),
        away=15,
    )


def fills_of(events: list[Event]) -> list[Fill]:
    return [event.fill for event in events if isinstance(event, FillArrived)]


def flows_of(events: list[Event]) -> list[CashFlowed]:
    return [event for event in events if isinstance(event, CashFlowed)]


class TestSimAccount(AccountContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        async with sim_world(tmp_path) as made:
            yield made


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueControl]:
    with contract_venue(tmp_path_factory.mktemp("venue")) as running:
        yield running


class TestHyperliquidAccount(AccountContract):
    @pytest.fixture
    async def world(self, control: VenueControl, tmp_path: Path) -> AsyncIterator[World]:
        async with hyperliquid_world(control, tmp_path) as made:
            yield made

    @pytest.mark.parametrize(
        "kind",
        [
            *("userFillsByTime", "userFunding", "userNonFundingLedgerUpdates"),
            *("clearinghouseState", "userAbstraction"),
        ],
    )
    async def test_one_question_without_an_answer_and_there_is_none_at_all(
        self, control: VenueControl, world: World, kind: str
    ) -> None:
        assert isinstance(world, HyperliquidWorld)
        control.fault("refuse", match={"request_type": kind}, times=50, status=500)
        with pytest.raises(VenueUnavailable, match=kind):
            await world.told()
        control.no_faults()
        assert isinstance((await world.told())[-1], AccountSnapshot)

    @pytest.mark.parametrize(
        "kind", ["clearinghouseState", "orderStatus", "frontendOpenOrders", "userFillsByTime", "userAbstraction"]
    )
    async def test_a_look_or_a_snapshot_without_one_of_its_answers_is_none(
        self, control: VenueControl, world: World, kind: str
    ) -> None:
        never = await world.request()
        control.fault("refuse", match={"request_type": kind}, times=100, status=500)
        if kind != "userAbstraction":
            with pytest.raises(VenueUnavailable, match=kind):
                await world.account.look(never.cloid, world.now_ms(), everywhere=True)
        if kind not in ("orderStatus", "userFillsByTime"):
            with pytest.raises(VenueUnavailable, match=kind):
                await world.account.snapshot()
        control.no_faults()
        assert (await world.account.snapshot()).positions == ()

    async def test_an_order_whose_status_nobody_shows_is_found_by_what_it_did(self, world: World) -> None:
        """A freshly placed order can be invisible for a moment."""
        assert isinstance(world, HyperliquidWorld)
        since_ms, rig = world.now_ms(), world.rig
        account = HyperliquidAccount(Forgetful(rig.info), rig.control.user, rig.sentinel, rig.clock)
        filled, rests = await world.request(), await world.request("ETH", away=-20, time_in_force=TimeInForce.GTC)
        for request in (filled, rests):
            oid = await oid_of(world, request)
            (looked,) = await account.look(request.cloid, since_ms, everywhere=False)
            assert isinstance(looked, OrderLooked) and looked.found is False
            told = list(await account.look(request.cloid, since_ms, everywhere=True))
            assert isinstance(told[-1], OrderLooked) and told[-1].found is True
            if request is filled:
                assert sum(fill.size for fill in fills_of(told) if fill.cloid == request.cloid) == request.size
            else:
                assert OrderOutcome(request.cloid, Accepted(oid)) in told
        never = await world.request()
        told = list(await account.look(never.cloid, since_ms, everywhere=True))
        assert isinstance(told[-1], OrderLooked) and told[-1].found is False

    async def test_the_time_of_a_look_and_of_a_snapshot_is_the_venue_s(
        self, control: VenueControl, tmp_path: Path
    ) -> None:
        class WrongClock(SystemClock):
            def now_ms(self) -> int:
                return super().now_ms() + 3_600_000

        control.account += 1  # one that no test has used yet
        async with venue_rig(control, tmp_path, WrongClock()) as rig:
            before_ms = control.now_ms()
            (looked,) = await rig.account.look("0x" + 32 * "e", before_ms, everywhere=True)
            at_ms = (await rig.account.snapshot()).at_ms
            assert isinstance(looked, OrderLooked)
            assert before_ms - 1_000 <= looked.venue_ms <= at_ms <= control.now_ms() + 1_000

    async def test_the_names_of_a_stop_of_what_rests_and_of_what_was_done_by_hand(
        self, control: VenueControl, world: World
    ) -> None:
        bought = await world.request()
        assert isinstance(await world.gateway.submit(bought), Accepted)
        stop, rests = await stop_for(world, bought), await world.request(away=-20, time_in_force=TimeInForce.GTC)
        for request, is_trigger in ((stop, True), (rests, False)):
            oid = await oid_of(world, request)
            named = OrderNamed("BTC", oid, request.cloid, is_trigger=is_trigger)
            assert await world.account.name_order("BTC", oid) == named
            await world.gateway.cancel("BTC", request.cloid)
            assert await world.account.name_order("BTC", oid) == named, "also when it is over"
        control.operate("trade", user=control.user, coin="ETH", side="buy", size="0.1")
        (oid,) = {fill.oid for fill in fills_of(await world.told()) if fill.symbol == "ETH"}
        assert await world.account.name_order("ETH", oid) == OrderNamed("ETH", oid, None, is_trigger=False)

    async def test_trades_by_hand_elsewhere_are_told_without_a_cloid(self, control: VenueControl, world: World) -> None:
        control.operate("trade", user=control.user, coin="ETH", side="buy", size="0.1")
        (fill,) = {fill.cloid for fill in fills_of(await world.told())}
        assert fill is None
        assert [symbol for symbol, _ in (await world.snapshot()).positions] == ["ETH"]

    async def test_money_that_comes_and_goes_is_told_once_under_one_name_and_is_what_cash_moved_by(
        self, control: VenueControl, world: World
    ) -> None:
        begun = flows_of(await world.told())
        control.operate("deposit", user=control.user, usd="250.5")
        control.operate("withdraw", user=control.user, usd="100")
        first, second = [await world.told() for _ in range(2)]
        new = [flow for flow in flows_of(first) if flow not in begun]
        assert [(flow.kind, flow.amount_usd) for flow in new] == [
            ("deposit", Decimal("250.5")),
            ("withdraw", Decimal(-100)),
        ]
        assert flows_of(first) == flows_of(second)
        assert len({flow.flow_id for flow in flows_of(first)}) == len(begun) + 2
        snapshot = first[-1]
        assert isinstance(snapshot, AccountSnapshot) and snapshot.cash_usd == CASH_USD + Decimal("150.5")
        assert all(flow.time_ms <= snapshot.at_ms for flow in new)
        assert flows_of(list(await world.account.recover([], 0))) == [], "what was before is not ours"

    async def test_a_liquidation_is_told_as_one(self, control: VenueControl, world: World) -> None:
        assert isinstance(await world.gateway.submit(await world.request()), Accepted)
        control.operate("liquidate", user=control.user)
        fills = fills_of(await world.told())
        assert (fills[0].cause, fills[-1].cause) == (FillCause.ORDER, FillCause.LIQUIDATION)
        assert (await world.snapshot()).positions == ()
