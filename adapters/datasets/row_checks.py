"""Look at every row of one table: numbers that cannot be, times that cannot be, rows out of order.

Everything runs over columns; a symbol gets one problem per kind, naming the first such row and their number.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from adapters.datasets.tables import NO_TIME_MS, RawTable, first_by_symbol
from domain.candles import BoolColumn, IntColumn
from ports.datasets import DatasetProblem

EARLIEST_MS = 1_230_768_000_000
"""2009-01-01: nothing traded on a blockchain before."""

LATEST_MS = 4_102_444_800_000
"""2100-01-01: a later time is a wrong unit or a broken file."""

MAX_HOURLY_RATE = Decimal("0.04")
"""The venue caps hourly funding at 4 %."""

_REPAIR = "correct or remove these rows, or download the span again"
_UNITS = (("seconds", 1_000, 1), ("microseconds", 1, 1_000), ("nanoseconds", 1, 1_000_000))


def candle_number_problems(table: RawTable) -> list[DatasetProblem]:
    """Rows that no market can have produced; each row is judged by the first rule that it breaks."""
    o, h, l, c, v = (table.values[name] for name in ("o", "h", "l", "c", "v"))  # noqa: E741 - the columns' names
    finite = np.isfinite(o) & np.isfinite(h) & np.isfinite(l) & np.isfinite(c) & np.isfinite(v)
    positive = np.minimum(np.minimum(o, h), np.minimum(l, c)) > 0
    inside = (l <= np.minimum(o, c)) & (np.maximum(o, c) <= h)
    unjudged = np.ones(len(table), np.bool_)
    rules: tuple[tuple[BoolColumn, str, str], ...] = (
        (~finite, "a value is missing, NaN or infinite", "every candle has five finite numbers"),
        (~positive, "a price is not positive", "prices are above zero"),
        (v < 0, "the volume is negative", "volume counts what was traded"),
        (h < l, "high is below low", "high is the top of a candle's span"),
        (~inside, "open or close lies outside low..high", "a candle's prices lie in its span"),
    )
    problems = []
    for broken, what, why in rules:
        problems += _per_symbol(table, broken & unjudged, what, why, _values_at)
        unjudged &= ~broken
    return problems


def rate_problems(table: RawTable) -> list[DatasetProblem]:
    """Funding rates that the venue cannot have applied."""
    rate = table.values["rate"]
    finite = np.isfinite(rate)
    over = finite & (np.abs(rate) > float(MAX_HOURLY_RATE))
    cap = f"the venue caps a rate at {MAX_HOURLY_RATE} an hour (is it a percentage, or for more than an hour?)"
    return [
        *_per_symbol(table, ~finite, "the rate is missing, NaN or infinite", "every payment has a rate", _values_at),
        *_per_symbol(table, over, "the rate is too large", cap, _values_at),
    ]


def time_problems(table: RawTable) -> tuple[list[DatasetProblem], BoolColumn]:
    """Absurd times, and which rows have them (judge nothing else by those)."""
    absurd = (table.times < EARLIEST_MS) | (table.times >= LATEST_MS)
    problems = []
    for place, count in first_by_symbol(table.ids, np.flatnonzero(absurd)):
        time = int(table.times[place])
        what, why, fix = _absurd_words(time)
        problems.append(table.problem(place, count, what, why, fix))
    return problems, absurd


def _absurd_words(time: int) -> tuple[str, str, str]:
    if time == NO_TIME_MS:
        return "the row has no time", "column 't' is empty or too large", _REPAIR
    for unit, times, divided in _UNITS:
        in_ms = time * times // divided
        if EARLIEST_MS <= in_ms < LATEST_MS:
            change = f"multiply by {times}" if times > 1 else f"divide by {divided}"
            return (
                f"t looks like {unit}",
                "times are milliseconds since 1970, UTC",
                f"{change} in the whole file",
            )
    return "t is not a plausible time", "data lie between 2009 and 2100", _REPAIR


def order_problems(table: RawTable, slots: IntColumn, plausible: BoolColumn) -> list[DatasetProblem]:
    """Duplicates and rows that go back in time, within each symbol (symbols themselves may interleave).

    `slots` are the times that must differ: open times, or the hours of funding. Rows that are not `plausible`
    have been reported already and are passed over.
    """
    judged = np.flatnonzero(plausible)
    by_symbol = judged[np.argsort(table.ids[judged], kind="stable")]
    ids, step = table.ids[by_symbol], np.diff(slots[by_symbol])
    backwards = by_symbol[1:][(np.diff(ids) == 0) & (step < 0)]
    if len(backwards):
        by_symbol = judged[np.lexsort((table.rows[judged], slots[judged], table.ids[judged]))]
        ids, step = table.ids[by_symbol], np.diff(slots[by_symbol])
    twice = by_symbol[1:][(np.diff(ids) == 0) & (step == 0)]
    problems = []
    for place, count in first_by_symbol(table.ids, np.sort(twice)):
        what, why = "the time stands there twice", "a symbol has one row for each time"
        problems.append(table.problem(place, count, what, why, "remove the row that is not the venue's"))
    for place, count in first_by_symbol(table.ids, backwards):
        what, why = "the row is earlier than the one before it", "rows out of order hint at a damaged file"
        problems.append(
            table.problem(place, count, what, why, "sort each symbol by t once you know why, or download it again")
        )
    return problems


def _per_symbol(
    table: RawTable, bad: BoolColumn, what: str, why: str, detail: Callable[[RawTable, int], str]
) -> list[DatasetProblem]:
    found = first_by_symbol(table.ids, np.flatnonzero(bad))
    return [table.problem(place, count, f"{what} ({detail(table, place)})", why, _REPAIR) for place, count in found]


def _values_at(table: RawTable, place: int) -> str:
    return " ".join(f"{name}={float(column[place])!r}" for name, column in table.values.items())
