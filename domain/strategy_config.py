"""How layers of overrides become one config per symbol.

Layers, low to high: defaults, global, symbols.SYM, live.global, live.symbols.SYM,
modes.NAME.global, modes.NAME.symbols.SYM, environment (risk limits only). The parser says which
of them are active; here they are only put on top of each other. Mappings merge key by key, everything
else replaces, lists too. Nothing that comes out can be changed, so symbols may share it.

The sections themselves are in `domain.strategy_sections`; take them from here or there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeAlias, TypeVar

from domain.field_rules import Value, text_of
from domain.strategy_sections import (
    SYMBOL_SCHEMA,
    AnomalyThresholds,
    EngineSection,
    EntryThresholds,
    FilterConfig,
    IndicatorConfig,
    MacdHistEntry,
    RangingThresholds,
    RegimeConfig,
    RiskConfig,
    StochRsiThresholds,
    SymbolConfig,
    Thresholds,
    TpAndMomentumThresholds,
    TradeConfig,
)

__all__ = [
    "DEFAULT_ORIGIN",
    "AnomalyThresholds",
    "ConfigChange",
    "ConfigLayer",
    "EngineSection",
    "EntryThresholds",
    "FilterConfig",
    "Given",
    "IndicatorConfig",
    "MacdHistEntry",
    "Place",
    "RangingThresholds",
    "RegimeConfig",
    "RiskConfig",
    "StochRsiThresholds",
    "StrategyBook",
    "SymbolConfig",
    "Thresholds",
    "TpAndMomentumThresholds",
    "TradeConfig",
    "Tree",
    "book_of",
    "changes_between",
    "leaves",
    "merge",
]

DEFAULT_ORIGIN = "default"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was written. Line and column count from 1; 0 where there are none."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody wrote, where, and in which scope (`global`, `symbols.BTC`, ...)."""

    value: Value
    place: Place
    scope: str

    @property
    def origin(self) -> str:
        return f"{self.place} ({self.scope})" if self.scope else str(self.place)


Tree: TypeAlias = Mapping[str, "Given | Tree"]
"""What was written, nested like the file: section, key, value."""


@dataclass(frozen=True, slots=True)
class ConfigLayer:
    """One scope's overrides: for every symbol (`symbol` is None), or for one."""

    symbol: str | None
    tree: Tree


def merge(base: Tree, over: Tree) -> dict[str, Given | Tree]:
    """`over` on top of `base`: mappings key by key, everything else replaced.

    Changes neither, and shares no mapping with either. Associative as long as a name means a
    mapping in all trees or in none, which the schema sees to.
    """
    merged: dict[str, Given | Tree] = {}
    for name in (*base, *(name for name in over if name not in base)):
        low, high = base.get(name), over.get(name)
        top = low if high is None else high
        assert top is not None, "a name comes from one of the two"
        if isinstance(top, Given):
            merged[name] = top
        else:
            merged[name] = merge(low if isinstance(low, Mapping) and low is not top else {}, top)
    return merged


@dataclass(frozen=True, slots=True, eq=False)
class StrategyBook:
    """One version of the overrides, resolved: what is in force for every symbol. Immutable; made by `book_of`.

    `digest` is a SHA-256 (hex) over everything in force for decisions: two files that mean the
    same have the same digest, whatever their comments and order. `engine` is not part of it: its
    values are read at start and recorded with the settings.
    """

    everyone: SymbolConfig
    named: Mapping[str, SymbolConfig]
    risk: RiskConfig
    engine: EngineSection
    watchlist_exclude: tuple[str, ...]
    digest: str
    warnings: tuple[str, ...]
    layers: tuple[ConfigLayer, ...]

    def for_symbol(self, symbol: str) -> SymbolConfig:
        """The config of a symbol; of a symbol nobody named, the one of all others."""
        return self.named.get(symbol, self.everyone)

    def given(self, symbol: str | None, dotted_key: str) -> Given | None:
        """What somebody wrote for a key, in the highest layer that has it. None: the default counts.

        `symbol` None asks for the keys that hold for every symbol: `risk.*`, `engine.*`, `watchlist_exclude`.
        """
        node: Given | Tree | None = _stacked(self.layers, symbol)
        for name in dotted_key.split("."):
            node = node.get(name) if isinstance(node, Mapping) else None
        return node if isinstance(node, Given) else None

    def origin(self, symbol: str | None, dotted_key: str) -> str:
        """Where a key's value came from: `config/strategy_overrides.yaml:12:5 (symbols.BTC)`, or `default`."""
        given = self.given(symbol, dotted_key)
        return DEFAULT_ORIGIN if given is None else given.origin


def book_of(layers: Iterable[ConfigLayer], warnings: Iterable[str] = ()) -> StrategyBook:
    """Resolve layers, given low to high. Their values must already keep the rules of their fields."""
    stack = tuple(layers)
    shared = _stacked(stack, None)
    everyone = _filled(_DEFAULTS, _for_symbols(shared))
    named = {
        symbol: _filled(_DEFAULTS, _for_symbols(_stacked(own, symbol)))
        for symbol, own in sorted(_stacks_by_symbol(stack).items())
    }
    risk = _filled(RiskConfig(), _subtree(shared, "risk"))
    exclude = shared.get("watchlist_exclude")
    excluded = exclude.value if isinstance(exclude, Given) and isinstance(exclude.value, tuple) else ()
    return StrategyBook(
        everyone=everyone,
        named=named,
        risk=risk,
        engine=_filled(EngineSection(), _subtree(shared, "engine")),
        watchlist_exclude=excluded,
        digest=_digest(everyone, named, risk, excluded),
        warnings=tuple(warnings),
        layers=stack,
    )


def leaves(section: Any, prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Every dotted key of a section with its value, in the order of the schema."""
    for entry in fields(section):
        value = getattr(section, entry.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{entry.name}.")
        else:
            yield f"{prefix}{entry.name}", value


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """One value that differs between two books; `symbol` None: for every symbol not named."""

    symbol: str | None
    key: str
    before: str
    after: str

    def __str__(self) -> str:
        where = self.key if self.symbol is None else f"{self.symbol} {self.key}"
        return f"{where}: {self.before} -> {self.after}"


def changes_between(before: StrategyBook, after: StrategyBook) -> tuple[ConfigChange, ...]:
    """What a reload changes, in the order of the schema: for everyone first, then symbols that differ from that."""
    shared = _differences(None, before.everyone, after.everyone)
    found = [*shared, *_differences(None, before.risk, after.risk, "risk."), *_engine_changes(before, after)]
    lists = (text_of(before.watchlist_exclude), text_of(after.watchlist_exclude))
    if lists[0] != lists[1]:
        found.append(ConfigChange(None, "watchlist_exclude", *lists))
    known = {(change.key, change.before, change.after) for change in shared}
    for symbol in sorted({*before.named, *after.named}):
        own = _differences(symbol, before.for_symbol(symbol), after.for_symbol(symbol))
        found.extend(change for change in own if (change.key, change.before, change.after) not in known)
    return tuple(found)


_DEFAULTS = SymbolConfig()
_Section = TypeVar("_Section")


def _stacked(layers: Iterable[ConfigLayer], symbol: str | None) -> Tree:
    tree: Tree = {}
    for layer in layers:
        if layer.symbol is None or layer.symbol == symbol:
            tree = merge(tree, layer.tree)
    return tree


def _stacks_by_symbol(layers: tuple[ConfigLayer, ...]) -> dict[str, list[ConfigLayer]]:
    """For each named symbol the layers that concern it, low to high. Linear in the length of the file."""
    places: dict[str, list[int]] = {}
    shared = [place for place, layer in enumerate(layers) if layer.symbol is None]
    for place, layer in enumerate(layers):
        if layer.symbol is not None:
            places.setdefault(layer.symbol, []).append(place)
    return {symbol: [layers[place] for place in sorted(shared + own)] for symbol, own in places.items()}


def _filled(section: _Section, tree: Tree) -> _Section:
    """A copy of a section in which what was written takes the default's place."""
    changes: dict[str, Any] = {}
    for name, node in tree.items():
        changes[name] = node.value if isinstance(node, Given) else _filled(getattr(section, name), node)
    return replace(section, **changes) if changes else section  # type: ignore[type-var]


def _subtree(tree: Tree, name: str) -> Tree:
    node = tree.get(name, {})
    assert not isinstance(node, Given), f"{name} is a section"
    return node


def _for_symbols(tree: Tree) -> Tree:
    return {name: node for name, node in tree.items() if name in SYMBOL_SCHEMA}


def _digest(
    everyone: SymbolConfig, named: Mapping[str, SymbolConfig], risk: RiskConfig, exclude: tuple[str, ...]
) -> str:
    lines = [f"* {key}={text_of(value)}" for key, value in leaves(everyone)]
    lines += [f"* risk.{key}={text_of(value)}" for key, value in leaves(risk)]
    lines += [f"* watchlist_exclude={','.join(sorted(set(exclude)))}"]
    for symbol, config in sorted(named.items()):
        own = _differences(symbol, everyone, config)
        lines += [f"{symbol} {change.key}={change.after}" for change in own]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _differences(symbol: str | None, before: Any, after: Any, prefix: str = "") -> list[ConfigChange]:
    """Where two sections of one kind differ. Sections nobody touched are one object, and are skipped at once."""
    found: list[ConfigChange] = []
    for entry in fields(before):
        old, new, key = getattr(before, entry.name), getattr(after, entry.name), prefix + entry.name
        if old is new:
            continue
        if is_dataclass(old):
            found += _differences(symbol, old, new, f"{key}.")
        elif old != new:
            found.append(ConfigChange(symbol, key, text_of(old), text_of(new)))
    return found


def _engine_changes(before: StrategyBook, after: StrategyBook) -> list[ConfigChange]:
    return _differences(None, before.engine, after.engine, "engine.")
