"""What a new ledger can know of the past: the facts behind what the venue tells, made as the daemon makes them.

Orders, fills and payments are taken in the order in which they happened. Every order with a cloid of ours gets a
decision of its own, so that its fills have an owner, and so that stops that still rest are known and managed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from adapters.hyperliquid.old_orders import FILLED_WORD, OldOrder, each_once
from application.fill_desk import FillDesk
from application.order_shelf import LiveOrder, OrderShelf
from application.portfolio import Portfolio
from application.step import Step
from domain.confidence import Confidence
from domain.events import FundingPaid
from domain.exits import ExitState
from domain.facts import (
    BORN,
    FILLS_READ,
    CandlesSkipped,
    CashSet,
    CursorMoved,
    DecisionsRecorded,
    ExitStateChanged,
    Fact,
    IntentRecorded,
    LedgerFact,
    OrderChanged,
)
from domain.fill_chain import in_execution_order
from domain.fills import Fill
from domain.intents import (
    Action,
    OrderIntent,
    Side,
    TimeInForce,
    cloid_of,
    intent_id_of,
    is_our_cloid,
    request_for,
)
from domain.orders import Accepted, Order, OrderStatus, Rejected, RejectReason, with_cancel, with_outcome
from domain.positions import Position, opened_with
from entrypoints.recovery.identities import RECOVERED, Identities, Identity, OrderTerms, tag_of
from entrypoints.recovery.venue_word import VenueWord

ZERO = Decimal(0)
PLAIN_TARGET_ATR = 4.0
"""Where a position's own target distance is not known; as `ExitDesk` has it for such positions."""


@dataclass(slots=True)
class Rebuilt:
    """`problems` are differences from the venue that nothing explains; the daemon's start tells them too."""

    facts: list[LedgerFact]
    positions: dict[str, Position]
    resting: list[LiveOrder]
    tags: dict[str, int]
    proven: int
    decisions: int
    opening: list[Position] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def rebuild(
    word: VenueWord,
    identities: Identities,
    *,
    claims: bool,
    recent_ms: int = 0,
    target_atr: Callable[[str], float] = lambda symbol: PLAIN_TARGET_ATR,
) -> Rebuilt:
    """`claims`: cloids as we make them are this ledger's. A ledger that never sent anything has none.

    Entries that came to nothing count for so long (`recent_ms`): their candle must not be decided on again.
    `target_atr` is how many ATRs from the entry a symbol's resting target is, as it is configured.
    """
    return _Rebuilding(word, identities, target_atr, claims=claims, recent_ms=recent_ms).run()


class _Rebuilding:
    def __init__(
        self,
        word: VenueWord,
        identities: Identities,
        target_atr: Callable[[str], float],
        *,
        claims: bool,
        recent_ms: int,
    ) -> None:
        self._target_atr = target_atr
        self._word = word
        self._identities = identities
        self._shelf = OrderShelf()
        self._portfolio = Portfolio()
        self._desk = FillDesk(self._shelf, self._portfolio)
        self._facts: list[LedgerFact] = []
        self._intents: dict[str, OrderIntent] = {}
        self._attempts: dict[str, int] = {}
        self._proven = 0
        self._opening: list[Position] = []
        self._problems: list[str] = []
        self._leverage = {held.symbol: held.leverage for held in word.snapshot.held}
        self._orders = _known_orders(word, recent_ms) if claims else {}
        self._filled = {fill.cloid for fill in word.fills}
        self._fills = {symbol: in_execution_order(fills) for symbol, fills in _by_symbol(word.fills).items()}

    def run(self) -> Rebuilt:
        for at_ms, what in self._in_time():
            if isinstance(what, _Placed):
                self._place(at_ms, what.order)
            elif isinstance(what, Position):
                self._open_with(at_ms, what)
            elif isinstance(what, Fill):
                self._book(at_ms, what)
            elif isinstance(what, FundingPaid):
                step = Step(0, at_ms)
                self._desk.pay(step, what)
                self._take(step)
            else:
                self._end(at_ms, what.order)
        self._compare()
        self._remember_exits()
        state = self._word.snapshot
        self._facts += [
            CursorMoved(BORN, self._born_ms()),
            CursorMoved(FILLS_READ, state.at_ms),
            CashSet(state.cash_usd, state.at_ms),
        ]
        tags: dict[str, int] = {}
        for cloid in self._orders:
            tags[tag_of(cloid).hex()] = tags.get(tag_of(cloid).hex(), 0) + 1
        return Rebuilt(
            facts=self._facts,
            positions=dict(sorted(self._portfolio.positions.items())),
            resting=self._shelf.all_live(),
            tags=tags,
            proven=self._proven,
            decisions=len(self._intents),
            opening=self._opening,
            problems=self._problems,
        )

    def _in_time(self) -> Iterator[tuple[int, _Happened]]:
        """Everything that happened, oldest first.

        Of one moment what was held, then orders that were placed, fills, payments, orders that ended.
        """
        told: list[tuple[int, int, int, _Happened]] = [
            (held.updated_ms, -1, place, held) for place, held in enumerate(self._held_before())
        ]
        span: dict[str, list[int]] = {}
        for fills in self._fills.values():
            for place, fill in enumerate(fills):
                told.append((fill.time_ms, 1, place, fill))
                if fill.cloid is not None:
                    span.setdefault(fill.cloid, []).append(fill.time_ms)
        for place, payment in enumerate(self._word.payments):
            told.append((payment.time_ms, 2, place, payment))
        for place, order in enumerate(self._orders.values()):
            times = span.get(order.cloid, [order.placed_ms])
            told.append((min(order.placed_ms, *times), 0, place, _Placed(order)))
            if not order.is_open:
                told.append((max(order.status_ms, *times), 3, place, _Ended(order)))
        told.sort(key=lambda each: each[:3])
        return ((at_ms, what) for at_ms, _, _, what in told)

    # ── orders ───────────────────────────────────────────────────────────────────────────────────

    def _place(self, at_ms: int, old: OldOrder) -> None:
        held = self._portfolio.position(old.symbol)
        only_fills = old.oid < 0
        terms = OrderTerms(
            old.cloid,
            old.symbol,
            old.side,
            None if only_fills else old.reduce_only,
            old.trigger,
            old.placed_ms,
            0 if held.is_flat else held.side.sign,
        )
        identity = self._identities.of(terms)
        self._proven += identity.is_proven
        intent = self._intent_of(old, identity)
        request = replace(request_for(intent, identity.attempt, b"\0\0"), cloid=old.cloid)
        order = Order(request, identity.attempt, at_ms)
        self._record(intent, order, tag_of(old.cloid), at_ms)
        if old.is_rejected and old.cloid not in self._filled:
            self._facts.append(OrderChanged(_rejected(order, old.status), at_ms))
            return
        alive = with_outcome(order, Accepted(self._oid_of(old)))
        self._facts.append(OrderChanged(alive, at_ms))
        self._shelf.put(LiveOrder(intent, alive))

    def _intent_of(self, old: OldOrder, identity: Identity) -> OrderIntent:
        key = identity.key
        known = self._intents.get(intent_id_of(key))
        if known is not None:
            return known
        why: dict[str, object] = {
            RECOVERED: True,
            "known_from": "its fills" if old.oid < 0 else "the venue's orders",
            "key_proven": identity.is_proven,
        }
        if key.action.increases_exposure:  # what the exits of a late fill ask for (`exit_state_of`)
            why |= {"confidence": "medium", "exits": {"atr": 0.0, "adx_threshold": 0.0, "tp_mult": PLAIN_TARGET_ATR}}
        return OrderIntent(
            key=key,
            side=old.side,
            size=old.size,
            limit_price=old.limit_price,
            time_in_force=old.time_in_force,
            reduce_only=old.reduce_only,
            trigger=old.trigger,
            decided_ms=old.placed_ms,
            decided_seq=0,
            deadline_ms=None,
            leverage=Decimal(self._leverage.get(old.symbol, 1)),
            reason=RECOVERED,
            why=json.dumps(why),
            config_digest="",
        )

    def _record(self, intent: OrderIntent, order: Order, tag: bytes, at_ms: int) -> None:
        """The decision, and the attempts at it. What came before a later one was rejected: else there is none."""
        intent_id = intent.intent_id
        for attempt in range(self._attempts.get(intent_id, 0) + 1, order.attempt + 1):
            each = order
            if attempt < order.attempt:
                request = replace(order.request, cloid=cloid_of(intent_id, attempt, tag))
                each = Order(request, attempt, order.sent_ms)
            if intent_id not in self._intents:
                self._intents[intent_id] = intent
                self._facts.append(IntentRecorded(intent, each))
            else:
                self._facts.append(OrderChanged(each, at_ms))
            if attempt < order.attempt:
                self._facts.append(OrderChanged(_rejected(each, "another attempt followed"), at_ms))
        self._attempts[intent_id] = max(order.attempt, self._attempts.get(intent_id, 0))

    def _oid_of(self, old: OldOrder) -> int:
        if old.oid >= 0:
            return old.oid
        return next(fill.oid for fill in self._fills[old.symbol] if fill.cloid == old.cloid)

    def _end(self, at_ms: int, old: OldOrder) -> None:
        """The venue's last word. An order that it calls filled, of which fills are missing here, has ended too."""
        live = self._shelf.find(old.cloid)
        if live is None or live.order.status is not OrderStatus.OPEN:
            return
        word = "filled; not all of its fills are known" if old.status == FILLED_WORD else old.status
        order = with_cancel(live.order, word)
        self._facts.append(OrderChanged(order, at_ms))
        self._shelf.put(LiveOrder(live.intent, order))

    # ── fills and positions ──────────────────────────────────────────────────────────────────────

    def _book(self, at_ms: int, fill: Fill) -> None:
        step = Step(0, at_ms)
        self._desk.book(step, fill)
        self._take(step)

    def _held_before(self) -> Iterator[Position]:
        """What was held before all fills that the venue tells of, as of a moment before its first payment."""
        paid: dict[str, int] = {}
        for payment in self._word.payments:
            paid.setdefault(payment.symbol, payment.time_ms - 1)
        entries = {held.symbol: held.entry_price for held in self._word.snapshot.held}
        for symbol, fills in self._fills.items():
            first = fills[0]
            if first.start_position:
                at_ms = min(first.time_ms, paid.get(symbol, first.time_ms))
                yield opened_with(symbol, first.start_position, first.price, at_ms)
        for symbol, size in self._word.snapshot.positions:
            if symbol not in self._fills:
                at_ms = paid.get(symbol, self._word.snapshot.at_ms)
                yield opened_with(symbol, size, entries.get(symbol) or Decimal(1), at_ms)

    def _open_with(self, at_ms: int, held: Position) -> None:
        step = Step(0, at_ms)
        self._desk.open_with(step, held)
        self._opening.append(held)
        self._take(step)

    def _take(self, step: Step) -> None:
        self._facts += [_of_ledger(fact) for fact in step.facts]

    def _compare(self) -> None:
        """Note what the fills do not explain."""
        theirs = dict(self._word.snapshot.positions)
        for symbol in sorted(theirs.keys() | self._portfolio.positions.keys()):
            ours, venue = self._portfolio.position(symbol).size, theirs.get(symbol, ZERO)
            if ours != venue:
                self._problems.append(f"{symbol}: its fills add up to {ours}, the venue says {venue}")

    def _remember_exits(self) -> None:
        """A stop that rests is not loosened: what breakeven and trailing had reached is where it stands.

        A target that rests stays where it is: the ATR is the one that it is so far away by.
        """
        for symbol, position in sorted(self._portfolio.positions.items()):
            if position.intent_id is None:
                continue
            stops, targets = (self._resting_at(position, action) for action in (Action.STOP, Action.TAKE_PROFIT))
            took = self._took_profit(position)
            away = abs(targets[-1] - float(position.entry_price)) if targets else 0.0
            tightest = max if position.side is Side.BUY else min
            adds = [
                intent
                for intent in self._intents.values()
                if intent.key.symbol == symbol
                and intent.key.action is Action.ADD
                and intent.decided_ms >= position.opened_ms
            ]
            state = ExitState(
                symbol=symbol,
                entry_atr=away / (PLAIN_TARGET_ATR if took else self._target_atr(symbol)),
                confidence=Confidence.MEDIUM,
                entry_adx_threshold=0.0,
                tp_mult=PLAIN_TARGET_ATR,
                opened_key_ms=0,
                locked_stop=tightest(stops) if stops else None,
                take_profit_taken=took,
                adds=len(adds),
                last_add_ms=max((intent.decided_ms for intent in adds), default=0),
            )
            self._facts.append(ExitStateChanged(symbol, state))

    def _resting_at(self, position: Position, action: Action) -> list[float]:
        """Where orders that would end a position wait, oldest first."""
        return [
            float(live.order.request.trigger.price)
            for live in self._shelf.live(position.symbol)
            if live.intent.key.action is action
            and live.order.request.trigger is not None
            and live.order.request.side is position.side.opposite
        ]

    def _took_profit(self, position: Position) -> bool:
        return any(
            intent.key.action is Action.TAKE_PROFIT
            for fill in self._fills.get(position.symbol, ())
            if fill.time_ms >= position.opened_ms and fill.cloid is not None
            for live in (self._shelf.find(fill.cloid),)
            if live is not None
            for intent in (live.intent,)
        )

    def _born_ms(self) -> int:
        """From when on everything of this account is in the ledger."""
        if self._word.since_ms:
            return self._word.since_ms
        times = [fill.time_ms for fill in self._word.fills] + [paid.time_ms for paid in self._word.payments]
        return min([*times, *(order.placed_ms for order in self._orders.values()), self._word.snapshot.at_ms])


@dataclass(frozen=True, slots=True)
class _Placed:
    order: OldOrder


@dataclass(frozen=True, slots=True)
class _Ended:
    order: OldOrder


def _rejected(order: Order, text: str) -> Order:
    return with_outcome(order, Rejected(RejectReason.OTHER, text))


_Happened = Position | _Placed | Fill | FundingPaid | _Ended


def _known_orders(word: VenueWord, recent_ms: int) -> dict[str, OldOrder]:
    """Orders of ours that rest or have filled, and the newest entries, by cloid.

    What else never filled and is gone says nothing that lasts.
    """
    told = each_once(word.orders)
    filled: dict[str, list[Fill]] = {}
    for fill in word.fills:
        if fill.cloid is not None and is_our_cloid(fill.cloid):
            filled.setdefault(fill.cloid, []).append(fill)
    since_ms = word.snapshot.at_ms - recent_ms
    known = {
        cloid: order
        for cloid, order in told.items()
        if order.is_open or cloid in filled or (order.is_entry and order.placed_ms >= since_ms)
    }
    for cloid, fills in filled.items():
        if cloid not in known:
            known[cloid] = _order_behind(cloid, fills)
    return dict(sorted(known.items(), key=lambda item: (item[1].placed_ms, item[0])))


def _order_behind(cloid: str, fills: list[Fill]) -> OldOrder:
    """An order that only its fills tell of; its oid is theirs (-1 says so)."""
    first = fills[0]
    prices = [fill.price for fill in fills]
    start = first.start_position or ZERO
    return OldOrder(
        symbol=first.symbol,
        oid=-1,
        cloid=cloid,
        side=first.side,
        size=sum((fill.size for fill in fills), ZERO),
        limit_price=max(prices) if first.side is Side.BUY else min(prices),
        time_in_force=TimeInForce.IOC,
        reduce_only=start * first.side.sign < 0,
        trigger=None,
        placed_ms=min(fill.time_ms for fill in fills),
        status=FILLED_WORD,
        status_ms=max(fill.time_ms for fill in fills),
    )


def _by_symbol(fills: tuple[Fill, ...]) -> dict[str, list[Fill]]:
    found: dict[str, list[Fill]] = {}
    for fill in fills:
        found.setdefault(fill.symbol, []).append(fill)
    return found


def _of_ledger(fact: Fact) -> LedgerFact:
    assert not isinstance(fact, (DecisionsRecorded, CandlesSkipped)), "fills and payments decide nothing"
    return fact
