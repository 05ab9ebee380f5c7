"""Risk limits over any history: trips latch, restarts loosen nothing, and the worst case is what counts."""

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.risk_guard import RiskGuard
from application.step import Step
from domain.candles import Interval
from domain.events import FillArrived
from domain.facts import LedgerState
from domain.intents import Action, Side, cloid_of
from domain.risk import (
    DAY_MS,
    Exposure,
    Latch,
    RiskState,
    day_loss_usd,
    drawdown_pct,
    entry_risk_gates,
    tighter,
    with_equity,
    with_flow,
)
from domain.sizing import SizedEntry
from domain.strategy_config import RiskConfig, TradeConfig
from tests.builders import T0, TAG, make_config, make_fill, make_wish

LIMITS = replace(RiskConfig(), max_drawdown_pct=Decimal(10), max_daily_loss_usd=Decimal(50))
EQUITIES = st.integers(-100, 2000).map(Decimal)
WAITS = st.sampled_from([0, 1, DAY_MS // 3, DAY_MS, 3 * DAY_MS, -DAY_MS])


@dataclass(frozen=True)
class Mark:
    """An equity at a time."""

    equity: Decimal
    at_ms: int


@st.composite
def histories(draw: st.DrawFn) -> list[Mark]:
    """Equities over days; the clock may be set back, as it can be between two sessions."""
    at_ms, marks = T0, []
    for _ in range(draw(st.integers(1, 15))):
        at_ms += draw(WAITS)
        marks.append(Mark(draw(EQUITIES), at_ms))
    return marks


def run(marks: list[Mark], state: RiskState | None = None) -> list[RiskState]:
    states, state = [], state or RiskState()
    for mark in marks:
        state = with_equity(state, mark.equity, mark.at_ms, LIMITS)
        states.append(state)
    return states


@given(histories())
def test_the_peak_is_the_highest_equity_and_the_day_never_goes_back(marks: list[Mark]) -> None:
    states = run(marks)
    for place, state in enumerate(states):
        assert state.peak_equity_usd == max(mark.equity for mark in marks[: place + 1])
        assert place == 0 or state.day >= states[place - 1].day


@given(histories())
def test_a_breach_is_latched(marks: list[Mark]) -> None:
    """A drawdown until somebody opens the latch; a daily loss until a later day begins."""
    for before, after in pairwise(run(marks)):
        assert tighter(before.latch, after.latch) is after.latch
        if before.tripped and after.day == before.day:
            assert after.tripped


@given(histories())
def test_beyond_a_limit_entries_are_closed_at_once_and_within_both_nothing_trips(marks: list[Mark]) -> None:
    before = RiskState()
    for mark, state in zip(marks, run(marks), strict=True):
        fallen = drawdown_pct(state, mark.equity) > 10
        lost = state.day_start_equity_usd is not None and state.day_start_equity_usd - mark.equity > 50
        assert state.tripped or not lost
        assert state.latch is Latch.CLOSE_ONLY or not fallen
        if not lost:
            assert state.tripped in ("", before.tripped)
        if not fallen:
            assert state.latch is before.latch
        before = state


FLOWS = st.integers(-900, 5000).map(Decimal)


@given(histories(), st.lists(FLOWS, min_size=1, max_size=15))
def test_money_that_comes_and_goes_changes_no_gain_and_no_loss(marks: list[Mark], flows: list[Decimal]) -> None:
    """The loss of the day is the same with any flows; a drawdown in USD too, while the peak stays positive."""
    plain, flowing, moved = RiskState(), RiskState(), Decimal(0)
    for place, mark in enumerate(marks):
        plain = with_equity(plain, mark.equity, mark.at_ms, RiskConfig())
        flowing = with_equity(flowing, mark.equity + moved, mark.at_ms, RiskConfig())
        assert day_loss_usd(flowing, mark.equity + moved) == day_loss_usd(plain, mark.equity)
        assert plain.peak_equity_usd is not None and flowing.peak_equity_usd is not None
        assert flowing.peak_equity_usd - moved >= plain.peak_equity_usd
        flow = flows[place % len(flows)]
        moved += flow
        flowing = with_flow(flowing, flow)


@given(histories(), histories())
def test_what_was_tripped_before_a_restart_is_never_less_tripped_after(first: list[Mark], then: list[Mark]) -> None:
    restored = replace(run(first)[-1])
    assert run(then, restored) == run(first + then)[len(first) :]


EXPOSURES = st.builds(
    Exposure,
    equity_usd=EQUITIES,
    margin_usd=st.integers(0, 1000).map(Decimal),
    notional_usd=st.integers(0, 3000).map(Decimal),
    symbol_usd=st.integers(0, 3000).map(Decimal),
    side_usd=st.integers(0, 3000).map(Decimal),
    open_positions=st.integers(0, 6),
    recent_entries=st.integers(0, 40),
    recent_entries_symbol=st.integers(0, 8),
    recent_usd=st.integers(0, 3000).map(Decimal),
)
WORSE: dict[str, int] = {
    "equity_usd": -1,
    "margin_usd": 1,
    "notional_usd": 1,
    "symbol_usd": 1,
    "side_usd": 1,
    "recent_usd": 1,
    "open_positions": 1,
    "recent_entries": 1,
    "recent_entries_symbol": 1,
}


@given(
    EXPOSURES,
    st.sampled_from(sorted(WORSE)),
    st.integers(0, 1000),
    st.booleans(),
    st.builds(RiskState, tripped=st.sampled_from(["", "daily_loss"]), latch=st.sampled_from(Latch)),
)
def test_more_exposure_never_opens_a_limit(
    exposure: Exposure, name: str, amount: int, opens: bool, shut: RiskState
) -> None:
    def refusals(state: RiskState, exposure: Exposure) -> set[str]:
        limits = replace(
            RiskConfig(),
            max_total_notional_usd=Decimal(2000),
            max_symbol_notional_usd=Decimal(1000),
            max_side_notional_usd=Decimal(1500),
            max_account_leverage=Decimal(2),
            max_notional_per_window_usd=Decimal(1200),
        )
        trade = replace(TradeConfig(), max_open_positions=5)
        gates = entry_risk_gates(
            state, exposure, limits, trade, "BTC", Decimal(10), Decimal(30), T0, opens_position=opens
        )
        return {gate.name for gate in gates if not gate.passed}

    worse = replace(exposure, **{name: getattr(exposure, name) + WORSE[name] * amount})
    assert refusals(RiskState(), exposure) <= refusals(shut, worse)


@dataclass(frozen=True)
class Entry:
    """An order that may open or add, and how much of it has filled so far (in tenths)."""

    symbol: str
    side: Side
    size: Decimal
    leverage: Decimal
    filled_tenths: int


ENTRIES = st.lists(
    st.builds(
        Entry,
        st.sampled_from(["BTC", "ETH", "SOL"]),
        st.sampled_from(Side),
        st.integers(1, 20).map(Decimal),
        st.sampled_from([1, 2, 5]).map(Decimal),
        st.integers(0, 10),
    ),
    max_size=6,
)
SMALL = SizedEntry(Decimal(0), Decimal(1), Decimal(0), Decimal(0), Decimal(0))


@given(ENTRIES)
def test_what_may_still_fill_counts_as_filled(entries: list[Entry]) -> None:
    """Each order at 101, its limit, until it fills at 100; positions net, orders do not."""
    portfolio = Portfolio()
    oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, portfolio)
    oms.restore(LedgerState(TAG))
    guard = RiskGuard(portfolio, oms)
    waiting: dict[str, Decimal] = {}
    for number, entry in enumerate(entries):
        wish = make_wish(
            Action.OPEN, entry.symbol, side=entry.side, size=entry.size, open_ms=number, leverage=entry.leverage
        )
        intent = oms.place(Step(number, T0), wish)
        assert intent is not None
        filled = entry.size * entry.filled_tenths / 10
        if filled:
            cloid = cloid_of(intent.intent_id, 1, TAG)
            fill = make_fill(entry.side, filled, "100", symbol=entry.symbol, tid=number, cloid=cloid)
            oms.on_fill(Step(number, T0), FillArrived(fill))
        waiting[entry.symbol] = waiting.get(entry.symbol, Decimal(0)) + entry.size - filled
    held = {symbol: abs(position.size) for symbol, position in portfolio.positions.items()}
    config = replace(RiskConfig(), max_total_notional_usd=Decimal(10**9))
    asked = guard.gates("ADA", Side.BUY, SMALL, Decimal(1000), make_config(), config, T0)
    gates = {gate.name: gate.value for gate in asked}
    notional = sum(held.values(), Decimal(0)) * 100 + sum(waiting.values(), Decimal(0)) * 101
    assert gates["total_notional"] == float(notional)
    exposed = {symbol for symbol in {*held, *waiting} if held.get(symbol) or waiting.get(symbol)}
    assert gates["max_open_positions"] == len(exposed) + 1
    value = gates["margin_cap"]
    assert isinstance(value, float) and value >= float(notional) / 5 - 1e-9
