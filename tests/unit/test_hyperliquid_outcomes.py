"""What the venue's answers prove about each order: its own word inside `status: ok`, and nothing else."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import pytest

from adapters.hyperliquid.outcomes import (
    action_problem,
    came_too_late,
    cancel_problems,
    order_outcomes,
    refused_text,
    reject_reason,
    spent_requests,
)
from adapters.hyperliquid.transport import HttpReply
from domain.orders import Accepted, Rejected, RejectReason, Unknown
from tests.hyperliquid_rigs import DONE, cloid, err, ok, order_request, reply

ONE = [order_request(1)]
TWO = [order_request(1), order_request(2)]
REFUSED = "Insufficient margin to place order. asset=0"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Price must be divisible by tick size. asset=4", RejectReason.BAD_PRICE),
        ("Order must have minimum value of $10. asset=4", RejectReason.MIN_NOTIONAL),
        ("Order must have minimum value of $10", RejectReason.MIN_NOTIONAL),
        ("Order must have minimum value of 10 USDC.", RejectReason.MIN_NOTIONAL),
        ("Insufficient margin to place order. asset=0", RejectReason.INSUFFICIENT_MARGIN),
        ("Insufficient spot balance asset=10107", RejectReason.INSUFFICIENT_MARGIN),
        ("Reduce only order would increase position. asset=3", RejectReason.REDUCE_ONLY_WOULD_INCREASE),
        (
            "Post only order would have immediately matched, bbo was 0.56057@0.56086. asset=1",
            RejectReason.POST_ONLY_WOULD_MATCH,
        ),
        (
            "Order could not immediately match against any resting orders. asset=0",
            RejectReason.NO_IMMEDIATE_MATCH,
        ),
        ("No liquidity available for market order.", RejectReason.NO_IMMEDIATE_MATCH),
        ("Invalid TP/SL price. asset=0", RejectReason.BAD_TRIGGER),
        ("Order price too far from oracle", RejectReason.PRICE_OUTSIDE_BAND),
        ("Order price cannot be more than 80% away from the reference price", RejectReason.PRICE_OUTSIDE_BAND),
        ("Order price cannot be more than 95% away from the reference price", RejectReason.PRICE_OUTSIDE_BAND),
        ("Order has zero size.", RejectReason.BAD_SIZE),
        ("Order has invalid size.", RejectReason.BAD_SIZE),
        ("Order has invalid price.", RejectReason.BAD_PRICE),
        ("Order value too large. Max is $5000000.", RejectReason.BAD_SIZE),
        (
            "Order would cause position to exceed margin tier limit at current leverage",
            RejectReason.INSUFFICIENT_MARGIN,
        ),
        # No reason to try again, and nothing else that we act on.
        (
            "Order rejected due to price more aggressive than oracle while at open interest cap",
            RejectReason.OTHER,
        ),
        ("Only post-only orders allowed immediately after a network upgrade asset=0", RejectReason.OTHER),
        ("Trading is halted.", RejectReason.OTHER),
        ("Too many open orders.", RejectReason.OTHER),
        ("Something nobody has heard of", RejectReason.OTHER),
        ("", RejectReason.OTHER),
    ],
)
def test_the_venue_s_texts_are_sorted_by_their_parts(text: str, reason: RejectReason) -> None:
    assert reject_reason(text) is reason
    assert reject_reason(text.upper()) is reason
    assert order_outcomes(ok({"error": text}), ONE) == [Rejected(reason, " ".join(text.split()))]


def test_each_order_gets_the_word_in_its_place() -> None:
    requests = [order_request(number) for number in range(1, 5)]
    answer = ok(
        {"resting": {"oid": 77}},
        {"resting": {"oid": 78, "cloid": cloid(2)}},
        {"error": REFUSED},
        {"filled": {"totalSz": "0.004", "avgPx": "90123.4", "oid": 80, "cloid": cloid(4).upper().replace("0X", "0x")}},
    )
    assert order_outcomes(answer, requests) == [
        Accepted(77),
        Accepted(78),
        Rejected(RejectReason.INSUFFICIENT_MARGIN, REFUSED),
        Accepted(80, Decimal("0.004")),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        err("Invalid nonce: duplicate nonce 1791399877207"),
        err("Action already expired"),
        err("User or API Wallet 0x2cb5f6358e530a68801fc11cbe17698ab9d43d47 does not exist."),
        err("Order could not immediately match against any resting orders. asset=0"),
        err(REFUSED),
        reply({"status": "err", "response": {"error": REFUSED}}),
        reply(ok({"error": REFUSED}).body, 500),
        reply(ok({"resting": {"oid": 1}}).body, 202),
        reply(b"null", 429),
        reply(b"<html><body>502 Bad Gateway</body></html>", 502),
        reply(b"<html><body>502 Bad Gateway</body></html>"),
        reply(b""),
        reply(b"null"),
        reply(b"[]"),
        reply(b'"ok"'),
        reply(b"\xff\xfe"),
        reply(b"[" * 100_000),
        reply(ok({"error": REFUSED}).body[:-20]),
        reply({"status": "ok"}),
        reply({"status": "ok", "response": "Order rejected"}),
        reply({"status": "ok", "response": {"type": "order"}}),
        reply({"status": "ok", "response": {"type": "default"}}),
        reply({"status": "ok", "response": {"type": "order", "data": {"statuses": {"0": {"error": REFUSED}}}}}),
        reply({"status": "ok", "response": {"type": "cancel", "data": {"statuses": [{"error": REFUSED}]}}}),
        reply({"status": "OK", "response": {"type": "order", "data": {"statuses": [{"error": REFUSED}]}}}),
        reply({"error": REFUSED}),
        reply({"statuses": [{"error": REFUSED}]}),
        ok(),
    ],
)
def test_whatever_is_not_the_venue_s_word_about_the_order_leaves_it_unknown(answer: HttpReply) -> None:
    for requests in (ONE, TWO):
        outcomes = order_outcomes(answer, requests)
        assert len(outcomes) == len(requests)
        for outcome in outcomes:
            assert isinstance(outcome, Unknown)
            assert outcome.text and len(outcome.text) <= 300 and outcome.text.isprintable()


@pytest.mark.parametrize(
    "status",
    [
        "waitingForFill",
        "waitingForTrigger",
        "success",
        "error",
        None,
        7,
        [],
        {},
        {"error": None},
        {"error": 5},
        {"error": {"text": REFUSED}},
        {"error": REFUSED, "resting": {"oid": 1}},
        {"rejected": REFUSED},
        {"resting": {}},
        {"resting": {"oid": "77"}},
        {"resting": {"oid": True}},
        {"resting": {"oid": -1}},
        {"resting": {"oid": 7.5}},
        {"resting": {"oid": 77}, "filled": {"totalSz": "0.01", "avgPx": "1", "oid": 77}},
        {"filled": {"oid": 77}},
        {"filled": {"oid": 77, "totalSz": 0.01, "avgPx": "1"}},
        {"filled": {"oid": 77, "totalSz": "", "avgPx": "1"}},
        {"filled": {"oid": 77, "totalSz": "NaN", "avgPx": "1"}},
        {"filled": {"oid": 77, "totalSz": "1e-2", "avgPx": "1"}},
        {"filled": {"oid": 77, "totalSz": "-0.01", "avgPx": "1"}},
        {"filled": {"oid": 77, "totalSz": "0", "avgPx": "1"}},
        {"filled": {"oid": 77, "totalSz": "0.02", "avgPx": "1"}},
        # A word about the id is none about the order: one of that id may live.
        {"error": "Duplicate cloid."},
        {"error": "An order with this client order id already exists"},
    ],
)
def test_an_odd_entry_leaves_its_order_unknown_and_no_other(status: object) -> None:
    assert isinstance(order_outcomes(ok(status), ONE)[0], Unknown)
    first, second = order_outcomes(ok(status, {"resting": {"oid": 9}}), TWO)
    assert isinstance(first, Unknown)
    assert second == Accepted(9)


def test_one_error_of_the_payload_is_about_every_order_of_the_batch() -> None:
    text = "Order has invalid size."
    assert order_outcomes(ok({"error": text}), TWO) == [Rejected(RejectReason.BAD_SIZE, text)] * 2


@pytest.mark.parametrize(
    "text",
    [
        "Order could not immediately match against any resting orders. asset=0",
        "Order price cannot be more than 95% away from the reference price",
        REFUSED,
        "Something nobody has heard of",
    ],
)
def test_one_error_that_book_or_account_decide_is_about_nobody_knows_which_order(text: str) -> None:
    assert all(isinstance(outcome, Unknown) for outcome in order_outcomes(ok({"error": text}), TWO))


def test_fewer_entries_count_only_for_the_orders_that_they_name() -> None:
    requests = [order_request(number) for number in (1, 2, 3)]
    answer = ok({"resting": {"oid": 5, "cloid": cloid(3)}}, {"error": REFUSED})
    outcomes = order_outcomes(answer, requests)
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown, Accepted]
    assert outcomes[2] == Accepted(5)


def test_more_entries_than_orders_prove_nothing_without_a_name() -> None:
    assert isinstance(order_outcomes(ok({"error": REFUSED}, {"error": REFUSED}), ONE)[0], Unknown)


def test_entries_in_another_order_count_only_by_name() -> None:
    requests = [order_request(number) for number in (1, 2, 3)]
    answer = ok({"resting": {"oid": 5, "cloid": cloid(3)}}, {"error": REFUSED}, {"resting": {"oid": 6}})
    outcomes = order_outcomes(answer, requests)
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown, Accepted]


def test_an_entry_that_names_a_stranger_is_nobody_s() -> None:
    assert isinstance(order_outcomes(ok({"resting": {"oid": 5, "cloid": cloid(9)}}), ONE)[0], Unknown)


def test_no_damaged_answer_ever_rejects_or_accepts_what_it_did_not_name(seed: int) -> None:
    """Cut, with bytes changed, with parts exchanged: what still counts was said of exactly that order."""
    chance = random.Random(seed)
    whole = ok({"error": REFUSED}, {"resting": {"oid": 5, "cloid": cloid(2)}}).body
    for _ in range(2_000):
        body = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randrange(4)):
            if body:
                body[chance.randrange(len(body))] = chance.randrange(256)
        first, second = order_outcomes(HttpReply(200, bytes(body)), TWO)
        assert isinstance(first, Rejected | Unknown), "never accepted: the answer knows no oid of it"
        assert isinstance(second, Accepted | Unknown), "never rejected"
        if isinstance(second, Accepted):
            statuses = json.loads(bytes(body))["response"]["data"]["statuses"]
            assert statuses[1]["resting"]["oid"] == second.oid


def test_a_cancel_is_done_or_has_a_reason() -> None:
    late = "Order was never placed, already canceled, or filled. asset=1"
    problems = cancel_problems(ok("success", {"error": late}, {"error": "Other"}, 5, kind="cancel"), 4)
    assert problems[0] is None and problems[1] == late and problems[2] == "Other" and problems[3]
    assert [came_too_late(problem) for problem in problems[1:] if problem] == [True, False, False]
    for answer in (ok("success", kind="cancel"), err("no"), reply(b"", 502), ok("success", "success", kind="order")):
        assert all(problem is not None for problem in cancel_problems(answer, 2))


def test_an_action_without_entries_is_done_or_has_a_reason() -> None:
    assert action_problem(DONE) is None
    for answer in (err("Invalid leverage value"), reply(b"null", 429), ok(), reply(b"x"), reply({"status": "ok"})):
        assert action_problem(answer)


def test_the_venue_s_count_of_requests_is_read_from_its_refusal() -> None:
    text = (
        "Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $87457.46. "
        "Place taker orders to free up 1 request per USDC traded."
    )
    assert refused_text(err(text)) == text
    assert spent_requests(text) == (97_460, 97_456)
    assert spent_requests("Too many open orders.") is None
    assert (
        refused_text(ok()) is None and refused_text(reply(b"null", 429)) is None and refused_text(reply(b"x")) is None
    )
