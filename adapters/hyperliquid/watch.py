"""While the daemon runs: is our clock the venue's, and how long may the agent still sign?

Both end in refusals of the venue. So the operator is told early, and entries are held before it bites: the venue then
still takes the exits. What cannot be learned changes nothing, and is told after a while.
"""

from __future__ import annotations

import asyncio
import enum
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.key_checks import read_agents
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.venue_skew import SURE_MS, VenueSkew, proven_ms
from adapters.hyperliquid.wire_numbers import Millis
from domain.events import EntriesHeld, Event, VenueTime
from ports.alerts import Alerts
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

EVERY_S = 60.0
"""Real seconds: a clock that is set back must not hold up whoever looks for that."""
CLOCK_TOLD_MS = 2_000
CLOCK_HELD_MS = 10_000
"""Orders expire by our clock, candles close by it, and nonces follow it."""
AGENT_TOLD_MS = 24 * 3_600_000
AGENT_HELD_MS = 3_600_000
FAILED_LOOKS = 5
"""In a row; then the operator hears that nobody is watching."""

CLOCK = "clock_skew"
AGENT = "agent_ends"

Put = Callable[[Event], None]


class Level(enum.IntEnum):
    CALM = 0
    TOLD = 1
    HELD = 2


@dataclass(frozen=True, slots=True)
class ClockLook:
    """One answer with the venue's time in it, and our times before and after."""

    venue_ms: int
    asked_ms: int
    heard_ms: int
    round_trip_ms: int
    """In real time."""
    special: str
    """What the venue says of itself besides, such as that it takes post-only orders; empty as a rule."""

    @property
    def bounds_ms(self) -> tuple[int, int]:
        """How far the venue's clock is ahead of ours as the answer comes: at least, and at most.

        The answer is as old as the way took at most. That is in the market's time, which may run faster than real time,
        but not backwards as our clock does where it is set meanwhile.
        """
        lowest_ms = self.venue_ms - self.heard_ms
        return lowest_ms, lowest_ms + max(self.round_trip_ms, self.heard_ms - self.asked_ms)

    @property
    def skew_ms(self) -> int:
        """How far the venue's clock is ahead of ours (negative: behind), at least: 0 if it may be neither."""
        return proven_ms(*self.bounds_ms)


class _Status(msgspec.Struct):
    time: Millis
    special: object = msgspec.field(name="specialStatuses", default=None)


_STATUS = msgspec.json.Decoder(_Status)


async def look_at_clock(info: InfoClient, clock: Clock) -> ClockLook:
    """Ask the venue for its time. Raises `VenueUnavailable`, also where the answer does not tell it."""
    asked_ms, started_ms = clock.now_ms(), clock.monotonic_ms()
    body = await info.ask({"type": "exchangeStatus"}, lane=Lane.ACCOUNT)
    heard_ms, ended_ms = clock.now_ms(), clock.monotonic_ms()
    try:
        status = _STATUS.decode(body)
    except msgspec.DecodeError as error:
        raise VenueUnavailable(f"exchangeStatus does not tell the venue's time: {error}") from error
    special = "" if status.special in (None, [], {}) else json.dumps(status.special)[:200]
    return ClockLook(status.time, asked_ms, heard_ms, ended_ms - started_ms, special)


class VenueWatch:
    def __init__(
        self,
        info: InfoClient,
        clock: Clock,
        alerts: Alerts,
        *,
        signer: str,
        account: str,
        every_s: float = EVERY_S,
        skew: VenueSkew | None = None,
    ) -> None:
        """`signer` signs for `account`, the master whose list of agents tells when it ends; both the same: it never
        ends. With `skew`, what each look at the clock proves is kept there, and the venue's time told as an event."""
        self._info = info
        self._clock = clock
        self._alerts = alerts
        self._signer = signer.lower()
        self._account = account.lower()
        self._every_s = every_s
        self._skew = skew
        self._levels = {CLOCK: Level.CALM, AGENT: Level.CALM}
        self._failed: Counter[str] = Counter()
        self._venue_is_ahead_ms = 0
        self._agent_ends_ms: int | None = None
        """None while it is not known; a moment that has passed, once the venue has stopped listing it."""

    async def keep_watch(self, put: Put) -> None:
        """Long-lived: look again and again, and hold entries where that must be."""
        while True:
            await self.look(put)
            await asyncio.sleep(self._every_s)

    async def look(self, put: Put) -> None:
        """Once, at everything."""
        await self._look_at_clock(put)
        if self._signer != self._account:
            await self._look_at_agent(put)

    # ── the clock ────────────────────────────────────────────────────────────────────────────────

    async def _look_at_clock(self, put: Put) -> None:
        try:
            look = await look_at_clock(self._info, self._clock)
        except VenueUnavailable as error:
            self._count_failure(CLOCK, f"the venue's clock cannot be compared with ours: {error}")
            return
        self._failed[CLOCK] = 0
        if self._skew is not None:
            self._skew.learn(*look.bounds_ms)
            put(VenueTime(look.venue_ms))
        skew_ms = look.skew_ms
        level = _level(abs(skew_ms), CLOCK_TOLD_MS, CLOCK_HELD_MS)
        if level < self._levels[CLOCK] and look.round_trip_ms > SURE_MS:
            return
        self._venue_is_ahead_ms = skew_ms
        self._settle(put, CLOCK, level, _of_clock(skew_ms, level))

    # ── the agent ────────────────────────────────────────────────────────────────────────────────

    async def _look_at_agent(self, put: Put) -> None:
        """Time runs on also where the venue does not answer: its last word stays good."""
        now_ms = self._clock.now_ms() + self._venue_is_ahead_ms
        gone = False
        try:
            listed = await self._listed_end()
            self._failed[AGENT] = 0
            gone = listed is None and self._agent_ends_ms is not None
            if listed is not None:
                self._agent_ends_ms = listed
        except VenueUnavailable as error:
            self._count_failure(AGENT, f"it is not known how long the agent {self._signer} may sign: {error}")
        if self._agent_ends_ms is None:
            return  # unnamed agents are in no list: nobody tells their end
        left_ms = self._agent_ends_ms - now_ms
        level = Level.HELD if gone else _level(-left_ms, -AGENT_TOLD_MS - 1, -AGENT_HELD_MS - 1)
        self._settle(put, AGENT, level, self._of_agent(left_ms, level, gone=gone))

    async def _listed_end(self) -> int | None:
        """When the agent ends by the venue's list; None if it is not in it."""
        body = await self._info.ask({"type": "extraAgents", "user": self._account}, lane=Lane.ACCOUNT)
        agents = read_agents(json.loads(body))
        if agents is None:
            raise VenueUnavailable("the venue's list of agents cannot be read")
        return min((agent.valid_until_ms for agent in agents if agent.address == self._signer), default=None)

    def _of_agent(self, left_ms: int, level: Level, *, gone: bool) -> str:
        hours = left_ms / 3_600_000
        if level is Level.CALM:
            return f"the agent {self._signer} may sign for another {hours / 24:.0f} days"
        if left_ms <= 0:
            state = "has expired"
        elif gone:
            state = "is no longer listed by the venue: it was removed, or replaced by one of the same name"
        elif hours < 2:
            state = f"ends in {left_ms / 60_000:.0f} minutes"
        else:
            state = f"ends in {hours:.0f} hours"
        then = "entries are held, exits go on" if level is Level.HELD else "in its last hour entries are held"
        return f"the agent {self._signer} {state}; {then}. Approve a new one, with a new key, and start again with it"

    # ── what follows ─────────────────────────────────────────────────────────────────────────────

    def _settle(self, put: Put, source: str, level: Level, text: str) -> None:
        """Tell a level that is new, and hold or let go of entries; nothing where all is as it was."""
        before = self._levels[source]
        if level is before:
            return
        self._levels[source] = level
        if level is Level.HELD:
            put(EntriesHeld(source, text))
        elif before is Level.HELD:
            put(EntriesHeld(source, ""))
            text += "; entries go on"
        self._alerts.send(source, text)

    def _count_failure(self, source: str, text: str) -> None:
        self._failed[source] += 1
        if self._failed[source] == FAILED_LOOKS:
            self._alerts.send(f"{source}_unknown", text)


def _level(value: int, told: int, held: int) -> Level:
    if value > held:
        return Level.HELD
    return Level.TOLD if value > told else Level.CALM


def _of_clock(skew_ms: int, level: Level) -> str:
    seconds = abs(skew_ms) / 1000
    if level is Level.CALM:
        return f"our clock agrees with the venue's again, to {seconds:.1f} s"
    side = "behind" if skew_ms > 0 else "ahead of"
    later = f"above {CLOCK_HELD_MS // 1000} s entries are held"
    then = "entries are held, exits go on" if level is Level.HELD else later
    return f"our clock is {seconds:.1f} s {side} the venue's; {then}. Let NTP set it (timedatectl set-ntp true)"
