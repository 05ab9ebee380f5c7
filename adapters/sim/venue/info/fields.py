"""Reading an info request as strictly as the venue does: a wrong type is no request at all."""

from __future__ import annotations

import re
from collections.abc import Mapping

LARGEST = 2**64 - 1
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_CLOID = re.compile(r"0x[0-9a-fA-F]{32}")


class UnreadableError(Exception):
    """The JSON does not fit the request's type: HTTP 422."""


class UnanswerableError(Exception):
    """A well-formed request about something that does not exist: `null`, with a status that depends on the request."""


class Fields:
    """The keys of one request. Extra keys are ignored, `null` stands for a missing optional one."""

    def __init__(self, raw: object) -> None:
        if not isinstance(raw, Mapping):
            raise UnreadableError
        self._raw: Mapping[str, object] = raw

    def text(self, key: str) -> str:
        found = self._raw.get(key)
        if not isinstance(found, str):
            raise UnreadableError
        return found

    def address(self, key: str = "user") -> str:
        """Any case is accepted; lower case is what the venue speaks."""
        found = self.text(key)
        if _ADDRESS.fullmatch(found) is None:
            raise UnreadableError
        return found.lower()

    def dex(self) -> str:
        return "" if self._raw.get("dex") is None else self.text("dex")

    def integer(self, key: str) -> int:
        return _unsigned(self._raw.get(key))

    def integer_or(self, key: str, default: int) -> int:
        found = self._raw.get(key)
        return default if found is None else _unsigned(found)

    def choice(self, key: str, allowed: tuple[int, ...]) -> int | None:
        found = self._raw.get(key)
        if found is None:
            return None
        if _unsigned(found) not in allowed:
            raise UnreadableError
        return _unsigned(found)

    def flag(self, key: str) -> bool:
        found = self._raw.get(key)
        if found is not None and not isinstance(found, bool):
            raise UnreadableError
        return bool(found)

    def order_id(self) -> int | str:
        """A number is an oid, a string a cloid (given back in lower case)."""
        found = self._raw.get("oid")
        if not isinstance(found, str):
            return _unsigned(found)
        if _CLOID.fullmatch(found) is None:
            raise UnreadableError
        return found.lower()

    def nested(self, key: str) -> Fields:
        return Fields(self._raw.get(key))


def _unsigned(found: object) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= LARGEST:
        raise UnreadableError
    return found
