"""Our signatures: the published vectors, the computed ones, the SDK's order of bytes; and what a signer shows."""

from __future__ import annotations

import copy
import json
import pickle
import time
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hyperliquid.utils import signing as sdk  # type: ignore[import-untyped]

from adapters.hyperliquid import keys
from adapters.hyperliquid.action_hash import action_hash, keccak
from adapters.hyperliquid.keys import AgentKey
from adapters.hyperliquid.signing import Signer, envelope, recover_l1
from domain.field_rules import SecretText
from tests.hyperliquid_rigs import ENCODER
from tests.signing_vectors import SDK_SIGNATURES

KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
ADDRESS = "0x14791697260e4c9a71f18484c9f997b308e59325"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
Action = dict[str, Any]


def order(asset: int, price: str, size: str, tif: str = "Gtc") -> Action:
    return {"a": asset, "b": True, "p": price, "s": size, "r": False, "t": {"limit": {"tif": tif}}}


def order_action(*orders: Action) -> Action:
    return {"type": "order", "orders": list(orders), "grouping": "na"}


def signer(key: str = KEY, *, is_mainnet: bool = True) -> Signer:
    return Signer(AgentKey(SecretText(key), "a test"), is_mainnet=is_mainnet)


ORDER_A = order_action(order(1, "100", "100"))
ORDER_B = order_action(order(0, "30000", "0.1"))
STOP = {"trigger": {"isMarket": True, "triggerPx": "103", "tpsl": "sl"}}
DUMMY = {"type": "dummy", "num": 100_000_000_000}
TRANSFER = {
    "type": "subAccountTransfer",
    "subAccountUser": "0x1d9470d4b963f552e6f671a81619d395877bf409",
    "isDeposit": True,
    "usd": 10,
}
ACTIONS: dict[str, Action] = {
    "dummy": DUMMY,
    "order_a": ORDER_A,
    "order_a_with_cloid": order_action(order(1, "100", "100") | {"c": "0x00000000000000000000000000000001"}),
    "dummy_for_vault": DUMMY,
    "order_a_as_stop": order_action(order(1, "100", "100") | {"t": STOP}),
    "create_sub_account": {"type": "createSubAccount", "name": "example"},
    "sub_account_transfer": TRANSFER,
    "clear_schedule": ENCODER.schedule_cancel(None),
    "set_schedule": ENCODER.schedule_cancel(123_456_789),
}

_WORDS = SDK_SIGNATURES.split()
VECTORS = [tuple(_WORDS[start : start + 5]) for start in range(0, len(_WORDS), 5)]


@pytest.mark.parametrize(("name", "network", "v", "r", "s"), VECTORS)
def test_the_sdks_own_vectors(name: str, network: str, v: str, r: str, s: str) -> None:
    vault = VAULT if name == "dummy_for_vault" else None
    signed = signer(is_mainnet=network == "main").sign_l1(ACTIONS[name], 0, vault, None)
    assert signed == {"r": r, "s": s, "v": int(v)}


def test_order_b_and_the_last_published_row() -> None:
    key = "0x822e9959e022b78423eb653a62ea0020cd283e71a2a8133a6ff2aeffaf373cff"
    main, test = signer(key), signer(key, is_mainnet=False)
    assert main.address == "0xe5ca49fb3bd9a581f0d1ef9cb5d7177da08bf901"
    assert main.sign_l1(ORDER_B, 1_234_567_890, None, None) == {
        "r": "0x61078d8ffa3cb591de045438a1ae2ed299b271891d1943a33901e7cfb3a31ed8",
        "s": "0xe91df4f9841641d3322dad8d932874b74d7e082cdb5b533f804964a6963aef9",
        "v": 28,
    }
    assert test.sign_l1(ORDER_B, 1_234_567_890, None, None) == {
        "r": "0x6b0283a894d87b996ad0182b86251cc80d27d61ef307449a2ed249a508ded1f7",
        "s": "0x6f884e79f4a0a10af62db831af6f8e03b3f11d899eb49b352f836746ee9226da",
        "v": 27,
    }
    last = signer("0xe908f86dbb4d55ac876378565aafeabc187f6690f046459397b17d9b9a19688e")
    assert last.address == "0xcd49bbac6e85fdeb167eb7ca41a945d2b8758f6f"
    assert last.sign_l1(order_action(order(1, "1800", "0.02")), 1_690_393_044_548, None, None) == {
        "r": "0x380b70e9e76181609c7d9f2ece74cf7717a0254f9d751137ffaedff685e81cc7",
        "s": "0x27c1e43069db58d728e996b91112aff57a24f3d9221635adc053f20aa4283ad8",
        "v": 27,
    }


B_VAULT = "0x1234567890123456789012345678901234567890"


@pytest.mark.parametrize(
    ("action", "nonce", "vault", "expires", "expected"),
    [
        (
            order_action(order(4, "1670.1", "0.0147", "Ioc")),
            1_677_777_606_040,
            None,
            None,
            "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908",
        ),
        (DUMMY, 0, None, None, "f528daee6a0bd11407b483cfcd9a48c56884180b70ee86f124053e5fc1bf4d57"),
        (DUMMY, 0, VAULT, None, "de9e09a7a3da45cc694096d4bfdcd89bc1b892d05497c5ecc1f56c335945184c"),
        (ORDER_B, 1_234_567_890, None, None, "25367e0dba84351148288c2233cd6130ed6cec5967ded0c0b7334f36f957cc90"),
        (ORDER_B, 1_234_567_890, B_VAULT, None, "214e2ea3270981b6fd18174216691e69f56872663139d396b10ded319cb4bb1e"),
        (
            ORDER_B,
            1_234_567_890,
            None,
            1_234_567_890,
            "c30b002ba3775e4c31c43c1dfd3291dfc85c6ae06c6b9f393991de86cad5fac7",
        ),
        (
            ORDER_B,
            1_234_567_890,
            B_VAULT,
            1_234_567_890,
            "2d62412aa0fc57441b5189841d81554a6a9680bf07204e1454983a9ca44f0744",
        ),
        (
            order_action(order(1, "1800", "0.02")),
            1_690_393_044_548,
            None,
            None,
            "b8ed9e5a4ea7b2aebdb09fd794221c2599487f6dc8d3bf8f38656ab295f36120",
        ),
    ],
)
def test_published_hashes(action: Action, nonce: int, vault: str | None, expires: int | None, expected: str) -> None:
    assert action_hash(action, nonce, vault, expires).hex() == expected


@pytest.fixture(scope="module")
def computed(shared_data: Path) -> dict[str, Any]:
    path = shared_data.parent / "hyperliquid-samples" / "signing-vectors-computed.json"
    if not path.is_file():
        pytest.skip(f"no computed vectors: {path} is not there")
    vectors: dict[str, Any] = json.loads(path.read_text())
    return vectors


def test_the_computed_l1_vectors(computed: dict[str, Any]) -> None:
    assert len(computed["l1"]) == 20
    for vector in computed["l1"]:
        action, nonce = vector["action"], vector["nonce"]
        vault, expires = vector["vaultAddress"], vector["expiresAfter"]
        assert msgpack.packb(action).hex() == vector["msgpack"], vector["name"]
        assert "0x" + action_hash(action, nonce, vault, expires).hex() == vector["actionHash"], vector["name"]
        for network in ("mainnet", "testnet"):
            is_mainnet = network == "mainnet"
            own = signer(computed["privateKey"], is_mainnet=is_mainnet)
            assert own.sign_l1(action, nonce, vault, expires) == vector[network], vector["name"]
            assert (
                recover_l1(action, nonce, vault, expires, vector[network], is_mainnet=network == "mainnet") == ADDRESS
            )


def digest_of(payload: dict[str, Any]) -> bytes:
    return bytes(_hash_eip191_message(encode_typed_data(full_message=payload)))


def parts(signed: bytes) -> dict[str, str | int]:
    numbers = (int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:64], "big"))
    return {"r": hex(numbers[0]), "s": hex(numbers[1]), "v": 27 + signed[64]}


def test_the_computed_user_signed_vectors_with_the_same_key(computed: dict[str, Any]) -> None:
    """The daemon signs no such action; the key and the curve are the same."""
    key = AgentKey(SecretText(computed["privateKey"]), "a test")
    assert len(computed["userSigned"]) == 7
    for vector in computed["userSigned"]:
        for network in ("mainnet", "testnet"):
            action, expected = vector[network]["action"], vector[network]["signature"]
            payload = sdk.user_signed_payload(vector["primaryType"], vector["types"], action)
            assert parts(key.sign_digest(digest_of(payload))) == expected, vector["name"]


@pytest.mark.parametrize(
    ("kind", "fields", "v", "r", "s"),
    [
        (
            "UsdSend",
            sdk.USD_SEND_SIGN_TYPES,
            27,
            "0x637b37dd731507cdd24f46532ca8ba6eec616952c56218baeff04144e4a77073",
            "0x11a6a24900e6e314136d2592e2f8d502cd89b7c15b198e1bee043c9589f9fad7",
        ),
        (
            "Withdraw",
            sdk.WITHDRAW_SIGN_TYPES,
            28,
            "0x8363524c799e90ce9bc41022f7c39b4e9bdba786e5f9c72b20e43e1462c37cf9",
            "0x58b1411a775938b83e29182e8ef74975f9054c8e97ebf5ec2dc8d51bfc893881",
        ),
    ],
)
def test_the_published_user_signed_vectors(kind: str, fields: Any, v: int, r: str, s: str) -> None:
    action = {
        "destination": "0x5e9ee1089755c3435139848e47e6635505d5a13a",
        "amount": "1",
        "time": 1_687_816_341_423,
        "signatureChainId": "0x66eee",
        "hyperliquidChain": "Testnet",
    }
    payload = sdk.user_signed_payload(f"HyperliquidTransaction:{kind}", fields, action)
    signed = AgentKey(SecretText(KEY), "a test").sign_digest(digest_of(payload))
    assert parts(signed) == {"r": r, "s": s, "v": v}


def test_the_prehashed_domain_is_that_of_the_sdk() -> None:
    """eth-account's whole EIP-712 over the phantom agent gives the digest that we sign."""
    from adapters.hyperliquid.signing import signing_digest

    for is_mainnet in (True, False):
        connection = keccak(b"anything")
        payload = sdk.l1_payload(sdk.construct_phantom_agent(connection, is_mainnet))
        assert signing_digest(connection, is_mainnet=is_mainnet) == digest_of(payload)


def test_without_coincurve_the_signatures_are_the_same() -> None:
    sign, address = keys._signing_slowly(SecretText(KEY))
    key = AgentKey(SecretText(KEY), "a test")
    assert address == key.address == ADDRESS
    from eth_keys.backends.native.main import NativeECCBackend
    from eth_keys.datatypes import PrivateKey

    pure = PrivateKey(bytes.fromhex(KEY[2:]), backend=NativeECCBackend())
    for number in range(20):
        digest = keccak(bytes([number]))
        assert key.sign_digest(digest) == sign(digest) == pure.sign_msg_hash(digest).to_bytes()


def test_every_part_of_a_request_changes_the_signature() -> None:
    own = signer()
    base = own.sign_l1(ORDER_A, 1, None, None)
    others = [
        own.sign_l1(ORDER_B, 1, None, None),
        own.sign_l1(ORDER_A, 2, None, None),
        own.sign_l1(ORDER_A, 1, VAULT, None),
        own.sign_l1(ORDER_A, 1, None, 1),
        own.sign_l1(ORDER_A, 1, None, 2),
        own.sign_l1(dict(reversed(ORDER_A.items())), 1, None, None),
        signer(is_mainnet=False).sign_l1(ORDER_A, 1, None, None),
    ]
    assert len({json.dumps(each) for each in [base, *others]}) == 8
    assert own.sign_l1(ORDER_A, 1, None, None) == base
    assert own.sign_l1(ORDER_A, 1, VAULT.upper().replace("0X", "0x"), None) == others[2], "case of the vault is ours"


@pytest.mark.parametrize("wrong", [1.5, None, b"bytes", {1.0}])
def test_what_the_venue_would_hash_otherwise_is_a_bug(wrong: object) -> None:
    with pytest.raises(AssertionError, match="an action holds"):
        action_hash({"type": "order", "orders": [{"p": wrong}]}, 1, None, None)


@pytest.mark.parametrize(("nonce", "vault", "expires"), [(-1, None, None), (1, "0x12", None), (1, None, 0)])
def test_an_envelope_out_of_range_is_a_bug(nonce: int, vault: str | None, expires: int | None) -> None:
    with pytest.raises(AssertionError):
        action_hash(DUMMY, nonce, vault, expires)


def test_the_envelope_is_what_the_sdk_posts() -> None:
    signature = signer().sign_l1(ORDER_A, 5, VAULT, None)
    body = envelope(ORDER_A, 5, signature, VAULT.upper().replace("0X", "0x"), None)
    expected = {"action": ORDER_A, "nonce": 5, "signature": signature, "vaultAddress": VAULT, "expiresAfter": None}
    assert body == json.dumps(expected, separators=(",", ":")).encode(), "keys in this order, both optional ones there"
    plain = json.loads(envelope(ORDER_A, 5, signature, None, 9))
    assert (plain["vaultAddress"], plain["expiresAfter"]) == (None, 9)


def test_a_signer_shows_its_address_and_stays_here() -> None:
    own = signer()
    key = AgentKey(SecretText(KEY), "a test")
    assert repr(own) == str(own) == f"Signer({ADDRESS})"
    assert repr(key) == f"AgentKey({ADDRESS}, from a test)"
    for thing in (own, key, SecretText(KEY)):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
        with pytest.raises(TypeError):
            copy.deepcopy(thing)
        assert not hasattr(thing, "__dict__")


def test_a_library_that_signs_wrongly_is_found_before_the_first_order() -> None:
    class Wrong(AgentKey):
        def sign_digest(self, digest: bytes) -> bytes:
            return super().sign_digest(keccak(digest))

    with pytest.raises(AssertionError, match="recovers to the agent"):
        Signer(Wrong(SecretText(KEY), "a test"), is_mainnet=True)


def test_signing_takes_well_under_a_third_of_a_millisecond() -> None:
    own = signer()
    action = order_action(order(1, "100", "100") | {"c": "0x00000000000000000000000000000001"})
    best = min(_seconds_of(own, action, nonce) for nonce in range(1, 300))
    assert best < 0.0003, f"{best * 1000:.3f} ms"


def _seconds_of(own: Signer, action: Action, nonce: int) -> float:
    started = time.perf_counter()
    own.sign_l1(action, nonce, None, nonce)
    return time.perf_counter() - started
