"""Guess what a user meant by a column or a symbol that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_COLUMN_ALIASES = {
    "symbol": ("coin", "s", "ticker", "pair", "market", "asset", "instrument", "name"),
    "t": ("time", "timestamp", "date", "datetime", "open_time", "open_ms", "opentime", "ts", "time_ms", "timestamp_ms"),
    "o": ("open",),
    "h": ("high",),
    "l": ("low",),
    "c": ("close",),
    "v": ("volume", "vol", "volume_base"),
    "rate": ("fundingrate", "funding_rate", "funding", "r"),
}
_QUOTES = re.compile(r"([-_/:]?(PERP|USDT|USDC|USD|SWAP))+$", re.IGNORECASE)
_NAMES_SHOWN = 12


def rename_hint(missing: Sequence[str], found: Sequence[str]) -> str:
    """What to do about missing columns: rename the likely ones, or bring them."""
    by_lower = {name.lower().strip(): name for name in reversed(found)}
    renames = []
    for column in missing:
        likely = next((by_lower[alias] for alias in (column, *_COLUMN_ALIASES[column]) if alias in by_lower), None)
        if likely is not None:
            renames.append(f"{likely!r} to {column!r}")
    return f"rename {', '.join(renames)}" if renames else "write the file with these columns"


def symbol_hint(asked: str, known: Iterable[str]) -> str:
    """The symbol that was probably meant, or a few of those there are."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    base = _QUOTES.sub("", asked.strip()).lower()
    for guess in (asked.lower(), base, "k" + base, "k" + base.removeprefix("1000")):
        if guess in lowered:
            return f"did you mean {lowered[guess]!r}? Names are case-sensitive, as on the venue"
    near = get_close_matches(base, list(lowered), n=1, cutoff=0.7)
    if near:
        return f"did you mean {lowered[near[0]]!r}?"
    return f"there are {listed(names)}"


def listed(names: Sequence[str]) -> str:
    """Names in a row, a long list cut short."""
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN]) or "none"
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
