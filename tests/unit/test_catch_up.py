"""What is asked of the account after a reconnect, and what of the answer counts as news."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal

from domain.events import AccountSnapshot, Event, FillArrived
from domain.fills import Fill
from domain.intents import Side
from entrypoints.catch_up import LOOKS, CatchUp
from tests.engine_builders import START_MS, EngineRig, universe_of
from tests.quiet_account import QuietAccount

FLOOR_MS = START_MS - 1_000


def fill(time_ms: int) -> FillArrived:
    return FillArrived(
        Fill("BTC", Side.BUY, Decimal(100), Decimal(1), time_ms, time_ms, 7, None, Decimal("0.1"), Decimal(0))
    )


class ToldAccount(QuietAccount):
    """Answers in turn, the last one again and again; keeps what it was asked."""

    def __init__(self, *answers: Sequence[Event]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[int] = []

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        self.asked.append(fills_since_ms)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def caught_up(account: ToldAccount, newest_fill_ms: int = 0) -> tuple[CatchUp, EngineRig]:
    """On an engine whose ledger was read completely up to `FLOOR_MS`."""
    rig = EngineRig(universe_of("BTC"))
    rig.engine.portfolio.newest_fill_ms = newest_fill_ms
    rig.engine.reconciliation.read_until_ms = FLOOR_MS
    return CatchUp(account, rig.engine), rig


def state(at_ms: int) -> AccountSnapshot:
    return AccountSnapshot(Decimal(10_000), (), at_ms)


async def test_each_question_reaches_back_to_what_was_read_completely() -> None:
    account = ToldAccount([replace(state(START_MS), fills_since_ms=FLOOR_MS)])
    catch_up, rig = caught_up(account)
    for event in await catch_up():
        rig.take(event)
    await catch_up()
    assert account.asked == [FLOOR_MS, START_MS]


async def test_a_state_that_the_streams_have_overtaken_is_asked_for_again() -> None:
    account = ToldAccount([state(START_MS - 5)], [state(START_MS + 5)])
    catch_up, _ = caught_up(account, newest_fill_ms=START_MS)
    assert await catch_up() == [state(START_MS + 5)]
    assert len(account.asked) == 2


async def test_but_not_for_ever() -> None:
    account = ToldAccount([state(START_MS - 5)])
    catch_up, _ = caught_up(account, newest_fill_ms=START_MS)
    assert await catch_up() == [state(START_MS - 5)]
    assert len(account.asked) == LOOKS
