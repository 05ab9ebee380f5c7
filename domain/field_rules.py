"""Rules of one setting: what kind of value, within which bounds, and what it means.

A rule is the metadata of a dataclass field. Validation, documentation and error messages all
come from it, so they cannot drift apart. A value is always read from the text somebody
typed, by the rule of the field it is for: nothing guesses a type from how a text looks, which
is what makes `NO` a symbol and refuses `010`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from typing import Any, NoReturn, TypeAlias

MASK = "********"


class SecretText:
    """A text that is never shown: whatever prints it prints a mask. Only `reveal` gives it away."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


Value: TypeAlias = bool | int | float | Decimal | str | enum.Enum | tuple[str, ...] | SecretText | None


class Kind(enum.Enum):
    """What a value is. The value of the member is how messages say it."""

    SWITCH = "true or false"
    COUNT = "a whole number"
    NUMBER = "a number"
    AMOUNT = "a decimal number"
    CHOICE = "one of a few words"
    TEXT = "text"
    SYMBOLS = "a list of symbols"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Bounds include their ends. `zero_is_unset`: an explicit 0 is read as "not set"."""

    kind: Kind
    help: str
    low: Decimal | None = None
    high: Decimal | None = None
    choices: tuple[tuple[str, Value], ...] = ()
    optional: bool = False
    zero_is_unset: bool = False
    pattern: str = ""
    pattern_words: str = ""

    @property
    def allowed(self) -> str:
        """What may be written, in words."""
        if self.kind is Kind.CHOICE:
            return "one of " + ", ".join(text for text, _ in self.choices)
        if self.low is None or self.high is None:
            return self.pattern_words or self.kind.value
        return f"{self.kind.value}, {plain(self.low)} to {plain(self.high)}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A text that cannot be the value, and why."""

    message: str


SWITCH_WORDS: Mapping[str, bool] = {"true": True, "false": False}
UNSET_WORDS = ("null", "none")
MAX_NUMBER_CHARACTERS = 24
"""Longer numbers are slips. With 24 characters every number stays exact at the default decimal precision."""

_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_LEADING_ZERO = re.compile(r"[+-]?0[0-9_]+(\.[0-9]*)?")
_NOT_FINITE = re.compile(r"[+-]?\.?(nan|inf|infinity)", re.IGNORECASE)
_SYMBOL = re.compile(r"[A-Za-z0-9@][A-Za-z0-9_:/.@-]{0,39}")


def read_value(rule: FieldRule, text: str, switch_words: Mapping[str, bool] = SWITCH_WORDS) -> Value | Refusal:
    """The value of a text under a rule, or why it is none. Lists are read item by item, by the caller."""
    if rule.optional and text in UNSET_WORDS:
        return None
    match rule.kind:
        case Kind.SWITCH:
            return switch_words.get(text, Refusal(f"must be {' or '.join(_main_words(switch_words))}"))
        case Kind.CHOICE:
            return dict(rule.choices).get(text, Refusal(f"must be {rule.allowed}"))
        case Kind.COUNT | Kind.NUMBER | Kind.AMOUNT:
            return _read_number(rule, text)
        case Kind.TEXT:
            fits = not rule.pattern or re.fullmatch(rule.pattern, text) is not None
            return text if fits else Refusal(f"must be {rule.pattern_words}")
        case Kind.SYMBOLS:
            return symbol_refusal(text) or (text,)


def symbol_refusal(text: str) -> Refusal | None:
    """Why a text cannot be a symbol's name, or None. Case matters: `kPEPE` is not `KPEPE`."""
    return None if _SYMBOL.fullmatch(text) else Refusal("is not a symbol's name")


def plain(number: Decimal) -> str:
    """A number as people write it: no exponent, no trailing zeros. Equal numbers give equal texts."""
    if number == 0:
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def text_of(value: Value) -> str:
    """One text per value, as it could be written in the file."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case enum.Enum():
            return value.value if isinstance(value.value, str) else value.name.lower()
        case int():
            return str(value)
        case float():
            return plain(Decimal(repr(value)))
        case Decimal():
            return plain(value)
        case str():
            return value
        case tuple():
            return "[" + ", ".join(value) + "]"
        case SecretText():
            return MASK


Schema: TypeAlias = "Mapping[str, FieldRule | Schema]"
"""Names to rules, nested like the file."""


def schema_of(section: type) -> Schema:
    """The rules of a section and of the sections inside it."""
    assert is_dataclass(section), "only dataclasses carry rules"
    schema: dict[str, FieldRule | Schema] = {}
    for entry in fields(section):
        nested: object = entry.default_factory
        schema[entry.name] = schema_of(nested) if isinstance(nested, type) else entry.metadata["rule"]
    return schema


def amount(default: str | None, low: str, high: str, help: str) -> Any:
    """A field for what multiplies money or size: exact, never a float."""
    rule = FieldRule(Kind.AMOUNT, help, Decimal(low), Decimal(high), optional=default is None)
    return field(default=None if default is None else Decimal(default), metadata={"rule": rule})


def number(default: float | None, low: float, high: float, help: str, *, zero_is_unset: bool = False) -> Any:
    """A field for what is compared with an indicator."""
    bounds = (Decimal(repr(low)), Decimal(repr(high)))
    rule = FieldRule(Kind.NUMBER, help, *bounds, optional=default is None, zero_is_unset=zero_is_unset)
    return field(default=None if default is None else float(default), metadata={"rule": rule})


def count(default: int | None, low: int, high: int, help: str) -> Any:
    """A field for windows, counts and spans of time."""
    rule = FieldRule(Kind.COUNT, help, Decimal(low), Decimal(high), optional=default is None)
    return field(default=default, metadata={"rule": rule})


def switch(default: bool | None, help: str) -> Any:
    rule = FieldRule(Kind.SWITCH, help, optional=default is None)
    return field(default=default, metadata={"rule": rule})


def choice(options: type[enum.Enum], default: enum.Enum | None, help: str) -> Any:
    """A field for a closed choice; the words are those of `text_of`."""
    words = tuple((text_of(option), option) for option in options)
    rule = FieldRule(Kind.CHOICE, help, choices=words, optional=default is None)
    return field(default=default, metadata={"rule": rule})


def _main_words(switch_words: Mapping[str, bool]) -> tuple[str, str]:
    return (
        next(word for word, meaning in switch_words.items() if meaning),
        next(word for word, meaning in switch_words.items() if not meaning),
    )


def _read_number(rule: FieldRule, text: str) -> Value | Refusal:
    if len(text) > MAX_NUMBER_CHARACTERS or _NUMBER.fullmatch(text) is None:
        return Refusal(f"must be {rule.kind.value}{_number_hint(text)}")
    if rule.kind is Kind.COUNT and _WHOLE.fullmatch(text) is None:
        return Refusal("must be a whole number, written without point or exponent")
    value = Decimal(text)
    if value == 0 and rule.zero_is_unset:
        return None
    assert rule.low is not None and rule.high is not None, "every number has bounds"
    if not rule.low <= value <= rule.high:
        return Refusal(f"must be between {plain(rule.low)} and {plain(rule.high)}")
    if rule.kind is Kind.COUNT:
        return int(value)
    exact = Decimal(0) if value == 0 else value
    return float(exact) if rule.kind is Kind.NUMBER else exact


def _number_hint(text: str) -> str:
    """Name the trap the text fell into, for those that other readers take for numbers."""
    if _LEADING_ZERO.fullmatch(text):
        return "; leading zeros are refused, because some readers take them for octal"
    if _NOT_FINITE.fullmatch(text):
        return "; it has to be finite"
    if ":" in text:
        return "; a colon makes it a time of day, which some readers turn into base 60"
    if "_" in text or "," in text:
        return "; write digits without separators"
    if text.startswith((".", "-.", "+.")) or text.endswith("."):
        return "; write digits on both sides of the point"
    if len(text) > MAX_NUMBER_CHARACTERS:
        return f" of at most {MAX_NUMBER_CHARACTERS} characters"
    return ""
