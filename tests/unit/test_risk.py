"""Risk: peak, day and trips; and what an entry must stay within."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.gating import GateResult
from domain.risk import (
    DAY_MS,
    Exposure,
    Latch,
    RiskState,
    day_loss_usd,
    drawdown_pct,
    entry_risk_gates,
    opened,
    tightened,
    with_cooldown,
    with_equity,
    with_flow,
    with_slippage,
)
from domain.strategy_config import RiskConfig, TradeConfig
from domain.strategy_sections import DrawdownPolicy, SlippageGuard

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


def test_a_drawdown_beyond_the_limit_shuts_the_latch_and_one_at_it_does_not() -> None:
    no_daily = replace(LIMITS, max_daily_loss_usd=D(0))
    assert after("1000", "900", config=no_daily).latch is Latch.OPEN
    shut = after("1000", "899.99", config=no_daily)
    assert (shut.latch, shut.latched_ms, shut.tripped) == (Latch.CLOSE_ONLY, NOON, "")
    assert shut.latch_why == "drawdown: equity 899.99 is 10.00 % below its peak, 10 % are allowed"


def test_a_drawdown_closes_everything_where_that_is_wanted() -> None:
    closes = replace(LIMITS, drawdown_reduce_policy=DrawdownPolicy.CLOSE_ALL)
    assert after("1000", "899", config=closes).latch is Latch.HALT


def test_a_daily_loss_beyond_the_limit_trips_and_one_at_it_does_not() -> None:
    assert after("1000", "950").tripped == ""
    assert after("1000", "949.99").tripped == "daily_loss"


def test_limits_of_zero_are_off() -> None:
    state = after("1000", "1", config=RiskConfig())
    assert (state.tripped, state.latch) == ("", Latch.OPEN)


def test_a_drawdown_stays_shut_whatever_the_equity_and_the_day() -> None:
    state = after("1000", "800", config=replace(LIMITS, max_daily_loss_usd=D(0)))
    assert after("5000", start=state).latch is Latch.CLOSE_ONLY
    assert after("5000", start=state, at_ms=NOON + 30 * DAY_MS).latch is Latch.CLOSE_ONLY


def test_only_an_operator_opens_the_latch_and_the_peak_is_counted_anew() -> None:
    state = opened(after("1000", "800"), D(800))
    assert (state.latch, state.latch_why, state.peak_equity_usd) == (Latch.OPEN, "", D(800))
    assert after("790", start=state, config=replace(LIMITS, max_daily_loss_usd=D(0))).latch is Latch.OPEN
    assert opened(after("1000", "800"), None).peak_equity_usd == D(1000), "unknown is no new peak"


def test_a_latch_only_tightens() -> None:
    halted = tightened(RiskState(), Latch.HALT, "first", 5)
    assert tightened(halted, Latch.CLOSE_ONLY, "second", 6) is halted
    assert tightened(halted, Latch.HALT, "second", 6) is halted
    soft = tightened(RiskState(), Latch.CLOSE_ONLY, "first", 5)
    assert tightened(soft, Latch.HALT, "second", 6).latch_why == "second"


def test_a_deposit_hides_no_drawdown_and_a_withdrawal_is_none() -> None:
    state = after("1000", "960", config=RiskConfig())
    rich = with_flow(state, D(500))
    assert (rich.peak_equity_usd, rich.day_start_equity_usd) == (D(1500), D(1500))
    assert drawdown_pct(rich, D(1460)) == pytest.approx(100 * 40 / 1500)
    poor = with_flow(state, D(-400))
    assert (drawdown_pct(poor, D(600)), day_loss_usd(poor, D(600))) == (0.0, D(0))
    assert day_loss_usd(poor, D(560)) == D(40)


def test_a_peak_between_candles_is_taken_in_steps() -> None:
    state = after("1000")
    assert with_equity(state, D("1000.4"), NOON, LIMITS, D("0.0005")) is state
    assert with_equity(state, D("1000.6"), NOON, LIMITS, D("0.0005")).peak_equity_usd == D("1000.6")


GUARD = SlippageGuard(enabled=True, window_fills=3, max_median_bps=D(10))


def test_slippage_shuts_the_latch_by_the_median_of_a_full_window() -> None:
    state = RiskState()
    for bps in ("50", "60"):
        state = with_slippage(state, D(bps), NOON, GUARD)
    assert state.latch is Latch.OPEN, "two entries are no window of three"
    assert with_slippage(state, D(0), NOON, GUARD).latch is Latch.CLOSE_ONLY
    calm = with_slippage(replace(state, slippage_bps=(D(5), D(10))), D(500), NOON, GUARD)
    assert (calm.latch, calm.slippage_bps) == (Latch.OPEN, (D(5), D(10), D(500)))
    assert with_slippage(calm, D(11), NOON, GUARD).latch is Latch.CLOSE_ONLY
    assert with_slippage(calm, D(11), NOON, replace(GUARD, enabled=False)).latch is Latch.OPEN


def test_a_symbol_cools_down_after_a_refusal_and_a_longer_wait_stands() -> None:
    state = with_cooldown(RiskState(), "BTC", NOON + 100, NOON)
    assert not gates(state=state)["reject_cooldown_ms"].passed
    assert gates(state=state, symbol="ETH")["reject_cooldown_ms"].passed
    assert with_cooldown(state, "BTC", NOON + 50, NOON).cooldowns == (("BTC", NOON + 100),)
    later = with_cooldown(state, "ETH", NOON + 900, NOON + 100)
    assert later.cooldowns == (("ETH", NOON + 900),), "what is over is dropped"


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


def test_a_drawdown_shuts_the_latch_even_while_the_day_is_tripped() -> None:
    """Else it would be forgotten when equity recovers before the day ends."""
    state = after("1000", "940", "890", "1000")
    assert (state.tripped, state.latch) == ("daily_loss", Latch.CLOSE_ONLY)
    assert after("1000", start=state, at_ms=NOON + DAY_MS).latch is Latch.CLOSE_ONLY


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


IDLE = Exposure(D(1000), D(0), D(0), D(0), D(0), 0, 0, 0, D(0))


def gates(
    exposure: Exposure = IDLE,
    state: RiskState | None = None,
    *,
    cap: str | None = None,
    symbol: str = "BTC",
    margin: str = "10",
    notional: str = "30",
    opens: bool = True,
    **risk: Any,
) -> dict[str, GateResult]:
    found = entry_risk_gates(
        state or RiskState(),
        exposure,
        replace(RiskConfig(), **risk),
        replace(TradeConfig(), max_open_positions=5, max_notional_usd_per_order=None if cap is None else D(cap)),
        symbol,
        D(margin),
        D(notional),
        NOON,
        opens_position=opens,
    )
    return {gate.name: gate for gate in found}


def test_an_idle_account_passes_every_limit() -> None:
    assert [name for name, gate in gates().items() if not gate.passed] == []


def test_what_is_shut_closes_entries_and_says_why() -> None:
    assert gates(state=RiskState(tripped="daily_loss"))["risk_tripped"][1:] == ("daily_loss", "no", False)
    assert gates(state=RiskState(paused="cli: lunch"))["paused"][1:] == ("cli: lunch", "no", False)
    shut = RiskState(latch=Latch.HALT, latch_why="cli")
    assert gates(state=shut)["kill_latch"][1:] == ("halt: cli", "open", False)


@pytest.mark.parametrize(
    ("name", "limit", "field"),
    [
        ("symbol_notional", "max_symbol_notional_usd", "symbol_usd"),
        ("side_notional", "max_side_notional_usd", "side_usd"),
        ("total_notional", "max_total_notional_usd", "notional_usd"),
        ("window_notional", "max_notional_per_window_usd", "recent_usd"),
    ],
)
def test_each_cap_counts_the_new_order_and_is_off_at_zero(name: str, limit: str, field: str) -> None:
    held: dict[str, Any] = {field: D(70)}
    cap: dict[str, Any] = {limit: D(100)}
    exposure = replace(IDLE, **held)
    assert gates(exposure, notional="30", **cap)[name].passed
    assert not gates(exposure, notional="30.01", **cap)[name].passed
    assert name not in gates(exposure)


def test_the_leverage_of_the_account_counts_the_new_order() -> None:
    exposure = replace(IDLE, notional_usd=D(1970))
    assert gates(exposure, max_account_leverage=D(2))["account_leverage"].passed
    assert not gates(exposure, notional="30.01", max_account_leverage=D(2))["account_leverage"].passed
    assert not gates(replace(exposure, equity_usd=D(-1)), max_account_leverage=D(2))["account_leverage"].passed


def test_one_order_has_its_cap_too() -> None:
    assert gates(cap="30")["order_notional"].passed
    assert not gates(cap="29.99")["order_notional"].passed


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
