"""Spans of candles that are not there, out of the open times of those that are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.candles import IntColumn, Interval


@dataclass(frozen=True, slots=True)
class Span:
    """Candles with open times in [first_ms, after_ms)."""

    first_ms: int
    after_ms: int

    def candles(self, interval: Interval) -> int:
        return (self.after_ms - self.first_ms) // interval.ms


def missing_spans(opens: IntColumn, interval: Interval, start_ms: int, end_ms: int) -> list[Span]:
    """What lacks of the aligned span [start_ms, end_ms); `opens` are ascending, aligned, and lie in it."""
    length = interval.ms
    edges = np.concatenate(([start_ms - length], opens, [end_ms])).astype(np.int64)
    before = np.flatnonzero(np.diff(edges) > length)
    return [Span(int(edges[place]) + length, int(edges[place + 1])) for place in before]


def gaps_in(opens: IntColumn, interval: Interval) -> list[Span]:
    """What lacks between the first and the last one. Times off the interval's grid are none of it."""
    aligned = opens[opens % interval.ms == 0]
    return missing_spans(aligned, interval, int(aligned[0]), int(aligned[-1]) + interval.ms) if len(aligned) else []


def joined(spans: Sequence[Span], interval: Interval, candles: int) -> list[Span]:
    """The spans, those in one that have no more than so many candles between them."""
    wider: list[Span] = []
    for span in spans:
        if wider and span.first_ms - wider[-1].after_ms <= candles * interval.ms:
            wider[-1] = Span(wider[-1].first_ms, span.after_ms)
        else:
            wider.append(span)
    return wider
