"""Ordinals: which number the next exit of a candle gets, without remembering all exits of all candles.

Decisions that reduce may be taken again within a candle and are told apart by an ordinal (`domain.intents.IntentKey`).
A daemon that runs for months takes very many of them, so that only the newest candles of each symbol and action are
remembered one by one. Of all older ones it is enough to know how high their ordinals went: should a late event ask for
one of them after all, it goes on above, where none can have been taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from domain.intents import Action

CANDLES_KEPT = 8
"""More than a late batch or a candle of another interval can lie back."""


@dataclass(slots=True)
class _Series:
    """Of one symbol and action. Every candle up to `over_ms` that is not in `next_of` has taken less than `beyond`."""

    next_of: dict[int, int] = field(default_factory=dict)
    over_ms: int = -1
    beyond: int = 0


class Ordinals:
    def __init__(self) -> None:
        self._series: dict[tuple[str, Action], _Series] = {}

    def take(self, symbol: str, action: Action, open_ms: int, is_free: Callable[[int], bool]) -> int:
        """Give a number that was not given before for this symbol, action and candle, and count it as given.

        `is_free` tells what nobody here has given: what earlier sessions took.
        """
        series = self._series.setdefault((symbol, action), _Series())
        ordinal = series.next_of.get(open_ms, series.beyond if open_ms <= series.over_ms else 0)
        while not is_free(ordinal):
            ordinal += 1
        series.next_of[open_ms] = ordinal + 1
        if len(series.next_of) > CANDLES_KEPT:
            oldest_ms = min(series.next_of)
            series.over_ms = max(series.over_ms, oldest_ms)
            series.beyond = max(series.beyond, series.next_of.pop(oldest_ms))
        return ordinal
