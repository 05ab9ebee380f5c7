"""Overrides: from the text of the file to a `StrategyBook`, or to everything that is wrong with it.

The key decides what a value is; the text is never guessed at. So:

- true and false are the only switches (`NO`, `on`, `yes` are refused there, and are plain symbols elsewhere);
- numbers are plain decimals, an exponent allowed where fractions are (`1e3`); `010`, `12:30`, `.nan`,
  `.inf`, `1_000` and quoted numbers are refused;
- `null` unsets an optional key; an empty value (`leverage:`) is refused, for it is what a half-written file looks like;
- a file without any key is refused: write `global: {}` to mean "no overrides". (A file that does not
  exist is fine at start. See `application.strategy_manager` for what happens while running.)

Layers that are not in force in this mode are checked like the others, so that going live holds no surprise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from config.migration import Fate, Heritage, find
from config.migration_keys import KEYS
from config.suggestions import did_you_mean, unknown_key, unknown_symbols
from config.yaml_tree import Entries, Items, Node, Problems, Scalar, joined, read_tree, shortened
from domain.config_events import OverridesText
from domain.field_rules import UNSET_WORDS, FieldRule, Kind, Refusal, Schema, Value, read_value, symbol_refusal
from domain.strategy_config import ConfigLayer, Given, Place, StrategyBook, Tree, book_of
from domain.strategy_rules import broken_rules
from domain.strategy_sections import SHARED_SCHEMA, SYMBOL_SCHEMA
from ports.strategy_config import ConfigProblem, OverridesInvalid

EMPTY_ADVICE = "holds no keys; write `global: {}` to mean no overrides"


@dataclass(frozen=True, slots=True)
class OverridesParser:
    """The `StrategyConfigParser` of one mode. `top` are layers above the file: the environment's; `bottom` below it."""

    live_layers: bool
    mode_name: str | None = None
    top: tuple[ConfigLayer, ...] = ()
    known_symbols: frozenset[str] | None = None
    bottom: tuple[ConfigLayer, ...] = ()

    def parse_look(self, look: OverridesText) -> StrategyBook:
        if look.content is None:
            raise OverridesInvalid([ConfigProblem(Place(look.path), "", look.reason)])
        return self.parse(look.content, look.path)

    def parse(self, content: str, path: str) -> StrategyBook:
        """Resolve a text. Raises `OverridesInvalid` with every problem, and nothing else."""
        reading = _Reading(path)
        reading.root(read_tree(content, path, reading.problems))
        live = reading.live if self.live_layers else ()
        layers = [*self.bottom, *reading.base, *live, *reading.mode(self.mode_name), *self.top]
        reading.refuse_if_broken()
        book = book_of(layers, reading.warning_lines())
        reading.contradictions(book)
        reading.refuse_if_broken()
        return self._checked(book)

    def defaults(self, path: str) -> StrategyBook:
        if self.mode_name:
            message = f"AI_QUANT_STRATEGY_MODE asks for mode '{self.mode_name}', but there is no such file"
            raise OverridesInvalid([ConfigProblem(Place(path), "", message)])
        return self._checked(book_of((*self.bottom, *self.top)))

    def _checked(self, book: StrategyBook) -> StrategyBook:
        if self.known_symbols is None:
            return book
        return book_of(book.layers, (*book.warnings, *unknown_symbols(book, self.known_symbols)))


def parse_overrides(
    text: str,
    path: str,
    *,
    live_layers: bool,
    mode_name: str | None = None,
    known_symbols: Iterable[str] | None = None,
) -> StrategyBook:
    """Read overrides once. Raises `OverridesInvalid` with every problem, and nothing else."""
    known = None if known_symbols is None else frozenset(known_symbols)
    return OverridesParser(live_layers, mode_name, known_symbols=known).parse(text, path)


@dataclass(slots=True)
class _Reading:
    """One walk over one file, collecting layers, problems and warnings."""

    path: str
    problems: Problems = field(default_factory=Problems)
    base: list[ConfigLayer] = field(default_factory=list)
    live: list[ConfigLayer] = field(default_factory=list)
    modes: dict[str, list[ConfigLayer]] = field(default_factory=dict)
    _warned: dict[tuple[str, str], tuple[str, list[Place]]] = field(default_factory=dict)

    def root(self, node: Node | None) -> None:
        if not isinstance(node, Entries) or not node.entries:
            if self.problems.found:
                return
            empty = node is None or isinstance(node, Entries) or (isinstance(node, Scalar) and not node.text)
            place = Place(self.path) if node is None else node.place
            self.problems.add(place, "", EMPTY_ADVICE if empty else "must be keys and values, such as `global: {}`")
            return
        for name, value in node.entries:
            match name.text:
                case "global":
                    self.base.insert(0, self._layer("global", None, value))
                case "symbols":
                    self.base.extend(self._symbols("symbols", value))
                case "live":
                    self.live = self._overlay("live", value)
                case "modes":
                    self.modes = {
                        mode.text: self._overlay(f"modes.{mode.text}", part)
                        for mode, part in self._parts(value, "modes")
                    }
                case _:
                    self._unknown_scope(name)

    def mode(self, name: str | None) -> list[ConfigLayer]:
        if not name or name in self.modes:
            return self.modes[name] if name else []
        there_are = f" (there are: {', '.join(self.modes)})" if self.modes else ""
        message = "AI_QUANT_STRATEGY_MODE asks for a mode that is not in the file" + there_are
        self.problems.add(Place(self.path), f"modes.{name}", message + did_you_mean(name, self.modes))
        return []

    def contradictions(self, book: StrategyBook) -> None:
        said = set()
        for symbol in (None, *book.named):
            config = book.everyone if symbol is None else book.named[symbol]
            for rule in broken_rules(config):
                given = [(found, key) for key in rule.keys if (found := book.given(symbol, key)) is not None]
                assert given, "defaults do not contradict each other"
                last, key = max(given, key=lambda pair: pair[0].place)
                other = rule.keys[1] if key == rule.keys[0] else rule.keys[0]
                message = rule.message if key == rule.keys[0] else f"contradicts {other}, which {rule.message}"
                if (last.place, message) not in said:
                    said.add((last.place, message))
                    self.problems.add(last.place, joined(last.scope, key), message)

    def refuse_if_broken(self) -> None:
        if self.problems.found:
            raise OverridesInvalid(self.problems.found)

    def warning_lines(self) -> list[str]:
        lines = []
        for (_, message), (dotted, places) in self._warned.items():
            more = f" ({len(places)} times)" if len(places) > 1 else ""
            lines.append(f"{places[0]}: {shortened(dotted, 400)}: {message}{more}")
        return lines

    def _overlay(self, scope: str, node: Node) -> list[ConfigLayer]:
        """`live` or one mode: `global` and `symbols` as at the top, or sections alone for every symbol."""
        parts = self._parts(node, scope)
        if not {name.text for name, _ in parts} & {"global", "symbols"}:
            return [self._layer(scope, None, node)] if parts else []
        layers: list[ConfigLayer] = []
        for name, value in parts:
            if name.text == "global":
                layers.insert(0, self._layer(f"{scope}.global", None, value))
            elif name.text == "symbols":
                layers.extend(self._symbols(f"{scope}.symbols", value))
            else:
                message = "stands beside `global` or `symbols`: put it under `global`"
                self.problems.add(name.place, joined(scope, name.text), message)
        return layers

    def _symbols(self, scope: str, node: Node) -> list[ConfigLayer]:
        layers = []
        for name, value in self._parts(node, scope):
            refusal = symbol_refusal(name.text)
            if refusal is not None:
                self.problems.add(name.place, scope, refusal.message, name.text)
            layers.append(self._layer(joined(scope, name.text), name.text, value))
        return layers

    def _layer(self, scope: str, symbol: str | None, node: Node) -> ConfigLayer:
        schema = SHARED_SCHEMA if symbol is None else SYMBOL_SCHEMA
        return ConfigLayer(symbol, self._section(node, schema, scope, ""))

    def _section(self, node: Node, schema: Schema, scope: str, parent: str) -> Tree:
        tree: dict[str, Given | Tree] = {}
        for name, value in self._parts(node, joined(scope, parent)):
            key = joined(parent, name.text)
            rule = schema.get(name.text)
            if rule is None:
                self._unknown_key(name, scope, parent, schema)
            elif not isinstance(rule, FieldRule):
                tree[name.text] = self._section(value, rule, scope, key)
            elif (read := self._value(value, rule, scope, key)) is not None:
                tree[name.text] = read
        return tree

    def _value(self, node: Node, rule: FieldRule, scope: str, key: str) -> Given | None:
        dotted = joined(scope, key)
        if rule.kind is Kind.SYMBOLS:
            return self._symbol_list(node, scope, dotted)
        if not isinstance(node, Scalar):
            self.problems.add(node.place, dotted, f"must be {rule.allowed}, not {_shape(node)}")
        elif node.plain and not node.text:
            self.problems.add(node.place, dotted, f"has no value; it must be {rule.allowed}")
        elif not node.plain and rule.kind not in (Kind.CHOICE, Kind.TEXT):
            self.problems.add(node.place, dotted, f"must be {rule.kind.value}, without quotes", node.text)
        else:
            value = read_value(rule, node.text)
            if not isinstance(value, Refusal):
                self._warn_of_zero(value, node, rule, dotted, key)
                return Given(value, node.place, scope)
            self.problems.add(node.place, dotted, value.message, node.text)
        return None

    def _symbol_list(self, node: Node, scope: str, dotted: str) -> Given | None:
        if not isinstance(node, Items):
            self.problems.add(node.place, dotted, f"must be a list such as [BTC, kPEPE], not {_shape(node)}")
            return None
        symbols: list[str] = []
        for item in node.items:
            text = item.text if isinstance(item, Scalar) else ""
            refusal = symbol_refusal(text)
            if refusal is not None:
                self.problems.add(item.place, dotted, refusal.message, text or _shape(item))
            elif text not in symbols:
                symbols.append(text)
        return Given(tuple(symbols), node.place, scope)

    def _parts(self, node: Node, dotted: str) -> tuple[tuple[Scalar, Node], ...]:
        if isinstance(node, Entries):
            return node.entries
        empty = isinstance(node, Scalar) and node.plain and not node.text
        message = "has no keys; write {} or leave it out" if empty else f"must be keys and values, not {_shape(node)}"
        self.problems.add(node.place, dotted, message)
        return ()

    def _unknown_scope(self, name: Scalar) -> None:
        if name.text in SHARED_SCHEMA:
            self.problems.add(name.place, name.text, "must stand under `global:` (or under a symbol, `live` or a mode)")
        elif not self._inherited(name, name.text, name.text):
            scopes = ("global", "symbols", "live", "modes")
            self.problems.add(name.place, name.text, f"unknown key{did_you_mean(name.text, scopes)}")

    def _unknown_key(self, name: Scalar, scope: str, parent: str, schema: Schema) -> None:
        key = joined(parent, name.text)
        dotted = joined(scope, key)
        if not parent and name.text in SHARED_SCHEMA:
            self.problems.add(name.place, dotted, "holds for all symbols together: put it under `global`")
        elif not self.problems.full and not self._inherited(name, key, dotted):
            self.problems.add(name.place, dotted, unknown_key(name.text, parent, schema))

    def _inherited(self, name: Scalar, key: str, dotted: str) -> bool:
        """Whether a key is one of the earlier engine's that has no effect here; warns if so."""
        entry: Heritage | None = find(key, KEYS) or find(f"?.{name.text}", KEYS)
        if entry is None or entry.fate is Fate.KEPT:
            return False
        self._warn(name.place, dotted, key, entry.warning)
        return True

    def _warn_of_zero(self, value: Value, node: Scalar, rule: FieldRule, dotted: str, key: str) -> None:
        if value is None and rule.zero_is_unset and node.text not in UNSET_WORDS:
            self._warn(node.place, dotted, key, "0 is read as not set; write null, or leave it out, to say so")

    def _warn(self, place: Place, dotted: str, key: str, message: str) -> None:
        """Say a thing about a key once, at its first place, however many symbols repeat it."""
        self._warned.setdefault((key, message), (dotted, []))[1].append(place)


def _shape(node: Node) -> str:
    match node:
        case Items():
            return "a list"
        case Entries():
            return "a section"
        case Scalar():
            return f"'{node.text}'" if node.text else "nothing"
