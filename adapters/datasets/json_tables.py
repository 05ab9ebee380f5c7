"""The venue's JSON: `candleSnapshot` and `fundingHistory` rows, as a list or as an object of lists by symbol."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

from adapters.datasets.source_files import SourceFile
from adapters.datasets.suggestions import listed
from adapters.datasets.tables import FUNDING, RawTable, Schema, check_symbols, wanted_symbols
from domain.candles import Interval
from ports.datasets import DatasetError, DatasetProblem

_Time = Annotated[int, msgspec.Meta(ge=-(2**61), le=2**61)]
_PLACE = re.compile(r" - at `\$\[(\d+)\]\.?(\w*)`")


class _CandleRow(msgspec.Struct, gc=False):
    """One row of `candleSnapshot`. Prices are text on the wire; recorders often write numbers."""

    t: _Time
    o: float
    h: float
    l: float  # noqa: E741 - the venue's own name
    c: float
    v: float
    s: str | None = None
    i: str | None = None


class _FundingRow(msgspec.Struct, gc=False):
    """One row of `fundingHistory`."""

    time: _Time
    rate: float = msgspec.field(name="fundingRate")
    coin: str | None = None


_CANDLES = msgspec.json.Decoder(list[_CandleRow], strict=False)
_FUNDING = msgspec.json.Decoder(list[_FundingRow], strict=False)
_BY_SYMBOL = msgspec.json.Decoder(dict[str, msgspec.Raw])
_Rows = list[_CandleRow] | list[_FundingRow]


@dataclass(slots=True)
class _Part:
    """One list of rows, and the symbol it stands under (None for a bare list)."""

    rows: _Rows
    key: str | None


def read_json(source: SourceFile, schema: Schema, asked: Collection[str] | None) -> RawTable:
    """Read the asked symbols' rows. Raises `DatasetError` for what makes the file as a whole unusable."""
    parts = _parts(source, schema, source.path.read_bytes())
    names = [name for part in parts for name in _names(source, part)]
    found = {name for name in names if name.strip()}
    nameless = [place for place, name in enumerate(names) if not name.strip()]
    check_symbols(source, found, len(nameless), f"row {nameless[0] + 1}" if nameless else "")
    symbols = wanted_symbols(found, asked)
    place_of = {symbol: place for place, symbol in enumerate(symbols)}
    ids = np.fromiter((place_of.get(name, -1) for name in names), np.int64, len(names))
    keep = np.flatnonzero(ids >= 0)
    rows = [row for part in parts for row in part.rows]
    time = "time" if schema is FUNDING else "t"
    columns = {name: np.array([getattr(row, name) for row in rows], np.float64)[keep] for name in schema.values}
    times = np.array([getattr(row, time) for row in rows], np.int64)[keep]
    interval = _interval(source, parts)
    numbers = np.concatenate([np.arange(1, len(part.rows) + 1) for part in parts])[keep]
    return RawTable(source, symbols, tuple(sorted(found)), ids[keep], numbers, times, columns, interval=interval)


def _parts(source: SourceFile, schema: Schema, data: bytes) -> list[_Part]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.lstrip()[:1] != b"{":
        return [_Part(_rows(source, schema, data, None), None)]
    try:
        lists = _BY_SYMBOL.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise DatasetError([_malformed(source, str(e))]) from e
    odd = [key for key, raw in lists.items() if bytes(raw).lstrip()[:1] != b"["]
    if odd:
        what = f"the object's {listed(odd)} holds no list"
        why = f"an object must give each symbol its list of {schema.kind}"
        raise DatasetError([source.problem(what, why, "keep only the venue's answer itself")])
    return [_Part(_rows(source, schema, bytes(raw), key), key) for key, raw in lists.items()]


def _rows(source: SourceFile, schema: Schema, data: bytes, key: str | None) -> _Rows:
    decoder = _FUNDING if schema is FUNDING else _CANDLES
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as e:
        raise DatasetError([_wrong_row(source, schema, data, key, str(e))]) from e
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise DatasetError([_malformed(source, str(e))]) from e


def _malformed(source: SourceFile, reason: str) -> DatasetProblem:
    return source.problem("this is not JSON", reason, "download it again (a bare NaN is not JSON either)")


def _wrong_row(source: SourceFile, schema: Schema, data: bytes, key: str | None, reason: str) -> DatasetProblem:
    """Word the decoder's message, which knows the row and the field, and add what the row does have."""
    place = _PLACE.search(reason)
    if place is None:
        what, why = f"this is no list of {schema.kind}", reason
        return source.problem(what, why, "give the venue's answer as it came", symbol=key)
    number = int(place.group(1))
    row: Any = msgspec.json.decode(data)[number]
    has = f", the row has {listed(list(row))}" if isinstance(row, dict) else ""
    field = f"field {place.group(2)!r} is wrong" if place.group(2) else "a row is wrong"
    why = _PLACE.sub("", reason) + has
    fix = "give rows as the venue sends them (candleSnapshot or fundingHistory)"
    return source.problem(field, why, fix, where=f"row {number + 1}", symbol=key)


def _names(source: SourceFile, part: _Part) -> list[str]:
    own = [row.coin if isinstance(row, _FundingRow) else row.s for row in part.rows]
    outer = part.key if part.key is not None else source.symbol
    if part.key is not None:
        for number, name in enumerate(own, 1):
            if name is not None and name != part.key:
                what, why = f"a row says {name!r}", f"it stands in the list of {part.key!r}"
                fix = "put it where it belongs"
                raise DatasetError([source.problem(what, why, fix, where=f"row {number}", symbol=part.key)])
    if outer is None and own and all(name is None for name in own):
        why = "without it nobody knows the market"
        fix = f"name it as SYMBOL={source.label}"
        raise DatasetError([source.problem("the rows name no symbol", why, fix)])
    return [(outer or "") if name is None else name for name in own]


def _interval(source: SourceFile, parts: list[_Part]) -> Interval | None:
    said = sorted({row.i for part in parts for row in part.rows if isinstance(row, _CandleRow) and row.i is not None})
    if not said:
        return None
    known = {interval.value: interval for interval in Interval}
    if len(said) > 1 or said[0] not in known:
        what = f"the rows say interval {listed(said)}"
        why = f"a file holds one interval of {', '.join(known)}"
        raise DatasetError([source.problem(what, why, "give each interval its own file and leave others out")])
    return known[said[0]]
