"""One life of the daemon: the same parts and the same start as in `entrypoints.daemon`, on virtual wires.

It ends by a bug or a refusal of its own, by being asked to stop, or by dying: then every task is abandoned at once, and
only files survive.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dependency_injector import providers

from adapters.hyperliquid.budget import WeightBudget
from adapters.hyperliquid.drift import DriftSentinel
from adapters.hyperliquid.endpoints import local_endpoint
from adapters.hyperliquid.feed import HyperliquidFeed
from adapters.hyperliquid.key_watch import KeyWatch
from adapters.hyperliquid.keys import AgentKey
from adapters.hyperliquid.nonces import nonce_path
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.watch import look_at_clock
from adapters.logged_alerts import LoggedAlerts
from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from config.settings import Settings
from domain.events import OperatorSpoke
from domain.facts import IntentRecorded, LedgerFact
from domain.risk import RiskState
from entrypoints.container import DaemonContainer, DaemonParts, account_name
from entrypoints.pauses import Pauses
from entrypoints.simulation.daemon_settings import SYMBOLS, URL, configuration_in
from entrypoints.simulation.eager_strategy import EagerStrategy
from entrypoints.simulation.jumping_time import SteppingClock
from entrypoints.simulation.ledger_tap import Listener, MortalWriter, TappedDecisions, TappedLedger
from entrypoints.simulation.network import Network, VirtualHttp, VirtualSockets, Wire
from entrypoints.venue_connection import PLANNED_WEIGHT, VenueConnection, markets_of
from ports.session_log import NoRecord

TIMER_S = 4.0
"""A second after its end a candle counts as closed, and six after it nobody enters any more: just often enough."""
PAUSES = Pauses(timer_s=TIMER_S, config_poll_s=60.0, feed_look_s=90.0, audit_ms=600_000)


class CrashPoint(enum.Enum):
    """Where a machine dies, besides anywhere."""

    BEFORE_COMMIT = "A01 crash before a commit"
    AFTER_COMMIT = "A03 crash after a commit, nothing has left"
    REQUEST_LEFT = "A06 crash with a request on its way"
    REPLY_UNREAD = "A07 crash with an answer that nobody has noted"
    RECOVERING = "A15 crash while recovering"
    ANYWHERE = "L03 killed anywhere"


@dataclass(slots=True)
class Plug:
    """What every life of one daemon has in common. `symbols`: its operator takes out what was delisted."""

    folder: Path
    network: Network
    clock: SteppingClock
    key: AgentKey
    seed: int
    bbo: bool
    entries_per_candle: float
    true_ms: Callable[[], int]
    symbols: tuple[str, ...] = SYMBOLS
    timer_s: float = TIMER_S
    sessions: Path | None = None
    """Where each life is recorded as a session."""
    on_turn: Callable[[RiskState], None] = lambda _: None
    """Hears what the daemon holds to, after every turn of its loop."""
    on_entry_written: Callable[[], None] = lambda: None
    """After the commit of an entry, before anything of it leaves."""


class Life:
    def __init__(self, plug: Plug, number: int, listener: Listener) -> None:
        self.number = number
        self.parts: DaemonParts | None = None
        self.is_dead = False
        self.asked_to_stop_ms: int | None = None
        self.ready_ms: int | None = None
        """When it had recovered, in true time."""
        self.over = asyncio.Event()
        """Its main task has ended, or it is dead."""
        self.error: BaseException | None = None
        self.wire = Wire()
        self._plug = plug
        self._listener = listener
        self._stop = asyncio.Event()
        self._point: CrashPoint | None = None
        self._dies_at_next_commit = False
        self._questions_left = 0
        self._on_death: Callable[[CrashPoint], None] = lambda _: None
        self._ledger: TappedLedger | None = None
        loop = asyncio.get_running_loop()
        self._writer = MortalWriter(loop)
        self.wire.on_sent = self._sent
        self.wire.on_asked = self._asked
        self.wire.on_replied = self._replied
        self._main = loop.create_task(self._live(), name=f"life {number}")
        self._main.add_done_callback(self._ended)

    @property
    def not_connected(self) -> str:
        """What its feed lacks; empty when all streams run."""
        feed = None if self.parts is None else self.parts.row.feed
        if not isinstance(feed, HyperliquidFeed):
            return "it is starting"
        return "" if feed.is_live else "; ".join(str(each) for each in feed.line_reports()) or "no connection"

    # ── what may be done to it ───────────────────────────────────────────────────────────────

    def will_die(self, point: CrashPoint, on_death: Callable[[CrashPoint], None]) -> None:
        """Let it die as soon as it comes by this point."""
        self._point, self._on_death = point, on_death
        if point is CrashPoint.ANYWHERE:
            self._die()

    def will_die_recovering(self, questions: int, on_death: Callable[[CrashPoint], None]) -> None:
        """Let it die at one of its first questions to the venue."""
        self._questions_left = questions
        self.will_die(CrashPoint.RECOVERING, on_death)

    def spare(self) -> None:
        """It need not die any more."""
        if not self.is_dead:
            self._point, self._dies_at_next_commit = None, False

    def ask_to_stop(self, now_ms: int) -> None:
        self.asked_to_stop_ms = now_ms
        self._stop.set()

    def hear(self, spoken: OperatorSpoke) -> bool:
        """Put a request into its inbox, as its control socket does; False while it does not listen."""
        if self.parts is None or self.ready_ms is None or self.is_dead or self._stop.is_set():
            return False
        self.parts.supervisor.inbox.put(spoken)
        return True

    def stall_disk(self, for_ms: int) -> None:
        self._writer.stall_ms = for_ms

    async def bury(self, *, silently: bool) -> None:
        """After its end: nothing of it is left but its files."""
        self.wire.pull()
        self._writer.is_dead = True
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in sorted(tasks, key=lambda each: each.get_name()):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._plug.network.unplug(self.wire, silently=silently)
        if self.is_dead:
            await self._let_go()

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    async def _live(self) -> None:
        plug = self._plug
        configuration = configuration_in(
            plug.folder,
            plug.key.address,
            plug.symbols,
            bbo=plug.bbo,
            sessions=plug.sessions,
            seen_ms=plug.clock.monotonic_ms(),
        )
        settings = configuration.settings
        container = DaemonContainer(configuration=configuration)
        ledger = self._ledger = self._open_ledger(settings)
        container.ledger.override(providers.Object(ledger))
        try:
            connection = await self._connect(settings, [each.symbol for each in ledger.load().positions])
        except Exception:
            ledger.close()
            raise
        container.connection.override(providers.Object(connection))
        container.pauses.override(providers.Object(replace(PAUSES, timer_s=plug.timer_s)))
        container.strategy.override(providers.Object(EagerStrategy(plug.seed, plug.entries_per_candle)))
        container.worker.override(providers.Object(None))
        container.control.override(providers.Object({}))  # sockets and files are looked at in real time
        container.session.override(providers.Object(f"life-{self.number:03d}"))
        container.decisions.override(providers.Object(TappedDecisions(self._listener)))
        container.committer.add_kwargs(writer=self._writer)
        self.parts = container.parts()
        await self.parts.supervisor.run(self._stop, self._turned)
        await self.parts.close()
        self.parts = None

    def _turned(self) -> None:
        if self.is_dead or self.parts is None:
            return
        if self.ready_ms is None:
            self.ready_ms = self._plug.true_ms()
        self._plug.on_turn(self.parts.engine.guard.state)

    def _open_ledger(self, settings: Settings) -> TappedLedger:
        identity = LedgerIdentity(settings.mode.value, settings.network.value, account_name(settings))
        chance = random.Random(f"{self._plug.seed} instance tag")
        ledger = SqliteLedger(settings.db_path, identity, created_ms=self._plug.clock.now_ms(), chance=chance)
        return TappedLedger(ledger, self._listener, self._before_commit, self._after_commit)

    async def _connect(self, settings: Settings, held: Collection[str]) -> VenueConnection:
        """As `venue_connection.connect`, with our own transport and dice."""
        plug = self._plug
        chance = random.Random(f"{plug.seed} life {self.number}")
        transport = VirtualHttp(plug.network, self.wire)
        budget = WeightBudget(plug.clock, per_minute=PLANNED_WEIGHT)
        sentinel = DriftSentinel(LoggedAlerts(), None)
        info = InfoClient(transport, budget, plug.clock, chance=chance, watch=KeyWatch(sentinel))
        markets = await markets_of(settings, None, info, held)
        connection = VenueConnection(
            local_endpoint(URL),
            plug.clock,
            transport,
            budget,
            info,
            sentinel,
            markets.universe,
            markets.asset_of,
            markets.listed,
            account=plug.key.address,
            key=plug.key,
            open_sockets=lambda _: VirtualSockets(plug.network, self.wire),
            chance=chance,
        )
        connection.skew.learn(*(await look_at_clock(info, plug.clock)).bounds_ms)
        return connection

    # ── death ────────────────────────────────────────────────────────────────────────────────

    def _before_commit(self, facts: Sequence[LedgerFact]) -> bool:
        if self._dies_at_next_commit:
            self._die()
            return True
        return self._reached(CrashPoint.BEFORE_COMMIT)

    def _after_commit(self, facts: Sequence[LedgerFact]) -> bool:
        if any(isinstance(fact, IntentRecorded) and fact.intent.key.action.increases_exposure for fact in facts):
            self._plug.on_entry_written()
        return self._reached(CrashPoint.AFTER_COMMIT)

    def _sent(self) -> None:
        self._reached(CrashPoint.REQUEST_LEFT)

    def _asked(self) -> None:
        self._questions_left -= 1
        if self._questions_left <= 0:
            self._reached(CrashPoint.RECOVERING)

    def _replied(self) -> None:
        if self._point is CrashPoint.REPLY_UNREAD:
            self._dies_at_next_commit = True

    def _reached(self, point: CrashPoint) -> bool:
        if self._point is not point or self.is_dead:
            return False
        self._die()
        return True

    def _die(self) -> None:
        if self.over.is_set() or self._point is None:
            return
        self.is_dead = True
        self.wire.pull()
        self._writer.is_dead = True
        self._on_death(self._point)
        self.over.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self.is_dead:
            self.error = None if task.cancelled() else task.exception()
            self.over.set()

    async def _let_go(self) -> None:
        """Locks and handles go with a process. The nonce file stays as it was: nobody gave anything back."""
        path = nonce_path(self._plug.folder, "local", self._plug.key.address)
        nonces = path.read_bytes() if path.exists() else None
        if self.parts is not None:
            await replace(self.parts, record=NoRecord()).close()  # nobody ends the record of one who is dead
        elif self._ledger is not None:
            self._ledger.close()
        if nonces is not None:
            path.write_bytes(nonces)
