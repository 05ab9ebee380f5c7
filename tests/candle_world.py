"""A venue's candles with a feed that cannot be trusted, around the real engine, sources, store and audit.

The truth is a function of the seed: who trades when, at what price. The feed tells it in frames, and drops, doubles,
delays, stalls, disconnects and lies as it is told to. Time jumps; nothing here waits.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from itertools import count

import numpy as np

from adapters.sim.memory_ledger import MemoryDecisionLog, MemoryLedger
from application.candle_audit import CandleAudit
from application.candle_sources import CandleSources
from application.committer import Committer
from application.effect_runner import EffectRunner
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.fetch_queue import FetchQueue
from application.inbox import Inbox
from domain.candles import BoolColumn, CandleBatch, CandleWindow, Interval
from domain.events import AccountSnapshot, CandleStreams, CandleUpdates, Event, Quotes, Recovered, TimerFired
from domain.facts import CandlesSkipped
from domain.instruments import Universe
from domain.intents import OrderRequest
from domain.orders import Rejected, RejectReason, SubmitOutcome
from domain.signals import Analyses
from entrypoints.simulation.jumping_time import InlineExecutor, LoopClock
from ports.candle_history import CandleHistory, CandleStore, HistoryUnavailable
from tests.engine_builders import ScriptedStrategy, manager_of
from tests.quiet_account import QuietAccount, ask_nobody

GRACE_MS = 1_000
Numbers = tuple[float, float, float, float, float]


# ── the truth ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Print:
    at_ms: int
    price: float
    size: float


class Truth:
    """What really happened: `quiet` says, by symbol, in which share of spans nobody trades."""

    def __init__(self, seed: int, interval: Interval, quiet: Mapping[str, float]) -> None:
        self.seed = seed
        self.interval = interval
        self.quiet = dict(quiet)
        self.prints = lru_cache(maxsize=50_000)(self._prints)
        self.close = lru_cache(maxsize=50_000)(self._close)

    def bar(self, symbol: str, open_ms: int, until_ms: int | None = None) -> Numbers | None:
        """The candle as it stood at `until_ms` (None: at its end); None where nobody had traded."""
        done = [each for each in self.prints(symbol, open_ms) if until_ms is None or each.at_ms <= until_ms]
        if not done:
            return None
        prices = [each.price for each in done]
        return prices[0], max(prices), min(prices), prices[-1], round(sum(each.size for each in done), 6)

    def final(self, symbol: str, open_ms: int) -> Numbers:
        """The candle as the venue's history shows it: flat where nobody traded."""
        bar = self.bar(symbol, open_ms)
        if bar is not None:
            return bar
        close = self.close(symbol, open_ms - self.interval.ms)
        return close, close, close, close, 0.0

    def window(self, symbol: str, start_ms: int, end_ms: int) -> CandleWindow:
        times = np.arange(start_ms, end_ms, self.interval.ms, dtype=np.int64)
        bars = np.array([self.final(symbol, open_ms) for open_ms in times.tolist()]).reshape(len(times), 5)
        return CandleWindow(symbol, self.interval, times, *bars.T.copy())

    def _prints(self, symbol: str, open_ms: int) -> tuple[Print, ...]:
        chance = random.Random(f"{self.seed} {symbol} {open_ms}")
        if chance.random() < self.quiet[symbol]:
            return ()
        offsets = sorted(chance.randrange(self.interval.ms) for _ in range(chance.randint(1, 3)))
        level = 100.0 + 10.0 * np.sin(open_ms / self.interval.ms / 40 + len(symbol))
        return tuple(
            Print(open_ms + offset, round(float(level) * (1 + chance.gauss(0, 0.002)), 4), chance.randint(1, 9) / 10)
            for offset in offsets
        )

    def _close(self, symbol: str, open_ms: int) -> float:
        for back in range(400):
            prints = self.prints(symbol, open_ms - back * self.interval.ms)
            if prints:
                return prints[-1].price
        return 100.0


# ── a feed that cannot be trusted ────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of frames, and how many times a day the rest happens."""

    dropped: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    delay_ms: int = 800
    lies: float = 0.0
    disconnects: float = 0.0
    stalls: float = 0.0
    dead_streams: float = 0.0


STALL_SEEN_MS = 8_000
"""After so long the feed itself gives a silent connection up."""
DEAD_STREAM_SEEN_MS = 60_000


@dataclass(slots=True)
class Arrival:
    at_ms: int
    event: Event


class Chaos:
    """All frames of a stretch of time in the order of their arrival."""

    def __init__(self, truth: Truth, universe: Universe, faults: Faults, seed: int) -> None:
        self._truth = truth
        self._universe = universe
        self._faults = faults
        self._chance = random.Random(f"chaos {seed}")
        self._order = count()
        self._heap: list[tuple[int, int, Event]] = []
        self.done: dict[str, int] = dict.fromkeys(("dropped", "doubled", "delayed", "lies"), 0)
        self._silent: list[tuple[int, int, frozenset[str]]] = []

    def arrivals(self, start_ms: int, end_ms: int, calm_ms: int) -> list[Arrival]:
        """Frames of [start, end + calm); faults happen before `end_ms` only."""
        self._break(start_ms, end_ms)
        interval = self._truth.interval
        for open_ms in range(interval.open_of(start_ms), end_ms + calm_ms, interval.ms):
            for symbol in self._universe.symbols:
                for each in self._truth.prints(symbol, open_ms):
                    if each.at_ms >= start_ms:
                        self._tell(symbol, open_ms, each.at_ms, faulty=each.at_ms < end_ms)
        for at_ms in range(start_ms, end_ms + calm_ms, 30_000):
            if not self._is_silent(at_ms, self._universe.symbols[0]):
                self._put(at_ms + 40, self._quotes(at_ms))
        return [Arrival(at_ms, event) for at_ms, _, event in sorted(self._heap, key=lambda row: row[:2])]

    def _tell(self, symbol: str, open_ms: int, at_ms: int, *, faulty: bool) -> None:
        chance, faults = self._chance, self._faults
        if self._is_silent(at_ms, symbol):
            return
        bar = self._truth.bar(symbol, open_ms, at_ms)
        assert bar is not None
        arrives_ms = at_ms + chance.randint(20, 120)
        if faulty:
            if chance.random() < faults.dropped:
                self.done["dropped"] += 1
                return
            if chance.random() < faults.lies:
                self.done["lies"] += 1
                bar = (bar[0], bar[1] * 1.1, bar[2], bar[3] * 1.05, bar[4])
            if chance.random() < faults.delayed:
                self.done["delayed"] += 1
                arrives_ms += chance.randint(1, faults.delay_ms)
            if chance.random() < faults.doubled:
                self.done["doubled"] += 1
                self._put(arrives_ms + chance.randint(1, 20_000), self._update(symbol, open_ms, bar, at_ms))
        self._put(arrives_ms, self._update(symbol, open_ms, bar, at_ms))

    def _break(self, start_ms: int, end_ms: int) -> None:
        days = (end_ms - start_ms) / 86_400_000
        everybody = self._universe.symbols
        for kind, a_day in (("disconnect", self._faults.disconnects), ("stall", self._faults.stalls)):
            for _ in range(round(a_day * days)):
                since_ms = self._chance.randrange(start_ms, end_ms - 600_000)
                seen_ms = since_ms + (STALL_SEEN_MS if kind == "stall" else 0)
                back_ms = seen_ms + self._chance.choice((1_500, 5_000, 40_000, 400_000))
                self._go_silent(kind, everybody, since_ms, seen_ms, back_ms)
        for _ in range(round(self._faults.dead_streams * days)):
            since_ms = self._chance.randrange(start_ms, end_ms - 600_000)
            seen_ms = since_ms + DEAD_STREAM_SEEN_MS
            self._go_silent("dead stream", (self._chance.choice(everybody),), since_ms, seen_ms, seen_ms + 500)

    def _go_silent(self, kind: str, symbols: Sequence[str], since_ms: int, seen_ms: int, back_ms: int) -> None:
        """Nobody hears these symbols in [since, back), and it is known from `seen_ms` on. One break at a time."""
        if any(since <= back_ms + 2_000 and until + 2_000 >= since_ms for since, until, _ in self._silent):
            return
        self.done[kind] = self.done.get(kind, 0) + 1
        self._silent.append((since_ms, back_ms, frozenset(symbols)))
        ids = np.array(sorted(self._universe.id_of(symbol) for symbol in symbols), dtype=np.intp)
        interval = self._truth.interval
        self._put(seen_ms, CandleStreams(ids, interval, False, silent_ms=seen_ms - since_ms))
        self._put(back_ms, CandleStreams(ids, interval, True))
        for symbol in symbols:  # after an acknowledgement the venue tells the running candle, where there is one
            open_ms = interval.open_of(back_ms)
            bar = self._truth.bar(symbol, open_ms, back_ms)
            if bar is not None:
                self._put(back_ms + 200, self._update(symbol, open_ms, bar, back_ms))

    def _is_silent(self, at_ms: int, symbol: str) -> bool:
        return any(since <= at_ms < until and symbol in symbols for since, until, symbols in self._silent)

    def _update(self, symbol: str, open_ms: int, bar: Numbers, venue_ms: int) -> CandleUpdates:
        row = (np.array([value]) for value in bar)
        ids = np.array([self._universe.id_of(symbol)], dtype=np.intp)
        return CandleUpdates(CandleBatch(self._truth.interval, open_ms, ids, *row), venue_ms)

    def _quotes(self, at_ms: int) -> Quotes:
        ids = np.arange(len(self._universe), dtype=np.intp)
        prices = np.full(len(ids), 100.0)
        return Quotes(at_ms, ids, prices, prices)

    def _put(self, at_ms: int, event: Event) -> None:
        heapq.heappush(self._heap, (at_ms, next(self._order), event))


# ── the daemon's middle around it ────────────────────────────────────────────────────────────


class WatchingStrategy(ScriptedStrategy):
    """Notes every candle it was asked about, as it saw it, and when."""

    def __init__(self, universe: Universe, now_ms: Callable[[], int]) -> None:
        super().__init__(universe)
        self._now_ms = now_ms
        self.seen: list[tuple[int, str, int, Numbers]] = []

    def advance(self, batch: CandleBatch, decide: BoolColumn, btc_bullish: bool | None) -> Analyses:
        now_ms = self._now_ms()
        columns = zip(batch.open, batch.high, batch.low, batch.close, batch.volume, strict=True)
        for symbol_id, wanted, bar in zip(batch.ids.tolist(), decide.tolist(), columns, strict=True):
            if wanted:
                numbers = tuple(float(value) for value in bar)
                self.seen.append((now_ms, self._universe.symbols[symbol_id], batch.open_ms, numbers))  # type: ignore[arg-type]
        return super().advance(batch, decide, btc_bullish)


class TruthfulHistory:
    """The venue's REST: says the truth, after a while, or not at all."""

    def __init__(self, truth: Truth, clock: LoopClock, seed: int, failing: float = 0.0, settle_ms: int = 2_000) -> None:
        self._truth = truth
        self._clock = clock
        self._chance = random.Random(f"history {seed}")
        self._failing = failing
        self._settle_ms = settle_ms
        self.questions = 0

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        self.questions += 1
        await self._clock.sleep_until(end_ms + self._settle_ms)
        await asyncio.sleep(self._chance.uniform(0.05, 0.4))
        if self._chance.random() < self._failing:
            raise HistoryUnavailable("the venue does not say")
        return self._truth.window(symbol, start_ms, min(end_ms, interval.open_of(self._clock.now_ms())))


class NoOrders:
    async def submit(self, request: OrderRequest) -> SubmitOutcome:
        return Rejected(RejectReason.OTHER, "nobody trades here")

    async def cancel(self, symbol: str, cloid: str) -> None: ...

    async def cancel_foreign(self, symbol: str, oid: int) -> None: ...

    async def burn(self, nonce: int) -> bool:
        return True


@dataclass(slots=True)
class Told:
    alerts: list[tuple[str, str]] = field(default_factory=list)

    def send(self, code: str, text: str) -> None:
        self.alerts.append((code, text))

    def count(self, code: str) -> int:
        return sum(1 for each, _ in self.alerts if each == code)


class Middle:
    """Inbox, engine, committer, effects, sources and audit, put together as the supervisor does."""

    def __init__(
        self,
        universe: Universe,
        interval: Interval,
        clock: LoopClock,
        history: CandleHistory,
        store: CandleStore,
        *,
        streamed: bool = True,
        timer_s: float = 4.0,
        ledger: MemoryLedger | None = None,
    ) -> None:
        """`ledger`: that of an earlier session, whose end was no clean one."""
        self.universe = universe
        self.clock = clock
        self.told = Told()
        self.ledger = ledger or MemoryLedger()
        self.decisions = MemoryDecisionLog(keep_rows=10)
        self.skipped: list[CandlesSkipped] = []
        self.strategy = WatchingStrategy(universe, clock.now_ms)
        settings = EngineSettings("account", interval, candle_close_grace_ms=GRACE_MS, candles_streamed=streamed)
        self.engine = UnifiedEngine(settings, universe, self.strategy, manager_of())
        self.inbox = Inbox()
        self.committer = Committer(self.ledger, self.decisions, store, InlineExecutor())
        self.sources = CandleSources(self.committer, history, clock)
        self.fetches = FetchQueue()
        self.runner = EffectRunner(
            NoOrders(),
            QuietAccount(),
            ask_nobody,
            self.sources,
            self.fetches,
            lambda symbols, exit_symbols: None,
            self.committer,
            self.told,
            clock,
            None,
            self.inbox.put,
        )
        self.audit = CandleAudit(
            self.sources, clock, self.told, interval, lambda: self.engine.market.watched, lambda: len(self.fetches) > 0
        )
        self._timer_s = timer_s
        self._seq = 0
        self._steps = 0

    async def run(self, arrivals: Sequence[Arrival], until_ms: int) -> None:
        """Live through the arrivals, in their time, to the end."""
        start = self.clock.now_ms()
        for event in (Recovered(self.ledger.load(), ""), AccountSnapshot(Decimal(10_000), (), start)):
            self.inbox.put(event)
        async with asyncio.TaskGroup() as tasks:
            work = [
                self._take(tasks),
                self._time(),
                self._hear(arrivals),
                self.runner.fetch_history(),
                self.runner.store_candles(),
                self.audit.keep(self.inbox.put),
            ]
            running = [tasks.create_task(each) for each in work]
            await self.clock.sleep_until(until_ms)
            for task in running:
                task.cancel()

    async def _hear(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            if arrival.at_ms > self.clock.now_ms():
                await self.clock.sleep_until(arrival.at_ms)
            self.inbox.put(arrival.event)
        await asyncio.Event().wait()

    async def _time(self) -> None:
        while True:
            await asyncio.sleep(self._timer_s)
            self.inbox.put(TimerFired())

    async def _take(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            event = self.inbox.take()
            if event is None:
                await self.inbox.wait()
                continue
            self._seq += 1
            step = self.engine.handle(self._seq, self.clock.now_ms(), event)
            self.skipped += [fact for fact in step.facts if isinstance(fact, CandlesSkipped)]
            await self.committer.commit(step.facts)
            self.runner.run(step.effects, tasks)
