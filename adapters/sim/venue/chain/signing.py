"""Who signed: the venue's own reading of msgpack, keccak and EIP-712 (`hyperliquid-protocol` §7).

What cannot be hashed or recovered gives None: nobody signed it. Wherever the bytes differ from the signed
ones, recovery still gives an address, only a random one; finding no account there is up to the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgpack  # type: ignore[import-untyped]
from Crypto.Hash.keccak import Keccak_Hash

try:
    from coincurve import PublicKey
except ImportError:  # there is none for Python 3.14: eth_keys recovers as well, a hundred times slower (5 ms)
    PublicKey = None  # type: ignore[assignment, misc]

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
U64_LIMIT = 1 << 64
HEX_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,64}")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
NO_ADDRESS = bytes(32)


class Signature(NamedTuple):
    r: int
    s: int
    v: int


def read_signature(r: str, s: str, v: int) -> Signature | None:
    """Take a signature from the wire: hex with `0x`, padded to 64 digits or not. None for any other text."""
    if not HEX_NUMBER.fullmatch(r) or not HEX_NUMBER.fullmatch(s):
        return None
    return Signature(int(r, 16), int(s, 16), v)


def keccak(data: bytes) -> bytes:
    return Keccak_Hash(data, 32, False).digest()


# EIP-712: a struct's hash is keccak(type hash, then each field as 32 bytes; texts as their own keccak).


def text_word(value: str) -> bytes:
    return keccak(value.encode())


def uint_word(value: int) -> bytes:
    return value.to_bytes(32, "big")


DOMAIN_TYPE = text_word("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
VERSION_WORD = text_word("1")


def domain_separator(name: str, chain_id: int) -> bytes:
    return keccak(DOMAIN_TYPE + text_word(name) + VERSION_WORD + uint_word(chain_id) + NO_ADDRESS)


# Everything of an L1 signature's hash that never changes: the connection id follows the heads.
AGENT_TYPE = text_word("Agent(string source,bytes32 connectionId)")
MAINNET_HEAD = AGENT_TYPE + text_word("a")
TESTNET_HEAD = AGENT_TYPE + text_word("b")
L1_PREFIX = b"\x19\x01" + domain_separator("Exchange", 1337)


@lru_cache(maxsize=16)
def user_signed_prefix(chain_id: int) -> bytes:
    return b"\x19\x01" + domain_separator("HyperliquidSignTransaction", chain_id)


class Field(NamedTuple):
    kind: str
    name: str


class UserSigned(NamedTuple):
    type_hash: bytes
    fields: tuple[Field, ...]


def _user_signed(primary_type: str, fields: str) -> UserSigned:
    declaration = f"HyperliquidTransaction:{primary_type}({fields.replace(', ', ',')})"
    return UserSigned(text_word(declaration), tuple(Field(*part.split(" ")) for part in fields.split(", ")))


USER_SIGNED: Mapping[str, UserSigned] = {
    "usdSend": _user_signed("UsdSend", "string hyperliquidChain, string destination, string amount, uint64 time"),
    "spotSend": _user_signed(
        "SpotSend", "string hyperliquidChain, string destination, string token, string amount, uint64 time"
    ),
    "withdraw3": _user_signed("Withdraw", "string hyperliquidChain, string destination, string amount, uint64 time"),
    "usdClassTransfer": _user_signed(
        "UsdClassTransfer", "string hyperliquidChain, string amount, bool toPerp, uint64 nonce"
    ),
    "sendAsset": _user_signed(
        "SendAsset",
        "string hyperliquidChain, string destination, string sourceDex, string destinationDex, string token, "
        "string amount, string fromSubAccount, uint64 nonce",
    ),
    "approveAgent": _user_signed(
        "ApproveAgent", "string hyperliquidChain, address agentAddress, string agentName, uint64 nonce"
    ),
    "approveBuilderFee": _user_signed(
        "ApproveBuilderFee", "string hyperliquidChain, string maxFeeRate, address builder, uint64 nonce"
    ),
    "userDexAbstraction": _user_signed(
        "UserDexAbstraction", "string hyperliquidChain, address user, bool enabled, uint64 nonce"
    ),
    "userSetAbstraction": _user_signed(
        "UserSetAbstraction", "string hyperliquidChain, address user, string abstraction, uint64 nonce"
    ),
    "tokenDelegate": _user_signed(
        "TokenDelegate", "string hyperliquidChain, address validator, uint64 wei, bool isUndelegate, uint64 nonce"
    ),
}
"""The actions that the account key itself signs, by their `type`."""


def inner_nonce(action: Mapping[str, object]) -> object:
    """The nonce inside a user-signed action, whatever its key; it must equal the envelope's."""
    return action.get(USER_SIGNED[str(action["type"])].fields[-1].name)


def action_hash(action: Mapping[str, object], nonce: int, vault: str | None, expires_after: int | None) -> bytes:
    """The connection id of an L1 action. Key order counts; `vault` is `0x` and 40 hex digits.

    Raises OverflowError for a number that no u64 holds, ValueError for text that is no address or no Unicode.
    """
    packed = bytearray(msgpack.packb(action))
    packed += nonce.to_bytes(8, "big")
    if vault is None:
        packed.append(0)
    else:
        packed.append(1)
        packed += address_bytes(vault)
    if expires_after is not None:
        packed.append(0)
        packed += expires_after.to_bytes(8, "big")
    return keccak(bytes(packed))


def address_bytes(address: str) -> bytes:
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"no address: {address!r}")
    return bytes.fromhex(address[2:])


def recover_l1(
    action: Mapping[str, object],
    nonce: int,
    vault: str | None,
    expires_after: int | None,
    signature: Signature,
    *,
    mainnet: bool = False,
) -> str | None:
    """The lower-case address that signed an L1 action. The SDK signs for the testnet everywhere but at the
    real mainnet's own URL."""
    try:
        connection_id = action_hash(action, nonce, vault, expires_after)
    except (OverflowError, ValueError):  # what cannot be hashed was never signed
        return None
    head = MAINNET_HEAD if mainnet else TESTNET_HEAD
    return recover(keccak(L1_PREFIX + keccak(head + connection_id)), signature)


def recover_user_signed(action: Mapping[str, object], signature: Signature) -> str | None:
    """The lower-case address that signed one of `USER_SIGNED`.

    `signatureChainId` alone decides the domain. A missing `agentName` is signed as empty text.
    """
    layout = USER_SIGNED.get(str(action.get("type")))
    chain = action.get("signatureChainId")
    if layout is None or not isinstance(chain, str) or not HEX_NUMBER.fullmatch(chain):
        return None
    words = [layout.type_hash]
    for field in layout.fields:
        word = _field_word(field, action.get(field.name, "" if field.name == "agentName" else None))
        if word is None:
            return None
        words.append(word)
    return recover(keccak(user_signed_prefix(int(chain, 16)) + keccak(b"".join(words))), signature)


def _field_word(field: Field, value: object) -> bytes | None:
    match field.kind, value:
        case "string", None if field.name == "agentName":
            return text_word("")
        case "string", str():
            try:
                return text_word(value)
            except UnicodeEncodeError:
                return None
        case "address", str() if ADDRESS.fullmatch(value):
            return bytes(12) + bytes.fromhex(value[2:])
        case "bool", bool():
            return uint_word(int(value))
        case "uint64", int() if not isinstance(value, bool) and 0 <= value < U64_LIMIT:
            return uint_word(value)
        case _:
            return None


def recover(digest: bytes, signature: Signature) -> str | None:
    """The lower-case address whose key made `signature` over a 32-byte digest; None where no key can have."""
    r, s, v = signature
    if not (0 < r < CURVE_ORDER and 0 < s < CURVE_ORDER and v in (27, 28)):
        return None
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big") + (v - 27).to_bytes(1, "big")
    point = public_point(raw, digest) if PublicKey is not None else public_point_slowly(raw, digest)
    return None if point is None else "0x" + keccak(point)[12:].hex()


def public_point(raw: bytes, digest: bytes) -> bytes | None:
    """x and y of the key, 32 bytes each; None where r is the x of no point."""
    try:
        return PublicKey.from_signature_and_message(raw, digest, hasher=None).format(compressed=False)[1:]
    except ValueError:
        return None


def public_point_slowly(raw: bytes, digest: bytes) -> bytes | None:
    """The same without coincurve."""
    from eth_keys.backends.native.main import NativeECCBackend
    from eth_keys.datatypes import Signature as EthSignature
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    try:
        return EthSignature(raw, backend=NativeECCBackend()).recover_public_key_from_msg_hash(digest).to_bytes()
    except (BadSignature, ValidationError):
        return None
