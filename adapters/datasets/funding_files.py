"""Read realised hourly funding for a backtest from one file."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from adapters.datasets.row_checks import order_problems, rate_problems, time_problems
from adapters.datasets.table_files import read_tables
from adapters.datasets.tables import FUNDING, RawTable, first_by_symbol
from domain.candles import BoolColumn
from ports.datasets import HOUR_MS, DatasetError, DatasetProblem, FundingSet

MAX_JITTER_MS = 60_000
"""The venue stamps a payment up to 1.2 s after its full hour; a minute leaves room for other recorders."""


def read_funding(path: str, symbols: Collection[str] | None = None) -> FundingSet:
    """Read the payments of `symbols` (all when None), each moved back to the full hour that it belongs to.

    The file is Parquet or CSV (columns symbol, t, rate) or the venue's `fundingHistory` JSON, plain or gz. A
    symbol without any payment in it is an error: no funding is not funding of zero. Raises
    `DatasetError` with every problem found.
    """
    tables, problems = read_tables([path], FUNDING, symbols)
    if not tables:
        raise DatasetError(problems)
    table = tables[0]
    absurd_problems, absurd = time_problems(table)
    hours = table.times - table.times % HOUR_MS
    problems += absurd_problems
    problems += _off_the_hour(table, absurd)
    problems += rate_problems(table)
    problems += order_problems(table, hours, ~absurd)
    if problems:
        raise DatasetError(problems)
    return FundingSet(table.symbols, hours, table.ids, table.values["rate"], table.source.label)


def _off_the_hour(table: RawTable, absurd: BoolColumn) -> list[DatasetProblem]:
    off = np.flatnonzero((table.times % HOUR_MS > MAX_JITTER_MS) & ~absurd)
    why = f"the venue pays at full hours and stamps it at most {MAX_JITTER_MS // 1000} s later"
    fix = "use realised payments, not the running estimate of the rate"
    found = first_by_symbol(table.ids, off)
    return [table.problem(place, count, "t is not near a full hour", why, fix) for place, count in found]
