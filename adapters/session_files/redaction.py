"""Replacing what names an account, so that a session can be given away: each name by another one, always the same, of
no meaning.

Addresses say whose account it is, and so do hashes of the venue's transactions: any explorer tells who sent one. They
become other ones by a key that is thrown away. Ids of intents and orders are hashes over the account's name, which can
be tried out; what they become is learned (`Ids`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

from domain.intents import CLOID_MAGIC, is_our_cloid

_ADDRESS = re.compile(rb"0[xX][0-9a-fA-F]{40}(?![0-9a-fA-F])")
"""Neither an order's cloid (32 digits) nor a hash (64)."""

_CUT_ADDRESS = re.compile(rb"0[xX][0-9a-fA-F]{6,39}(?![0-9a-fA-F])")
_HASH = re.compile(rb"0[xX][0-9a-fA-F]{64}(?![0-9a-fA-F])")
_NO_HASH = b"0x" + b"0" * 64
"""What the venue did by itself has this one; it names nobody."""

_CLOID = re.compile(rb"0[xX][0-9a-fA-F]{32}(?![0-9a-fA-F])")
_BARE_ID = re.compile(rb"(?<![0-9a-fA-FxX.])(?:[0-9a-f]{64}|[0-9a-f]{24})(?![0-9a-fA-F])")
"""A digest, or an intent's id; behind a point such digits are an amount."""

_ANY_ID = re.compile(f"({_CLOID.pattern.decode()}|{_BARE_ID.pattern.decode()})")
_ADDRESS_BYTES = 20
_HASH_BYTES = 32
_CLOID_BYTES = 16
_MARK_BYTES = len(CLOID_MAGIC) + 2
"""First bytes of our cloids: whose they are, by which the engine knows strangers. They stay."""


class Redaction:
    """`salt`: secret and thrown away, or addresses could be found again by trying them all.

    `own`: addresses whose beginnings are replaced too: a ledger's file is named after its account's.
    """

    def __init__(self, salt: bytes, own: Iterable[bytes] = ()) -> None:
        self._salt = salt
        self._own = tuple(address.lower() for address in own)

    def __call__(self, text: bytes) -> bytes:
        if not has_hex(text):
            return text
        text = _ADDRESS.sub(lambda found: self._stand_in(found[0].lower(), _ADDRESS_BYTES), text)
        text = _HASH.sub(self._hash, text)
        return _CUT_ADDRESS.sub(self._cut, text) if self._own else text

    def bare(self, name: str) -> str:
        """The stand-in of a name that is hexadecimal digits alone: as long, and as long as this redaction the same."""
        return self._digits(name.encode(), len(name) // 2)

    def cloid(self, cloid: str) -> str:
        """The stand-in of an order's id: ours stay ours and of their ledger, others stay others'."""
        digits = self._digits(cloid.lower().encode(), _CLOID_BYTES)
        if is_our_cloid(cloid):
            kept = 2 + 2 * _MARK_BYTES
            return cloid[:kept].lower() + digits[kept - 2 :]
        return "0x" + ("00" + digits[2:] if is_our_cloid("0x" + digits) else digits)

    def _cut(self, found: re.Match[bytes]) -> bytes:
        begin = found[0].lower()
        whole = next((address for address in self._own if address.startswith(begin)), None)
        return found[0] if whole is None else self._stand_in(whole, _ADDRESS_BYTES)[: len(begin)]

    def _hash(self, found: re.Match[bytes]) -> bytes:
        hash_ = found[0].lower()
        return hash_ if hash_ == _NO_HASH else self._stand_in(hash_, _HASH_BYTES)

    def _stand_in(self, name: bytes, size: int) -> bytes:
        return b"0x" + self._digits(name, size).encode()

    def _digits(self, name: bytes, size: int) -> str:
        return blake2b(name, digest_size=size, key=self._salt).hexdigest()


class Ids:
    """Which id became which. What is said once stands: an id has one successor."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._known: dict[str, str] = {}

    def __contains__(self, was: str) -> bool:
        return was in self._known

    def note(self, was: str, now: str) -> bool:
        """An id is another from here on; False where it was said to be yet another."""
        return self._known.setdefault(was.lower(), now) == now

    def of_inputs(self, text: bytes) -> bytes:
        """A text with its ids replaced. Orders that nobody has told of are some stranger's: they get a stand-in."""
        if not has_hex(text):
            return self._known_bare(text)
        return self._known_bare(_CLOID.sub(self._order, text))

    def of_frame(self, text: bytes) -> bytes:
        """The same of a frame, which knows orders' ids only, and comes by the million."""
        return _CLOID.sub(self._order, text) if has_hex(text) else text

    def of_outputs(self, text: bytes) -> bytes:
        """A text with the ids replaced that are known: others are to be learned of it."""
        return self._known_bare(_CLOID.sub(self._if_known, text))

    def learn(self, recorded: str, replayed: str) -> bool:
        """Note what became of the ids in a text; False where two texts differ in anything else.

        One that stayed what it was is known from then on, too: it is nobody else's. A text comes apart into ids, at odd
        places, and what stands between them.
        """
        was, now = _ANY_ID.split(recorded), _ANY_ID.split(replayed)
        if len(was) != len(now) or was[::2] != now[::2]:
            return False
        pairs = zip(was[1::2], now[1::2], strict=True)
        return all(len(old) == len(new) and self.note(old, new) for old, new in pairs)

    def _known_bare(self, text: bytes) -> bytes:
        return _BARE_ID.sub(self._if_known, text) if self._known else text

    def _if_known(self, found: re.Match[bytes]) -> bytes:
        now = self._known.get(found[0].lower().decode())
        return found[0] if now is None else now.encode()

    def _order(self, found: re.Match[bytes]) -> bytes:
        was = found[0].lower().decode()
        now = self._known.get(was)
        if now is None:
            now = self._known[was] = self._redaction.cloid(was)
        return now.encode()


def has_hex(text: bytes) -> bool:
    """Whether anything that begins as an address does can be in a text."""
    return b"0x" in text or b"0X" in text


def addresses_in(text: bytes) -> set[bytes]:
    return {found[0].lower() for found in _ADDRESS.finditer(text)}


def without_addresses(text: bytes) -> bytes:
    """A text in which no address is left, nor what stands for one."""
    return _ADDRESS.sub(b"0x0", text)
