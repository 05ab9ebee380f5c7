"""ExitDesk: how a position is protected, and how it is taken off. Entry at 100, ATR 1, one unit and more."""

import json
from decimal import Decimal
from typing import Any

import pytest

from application.exit_desk import ExitDesk
from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.protection import ExitMoment
from application.step import Step
from domain.candles import Interval
from domain.effects import CancelOrder, SubmitOrder
from domain.events import FillArrived, OrderOutcome
from domain.exits import ExitState
from domain.facts import ExitStateChanged, LedgerState
from domain.instruments import Universe
from domain.intents import Action, OrderIntent, OrderRequest, Side, TriggerKind, cloid_of
from domain.orders import Accepted, Rejected, RejectReason, SubmitOutcome, Unknown
from domain.signals import FeatureRow
from tests.builders import (
    T0,
    TAG,
    make_book,
    make_config,
    make_exit_state,
    make_fill,
    make_instrument,
    make_row,
    make_wish,
)

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
BAD_TRIGGER = Rejected(RejectReason.BAD_TRIGGER, "Invalid TP/SL price.")


class Bench:
    """One symbol's exits. Every look at a price is its own step, a second after the last."""

    def __init__(self, state: LedgerState | None = None, **trade: Any) -> None:
        self.universe = Universe([make_instrument("BTC", size_decimals=2)])
        self.portfolio = Portfolio()
        self.oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, self.portfolio)
        self.desk = ExitDesk(self.universe, self.portfolio, self.oms)
        state = state or LedgerState(TAG)
        self.portfolio.restore(state)
        self.oms.restore(state)
        self.desk.restore(state)
        self.book = make_book(make_config(trade))
        self.step = Step(0, T0)
        self._tid = 0

    def configure(self, filters: dict[str, Any] | None = None, **trade: Any) -> None:
        self.book = make_book(make_config(trade, filters=filters))

    def next(self, wait_ms: int = 1_000) -> Step:
        self.step = Step(self.step.seq + 1, self.step.at_ms + wait_ms)
        return self.step

    def moment(self, price: float) -> ExitMoment:
        return ExitMoment(price, "mid", T0)

    def look(self, price: float, wait_ms: int = 1_000) -> list[OrderRequest]:
        """Check the exits at a price; what was sent."""
        self.desk.check(self.next(wait_ms), "BTC", self.moment(price), self.book)
        return self.sent()

    def fill(
        self,
        side: Side,
        size: str,
        price: str = "100",
        intent: OrderIntent | None = None,
        exits: ExitState | None = None,
    ) -> list[OrderRequest]:
        """Book a fill and let the desk follow; what was sent."""
        self._tid += 1
        cloid = None if intent is None else cloid_of(intent.intent_id, 1, TAG)
        fill = make_fill(side, size, price, tid=self._tid, oid=1000 + self._tid, cloid=cloid, time_ms=self.step.at_ms)
        booked = self.oms.on_fill(self.next(), FillArrived(fill))
        assert booked is not None
        self.desk.after_fill(self.step, booked, exits, self.book, self.moment(float(price)))
        return self.sent()

    def open(self, side: Side = BUY, size: str = "2", *, candle: int = 0, **exits: Any) -> list[OrderRequest]:
        """Open a position by an order of ours, at 100."""
        open_ms = T0 + candle * 60_000
        intent = self.oms.place(self.step, make_wish(Action.OPEN, side=side, size=D(size), open_ms=open_ms))
        assert intent is not None
        return self.fill(side, size, "100", intent, make_exit_state(**exits))

    def rest(self) -> None:
        """The venue accepts everything that is on its way."""
        for number, live in enumerate(self.oms.live_orders("BTC")):
            self.hear(live.intent, Accepted(number + 1))

    def sent(self) -> list[OrderRequest]:
        return [effect.request for effect in self.step.effects if isinstance(effect, SubmitOrder)]

    def canceled(self) -> list[str]:
        return [effect.cloid for effect in self.step.effects if isinstance(effect, CancelOrder)]

    def intent_of(self, request: OrderRequest) -> OrderIntent:
        return next(live.intent for live in self.oms.live_orders("BTC") if live.order.request == request)

    def live(self, action: Action) -> list[OrderIntent]:
        return [live.intent for live in self.oms.live_orders("BTC") if live.intent.key.action is action]

    def hear(self, intent: OrderIntent, outcome: SubmitOutcome) -> None:
        self.oms.on_outcome(self.next(), OrderOutcome(cloid_of(intent.intent_id, 1, TAG), outcome))


def levels(requests: list[OrderRequest]) -> list[tuple[TriggerKind, Decimal, Decimal]]:
    """(kind, trigger price, size) of trigger orders."""
    found = []
    for request in requests:
        assert request.trigger is not None and request.reduce_only
        found.append((request.trigger.kind, request.trigger.price, request.size))
    return found


STOP, TARGET = TriggerKind.STOP_LOSS, TriggerKind.TAKE_PROFIT


# ── protecting ───────────────────────────────────────────────────────────────────────────────────


def test_a_position_is_protected_by_a_stop_and_a_partial_target_with_its_first_fill() -> None:
    requests = Bench().open()
    assert levels(requests) == [(STOP, D(98), D(2)), (TARGET, D(104), D(1))]
    assert [(request.side, request.limit_price) for request in requests] == [(SELL, D("93.1")), (SELL, D("98.8"))]


def test_a_short_is_protected_in_mirror_image() -> None:
    requests = Bench().open(SELL)
    assert levels(requests) == [(STOP, D(102), D(2)), (TARGET, D(96), D(1))]
    assert [(request.side, request.limit_price) for request in requests] == [(BUY, D("107.1")), (BUY, D("100.8"))]


def test_trigger_prices_are_rounded_towards_the_position() -> None:
    bench = Bench()
    assert levels(bench.open(entry_atr=0.12345)) == [(STOP, D("99.754"), D(2)), (TARGET, D("100.50"), D(1))]


def test_at_the_same_levels_nothing_is_sent_again() -> None:
    bench = Bench()
    bench.open()
    assert bench.look(100.2) == [] and bench.look(99.8) == []
    assert bench.step.facts == []


def test_the_resting_stop_follows_in_steps_of_a_quarter_atr_the_new_one_before_the_end_of_the_old() -> None:
    bench = Bench()
    old = bench.open()[0]
    assert levels(bench.look(101.0)) == [(STOP, D("100.2"), D(2))]
    assert isinstance(bench.step.effects[0], SubmitOrder) and bench.canceled() == [old.cloid]
    assert bench.look(101.2) == []
    assert bench.desk.states["BTC"].locked_stop == pytest.approx(100.4)
    assert levels(bench.look(101.25)) == [(STOP, D("100.45"), D(2))]


def test_the_stop_has_the_size_of_the_position() -> None:
    bench = Bench()
    bench.open()
    assert levels(bench.fill(BUY, "1", "100")) == [(STOP, D(98), D(3)), (TARGET, D(104), D("1.5"))]


def test_a_stop_that_the_venue_refused_is_not_sent_again_at_every_price() -> None:
    bench = Bench()
    stop = bench.open()[0]
    bench.hear(bench.intent_of(stop), BAD_TRIGGER)
    assert bench.look(100.1) == [] and bench.look(100.2) == []
    assert levels(bench.look(100.1, wait_ms=15_000)) == [(STOP, D(98), D(2))]


def test_the_next_position_is_protected_at_once() -> None:
    bench = Bench()
    bench.open(size="1")
    bench.fill(SELL, "1", "100")
    assert len(bench.open(size="1", candle=1)) == 2


# ── the target ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("size", "trade", "share"),
    [
        ("2", {}, "1"),
        ("2.01", {}, "1"),
        ("2", {"tp_partial_pct": D("0.25")}, "0.5"),
        ("2", {"enable_partial_tp": False}, "2"),
        ("0.2", {}, "0.2"),
        ("0.22", {}, "0.11"),
        ("0.2", {"tp_partial_min_notional_usd": D(20)}, "0.2"),
    ],
)
def test_the_target_closes_a_share_or_all_when_the_share_is_too_small(
    size: str, trade: dict[str, Any], share: str
) -> None:
    """The venue takes a partial close of 10 USD or more at its limit price: 0.1 at 98.8 is less, 0.11 is not."""
    target = Bench(**trade).open(size=size)[1]
    assert target.size == D(share)


def test_the_share_of_a_short_leaves_a_rest_that_is_worth_the_minimum() -> None:
    assert Bench().open(SELL, size="0.2")[1].size == D("0.2")  # half is 0.1, worth 9.6 USD at the target
    assert Bench().open(SELL, size="0.22")[1].size == D("0.11")


def test_while_a_target_rests_the_venue_takes_it() -> None:
    bench = Bench()
    bench.open()
    assert bench.look(104.5) != [] and bench.live(Action.REDUCE) == [] and bench.live(Action.CLOSE) == []


def test_a_target_without_a_resting_order_is_taken_by_ourselves() -> None:
    bench = Bench()
    target = bench.open()[1]
    bench.hear(bench.intent_of(target), Rejected(RejectReason.OTHER, "no"))
    (reduce,) = bench.look(104.0)
    assert (reduce.size, reduce.side, reduce.reduce_only, reduce.limit_price) == (D(1), SELL, True, D("98.8"))
    assert bench.live(Action.REDUCE)[0].reason == "take_profit"
    assert bench.look(104.1) == []


def test_a_share_that_is_all_is_a_close() -> None:
    bench = Bench(enable_partial_tp=False)
    target = bench.open()[1]
    bench.hear(bench.intent_of(target), Rejected(RejectReason.OTHER, "no"))
    assert [request.size for request in bench.look(104.0)] == [D(2)]
    assert len(bench.live(Action.CLOSE)) == 1


def test_a_partial_take_profit_spends_the_target_and_locks_the_entry() -> None:
    bench = Bench(trailing_start_atr=50.0, enable_breakeven_stop=False)
    target = bench.open()[1]
    sent = bench.fill(SELL, "1", "104", bench.intent_of(target))
    state = bench.desk.states["BTC"]
    assert (state.take_profit_taken, state.locked_stop) == (True, 100.0)
    assert levels(sent) == [(STOP, D(100), D(1))]
    assert bench.look(105.0) == []


def test_after_a_partial_target_of_its_own_the_full_one_rests_for_all_that_is_left() -> None:
    bench = Bench(tp_partial_atr_mult=1.5, trailing_start_atr=50.0, enable_breakeven_stop=False)
    first = bench.open()[1]
    assert (first.trigger and first.trigger.price, first.size) == (D("101.5"), D(1))
    sent = bench.fill(SELL, "1", "101.5", bench.intent_of(first))
    assert (TARGET, D(104), D(1)) in levels(sent)


# ── getting out ──────────────────────────────────────────────────────────────────────────────────


def test_at_its_stop_the_position_is_closed_whole_at_up_to_five_percent_worse() -> None:
    bench = Bench()
    bench.open()
    (close,) = bench.look(98.0)
    assert (close.size, close.side, close.reduce_only, close.trigger) == (D(2), SELL, True, None)
    assert close.limit_price == D("93.1")
    intent = bench.intent_of(close)
    assert (intent.key.action, intent.reason) == (Action.CLOSE, "stop_loss")
    assert json.loads(intent.why) == {
        "price": 98.0,
        "price_source": "mid",
        "rule": "stop_loss",
        "stop": 98.0,
        "take_profit": 104.0,
    }


def test_a_short_is_closed_above() -> None:
    bench = Bench()
    bench.open(SELL)
    (close,) = bench.look(102.0)
    assert (close.size, close.side, close.limit_price) == (D(2), BUY, D("107.1"))


def test_one_exit_is_on_its_way_at_a_time() -> None:
    bench = Bench()
    bench.open()
    close = bench.intent_of(bench.look(98.0)[0])
    assert bench.look(97.0) == []
    bench.hear(close, Accepted(7))
    assert bench.look(97.0) == []


def test_a_refused_exit_is_sent_again_at_once() -> None:
    bench = Bench()
    bench.open()
    close = bench.intent_of(bench.look(98.0)[0])
    bench.hear(close, Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no match"))
    assert [request.size for request in bench.look(97.9)] == [D(2)]


def test_an_exit_whose_fate_is_unknown_does_not_hold_up_the_next_for_ever() -> None:
    """Both only reduce: two cannot turn the position around."""
    bench = Bench()
    bench.open()
    close = bench.intent_of(bench.look(98.0)[0])
    bench.hear(close, Unknown("timed out"))
    assert bench.look(97.9) == []
    assert [request.size for request in bench.look(97.8, wait_ms=15_000)] == [D(2)]
    assert bench.look(97.7) == []


def test_a_rule_of_indicators_closes_and_waits_after_another_exit_while_a_stop_does_not() -> None:
    bench = Bench()
    bench.open()
    bench.desk.note_row("BTC", make_row(ema_fast=98.0, ema_slow=99.0))
    close = bench.intent_of(bench.look(100.0)[0])
    assert close.reason == "trend_breakdown"
    bench.hear(close, Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no match"))
    assert bench.look(100.1) == []
    assert bench.live(Action.CLOSE) == []
    assert len(bench.look(98.0)) == 1 and bench.live(Action.CLOSE)[0].reason == "stop_loss"
    bench.hear(bench.live(Action.CLOSE)[0], Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no match"))
    assert len(bench.look(100.1, wait_ms=15_000)) == 1


def test_a_signal_against_the_position_closes_it_once() -> None:
    bench = Bench()
    assert bench.desk.close(bench.next(), "BTC", bench.moment(100.0), "signal_flip", bench.book) is None
    bench.open()
    intent = bench.desk.close(bench.next(), "BTC", bench.moment(100.0), "signal_flip", bench.book)
    assert intent is not None and (intent.reason, intent.size) == ("signal_flip", D(2))
    assert bench.desk.close(bench.next(), "BTC", bench.moment(100.0), "signal_flip", bench.book) is None


def test_without_a_position_nothing_is_looked_at() -> None:
    bench = Bench()
    assert bench.look(100.0) == [] and bench.desk.states == {}


# ── prices and candles that cannot be ────────────────────────────────────────────────────────────


def test_a_glitch_takes_no_exit_and_moves_no_stop() -> None:
    """A price far above would ratchet the stop above every real price and close the position at the next one."""
    bench = Bench(block_exits_on_extreme_dev=True)
    bench.open()
    assert bench.look(150.0) == []
    assert bench.desk.states["BTC"].locked_stop is None
    assert bench.look(60.0) == []
    assert bench.look(100.1) == []
    assert bench.live(Action.CLOSE) == []


def test_on_a_candle_that_looks_like_an_accident_no_exit_is_taken_when_told_so() -> None:
    bench = Bench()
    bench.open()
    bench.desk.note_row("BTC", make_row(is_anomaly=1.0))
    bench.configure(filters={"block_exits_on_anomaly": True})
    assert bench.look(97.0) == []
    bench.desk.note_row("BTC", make_row(is_anomaly=0.0))
    assert len(bench.look(97.0)) == 1


def test_an_accident_stops_no_exit_by_default() -> None:
    bench = Bench()
    bench.open()
    bench.desk.note_row("BTC", make_row(is_anomaly=1.0))
    assert len(bench.look(97.0)) == 1


# ── following fills ──────────────────────────────────────────────────────────────────────────────


def test_a_closed_position_leaves_nothing_behind() -> None:
    bench = Bench()
    requests = bench.open()
    bench.rest()
    bench.fill(SELL, "2", "99")
    assert bench.desk.states == {}
    assert bench.canceled() == [request.cloid for request in requests]
    assert ExitStateChanged("BTC", None) in bench.step.facts


def test_the_indicators_of_an_earlier_position_do_not_decide_on_the_next() -> None:
    """They may be days old: a symbol's candle is only noted while it is held."""
    bench = Bench()
    bench.open()
    bench.desk.note_row("BTC", make_row(ema_fast=98.0, ema_slow=99.0))
    bench.desk.note_funding_rate("BTC", 0.01)
    bench.rest()
    bench.fill(SELL, "2", "100")
    assert len(levels(bench.open(candle=1))) == 2
    assert bench.live(Action.CLOSE) == []
    bench.desk.note_row("BTC", make_row())
    assert bench.look(99.5) == []


def test_a_flip_starts_new_exits() -> None:
    bench = Bench()
    bench.open(locked_stop=99.0, adds=2)
    turning = bench.oms.place(bench.next(), make_wish(Action.OPEN, side=SELL, size=D(3), open_ms=T0 + 60_000))
    assert turning is not None
    sent = bench.fill(SELL, "3", "100", turning, make_exit_state(entry_atr=2.0))
    assert levels(sent) == [(STOP, D(104), D(1)), (TARGET, D(92), D("0.5"))]
    assert bench.desk.states["BTC"] == make_exit_state(entry_atr=2.0)
    assert len(bench.canceled()) == 2


def test_a_position_of_somebody_else_is_left_alone() -> None:
    bench = Bench()
    assert bench.fill(BUY, "2", "100") == []
    assert bench.look(50.0) == [] and bench.look(500.0) == []
    assert bench.desk.close(bench.next(), "BTC", bench.moment(100.0), "signal_flip", bench.book) is None
    assert bench.desk.states == {}


def test_an_add_in_parts_averages_the_atr_once() -> None:
    bench = Bench()
    bench.open()
    add = bench.oms.place(bench.next(), make_wish(Action.ADD, size=D(2)))
    assert add is not None
    for _ in range(2):
        bench.fill(BUY, "1", "100", add, make_exit_state(entry_atr=3.0))
    state = bench.desk.states["BTC"]
    assert (state.entry_atr, state.adds, state.last_add_ms) == (2.0, 1, add.decided_ms)


def test_a_second_part_of_the_entry_keeps_the_exits() -> None:
    bench = Bench()
    intent = bench.oms.place(bench.step, make_wish(Action.OPEN, size=D(2)))
    assert intent is not None
    bench.fill(BUY, "1", "100", intent, make_exit_state())
    bench.fill(BUY, "1", "101", intent, make_exit_state(entry_atr=9.0))
    assert bench.desk.states["BTC"].entry_atr == 1.0


# ── restart ──────────────────────────────────────────────────────────────────────────────────────


def test_after_a_restart_stops_and_targets_are_where_they_were() -> None:
    before = Bench()
    before.open()
    before.look(101.5)
    live = tuple((live.intent, live.order) for live in before.oms.live_orders("BTC"))
    state = LedgerState(
        TAG,
        intent_ids=frozenset(intent.intent_id for intent, _ in live),
        live_orders=live,
        positions=(before.portfolio.position("BTC"),),
        exit_states=(before.desk.states["BTC"],),
    )
    after = Bench(state)
    assert after.look(101.5) == [] and after.step.facts == []
    assert [request.limit_price for request in after.look(100.7)] == [D("95.665")]
    assert after.live(Action.CLOSE)[0].reason == "trailing_stop"


def test_a_change_of_the_exits_is_a_fact_and_no_change_is_none() -> None:
    bench = Bench()
    bench.open()
    bench.look(100.8)
    assert ExitStateChanged("BTC", bench.desk.states["BTC"]) in bench.step.facts
    bench.look(100.8)
    assert bench.step.facts == []


def test_a_row_is_the_newest_candle() -> None:
    bench = Bench()
    bench.open()
    good: FeatureRow = make_row()
    bench.desk.note_row("BTC", make_row(ema_fast=98.0, ema_slow=99.0))
    bench.desk.note_row("BTC", good)
    assert bench.look(100.0) == []
