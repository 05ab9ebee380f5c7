"""The venue's dead man's switch: every order of the account is cancelled once this daemon has been silent for a while.

It would cancel stops, too, and leave positions bare. So it is armed only while none of ours rests or is on its way, and
disarmed as soon as one leaves, ahead of it. The venue sets and clears it for accounts with enough volume only; it says
so once, and there is no switch then.

What may be armed is counted on the side of caution: from the moment an arming leaves until the venue has said that the
switch is clear, and for as long as an arming without an answer may still land (up to the time that it names: a time
that has come the venue refuses).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from domain.events import Event
from ports.alerts import Alerts
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

ALERT = "schedule_cancel"
LOOK_S = 1.0
"""Real seconds between two looks at what rests."""
RENEWALS = 3
"""So often the switch is set anew within its span."""
RETRIES = 3
"""And so often within such a part where nobody answers."""
CLOSE_S = 5.0
"""Longest wait for the last word at a clean stop."""
LATE_MS = 2_000
"""The switch fires with the block after its time, by the venue's clock."""

_TOO_LITTLE_VOLUME = "until enough volume traded"

SetsSwitch = Callable[[int | None], Awaitable[str | None]]
"""Set the switch to a moment of the venue's time, or clear it (None). Returns the venue's refusal, None when it is
done; raises `VenueUnavailable` when that is not clear."""


class DeadMansSwitch:
    """To be made and used in one event loop. `any_stop_rests`: whether a trigger order of ours may be at the venue."""

    def __init__(
        self,
        set_switch: SetsSwitch,
        any_stop_rests: Callable[[], bool],
        clock: Clock,
        skew_ms: Callable[[], int],
        alerts: Alerts,
        span_s: int,
    ) -> None:
        self._set_switch = set_switch
        self._any_stop_rests = any_stop_rests
        self._clock = clock
        self._skew_ms = skew_ms
        self._alerts = alerts
        self._span_ms = span_s * 1_000
        self._armed_until_ms = self._venue_ms() + self._span_ms
        """Whatever an earlier life has armed."""
        self._unanswered: set[int] = set()
        self._next_arming_ms = 0
        self._told = ""
        self._is_refused = False
        self._disarming: set[asyncio.Task[None]] = set()

    async def keep(self, put: Callable[[Event], None]) -> None:
        """Long-lived: arm, renew and disarm as orders come and go."""
        while not self._is_refused:
            await self.look()
            await asyncio.sleep(LOOK_S)
        await asyncio.Event().wait()

    async def look(self) -> None:
        """Do what is due now."""
        if self._any_stop_rests():
            if self._may_be_armed():
                await self._disarm()
        elif not self._is_refused and self._venue_ms() >= self._next_arming_ms:
            await self._arm()

    def stop_leaves(self) -> None:
        """A stop is about to be sent: have the switch cleared at once, without holding the stop up."""
        if self._may_be_armed():
            task = asyncio.ensure_future(self._disarm())
            self._disarming.add(task)
            task.add_done_callback(self._disarming.discard)

    async def close(self) -> None:
        """Clear the switch at a clean stop: whoever stops the daemon decides about orders that rest."""
        if not self._may_be_armed():
            return
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._disarm()
        except TimeoutError:
            self._tell(f"no answer within {CLOSE_S:g} s: the switch may fire within {self._span_ms // 1_000} s")

    def _venue_ms(self) -> int:
        return self._clock.now_ms() + self._skew_ms()

    def _may_be_armed(self) -> bool:
        return not self._is_refused and self._armed_until_ms + LATE_MS > self._venue_ms()

    async def _arm(self) -> None:
        now_ms = self._venue_ms()
        until_ms = now_ms + self._span_ms
        self._next_arming_ms = now_ms + self._span_ms // (RENEWALS * RETRIES)
        self._armed_until_ms = max(self._armed_until_ms, until_ms)
        self._unanswered.add(until_ms)
        try:
            refusal = await self._set_switch(until_ms)
        except VenueUnavailable as error:
            self._tell(f"not renewed: {error}")
            return
        self._unanswered.discard(until_ms)
        self._next_arming_ms = now_ms + self._span_ms // RENEWALS
        self._hear(refusal)

    async def _disarm(self) -> None:
        self._next_arming_ms = 0  # once no stop rests any more
        try:
            refusal = await self._set_switch(None)
        except VenueUnavailable as error:
            self._tell(f"not cleared, and it would cancel stops: {error}")
            return
        if refusal is None:
            self._armed_until_ms = max(self._unanswered, default=0)
        self._hear(refusal)

    def _hear(self, refusal: str | None) -> None:
        if refusal is None:
            self._told = ""
            return
        if _TOO_LITTLE_VOLUME in refusal.lower():
            self._is_refused = True
            refusal = f"there is none for this account: {refusal}"
        self._tell(refusal)

    def _tell(self, problem: str) -> None:
        """Tell a problem once, until it changes or is over."""
        if problem != self._told:
            self._told = problem
            self._alerts.send(ALERT, f"the venue's switch (AI_QUANT_SCHEDULE_CANCEL_S): {problem}")
