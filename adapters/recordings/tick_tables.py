"""Tables of ticks (CSV with a header line): books, best prices and trades, back into the frames they came from.

| Kind | Told by the columns | One frame is |
|---|---|---|
| books | `bid_price_0`, `bid_size_0`, `ask_price_0`, … | a row |
| best prices | `price`, `size`, `side` (bid, ask) | the rows of one receive time and venue time |
| trades | `price`, `size`, `side` (buy, sell), `trade_id` | the rows of one receive time |

All have `timestamp` (receive time) and `exchange_timestamp` (the venue's, ms). The symbol stands in the file's name
(`hl_trades_BTC_….csv`) or before it (`BTC=path`). Counts of orders, hashes and users are in no table: 1 and zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from adapters.recordings.frame_lines import CUT_OFF
from adapters.recordings.frames import BadLineError, FoundFrame, ReadLog, listed, refusal
from adapters.recordings.opening import FileLine, NamedFile, lines_of
from adapters.recordings.receive_times import receive_ns
from adapters.recordings.wire import bbo_text, book_text, level_text, plain, trade_text, trades_text

FRAGMENT_NS = 60_000_000_000
"""A silence of a minute ends a fragment. Its last quote may have been cut in two by whoever cut the fragments."""

_NAMED = re.compile(r"(?:^|_)(?:orderbooks?|prices|trades|bbo|l2book)_([A-Za-z0-9:@-]+)(?=[_.]|$)", re.IGNORECASE)
_TRADE_ID = re.compile(r"[0-9]{1,19}")
_SIDES = {"buy": "B", "sell": "A", "B": "B", "A": "A"}
_MISSING = ("", "nan", "NaN", "null", "None")


@dataclass(slots=True)
class _Row:
    """A line of the table: its cells, and its two times."""

    line: FileLine
    cells: list[str]
    at_ns: int
    venue_ms: int


@dataclass(frozen=True, slots=True)
class _Table:
    coin: str
    places: dict[str, int]
    log: ReadLog

    def cell(self, row: _Row, column: str) -> str:
        return row.cells[self.places[column]]

    def number(self, row: _Row, column: str) -> str:
        text = self.cell(row, column)
        number = plain(text)
        if number is None:
            raise BadLineError(f"column {column!r} holds {text[:40]!r}, which is no price or size")
        return number

    def level(self, row: _Row, px: str, sz: str) -> str | None:
        """One level, None where there is none (empty cells, or a price of zero)."""
        if self.cell(row, px) in _MISSING:
            return None
        price = self.number(row, px)
        return level_text(price, self.number(row, sz)) if price.strip("0.") else None


def is_tick_header(line: bytes) -> bool:
    columns = _columns(line)
    return "timestamp" in columns and "exchange_timestamp" in columns


def tick_channel(file: NamedFile, header: bytes) -> str:
    """Which frames a table holds. Raises `DatasetError` when its columns or its symbol do not tell."""
    _coin(file)
    return _kind(file, _columns(header))


def read_tick_table(file: NamedFile, log: ReadLog) -> Iterator[FoundFrame]:
    lines = lines_of(file)
    columns = _columns(next(lines).data)
    reader = _READERS[_kind(file, columns)]
    table = _Table(_coin(file), {name: place for place, name in enumerate(columns)}, log)
    return reader(table, _rows(table, lines, len(columns)))


def _columns(line: bytes) -> list[str]:
    return [cell.strip().strip('"') for cell in line.decode("utf-8", "replace").split(",")]


def _kind(file: NamedFile, columns: Sequence[str]) -> str:
    if {"bid_price_0", "bid_size_0", "ask_price_0", "ask_size_0"} <= set(columns):
        return "l2Book"
    if {"price", "size", "side"} <= set(columns):
        return "trades" if "trade_id" in columns else "bbo"
    what = f"this is no table of ticks: its columns are {listed(columns)}"
    why = "books have bid_price_0 and so on, best prices price, size and side, trades trade_id as well"
    raise refusal(file.label, what, why, "name the columns so", where="line 1")


def _coin(file: NamedFile) -> str:
    named = _NAMED.search(Path(file.label).name)
    if file.symbol is not None:
        return file.symbol
    if named is not None:
        return named.group(1)
    fix = f"name it as SYMBOL={file.label}"
    raise refusal(file.label, "nobody says whose ticks these are", "a table does not name its symbol", fix)


def _rows(table: _Table, lines: Iterator[FileLine], width: int) -> Iterator[_Row]:
    for line in lines:
        try:
            cells = line.data.decode().split(",")
            if len(cells) != width:
                raise BadLineError(f"it has {len(cells)} cells, the header {width}")
            at_ns = receive_ns(cells[table.places["timestamp"]])
            if at_ns is None:
                raise BadLineError("its receive time is no time between 2009 and 2100")
            yield _Row(line, cells, at_ns, _venue_ms(cells[table.places["exchange_timestamp"]]))
        except (BadLineError, UnicodeError) as e:
            _complain(table, line, e)


def _venue_ms(text: str) -> int:
    number = plain(text)
    if number is None or len(number.partition(".")[0]) != 13:
        raise BadLineError(f"column 'exchange_timestamp' holds {text[:40]!r}, which is no time in milliseconds")
    return int(number.partition(".")[0])


def _complain(table: _Table, line: FileLine, error: Exception) -> None:
    if line.ended:
        table.log.damage(str(error), line.place)
    else:
        table.log.skip(CUT_OFF, line.place)


def _books(table: _Table, rows: Iterator[_Row]) -> Iterator[FoundFrame]:
    depth = 0
    while f"bid_price_{depth}" in table.places and f"ask_price_{depth}" in table.places:
        depth += 1
    names = {side: [(f"{side}_price_{n}", f"{side}_size_{n}") for n in range(depth)] for side in ("bid", "ask")}
    for row in rows:
        try:
            bids, asks = (
                [level for px, sz in names[side] if (level := table.level(row, px, sz)) is not None]
                for side in ("bid", "ask")
            )
        except BadLineError as e:
            _complain(table, row.line, e)
            continue
        yield _found(row, "l2Book", book_text(table.coin, row.venue_ms, bids, asks))


def _quotes(table: _Table, rows: Iterator[_Row]) -> Iterator[FoundFrame]:
    open_row: _Row | None = None
    sides: dict[str, str | None] = {}
    for row in rows:
        try:
            side, level = table.cell(row, "side"), table.level(row, "price", "size")
            if side not in ("bid", "ask"):
                raise BadLineError(f"column 'side' holds {side[:40]!r} instead of bid or ask")
        except BadLineError as e:
            _complain(table, row.line, e)
            continue
        if open_row is not None and (_moment(row) != _moment(open_row) or side in sides):
            if row.at_ns - open_row.at_ns > FRAGMENT_NS and len(sides) < 2:
                _drop_half(table, open_row)
            else:
                yield _quote(table, open_row, sides)
            open_row, sides = None, {}
        open_row = open_row or row
        sides[side] = level
    if open_row is not None:
        if len(sides) < 2:
            _drop_half(table, open_row)
        else:
            yield _quote(table, open_row, sides)


def _moment(row: _Row) -> tuple[int, int]:
    return row.at_ns, row.venue_ms


def _drop_half(table: _Table, row: _Row) -> None:
    table.log.skip("half a quote at the end of a fragment is left out", row.line.place)


def _quote(table: _Table, row: _Row, sides: dict[str, str | None]) -> FoundFrame:
    return _found(row, "bbo", bbo_text(table.coin, row.venue_ms, sides.get("bid"), sides.get("ask")))


def _trades(table: _Table, rows: Iterator[_Row]) -> Iterator[FoundFrame]:
    open_row: _Row | None = None
    told: list[str] = []
    for row in rows:
        try:
            text = _trade(table, row)
        except BadLineError as e:
            _complain(table, row.line, e)
            continue
        if open_row is not None and row.at_ns != open_row.at_ns:
            yield _found(open_row, "trades", trades_text(told))
            open_row, told = None, []
        open_row = open_row or row
        told.append(text)
    if open_row is not None:
        yield _found(open_row, "trades", trades_text(told))


def _trade(table: _Table, row: _Row) -> str:
    side, tid = table.cell(row, "side"), table.cell(row, "trade_id")
    if side not in _SIDES:
        raise BadLineError(f"column 'side' holds {side[:40]!r} instead of buy or sell")
    if _TRADE_ID.fullmatch(tid) is None:
        raise BadLineError(f"column 'trade_id' holds {tid[:40]!r}, which is no whole number")
    price, size = table.number(row, "price"), table.number(row, "size")
    return trade_text(table.coin, _SIDES[side], price, size, row.venue_ms, int(tid))


def _found(row: _Row, channel: str, text: str) -> FoundFrame:
    head = f'{{"channel":"{channel}","data":'
    return FoundFrame(row.line.place, row.at_ns, text, channel, msgspec.Raw(text[len(head) : -1].encode()))


_READERS = {"l2Book": _books, "bbo": _quotes, "trades": _trades}
