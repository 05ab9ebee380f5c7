"""LiveOms: intents, orders and fills. At most once, and every fill has an owner.

An intent is written before its order leaves (`design`: write, then send): `place` puts the fact
and the effect into the same step, and the committer makes the fact durable before the effect
runs. What the venue answers is joined into the order as evidence (`domain.orders`). A fill is
booked once, by its trade id, and belongs to exactly one intent or to none ("external").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal

from application.portfolio import Portfolio
from application.step import Step
from domain.candles import Interval
from domain.effects import Alert, CancelOrder, SubmitOrder
from domain.events import FillArrived, FundingPaid, OrderCanceled, OrderOutcome
from domain.facts import (
    FillRecorded,
    FundingRecorded,
    IntentRecorded,
    LedgerState,
    OrderChanged,
    PositionChanged,
    TradeClosed,
)
from domain.fills import FillMatch, MatchedVia, OpenAttempt, match_fill
from domain.intents import Action, IntentKey, OrderIntent, Side, TimeInForce, Trigger, intent_id_of, request_for
from domain.orders import ZERO, Order, OrderStatus, Unknown, with_cancel, with_fill, with_outcome
from domain.positions import Position, Trade

ENDED_ORDERS_KEPT = 20
"""Orders per symbol remembered after their end: a fill may be told later than the end of its order."""

_NEVER_LIVED = frozenset((OrderStatus.REJECTED, OrderStatus.DEAD, OrderStatus.WOULD))


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


@dataclass(frozen=True, slots=True)
class BookedFill:
    """What a fill that counted did. `intent` is None for a fill that is not ours."""

    before: Position
    after: Position
    intent: OrderIntent | None
    order: Order | None
    trade: Trade | None


@dataclass(frozen=True, slots=True)
class LiveOrder:
    """An order that may be alive at the venue, with the decision behind it."""

    intent: OrderIntent
    order: Order


class LiveOms:
    def __init__(self, account: str, strategy: str, interval: Interval, portfolio: Portfolio) -> None:
        self._account = account
        self._strategy = strategy
        self._interval = interval
        self._portfolio = portfolio
        self._instance_tag = b""
        self._earlier_ids: frozenset[str] = frozenset()
        self._placed: set[tuple[str, Action, int, int]] = set()
        self._next_ordinal: dict[tuple[str, Action, int], int] = {}
        self._trade_ids: set[str] = set()
        self._funding_keys: set[tuple[str, int]] = set()
        self._live: dict[str, dict[str, LiveOrder]] = {}
        self._symbol_of: dict[str, str] = {}
        self._ended: dict[str, dict[str, LiveOrder]] = {}
        self._opening: dict[str, tuple[OrderIntent, MatchedVia]] = {}

    def restore(self, state: LedgerState) -> None:
        """Take over what earlier sessions left. Called once, before any other event."""
        assert not self._placed and not self._earlier_ids, "a session recovers once"
        self._instance_tag = state.instance_tag
        self._earlier_ids = state.intent_ids
        self._trade_ids = set(state.trade_ids)
        self._funding_keys = set(state.funding_keys)
        for intent, order in state.live_orders:
            self._keep(LiveOrder(intent, order))
        for intent in state.opening_intents:
            self._opening[intent.key.symbol] = (intent, MatchedVia.CLOID)

    # ── asking ───────────────────────────────────────────────────────────────────────────────

    def has_decided(self, action: Action, symbol: str, open_ms: int, ordinal: int = 0) -> bool:
        """Whether this decision was taken before, in this session or any earlier one."""
        if (symbol, action, open_ms, ordinal) in self._placed:
            return True
        return (
            bool(self._earlier_ids) and intent_id_of(self._key(action, symbol, open_ms, ordinal)) in self._earlier_ids
        )

    def live_orders(self, symbol: str) -> list[LiveOrder]:
        """Orders of a symbol that may be alive, oldest first."""
        return list(self._live.get(symbol, {}).values())

    def all_live_orders(self) -> list[LiveOrder]:
        return [live for orders in self._live.values() for live in orders.values()]

    def has_unknown(self, symbol: str) -> bool:
        """Whether the fate of some order of this symbol is not known: no new exposure until it is."""
        return any(live.order.status is OrderStatus.UNKNOWN for live in self._live.get(symbol, {}).values())

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
        request = request_for(intent, 1, self._instance_tag)
        live = LiveOrder(intent, Order(request, attempt=1, sent_ms=step.at_ms))
        self._placed.add((wish.symbol, wish.action, wish.open_ms, key.ordinal))
        self._keep(live)
        step.facts.append(IntentRecorded(intent, live.order))
        step.effects.append(SubmitOrder(request))
        return intent

    def cancel(self, step: Step, live: LiveOrder) -> None:
        """Ask for the end of an order; it ends when the venue says so."""
        step.effects.append(CancelOrder(live.order.request.symbol, live.order.request.cloid))

    # ── hearing ──────────────────────────────────────────────────────────────────────────────

    def on_outcome(self, step: Step, event: OrderOutcome) -> LiveOrder | None:
        """Join the answer to a submission. None when it says nothing new, or the order is not known."""
        live = self._find(event.cloid)
        if live is None:
            return None
        changed = self._update(step, live, with_outcome(live.order, event.outcome))
        if changed is not None and isinstance(event.outcome, Unknown):
            step.effects.append(Alert("order_unknown", f"{live.order.request.symbol}: {event.outcome.text}"))
        return changed

    def on_canceled(self, step: Step, event: OrderCanceled) -> LiveOrder | None:
        live = self._find(event.cloid)
        return None if live is None else self._update(step, live, with_cancel(live.order, event.reason))

    def on_fill(self, step: Step, event: FillArrived) -> BookedFill | None:
        """Book a fill once. None for a resend: those are normal after a reconnect."""
        fill = event.fill
        if fill.trade_id in self._trade_ids:
            return None
        self._trade_ids.add(fill.trade_id)
        match = self._match(fill.symbol, event)
        live = self._find(match.cloid) if match.cloid is not None else None
        intent = live.intent if live is not None else None
        reason = intent.reason if intent is not None else _external_kind(event)
        before = self._portfolio.position(fill.symbol)
        booked = self._portfolio.book_fill(fill, match.intent_id, reason)
        step.facts.append(FillRecorded(fill, match.intent_id, match.via, booked.realised, reason, step.seq))
        if live is not None:
            if fill.size > live.order.remaining:
                text = f"{fill.symbol}: {fill.trade_id} fills {fill.size}, {live.order.remaining} of the order was left"
                step.effects.append(Alert("order_overfilled", text))
            live = self._update(step, live, with_fill(live.order, fill.size, fill.oid)) or live
        trade = booked.closed_trade
        if trade is not None:
            step.facts.append(TradeClosed(trade, self._trade_meta(trade, intent, match), step.seq))
            self._opening.pop(fill.symbol, None)
        if intent is not None and booked.position.intent_id == intent.intent_id:
            self._opening.setdefault(fill.symbol, (intent, match.via))
        step.facts.append(PositionChanged(booked.position))
        return BookedFill(before, booked.position, intent, live.order if live else None, trade)

    def on_funding(self, step: Step, event: FundingPaid) -> bool:
        """Book a funding payment once; False for a repeat."""
        key = (event.symbol, event.time_ms)
        if key in self._funding_keys:
            return False
        self._funding_keys.add(key)
        position = self._portfolio.book_funding(event.symbol, event.amount_usd)
        step.facts.append(FundingRecorded(event.symbol, event.time_ms, event.size, event.rate, event.amount_usd))
        step.facts.append(PositionChanged(position))
        return True

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _key(self, action: Action, symbol: str, open_ms: int, ordinal: int) -> IntentKey:
        return IntentKey(self._account, self._strategy, symbol, action, self._interval, open_ms, ordinal)

    def _free_key(self, wish: Wish) -> IntentKey | None:
        ordinal = 0
        if wish.action.increases_exposure:
            if self.has_decided(wish.action, wish.symbol, wish.open_ms):
                return None
        else:
            place = (wish.symbol, wish.action, wish.open_ms)
            ordinal = self._next_ordinal.get(place, 0)
            while self.has_decided(wish.action, wish.symbol, wish.open_ms, ordinal):
                ordinal += 1
            self._next_ordinal[place] = ordinal + 1
        return self._key(wish.action, wish.symbol, wish.open_ms, ordinal)

    def _keep(self, live: LiveOrder) -> None:
        request = live.order.request
        self._live.setdefault(request.symbol, {})[request.cloid] = live
        self._symbol_of[request.cloid] = request.symbol

    def _find(self, cloid: str) -> LiveOrder | None:
        """A live order, or one that ended not long ago."""
        symbol = self._symbol_of.get(cloid)
        if symbol is None:
            return None
        return self._live.get(symbol, {}).get(cloid) or self._ended[symbol][cloid]

    def _update(self, step: Step, live: LiveOrder, order: Order) -> LiveOrder | None:
        """Put an order where it belongs now. An ended one that a stronger word revives is live again."""
        if order is live.order:
            return None
        changed = LiveOrder(live.intent, order)
        step.facts.append(OrderChanged(order, step.at_ms))
        self._ended.get(order.request.symbol, {}).pop(order.request.cloid, None)
        if order.status.is_terminal:
            self._end(changed)
        else:
            self._keep(changed)
        return changed

    def _end(self, ended: LiveOrder) -> None:
        request = ended.order.request
        orders = self._live.get(request.symbol, {})
        orders.pop(request.cloid, None)
        if not orders:
            self._live.pop(request.symbol, None)
        kept = self._ended.setdefault(request.symbol, {})
        kept[request.cloid] = ended
        if len(kept) > ENDED_ORDERS_KEPT:
            oldest = next(iter(kept))
            del kept[oldest], self._symbol_of[oldest]

    def _match(self, symbol: str, event: FillArrived) -> FillMatch:
        """Find the fill's order among those it can belong to: the one it names, or all of its symbol."""
        named = self._find(event.fill.cloid) if event.fill.cloid is not None else None
        if named is not None:
            return match_fill(event.fill, (_open_attempt(named),))
        known = (*self._live.get(symbol, {}).values(), *self._ended.get(symbol, {}).values())
        return match_fill(event.fill, [_open_attempt(live) for live in known])

    def _trade_meta(self, trade: Trade, closing: OrderIntent | None, match: FillMatch) -> str:
        opening = self._opening.get(trade.symbol)
        return json.dumps(
            {
                "oms": {
                    "intent_id": trade.intent_id,
                    "matched_via": opening[1].value if opening else None,
                    "exit_intent_id": closing.intent_id if closing else None,
                    "exit_matched_via": match.via.value,
                },
                "entry": _intent_meta(opening[0]) if opening else None,
                "exit": _intent_meta(closing) if closing else None,
            },
            sort_keys=True,
        )


def _open_attempt(live: LiveOrder) -> OpenAttempt:
    """What matching looks at. An order that is said never to have lived can take a fill that names it, no other."""
    order = live.order
    return OpenAttempt(
        intent_id=order.request.intent_id,
        cloid=order.request.cloid,
        oid=order.oid,
        symbol=order.request.symbol,
        side=order.request.side,
        remaining=ZERO if order.status in _NEVER_LIVED else order.remaining,
        sent_ms=order.sent_ms,
    )


def _intent_meta(intent: OrderIntent) -> dict[str, object]:
    return {
        "key": intent.key.text,
        "reason": intent.reason,
        "why": json.loads(intent.why),
        "decided_ms": intent.decided_ms,
        "seq": intent.decided_seq,
        "config_digest": intent.config_digest,
    }


def _external_kind(event: FillArrived) -> str:
    return "liquidation" if event.fill.liquidation else "manual"
