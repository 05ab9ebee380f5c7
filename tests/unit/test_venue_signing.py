"""Who signed, at the local venue: published vectors, the SDK's own signatures, and damaged ones."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]
import pytest
from coincurve import PrivateKey
from eth_account import Account
from hyperliquid.utils import signing as sdk  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from adapters.sim.venue.chain import signing
from adapters.sim.venue.chain.signing import (
    CURVE_ORDER,
    Signature,
    action_hash,
    inner_nonce,
    keccak,
    public_point,
    public_point_slowly,
    read_signature,
    recover,
    recover_l1,
    recover_user_signed,
)
from tests.signing_vectors import SDK_SIGNATURES

KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
SIGNER = "0x14791697260e4c9a71f18484c9f997b308e59325"
WALLET = Account.from_key(KEY)
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
NOW = 1_700_000_000_000
Action = dict[str, Any]


def order(asset: int, price: str, size: str, tif: str = "Gtc") -> Action:
    return {"a": asset, "b": True, "p": price, "s": size, "r": False, "t": {"limit": {"tif": tif}}}


def order_action(*orders: Action) -> Action:
    return {"type": "order", "orders": list(orders), "grouping": "na"}


ORDER_A = order_action(order(1, "100", "100"))
ORDER_B = order_action(order(0, "30000", "0.1"))
STOP = {"trigger": {"isMarket": True, "triggerPx": "103", "tpsl": "sl"}}
DUMMY = {"type": "dummy", "num": 100_000_000_000}
ACTIONS: dict[str, Action] = {
    "dummy": DUMMY,
    "order_a": ORDER_A,
    "order_a_with_cloid": order_action(order(1, "100", "100") | {"c": "0x00000000000000000000000000000001"}),
    "dummy_for_vault": DUMMY,
    "order_a_as_stop": order_action(order(1, "100", "100") | {"t": STOP}),
    "create_sub_account": {"type": "createSubAccount", "name": "example"},
    "sub_account_transfer": {
        "type": "subAccountTransfer",
        "subAccountUser": "0x1d9470d4b963f552e6f671a81619d395877bf409",
        "isDeposit": True,
        "usd": 10,
    },
    "clear_schedule": {"type": "scheduleCancel"},
    "set_schedule": {"type": "scheduleCancel", "time": 123_456_789},
}


class Signed(NamedTuple):
    action: str
    network: str
    v: str
    r: str
    s: str


def signed_rows() -> list[Signed]:
    words = SDK_SIGNATURES.split()
    return [Signed(*words[start : start + 5]) for start in range(0, len(words), 5)]


def signature_of(r: str, s: str, v: int) -> Signature:
    signature = read_signature(r, s, v)
    assert signature is not None
    return signature


@pytest.mark.parametrize("row", signed_rows(), ids=lambda row: f"{row.action}-{row.network}")
def test_the_signatures_of_the_sdks_own_tests(row: Signed) -> None:
    vault = VAULT if row.action == "dummy_for_vault" else None
    signature = signature_of(row.r, row.s, int(row.v))
    action, mainnet = ACTIONS[row.action], row.network == "main"
    assert recover_l1(action, 0, vault, None, signature, mainnet=mainnet) == SIGNER
    assert recover_l1(action, 0, vault, None, signature, mainnet=not mainnet) != SIGNER


def test_every_row_of_the_sdks_tests_is_there() -> None:
    assert len(signed_rows()) == 18


@pytest.mark.parametrize(
    ("action_type", "r", "s", "v"),
    [
        (
            "usdSend",
            "0x637b37dd731507cdd24f46532ca8ba6eec616952c56218baeff04144e4a77073",
            "0x11a6a24900e6e314136d2592e2f8d502cd89b7c15b198e1bee043c9589f9fad7",
            27,
        ),
        (
            "withdraw3",
            "0x8363524c799e90ce9bc41022f7c39b4e9bdba786e5f9c72b20e43e1462c37cf9",
            "0x58b1411a775938b83e29182e8ef74975f9054c8e97ebf5ec2dc8d51bfc893881",
            28,
        ),
    ],
)
def test_the_user_signed_actions_of_the_sdks_own_tests(action_type: str, r: str, s: str, v: int) -> None:
    action = {
        "signatureChainId": "0x66eee",  # JSON key order does not matter here
        "time": 1687816341423,
        "amount": "1",
        "destination": "0x5e9ee1089755c3435139848e47e6635505d5a13a",
        "hyperliquidChain": "Testnet",
        "type": action_type,
    }
    assert recover_user_signed(action, signature_of(r, s, v)) == SIGNER
    assert recover_user_signed(action | {"hyperliquidChain": "Mainnet"}, signature_of(r, s, v)) != SIGNER


@pytest.mark.parametrize(
    ("action", "nonce", "vault", "expires_after", "connection_id"),
    [
        (
            order_action(order(4, "1670.1", "0.0147", "Ioc")),
            1677777606040,
            None,
            None,
            "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908",
        ),
        (DUMMY, 0, None, None, "f528daee6a0bd11407b483cfcd9a48c56884180b70ee86f124053e5fc1bf4d57"),
        (DUMMY, 0, VAULT, None, "de9e09a7a3da45cc694096d4bfdcd89bc1b892d05497c5ecc1f56c335945184c"),
        (ORDER_B, 1234567890, None, None, "25367e0dba84351148288c2233cd6130ed6cec5967ded0c0b7334f36f957cc90"),
        (
            ORDER_B,
            1234567890,
            "0x1234567890123456789012345678901234567890",
            None,
            "214e2ea3270981b6fd18174216691e69f56872663139d396b10ded319cb4bb1e",
        ),
        (ORDER_B, 1234567890, None, 1234567890, "c30b002ba3775e4c31c43c1dfd3291dfc85c6ae06c6b9f393991de86cad5fac7"),
        (
            ORDER_B,
            1234567890,
            "0x1234567890123456789012345678901234567890",
            1234567890,
            "2d62412aa0fc57441b5189841d81554a6a9680bf07204e1454983a9ca44f0744",
        ),
        (
            order_action(order(1, "1800", "0.02")),
            1690393044548,
            None,
            None,
            "b8ed9e5a4ea7b2aebdb09fd794221c2599487f6dc8d3bf8f38656ab295f36120",
        ),
    ],
)
def test_published_connection_ids(
    action: Action, nonce: int, vault: str | None, expires_after: int | None, connection_id: str
) -> None:
    assert action_hash(action, nonce, vault, expires_after).hex() == connection_id


@pytest.mark.parametrize(
    ("action", "packed"),
    [
        (
            order_action(order(4, "1670.1", "0.0147", "Ioc")),
            "83a474797065a56f72646572a66f72646572739186a16104a162c3a170a6313637302e31a173a6302e30313437a172c2a17481a5"
            "6c696d697481a3746966a3496f63a867726f7570696e67a26e61",
        ),
        (DUMMY, "82a474797065a564756d6d79a36e756dcf000000174876e800"),
        (
            ORDER_B,
            "83a474797065a56f72646572a66f72646572739186a16100a162c3a170a53330303030a173a3302e31a172c2a17481a56c696d69"
            "7481a3746966a3477463a867726f7570696e67a26e61",
        ),
    ],
)
def test_published_bytes(action: Action, packed: str) -> None:
    assert action_hash(action, 7, None, None) == keccak(bytes.fromhex(packed) + (7).to_bytes(8, "big") + b"\0")


@pytest.mark.parametrize(
    ("mainnet", "r", "s", "v"),
    [
        (
            True,
            "0x61078d8ffa3cb591de045438a1ae2ed299b271891d1943a33901e7cfb3a31ed8",
            "0x0e91df4f9841641d3322dad8d932874b74d7e082cdb5b533f804964a6963aef9",
            28,
        ),
        (
            True,
            "0x61078d8ffa3cb591de045438a1ae2ed299b271891d1943a33901e7cfb3a31ed8",
            "0xe91df4f9841641d3322dad8d932874b74d7e082cdb5b533f804964a6963aef9",  # the same, not padded
            28,
        ),
        (
            False,
            "0x6b0283a894d87b996ad0182b86251cc80d27d61ef307449a2ed249a508ded1f7",
            "0x6f884e79f4a0a10af62db831af6f8e03b3f11d899eb49b352f836746ee9226da",
            27,
        ),
    ],
)
def test_another_key_padded_and_not(mainnet: bool, r: str, s: str, v: int) -> None:
    signer = recover_l1(ORDER_B, 1234567890, None, None, signature_of(r, s, v), mainnet=mainnet)
    assert signer == "0xe5ca49fb3bd9a581f0d1ef9cb5d7177da08bf901"


def test_a_third_key() -> None:
    signature = signature_of(
        "0x380b70e9e76181609c7d9f2ece74cf7717a0254f9d751137ffaedff685e81cc7",
        "0x27c1e43069db58d728e996b91112aff57a24f3d9221635adc053f20aa4283ad8",
        27,
    )
    action = order_action(order(1, "1800", "0.02"))
    signer = recover_l1(action, 1690393044548, None, None, signature, mainnet=True)
    assert signer == "0xcd49bbac6e85fdeb167eb7ca41a945d2b8758f6f"


def test_the_computed_vectors(shared_data: Path) -> None:
    path = shared_data.parent / "hyperliquid-samples" / "signing-vectors-computed.json"
    if not path.is_file():
        pytest.skip(f"no computed vectors: {path} is not there")
    vectors = json.loads(path.read_text())
    assert (len(vectors["l1"]), len(vectors["userSigned"])) == (20, 7)
    for vector in vectors["l1"]:
        action, nonce = vector["action"], vector["nonce"]
        vault, expires_after = vector["vaultAddress"], vector["expiresAfter"]
        assert msgpack.packb(action).hex() == vector["msgpack"], vector["name"]
        assert "0x" + action_hash(action, nonce, vault, expires_after).hex() == vector["actionHash"], vector["name"]
        for network in ("mainnet", "testnet"):
            signature = signature_of(**vector[network])
            signer = recover_l1(action, nonce, vault, expires_after, signature, mainnet=network == "mainnet")
            assert signer == vectors["address"], (vector["name"], network)
    for vector in vectors["userSigned"]:
        for network in ("mainnet", "testnet"):
            action, signature = vector[network]["action"], signature_of(**vector[network]["signature"])
            assert recover_user_signed(action, signature) == vector["signer"], (vector["name"], network)
            fields = [{"type": kind, "name": name} for kind, name in signing.USER_SIGNED[action["type"]].fields]
            assert fields == vector["types"]


USER_ACTIONS: list[tuple[Any, Action]] = [
    (sdk.sign_usd_transfer_action, {"type": "usdSend", "destination": VAULT, "amount": "1.5", "time": NOW}),
    (
        sdk.sign_spot_transfer_action,
        {"type": "spotSend", "destination": VAULT, "token": "HYPE:0x0d01", "amount": "2.5", "time": NOW},
    ),
    (sdk.sign_withdraw_from_bridge_action, {"type": "withdraw3", "destination": VAULT, "amount": "25", "time": NOW}),
    (
        sdk.sign_usd_class_transfer_action,
        {"type": "usdClassTransfer", "amount": f"100 subaccount:{VAULT}", "toPerp": False, "nonce": NOW},
    ),
    (
        sdk.sign_send_asset_action,
        {
            "type": "sendAsset",
            "destination": VAULT,
            "sourceDex": "",
            "destinationDex": "spot",
            "token": "USDC",
            "amount": "10",
            "fromSubAccount": "",
            "nonce": NOW,
        },
    ),
    (sdk.sign_agent, {"type": "approveAgent", "agentAddress": VAULT, "agentName": "Ω bot", "nonce": NOW}),
    (
        sdk.sign_approve_builder_fee,
        {"type": "approveBuilderFee", "maxFeeRate": "0.01%", "builder": VAULT, "nonce": NOW},
    ),
    (
        sdk.sign_user_dex_abstraction_action,
        {"type": "userDexAbstraction", "user": VAULT, "enabled": True, "nonce": NOW},
    ),
    (
        sdk.sign_user_set_abstraction_action,
        {"type": "userSetAbstraction", "user": VAULT, "abstraction": "unifiedAccount", "nonce": NOW},
    ),
    (
        sdk.sign_token_delegate_action,
        {"type": "tokenDelegate", "validator": VAULT, "wei": 2**64 - 1, "isUndelegate": True, "nonce": NOW},
    ),
]


@pytest.mark.parametrize(("sign", "action"), USER_ACTIONS, ids=[action["type"] for _, action in USER_ACTIONS])
def test_each_user_signed_action_against_the_sdk(sign: Any, action: Action) -> None:
    action = dict(action)
    signature = signature_of(**sign(WALLET, action, False))  # the SDK adds chain and chain id
    assert recover_user_signed(action, signature) == SIGNER
    assert recover_user_signed(json.loads(json.dumps(action, sort_keys=True)), signature) == SIGNER
    assert inner_nonce(action) == NOW
    for name in {name for _, name in signing.USER_SIGNED[action["type"]].fields} - {"agentName"}:
        missing = {key: value for key, value in action.items() if key != name}
        assert recover_user_signed(missing, signature) is None, name


def test_every_user_signed_action_is_asked_of_the_sdk() -> None:
    assert {action["type"] for _, action in USER_ACTIONS} == set(signing.USER_SIGNED)


def test_an_unnamed_agent_is_signed_with_an_empty_name_and_sent_without() -> None:
    action: Action = {"type": "approveAgent", "agentAddress": VAULT, "agentName": "", "nonce": NOW}
    signature = signature_of(**sdk.sign_agent(WALLET, action, False))
    del action["agentName"]
    assert recover_user_signed(action, signature) == SIGNER
    assert recover_user_signed(action | {"agentName": None}, signature) == SIGNER
    assert recover_user_signed(action | {"agentName": "x"}, signature) != SIGNER


def test_the_chain_id_of_the_action_decides_the_domain() -> None:
    message = {"hyperliquidChain": "Mainnet", "destination": VAULT, "amount": "1", "time": NOW}
    fields = [{"name": field["name"], "type": field["type"]} for field in sdk.USD_SEND_SIGN_TYPES]
    signed = Account.sign_typed_data(
        KEY,
        {
            "name": "HyperliquidSignTransaction",
            "version": "1",
            "chainId": 42161,
            "verifyingContract": "0x" + 40 * "0",
        },
        {"HyperliquidTransaction:UsdSend": fields},
        message,
    )
    signature = Signature(signed.r, signed.s, signed.v)
    action = message | {"type": "usdSend", "signatureChainId": "0xa4b1"}
    assert recover_user_signed(action, signature) == SIGNER
    assert recover_user_signed(action | {"signatureChainId": "0xA4B1"}, signature) == SIGNER
    assert recover_user_signed(action | {"signatureChainId": "0x66eee"}, signature) not in (SIGNER, None)


GOOD = Signature(
    0x82B2BA28E76B3D761093AADED1B1CDAD4960B3AF30212B343FB2E6CDFA4E3D54,
    0x6B53878FC99D26047F4D7E8C90EB98955A109F44209163F52D8DC4278CBBD9F5,
    27,
)
"""Of ORDER_A, testnet."""


@pytest.mark.parametrize(
    "signature",
    [
        GOOD._replace(r=0),
        GOOD._replace(s=0),
        GOOD._replace(r=CURVE_ORDER),
        GOOD._replace(s=CURVE_ORDER),
        GOOD._replace(r=2**256 - 1),
        GOOD._replace(s=2**256 - 1),
        GOOD._replace(s=2**300),
        GOOD._replace(r=-1),
        GOOD._replace(v=0),
        GOOD._replace(v=1),
        GOOD._replace(v=26),
        GOOD._replace(v=29),
        GOOD._replace(v=-1),
        GOOD._replace(v=2**70),
        GOOD._replace(r=5),  # no point of the curve has this x
    ],
)
def test_what_no_key_can_have_signed(signature: Signature) -> None:
    assert recover_l1(ORDER_A, 0, None, None, signature) is None


def test_the_ends_of_the_curve_order_are_numbers_like_others() -> None:
    assert recover(bytes(32), Signature(1, 1, 27)) is not None
    assert recover(bytes(32), Signature(1, CURVE_ORDER - 1, 28)) is not None


@pytest.mark.parametrize("text", ["", "0x", "12", "0xg1", "0X12", "0x_1", " 0x1", "0x1\n", "0x" + 65 * "1", "0x\u0661"])
def test_what_is_no_hex_number_is_no_signature(text: str) -> None:
    assert read_signature(text, "0x1", 27) is None
    assert read_signature("0x1", text, 27) is None


def test_leading_zeros_and_case_of_a_signature_do_not_matter() -> None:
    assert read_signature("0x00aB", "0xab", 28) == Signature(0xAB, 0xAB, 28)


@pytest.mark.parametrize(
    ("action", "nonce", "vault", "expires_after"),
    [
        (ORDER_A, -1, None, None),
        (ORDER_A, 2**64, None, None),
        (ORDER_A, 0, None, -1),
        (ORDER_A, 0, None, 2**64),
        (ORDER_A, 0, "0x12", None),
        (ORDER_A, 0, "0x" + 40 * "g", None),
        ({"type": "dummy", "num": 2**64}, 0, None, None),
        ({"type": "dummy", "num": -(2**63) - 1}, 0, None, None),
        ({"type": "dummy", "name": "\ud800"}, 0, None, None),
    ],
)
def test_what_cannot_be_hashed_was_never_signed(
    action: Action, nonce: int, vault: str | None, expires_after: int | None
) -> None:
    assert recover_l1(action, nonce, vault, expires_after, GOOD) is None


@pytest.mark.parametrize(
    "change",
    [
        {"type": "order"},
        {"type": None},
        {"signatureChainId": None},
        {"signatureChainId": 421614},
        {"signatureChainId": "66eee"},
        {"signatureChainId": "0x" + 65 * "1"},
        {"amount": 1},
        {"amount": "\ud800"},
        {"toPerp": 1},
        {"toPerp": "true"},
        {"nonce": "1"},
        {"nonce": True},
        {"nonce": -1},
        {"nonce": 2**64},
        {"nonce": 1.5},
    ],
)
def test_a_user_signed_action_of_the_wrong_shape_was_never_signed(change: Action) -> None:
    action: Action = {"type": "usdClassTransfer", "amount": "1", "toPerp": True, "nonce": NOW}
    signature = signature_of(**sdk.sign_usd_class_transfer_action(WALLET, action, False))
    assert recover_user_signed(action, signature) == SIGNER
    assert recover_user_signed(action | change, signature) is None


def test_an_address_field_takes_addresses_only() -> None:
    action: Action = {"type": "approveAgent", "agentAddress": VAULT, "agentName": "bot", "nonce": NOW}
    signature = signature_of(**sdk.sign_agent(WALLET, action, False))
    assert recover_user_signed(action | {"agentAddress": VAULT.upper().replace("X", "x")}, signature) == SIGNER
    for wrong in ("", "0x12", VAULT[2:], VAULT + "0", "0x" + 40 * "g", 5, None):
        assert recover_user_signed(action | {"agentAddress": wrong}, signature) is None


def test_the_order_of_keys_and_the_spelling_of_numbers_are_signed() -> None:
    reordered = {key: ORDER_A[key] for key in ("type", "grouping", "orders")}
    for other in (reordered, order_action(order(1, "100.0", "100"))):
        assert recover_l1(other, 0, None, None, GOOD) not in (SIGNER, None)


def test_an_expiry_of_zero_is_signed_unlike_none() -> None:
    signature = signature_of(**sdk.sign_l1_action(WALLET, ORDER_A, None, NOW, 0, False))
    assert recover_l1(ORDER_A, NOW, None, 0, signature) == SIGNER
    assert recover_l1(ORDER_A, NOW, None, None, signature) not in (SIGNER, None)


def test_recovery_without_coincurve_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "PublicKey", None)
    assert recover_l1(ORDER_A, 0, None, None, GOOD) == SIGNER
    assert recover_l1(ORDER_A, 0, None, None, GOOD._replace(r=5)) is None


@given(digest=st.binary(min_size=32, max_size=32), seed=st.integers(1, CURVE_ORDER - 1))
def test_a_key_is_recovered_from_what_it_signed(digest: bytes, seed: int) -> None:
    key = PrivateKey(seed.to_bytes(32, "big"))
    raw = key.sign_recoverable(digest, hasher=None)
    assert public_point(raw, digest) == key.public_key.format(compressed=False)[1:]


@given(
    digest=st.binary(min_size=32, max_size=32), r=st.integers(1, 200), s=st.integers(1, 200), v=st.sampled_from([0, 1])
)
def test_two_implementations_agree_on_what_has_no_key(digest: bytes, r: int, s: int, v: int) -> None:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
    assert public_point(raw, digest) == public_point_slowly(raw, digest)


# One flipped bit anywhere in what was signed or in the signature.

DAMAGED_ORDER = order(1, "1891.4", "0.02") | {"c": "0x1234567890abcdef1234567890abcdef"}
EXPIRES = NOW + 5_000


def signed_by_the_sdk() -> Signature:
    return signature_of(**sdk.sign_l1_action(WALLET, order_action(DAMAGED_ORDER), VAULT, NOW, EXPIRES, False))


WHOLE = signed_by_the_sdk()


def flip_text(text: str, bit: int) -> str:
    place, low = divmod(bit % (7 * len(text)), 7)
    return text[:place] + chr(ord(text[place]) ^ 1 << low) + text[place + 1 :]


def test_the_whole_message_recovers_its_signer() -> None:
    assert recover_l1(order_action(DAMAGED_ORDER), NOW, VAULT, EXPIRES, WHOLE) == SIGNER


@given(
    part=st.sampled_from(
        ["r", "s", "v", "nonce", "expires", "vault", "type", "a", "b", "p", "s of order", "r of order", "c"]
    ),
    bit=st.integers(0, 255),
)
def test_one_flipped_bit_never_recovers_the_signer(part: str, bit: int) -> None:
    nonce, vault, expires, signature = NOW, VAULT, EXPIRES, WHOLE
    damaged, action_type = dict(DAMAGED_ORDER), "order"
    match part:
        case "r":
            signature = WHOLE._replace(r=WHOLE.r ^ 1 << bit)
        case "s":
            signature = WHOLE._replace(s=WHOLE.s ^ 1 << bit)
        case "v":
            signature = WHOLE._replace(v=WHOLE.v ^ 1 << bit % 16)
        case "nonce":
            nonce ^= 1 << bit % 64
        case "expires":
            expires ^= 1 << bit % 64
        case "vault":
            vault = f"0x{int(VAULT, 16) ^ 1 << bit % 160:040x}"
        case "type":
            action_type = flip_text(action_type, bit)
        case "a":
            damaged["a"] ^= 1 << bit % 32
        case "b":
            damaged["b"] = not damaged["b"]
        case "r of order":
            damaged["r"] = not damaged["r"]
        case "p" | "c":
            damaged[part] = flip_text(damaged[part], bit)
        case "s of order":
            damaged["s"] = flip_text(damaged["s"], bit)
        case _:
            raise AssertionError(part)
    action = order_action(damaged) | {"type": action_type}
    assert recover_l1(action, nonce, vault, expires, signature) != SIGNER


def test_leaving_out_vault_or_expiry_recovers_somebody_else() -> None:
    action = order_action(DAMAGED_ORDER)
    assert recover_l1(action, NOW, None, EXPIRES, WHOLE) not in (SIGNER, None)
    assert recover_l1(action, NOW, VAULT, None, WHOLE) not in (SIGNER, None)


def test_the_other_v_recovers_somebody_else() -> None:
    action = order_action(DAMAGED_ORDER)
    assert recover_l1(action, NOW, VAULT, EXPIRES, WHOLE._replace(v=55 - WHOLE.v)) != SIGNER
