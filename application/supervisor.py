"""Supervisor: the daemon's one loop and its few long-lived tasks.

    feed, timer, config ──▶ inbox ──▶ engine ──▶ committer ──▶ effect runner ──▶ inbox …

Start is recovery: the ledger's state, then what the venue says, then trading. If a task returns
or raises, the daemon stops. Stopping goes intake, engine, effects, storage, each with a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial

from application.committer import Committer
from application.effect_runner import EFFECT_TASKS, EffectRunner
from application.engine import UnifiedEngine
from application.inbox import Inbox
from application.recorder import Recorder
from application.step import Step
from domain.effects import Effect, SubmitOrder
from domain.events import Event, OrderOutcome, Recovered, TimerFired
from domain.facts import Fact
from domain.orders import Rejected, RejectReason
from ports.account import Account
from ports.clock import Clock
from ports.ledger import Ledger
from ports.market_feed import MarketFeed
from ports.overrides import OverridesSource
from ports.session_log import NoRecord

TIMER_S = 0.2
"""Longest wait until the engine looks at the time; an idle look costs about one wake-up."""

CONFIG_POLL_S = 0.3
"""How often the overrides file is looked at: with one second of settling, an edit is in force within three."""

RECORD_S = 1.0
"""How long what needed no commit may wait until it is out of our hands. What a decision used never waits."""

BATCH_LIMIT = 256
"""Events taken before their facts are committed together."""

STOP_DEADLINE_S = 5.0
"""How long orders that are on their way may take to be answered when the daemon stops."""

Companion = Callable[[Callable[[Event], None]], Coroutine[None, None, None]]
"""A long-lived task of the adapters' own; what it is given puts an event into the inbox."""


class Supervisor:
    def __init__(
        self,
        engine: UnifiedEngine,
        clock: Clock,
        feed: MarketFeed,
        account: Account,
        ledger: Ledger,
        committer: Committer,
        make_runner: Callable[[Callable[[Event], None]], EffectRunner],
        overrides: OverridesSource,
        on_step: Callable[[Step], None],
        on_heartbeat: Callable[[], None],
        heartbeat_s: float,
        companions: Mapping[str, Companion] | None = None,
        recorder: Recorder | None = None,
        inbox: Inbox | None = None,
        *,
        timer_s: float = TIMER_S,
        config_poll_s: float = CONFIG_POLL_S,
    ) -> None:
        """`companions` run as long as the intake does. Without a `recorder` nothing is recorded.

        What waits in `inbox` already is taken right after recovery, lane by lane as ever.
        """
        self._engine = engine
        self._clock = clock
        self._feed = feed
        self._account = account
        self._ledger = ledger
        self._committer = committer
        self._recorder = recorder or Recorder(NoRecord())
        self._inbox = inbox or Inbox(self._recorder.dropped)
        self._runner = make_runner(self._inbox.put)
        self._overrides = overrides
        self._on_step = on_step
        self._on_heartbeat = on_heartbeat
        self._heartbeat_s = heartbeat_s
        self._companions = dict(companions or {})
        self._timer_s = timer_s
        self._config_poll_s = config_poll_s
        self._seq = 0
        self._last_ms = 0
        self._stopping = False

    @property
    def inbox(self) -> Inbox:
        return self._inbox

    async def run(self, stop: asyncio.Event, on_turn: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is set. Whatever a task raises comes out of here, and the daemon has stopped.

        `on_turn` hears of every round of the engine's loop, at least one per `timer_s`, the first after recovery:
        silence means that the loop hangs.
        """
        async with asyncio.TaskGroup() as effects:
            await self._recover(effects)
            async with asyncio.TaskGroup() as tasks:
                intake = [
                    tasks.create_task(_without_end(name, work), name=name)
                    for name, work in (
                        ("feed", self._follow_feed),
                        ("timer", self._fire_timer),
                        ("overrides", self._watch_overrides),
                        ("history", self._runner.fetch_history),
                        ("candle store", self._runner.store_candles),
                        ("heartbeat", self._beat),
                        *self._recording(),
                        *self._companions_at_work(),
                    )
                ]
                engine = tasks.create_task(self._engine_loop(effects, on_turn), name="engine")
                await stop.wait()
                for task in intake:
                    task.cancel()
                self._stopping = True
                self._inbox.wake()
                await engine
            await self._drain(effects)
        self._recorder.ended("stopped", self._seq, self._ledger.digest())

    # ── start and stop ───────────────────────────────────────────────────────────────────────

    async def _recover(self, effects: asyncio.TaskGroup) -> None:
        """The ledger's state first, then what happened at the venue meanwhile; only then the market."""
        state = self._ledger.load()
        await self._take([Recovered(state, self._ledger.digest())], effects)
        cloids = [order.request.cloid for _, order in state.live_orders]
        await self._take(list(await self._account.recover(cloids, state.unheard_since_ms)), effects)

    async def _drain(self, effects: asyncio.TaskGroup) -> None:
        """Hear what is still coming for orders on their way, for a bounded time. Exits leave, entries do not."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_DEADLINE_S
        while loop.time() < deadline:
            event = self._inbox.take()
            if event is not None:
                await self._take([event], effects, entries=False)
            elif any(live.order.in_flight for live in self._engine.oms.all_live_orders()):
                await asyncio.sleep(0.01)
            else:
                break
        for task in asyncio.all_tasks():
            if task.get_name().startswith(EFFECT_TASKS):
                task.cancel()

    # ── the loop ─────────────────────────────────────────────────────────────────────────────

    async def _engine_loop(self, effects: asyncio.TaskGroup, on_turn: Callable[[], None]) -> None:
        while not self._stopping:
            batch: list[Event] = []
            while len(batch) < BATCH_LIMIT and (event := self._inbox.take()) is not None:
                batch.append(event)
            if batch:
                await self._take(batch, effects)
                on_turn()
            else:
                await self._inbox.wait()

    async def _take(self, events: list[Event], effects: asyncio.TaskGroup, *, entries: bool = True) -> None:
        """Handle events one at a time, make their facts durable together, then let their effects leave."""
        facts: list[Fact] = []
        wanted: list[Effect] = []
        steps: list[Step] = []
        started_ms = self._clock.monotonic_ms()
        for event in events:
            self._seq += 1
            self._last_ms = max(self._last_ms, self._clock.now_ms())
            self._recorder.taken(self._seq, self._last_ms, event)
            step = self._engine.handle(self._seq, self._last_ms, event)
            self._recorder.stepped(step)
            if step.facts or step.effects:
                facts += step.facts
                wanted += step.effects
                steps.append(step)
        await self._committer.commit(facts)
        took_ms = self._clock.monotonic_ms() - started_ms
        withheld = self._withheld(wanted, took_ms, stopping=not entries)
        self._runner.run([each for each in wanted if _cloid_of(each) not in withheld], effects)
        for cloid, why in withheld.items():
            self._inbox.put(OrderOutcome(cloid, Rejected(RejectReason.NOT_SENT, f"not sent: {why}")))
        for step in steps:
            self._on_step(step)

    def _withheld(self, effects: list[Effect], took_ms: int, *, stopping: bool) -> dict[str, str]:
        """Entries, first attempts or later ones, that are durable but may not leave any more, with the reason.

        `took_ms` is real time: a disk that stalls does not stall longer in time-lapse.
        """
        withheld: dict[str, str] = {}
        barred = self._engine.guard.bars_entries()
        now_ms = self._last_ms + took_ms
        for effect in effects:
            if not isinstance(effect, SubmitOrder) or effect.request.reduce_only:
                continue
            if stopping:
                withheld[effect.request.cloid] = "the daemon is stopping"
            elif barred:  # decided before, in the same breath: shut is shut
                withheld[effect.request.cloid] = barred
            elif effect.request.deadline_ms is not None and now_ms > effect.request.deadline_ms:
                withheld[effect.request.cloid] = "its deadline passed while it was written down"
        return withheld

    # ── what feeds the inbox ─────────────────────────────────────────────────────────────────

    def _recording(self) -> Iterator[tuple[str, Callable[[], Coroutine[None, None, None]]]]:
        if self._recorder.records:
            yield "record", self._keep_record

    def _companions_at_work(self) -> Iterator[tuple[str, Callable[[], Coroutine[None, None, None]]]]:
        for name, companion in self._companions.items():
            yield name, partial(companion, self._inbox.put)

    async def _follow_feed(self) -> None:
        async for event in self._feed.events():
            self._inbox.put(event)

    async def _fire_timer(self) -> None:
        while True:
            await asyncio.sleep(self._timer_s)
            self._inbox.put(TimerFired())

    async def _watch_overrides(self) -> None:
        while True:
            await asyncio.sleep(self._config_poll_s)
            look = self._overrides.poll(self._clock.monotonic_ms())
            if look is not None:
                self._inbox.put(look)

    async def _keep_record(self) -> None:
        while True:
            await asyncio.sleep(RECORD_S)
            await self._committer.keep_record()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            self._on_heartbeat()


def _cloid_of(effect: Effect) -> str | None:
    return effect.request.cloid if isinstance(effect, SubmitOrder) else None


async def _without_end(name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
    """A long-lived task that ends on its own is a failure, whatever it thinks."""
    await work()
    raise RuntimeError(f"the {name} task ended on its own")
