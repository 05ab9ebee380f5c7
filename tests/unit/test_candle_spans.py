"""Which candles lack, and in how many questions they are fetched."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from domain.candles import Interval
from entrypoints.data.spans import Span, gaps_in, joined, missing_spans

MINUTE = 60_000
M1 = Interval.M1


def span(first: int, after: int) -> Span:
    return Span(first * MINUTE, after * MINUTE)


def opens(*minutes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(minutes, np.int64) * MINUTE


def test_of_nothing_everything_lacks() -> None:
    assert missing_spans(opens(), M1, 3 * MINUTE, 9 * MINUTE) == [span(3, 9)]
    assert missing_spans(opens(), M1, 3 * MINUTE, 3 * MINUTE) == []


def test_what_lacks_before_between_and_after() -> None:
    assert missing_spans(opens(4, 5, 7), M1, 3 * MINUTE, 9 * MINUTE) == [span(3, 4), span(6, 7), span(8, 9)]
    assert missing_spans(opens(3, 4, 5), M1, 3 * MINUTE, 6 * MINUTE) == []


def test_gaps_lie_between_the_first_and_the_last() -> None:
    assert gaps_in(opens(4, 5, 8, 9, 11), M1) == [span(6, 8), span(10, 11)]
    assert gaps_in(opens(4), M1) == gaps_in(opens(), M1) == []


def test_a_crooked_time_is_no_end_of_a_gap() -> None:
    crooked = np.array([3 * MINUTE + 1, 4 * MINUTE, 5 * MINUTE + 7, 6 * MINUTE, 9 * MINUTE + 1], np.int64)
    assert gaps_in(crooked, M1) == [span(5, 6)]


def test_spans_that_are_near_become_one() -> None:
    spans = [span(1, 2), span(4, 6), span(20, 21)]
    assert joined(spans, M1, 2) == [span(1, 6), span(20, 21)]
    assert joined(spans, M1, 1) == spans
    assert joined(spans, M1, 100) == [span(1, 21)]
    assert joined([], M1, 100) == []


@given(
    stored=st.sets(st.integers(0, 40)),
    first=st.integers(0, 40),
    length=st.integers(0, 40),
    near=st.integers(0, 6),
)
def test_spans_hold_what_lacks_and_nothing_else(stored: set[int], first: int, length: int, near: int) -> None:
    within = sorted(minute for minute in stored if first <= minute < first + length)
    spans = missing_spans(opens(*within), M1, first * MINUTE, (first + length) * MINUTE)
    held = [minute for each in spans for minute in range(each.first_ms // MINUTE, each.after_ms // MINUTE)]
    assert held == [minute for minute in range(first, first + length) if minute not in stored]
    assert sum(each.candles(M1) for each in spans) == len(held)
    wider = joined(spans, M1, near)
    asked = {minute for each in wider for minute in range(each.first_ms // MINUTE, each.after_ms // MINUTE)}
    assert asked >= set(held)
    assert all(later.first_ms - earlier.after_ms > near * MINUTE for earlier, later in pairwise(wider))
    extra = sorted(asked - set(held))
    assert all(minute in stored for minute in extra), "only what is there lies between"
