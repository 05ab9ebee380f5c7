"""Candles: spans, when one is closed, and the key that says so."""

import numpy as np
import pytest

from domain.candles import (
    NO_CANDLE_MS,
    CandleWindow,
    Interval,
    candle_key,
    candle_problem,
    close_ms_of,
    closed_open_ms,
)

MINUTE_MS = 60_000
NAN = float("nan")
INF = float("inf")


def window(count: int) -> CandleWindow:
    column = np.arange(1.0, count + 1.0)
    times = np.arange(count, dtype=np.int64) * MINUTE_MS
    return CandleWindow("BTC", Interval.M1, times, *(column.copy() for _ in range(5)))


def test_an_interval_is_as_long_as_its_name_says() -> None:
    minutes = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "8h": 480, "12h": 720}
    assert {interval.value: interval.ms // MINUTE_MS for interval in Interval} == minutes | {"1d": 1440}


def test_a_span_begins_on_a_multiple_of_its_length_since_the_epoch() -> None:
    assert Interval.H1.open_of(1_700_000_000_000) == 1_699_999_200_000
    assert Interval.H1.open_of(1_699_999_200_000) == 1_699_999_200_000
    assert Interval.H1.open_of(1_699_999_199_999) == 1_699_995_600_000
    assert Interval.D1.open_of(1_700_000_000_000) == 1_699_920_000_000


def test_the_close_time_is_the_last_millisecond_of_the_span() -> None:
    assert close_ms_of(0, Interval.M1) == 59_999
    assert close_ms_of(1_699_999_200_000, Interval.H1) == 1_700_002_799_999


def test_a_candle_is_closed_once_its_end_and_the_grace_have_passed() -> None:
    def closed(venue_ms: int) -> int:
        return closed_open_ms(120_000, 60_000, venue_ms, Interval.M1, 1_000)

    assert closed(180_999) == 60_000
    assert closed(181_000) == 120_000


def test_a_candle_is_closed_when_a_later_one_was_seen_whatever_the_time() -> None:
    assert closed_open_ms(120_000, 60_000, 120_001, Interval.M1, 1_000) == 60_000


def test_the_candle_before_need_not_be_the_span_before() -> None:
    assert closed_open_ms(600_000, 60_000, 600_001, Interval.M1, 0) == 60_000


def test_nothing_is_closed_before_a_candle_was_seen() -> None:
    assert closed_open_ms(NO_CANDLE_MS, NO_CANDLE_MS, 10**13, Interval.M1, 0) == NO_CANDLE_MS
    assert closed_open_ms(60_000, NO_CANDLE_MS, 90_000, Interval.M1, 0) == NO_CANDLE_MS


def test_a_negative_grace_is_refused() -> None:
    with pytest.raises(AssertionError):
        closed_open_ms(60_000, NO_CANDLE_MS, 90_000, Interval.M1, -1)


def test_on_close_the_key_is_the_close_time_of_the_last_closed_candle() -> None:
    assert candle_key(120_000, 60_000, Interval.M1, on_close=True) == 119_999
    assert candle_key(120_000, NO_CANDLE_MS, Interval.M1, on_close=True) is None


def test_off_close_the_key_is_the_open_time_of_the_newest_candle() -> None:
    assert candle_key(120_000, 60_000, Interval.M1, on_close=False) == 120_000
    assert candle_key(NO_CANDLE_MS, NO_CANDLE_MS, Interval.M1, on_close=False) is None


def test_the_first_candle_of_the_epoch_is_a_candle() -> None:
    assert candle_key(0, 0, Interval.M1, on_close=True) == 59_999
    assert candle_key(0, NO_CANDLE_MS, Interval.M1, on_close=False) == 0


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ((10.0, 12.0, 9.0, 11.0, 5.0), None),
        ((10.0, 10.0, 10.0, 10.0, 0.0), None),
        ((10.0, 12.0, 9.0, NAN, 5.0), "not a finite number"),
        ((10.0, INF, 9.0, 11.0, 5.0), "not a finite number"),
        ((10.0, 12.0, 9.0, 11.0, NAN), "not a finite number"),
        ((10.0, 12.0, 9.0, 11.0, INF), "not a finite number"),
        ((0.0, 12.0, 0.0, 11.0, 5.0), "not positive"),
        ((-1.0, 12.0, -2.0, 11.0, 5.0), "not positive"),
        ((10.0, 12.0, 9.0, 11.0, -0.1), "volume is negative"),
        ((10.0, 9.0, 12.0, 11.0, 5.0), "high is below low"),
        ((13.0, 12.0, 9.0, 11.0, 5.0), "outside low..high"),
        ((10.0, 12.0, 9.0, 8.0, 5.0), "outside low..high"),
    ],
)
def test_impossible_numbers_are_named(values: tuple[float, float, float, float, float], problem: str | None) -> None:
    found = candle_problem(*values)
    assert found is None if problem is None else found is not None and problem in found


def test_a_window_is_read_only() -> None:
    candles = window(3)
    for column in (candles.open_ms, candles.close, candles.volume):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0


def test_a_window_has_columns_of_one_length() -> None:
    full = window(3)
    with pytest.raises(AssertionError):
        CandleWindow("BTC", Interval.M1, full.open_ms, full.open, full.high, full.low, full.close, full.volume[1:])


def test_the_last_candles_of_a_window_are_its_newest() -> None:
    candles = window(5)
    assert candles.last(2).close.tolist() == [4.0, 5.0]
    assert candles.last(2).open_ms.tolist() == [180_000, 240_000]
    assert len(candles.last(9)) == 5
    assert len(candles.last(0)) == 0
