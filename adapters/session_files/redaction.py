"""Replacing addresses, so that a session can be given away: each by another one, always the same, of no meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

_ADDRESS = re.compile(rb"0[xX][0-9a-fA-F]{40}(?![0-9a-fA-F])")
"""Neither an order's cloid (32 digits) nor a hash (64)."""

_CUT_ADDRESS = re.compile(rb"0[xX][0-9a-fA-F]{6,39}(?![0-9a-fA-F])")
_ADDRESS_BYTES = 20


class Redaction:
    """`salt`: secret and thrown away, or addresses could be found again by trying them all.

    `own`: addresses whose beginnings are replaced too: a ledger's file is named after its account's.
    """

    def __init__(self, salt: bytes, own: Iterable[bytes] = ()) -> None:
        self._salt = salt
        self._own = tuple(address.lower() for address in own)

    def __call__(self, text: bytes) -> bytes:
        text = _ADDRESS.sub(lambda found: self._stand_in(found[0].lower()), text)
        return _CUT_ADDRESS.sub(self._cut, text) if self._own else text

    def _cut(self, found: re.Match[bytes]) -> bytes:
        begin = found[0].lower()
        whole = next((address for address in self._own if address.startswith(begin)), None)
        return found[0] if whole is None else self._stand_in(whole)[: len(begin)]

    def _stand_in(self, address: bytes) -> bytes:
        return b"0x" + blake2b(address, digest_size=_ADDRESS_BYTES, key=self._salt).hexdigest().encode()


def addresses_in(text: bytes) -> set[bytes]:
    return {found[0].lower() for found in _ADDRESS.finditer(text)}
