"""LiveOms: each decision once, each fill once, and what is known of every order."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from application.fill_desk import BookedFill
from application.live_oms import LiveOms
from application.order_shelf import LiveOrder
from application.portfolio import Portfolio
from application.step import Step
from domain.candles import Interval
from domain.effects import Alert, CancelOrder, SubmitOrder
from domain.events import FillArrived, FundingPaid, OrderCanceled, OrderOutcome
from domain.facts import (
    BookedBefore,
    FillRecorded,
    FundingRecorded,
    IntentRecorded,
    LedgerState,
    OrderChanged,
    PositionChanged,
    TradeClosed,
)
from domain.fills import FillCause, MatchedVia
from domain.intents import (
    Action,
    OrderIntent,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
    cloid_of,
)
from domain.orders import (
    ENDED_ORDERS_KEPT,
    Accepted,
    OrderStatus,
    Rejected,
    RejectReason,
    SubmitOutcome,
    Unknown,
    Would,
)
from domain.positions import Position
from tests.builders import T0, TAG, make_fill, make_wish

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
REJECTED = Rejected(RejectReason.INSUFFICIENT_MARGIN, "Insufficient margin")


class Bench:
    """An OMS with its portfolio, and a step for each thing that happens."""

    def __init__(self, state: LedgerState | None = None) -> None:
        self.portfolio = Portfolio()
        self.oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, self.portfolio)
        state = state or LedgerState(TAG)
        self.portfolio.restore(state)
        self.oms.restore(state)
        self.step = Step(0, T0)

    def next(self) -> Step:
        self.step = Step(self.step.seq + 1, self.step.at_ms + 1)
        return self.step

    def place(self, action: Action = Action.OPEN, **changes: Any) -> OrderIntent:
        intent = self.oms.place(self.next(), make_wish(action, **changes))
        assert intent is not None
        return intent

    def hear(self, intent: OrderIntent, outcome: SubmitOutcome) -> LiveOrder | None:
        return self.oms.on_outcome(self.next(), OrderOutcome(cloid(intent), outcome))

    def cancel(self, intent: OrderIntent) -> LiveOrder | None:
        return self.oms.on_canceled(self.next(), OrderCanceled(cloid(intent), "canceled"))

    def fill(self, side: Side, size: str, price: str = "100", **more: Any) -> BookedFill | None:
        return self.oms.on_fill(self.next(), FillArrived(make_fill(side, size, price, time_ms=self.step.at_ms, **more)))

    def status(self, intent: OrderIntent) -> OrderStatus | None:
        """Of the live order behind an intent; None when there is none."""
        found = [live for live in self.oms.all_live_orders() if live.intent.intent_id == intent.intent_id]
        return found[0].order.status if found else None

    def facts(self, kind: type) -> list[object]:
        return [fact for fact in self.step.facts if type(fact) is kind]

    def recorded(self) -> FillRecorded:
        (fact,) = self.facts(FillRecorded)
        assert isinstance(fact, FillRecorded)
        return fact

    def alerts(self) -> list[str]:
        return [effect.code for effect in self.step.effects if isinstance(effect, Alert)]


def cloid(intent: OrderIntent) -> str:
    return cloid_of(intent.intent_id, 1, TAG)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ── deciding ─────────────────────────────────────────────────────────────────────────────────────


def test_a_decision_is_a_fact_and_the_effect_that_sends_it_in_one_step(bench: Bench) -> None:
    intent = bench.place(size=D(2), side=SELL)
    recorded, submit = bench.step.facts[0], bench.step.effects[0]
    assert isinstance(recorded, IntentRecorded) and isinstance(submit, SubmitOrder)
    assert len(bench.step.facts) == len(bench.step.effects) == 1
    assert recorded.intent == intent and recorded.order.request == submit.request
    assert (submit.request.cloid, submit.request.size, submit.request.side) == (cloid(intent), D(2), SELL)
    assert (intent.decided_ms, intent.decided_seq) == (bench.step.at_ms, bench.step.seq)
    assert bench.status(intent) is OrderStatus.SENT


def test_an_entry_is_immediate_and_may_open_and_an_exit_only_reduces(bench: Bench) -> None:
    entry, exit_ = bench.place(Action.OPEN), bench.place(Action.CLOSE)
    stop = bench.place(Action.STOP, trigger=Trigger(TriggerKind.STOP_LOSS, D(95)))
    assert (entry.reduce_only, entry.time_in_force) == (False, TimeInForce.IOC)
    assert (exit_.reduce_only, exit_.time_in_force) == (True, TimeInForce.IOC)
    assert (stop.reduce_only, stop.time_in_force) == (True, TimeInForce.GTC)


@pytest.mark.parametrize("action", [Action.OPEN, Action.ADD])
def test_an_entry_is_decided_once_per_candle_whatever_its_side(bench: Bench, action: Action) -> None:
    bench.place(action)
    assert bench.oms.place(bench.next(), make_wish(action)) is None
    assert bench.oms.place(bench.step, make_wish(action, side=SELL, size=D(9))) is None
    assert (bench.step.facts, bench.step.effects) == ([], [])
    assert bench.oms.has_decided(action, "BTC", T0)


def test_another_candle_symbol_or_action_is_another_decision(bench: Bench) -> None:
    first = bench.place(Action.OPEN)
    others = [
        bench.place(Action.OPEN, open_ms=T0 + 60_000),
        bench.place(Action.OPEN, symbol="ETH"),
        bench.place(Action.ADD),
    ]
    assert len({intent.intent_id for intent in (first, *others)}) == 4


def test_a_rejected_entry_is_not_tried_again(bench: Bench) -> None:
    bench.hear(bench.place(), REJECTED)
    assert bench.oms.place(bench.next(), make_wish()) is None


def test_exits_of_one_candle_count_up(bench: Bench) -> None:
    ordinals = [bench.place(action).key.ordinal for action in (Action.CLOSE, Action.CLOSE, Action.REDUCE, Action.CLOSE)]
    assert ordinals == [0, 1, 0, 2]


def test_after_a_restart_an_entry_is_still_decided_and_exits_count_on() -> None:
    before = Bench()
    entry = before.place()
    exits = [before.place(Action.CLOSE) for _ in range(2)]
    after = Bench(LedgerState(TAG, intent_ids=frozenset(intent.intent_id for intent in (entry, *exits))))
    assert after.oms.has_decided(Action.OPEN, "BTC", T0)
    assert not after.oms.has_decided(Action.ADD, "BTC", T0)
    assert after.oms.place(after.next(), make_wish()) is None
    assert after.place(Action.CLOSE).key.ordinal == 2


def test_a_session_recovers_once(bench: Bench) -> None:
    bench.place()
    with pytest.raises(AssertionError):
        bench.oms.restore(LedgerState(TAG))


def test_a_cancel_is_asked_for_and_the_order_lives_until_the_venue_says_otherwise(bench: Bench) -> None:
    intent = bench.place()
    bench.oms.cancel(bench.next(), bench.oms.live_orders("BTC")[0])
    assert bench.step.effects == [CancelOrder("BTC", cloid(intent))]
    assert bench.status(intent) is OrderStatus.SENT


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_order_is_open_and_a_repeated_answer_says_nothing_new(bench: Bench) -> None:
    intent = bench.place()
    assert bench.hear(intent, Accepted(7)) is not None
    assert bench.status(intent) is OrderStatus.OPEN
    assert len(bench.facts(OrderChanged)) == 1
    assert bench.hear(intent, Accepted(7)) is None
    assert bench.step.facts == []


@pytest.mark.parametrize("outcome", [REJECTED, Would()], ids=["rejected", "would"])
def test_a_rejected_or_unsent_order_is_not_live(bench: Bench, outcome: SubmitOutcome) -> None:
    bench.hear(bench.place(), outcome)
    assert bench.oms.all_live_orders() == [] and bench.oms.live_orders("BTC") == []


def test_an_unknown_order_stays_alive_and_is_told_once(bench: Bench) -> None:
    intent = bench.place()
    bench.hear(intent, Unknown("timed out"))
    assert bench.oms.has_unknown("BTC") and not bench.oms.has_unknown("ETH")
    assert bench.alerts() == ["order_unknown"]
    bench.hear(intent, Unknown("timed out"))
    assert (bench.step.facts, bench.step.effects) == ([], [])
    bench.hear(intent, Accepted(7))
    assert not bench.oms.has_unknown("BTC")


def test_a_lost_answer_after_a_fill_alarms_nobody(bench: Bench) -> None:
    intent = bench.place()
    bench.fill(BUY, "1", cloid=cloid(intent))
    bench.hear(intent, Unknown("timed out"))
    assert (bench.step.facts, bench.step.effects) == ([], [])


def test_answers_about_orders_nobody_knows_are_passed_over(bench: Bench) -> None:
    assert bench.oms.on_outcome(bench.next(), OrderOutcome("0xother", Accepted(7))) is None
    assert bench.oms.on_canceled(bench.step, OrderCanceled("0xother", "canceled")) is None
    assert bench.step.facts == []


def test_live_orders_are_told_oldest_first(bench: Bench) -> None:
    first, second = bench.place(Action.OPEN), bench.place(Action.CLOSE)
    bench.hear(first, Accepted(7))
    assert [live.intent for live in bench.oms.live_orders("BTC")] == [first, second]


# ── fills ────────────────────────────────────────────────────────────────────────────────────────


def test_a_fill_moves_the_order_the_position_and_the_books(bench: Bench) -> None:
    intent = bench.place(size=D(2))
    booked = bench.fill(BUY, "1", "100", cloid=cloid(intent), fee="0.1")
    assert booked is not None and booked.intent == intent and booked.before == Position("BTC")
    assert bench.portfolio.position("BTC").size == D(1)
    assert bench.portfolio.fees_usd == D("0.1")
    assert [type(fact) for fact in bench.step.facts] == [FillRecorded, OrderChanged, PositionChanged]
    assert (bench.recorded().intent_id, bench.recorded().via) == (intent.intent_id, MatchedVia.CLOID)
    assert bench.recorded().reason == "because"


def test_a_fill_that_is_told_again_changes_nothing(bench: Bench) -> None:
    intent = bench.place(size=D(2))
    event = FillArrived(make_fill(BUY, "1", cloid=cloid(intent)))
    assert bench.oms.on_fill(bench.next(), event) is not None
    assert bench.oms.on_fill(bench.next(), event) is None
    assert (bench.step.facts, bench.portfolio.position("BTC").size) == ([], D(1))


def test_a_fill_of_an_earlier_session_changes_nothing() -> None:
    fill = make_fill(BUY, "1")
    bench = Bench(LedgerState(TAG, trade_ids=frozenset((fill.trade_id,))))
    assert bench.oms.on_fill(bench.next(), FillArrived(fill)) is None
    assert bench.portfolio.position("BTC").is_flat


def test_a_filled_order_is_over(bench: Bench) -> None:
    intent = bench.place()
    bench.fill(BUY, "1", cloid=cloid(intent))
    assert bench.oms.all_live_orders() == []


def test_the_fill_may_come_before_the_answer(bench: Bench) -> None:
    intent = bench.place(size=D(2))
    bench.fill(BUY, "1", cloid=cloid(intent), oid=7)
    assert bench.hear(intent, Accepted(7)) is None
    assert bench.status(intent) is OrderStatus.OPEN


def test_a_fill_told_after_the_end_of_its_order_is_still_its(bench: Bench) -> None:
    intent = bench.place(size=D(2))
    bench.hear(intent, Accepted(7))
    bench.cancel(intent)
    booked = bench.fill(BUY, "1", oid=7)
    assert booked is not None and booked.intent == intent
    assert booked.order is not None and (booked.order.status, booked.order.filled) == (OrderStatus.CANCELED, D(1))
    assert bench.recorded().via is MatchedVia.OID


def test_the_oid_told_after_the_end_still_ties_a_fill_to_its_order(bench: Bench) -> None:
    intent = bench.place(size=D(2))
    bench.cancel(intent)
    bench.hear(intent, Accepted(7))
    bench.fill(BUY, "2", oid=7)
    assert (bench.recorded().intent_id, bench.recorded().via) == (intent.intent_id, MatchedVia.OID)


def test_a_fill_brings_a_rejected_order_back_to_life(bench: Bench) -> None:
    intent = bench.place(size=D(2))
    bench.hear(intent, REJECTED)
    bench.fill(BUY, "1", cloid=cloid(intent))
    assert bench.status(intent) is OrderStatus.OPEN
    assert [live.intent for live in bench.oms.live_orders("BTC")] == [intent]
    bench.fill(BUY, "1", cloid=cloid(intent), tid=2)
    assert bench.oms.all_live_orders() == []


@pytest.mark.parametrize("outcome", [REJECTED, Would()], ids=["rejected", "would"])
def test_a_trade_by_hand_is_not_laid_to_an_order_that_never_lived(bench: Bench, outcome: SubmitOutcome) -> None:
    bench.hear(bench.place(), outcome)
    bench.fill(BUY, "1")
    assert (bench.recorded().intent_id, bench.recorded().via, bench.recorded().reason) == (
        None,
        MatchedVia.EXTERNAL,
        "manual",
    )
    assert bench.oms.all_live_orders() == []


def test_a_fill_without_a_name_goes_to_the_only_order_that_fits(bench: Bench) -> None:
    intent = bench.place(size=D(2))
    bench.fill(BUY, "2", oid=7)
    assert (bench.recorded().intent_id, bench.recorded().via) == (intent.intent_id, MatchedVia.TIME)


def test_what_ended_is_remembered_as_it_is_now_not_as_it_once_was(bench: Bench) -> None:
    """Of a canceled order 0.4 is left after its late fill: a stranger's 0.6 does not fit."""
    intent = bench.place()
    bench.cancel(intent)
    bench.fill(BUY, "0.6", cloid=cloid(intent), oid=7)
    bench.fill(BUY, "0.6", oid=9, tid=2)
    assert bench.recorded().via is MatchedVia.EXTERNAL


def test_a_fill_of_another_side_is_not_laid_to_the_order_it_names(bench: Bench) -> None:
    intent = bench.place()
    bench.fill(SELL, "1", cloid=cloid(intent))
    assert bench.recorded().via is MatchedVia.EXTERNAL
    assert bench.status(intent) is OrderStatus.SENT


def test_a_fill_of_another_symbol_is_not_laid_to_the_order_it_names(bench: Bench) -> None:
    intent = bench.place()
    bench.fill(BUY, "1", cloid=cloid(intent), symbol="ETH")
    assert bench.recorded().via is MatchedVia.EXTERNAL
    assert bench.status(intent) is OrderStatus.SENT


def test_more_than_the_order_asked_for_is_booked_and_told(bench: Bench) -> None:
    intent = bench.place()
    bench.fill(BUY, "1.5", cloid=cloid(intent))
    assert bench.alerts() == ["order_overfilled"]
    assert bench.portfolio.position("BTC").size == D("1.5")
    assert bench.oms.all_live_orders() == []


def test_a_liquidation_is_named_so(bench: Bench) -> None:
    bench.place()
    bench.fill(BUY, "1", cause=FillCause.LIQUIDATION)
    assert (bench.recorded().via, bench.recorded().reason) == (MatchedVia.EXTERNAL, "liquidation")


def test_only_the_last_orders_that_ended_are_remembered(bench: Bench) -> None:
    intents = [bench.place(Action.CLOSE) for _ in range(ENDED_ORDERS_KEPT + 1)]
    for number, intent in enumerate(intents):
        bench.hear(intent, Accepted(number))
        bench.cancel(intent)
    bench.fill(BUY, "0.1", oid=0, tid=100)
    assert bench.recorded().via is MatchedVia.EXTERNAL
    bench.fill(BUY, "0.1", oid=1, tid=101)
    assert bench.recorded().intent_id == intents[1].intent_id


def test_an_order_that_came_back_to_life_is_not_forgotten_with_those_that_ended(bench: Bench) -> None:
    revived = bench.place()
    bench.hear(revived, REJECTED)
    bench.hear(revived, Accepted(500))
    for number in range(ENDED_ORDERS_KEPT + 1):
        intent = bench.place(Action.CLOSE)
        bench.hear(intent, Accepted(number))
        bench.cancel(intent)
    assert bench.status(revived) is OrderStatus.OPEN
    bench.cancel(revived)
    assert bench.oms.all_live_orders() == []


# ── trades ───────────────────────────────────────────────────────────────────────────────────────


def closed(bench: Bench) -> tuple[TradeClosed, dict[str, object]]:
    (fact,) = bench.facts(TradeClosed)
    assert isinstance(fact, TradeClosed)
    meta = json.loads(fact.meta)
    assert isinstance(meta, dict)
    return fact, meta


def test_a_closed_trade_says_who_opened_it_who_closed_it_and_how_that_is_known(bench: Bench) -> None:
    entry = bench.place(why='{"signal": "BUY"}')
    bench.fill(BUY, "1", "100", cloid=cloid(entry))
    exit_ = bench.place(Action.CLOSE, side=SELL, reason="stop_loss")
    bench.fill(SELL, "1", "90", cloid=cloid(exit_))
    fact, meta = closed(bench)
    assert (fact.trade.pnl, fact.trade.intent_id, fact.trade.exit_reason) == (D(-10), entry.intent_id, "stop_loss")
    assert meta["oms"] == {
        "intent_id": entry.intent_id,
        "matched_via": "cloid",
        "exit_intent_id": exit_.intent_id,
        "exit_matched_via": "cloid",
    }
    assert meta["entry"] == {
        "key": entry.key.text,
        "reason": "because",
        "why": {"signal": "BUY"},
        "decided_ms": entry.decided_ms,
        "seq": entry.decided_seq,
        "config_digest": "c0ffee",
    }
    names = [type(fact) for fact in bench.step.facts]
    assert names == [FillRecorded, OrderChanged, TradeClosed, PositionChanged]


def test_a_trade_of_somebody_else_has_no_entry_of_ours(bench: Bench) -> None:
    bench.fill(BUY, "1", oid=50)
    exit_ = bench.place(Action.CLOSE, side=SELL)
    bench.fill(SELL, "1", cloid=cloid(exit_), tid=2)
    fact, meta = closed(bench)
    assert fact.trade.intent_id is None and meta["entry"] is None
    assert meta["oms"] == {
        "intent_id": None,
        "matched_via": None,
        "exit_intent_id": exit_.intent_id,
        "exit_matched_via": "cloid",
    }


def test_after_a_flip_the_new_trade_belongs_to_the_order_that_turned_it(bench: Bench) -> None:
    entry = bench.place()
    bench.fill(BUY, "1", cloid=cloid(entry))
    turning = bench.place(Action.OPEN, side=SELL, size=D(3), open_ms=T0 + 60_000)
    bench.fill(SELL, "3", cloid=cloid(turning))
    _, meta = closed(bench)
    assert meta["oms"] == {
        "intent_id": entry.intent_id,
        "matched_via": "cloid",
        "exit_intent_id": turning.intent_id,
        "exit_matched_via": "cloid",
    }
    bench.fill(BUY, "2", oid=60, tid=3)
    fact, _ = closed(bench)
    assert (fact.trade.side, fact.trade.size, fact.trade.intent_id) == (SELL, D(2), turning.intent_id)


def test_a_trade_that_was_opened_before_a_restart_still_names_its_entry() -> None:
    before = Bench()
    entry = before.place()
    before.fill(BUY, "1", cloid=cloid(entry))
    bought = before.recorded()
    after = Bench(
        LedgerState(
            TAG,
            intent_ids=frozenset((entry.intent_id,)),
            positions=(before.portfolio.position("BTC"),),
            opening_intents=(entry,),
            recent_fills=(BookedBefore(bought.fill, bought.intent_id, bought.via, bought.reason),),
        )
    )
    after.step = Step(1, T0 + 60_000)
    after.fill(SELL, "1", tid=2)
    fact, meta = closed(after)
    assert fact.trade.intent_id == entry.intent_id
    assert isinstance(meta["entry"], dict) and meta["entry"]["key"] == entry.key.text


# ── funding ──────────────────────────────────────────────────────────────────────────────────────


def funding(amount: str, time_ms: int = T0, symbol: str = "BTC") -> FundingPaid:
    return FundingPaid(symbol, time_ms, D(1), D("0.0000125"), D(amount))


def test_a_funding_payment_is_booked_once(bench: Bench) -> None:
    bench.fill(BUY, "1")
    hour_ms = T0 + 3_600_000
    assert bench.oms.on_funding(bench.next(), funding("-0.5", hour_ms))
    assert [type(fact) for fact in bench.step.facts] == [FundingRecorded, PositionChanged]
    assert not bench.oms.on_funding(bench.next(), funding("-0.5", hour_ms))
    assert bench.oms.on_funding(bench.next(), funding("-0.5", hour_ms + 3_600_000))
    assert bench.oms.on_funding(bench.next(), funding("-0.5", symbol="ETH"))
    assert bench.portfolio.funding_usd == D("-1.5")
    assert bench.portfolio.position("BTC").funding == D(-1)


def test_a_funding_payment_of_an_earlier_session_is_not_booked_again() -> None:
    bench = Bench(LedgerState(TAG, funding_keys=frozenset((("BTC", T0),))))
    assert not bench.oms.on_funding(bench.next(), funding("-0.5"))


# ── restart ──────────────────────────────────────────────────────────────────────────────────────


def test_orders_that_may_be_alive_come_back_and_hear_their_answers() -> None:
    before = Bench()
    intent = before.place()
    live = before.oms.live_orders("BTC")[0]
    after = Bench(LedgerState(TAG, frozenset((intent.intent_id,)), live_orders=((intent, live.order),)))
    assert after.oms.live_orders("BTC") == [live]
    after.fill(BUY, "1", cloid=cloid(intent))
    assert after.recorded().intent_id == intent.intent_id


def test_the_same_decision_has_the_same_cloid_after_a_restart() -> None:
    make: Callable[[], Bench] = Bench
    assert cloid(make().place()) == cloid(make().place())
