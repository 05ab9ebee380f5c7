"""What the venue reads as a signed action, what it answers with 422, and how it writes an action down again."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from adapters.sim.venue.chain.actions import (
    ApproveAgent,
    BatchModify,
    Cancel,
    Order,
    OrderWire,
    SubAccountTransfer,
    UserSigned,
    decode_action,
    decode_envelope,
    normal,
)
from adapters.sim.venue.chain.signing import action_hash
from adapters.sim.venue.exchange.orders import Grouping, Tif, TriggerSpec
from domain.intents import Side, Trigger, TriggerKind

ADDRESS = "0x5e9ee1089755c3435139848e47e6635505d5a13a"
CLOID = "0x1234567890abcdef1234567890abcdef"
ORDER: dict[str, object] = {"a": 0, "b": True, "p": "85000", "s": "0.001", "r": False, "t": {"limit": {"tif": "Gtc"}}}
STOP = {"trigger": {"isMarket": True, "triggerPx": "80000", "tpsl": "sl"}}
SIGNED: dict[str, object] = {"signatureChainId": "0x66eee", "hyperliquidChain": "Testnet"}


def batch(order: object = ORDER, **more: object) -> dict[str, object]:
    return {"type": "order", "orders": [order], "grouping": "na"} | more


def changed(**fields: object) -> dict[str, object]:
    return batch(ORDER | fields)


def without(key: str) -> dict[str, object]:
    return batch({name: value for name, value in ORDER.items() if name != key})


DOCUMENTED: list[dict[str, object]] = [
    batch(),
    changed(c=CLOID),
    changed(t=STOP),
    changed(t={"limit": {"tif": "FrontendMarket"}}),
    batch(builder={"b": ADDRESS, "f": 10}),
    batch(grouping="normalTpsl"),
    batch(grouping="positionTpsl"),
    batch(grouping={"p": 80_000}),
    {"type": "cancel", "cancels": [{"a": 0, "o": 566563303535}]},
    {"type": "cancel", "cancels": [{"a": 0, "o": 566563303535}], "f": True},
    {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": CLOID}]},
    {"type": "modify", "oid": 566563303535, "order": ORDER},
    {"type": "modify", "oid": CLOID, "order": ORDER, "a": True},
    {"type": "batchModify", "modifies": [{"oid": CLOID, "order": ORDER}, {"oid": 7, "order": ORDER}]},
    {"type": "scheduleCancel"},
    {"type": "scheduleCancel", "time": 1700000010000},
    {"type": "updateLeverage", "asset": 4, "isCross": True, "leverage": 21},
    {"type": "updateIsolatedMargin", "asset": 4, "isBuy": True, "ntli": -1000000},
    {"type": "topUpIsolatedOnlyMargin", "asset": 3, "leverage": "1.5"},
    {"type": "noop"},
    {"type": "reserveRequestWeight", "weight": 1000},
    {"type": "createSubAccount", "name": "example"},
    {"type": "subAccountTransfer", "subAccountUser": ADDRESS, "isDeposit": True, "usd": 10},
    {"type": "setReferrer", "code": "ABC"},
    {"type": "twapOrder", "twap": {"a": 0, "b": True, "s": "0.01", "r": False, "m": 30, "t": True}},
    {"type": "twapCancel", "a": 0, "t": 77738308},
]
USER_SIGNED: list[dict[str, object]] = [
    {"type": "approveAgent", "agentAddress": ADDRESS, "agentName": "bot", "nonce": 1, **SIGNED},
    {"type": "usdClassTransfer", "amount": "100.0", "toPerp": True, "nonce": 1, **SIGNED},
    {"type": "usdClassTransfer", "amount": f"100 subaccount:{ADDRESS}", "toPerp": True, "nonce": 1, **SIGNED},
    {"type": "usdSend", "destination": ADDRESS, "amount": "25", "time": 1, **SIGNED},
    {"type": "withdraw3", "destination": ADDRESS, "amount": "25", "time": 1, **SIGNED},
    {"type": "spotSend", "destination": ADDRESS, "token": "USDC:0x6d1e", "amount": "2.5", "time": 1, **SIGNED},
    {
        "type": "sendAsset",
        "destination": ADDRESS,
        "sourceDex": "",
        "destinationDex": "spot",
        "token": "USDC",
        "amount": "10",
        "fromSubAccount": "",
        "nonce": 1,
        **SIGNED,
    },
    {"type": "approveBuilderFee", "maxFeeRate": "0.01%", "builder": ADDRESS, "nonce": 1, **SIGNED},
    {"type": "userSetAbstraction", "user": ADDRESS, "abstraction": "disabled", "nonce": 1, **SIGNED},
]


@pytest.mark.parametrize("raw", DOCUMENTED, ids=lambda raw: json.dumps(raw)[:60])
def test_what_is_documented_is_written_down_as_it_was_sent(raw: dict[str, object]) -> None:
    read = decode_action(raw)
    assert read is not None
    assert json.dumps(read.canonical) == json.dumps(raw)  # the order of keys included


@pytest.mark.parametrize("raw", USER_SIGNED, ids=lambda raw: str(raw["type"]))
def test_user_signed_texts_stay_as_they_were_signed(raw: dict[str, object]) -> None:
    read = decode_action(raw)
    assert read is not None and isinstance(read.action, UserSigned)
    assert read.canonical == raw
    assert read.action.inner_nonce == 1


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (changed(p="85000.0"), batch()),
        (changed(s="0.00100"), batch()),
        (changed(p="085000"), batch()),
        (changed(c=CLOID.upper().replace("X", "x")), changed(c=CLOID)),
        (changed(c=None), batch()),
        (batch(ORDER | {"note": "?"}, hint=1), batch()),
        (batch(dict(reversed(ORDER.items()))), batch()),
        (batch(builder=None), batch()),
        (batch(builder={"f": 10, "b": ADDRESS.upper().replace("X", "x")}), batch(builder={"b": ADDRESS, "f": 10})),
        ({"type": "scheduleCancel", "time": None}, {"type": "scheduleCancel"}),
        ({"type": "modify", "oid": 7, "order": ORDER, "a": False}, {"type": "modify", "oid": 7, "order": ORDER}),
        (
            {"cancels": [{"o": 7, "a": 1}], "f": False, "type": "cancel"},
            {"type": "cancel", "cancels": [{"a": 1, "o": 7}]},
        ),
    ],
)
def test_the_venue_writes_its_own_form_of_what_it_read(raw: dict[str, object], written: dict[str, object]) -> None:
    """So a client that signed the other form recovers as a stranger."""
    read = decode_action(raw)
    assert read is not None
    assert json.dumps(read.canonical) == json.dumps(written)
    assert action_hash(read.canonical, 1, None, None) == action_hash(written, 1, None, None)


BAD_CLOIDS: list[object] = ["", "0x12", CLOID[2:], CLOID + "0", CLOID + "\n", "0x" + 32 * "g", 12]
BAD_KINDS: list[object] = [
    {},
    [],
    "Gtc",
    {"limit": None},
    {"limit": {}},
    {"limit": {"tif": "gtc"}},
    {"limit": {"tif": "LiquidationMarket"}},
    {"limit": {"tif": "Gtc"}, **STOP},
    {"limit": {"tif": "Gtc"}, "other": {}},
    {"trigger": {"isMarket": True, "triggerPx": 80000, "tpsl": "sl"}},
    {"trigger": {"isMarket": True, "triggerPx": "80000", "tpsl": "stop"}},
    {"trigger": {"triggerPx": "80000", "tpsl": "sl"}},
]
BAD_GROUPINGS: list[object] = [None, "NA", "", 1, {}, {"p": -1}, {"p": "1"}, {"p": 1.0}]
BAD_BUILDERS: list[object] = [{}, {"b": ADDRESS}, {"b": "0x1", "f": 1}, {"b": ADDRESS, "f": -1}]
MISFITS: list[object] = [
    None,
    [],
    "order",
    7,
    {},
    {"type": "order"},
    {"type": None},
    {"type": ["noop"]},
    {"type": "Noop"},
    {"type": "vaultTransfer", "vaultAddress": ADDRESS, "isDeposit": True, "usd": 1},
    {"type": "multiSig"},
    *(without(key) for key in "abpsrt"),
    *(changed(a=bad) for bad in (-1, 1 << 32, "0", 0.0, True, None)),
    *(changed(b=bad) for bad in (1, "true", None)),
    *(changed(r=bad) for bad in (0, None)),
    *(
        changed(p=bad)
        for bad in (
            85000,
            85000.5,
            None,
            "",
            " 1",
            "1 ",
            "1\n",
            "+1",
            "-1",
            "-0",
            "1e3",
            "1E3",
            ".5",
            "5.",
            "1.2.3",
            "1_000",
            "0x10",
            "NaN",
            "Infinity",
            "٣",
            "9" * 12,
            "0." + "1" * 17,
            "9" * 100_000,
        )
    ),
    changed(s="1e-3"),
    *(changed(c=bad) for bad in BAD_CLOIDS),
    *(changed(t=bad) for bad in BAD_KINDS),
    *(batch(grouping=bad) for bad in BAD_GROUPINGS),
    *(batch(builder=bad) for bad in BAD_BUILDERS),
    {"type": "order", "orders": ORDER, "grouping": "na"},
    {"type": "cancel", "cancels": [{"a": 0, "o": "7"}]},
    {"type": "cancel", "cancels": [{"a": 0, "o": -7}]},
    {"type": "cancel", "cancels": [{"a": 0, "o": 1 << 64}]},
    {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": 7}]},
    {"type": "modify", "oid": "7", "order": ORDER},
    {"type": "modify", "oid": None, "order": ORDER},
    {"type": "modify", "oid": 7, "order": [ORDER]},
    {"type": "scheduleCancel", "time": "1700000010000"},
    {"type": "scheduleCancel", "time": -1},
    {"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 20.5},
    {"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": -1},
    {"type": "updateIsolatedMargin", "asset": 0, "isBuy": True, "ntli": "1"},
    {"type": "updateIsolatedMargin", "asset": 0, "isBuy": True, "ntli": 1 << 63},
    {"type": "subAccountTransfer", "subAccountUser": ADDRESS[:-1], "isDeposit": True, "usd": 1},
    {"type": "subAccountTransfer", "subAccountUser": ADDRESS, "isDeposit": True, "usd": -1},
    {"type": "setReferrer", "code": "\ud800"},
    {"type": "createSubAccount", "name": "n" * 101},
    {"type": "usdSend", "destination": ADDRESS, "amount": "25", "time": 1, "signatureChainId": "0x66eee"},
    {"type": "usdSend", "destination": ADDRESS, "amount": 25, "time": 1, **SIGNED},
    {"type": "usdSend", "destination": ADDRESS, "amount": "-25", "time": 1, **SIGNED},
    {"type": "usdSend", "destination": "me", "amount": "25", "time": 1, **SIGNED},
    {"type": "usdSend", "destination": ADDRESS, "amount": "25", "time": 1, **SIGNED, "hyperliquidChain": "Devnet"},
    {"type": "usdSend", "destination": ADDRESS, "amount": "25", "time": 1, **SIGNED, "signatureChainId": "66eee"},
    {"type": "usdClassTransfer", "amount": "100 subaccount:0x1", "toPerp": True, "nonce": 1, **SIGNED},
    {"type": "approveBuilderFee", "maxFeeRate": "0.01", "builder": ADDRESS, "nonce": 1, **SIGNED},
]


@pytest.mark.parametrize("raw", MISFITS, ids=lambda raw: repr(raw)[-70:])
def test_what_does_not_fit_is_not_read(raw: object) -> None:
    assert decode_action(raw) is None


def test_an_order_becomes_what_the_exchange_takes() -> None:
    read = decode_action(batch(ORDER | {"c": CLOID, "b": False, "r": True}))
    assert read is not None and isinstance(read.action, Order)
    spec = read.action.orders[0].spec()
    assert (spec.asset, spec.side, spec.price, spec.size) == (0, Side.SELL, Decimal(85000), Decimal("0.001"))
    assert (spec.reduce_only, spec.tif, spec.trigger, spec.cloid) == (True, Tif.GTC, None, CLOID)


def test_a_trigger_has_no_time_in_force() -> None:
    read = decode_action(changed(t=STOP))
    assert read is not None and isinstance(read.action, Order)
    spec = read.action.orders[0].spec()
    assert spec.tif is None
    assert spec.trigger == TriggerSpec(Trigger(TriggerKind.STOP_LOSS, Decimal(80000)), is_market=True)


def test_a_priority_fee_is_no_group() -> None:
    read = decode_action(batch(grouping={"p": 12345}))
    assert read is not None and isinstance(read.action, Order)
    assert (read.action.kind, read.action.priority) == (Grouping.NA, 12345)


@pytest.mark.parametrize(
    ("raw", "items"),
    [
        (batch(), 1),
        ({"type": "order", "orders": [ORDER] * 79, "grouping": "na"}, 79),
        ({"type": "order", "orders": [], "grouping": "na"}, 1),
        ({"type": "cancel", "cancels": [{"a": 0, "o": 1}] * 3}, 3),
        ({"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": CLOID}] * 2}, 2),
        ({"type": "batchModify", "modifies": [{"oid": 7, "order": ORDER}] * 4}, 4),
        ({"type": "noop"}, 1),
        (USER_SIGNED[0], 1),
    ],
)
def test_a_batch_weighs_what_is_in_it(raw: dict[str, object], items: int) -> None:
    read = decode_action(raw)
    assert read is not None and read.action.items == items


@pytest.mark.parametrize("name", [{}, {"agentName": None}, {"agentName": ""}])
def test_an_agent_without_a_name_was_signed_with_an_empty_one(name: dict[str, object]) -> None:
    read = decode_action({"type": "approveAgent", "agentAddress": ADDRESS, **name, "nonce": 1, **SIGNED})
    assert read is not None and isinstance(read.action, ApproveAgent)
    assert read.canonical["agentName"] == ""


def test_addresses_that_are_hashed_as_text_lose_their_capitals() -> None:
    shouted = "0x" + ADDRESS[2:].upper()
    read = decode_action({"type": "subAccountTransfer", "subAccountUser": shouted, "isDeposit": True, "usd": 1})
    assert read is not None and isinstance(read.action, SubAccountTransfer)
    assert read.action.sub_account_user == read.canonical["subAccountUser"] == ADDRESS


@pytest.mark.parametrize(
    ("sent", "hashed"),
    [
        ("85000.0", "85000"),
        ("0.10", "0.1"),
        ("0", "0"),
        ("0.00", "0"),
        ("00.5", "0.5"),
        ("100", "100"),
        ("1.05", "1.05"),
    ],
)
def test_numbers_are_hashed_without_what_says_nothing(sent: str, hashed: str) -> None:
    assert normal(sent) == hashed


# ── envelopes ────────────────────────────────────────────────────────────────────────────────────────────────────

ENVELOPE: dict[str, object] = {
    "action": batch(),
    "nonce": 1700000000000,
    "signature": {"r": "0x1", "s": "0x2", "v": 27},
    "vaultAddress": None,
    "expiresAfter": None,
}


@pytest.mark.parametrize("more", [{}, {"vaultAddress": ADDRESS}, {"expiresAfter": 5}, {"isFrontend": True}])
def test_an_envelope_reads_the_same_as_bytes_and_as_values(more: dict[str, object]) -> None:
    body = ENVELOPE | more
    envelope = decode_envelope(body)
    assert envelope is not None and envelope == decode_envelope(json.dumps(body).encode())
    assert isinstance(envelope.action, Order) and isinstance(envelope.action.orders[0], OrderWire)


def test_optional_keys_of_an_envelope_may_be_missing() -> None:
    envelope = decode_envelope({key: ENVELOPE[key] for key in ("action", "nonce", "signature")})
    assert envelope is not None and (envelope.vault_address, envelope.expires_after) == (None, None)


def test_the_vault_is_compared_in_lower_case() -> None:
    envelope = decode_envelope(ENVELOPE | {"vaultAddress": "0x" + ADDRESS[2:].upper()})
    assert envelope is not None and envelope.vault_address == ADDRESS


@pytest.mark.parametrize(
    "more",
    [
        {"nonce": -1},
        {"nonce": "1700000000000"},
        {"nonce": 1.5},
        {"nonce": 1 << 64},
        {"nonce": None},
        {"signature": "0x12"},
        {"signature": {"r": "1", "s": "0x2", "v": 27}},
        {"signature": {"r": "0x", "s": "0x2", "v": 27}},
        {"signature": {"r": "0x" + "1" * 65, "s": "0x2", "v": 27}},
        {"signature": {"r": "0x1", "s": "0x2", "v": "27"}},
        {"signature": {"r": "0x1", "s": "0x2"}},
        {"vaultAddress": "0x12"},
        {"vaultAddress": ""},
        {"expiresAfter": "5"},
        {"expiresAfter": -5},
        {"action": {"type": "nothing"}},
    ],
)
def test_an_envelope_that_does_not_fit_is_not_read(more: dict[str, object]) -> None:
    body = ENVELOPE | more
    assert decode_envelope(body) is None
    assert decode_envelope(json.dumps(body).encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b'{"action":{"type":"setReferrer","code":"\xff"},"nonce":1,"signature":{"r":"0x1","s":"0x1","v":27}}',
        b"[" * 500_000,
        b'{"action":' + b"[" * 300_000 + b"]" * 300_000 + b"}",
        b'{"action":{"type":"noop","x":' + b'{"x":' * 150_000 + b"1" + b"}" * 150_000 + b"}}",
        b'{"nonce":' + b"9" * 500_000 + b"}",
    ],
    ids=len,
)
def test_deep_and_huge_json_is_refused_and_nothing_worse(body: bytes) -> None:
    assert decode_envelope(body) is None


def test_deep_values_in_a_place_that_nobody_reads_do_no_harm() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert decode_action({"type": "noop", "x": deep}) is not None
    assert decode_action(changed(t=deep)) is None
    while deep:
        deep = deep.pop()  # type: ignore[assignment]


def test_a_large_batch_is_read_whole() -> None:
    read = decode_action({"type": "batchModify", "modifies": [{"oid": 7, "order": ORDER}] * 5_000})
    assert read is not None and isinstance(read.action, BatchModify) and len(read.action.modifies) == 5_000


def test_an_empty_batch_is_read_too() -> None:
    read = decode_action({"type": "cancel", "cancels": []})
    assert read is not None and isinstance(read.action, Cancel) and read.action.cancels == []
