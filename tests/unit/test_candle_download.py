"""A download asks for what lacks and for nothing else, as far back as the venue goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from adapters.clocks import ManualClock
from adapters.sqlite.candle_store import SqliteCandleStore
from domain.candles import CandleBatch, CandleWindow, Interval
from entrypoints.data.download import FAILURES_IN_A_ROW, NEAR_CANDLES, PROBE_CANDLES, CandleDownload, Fetched
from ports.candle_history import HistoryUnavailable

M1 = Interval.M1
MINUTE = 60_000
NOW = 29_000_000
"""The running minute."""
KEPT = 5_000
DAY = 1_440
BTC, ETH = ("BTC", M1), ("ETH", M1)


class FakeVenue:
    """A venue whose candles close at `price`, kept as long as Hyperliquid keeps them; what it was asked for, in minutes
    before `NOW`."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW * MINUTE + 30_000)
        self.asked: list[tuple[str, int, int]] = []
        self.listed_minute: dict[str, int] = {}
        self.price = 100.0
        self.silent: set[str] = set()
        self.on_question: Callable[[], None] = lambda: None

    def minutes_pass(self, minutes: int) -> None:
        self.clock._now_ms += minutes * MINUTE

    def oldest_ms(self, interval: Interval) -> int:
        return self._kept_from_ms(interval) + interval.ms

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        self.asked.append((symbol, NOW - start_ms // MINUTE, NOW - end_ms // MINUTE))
        if symbol in self.silent:
            raise HistoryUnavailable(f"{symbol}: the venue is silent")
        if start_ms < self._kept_from_ms(interval):
            raise HistoryUnavailable("older than the venue keeps")
        self.on_question()
        first_ms = max(start_ms, self.listed_minute.get(symbol, 0) * MINUTE, self._kept_from_ms(interval))
        after_ms = min(end_ms, interval.open_of(self.clock.now_ms()))
        times = np.arange(first_ms, after_ms, interval.ms, dtype=np.int64)
        open_, high, low, close, volume = (
            np.full(len(times), self.price + more) for more in (0.0, 1.0, -1.0, 0.0, 9.0)
        )
        return CandleWindow(symbol, interval, times, open_, high, low, close, volume)

    def _kept_from_ms(self, interval: Interval) -> int:
        return interval.open_of(self.clock.now_ms()) - (KEPT - 1) * interval.ms


class Desk:
    def __init__(self, folder: Path) -> None:
        self.venue = FakeVenue()
        self.path = folder / "candles.sqlite"
        self.store = SqliteCandleStore(self.path, ("BTC", "ETH"))

    async def download(
        self, *pairs: tuple[str, Interval], minutes: float = DAY, again: bool = False
    ) -> tuple[list[Fetched], list[tuple[str, int, int]]]:
        """What became of it, and what was asked, in minutes before `NOW`."""
        self.venue.asked = []
        self.shown: list[int] = []
        download = CandleDownload(
            self.venue, self.store, self.path, self.venue.clock.now_ms, minutes / DAY, again=again
        )
        await download.run(pairs or (BTC,), lambda done: self.shown.append(done))
        return download.results, self.venue.asked

    def stream(self, minutes_ago: int, close: float) -> None:
        open_, high, low, closes, volume = (np.array([close + more]) for more in (0.0, 1.0, -1.0, 0.0, 9.0))
        open_ms = (NOW - minutes_ago) * MINUTE
        self.store.write([CandleBatch(M1, open_ms, np.array([0]), open_, high, low, closes, volume)])

    def forget(self, first: int, after: int) -> None:
        """Candles from `first` to `after` minutes ago are no longer there."""
        span = f"BETWEEN {(NOW - first) * MINUTE} AND {(NOW - after - 1) * MINUTE}"
        with self.store._connection.begin():
            self.store._connection.exec_driver_sql(f"DELETE FROM candles WHERE open_ms {span}")

    def confirmed(self, since: int) -> int:
        return len(self.store.read_confirmed("BTC", M1, (NOW - since) * MINUTE, 10**14))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    with closing(desk.store):
        yield desk


def counts(fetched: Fetched) -> tuple[int, int, int]:
    return fetched.new, fetched.known, fetched.revised


async def test_the_first_one_asks_for_all_and_stores_it_as_confirmed(desk: Desk) -> None:
    (fetched,), asked = await desk.download(minutes=300)
    assert asked == [("BTC", 300, 0)]
    assert counts(fetched) == (300, 0, 0)
    assert (fetched.from_ms, fetched.after_ms) == ((NOW - 300) * MINUTE, NOW * MINUTE)
    assert fetched.is_whole and not fetched.is_cut and fetched.begins_ms is None and not fetched.problem
    assert desk.confirmed(300) == 300
    assert desk.shown == [1]


async def test_the_second_one_asks_for_nothing(desk: Desk) -> None:
    await desk.download(BTC, ETH, ("BTC", Interval.H1))
    results, asked = await desk.download(BTC, ETH, ("BTC", Interval.H1))
    assert asked == []
    assert [counts(each) for each in results] == [(0, DAY, 0), (0, DAY, 0), (0, 24, 0)]


async def test_what_has_closed_since_is_asked_for_alone(desk: Desk) -> None:
    await desk.download(minutes=300)
    desk.venue.minutes_pass(7)
    (fetched,), asked = await desk.download(minutes=300)
    assert asked == [("BTC", 0, -7)]
    assert counts(fetched) == (7, 293, 0)


async def test_candles_of_the_stream_are_asked_for_until_they_are_confirmed(desk: Desk) -> None:
    for minutes_ago, close in ((3, 100.0), (2, 55.0), (1, 100.0)):
        desk.stream(minutes_ago, close)
    (fetched,), asked = await desk.download(minutes=3)
    assert asked == [("BTC", 3, 0)]
    assert counts(fetched) == (0, 2, 1)
    _, asked = await desk.download(minutes=3)
    assert asked == []
    desk.stream(2, 56.0)
    (fetched,), asked = await desk.download(minutes=3)
    assert asked == [("BTC", 2, 1)]
    assert counts(fetched) == (0, 2, 1)
    assert desk.confirmed(3) == 3


async def test_near_gaps_are_one_question_and_far_ones_two(desk: Desk) -> None:
    await desk.download(minutes=4_000)
    desk.forget(3_000, 2_990)
    desk.forget(2_990 - NEAR_CANDLES, 2_980 - NEAR_CANDLES)
    desk.forget(100, 90)
    (fetched,), asked = await desk.download(minutes=4_000)
    assert asked == [("BTC", 3_000, 2_980 - NEAR_CANDLES), ("BTC", 100, 90)]
    assert counts(fetched) == (30, 3_970, 0)
    assert desk.confirmed(4_000) == 4_000


async def test_older_than_the_venue_keeps_is_not_asked_for(desk: Desk) -> None:
    (fetched,), asked = await desk.download(minutes=40 * DAY)
    assert asked == [("BTC", KEPT - 2, 0)]
    assert counts(fetched) == (KEPT - 2, 0, 0)
    assert fetched.is_cut and fetched.begins_ms is None
    assert fetched.wanted_ms == (NOW - 40 * DAY) * MINUTE
    assert fetched.from_ms == (NOW - KEPT + 2) * MINUTE
    _, asked = await desk.download(minutes=40 * DAY)
    assert asked == []


async def test_a_young_market_is_asked_for_its_past_once(desk: Desk) -> None:
    """Later two candles are asked for, in case that it is older after all."""
    desk.venue.listed_minute["BTC"] = NOW - 2_000
    (fetched,), asked = await desk.download(minutes=4_000)
    assert asked == [("BTC", 4_000, 0)]
    assert counts(fetched) == (2_000, 0, 0)
    assert fetched.begins_ms == (NOW - 2_000) * MINUTE
    (fetched,), asked = await desk.download(minutes=4_000)
    assert asked == [("BTC", 2_000 + PROBE_CANDLES, 2_000)]
    assert counts(fetched) == (0, 2_000, 0)
    assert fetched.begins_ms == (NOW - 2_000) * MINUTE


async def test_a_longer_past_is_fetched_where_there_is_one(desk: Desk) -> None:
    await desk.download(minutes=2_000)
    (fetched,), asked = await desk.download(minutes=4_000)
    assert asked == [("BTC", 2_000 + PROBE_CANDLES, 2_000), ("BTC", 4_000, 2_000)]
    assert counts(fetched) == (2_000, 2_000, 0)
    assert fetched.begins_ms is None
    assert desk.confirmed(4_000) == 4_000


async def test_a_market_without_any_candle_is_no_failure(desk: Desk) -> None:
    desk.venue.listed_minute["BTC"] = NOW
    (fetched,), _ = await desk.download(minutes=300)
    assert counts(fetched) == (0, 0, 0)
    assert not fetched.problem


async def test_again_asks_for_all_and_repairs_what_differs(desk: Desk) -> None:
    await desk.download(minutes=300)
    desk.venue.price = 101.0
    assert (await desk.download(minutes=300))[1] == []
    (fetched,), asked = await desk.download(minutes=300, again=True)
    assert asked == [("BTC", 300, 0)]
    assert counts(fetched) == (0, 0, 300)
    assert set(desk.store.read("BTC", M1, 0, 10**14).close.tolist()) == {101.0}


async def test_less_than_one_candle_is_one(desk: Desk) -> None:
    _, asked = await desk.download(("BTC", Interval.D1), minutes=10)
    assert len(asked) == 1
    assert len(desk.store.read("BTC", Interval.D1, 0, 10**14)) == 1


async def test_what_fails_is_noted_and_the_others_go_on(desk: Desk) -> None:
    desk.venue.silent = {"BTC"}
    results, _ = await desk.download(BTC, ETH, minutes=10)
    assert [(each.problem, each.is_whole) for each in results] == [("BTC: the venue is silent", False), ("", True)]
    assert counts(results[1]) == (10, 0, 0)
    assert desk.shown == [1, 2]


async def test_a_venue_that_is_silent_altogether_is_left_in_peace(desk: Desk) -> None:
    pairs = [(f"S{number}", M1) for number in range(9)]
    desk.venue.silent = {symbol for symbol, _ in pairs}
    results, asked = await desk.download(*pairs)
    assert len(asked) == len(results) == FAILURES_IN_A_ROW
    desk.venue.silent -= {"S1", "S3", "S5", "S7"}
    results, _ = await desk.download(*pairs)
    assert [bool(each.problem) for each in results] == [number % 2 == 0 for number in range(9)]


async def test_candles_that_grow_too_old_while_we_wait_cost_nothing_but_themselves(desk: Desk) -> None:
    """The budget may hold a question up for minutes, and the venue forgets meanwhile."""
    desk.venue.on_question = lambda: desk.venue.minutes_pass(5)
    (fetched,), _ = await desk.download(minutes=40 * DAY)
    assert not fetched.problem
    assert fetched.begins_ms is None, "it was cut off, which is no beginning"
    assert fetched.new == KEPT - 1 - 5
    desk.forget(KEPT - 10, 2_000)
    (fetched,), asked = await desk.download(minutes=40 * DAY)
    assert not fetched.problem
    assert len(asked) == 2, "a look before the first stored one, and the rest with what has closed meanwhile"
