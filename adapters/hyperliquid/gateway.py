"""Orders and cancels on their way to Hyperliquid's `/exchange`.

What is submitted in one turn of the loop (or one window) leaves in this order: cancels, in one action, then each order
in an action of its own: exits, post-only entries, other entries. No order waits for another's answer. An entry first
needs its leverage set and room in the address's request budget; an exit needs neither.

Thousands of cancels may come at once. They leave in portions, few at a time, and the rest waits here: neither threads
nor weight are ever taken from an exit that comes after them.

An order's payload was decided and written down with it, nonce and expiry included; it is signed once and sent once.
The expiry bounds how late it can still land: nothing here ever concludes from time or errors that it has not.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from adapters.hyperliquid.action_hash import action_hash
from adapters.hyperliquid.budget import AddressBudget, Lane, Purpose, WeightBudget
from adapters.hyperliquid.cancel_queue import Cancel, CancelQueue
from adapters.hyperliquid.encoder import ActionEncoder
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.leverage import AccountLeverage, AsksInfo, LeverageRefused
from adapters.hyperliquid.outcomes import (
    action_problem,
    came_too_late,
    cancel_problems,
    is_burned,
    order_outcome,
    refused_text,
    spent_requests,
)
from adapters.hyperliquid.sending import ActionSender, GivesNonces, Sent, SignsActions, action_weight
from adapters.hyperliquid.transport import HttpTransport
from adapters.hyperliquid.wire_account import decode_rate_limit
from domain.intents import OrderRequest, Payload, TimeInForce
from domain.orders import SubmitOutcome, Unknown
from ports.alerts import Alerts
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

CANCELS_UNDERWAY = 2
"""Actions with cancels that are not answered yet, at most: the transport keeps a thread more than that for exits."""

BUDGET_AGAIN_MS = 60_000
"""How often the venue is asked about the address's budget while entries are refused for it."""

RATE_PAUSE_MS = 2_000
"""After a 429 nothing but emergencies is sent or asked for so long, in market time."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`user` is the account that trades; `vault` names it in actions where the agent's master is somebody else.

    Times of the market: `expires_after_ms`, of a change of leverage. Real ones: `batch_window_ms` (0 is one turn of the
    loop), `timeout_s`.
    """

    user: str
    vault: str | None = None
    expires_after_ms: int = 10_000
    batch_window_ms: int = 0
    timeout_s: float = 10.0


_FOR_ENTRIES = frozenset(("order", "updateLeverage"))
"""Actions that only entries need, where they are not urgent."""


class _Kind(enum.Enum):
    """What leaves together, in the order of leaving."""

    EXIT = "exit"
    POST_ONLY = "post-only"
    ENTRY = "entry"


@dataclass(slots=True, eq=False)
class _Order:
    request: OrderRequest
    answer: asyncio.Future[SubmitOutcome]


@dataclass(slots=True)
class _Window:
    cancels: list[Cancel] = field(default_factory=list)
    orders: dict[_Kind, list[_Order]] = field(default_factory=lambda: {kind: [] for kind in _Kind})


class HyperliquidGateway:
    """`OrderGateway` for one account. To be made and used in one event loop."""

    def __init__(
        self,
        transport: HttpTransport,
        signer: SignsActions,
        nonces: GivesNonces,
        encoder: ActionEncoder,
        budget: WeightBudget,
        address_budget: AddressBudget,
        info: AsksInfo,
        clock: Clock,
        settings: GatewaySettings,
        alerts: Alerts,
        skew_ms: Callable[[], int] = lambda: 0,
        bars_entries: Callable[[], str] = lambda: "",
        before_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """`skew_ms` tells how far the venue's time is ahead of `clock`: by it orders expire. `bars_entries` tells why
        no entry may leave now, whatever was decided before; empty where it may. `before_stop` is called when an order
        that waits for a price is about to leave."""
        self._sender = ActionSender(transport, signer, nonces, clock, settings.vault, settings.timeout_s)
        self._encoder = encoder
        self._budget = budget
        self._address_budget = address_budget
        self._info = info
        self._clock = clock
        self._settings = settings
        self._alerts = alerts
        self._skew_ms = skew_ms
        self._bars_entries = bars_entries
        self._before_stop = before_stop
        self._leverage = AccountLeverage(info, settings.user, clock)
        self._window: _Window | None = None
        self._cancels = CancelQueue()
        self._cancels_underway = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._seen: set[str] = set()
        self._unsettled: dict[str, int | None] = {}
        self._budget_asked_ms: int | None = None

    async def submit(self, request: OrderRequest) -> SubmitOutcome:
        assert request.cloid not in self._seen, "an attempt is submitted once"
        assert request.payload is not None, "what is sent was written down before"
        self._seen.add(request.cloid)
        if request.trigger is not None:
            self._before_stop()
        kind = _kind_of(request)
        self._unsettled[request.cloid] = None
        try:
            if kind is not _Kind.EXIT:
                self._check_bar()
                await self._ask_budget_again()
                await self._leverage.ensure(request.symbol, request.leverage, self._set_leverage)
            order = _Order(request, asyncio.get_running_loop().create_future())
            self._open_window().orders[kind].append(order)
            outcome = await order.answer
        except VenueUnavailable:
            del self._unsettled[request.cloid]
            raise
        if not isinstance(outcome, Unknown):
            del self._unsettled[request.cloid]
        return outcome

    async def cancel(self, symbol: str, cloid: str) -> None:
        """Raises `VenueUnavailable` also for an order of ours that may still be on its way: ask again."""
        cancel = Cancel(symbol, cloid, asyncio.get_running_loop().create_future())
        self._open_window().cancels.append(cancel)
        problem = await cancel.answer
        if problem is None or (came_too_late(problem) and not self._may_still_land(cloid)):
            return
        raise VenueUnavailable(f"cancel of {cloid}: {problem}")

    async def cancel_foreign(self, symbol: str, oid: int) -> None:
        """See `OrderGateway`. What is not there any more has ended."""
        cancel = Cancel(symbol, oid, asyncio.get_running_loop().create_future())
        self._open_window().cancels.append(cancel)
        problem = await cancel.answer
        if problem is not None and not came_too_late(problem):
            raise VenueUnavailable(f"cancel of {symbol} {oid}: {problem}")

    async def burn(self, nonce: int) -> bool:
        """See `OrderGateway`: a `noop` takes the nonce, or learns that it is taken."""
        await self._budget.take(action_weight(1), Lane.EMERGENCY)
        sent = await self._send(self._encoder.noop(), None, 1, nonce, urgent=True)
        return sent.reply is not None and is_burned(sent.reply)

    async def schedule_cancel(self, at_ms: int | None) -> str | None:
        """Set the venue's switch that cancels every order at `at_ms`, or clear it. Returns the venue's refusal, None
        when it is done. Raises `VenueUnavailable` when that is not clear."""
        urgent = at_ms is None
        await self._budget.take(action_weight(1), Lane.CANCELS if urgent else Lane.ORDERS)
        sent = await self._send(self._encoder.schedule_cancel(at_ms), None, 1, urgent=urgent, tells=False)
        if sent.reply is None:
            raise VenueUnavailable(sent.problem)
        problem = action_problem(sent.reply)
        refusal = refused_text(sent.reply)
        if problem is not None and refusal is None:
            raise VenueUnavailable(problem)
        return refusal

    async def close(self) -> None:
        """Give up what still waits. What has left may have arrived."""
        self._cancels.give_up()
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    # ── what leaves together ─────────────────────────────────────────────────────────────────────

    def _open_window(self) -> _Window:
        if self._window is None:
            self._window = _Window()
            loop = asyncio.get_running_loop()
            if self._settings.batch_window_ms:
                loop.call_later(self._settings.batch_window_ms / 1000, self._close_window)
            else:
                loop.call_soon(self._close_window)
        return self._window

    def _close_window(self) -> None:
        window, self._window = self._window, None
        assert window is not None, "a window is closed once"
        for cancel in window.cancels:
            self._cancels.put(cancel)
        self._start_cancels()
        for kind, orders in window.orders.items():
            for order in orders:
                self._start(self._send_order(kind, order), [order])

    def _start_cancels(self) -> None:
        """Send the next portions, as many as may be on their way."""
        while self._cancels_underway < CANCELS_UNDERWAY and (portion := self._cancels.next_portion()):
            self._cancels_underway += 1
            self._start(self._send_cancels(portion), portion).add_done_callback(self._portion_ended)

    def _portion_ended(self, _: asyncio.Task[None]) -> None:
        self._cancels_underway -= 1
        self._start_cancels()

    def _start(self, work: Awaitable[None], waiting: Sequence[_Order] | Sequence[Cancel]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._sending.add(task)
        task.add_done_callback(lambda done: self._ended(done, waiting))
        return task

    def _ended(self, task: asyncio.Task[None], waiting: Sequence[_Order] | Sequence[Cancel]) -> None:
        """Nobody waits for an answer that does not come; a bug goes to those whose orders it concerns."""
        self._sending.discard(task)
        error = None if task.cancelled() else task.exception()
        for each in waiting:
            if not each.answer.done():
                if error is not None:
                    each.answer.set_exception(error)
                else:
                    each.answer.cancel()

    async def _send_order(self, kind: _Kind, order: _Order) -> None:
        is_entry = kind is not _Kind.EXIT
        payload = order.request.payload
        assert payload is not None, "asked when it was submitted"
        await self._budget.take(action_weight(1), Lane.ORDERS if is_entry else Lane.EMERGENCY)
        now_ms = self._clock.now_ms()
        if order.answer.done():
            return
        refusal = _lateness(payload, now_ms + self._skew_ms())
        if refusal is None and is_entry:
            refusal = self._bars_entries() or self._address_budget.refusal(Purpose.ENTRY, 1, now_ms)
        if refusal is not None:
            order.answer.set_exception(VenueUnavailable(refusal))
            return
        self._unsettled[order.request.cloid] = payload.expires_ms
        try:
            action = msgspec.json.decode(payload.action)
            written = action_hash(action, payload.nonce, self._settings.vault, payload.expires_ms).hex()
            assert written == payload.digest, "what is signed is what was written down"
            sent = await self._send(action, payload.expires_ms, 1, payload.nonce, urgent=not is_entry)
        except VenueUnavailable as error:
            outcome: SubmitOutcome | VenueUnavailable = error
        else:
            outcome = Unknown(sent.problem) if sent.reply is None else order_outcome(sent.reply, order.request)
        if order.answer.done():
            return
        if isinstance(outcome, VenueUnavailable):
            order.answer.set_exception(outcome)
        else:
            order.answer.set_result(_traced(outcome, sent))

    async def _send_cancels(self, cancels: Sequence[Cancel]) -> None:
        await self._budget.take(action_weight(len(cancels)), Lane.CANCELS)
        try:
            # No expiry: a cancel that lands late is still wanted, and can only end the order that it names.
            sent = await self._send(self._cancel_action(cancels), None, len(cancels), urgent=True)
        except VenueUnavailable as error:
            problems: list[str | None] = [str(error)] * len(cancels)
        else:
            lost = [sent.problem] * len(cancels)
            problems = list(lost) if sent.reply is None else cancel_problems(sent.reply, len(cancels))
        for cancel, problem in zip(cancels, problems, strict=True):
            if not cancel.answer.done():
                cancel.answer.set_result(problem)

    def _cancel_action(self, cancels: Sequence[Cancel]) -> Mapping[str, object]:
        """One action for cancels that are all by cloid, or all by oid."""
        ours = [(each.symbol, each.order) for each in cancels if isinstance(each.order, str)]
        if ours:
            assert len(ours) == len(cancels), "an action names its orders in one way"
            return self._encoder.cancel(ours)
        return self._encoder.cancel_oids([(each.symbol, each.order) for each in cancels if isinstance(each.order, int)])

    async def _set_leverage(self, symbol: str, value: int, is_cross: bool) -> None:
        await self._budget.take(action_weight(1), Lane.ORDERS)
        self._check_bar()
        expires_after = self._clock.now_ms() + self._skew_ms() + self._settings.expires_after_ms
        sent = await self._send(self._encoder.leverage(symbol, value, is_cross=is_cross), expires_after, 1)
        if sent.reply is None:
            raise VenueUnavailable(f"{value}x for {symbol} may be set or not: {sent.problem}")
        problem = action_problem(sent.reply)
        if problem is not None:
            clear = refused_text(sent.reply) is not None
            raise (LeverageRefused if clear else VenueUnavailable)(f"{value}x for {symbol} is not set: {problem}")

    async def _send(
        self,
        action: Mapping[str, object],
        expires_after: int | None,
        requests: int,
        nonce: int | None = None,
        *,
        urgent: bool = False,
        tells: bool = True,
    ) -> Sent:
        """`tells` off: whoever asks says himself what the venue refused."""
        bar = self._bars_entries if action["type"] in _FOR_ENTRIES and not urgent else None
        sent = await self._sender.send(action, expires_after, nonce, urgent=urgent, bar=bar)
        self._address_budget.spend(requests, self._clock.now_ms())
        if sent.reply is None:
            return sent
        if sent.reply.status == 429:
            self._budget.pause(RATE_PAUSE_MS)
        text = refused_text(sent.reply)
        if text is not None:
            spent = spent_requests(text)
            if spent is not None:
                self._address_budget.told(spent.used, spent.cap)
                self._budget_asked_ms = self._clock.now_ms()
            if tells:
                self._alerts.send("exchange_refused", f"{action['type']}: {text}")
        return sent

    # ── whether it may ───────────────────────────────────────────────────────────────────────────

    def _check_bar(self) -> None:
        reason = self._bars_entries()
        if reason:
            raise VenueUnavailable(reason)

    async def _ask_budget_again(self) -> None:
        """While entries are refused for the address's budget, ask the venue now and then what is left of it."""
        now_ms = self._clock.now_ms()
        if self._address_budget.refusal(Purpose.ENTRY, 1, now_ms) is None:
            return
        if self._budget_asked_ms is None or now_ms - self._budget_asked_ms >= BUDGET_AGAIN_MS:
            self._budget_asked_ms = now_ms
            body = await self._info.ask({"type": "userRateLimit", "user": self._settings.user}, lane=Lane.ORDERS)
            try:
                told = decode_rate_limit(body)
            except DecodeError as e:
                raise VenueUnavailable(f"what is left of the request budget cannot be read: {e}") from e
            self._address_budget.told(told.used, told.cap, told.surplus)
        refusal = self._address_budget.refusal(Purpose.ENTRY, 1, now_ms)
        if refusal is not None:
            raise VenueUnavailable(refusal)

    def _may_still_land(self, cloid: str) -> bool:
        """Whether an order of this session has no answer and has not expired: a cancel may have come before it."""
        if cloid not in self._unsettled:
            return False
        expires_after = self._unsettled[cloid]
        return (
            expires_after is None
            or self._clock.now_ms() + self._skew_ms() <= expires_after + self._settings.expires_after_ms
        )


def _kind_of(request: OrderRequest) -> _Kind:
    if request.reduce_only:
        return _Kind.EXIT
    return _Kind.POST_ONLY if request.time_in_force is TimeInForce.ALO else _Kind.ENTRY


def _lateness(payload: Payload, now_ms: int) -> str | None:
    """Why an order may not leave any more: its time has passed while it waited."""
    late_ms = now_ms - payload.expires_ms
    return f"it expired {late_ms} ms ago while it waited to leave" if late_ms > 0 else None


def _traced(outcome: SubmitOutcome, sent: Sent) -> SubmitOutcome:
    """An unknown outcome keeps what may prove it later."""
    return Unknown(f"{outcome.text} ({sent.trace})") if isinstance(outcome, Unknown) else outcome
