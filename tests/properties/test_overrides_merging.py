"""Overrides over all inputs: how layers merge, what the reader lets through, what a reload may take."""

import copy
import functools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from application.strategy_manager import Accepted, StrategyManager
from config.overrides_watch import OverridesWatch
from config.yaml_reader import OverridesParser, parse_overrides
from domain.field_rules import FieldRule, Kind, Schema, Value, read_value, text_of
from domain.strategy_config import ConfigLayer, Given, Place, SymbolConfig, Tree, book_of, leaves, merge
from domain.strategy_rules import broken_rules, value_at
from domain.strategy_sections import SYMBOL_SCHEMA
from ports.strategy_config import OverridesInvalid

# --- trees and layers ---


def values_of(rule: FieldRule) -> st.SearchStrategy[Value]:
    """Any value that a rule allows."""
    low, high = rule.low or Decimal(0), rule.high or Decimal(0)
    match rule.kind:
        case Kind.SWITCH:
            found: st.SearchStrategy[Value] = st.booleans()
        case Kind.CHOICE:
            found = st.sampled_from([value for _, value in rule.choices])
        case Kind.COUNT:
            found = st.integers(int(low), int(high))
        case Kind.NUMBER:
            nonzero = st.floats(float(low), float(high)).map(lambda value: float(f"{value:.12g}"))
            found = nonzero.filter(lambda value: float(low) <= value <= float(high) and abs(value) > 1e-12)
        case _:
            found = st.decimals(low, high, places=4)
    return st.none() | found if rule.optional else found


def trees(schema: Schema = SYMBOL_SCHEMA, *, scope: str = "global") -> st.SearchStrategy[Tree]:
    """Any part of the schema, with values."""
    parts: dict[str, st.SearchStrategy[Given | Tree]] = {}
    for name, rule in schema.items():
        if isinstance(rule, FieldRule):
            parts[name] = values_of(rule).map(lambda value: Given(value, Place("o.yaml", 1, 1), scope))
        else:
            parts[name] = trees(rule, scope=scope)
    names = st.lists(st.sampled_from(sorted(parts)), max_size=4, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: parts[name] for name in chosen}))


def leaf_values(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Value]]:
    for name, node in tree.items():
        if isinstance(node, Given):
            yield prefix + name, node.value
        else:
            yield from leaf_values(node, f"{prefix}{name}.")


def mappings_in(tree: Tree) -> Iterator[int]:
    yield id(tree)
    for node in tree.values():
        if not isinstance(node, Given):
            yield from mappings_in(node)


@given(trees(), trees(), trees())
def test_merging_is_associative(one: Tree, two: Tree, three: Tree) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(trees())
def test_merging_with_nothing_or_with_itself_changes_nothing(tree: Tree) -> None:
    assert merge(tree, {}) == merge({}, tree) == merge(tree, tree) == tree


@given(trees(), trees())
def test_the_upper_layer_wins_and_the_lower_one_shows_where_the_upper_is_silent(low: Tree, high: Tree) -> None:
    assert dict(leaf_values(merge(low, high))) == {**dict(leaf_values(low)), **dict(leaf_values(high))}


@given(trees(), trees())
def test_merging_changes_nothing_and_shares_nothing(low: Tree, high: Tree) -> None:
    before = copy.deepcopy((low, high))
    merged = merge(low, high)
    assert (low, high) == before
    assert set(mappings_in(merged)).isdisjoint({*mappings_in(low), *mappings_in(high)})


SYMBOLS = ("BTC", "ETH", "kPEPE")
LAYERS = st.lists(st.builds(ConfigLayer, st.sampled_from([None, *SYMBOLS]), trees()), max_size=5)


@given(LAYERS, st.sampled_from(SYMBOLS))
def test_a_symbol_has_what_its_highest_layer_says_and_the_default_otherwise(
    layers: list[ConfigLayer], symbol: str
) -> None:
    expected: dict[str, Value] = {}
    for layer in layers:
        if layer.symbol in (None, symbol):
            expected.update(leaf_values(layer.tree))
    book = book_of(layers)
    for key, value in expected.items():
        assert value_at(book.for_symbol(symbol), key) == value
        given_value = book.given(symbol, key)
        assert given_value is not None and given_value.value == value
    untouched = set(leaf_keys(SymbolConfig())) - set(expected)
    assert all(value_at(book.for_symbol(symbol), key) == value_at(SymbolConfig(), key) for key in untouched)


def leaf_keys(config: SymbolConfig) -> list[str]:
    return [key for key, _ in leaves(config)]


@given(LAYERS)
def test_the_digest_stands_for_what_is_in_force(layers: list[ConfigLayer]) -> None:
    book = book_of(layers)
    resolved = [ConfigLayer(symbol, whole_tree(book.for_symbol(symbol))) for symbol in SYMBOLS]
    same = book_of([ConfigLayer(None, whole_tree(book.everyone)), *resolved])
    assert same.digest == book.digest


def whole_tree(config: SymbolConfig) -> Tree:
    tree: Tree = {}
    for key in leaf_keys(config):
        node: Given | Tree = Given(value_at(config, key), Place("p"), "s")
        for name in reversed(key.split(".")):
            node = {name: node}
        assert not isinstance(node, Given)
        tree = merge(tree, node)
    return tree


# --- the reader ---


def written(tree: Tree, indent: int) -> str:
    """A tree as somebody would write it."""
    lines = []
    for name, node in tree.items():
        pad = " " * indent
        if isinstance(node, Given):
            lines.append(f"{pad}{name}: {text_of(node.value)}\n")
        else:
            lines.append(f"{pad}{name}:\n{written(node, indent + 2)}" if node else f"{pad}{name}: {{}}\n")
    return "".join(lines)


@given(trees(), st.sampled_from(SYMBOLS))
def test_what_is_written_is_what_is_read(tree: Tree, symbol: str) -> None:
    text = "symbols:\n" + (f"  {symbol}:\n{written(tree, 4)}" if tree else f"  {symbol}: {{}}\n")
    note(text)
    expected = book_of([ConfigLayer(symbol, tree)])
    if broken_rules(expected.for_symbol(symbol)):
        with pytest.raises(OverridesInvalid):
            parse_overrides(text, "o.yaml", live_layers=False)
        return
    book = parse_overrides(text, "o.yaml", live_layers=False)
    assert book.for_symbol(symbol) == expected.for_symbol(symbol)
    assert book.digest == expected.digest


YAML_CHARACTERS = "globtrade: {}[]\n\t-#&*!'\"\\0123.eUux|>?%@`,<"


@given(st.text(st.characters(codec="utf-8"), max_size=80) | st.text(YAML_CHARACTERS, max_size=80))
def test_any_text_is_a_book_or_a_list_of_printable_problems(text: str) -> None:
    assert all(line.isprintable() for line in problems_of(text))


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), st.text(YAML_CHARACTERS, max_size=9)), max_size=5))
def test_any_slip_in_a_file_is_a_book_or_a_list_of_printable_problems(slips: list[tuple[int, int, str]]) -> None:
    text = SAMPLE
    for place, removed, inserted in slips:
        text = text[:place] + inserted + text[place + removed :]
    assert all(line.isprintable() for line in problems_of(text))


def problems_of(text: str) -> list[str]:
    try:
        parse_overrides(text, "o.yaml", live_layers=True)
    except OverridesInvalid as error:
        return [str(problem) for problem in error.problems]
    return []


NUMBER_RULE = FieldRule(Kind.NUMBER, "", Decimal("-1e30"), Decimal("1e30"))


@given(st.text("0123456789.eE+-_:xnaif", max_size=12))
def test_a_number_is_what_decimal_and_json_agree_on(text: str) -> None:
    value = read_value(NUMBER_RULE, text)
    if isinstance(value, float):
        assert value == float(Decimal(text))
        assert not text.lstrip("+-").startswith("0") or text.lstrip("+-")[1:2] in ("", ".", "e", "E")
        assert set(text) <= set("0123456789.eE+-")


# --- a writer at work ---

OLD = "live: {}\n"
SAMPLE = """\
# new limits
global:
  trade:
    leverage_high: 12.75
    max_open_positions: 125
    allocation_pct: 0.0125
  watchlist_exclude: [DOGE, kPEPE]
  risk:
    max_drawdown_pct: 17.5
symbols:
  BTC:
    trade:
      leverage_low: 1
      leverage_medium: 10
  kPEPE:
    trade: {max_adds_per_symbol: 12}
"""


@functools.cache
def digest_of(text: str) -> str | None:
    try:
        return parse_overrides(text, "o.yaml", live_layers=False).digest
    except OverridesInvalid:
        return None


@dataclass
class Daemon:
    """A watch and a manager over a real file, on a clock that only moves when told."""

    path: Path

    def __post_init__(self) -> None:
        self.now_ms = 0
        self.watch = OverridesWatch(self.path, "o.yaml")
        self.manager = StrategyManager(OverridesParser(live_layers=False), self.watch.look(0))
        self.taken = [self.manager.book.digest]

    def look(self) -> None:
        found = self.watch.poll(self.now_ms)
        if found is not None and isinstance(result := self.manager.offer(found), Accepted):
            self.taken.append(result.digest)


def test_half_written_files_are_dangerous() -> None:
    """What the next test guards against is real: many cuts of the sample are valid and say something else."""
    cuts = {digest_of(SAMPLE[:end]) for end in range(len(SAMPLE))} - {None, digest_of(SAMPLE), digest_of(OLD)}
    assert len(cuts) >= 15


@pytest.mark.parametrize(("pause_ms", "look_every_ms"), [(400, 333), (999, 250), (999, 500)])
def test_a_writer_that_pauses_is_never_read_in_the_middle(tmp_path: Path, pause_ms: int, look_every_ms: int) -> None:
    path = tmp_path / "o.yaml"
    for end in range(len(SAMPLE)):
        path.write_text(OLD)
        daemon = Daemon(path)
        path.write_text(SAMPLE[:end])
        while daemon.now_ms < pause_ms:
            daemon.look()
            daemon.now_ms += look_every_ms
        path.write_text(SAMPLE)
        while daemon.now_ms < pause_ms + 3_000:
            daemon.look()
            daemon.now_ms += look_every_ms
        assert daemon.taken == [digest_of(OLD), digest_of(SAMPLE)], f"cut after {end} characters"


WHOLE_TEXTS = (
    OLD,
    SAMPLE,
    SAMPLE.replace("17.5", "9"),
    "global: {}\n",
    "global: {trade: {leverage: 99}}\n",
    "",
    "# x\n",
)


@st.composite
def writes(draw: st.DrawFn) -> list[tuple[str | None, int, int]]:
    """A day of edits: (text or None for none, for how long it lies there, modification time).

    Whole texts may lie for any time; parts of one for less than a second, and a whole one follows.
    """
    found: list[tuple[str | None, int, int]] = []
    for _ in range(draw(st.integers(1, 5))):
        text = draw(st.sampled_from(WHOLE_TEXTS))
        for end in sorted(draw(st.lists(st.integers(0, len(text)), max_size=3, unique=True))):
            found.append((text[:end], draw(st.integers(1, 999)), draw(st.integers(0, 2**31))))
        shown: str | None = draw(st.sampled_from([text, text, text, None]))
        found.append((shown, draw(st.integers(1, 5_000)), draw(st.integers(0, 2**31))))
    return found


@given(writes(), st.lists(st.integers(250, 500), min_size=1, max_size=7))
def test_what_is_in_force_was_always_one_complete_valid_file(
    edits: list[tuple[str | None, int, int]], pauses_ms: list[int]
) -> None:
    complete = {digest_of(OLD), *(digest_of(text) for text in WHOLE_TEXTS)} - {None}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "o.yaml"
        path.write_text(OLD)
        daemon = Daemon(path)
        looks = 0
        for text, lies_ms, mtime in [*edits, (OLD, 3_000, 1)]:
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
                os.utime(path, (mtime, mtime))
            until_ms, last_good = daemon.now_ms + lies_ms, daemon.manager.book.digest
            while daemon.now_ms < until_ms:
                daemon.look()
                daemon.now_ms += pauses_ms[looks % len(pauses_ms)]
                looks += 1
                assert daemon.manager.book.digest in complete
            if lies_ms >= 2_000 + max(pauses_ms):
                assert daemon.manager.book.digest == ((text and digest_of(text)) or last_good)
        assert daemon.manager.book.digest == digest_of(OLD), "the last word counts, whatever its modification time"


@given(st.integers(0, len(SAMPLE.splitlines()) - 1))
def test_a_line_written_twice_is_refused(place: int) -> None:
    lines = SAMPLE.splitlines(keepends=True)
    text = "".join([*lines[: place + 1], *lines[place:]])
    if lines[place].startswith("#"):
        assert digest_of(text) == digest_of(SAMPLE)
    else:
        assert digest_of(text) is None
