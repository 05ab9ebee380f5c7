"""Each limit on entries, met by a whole engine: which gate refuses, at what figure, and that exits never ask it."""

from decimal import Decimal

import pytest

from application.step import Step
from domain.effects import Alert
from domain.events import CashFlowed, EntriesHeld, OperatorSpoke, TimerFired
from domain.gating import GateResult
from domain.intents import OrderRequest
from domain.operator import OperatorVerb
from domain.risk import Latch
from tests.engine_builders import BUY, MINUTE_MS, SELL, START_MS, EngineRig, effects_of, submitted, universe_of

D = Decimal


def rig_of(trade: str = "", risk: str = "", **changes: str) -> EngineRig:
    """Three symbols at 100, 10,000 USD; entries of about 300 USD of margin at 5x."""
    base = "entry_min_confidence: low, entry_cooldown_s: 0, reentry_cooldown_minutes: 0"
    config = f"global: {{trade: {{{base}{', ' + trade if trade else ''}}}, risk: {{{risk}}}}}\n"
    return EngineRig(universe_of("ADA", "BTC", "ETH"), config=config, **changes)  # type: ignore[arg-type]


def enter(rig: EngineRig, symbol: str, opinion: object = BUY, minute: int = 0) -> list[OrderRequest]:
    """Let a candle close on which the strategy wants this; what was sent for an entry."""
    open_ms = START_MS + minute * MINUTE_MS
    rig.strategy.script[symbol, open_ms] = opinion  # type: ignore[assignment]
    return [each for each in submitted(rig.close_candle(open_ms)) if not each.reduce_only]


def hold(rig: EngineRig, symbol: str, opinion: object = BUY, minute: int = 0) -> None:
    (request,) = enter(rig, symbol, opinion, minute)
    rig.fill(request)


def refusals(rig: EngineRig) -> list[GateResult]:
    """What the last decision on an entry was refused for."""
    gates = list(rig.decisions()[-1].entry_gates.values())[-1]
    return [gate for gate in gates if not gate.passed]


def names(rig: EngineRig) -> list[str]:
    return [gate.name for gate in refusals(rig)]


def exits_still_leave(rig: EngineRig, symbol: str = "BTC") -> bool:
    """A price beyond its stop closes a position, whatever is shut."""
    sent = submitted(rig.quote(50.0, symbol, at_ms=rig.now_ms + 1_000))
    return any(each.reduce_only and each.trigger is None for each in sent)


@pytest.mark.parametrize(
    ("trade", "risk", "gate"),
    [
        ("max_open_positions: 1", "", "max_open_positions"),
        ("max_total_margin_pct: 0.03", "", "margin_cap"),
        ("", "max_total_notional_usd: 2000", "total_notional"),
        ("", "max_side_notional_usd: 2000", "side_notional"),
        ("", "max_account_leverage: 0.2", "account_leverage"),
        ("", "max_notional_per_window_usd: 2000, notional_window_s: 3600", "window_notional"),
        ("max_entry_orders_per_loop: 6", "max_entry_orders_per_minute: 1", "entries_per_minute"),
    ],
)
def test_a_second_position_meets_the_limit_and_the_first_can_leave(trade: str, risk: str, gate: str) -> None:
    rig = rig_of(trade, risk)
    if gate == "entries_per_minute":
        rig.strategy.script["BTC", START_MS] = rig.strategy.script["ETH", START_MS] = BUY
        first, *more = [each for each in submitted(rig.close_candle(START_MS)) if not each.reduce_only]
        assert more == []
        rig.fill(first)
        symbol = first.symbol
    else:
        hold(rig, "BTC")
        assert enter(rig, "ETH", minute=1) == []
        symbol = "BTC"
    assert names(rig) == [gate]
    assert exits_still_leave(rig, symbol)


def test_the_other_side_has_a_limit_of_its_own() -> None:
    rig = rig_of(risk="max_side_notional_usd: 2000")
    hold(rig, "BTC")
    assert enter(rig, "ETH", SELL, minute=1)


def test_adding_to_a_position_meets_the_limit_of_its_symbol() -> None:
    rig = rig_of("add_min_profit_atr: 0, add_cooldown_minutes: 0", "max_symbol_notional_usd: 1600")
    hold(rig, "BTC")
    rig.quote(103.0, "BTC", at_ms=rig.now_ms + 1_000)
    assert enter(rig, "BTC", minute=1) == []
    assert "symbol_notional" in names(rig)


def test_one_symbol_may_not_enter_too_often() -> None:
    """Half an hour apart by the candle, a minute by the clock: only the rate is left to say no."""
    rig = rig_of(risk="max_entry_orders_per_minute_per_symbol: 1")
    hold(rig, "BTC")
    position = rig.engine.portfolio.positions["BTC"]
    rig.quote(60.0, "BTC", at_ms=rig.now_ms + 500)
    close = [each for each in submitted(rig.steps[-1]) if each.trigger is None]
    rig.fill(close[0])
    assert position.size and "BTC" not in rig.engine.portfolio.positions
    rig.quote(100.0, "BTC", at_ms=rig.now_ms + 500)
    rig.engine.guard.note_entry("BTC", D(1), START_MS + 2 * MINUTE_MS - 10, D(1))
    assert enter(rig, "BTC", minute=1) == []
    assert names(rig) == ["entries_per_minute_symbol"]


def test_an_order_is_never_worth_more_than_its_cap_even_at_its_limit() -> None:
    for opinion in (BUY, SELL):
        rig = rig_of("max_notional_usd_per_order: 25")
        (request,) = enter(rig, "BTC", opinion)
        assert D(24) < request.size * max(request.limit_price, D(100)) <= D(25)


def test_a_loss_of_the_day_holds_entries_until_the_day_ends_and_is_seen_between_candles() -> None:
    rig = rig_of(risk="max_daily_loss_usd: 30")
    hold(rig, "BTC")
    wait(rig)
    rig.quote(96.0, "BTC", at_ms=rig.now_ms + 500)
    assert codes(wait(rig)) == ["risk_tripped"]
    assert enter(rig, "ETH", minute=1) == []
    assert "risk_tripped" in names(rig)
    rig.now_ms += 86_400_000
    assert "risk_lifted" in codes(wait(rig))


@pytest.mark.parametrize(("policy", "latch"), [("none", Latch.CLOSE_ONLY), ("close_all", Latch.HALT)])
def test_a_drawdown_shuts_the_latch_and_closes_everything_where_that_is_wanted(policy: str, latch: Latch) -> None:
    rig = rig_of(risk=f"max_drawdown_pct: 0.3, drawdown_reduce_policy: {policy}")
    hold(rig, "BTC")
    wait(rig)
    rig.quote(96.0, "BTC", at_ms=rig.now_ms + 500)
    step = wait(rig)
    assert codes(step) == ["kill_latch"]
    assert rig.engine.guard.state.latch is latch
    sizes = [each.size for each in submitted(*rig.steps) if each.reduce_only and each.trigger is None]
    assert sizes == [rig.engine.portfolio.positions["BTC"].size], "its own stop; a halt sends no second order"
    assert enter(rig, "ETH", minute=1) == []
    assert "kill_latch" in names(rig)


def test_a_withdrawal_is_no_drawdown() -> None:
    rig = rig_of(risk="max_drawdown_pct: 5, max_daily_loss_usd: 100")
    wait(rig)
    step = rig.take(CashFlowed("f", "withdraw", rig.now_ms, D(-5_000)))
    assert codes(step) == ["cash_flow"]
    rig.engine.portfolio.cash_usd = D(5_000)
    assert codes(wait(rig)) == []


def test_entries_that_cost_too_much_shut_the_latch() -> None:
    guard = "slippage_guard: {enabled: true, window_fills: 3, max_median_bps: 20}"
    rig = rig_of(risk=guard)
    told = []
    for minute, symbol in enumerate(("ADA", "BTC", "ETH")):
        (request,) = enter(rig, symbol, minute=minute)
        told.append(codes(rig.fill(request, price=100.3)))
    assert ["kill_latch" in each for each in told] == [False, False, True]
    assert rig.engine.guard.state.latch_why == "slippage: the last 3 entries cost 30.0 bps, 20 are allowed"


def test_whoever_holds_entries_is_named() -> None:
    rig = rig_of()
    rig.take(EntriesHeld("account", "nobody has said how it stands"))
    rig.take(OperatorSpoke("r", OperatorVerb.PAUSE, None, "cli", "lunch"))
    assert enter(rig, "BTC") == []
    assert [(gate.name, gate.value) for gate in refusals(rig)] == [
        ("entries_held", "account: nobody has said how it stands"),
        ("paused", "cli: lunch"),
    ]


def wait(rig: EngineRig) -> Step:
    """Long enough that equity is looked at three times: what came of it, all together."""
    together = Step(0, rig.now_ms)
    for _ in range(3):
        rig.now_ms += 5_000
        step = rig.take(TimerFired())
        together.facts += step.facts
        together.effects += step.effects
    return together


def test_a_single_price_that_was_not_real_shuts_nothing_and_raises_no_peak() -> None:
    rig = rig_of(risk="max_drawdown_pct: 0.05, max_daily_loss_usd: 5")
    hold(rig, "BTC", SELL)
    wait(rig)
    peak = rig.engine.guard.state.peak_equity_usd
    for price in (101.5, 60.0):
        rig.quote(price, "BTC", at_ms=rig.now_ms + 4_900)
        rig.now_ms += 100
        rig.take(TimerFired())
        rig.quote(100.0, "BTC", at_ms=rig.now_ms + 100)
        wait(rig)
    state = rig.engine.guard.state
    assert (state.latch, state.tripped, state.peak_equity_usd) == (Latch.OPEN, "", peak)


def codes(step: Step) -> list[str]:
    return [alert.code for alert in effects_of(Alert, step)]
