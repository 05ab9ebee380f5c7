"""One seed: a venue, a daemon, a storm of faults with crashes and restarts, then a calm; and what the oracle says."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

from adapters.hyperliquid.keys import AgentKey
from adapters.sim.venue.faults.operator import OperatorRefused
from adapters.sim.venue.log import Row
from adapters.sim.venue.settings import Cadence, VenueSettings
from adapters.sim.venue.venue import Venue
from domain.field_rules import SecretText
from domain.operator import OperatorVerb
from domain.risk import RiskState
from entrypoints.exit_codes import ExitCode, exit_code_of
from entrypoints.simulation import daemon_settings, fault_kinds
from entrypoints.simulation.fault_kinds import Rule
from entrypoints.simulation.foreign_orders import foreign_order, is_foreign
from entrypoints.simulation.jumping_time import ClosedLoop, SteppingClock
from entrypoints.simulation.life import TIMER_S, CrashPoint, Life, Plug
from entrypoints.simulation.network import Network
from entrypoints.simulation.oracle.oracle import Oracle
from entrypoints.simulation.oracle.verdicts import Violation
from entrypoints.simulation.scripted_path import STEP_MS, ScriptedPath
from entrypoints.simulation.simulated_operator import MANNERS, Manner, SimulatedOperator
from entrypoints.simulation.swarm import swarm
from entrypoints.simulation.venue_host import VenueHost
from entrypoints.simulation.venue_log import OracleLog
from entrypoints.simulation.weather import Weather

START_MS = 1_767_578_400_000
MINUTE_MS = 60_000
CALM_MINUTES = 12
"""After the storm: to come back, to resolve, to be looked at."""
QUIET_MS = 20_000
"""After a full minute: what its candle and its quotes have led to has happened, and the next have not come."""
START_USD = Decimal(10_000)
ENTRIES_PER_CANDLE = 0.0022
STOP_LIMIT_MS = 10_000
BACK_MS = 90_000
"""So soon after the storm the daemon is connected again."""
LATER_MS = 180_000
READY_MS = 30_000
"""So soon after a life is ready every position in its care has its stop, and HALT_MS after a kill nothing is held."""
HALT_MS = 60_000
NEXT_LOOK_MS = 70_000
"""A venue whose queries lag may tell a daemon that starts of orders that are gone: it learns it when it looks next."""
FOREIGN_TICKET = 1_000_000_000
KEY = SecretText("11" * 32)


@dataclass(slots=True)
class SeedReport:
    seed: int
    hours: float
    violations: list[Violation]
    faults: Counter[str]
    orders: int
    fills: int
    lives: int
    ledger_digest: str
    venue_digest: str
    cpu_s: float
    ends: Counter[str] = field(default_factory=Counter)
    """How lives ended."""
    refused: Counter[str] = field(default_factory=Counter)
    """How often caps alone kept an entry from being made, by cap."""
    lapses: int = 0
    """Of protection, on record."""


def live_through(
    seed: int,
    hours: float,
    only: Collection[str] | None = None,
    *,
    density: float = 1.0,
    timer_s: float = TIMER_S,
    sessions: Path | None = None,
) -> SeedReport:
    """Live through one seed in this process. The same arguments give the same report, but for the time it took.

    `only`: all faults of these kinds instead of some of all. `density`: so many times as many wishes and faults.
    `timer_s`: how often the daemon looks at the time; what it asks in between waits so long. `sessions`: a folder in
    which every life is recorded as a session.
    """
    started_s = time.process_time()
    folder = Path(tempfile.mkdtemp(prefix="aiq-simulation-", dir=_memory_folder()))
    was_collecting, level = gc.isenabled(), logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=ClosedLoop) as runner:
            report = runner.run(_Run(seed, hours, folder, only, density, timer_s, sessions).live())
    finally:
        logging.disable(level)
        if was_collecting:
            gc.enable()
        gc.collect()
        shutil.rmtree(folder, ignore_errors=True)
    report.cpu_s = time.process_time() - started_s
    return report


class _Run:
    """`Target` of faults, and the daemon's init system: it starts it again."""

    def __init__(
        self,
        seed: int,
        hours: float,
        folder: Path,
        only: Collection[str] | None,
        density: float,
        timer_s: float,
        sessions: Path | None,
    ) -> None:
        self.seed = seed
        self.sessions = sessions
        self.hours = hours
        self.folder = folder
        self.only = only
        self.density = density
        self.timer_s = timer_s
        self.chance = random.Random(f"{seed} faults")
        self.firings: Counter[str] = Counter()
        self._rules: dict[int, str] = {}
        self._key = AgentKey(KEY, "the simulation")
        self._dies_while_recovering = False
        self._life: Life | None = None
        self._lives = 0
        self._versions = 0
        self._storm_ms = max(1, round(hours * 60)) * MINUTE_MS
        self._is_calm = False
        self._ends: Counter[str] = Counter()

    @property
    def user(self) -> str:
        return self._key.address.lower()

    @property
    def life(self) -> Life | None:
        return self._life

    async def live(self) -> SeedReport:
        self._build()
        for armed in swarm(self.seed, self._storm_ms, self.only, self.density):
            self._host.at(START_MS + armed.at_ms, armed.kind.strike, self)
        self._host.at(START_MS + self._storm_ms, self._calm_down)
        self._host.at(START_MS + self._storm_ms + BACK_MS, self._look_at_connection)
        self._host.at(START_MS + self._storm_ms + BACK_MS, self._look_when_ready)
        self._host.at(START_MS + self._storm_ms + 2 * BACK_MS, self._act_in_calm)
        end_ms = START_MS + self._storm_ms + CALM_MINUTES * MINUTE_MS + QUIET_MS
        self._host.told()
        await self._keep_alive(end_ms)
        self._oracle.at_the_end(self.folder / "rebuilt.sqlite")
        return SeedReport(
            self.seed,
            self.hours,
            self._oracle.court.violations,
            self.firings + self._network.weather.firings,
            self._oracle.wire.orders_arrived,
            len(self._oracle.truth.fills),
            self._lives,
            self._head,
            self._log.digest(),
            0.0,
            self._ends,
            self._oracle.caps.refused,
            self._oracle.protection.lapses,
        )

    def _build(self) -> None:
        loop = asyncio.get_running_loop()
        traits = random.Random(f"{self.seed} traits")
        lag_ms = traits.choice((0, 0, 0, 700, 4_000))
        self._lags = lag_ms > 0
        if lag_ms:
            self.firings[fault_kinds.VISIBLE_LATE] += 1
        cadence = Cadence(quotes=STEP_MS, mark=STEP_MS, all_mids=STEP_MS, candle=STEP_MS)
        settings = VenueSettings(cadence=cadence, read_lag_ms=lag_ms)
        path = ScriptedPath(self.seed, START_MS, self._storm_ms // MINUTE_MS + CALM_MINUTES)
        self._log = OracleLog(self._logged)
        self._clock = SteppingClock(START_MS, loop)
        self._oracle = Oracle(
            self.user,
            self.folder / "ledger.sqlite",
            [each.size_decimals for each in path.instruments()],
            daemon_settings.CAPS,
            self._clock.now_ms,
            lambda: START_MS + round(loop.time() * 1000),
            lambda: self.venue.exchange.marks,
        )
        self.venue = Venue(path, settings, START_MS, self.seed, self._log)
        self.venue.fund_account(self._key.address, START_USD)
        self._host = VenueHost(self.venue, START_MS, loop)
        self._network = Network(self._host, Weather(random.Random(f"{self.seed} weather")), self._oracle, loop)
        bbo = traits.random() < 0.3
        entries = ENTRIES_PER_CANDLE * self.density
        self._operator = SimulatedOperator(self, self._host, self._oracle, random.Random(f"{self.seed} operator"))
        self._plug = Plug(
            self.folder, self._network, self._clock, self._key, self.seed, bbo, entries, lambda: self._host.now_ms
        )
        self._plug.timer_s, self._plug.sessions = self.timer_s, self.sessions
        self._plug.on_turn, self._plug.on_entry_written = self._turned, self._operator.entry_written
        self._head = ""
        daemon_settings.write_overrides(self.folder, 0)

    # ── lives ────────────────────────────────────────────────────────────────────────────────

    async def _keep_alive(self, end_ms: int) -> None:
        """Start the daemon again and again, as its service manager would, until the end; then look, and stop it."""
        ending = self._host.at(end_ms, self._look_and_stop)
        await asyncio.sleep(self.chance.uniform(1, 40))
        while True:
            self._lives += 1
            self._clock.begin_life()
            life = self._life = Life(self._plug, self._lives, self._oracle)
            if self._dies_while_recovering:
                self._dies_while_recovering = False
                life.will_die_recovering(self.chance.randint(1, 14), self._died)
            await life.over.wait()
            self._life = None
            self._judge_end(life)
            await life.bury(silently=self.chance.random() < 0.3)
            self._head = self._oracle.after_life()
            if self._host.now_ms >= end_ms:
                ending.cancel()
                return
            await asyncio.sleep(self._downtime_s(life, end_ms))

    def _judge_end(self, life: Life) -> None:
        """I-35, I-36: a life ends because it was asked to, within its time; or with a reason that has an exit code."""
        now_ms = self._host.now_ms
        if life.is_dead:
            self._ends["died"] += 1
            return
        if life.asked_to_stop_ms is not None:
            took_ms = now_ms - life.asked_to_stop_ms
            self._oracle.court.require(took_ms <= STOP_LIMIT_MS, "I-35", f"stopping took {took_ms} ms")
        error = life.error
        if error is None:
            self._ends["stopped"] += 1
            asked = life.asked_to_stop_ms is not None
            self._oracle.court.require(asked, "I-36", "the daemon ended on its own, without a reason")
            return
        code = exit_code_of(error)
        self._ends[f"exit {code}"] += 1
        # Nothing but the venue is ever in trouble here: any other reason is one of ours.
        self._oracle.court.require(code is ExitCode.VENUE, "I-36", f"the daemon died of a bug: {_story(error)}")

    def _downtime_s(self, life: Life, end_ms: int) -> float:
        drawn = self.chance.random()
        longest = 20.0 if drawn < 0.6 else 600.0 if drawn < 0.96 else 7_200.0
        if self._is_calm or life.error is not None:
            longest = 10.0
        left_s = (START_MS + self._storm_ms - self._host.now_ms) / 1000
        return min(self.chance.uniform(0.5, longest), max(left_s, 1.0))

    def _calm_down(self) -> None:
        """Faults cease. What is on its way still arrives."""
        self._is_calm = True
        self._host.live()
        self.venue.switchboard.clear()
        self.venue.operator.halt(0)
        self.venue.operator.post_only(0)
        self._network.weather.clear()
        self._clock_is_set_right()
        if self._life is not None:
            self._life.spare()
        self._dies_while_recovering = False
        self._host.told()

    def _look_at_connection(self) -> None:
        """I-28: soon after the faults the daemon runs, and hears all of its streams."""
        life = self._life
        missing = "no daemon runs" if life is None else life.not_connected
        text = f"{BACK_MS} ms after the faults it is not connected again: {missing}"
        self._oracle.court.require(not missing, "I-28", text)

    def _act_in_calm(self) -> None:
        """Once all is quiet, what takes a minute can be told apart from what waits for ever."""
        act = random.Random(f"{self.seed} calm").choice(("", "", "halt", "naked restart"))
        if act == "halt":
            self._operator.ask(OperatorVerb.KILL_HARD)
            self._host.at(self._host.now_ms + HALT_MS + READY_MS, self._look_when_ready)
        elif act == "naked restart" and self._life is not None:
            self._life.will_die(CrashPoint.ANYWHERE, self._died)
            self.act("G26 orders canceled by hand", "cancel_all", {"user": self.user})
            self._host.at(self._host.now_ms + READY_MS, self._look_when_ready)

    def _look_when_ready(self) -> None:
        """I-29, I-26: a while after a life is ready, with nothing in its way."""
        ready_ms = None if self._life is None else self._life.ready_ms
        wait_ms = READY_MS + (NEXT_LOOK_MS if self._lags else 0)
        early_ms = 1_000 if ready_ms is None else ready_ms + wait_ms - self._host.now_ms
        if early_ms > 0:
            self._host.at(self._host.now_ms + early_ms, self._look_when_ready)
            return
        self._host.live()
        self._oracle.in_safety(self.venue)
        self._host.told()

    def _turned(self, state: RiskState) -> None:
        self._oracle.goes_by(state)
        self._operator.notice(state)

    def _look_and_stop(self) -> None:
        self._host.live()
        life = self._life
        self._oracle.court.require(life is not None, "I-28", "the daemon is not running at the end of the calm")
        self._oracle.at_rest(self.venue)
        minute_ms = self._host.now_ms // MINUTE_MS * MINUTE_MS
        listed = set(daemon_settings.SYMBOLS) - set(self.venue.exchange.delisted)
        # The newest may still be asked about: a silence that is not like its symbol is answered over REST.
        self._oracle.orders.every_candle_is_decided_on(listed, minute_ms - 7 * MINUTE_MS, minute_ms - 2 * MINUTE_MS)
        self._host.told()
        if life is not None:
            life.ask_to_stop(self._host.now_ms)

    def _logged(self, row: Row) -> None:
        if row["kind"] == "fault":
            self.firings[self._rules[int(str(row["rule"]))]] += 1
        if row["kind"] == "order" and row["status"] == "open" and is_foreign(row.get("cloid")):
            self._oracle.orders.foreign_since_ms = self._host.now_ms  # a request may get lost like any other
        self._oracle.logged(row)

    # ── what faults do ───────────────────────────────────────────────────────────────────────

    def plug_in(self, kind: str, rule: Rule) -> None:
        if self._is_calm:
            return
        number = len(self._rules) + 1
        self._rules[number] = kind
        self._host.live()
        added = self.venue.switchboard.add_json(rule)
        assert added == number, "rules are numbered in order"
        self._host.told()

    def arm(self, kind: str, amount_ms: int) -> None:
        self._network.weather.arm(kind, amount_ms)

    def cut_network(self, for_ms: int) -> None:
        self._network.cut(for_ms)

    def slow_frames(self, kind: str, for_ms: int) -> None:
        self.firings[kind] += 1
        self._network.weather.slow_until_ms = self._host.now_ms + for_ms

    def act(self, kind: str, name: str, arguments: Mapping[str, object]) -> None:
        if not self._oracle.image.fills:
            return  # what is done to an account before its daemon has traded is a question of its own
        self._host.live()
        with suppress(OperatorRefused):
            self.venue.perform(name, arguments)
            self.firings[kind] += 1
            self._oracle.court.note("somebody", (name, arguments))
        self._host.told()

    def act_on_position(self, kind: str, name: str) -> None:
        account = self.venue.exchange.account(self.user)
        assert account is not None, "the account was funded"
        held = sorted(coin for coin, position in account.positions.items() if position.size)
        if not held:
            self._again_later(self.act_on_position, kind, name)
            return
        coin = {} if name == "liquidate" else {"coin": self.chance.choice(held)}
        self.act(kind, name, {"user": self.user, **coin})

    def delist(self, kind: str) -> None:
        if self.venue.exchange.delisted:
            return
        coin = self.chance.choice(daemon_settings.SYMBOLS[1:])
        self.act(kind, "delist", {"coin": coin})
        self._plug.symbols = tuple(each for each in self._plug.symbols if each not in self.venue.exchange.delisted)

    def foreign_order(self, kind: str) -> None:
        coin = self.any_coin()
        body = foreign_order(self.venue, self._key, coin, self._host.now_ms)
        self._host.live().request(FOREIGN_TICKET, "10.9.9.9", "POST", "/exchange", "application/json", body)
        self._host.told()
        self.firings[kind] += 1

    def trade_by_hand(self, kind: str, *, closing: bool) -> None:
        account = self.venue.exchange.account(self.user)
        assert account is not None, "the account was funded"
        held = sorted(coin for coin, position in account.positions.items() if position.size)
        coin = self.chance.choice(held) if held and (closing or self.chance.random() < 0.5) else self.any_coin()
        instrument = self.venue.exchange.by_coin[coin]
        mid = self.venue.market.mid(coin)
        if mid is None:
            return
        side, size = self.chance.choice(("buy", "sell")), Decimal(self.chance.randint(15, 1_200)) / mid
        if closing and coin in account.positions:
            position = account.positions[coin].size
            side = "sell" if position > 0 else "buy"
            size = abs(position) * self.chance.choice((Decimal(1), Decimal(1), Decimal("0.5"), Decimal("1.7")))
        size = instrument.round_size(size)
        self.act(kind, "trade", {"user": self.user, "coin": coin, "side": side, "size": str(size)})

    def step_clock(self, kind: str, ms: int) -> None:
        """Somebody sets our clock, and sets it right after some minutes."""
        self.firings[kind] += 1
        self._clock.system_off_ms += ms
        self._host.at(self._host.now_ms + self.chance.randint(60_000, 900_000), self._clock_is_set_right)

    def crash(self, point: CrashPoint) -> None:
        if self._is_calm or self._life is None:
            return
        if point is CrashPoint.RECOVERING:
            self._dies_while_recovering = True
            point = CrashPoint.ANYWHERE
        self._life.will_die(point, self._died)

    def stop(self, kind: str) -> None:
        if self._life is not None and self._life.asked_to_stop_ms is None:
            self.firings[kind] += 1
            self._life.ask_to_stop(self._host.now_ms)

    def stall_disk(self, kind: str, for_ms: int) -> None:
        if self._life is not None:
            self.firings[kind] += 1
            self._life.stall_disk(for_ms)

    def reload(self, kind: str) -> None:
        self.firings[kind] += 1
        self._versions += 1
        path = daemon_settings.write_overrides(self.folder, self._versions)
        os.utime(path, ns=(self._versions, self._versions))

    # ── what the operator does ───────────────────────────────────────────────────────────────

    def operator_asks(self, kind: str, verb: OperatorVerb, *, of_one: bool = False) -> None:
        manner = self.chance.choice(MANNERS)
        held = sorted(self._oracle.image.held)
        if of_one and not held:
            self._again_later(self.operator_asks, kind, verb, of_one=True)
            return
        symbol = self.chance.choice(held) if of_one else None
        if manner is Manner.NETWORK_DOWN:
            self.cut_network(self.chance.choice((4_000, 30_000, 150_000)))
        for _ in range(2 if manner is Manner.TWICE else 1):
            self._operator.ask(verb, symbol)
        if manner is Manner.CRASH:
            self.crash(self.chance.choice((CrashPoint.BEFORE_COMMIT, CrashPoint.AFTER_COMMIT, CrashPoint.REQUEST_LEFT)))
        self.firings[kind] += 1

    def kill_beside_entry(self, kind: str, verb: OperatorVerb) -> None:
        self._operator.ask_beside_entry(verb)
        self.firings[kind] += 1

    def adopt_by_hand(self, kind: str) -> None:
        self.trade_by_hand("G10 trade by hand", closing=False)
        self._host.at(self._host.now_ms + READY_MS, self._operator.ask, OperatorVerb.ADOPT)
        self.firings[kind] += 1

    def any_coin(self) -> str:
        return self.chance.choice(daemon_settings.SYMBOLS)

    def _again_later(self, act: Callable[..., None], *arguments: object, **named: object) -> None:
        if not self._is_calm:
            self._host.at(self._host.now_ms + LATER_MS, partial(act, *arguments, **named))

    def _clock_is_set_right(self) -> None:
        self._clock.system_off_ms = 0

    def _died(self, point: CrashPoint) -> None:
        self.firings[point.value] += 1
        self._oracle.court.note("death", point.value)


def _memory_folder() -> str | None:
    """A disk that is none makes syncing free."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None


def _story(error: BaseException) -> str:
    """The innermost error, and where it was raised."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    trace, where = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} (at {where})"
