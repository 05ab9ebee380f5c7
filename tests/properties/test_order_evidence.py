"""An order's life is the join of its evidence: in any order, with repetitions, it ends in the same place."""

import random
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.step import Step
from domain.candles import Interval
from domain.events import FillArrived, OrderCanceled, OrderOutcome
from domain.facts import FillRecorded, LedgerState
from domain.intents import Side, cloid_of
from domain.orders import (
    Accepted,
    Order,
    OrderStatus,
    Rejected,
    RejectReason,
    SubmitOutcome,
    Unknown,
    Would,
    with_cancel,
    with_fill,
    with_outcome,
)
from tests.builders import T0, TAG, make_fill, make_order, make_wish

OID = 7
SIZE = Decimal(2)


@dataclass(frozen=True)
class Cancel:
    reason: str = "canceled"


@dataclass(frozen=True)
class Execution:
    number: int
    size: Decimal


Evidence = SubmitOutcome | Cancel | Execution
ANSWERS: list[SubmitOutcome] = [
    Accepted(OID),
    Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no match"),
    Rejected(RejectReason.OTHER, "no"),
    Unknown("timed out"),
    Would(),
]
OUTCOMES = st.sampled_from(ANSWERS)


@st.composite
def evidence_lists(draw: st.DrawFn) -> list[Evidence]:
    """Anything that may be said of an order of size 2: answers that contradict each other, a cancel, fills."""
    answers: list[Evidence] = list(draw(st.lists(OUTCOMES, max_size=4)))
    if draw(st.booleans()):
        answers.append(Cancel())
    sizes = draw(st.lists(st.sampled_from(["0.25", "0.5", "1"]).map(Decimal), max_size=5))
    total = Decimal(0)
    for number, size in enumerate(sizes):
        if total + size <= SIZE:
            total += size
            answers.append(Execution(number, size))
    return draw(st.permutations(answers))


def joined(order: Order, evidence: list[Evidence]) -> Order:
    for piece in evidence:
        match piece:
            case Cancel(reason):
                order = with_cancel(order, reason)
            case Execution(_, size):
                order = with_fill(order, size, OID)
            case _:
                order = with_outcome(order, piece)
    return order


def expected(evidence: list[Evidence]) -> tuple[OrderStatus, Decimal]:
    """Fill before venue status before answer before silence, said from the end."""
    filled = sum((piece.size for piece in evidence if isinstance(piece, Execution)), Decimal(0))
    kinds = {type(piece) for piece in evidence}
    if filled == SIZE:
        return OrderStatus.FILLED, filled
    if Cancel in kinds:
        return OrderStatus.CANCELED, filled
    if filled or Accepted in kinds:
        return OrderStatus.OPEN, filled
    for kind, status in ((Rejected, OrderStatus.REJECTED), (Would, OrderStatus.WOULD), (Unknown, OrderStatus.UNKNOWN)):
        if kind in kinds:
            return status, filled
    return OrderStatus.SENT, filled


@given(evidence_lists())
@example([Accepted(OID), Rejected(RejectReason.OTHER, "no")])
@example([Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no match"), Cancel()])
@example([Would(), Execution(0, Decimal(1))])
def test_the_strongest_evidence_stands(evidence: list[Evidence]) -> None:
    order = joined(make_order("2"), evidence)
    assert (order.status, order.filled) == expected(evidence)
    heard_of = any(isinstance(piece, Accepted | Execution) for piece in evidence)
    assert order.oid == (OID if heard_of else None)


@given(evidence_lists(), st.randoms(use_true_random=False))
def test_the_order_in_which_evidence_arrives_does_not_matter(evidence: list[Evidence], chance: random.Random) -> None:
    shuffled = list(evidence)
    chance.shuffle(shuffled)
    one, other = joined(make_order("2"), evidence), joined(make_order("2"), shuffled)
    assert (one.status, one.filled, one.oid) == (other.status, other.filled, other.oid)


@given(evidence_lists(), OUTCOMES)
def test_what_was_said_before_changes_nothing_when_said_again(evidence: list[Evidence], extra: SubmitOutcome) -> None:
    order = with_outcome(joined(make_order("2"), evidence), extra)
    for piece in (*evidence, extra):
        if isinstance(piece, Cancel):
            assert with_cancel(order, piece.reason) is order
        elif not isinstance(piece, Execution):
            assert with_outcome(order, piece) is order


@given(evidence_lists(), st.lists(st.integers(0, 9), max_size=8), st.randoms(use_true_random=False))
def test_the_oms_ends_in_the_same_place_whatever_is_repeated_and_however_it_is_ordered(
    evidence: list[Evidence], repeats: list[int], chance: random.Random
) -> None:
    heard = evidence + [evidence[place % len(evidence)] for place in repeats if evidence]
    chance.shuffle(heard)
    portfolio = Portfolio()
    oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, portfolio)
    oms.restore(LedgerState(TAG))
    intent = oms.place(Step(0, T0), make_wish(size=SIZE))
    assert intent is not None
    cloid = cloid_of(intent.intent_id, 1, TAG)
    booked: list[FillRecorded] = []
    for number, piece in enumerate(heard, start=1):
        step = Step(number, T0 + number)
        match piece:
            case Cancel(reason):
                oms.on_canceled(step, OrderCanceled(cloid, reason))
            case Execution(tid, size):
                oms.on_fill(step, FillArrived(make_fill(Side.BUY, size, tid=tid, oid=OID, cloid=cloid)))
            case _:
                oms.on_outcome(step, OrderOutcome(cloid, piece))
        booked += [fact for fact in step.facts if isinstance(fact, FillRecorded)]
    status, filled = expected(evidence)
    assert sum((fact.fill.size for fact in booked), Decimal(0)) == filled == portfolio.position("BTC").size
    assert {fact.intent_id for fact in booked} <= {intent.intent_id}
    live = oms.live_orders("BTC")
    assert len(live) == (1 if status.may_live else 0)
    assert all((each.order.status, each.order.filled) == (status, filled) for each in live)
    assert oms.has_unknown("BTC") == (status is OrderStatus.UNKNOWN)
