"""Which values are in force and where each came from: what `show-config` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from config.environment import is_secret, looks_like_a_key, names_a_file
from config.load import Configuration
from config.variables import VARIABLES
from domain.field_rules import MASK as MASK
from domain.field_rules import text_of
from domain.strategy_config import DEFAULT_ORIGIN, StrategyBook, leaves


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """One value. `origin`: `environment (AI_QUANT_MODE)`, `path:line:column (scope)`, or `default`."""

    key: str
    value: str
    origin: str


def setting_rows(configuration: Configuration) -> tuple[ConfigRow, ...]:
    """Every setting by its variable's name; secrets are masked."""
    rows = []
    for variable in VARIABLES:
        value = getattr(configuration.settings, variable.field)
        given = configuration.given.get(variable.field)
        shown = "" if value is None else text_of(value if not hasattr(value, "__fspath__") else str(value))
        origin = DEFAULT_ORIGIN if given is None else given.origin
        rows.append(ConfigRow(variable.name, masked(variable.name, shown), origin))
    return tuple(rows)


def override_rows(book: StrategyBook, symbol: str) -> tuple[ConfigRow, ...]:
    """Every key in force for one symbol, then those that hold for all symbols together."""
    return (*_symbol_rows(book, symbol), *_shared_rows(book))


def masked(name: str, shown: str) -> str:
    """A value fit to be shown: a mask for the value of a secret, and for whatever looks like a key."""
    hidden = looks_like_a_key(shown) or (is_secret(name) and not names_a_file(name))
    return MASK if shown and hidden else shown


def _symbol_rows(book: StrategyBook, symbol: str) -> Iterator[ConfigRow]:
    for key, value in leaves(book.for_symbol(symbol)):
        yield ConfigRow(key, text_of(value), book.origin(symbol, key))


def _shared_rows(book: StrategyBook) -> Iterator[ConfigRow]:
    for key, value in leaves(book.risk, "risk."):
        yield ConfigRow(key, text_of(value), book.origin(None, key))
    key = "watchlist_exclude"
    yield ConfigRow(key, text_of(book.watchlist_exclude), book.origin(None, key))
