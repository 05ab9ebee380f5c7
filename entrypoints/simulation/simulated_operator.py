"""The simulated operator: asks the running daemon for something until it is answered, and takes back what shut it.

As people do: some requests come twice, some with the network down, some right before the machine dies. What has shut
entries is lifted again after a while, as a rule; some of it never.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from typing import Protocol

from domain.events import OperatorSpoke
from domain.operator import OperatorVerb
from domain.risk import FOREVER_MS, RiskState
from entrypoints.simulation.life import Life
from entrypoints.simulation.oracle.oracle import Oracle
from entrypoints.simulation.venue_host import VenueHost

ANSWERED_MS = 12_000
"""By then a life that goes on has answered: the disk may be slow for 7 s."""
AGAIN_MS = 15_000
NEVER_LIFTED = 0.05
LIFTED_MS = (120_000, 1_800_000)


class Manner(enum.Enum):
    """What comes together with a request."""

    ALONE = "alone"
    TWICE = "twice"
    NETWORK_DOWN = "network down"
    CRASH = "crash"


MANNERS = (*[Manner.ALONE] * 5, Manner.TWICE, Manner.NETWORK_DOWN, Manner.CRASH, Manner.CRASH)


class Lives(Protocol):
    @property
    def life(self) -> Life | None:
        """The daemon that runs now."""


class SimulatedOperator:
    def __init__(self, lives: Lives, host: VenueHost, oracle: Oracle, chance: random.Random) -> None:
        self._lives = lives
        self._host = host
        self._oracle = oracle
        self._chance = chance
        self._count = 0
        self._relief: str = ""
        """What is about to be lifted."""
        self._beside_entry: list[OperatorVerb] = []

    def ask(self, verb: OperatorVerb, symbol: str | None = None, on_heard: Callable[[], None] = lambda: None) -> None:
        """Ask, and go on asking until the ledger says that it was heard. `on_heard`: it is in the daemon's inbox."""
        self._count += 1
        life = self._lives.life
        spoken = OperatorSpoke(f"operator-{self._count}", verb, symbol, "simulation", f"request {self._count}")
        if life is None or not life.hear(spoken):
            self._later(AGAIN_MS, self.ask, verb, symbol, on_heard)
            return
        self._oracle.court.note("operator", spoken)
        self._later(ANSWERED_MS, self._look_for_answer, life, spoken)
        on_heard()

    def ask_beside_entry(self, verb: OperatorVerb) -> None:
        """Ask when the next entry is written down and has not left."""
        self._beside_entry.append(verb)

    def entry_written(self) -> None:
        while self._beside_entry:
            self.ask(self._beside_entry.pop())

    def notice(self, state: RiskState) -> None:
        """Look at what the daemon holds to, and decide how long it shall be left at that."""
        if state.latch.value != "open":
            shut, relief = f"latch {state.latched_ms}", OperatorVerb.KILL_CLEAR
        elif state.paused or any(until_ms == FOREVER_MS for _, until_ms in state.cooldowns):
            shut, relief = f"pause {state.paused} {state.cooldowns}", OperatorVerb.RESUME
        else:
            self._relief = ""
            return
        if self._relief == shut:
            return
        self._relief = shut
        if self._chance.random() >= NEVER_LIFTED:
            self._later(self._chance.randint(*LIFTED_MS), self.ask, relief)

    def _look_for_answer(self, life: Life, spoken: OperatorSpoke) -> None:
        if spoken.request_id in self._oracle.image.acted:
            return
        lives_on = life is self._lives.life and not life.is_dead and life.asked_to_stop_ms is None
        text = f"{spoken} was not heard within {ANSWERED_MS} ms by a daemon that runs"
        self._oracle.court.require(not lives_on, "I-26", text)
        self.ask(spoken.verb, spoken.symbol)

    def _later(self, ms: int, act: Callable[..., None], *arguments: object) -> None:
        self._host.at(self._host.now_ms + ms, act, *arguments)
