"""Is what is stored whole and possible, and the same as elsewhere?"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from domain.candles import CandleWindow, Interval, candle_problem
from entrypoints.data.download import DAY_MS, KeptHistory
from entrypoints.data.spans import Span, gaps_in

NOT_ALIGNED = "it opens at no multiple of its interval"
MARGIN_MS = 3_600_000
"""Time for a user to read what to do and to do it."""

Numbers = tuple[float, ...]
"""Open, high, low, close, volume."""


class Violation(NamedTuple):
    """A candle that cannot be."""

    open_ms: int
    why: str


class Difference(NamedTuple):
    """A stored candle that the venue has otherwise, or (None) does not have."""

    open_ms: int
    stored: Numbers
    venue: Numbers | None


@dataclass(slots=True)
class Checked:
    """What is to be said of one symbol and interval. `compared` is None where the venue was not asked."""

    symbol: str
    interval: Interval
    first_ms: int
    last_ms: int
    candles: int
    gaps: list[Span]
    violations: list[Violation]
    sha256: str
    compared: int | None = None
    differences: list[Difference] = field(default_factory=list)
    note: str = ""

    @property
    def missing(self) -> int:
        return sum(gap.candles(self.interval) for gap in self.gaps)

    @property
    def is_well(self) -> bool:
        return not (self.gaps or self.violations or self.differences)


def check(window: CandleWindow) -> Checked:
    """Look at every stored candle of a symbol and interval; there is at least one."""
    digest = hashlib.sha256()
    violations = []
    for open_ms, numbers in _rows(window):
        why = NOT_ALIGNED if open_ms % window.interval.ms else candle_problem(*numbers)
        if why is not None:
            violations.append(Violation(open_ms, why))
        digest.update(row_text(window.symbol, window.interval, open_ms, numbers).encode())
    return Checked(
        window.symbol,
        window.interval,
        int(window.open_ms[0]),
        int(window.open_ms[-1]),
        len(window),
        gaps_in(window.open_ms, window.interval),
        violations,
        digest.hexdigest(),
    )


def row_text(symbol: str, interval: Interval, open_ms: int, numbers: Numbers) -> str:
    """The line of a candle that its hash is taken over: plain decimals, the shortest that give the stored float."""
    return ",".join((symbol, interval.value, str(open_ms), *map(plain_number, numbers))) + "\n"


def plain_number(value: float) -> str:
    text = repr(value)
    return f"{Decimal(text):f}" if "e" in text else text


def digest_of_all(found: Iterable[Checked]) -> str:
    """One hash over the hashes, in the order of (symbol, interval)."""
    digest = hashlib.sha256()
    for each in sorted(found, key=lambda each: (each.symbol, each.interval.ms)):
        digest.update(f"{each.symbol},{each.interval.value},{each.sha256}\n".encode())
    return digest.hexdigest()


async def compare(checked: Checked, newest: CandleWindow, history: KeptHistory) -> None:
    """Note where the newest stored candles are not what the venue has, as far back as the venue goes.

    Raises `HistoryUnavailable`.
    """
    interval = checked.interval
    first_ms = max(int(newest.open_ms[0]), history.oldest_ms(interval))
    venue = await history.candles(checked.symbol, interval, first_ms, checked.last_ms + 1)
    first_ms = max(first_ms, history.oldest_ms(interval))  # waiting for our turn may have cost some
    said = dict(_rows(venue))
    last_ms = max(said, default=checked.last_ms)  # later ones have not closed at the venue, as far as it knows
    stored = [row for row in _rows(newest) if first_ms <= row[0] <= last_ms and not row[0] % interval.ms]
    checked.compared = len(stored)
    checked.differences = [
        Difference(open_ms, numbers, said.get(open_ms)) for open_ms, numbers in stored if said.get(open_ms) != numbers
    ]


class Repair(NamedTuple):
    """What to do about one interval. `command` is empty where nothing can be fetched, `lost` counts missing candles
    that the venue does not keep any more."""

    interval: Interval
    command: str
    lost: int


def repairs(found: Sequence[Checked], now_ms: int, kept: int) -> list[Repair]:
    """How to make well what is not; the venue keeps `kept` candles of each interval before `now_ms`."""
    result = []
    for interval in sorted({each.interval for each in found if not each.is_well}, key=lambda each: each.ms):
        oldest_ms = interval.open_of(now_ms) - (kept - 1) * interval.ms
        bad = [each for each in found if each.interval is interval]
        wrong = {each.symbol: at for each in bad if (at := _first_wrong(each, oldest_ms)) is not None}
        lacking = {each.symbol: at for each in bad if (at := _first_lacking(each, oldest_ms)) is not None}
        command = ""
        if symbols := sorted(wrong.keys() | lacking.keys()):
            first_ms = min((*wrong.values(), *lacking.values()))
            days = -(-(now_ms + MARGIN_MS - first_ms) // DAY_MS)
            words = ("./aiq", "download-data", "--symbols", ",".join(symbols), "--interval", interval.value)
            command = shlex.join((*words, "--days", str(days), *(("--again",) if wrong else ())))
        lost = sum(
            max(0, min(gap.after_ms, oldest_ms) - gap.first_ms) // interval.ms for each in bad for gap in each.gaps
        )
        result.append(Repair(interval, command, lost))
    return result


def _first_wrong(checked: Checked, oldest_ms: int) -> int | None:
    """The earliest stored candle that can be put right, for which also confirmed ones are asked for again."""
    times = [each.open_ms for each in checked.violations] + [each.open_ms for each in checked.differences]
    return min((at for at in times if at >= oldest_ms and not at % checked.interval.ms), default=None)


def _first_lacking(checked: Checked, oldest_ms: int) -> int | None:
    """The earliest missing candle that can still be had."""
    return min((max(gap.first_ms, oldest_ms) for gap in checked.gaps if gap.after_ms > oldest_ms), default=None)


def _rows(window: CandleWindow) -> list[tuple[int, Numbers]]:
    numbers = zip(*(column.tolist() for column in window.columns), strict=True)
    return list(zip(window.open_ms.tolist(), numbers, strict=True))
