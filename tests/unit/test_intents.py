"""Intents: identity of a decision, and the cloid that carries it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.candles import Interval
from domain.intents import (
    Action,
    IntentKey,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
    cloid_of,
    intent_id_of,
    is_our_cloid,
    request_for,
)
from tests.builders import TAG, make_intent, make_key


def test_the_key_of_a_decision_is_written_out_in_a_fixed_order() -> None:
    key = IntentKey("0xme", "mei_alpha_v1", "kPEPE", Action.TAKE_PROFIT, Interval.H1, 1_700_000_000_000, 2)
    assert key.text == "0xme:mei_alpha_v1:kPEPE:TAKE_PROFIT:1h:1700000000000:2"


def test_the_id_of_a_decision_never_changes() -> None:
    """A changed id would send every order of the current candle again after an update."""
    assert intent_id_of(make_key()) == "0512aa0e19a95f0b56edc0ec"


def test_the_cloid_of_an_attempt_never_changes() -> None:
    assert cloid_of("0512aa0e19a95f0b56edc0ec", 1, b"\x0a\x0b") == "0xa19c010a0bceb66648baf2e615e3bf00"


def test_names_with_colons_do_not_make_two_decisions_one() -> None:
    """Markets of other operators are called `dex:NAME`, and a user's strategy `module:function`."""
    one = IntentKey("0xme", "mine", "xyz:GOLD", Action.OPEN, Interval.H1, 0)
    other = IntentKey("0xme", "mine:xyz", "GOLD", Action.OPEN, Interval.H1, 0)
    assert one.text != other.text
    assert intent_id_of(one) != intent_id_of(other)


@pytest.mark.parametrize(
    "changed",
    [
        replace(make_key(), account="0xyou"),
        replace(make_key(), strategy="other"),
        make_key("ETH"),
        make_key(action=Action.ADD),
        replace(make_key(), interval=Interval.H1),
        make_key(open_ms=60_000),
        make_key(ordinal=1),
    ],
    ids=lambda key: key.text,
)
def test_every_part_of_the_key_makes_another_decision(changed: IntentKey) -> None:
    assert intent_id_of(changed) != intent_id_of(make_key())


def test_the_side_is_not_part_of_the_identity() -> None:
    """A reload that turns a signal around must not open the other way in the same candle."""
    assert make_intent(side=Side.BUY).intent_id == make_intent(side=Side.SELL).intent_id


def test_a_cloid_names_us_the_ledger_the_decision_and_the_attempt() -> None:
    cloid = cloid_of("abc", 1, b"\x0a\x0b")
    assert cloid.startswith("0xa19c010a0b") and len(cloid) == 34
    assert cloid_of("abc", 2, b"\x0a\x0b") != cloid
    assert cloid_of("abd", 1, b"\x0a\x0b") != cloid
    assert cloid_of("abc", 1, b"\x0a\x0c")[:8] == cloid[:8] and cloid_of("abc", 1, b"\x0a\x0c") != cloid


def test_an_instance_tag_has_two_bytes() -> None:
    for tag in (b"", b"a", b"abc"):
        with pytest.raises(AssertionError):
            cloid_of("abc", 1, tag)


@pytest.mark.parametrize(
    ("cloid", "ours"),
    [
        ("0xa19c01" + "0" * 26, True),
        ("0xA19C01" + "F" * 26, True),
        ("0xa19c02" + "0" * 26, False),
        ("0xa19c01" + "0" * 25, False),
        ("0xa19c01" + "0" * 27, False),
        ("0xa19c01" + "z" * 26, False),
        ("aiq_a19c01", False),
        ("", False),
    ],
)
def test_our_cloids_are_recognised_by_shape_and_magic_in_either_case(cloid: str, ours: bool) -> None:
    assert is_our_cloid(cloid) is ours


def test_only_open_and_add_increase_exposure_and_only_stop_and_target_rest() -> None:
    assert [action for action in Action if action.increases_exposure] == [Action.OPEN, Action.ADD]
    assert [action for action in Action if action.rests_as_trigger] == [Action.STOP, Action.TAKE_PROFIT]


def test_a_side_has_a_sign_and_an_opposite() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)


def test_a_request_carries_the_decision_unchanged() -> None:
    intent = replace(
        make_intent(side=Side.SELL, size="2.5"),
        reduce_only=True,
        time_in_force=TimeInForce.GTC,
        trigger=Trigger(TriggerKind.STOP_LOSS, Decimal(95)),
        leverage=Decimal(3),
        deadline_ms=61_500,
    )
    request = request_for(intent, 2, TAG)
    assert request.cloid == cloid_of(intent.intent_id, 2, TAG)
    assert (request.intent_id, request.symbol, request.side) == (intent.intent_id, "BTC", Side.SELL)
    assert (request.size, request.limit_price, request.leverage) == (Decimal("2.5"), Decimal(101), Decimal(3))
    assert (request.time_in_force, request.reduce_only) == (TimeInForce.GTC, True)
    assert request.trigger == Trigger(TriggerKind.STOP_LOSS, Decimal(95))
    assert request.deadline_ms == 61_500
