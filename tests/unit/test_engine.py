"""One event in, facts and effects out: the engine with a strategy that says what a test wants."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from application.candle_board import QUIET_WAIT_MS
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.warm_up import HISTORY_AGAIN_MS
from domain.candles import Interval
from domain.confidence import Confidence
from domain.effects import Alert, CancelOrder, FetchCandles, StoreCandles, SubmitOrder
from domain.events import (
    AccountSnapshot,
    CandlesClosed,
    FillArrived,
    FundingPaid,
    HistoryLoaded,
    OrderCanceled,
    OrderOutcome,
    Recovered,
    StrategyAnswered,
    TimerFired,
)
from domain.facts import (
    AnchorSet,
    CashSet,
    ConfigTaken,
    DecisionsRecorded,
    ExitStateChanged,
    FillRecorded,
    IntentRecorded,
    LedgerState,
    OrderChanged,
    RiskChanged,
    TradeClosed,
)
from domain.fills import Fill, FillCause
from domain.gating import GateResult, first_refusal
from domain.intents import Action, OrderRequest, Side, TriggerKind
from domain.orders import Accepted, OrderStatus, Rejected, RejectReason, Unknown
from domain.positions import Position
from domain.signals import Analyses, Signal
from domain.strategy_job import StrategyJob
from domain.verdicts import Verdict
from ports.strategy import WARMUP_CANDLES
from tests.engine_builders import (
    BUY,
    EASY_ENTRIES,
    MINUTE_MS,
    NEUTRAL,
    SELL,
    START_MS,
    EngineRig,
    Opinion,
    ScriptedStrategy,
    analyses_of,
    batch_of,
    effects_of,
    facts_of,
    flat_bar,
    manager_of,
    overrides_text,
    quotes_of,
    submitted,
    universe_of,
    updates_of,
    window_of,
)
from tests.job_strategy import JobStrategy, job_in


def candle(number: int) -> int:
    return START_MS + number * MINUTE_MS


def rig_of(*symbols: str, config: str | None = EASY_ENTRIES, **changed: Any) -> EngineRig:
    return EngineRig(universe_of(*(symbols or ("BTC",))), config=config, **changed)


def trade_config(**values: object) -> str:
    pairs = {"entry_min_confidence": "low", **values}
    return "global: {trade: {" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}}\n"


def gates_of(rig: EngineRig, symbol: str) -> list[GateResult]:
    """The entry gates of a symbol's newest decision."""
    record = rig.decisions()[-1]
    return record.entry_gates[record.symbols.index(symbol)]


def refusal_of(rig: EngineRig, symbol: str) -> str | None:
    refused = first_refusal(gates_of(rig, symbol))
    return None if refused is None else refused.name


def verdict_of(rig: EngineRig, symbol: str) -> Verdict:
    record = rig.decisions()[-1]
    return Verdict(int(record.verdict[record.symbols.index(symbol)]))


def actions_of(requests: list[OrderRequest], rig: EngineRig) -> list[Action]:
    intents = {fact.intent.intent_id: fact.intent for fact in facts_of(IntentRecorded, *rig.steps)}
    return [intents[request.intent_id].key.action for request in requests]


def closing(rig: EngineRig, *steps: Any) -> list[OrderRequest]:
    requests = submitted(*steps)
    return [each for each, action in zip(requests, actions_of(requests, rig), strict=True) if action is Action.CLOSE]


# ── analyses ─────────────────────────────────────────────────────────────────────────────────


def test_each_closed_candle_is_analysed_once_however_often_it_is_told() -> None:
    rig = rig_of("BTC", "ETH")
    for number in range(3):
        bars = {0: flat_bar(100.0), 1: flat_bar(100.0)}
        for repeat in range(3):
            rig.take(updates_of(candle(number), bars, candle(number) + 1_000 * repeat + 1), candle(number) + 5_000)
        rig.close_candle(candle(number))
        for _ in range(3):
            rig.take(TimerFired(), rig.now_ms + 200)
            rig.take(updates_of(candle(number), bars, rig.now_ms))
    assert rig.strategy.analysed == [(symbol, candle(number)) for number in (-1, 0, 1, 2) for symbol in ("BTC", "ETH")]
    assert rig.engine.analyses_done == 8


def test_a_candle_is_not_analysed_before_its_end_and_the_grace() -> None:
    rig = rig_of()
    rig.take(updates_of(candle(0), {0: flat_bar(100.0)}, candle(0) + 1_000), candle(0) + 2_000)
    rig.take(TimerFired(), candle(1) + 999)
    assert rig.strategy.analysed == [("BTC", candle(-1))]
    rig.take(TimerFired(), candle(1) + 1_000)
    assert rig.strategy.analysed == [("BTC", candle(-1)), ("BTC", candle(0))]


def test_a_quiet_symbol_is_analysed_on_its_flat_candle_which_is_not_stored() -> None:
    rig = rig_of("BTC", "ETH")
    step = rig.close_candle(candle(0), "BTC")
    assert [effect.candles.ids.tolist() for effect in effects_of(StoreCandles, step)] == [[0]]
    step = rig.take(TimerFired(), candle(1) + 1_000 + QUIET_WAIT_MS)
    assert rig.strategy.analysed[-1] == ("ETH", candle(0))
    assert effects_of(StoreCandles, step) == []


def test_candles_of_a_data_set_are_analysed_after_the_warm_up() -> None:
    universe = universe_of("BTC")
    strategy = ScriptedStrategy(universe)
    rig = EngineRig(universe, strategy)
    engine = type(rig.engine)(
        replace(rig.engine.settings, warms_up_from_history=False), universe, strategy, manager_of()
    )
    strategy.analysed.clear()
    strategy._last_open_ms.clear()
    engine.handle(1, 0, Recovered(LedgerState(instance_tag=b"ab"), ""))
    for number in range(WARMUP_CANDLES + 3):
        engine.handle(number + 2, candle(number + 1), CandlesClosed(batch_of(candle(number), {0: flat_bar(100.0)})))
    assert strategy.analysed == [("BTC", candle(number)) for number in range(WARMUP_CANDLES, WARMUP_CANDLES + 3)]


def test_a_late_revision_rebuilds_the_symbol_and_never_decides_again() -> None:
    rig = rig_of("BTC", "ETH")
    rig.close_candle(candle(0))
    rig.strategy.script[("ETH", candle(0))] = BUY
    step = rig.take(updates_of(candle(0), {1: (100, 100, 80, 80, 9)}, rig.now_ms + 100), rig.now_ms + 100)
    anchor_ms = START_MS - MINUTE_MS - WARMUP_CANDLES * MINUTE_MS
    assert effects_of(FetchCandles, step) == [FetchCandles("ETH", Interval.M1, anchor_ms, candle(1))]
    assert [effect.candles.close.tolist() for effect in effects_of(StoreCandles, step)] == [[80.0]]
    assert rig.strategy.forgotten == ["ETH"]
    step = rig.take(
        HistoryLoaded("ETH", Interval.M1, window_of("ETH", candle(0), [100.0] * (WARMUP_CANDLES + 2)), "history")
    )
    assert not submitted(step) and rig.strategy.analysed.count(("ETH", candle(0))) == 1
    rig.strategy.script[("ETH", candle(1))] = BUY
    step = rig.close_candle(candle(1))
    assert [request.symbol for request in submitted(step)] == ["ETH"]
    assert rig.strategy.analysed[-2:] == [("BTC", candle(1)), ("ETH", candle(1))]


def test_a_revised_symbol_is_not_decided_on_until_it_is_rebuilt() -> None:
    rig = rig_of("BTC", "ETH")
    rig.close_candle(candle(0))
    rig.take(updates_of(candle(0), {1: (100, 100, 80, 80, 9)}, candle(1) + 20_000), candle(1) + 20_000)
    rig.strategy.script[("ETH", candle(1))] = BUY
    assert not submitted(rig.close_candle(candle(1)))
    assert rig.strategy.analysed[-1] == ("BTC", candle(1))
    history = window_of("ETH", candle(0), [100.0] * (WARMUP_CANDLES + 2))
    step = rig.take(HistoryLoaded("ETH", Interval.M1, history, "history"), rig.now_ms + 300)
    assert rig.strategy.analysed[-1] == ("ETH", candle(1)), "candle 0 was decided before"
    assert [request.symbol for request in submitted(step)] == ["ETH"]


def test_a_symbol_that_missed_candles_falls_out_and_comes_back_from_history() -> None:
    rig = rig_of("BTC", "ETH")
    rig.close_candle(candle(0))
    rig.close_candle(candle(2))
    step = rig.take(TimerFired(), candle(3) + 1_000 + QUIET_WAIT_MS)
    assert rig.strategy.analysed[-1] == ("ETH", candle(0))
    assert sorted(rig.strategy.forgotten) == ["BTC", "ETH"]
    for symbol in ("BTC", "ETH"):
        history = window_of(symbol, candle(2), [100.0] * (WARMUP_CANDLES + 4))
        step = rig.take(HistoryLoaded(symbol, Interval.M1, history, "history"))
        assert rig.strategy.analysed[-1] == (symbol, candle(2))
        assert facts_of(AnchorSet, step) == [], "the anchor stays where it was"
    rig.close_candle(candle(3))
    assert rig.strategy.analysed[-2:] == [("BTC", candle(3)), ("ETH", candle(3))]


def test_a_history_that_is_short_or_has_a_hole_keeps_the_symbol_out() -> None:
    rig = rig_of("BTC", "ETH")
    rig.engine.hub.drop(1)
    short = window_of("ETH", candle(0), [100.0] * WARMUP_CANDLES)
    whole = window_of("ETH", candle(0), [100.0] * (WARMUP_CANDLES + 5))
    holes = np.r_[0 : WARMUP_CANDLES - 3, WARMUP_CANDLES - 2 : WARMUP_CANDLES + 5]
    columns = (whole.open_ms, whole.open, whole.high, whole.low, whole.close, whole.volume)
    torn = type(whole)("ETH", Interval.M1, *(column[holes] for column in columns))  # type: ignore[arg-type]
    for window, code in ((None, "history_missing"), (short, "history_unusable"), (torn, "history_unusable")):
        step = rig.take(HistoryLoaded("ETH", Interval.M1, window, "history", "" if window else "no such market"))
        assert [alert.code for alert in effects_of(Alert, step)] == [code]
    rig.close_candle(candle(0))
    assert rig.strategy.analysed[-1] == ("BTC", candle(0))


def test_a_history_that_could_not_be_used_is_asked_for_again() -> None:
    rig = rig_of("BTC", "ETH")
    rig.engine.hub.drop(1)
    short = window_of("ETH", candle(0), [100.0] * WARMUP_CANDLES)
    at_ms = candle(1)
    rig.take(HistoryLoaded("ETH", Interval.M1, short, "history"), at_ms)
    assert effects_of(FetchCandles, rig.take(TimerFired(), at_ms + HISTORY_AGAIN_MS - 1)) == []
    (wanted,) = effects_of(FetchCandles, rig.take(TimerFired(), at_ms + HISTORY_AGAIN_MS))
    assert wanted.symbol == "ETH"
    assert effects_of(FetchCandles, rig.take(TimerFired(), at_ms + 2 * HISTORY_AGAIN_MS)) == [], "once per answer"


# ── entries ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("opinion", "side"), [(BUY, Side.BUY), (SELL, Side.SELL)])
def test_a_signal_opens_a_position(opinion: Opinion, side: Side) -> None:
    rig = rig_of()
    rig.strategy.script[("BTC", candle(0))] = opinion
    step = rig.close_candle(candle(0))
    (request,) = submitted(step)
    assert request.side is side and not request.reduce_only and request.size > 0
    assert verdict_of(rig, "BTC") is Verdict.OPEN and refusal_of(rig, "BTC") is None
    (fact,) = facts_of(IntentRecorded, step)
    assert fact.intent.key.open_ms == candle(0) and fact.intent.key.action is Action.OPEN
    (record,) = facts_of(DecisionsRecorded, step)
    assert record.intent_ids == {0: fact.intent.intent_id}


def test_every_order_has_its_intent_in_the_same_step() -> None:
    rig = rig_of("BTC", "ETH")
    rig.open_position("BTC")
    rig.strategy.script[("ETH", candle(1))] = SELL
    rig.close_candle(candle(1))
    rig.quote(90.0)
    sent = 0
    for step in rig.steps:
        written = {fact.order.request for fact in facts_of(IntentRecorded, step)}
        sent += len(submitted(step))
        assert {effect.request for effect in effects_of(SubmitOrder, step)} == written
    assert sent >= 5


def test_an_order_is_sent_once_and_one_position_is_open_at_a_time() -> None:
    rig = rig_of()
    rig.strategy.script |= {("BTC", candle(number)): BUY for number in range(4)}
    (first,) = submitted(rig.close_candle(candle(0)))
    assert submitted(rig.close_candle(candle(1))) == []
    assert refusal_of(rig, "BTC") == "no_entry_in_flight"
    rig.fill(first)
    rig.close_candle(candle(2))
    cloids = [request.cloid for request in submitted(*rig.steps)]
    assert len(cloids) == len(set(cloids))


def test_the_same_candle_offered_again_after_a_restart_is_refused_by_dedupe() -> None:
    before = rig_of()
    before.strategy.script[("BTC", candle(0))] = BUY
    (request,) = submitted(before.close_candle(candle(0)))
    state = LedgerState(instance_tag=b"ab", intent_ids=frozenset({request.intent_id}))
    universe = universe_of("BTC")
    strategy = ScriptedStrategy(universe, {("BTC", candle(0)): SELL})
    after = EngineRig(universe, strategy, state=state, start_ms=candle(1))
    assert strategy.analysed == [("BTC", candle(0))], "the same key is offered again"
    assert submitted(*after.steps) == []
    assert verdict_of(after, "BTC") is Verdict.REFUSED and refusal_of(after, "BTC") == "dedupe"
    strategy.script[("BTC", candle(1))] = BUY
    (again,) = submitted(after.close_candle(candle(1)))
    assert again.cloid != request.cloid


def test_a_signal_that_comes_too_late_is_stale() -> None:
    rig = rig_of()
    rig.strategy.script[("BTC", candle(0))] = BUY
    rig.take(updates_of(candle(0), {0: flat_bar(100.0)}, candle(0) + 1), candle(0) + 2_000)
    rig.quote(100.0, at_ms=candle(1) + 6_001)  # ten percent of the candle is six seconds
    assert verdict_of(rig, "BTC") is Verdict.REFUSED and refusal_of(rig, "BTC") == "stale_signal"


def test_a_signal_at_its_deadline_still_counts() -> None:
    rig = rig_of()
    rig.strategy.script[("BTC", candle(0))] = BUY
    rig.take(updates_of(candle(0), {0: flat_bar(100.0)}, candle(0) + 1), candle(0) + 2_000)
    rig.quote(100.0, at_ms=candle(1) + 6_000)
    assert verdict_of(rig, "BTC") is Verdict.OPEN


def test_an_entry_needs_the_confidence_that_is_configured() -> None:
    rig = rig_of(config=None)  # the default asks for high confidence
    rig.strategy.script[("BTC", candle(0))] = Opinion(Signal.BUY, Confidence.MEDIUM)
    rig.close_candle(candle(0))
    assert refusal_of(rig, "BTC") == "confidence"
    rig.strategy.script[("BTC", candle(1))] = Opinion(Signal.BUY, Confidence.HIGH)
    rig.close_candle(candle(1))
    assert verdict_of(rig, "BTC") is Verdict.OPEN


def test_no_more_positions_than_allowed_counting_orders_on_their_way() -> None:
    rig = rig_of("BTC", "ETH", "SOL", config=trade_config(max_open_positions=2))
    rig.strategy.script |= {(symbol, candle(0)): BUY for symbol in ("BTC", "ETH", "SOL")}
    assert [request.symbol for request in submitted(rig.close_candle(candle(0)))] == ["BTC", "ETH"]
    assert refusal_of(rig, "SOL") == "max_open_positions"


def test_an_entry_needs_a_price_that_is_not_old() -> None:
    rig = rig_of("BTC", "ETH")
    rig.quote(100.0, at_ms=candle(0) + 40_000)
    rig.strategy.script |= {(symbol, candle(0)): BUY for symbol in ("BTC", "ETH")}
    bars = {0: flat_bar(100.0), 1: flat_bar(100.0)}
    rig.take(updates_of(candle(0), bars, candle(0) + 59_000), candle(0) + 59_000)
    rig.quote(100.0, "ETH", at_ms=candle(1) + 1_000)
    assert refusal_of(rig, "BTC") == "price_age_ms"
    assert verdict_of(rig, "ETH") is Verdict.OPEN


def test_while_an_orders_fate_is_unknown_no_entry_leaves_and_exits_do() -> None:
    rig = rig_of(config=trade_config(enable_pyramiding="true", add_cooldown_minutes=0, entry_cooldown_s=0))
    rig.open_position("BTC")
    stop = next(request for request in submitted(*rig.steps) if request.trigger is not None)
    step = rig.take(OrderOutcome(stop.cloid, Unknown("no answer in 10 s")))
    assert [alert.code for alert in effects_of(Alert, step)] == ["order_unknown"]
    rig.quote(103.0)
    rig.strategy.script[("BTC", candle(1))] = Opinion(Signal.BUY, features={"macd_hist": 1.0})
    rig.close_candle(candle(1))
    refused = [gate.name for gate in gates_of(rig, "BTC") if not gate.passed]
    assert "no_unknown_order" in refused and verdict_of(rig, "BTC") is Verdict.REFUSED
    assert list(actions_of(submitted(rig.quote(90.0)), rig)) == [Action.CLOSE]


def test_a_symbol_whose_books_differ_from_the_venues_takes_no_entries() -> None:
    rig = rig_of("BTC", "ETH")
    step = rig.take(AccountSnapshot(Decimal(10_000), (("BTC", Decimal("0.5")),), rig.now_ms, fills_since_ms=0))
    assert [alert.code for alert in effects_of(Alert, step)] == ["position_differs"]
    rig.strategy.script |= {(symbol, candle(0)): BUY for symbol in ("BTC", "ETH")}
    assert [request.symbol for request in submitted(rig.close_candle(candle(0)))] == ["ETH"]
    assert refusal_of(rig, "BTC") == "ready"
    rig.fill(submitted(rig.steps[-1])[0])
    eth = rig.engine.portfolio.position("ETH").size
    rig.take(AccountSnapshot(Decimal(10_000), (("ETH", eth),), rig.now_ms))
    rig.strategy.script[("BTC", candle(1))] = BUY
    assert "BTC" in [request.symbol for request in submitted(rig.close_candle(candle(1)))]


def test_a_word_on_the_account_from_before_the_newest_fill_proves_nothing() -> None:
    """It was asked for before the fill and came after it, as happens when an answer has to be waited for."""
    rig = rig_of("BTC")
    rig.strategy.script[("BTC", candle(0))] = BUY
    asked_ms = rig.now_ms
    rig.fill(submitted(rig.close_candle(candle(0)))[0])
    cash, held = rig.engine.portfolio.cash_usd, rig.engine.portfolio.position("BTC").size
    assert held > 0 and rig.engine.portfolio.newest_fill_ms > asked_ms
    late = rig.take(AccountSnapshot(Decimal(10_000), (), asked_ms))
    assert effects_of(Alert, late) == [] and late.facts == []
    assert rig.engine.portfolio.cash_usd == cash
    newest_ms = rig.engine.portfolio.newest_fill_ms
    fresh = rig.take(AccountSnapshot(Decimal(10_000), (), newest_ms, fills_since_ms=0))
    assert [alert.code for alert in effects_of(Alert, fresh)] == ["position_differs"]


def test_without_knowing_the_cash_nothing_is_entered() -> None:
    rig = rig_of()
    rig.engine.portfolio.cash_usd = None
    rig.strategy.script[("BTC", candle(0))] = BUY
    rig.close_candle(candle(0))
    assert refusal_of(rig, "BTC") == "sizing"


def test_an_excluded_symbol_is_analysed_but_never_entered() -> None:
    rig = rig_of("BTC", "ETH", config=EASY_ENTRIES[:-2] + ", watchlist_exclude: [ETH]}\n")
    rig.strategy.script |= {(symbol, candle(0)): BUY for symbol in ("BTC", "ETH")}
    assert [request.symbol for request in submitted(rig.close_candle(candle(0)))] == ["BTC"]
    assert refusal_of(rig, "ETH") == "watchlist"
    assert ("ETH", candle(0)) in rig.strategy.analysed


def test_signals_of_one_close_are_ranked_by_confidence_then_adx_then_name() -> None:
    rig = rig_of("ADA", "BTC", "ETH", "SOL", config=trade_config(max_open_positions=3))
    rig.strategy.script |= {
        ("ADA", candle(0)): Opinion(Signal.BUY, Confidence.MEDIUM, {"adx": 90.0}),
        ("BTC", candle(0)): Opinion(Signal.BUY, Confidence.HIGH, {"adx": 25.0}),
        ("ETH", candle(0)): Opinion(Signal.SELL, Confidence.HIGH, {"adx": 35.0}),
        ("SOL", candle(0)): Opinion(Signal.BUY, Confidence.HIGH, {"adx": 25.0}),
    }
    assert [request.symbol for request in submitted(rig.close_candle(candle(0)))] == ["ETH", "BTC", "SOL"]
    assert refusal_of(rig, "ADA") == "max_open_positions"


def test_a_tripped_loss_limit_stops_the_entries_of_the_same_close() -> None:
    rig = rig_of(config="global: {trade: {entry_min_confidence: low}, risk: {max_daily_loss_usd: 100}}\n")
    rig.close_candle(candle(0))
    rig.take(AccountSnapshot(Decimal(9_800), (), rig.now_ms, fills_since_ms=0))
    rig.strategy.script[("BTC", candle(1))] = BUY
    step = rig.close_candle(candle(1))
    assert refusal_of(rig, "BTC") == "risk_tripped" and submitted(step) == []
    assert [fact.state.tripped for fact in facts_of(RiskChanged, step)] == ["daily_loss"]
    assert [alert.code for alert in effects_of(Alert, step)] == ["risk_tripped"]


def test_reversed_signals_enter_the_other_way_and_are_recorded_as_such() -> None:
    rig = rig_of(config=trade_config(reverse_entry_signal="true"))
    rig.strategy.script[("BTC", candle(0))] = BUY
    (request,) = submitted(rig.close_candle(candle(0)))
    assert request.side is Side.SELL and rig.decisions()[-1].signal.tolist() == [Signal.SELL]


# ── the market as a whole ────────────────────────────────────────────────────────────────────

UP = Opinion(features={"ema_fast": 110.0, "ema_slow": 100.0})
DOWN = Opinion(features={"ema_fast": 90.0, "ema_slow": 100.0})


def test_breadth_counts_the_trends_of_the_whole_batch_before_its_gates() -> None:
    config = (
        "global: {trade: {entry_min_confidence: low},"
        " market_regime: {enable_regime_filter: true, breadth_block_long_below: 40}}\n"
    )
    rig = rig_of("ADA", "BTC", "ETH", "SOL", config=config)
    rig.strategy.script |= {
        ("ADA", candle(0)): replace(UP, signal=Signal.BUY),
        ("BTC", candle(0)): DOWN,
        ("ETH", candle(0)): DOWN,
        ("SOL", candle(0)): DOWN,
        ("ADA", candle(1)): replace(UP, signal=Signal.BUY),
        ("BTC", candle(1)): UP,
        ("ETH", candle(1)): DOWN,
        ("SOL", candle(1)): DOWN,
    }
    rig.close_candle(candle(0))
    assert rig.decisions()[-1].context.breadth_pct == 25.0
    assert refusal_of(rig, "ADA") == "regime_breadth"
    rig.close_candle(candle(1))
    assert rig.decisions()[-1].context.breadth_pct == 50.0
    assert verdict_of(rig, "ADA") is Verdict.OPEN


def test_breadth_counts_only_watched_symbols() -> None:
    rig = rig_of("BTC", "ETH", config=EASY_ENTRIES[:-2] + ", watchlist_exclude: [ETH]}\n")
    rig.strategy.script |= {("BTC", candle(0)): UP, ("ETH", candle(0)): DOWN}
    rig.close_candle(candle(0))
    assert rig.decisions()[-1].context.breadth_pct == 100.0


def test_btcs_trend_is_that_of_the_candle_that_closes_now() -> None:
    rig = rig_of("BTC", "ETH")
    rig.quote(101.0, "BTC")
    rig.close_candle(candle(0))
    rig.quote(50.0, "BTC")
    rig.close_candle(candle(1))
    assert rig.strategy.btc_seen[-2:] == [True, False]
    assert [record.context.btc_bullish for record in rig.decisions()[-2:]] == [True, False]


def test_without_btc_its_trend_is_not_known() -> None:
    rig = rig_of("ETH")
    rig.close_candle(candle(0))
    assert rig.strategy.btc_seen[-1] is None


# ── positions ────────────────────────────────────────────────────────────────────────────────


def test_a_filled_entry_is_protected_by_a_stop_and_a_take_profit() -> None:
    rig = rig_of()
    step = rig.open_position("BTC")
    requests = submitted(step)
    assert actions_of(requests, rig) == [Action.STOP, Action.TAKE_PROFIT]
    stop, target = requests
    held = rig.engine.portfolio.position("BTC").size
    assert stop.trigger is not None and target.trigger is not None
    assert (stop.trigger.kind, stop.trigger.price, stop.size) == (TriggerKind.STOP_LOSS, Decimal(98), held)
    assert (target.trigger.kind, target.trigger.price) == (TriggerKind.TAKE_PROFIT, Decimal(104))
    assert 0 < target.size <= held
    assert all(request.reduce_only and request.side is Side.SELL for request in requests)
    assert [fact.state is not None for fact in facts_of(ExitStateChanged, step)] == [True]


def test_protection_is_asked_for_once_and_not_at_every_price() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    steps = [rig.quote(100.0 + number / 100) for number in range(20)]
    assert submitted(*steps) == []


def test_the_resting_stop_follows_when_the_stop_has_moved() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    old = next(
        request
        for request in submitted(*rig.steps)
        if request.trigger and request.trigger.kind is TriggerKind.STOP_LOSS
    )
    rig.take(OrderOutcome(old.cloid, Accepted(70)))
    step = rig.quote(103.0)
    (new,) = submitted(step)
    assert new.trigger is not None and old.trigger is not None
    assert new.trigger.kind is TriggerKind.STOP_LOSS and new.trigger.price > old.trigger.price
    assert effects_of(CancelOrder, step) == [CancelOrder("BTC", old.cloid)]
    order = [type(effect) for effect in step.effects if isinstance(effect, (SubmitOrder, CancelOrder))]
    assert order == [SubmitOrder, CancelOrder], "the new one first: never without a stop"
    rig.take(OrderCanceled(old.cloid, "canceled"))
    assert submitted(rig.quote(102.9)) == [], "a stop never moves back"


def test_resting_protection_is_cancelled_when_the_position_is_flat() -> None:
    rig = rig_of()
    stop, target = submitted(rig.open_position("BTC"))
    for oid, request in enumerate((stop, target)):
        rig.take(OrderOutcome(request.cloid, Accepted(80 + oid)))
    (out,) = closing(rig, rig.quote(97.0))
    step = rig.fill(out)
    assert rig.engine.portfolio.position("BTC").is_flat
    assert {effect.cloid for effect in effects_of(CancelOrder, step)} == {stop.cloid, target.cloid}
    assert [fact.state for fact in facts_of(ExitStateChanged, step)] == [None]
    (closed,) = facts_of(TradeClosed, step)
    assert closed.trade.exit_reason == "stop_loss" and closed.trade.pnl < 0


def test_exits_are_looked_at_whenever_the_price_has_changed() -> None:
    rig = rig_of("BTC", "ETH")
    rig.open_position("BTC")
    assert submitted(rig.quote(98.5, "BTC"), rig.quote(50.0, "ETH")) == []
    (out,) = submitted(rig.quote(97.9, "BTC"))
    assert out.reduce_only and out.side is Side.SELL
    assert submitted(rig.quote(97.8, "BTC")) == [], "one exit is under way"
    rig.take(OrderOutcome(out.cloid, Rejected(RejectReason.NO_IMMEDIATE_MATCH, "could not match")))
    assert len(closing(rig, rig.quote(97.7, "BTC"))) == 1, "the next price tries again"


def test_exits_go_on_at_candle_closes_when_the_quotes_have_stopped() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    steps = []
    for number in (1, 2):  # the first may have traded before the last quote
        rig.take(updates_of(candle(number), {0: flat_bar(95.0)}, candle(number) + 1), candle(number) + 30_000)
        steps.append(rig.take(TimerFired(), candle(number + 1) + 1_000))
    assert [request.side for request in closing(rig, *steps)] == [Side.SELL]


def test_an_opposite_signal_closes_and_does_not_open_on_the_same_candle() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    rig.strategy.script[("BTC", candle(1))] = SELL
    step = rig.close_candle(candle(1))
    (out,) = submitted(step)
    assert out.reduce_only and verdict_of(rig, "BTC") is Verdict.CLOSE
    assert rig.decisions()[-1].intent_ids == {0: out.intent_id}
    after = rig.fill(out)
    assert submitted(after) == [] and rig.engine.portfolio.position("BTC").is_flat
    assert [fact.trade.exit_reason for fact in facts_of(TradeClosed, after)] == ["signal_flip"]
    rig.strategy.script[("BTC", candle(2))] = SELL
    (entry,) = submitted(rig.close_candle(candle(2)))
    assert entry.side is Side.SELL and not entry.reduce_only, "the next candle may turn around at once"


def test_a_second_opposite_signal_while_closing_changes_nothing() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    rig.strategy.script |= {("BTC", candle(1)): SELL, ("BTC", candle(2)): SELL}
    assert len(submitted(rig.close_candle(candle(1)))) == 1
    assert submitted(rig.close_candle(candle(2))) == []
    assert verdict_of(rig, "BTC") is Verdict.HOLD


PYRAMID = trade_config(add_cooldown_minutes=0, entry_cooldown_s=0, enable_partial_tp="false")
STRONGER = Opinion(Signal.BUY, features={"macd_hist": 1.0, "macd_hist_1": 0.5})


def test_a_signal_in_a_winning_positions_direction_adds_to_it() -> None:
    rig = rig_of(config=PYRAMID)
    rig.open_position("BTC")
    before = rig.engine.portfolio.position("BTC")
    rig.quote(102.0)
    rig.strategy.script[("BTC", candle(1))] = STRONGER
    step = rig.close_candle(candle(1))
    adds = [request for request in submitted(step) if not request.reduce_only]
    assert actions_of(adds, rig) == [Action.ADD] and verdict_of(rig, "BTC") is Verdict.ADD
    step = rig.fill(adds[0])
    after = rig.engine.portfolio.position("BTC")
    assert after.size == before.size + adds[0].size and before.entry_price < after.entry_price < 102
    stops = [
        request for request in submitted(step) if request.trigger and request.trigger.kind is TriggerKind.STOP_LOSS
    ]
    assert [request.size for request in stops] == [after.size], "the stop covers what was added"


def test_a_losing_position_is_not_added_to() -> None:
    rig = rig_of(config=PYRAMID)
    rig.open_position("BTC")
    rig.quote(99.5)
    rig.strategy.script[("BTC", candle(1))] = STRONGER
    assert submitted(rig.close_candle(candle(1))) == []
    assert refusal_of(rig, "BTC") == "add_profit_atr"


def test_a_position_that_is_being_closed_is_not_added_to() -> None:
    rig = rig_of(config=PYRAMID)
    rig.open_position("BTC")
    rig.quote(102.0)
    # the trend has broken: the same candle that asks for more asks for the way out
    broken = {"ema_fast": 90.0, "ema_slow": 100.0, "macd_hist": 1.0, "macd_hist_1": 0.5}
    rig.strategy.script[("BTC", candle(1))] = Opinion(Signal.BUY, features=broken)
    step = rig.close_candle(candle(1))
    assert Action.ADD not in actions_of(submitted(step), rig)
    assert len(closing(rig, step)) == 1
    assert refusal_of(rig, "BTC") == "ready" and verdict_of(rig, "BTC") is Verdict.REFUSED


def test_a_rejected_entry_leaves_the_candle_used_and_the_symbol_free() -> None:
    rig = rig_of()
    rig.strategy.script |= {("BTC", candle(0)): BUY, ("BTC", candle(1)): BUY}
    (entry,) = submitted(rig.close_candle(candle(0)))
    step = rig.take(OrderOutcome(entry.cloid, Rejected(RejectReason.INSUFFICIENT_MARGIN, "no")))
    assert [fact.order.status for fact in facts_of(OrderChanged, step)] == [OrderStatus.REJECTED]
    assert submitted(rig.take(TimerFired())) == []
    assert len(submitted(rig.close_candle(candle(1)))) == 1


def test_a_fill_told_twice_is_booked_once() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    (fill,) = [fact.fill for fact in facts_of(FillRecorded, *rig.steps)]
    cash, position = rig.engine.portfolio.cash_usd, rig.engine.portfolio.position("BTC")
    step = rig.take(FillArrived(fill))
    assert step.facts == [] and step.effects == []
    assert (rig.engine.portfolio.cash_usd, rig.engine.portfolio.position("BTC")) == (cash, position)


def test_funding_is_booked_once() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    cash = rig.engine.portfolio.cash_usd
    assert cash is not None
    paid = FundingPaid("BTC", rig.now_ms, Decimal(1), Decimal("0.0001"), Decimal("-0.25"))
    assert rig.take(paid).facts and not rig.take(paid).facts
    assert rig.engine.portfolio.cash_usd == cash - Decimal("0.25")


def test_a_liquidation_ends_the_position_and_its_orders() -> None:
    rig = rig_of()
    protection = submitted(rig.open_position("BTC"))
    held = rig.engine.portfolio.position("BTC").size
    fill = Fill("BTC", Side.SELL, Decimal(50), held, rig.now_ms, 99, 99, None, Decimal(0), held)
    fill = replace(fill, cause=FillCause.LIQUIDATION)
    step = rig.take(FillArrived(fill))
    assert rig.engine.portfolio.position("BTC").is_flat
    assert {effect.cloid for effect in effects_of(CancelOrder, step)} == {request.cloid for request in protection}
    assert [fact.trade.exit_reason for fact in facts_of(TradeClosed, step)] == ["liquidation"]


def test_a_restart_finds_its_position_its_exits_and_its_orders_again() -> None:
    before = rig_of()
    protection = submitted(before.open_position("BTC"))
    (entry,) = [
        fact.intent for fact in facts_of(IntentRecorded, *before.steps) if fact.intent.key.action is Action.OPEN
    ]
    intents = {fact.intent.intent_id: fact for fact in facts_of(IntentRecorded, *before.steps)}
    state = LedgerState(
        instance_tag=b"ab",
        intent_ids=frozenset(intents),
        trade_ids=frozenset(fact.fill.trade_id for fact in facts_of(FillRecorded, *before.steps)),
        live_orders=tuple(
            (intents[request.intent_id].intent, intents[request.intent_id].order) for request in protection
        ),
        positions=(before.engine.portfolio.position("BTC"),),
        opening_intents=(entry,),
        exit_states=tuple(before.engine.exits.states.values()),
        cash_usd=before.engine.portfolio.cash_usd,
    )
    held = before.engine.portfolio.position("BTC").size
    after = EngineRig(universe_of("BTC"), state=state, start_ms=candle(1), positions=(("BTC", held),))
    assert submitted(*after.steps) == [], "what rests is enough"
    (out,) = submitted(after.quote(97.0))
    assert out.reduce_only and out.size == held
    step = after.fill(out)
    assert {effect.cloid for effect in effects_of(CancelOrder, step)} == {request.cloid for request in protection}
    (closed,) = facts_of(TradeClosed, step)
    assert closed.trade.intent_id == entry.intent_id and '"buy_high"' in closed.meta


def test_a_position_in_a_symbol_that_is_not_watched_stops_entries_and_nothing_else() -> None:
    size, cost = Decimal(100), Decimal(10)
    held = Position("DOGE", size, cost / size, peak_size=size, opened_size=size, opened_notional=cost)
    state = LedgerState(instance_tag=b"ab", positions=(held,))
    rig = EngineRig(universe_of("BTC"), state=state, positions=(("DOGE", Decimal(100)),))
    assert "position_unwatched" in [alert.code for alert in effects_of(Alert, *rig.steps)]
    rig.strategy.script[("BTC", candle(0))] = BUY
    rig.close_candle(candle(0))
    assert refusal_of(rig, "BTC") == "sizing"
    fill = Fill("DOGE", Side.SELL, Decimal("0.2"), Decimal(100), rig.now_ms, 5, 5, None, Decimal(0), Decimal(100))
    rig.take(FillArrived(fill))
    rig.strategy.script[("BTC", candle(1))] = BUY
    rig.close_candle(candle(1))
    assert verdict_of(rig, "BTC") is Verdict.OPEN


# ── start, config, account ───────────────────────────────────────────────────────────────────


def test_a_start_asks_for_every_symbols_history() -> None:
    rig = rig_of("BTC", "ETH")
    wanted = effects_of(FetchCandles, rig.steps[0])
    assert [each.symbol for each in wanted] == ["BTC", "ETH"]
    assert all(START_MS - each.start_ms >= (WARMUP_CANDLES + 1) * MINUTE_MS for each in wanted)
    assert [fact.problems for fact in facts_of(ConfigTaken, rig.steps[0])] == [()]


def test_a_restart_asks_from_the_anchor() -> None:
    anchor_ms = START_MS - 5_000 * MINUTE_MS
    state = LedgerState(instance_tag=b"ab", anchors=(("BTC", Interval.M1, anchor_ms), ("BTC", Interval.H1, 7)))
    rig = EngineRig(universe_of("BTC"), state=state)
    assert [each.start_ms for each in effects_of(FetchCandles, rig.steps[0])] == [anchor_ms]


def test_the_venues_word_on_cash_is_kept_when_it_is_news() -> None:
    rig = rig_of()
    step = rig.take(AccountSnapshot(Decimal(9_000), (), rig.now_ms, fills_since_ms=0))
    assert facts_of(CashSet, step) == [CashSet(Decimal(9_000), rig.now_ms)]
    assert rig.take(AccountSnapshot(Decimal(9_000), (), rig.now_ms, fills_since_ms=0)).facts == []
    look = rig.take(AccountSnapshot(Decimal(8_000), (), rig.now_ms))
    assert facts_of(CashSet, look) == [], "a payment that was not told yet would be counted twice"


def reload(rig: EngineRig, content: str, seen_ms: int) -> list[Any]:
    """Show a new text and again once it has settled."""
    rig.take(overrides_text(content, seen_ms))
    return [rig.take(overrides_text(content, seen_ms + 1_000))]


def test_a_new_config_counts_from_the_next_decision_on_and_is_stamped() -> None:
    rig = rig_of()
    rig.close_candle(candle(0))
    old = rig.decisions()[-1].config_digest
    (step,) = reload(rig, trade_config(entry_min_confidence="high"), 10_000)
    (taken,) = facts_of(ConfigTaken, step)
    assert taken.problems == () and taken.digest == rig.engine.book.digest != old
    assert rig.decisions()[-1].config_digest == old
    rig.strategy.script[("BTC", candle(1))] = Opinion(Signal.BUY, Confidence.LOW)
    rig.close_candle(candle(1))
    assert refusal_of(rig, "BTC") == "confidence" and rig.decisions()[-1].config_digest == taken.digest


def test_a_broken_config_keeps_the_last_good_one_and_says_so() -> None:
    rig = rig_of()
    digest = rig.engine.book.digest
    (step,) = reload(rig, "global: {trade: {leverage_low: 99}}\n", 10_000)
    (taken,) = facts_of(ConfigTaken, step)
    assert taken.digest == digest and len(taken.problems) == 1
    assert [alert.code for alert in effects_of(Alert, step)] == ["config_refused"]
    rig.strategy.script[("BTC", candle(0))] = Opinion(Signal.BUY, Confidence.LOW)
    rig.close_candle(candle(0))
    assert verdict_of(rig, "BTC") is Verdict.OPEN and rig.decisions()[-1].config_digest == digest


def test_a_config_that_moves_indicators_rebuilds_their_symbols_and_decides_nothing_twice() -> None:
    rig = rig_of("BTC", "ETH")
    rig.close_candle(candle(0))
    rig.strategy.restart_on_configure = ("ETH",)
    rig.strategy.script[("ETH", candle(0))] = BUY
    (step,) = reload(rig, trade_config(entry_min_confidence="medium"), 10_000)
    assert [each.symbol for each in effects_of(FetchCandles, step)] == ["ETH"]
    history = window_of("ETH", candle(0), [100.0] * (WARMUP_CANDLES + 2))
    assert submitted(rig.take(HistoryLoaded("ETH", Interval.M1, history, "history"))) == []
    rig.close_candle(candle(1))
    assert rig.strategy.analysed.count(("ETH", candle(0))) == 1
    assert rig.strategy.analysed[-2:] == [("BTC", candle(1)), ("ETH", candle(1))]


def test_an_open_is_not_reopened_the_other_way_by_a_reload() -> None:
    rig = rig_of()
    rig.strategy.script[("BTC", candle(0))] = BUY
    (entry,) = submitted(rig.close_candle(candle(0)))
    rig.take(OrderOutcome(entry.cloid, Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no")))
    reload(rig, trade_config(reverse_entry_signal="true"), 10_000)
    rig.take(updates_of(candle(0), {0: flat_bar(100.0)}, rig.now_ms))
    rig.take(TimerFired())
    assert len(submitted(*rig.steps)) == 1


# ── strategies that run elsewhere ────────────────────────────────────────────────────────────


def answer_of(job: StrategyJob, opinion: Opinion) -> Analyses:
    return analyses_of(job.batch.ids, [opinion] * len(job.batch), job.batch.close.tolist())


def test_a_job_is_decided_on_when_its_answer_comes() -> None:
    rig = EngineRig(universe_of("BTC"), JobStrategy("BTC"))
    step = rig.close_candle(candle(0))
    job = job_in(step)
    assert facts_of(DecisionsRecorded, step) == []
    step = rig.take(StrategyAnswered(job.job_no, answer_of(job, BUY)))
    assert len(submitted(step)) == 1
    assert rig.take(StrategyAnswered(job.job_no, answer_of(job, BUY))).facts == [], "an answer counts once"


def test_an_answer_after_the_deadline_opens_nothing() -> None:
    rig = EngineRig(universe_of("BTC"), JobStrategy("BTC"))
    job = job_in(rig.close_candle(candle(0)))
    rig.quote(100.0, at_ms=candle(1) + 7_000)
    assert submitted(rig.take(StrategyAnswered(job.job_no, answer_of(job, BUY)))) == []
    assert refusal_of(rig, "BTC") == "stale_signal"


@pytest.mark.parametrize("fault", ["raised", "other symbols", "nonsense"])
def test_a_failed_answer_decides_nothing_and_exits_are_still_looked_at(fault: str) -> None:
    rig = EngineRig(universe_of("BTC", "ETH"), JobStrategy("BTC", "ETH"))
    job = job_in(rig.close_candle(candle(0)))
    entry = analyses_of(job.batch.ids, [BUY, NEUTRAL], job.batch.close.tolist())
    rig.fill(submitted(rig.take(StrategyAnswered(job.job_no, entry)))[0])
    bars = {0: flat_bar(95.0), 1: flat_bar(100.0)}
    for number in (1, 2):
        rig.take(updates_of(candle(number), bars, candle(number) + 1), candle(number) + 30_000)
        job = job_in(rig.take(TimerFired(), candle(number + 1) + 1_000))
    answer: Analyses | None = None
    if fault == "other symbols":
        answer = analyses_of(np.array([1, 0], dtype=np.intp), [BUY, BUY], [100.0, 100.0])
    elif fault == "nonsense":
        answer = analyses_of(job.batch.ids, [BUY, BUY], [100.0, 100.0])
        answer.features[0, 0] = np.inf
    step = rig.take(StrategyAnswered(job.job_no, answer, "" if answer else "it raised ValueError"))
    assert [alert.code for alert in effects_of(Alert, step)] == ["strategy_failed"]
    assert facts_of(DecisionsRecorded, step) == []
    assert [request.symbol for request in closing(rig, step)] == ["BTC"]


# ── one event after another ──────────────────────────────────────────────────────────────────


def test_a_session_recovers_once() -> None:
    rig = rig_of()
    with pytest.raises(AssertionError, match="recovers once"):
        rig.take(Recovered(LedgerState(instance_tag=b"ab"), ""))


def test_who_is_warm_is_analysed_and_nobody_enters_while_most_are_still_cold() -> None:
    symbols = ("BTC", "ETH", "SOL", "XRP")
    universe = universe_of(*symbols)
    strategy = ScriptedStrategy(universe, dict.fromkeys(((symbol, candle(-1)) for symbol in symbols), BUY))
    settings = EngineSettings("account", Interval.M1, candle_close_grace_ms=1_000)
    engine = UnifiedEngine(settings, universe, strategy, manager_of())
    now = START_MS + 1_500
    engine.handle(1, now, Recovered(LedgerState(instance_tag=b"ab"), ""))
    engine.handle(2, now, AccountSnapshot(Decimal(10_000), (), now))
    engine.handle(3, now, quotes_of(now, dict.fromkeys(range(4), (100.0, 100.0))))
    refused = []
    for seq, symbol in enumerate(symbols, 4):
        window = window_of(symbol, candle(-1), [100.0] * (WARMUP_CANDLES + 1))
        step = engine.handle(seq, now, HistoryLoaded(symbol, Interval.M1, window, "history"))
        (record,) = facts_of(DecisionsRecorded, step)
        refusal = first_refusal(record.entry_gates[0])
        refused.append(None if refusal is None else refusal.name)
    assert strategy.analysed == [(symbol, candle(-1)) for symbol in symbols]
    assert refused[0] == "entries_held" and refused[1] is None


def test_the_same_events_give_the_same_facts() -> None:
    def run() -> list[str]:
        rig = rig_of("BTC", "ETH")
        rig.open_position("ETH")
        rig.quote(103.0)
        rig.strategy.script[("ETH", candle(1))] = SELL
        rig.fill(submitted(rig.close_candle(candle(1)))[0])
        return [repr(step) for step in rig.steps]

    assert run() == run()
