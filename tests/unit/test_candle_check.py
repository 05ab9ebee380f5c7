"""What a look at stored candles finds, the hash that stands for them, and what it says to do."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.candles import CandleWindow, Interval
from entrypoints.data.check import (
    NOT_ALIGNED,
    Checked,
    Difference,
    Repair,
    Violation,
    check,
    compare,
    digest_of_all,
    plain_number,
    repairs,
)
from entrypoints.data.spans import Span

MINUTE = 60_000
HOUR = 3_600_000
NOW_MS = 1_740_000_000_000
KEPT = 4_999
M1, H1 = Interval.M1, Interval.H1


def window(rows: list[tuple[int, float, float, float, float, float]], symbol: str = "BTC") -> CandleWindow:
    columns = np.array([row[1:] for row in rows], np.float64).reshape(-1, 5).T.copy()
    return CandleWindow(symbol, M1, np.array([row[0] for row in rows], np.int64), *columns)


def steady(*minutes: int, close: float = 5.0) -> CandleWindow:
    return window([(minute * MINUTE, close, close + 1, close - 1, close, 9.0) for minute in minutes])


def test_whole_and_possible_candles_are_well() -> None:
    found = check(steady(4, 5, 6))
    assert found.is_well
    assert (found.symbol, found.interval, found.candles) == ("BTC", M1, 3)
    assert (found.first_ms, found.last_ms, found.missing) == (4 * MINUTE, 6 * MINUTE, 0)


def test_gaps_are_counted_in_spans_and_candles() -> None:
    found = check(steady(4, 5, 8, 9, 11))
    assert found.gaps == [Span(6 * MINUTE, 8 * MINUTE), Span(10 * MINUTE, 11 * MINUTE)]
    assert found.missing == 3
    assert not found.is_well


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((MINUTE, 5.0, 6.0, 4.0, 5.0, -1.0), "the volume is negative"),
        ((MINUTE, 5.0, 6.0, 4.0, float("inf"), 1.0), "a value is not a finite number"),
        ((MINUTE, 0.0, 6.0, 0.0, 5.0, 1.0), "a price is not positive"),
        ((MINUTE, 5.0, 4.0, 6.0, 5.0, 1.0), "high is below low"),
        ((MINUTE, 7.0, 6.0, 4.0, 5.0, 1.0), "open or close lies outside low..high"),
        ((MINUTE + 1, 5.0, 6.0, 4.0, 5.0, 1.0), NOT_ALIGNED),
    ],
)
def test_candles_that_cannot_be(row: tuple[int, float, float, float, float, float], why: str) -> None:
    found = check(window([row, (2 * MINUTE, 5.0, 6.0, 4.0, 5.0, 0.0)]))
    assert found.violations == [Violation(row[0], why)]
    assert not found.is_well


# ── the hash ─────────────────────────────────────────────────────────────────────────────────────


def test_the_hash_is_that_of_plain_text_which_any_tool_can_write() -> None:
    rows = [(MINUTE, 84143.0, 84144.5, 0.00001234, 1e-7, 0.0), (2 * MINUTE, 1.1, 2.0, 1.0, 1.5, 1e22)]
    text = (
        "BTC,1m,60000,84143.0,84144.5,0.00001234,0.0000001,0.0\nBTC,1m,120000,1.1,2.0,1.0,1.5,10000000000000000000000\n"
    )
    found = check(window(rows))
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    both = f"BTC,1m,{found.sha256}\nETH,1m,{found.sha256}\n"
    other = check(window(rows))
    other.symbol = "ETH"
    assert digest_of_all([other, found]) == digest_of_all([found, other]) == hashlib.sha256(both.encode()).hexdigest()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_plain_number_is_the_number_without_an_exponent(value: float) -> None:
    text = plain_number(value)
    assert "e" not in text and float(text) == value
    assert Decimal(text) == Decimal(repr(value))


def test_every_number_and_time_counts() -> None:
    row = (MINUTE, 5.0, 6.0, 4.0, 5.0, 9.0)
    hashes = {check(window([row])).sha256, check(window([row], "ETH")).sha256}
    for place in range(6):
        changed: Any = list(row)
        changed[place] += MINUTE if place == 0 else 2.0**-48
        hashes.add(check(window([tuple(changed)])).sha256)
    assert len(hashes) == 8


# ── beside the venue ─────────────────────────────────────────────────────────────────────────────


class FakeHistory:
    def __init__(self, said: CandleWindow, oldest_ms: int = 0) -> None:
        self._said, self._oldest_ms = said, oldest_ms
        self.asked: list[tuple[int, int]] = []

    def oldest_ms(self, interval: Interval) -> int:
        return self._oldest_ms

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        self.asked.append((start_ms // MINUTE, -(-end_ms // MINUTE)))
        return self._said.between(start_ms, end_ms)


async def test_what_the_venue_has_otherwise_or_not_at_all_is_named() -> None:
    stored = window([
        (4 * MINUTE, 5.0, 6.0, 4.0, 5.0, 9.0),
        (5 * MINUTE, 5.0, 6.0, 4.0, 5.5, 9.0),
        (5 * MINUTE + 1, 5.0, 6.0, 4.0, 5.0, 9.0),
        (7 * MINUTE, 5.0, 6.0, 4.0, 5.0, 9.0),
        (8 * MINUTE, 5.0, 6.0, 4.0, 5.0, 9.0),
    ])  # fmt: skip
    history = FakeHistory(steady(3, 4, 5, 6, 8))
    found = check(stored)
    await compare(found, stored, history)
    assert history.asked == [(4, 9)]
    assert found.compared == 4
    assert found.differences == [
        Difference(5 * MINUTE, (5.0, 6.0, 4.0, 5.5, 9.0), (5.0, 6.0, 4.0, 5.0, 9.0)),
        Difference(7 * MINUTE, (5.0, 6.0, 4.0, 5.0, 9.0), None),
    ]
    assert not found.is_well


async def test_what_has_not_closed_at_the_venue_is_not_compared() -> None:
    """Our clock, or a market of ours that was started anew, may be elsewhere in time."""
    stored = steady(4, 5, 6, 7)
    found = check(stored)
    await compare(found, stored, FakeHistory(steady(4, 5)))
    assert (found.compared, found.differences) == (2, [])


async def test_a_market_that_has_none_of_it_has_all_otherwise() -> None:
    stored = steady(4, 5)
    found = check(stored)
    await compare(found, stored, FakeHistory(steady(1)))
    assert [each.venue for each in found.differences] == [None, None]


async def test_what_the_venue_does_not_keep_is_not_compared() -> None:
    stored = steady(3, 4, 5, 6, close=7.0)
    history = FakeHistory(steady(5, 6), oldest_ms=5 * MINUTE)
    found = check(stored)
    await compare(found, stored, history)
    assert history.asked == [(5, 7)]
    assert found.compared == 2
    assert [each.open_ms for each in found.differences] == [5 * MINUTE, 6 * MINUTE]


# ── what to do ───────────────────────────────────────────────────────────────────────────────────


def checked(symbol: str, interval: Interval, **more: Any) -> Checked:
    values: dict[str, Any] = {"gaps": [], "violations": []} | more
    return Checked(symbol, interval, first_ms=0, last_ms=NOW_MS, candles=1, sha256="", **values)


def gap(hours_ago: float, hours: float) -> Span:
    first_ms = NOW_MS - int(hours_ago * HOUR)
    return Span(first_ms, first_ms + int(hours * HOUR))


def test_nothing_is_to_be_done_where_all_is_well() -> None:
    assert repairs([checked("BTC", M1)], NOW_MS, KEPT) == []


def test_a_gap_is_downloaded() -> None:
    found = [checked("ETH", M1, gaps=[gap(30, 1)]), checked("BTC", M1, gaps=[gap(5, 1)]), checked("SOL", M1)]
    command = "./aiq download-data --symbols BTC,ETH --interval 1m --days 2"
    assert repairs(found, NOW_MS, KEPT) == [Repair(M1, command, 0)]


def test_a_gap_of_almost_a_day_ago_is_still_in_reach_when_the_command_is_typed() -> None:
    (todo,) = repairs([checked("BTC", M1, gaps=[gap(23.9, 1)])], NOW_MS, KEPT)
    assert todo.command.endswith("--days 2")


def test_what_is_stored_wrongly_is_asked_for_again() -> None:
    violation, difference = Violation(NOW_MS - 2 * MINUTE, "x"), Difference(H1.open_of(NOW_MS - 50 * HOUR), (), None)
    found = [checked("BTC", H1, differences=[difference]), checked("BTC", M1, violations=[violation])]
    assert repairs(found, NOW_MS, KEPT) == [
        Repair(M1, "./aiq download-data --symbols BTC --interval 1m --days 1 --again", 0),
        Repair(H1, "./aiq download-data --symbols BTC --interval 1h --days 3 --again", 0),
    ]


def test_what_the_venue_does_not_keep_any_more_is_lost() -> None:
    assert repairs([checked("BTC", M1, gaps=[gap(100, 2)])], NOW_MS, KEPT) == [Repair(M1, "", 120)]
    oldest_ms = M1.open_of(NOW_MS) - (KEPT - 1) * MINUTE
    half = Span(oldest_ms - 10 * MINUTE, oldest_ms + 10 * MINUTE)
    (todo,) = repairs([checked("BTC", M1, gaps=[half])], NOW_MS, KEPT)
    assert (todo.command, todo.lost) == ("./aiq download-data --symbols BTC --interval 1m --days 4", 10)


def test_candles_off_the_grid_are_nothing_that_a_download_mends() -> None:
    found = [checked("BTC", M1, violations=[Violation(NOW_MS - 2 * MINUTE + 1, NOT_ALIGNED)])]
    assert repairs(found, NOW_MS, KEPT) == [Repair(M1, "", 0)]


def test_an_odd_symbol_is_quoted() -> None:
    (todo,) = repairs([checked("a b;c", M1, gaps=[gap(5, 1)])], NOW_MS, KEPT)
    assert "--symbols 'a b;c' --interval" in todo.command
