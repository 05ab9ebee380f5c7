"""A signature for trying: over an action that does nothing, with a nonce of long ago. Nothing is sent."""

from __future__ import annotations

import time
from dataclasses import dataclass

from adapters.hyperliquid.action_hash import action_hash
from adapters.hyperliquid.keys import AgentKey
from adapters.hyperliquid.signing import Signature, Signer

_NOOP = {"type": "noop"}
_NONCE = 1
"""Whoever got hold of this signature could do nothing with it."""


@dataclass(frozen=True, slots=True)
class DrySignature:
    recovered: str
    """Who signed, in lower case: the key's address, if all is well."""
    took_ms: float


def sign_dry(key: AgentKey, *, is_mainnet: bool) -> DrySignature:
    """Sign a noop, and recover the signer from the signature."""
    signer = Signer(key, is_mainnet=is_mainnet)
    started = time.perf_counter()
    signature = signer.sign_l1(_NOOP, _NONCE, None, None)
    took_ms = (time.perf_counter() - started) * 1000
    return DrySignature(_recovered(signature, is_mainnet=is_mainnet), took_ms)


def _recovered(signature: Signature, *, is_mainnet: bool) -> str:
    """By eth-account's own EIP-712: it shares nothing with the code that signed but the hash."""
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    message = encode_typed_data(
        domain_data={"name": "Exchange", "version": "1", "chainId": 1337, "verifyingContract": "0x" + 40 * "0"},
        message_types={"Agent": [{"name": "source", "type": "string"}, {"name": "connectionId", "type": "bytes32"}]},
        message_data={"source": "a" if is_mainnet else "b", "connectionId": action_hash(_NOOP, _NONCE, None, None)},
    )
    address: str = Account.recover_message(message, vrs=(signature["v"], signature["r"], signature["s"]))
    return address.lower()
