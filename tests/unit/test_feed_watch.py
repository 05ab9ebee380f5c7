"""FeedWatch: what is asked, begun again, told and held; and the ladder by itself."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest

from adapters.clocks import ManualClock
from adapters.hyperliquid.budget import WeightBudget
from adapters.hyperliquid.feed_health import Verdict
from adapters.hyperliquid.feed_news import CURED_AFTER_MS
from adapters.hyperliquid.feed_watch import CHECK_ANYWAY_MS, CHECK_AT_ONCE_MS, FAILED_CHECKS, FeedWatch
from adapters.hyperliquid.line_reports import LineReport
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.restart_ladder import (
    CALM_MS,
    FIRST_COOLDOWN_MS,
    LONGEST_COOLDOWN_MS,
    PATIENCE_MS,
    RECONNECTS_PER_MINUTE,
    RestartLadder,
    Rung,
)
from adapters.hyperliquid.session import Phase
from adapters.hyperliquid.transport import HttpReply, NotSentError
from domain.events import EntriesHeld, Event, MidsChecked
from domain.instruments import Instrument, Universe, single_tier
from tests.feed_reports import Line

NOW_MS = 1_791_275_808_695
COINS = tuple(f"C{number}" for number in range(20))
UNIVERSE = Universe(Instrument(symbol, 3, single_tier(40)) for symbol in (*COINS, "UNWATCHED"))
RECONNECT_S = 2


class Bench:
    """A feed of connections that speak as told, a venue with mids of its own, and everybody who listens."""

    def __init__(self, *lines: Line) -> None:
        self.clock = ManualClock(NOW_MS)
        self.lines = dict(enumerate(lines or [Line(COINS)]))
        self.silent: set[int] = set()
        self.mute: set[str] = set()
        self.heals = True
        """A new connection, or subscription, speaks."""
        self.mids = dict.fromkeys(UNIVERSE.symbols, 100.0) | {"@1": 3.0, "ELSEWHERE": 7.0}
        self.is_down = False
        self.answers: asyncio.Event | None = None
        """Where set, the venue answers only once it is set."""
        self.asked_ms: list[int] = []
        self.alerts: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.resubscribed: list[tuple[int, tuple[str, ...]]] = []
        self.reconnected: list[tuple[int, int]] = []
        self.whys: list[str] = []
        self._opens_ms: dict[int, int] = {}
        info = InfoClient(self, WeightBudget(self.clock, 100_000), self.clock, pause_s=0.0, chance=random.Random(1))
        self.skew_ms = 250
        self.ours = dict.fromkeys(COINS, 100.0)
        self.watch = FeedWatch(
            self, info, UNIVERSE, self.clock, self, lambda: COINS, self.ours.get, lambda: self.skew_ms, every_s=0.0
        )

    # ── the feed ─────────────────────────────────────────────────────────────────────────────────

    def line_reports(self) -> tuple[LineReport, ...]:
        return tuple(line.report(number, self.passed_ms) for number, line in self.lines.items())

    def resubscribe(self, symbols: Sequence[str], /) -> None:
        self.resubscribed.append((self.passed_ms, tuple(symbols)))
        for line in self.lines.values():
            line.heard_ms |= {coin: self.passed_ms for coin in symbols if coin in line.coins}
        if self.heals:
            self.mute.difference_update(symbols)

    def reconnect(self, number: int, why: str, /) -> None:
        self.reconnected.append((self.passed_ms, number))
        self.whys.append(why)
        self.lines[number].phase = Phase.WAITING
        self._opens_ms[number] = self.passed_ms + RECONNECT_S * 1_000
        if self.heals:
            self.silent.discard(number)

    # ── the venue, and who is told ───────────────────────────────────────────────────────────────

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None
    ) -> HttpReply:
        assert path == "/info" and json.loads(body) == {"type": "allMids"}
        if not self.asked_ms or self.asked_ms[-1] != self.passed_ms:
            self.asked_ms.append(self.passed_ms)
        if self.is_down:
            raise NotSentError("nobody there")
        if self.answers is not None:
            await self.answers.wait()
        return HttpReply(200, json.dumps({symbol: str(mid) for symbol, mid in self.mids.items()}).encode())

    async def close(self) -> None: ...

    def send(self, code: str, text: str) -> None:
        self.alerts.append((code, text))

    # ── driving ──────────────────────────────────────────────────────────────────────────────────

    @property
    def passed_ms(self) -> int:
        return self.clock.now_ms() - NOW_MS

    async def second(self) -> None:
        """A second passes."""
        await self.clock.advance_to(self.clock.now_ms() + 1_000)
        for number, opens_ms in list(self._opens_ms.items()):
            if self.passed_ms >= opens_ms:
                self.lines[number].open(self.passed_ms)
                del self._opens_ms[number]
        for number, line in self.lines.items():
            line.pong(self.passed_ms)
            if number not in self.silent:
                line.speak(self.passed_ms, self.mute, NOW_MS - 300)

    async def run(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.second()
            await self.watch.look(self.events.append)

    def verdict(self, number: int = 0) -> Verdict:
        return self.watch.judged.lines[number].verdict

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.alerts]

    @property
    def holds(self) -> list[EntriesHeld]:
        return [event for event in self.events if isinstance(event, EntriesHeld)]

    def is_held(self) -> bool:
        return bool(self.holds) and bool(self.holds[-1].reason)

    @property
    def checks(self) -> list[MidsChecked]:
        return [event for event in self.events if isinstance(event, MidsChecked)]


async def well(*lines: Line) -> Bench:
    """A bench that has learned what is usual."""
    bench = Bench(*lines)
    await bench.run(60)
    assert not bench.alerts and not bench.is_held()
    return bench


# ── what is held and told ────────────────────────────────────────────────────────────────────────


async def test_a_dead_connection_holds_entries_is_told_and_begun_again_once() -> None:
    bench = await well()
    bench.silent.add(0)
    await bench.run(12)
    assert bench.codes == ["feed_stale"]
    assert bench.alerts[0][1].startswith("connection 0: nothing for 1") and "20 coins" in bench.alerts[0][1]
    assert bench.is_held() and bench.holds[-1].source == "feed"
    assert [number for _, number in bench.reconnected] == [0]
    assert bench.whys[0].startswith("connection 0: nothing for 1")
    await bench.run(20)
    assert bench.codes == ["feed_stale", "feed_well"]
    assert not bench.is_held()
    assert len(bench.reconnected) == 1
    assert bench.watch.counts.reconnected == 1


async def test_the_hold_ends_once_all_is_well_for_three_seconds() -> None:
    bench = await well(Line(COINS[:10]), Line(COINS[10:]))
    bench.silent.add(1)
    await bench.run(6)
    assert bench.verdict(1) is Verdict.DEAD and bench.is_held()
    while bench.verdict(1) is not Verdict.WELL:
        await bench.run(1)
    well_ms = bench.passed_ms
    while bench.is_held():
        assert bench.passed_ms < well_ms + 3_000
        await bench.run(1)
    assert bench.passed_ms == well_ms + 3_000


async def test_what_holds_is_said_again_when_more_falls_ill_and_not_when_less_is() -> None:
    bench = await well(Line(COINS[:7]), Line(COINS[7:14]), Line(COINS[14:]))
    bench.heals = False
    bench.silent = {0}
    await bench.run(8)
    bench.silent |= {1}
    await bench.run(8)
    bench.silent = {0}
    await bench.run(8)
    begun = bench.holds[-2:]
    assert ["connection 0:" in hold.reason for hold in begun] == [True, True]
    assert ["connection 1:" in hold.reason for hold in begun] == [False, True]
    assert bench.is_held()


async def test_a_start_holds_without_an_alert_and_is_told_when_it_takes_long() -> None:
    bench = Bench()
    bench.lines[0].phase = Phase.WAITING
    await bench.watch.look(bench.events.append)
    assert bench.is_held() and "still connecting" in bench.holds[-1].reason
    await bench.run(29)
    assert not bench.alerts
    await bench.run(2)
    assert bench.codes == ["feed_stale"] and bench.is_held()
    bench.lines[0].phase = Phase.LIVE
    await bench.run(6)
    assert bench.codes == ["feed_stale", "feed_well"] and not bench.is_held()
    assert not bench.reconnected, "what is not connected is the session's business"


async def test_a_start_that_goes_well_is_not_told() -> None:
    bench = Bench()
    bench.lines[0].phase = Phase.WAITING
    await bench.run(5)
    bench.lines[0].phase = Phase.LIVE
    await bench.run(6)
    assert not bench.alerts
    assert [bool(hold.reason) for hold in bench.holds] == [True, False]


async def test_a_connection_that_is_lost_for_long_holds() -> None:
    bench = await well()
    bench.lines[0].phase = Phase.WAITING
    await bench.run(10)
    assert not bench.is_held()
    await bench.run(2)
    assert bench.is_held() and bench.codes == ["feed_stale"]


async def test_a_frozen_connection_holds_and_is_begun_again() -> None:
    bench = await well()
    stands_at_ms = bench.lines[0].stamp_ms
    for _ in range(14):
        await bench.second()
        bench.lines[0].stamp_ms = stands_at_ms
        await bench.watch.look(bench.events.append)
    assert bench.codes == ["feed_stale"] and "their time has stood" in bench.alerts[0][1]
    assert bench.is_held()
    assert len(bench.reconnected) == 1


async def test_a_quiet_coin_holds_nothing_tells_nothing_and_begins_nothing_again() -> None:
    bench = await well()
    bench.mute.add("C3")
    await bench.run(1_800)
    assert bench.watch.judged.coins["C3"].verdict is Verdict.QUIET
    assert not bench.alerts and not bench.resubscribed and not bench.reconnected
    assert not bench.is_held()


async def test_nothing_to_watch_holds_nothing() -> None:
    bench = Bench()
    bench.lines.clear()
    await bench.run(5)
    assert not bench.holds and not bench.alerts


# ── spot checks ──────────────────────────────────────────────────────────────────────────────────


async def test_spot_checks_are_rare_while_all_prices_are_fresh_and_soon_where_one_is_old() -> None:
    bench = await well()
    assert len(bench.asked_ms) == 1
    await bench.run(180)
    assert len(bench.asked_ms) == 1 + 180_000 // CHECK_ANYWAY_MS
    before = len(bench.asked_ms)
    bench.mute.add("C3")
    await bench.run(60)
    recent = bench.asked_ms[before:]
    assert len(recent) == 6
    assert all(later - sooner == CHECK_AT_ONCE_MS for sooner, later in pairwise(recent))


async def test_an_answer_is_as_old_as_its_question_and_about_watched_symbols() -> None:
    bench = Bench()
    bench.answers = asyncio.Event()
    await bench.second()
    looking = asyncio.create_task(bench.watch.look(bench.events.append))
    await asyncio.sleep(0)
    await bench.second()
    bench.mids["C7"] = 101.5
    del bench.mids["C3"]
    bench.answers.set()
    await looking
    (checked,) = bench.checks
    assert checked.venue_ms == NOW_MS + 1_000 + bench.skew_ms
    symbols = [UNIVERSE.symbols[each] for each in checked.ids]
    assert symbols == [symbol for symbol in COINS if symbol != "C3"]
    assert checked.mid[symbols.index("C7")] == 101.5
    assert bench.watch.counts.checks == 1


async def test_a_failed_check_proves_nothing_and_is_told_after_five() -> None:
    bench = await well()
    bench.mute.add("C3")
    bench.is_down = True
    bench.mids["C3"] = 120.0
    await bench.run(300)
    assert bench.codes == ["spot_check_failed"]
    assert bench.watch.counts.checks_failed > FAILED_CHECKS
    assert bench.watch.judged.coins["C3"].verdict is Verdict.SUSPECT
    assert not bench.resubscribed


async def test_an_answer_that_cannot_be_read_is_none() -> None:
    bench = Bench()
    bench.mids["C3"] = -1.0
    await bench.run(2)
    assert not bench.checks and bench.watch.counts.checks_failed == 1


async def test_looks_go_on_while_a_question_hangs() -> None:
    bench = await well()
    bench.answers = asyncio.Event()
    bench.silent.add(0)
    watching = asyncio.create_task(bench.watch.keep_watch(bench.events.append))
    for _ in range(14):
        await bench.second()
        for _ in range(10):
            await asyncio.sleep(0)
    assert bench.codes == ["feed_stale"], "dead, and nobody answers"
    assert len(bench.asked_ms) == 2, "one question at a time"
    before = len(bench.checks)
    bench.answers.set()
    async with asyncio.timeout(5):
        while len(bench.checks) == before:  # noqa: ASYNC110  (others take their turns)
            await asyncio.sleep(0)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


# ── dead streams ─────────────────────────────────────────────────────────────────────────────────


async def test_dead_streams_are_told_and_asked_for_again_together() -> None:
    bench = await well()
    bench.mute |= set(COINS[:6])
    bench.mids |= dict.fromkeys(COINS[:6], 101.0)
    await bench.run(40)
    assert bench.codes == ["stream_dead"]
    text = bench.alerts[0][1]
    assert "C0 on connection 0: nothing for 3" in text and "; and C3, C4, C5" in text
    ((_, symbols),) = bench.resubscribed
    assert sorted(symbols) == list(COINS[:6])
    assert bench.watch.counts.resubscribed == 6
    assert not bench.is_held() and not bench.reconnected
    await bench.run(CURED_AFTER_MS // 1_000 + 1)
    assert bench.codes == ["stream_dead", "feed_well"]


async def test_a_stream_that_stays_dead_moves_its_connection_once_and_no_other() -> None:
    bench = await well(Line(COINS[:10]), Line(COINS[10:]))
    bench.heals = False
    bench.mute.add("C3")
    for _ in range(360):
        bench.mids["C3"] = bench.mids["C3"] * 1.001
        await bench.run(10)
    assert [number for _, number in bench.reconnected] == [0]
    times = [at_ms for at_ms, _ in bench.resubscribed]
    assert bench.resubscribed[0][0] < bench.reconnected[0][0]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert all(gap >= FIRST_COOLDOWN_MS for gap in gaps)
    assert len(times) <= 9, "an hour of it"
    assert not bench.is_held()


# ── the ladder ───────────────────────────────────────────────────────────────────────────────────


async def test_a_feed_that_stays_dead_is_not_hammered() -> None:
    """An hour of silence on three connections: reconnects are rare, and rarer all the time."""
    bench = await well(*(Line(COINS[number::3]) for number in range(3)))
    bench.heals = False
    bench.silent = {0, 1, 2}
    await bench.run(3_600)
    times = [at_ms for at_ms, _ in bench.reconnected]
    per_minute = max(sum(at_ms <= other < at_ms + 60_000 for other in times) for at_ms in times)
    assert per_minute <= RECONNECTS_PER_MINUTE
    assert len(times) <= 60
    assert sum(at_ms > 30 * 60_000 for at_ms in times) <= 18
    assert bench.is_held()


def test_a_line_is_reconnected_then_all_then_after_the_cooldown_again() -> None:
    ladder = RestartLadder()
    climbed = [(at_s, ladder.for_line(1, 3, at_s * 1_000)) for at_s in range(200)]
    assert [(at_s, rung) for at_s, rung in climbed if rung] == [
        (0, Rung.RECONNECT),
        (PATIENCE_MS // 1_000, Rung.RECONNECT_ALL),
        (FIRST_COOLDOWN_MS // 1_000, Rung.RECONNECT),
        ((PATIENCE_MS + FIRST_COOLDOWN_MS) // 1_000, Rung.RECONNECT_ALL),
        (3 * FIRST_COOLDOWN_MS // 1_000, Rung.RECONNECT),
        ((PATIENCE_MS + 3 * FIRST_COOLDOWN_MS) // 1_000, Rung.RECONNECT_ALL),
    ]


def test_cooldowns_double_up_to_a_quarter_of_an_hour() -> None:
    ladder = RestartLadder()
    times = [at_s for at_s in range(6 * 3_600) if ladder.for_line(1, 1, at_s * 1_000)]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps[:5] == [60, 120, 240, 480, 900] and set(gaps[5:]) == {LONGEST_COOLDOWN_MS // 1_000}


def test_a_line_that_spoke_in_between_never_moves_the_others() -> None:
    ladder = RestartLadder()
    climbed = []
    for at_s in range(600):
        climbed.append(ladder.for_line(1, 3, at_s * 1_000))
        ladder.line_spoke(1)
    assert {rung for rung in climbed if rung} == {Rung.RECONNECT}
    assert sum(rung is not None for rung in climbed) == 4


@pytest.mark.parametrize("is_calm", [True, False])
def test_ten_calm_minutes_start_over(is_calm: bool) -> None:
    ladder = RestartLadder()
    for at_s in range(200):
        ladder.for_line(1, 1, at_s * 1_000)
    begin_ms = 199_000 + CALM_MS + (1 if is_calm else 0)
    again = [at_s for at_s in range(600) if ladder.for_line(1, 1, begin_ms + at_s * 1_000)]
    assert again[:2] == ([0, 60] if is_calm else [0, 480])


def test_things_do_not_share_a_cooldown_but_connections_share_a_limit() -> None:
    ladder = RestartLadder()
    first = [ladder.for_line(number, 1, 0) for number in range(RECONNECTS_PER_MINUTE + 2)]
    assert first == [Rung.RECONNECT] * RECONNECTS_PER_MINUTE + [None, None]
    assert ladder.for_line(RECONNECTS_PER_MINUTE, 1, 59_999) is None
    assert ladder.for_line(RECONNECTS_PER_MINUTE, 1, 60_000) is Rung.RECONNECT


def test_streams_are_asked_for_also_where_no_connection_may_be_opened() -> None:
    ladder = RestartLadder()
    for number in range(RECONNECTS_PER_MINUTE):
        ladder.for_line(number, 1, 0)
    assert ladder.for_coin("A", 0, 0) is Rung.RESUBSCRIBE
    assert ladder.for_coin("A", 99, PATIENCE_MS) is None
    assert ladder.for_coin("A", 99, 60_000) is Rung.RECONNECT


@pytest.mark.parametrize("coins", [1, 50])
def test_many_dead_streams_reconnect_their_line_once(coins: int) -> None:
    ladder = RestartLadder()
    names = [f"C{number}" for number in range(coins)]
    assert [ladder.for_coin(name, 0, 0) for name in names] == [Rung.RESUBSCRIBE] * coins
    again = [ladder.for_coin(name, 0, PATIENCE_MS) for name in names]
    assert again == [Rung.RECONNECT] + [None] * (coins - 1)
