"""What operators ask of a running engine: shut, pause, close, cancel, adopt; each with an answer and a row."""

from dataclasses import replace
from decimal import Decimal

import pytest

from application.flattening import FOREIGN, MOST_ATTEMPTS
from application.step import Step
from domain.effects import Alert, AnswerOperator, CancelForeign, CancelOrder, SubmitOrder
from domain.events import AccountSnapshot, OperatorSpoke, OrderCanceled, OrderOutcome, RestingOrder, TimerFired
from domain.facts import LedgerState, OperatorActed, RiskChanged
from domain.intents import Action, OrderRequest, Side
from domain.operator import OperatorVerb
from domain.orders import Accepted, Rejected, RejectReason, Unknown
from domain.positions import opened_with
from domain.risk import Latch, RiskState
from tests.engine_builders import (
    BUY,
    MINUTE_MS,
    START_MS,
    EngineRig,
    effects_of,
    facts_of,
    overrides_text,
    submitted,
    universe_of,
)

D = Decimal
V = OperatorVerb


def rig_of(*symbols: str, **changes: object) -> EngineRig:
    return EngineRig(universe_of(*(symbols or ("BTC", "ETH"))), **changes)  # type: ignore[arg-type]


def say(rig: EngineRig, verb: OperatorVerb, symbol: str | None = None, reason: str = "") -> Step:
    return rig.take(OperatorSpoke(f"r{len(rig.steps)}", verb, symbol, "cli", reason))


def answer(step: Step) -> AnswerOperator:
    (found,) = effects_of(AnswerOperator, step)
    (acted,) = facts_of(OperatorActed, step)
    assert (acted.answer, acted.is_done, acted.request_id) == (found.text, found.is_done, found.request_id)
    return found


def wait(rig: EngineRig, seconds: float = 1.0) -> Step:
    rig.now_ms += round(seconds * 1000)
    return rig.take(TimerFired())


def closes(*steps: Step) -> list[OrderRequest]:
    return [each for each in submitted(*steps) if each.reduce_only and each.trigger is None]


def reject(rig: EngineRig, request: OrderRequest, reason: RejectReason) -> Step:
    return rig.take(OrderOutcome(request.cloid, Rejected(reason, reason.value)))


def codes(*steps: Step) -> list[str]:
    return [alert.code for alert in effects_of(Alert, *steps)]


# ── shutting and opening ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("verb", "gate"), [(V.PAUSE, "paused"), (V.KILL_SOFT, "kill_latch"), (V.KILL_HARD, "kill_latch")]
)
def test_what_is_shut_lets_no_entry_through_and_says_so(verb: OperatorVerb, gate: str) -> None:
    rig = rig_of()
    assert answer(say(rig, verb, reason="lunch")).is_done
    rig.strategy.script["BTC", START_MS] = BUY
    assert submitted(rig.close_candle(START_MS)) == []
    (refused,) = list(rig.decisions()[-1].entry_gates.values())
    assert [each.name for each in refused if not each.passed] == [gate]


def test_resume_ends_a_pause_and_names_what_still_holds() -> None:
    rig = rig_of()
    say(rig, V.PAUSE)
    say(rig, V.KILL_SOFT, reason="news")
    assert "the kill latch is close_only: cli: news" in answer(say(rig, V.RESUME)).text
    say(rig, V.KILL_CLEAR)
    assert answer(say(rig, V.RESUME)).text == "entries may go on"


def test_a_latch_tightens_by_itself_and_opens_by_a_word_alone() -> None:
    rig = rig_of()
    say(rig, V.KILL_HARD)
    assert "halt already" in answer(say(rig, V.KILL_SOFT)).text
    assert rig.engine.guard.state.latch is Latch.HALT
    step = say(rig, V.KILL_CLEAR)
    assert "it was halt: cli" in answer(step).text
    assert facts_of(RiskChanged, step)[-1].state.latch is Latch.OPEN
    assert answer(say(rig, V.KILL_CLEAR)).text == "the kill latch was open"


def test_shutting_twice_is_shutting_once() -> None:
    rig = rig_of()
    say(rig, V.KILL_SOFT, reason="first")
    assert facts_of(RiskChanged, say(rig, V.KILL_SOFT, reason="second")) == []
    assert rig.engine.guard.state.latch_why == "cli: first"


def test_exits_and_stops_go_on_while_the_latch_is_close_only() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    say(rig, V.KILL_SOFT)
    (close,) = closes(rig.quote(80.0, "BTC", at_ms=rig.now_ms + 1_000))
    assert close.side is Side.SELL


# ── closing ──────────────────────────────────────────────────────────────────────────────────────


def test_halt_closes_what_is_ours_and_keeps_its_stop_until_it_is_flat() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    stops = [live for live in rig.engine.oms.live_orders("BTC") if live.intent.key.action is Action.STOP]
    step = say(rig, V.KILL_HARD)
    (close,) = closes(step)
    assert (close.symbol, close.side, close.limit_price) == ("BTC", Side.SELL, D(99))
    assert close.size == rig.engine.portfolio.positions["BTC"].size
    assert stops and effects_of(CancelOrder, step) == []
    filled = rig.fill(close)
    assert {each.cloid for each in effects_of(CancelOrder, filled)} >= {live.order.request.cloid for live in stops}
    assert codes(wait(rig)) == ["flattened"]
    assert rig.engine.guard.state.leaving == ()


def test_each_refusal_goes_further_from_the_price_and_the_last_leaves_a_residual() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    (close,) = closes(say(rig, V.FORCE_EXIT, "BTC"))
    limits, steps = [close.limit_price], []
    for _ in range(MOST_ATTEMPTS - 1):
        reject(rig, close, RejectReason.NO_IMMEDIATE_MATCH)
        (close,) = closes(wait(rig))
        limits.append(close.limit_price)
    steps.append(reject(rig, close, RejectReason.NO_IMMEDIATE_MATCH))
    assert limits == [D(99), D(97), D(95), D(90), D(90), D(90), D(90), D(90)]
    assert codes(*steps) == ["flatten_residual"]
    ((symbol, why),) = rig.engine.guard.state.residuals
    assert symbol == "BTC" and "refused 8 orders: no_immediate_match" in why
    assert closes(wait(rig, 60)) == []
    assert closes(say(rig, V.FORCE_EXIT, "BTC")), "asked again it begins anew"
    assert rig.engine.guard.state.residuals == ()


def test_what_did_not_leave_uses_up_no_attempt_and_is_told_once() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    (close,) = closes(say(rig, V.FLATTEN))
    told = []
    for _ in range(60):
        told += codes(reject(rig, close, RejectReason.NOT_SENT))
        (close,) = closes(wait(rig))
        assert close.limit_price == D(99)
    assert told == ["flatten_waits"]


def test_an_order_of_unknown_fate_holds_the_next_one_back_until_it_cannot_take_effect() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    (close,) = closes(say(rig, V.FORCE_EXIT, "BTC"))
    rig.take(OrderOutcome(close.cloid, Unknown("timed out")))
    assert closes(*(wait(rig) for _ in range(11))) == []
    assert len(closes(wait(rig), wait(rig))) == 1


def test_a_part_that_has_filled_leaves_the_rest_to_the_next_order() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    size = rig.engine.portfolio.positions["BTC"].size
    (close,) = closes(say(rig, V.FORCE_EXIT, "BTC"))
    rig.fill(close, size=str(size / 2))
    rig.take(OrderCanceled(close.cloid, "iocCancel"))
    (rest,) = closes(wait(rig))
    assert rest.size == size / 2


def test_a_residue_too_small_for_the_venue_is_named_and_left() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    (close,) = closes(say(rig, V.FORCE_EXIT, "BTC"))
    step = reject(rig, close, RejectReason.MIN_NOTIONAL)
    assert "too small" in rig.engine.guard.state.residuals[0][1]
    assert codes(step) == ["flatten_residual"]


def test_an_entry_that_fills_after_the_halt_is_closed_too() -> None:
    rig = rig_of()
    rig.strategy.script["BTC", START_MS] = BUY
    (entry,) = submitted(rig.close_candle(START_MS))
    assert closes(say(rig, V.KILL_HARD)) == []
    rig.fill(entry)
    (close,) = closes(wait(rig))
    assert close.size == entry.size


def test_an_order_that_rests_is_cancelled_before_its_symbol_counts_as_flat() -> None:
    rig = rig_of()
    rig.strategy.script["BTC", START_MS] = BUY
    (entry,) = submitted(rig.close_candle(START_MS))
    rig.take(OrderOutcome(entry.cloid, Accepted(7)))
    step = say(rig, V.KILL_HARD)
    assert entry.cloid in {each.cloid for each in effects_of(CancelOrder, step)}
    assert rig.engine.guard.state.leaving == (("BTC", "kill hard, cli"),)
    rig.take(OrderCanceled(entry.cloid, "canceled"))
    wait(rig)
    assert not rig.engine.guard.state.leaving


def test_closing_goes_on_after_a_restart() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    held = rig.engine.portfolio.positions["BTC"]
    say(rig, V.KILL_HARD)
    state = LedgerState(b"ab", positions=(held,), risk=rig.engine.guard.state)
    again = rig_of(state=state, positions=(("BTC", held.size),), start_ms=START_MS + 10 * MINUTE_MS)
    assert again.engine.guard.state.latch is Latch.HALT
    assert [each.size for each in closes(wait(again))] == [held.size]


def test_flatten_holds_entries_until_resume_and_force_exit_does_not() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    say(rig, V.FLATTEN, "BTC")
    assert dict(rig.engine.guard.state.cooldowns)["BTC"] > rig.now_ms + 10**12
    assert rig.engine.guard.state.paused == ""
    say(rig, V.FLATTEN)
    assert rig.engine.guard.state.paused == "flattened, cli"
    say(rig, V.RESUME)
    assert (rig.engine.guard.state.cooldowns, rig.engine.guard.state.paused) == ((), "")
    say(rig, V.FORCE_EXIT, "BTC")
    assert (rig.engine.guard.state.cooldowns, rig.engine.guard.state.paused) == ((), "")


def test_a_symbol_that_is_not_held_is_refused_with_what_is() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    refused = answer(say(rig, V.FORCE_EXIT, "btc"))
    assert (refused.is_done, refused.text) == (False, "no position in btc; held: BTC")


# ── what is not ours ─────────────────────────────────────────────────────────────────────────────


def with_stranger() -> EngineRig:
    state = LedgerState(b"ab", positions=(opened_with("ETH", D(3), D(100), START_MS),), cash_usd=D(10_000))
    return rig_of(state=state, positions=(("ETH", D(3)),))


def test_what_its_owner_opened_is_left_alone_and_listed_unless_it_is_named() -> None:
    rig = with_stranger()
    step = say(rig, V.KILL_HARD)
    assert closes(step) == []
    assert f"not closed: ETH ({FOREIGN})" in answer(step).text
    assert rig.engine.guard.state.residuals == (("ETH", FOREIGN),)
    assert [each.size for each in closes(say(rig, V.FLATTEN, "ETH"))] == [D(3)]


def test_a_position_is_adopted_when_asked_and_has_a_stop_from_then_on() -> None:
    rig = with_stranger()
    assert submitted(rig.quote(100.5, "ETH", at_ms=rig.now_ms + 1_000)) == []
    assert answer(say(rig, V.ADOPT)).text.startswith("adopted ETH")
    sent = submitted(rig.quote(101.0, "ETH", at_ms=rig.now_ms + 1_000))
    assert all(each.reduce_only and each.trigger for each in sent)
    assert max(each.size for each in sent) == D(3), "the stop is for all of it"
    assert rig.engine.exits.states["ETH"].adopted
    assert answer(say(rig, V.ADOPT, "ETH")).text == "every position is in our care already"


# ── orders ───────────────────────────────────────────────────────────────────────────────────────


def test_cancel_orders_leaves_the_stop() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    by_action = {live.intent.key.action: live.order.request.cloid for live in rig.engine.oms.live_orders("BTC")}
    step = say(rig, V.CANCEL_ORDERS)
    assert [each.cloid for each in effects_of(CancelOrder, step)] == [by_action[Action.TAKE_PROFIT]]
    assert answer(step).text == "1 orders are asked to end; stops stay"


def resting(count: int) -> tuple[RestingOrder, ...]:
    return tuple(RestingOrder("ETH", oid, None, oid, Side.BUY, D(1), None, oid > 1_900) for oid in range(1, count + 1))


def test_strangers_orders_make_room_when_there_are_too_many_to_close_anything() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    say(rig, V.KILL_HARD)
    snapshot = AccountSnapshot(D(10_000), (), rig.now_ms, resting=resting(2_000))
    step = rig.take(replace(snapshot, positions=(("BTC", rig.engine.portfolio.positions["BTC"].size),)))
    ended = effects_of(CancelForeign, step)
    assert [each.oid for each in ended] == list(range(1, 1_101)), "the oldest, and what only reduces last"
    assert "room_made" in codes(step)


def test_strangers_orders_are_left_alone_while_nothing_is_being_closed() -> None:
    rig = rig_of()
    step = rig.take(AccountSnapshot(D(10_000), (), rig.now_ms, resting=resting(2_000)))
    assert effects_of(CancelForeign, step) == []


def test_a_refusal_for_too_many_orders_makes_room_whatever_was_counted() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    (close,) = closes(say(rig, V.KILL_HARD))
    reject(rig, close, RejectReason.TOO_MANY_ORDERS)
    held = (("BTC", rig.engine.portfolio.positions["BTC"].size),)
    step = rig.take(AccountSnapshot(D(10_000), held, rig.now_ms, resting=resting(300)))
    assert len(effects_of(CancelForeign, step)) == 100


def test_a_refused_entry_cools_its_symbol_down() -> None:
    rig = rig_of(config="global: {trade: {entry_min_confidence: low}, risk: {reject_cooldown_s: 61}}\n")
    rig.strategy.script["BTC", START_MS] = rig.strategy.script["BTC", START_MS + MINUTE_MS] = BUY
    (entry,) = submitted(rig.close_candle(START_MS))
    reject(rig, entry, RejectReason.INSUFFICIENT_MARGIN)
    assert rig.engine.guard.state.cooldowns == (("BTC", rig.now_ms + 61_000),)
    assert submitted(rig.close_candle(START_MS + MINUTE_MS)) == []


def test_what_is_tried_again_is_within_the_limits_of_that_moment() -> None:
    rig = rig_of()
    rig.strategy.script["BTC", START_MS] = BUY
    (entry,) = submitted(rig.close_candle(START_MS))
    reject(rig, entry, RejectReason.NO_IMMEDIATE_MATCH)
    rig.engine.guard._become(Step(0, rig.now_ms), RiskState(latch=Latch.CLOSE_ONLY, latch_why="test"))
    assert [each for each in submitted(rig.quote(100.0, at_ms=rig.now_ms + 2_000)) if not each.reduce_only] == []
    rig.engine.guard.open(Step(0, rig.now_ms), None)
    sent = [each for each in submitted(rig.quote(99.9, at_ms=rig.now_ms + 100)) if not each.reduce_only]
    assert len(sent) == 1, "and leaves once there is room"


def test_what_is_tried_again_keeps_to_a_cap_that_has_become_tighter() -> None:
    rig = rig_of()
    rig.strategy.script["BTC", START_MS] = BUY
    (entry,) = submitted(rig.close_candle(START_MS))
    reject(rig, entry, RejectReason.NO_IMMEDIATE_MATCH)
    tighter = "global: {trade: {entry_min_confidence: low}, risk: {max_total_notional_usd: 100}}\n"
    for seen_ms in (1, 2_000):
        rig.take(overrides_text(tighter, seen_ms))
    assert submitted(rig.quote(99.9, at_ms=rig.now_ms + 2_000)) == []


def test_nothing_of_this_is_an_effect_without_a_row() -> None:
    """Each verb, on an engine with and without positions, is answered once."""
    for opens in (False, True):
        for verb in OperatorVerb:
            rig = rig_of()
            if opens:
                rig.open_position("BTC")
            step = say(rig, verb)
            assert answer(step).text
            assert not any(isinstance(each, SubmitOrder) and not each.request.reduce_only for each in step.effects)
