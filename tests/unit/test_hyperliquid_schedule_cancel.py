"""The dead man's switch against the local venue's core: armed while no stop rests, and never while one does."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from adapters.clocks import ManualClock
from adapters.hyperliquid.schedule_cancel import ALERT, LATE_MS, DeadMansSwitch
from adapters.hyperliquid.transport import BrokenError
from domain.intents import Side, TimeInForce, Trigger, TriggerKind
from domain.orders import Accepted
from ports.order_gateway import VenueUnavailable
from tests.hyperliquid_rigs import NOW_MS, KeptAlerts, ToldRig, err, order_request, reply
from tests.unit.test_venue_chain import DONE, START_MS, World, batch, order

SPAN_S = 30


class Rig:
    """A switch whose actions are signed and carried out by the venue's core."""

    def __init__(self, volume: int = 2_000_000) -> None:
        self.world = World()
        self.world.alice.volume = Decimal(volume)
        self.clock = ManualClock(START_MS)
        self.alerts = KeptAlerts()
        self.stops = False
        self.sent: list[int | None] = []
        self.lost = False
        """Whether the answer to what is sent gets lost."""
        self.switch = DeadMansSwitch(self.set_switch, lambda: self.stops, self.clock, lambda: 0, self.alerts, SPAN_S)

    async def set_switch(self, at_ms: int | None) -> str | None:
        self.sent.append(at_ms)
        action: dict[str, Any] = {"type": "scheduleCancel"} | ({} if at_ms is None else {"time": at_ms})
        answer = self.world.answer(action)
        if self.lost:
            raise VenueUnavailable("no answer")
        return None if answer == DONE else str(answer["response"])

    async def pass_s(self, seconds: int) -> None:
        """Time passes; nobody looks after the switch."""
        now_ms = self.clock.now_ms() + seconds * 1_000
        await self.clock.advance_to(now_ms)
        self.world.market.advance(now_ms)
        while (due := self.world.chain.next_due_ms()) is not None and due <= now_ms:
            self.world.chain.run_block(due)

    @property
    def armed_until_ms(self) -> int | None:
        return self.world.alice.scheduled_cancel_ms


async def test_it_is_armed_while_no_stop_rests_and_renewed_at_a_third_of_its_span() -> None:
    rig = Rig()
    for second in range(SPAN_S + 1):
        await rig.switch.look()
        if second < SPAN_S:
            await rig.pass_s(1)
    assert [None if at is None else (at - START_MS) // 1_000 for at in rig.sent] == [30, 40, 50, 60]
    assert rig.armed_until_ms == START_MS + 60_000 and rig.alerts.sent == []


async def test_when_the_daemon_falls_silent_every_order_is_cancelled() -> None:
    rig = Rig()
    rig.world.answer(batch(order()))
    await rig.switch.look()
    await rig.pass_s(SPAN_S - 1)
    assert rig.world.alice.orders
    await rig.pass_s(2)
    assert not rig.world.alice.orders


async def test_a_stop_clears_it_before_it_leaves_and_as_long_as_it_rests_nothing_is_armed() -> None:
    rig = Rig()
    await rig.switch.look()
    rig.switch.stop_leaves()
    await asyncio.sleep(0)
    assert rig.armed_until_ms is None, "not at the next look: the daemon may die before that"
    rig.stops = True
    for _ in range(2 * SPAN_S):
        await rig.switch.look()
        await rig.pass_s(1)
    assert rig.sent[1:] == [None], "and what is clear is not cleared again"
    rig.stops = False
    await rig.switch.look()
    assert rig.armed_until_ms is not None, "when no stop rests any more it is armed at once"


async def test_what_an_earlier_life_armed_is_cleared_where_a_stop_rests() -> None:
    rig = Rig()
    rig.world.answer({"type": "scheduleCancel", "time": START_MS + SPAN_S * 1_000})
    rig.stops = True
    await rig.switch.look()
    assert rig.armed_until_ms is None


async def test_a_clearing_without_an_answer_is_repeated_until_the_venue_has_said_so() -> None:
    rig = Rig()
    await rig.switch.look()
    rig.stops, rig.lost = True, True
    for _ in range(3):
        await rig.switch.look()
    assert rig.sent[1:] == [None, None, None]
    assert [code for code, _ in rig.alerts.sent] == [ALERT], "told once"
    assert "would cancel stops" in rig.alerts.sent[0][1]
    rig.lost = False
    for _ in range(3):
        await rig.switch.look()
    assert rig.sent[4:] == [None]


async def test_an_arming_without_an_answer_may_still_land_after_a_clearing_and_is_cleared_again() -> None:
    rig = Rig()
    rig.lost = True
    await rig.switch.look()
    rig.lost, rig.stops = False, True
    for _ in range(3):
        await rig.switch.look()
    assert rig.sent[1:] == [None, None, None], "as long as it may land"
    await rig.pass_s(SPAN_S + LATE_MS // 1_000)
    await rig.switch.look()
    assert len(rig.sent) == 4


async def test_an_arming_that_is_on_its_way_while_a_stop_leaves_is_cleared_after_it() -> None:
    rig = Rig()
    gate, carried_out = asyncio.Event(), rig.set_switch

    async def slow(at_ms: int | None) -> str | None:
        if at_ms is not None:
            await gate.wait()
        return await carried_out(at_ms)

    switch = DeadMansSwitch(slow, lambda: rig.stops, rig.clock, lambda: 0, rig.alerts, SPAN_S)
    arming = asyncio.create_task(switch.look())
    await asyncio.sleep(0)
    switch.stop_leaves()
    rig.stops = True
    await asyncio.sleep(0)
    gate.set()
    await arming
    assert rig.armed_until_ms is not None, "it came after the clearing"
    await switch.look()
    assert rig.armed_until_ms is None


async def test_an_account_without_the_volume_is_told_once_and_there_is_no_switch() -> None:
    rig = Rig(volume=5)
    keeping = asyncio.create_task(rig.switch.keep(lambda event: None))
    await asyncio.sleep(0.01)
    ((code, text),) = rig.alerts.sent
    assert code == ALERT and "Required: $1000000" in text
    await rig.pass_s(SPAN_S)
    rig.switch.stop_leaves()
    await rig.switch.look()
    await rig.switch.close()
    assert len(rig.sent) == 1 and not keeping.done(), "a companion never ends on its own"
    keeping.cancel()


async def test_when_the_venue_has_fired_it_too_often_it_is_asked_for_at_the_usual_pace() -> None:
    rig = Rig()
    rig.world.alice.scheduled_cancel_day = START_MS // 86_400_000
    rig.world.alice.scheduled_cancels_today = 10
    for _ in range(SPAN_S):
        await rig.switch.look()
        await rig.pass_s(1)
    assert len(rig.sent) == 3
    ((_, text),) = rig.alerts.sent
    assert "too many triggers today" in text


async def test_a_clean_stop_clears_it() -> None:
    rig = Rig()
    await rig.switch.look()
    await rig.switch.close()
    assert rig.armed_until_ms is None
    await rig.switch.close()
    assert len(rig.sent) == 2


async def test_a_clean_stop_does_not_wait_for_a_venue_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.hyperliquid.schedule_cancel.CLOSE_S", 0.01)
    rig = Rig()

    async def silent(at_ms: int | None) -> str | None:
        await asyncio.Event().wait()
        return None

    switch = DeadMansSwitch(silent, lambda: False, rig.clock, lambda: 0, rig.alerts, SPAN_S)
    await asyncio.wait_for(switch.close(), 5)
    assert "may fire within 30 s" in rig.alerts.sent[0][1]


# ── the gateway's part ───────────────────────────────────────────────────────────────────────────


async def test_the_gateway_sets_and_clears_it_and_says_what_the_venue_refuses() -> None:
    rig = ToldRig()
    assert await rig.gateway.schedule_cancel(NOW_MS + 30_000) is None
    assert await rig.gateway.schedule_cancel(None) is None
    assert [sent["action"] for sent in rig.transport.actions] == [
        {"type": "scheduleCancel", "time": NOW_MS + 30_000},
        {"type": "scheduleCancel"},
    ]
    assert rig.transport.urgent == [False, True], "the clearing is what cannot wait"
    rig.transport.exchange = lambda sent: err("Scheduled cancel time too early")
    assert await rig.gateway.schedule_cancel(NOW_MS) == "Scheduled cancel time too early"
    assert rig.alerts.sent == [], "whoever asks tells it"
    for answer in (reply(b"null", 502), BrokenError("gone"), reply(b"<html>")):
        rig.transport.exchange = lambda sent, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(VenueUnavailable):
            await rig.gateway.schedule_cancel(None)


async def test_the_gateway_says_that_a_stop_leaves_and_of_nothing_else() -> None:
    told: list[int] = []
    rig = ToldRig(before_stop=lambda: told.append(len(rig.transport.actions)))
    await rig.gateway.submit(order_request(1))
    trigger = Trigger(TriggerKind.STOP_LOSS, Decimal(85_000))
    terms: dict[str, Any] = {"side": Side.SELL, "limit_price": Decimal(80_000), "reduce_only": True}
    assert await rig.gateway.submit(order_request(2, **terms)) == Accepted(100)
    assert told == []
    await rig.gateway.submit(order_request(3, trigger=trigger, time_in_force=TimeInForce.GTC, **terms))
    assert told == [2], "before it has left"
