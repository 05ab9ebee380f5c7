"""The daemon's loop with ports of our own: nothing leaves before it is written, and nothing dies in silence."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from adapters.clocks import ManualClock
from adapters.sim.memory_ledger import MemoryLedger
from application.candle_sources import CandleSources
from application.committer import Committer
from application.effect_runner import HISTORY_AGAIN_S, HISTORY_PATIENCE, EffectRunner
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.fetch_queue import FetchQueue
from application.step import Step
from application.supervisor import STOP_DEADLINE_S, Companion, Supervisor
from domain.candles import CandleBatch, CandleWindow, Interval, empty_window
from domain.config_events import OverridesText
from domain.events import AccountSnapshot, Event, FillArrived, OrderCanceled
from domain.facts import (
    CandlesSkipped,
    ConfigTaken,
    DecisionsRecorded,
    FillRecorded,
    IntentRecorded,
    LedgerFact,
    OrderChanged,
)
from domain.fills import Fill
from domain.intents import OrderRequest
from domain.orders import Accepted, OrderStatus, Rejected, RejectReason, SubmitOutcome, Unknown
from domain.verdicts import Verdict
from ports.candle_history import CandleRevision, HistoryUnavailable
from ports.ledger import StorageError
from ports.order_gateway import VenueUnavailable
from tests.engine_builders import (
    BUY,
    EASY_ENTRIES,
    MINUTE_MS,
    START_MS,
    Opinion,
    ScriptedStrategy,
    flat_bar,
    manager_of,
    overrides_text,
    quotes_of,
    universe_of,
    updates_of,
    window_of,
)
from tests.quiet_account import QuietAccount, ask_nobody

PATIENCE_S = 20.0

# ── time that passes fast ────────────────────────────────────────────────────────────────────

HASTE = 100


class HastySelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / HASTE)


class HastyLoop(asyncio.SelectorEventLoop):
    """A loop whose seconds are hundredths: waits that are real elsewhere do not hold up a test."""

    def __init__(self) -> None:
        super().__init__(HastySelector())

    def time(self) -> float:
        return super().time() * HASTE


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def with_patience() -> None:
        await asyncio.wait_for(test(), PATIENCE_S * HASTE)

    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        runner.run(with_patience())


# ── ports of our own ─────────────────────────────────────────────────────────────────────────


class GatedLedger(MemoryLedger):
    """A ledger whose disk can stall, and break."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.breaks_on: type[LedgerFact] | None = None

    def commit(self, facts: Sequence[LedgerFact]) -> None:
        self.waiting.set()
        assert self.gate.wait(PATIENCE_S), "the test forgot the gate"
        if self.breaks_on is not None and any(isinstance(fact, self.breaks_on) for fact in facts):
            raise StorageError("the disk is full")
        super().commit(facts)

    def statuses(self) -> dict[str, OrderStatus]:
        """The newest durable status of every order, by cloid."""
        orders = [fact.order for fact in self.facts if isinstance(fact, (IntentRecorded, OrderChanged))]
        return {order.request.cloid: order.status for order in orders}

    def reasons(self) -> list[str]:
        return [fact.order.reason for fact in self.facts if isinstance(fact, OrderChanged)]


class CheckedGateway:
    """A venue that looks into the ledger at the moment in which an order's first byte arrives."""

    def __init__(self, ledger: GatedLedger) -> None:
        self._ledger = ledger
        self.sent: list[OrderRequest] = []
        self.cancelled: list[str] = []
        self.answer: Callable[[OrderRequest], Awaitable[SubmitOutcome]] = self.accepted
        self.unavailable = 0

    async def accepted(self, request: OrderRequest) -> SubmitOutcome:
        return Accepted(len(self.sent))

    async def submit(self, request: OrderRequest) -> SubmitOutcome:
        durable = {
            fact.order.request for fact in self._ledger.facts if isinstance(fact, (IntentRecorded, OrderChanged))
        }
        assert request in durable, "an order arrived before its attempt was durable"
        assert request.cloid not in [each.cloid for each in self.sent], "an attempt was sent twice"
        if self.unavailable:
            self.unavailable -= 1
            raise VenueUnavailable("no route to the venue")
        self.sent.append(request)
        return await self.answer(request)

    async def cancel_foreign(self, symbol: str, oid: int) -> None: ...

    async def burn(self, nonce: int) -> bool:
        raise AssertionError("nothing is signed here")

    async def cancel(self, symbol: str, cloid: str) -> None:
        if self.unavailable:
            self.unavailable -= 1
            raise VenueUnavailable("no route to the venue")
        self.cancelled.append(cloid)


class ManualFeed:
    """A stream that says what a test puts in; an exception ends it, and so does None."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self.watched: list[tuple[str, ...]] = []

    def watch(self, symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
        self.watched.append(tuple(symbols))

    def put(self, event: Event | Exception | None) -> None:
        self._events.put_nowait(event)

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event


class CalmHistory:
    """Every symbol stood at 100 for ever; some cannot be asked about."""

    def __init__(self) -> None:
        self.unavailable: set[str] = set()
        self.asked: list[str] = []

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        self.asked.append(symbol)
        if symbol in self.unavailable:
            raise HistoryUnavailable("the venue does not say")
        count = (end_ms - start_ms) // interval.ms
        return window_of(symbol, end_ms - interval.ms, [100.0] * count, interval)


class Lists(QuietAccount):
    """The other ports: they keep what they are given."""

    def __init__(self) -> None:
        super().__init__(at_ms=START_MS)
        self.decisions: list[DecisionsRecorded] = []
        self.candles: list[CandleBatch] = []
        self.skipped: list[CandlesSkipped] = []
        self.alerts: list[tuple[str, str]] = []
        self.looks: list[OverridesText] = []
        self.recovered: list[Event] = []
        self.live_cloids: list[str] = []
        self.fills_since_ms = -1
        self.full = False

    def append(self, decisions: Sequence[DecisionsRecorded]) -> None:
        if self.full:
            raise StorageError("no room for decisions")
        self.decisions += decisions

    def write(self, batches: Sequence[CandleBatch]) -> None:
        self.candles += batches

    def note_skipped(self, skipped: Sequence[CandlesSkipped]) -> None:
        self.skipped += skipped

    def confirm(self, window: CandleWindow, at_ms: int) -> tuple[CandleRevision, ...]:
        return ()

    def read(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        return empty_window(symbol, interval)

    read_confirmed = read

    def close(self) -> None: ...

    def send(self, code: str, text: str) -> None:
        self.alerts.append((code, text))

    def poll(self, seen_ms: int) -> OverridesText | None:
        return self.looks.pop(0) if self.looks else None

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        self.live_cloids += live_cloids
        self.fills_since_ms = fills_since_ms
        return [*self.recovered, AccountSnapshot(Decimal(10_000), (), START_MS)]


class Daemon:
    """A supervisor in a world that a test moves."""

    def __init__(
        self,
        *symbols: str,
        ledger: GatedLedger | None = None,
        start: int = 0,
        companions: Mapping[str, Companion] | None = None,
    ) -> None:
        self.started = start
        self.universe = universe_of(*(symbols or ("BTC",)))
        self.strategy = ScriptedStrategy(self.universe)
        settings = EngineSettings("account", Interval.M1, candle_close_grace_ms=1_000)
        self.engine = UnifiedEngine(settings, self.universe, self.strategy, manager_of())
        self.clock = ManualClock(candle(start) + 1_500)
        self.ledger = ledger or GatedLedger()
        self.gateway = CheckedGateway(self.ledger)
        self.feed = ManualFeed()
        self.history = CalmHistory()
        self.lists = Lists()
        self.steps: list[Step] = []
        self.heartbeats = 0
        self.committer = Committer(self.ledger, self.lists, self.lists)
        self.sources = CandleSources(self.committer, self.history, self.clock)
        self.supervisor = Supervisor(
            engine=self.engine,
            clock=self.clock,
            feed=self.feed,
            account=self.lists,
            ledger=self.ledger,
            committer=self.committer,
            make_runner=lambda put: EffectRunner(
                self.gateway,
                self.lists,
                ask_nobody,
                self.sources,
                FetchQueue(),
                self.feed.watch,
                self.committer,
                self.lists,
                self.clock,
                None,
                put,
            ),
            overrides=self.lists,
            on_step=self.steps.append,
            on_heartbeat=self._beat,
            heartbeat_s=1.0,
            companions=companions,
        )
        self.stop = asyncio.Event()
        self._others = asyncio.all_tasks()
        self._running: asyncio.Task[None] | None = None

    def _beat(self) -> None:
        self.heartbeats += 1

    def decided(self, number: int) -> set[str]:
        """Symbols that were decided on at this candle."""
        return {
            symbol for record in self.lists.decisions if record.open_ms == candle(number) for symbol in record.symbols
        }

    async def start(self) -> asyncio.Task[None]:
        """Run, and come back once the first candle was decided on."""
        running = self._running = asyncio.create_task(self.supervisor.run(self.stop))
        self.feed.put(quotes_of(self.clock.now_ms(), self._quotes(100.0)))
        warm = set(self.universe.symbols) - self.history.unavailable
        await self.until(lambda: self.decided(self.started - 1) >= warm or running.done())
        return running

    async def until(self, reached: Callable[[], bool]) -> None:
        """Look again and again; a daemon that has stopped meanwhile is no longer waited for."""
        while not reached():
            if self._running is not None and self._running.done():
                self._running.result()
            await asyncio.sleep(0.01)

    async def close_candle(self, number: int, price: float = 100.0) -> None:
        """Tell the candle and a price, then what time it is."""
        bars = {symbol_id: flat_bar(price) for symbol_id in range(len(self.universe))}
        shortly_before_ms = candle(number + 1) + 900
        self.feed.put(updates_of(candle(number), bars, candle(number) + 59_000))
        await self.clock.advance_to(shortly_before_ms)
        self.feed.put(quotes_of(shortly_before_ms, self._quotes(price)))
        await self.until(lambda: self.engine.hub.venue_ms(0) == shortly_before_ms)
        await self.clock.advance_to(candle(number + 1) + 1_000)
        self.feed.put(quotes_of(self.clock.now_ms(), self._quotes(price)))

    def _quotes(self, price: float) -> dict[int, tuple[float, float]]:
        return dict.fromkeys(range(len(self.universe)), (price, price))

    def fill(self, request: OrderRequest, tid: int, price: str = "100") -> None:
        held, now_ms = self.engine.portfolio.position(request.symbol).size, self.clock.now_ms()
        symbol, side, fee = request.symbol, request.side, Decimal("0.01")
        fill = Fill(symbol, side, Decimal(price), request.size, now_ms, tid, tid, request.cloid, fee, held)
        self.feed.put(FillArrived(fill))

    async def end(self, running: asyncio.Task[None]) -> None:
        self.stop.set()
        await running
        self.committer.close()
        assert asyncio.all_tasks() == self._others, "a task was left behind"

    async def failure(self, running: asyncio.Task[None]) -> BaseException:
        """What stopped the daemon: the one error inside the groups."""
        with pytest.raises(BaseExceptionGroup) as caught:
            await running
        self.committer.close()
        error: BaseException = caught.value
        while isinstance(error, BaseExceptionGroup):
            assert len(error.exceptions) == 1
            error = error.exceptions[0]
        return error


def candle(number: int) -> int:
    return START_MS + number * MINUTE_MS


# ── write, then send ─────────────────────────────────────────────────────────────────────────


def test_a_daemon_recovers_decides_writes_and_sends() -> None:
    async def test() -> None:
        daemon = Daemon("BTC", "ETH")
        daemon.strategy.script[("BTC", candle(0))] = BUY
        running = await daemon.start()
        await daemon.close_candle(0)
        await daemon.until(lambda: len(daemon.gateway.sent) == 1)
        daemon.fill(daemon.gateway.sent[0], tid=1)
        await daemon.until(lambda: len(daemon.gateway.sent) == 3)
        await daemon.until(lambda: list(daemon.ledger.statuses().values()).count(OrderStatus.OPEN) == 2)
        await daemon.end(running)
        assert [record.open_ms for record in daemon.lists.decisions] == [candle(-1), candle(-1), candle(0)]
        assert [batch.open_ms for batch in daemon.lists.candles] == [candle(-1), candle(-1), candle(0)]
        state = daemon.ledger.load()
        assert [position.symbol for position in state.positions] == ["BTC"] and len(state.live_orders) == 2
        assert [step.seq for step in daemon.steps] == sorted({step.seq for step in daemon.steps})

    run(test)


def test_nothing_leaves_while_the_disk_stalls() -> None:
    async def test() -> None:
        daemon = Daemon("BTC", "ETH")
        daemon.strategy.script |= {("BTC", candle(0)): BUY, ("ETH", candle(0)): BUY}
        running = await daemon.start()
        daemon.ledger.gate.clear()
        daemon.ledger.waiting.clear()
        await daemon.close_candle(0)
        await daemon.until(daemon.ledger.waiting.is_set)
        for _ in range(50):
            await asyncio.sleep(0.05)
        assert daemon.gateway.sent == [] and daemon.heartbeats > 0, "the loop lives, and nothing has left"
        daemon.ledger.gate.set()
        await daemon.until(lambda: len(daemon.gateway.sent) == 2)
        assert [request.symbol for request in daemon.gateway.sent] == ["BTC", "ETH"], "in the order of the decisions"
        await daemon.end(running)

    run(test)


def test_an_entry_whose_deadline_passed_while_the_disk_stalled_does_not_leave() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.strategy.script[("BTC", candle(0))] = BUY
        running = await daemon.start()
        daemon.ledger.gate.clear()
        daemon.ledger.waiting.clear()
        await daemon.close_candle(0)
        await daemon.until(daemon.ledger.waiting.is_set)
        await daemon.clock.advance_to(candle(1) + 6_001)
        daemon.ledger.gate.set()
        await daemon.until(lambda: OrderStatus.REJECTED in daemon.ledger.statuses().values())
        await daemon.end(running)
        assert daemon.gateway.sent == []
        assert any("deadline" in reason for reason in daemon.ledger.reasons())

    run(test)


@pytest.mark.parametrize(("stopping", "why"), [(True, "stopping"), (False, "deadline")])
def test_another_attempt_leaves_no_later_than_the_first_might(stopping: bool, why: str) -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.strategy.script[("BTC", candle(0))] = BUY

        async def nobody(request: OrderRequest) -> SubmitOutcome:
            return Rejected(RejectReason.NO_IMMEDIATE_MATCH, "could not match")

        daemon.gateway.answer = nobody
        running = await daemon.start()
        await daemon.close_candle(0)
        await daemon.until(lambda: list(daemon.ledger.statuses().values()) == [OrderStatus.REJECTED])
        daemon.ledger.gate.clear()
        daemon.ledger.waiting.clear()
        if stopping:  # on a disk that stalls, with a price in the inbox that asks for another attempt
            daemon.feed.put(AccountSnapshot(Decimal(9_999), (), daemon.clock.now_ms(), fills_since_ms=0))
            await daemon.until(daemon.ledger.waiting.is_set)
            daemon.stop.set()
            await asyncio.sleep(0.05)
        await daemon.clock.advance_to(candle(1) + 3_000)
        daemon.supervisor.inbox.put(quotes_of(candle(1) + 3_000, {0: (100.0, 100.0)}))
        await daemon.until(daemon.ledger.waiting.is_set)
        if not stopping:
            await daemon.clock.advance_to(candle(1) + 6_001)
        daemon.ledger.gate.set()
        await daemon.until(lambda: any(why in reason for reason in daemon.ledger.reasons()))
        await daemon.end(running)
        assert list(daemon.ledger.statuses().values()) == [OrderStatus.REJECTED] * 2
        assert len(daemon.gateway.sent) == 1, "the second attempt was written down and did not leave"

    run(test)


@pytest.mark.parametrize("broken", ["ledger", "decisions"])
def test_a_ledger_that_cannot_be_written_stops_everything_and_nothing_leaves(broken: str) -> None:
    async def test() -> None:
        daemon = Daemon("BTC", "ETH")
        daemon.strategy.script |= {("BTC", candle(0)): BUY, ("ETH", candle(0)): BUY}
        running = await daemon.start()
        if broken == "ledger":
            daemon.ledger.breaks_on = IntentRecorded
        else:
            daemon.lists.full = True
        await daemon.close_candle(0)
        assert isinstance(await daemon.failure(running), StorageError)
        assert daemon.gateway.sent == []
        assert broken == "decisions" or not daemon.ledger.load().intent_ids

    run(test)


def test_a_ledger_that_cannot_be_written_at_the_start_means_no_start() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.ledger.breaks_on = ConfigTaken
        running = asyncio.create_task(daemon.supervisor.run(daemon.stop))
        assert isinstance(await daemon.failure(running), StorageError)
        assert daemon.history.asked == [], "not even a candle is asked for"

    run(test)


# ── nothing dies in silence ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", [None, ConnectionError("the line is dead")])
def test_a_feed_that_ends_or_raises_stops_the_daemon_with_an_error(end: Exception | None) -> None:
    async def test() -> None:
        daemon = Daemon()
        running = await daemon.start()
        daemon.feed.put(end)
        error = await daemon.failure(running)
        if end is None:
            assert isinstance(error, RuntimeError) and "feed" in str(error)
        else:
            assert error is end

    run(test)


@pytest.mark.parametrize("task", ["heartbeat", "step", "gateway", "overrides", "history", "store"])
def test_a_bug_anywhere_stops_the_daemon_with_that_bug(task: str) -> None:
    async def test() -> None:
        daemon = Daemon()
        bug = AssertionError(f"a bug in the {task}")

        def broken(*_: Any) -> Any:
            raise bug

        async def broken_later(*_: Any) -> Any:
            raise bug

        daemon.strategy.script[("BTC", candle(0))] = BUY
        match task:
            case "heartbeat":
                daemon.supervisor._on_heartbeat = broken
            case "step":
                daemon.supervisor._on_step = broken
            case "gateway":
                daemon.gateway.answer = broken_later
            case "overrides":
                vars(daemon.lists)["poll"] = broken
            case "history":
                vars(daemon.history)["candles"] = broken_later
            case _:
                vars(daemon.lists)["write"] = broken
        running = await daemon.start()
        with suppress(BaseExceptionGroup):  # it may stop before the candle has closed, or after
            await daemon.close_candle(0)
        assert await daemon.failure(running) is bug

    run(test)


def test_a_venue_that_does_not_say_what_happened_means_no_start() -> None:
    async def test() -> None:
        daemon = Daemon()

        async def unavailable(live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
            raise VenueUnavailable("not now")

        vars(daemon.lists)["recover"] = unavailable
        running = asyncio.create_task(daemon.supervisor.run(daemon.stop))
        assert isinstance(await daemon.failure(running), VenueUnavailable)

    run(test)


# ── stopping ─────────────────────────────────────────────────────────────────────────────────


def test_a_stop_is_clean_when_nothing_is_on_its_way() -> None:
    async def test() -> None:
        daemon = Daemon()
        running = await daemon.start()
        await daemon.end(running)
        assert running.exception() is None

    run(test)


def test_a_stop_before_the_start_is_over_is_clean_too() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.stop.set()
        await daemon.end(asyncio.create_task(daemon.supervisor.run(daemon.stop)))
        assert daemon.gateway.sent == []

    run(test)


def test_a_stop_hears_out_an_order_that_is_on_its_way() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.strategy.script[("BTC", candle(0))] = BUY
        answer: asyncio.Future[SubmitOutcome] = asyncio.get_running_loop().create_future()

        async def slow(request: OrderRequest) -> SubmitOutcome:
            return await answer

        daemon.gateway.answer = slow
        running = await daemon.start()
        await daemon.close_candle(0)
        await daemon.until(lambda: len(daemon.gateway.sent) == 1)
        daemon.stop.set()
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not running.done()
        answer.set_result(Rejected(RejectReason.NO_IMMEDIATE_MATCH, "could not match"))
        await daemon.end(running)
        assert list(daemon.ledger.statuses().values()) == [OrderStatus.REJECTED]

    run(test)


def test_a_stop_does_not_wait_for_ever_and_leaves_the_orders_fate_open() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.strategy.script[("BTC", candle(0))] = BUY

        never: asyncio.Future[SubmitOutcome] = asyncio.get_running_loop().create_future()

        async def silent(request: OrderRequest) -> SubmitOutcome:
            return await never

        daemon.gateway.answer = silent
        running = await daemon.start()
        await daemon.close_candle(0)
        await daemon.until(lambda: len(daemon.gateway.sent) == 1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await daemon.end(running)
        assert loop.time() - began >= STOP_DEADLINE_S
        assert list(daemon.ledger.statuses().values()) == [OrderStatus.SENT], "it may live: the next start asks"

    run(test)


def test_while_stopping_exits_leave_and_entries_do_not() -> None:
    async def test() -> None:
        daemon = Daemon("BTC", "ETH")
        daemon.strategy.script[("BTC", candle(0))] = BUY
        running = await daemon.start()
        await daemon.close_candle(0)
        await daemon.until(lambda: len(daemon.gateway.sent) == 1)
        daemon.fill(daemon.gateway.sent[0], tid=1)
        await daemon.until(lambda: list(daemon.ledger.statuses().values()).count(OrderStatus.OPEN) == 2)
        daemon.strategy.script |= {("BTC", candle(1)): Opinion(), ("ETH", candle(1)): BUY}
        daemon.ledger.gate.clear()
        daemon.ledger.waiting.clear()
        # Something to write, on a disk that stalls.
        daemon.feed.put(AccountSnapshot(Decimal(9_999), (), daemon.clock.now_ms(), fills_since_ms=0))
        await daemon.until(daemon.ledger.waiting.is_set)
        daemon.stop.set()
        await asyncio.sleep(0.05)
        inbox = daemon.supervisor.inbox
        await daemon.clock.advance_to(candle(2) + 1_000)
        inbox.put(quotes_of(candle(2) + 1_000, {0: (97.0, 97.0), 1: (100.0, 100.0)}))
        inbox.put(updates_of(candle(1), {0: flat_bar(100.0), 1: flat_bar(100.0)}, candle(1) + 59_000))
        daemon.ledger.gate.set()
        await daemon.end(running)
        assert [(request.symbol, request.reduce_only) for request in daemon.gateway.sent[3:]] == [("BTC", True)]
        eth = [fact.order.request.cloid for fact in daemon.ledger.facts if isinstance(fact, IntentRecorded)][-1]
        assert daemon.ledger.statuses()[eth] is OrderStatus.REJECTED
        assert any("stopping" in reason for reason in daemon.ledger.reasons())

    run(test)


# ── answers ──────────────────────────────────────────────────────────────────────────────────


def test_an_order_that_could_not_be_sent_is_rejected_and_not_unknown() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.strategy.script[("BTC", candle(0))] = BUY
        running = await daemon.start()
        daemon.gateway.unavailable = 1
        await daemon.close_candle(0)
        await daemon.until(lambda: OrderStatus.REJECTED in daemon.ledger.statuses().values())
        await daemon.end(running)
        assert daemon.gateway.sent == []

    run(test)


def test_an_order_without_an_answer_stays_unknown_and_is_told() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.strategy.script[("BTC", candle(0))] = BUY

        async def lost(request: OrderRequest) -> SubmitOutcome:
            return Unknown("the answer was lost")

        daemon.gateway.answer = lost
        running = await daemon.start()
        await daemon.close_candle(0)
        await daemon.until(lambda: OrderStatus.UNKNOWN in daemon.ledger.statuses().values())
        await daemon.until(lambda: "order_unknown" in [code for code, _ in daemon.lists.alerts])
        daemon.fill(daemon.gateway.sent[0], tid=1)  # it lived after all
        await daemon.until(lambda: OrderStatus.FILLED in daemon.ledger.statuses().values())
        await daemon.end(running)

    run(test)


def test_a_cancellation_that_does_not_get_through_is_tried_again() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.strategy.script[("BTC", candle(0))] = BUY
        running = await daemon.start()
        await daemon.close_candle(0)
        await daemon.until(lambda: len(daemon.gateway.sent) == 1)
        daemon.fill(daemon.gateway.sent[0], tid=1)
        await daemon.until(lambda: list(daemon.ledger.statuses().values()).count(OrderStatus.OPEN) == 2)
        daemon.feed.put(quotes_of(daemon.clock.now_ms() + 1, {0: (97.0, 97.0)}))
        await daemon.until(lambda: len(daemon.gateway.sent) == 4)
        daemon.gateway.unavailable = 3
        daemon.fill(daemon.gateway.sent[3], tid=2, price="97")
        await daemon.until(lambda: len(daemon.gateway.cancelled) == 2)
        stop, target = daemon.gateway.sent[1:3]
        assert sorted(daemon.gateway.cancelled) == sorted([stop.cloid, target.cloid])
        for request in (stop, target):
            daemon.feed.put(OrderCanceled(request.cloid, "canceled"))
        await daemon.until(lambda: daemon.ledger.statuses()[target.cloid] is OrderStatus.CANCELED)
        await daemon.end(running)
        assert daemon.ledger.load().live_orders == () == daemon.ledger.load().positions

    run(test)


def test_a_symbol_without_history_holds_nobody_else_up() -> None:
    async def test() -> None:
        daemon = Daemon("ADA", "BTC", "ETH")
        daemon.history.unavailable = {"ADA"}
        running = await daemon.start()
        assert daemon.decided(-1) == {"BTC", "ETH"}
        await daemon.until(lambda: daemon.history.asked.count("ADA") >= HISTORY_PATIENCE)
        await daemon.until(lambda: "history_missing" in [code for code, _ in daemon.lists.alerts])
        daemon.history.unavailable = set()
        await daemon.until(lambda: daemon.decided(-1) == {"ADA", "BTC", "ETH"})
        await daemon.end(running)

    run(test)


def test_a_symbol_that_keeps_falling_out_is_not_fetched_without_a_pause() -> None:
    async def test() -> None:
        daemon = Daemon()
        running = await daemon.start()
        loop = asyncio.get_running_loop()
        asked_s = []
        for number in range(3):
            before = len(daemon.history.asked)
            revised = {0: (100.0, 100.0, 90.0, 90.0, 2.0 + number)}
            daemon.feed.put(updates_of(candle(-1), revised, daemon.clock.now_ms()))
            await daemon.until(partial(lambda count: len(daemon.history.asked) > count, before))
            asked_s.append(loop.time())
        assert all(later - earlier > HISTORY_AGAIN_S * 0.8 for earlier, later in pairwise(asked_s))
        await daemon.end(running)

    run(test)


# ── restarts, config, time ───────────────────────────────────────────────────────────────────


def test_a_restart_is_offered_the_same_candle_and_refuses_it_and_keeps_what_it_held() -> None:
    async def test() -> None:
        first = Daemon()
        first.strategy.script[("BTC", candle(0))] = BUY
        running = await first.start()
        await first.close_candle(0)
        await first.until(lambda: len(first.gateway.sent) == 1)
        first.fill(first.gateway.sent[0], tid=1)
        await first.until(lambda: list(first.ledger.statuses().values()).count(OrderStatus.OPEN) == 2)
        resting = first.gateway.sent[1:]
        held = first.engine.portfolio.position("BTC").size
        running.cancel()  # no clean stop
        with pytest.raises(asyncio.CancelledError):
            await running
        first.committer.close()

        second = Daemon(ledger=first.ledger, start=1)
        second.strategy.script[("BTC", candle(0))] = BUY
        second.lists.recovered = [FillArrived(fill_of(first, 1))]  # the venue tells it again
        running = await second.start()
        assert second.strategy.analysed == [("BTC", candle(0))]
        record = second.lists.decisions[0]
        assert Verdict(int(record.verdict[0])) is Verdict.REFUSED
        assert next(gate.name for gate in record.entry_gates[0] if not gate.passed) == "dedupe"
        assert second.engine.portfolio.position("BTC").size == held and second.gateway.sent == []
        assert sorted(second.lists.live_cloids) == sorted(request.cloid for request in resting)
        assert first.lists.fills_since_ms == 0, "nothing was ever booked"
        assert second.lists.fills_since_ms == min(order.sent_ms for _, order in first.ledger.load().live_orders)
        second.feed.put(quotes_of(second.clock.now_ms() + 1, {0: (97.0, 97.0)}))
        await second.until(lambda: len(second.gateway.sent) == 1)
        assert second.gateway.sent[0].reduce_only and second.gateway.sent[0].size == held
        await second.end(running)

    run(test)


def fill_of(daemon: Daemon, tid: int) -> Fill:
    return next(fact.fill for fact in daemon.ledger.facts if isinstance(fact, FillRecorded) and fact.fill.tid == tid)


def test_a_new_overrides_file_is_in_force_and_on_record() -> None:
    async def test() -> None:
        daemon = Daemon()
        running = await daemon.start()
        text = EASY_ENTRIES.replace("low", "medium")
        daemon.lists.looks = [overrides_text(text, 0), overrides_text(text, 1_000)]
        await daemon.until(lambda: len([fact for fact in daemon.ledger.facts if isinstance(fact, ConfigTaken)]) == 2)
        await daemon.close_candle(0)
        await daemon.until(lambda: len(daemon.lists.decisions) == 2)
        await daemon.end(running)
        newest = [fact.digest for fact in daemon.ledger.facts if isinstance(fact, ConfigTaken)][-1]
        digests = [record.config_digest for record in daemon.lists.decisions]
        assert digests[0] != newest == digests[1]

    run(test)


def test_a_candle_closes_by_the_timer_when_no_news_comes() -> None:
    async def test() -> None:
        daemon = Daemon()
        running = await daemon.start()
        daemon.feed.put(updates_of(candle(0), {0: flat_bar(100.0)}, candle(0) + 1_600))
        await daemon.clock.advance_to(candle(1) + 999)
        for _ in range(10):
            await asyncio.sleep(0.2)
        assert len(daemon.lists.decisions) == 1
        await daemon.clock.advance_to(candle(1) + 1_000)
        await daemon.until(lambda: len(daemon.lists.decisions) == 2)
        await daemon.end(running)

    run(test)


def test_time_never_goes_back_for_the_engine_when_the_systems_clock_does() -> None:
    async def test() -> None:
        daemon = Daemon()
        running = await daemon.start()
        daemon.clock._now_ms -= 3_600_000
        daemon.feed.put(AccountSnapshot(Decimal(5), (), START_MS, fills_since_ms=0))
        await daemon.until(lambda: daemon.engine.portfolio.cash_usd == 5)
        await daemon.end(running)
        times = [step.at_ms for step in daemon.steps]
        assert times == sorted(times)

    run(test)
