"""Candles from the store, then from the venue; the line in which they are asked for; and the audit of the stream's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.sim.memory_ledger import MemoryDecisionLog, MemoryLedger
from adapters.sqlite.candle_store import SqliteCandleStore
from application.candle_audit import AUDIT_EVERY_MS, CandleAudit
from application.candle_sources import BOTH, STORE, VENUE, CandleSources
from application.committer import Committer
from application.fetch_queue import FetchQueue
from domain.candles import CandleWindow, Interval
from domain.effects import FetchCandles
from domain.events import CandlesChecked, Event
from entrypoints.simulation.jumping_time import InlineExecutor, LoopClock, run_jumping
from ports.candle_history import HistoryUnavailable
from tests.candle_world import Told
from tests.engine_builders import MINUTE_MS, START_MS, batch_of, flat_bar, window_of

SYMBOLS = ("BTC", "ETH")


def candle(number: int) -> int:
    return START_MS + number * MINUTE_MS


class Venue:
    """Every candle closed at its own number."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.silent = False

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        self.asked.append((symbol, (start_ms - START_MS) // MINUTE_MS, (end_ms - START_MS) // MINUTE_MS))
        if self.silent:
            raise HistoryUnavailable("the venue does not say")
        numbers = [float(1_000 + number) for number in range(self.asked[-1][1], self.asked[-1][2])]
        return window_of(symbol, end_ms - interval.ms, numbers, interval)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.clock = LoopClock(candle(100))
        self.venue = Venue()
        self.store = SqliteCandleStore(folder / "candles.sqlite", SYMBOLS)
        self.committer = Committer(MemoryLedger(), MemoryDecisionLog(), self.store, InlineExecutor())
        self.sources = CandleSources(self.committer, self.venue, self.clock)

    async def candles(self, first: int, after: int, symbol: str = "BTC") -> tuple[list[float], str]:
        window, source = await self.sources.candles(symbol, Interval.M1, candle(first), candle(after))
        assert window.open_ms.tolist() == [candle(number) for number in range(first, after)]
        return window.close.tolist(), source


def in_jumping_time(test: Callable[[Rig], Coroutine[Any, Any, None]], folder: Path) -> None:
    async def run() -> None:
        rig = Rig(folder)
        with closing(rig.store):
            await test(rig)

    run_jumping(run)


# ── sources ──────────────────────────────────────────────────────────────────────────────────


def test_what_the_venue_confirmed_is_never_asked_for_again(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        assert await rig.candles(0, 10) == ([1_000.0 + number for number in range(10)], VENUE)
        assert (await rig.candles(0, 10))[1] == STORE
        assert (await rig.candles(3, 12))[1] == BOTH
        assert rig.venue.asked == [("BTC", 0, 10), ("BTC", 10, 12)]
        assert (rig.sources.counts.from_store, rig.sources.counts.from_venue) == (10 + 7, 10 + 2)

    in_jumping_time(test, tmp_path)


def test_a_restart_asks_for_the_tail_alone(tmp_path: Path) -> None:
    async def first(rig: Rig) -> None:
        await rig.candles(0, 50)

    async def second(rig: Rig) -> None:
        assert (await rig.candles(0, 90))[1] == BOTH
        assert rig.venue.asked == [("BTC", 50, 90)]

    in_jumping_time(first, tmp_path)
    in_jumping_time(second, tmp_path)


def test_the_streams_word_is_not_the_venues(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.candles(0, 5)
        rig.store.write([batch_of(candle(number), {0: flat_bar(7.0)}) for number in range(5, 8)])
        closes, source = await rig.candles(0, 8)
        assert source == BOTH and closes[5:] == [1_005.0, 1_006.0, 1_007.0]
        assert rig.venue.asked[-1] == ("BTC", 5, 8)
        assert rig.sources.counts.revised == 3
        assert rig.store.read("BTC", Interval.M1, candle(5), candle(8)).close.tolist() == closes[5:]

    in_jumping_time(test, tmp_path)


def test_a_store_that_begins_too_late_is_no_help(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.candles(5, 10)
        assert (await rig.candles(0, 10))[1] == VENUE

    in_jumping_time(test, tmp_path)


def test_a_venue_that_cannot_say_is_not_nothing(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.venue.silent = True
        with pytest.raises(HistoryUnavailable):
            await rig.candles(0, 10)
        assert rig.sources.confirmed_until("BTC", Interval.M1) is None

    in_jumping_time(test, tmp_path)


# ── the line ─────────────────────────────────────────────────────────────────────────────────


def wanted(symbol: str, *, tail: bool = False, start: int = 0, interval: Interval = Interval.M1) -> FetchCandles:
    return FetchCandles(symbol, interval, candle(start), candle(start + 1), is_tail=tail)


def drained(queue: FetchQueue) -> list[FetchCandles]:
    taken = []

    async def run() -> None:
        while len(queue):
            taken.append(await queue.get())

    run_jumping(run)
    return taken


def test_tails_go_before_histories_and_the_first_come_first() -> None:
    queue = FetchQueue()
    asked = [wanted("A"), wanted("B"), wanted("C", tail=True), wanted("D", tail=True)]
    for each in asked:
        queue.put(each)
    assert drained(queue) == [asked[2], asked[3], asked[0], asked[1]]


def test_a_symbol_waits_once_for_each_interval() -> None:
    queue = FetchQueue()
    older, newer = wanted("A", tail=True, start=1), wanted("A", tail=True, start=2)
    other = wanted("A", tail=True, interval=Interval.M5)
    for each in (older, other, newer):
        queue.put(each)
    assert drained(queue) == [newer, other]


def test_a_history_makes_its_tail_needless() -> None:
    queue = FetchQueue()
    for each in (wanted("A", tail=True), wanted("A"), wanted("A", tail=True)):
        queue.put(each)
    assert drained(queue) == [wanted("A")]


def test_whoever_waits_is_woken_by_the_next_question() -> None:
    queue, taken = FetchQueue(), []

    async def run() -> None:
        async def take() -> None:
            taken.append(await queue.get())

        waiting = asyncio.create_task(take())
        await asyncio.sleep(1)
        assert taken == []
        queue.put(wanted("A"))
        await waiting

    run_jumping(run)
    assert taken == [wanted("A")]


# ── the audit ────────────────────────────────────────────────────────────────────────────────


def _number(open_ms: int) -> int:
    return (open_ms - START_MS) // MINUTE_MS


class AuditRig:
    def __init__(self, rig: Rig) -> None:
        self.told = Told()
        self.busy = False
        self.events: list[Event] = []
        self.audit = CandleAudit(rig.sources, rig.clock, self.told, Interval.M1, lambda: SYMBOLS, lambda: self.busy)

    @property
    def checked(self) -> list[tuple[str, int, int]]:
        """Symbol, first and last candle of each comparison."""
        windows = [event for event in self.events if isinstance(event, CandlesChecked)]
        return [
            (each.symbol, _number(int(each.window.open_ms[0])), _number(int(each.window.open_ms[-1])))
            for each in windows
        ]


def test_who_has_waited_longest_is_compared_first_and_what_differs_is_told(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        audits = AuditRig(rig)
        await rig.candles(0, 95, "ETH")
        await rig.candles(0, 98, "BTC")
        rig.store.write([batch_of(candle(96), {1: flat_bar(7.0)})])
        await audits.audit.look(audits.events.append)
        await audits.audit.look(audits.events.append)
        assert audits.checked == [("ETH", 95, 99), ("BTC", 98, 99)]
        ((code, text),) = audits.told.alerts
        assert code == "candles_revised" and "ETH" in text and "close 7.0 -> 1096.0" in text
        asked = len(rig.venue.asked)
        await audits.audit.look(audits.events.append)
        assert len(rig.venue.asked) == asked, "all is confirmed: nobody is asked"

    in_jumping_time(test, tmp_path)


def test_a_symbol_that_was_never_loaded_is_not_compared(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        audits = AuditRig(rig)
        await audits.audit.look(audits.events.append)
        assert audits.events == [] and rig.venue.asked == []

    in_jumping_time(test, tmp_path)


def test_a_comparison_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        audits = AuditRig(rig)
        await rig.candles(0, 90)
        rig.venue.silent = True
        await audits.audit.look(audits.events.append)
        assert [code for code, _ in audits.told.alerts] == ["audit_failed"] and audits.events == []
        rig.venue.silent = False
        await audits.audit.look(audits.events.append)
        assert audits.checked == [("BTC", 90, 99)]

    in_jumping_time(test, tmp_path)


def test_the_audit_keeps_its_pace_and_gives_way_to_those_who_wait(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        audits = AuditRig(rig)
        await rig.candles(0, 90)
        await rig.candles(0, 90, "ETH")
        audits.busy = True
        keeping = asyncio.create_task(audits.audit.keep(audits.events.append))
        await asyncio.sleep(9.5 * AUDIT_EVERY_MS / 1000)
        assert audits.checked == []
        audits.busy = False
        await asyncio.sleep(AUDIT_EVERY_MS / 1000)
        assert len(audits.checked) == 1
        await asyncio.sleep(AUDIT_EVERY_MS / 1000)
        assert len(audits.checked) == 2
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    in_jumping_time(test, tmp_path)
