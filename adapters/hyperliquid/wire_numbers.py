"""Numbers, times and names as the venue writes them: the smallest parts of every message.

On the order path a number is a string in JSON and becomes a `Decimal` of exactly that text. For market data msgspec
reads the same strings as floats (`strict=False`), which also accepts a JSON number: the venue's documentation
announces those.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, TypeVar

import msgspec

from adapters.hyperliquid.heard import DecodeError

DAY_MS = 86_400_000
INFINITE = float("inf")

Millis = Annotated[int, msgspec.Meta(ge=1_000_000_000_000, le=9_999_999_999_999)]
"""Milliseconds since 1970 have thirteen digits, from 2001 to 2286: seconds and nanoseconds do not pass for them."""

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""An id or a counter; fits into a column of the ledger."""

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""All that msgspec raises about a text that is not what it should be."""

# No sign but a minus, no exponent, no separators: the venue writes none (reference §2.1).
_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_CLOID = re.compile(r"0x[0-9a-fA-F]{32}")

Answer = TypeVar("Answer")


def exact(text: str, where: str) -> Decimal:
    """The number behind the venue's text, digit for digit."""
    if _NUMBER.fullmatch(text) is None:
        raise DecodeError(where, f"{shown(text)} is not a number")
    return Decimal(text)


def positive(text: str, where: str) -> Decimal:
    value = exact(text, where)
    if value <= 0:
        raise DecodeError(where, f"{shown(text)} is not positive")
    return value


def not_negative(text: str, where: str) -> Decimal:
    value = exact(text, where)
    if value < 0:
        raise DecodeError(where, f"{shown(text)} is negative")
    return value


def known_cloid(text: str | None, where: str) -> str | None:
    """A client order id in lower case, as we make them."""
    if text is None:
        return None
    if _CLOID.fullmatch(text) is None:
        raise DecodeError(where, f"{shown(text)} is no client order id")
    return text.lower()


def shown(text: str) -> str:
    """A foreign text, fit for an error message."""
    return ascii(text if len(text) <= 60 else text[:60] + "…")


def is_other_market(coin: str) -> bool:
    """Whether a name belongs to spot (`@107`, `PURR/USDC`), an outcome (`#10`) or a builder's dex (`xyz:TSLA`)."""
    return coin.startswith(("@", "#")) or "/" in coin or ":" in coin


def check_not_ahead(time_ms: int, now_ms: int | None, where: str) -> None:
    """Refuse a time that lies a day or more ahead: nothing has happened in the future."""
    if now_ms is not None and time_ms > now_ms + DAY_MS:
        raise DecodeError(where, f"time {time_ms} lies more than a day ahead of {now_ms}")


def check_recent(time_ms: int, now_ms: int | None, where: str) -> None:
    """Refuse a time that is more than a day away, for what is always about now."""
    if now_ms is not None and abs(time_ms - now_ms) > DAY_MS:
        raise DecodeError(where, f"time {time_ms} lies more than a day away from {now_ms}")


def read(decode: Callable[[bytes], Answer], body: bytes, where: str) -> Answer:
    """Decode a body; whatever is wrong with it is a `DecodeError` that names `where`."""
    try:
        return decode(body)
    except UNREADABLE as error:
        raise DecodeError(where, problem_of(error)) from error


def problem_of(error: BaseException) -> str:
    """What msgspec has to say, short enough for a log line."""
    text = str(error).replace("\n", " ")
    return ascii(text)[1:-1][:300]
