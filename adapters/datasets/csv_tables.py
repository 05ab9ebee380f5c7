"""CSV files: a header line naming the columns in any order, then numbers; through DuckDB.

Lines in messages are counted as editors count them, as long as the file has no blank ones (DuckDB passes over them).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection

import duckdb

from adapters.datasets.parquet_tables import connect, glob_escaped, raw_table
from adapters.datasets.source_files import SourceFile
from adapters.datasets.tables import RawTable, Schema, check_columns, check_symbols, wanted_symbols
from ports.datasets import DatasetError, DatasetProblem

_HEADER_LINES = 1
_NUMBER = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
_ERROR_LINE = re.compile(r"CSV Error on Line: (\d+)")
_ERROR_TEXTS = ("Expected Number of Columns", "unterminated quote", "not utf-8", "invalid state")


def read_csv(source: SourceFile, schema: Schema, asked: Collection[str] | None) -> RawTable:
    """Read the asked symbols' rows. Raises `DatasetError` for what makes the file as a whole unusable."""
    header = _header(source)
    check_columns(source, schema, header, hint=_header_hint(header, schema))
    _check_unique(source, schema, header)
    try:
        with connect() as db:
            _load(db, source, schema, header)
            return _read(db, source, schema, asked)
    except duckdb.Error as e:
        raise DatasetError([_csv_problem(source, str(e))]) from e


def _header(source: SourceFile) -> list[str]:
    with source.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        line = file.readline(1 << 16)
    return [cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")]), [])]


def _check_unique(source: SourceFile, schema: Schema, header: list[str]) -> None:
    twice = [name for name in schema.columns if header.count(name) > 1]
    if twice:
        what = f"the header names {', '.join(map(repr, twice))} twice"
        raise DatasetError(
            [source.problem(what, "which one is meant cannot be known", "leave one of each", where="line 1")]
        )


def _header_hint(header: list[str], schema: Schema) -> str:
    if len(header) == 1:
        for sign, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if sign in header[0]:
                return f"separate the columns with commas, not with {name}"
    if header and any(_NUMBER.fullmatch(cell) for cell in header):
        return f"put the header line {','.join(schema.columns)} above the first row"
    return ""


def _load(db: duckdb.DuckDBPyConnection, source: SourceFile, schema: Schema, header: list[str]) -> None:
    """Bring the file as text into table `lines`, needed columns only, numbered; then as numbers into `typed`."""
    needed = [name for name in schema.columns if name in header]
    renamed = ", ".join(f"c{header.index(name)} as {name}" for name in needed)
    if "symbol" not in header:
        renamed += ", cast($symbol as varchar) as symbol"
    db.execute(
        f'create temp table lines as select row_number() over () as "row", {renamed} from read_csv($path, '
        "auto_detect=false, header=false, skip=1, delim=',', quote='\"', escape='\"', columns=$columns)",
        {
            "path": glob_escaped(str(source.path)),
            "columns": {f"c{place}": "VARCHAR" for place in range(len(header))},
            **({} if "symbol" in header else {"symbol": source.symbol}),
        },
    )
    # A whole time is a bigint and the same double: the cast alone would round 1.5 to 2.
    whole = "case when try_cast(t as double) = try_cast(t as bigint) then try_cast(t as bigint) end as t_ms"
    numbers = ", ".join(f"try_cast({name} as double) as {name}_number" for name in schema.values)
    db.execute(f"create temp table typed as select *, {whole}, {numbers} from lines")


def _read(db: duckdb.DuckDBPyConnection, source: SourceFile, schema: Schema, asked: Collection[str] | None) -> RawTable:
    groups = db.execute('select symbol, count(*), min("row") from lines group by symbol').fetchall()
    found = [name for name, _, _ in groups if name is not None and name.strip()]
    nameless = [(first, count) for name, count, first in groups if name is None or not name.strip()]
    first = min(nameless, default=(0, 0))[0] + _HEADER_LINES
    check_symbols(source, found, sum(count for _, count in nameless), f"line {first}")
    symbols = wanted_symbols(found, asked)
    _check_numbers(db, source, schema, symbols)
    values = ", ".join(f"{name}_number as {name}" for name in schema.values)
    data = db.execute(
        f'select "row", list_position($symbols, symbol) - 1 as id, t_ms as t, {values} from typed '
        'where list_contains($symbols, symbol) order by "row"',
        {"symbols": list(symbols)},
    ).fetchnumpy()
    return raw_table(source, schema, symbols, tuple(sorted(found)), data, "line", _HEADER_LINES)


def _check_numbers(db: duckdb.DuckDBPyConnection, source: SourceFile, schema: Schema, symbols: tuple[str, ...]) -> None:
    """Refuse text where numbers belong (an empty cell is missing data, which the checks of the rows report)."""
    problems = []
    for name, typed in (("t", "t_ms"), *((name, f"{name}_number") for name in schema.values)):
        bad = db.execute(
            f'select count(*), min("row"), arg_min({name}, "row"), arg_min(symbol, "row") from typed '
            f"where {name} is not null and {typed} is null and list_contains($symbols, symbol)",
            {"symbols": list(symbols)},
        ).fetchone()
        assert bad is not None, "an aggregate gives one row"
        count, row, text, symbol = bad
        if count:
            why = "open times are whole UTC milliseconds" if name == "t" else "it is not a number"
            what = f"column {name!r} holds {str(text)[:40]!r}"
            where = f"line {row + _HEADER_LINES}" + ("" if count == 1 else f" (the first of {count} such rows)")
            problems.append(source.problem(what, why, "correct or remove the row", where=where, symbol=symbol))
    if problems:
        raise DatasetError(problems)


def _csv_problem(source: SourceFile, message: str) -> DatasetProblem:
    line = _ERROR_LINE.search(message)
    telling = [text.strip() for text in message.splitlines() if any(part in text for part in _ERROR_TEXTS)]
    why = telling[0] if telling else message.strip().splitlines()[0]
    where = f"line {line.group(1)}" if line else ""
    return source.problem("the CSV cannot be read", why, "correct the line or write the file again", where=where)
