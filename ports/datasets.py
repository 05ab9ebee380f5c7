"""Historical data for backtests: sets of candles and of funding payments, already checked.

Whoever builds one of these has looked at every row first. All problems of all files come out
together in one `DatasetError`, so that a user repairs a data set once, not once per problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from domain.candles import CandleBatch, CandleWindow, FloatColumn, IntColumn, Interval
from domain.instruments import Universe

HOUR_MS = 3_600_000
MAX_PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DatasetProblem:
    """One thing that is wrong with a data file, in the words of the person who must repair it."""

    file: str
    what: str
    why: str
    fix: str
    where: str = ""
    symbol: str | None = None

    def __str__(self) -> str:
        of_symbol = "" if self.symbol is None else f"symbol {self.symbol!r}: "
        place = f", {self.where}" if self.where else ""
        return f"{self.file}: {of_symbol}{self.what}{place}: {self.why}; {self.fix}"


class DatasetError(Exception):
    """Data are missing or damaged. `problems` holds everything found; the message shows the first ones."""

    def __init__(self, problems: Sequence[DatasetProblem]) -> None:
        assert problems, "an error names at least one problem"
        self.problems = tuple(problems)
        super().__init__(problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:MAX_PROBLEMS_SHOWN]]
        hidden = len(self.problems) - len(lines)
        if hidden:
            lines.append(f"… and {hidden} more problems ({len(self.problems)} in all)")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class CandleSet:
    """Candles of several symbols in one interval.

    `symbols` is sorted and `windows` runs parallel to it. No window is empty, and inside a window there is one
    candle for every span between its first and its last. `filled` counts, per symbol, the no-trade
    candles that were put into gaps (open = high = low = close = previous close, volume 0).
    """

    interval: Interval
    symbols: tuple[str, ...]
    windows: tuple[CandleWindow, ...]
    sources: tuple[str, ...]
    filled: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert list(self.symbols) == sorted(set(self.symbols)), "symbols are sorted and stand once"
        assert self.symbols == tuple(window.symbol for window in self.windows), "windows run parallel to symbols"

    @property
    def bars(self) -> int:
        return sum(len(window) for window in self.windows)

    def window(self, symbol: str) -> CandleWindow:
        """The candles of a symbol of this set; `KeyError` for any other."""
        for window in self.windows:
            if window.symbol == symbol:
                return window
        raise KeyError(symbol)

    def batches(self, universe: Universe | None = None) -> Iterator[CandleBatch]:
        """Yield one batch per open time, ascending: the order in which a market would have closed them.

        Ids are places in `symbols`, or in `universe` when one is given (it must know every symbol
        of the set). The columns are read-only views into one sorted copy, made once per call.
        """
        ids, columns = _time_major(self.windows, self._ids_in(universe))
        open_ms, open_, high, low, close, volume = columns
        starts = np.flatnonzero(np.diff(open_ms, prepend=-1)).tolist()
        times = open_ms[starts].tolist()
        interval = self.interval
        for time, start, end in zip(times, starts, [*starts[1:], len(open_ms)], strict=True):
            cut = slice(start, end)
            yield CandleBatch(interval, time, ids[cut], open_[cut], high[cut], low[cut], close[cut], volume[cut])

    def _ids_in(self, universe: Universe | None) -> list[int]:
        if universe is None:
            return list(range(len(self.symbols)))
        return [universe.id_of(symbol) for symbol in self.symbols]


_Columns = tuple[IntColumn, FloatColumn, FloatColumn, FloatColumn, FloatColumn, FloatColumn]


def _time_major(windows: Sequence[CandleWindow], window_ids: Sequence[int]) -> tuple[npt.NDArray[np.intp], _Columns]:
    """All rows sorted by (open time, id). Windows go in by id, so one stable sort by time is enough."""
    by_id = sorted(range(len(windows)), key=lambda place: window_ids[place])
    ordered = [windows[place] for place in by_id]
    if not ordered:
        none = np.empty(0)
        return np.empty(0, np.intp), (np.empty(0, np.int64), none, none, none, none, none)
    ids = np.repeat(np.array([window_ids[place] for place in by_id], np.intp), [len(window) for window in ordered])
    open_ms = np.concatenate([window.open_ms for window in ordered])
    order = np.argsort(open_ms, kind="stable")
    columns = (
        open_ms[order],
        np.concatenate([window.open for window in ordered])[order],
        np.concatenate([window.high for window in ordered])[order],
        np.concatenate([window.low for window in ordered])[order],
        np.concatenate([window.close for window in ordered])[order],
        np.concatenate([window.volume for window in ordered])[order],
    )
    sorted_ids = ids[order]
    for column in (sorted_ids, *columns):
        column.flags.writeable = False
    return sorted_ids, columns


class FundingSet:
    """Realised hourly funding rates, found by the full hour at which they were paid.

    A positive rate means that longs paid. Rates are kept as floats whose `repr` is the source's own number, and
    become exact `Decimal`s only when asked for. Rows arrive as columns: `hour_ms` (full hours, each symbol at most
    once an hour), `ids` (places in `symbols`) and `rates`, in any order.
    """

    __slots__ = ("_first_hour", "_payments", "_places", "_rates", "source", "symbols", "times_ms")

    def __init__(
        self, symbols: Sequence[str], hour_ms: IntColumn, ids: IntColumn, rates: FloatColumn, source: str
    ) -> None:
        assert len(hour_ms) and not np.any(hour_ms % HOUR_MS), "funding is kept by full hours"
        hours = hour_ms // HOUR_MS
        self.symbols = tuple(symbols)
        self.source = source
        self._payments = len(rates)
        self.times_ms: IntColumn = np.unique(hour_ms)
        self._places = {symbol: place for place, symbol in enumerate(self.symbols)}
        self._first_hour = int(hours.min())
        # One cell for every (hour, symbol), NaN where nothing was paid: a lookup is one index away.
        self._rates = np.full((int(hours.max()) - self._first_hour + 1, len(self.symbols)), np.nan)
        self._rates[hours - self._first_hour, ids] = rates
        assert np.count_nonzero(~np.isnan(self._rates)) == len(rates), "a symbol has one finite rate an hour"

    def __len__(self) -> int:
        return self._payments

    def at_hour(self, hour_ms: int) -> dict[str, Decimal]:
        """Every rate paid at this full hour, by symbol; empty when the set has none."""
        slot = self._slot(hour_ms)
        if slot is None:
            return {}
        rates = self._rates[slot].tolist()
        paid = zip(self.symbols, rates, strict=True)
        return {symbol: Decimal(repr(rate)) for symbol, rate in paid if rate == rate}

    def rate(self, symbol: str, hour_ms: int) -> Decimal | None:
        """What one symbol paid at this full hour, or None. Cheaper than `at_hour` when few positions are open."""
        place, slot = self._places.get(symbol), self._slot(hour_ms)
        if place is None or slot is None:
            return None
        rate = self._rates.item(slot, place)
        return None if rate != rate else Decimal(repr(rate))

    def _slot(self, hour_ms: int) -> int | None:
        hour, past = divmod(hour_ms, HOUR_MS)
        assert past == 0, "ask for a full hour"
        slot = hour - self._first_hour
        return slot if 0 <= slot < len(self._rates) else None
