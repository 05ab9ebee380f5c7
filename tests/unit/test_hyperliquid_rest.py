"""Reads of `/info`, and candles out of them, over a transport that answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.clocks import ManualClock, SystemClock
from adapters.hyperliquid.budget import Lane, WeightBudget
from adapters.hyperliquid.history import (
    CANDLES_KEPT,
    LEAD_CANDLES,
    SETTLE_MS,
    TAIL_WEIGHT,
    HyperliquidHistory,
    candles_weight,
)
from adapters.hyperliquid.rest import ATTEMPTS, RATE_PAUSE_MS, InfoClient, info_weight
from adapters.hyperliquid.transport import BrokenError, HttpReply, NotSentError
from domain.candles import CandleWindow, Interval
from domain.instruments import Instrument, Universe, single_tier
from ports.candle_history import CandleHistory, HistoryUnavailable
from ports.order_gateway import VenueUnavailable

NOW_MS = 1_791_275_808_695
Answer = HttpReply | Exception
Request = dict[str, Any]


class ScriptedTransport:
    """Answers in turn, the last one for ever; or whatever a function says."""

    def __init__(self, answers: Sequence[Answer] | Callable[[Request], Answer]) -> None:
        self._answers = answers
        self.asked: list[Request] = []
        self.timeouts: list[float] = []
        self.paths: set[str] = set()

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None
    ) -> HttpReply:
        request = json.loads(body)
        self.asked.append(request)
        self.timeouts.append(timeout_s)
        self.paths.add(path)
        if callable(self._answers):
            answer = self._answers(request)
        else:
            answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None: ...


def ok(said: object) -> HttpReply:
    return HttpReply(200, json.dumps(said).encode())


class Desk:
    """An `InfoClient` with a budget on a clock that stands still."""

    def __init__(self, *answers: Answer, now_ms: int = NOW_MS, say: Callable[[Request], Answer] | None = None) -> None:
        self.clock = ManualClock(now_ms)
        self.budget = WeightBudget(self.clock)
        self.transport = ScriptedTransport(say or answers)
        self.info = InfoClient(self.transport, self.budget, self.clock, pause_s=0.0, chance=random.Random(1))

    @property
    def asked(self) -> list[Request]:
        return self.transport.asked


META: Request = {"type": "meta"}
HTML = HttpReply(502, b"<html>\n<head><title>502 Bad Gateway</title></head><body>" + b"x" * 5000 + b"</body></html>")


# ── InfoClient ───────────────────────────────────────────────────────────────────────────────────


async def test_the_body_of_an_answer_comes_back_as_it_is() -> None:
    desk = Desk(HttpReply(200, b'{"universe": [1.50]}'))
    assert await desk.info.ask({"type": "meta", "dex": ""}) == b'{"universe": [1.50]}'
    assert desk.asked == [{"type": "meta", "dex": ""}]
    assert desk.transport.paths == {"/info"}
    assert desk.budget.used == 20


async def test_null_is_an_answer() -> None:
    assert await Desk(ok(None)).info.ask(META) == b"null"


FAILURES: dict[str, tuple[Answer, str]] = {
    "refused": (NotSentError("ConnectionRefusedError: [Errno 111] Connection refused"), "refused"),
    "broken": (BrokenError("no answer within 8 s"), "no answer within 8 s"),
    "500": (HttpReply(500, b"null"), "meta: HTTP 500: null"),
    "502 with a page": (HTML, "meta: HTTP 502: a page of HTML"),
    "503 with nothing": (HttpReply(503, b""), "meta: HTTP 503: nothing"),
    "200 with a page": (HttpReply(200, HTML.body), "meta: the answer is not JSON: a page of HTML"),
    "200 with nothing": (HttpReply(200, b""), "meta: the answer is not JSON: nothing"),
    "200 cut short": (HttpReply(200, b'{"universe":[{"na'), 'meta: the answer is not JSON: {"universe":[{"na'),
    "200 twice": (HttpReply(200, b"[][]"), "meta: the answer is not JSON: [][]"),
    "200 in bytes": (HttpReply(200, b"\x1b[31m\xff\x00"), "meta: the answer is not JSON: ?[31m"),
    "200 with NaN": (HttpReply(200, b"[NaN]"), "not JSON"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_may_pass_is_asked_again_and_then_given_up_with_a_short_text(failure: str) -> None:
    answer, text = FAILURES[failure]
    desk = Desk(answer)
    with pytest.raises(VenueUnavailable) as raised:
        await desk.info.ask(META)
    assert text in str(raised.value)
    assert len(str(raised.value)) < 160
    assert str(raised.value).isprintable()
    assert len(desk.asked) == ATTEMPTS
    unsent = isinstance(answer, NotSentError)
    assert desk.budget.used == (0 if unsent else 20 * ATTEMPTS), "every attempt that left costs"


@pytest.mark.parametrize("failure", FAILURES)
async def test_one_failure_is_got_over(failure: str) -> None:
    desk = Desk(FAILURES[failure][0], ok([]))
    assert await desk.info.ask(META) == b"[]"


@pytest.mark.parametrize("status", [301, 307, 400, 404, 405, 415, 422])
async def test_a_question_that_is_refused_is_not_asked_again(status: int) -> None:
    desk = Desk(HttpReply(status, b"Failed to deserialize the JSON body into the target type"), ok([]))
    with pytest.raises(VenueUnavailable, match=rf"meta: HTTP {status}: Failed to deserialize"):
        await desk.info.ask(META)
    assert len(desk.asked) == 1


async def test_a_204_is_no_answer() -> None:
    with pytest.raises(VenueUnavailable, match="HTTP 204"):
        await Desk(HttpReply(204, b"[]")).info.ask(META)


async def test_after_a_429_everybody_waits_and_then_it_is_asked_again() -> None:
    desk = Desk(HttpReply(429, b"null"), ok([]))
    asking = asyncio.create_task(desk.info.ask(META))
    await asyncio.sleep(0.02)
    cancel = asyncio.create_task(desk.budget.take(1, Lane.EMERGENCY))
    await desk.clock.advance_to(NOW_MS + RATE_PAUSE_MS - 1)
    assert not cancel.done()
    assert len(desk.asked) == 1
    await desk.clock.advance_to(NOW_MS + RATE_PAUSE_MS)
    assert await asking == b"[]"
    assert cancel.done()


async def slow(seconds: float, *answers: Answer) -> tuple[float, list[float]]:
    """How long it takes to give up, with pauses of so many seconds, and the time each attempt had."""
    clock = SystemClock()
    transport = ScriptedTransport(answers)
    info = InfoClient(transport, WeightBudget(clock), clock, 8.0, deadline_s=1.0, pause_s=seconds)
    started = clock.monotonic_ms()
    with contextlib.suppress(VenueUnavailable):
        await info.ask(META)
    return (clock.monotonic_ms() - started) / 1000, transport.timeouts


async def test_a_broken_connection_is_tried_again_at_once() -> None:
    took_s, timeouts = await slow(0.8, BrokenError("reset"), ok([]))
    assert took_s < 0.3
    assert len(timeouts) == 2


async def test_a_second_break_and_any_other_failure_wait() -> None:
    took_s, timeouts = await slow(0.3, BrokenError("reset"), BrokenError("reset"), ok([]))
    assert took_s >= 0.3  # 0.6 with a jitter of up to one half
    assert len(timeouts) == 3
    took_s, _ = await slow(0.3, NotSentError("refused"), ok([]))
    assert took_s >= 0.15


async def test_attempts_and_pauses_share_a_deadline() -> None:
    took_s, timeouts = await slow(0.5, NotSentError("refused"))
    assert took_s < 1.0
    assert timeouts[0] == 1.0
    assert timeouts == sorted(timeouts, reverse=True)
    assert 2 <= len(timeouts) < ATTEMPTS


async def test_a_mistake_of_ours_is_not_the_venues() -> None:
    with pytest.raises(ZeroDivisionError):
        await Desk(ZeroDivisionError()).info.ask(META)


@pytest.mark.parametrize(
    ("name", "rows", "weight"),
    [
        ("l2Book", 0, 2),
        ("clearinghouseState", 0, 2),
        ("orderStatus", 0, 2),
        ("userRole", 0, 60),
        ("meta", 0, 20),
        ("meta", 1000, 20),
        ("candleSnapshot", 5000, 20 + 84),
        ("candleSnapshot", 1, 21),
        ("userFillsByTime", 2000, 120),
        ("unheardOf", 0, 20),
    ],
)
def test_weights_are_the_venues(name: str, rows: int, weight: int) -> None:
    assert info_weight(name, rows) == weight


# ── candles ──────────────────────────────────────────────────────────────────────────────────────

MINUTE = Interval.M1
OPEN_MS = MINUTE.open_of(NOW_MS)


def row(open_ms: int, close: float = 10.0, **changed: object) -> Request:
    told = {
        "t": open_ms,
        "T": open_ms + 59_999,
        "s": "BTC",
        "i": "1m",
        "o": "10.0",
        "h": "12.0",
        "l": "9.0",
        "c": str(close),
        "v": "1.5",
        "n": 3,
    }
    return {**told, **changed}


def minutes(*ago: int) -> list[Request]:
    """Rows that opened so many minutes before the running one, each closing at a price of its own."""
    return [row(OPEN_MS - 60_000 * each, 10 + each % 100 / 100) for each in ago]


class Archive:
    """A history over a venue that has these rows and cuts them as the real one does."""

    def __init__(self, rows: Sequence[Request]) -> None:
        self.desk = Desk(say=lambda request: ok(self._cut(request, rows)), now_ms=OPEN_MS + SETTLE_MS)
        universe = Universe([Instrument("BTC", 5, single_tier(40))])
        self.history: CandleHistory = HyperliquidHistory(self.desk.info, universe, self.desk.clock)

    def _cut(self, request: Request, rows: Sequence[Request]) -> list[Request]:
        wanted = request["req"]
        assert wanted["coin"] == "BTC" and wanted["interval"] == "1m"
        return [each for each in rows if each["T"] >= wanted["startTime"] and each["t"] <= wanted["endTime"]]

    async def last(self, count: int, until_ms: int = OPEN_MS) -> CandleWindow:
        return await self.history.candles("BTC", MINUTE, OPEN_MS - count * 60_000, until_ms)


def ago(window: CandleWindow) -> list[int]:
    return [(OPEN_MS - int(open_ms)) // 60_000 for open_ms in window.open_ms]


async def test_only_closed_candles_come_and_only_those_asked_for() -> None:
    archive = Archive([*minutes(*range(100, 0, -1)), row(OPEN_MS)])
    window = await archive.last(3, until_ms=OPEN_MS + 10 * 60_000)
    assert ago(window) == [3, 2, 1]
    assert window.close.tolist() == [10.03, 10.02, 10.01]
    assert window.volume.tolist() == [1.5, 1.5, 1.5]
    asked = archive.desk.asked[0]["req"]
    assert asked["startTime"] == OPEN_MS - (3 + LEAD_CANDLES) * 60_000
    assert asked["endTime"] == OPEN_MS - 1
    assert archive.desk.budget.used == 20 + 2


@pytest.mark.parametrize("count", [1, 2])
async def test_the_newest_candles_cost_one_row_weight_with_their_lead(count: int) -> None:
    archive = Archive(minutes(*range(100, 0, -1)))
    assert ago(await archive.last(count)) == list(range(count, 0, -1))
    assert archive.desk.budget.used == TAIL_WEIGHT == candles_weight(count) == 21


def test_what_candles_cost_counts_their_lead() -> None:
    assert candles_weight(3) == 22
    assert candles_weight(600) == 20 + 11
    assert candles_weight(CANDLES_KEPT) == 20 + 85


async def test_a_span_counts_by_its_open_time() -> None:
    archive = Archive(minutes(*range(100, 0, -1)))
    window = await archive.history.candles("BTC", MINUTE, OPEN_MS - 180_000 + 1, OPEN_MS - 60_000 + 1)
    assert ago(window) == [2, 1]
    assert ago(await archive.history.candles("BTC", MINUTE, OPEN_MS - 180_000, OPEN_MS - 60_000)) == [3, 2]


async def test_the_running_candle_is_cut_even_where_the_venue_sends_it() -> None:
    desk = Desk(ok([*minutes(2, 1), row(OPEN_MS)]), now_ms=OPEN_MS + 30_000)
    history = HyperliquidHistory(desk.info, Universe([Instrument("BTC", 5, single_tier(40))]), desk.clock)
    assert ago(await history.candles("BTC", MINUTE, OPEN_MS - 120_000, OPEN_MS + 60_000)) == [2, 1]


async def test_nothing_is_asked_where_nothing_can_have_closed() -> None:
    archive = Archive([])
    assert len(await archive.history.candles("BTC", MINUTE, OPEN_MS, OPEN_MS + 60_000)) == 0
    assert len(await archive.history.candles("BTC", MINUTE, OPEN_MS - 60_000, OPEN_MS - 60_000)) == 0
    assert archive.desk.asked == []


async def test_quiet_minutes_stand_flat_at_the_close_before_them_also_at_the_edges() -> None:
    window = await Archive(minutes(9, 5, 3)).last(7)
    assert ago(window) == [7, 6, 5, 4, 3, 2, 1]
    assert window.close.tolist() == [10.09, 10.09, 10.05, 10.05, 10.03, 10.03, 10.03]
    assert window.high.tolist() == [10.09, 10.09, 12.0, 10.05, 12.0, 10.03, 10.03]
    assert window.volume.tolist() == [0, 0, 1.5, 0, 1.5, 0, 0]


async def test_before_its_first_trade_a_market_has_no_candles() -> None:
    assert ago(await Archive(minutes(2, 1)).last(5)) == [2, 1]
    assert ago(await Archive([]).last(5)) == []


async def test_a_span_that_has_just_ended_is_left_to_settle() -> None:
    archive = Archive(minutes(2, 1))
    clock = archive.desk.clock = ManualClock(OPEN_MS)
    history = HyperliquidHistory(archive.desk.info, Universe([Instrument("BTC", 5, single_tier(40))]), clock)
    asking = asyncio.create_task(history.candles("BTC", MINUTE, OPEN_MS - 120_000, OPEN_MS))
    await asyncio.sleep(0.01)
    await clock.advance_to(OPEN_MS + SETTLE_MS - 1)
    await asyncio.sleep(0.01)
    assert archive.desk.asked == []
    await clock.advance_to(OPEN_MS + SETTLE_MS)
    assert ago(await asking) == [2, 1]


@pytest.mark.parametrize("skew_ms", [-10_000, -1, 0, 1, 10_000])
async def test_a_span_settles_by_the_venues_clock(skew_ms: int) -> None:
    archive = Archive(minutes(2, 1))
    clock = archive.desk.clock = ManualClock(OPEN_MS - skew_ms)
    universe = Universe([Instrument("BTC", 5, single_tier(40))])
    history = HyperliquidHistory(archive.desk.info, universe, clock, lambda: skew_ms)
    asking = asyncio.create_task(history.candles("BTC", MINUTE, OPEN_MS - 120_000, OPEN_MS + 60_000))
    await asyncio.sleep(0.01)
    await clock.advance_to(OPEN_MS + SETTLE_MS - skew_ms - 1)
    await asyncio.sleep(0.01)
    assert archive.desk.asked == []
    await clock.advance_to(OPEN_MS + SETTLE_MS - skew_ms)
    assert ago(await asking) == [2, 1]


async def test_a_clock_of_ours_that_is_ahead_closes_no_running_candle() -> None:
    archive = Archive([*minutes(3, 2, 1), row(OPEN_MS)])
    clock = ManualClock(OPEN_MS + 60_000 + SETTLE_MS)  # by which the running candle has closed
    universe = Universe([Instrument("BTC", 5, single_tier(40))])
    history = HyperliquidHistory(archive.desk.info, universe, clock, lambda: -10_000)
    assert ago(await history.candles("BTC", MINUTE, OPEN_MS - 180_000, OPEN_MS + 60_000)) == [3, 2, 1]


async def test_what_becomes_known_of_the_clock_while_waiting_counts() -> None:
    archive = Archive([*minutes(3, 2, 1), row(OPEN_MS)])
    clock, skew = ManualClock(OPEN_MS + 60_000), 0
    universe = Universe([Instrument("BTC", 5, single_tier(40))])
    history = HyperliquidHistory(archive.desk.info, universe, clock, lambda: skew)
    asking = asyncio.create_task(history.candles("BTC", MINUTE, OPEN_MS - 180_000, OPEN_MS + 60_000))
    await asyncio.sleep(0.01)
    skew = -10_000
    await clock.advance_to(OPEN_MS + 60_000 + SETTLE_MS)
    assert ago(await asking) == [3, 2, 1]


async def test_the_oldest_start_is_kept_with_a_candle_to_spare() -> None:
    archive = Archive(minutes(*range(CANDLES_KEPT, 0, -1)))
    history = HyperliquidHistory(
        archive.desk.info, Universe([Instrument("BTC", 5, single_tier(40))]), archive.desk.clock
    )
    oldest_ms = history.oldest_ms(MINUTE)
    assert oldest_ms == OPEN_MS - (CANDLES_KEPT - 2) * 60_000
    assert len(await history.candles("BTC", MINUTE, oldest_ms, OPEN_MS)) == CANDLES_KEPT - 2
    await archive.desk.clock.advance_to(OPEN_MS + 60_000 + SETTLE_MS)
    assert len(await history.candles("BTC", MINUTE, oldest_ms, OPEN_MS)) == CANDLES_KEPT - 2
    behind = HyperliquidHistory(archive.desk.info, Universe([]), archive.desk.clock, lambda: -60_000 - SETTLE_MS)
    assert behind.oldest_ms(MINUTE) == oldest_ms, "by the venue's clock"


async def test_what_the_venue_does_not_keep_is_not_made_up() -> None:
    archive = Archive(minutes(*range(CANDLES_KEPT - 1, 0, -1)))
    assert len(await archive.last(CANDLES_KEPT - 1)) == CANDLES_KEPT - 1
    with pytest.raises(HistoryUnavailable, match=r"keeps 5000 candles of 1m: BTC .* 1 candles later than asked"):
        await archive.last(CANDLES_KEPT)


async def test_an_unknown_symbol_costs_no_question() -> None:
    archive = Archive([])
    with pytest.raises(HistoryUnavailable, match="no market 'btc'"):
        await archive.history.candles("btc", MINUTE, 0, OPEN_MS)
    assert archive.desk.asked == []


BAD_ROWS = {
    "null": None,
    "an error": {"error": "x"},
    "another coin": [*minutes(2), row(OPEN_MS - 60_000, s="ETH")],
    "another interval": [*minutes(2), row(OPEN_MS - 60_000, i="3m")],
    "between spans": [row(OPEN_MS - 60_001)],
    "the wrong way round": minutes(1, 2),
    "twice": minutes(2, 2),
    "no number": [row(OPEN_MS - 60_000, o="ten")],
    "not a number": [row(OPEN_MS - 60_000, o="NaN")],
    "a high below its low": [row(OPEN_MS - 60_000, h="8.0")],
    "a missing key": [{key: value for key, value in row(OPEN_MS - 60_000).items() if key != "c"}],
}


@pytest.mark.parametrize("bad", BAD_ROWS)
async def test_an_answer_that_cannot_be_is_no_history(bad: str) -> None:
    desk = Desk(ok(BAD_ROWS[bad]), now_ms=OPEN_MS + SETTLE_MS)
    history = HyperliquidHistory(desk.info, Universe([Instrument("BTC", 5, single_tier(40))]), desk.clock)
    with pytest.raises(HistoryUnavailable):
        await history.candles("BTC", MINUTE, OPEN_MS - 300_000, OPEN_MS)


async def test_a_venue_that_does_not_answer_is_no_history() -> None:
    desk = Desk(HttpReply(500, b"null"), now_ms=OPEN_MS + SETTLE_MS)
    history = HyperliquidHistory(desk.info, Universe([Instrument("BTC", 5, single_tier(40))]), desk.clock)
    with pytest.raises(HistoryUnavailable, match="candleSnapshot: HTTP 500"):
        await history.candles("BTC", MINUTE, OPEN_MS - 300_000, OPEN_MS)


async def test_recorded_candles_are_read(shared_data: Path) -> None:
    sample = json.loads((recorded_folder(shared_data) / "rest_candleSnapshot_kPEPE_1h.json").read_text())
    rows = sample["response"]
    desk = Desk(ok(rows), now_ms=rows[-1]["T"] + SETTLE_MS + 1)
    history = HyperliquidHistory(desk.info, Universe([Instrument("kPEPE", 0, single_tier(10))]), desk.clock)
    window = await history.candles("kPEPE", Interval.H1, rows[0]["t"], rows[-1]["T"] + 1)
    assert window.open_ms.tolist() == [each["t"] for each in rows]
    assert window.close.tolist() == [float(each["c"]) for each in rows]


def recorded_folder(shared_data: Path) -> Path:
    folder = shared_data.parent / "hyperliquid-samples"
    if not folder.is_dir():
        pytest.skip(f"no recorded answers: {folder} is not there")
    return folder
