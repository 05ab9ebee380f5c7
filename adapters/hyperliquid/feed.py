"""Hyperliquid's streams as a `MarketFeed`: a few sessions, each with a socket of its own, and one reader.

    socket ─▶ decode ─▶ WsSession ─▶ account lane (a queue, nothing is ever dropped) ─┐
                                 └─▶ market slice (the newest wins)                  ─┴─▶ events()

After each (re)connect of the account's streams the account is asked what happened meanwhile: they have no replay.
The same when they say something that cannot be read, for it may have been a fill. Of a snapshot only what is newer
than the feed's start is told: it reaches back thousands of fills, and what happened before is the catch-up's to say.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from adapters.hyperliquid.account_events import fill_events, funding_events, order_event
from adapters.hyperliquid.heard import (
    BboHeard,
    CandleHeard,
    Drifted,
    FillsHeard,
    FundingsHeard,
    Heard,
    LedgerHeard,
    OrderUpdatesHeard,
    StatusKind,
    TradesHeard,
    UserEventsHeard,
)
from adapters.hyperliquid.key_watch import KeyWatch, Sentinel
from adapters.hyperliquid.lines import ConnectTurns, Line
from adapters.hyperliquid.market_slice import MarketCounts, MarketSlice
from adapters.hyperliquid.session import Phase, WsSession
from adapters.hyperliquid.session_steps import SessionRules
from adapters.hyperliquid.subscriptions import MessageBudget, account_subscriptions, market_subscriptions, spread
from adapters.hyperliquid.transport import SocketTransport
from adapters.hyperliquid.wire_frames import decode_frame
from domain.candles import Interval
from domain.events import Event
from domain.instruments import Universe
from ports.alerts import Alerts
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

ACCOUNT_CHANNELS = frozenset(("orderUpdates", "userFills", "user", "userFundings", "userNonFundingLedgerUpdates"))
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """`user`: whose account, None for market data alone. `trades` only tell the venue's time."""

    bbo: bool = True
    candle: bool = True
    user: str | None = None
    subscriptions_per_socket: int = 125
    trades: bool = False
    slice_ms: int = 25
    """How long market data is collected before it is told."""
    ahead_limit_ms: int = 60_000
    """What the venue stamps further in the future of our clock is not believed."""
    connects_per_minute: int = 15
    """New connections of all sockets together: half of what the venue allows one address."""
    catch_up_first_ms: int = 1_000
    catch_up_max_ms: int = 30_000
    catch_up_gap_ms: int = 5_000
    """Between two questions that no reconnect made necessary."""
    rules: SessionRules = field(default_factory=SessionRules)


@dataclass(slots=True)
class FeedCounts:
    """What went through since the start."""

    drifted: int = 0
    foreign_users: int = 0
    catch_ups: int = 0
    catch_ups_failed: int = 0
    account_events: int = 0
    account_waiting_max: int = 0
    market: MarketCounts = field(default_factory=MarketCounts)


class HyperliquidFeed:
    """One feed, read once. Raises `TooManySubscriptions` for a set-up that the venue's limits cannot carry."""

    def __init__(
        self,
        universe: Universe,
        interval: Interval,
        transport: SocketTransport,
        clock: Clock,
        settings: FeedSettings,
        sentinel: Sentinel,
        alerts: Alerts,
        catch_up: Callable[[], Awaitable[Sequence[Event]]],
        chance: random.Random,
    ) -> None:
        """`catch_up` tells what happened to the account since it was asked last; it may raise `VenueUnavailable`."""
        self._universe = universe
        self._clock = clock
        self._settings = settings
        self._sentinel = sentinel
        self._watch = KeyWatch(sentinel)
        self._alerts = alerts
        self._catch_up = catch_up
        self._chance = chance
        self._user = settings.user.lower() if settings.user else None
        account = account_subscriptions(self._user) if self._user else []
        market = market_subscriptions(
            universe.symbols, interval, bbo=settings.bbo, candle=settings.candle, trades=settings.trades
        )
        budget = MessageBudget()
        turns = ConnectTurns(clock, settings.connects_per_minute)
        self._lines = [
            Line(WsSession(part, settings.rules, chance, budget), transport, turns, clock, self._decode, self)
            for part in spread(account, market, settings.subscriptions_per_socket)
        ]
        self._account_keys = frozenset(each.key for each in account)
        self._market = MarketSlice(universe, interval, settings.ahead_limit_ms)
        self._account: deque[Event] = deque()
        self.counts = FeedCounts(market=self._market.counts)
        self._wake = asyncio.Event()
        self._slice_is_due = False
        self._slice_timer: asyncio.TimerHandle | None = None
        self._asked = asyncio.Event()
        self._asked_ms = -settings.catch_up_gap_ms
        self._ask_timer: asyncio.TimerHandle | None = None
        self._told: set[str] = set()
        self._started_ms = 0
        self._decoded_ms = 0
        """When the frame that is delivered was decoded, a moment ago."""
        self._was_read = False

    # ── what may be asked at any time ────────────────────────────────────────────────────────────

    @property
    def given_up(self) -> tuple[str, ...]:
        """Streams that the venue does not give us; the operator was told of each."""
        return tuple(key for line in self._lines for key in line.session.given_up)

    @property
    def frames(self) -> int:
        """Frames received since the start."""
        return sum(line.frames for line in self._lines)

    @property
    def is_live(self) -> bool:
        """Every stream runs or was given up."""
        return all(line.session.phase is Phase.LIVE for line in self._lines)

    def silences(self) -> dict[str, int]:
        """How long (real ms) each running stream has been silent."""
        now_ms = self._clock.monotonic_ms()
        return {key: ms for line in self._lines for key, ms in line.session.silences(now_ms).items()}

    # ── the port ─────────────────────────────────────────────────────────────────────────────────

    async def events(self) -> AsyncGenerator[Event, None]:
        """Account news first, then the market's slice. A reader that is slow gets fewer, newer quotes and candles.

        Connections live as long as the iterator: a reader that waits elsewhere between two events, or stops
        before it is cancelled, closes it (`contextlib.aclosing`).
        """
        assert not self._was_read, "a feed is read once"
        self._was_read = True
        self._started_ms = self._clock.now_ms()
        tasks = [self._task(f"feed {number}", line.follow()) for number, line in enumerate(self._lines)]
        if self._account_keys:
            tasks.append(self._task("feed catch-up", self._catch_up_when_asked()))
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for task in tasks:
                    if task.done():
                        task.result()
                        raise AssertionError(f"{task.get_name()} ended on its own")
                while self._account:
                    yield self._account.popleft()
                if self._slice_is_due:
                    self._slice_is_due = False
                    for event in self._market.take():
                        yield event
                        while self._account:
                            yield self._account.popleft()
        finally:
            for timer in (self._slice_timer, self._ask_timer):
                if timer is not None:
                    timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _task(self, name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(lambda _: self._wake.set())
        return task

    def _decode(self, raw: str) -> Heard:
        self._decoded_ms = now_ms = self._clock.now_ms()
        heard = decode_frame(raw, self._universe, self._user, now_ms)
        self._watch.look(heard, raw)
        return heard

    # ── what sessions say ────────────────────────────────────────────────────────────────────────

    def resynced(self, keys: tuple[str, ...]) -> None:
        """Take up streams that run (again): the account's have to be asked what they missed."""
        if not self._account_keys.isdisjoint(keys):
            self._asked.set()

    def tell(self, code: str, text: str) -> None:
        """Tell the operator: once of what goes on and on, each time of what happens to a stream."""
        if code in _ONCE:
            if code in self._told:
                return
            self._told.add(code)
        self._alerts.send(code, text)

    def deliver(self, heard: Heard, raw: str, *, is_backlog: bool) -> None:
        """Turn one frame into events."""
        match heard:
            case BboHeard():
                if not self._market.quote(heard, self._decoded_ms):
                    self.tell("venue_time_ahead", f"{heard.coin} is quoted at {heard.venue_ms}: check the clock")
                if self._slice_timer is None:
                    self._expect_slice()
            case CandleHeard():
                if not self._market.candle(heard, self._decoded_ms):
                    self.tell("venue_time_ahead", f"{heard.coin} has a candle of {heard.open_ms}: check the clock")
                if self._slice_timer is None:
                    self._expect_slice()
            case TradesHeard():
                self._note_trades(heard)
            case FillsHeard(fills=fills):
                if self._is_ours(heard.user, "userFills", raw):
                    self._put(fill_events(fills, self._started_ms if is_backlog else 0))
            case FundingsHeard(fundings=fundings):
                if self._is_ours(heard.user, "userFundings", raw):
                    self._put(funding_events(fundings, self._started_ms if is_backlog else 0))
            case LedgerHeard(rows=rows):
                if self._is_ours(heard.user, "userNonFundingLedgerUpdates", raw) and rows and not is_backlog:
                    self._ask_soon()  # money came or went: only the account knows what it has now
            case OrderUpdatesHeard():
                self._take_orders(heard)
            case UserEventsHeard(fills=fills, fundings=fundings):
                self._put(fill_events(fills))
                self._put(funding_events(fundings))
                if any(each.liquidated_user == self._user for each in heard.liquidations):
                    self._alerts.send("liquidated", "the venue has liquidated a position of the account")
                if heard.canceled or heard.liquidations:
                    self._ask_soon()
            case Drifted(channel=channel, problem=problem):
                self.counts.drifted += 1
                self._sentinel.note(channel, raw, problem)
                if channel in ACCOUNT_CHANNELS:
                    self._ask_soon()
            case _:
                pass

    def _take_orders(self, heard: OrderUpdatesHeard) -> None:
        events = []
        for update in heard.updates:
            if update.kind is StatusKind.ASK_AGAIN and update.status != "triggered":
                self._ask_soon()
            event = order_event(update)
            if event is not None:
                events.append(event)
        self._put(events)

    def _note_trades(self, heard: TradesHeard) -> None:
        newest_ms = max((trade.time_ms for trade in heard.trades), default=0)
        if newest_ms <= self._clock.now_ms() + self._settings.ahead_limit_ms:
            self._market.stamp(newest_ms)

    def _is_ours(self, user: str, where: str, raw: str) -> bool:
        if user.lower() == self._user:
            return True
        self.counts.foreign_users += 1
        self._sentinel.note(where, raw, "about another user")
        return False

    def _put(self, events: Sequence[Event]) -> None:
        if events:
            self._account += events
            self.counts.account_events += len(events)
            self.counts.account_waiting_max = max(self.counts.account_waiting_max, len(self._account))
            self._wake.set()

    def _expect_slice(self) -> None:
        if self._slice_timer is None and not self._slice_is_due and not self._market.is_empty:
            loop = asyncio.get_running_loop()
            self._slice_timer = loop.call_later(self._settings.slice_ms / 1000, self._end_slice)

    def _end_slice(self) -> None:
        self._slice_timer = None
        self._slice_is_due = True
        self._wake.set()

    # ── catching up ──────────────────────────────────────────────────────────────────────────────

    async def _catch_up_when_asked(self) -> None:
        """Ask what happened to the account until there is an answer, each time there is a reason to."""
        settings = self._settings
        while True:
            await self._asked.wait()
            wait_ms = settings.catch_up_first_ms
            while True:
                self._asked.clear()
                self._asked_ms = self._clock.monotonic_ms()
                try:
                    events = await self._catch_up()
                except VenueUnavailable as e:
                    self.counts.catch_ups_failed += 1
                    self.tell("account_not_caught_up", f"what happened to the account is not known yet: {e}")
                else:
                    break
                await asyncio.sleep(wait_ms * (1 + self._chance.random() / 2) / 1000)
                wait_ms = min(settings.catch_up_max_ms, 2 * wait_ms)
            self._told.discard("account_not_caught_up")
            self.counts.catch_ups += 1
            self._put(events)

    def _ask_soon(self) -> None:
        """Ask the account for a reason other than a reconnect: not more often than the gap allows."""
        if not self._account_keys or self._asked.is_set():
            return
        wait_ms = self._asked_ms + self._settings.catch_up_gap_ms - self._clock.monotonic_ms()
        if wait_ms <= 0:
            self._asked.set()
        elif self._ask_timer is None:
            self._ask_timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._ask_now)

    def _ask_now(self) -> None:
        self._ask_timer = None
        self._asked.set()


_ONCE = frozenset(("venue_time_ahead", "account_not_caught_up", "frame_refused", "venue_error"))
