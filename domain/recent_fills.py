"""Which fills of a symbol stay at hand: enough to put one that is told late into its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from domain.facts import PositionAdjusted
from domain.fills import Fill
from domain.positions import Position, opened_with

RECENT_LIMIT = 50
"""A symbol with fewer fills keeps all of them."""

LATE_MS = 3_600_000
"""A fill may be told so long after its neighbours."""


def recent(fills: Sequence[Fill]) -> list[Fill]:
    """Those from the last moment on at which nothing was held by the venue's word, `LATE_MS` or more before the newest.

    All of them where there is no such moment, or more than one fill in its millisecond: then its order is not certain.
    """
    if not fills:
        return []
    begin_ms = recent_since(fills)
    return [fill for fill in fills if fill.time_ms >= begin_ms]


def recent_since(fills: Sequence[Fill]) -> int:
    """The time of the first fill that is kept; 0 when all are."""
    newest_ms = max(fill.time_ms for fill in fills)
    in_a_moment = Counter(fill.time_ms for fill in fills)
    return max(
        (
            fill.time_ms
            for fill in fills
            if fill.start_position == 0 and fill.time_ms <= newest_ms - LATE_MS and in_a_moment[fill.time_ms] == 1
        ),
        default=0,
    )


def recent_starts(since: Mapping[str, int], adjusted: Iterable[PositionAdjusted]) -> tuple[Position, ...]:
    """What was held before the fills that are kept, by symbol: nothing, or what there was before the ledger began.

    `since` is `recent_since` of every symbol with fills. `updated_ms` says from when on fills are kept.
    """
    starts = {symbol: Position(symbol, updated_ms=since_ms) for symbol, since_ms in since.items()}
    for each in adjusted:
        if since.get(each.symbol, 0) == 0:
            starts[each.symbol] = opened_with(each.symbol, each.after, each.price, each.at_ms)
    return tuple(position for _, position in sorted(starts.items()))
