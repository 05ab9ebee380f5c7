"""Orders: what each piece of evidence does to an order, whatever came before it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.orders import (
    Accepted,
    Order,
    OrderStatus,
    Rejected,
    RejectReason,
    Unknown,
    Would,
    with_cancel,
    with_fill,
    with_outcome,
)
from tests.builders import make_order

D = Decimal
REJECTED = Rejected(RejectReason.INSUFFICIENT_MARGIN, "Insufficient margin")
UNKNOWN = Unknown("timed out")


def test_an_order_begins_sent_and_in_flight_and_may_live() -> None:
    order = make_order("2")
    assert (order.status, order.filled, order.remaining) == (OrderStatus.SENT, D(0), D(2))
    assert order.in_flight and order.status.may_live and not order.status.is_terminal


def test_an_accepted_order_is_open_under_its_oid() -> None:
    order = with_outcome(make_order(), Accepted(7))
    assert (order.status, order.oid, order.in_flight) == (OrderStatus.OPEN, 7, False)


def test_what_the_answer_says_was_filled_is_not_counted_twice_with_the_fill() -> None:
    order = with_outcome(make_order("2"), Accepted(7, filled=D(2)))
    assert order.filled == 0
    assert with_fill(order, D(2), 7).filled == 2


def test_a_rejected_order_keeps_the_venues_word() -> None:
    order = with_outcome(make_order(), REJECTED)
    assert (order.status, order.reason) == (OrderStatus.REJECTED, "insufficient_margin: Insufficient margin")
    assert not order.status.may_live


def test_no_answer_makes_an_order_unknown_and_unknown_may_live() -> None:
    order = with_outcome(make_order(), UNKNOWN)
    assert (order.status, order.reason) == (OrderStatus.UNKNOWN, "timed out")
    assert order.in_flight and order.status.may_live


def test_what_was_unknown_can_still_be_accepted_or_rejected() -> None:
    unknown = with_outcome(make_order(), UNKNOWN)
    assert with_outcome(unknown, Accepted(7)).status is OrderStatus.OPEN
    assert with_outcome(unknown, REJECTED).status is OrderStatus.REJECTED


def test_a_would_order_is_over() -> None:
    order = with_outcome(make_order(), Would())
    assert order.status is OrderStatus.WOULD and order.status.is_terminal


def test_silence_after_an_answer_changes_nothing() -> None:
    for outcome in (Accepted(7), REJECTED, Would()):
        order = with_outcome(make_order(), outcome)
        assert with_outcome(order, UNKNOWN) is order


@pytest.mark.parametrize(
    "outcome", [Accepted(7), REJECTED, UNKNOWN, Would()], ids=lambda outcome: type(outcome).__name__
)
def test_a_repeated_answer_is_the_same_order(outcome: Accepted | Rejected | Unknown | Would) -> None:
    order = with_outcome(make_order(), outcome)
    assert with_outcome(order, outcome) is order


def test_a_repeated_cancel_is_the_same_order() -> None:
    order = with_cancel(make_order(), "canceled")
    assert with_cancel(order, "canceled") is order


def test_fills_add_up_until_the_order_is_filled() -> None:
    part = with_fill(make_order("2"), D("0.5"), 7)
    assert (part.status, part.filled, part.remaining, part.oid) == (OrderStatus.OPEN, D("0.5"), D("1.5"), 7)
    full = with_fill(part, D("1.5"), 7)
    assert (full.status, full.remaining) == (OrderStatus.FILLED, D(0))


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.DEAD, OrderStatus.WOULD, OrderStatus.UNKNOWN])
def test_a_fill_beats_everything_that_says_the_order_never_lived(status: OrderStatus) -> None:
    order = replace(make_order("2"), status=status)
    assert with_fill(order, D(1), 7).status is OrderStatus.OPEN
    assert with_fill(order, D(2), 7).status is OrderStatus.FILLED


def test_a_fill_of_a_canceled_order_counts_and_it_stays_canceled() -> None:
    order = with_fill(with_cancel(make_order("2"), "canceled"), D(1), 7)
    assert (order.status, order.filled) == (OrderStatus.CANCELED, D(1))
    assert with_fill(order, D(1), 7).status is OrderStatus.FILLED


def test_a_rejection_after_a_fill_changes_nothing() -> None:
    order = with_fill(make_order("2"), D(1), 7)
    assert with_outcome(order, REJECTED) is order


def test_what_was_filled_before_a_cancel_stays_filled() -> None:
    order = with_cancel(with_fill(make_order("2"), D(1), 7), "canceled")
    assert (order.status, order.filled, order.reason) == (OrderStatus.CANCELED, D(1), "canceled")


def test_a_filled_order_cannot_be_canceled() -> None:
    order = with_fill(make_order(), D(1), 7)
    assert with_cancel(order, "canceled") is order


def test_the_oid_of_a_late_answer_is_kept_even_when_the_order_has_ended() -> None:
    """A fill that names no cloid can then still be told to be its."""
    order = with_outcome(with_cancel(make_order(), "canceled"), Accepted(7))
    assert (order.status, order.oid) == (OrderStatus.CANCELED, 7)


def test_the_venues_cancel_outranks_an_answer_that_it_was_rejected() -> None:
    """An IOC order without a match is told twice: rejected in the answer, canceled in the stream."""
    order = make_order()
    first = with_cancel(with_outcome(order, REJECTED), "iocCancelRejected")
    last = with_outcome(with_cancel(order, "iocCancelRejected"), REJECTED)
    assert first.status is last.status is OrderStatus.CANCELED


def test_of_two_answers_that_contradict_each_other_the_order_that_may_live_counts() -> None:
    order = make_order()
    first = with_outcome(with_outcome(order, REJECTED), Accepted(7))
    last = with_outcome(with_outcome(order, Accepted(7)), REJECTED)
    assert first.status is last.status is OrderStatus.OPEN


def test_the_oid_an_order_was_accepted_under_is_not_replaced_by_a_fills() -> None:
    """A fill that was matched by time alone may turn out to be somebody else's."""
    accepted = with_outcome(make_order("2"), Accepted(7))
    assert with_fill(accepted, D(1), 8).oid == 7
    assert with_outcome(with_fill(make_order("2"), D(1), 8), Accepted(7)).oid == 7


def test_more_than_was_ordered_is_filled_and_shows() -> None:
    order = with_fill(make_order("1"), D("1.5"), 7)
    assert (order.status, order.remaining) == (OrderStatus.FILLED, D("-0.5"))


def test_only_three_rejections_allow_another_attempt() -> None:
    allowed = [reason for reason in RejectReason if reason.allows_another_attempt]
    assert allowed == [
        RejectReason.NO_IMMEDIATE_MATCH,
        RejectReason.POST_ONLY_WOULD_MATCH,
        RejectReason.PRICE_OUTSIDE_BAND,
    ]


def test_terminal_are_exactly_those_that_may_not_live() -> None:
    terminal = {status for status in OrderStatus if status.is_terminal}
    assert terminal == set(OrderStatus) - {OrderStatus.SENT, OrderStatus.UNKNOWN, OrderStatus.OPEN}
    assert all(status.may_live is not status.is_terminal for status in OrderStatus)


def test_an_order_in_flight_is_one_nobody_has_spoken_of() -> None:
    in_flight = {status for status in OrderStatus if replace(make_order(), status=status).in_flight}
    assert in_flight == {OrderStatus.SENT, OrderStatus.UNKNOWN}


def test_an_order_is_its_request_and_attempt() -> None:
    order: Order = make_order("3")
    assert (order.attempt, order.request.size) == (1, D(3))
