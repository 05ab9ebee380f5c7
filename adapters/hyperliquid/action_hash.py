"""The hash of an unsigned action, over the same bytes as the official SDK's: what names it before anybody signs it.

Whoever only writes orders down needs this and nothing that signs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgpack  # type: ignore[import-untyped]
from Crypto.Hash import keccak as _keccak

_U64 = 1 << 64


def keccak(data: bytes) -> bytes:
    return _keccak.new(digest_bits=256, data=data).digest()


def action_hash(action: Mapping[str, object], nonce: int, vault: str | None, expires_after: int | None) -> bytes:
    """The `connectionId` of an action. The order of its keys counts; texts have to be in the venue's normal form."""
    _check_kinds(action)
    assert 0 <= nonce < _U64, "a nonce has 64 bits"
    packed: bytes = msgpack.packb(action)
    tail = b"\x00" if vault is None else b"\x01" + _address_bytes(vault)
    if expires_after is not None:
        assert 0 < expires_after < _U64, "an expiry is a time in ms"
        tail += b"\x00" + expires_after.to_bytes(8, "big")
    return keccak(packed + nonce.to_bytes(8, "big") + tail)


def _address_bytes(address: str) -> bytes:
    digits = address.removeprefix("0x")
    assert len(digits) == 40, "an address has 20 bytes"
    return bytes.fromhex(digits)


def _check_kinds(value: object) -> None:
    """No floats and no nulls: the venue would hash another text than we do."""
    match value:
        case str() | int():
            return
        case Mapping():
            for inner in value.values():
                _check_kinds(inner)
        case list() | tuple():
            for inner in value:
                _check_kinds(inner)
        case _:
            raise AssertionError(f"an action holds texts, whole numbers, switches, lists and maps, not {type(value)}")
