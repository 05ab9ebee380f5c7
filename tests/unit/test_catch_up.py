"""What is asked of the account after a reconnect, and what of the answer counts as news."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

from adapters.clocks import ManualClock
from domain.events import AccountSnapshot, Event, FillArrived, FundingPaid
from domain.fills import Fill
from domain.intents import Side
from entrypoints.catch_up import LOOKS, CatchUp
from tests.engine_builders import START_MS, EngineRig, universe_of

FLOOR_MS = START_MS - 1_000


def fill(time_ms: int) -> FillArrived:
    return FillArrived(
        Fill("BTC", Side.BUY, Decimal(100), Decimal(1), time_ms, time_ms, 7, None, Decimal("0.1"), Decimal(0))
    )


class ToldAccount:
    """Answers in turn, the last one again and again; keeps what it was asked."""

    def __init__(self, *answers: Sequence[Event]) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        self.asked.append(fills_since_ms)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def caught_up(account: ToldAccount, newest_fill_ms: int = 0) -> tuple[CatchUp, ManualClock]:
    engine = EngineRig(universe_of("BTC")).engine
    engine.portfolio.newest_fill_ms = newest_fill_ms
    clock = ManualClock(START_MS)
    return CatchUp(account, engine, clock, FLOOR_MS), clock


def state(at_ms: int) -> AccountSnapshot:
    return AccountSnapshot(Decimal(10_000), (), at_ms)


async def test_each_question_reaches_back_to_the_last_one_that_was_answered() -> None:
    account = ToldAccount([state(START_MS)])
    catch_up, clock = caught_up(account)
    await catch_up()
    await clock.advance_to(START_MS + 60_000)
    await catch_up()
    assert account.asked == [FLOOR_MS, START_MS]


async def test_what_is_older_than_the_ledger_is_no_news() -> None:
    funding = FundingPaid("BTC", FLOOR_MS - 1, Decimal(1), Decimal(0), Decimal(1))
    account = ToldAccount([fill(FLOOR_MS - 1), fill(FLOOR_MS), funding, state(START_MS)])
    catch_up, _ = caught_up(account)
    assert await catch_up() == [fill(FLOOR_MS), state(START_MS)]


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
