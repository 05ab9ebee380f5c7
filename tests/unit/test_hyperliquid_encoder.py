"""Requests as actions: the exact keys, their order, the number texts, and what never leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.hyperliquid.action_hash import action_hash
from adapters.hyperliquid.encoder import MAX_PER_ACTION, ActionEncoder, wire_number
from domain.instruments import Instrument, Universe, single_tier
from domain.intents import OrderRequest, Payload, Side, TimeInForce, Trigger, TriggerKind

UNIVERSE = Universe((Instrument("BTC", 5, single_tier(40)), Instrument("kPEPE", 0, single_tier(10))))
ENCODER = ActionEncoder(UNIVERSE, {"BTC": 3, "kPEPE": 0, "GONE": 7})
CLOID = "0xa19c010000000000000000000000000f"
REQUEST = OrderRequest(
    cloid=CLOID,
    intent_id="intent",
    symbol="BTC",
    side=Side.BUY,
    size=Decimal("0.00100"),
    limit_price=Decimal("85000.0"),
    time_in_force=TimeInForce.IOC,
    reduce_only=False,
    trigger=None,
    leverage=Decimal(3),
)


def cloid(number: int) -> str:
    return f"0x{number:032x}"


def test_a_market_order_to_the_byte() -> None:
    assert json.dumps(ENCODER.order(REQUEST)) == (
        '{"type": "order", "orders": [{"a": 3, "b": true, "p": "85000", "s": "0.001", "r": false, '
        '"t": {"limit": {"tif": "Ioc"}}, "c": "0xa19c010000000000000000000000000f"}], "grouping": "na"}'
    )


@pytest.mark.parametrize(("kind", "word"), [(TriggerKind.STOP_LOSS, "sl"), (TriggerKind.TAKE_PROFIT, "tp")])
def test_a_trigger_is_a_market_order_with_its_limit(kind: TriggerKind, word: str) -> None:
    request = replace(
        REQUEST,
        symbol="kPEPE",
        side=Side.SELL,
        size=Decimal("1E+3"),
        limit_price=Decimal("0.000100"),
        reduce_only=True,
        trigger=Trigger(kind, Decimal("0.00020")),
    )
    assert json.dumps(ENCODER.order(request)) == (
        '{"type": "order", "orders": [{"a": 0, "b": false, "p": "0.0001", "s": "1000", "r": true, '
        '"t": {"trigger": {"isMarket": true, "triggerPx": "0.0002", "tpsl": "' + word + '"}}, '
        '"c": "0xa19c010000000000000000000000000f"}], "grouping": "na"}'
    )


@pytest.mark.parametrize(
    ("tif", "word"), [(TimeInForce.IOC, "Ioc"), (TimeInForce.GTC, "Gtc"), (TimeInForce.ALO, "Alo")]
)
def test_each_time_in_force(tif: TimeInForce, word: str) -> None:
    action = json.dumps(ENCODER.order(replace(REQUEST, time_in_force=tif)))
    assert f'"t": {{"limit": {{"tif": "{word}"}}}}' in action


def test_a_payload_is_the_action_to_the_byte_and_its_name() -> None:
    payload = ENCODER.payload(REQUEST, 1_767_571_200_000, 1_767_571_210_000)
    assert payload == Payload(
        1_767_571_200_000,
        1_767_571_210_000,
        '{"type":"order","orders":[{"a":3,"b":true,"p":"85000","s":"0.001","r":false,'
        '"t":{"limit":{"tif":"Ioc"}},"c":"0xa19c010000000000000000000000000f"}],"grouping":"na"}',
        action_hash(ENCODER.order(REQUEST), 1_767_571_200_000, None, 1_767_571_210_000).hex(),
    )
    assert ENCODER.payload(REQUEST, 1_767_571_200_000, 1_767_571_210_000) == payload, "on any machine, at any time"
    again = json.loads(payload.action)
    assert action_hash(again, payload.nonce, None, payload.expires_ms).hex() == payload.digest, "and back from its text"


def test_the_name_of_a_payload_is_that_of_its_nonce_expiry_vault_and_terms() -> None:
    vault = ActionEncoder(UNIVERSE, {"BTC": 3}, "0x" + "ab" * 20)
    payloads = [
        ENCODER.payload(REQUEST, 2, 100),
        ENCODER.payload(REQUEST, 4, 100),
        ENCODER.payload(REQUEST, 2, 101),
        ENCODER.payload(replace(REQUEST, size=Decimal("0.00101")), 2, 100),
        vault.payload(REQUEST, 2, 100),
    ]
    assert len({payload.digest for payload in payloads}) == len(payloads)
    assert payloads[-1].digest == action_hash(ENCODER.order(REQUEST), 2, "0x" + "ab" * 20, 100).hex()


def test_cancel_leverage_and_noop_to_the_byte() -> None:
    assert json.dumps(ENCODER.cancel([("BTC", cloid(1)), ("kPEPE", cloid(2))])) == (
        '{"type": "cancelByCloid", "cancels": [{"asset": 3, "cloid": "0x00000000000000000000000000000001"}, '
        '{"asset": 0, "cloid": "0x00000000000000000000000000000002"}]}'
    )
    assert json.dumps(ENCODER.leverage("BTC", 21, is_cross=False)) == (
        '{"type": "updateLeverage", "asset": 3, "isCross": false, "leverage": 21}'
    )
    assert json.dumps(ENCODER.noop()) == '{"type": "noop"}'


def test_what_sets_and_clears_the_venue_s_switch_to_the_byte() -> None:
    assert json.dumps(ENCODER.schedule_cancel(None)) == '{"type": "scheduleCancel"}'
    assert json.dumps(ENCODER.schedule_cancel(123_456_789)) == '{"type": "scheduleCancel", "time": 123456789}'


def test_others_orders_are_named_by_the_venue_s_numbers() -> None:
    action = ENCODER.cancel_oids([("kPEPE", 566_563_303_535), ("BTC", 7)])
    assert json.dumps(action, separators=(",", ":")) == (
        '{"type":"cancel","cancels":[{"a":0,"o":566563303535},{"a":3,"o":7}]}'
    )
    for pairs in ([], [("BTC", oid) for oid in range(201)]):
        with pytest.raises(AssertionError, match="1 to 200"):
            ENCODER.cancel_oids(pairs)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.0147", "0.0147"),
        ("1670.10", "1670.1"),
        ("100", "100"),
        ("1E+2", "100"),
        ("1E+6", "1000000"),
        ("1e-08", "0.00000001"),
        ("123456.78901234", "123456.78901234"),
        ("12345678901.50", "12345678901.5"),
        ("85000.0", "85000"),
        ("0E-20", "0"),
        ("-0.0", "0"),
        ("1.0000000000000000000000000000000000000000", "1"),
        ("123456789012345678901234567890123.00000001", "123456789012345678901234567890123.00000001"),
    ],
)
def test_numbers_are_in_the_venues_normal_form(value: str, text: str) -> None:
    assert wire_number(Decimal(value)) == text
    with localcontext() as context:
        context.prec = 3
        assert wire_number(Decimal(value)) == text, "whatever the precision in force"


@pytest.mark.parametrize("value", ["1e-9", "0.123456789", "-1", "NaN", "Infinity", "-Infinity"])
def test_what_is_no_size_or_price_never_leaves(value: str) -> None:
    with pytest.raises(AssertionError):
        wire_number(Decimal(value))


@given(st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=8))
def test_a_numbers_text_is_the_number_and_normal(value: Decimal) -> None:
    text = wire_number(value)
    assert Decimal(text) == value
    assert not set(text) - set("0123456789.")
    assert not ("." in text and text.endswith(("0", ".")))
    assert text == "0" or not text.startswith("0") or text.startswith("0.")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": Decimal("0.000001")}, "fits its step"),
        ({"size": Decimal(0)}, "fits its step"),
        ({"size": Decimal(-1)}, "fits its step"),
        ({"limit_price": Decimal("85000.5")}, "fits its tick"),
        ({"limit_price": Decimal(0)}, "fits its tick"),
        ({"trigger": Trigger(TriggerKind.STOP_LOSS, Decimal("84000.5"))}, "trigger price of BTC fits"),
        ({"symbol": "btc"}, "is a symbol of this session"),
        ({"symbol": "GONE"}, "is a symbol of this session"),
        ({"cloid": CLOID.upper()}, "lower case"),
        ({"cloid": CLOID[:-1]}, "32 hexadecimal digits"),
        ({"cloid": CLOID + "0"}, "32 hexadecimal digits"),
    ],
)
def test_a_misfit_is_a_bug_of_ours_and_never_leaves(change: dict[str, Any], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        ENCODER.payload(replace(REQUEST, **change), 2, 3)


def test_a_symbol_without_a_number_never_leaves() -> None:
    with pytest.raises(AssertionError, match="number of BTC is known"):
        ActionEncoder(UNIVERSE, {"kPEPE": 0}).payload(REQUEST, 2, 3)


def test_the_size_of_an_action_is_bounded() -> None:
    pairs = [("BTC", cloid(number)) for number in range(MAX_PER_ACTION + 1)]
    ENCODER.cancel(pairs[:-1])
    with pytest.raises(AssertionError, match="1 to 200"):
        ENCODER.cancel(pairs)
    with pytest.raises(AssertionError, match="1 to 200"):
        ENCODER.cancel([])


def test_a_cancel_needs_the_venues_number_and_nothing_of_the_instrument() -> None:
    assert ENCODER.cancel([("GONE", CLOID)])["cancels"] == [{"asset": 7, "cloid": CLOID}]


@pytest.mark.parametrize("leverage", [0, -1, 41, True])
def test_leverage_stays_within_the_market(leverage: int) -> None:
    with pytest.raises(AssertionError, match="whole leverages from 1 to 40"):
        ENCODER.leverage("BTC", leverage, is_cross=True)
