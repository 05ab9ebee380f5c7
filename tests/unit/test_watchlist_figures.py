"""The watchlist benchmark's arithmetic: which candles were decided on, when, and what the process used up."""

from __future__ import annotations

import pytest

from benchmarks._watchlist_figures import (
    Decided,
    Usage,
    candle_figures,
    lag_figures,
    percentile,
    slope_per_hour,
    usage_figures,
)

MINUTE_MS = 60_000
T0 = 1_767_571_200_000


def decided(symbol: str, minute: int, lag_ms: int) -> Decided:
    """A decision so long after the end of the candle of that minute."""
    open_ms = T0 + minute * MINUTE_MS
    return Decided((symbol, open_ms), open_ms + MINUTE_MS + lag_ms)


def test_every_candle_once_is_nothing_to_report() -> None:
    traded = {(symbol, T0 + minute * MINUTE_MS): True for symbol in ("BTC", "ETH") for minute in (0, 1)}
    decisions = [decided(symbol, minute, 1_010) for symbol in ("BTC", "ETH") for minute in (0, 1)]
    figures = candle_figures(traded, decisions, MINUTE_MS)
    assert figures["candles"] == 4
    assert [figures[name] for name in ("missing", "duplicate", "early", "unexpected", "quiet_candles")] == [0] * 5
    assert (figures["lag_p50_ms"], figures["lag_max_ms"], figures["quiet_lag_max_ms"]) == (1_010, 1_010, None)


def test_missing_duplicate_early_and_unexpected_are_counted_apart() -> None:
    traded = {("BTC", T0): True, ("ETH", T0): True, ("SOL", T0): True}
    decisions = [decided("BTC", 0, 1_000), decided("BTC", 0, 2_000), decided("BTC", 0, 3_000)]
    decisions += [decided("ETH", 0, -1), decided("ETH", 1, 1_000)]
    figures = candle_figures(traded, decisions, MINUTE_MS)
    assert figures["missing"] == 1, "SOL"
    assert figures["duplicate"] == 2, "BTC three times"
    assert figures["early"] == 1, "ETH before its candle's end"
    assert figures["unexpected"] == 1, "ETH's next candle is none of those that count"


def test_a_decision_at_the_very_end_is_not_early() -> None:
    assert candle_figures({("BTC", T0): True}, [decided("BTC", 0, 0)], MINUTE_MS)["early"] == 0


def test_lags_of_candles_that_nobody_traded_in_are_told_once_more_apart() -> None:
    traded = {("BTC", T0): True, ("ETH", T0): False}
    figures = candle_figures(traded, [decided("BTC", 0, 1_020), decided("ETH", 0, 4_030)], MINUTE_MS)
    assert (figures["lag_max_ms"], figures["quiet_candles"], figures["quiet_lag_max_ms"]) == (4_030, 1, 4_030)


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_the_smallest_value_that_covers_so_many(percent: int, value: int) -> None:
    assert percentile(list(range(1, 101)), percent) == value


def test_percentiles_of_few_and_of_none() -> None:
    assert percentile([7], 50) == percentile([7], 99) == 7
    assert percentile([1, 2, 3], 50) == 2
    assert lag_figures("lag", []) == {"lag_p50_ms": None, "lag_p99_ms": None, "lag_max_ms": None}


def test_one_late_decision_in_fifty_shows_in_the_99th_percentile() -> None:
    assert lag_figures("lag", [1_000] * 49 + [9_000])["lag_p99_ms"] == 9_000


def test_the_slope_is_that_of_the_line_through_all_points() -> None:
    steady = [(5.0 * step, 100.0) for step in range(10)]
    assert slope_per_hour(steady) == 0
    growing = [(at_s, 100 + at_s / 3_600 * 12) for at_s, _ in steady]
    assert slope_per_hour(growing) == pytest.approx(12)
    assert slope_per_hour([(0, 0), (1, 3), (2, 0)]) == 0, "up and down again is no growth"


def test_usage_is_what_came_between_the_first_look_and_the_last() -> None:
    usages = [Usage(100.0, 7.0, 90.0, 1_000), Usage(130.0, 7.4, 95.0, 1_300), Usage(160.0, 8.2, 90.0, 1_600)]
    figures = usage_figures(usages)
    assert figures["cpu_s_per_hour"] == 72.0
    assert figures["wakeups_per_s"] == 10.0
    assert figures["rss_mib"] == 95.0, "the most, not the last"
    assert figures["rss_slope_mib_per_hour"] == 0.0
