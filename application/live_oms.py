"""LiveOms: intents, orders and fills. At most once, and every fill has an owner.

An intent is written before its order leaves (`design`: write, then send): `place` puts the facts (decision, attempt,
payload with nonce and expiry) and the effect into the same step, and the committer makes the facts durable before the
effect runs. An attempt is sent once. What the venue answers is joined into the order as evidence (`domain.orders`);
where it does not answer, `UnknownOrders` finds out. A new attempt at a decision follows a proven rejection only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from application.fill_desk import BookedFill, FillDesk
from application.order_shelf import LiveOrder, OrderShelf
from application.ordinals import Ordinals
from application.portfolio import Portfolio
from application.step import Step
from application.unknown_orders import UnknownOrders, left_open
from domain.candles import Interval
from domain.effects import Alert, AskAccount, CancelOrder, SubmitOrder
from domain.events import FillArrived, FundingPaid, NonceBurned, OrderCanceled, OrderLooked, OrderNamed, OrderOutcome
from domain.facts import IntentRecorded, LedgerState, OrderChanged
from domain.intents import (
    CLOID_MAGIC,
    Action,
    IntentKey,
    OrderIntent,
    OrderRequest,
    Side,
    TimeInForce,
    Trigger,
    intent_id_of,
    next_nonce,
    request_for,
)
from domain.orders import Accepted, Order, OrderStatus, Rejected, RejectReason, Unknown, with_cancel, with_outcome
from domain.positions import Position
from ports.order_encoder import OrderEncoder

EXPIRES_AFTER_MS = 10_000
"""How late an order may land after it was decided on: an outage must not release it when it is over."""

MOST_ATTEMPTS = 3
"""At one decision, the first included."""

ATTEMPT_PAUSE_MS = 1_000
"""After a rejection."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a decision wants sent, before it has an identity."""

    action: Action
    symbol: str
    side: Side
    size: Decimal
    limit_price: Decimal
    open_ms: int
    leverage: Decimal
    reason: str
    why: str
    config_digest: str
    trigger: Trigger | None = None
    deadline_ms: int | None = None


class LiveOms:
    def __init__(
        self,
        account: str,
        strategy: str,
        interval: Interval,
        portfolio: Portfolio,
        encoder: OrderEncoder | None = None,
        venue_ms: Callable[[int], int] = lambda at_ms: at_ms,
    ) -> None:
        """`encoder` writes attempts for a venue that wants them signed; None where there is none.

        `venue_ms` tells the venue's time at a moment of ours, as far as it is known (else -1): by it orders expire.
        """
        self._account = account
        self._strategy = strategy
        self._interval = interval
        self._encoder = encoder
        self._venue_ms = venue_ms
        self._instance_tag = b""
        self._earlier_ids: frozenset[str] = frozenset()
        self._entered: set[tuple[str, Action, int]] = set()
        self._ordinals = Ordinals()
        self._last_nonce = 0
        self._shelf = OrderShelf()
        self._unknown = UnknownOrders(self._shelf)
        self._again: dict[str, LiveOrder] = {}
        self._cancel_asked: dict[str, int] = {}
        self.fills = FillDesk(self._shelf, portfolio)

    def restore(self, state: LedgerState) -> None:
        """Take over what earlier sessions left. Called once, before any other event."""
        assert not self._entered and not self._earlier_ids, "a session recovers once"
        self._instance_tag = state.instance_tag
        self._earlier_ids = state.intent_ids
        self._last_nonce = state.last_nonce
        for intent, order in (*state.ended_orders, *state.live_orders):
            self._shelf.put(LiveOrder(intent, order))
        self.fills.restore(state)

    def recover(self, step: Step) -> None:
        """What was on its way when the last session ended may have arrived: it is unknown, and asked about."""
        for live in self._shelf.all_live():
            if live.order.in_flight:
                self._update(step, live, left_open(live))
                self._unknown.begin(live.order, step.at_ms)

    # ── asking ───────────────────────────────────────────────────────────────────────────────

    def has_decided(self, action: Action, symbol: str, open_ms: int, ordinal: int = 0) -> bool:
        """Whether an entry was decided before, in this session or any earlier one; of an exit, in an earlier one."""
        if (symbol, action, open_ms) in self._entered:
            return True
        return (
            bool(self._earlier_ids) and intent_id_of(self._key(action, symbol, open_ms, ordinal)) in self._earlier_ids
        )

    def live_orders(self, symbol: str) -> list[LiveOrder]:
        """Orders of a symbol that may be alive, oldest first."""
        return self._shelf.live(symbol)

    def all_live_orders(self) -> list[LiveOrder]:
        return self._shelf.all_live()

    def find(self, cloid: str) -> LiveOrder | None:
        """A live order, or one that ended not long ago."""
        return self._shelf.find(cloid)

    def has_tag(self, cloid: str) -> bool:
        """Whether a cloid that looks like ours is of this ledger."""
        return cloid.lower().startswith("0x" + (CLOID_MAGIC + self._instance_tag).hex())

    def has_unknown(self, symbol: str) -> bool:
        """Whether the fate of some order of this symbol is not known: no new exposure until it is."""
        return self._shelf.has_unknown(symbol)

    # ── deciding ─────────────────────────────────────────────────────────────────────────────

    def place(self, step: Step, wish: Wish) -> OrderIntent | None:
        """Turn a wish into an intent, its first attempt and the effect that sends it.

        None when the decision was taken before: OPEN and ADD exist once per key, for ever.
        Other actions may be decided again within a candle and count up their ordinal.
        """
        key = self._free_key(wish)
        if key is None:
            return None
        reducing = not wish.action.increases_exposure
        intent = OrderIntent(
            key=key,
            side=wish.side,
            size=wish.size,
            limit_price=wish.limit_price,
            time_in_force=TimeInForce.GTC if wish.trigger else TimeInForce.IOC,
            reduce_only=reducing,
            trigger=wish.trigger,
            decided_ms=step.at_ms,
            decided_seq=step.seq,
            deadline_ms=wish.deadline_ms,
            leverage=wish.leverage,
            reason=wish.reason,
            why=wish.why,
            config_digest=wish.config_digest,
        )
        live = self._attempt(step, intent, 1)
        if wish.action.increases_exposure:
            self._entered.add((wish.symbol, wish.action, wish.open_ms))
        step.facts.append(IntentRecorded(intent, live.order))
        step.effects.append(SubmitOrder(live.order.request))
        return intent

    def cancel(self, step: Step, live: LiveOrder) -> None:
        """Ask for the end of an order; it ends when the venue says so."""
        request = live.order.request
        self._cancel_asked[request.cloid] = step.at_ms
        step.effects.append(CancelOrder(request.symbol, request.cloid))

    def is_ending(self, live: LiveOrder) -> bool:
        """Whether its end was asked for: nothing may rest on it any more."""
        return live.order.request.cloid in self._cancel_asked

    def cancel_again(self, step: Step, cloid: str, after_ms: int) -> None:
        """Ask once more for the end of an order that still rests `after_ms` after it was asked for."""
        live, asked_ms = self._shelf.find(cloid), self._cancel_asked.get(cloid)
        if live is not None and asked_ms is not None and step.at_ms - asked_ms >= after_ms:
            self.cancel(step, live)

    def waiting_for_another_attempt(self) -> list[LiveOrder]:
        """Entries that the venue refused for a reason that may pass."""
        return list(self._again.values())

    def try_again(self, step: Step, rejected: LiveOrder) -> bool:
        """Make the next attempt at a decision whose last one is proven rejected, in time and on its own terms.

        The limit stays what was decided: nothing is paid that was not meant to be. The caller has looked whether the
        price is there. False where it is too late, or an order of the symbol is under way.
        """
        intent, order = rejected.intent, rejected.order
        symbol = intent.key.symbol
        assert order.status is OrderStatus.REJECTED and order.attempt < MOST_ATTEMPTS, "only after a proven rejection"
        if self._is_late(intent, step.at_ms):
            self._again.pop(symbol, None)
            return False
        if step.at_ms < order.sent_ms + ATTEMPT_PAUSE_MS or self.has_unknown(symbol):
            return False
        if any(live.intent.key.action.increases_exposure for live in self.live_orders(symbol)):
            return False
        del self._again[symbol]
        live = self._attempt(step, intent, order.attempt + 1)
        step.facts.append(OrderChanged(live.order, step.at_ms))
        step.effects.append(SubmitOrder(live.order.request))
        return True

    # ── hearing ──────────────────────────────────────────────────────────────────────────────

    def on_timer(self, step: Step) -> None:
        """Time has passed: ask about unknown orders what is due."""
        self._unknown.ask(step)

    def on_outcome(self, step: Step, event: OrderOutcome) -> LiveOrder | None:
        """Join the answer to a submission. None when it says nothing new, or the order is not known."""
        live = self._shelf.find(event.cloid)
        if live is None:
            return None
        changed = self._update(step, live, with_outcome(live.order, event.outcome))
        if changed is None:
            return None
        if isinstance(event.outcome, Accepted) and live.order.oid != changed.order.oid:
            self.fills.on_oid(step, changed)
            changed = self._shelf.find(event.cloid) or changed
        if isinstance(event.outcome, Unknown):
            step.effects.append(Alert("order_unknown", f"{live.order.request.symbol}: {event.outcome.text}"))
            self._unknown.begin(changed.order, step.at_ms)
        elif isinstance(event.outcome, Rejected) and changed.order.status is OrderStatus.REJECTED:
            self._consider_again(step, changed, event.outcome)
            if event.outcome.reason is RejectReason.REDUCE_ONLY_WOULD_INCREASE:
                step.effects.append(AskAccount(f"{live.order.request.symbol}: the venue holds another position"))
        return changed

    def on_canceled(self, step: Step, event: OrderCanceled) -> LiveOrder | None:
        live = self._shelf.find(event.cloid)
        return None if live is None else self._update(step, live, with_cancel(live.order, event.reason))

    def on_looked(self, step: Step, event: OrderLooked) -> None:
        order = self._unknown.on_looked(step, event)
        live = self._shelf.find(event.cloid)
        if order is not None and live is not None:
            self._update(step, live, order)

    def on_burned(self, step: Step, event: NonceBurned) -> None:
        self._unknown.on_burned(step, event)

    def on_named(self, step: Step, event: OrderNamed) -> None:
        self.fills.on_named(step, event)
        self._ask_about_corrected(step, event.symbol)

    def on_fill(self, step: Step, event: FillArrived) -> BookedFill | None:
        """Book a fill once. None for a resend: those are normal after a reconnect."""
        booked = self.fills.book(step, event.fill)
        if booked is not None and booked.intent is not None:
            self._again.pop(event.fill.symbol, None)
        return booked

    def on_funding(self, step: Step, event: FundingPaid) -> bool:
        """Book a funding payment once; False for a repeat."""
        return self.fills.pay(step, event)

    def open_with(self, step: Step, held: Position) -> None:
        """See `FillDesk.open_with`."""
        self.fills.open_with(step, held)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _key(self, action: Action, symbol: str, open_ms: int, ordinal: int) -> IntentKey:
        return IntentKey(self._account, self._strategy, symbol, action, self._interval, open_ms, ordinal)

    def _free_key(self, wish: Wish) -> IntentKey | None:
        ordinal = 0
        if not wish.action.increases_exposure:
            ordinal = self._ordinals.take(
                wish.symbol,
                wish.action,
                wish.open_ms,
                lambda number: not self.has_decided(wish.action, wish.symbol, wish.open_ms, number),
            )
        elif self.has_decided(wish.action, wish.symbol, wish.open_ms):
            return None
        return self._key(wish.action, wish.symbol, wish.open_ms, ordinal)

    def _attempt(self, step: Step, intent: OrderIntent, attempt: int) -> LiveOrder:
        """One more attempt at an intent: an order of its own, with a payload that will be signed once."""
        request = self._sealed(request_for(intent, attempt, self._instance_tag), step.at_ms)
        live = LiveOrder(intent, Order(request, attempt=attempt, sent_ms=step.at_ms))
        self._shelf.put(live)
        return live

    def _sealed(self, request: OrderRequest, at_ms: int) -> OrderRequest:
        if self._encoder is None:
            return request
        self._last_nonce = next_nonce(self._last_nonce, at_ms)
        venue_ms = self._venue_ms(at_ms)
        expires_ms = (venue_ms if venue_ms > 0 else at_ms) + EXPIRES_AFTER_MS
        if request.deadline_ms is not None:
            expires_ms = min(expires_ms, request.deadline_ms)
        return replace(request, payload=self._encoder.payload(request, self._last_nonce, expires_ms))

    def _update(self, step: Step, live: LiveOrder, order: Order) -> LiveOrder | None:
        """Put an order where it belongs now."""
        if order is live.order:
            return None
        changed = LiveOrder(live.intent, order)
        step.facts.append(OrderChanged(order, step.at_ms))
        self._shelf.put(changed)
        if order.status.is_terminal:
            self._cancel_asked.pop(order.request.cloid, None)
        return changed

    def _consider_again(self, step: Step, rejected: LiveOrder, outcome: Rejected) -> None:
        intent = rejected.intent
        if (
            intent.key.action.increases_exposure
            and outcome.reason.allows_another_attempt
            and rejected.order.attempt < MOST_ATTEMPTS
            and not self._is_late(intent, step.at_ms)
        ):
            self._again[intent.key.symbol] = rejected

    def _is_late(self, intent: OrderIntent, at_ms: int) -> bool:
        return intent.deadline_ms is None or at_ms > intent.deadline_ms

    def _ask_about_corrected(self, step: Step, symbol: str) -> None:
        """An order that lost its only sign of life to another is unknown again."""
        for live in self._shelf.live(symbol):
            if live.order.status is OrderStatus.UNKNOWN:
                self._unknown.begin(live.order, step.at_ms)
