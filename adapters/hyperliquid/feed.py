"""Hyperliquid's streams as a `MarketFeed`: a few sessions, each with a socket of its own, and one reader.

    socket ─▶ decode ─▶ WsSession ─▶ account (a queue, nothing is ever dropped) ─┐
                                 └─▶ market slice (the newest wins)             ─┴─▶ events()

What frames mean is the frame desk's to say (`frame_desk`); here is what waits, connects and tells.

Which candle streams run is told in order with the market's own events: none at the start, one when the venue has
acknowledged it, none of a connection once that is lost.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial

from adapters.hyperliquid.account_lane import ACCOUNT_CHANNELS
from adapters.hyperliquid.catching_up import CatchUp
from adapters.hyperliquid.feed_counts import FeedCounts
from adapters.hyperliquid.feed_settings import FeedSettings
from adapters.hyperliquid.frame_desk import FrameDesk
from adapters.hyperliquid.heard import BboHeard, CandleHeard, Drifted, Heard, MidsHeard
from adapters.hyperliquid.key_watch import KeyWatch, Sentinel
from adapters.hyperliquid.line_reports import LineReport, report_of
from adapters.hyperliquid.lines import ConnectTurns, Line
from adapters.hyperliquid.market_lines import MarketLines
from adapters.hyperliquid.market_slice import CandleStream, MarketEvent
from adapters.hyperliquid.session import Phase, WsSession
from adapters.hyperliquid.subscriptions import (
    ALL_MIDS,
    MAX_CONNECTIONS,
    MessageBudget,
    StreamRoom,
    Subscription,
    account_subscriptions,
    check_limits,
    market_subscriptions,
)
from adapters.hyperliquid.transport import SocketTransport
from domain.candles import Interval
from domain.events import Event
from domain.instruments import Universe
from ports.alerts import Alerts
from ports.clock import Clock
from ports.feed_log import FeedLog, NoFeedLog

__all__ = ["FeedSettings", "HyperliquidFeed"]


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
        skew_ms: Callable[[], int] = lambda: 0,
        market_transport: SocketTransport | None = None,
        log: FeedLog | None = None,
    ) -> None:
        """`catch_up` tells what happened to the account since it was asked last; it may raise `VenueUnavailable`.

        `skew_ms` tells how far the venue's time is ahead of `clock`, as far as anybody knows. `market_transport` is for
        the market's connections, where they are read at another pace than the account's. `log` is where everything is
        noted that a replay has to do again.
        """
        self._universe = universe
        self._interval = interval
        self._market_transport = market_transport or transport
        self._clock = clock
        self._settings = settings
        self._sentinel = sentinel
        self._key_watch = KeyWatch(sentinel)
        self._alerts = alerts
        self._chance = chance
        self._skew_ms = skew_ms
        self._user = settings.user.lower() if settings.user else None
        self._budget, self._room = MessageBudget(), StreamRoom()
        self._turns = ConnectTurns(clock, settings.connects_per_minute)
        self._account_streams = account_subscriptions(self._user) if self._user else []
        self._account_lines = [self._line(0, self._account_streams, transport)] if self._account_streams else []
        self._market_lines = MarketLines(
            self._market_line,
            per_connection=settings.subscriptions_per_socket,
            connections_limit=MAX_CONNECTIONS - len(self._account_lines),
            first_number=len(self._account_lines),
        )
        self._desk = FrameDesk(
            universe,
            interval,
            settings.exit_interval,
            settings.ahead_limit_ms,
            self._user,
            log or NoFeedLog(),
            self,
        )
        self._wanted: dict[str, Subscription] = {}
        self._ended_slices: deque[MarketEvent] = deque()
        """What is to be read next of the market. It grows by a slice each time that candle streams stop, no faster."""
        self._wake = asyncio.Event()
        self._slice_is_due = False
        self._slice_timer: asyncio.TimerHandle | None = None
        self._catching_up = CatchUp(
            catch_up,
            self,
            clock,
            chance,
            first_ms=settings.catch_up_first_ms,
            max_ms=settings.catch_up_max_ms,
            gap_ms=settings.catch_up_gap_ms,
        )
        self.counts = FeedCounts(market=self._desk.counts, catch_up=self._catching_up.counts)
        self._account_news: deque[Event] = deque()
        """What nobody has read yet of the account."""
        self._told: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._was_told_whom_to_watch = self._was_read = self._is_running = False
        most = len(universe) if settings.watched is None else min(settings.watched, len(universe))
        most_exits = most if settings.exits_watched is None else min(settings.exits_watched, len(universe))
        self._fitting(universe.symbols[:most], universe.symbols[:most_exits])
        if most == len(universe):
            self.watch(universe.symbols, ())

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
        return self._is_running and all(line.session.phase is Phase.LIVE for line in self._lines)

    def silences(self) -> dict[str, int]:
        """How long (real ms) each running stream has been silent."""
        now_ms = self._clock.monotonic_ms()
        return {key: ms for line in self._lines for key, ms in line.session.silences(now_ms).items()}

    def line_reports(self) -> tuple[LineReport, ...]:
        """How each connection is that has something to carry."""
        now_ms = self._clock.monotonic_ms()
        believed_ms = self._clock.now_ms() + self._settings.ahead_limit_ms
        return tuple(
            report_of(line, now_ms, believed_ms, is_account=line in self._account_lines)
            for line in self._lines
            if line.session.wanted
        )

    @property
    def _lines(self) -> list[Line]:
        """All connections; one's number is its place."""
        return [*self._account_lines, *self._market_lines.lines]

    # ── the port ─────────────────────────────────────────────────────────────────────────────────

    def watch(self, symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
        """As the port says, in the event loop once there is one. Streams that were given up stay so.

        Raises `TooManySubscriptions`, and then changes nothing.
        """
        assert all(each in self._universe for each in (*symbols, *exit_symbols)), "the universe's symbols are watched"
        wanted = self._fitting(symbols, exit_symbols)
        before, self._wanted = self._wanted, {each.key: each for each in wanted}
        self._was_told_whom_to_watch = True
        self._desk.watch(symbols)
        if not self._was_read:
            self._market_lines.lay_out(wanted)
            return
        gone = [each for each in before.values() if each.key not in self._wanted]
        self._end_slice_with(self._desk.stopped(_candle_streams(gone)))
        coming = [each for each in wanted if each.key not in before]
        self._end_slice_with(self._desk.not_running(_candle_streams(coming)))
        new = self._market_lines.change(wanted)
        if self._is_running:
            self._tasks += [self._follow(line) for line in new]

    async def events(self) -> AsyncGenerator[Event, None]:
        """Account news first, then the market's slice. A reader that is slow gets fewer, newer quotes and candles.

        Connections live as long as the iterator: a reader that waits elsewhere between two events, or stops
        before it is cancelled, closes it (`contextlib.aclosing`).
        """
        assert not self._was_read, "a feed is read once"
        if not self._was_told_whom_to_watch:
            self.watch(self._universe.symbols, ())
        self._was_read = self._is_running = True
        self._desk.begin(self._clock.now_ms())
        self._end_slice_with(self._desk.not_running(_candle_streams(self._wanted.values())))
        self._tasks += [self._follow(line) for line in self._lines]
        if self._account_lines:
            self._tasks.append(self._task("feed catch-up", self._catching_up.follow()))
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for task in self._tasks:
                    if task.done():
                        task.result()
                        raise AssertionError(f"{task.get_name()} ended on its own")
                if self._slice_is_due:
                    self._slice_is_due = False
                    self._ended_slices += self._desk.take()
                while self._account_news or self._ended_slices:
                    yield self._account_news.popleft() if self._account_news else self._ended_slices.popleft()
        finally:
            self._is_running = False
            self._desk.end()
            if self._slice_timer is not None:
                self._slice_timer.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # ── what a watchdog may do ───────────────────────────────────────────────────────────────────

    def resubscribe(self, symbols: Sequence[str]) -> None:
        """Ask for these symbols' streams anew, where they run: end them, and once that is answered begin again."""
        chosen = set(symbols)
        self._market_lines.renew([key for key, each in self._wanted.items() if each.coin in chosen])

    def reconnect(self, number: int, why: str) -> None:
        """End this connection, if there is one, to be followed by another as after any loss."""
        self._lines[number].reconnect(why)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _fitting(self, symbols: Sequence[str], exit_symbols: Sequence[str]) -> list[Subscription]:
        """The market's streams for these symbols. Raises `TooManySubscriptions`."""
        settings = self._settings
        market = market_subscriptions(
            list(dict.fromkeys(symbols)),
            self._interval,
            bbo=settings.bbo,
            candle=settings.candle,
            trades=settings.trades,
            exit_symbols=list(dict.fromkeys(exit_symbols)),
            exit_interval=settings.exit_interval,
        )
        check_limits(self._account_streams, market, settings.subscriptions_per_socket)
        return market

    def _market_line(self, number: int, subscriptions: Sequence[Subscription]) -> Line:
        return self._line(number, subscriptions, self._market_transport)

    def _line(self, number: int, subscriptions: Sequence[Subscription], transport: SocketTransport) -> Line:
        session = WsSession(subscriptions, self._settings.rules, self._chance, self._budget, self._room)
        decode = partial(self._decode, number)
        return Line(number, session, transport, self._turns, self._clock, decode, self)

    def _follow(self, line: Line) -> asyncio.Task[None]:
        return self._task(f"feed {line.number}", line.follow())

    def _task(self, name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(lambda _: self._wake.set())
        return task

    def _decode(self, line: int, raw: str) -> Heard:
        heard = self._desk.decode(line, raw, self._clock.now_ms())
        self._key_watch.look(heard, raw)
        return heard

    # ── what sessions say ────────────────────────────────────────────────────────────────────────

    def resynced(self, keys: tuple[str, ...]) -> None:
        """Take up streams that run (again): the account has to be asked what its own missed."""
        if any(each.key in keys for each in self._account_streams):
            self._catching_up.ask_now()
        running = [self._wanted[key] for key in keys if key in self._wanted]
        self._desk.started(_candle_streams(running))
        if any(each.kind == ALL_MIDS for each in running):
            self._desk.mids_began()
        self._expect_slice()

    def stopped(self, keys: tuple[str, ...], silent_ms: int) -> None:
        """Note that these streams run no longer. Of those that are not wanted any more it was told already."""
        ended = [self._wanted[key] for key in keys if key in self._wanted]
        in_market_ms = round(silent_ms * self._settings.pace)
        self._end_slice_with(self._desk.stopped(_candle_streams(ended), in_market_ms))

    def opened(self, line: int) -> None:
        self.counts.connections_opened += 1
        self._desk.note_line(line, "opened")

    def lost(self, line: int, why: str) -> None:
        self.counts.connections_lost += 1
        self._desk.note_line(line, "lost", why)

    def tell(self, code: str, text: str) -> None:
        """Tell the operator: once of what goes on and on, each time of what happens to a stream."""
        if code in _ONCE:
            if code in self._told:
                return
            self._told.add(code)
        self._alerts.send(code, text)

    def deliver(self, heard: Heard, raw: str, *, is_backlog: bool) -> None:
        """Let the frame that was decoded a moment ago count."""
        match heard:
            case BboHeard() | CandleHeard():
                self._desk.deliver(is_backlog=is_backlog)
                if self._slice_timer is None:
                    self._expect_slice()
            case MidsHeard():
                self._desk.set_skew(self._skew_ms())
                self._desk.deliver(is_backlog=is_backlog)
                self._expect_slice()
            case _:
                self._put_account(self._desk.deliver(is_backlog=is_backlog))

    # ── what the desk says ───────────────────────────────────────────────────────────────────────

    def ask_soon(self) -> None:
        self._catching_up.ask_soon()

    def foreign(self, where: str, raw: str) -> None:
        self.counts.foreign_users += 1
        self._sentinel.note(where, raw, "about another user")

    def drifted(self, heard: Drifted, raw: str) -> None:
        self.counts.drifted += 1
        self._sentinel.note(heard.channel, raw, heard.problem)
        if heard.channel in ACCOUNT_CHANNELS:
            self._catching_up.ask_soon()

    # ── what catching up says ────────────────────────────────────────────────────────────────────

    def caught_up(self, events: Sequence[Event]) -> None:
        self._told.discard("account_not_caught_up")
        self._put_account(events)

    def not_caught_up(self, why: str) -> None:
        self.tell("account_not_caught_up", f"what happened to the account is not known yet: {why}")

    def _put_account(self, events: Sequence[Event]) -> None:
        if events:
            self._account_news += events
            self.counts.account_events += len(events)
            self.counts.account_waiting_max = max(self.counts.account_waiting_max, len(self._account_news))
            self._wake.set()

    # ── slices ───────────────────────────────────────────────────────────────────────────────────

    def _expect_slice(self) -> None:
        if self._slice_timer is None and not self._slice_is_due and not self._desk.is_empty:
            loop = asyncio.get_running_loop()
            self._slice_timer = loop.call_later(self._settings.slice_ms / 1000, self._end_slice)

    def _end_slice(self) -> None:
        self._slice_timer = None
        self._slice_is_due = True
        self._wake.set()

    def _end_slice_with(self, events: Sequence[MarketEvent]) -> None:
        """Tell these at once, and before anything that is collected later."""
        if events:
            self._ended_slices += events
            self._wake.set()


def _candle_streams(subscriptions: Iterable[Subscription]) -> list[CandleStream]:
    """Those among them that are streams of candles."""
    return [(each.coin, each.interval) for each in subscriptions if each.interval is not None]


_ONCE = frozenset(("venue_time_ahead", "account_not_caught_up", "frame_refused", "venue_error"))
