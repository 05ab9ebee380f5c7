"""What the watchlist benchmark makes of its observations: pure arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks._runs import Figures

HOUR_S = 3_600
CandleOf = tuple[str, int]
"""A symbol, and the time at which its candle opened."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A recorded decision: on which candle, and when."""

    candle: CandleOf
    at_ms: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process had used up at one moment. `wakeups`: how often its main thread had slept and gone on."""

    at_s: float
    cpu_s: float
    rss_mib: float
    wakeups: int


def candle_figures(traded: Mapping[CandleOf, bool], decisions: Iterable[Decided], length_ms: int) -> Figures:
    """Whether each candle was decided on exactly once, and how long after its end.

    `traded` names every candle that there was to decide on, and whether anybody had traded in it. One that nobody
    traded in comes without a frame and is waited for: those lags are among the others, and once more apart, as `quiet`.
    """
    counted: Counter[CandleOf] = Counter()
    lags: dict[bool, list[int]] = {True: [], False: []}
    early = unexpected = 0
    for decision in decisions:
        candle = decision.candle
        if candle not in traded:
            unexpected += 1
            continue
        counted[candle] += 1
        lag_ms = decision.at_ms - (candle[1] + length_ms)
        early += lag_ms < 0
        lags[traded[candle]].append(lag_ms)
    return {
        "candles": len(traded),
        "missing": len(traded) - len(counted),
        "duplicate": counted.total() - len(counted),
        "early": early,
        "unexpected": unexpected,
        **lag_figures("lag", lags[True] + lags[False]),
        "quiet_candles": sum(not each for each in traded.values()),
        **lag_figures("quiet_lag", lags[False]),
    }


def lag_figures(name: str, lags_ms: Sequence[int]) -> Figures:
    """Median, 99th percentile and longest; None where there are none."""
    ordered = sorted(lags_ms)
    return {
        f"{name}_p50_ms": percentile(ordered, 50),
        f"{name}_p99_ms": percentile(ordered, 99),
        f"{name}_max_ms": percentile(ordered, 100),
    }


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many percent of all do not exceed; None where there are none."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def usage_figures(usages: Sequence[Usage]) -> Figures:
    """CPU, memory and wake-ups of one process from first to last; at least two looks at it."""
    first, last = usages[0], usages[-1]
    span_s = last.at_s - first.at_s
    return {
        "cpu_s_per_hour": round((last.cpu_s - first.cpu_s) / span_s * HOUR_S, 1),
        "wakeups_per_s": round((last.wakeups - first.wakeups) / span_s, 1),
        "rss_mib": round(max(usage.rss_mib for usage in usages), 1),
        "rss_slope_mib_per_hour": round(slope_per_hour([(usage.at_s, usage.rss_mib) for usage in usages]), 2),
    }


def slope_per_hour(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line that fits (seconds, value) best by least squares, per hour."""
    middle_s = sum(at_s for at_s, _ in points) / len(points)
    middle = sum(value for _, value in points) / len(points)
    spread = sum((at_s - middle_s) ** 2 for at_s, _ in points)
    return sum((at_s - middle_s) * (value - middle) for at_s, value in points) / spread * HOUR_S
