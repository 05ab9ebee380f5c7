"""Our books against the venue: every difference is a row, lasting ones are told, nothing is made equal by guessing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.reconciliation import ARRIVAL_MS, CANCEL_AGAIN_MS, LASTING_MS, Reconciliation
from application.risk_guard import RiskGuard
from application.step import Step
from domain.candles import Interval
from domain.effects import Alert, AskAccount, CancelOrder, LookForOrder
from domain.events import AccountSnapshot, FillArrived, HeldPosition, OrderCanceled, OrderOutcome, RestingOrder
from domain.facts import (
    BORN,
    FILLS_READ,
    CashSet,
    CursorMoved,
    DifferenceClosed,
    DifferenceOpened,
    LedgerState,
    OrderChanged,
    PositionAdjusted,
)
from domain.fills import FillCause
from domain.intents import Action, Side, cloid_of
from domain.orders import Accepted, OrderStatus
from tests.builders import T0, TAG, make_fill, make_wish

CASH = Decimal(1_000)
READ = ((BORN, T0), (FILLS_READ, T0))


class Bench:
    def __init__(self, state: LedgerState | None = None, *, accepts: bool = False) -> None:
        self.portfolio = Portfolio()
        self.oms = LiveOms("0xme", "mei", Interval.M1, self.portfolio)
        self.guard = RiskGuard(self.portfolio, self.oms)
        self.books = Reconciliation(self.portfolio, self.oms, self.guard)
        state = state or LedgerState(TAG, cash_usd=CASH, cursors=READ)
        self.portfolio.restore(state)
        self.oms.restore(state)
        self.step = Step(0, T0)
        self.books.restore(self.step, state, accepts_strangers=accepts)

    def take(self, wait_ms: int = 1_000, *, whole: bool = True, **said: Any) -> Step:
        """A snapshot after some time, complete unless told otherwise."""
        self.step = Step(self.step.seq + 1, self.step.at_ms + wait_ms)
        terms: dict[str, Any] = {"cash_usd": self.portfolio.cash_usd, "positions": (), "at_ms": self.step.at_ms}
        if whole:
            terms |= {"fills_since_ms": T0, "resting": ()}
        self.books.take(self.step, AccountSnapshot(**(terms | said)))
        return self.step

    def hold(self, size: str = "1") -> None:
        intent = self.oms.place(self.step, make_wish(Action.OPEN, size=Decimal(size)))
        assert intent is not None
        fill = make_fill(Side.BUY, size, cloid=cloid_of(intent.intent_id, 1, TAG), time_ms=self.step.at_ms)
        self.oms.on_fill(self.step, FillArrived(fill))

    def rest(self) -> str:
        """A stop of ours that the venue has taken."""
        placed = self.oms.place(self.step, make_wish(Action.CLOSE, side=Side.SELL))
        assert placed is not None
        cloid = cloid_of(placed.intent_id, 1, TAG)
        self.oms.on_outcome(self.step, OrderOutcome(cloid, Accepted(77)))
        return cloid

    def rows(self) -> list[tuple[str, str]]:
        return [(fact.kind, fact.symbol) for fact in self.step.facts if isinstance(fact, DifferenceOpened)]

    def closed(self) -> list[tuple[str, str]]:
        return [(fact.key, fact.how) for fact in self.step.facts if isinstance(fact, DifferenceClosed)]

    def alerts(self) -> list[str]:
        return [effect.code for effect in self.step.effects if isinstance(effect, Alert)]

    def effects(self, kind: type) -> list[object]:
        return [effect for effect in self.step.effects if type(effect) is kind]


def test_books_that_agree_leave_no_row() -> None:
    bench = Bench()
    bench.hold()
    bench.take(positions=(("BTC", Decimal(1)),))
    assert bench.rows() == [] and bench.alerts() == [] and bench.books.differs == frozenset()


def test_a_difference_in_the_first_look_of_a_session_is_told_at_once() -> None:
    bench = Bench()
    bench.take(positions=(("BTC", Decimal(2)),))
    assert bench.rows() == [("position", "BTC")] and bench.alerts() == ["position_differs"]
    assert bench.books.differs == {"BTC"}


def test_a_later_difference_takes_no_entries_at_once_and_is_told_when_it_lasts() -> None:
    bench = Bench()
    bench.take()
    bench.take(positions=(("BTC", Decimal(2)),))
    assert bench.rows() == [("position", "BTC")] and bench.alerts() == [] and bench.books.differs == {"BTC"}
    bench.take(LASTING_MS - 1, positions=(("BTC", Decimal(2)),))
    assert bench.rows() == [] and bench.alerts() == []
    bench.take(1, positions=(("BTC", Decimal(2)),))
    assert bench.alerts() == ["position_differs"]
    bench.take(positions=(("BTC", Decimal(2)),))
    assert bench.alerts() == [], "once"
    bench.take()
    assert bench.closed() == [("position:BTC:", "they agree again")] and bench.books.differs == frozenset()


def test_what_a_mere_look_shows_is_read_in_full_before_anybody_is_told() -> None:
    bench = Bench()
    bench.take()
    bench.take(whole=False, positions=(("BTC", Decimal(2)),))
    assert bench.effects(AskAccount) and bench.alerts() == []
    bench.take(LASTING_MS, whole=False, positions=(("BTC", Decimal(2)),))
    assert bench.alerts() == [], "fills may explain it yet"


def test_a_word_that_our_newest_fill_has_overtaken_proves_nothing() -> None:
    bench = Bench()
    bench.take()
    bench.hold()
    newest_ms = bench.portfolio.newest_fill_ms
    bench.take(at_ms=newest_ms - 1)
    assert bench.rows() == [] and bench.step.facts == []


def test_a_difference_outlives_a_restart() -> None:
    state = LedgerState(TAG, cash_usd=CASH, cursors=READ, open_differences=(("position:BTC:", "position", "BTC", T0),))
    bench = Bench(state)
    assert bench.books.differs == {"BTC"}
    bench.take()
    assert bench.closed() == [("position:BTC:", "they agree again")] and bench.books.differs == frozenset()


# ── before the ledger ────────────────────────────────────────────────────────────────────────────


def test_what_was_held_before_a_ledger_began_is_taken_over_and_nobody_s_trade() -> None:
    bench = Bench(LedgerState(TAG))
    assert [fact for fact in bench.step.facts if isinstance(fact, CursorMoved)] == [CursorMoved(BORN, T0)]
    held = HeldPosition("ETH", Decimal("2000.5"), 5)
    bench.take(cash_usd=CASH, positions=(("ETH", Decimal(-3)),), held=(held,))
    (adjusted,) = (fact for fact in bench.step.facts if isinstance(fact, PositionAdjusted))
    assert (adjusted.symbol, adjusted.after, adjusted.price, adjusted.kind) == (
        "ETH",
        Decimal(-3),
        Decimal("2000.5"),
        "opening_balance",
    )
    position = bench.portfolio.position("ETH")
    assert (position.size, position.intent_id) == (Decimal(-3), None)
    assert bench.rows() == [] and bench.alerts() == ["opening_balance"]
    assert CursorMoved(FILLS_READ, bench.step.at_ms) in bench.step.facts
    bench.take(positions=(("ETH", Decimal(-3)),), held=(held,))
    assert bench.alerts() == []


def test_later_a_position_that_nobody_knows_is_a_difference_and_no_opening_balance() -> None:
    bench = Bench()
    bench.take(positions=(("ETH", Decimal(-3)),), held=(HeldPosition("ETH", Decimal(2000), 5),))
    assert bench.rows() == [("position", "ETH")] and bench.portfolio.position("ETH").is_flat


def test_a_fill_from_before_the_ledger_is_not_ours_unless_its_order_is() -> None:
    bench = Bench(LedgerState(TAG, cursors=((BORN, T0), (FILLS_READ, T0))))
    assert bench.books.is_from_before(make_fill(time_ms=T0 - 1))
    assert not bench.books.is_from_before(make_fill(time_ms=T0))
    intent = bench.oms.place(bench.step, make_wish())
    assert intent is not None
    mine = make_fill(time_ms=T0 - 1, cloid=cloid_of(intent.intent_id, 1, TAG))
    assert not bench.books.is_from_before(mine), "a clock of ours that is ahead"


# ── what is the venue's to say ───────────────────────────────────────────────────────────────────


def test_cash_is_the_venue_s_word_and_a_row_above_rounding() -> None:
    bench = Bench()
    bench.take(cash_usd=CASH + Decimal("0.0099"))
    assert bench.rows() == [] and any(isinstance(fact, CashSet) for fact in bench.step.facts)
    bench.take(cash_usd=CASH + 500)
    assert bench.rows() == [("cash", "")]
    assert bench.closed() == [("cash::", "the venue's word was taken")]
    assert bench.portfolio.cash_usd == CASH + 500


def test_leverage_is_the_venue_s_word_and_a_row() -> None:
    bench = Bench()
    bench.hold()
    bench.guard.note_entry("BTC", Decimal(3), T0, Decimal(0))
    bench.guard.set_leverage("BTC", Decimal(3))
    held = (HeldPosition("BTC", Decimal(100), 3),)
    bench.take(positions=(("BTC", Decimal(1)),), held=held)
    assert bench.rows() == []
    bench.take(positions=(("BTC", Decimal(1)),), held=(HeldPosition("BTC", Decimal(100), 20),))
    assert bench.rows() == [("leverage", "BTC")] and bench.guard.leverage("BTC") == 20


def test_the_cursor_moves_with_whole_readings_alone() -> None:
    bench = Bench()
    bench.take(120_000, whole=False)
    assert not any(isinstance(fact, CursorMoved) for fact in bench.step.facts)
    bench.take()
    assert CursorMoved(FILLS_READ, bench.step.at_ms) in bench.step.facts
    assert bench.books.read_until_ms == bench.step.at_ms


# ── orders ───────────────────────────────────────────────────────────────────────────────────────


def test_an_order_of_ours_that_does_not_rest_is_asked_about_and_then_taken_for_gone() -> None:
    bench = Bench()
    cloid = bench.rest()
    bench.take(ARRIVAL_MS - 1)
    assert bench.rows() == [], "it may not have been in it yet"
    bench.take()
    assert bench.rows() == [("order_missing", "BTC")]
    assert [effect.cloid for effect in bench.effects(LookForOrder) if isinstance(effect, LookForOrder)] == [cloid]
    bench.take(LASTING_MS)
    ended = [fact.order.status for fact in bench.step.facts if isinstance(fact, OrderChanged)]
    assert ended == [OrderStatus.CANCELED] and bench.oms.all_live_orders() == []
    assert bench.closed() == [(f"order_missing:BTC:{cloid}", "it is canceled")]


def test_a_missing_order_whose_end_is_heard_is_no_difference_any_more() -> None:
    bench = Bench()
    cloid = bench.rest()
    bench.take(ARRIVAL_MS)
    assert bench.rows() == [("order_missing", "BTC")]
    bench.oms.on_canceled(bench.step, OrderCanceled(cloid, "canceled"))
    bench.take()
    assert bench.closed() == [(f"order_missing:BTC:{cloid}", "it is canceled")]


def test_an_order_that_rests_is_no_difference() -> None:
    bench = Bench()
    cloid = bench.rest()
    bench.take(ARRIVAL_MS, resting=(RestingOrder("BTC", 77, cloid, T0),))
    assert bench.rows() == [] and bench.effects(LookForOrder) == []


def test_an_order_that_rests_and_was_thought_never_to_have_lived_is_alive() -> None:
    bench = Bench()
    placed = bench.oms.place(bench.step, make_wish(Action.CLOSE, side=Side.SELL))
    assert placed is not None
    cloid = cloid_of(placed.intent_id, 1, TAG)
    bench.take(resting=(RestingOrder("BTC", 78, cloid, T0),))
    found = bench.oms.find(cloid)
    assert found is not None and (found.order.status, found.order.oid) == (OrderStatus.OPEN, 78)


def test_a_cancel_that_did_not_work_is_sent_again() -> None:
    bench = Bench()
    cloid = bench.rest()
    live = bench.oms.find(cloid)
    assert live is not None
    bench.oms.cancel(bench.step, live)
    resting = (RestingOrder("BTC", 77, cloid, T0),)
    bench.take(CANCEL_AGAIN_MS - 1, resting=resting)
    assert bench.effects(CancelOrder) == []
    bench.take(1, resting=resting)
    assert bench.effects(CancelOrder) == [CancelOrder("BTC", cloid)]


def test_an_order_that_looks_like_ours_and_is_not_stops_entries() -> None:
    """Another daemon trades here, or a ledger was lost."""
    bench = Bench()
    stranger = cloid_of("an intent of nobody", 1, b"\x77\x77")
    bench.take(resting=(RestingOrder("BTC", 5, stranger, T0),))
    assert bench.rows() == [("order_unknown", "BTC")] and bench.alerts() == ["foreign_order"]
    assert bench.guard.is_holding
    bench.take(resting=(RestingOrder("BTC", 5, stranger, T0),))
    assert bench.alerts() == [], "once"
    bench.take()
    assert bench.closed() == [] and bench.guard.is_holding, "until somebody has looked"


@pytest.mark.parametrize("accepts", [False, True])
def test_a_restart_lifts_the_stop_only_where_somebody_says_so(accepts: bool) -> None:
    stranger = cloid_of("an intent of nobody", 1, b"\x77\x77")
    seen = (f"order_unknown:BTC:{stranger}", "order_unknown", "BTC", T0)
    bench = Bench(LedgerState(TAG, cash_usd=CASH, cursors=READ, open_differences=(seen,)), accepts=accepts)
    assert bench.guard.is_holding != accepts
    assert [key for key, _ in bench.closed()] == ([seen[0]] if accepts else [])
    bench.books.hear_of(bench.step, "BTC", stranger)
    assert bench.alerts() == (["foreign_order"] if accepts else []), "the same again is news to whoever had accepted it"


def test_whatever_is_heard_of_an_order_of_another_ledger_stops_entries() -> None:
    """It may fill at once and never rest."""
    bench = Bench()
    bench.books.hear_of(bench.step, "BTC", cloid_of("an intent of nobody", 1, b"\x77\x77"))
    assert bench.alerts() == ["foreign_order"] and bench.guard.is_holding


def test_an_old_order_of_this_ledger_is_no_stranger() -> None:
    """Only the newest are at hand, and the venue may tell of others again."""
    bench = Bench()
    for cloid in (None, "0x50663504b0f4fedea00080176229d94f", cloid_of("long ago", 1, TAG)):
        bench.books.hear_of(bench.step, "BTC", cloid)
    assert bench.alerts() == [] and not bench.guard.is_holding


def test_orders_of_people_and_of_other_programs_are_their_business() -> None:
    bench = Bench()
    others = (RestingOrder("BTC", 5, None, T0), RestingOrder("BTC", 6, "0x50663504b0f4fedea00080176229d94f", T0))
    bench.take(resting=others)
    assert bench.rows() == [] and bench.alerts() == [] and not bench.guard.is_holding


def test_where_the_venue_stepped_in_nobody_enters_until_the_next_start() -> None:
    bench = Bench()
    bench.books.note_fill(bench.step, make_fill(Side.SELL, cause=FillCause.LIQUIDATION))
    assert bench.alerts() == ["venue_stepped_in"] and bench.books.differs == {"BTC"}
    bench.take()
    assert bench.books.differs == {"BTC"}
