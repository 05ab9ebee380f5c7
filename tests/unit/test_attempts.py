"""Attempts: what will be signed is written with them, and another one follows a proven rejection only."""

from __future__ import annotations

import pytest

from application.live_oms import ATTEMPT_PAUSE_MS, EXPIRES_AFTER_MS, LiveOms
from application.step import Step
from domain.candles import Interval
from domain.effects import LookForOrder, SubmitOrder
from domain.events import OrderOutcome
from domain.facts import IntentRecorded, LedgerState, OrderChanged
from domain.intents import Action, OrderIntent, OrderRequest, Payload, cloid_of
from domain.orders import OrderStatus, Rejected, RejectReason, Unknown
from tests.builders import T0, TAG, make_wish
from tests.unit.test_live_oms import Bench, cloid


class PlainEncoder:
    def payload(self, request: OrderRequest, nonce: int, expires_ms: int) -> Payload:
        return Payload(nonce, expires_ms, "{}", f"{request.cloid}:{nonce}:{expires_ms}")


def sealing(state: LedgerState | None = None) -> Bench:
    bench = Bench(state)
    bench.oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, bench.portfolio, PlainEncoder())
    bench.oms.restore(state or LedgerState(TAG))
    return bench


def payload_of(step: Step) -> Payload:
    (submit,) = (effect for effect in step.effects if isinstance(effect, SubmitOrder))
    assert submit.request.payload is not None
    return submit.request.payload


def test_what_will_be_signed_is_decided_with_the_attempt_and_written_with_it() -> None:
    bench = sealing()
    bench.place()
    payload = payload_of(bench.step)
    (recorded,) = (fact for fact in bench.step.facts if isinstance(fact, IntentRecorded))
    assert recorded.order.request.payload == payload
    assert payload.nonce % 2 == 0 and 0 <= payload.nonce - bench.step.at_ms <= 1
    assert payload.expires_ms == bench.step.at_ms + EXPIRES_AFTER_MS


def test_an_entry_expires_no_later_than_its_deadline() -> None:
    bench = sealing()
    step = bench.next()
    bench.oms.place(step, make_wish(Action.OPEN, deadline_ms=step.at_ms + 2_000))
    assert payload_of(step).expires_ms == step.at_ms + 2_000


def test_nonces_only_grow_whatever_the_clock_does_and_over_restarts() -> None:
    bench = sealing(LedgerState(TAG, last_nonce=T0 + 50_000))
    nonces = []
    for number in range(3):
        bench.place(Action.CLOSE, open_ms=T0 + number)
        nonces.append(payload_of(bench.step).nonce)
    assert nonces == [T0 + 50_002, T0 + 50_004, T0 + 50_006]


NO_MATCH = Rejected(RejectReason.NO_IMMEDIATE_MATCH, "Order could not immediately match")


def refused_entry(bench: Bench, outcome: Rejected = NO_MATCH, wait_ms: int = 30_000) -> OrderIntent:
    step = bench.next()
    intent = bench.oms.place(step, make_wish(Action.OPEN, deadline_ms=step.at_ms + wait_ms))
    assert intent is not None
    bench.oms.on_outcome(bench.next(), OrderOutcome(cloid(intent), outcome))
    return intent


def later(bench: Bench, ms: int) -> Step:
    bench.step = Step(bench.step.seq + 1, bench.step.at_ms + ms)
    return bench.step


def test_an_entry_that_found_nobody_is_tried_again_on_its_own_terms() -> None:
    bench = sealing()
    intent = refused_entry(bench)
    (rejected,) = bench.oms.waiting_for_another_attempt()
    first_nonce = rejected.order.request.payload
    assert not bench.oms.try_again(later(bench, ATTEMPT_PAUSE_MS - 10), rejected), "not at once"
    step = later(bench, 20)
    assert bench.oms.try_again(step, rejected)
    (fact,) = (fact for fact in step.facts if isinstance(fact, OrderChanged))
    request = fact.order.request
    assert (fact.order.attempt, request.cloid) == (2, cloid_of(intent.intent_id, 2, TAG))
    assert (request.limit_price, request.size) == (intent.limit_price, intent.size)
    assert first_nonce is not None and payload_of(step).nonce > first_nonce.nonce
    assert bench.oms.waiting_for_another_attempt() == []


def test_there_are_three_attempts_at_most() -> None:
    bench = sealing()
    intent = refused_entry(bench)
    for attempt in (2, 3):
        (rejected,) = bench.oms.waiting_for_another_attempt()
        assert bench.oms.try_again(later(bench, ATTEMPT_PAUSE_MS), rejected)
        bench.oms.on_outcome(bench.next(), OrderOutcome(cloid_of(intent.intent_id, attempt, TAG), NO_MATCH))
    assert bench.oms.waiting_for_another_attempt() == []


def test_after_its_deadline_nothing_is_tried_again() -> None:
    bench = sealing()
    refused_entry(bench, wait_ms=5_000)
    (rejected,) = bench.oms.waiting_for_another_attempt()
    assert not bench.oms.try_again(later(bench, 6_000), rejected)
    assert bench.oms.waiting_for_another_attempt() == []


@pytest.mark.parametrize("reason", [reason for reason in RejectReason if not reason.allows_another_attempt])
def test_most_refusals_are_final(reason: RejectReason) -> None:
    bench = sealing()
    refused_entry(bench, Rejected(reason, "no"))
    assert bench.oms.waiting_for_another_attempt() == []


def test_nothing_is_tried_again_while_an_order_of_the_symbol_is_unknown_or_under_way() -> None:
    bench = sealing()
    refused_entry(bench)
    (rejected,) = bench.oms.waiting_for_another_attempt()
    other = bench.place(Action.CLOSE, open_ms=T0 + 60_000)
    bench.oms.on_outcome(bench.next(), OrderOutcome(cloid(other), Unknown("no answer")))
    assert not bench.oms.try_again(later(bench, ATTEMPT_PAUSE_MS), rejected)


def test_what_was_on_its_way_when_a_session_ended_is_unknown_in_the_next() -> None:
    before = sealing()
    intent = before.place()
    (live,) = before.oms.all_live_orders()
    after = sealing(LedgerState(TAG, frozenset((intent.intent_id,)), live_orders=((intent, live.order),)))
    after.oms.recover(after.next())
    assert [live.order.status for live in after.oms.all_live_orders()] == [OrderStatus.UNKNOWN]
    assert after.oms.has_unknown("BTC")
    after.oms.on_timer(later(after, 1_000))
    assert [type(effect) for effect in after.step.effects] == [LookForOrder]
