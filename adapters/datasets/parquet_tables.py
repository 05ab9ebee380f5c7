"""Parquet files, through DuckDB."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import duckdb
import numpy as np

from adapters.datasets.source_files import SourceFile
from adapters.datasets.tables import NO_TIME_MS, RawTable, Schema, check_columns, check_symbols, wanted_symbols
from ports.datasets import DatasetError

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_FROM = "from read_parquet($path, hive_partitioning=false, file_row_number=true)"


def connect() -> duckdb.DuckDBPyConnection:
    """An empty database in memory that never fetches extensions from a network.

    One thread: rows are numbered as they are read, and the order of the rows is part of what is checked.
    """
    return duckdb.connect(
        ":memory:",
        config={"threads": 1, "autoinstall_known_extensions": False, "autoload_known_extensions": False},
    )


def glob_escaped(path: str) -> str:
    """A path that DuckDB takes literally: it reads `*`, `?` and `[` as patterns, and `a[1]` would open `a1`."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def read_parquet(source: SourceFile, schema: Schema, asked: Collection[str] | None) -> RawTable:
    """Read the asked symbols' rows. Raises `DatasetError` for what makes the file as a whole unusable."""
    path = glob_escaped(str(source.path))
    try:
        with connect() as db:
            return _read(db, path, source, schema, asked)
    except duckdb.Error as e:
        why = str(e).strip().splitlines()[0].replace(str(source.path), source.label)
        raise DatasetError([source.problem("the Parquet data cannot be read", why, "download it again")]) from e


def _read(
    db: duckdb.DuckDBPyConnection, path: str, source: SourceFile, schema: Schema, asked: Collection[str] | None
) -> RawTable:
    columns = _columns(db, path)
    check_columns(source, schema, list(columns))
    _check_types(source, schema, {name: kind for name, (_, kind) in columns.items()})
    symbol = f"cast({columns['symbol'][0]} as varchar)" if "symbol" in columns else "cast($symbol as varchar)"
    named = {"path": path} if "symbol" in columns else {"path": path, "symbol": source.symbol}
    groups = db.execute(
        f"select {symbol} as name, count(*), min(file_row_number) + 1 {_FROM} group by name", named
    ).fetchall()
    found = [name for name, _, _ in groups if name is not None and name.strip()]
    nameless = [(first, count) for name, count, first in groups if name is None or not name.strip()]
    check_symbols(source, found, sum(count for _, count in nameless), f"row {min(nameless, default=(0, 0))[0]}")
    symbols = wanted_symbols(found, asked)
    values = ", ".join(f"cast({columns[name][0]} as double) as {name}" for name in schema.values)
    data = db.execute(
        f'select file_row_number + 1 as "row", list_position($symbols, {symbol}) - 1 as id, '
        f"try_cast({columns['t'][0]} as bigint) as t, {values} {_FROM} where list_contains($symbols, {symbol})",
        {**named, "symbols": list(symbols)},
    ).fetchnumpy()
    return raw_table(source, schema, symbols, tuple(sorted(found)), data)


def raw_table(
    source: SourceFile,
    schema: Schema,
    symbols: tuple[str, ...],
    found: tuple[str, ...],
    data: Mapping[str, Any],
    row_word: str = "row",
    rows_before: int = 0,
) -> RawTable:
    """Turn DuckDB's columns (masked where a value is NULL) into a table in file order.

    DuckDB may run a filter by a long list as a join, whose rows come out in any order.
    """
    rows = np.asarray(data["row"], np.int64)
    order = slice(None) if bool((np.diff(rows) > 0).all()) else np.argsort(rows)
    return RawTable(
        source,
        symbols,
        found,
        np.asarray(data["id"], np.int64)[order],
        rows[order],
        np.ma.filled(data["t"], NO_TIME_MS).astype(np.int64, copy=False)[order],
        {name: np.ma.filled(data[name], np.nan).astype(np.float64, copy=False)[order] for name in schema.values},
        row_word,
        rows_before,
    )


def _columns(db: duckdb.DuckDBPyConnection, path: str) -> dict[str, tuple[str, str]]:
    """Name in the file → (quoted name in DuckDB, type).

    DuckDB knows no case and renames the later of `t` and `T` (both stand in the venue's candles) to `t_1`; the
    file's own names come from its schema, which runs parallel while nothing is nested.
    """
    described = db.execute(f"describe select * {_FROM}", {"path": path}).fetchall()[:-1]  # the last is file_row_number
    own = [row[0] for row in db.execute("select name from parquet_schema($path)", {"path": path}).fetchall()[1:]]
    names = own if len(own) == len(described) else [row[0] for row in described]
    quoted = ['"' + row[0].replace('"', '""') + '"' for row in described]
    return {name: (alias, row[1]) for name, alias, row in zip(names, quoted, described, strict=True)}


def _check_types(source: SourceFile, schema: Schema, kinds: Mapping[str, str]) -> None:
    problems = []
    symbol = kinds.get("symbol", "VARCHAR")
    if symbol != "VARCHAR" and not symbol.startswith("ENUM"):
        problems.append(source.problem(f"column 'symbol' is {symbol}", "names are text", "write it as text"))
    if kinds["t"] not in _INTEGERS:
        what, why = f"column 't' is {kinds['t']}", "open times are whole UTC milliseconds"
        problems.append(source.problem(what, why, "write it as a 64-bit integer, such as epoch_ms(t) in DuckDB"))
    for name in schema.values:
        kind = kinds[name]
        if kind == "FLOAT":
            what, why = f"column {name!r} is FLOAT", "32 bits lose digits of the venue's numbers"
            problems.append(source.problem(what, why, "write it as DOUBLE (float64)"))
        elif kind != "DOUBLE" and kind not in _INTEGERS and not kind.startswith("DECIMAL"):
            what, why = f"column {name!r} is {kind}", f"the numbers of {schema.kind} are numbers, not other types"
            problems.append(source.problem(what, why, "write it as DOUBLE (float64)"))
    if problems:
        raise DatasetError(problems)
