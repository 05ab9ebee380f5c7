"""Facts as canonical text: what the ledger chains together, and what its projections are rebuilt from.

One fact is one JSON object on one line: keys sorted, ASCII only, choices by their value. Equal
facts have equal texts on every machine and after every restart. For that, a decimal is its
plain notation without trailing zeros (1.10 and 1.1 are one amount, however it was come by) and
a float is its `repr`; NaN and infinity, which JSON has no numbers for, are texts.

The codec is derived from the type hints of the fact classes once, at import: a field added to
a fact is in its text from then on, and older texts without it are read with its default. What
else changed since is in `_UPGRADES`.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
import math
import operator
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, localcontext
from typing import Any

from domain.facts import (
    AnchorSet,
    CashSet,
    ConfigTaken,
    CursorMoved,
    DifferenceClosed,
    DifferenceOpened,
    EvidenceRecorded,
    ExitStateChanged,
    FillRecorded,
    FillRevised,
    FundingRecorded,
    GapClosed,
    GapOpened,
    IntentRecorded,
    LedgerFact,
    OrderChanged,
    PositionAdjusted,
    PositionChanged,
    RiskChanged,
    TradeClosed,
    TradeWithdrawn,
)
from domain.fills import Fill, FillCause

GENESIS = bytes(32)
"""What the first fact of a chain is chained to."""

_NAMES: dict[type, str] = {
    IntentRecorded: "intent",
    OrderChanged: "order",
    FillRecorded: "fill",
    PositionChanged: "position",
    TradeClosed: "trade",
    FundingRecorded: "funding",
    ExitStateChanged: "exit_state",
    RiskChanged: "risk",
    ConfigTaken: "config",
    AnchorSet: "anchor",
    CashSet: "cash",
    EvidenceRecorded: "evidence",
    FillRevised: "fill_revised",
    PositionAdjusted: "adjustment",
    GapOpened: "gap",
    GapClosed: "gap_closed",
    TradeWithdrawn: "trade_withdrawn",
    DifferenceOpened: "difference",
    DifferenceClosed: "difference_closed",
    CursorMoved: "cursor",
}
"""Names in stored texts. They outlive any renaming of classes."""

_NAME_KEY = "fact"
_EXACT_DIGITS = 10_000
_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class FactTextError(ValueError):
    """A text is no fact; the message says where and why."""


def fact_to_json(fact: LedgerFact) -> str:
    """The canonical text of a fact."""
    kind: Any = type(fact)
    fields = _codec_of(kind).encode(fact)
    fields[_NAME_KEY] = _NAMES[kind]
    return _WRITER.encode(fields)


def fact_from_json(text: str) -> LedgerFact:
    """Read a fact back from its text. Raises `FactTextError` for anything else."""
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as e:
        raise FactTextError(f"not JSON: {e}") from e
    name = fields.pop(_NAME_KEY, None) if isinstance(fields, dict) else None
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise FactTextError(f"no kind of fact is called {name!r}")
    fact: LedgerFact = _codec_of(kind).decode(fields)
    return fact


def chained(previous: bytes, text: str) -> bytes:
    """The hash of a chain after one more text: any edit, loss or swap before it changes it."""
    return hashlib.blake2b(previous + text.encode("ascii"), digest_size=32).digest()


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
        raise FactTextError(f"{text!r} is not a plain decimal")
    return Decimal(text)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Add up without any rounding, however many digits that takes: the same total in any order."""
    with localcontext(prec=_EXACT_DIGITS):
        return sum(amounts, Decimal(0))


@dataclasses.dataclass(frozen=True, slots=True)
class _Codec:
    """How values of one type become JSON and come back."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_WRITER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_KINDS = {name: kind for kind, name in _NAMES.items()}


def _exactly(wanted: type) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if type(value) is not wanted:
            raise FactTextError(f"{value!r} is not {wanted.__name__}")
        return value

    return decode


def _encode_float(value: Any) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else repr(number)


def _decode_float(value: Any) -> float:
    if type(value) is float or value in ("nan", "inf", "-inf"):
        return float(value)
    raise FactTextError(f"{value!r} is not a float")


_SCALARS: Mapping[Any, _Codec] = {
    str: _Codec(str, _exactly(str)),
    int: _Codec(operator.index, _exactly(int)),
    bool: _Codec(bool, _exactly(bool)),
    float: _Codec(_encode_float, _decode_float),
    Decimal: _Codec(decimal_text, decimal_from_text),
}


@functools.cache
def _codec_of(hint: Any) -> _Codec:
    """Build the codec of a type from its hint. A hint that facts have no use for is a mistake of ours."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _Codec(operator.attrgetter("value"), hint)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type), "a dataclass, not an instance of one"
        return _record_codec(hint)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is types.UnionType and len(arguments) == 2 and arguments[1] is types.NoneType:
        return _optional_codec(_codec_of(arguments[0]))
    assert typing.get_origin(hint) is tuple and arguments[1] is ..., f"a fact has a field of the type {hint}"
    return _tuple_codec(_codec_of(arguments[0]))


def _optional_codec(inner: _Codec) -> _Codec:
    return _Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda value: None if value is None else inner.decode(value),
    )


def _tuple_codec(inner: _Codec) -> _Codec:
    return _Codec(
        lambda values: [inner.encode(value) for value in values],
        lambda values: tuple(inner.decode(value) for value in _exactly(list)(values)),
    )


def _record_codec(kind: type) -> _Codec:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    codecs = {field.name: _codec_of(hints[field.name]) for field in fields}
    encoders = [(name, codec.encode) for name, codec in codecs.items()]
    assert _NAME_KEY not in codecs, "the name of a fact has its own key"

    def encode(value: Any) -> dict[str, Any]:
        return {name: encode_field(getattr(value, name)) for name, encode_field in encoders}

    def decode(members: Any) -> Any:
        if type(members) is dict and kind in _UPGRADES:
            members = _UPGRADES[kind](members)
        if type(members) is not dict or not members.keys() <= codecs.keys():
            raise FactTextError(f"{members!r} is not {kind.__name__}")
        values = {}
        for name, member in members.items():
            try:
                values[name] = codecs[name].decode(member)
            except ValueError as e:
                raise FactTextError(f"{name}: {e}") from e
        try:
            return kind(**values)
        except TypeError as e:
            raise FactTextError(f"{kind.__name__} lacks a field: {e}") from e

    return _Codec(encode, decode)


def _fill_of_before(members: dict[str, Any]) -> dict[str, Any]:
    """Fills said `liquidation`, true or false, before they said what caused them."""
    if "liquidation" not in members or "cause" in members:
        return members
    rest = {name: member for name, member in members.items() if name != "liquidation"}
    forced = _exactly(bool)(members["liquidation"])
    return rest | {"cause": (FillCause.LIQUIDATION if forced else FillCause.ORDER).value}


_UPGRADES: Mapping[type, Callable[[dict[str, Any]], dict[str, Any]]] = {Fill: _fill_of_before}
"""How members of older texts become those of today, by the record they belong to."""


def _refuse_constant(name: str) -> typing.NoReturn:
    raise FactTextError(f"{name} is not a number")
