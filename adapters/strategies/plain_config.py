"""A symbol's config as plain nested dicts, spelled like the overrides file, and back."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from domain.field_rules import FieldRule, Refusal, Schema, Value, read_value, schema_of, text_of
from domain.strategy_config import SymbolConfig
from domain.strategy_rules import broken_rules

_Section = TypeVar("_Section")


def plain_config(config: SymbolConfig) -> dict[str, Any]:
    """What a user's strategy is given: numbers as int and float, choices as the file's words."""
    return {entry.name: _plain(getattr(config, entry.name)) for entry in fields(config)}


def config_from(sections: Mapping[str, Any]) -> SymbolConfig:
    """The config a mapping of sections stands for, defaults filled in. ValueError says which key is wrong."""
    config = _filled(SymbolConfig(), sections, schema_of(SymbolConfig), "")
    for broken in broken_rules(config):
        raise ValueError(f"{broken.keys[0]} {broken.message}")
    return config


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, enum.Enum):
        return text_of(value)
    return float(value) if isinstance(value, Decimal) else value


def _filled(section: _Section, given: Mapping[str, Any], schema: Schema, prefix: str) -> _Section:
    changes: dict[str, Any] = {}
    for name, value in given.items():
        key, rule = f"{prefix}{name}", schema.get(name)
        if rule is None:
            raise ValueError(f"{key} is not a key of a symbol's config")
        if isinstance(rule, FieldRule):
            changes[name] = _read(key, value, rule)
        elif isinstance(value, Mapping):
            changes[name] = _filled(getattr(section, name), value, rule, f"{key}.")
        else:
            raise ValueError(f"{key} is a section: its value has to be a mapping")
    return replace(section, **changes)  # type: ignore[type-var]


def _read(key: str, value: Any, rule: FieldRule) -> Value:
    """A Python value by the rule of its field, by way of the text it would have in the file."""
    if not isinstance(value, (bool, int, float, str, Decimal, enum.Enum, type(None))):
        raise ValueError(f"{key} cannot be {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key} has to be finite")
    read = read_value(rule, text_of(value))
    if isinstance(read, Refusal):
        raise ValueError(f"{key} {read.message}")
    return read
