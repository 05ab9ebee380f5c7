"""L1 actions: their signature, the body that is posted. Every byte is what the official SDK would send.

A signature is over EIP-712 `Agent(source, connectionId)`. Its domain and the type of its struct never change, so their
hashes are computed once; what is left is msgpack, three keccaks and one scalar multiplication.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

import msgspec

from adapters.hyperliquid.action_hash import action_hash, keccak
from adapters.hyperliquid.keys import AgentKey

Action = dict[str, object]
Signature = dict[str, str | int]


def _text_word(text: str) -> bytes:
    return keccak(text.encode())


_DOMAIN = keccak(
    _text_word("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    + _text_word("Exchange")
    + _text_word("1")
    + (1337).to_bytes(32, "big")
    + bytes(32)
)
_PREFIX = b"\x19\x01" + _DOMAIN
_AGENT = _text_word("Agent(string source,bytes32 connectionId)")
_MAINNET_HEAD = _AGENT + _text_word("a")
_OTHER_HEAD = _AGENT + _text_word("b")


def signing_digest(connection_id: bytes, *, is_mainnet: bool) -> bytes:
    """What the key signs: the EIP-712 digest of the phantom agent."""
    return keccak(_PREFIX + keccak((_MAINNET_HEAD if is_mainnet else _OTHER_HEAD) + connection_id))


def envelope(
    action: Mapping[str, object], nonce: int, signature: Signature, vault: str | None, expires_after: int | None
) -> bytes:
    """The body of a `/exchange` request. Both optional keys stand there as null when unused, as the SDK sends them."""
    body = {
        "action": action,
        "nonce": nonce,
        "signature": signature,
        "vaultAddress": None if vault is None else vault.lower(),
        "expiresAfter": expires_after,
    }
    return msgspec.json.encode(body)


class Signer:
    """Signs for one agent on one network. Shows its address and nothing else."""

    __slots__ = ("_sign", "address", "is_mainnet")

    def __init__(self, key: AgentKey, *, is_mainnet: bool) -> None:
        self.address = key.address
        self.is_mainnet = is_mainnet
        self._sign: Callable[[bytes], bytes] = key.sign_digest
        self._test_itself()

    def sign_l1(
        self, action: Mapping[str, object], nonce: int, vault: str | None, expires_after: int | None
    ) -> Signature:
        """`r`, `s`, `v` as the SDK prints them: hex without padding, `v` 27 or 28. Signing again gives the same."""
        digest = signing_digest(action_hash(action, nonce, vault, expires_after), is_mainnet=self.is_mainnet)
        signed = self._sign(digest)
        return {
            "r": hex(int.from_bytes(signed[:32], "big")),
            "s": hex(int.from_bytes(signed[32:64], "big")),
            "v": 27 + signed[64],
        }

    def _test_itself(self) -> None:
        """A library that signs wrongly would sign for a stranger; better to know before the first order."""
        signature = self.sign_l1({"type": "noop"}, 0, None, None)
        found = recover_l1({"type": "noop"}, 0, None, None, signature, is_mainnet=self.is_mainnet)
        assert found == self.address, "what is signed recovers to the agent's own address"

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer stays in its process")


def recover_l1(
    action: Mapping[str, object],
    nonce: int,
    vault: str | None,
    expires_after: int | None,
    signature: Signature,
    *,
    is_mainnet: bool,
) -> str:
    """The address that signed, in lower case: what the venue takes the signer to be."""
    from eth_keys.datatypes import Signature as EthSignature

    digest = signing_digest(action_hash(action, nonce, vault, expires_after), is_mainnet=is_mainnet)
    parts = (int(signature["v"]) - 27, int(str(signature["r"]), 16), int(str(signature["s"]), 16))
    address: str = EthSignature(vrs=parts).recover_public_key_from_msg_hash(digest).to_address()
    return address
