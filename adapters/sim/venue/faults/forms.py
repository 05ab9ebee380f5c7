"""Strict reading of what a control request or a rules file says; whoever mistypes a name is told the known ones."""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar

import msgspec

Form = TypeVar("Form", bound=msgspec.Struct)


class BadForm(ValueError):
    """What was given is no such thing; the text says what is wrong, where, and what would be right."""


def read_form(raw: object, form: type[Form], where: str) -> Form:
    """A struct from JSON-able data. `where` names the place in messages."""
    given = read_object(raw, where)
    require_known(given, form.__struct_fields__, where)
    hints = typing.get_type_hints(form)
    for name, value in given.items():
        _require_listed(value, hints[name], f"{where}.{name}")
    try:
        return msgspec.convert(dict(given), form)
    except msgspec.ValidationError as error:
        raise BadForm(f"{where}: {str(error).replace(' - at `$.', ' - in `')}") from error


def read_object(raw: object, where: str) -> Mapping[str, object]:
    if not isinstance(raw, Mapping) or not all(isinstance(name, str) for name in raw):
        raise BadForm(f"{where} must be an object, not {_kind(raw)}")
    return raw


def require_known(given: Collection[str], known: Collection[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise BadForm(f"{where} knows no {name!r}; it knows: {', '.join(sorted(known)) or 'nothing'}")


def _require_listed(value: object, hint: Any, where: str) -> None:
    """A word out of a closed list; any other type is left to the conversion."""
    choices = [
        word
        for part in (hint, *typing.get_args(hint))
        if typing.get_origin(part) is Literal
        for word in typing.get_args(part)
    ]
    if choices and isinstance(value, str) and value not in choices:
        raise BadForm(f"{where} knows no {value!r}; it knows: {', '.join(choices)}")


def _kind(raw: object) -> str:
    return "nothing" if raw is None else f"{type(raw).__name__} {raw!r}"[:80]
