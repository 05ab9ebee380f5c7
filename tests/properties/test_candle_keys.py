"""Candle keys over any history: they only move forward, never come early, and name a candle that was seen."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from domain.candles import NO_CANDLE_MS, Interval, candle_key, closed_open_ms

INTERVALS = st.sampled_from(list(Interval))
EDGES = st.sampled_from([-1, 0, 1, 999, 1_000, 1_001])
"""Milliseconds around a candle's end and around the usual grace after it."""
GRACES = st.sampled_from([0, 1, 1_000]) | st.integers(0, 60_000)
TIMES = st.integers(0, 2_000_000_000_000)


@dataclass(frozen=True)
class Look:
    """One look at a symbol: the newest candles seen so far, and venue time."""

    newest_ms: int
    before_newest_ms: int
    venue_ms: int


@st.composite
def histories(draw: st.DrawFn) -> tuple[Interval, list[Look]]:
    """Venue time moves on; candles are seen late, repeated, out of order and with gaps, but not before they begin."""
    interval = draw(INTERVALS)
    venue_ms = draw(st.integers(0, 10**12))
    seen: set[int] = set()
    looks = []
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            venue_ms += draw(st.integers(0, 3 * interval.ms))
        else:
            venue_ms = max(venue_ms, interval.open_of(venue_ms) + interval.ms + draw(EDGES))
        for age in draw(st.lists(st.integers(0, 4), max_size=3)):
            seen.add(interval.open_of(venue_ms) - age * interval.ms)
        newest = sorted(open_ms for open_ms in seen if open_ms >= 0)[-2:]
        padded = [NO_CANDLE_MS] * (2 - len(newest)) + newest
        looks.append(Look(padded[1], padded[0], venue_ms))
    return interval, looks


@given(INTERVALS, TIMES)
def test_a_span_contains_its_times_and_spans_lie_side_by_side(interval: Interval, time_ms: int) -> None:
    open_ms = interval.open_of(time_ms)
    assert open_ms <= time_ms < open_ms + interval.ms
    assert open_ms % interval.ms == 0
    assert interval.open_of(open_ms) == open_ms
    assert interval.open_of(open_ms - 1) == open_ms - interval.ms


@given(histories(), GRACES, st.booleans())
def test_keys_only_move_forward(history: tuple[Interval, list[Look]], grace_ms: int, on_close: bool) -> None:
    interval, looks = history
    keys = []
    for look in looks:
        closed = closed_open_ms(look.newest_ms, look.before_newest_ms, look.venue_ms, interval, grace_ms)
        key = candle_key(look.newest_ms, closed, interval, on_close=on_close)
        keys.append(-1 if key is None else key)
    assert keys == sorted(keys)


@given(histories(), GRACES)
def test_no_candle_is_closed_before_its_end(history: tuple[Interval, list[Look]], grace_ms: int) -> None:
    interval, looks = history
    for look in looks:
        closed = closed_open_ms(look.newest_ms, look.before_newest_ms, look.venue_ms, interval, grace_ms)
        key = candle_key(look.newest_ms, closed, interval, on_close=True)
        assert (key is None) == (closed == NO_CANDLE_MS)
        if key is not None:
            assert key < look.venue_ms
            assert closed in (look.newest_ms, look.before_newest_ms)
            assert key == closed + interval.ms - 1


@given(histories(), GRACES, GRACES)
def test_more_grace_never_closes_earlier(history: tuple[Interval, list[Look]], grace_ms: int, more_ms: int) -> None:
    interval, looks = history
    for look in looks:
        patient = closed_open_ms(look.newest_ms, look.before_newest_ms, look.venue_ms, interval, grace_ms + more_ms)
        assert patient <= closed_open_ms(look.newest_ms, look.before_newest_ms, look.venue_ms, interval, grace_ms)


@given(histories(), GRACES)
def test_a_candle_is_closed_when_a_later_one_was_seen_or_its_time_and_the_grace_are_over(
    history: tuple[Interval, list[Look]], grace_ms: int
) -> None:
    """Said the other way round, from what each candle is owed."""
    interval, looks = history
    for look in looks:
        closed = closed_open_ms(look.newest_ms, look.before_newest_ms, look.venue_ms, interval, grace_ms)
        over = look.newest_ms != NO_CANDLE_MS and look.venue_ms - look.newest_ms - interval.ms >= grace_ms
        assert closed == (look.newest_ms if over else look.before_newest_ms)
