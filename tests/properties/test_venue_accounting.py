"""Money, positions and books at the local venue agree after every step of days in which everything happens."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.venue_books import assert_books_balance, assert_both_sides
from tests.venue_days import ACTS, TradingDay

DAYS = 1_000
STEPS = 90
AT_ONCE = 100


@pytest.mark.parametrize("first", range(0, DAYS, AT_ONCE))
def test_a_thousand_trading_days_conserve_money(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        day = TradingDay(seed)
        for step in range(STEPS):
            day.step()
            if step % 4 == 0:
                day.next_hour()
            assert_books_balance(day.exchange)
        assert_both_sides(day.exchange, day.settle_events())


def test_the_days_see_everything_that_can_happen() -> None:
    """The test above proves little where nothing happens."""
    seen: set[object] = set()
    for seed in range(100):
        day = TradingDay(seed)
        day.run(STEPS)
        for event in day.events:
            seen.add(type(event).__name__)
            if change := getattr(event, "change", None):
                seen.add(change.status.value)
            if fill := getattr(event, "fill", None):
                seen.add(fill.direction)
                seen.add(None if fill.liquidation is None else fill.liquidation.method)
    assert seen >= {
        *("Filled", "Printed", "FundingBooked", "BalanceChanged", "Liquidated", "NonUserCanceled"),
        *("open", "filled", "triggered", "canceled", "reduceOnlyCanceled", "siblingFilledCanceled"),
        *("selfTradeCanceled", "liquidatedCanceled", "scheduledCancel", "delistedCanceled"),
        *("perpMarginRejected", "reduceOnlyRejected", "badAloPxRejected", "iocCancelRejected"),
        *("Long > Short", "Short > Long", "Auto-Deleveraging", "Settlement", "market", "backstop"),
    }


class VenueMachine(RuleBasedStateMachine):
    """Hypothesis chooses who does what, and with which chance."""

    @initialize(seed=st.integers(0, 2**32))
    def open_day(self, seed: int) -> None:
        self.day = TradingDay(seed, accounts=3)

    @rule(act=st.sampled_from(ACTS), user=st.integers(0, 2), seed=st.integers(0, 2**32))
    def act(self, act: object, user: int, seed: int) -> None:
        self.day.random.seed(seed)
        self.day.exchange.now_ms += 1_000
        act(self.day, self.day.users[user])  # type: ignore[operator]

    @rule(seed=st.integers(0, 2**32))
    def an_hour_passes(self, seed: int) -> None:
        self.day.random.seed(seed)
        self.day.next_hour()

    @invariant()
    def books_balance(self) -> None:
        if hasattr(self, "day"):
            assert_books_balance(self.day.exchange)

    def teardown(self) -> None:
        if hasattr(self, "day"):
            assert_both_sides(self.day.exchange, self.day.settle_events())


TestVenueMachine = VenueMachine.TestCase
