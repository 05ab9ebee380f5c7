"""Does it grow? Straight lines through measured points, and how sure they are: pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean

Points = Sequence[tuple[float, float]]
"""(time, value), in order of time."""

WARM_UP_SHARE = 0.25
"""Of a run, which is not judged: caches fill, the first positions open, the first files are rotated."""
BLOCKS = 24
"""Neighbouring samples say nearly the same, and would make a line look surer than it is: it is laid through the means
of so many blocks instead."""
LEAST_BLOCKS = 6
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Trend:
    """Growth per unit of time, with the bounds of its 95 % confidence."""

    slope: float
    low: float
    high: float


def after_warm_up(points: Points) -> Points:
    if not points:
        return points
    begin = points[0][0] + (points[-1][0] - points[0][0]) * WARM_UP_SHARE
    return [point for point in points if point[0] >= begin]


def trend(points: Points) -> Trend | None:
    """The straight line that fits best, by least squares over block means; None for too few points."""
    blocks = _block_means(points)
    if len(blocks) < LEAST_BLOCKS:
        return None
    middle_x, middle_y = fmean(x for x, _ in blocks), fmean(y for _, y in blocks)
    spread = sum((x - middle_x) ** 2 for x, _ in blocks)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in blocks) / spread
    rest = sum((y - middle_y - slope * (x - middle_x)) ** 2 for x, y in blocks)
    free = len(blocks) - 2
    off = _student(free) * math.sqrt(rest / free / spread)
    return Trend(slope, slope - off, slope + off)


def floor_growth(points: Points) -> float:
    """By how much the least value of the last third is above that of the first: what is never given back.

    What goes up and down with the work that is just being done has a floor that stays.
    """
    third = len(points) // 3
    if not third:
        return 0.0
    return min(y for _, y in points[-third:]) - min(y for _, y in points[:third])


def _block_means(points: Points) -> list[tuple[float, float]]:
    count = min(BLOCKS, len(points))
    edges = [len(points) * number // count for number in range(count + 1)] if count else [0]
    blocks = [points[begin:end] for begin, end in pairwise(edges)]
    return [(fmean(x for x, _ in block), fmean(y for _, y in block)) for block in blocks]


def _student(free: int) -> float:
    """Student's t for 95 %, two-sided: the normal quantile and its first corrections, 1 % off at 4 degrees."""
    z = _Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / free + second / free**2 + third / free**3
