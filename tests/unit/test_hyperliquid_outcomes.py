"""What the venue's answers prove about each order: its own word inside `status: ok`, and nothing else."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from adapters.hyperliquid.outcomes import (
    action_problem,
    came_too_late,
    cancel_problems,
    is_burned,
    order_outcome,
    refused_text,
    reject_reason,
    spent_requests,
)
from adapters.hyperliquid.transport import HttpReply
from domain.orders import Accepted, Rejected, RejectReason, SubmitOutcome, Unknown
from tests.hyperliquid_rigs import DONE, cloid, err, ok, order_request, reply

ONE = order_request(1)
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
        ("Too many open orders.", RejectReason.TOO_MANY_ORDERS),
        ("Too many open orders. asset=3", RejectReason.TOO_MANY_ORDERS),
        ("Reduce only order rejected: user has 1000 other open orders. asset=3", RejectReason.TOO_MANY_ORDERS),
        # No reason to try again, and nothing else that we act on.
        (
            "Order rejected due to price more aggressive than oracle while at open interest cap",
            RejectReason.OTHER,
        ),
        ("Only post-only orders allowed immediately after a network upgrade asset=0", RejectReason.OTHER),
        ("Trading is halted.", RejectReason.OTHER),
        ("Something nobody has heard of", RejectReason.OTHER),
        ("", RejectReason.OTHER),
    ],
)
def test_the_venue_s_texts_are_sorted_by_their_parts(text: str, reason: RejectReason) -> None:
    assert reject_reason(text) is reason
    assert reject_reason(text.upper()) is reason
    assert order_outcome(ok({"error": text}), ONE) == Rejected(reason, " ".join(text.split()))


@pytest.mark.parametrize(
    ("entry", "outcome"),
    [
        ({"resting": {"oid": 77}}, Accepted(77)),
        ({"resting": {"oid": 78, "cloid": cloid(1)}}, Accepted(78)),
        ({"error": REFUSED}, Rejected(RejectReason.INSUFFICIENT_MARGIN, REFUSED)),
        ({"filled": {"totalSz": "0.004", "avgPx": "90123.4", "oid": 80}}, Accepted(80, Decimal("0.004"))),
        (
            {"filled": {"totalSz": "0.01", "avgPx": "9", "oid": 81, "cloid": cloid(1).upper().replace("0X", "0x")}},
            Accepted(81, Decimal("0.01")),
        ),
    ],
)
def test_the_venue_s_word_about_an_order(entry: object, outcome: SubmitOutcome) -> None:
    assert order_outcome(ok(entry), ONE) == outcome


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
    outcome = order_outcome(answer, ONE)
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
def test_an_odd_entry_leaves_its_order_unknown(status: object) -> None:
    assert isinstance(order_outcome(ok(status), ONE), Unknown)


@pytest.mark.parametrize(
    "word", [{"error": REFUSED}, {"resting": {"oid": 5}}, {"resting": {"oid": 5, "cloid": cloid(1)}}]
)
def test_more_answers_than_orders_prove_nothing(word: object) -> None:
    assert isinstance(order_outcome(ok(word, {"error": REFUSED}), ONE), Unknown)
    assert isinstance(order_outcome(ok({"resting": {"oid": 6}}, word), ONE), Unknown)


@pytest.mark.parametrize("state", ["resting", "filled"])
def test_an_entry_that_names_a_stranger_is_nobody_s(state: str) -> None:
    entry = {"oid": 5, "cloid": cloid(9), "totalSz": "0.01", "avgPx": "1"}
    assert isinstance(order_outcome(ok({state: entry}), ONE), Unknown)


@pytest.mark.parametrize(
    ("entry", "never"), [({"error": REFUSED}, Accepted), ({"resting": {"oid": 5, "cloid": cloid(1)}}, Rejected)]
)
def test_no_damaged_answer_ever_says_the_opposite(entry: dict[str, Any], never: type, seed: int) -> None:
    """Cut, with bytes changed: a refusal never becomes an order, nor an order a refusal; an oid is as it stands."""
    chance = random.Random(seed)
    whole = ok(entry).body
    for _ in range(2_000):
        body = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randrange(4)):
            if body:
                body[chance.randrange(len(body))] = chance.randrange(256)
        outcome = order_outcome(HttpReply(200, bytes(body)), ONE)
        assert not isinstance(outcome, never)
        if isinstance(outcome, Accepted):
            assert json.loads(bytes(body))["response"]["data"]["statuses"][0]["resting"]["oid"] == outcome.oid


@pytest.mark.parametrize(
    ("answer", "burned"),
    [
        (DONE, True),
        (err("Invalid nonce: duplicate nonce 1791399877207"), True),
        (err("Invalid nonce: nonce too low 1791140676851 < 1791227196699"), True),
        (err("INVALID NONCE: DUPLICATE NONCE 1791399877207"), True),
        (err("Invalid nonce: nonce too high 1791572677029 > 1791486156858"), False),
        (err("Action already expired"), False),
        (err("User or API Wallet 0x2cb5f6358e530a68801fc11cbe17698ab9d43d47 does not exist."), False),
        (err("Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $87457.46."), False),
        (err(""), False),
        (ok({"resting": {"oid": 1}}), False),
        (ok({"error": "duplicate nonce"}), False),
        (reply({"error": "duplicate nonce"}), False),
        (reply(err("Invalid nonce: duplicate nonce 1").body, 500), False),
        (reply(DONE.body, 502), False),
        (reply(DONE.body[:-3]), False),
        (reply({"status": "ok"}), False),
        (reply(b"null", 429), False),
        (reply(b"null"), False),
        (reply(b""), False),
    ],
)
def test_what_proves_that_a_nonce_is_used_up(answer: HttpReply, burned: bool) -> None:
    assert is_burned(answer) is burned


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
