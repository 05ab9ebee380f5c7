"""While the daemon runs: which connections and streams of the feed are stale, and what is done about it.

Every second of real time the feed is looked at (`staleness`), now and then the venue is asked for all mid prices as a
witness, what is stale is begun again (`restart_ladder`), and entries are held (`feed_news`). A question may take long
or get no answer: looks go on meanwhile, and an answer that did not come proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.feed_health import Report, Verdict, WatchedFeed
from adapters.hyperliquid.feed_news import FeedNews, Put
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.restart_ladder import RestartLadder, Rung
from adapters.hyperliquid.session import Phase
from adapters.hyperliquid.staleness import Judged, Staleness
from adapters.hyperliquid.wire_rest import decode_all_mids
from domain.events import MidsChecked
from domain.instruments import Universe
from ports.alerts import Alerts
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

EVERY_S = 1.0
"""Real seconds between two looks."""
CHECK_AT_ONCE_MS = 10_000
"""Between two spot checks, where there is a doubt."""
CHECK_ANYWAY_MS = 60_000
FAILED_CHECKS = 5
"""In a row; then the operator hears that old prices are confirmed by nobody."""


@dataclass(slots=True)
class FeedWatchCounts:
    """What was done since the start."""

    looks: int = 0
    checks: int = 0
    checks_failed: int = 0
    resubscribed: int = 0
    """Streams."""
    reconnected: int = 0
    """Connections."""


class FeedWatch:
    def __init__(
        self,
        feed: WatchedFeed,
        info: InfoClient,
        universe: Universe,
        clock: Clock,
        alerts: Alerts,
        watched: Callable[[], Collection[str]],
        price_of: Callable[[str], float | None],
        skew_ms: Callable[[], int],
        *,
        pace: float = 1.0,
        every_s: float = EVERY_S,
    ) -> None:
        """`watched`: symbols whose prices matter; `price_of`: our own mid of one, None where there is none;
        `skew_ms`: how far the venue's clock is ahead of ours; `pace`: the market's milliseconds in a real one."""
        self._feed = feed
        self._info = info
        self._universe = universe
        self._clock = clock
        self._alerts = alerts
        self._watched = watched
        self._price_of = price_of
        self._skew_ms = skew_ms
        self._every_s = every_s
        self._staleness = Staleness(pace)
        self._ladder = RestartLadder()
        self._news = FeedNews(alerts)
        self._asked_ms: int | None = None
        self._is_asking = False
        self._failed = 0
        self._check_is_wanted = asyncio.Event()
        self.judged = Judged({}, {}, {})
        """At the last look."""
        self.counts = FeedWatchCounts()

    async def keep_watch(self, put: Put) -> None:
        """Long-lived: look again and again, also while a question is under way."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._keep_looking(put), name="feed watch")
            both.create_task(self._keep_checking(put), name="feed spot checks")

    async def look(self, put: Put) -> None:
        """Once: at every connection, and at the venue's mid prices if that is due."""
        self._judge(put)
        if self._check_is_due():
            await self._check(put)

    async def _keep_looking(self, put: Put) -> None:
        while True:
            self._judge(put)
            if self._check_is_due():
                self._check_is_wanted.set()
            await asyncio.sleep(self._every_s)

    async def _keep_checking(self, put: Put) -> None:
        while True:
            await self._check_is_wanted.wait()
            await self._check(put)
            self._check_is_wanted.clear()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────

    def _judge(self, put: Put) -> None:
        self.counts.looks += 1
        reports = self._feed.line_reports()
        now_ms = self._clock.monotonic_ms()
        self.judged = self._staleness.look(reports, now_ms, self._clock.now_ms() + self._skew_ms())
        self._news.tell(self.judged, now_ms, put)
        self._restart_lines([each for each in reports if not each.is_account], now_ms)
        self._restart_streams(now_ms)

    def _restart_lines(self, market: Sequence[Report], now_ms: int) -> None:
        """A connection that is lost is the session's business."""
        connected = [report.number for report in market if report.phase in (Phase.SUBSCRIBING, Phase.LIVE)]
        for number in connected:
            judgement = self.judged.lines[number]
            if judgement.verdict.is_well:
                self._ladder.line_spoke(number)
            elif judgement.verdict in (Verdict.DEAD, Verdict.FROZEN):
                rung = self._ladder.for_line(number, len(connected), now_ms)
                if rung is not None:
                    self._reconnect(connected if rung is Rung.RECONNECT_ALL else [number], judgement.reason)
                if rung is Rung.RECONNECT_ALL:
                    return

    def _restart_streams(self, now_ms: int) -> None:
        again: list[str] = []
        moved: dict[int, str] = {}
        for symbol, judgement in self.judged.coins.items():
            if judgement.verdict is not Verdict.DEAD:
                continue
            number = self.judged.line_of[symbol]
            rung = self._ladder.for_coin(symbol, number, now_ms)
            if rung is Rung.RESUBSCRIBE:
                again.append(symbol)
            elif rung is not None:
                moved[number] = judgement.reason
        if again:
            self.counts.resubscribed += len(again)
            self._feed.resubscribe(again)
            self._staleness.asked_again(again, now_ms)
        for number, why in moved.items():
            self._reconnect([number], why)

    def _reconnect(self, numbers: Sequence[int], why: str) -> None:
        for number in numbers:
            self.counts.reconnected += 1
            self._feed.reconnect(number, why)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    def _check_is_due(self) -> bool:
        now_ms = self._clock.monotonic_ms()
        if self._is_asking:
            return False
        if self._asked_ms is None or now_ms - self._asked_ms >= CHECK_ANYWAY_MS:
            return True
        if now_ms - self._asked_ms < CHECK_AT_ONCE_MS:
            return False
        return self._staleness.wants_check(self._watched(), now_ms)

    async def _check(self, put: Put) -> None:
        """Ask for all mids, and let go of what we thought of old prices. The answer is as old as the question."""
        self._asked_ms = asked_ms = self._clock.monotonic_ms()
        venue_ms = self._clock.now_ms() + self._skew_ms()
        self.counts.checks += 1
        self._is_asking = True
        try:
            mids = decode_all_mids(await self._info.ask({"type": "allMids"}, lane=Lane.NORMAL), self._universe)
        except (VenueUnavailable, DecodeError) as error:
            self._count_failure(error)
            return
        finally:
            self._is_asking = False
        self._failed = 0
        # What was heard since the last look is no silence; and our own prices are asked before they change.
        self._judge(put)
        self._staleness.checked(asked_ms, mids, self._price_of)
        ids = sorted(self._universe.id_of(symbol) for symbol in mids.keys() & set(self._watched()))
        if ids:
            symbols = self._universe.symbols
            column = np.array([mids[symbols[each]] for each in ids], dtype=np.float64)
            put(MidsChecked(venue_ms, np.array(ids, dtype=np.intp), column))

    def _count_failure(self, error: Exception) -> None:
        self.counts.checks_failed += 1
        self._failed += 1
        if self._failed == FAILED_CHECKS:
            text = f"{FAILED_CHECKS} spot checks in a row failed, old prices are confirmed by nobody: {error}"
            self._alerts.send("spot_check_failed", text)
