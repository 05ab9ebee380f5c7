"""Read several files into tables, whatever their formats, and gather what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from adapters.datasets.csv_tables import read_csv
from adapters.datasets.json_tables import read_json
from adapters.datasets.parquet_tables import read_parquet
from adapters.datasets.source_files import FileFormat, opened
from adapters.datasets.suggestions import symbol_hint
from adapters.datasets.tables import RawTable, Schema
from ports.datasets import DatasetError, DatasetProblem

_READERS = {FileFormat.PARQUET: read_parquet, FileFormat.CSV: read_csv, FileFormat.JSON: read_json}


def read_tables(
    paths: Sequence[str], schema: Schema, asked: Collection[str] | None
) -> tuple[list[RawTable], list[DatasetProblem]]:
    """Read each file as far as it goes; refusals are collected, so that one bad file does not hide another."""
    tables: list[RawTable] = []
    problems: list[DatasetProblem] = []
    if not paths:
        problems.append(_not_asked(schema, "no file is named", "name at least one file"))
    if asked is not None and not asked:
        problems.append(_not_asked(schema, "no symbol is asked for", "name at least one symbol, or ask for all"))
    for path in paths:
        try:
            with opened(path) as source:
                tables.append(_READERS[source.format](source, schema, asked))
        except DatasetError as e:
            problems += e.problems
    found = {symbol for table in tables for symbol in table.found}
    if len(tables) == len(paths) and tables:
        label = ", ".join(table.source.label for table in tables)
        for symbol in sorted(set(asked or ()) - found):
            what, why = "there is no such symbol", f"the {schema.kind} files do not hold it"
            problems.append(DatasetProblem(label, what, why, symbol_hint(symbol, found), symbol=symbol))
    return [table for table in tables if len(table)], problems


def _not_asked(schema: Schema, what: str, fix: str) -> DatasetProblem:
    return DatasetProblem(f"{schema.kind} files", what, "there is nothing to read", fix)
