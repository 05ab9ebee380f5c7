"""Risk: peak, day and trips; and what an entry must stay within."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.gating import GateResult
from domain.risk import (
    DAY_MS,
    Exposure,
    RiskState,
    day_loss_usd,
    drawdown_pct,
    entry_risk_gates,
    with_equity,
)
from domain.strategy_config import RiskConfig

D = Decimal
DAY = 20_000
NOON = DAY * DAY_MS + DAY_MS // 2
LIMITS = replace(RiskConfig(), max_drawdown_pct=D(10), max_daily_loss_usd=D(50))


def after(*equities: str, config: RiskConfig = LIMITS, start: RiskState | None = None, at_ms: int = NOON) -> RiskState:
    state = start or RiskState()
    for equity in equities:
        state = with_equity(state, D(equity), at_ms, config)
    return state


def test_the_peak_only_rises() -> None:
    assert after("1000", "1200", "1100").peak_equity_usd == D(1200)


def test_a_day_begins_with_the_first_equity_of_it() -> None:
    state = after("1000", "990")
    assert (state.day, state.day_start_equity_usd) == (DAY, D(1000))
    state = after("980", start=state, at_ms=NOON + DAY_MS)
    assert (state.day, state.day_start_equity_usd) == (DAY + 1, D(980))


def test_a_drawdown_beyond_the_limit_trips_and_one_at_it_does_not() -> None:
    no_daily = replace(LIMITS, max_daily_loss_usd=D(0))
    assert after("1000", "900", config=no_daily).tripped == ""
    assert after("1000", "899.99", config=no_daily).tripped == "drawdown"


def test_a_daily_loss_beyond_the_limit_trips_and_one_at_it_does_not() -> None:
    assert after("1000", "950").tripped == ""
    assert after("1000", "949.99").tripped == "daily_loss"


def test_limits_of_zero_are_off() -> None:
    assert after("1000", "1", config=RiskConfig()).tripped == ""


def test_a_drawdown_stays_tripped_whatever_the_equity_and_the_day() -> None:
    state = after("1000", "800", config=replace(LIMITS, max_daily_loss_usd=D(0)))
    assert after("5000", start=state).tripped == "drawdown"
    assert after("5000", start=state, at_ms=NOON + 30 * DAY_MS).tripped == "drawdown"


def test_a_daily_loss_stays_tripped_until_its_day_ends() -> None:
    state = after("1000", "940")
    assert after("2000", start=state).tripped == "daily_loss"
    assert after("940", start=state, at_ms=(DAY + 1) * DAY_MS - 1).tripped == "daily_loss"
    assert after("940", start=state, at_ms=(DAY + 1) * DAY_MS).tripped == ""


def test_a_clock_set_back_does_not_end_the_day() -> None:
    """A restart on a machine whose clock is wrong must not lift the limit of the day."""
    state = after("1000", "940")
    back = after("940", start=state, at_ms=NOON - DAY_MS)
    assert (back.tripped, back.day, back.day_start_equity_usd) == ("daily_loss", DAY, D(1000))


def test_a_drawdown_trips_even_while_the_day_is_tripped() -> None:
    """Else it would be forgotten when equity recovers before the day ends."""
    state = after("1000", "940", "890", "1000")
    assert state.tripped == "drawdown"
    assert after("1000", start=state, at_ms=NOON + DAY_MS).tripped == "drawdown"


def test_nothing_new_is_the_same_state() -> None:
    state = after("1000", "990")
    assert with_equity(state, D(995), NOON, LIMITS) is state


def test_drawdown_is_a_share_of_the_peak() -> None:
    state = RiskState(peak_equity_usd=D(200))
    assert drawdown_pct(state, D(150)) == 25.0
    assert drawdown_pct(state, D(-100)) == 150.0
    assert drawdown_pct(RiskState(), D(150)) == 0.0


def test_a_gain_is_no_loss() -> None:
    state = RiskState(day=DAY, day_start_equity_usd=D(100))
    assert day_loss_usd(state, D(130)) == 0
    assert day_loss_usd(state, D(70)) == D(30)
    assert day_loss_usd(RiskState(), D(70)) == 0


IDLE = Exposure(D(1000), D(0), D(0), 0, 0, 0)


def gates(
    exposure: Exposure = IDLE,
    state: RiskState | None = None,
    *,
    positions: int = 5,
    margin_pct: str = "0.6",
    margin: str = "10",
    notional: str = "30",
    opens: bool = True,
    **risk: Any,
) -> dict[str, GateResult]:
    found = entry_risk_gates(
        state or RiskState(),
        exposure,
        replace(RiskConfig(), **risk),
        positions,
        D(margin_pct),
        D(margin),
        D(notional),
        opens_position=opens,
    )
    return {gate.name: gate for gate in found}


def test_an_idle_account_passes_every_limit() -> None:
    assert [name for name, gate in gates().items() if not gate.passed] == []


@pytest.mark.parametrize("tripped", ["drawdown", "daily_loss"])
def test_a_trip_closes_entries_and_is_named(tripped: str) -> None:
    gate = gates(state=RiskState(tripped=tripped))["risk_tripped"]
    assert (gate.passed, gate.value) == (False, tripped)


def test_the_position_to_be_opened_counts() -> None:
    four, five = replace(IDLE, open_positions=4), replace(IDLE, open_positions=5)
    assert gates(four)["max_open_positions"].passed
    assert not gates(five)["max_open_positions"].passed
    assert gates(five, opens=False)["max_open_positions"].passed


def test_the_margin_to_be_used_counts() -> None:
    assert gates(replace(IDLE, margin_usd=D(590)), margin="10")["margin_cap"].passed
    assert not gates(replace(IDLE, margin_usd=D(590)), margin="10.01")["margin_cap"].passed


def test_the_notional_to_be_ordered_counts() -> None:
    exposure = replace(IDLE, notional_usd=D(70))
    assert gates(exposure, notional="30", max_total_notional_usd=D(100))["total_notional"].passed
    assert not gates(exposure, notional="30.01", max_total_notional_usd=D(100))["total_notional"].passed
    assert "total_notional" not in gates(exposure)


def test_the_entry_to_be_sent_counts_against_the_rates() -> None:
    assert gates(replace(IDLE, recent_entries=29))["entries_per_minute"].passed
    assert not gates(replace(IDLE, recent_entries=30))["entries_per_minute"].passed
    assert gates(replace(IDLE, recent_entries_symbol=5))["entries_per_minute_symbol"].passed
    assert not gates(replace(IDLE, recent_entries_symbol=6))["entries_per_minute_symbol"].passed


def test_without_equity_there_is_no_margin() -> None:
    assert not gates(replace(IDLE, equity_usd=D(0)), margin="0.01")["margin_cap"].passed
    assert not gates(replace(IDLE, equity_usd=D(-10)), margin="0")["margin_cap"].passed
