"""Does a strategy look ahead? Compare what it says about a candle with and without later ones.

A strategy that looks ahead says something else about candle k once it has seen k + 1: a
centred window, a `shift(-1)`, a maximum over the whole series. Live it never has k + 1, so
what it promised in research does not happen.

A *probe* runs a strategy over one window and returns a table with one value a candle and
column. The check runs it over everything, then over histories that end at candle k, and
compares row k. Of a user's `analyze` the table is what it adds to its frame; a function that
leaves its frame alone shows nothing to compare, and the report says so. Signals are compared
wherever both runs have one, and for one history twice, before and after the strategy has seen
the rest: that finds state that is carried from one call to the next, and chance.

Values that only depend on where the history starts are no look-ahead, but a warning: they
have not warmed up.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from domain.candles import CandleWindow

Column: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ProbeTable:
    """A strategy's values over a window: per column one value a candle. `signals` has None where none is known."""

    columns: Mapping[str, Column]
    signals: Sequence[str | None]


Probe: TypeAlias = Callable[[CandleWindow], ProbeTable]


class Verdict(enum.Enum):
    CLEAN = "clean"
    LOOKS_AHEAD = "looks ahead"
    NOTHING_TO_COMPARE = "nothing to compare"


@dataclass(frozen=True, slots=True)
class SignalDifference:
    """One candle about which a strategy said two things."""

    symbol: str
    open_ms: int
    alone: str
    later: str


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """`start_dependent_columns` is a warning: values that change with the first candle of the history."""

    checked_bars: int
    biased_columns: tuple[str, ...]
    differing_signals: tuple[SignalDifference, ...]
    start_dependent_columns: tuple[str, ...]
    compared_columns: tuple[str, ...]
    verdict: Verdict


@dataclass(slots=True)
class _Findings:
    checked: int = 0
    compared: set[str] = field(default_factory=set)
    biased: set[str] = field(default_factory=set)
    start_dependent: set[str] = field(default_factory=set)
    signals: dict[tuple[str, int], SignalDifference] = field(default_factory=dict)


def find_lookahead(
    probe: Probe,
    windows: Sequence[CandleWindow],
    *,
    warmup: int,
    bars_per_window: int = 20,
    tolerance: float = 1e-9,
    start_tolerance: float = 1e-3,
) -> LookaheadReport:
    """Check a strategy on candles spread over each window after its first `warmup` candles.

    Numbers differ when they are further apart than `tolerance`, relative to the larger one. The
    warning about the start compares with a history that begins `warmup` candles before the
    checked one, under `start_tolerance` of the larger one or of the column's spread.
    """
    findings = _Findings()
    for window in windows:
        _check(probe, window, warmup, bars_per_window, tolerance, start_tolerance, findings)
    if findings.biased or findings.signals:
        verdict = Verdict.LOOKS_AHEAD
    else:
        verdict = Verdict.CLEAN if findings.compared and findings.checked else Verdict.NOTHING_TO_COMPARE
    return LookaheadReport(
        checked_bars=findings.checked,
        biased_columns=tuple(sorted(findings.biased)),
        differing_signals=tuple(findings.signals[key] for key in sorted(findings.signals)),
        start_dependent_columns=tuple(sorted(findings.start_dependent)),
        compared_columns=tuple(sorted(findings.compared)),
        verdict=verdict,
    )


def _check(
    probe: Probe,
    window: CandleWindow,
    warmup: int,
    bars: int,
    tolerance: float,
    start_tolerance: float,
    findings: _Findings,
) -> None:
    # The last candle has no future, so nothing about it could differ.
    places = np.unique(np.linspace(warmup, len(window) - 2, bars).astype(int)) if len(window) > warmup + 1 else ()
    alone = {int(place): probe(_until(window, int(place))) for place in places}
    full = probe(window)
    for place, before in alone.items():
        findings.checked += 1
        shared = sorted(before.columns.keys() & full.columns.keys())
        findings.compared.update(shared)
        findings.biased.update(
            name for name in shared if _contradicts(before.columns[name][-1], full.columns[name][place], tolerance)
        )
        again = probe(_until(window, place))
        for later in (full.signals[place], again.signals[-1]):
            _compare_signals(window, place, before.signals[-1], later, findings)
        short = probe(_until(window, place).last(warmup + 1))
        findings.start_dependent.update(
            name
            for name in shared
            if name in short.columns
            and not _same(
                before.columns[name][-1], short.columns[name][-1], start_tolerance, _spread(full.columns[name])
            )
        )


def _compare_signals(
    window: CandleWindow, place: int, alone: str | None, later: str | None, findings: _Findings
) -> None:
    if alone is not None and later is not None and alone != later:
        open_ms = int(window.open_ms[place])
        findings.signals[window.symbol, open_ms] = SignalDifference(window.symbol, open_ms, alone, later)


def _until(window: CandleWindow, place: int) -> CandleWindow:
    """The history that ends with the candle at `place`, in memory of its own."""
    cut = slice(0, place + 1)
    columns = (window.open, window.high, window.low, window.close, window.volume)
    copies = (column[cut].copy() for column in columns)
    return CandleWindow(window.symbol, window.interval, window.open_ms[cut].copy(), *copies)


def _contradicts(alone: Any, later: Any, tolerance: float) -> bool:
    """Later candles say something else. What they leave out is no contradiction: some code fills the last row only."""
    return not _unknown(later) and not _same(alone, later, tolerance)


def _unknown(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _spread(column: Column) -> float:
    """How far a column's values lie apart: the scale for differences around zero."""
    if column.dtype.kind not in "fiu":
        return 0.0
    finite = column[np.isfinite(column)]
    return float(finite.std()) if len(finite) else 0.0


def _same(one: Any, other: Any, tolerance: float, scale: float = 0.0) -> bool:
    """Equal, both not known, or numbers that are close to each other."""
    try:
        first, second = float(one), float(other)
    except (TypeError, ValueError):
        return bool(one is other or str(one) == str(other))
    if first != first or second != second:
        return first != first and second != second
    return first == second or abs(first - second) <= tolerance * max(abs(first), abs(second), scale)
