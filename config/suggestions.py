"""What somebody may have meant by a name nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from domain.field_rules import FieldRule, Schema
from domain.strategy_config import StrategyBook
from domain.strategy_sections import SHARED_SCHEMA


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """`, did you mean 'BTC'?`, or nothing when no option is close. Case alone never makes a name far."""
    known = list(options)
    same_but_for_case = [option for option in known if option.lower() == name.lower()]
    close = same_but_for_case or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""


def unknown_key(name: str, parent: str, options: Iterable[str]) -> str:
    """The message for a key that its section does not have, with the section that has it or a similar name."""
    homes = [home for home in _HOMES.get(name, ()) if home != parent]
    if homes:
        return f"unknown key here; '{name}' belongs to {' or '.join(homes)}"
    return f"unknown key{did_you_mean(name, options)}"


def unknown_symbols(book: StrategyBook, known_symbols: Iterable[str]) -> tuple[str, ...]:
    """A warning per symbol that a book names and the market does not have. Symbols come and go: no error."""
    known = sorted(set(known_symbols))
    named = {*book.named, *book.watchlist_exclude}
    return tuple(
        f"the overrides name '{symbol}', which is not in this market{did_you_mean(symbol, known)}"
        for symbol in sorted(named.difference(known))
    )


def _homes(schema: Schema, parent: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, node in schema.items():
        if isinstance(node, FieldRule):
            found.setdefault(name, []).append(parent or "global")
        else:
            inner = f"{parent}.{name}" if parent else name
            found.setdefault(name, []).append(parent or "global")
            for key, places in _homes(node, inner).items():
                found.setdefault(key, []).extend(places)
    return found


_HOMES = _homes(SHARED_SCHEMA)
