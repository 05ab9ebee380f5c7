"""Values as plain JSON: numbers, texts, lists and objects that say exactly what a value is, and come back as it.

The codec is derived from the type hints of a class once, when it is first asked for: a field added to a class is in its
text from then on, and older texts without it are read with its default. What else changed since is in `_UPGRADES`.

A decimal is its plain notation without trailing zeros (1.10 and 1.1 are one amount, however it was come by), or where
that is asked for exactly what it is. A float is its `repr`; NaN and infinity, which JSON has no numbers for, are texts.
A choice is its value, a set is sorted, and of a union of classes the name stands with the value.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from domain.fills import Fill, FillCause

_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_KIND_KEY = "is"


class ValueTextError(ValueError):
    """A text is no such value; the message says where and why."""


def decimal_text(value: Decimal) -> str:
    """Plain notation without trailing zeros: one text per number, whatever its exponent."""
    assert value.is_finite(), "amounts are finite"
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def decimal_from_text(text: object) -> Decimal:
    """Read an amount in plain notation; stricter than `Decimal`, which also takes NaN, `1_0` and `1e9`."""
    if not isinstance(text, str) or _PLAIN_DECIMAL.fullmatch(text) is None:
        raise ValueTextError(f"{text!r} is not a plain decimal")
    return Decimal(text)


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """How values of one type become JSON and come back. `decode` raises `ValueTextError`."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _exactly(wanted: type) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if type(value) is not wanted:
            raise ValueTextError(f"{value!r} is not {wanted.__name__}")
        return value

    return decode


def _encode_float(value: Any) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else repr(number)


def _decode_float(value: Any) -> float:
    if type(value) is float or value in ("nan", "inf", "-inf"):
        return float(value)
    raise ValueTextError(f"{value!r} is not a float")


def _decode_bytes(value: Any) -> bytes:
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError) as e:
        raise ValueTextError(f"{value!r} is no hex text") from e


_SCALARS: Mapping[Any, Codec] = {
    str: Codec(str, _exactly(str)),
    int: Codec(operator.index, _exactly(int)),
    bool: Codec(bool, _exactly(bool)),
    float: Codec(_encode_float, _decode_float),
    Decimal: Codec(decimal_text, decimal_from_text),
    bytes: Codec(bytes.hex, _decode_bytes),
}


def _decode_any(value: Any) -> Any:
    """One of several plain kinds. A float that JSON has no number for stands in a list, to be no text."""
    if type(value) is list and len(value) == 1:
        return _decode_float(value[0])
    if type(value) not in (str, int, float, bool):
        raise ValueTextError(f"{value!r} is neither text nor number")
    return value


def _encode_any(value: Any) -> Any:
    if isinstance(value, float):
        number = _encode_float(value)
        return [number] if isinstance(number, str) else number
    return value


def _decode_exact(text: Any) -> Decimal:
    try:
        value = Decimal(text) if type(text) is str else None
    except ArithmeticError:
        value = None
    if value is None or not value.is_finite():
        raise ValueTextError(f"{text!r} is no decimal")
    return value


_EXACT_DECIMAL = Codec(str, _decode_exact)
_ANY_SCALAR = Codec(_encode_any, _decode_any)


_Of = Callable[[Any], Codec]
"""The codec of a hint inside another one, of the same exactness."""


def plain(value: object, *, exact: bool = False) -> Any:
    """A value by the codec of its class."""
    kind: Any = type(value)
    return codec_of(kind, exact=exact).encode(value)


@functools.cache
def codec_of(hint: Any, *, exact: bool = False) -> Codec:
    """The codec of a type, from its hint. A hint that no value of ours has is a mistake (`AssertionError`).

    `exact`: a decimal comes back with the zeros it had, as whoever prints it would see.
    """
    if exact and hint is Decimal:
        return _EXACT_DECIMAL
    if hint in _SCALARS:
        return _SCALARS[hint]
    of = functools.partial(codec_of, exact=exact)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return Codec(operator.attrgetter("value"), hint)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type), "a dataclass, not an instance of one"
        return _record_codec(hint, of)
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return _named_tuple_codec(hint, of)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return _union_codec(arguments, of)
    if origin is np.ndarray:
        return _column_codec(typing.get_args(arguments[1])[0])
    if origin is tuple:
        return _tuple_codec(of(arguments[0])) if arguments[1] is ... else _fixed_codec(arguments, of)
    if origin is list:
        return _list_codec(of(arguments[0]), list)
    if origin is frozenset:
        return _set_codec(of(arguments[0]))
    assert origin is dict, f"a value of ours has a field of the type {hint}"
    return _mapping_codec(arguments, of)


def _union_codec(arguments: tuple[Any, ...], of: _Of) -> Codec:
    kinds = [each for each in arguments if each is not types.NoneType]
    if all(each in (str, float, int, bool) for each in kinds):
        return _optional_codec(_SCALARS[kinds[0]] if len(kinds) == 1 else _ANY_SCALAR)
    inner = of(kinds[0]) if len(kinds) == 1 else _tagged_codec(kinds, of)
    return inner if len(kinds) == len(arguments) else _optional_codec(inner)


def _tagged_codec(kinds: Sequence[type], of: _Of) -> Codec:
    """One of several classes: an object with the class's name among its members."""
    by_name = {each.__name__: each for each in kinds}

    def encode(value: Any) -> dict[str, Any]:
        return {_KIND_KEY: type(value).__name__, **of(type(value)).encode(value)}

    def decode(members: Any) -> Any:
        if type(members) is not dict or members.get(_KIND_KEY) not in by_name:
            raise ValueTextError(f"{members!r} is none of {', '.join(by_name)}")
        rest = {name: member for name, member in members.items() if name != _KIND_KEY}
        return of(by_name[members[_KIND_KEY]]).decode(rest)

    return Codec(encode, decode)


def _column_codec(dtype: Any) -> Codec:
    """A column is a list; anything with more dimensions, or with NaN and infinity, says its shape too."""

    def encode(column: Any) -> Any:
        flat = column.ravel().tolist()
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            flat = [_encode_float(each) for each in flat]
        return flat if column.ndim == 1 else {"shape": list(column.shape), "flat": flat}

    def decode(value: Any) -> Any:
        shape, flat = (value.get("shape"), value.get("flat")) if type(value) is dict else (None, value)
        if type(flat) is not list:
            raise ValueTextError(f"{value!r} is no column")
        try:
            column = np.array([float(each) if type(each) is str else each for each in flat], dtype=dtype)
            return column if shape is None else column.reshape(shape)
        except (TypeError, ValueError, OverflowError) as e:
            raise ValueTextError(f"{flat[:3]!r}… is no column of {np.dtype(dtype).name}: {e}") from e

    return Codec(encode, decode)


def _fixed_codec(arguments: tuple[Any, ...], of: _Of) -> Codec:
    codecs = [of(each) for each in arguments]

    def decode(values: Any) -> Any:
        if len(_exactly(list)(values)) != len(codecs):
            raise ValueTextError(f"{values!r} has not {len(codecs)} parts")
        return tuple(codec.decode(value) for codec, value in zip(codecs, values, strict=True))

    return Codec(lambda values: [codec.encode(each) for codec, each in zip(codecs, values, strict=True)], decode)


def _named_tuple_codec(kind: Any, of: _Of) -> Codec:
    hints = typing.get_type_hints(kind)
    inner = _fixed_codec(tuple(hints[name] for name in kind._fields), of)
    return Codec(inner.encode, lambda values: kind._make(inner.decode(values)))


def _list_codec(inner: Codec, make: Callable[[Any], Any]) -> Codec:
    return Codec(
        lambda values: [inner.encode(value) for value in values],
        lambda values: make(inner.decode(value) for value in _exactly(list)(values)),
    )


def _set_codec(inner: Codec) -> Codec:
    return Codec(lambda values: [inner.encode(each) for each in sorted(values)], _list_codec(inner, frozenset).decode)


def _mapping_codec(arguments: tuple[Any, ...], of: _Of) -> Codec:
    """Pairs, in the mapping's order: keys need not be texts."""
    pairs = _list_codec(_fixed_codec(arguments, of), dict)
    return Codec(lambda mapping: pairs.encode(mapping.items()), pairs.decode)


def _optional_codec(inner: Codec) -> Codec:
    return Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda value: None if value is None else inner.decode(value),
    )


def _tuple_codec(inner: Codec) -> Codec:
    return _list_codec(inner, tuple)


def _record_codec(kind: type, of: _Of) -> Codec:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    codecs = {field.name: of(hints[field.name]) for field in fields}
    encoders = [(name, codec.encode) for name, codec in codecs.items()]
    assert _KIND_KEY not in codecs, "the name of a class has its own key"

    def encode(value: Any) -> dict[str, Any]:
        return {name: encode_field(getattr(value, name)) for name, encode_field in encoders}

    def decode(members: Any) -> Any:
        if type(members) is dict and kind in _UPGRADES:
            members = _UPGRADES[kind](members)
        if type(members) is not dict or not members.keys() <= codecs.keys():
            raise ValueTextError(f"{members!r} is not {kind.__name__}")
        values = {}
        for name, member in members.items():
            try:
                values[name] = codecs[name].decode(member)
            except ValueError as e:
                raise ValueTextError(f"{name}: {e}") from e
        try:
            return kind(**values)
        except TypeError as e:
            raise ValueTextError(f"{kind.__name__} lacks a field: {e}") from e

    return Codec(encode, decode)


def _fill_of_before(members: dict[str, Any]) -> dict[str, Any]:
    """Fills said `liquidation`, true or false, before they said what caused them."""
    if "liquidation" not in members or "cause" in members:
        return members
    rest = {name: member for name, member in members.items() if name != "liquidation"}
    forced = _exactly(bool)(members["liquidation"])
    return rest | {"cause": (FillCause.LIQUIDATION if forced else FillCause.ORDER).value}


_UPGRADES: Mapping[type, Callable[[dict[str, Any]], dict[str, Any]]] = {Fill: _fill_of_before}
"""How members of older texts become those of today, by the record they belong to."""
