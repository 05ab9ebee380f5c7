"""What every reader hands to the checks: one file's rows as columns, and how to speak of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.datasets.source_files import SourceFile
from adapters.datasets.suggestions import listed, rename_hint
from domain.candles import FloatColumn, IntColumn, Interval
from ports.datasets import DatasetError, DatasetProblem

NO_TIME_MS = -(2**62)
"""Stands where a row has no time."""

_LAST_WORDED_MS = 253_402_300_799_999  # the end of year 9999: later times are shown as a bare number


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of one kind of file besides `symbol` and `t`; all of them are numbers.

    The names also stand in SQL text: they are constants of this module and never come from a file.
    """

    kind: str
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return ("symbol", "t", *self.values)


CANDLES = Schema("candles", ("o", "h", "l", "c", "v"))
FUNDING = Schema("funding", ("rate",))


@dataclass(frozen=True, slots=True)
class RawTable:
    """One file's rows of the asked symbols, unchecked, in file order.

    `ids` are places in `symbols` (which is sorted), `rows` count the file's data rows from 1. A missing number is
    NaN, a missing time `NO_TIME_MS`. `found` names every symbol of the file, asked for or not.
    """

    source: SourceFile
    symbols: tuple[str, ...]
    found: tuple[str, ...]
    ids: IntColumn
    rows: IntColumn
    times: IntColumn
    values: Mapping[str, FloatColumn]
    row_word: str = "row"
    rows_before: int = 0
    interval: Interval | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, place: int) -> str:
        """Say where a row stands: its number in the file and its time."""
        number = int(self.rows[place]) + self.rows_before
        time = int(self.times[place])
        return f"{self.row_word} {number}" if time == NO_TIME_MS else f"{self.row_word} {number}, {time_text(time)}"

    def problem(self, place: int, count: int, what: str, why: str, fix: str) -> DatasetProblem:
        """Report `count` rows of one symbol that share a problem, of which `place` is the first."""
        more = "" if count == 1 else f" (the first of {count} such rows)"
        symbol = self.symbols[int(self.ids[place])]
        return self.source.problem(what, why, fix, where=self.where(place) + more, symbol=symbol)


def time_text(time_ms: int) -> str:
    """A time as its number and, where it is a plausible one, in words."""
    if not 0 <= time_ms <= _LAST_WORDED_MS:
        return f"t={time_ms}"
    return f"t={time_ms} ({np.datetime_as_string(np.datetime64(time_ms, 'ms'), unit='s')}Z)"


def first_by_symbol(ids: IntColumn, bad: IntColumn) -> list[tuple[int, int]]:
    """(first place, count) for each symbol among the bad places, in the order of the symbols."""
    _, first, counts = np.unique(ids[bad], return_index=True, return_counts=True)
    return list(zip(bad[first].tolist(), counts.tolist(), strict=True))


def check_columns(source: SourceFile, schema: Schema, found: Sequence[str], *, hint: str = "") -> None:
    """Refuse a table without the columns it needs; `symbol` may be missing when the argument names it."""
    needed = [name for name in schema.columns if name != "symbol" or source.symbol is None]
    missing = [name for name in needed if name not in found]
    if not missing:
        return
    fix = hint or rename_hint(missing, found)
    if missing == ["symbol"]:
        fix += f", or name the one symbol of the file as SYMBOL={source.label}"
    what = f"column {', '.join(map(repr, missing))} is missing"
    raise DatasetError([source.problem(what, f"{schema.kind} need {listed(needed)}, found {listed(found)}", fix)])


def check_symbols(source: SourceFile, found: Collection[str], nameless: int, first_nameless: str) -> None:
    """Refuse a file with rows that name no symbol, or another than the argument says."""
    if not found and not nameless:
        what, why = "the file holds no rows", "there is nothing in it to read"
        raise DatasetError([source.problem(what, why, "download it again")])
    problems = []
    if nameless:
        what, why = f"{nameless} rows have no symbol", "a row without a name belongs to no market"
        problems.append(source.problem(what, why, "name the symbol in every row", where=first_nameless))
    for name in sorted(found):
        if name != name.strip():
            why = "it would match no other file and no venue"
            problems.append(source.problem("the name has blanks around it", why, "remove them", symbol=name))
    others = sorted(set(found) - {source.symbol})
    if source.symbol is not None and others:
        what = f"the file names {listed(others)}"
        fix = f"leave {source.symbol}= away, the file says itself what it holds"
        problems.append(source.problem(what, f"it was given as {source.symbol!r}", fix))
    if problems:
        raise DatasetError(problems)


def wanted_symbols(found: Collection[str], asked: Collection[str] | None) -> tuple[str, ...]:
    """The symbols of a file that are to be read, sorted."""
    return tuple(sorted(found if asked is None else set(found) & set(asked)))
