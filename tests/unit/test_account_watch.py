"""How the account stands is asked now and then, read in full when it matters; entries wait while nobody can say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from application.account_watch import EVERY_S, GAP_S, PATIENCE_MS, WHOLE_EVERY, AccountWatch
from domain.events import AccountSnapshot, EntriesHeld, Event
from entrypoints.simulation.jumping_time import LoopClock, run_jumping
from ports.order_gateway import VenueUnavailable
from tests.quiet_account import QuietAccount

WHOLE = AccountSnapshot(Decimal(7), (), 7, fills_since_ms=1)


class World(QuietAccount):
    def __init__(self) -> None:
        super().__init__()
        self.looks: list[float] = []
        self.readings: list[float] = []
        self.is_down = False
        self.heard: list[Event] = []
        self.watch = AccountWatch(self, self.read_all, LoopClock(0))

    async def snapshot(self) -> AccountSnapshot:
        self.looks.append(asyncio.get_running_loop().time())
        if self.is_down:
            raise VenueUnavailable("nobody answers")
        return await super().snapshot()

    async def read_all(self) -> Sequence[Event]:
        self.readings.append(asyncio.get_running_loop().time())
        if self.is_down:
            raise VenueUnavailable("nobody answers")
        return [WHOLE]

    async def live(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def __aenter__(self) -> World:
        self._task = asyncio.create_task(self.watch.keep(self.heard.append))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def holds(self) -> list[bool]:
        return [bool(event.reason) for event in self.heard if isinstance(event, EntriesHeld)]


def test_a_look_a_minute_and_all_of_it_every_tenth() -> None:
    async def go() -> None:
        async with World() as world:
            await world.live(EVERY_S * WHOLE_EVERY + 1)
            assert len(world.looks) == WHOLE_EVERY - 1 and len(world.readings) == 1
            assert WHOLE in world.heard

    run_jumping(go)


def test_what_is_asked_for_is_read_at_once_and_not_more_often_than_the_gap() -> None:
    async def go() -> None:
        async with World() as world:
            await world.live(1)
            world.watch.ask()
            world.watch.ask()
            await world.live(0.1)
            assert world.readings == [1.0]
            world.watch.ask()
            await world.live(GAP_S - 0.2)
            assert len(world.readings) == 1
            await world.live(1)
            assert len(world.readings) == 2

    run_jumping(go)


def test_a_reading_that_failed_is_tried_again_until_it_succeeds() -> None:
    async def go() -> None:
        async with World() as world:
            world.is_down = True
            world.watch.ask()
            await world.live(3 * GAP_S + 1)
            assert len(world.readings) == 4 and world.heard == []
            world.is_down = False
            await world.live(GAP_S)
            assert world.heard == [WHOLE]

    run_jumping(go)


def test_while_nobody_can_say_for_long_entries_are_held_and_lifted_by_an_answer() -> None:
    async def go() -> None:
        async with World() as world:
            world.is_down = True
            await world.live(PATIENCE_MS / 1000 - 1)
            assert world.holds() == []
            await world.live(EVERY_S + 1)
            assert world.holds() == [True]
            await world.live(5 * EVERY_S)
            assert world.holds() == [True], "once"
            world.is_down = False
            await world.live(EVERY_S)
            assert world.holds() == [True, False]

    run_jumping(go)
