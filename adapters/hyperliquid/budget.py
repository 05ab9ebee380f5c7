"""What we may ask of the venue: weight per minute and IP with lanes, and requests per address.

`WeightBudget` is a sliding minute and not a leaky bucket, which would let nearly twice its weight through in the first
minute. We plan for half of what the venue grants: others may use the same IP, and a request counts there when it
arrives, not when it leaves here.

Who waits is served lane by lane, first come first served inside a lane. The first in line holds up all behind it,
so that a large request is not overtaken for ever by small ones. A reading lane that got nothing for
`OVERDUE_MS` although somebody waits in it has one request served before the other reading lanes: orders and
emergencies never wait for that.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from dataclasses import dataclass

from ports.clock import Clock

MINUTE_MS = 60_000
PER_MINUTE = 600
"""Half of the venue's 1,200."""
RESERVE = 100
"""Of it, what only emergencies may use: as many actions with cancels or exits a minute."""
EXIT_RESERVE = 40
"""Of the reserve, what cancels leave to exits, however many there are to cancel."""
EMERGENCY_PAUSE_MS = 500
"""The longest that emergencies wait after a 429. We plan for half of what the venue grants, so a 429 is most likely
somebody else's doing on this IP, and an exit that is refused once more costs less than one that waits."""
OVERDUE_MS = 2 * MINUTE_MS
RECHECK_S = 1.0
"""Real seconds after which the first in line looks at the clock, however it was set meanwhile."""


class Lane(enum.IntEnum):
    """Who goes first: the lower number."""

    EMERGENCY = 0
    """Reduce-only orders, and what burns the nonce of an order whose fate is not known."""
    CANCELS = 1
    """Besides them, small questions about such orders: where many are unknown, exits still find room."""
    ORDERS = 2
    ACCOUNT = 3
    NORMAL = 4
    BULK = 5


@dataclass(slots=True, eq=False)
class _Entry:
    at_ms: int
    weight: int


@dataclass(slots=True, eq=False)
class _Waiter:
    weight: int
    lane: Lane
    turn: asyncio.Future[None]
    entry: _Entry | None = None
    """What it got, once it did."""


class WeightBudget:
    """In any 60 s of the market's time no more than `per_minute` is let through, reserved weight included."""

    def __init__(self, clock: Clock, per_minute: int = PER_MINUTE, reserve: int | None = None) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._reserve = per_minute * RESERVE // PER_MINUTE if reserve is None else reserve
        assert 0 <= self._reserve < per_minute, "a reserve is a part of the whole"
        self._exit_reserve = self._reserve * EXIT_RESERVE // RESERVE
        self._entries: deque[_Entry] = deque()
        self._used = 0
        self._spent = 0
        self._lanes: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in Lane}
        self._hungry_since: dict[Lane, int] = {}
        self._paused_until_ms: int | None = None
        self._emergencies_from_ms = 0
        """Never later than the end of the pause."""
        self._now_ms = clock.now_ms()
        self._watch: asyncio.Task[None] | None = None
        """Runs while somebody waits."""
        self._timer: asyncio.Task[None] | None = None

    async def take(self, weight: int, lane: Lane = Lane.NORMAL) -> None:
        """Return once `weight` may be spent; it is spent then. A cancelled wait spends nothing.

        Those who are let through together go on in the order of the line.
        """
        assert 0 < weight <= self._bound(lane), "no minute is ever so long"
        now_ms = self._time()
        waiter = _Waiter(weight, lane, asyncio.get_running_loop().create_future())
        if not self._lanes[lane]:
            self._hungry_since[lane] = now_ms
        others_wait = self.waiting > 0
        self._lanes[lane].append(waiter)
        self._serve(now_ms)
        try:
            if not waiter.turn.done():
                self._keep_watch()
            elif others_wait:
                await asyncio.sleep(0)  # they may have been let through just now, and are before us
            await waiter.turn
        except BaseException:
            self._leave(waiter)
            raise

    def give_back(self, weight: int) -> None:
        """What was taken for a question that has not left was not spent.

        It is the oldest weight that goes, so that what is left counts for longer: rather too long than too short.
        """
        now_ms = self._time()
        self._spent -= weight
        for entry in self._entries:
            given = min(entry.weight, weight)
            entry.weight -= given
            self._used -= given
            weight -= given
            if not weight:
                break
        self._serve(now_ms)
        if self._timer is not None:
            self._timer.cancel()

    def pause(self, for_ms: int) -> None:
        """Let nothing through for so long, emergencies for `EMERGENCY_PAUSE_MS` at most: the venue says that this IP
        has asked too much."""
        now_ms = self._time()
        until_ms = now_ms + for_ms
        self._paused_until_ms = max(until_ms, self._paused_until_ms or until_ms)
        self._emergencies_from_ms = max(self._emergencies_from_ms, now_ms + min(for_ms, EMERGENCY_PAUSE_MS))

    @property
    def used(self) -> int:
        """Weight let through in the minute before now."""
        self._time()
        return self._used

    @property
    def spent(self) -> int:
        """Weight let through since the start."""
        return self._spent

    @property
    def waiting(self) -> int:
        return sum(len(line) for line in self._lanes.values())

    # ── who is served ────────────────────────────────────────────────────────────────────────────

    def _serve(self, now_ms: int) -> None:
        """Let through whoever may, from the front of the line."""
        while (waiter := self._front(now_ms)) is not None and self._has_room(waiter):
            self._lanes[waiter.lane].popleft()
            waiter.entry = _Entry(now_ms, waiter.weight)
            self._entries.append(waiter.entry)
            self._used += waiter.weight
            self._spent += waiter.weight
            self._hungry_since[waiter.lane] = now_ms
            waiter.turn.set_result(None)

    def _front(self, now_ms: int) -> _Waiter | None:
        for line in self._lanes.values():
            while line and line[0].turn.done():
                line.popleft()  # cancelled, and has not come to say so yet
        waiting = [lane for lane in Lane if self._lanes[lane]]
        if not waiting:
            return None
        first = waiting[0]
        if first > Lane.ORDERS:
            overdue = [lane for lane in waiting if now_ms - self._hungry_since[lane] >= OVERDUE_MS]
            first = min(overdue, key=lambda lane: self._hungry_since[lane]) if overdue else first
        return self._lanes[first][0]

    def _has_room(self, waiter: _Waiter) -> bool:
        if self._pause_end_ms(waiter.lane) > self._now_ms:
            return False
        return self._used + waiter.weight <= self._bound(waiter.lane)

    def _pause_end_ms(self, lane: Lane) -> int:
        """From when on this lane is served again; long ago where nothing is paused."""
        if self._paused_until_ms is None:
            return 0
        return self._emergencies_from_ms if lane <= Lane.CANCELS else self._paused_until_ms

    def _bound(self, lane: Lane) -> int:
        if lane <= Lane.CANCELS:
            return self._per_minute - (self._exit_reserve if lane is Lane.CANCELS else 0)
        return self._per_minute - self._reserve

    def _leave(self, waiter: _Waiter) -> None:
        """It was cancelled: waiting, or let through but not yet told."""
        now_ms = self._time()
        if waiter.entry is not None:
            if waiter.entry.at_ms > now_ms - MINUTE_MS:
                self._used -= waiter.entry.weight
            waiter.entry.weight = 0
        elif waiter in self._lanes[waiter.lane]:
            self._lanes[waiter.lane].remove(waiter)
        self._serve(now_ms)
        if self._timer is not None:
            self._timer.cancel()

    # ── the watch: one timer for the front of the line ───────────────────────────────────────────

    def _keep_watch(self) -> None:
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_clock(), name="venue budget")
        elif self._timer is not None:
            self._timer.cancel()  # the front may be another one now

    async def _watch_clock(self) -> None:
        try:
            while (front := self._front(self._time())) is not None:
                self._timer = asyncio.create_task(self._clock.sleep_until(self._room_ms(front)), name="budget timer")
                try:
                    await asyncio.wait([self._timer], timeout=RECHECK_S)
                    if self._timer.done() and not self._timer.cancelled():
                        self._timer.result()
                finally:
                    self._timer.cancel()
                self._serve(self._time())
        except Exception as e:  # noqa: BLE001  (whoever waits raises it)
            for line in self._lanes.values():
                for waiter in line:
                    if not waiter.turn.done():
                        waiter.turn.set_exception(e)
        finally:
            self._watch = self._timer = None

    # ── time ─────────────────────────────────────────────────────────────────────────────────────

    def _room_ms(self, waiter: _Waiter) -> int:
        """When there is room for the first in line, if nobody comes before it."""
        excess = self._used + waiter.weight - self._bound(waiter.lane)
        due_ms = max(self._now_ms, self._pause_end_ms(waiter.lane))
        for entry in self._entries:
            if excess <= 0:
                break
            excess -= entry.weight
            due_ms = max(due_ms, entry.at_ms + MINUTE_MS)
        return due_ms

    def _time(self) -> int:
        """The market's time, with everything that has passed by then let go.

        A clock that was set back takes our memory with it: what was spent is as long ago as it was before.
        """
        now_ms = self._clock.now_ms()
        if (back_ms := self._now_ms - now_ms) > 0:
            for entry in self._entries:
                entry.at_ms -= back_ms
            for lane in self._hungry_since:
                self._hungry_since[lane] -= back_ms
            if self._paused_until_ms is not None:
                self._paused_until_ms -= back_ms
                self._emergencies_from_ms -= back_ms
        self._now_ms = now_ms
        while self._entries and self._entries[0].at_ms <= now_ms - MINUTE_MS:
            self._used -= self._entries.popleft().weight
        if self._paused_until_ms is not None and self._paused_until_ms <= now_ms:
            self._paused_until_ms = None
        return now_ms


# ── per address ──────────────────────────────────────────────────────────────────────────────────

TRICKLE_MS = 11_000
"""An exhausted address may send one request per 10 s (measured: 11)."""
EXIT_REQUESTS = 200
"""Requests that entries leave to exits."""
EXTRA_CANCELS = 100_000


class Purpose(enum.Enum):
    """What a request to `/exchange` is for."""

    ENTRY = "entry"
    EXIT = "exit"
    CANCEL = "cancel"


class AddressBudget:
    """Requests that the address has left, after `userRateLimit` and what was sent since. Entries are refused first.

    Before the venue was asked nothing is refused: it decides itself.
    """

    def __init__(self, exit_requests: int = EXIT_REQUESTS) -> None:
        self._exit_requests = exit_requests
        self._used = 0
        self._cap: int | None = None
        self._spent_ms: int | None = None

    def told(self, used: int, cap: int, surplus: int = 0) -> None:
        """Take the venue's word: `nRequestsUsed`, `nRequestsCap`, `nRequestsSurplus`."""
        self._used, self._cap = used, cap + surplus

    def spend(self, requests: int, now_ms: int) -> None:
        """Count what was sent: each order or cancel of a batch is a request."""
        self._used += requests
        self._spent_ms = now_ms

    @property
    def left(self) -> int | None:
        """None while the venue has not been asked."""
        return None if self._cap is None else max(0, self._cap - self._used)

    def refusal(self, purpose: Purpose, requests: int, now_ms: int) -> str | None:
        """Why these requests should not be sent now, or None."""
        if self._cap is None:
            return None
        bound = {
            Purpose.ENTRY: self._cap - self._exit_requests,
            Purpose.EXIT: self._cap,
            Purpose.CANCEL: min(self._cap + EXTRA_CANCELS, 2 * self._cap),
        }[purpose]
        if self._used + requests <= bound:
            return None
        if purpose is not Purpose.ENTRY and self._has_waited(now_ms):
            return None
        kept = f", {self._exit_requests} of them for exits" if purpose is Purpose.ENTRY else ""
        return f"the address has {self.left} requests left{kept}: no room for {requests} ({purpose.value})"

    def _has_waited(self, now_ms: int) -> bool:
        return self._spent_ms is None or now_ms - self._spent_ms >= TRICKLE_MS
