"""Whatever is sent, the venue reads it or refuses it; and what it writes down reads as the same action again."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from adapters.sim.venue.chain.actions import decode_action, decode_envelope, normal

KEYS = st.sampled_from(
    [
        "type",
        "orders",
        "grouping",
        "a",
        "b",
        "p",
        "s",
        "r",
        "t",
        "c",
        "limit",
        "tif",
        "cancels",
        "o",
        "oid",
        "order",
        "modifies",
        "time",
        "asset",
        "isCross",
        "leverage",
        "action",
        "nonce",
        "signature",
        "amount",
        "destination",
    ]
)
TAGS = ["order", "cancel", "cancelByCloid", "modify", "batchModify", "scheduleCancel", "updateLeverage", "noop", "Gtc"]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*TAGS, "1", "na"])
)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))

NUMBERS = st.from_regex(r"\A[0-9]{1,11}(\.[0-9]{1,16})?\Z")
CLOIDS = st.from_regex(r"\A0x[0-9a-fA-F]{32}\Z")
ASSETS = st.integers(0, (1 << 32) - 1)
OIDS = st.integers(0, (1 << 62))
KINDS = st.builds(
    lambda tif: {"limit": {"tif": tif}}, st.sampled_from(["Gtc", "Ioc", "Alo", "FrontendMarket"])
) | st.builds(
    lambda market, price, tpsl: {"trigger": {"isMarket": market, "triggerPx": price, "tpsl": tpsl}},
    st.booleans(),
    NUMBERS,
    st.sampled_from(["tp", "sl"]),
)
ORDERS = st.fixed_dictionaries(
    {"a": ASSETS, "b": st.booleans(), "p": NUMBERS, "s": NUMBERS, "r": st.booleans(), "t": KINDS},
    optional={"c": CLOIDS},
)
GROUPINGS = st.sampled_from(["na", "normalTpsl", "positionTpsl"]) | st.builds(lambda p: {"p": p}, ASSETS)
ACTIONS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("order"), "orders": st.lists(ORDERS, max_size=3), "grouping": GROUPINGS},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("cancel"),
            "cancels": st.lists(st.fixed_dictionaries({"a": ASSETS, "o": OIDS}), max_size=3),
        },
        optional={"f": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"type": st.just("modify"), "oid": OIDS | CLOIDS, "order": ORDERS}, optional={"a": st.booleans()}
    ),
    st.fixed_dictionaries({"type": st.just("scheduleCancel")}, optional={"time": OIDS | st.none()}),
)


@given(ANYTHING)
def test_no_json_breaks_the_reader(raw: object) -> None:
    decode_action(raw)
    decode_envelope(raw)
    decode_envelope(json.dumps(raw).encode())


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    assert decode_envelope(body) is None


@given(ACTIONS)
def test_what_was_written_down_reads_the_same(raw: dict[str, object]) -> None:
    first = decode_action(raw)
    assert first is not None
    again = decode_action(json.loads(json.dumps(first.canonical)))
    assert again == first
    assert list(again.canonical) == list(first.canonical)


@given(ACTIONS)
def test_the_order_of_keys_that_were_sent_does_not_matter_to_the_reader(raw: dict[str, object]) -> None:
    turned = dict(reversed(raw.items()))
    one, other = decode_action(raw), decode_action(turned)
    assert one is not None and other is not None
    assert json.dumps(one.canonical) == json.dumps(other.canonical)


@given(NUMBERS)
def test_a_number_keeps_its_value_and_has_one_form(number: str) -> None:
    written = normal(number)
    assert Decimal(written) == Decimal(number)
    assert written == normal(written)
    assert not ("." in written and written[-1] in "0.")
    assert written == "0" or not written.startswith("0") or written.startswith("0.")
