"""Comparing the shapes of two JSON values: keys, their order, nesting, and the kinds of the scalars."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

_NUMBER_TEXT = re.compile(r"-?\d+\.\d+")


@dataclass(slots=True)
class Shape:
    """What was seen at one place: kinds of values and what they were made of. `required` keys stood in every object."""

    kinds: set[str] = field(default_factory=set)
    keys: dict[str, Shape] = field(default_factory=dict)
    required: set[str] | None = None
    orders: list[list[str]] = field(default_factory=list)
    elements: Shape | None = None
    pair: tuple[Shape, Shape] | None = None

    def add(self, value: object) -> None:
        kind = kind_of(value)
        self.kinds.add(kind)
        if isinstance(value, Mapping):
            names = set(value)
            self.required = names if self.required is None else self.required & names
            if (order := list(value)) not in self.orders:
                self.orders.append(order)
            for key, inner in value.items():
                self.keys.setdefault(key, Shape()).add(inner)
        elif kind == "pair" and isinstance(value, list):
            self.pair = self.pair or (Shape(), Shape())
            for place, inner in zip(self.pair, value, strict=True):
                place.add(inner)
        elif isinstance(value, list):
            self.elements = self.elements or Shape()
            for inner in value:
                self.elements.add(inner)


def kind_of(value: object) -> str:
    """A list of two that starts with a scalar and goes on with something else is a pair, such as `["BTC", {…}]`."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "integer"
        case float():
            return "float"
        case str():
            return "number text" if _NUMBER_TEXT.fullmatch(value) else "text"
        case Mapping():
            return "object"
        case [first, second] if first is not None and kind_of(first) != kind_of(second):
            return "pair"
        case list():
            return "list"
        case _:
            return type(value).__name__


def shape_of(*values: object) -> Shape:
    shape = Shape()
    for value in values:
        shape.add(value)
    return shape


@dataclass(frozen=True, slots=True)
class Allowance:
    """Named differences. `optional` keys may be on one side only; `newer` only on ours, `gone` only on theirs;
    `nulls` may be null on one side alone; `empty` lists have no entry here."""

    optional: Collection[str] = ()
    newer: Collection[str] = ()
    gone: Collection[str] = ()
    nulls: Collection[str] = ()
    empty: Collection[str] = ()


def differences(real: Shape, ours: Shape, allowed: Allowance, path: str = "$") -> Iterator[str]:
    """Every difference of ours from the real shape that is not named in `allowed`, each with its place."""
    name = path.rsplit(".", 1)[-1].removesuffix("[]")
    strange = ours.kinds - real.kinds
    if name in allowed.nulls:
        strange = strange - {"null"} if real.kinds != {"null"} else set()
    if strange:
        yield f"{path} is {sorted(ours.kinds)} here, {sorted(real.kinds)} there"
    if real.keys and ours.keys:
        yield from _key_differences(real, ours, allowed, path)
    if real.elements is not None and real.elements.kinds and ours.elements is not None:
        if ours.elements.kinds:
            yield from differences(real.elements, ours.elements, allowed, f"{path}[]")
        elif name not in allowed.empty:
            yield f"{path} has no entry here"
    if real.pair is not None and ours.pair is not None:
        for place, (theirs, own) in enumerate(zip(real.pair, ours.pair, strict=True)):
            yield from differences(theirs, own, allowed, f"{path}.{place}")


def _key_differences(real: Shape, ours: Shape, allowed: Allowance, path: str) -> Iterator[str]:
    for key in sorted(set(ours.keys) - set(real.keys) - set(allowed.newer) - set(allowed.optional)):
        yield f"{path}.{key} is only here"
    for key in sorted((real.required or set()) - (ours.required or set()) - set(allowed.gone) - set(allowed.optional)):
        yield f"{path}.{key} is not always here"
    for key in real.keys.keys() & ours.keys.keys():
        yield from differences(real.keys[key], ours.keys[key], allowed, f"{path}.{key}")
    for own in ours.orders:
        for theirs in real.orders:
            # A recorder that sorted the keys says nothing about their order.
            if theirs != sorted(theirs) and [key for key in own if key in theirs] != [k for k in theirs if k in own]:
                yield f"{path} has its keys in another order: {own} here, {theirs} there"
