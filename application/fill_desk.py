"""FillDesk: every execution is booked once, for one intent or for none ("external"), until better evidence comes.

Whose a fill is follows from evidence (`domain.fills`): its cloid, its oid, the venue's answer about its oid, and last
its time. What rests on less than the cloid or the oid is asked about, and stronger evidence replaces weaker, never the
reverse. Positions, trades and realised amounts follow from the fills in the order of execution (`SymbolBook`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from application.order_shelf import LiveOrder, OrderShelf
from application.portfolio import Portfolio
from application.step import Step
from application.symbol_book import BookChange, SymbolBook, restored, trip_key
from domain.effects import Alert, AskAccount, NameOrder
from domain.events import FundingPaid, OrderNamed
from domain.facts import (
    FillRecorded,
    FillRevised,
    FundingRecorded,
    GapClosed,
    GapOpened,
    LedgerState,
    OrderChanged,
    PositionAdjusted,
    PositionChanged,
    TradeClosed,
    TradeWithdrawn,
)
from domain.fill_chain import ClosedTrip, Owned
from domain.fills import (
    ExternalKind,
    Fill,
    FillCause,
    FillMatch,
    MatchedVia,
    OpenAttempt,
    external_kind,
    is_stronger,
    match_fill,
)
from domain.intents import OrderIntent
from domain.orders import ZERO, Order, OrderStatus, with_fill, without_fill
from domain.positions import Position, Trade

_NEVER_LIVED = frozenset((OrderStatus.REJECTED, OrderStatus.DEAD, OrderStatus.WOULD))
_SURE = frozenset((MatchedVia.CLOID, MatchedVia.OID, MatchedVia.STATUS))


@dataclass(frozen=True, slots=True)
class BookedFill:
    """What a fill that counted did. `intent` is None for a fill that is not ours."""

    fill: Fill
    before: Position
    after: Position
    intent: OrderIntent | None
    order: Order | None
    trade: Trade | None


class FillDesk:
    def __init__(self, shelf: OrderShelf, portfolio: Portfolio) -> None:
        self._shelf = shelf
        self._portfolio = portfolio
        self._books: dict[str, SymbolBook] = {}
        self._trade_ids: set[str] = set()
        self._via: dict[str, MatchedVia] = {}
        self._intents: dict[str, OrderIntent] = {}
        self._funding_keys: set[tuple[str, int]] = set()

    def restore(self, state: LedgerState) -> None:
        self._trade_ids = set(state.trade_ids)
        self._funding_keys = set(state.funding_keys)
        self._via = {each.fill.trade_id: each.via for each in state.recent_fills}
        self._intents = {intent.intent_id: intent for intent in (*state.opening_intents, *state.recent_intents)}
        owned = [Owned(each.fill, each.intent_id, each.reason) for each in state.recent_fills]
        starts = {position.symbol: position for position in state.recent_starts}
        self._books = restored(starts, owned, state.recent_funding)
        for position in state.positions:
            self._books.setdefault(position.symbol, SymbolBook(position))

    def intent(self, intent_id: str) -> OrderIntent | None:
        """An intent whose fills are at hand."""
        return self._intents.get(intent_id)

    def has_booked(self, symbol: str) -> bool:
        """Whether anything of this symbol was ever booked, as far as is kept."""
        return symbol in self._books

    # ── fills ────────────────────────────────────────────────────────────────────────────────

    def book(self, step: Step, fill: Fill) -> BookedFill | None:
        """Book a fill once. None for a resend: those are normal after a reconnect."""
        if fill.trade_id in self._trade_ids:
            return None
        self._trade_ids.add(fill.trade_id)
        match = self._match(fill)
        live = self._shelf.find(match.cloid) if match.cloid is not None else None
        intent = live.intent if live is not None else None
        reason = intent.reason if intent is not None else external_kind(fill).value
        book = self._book_of(fill.symbol)
        self._via[fill.trade_id] = match.via
        if intent is not None:
            self._intents[intent.intent_id] = intent
        self._portfolio.newest_fill_ms = max(self._portfolio.newest_fill_ms, fill.time_ms)
        if book.is_out_of_reach(fill):
            change = BookChange(book.position, book.position, {fill.trade_id: ZERO})
            text = f"{fill.symbol}: {fill.trade_id} came too late to be put into its place: its PnL is not counted"
            step.effects.append(Alert("fill_out_of_reach", text))
        else:
            change = book.add(Owned(fill, match.intent_id, reason))
        realised = change.realised.pop(fill.trade_id)
        step.facts.append(FillRecorded(fill, match.intent_id, match.via, realised, reason, step.seq))
        self._portfolio.earn(realised, fill.fee)
        order = None if live is None else self._fill_order(step, live, fill, match.via)
        self._follow(step, change)
        self._ask_whose(step, fill, match)
        trade = next((trip.trade for trip in change.closed if trip_key(trip) == fill.trade_id), None)
        return BookedFill(fill, change.before, change.after, intent, order, trade)

    def on_named(self, step: Step, event: OrderNamed) -> None:
        """The venue has said whose the order behind some fills is."""
        live = self._shelf.find(event.cloid) if event.cloid is not None else None
        for owned in self._of_order(event.symbol, event.oid):
            via = self._via[owned.fill.trade_id]
            if live is not None and _fits(owned.fill, live):
                self._reassign(step, owned, live, MatchedVia.STATUS)
            elif live is None and via not in _SURE:
                self._disown(step, owned, event)

    def on_oid(self, step: Step, live: LiveOrder) -> None:
        """An order's oid has become known: fills of that oid are its own."""
        oid = live.order.oid
        if oid is not None:
            for owned in self._of_order(live.order.request.symbol, oid):
                if _fits(owned.fill, live):
                    self._reassign(step, owned, live, MatchedVia.OID)

    # ── payments and balances ────────────────────────────────────────────────────────────────

    def pay(self, step: Step, event: FundingPaid) -> bool:
        """Book a funding payment once; False for a repeat."""
        key = (event.symbol, event.time_ms)
        if key in self._funding_keys:
            return False
        self._funding_keys.add(key)
        change = self._book_of(event.symbol).pay(event.time_ms, event.amount_usd)
        self._portfolio.be_paid(event.amount_usd)
        step.facts.append(FundingRecorded(event.symbol, event.time_ms, event.size, event.rate, event.amount_usd))
        self._follow(step, change)
        return True

    def open_with(self, step: Step, held: Position) -> None:
        """Take over what was held before this ledger began: by the venue's word, and nobody's trade."""
        self._book_of(held.symbol).begin_with(held)
        self._portfolio.put(held)
        kind = ExternalKind.OPENING_BALANCE.value
        step.facts.append(PositionAdjusted(held.symbol, ZERO, held.size, held.entry_price, held.updated_ms, kind))
        step.facts.append(PositionChanged(held))

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _book_of(self, symbol: str) -> SymbolBook:
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = SymbolBook(Position(symbol))
        return book

    def _of_order(self, symbol: str, oid: int) -> Iterable[Owned]:
        book = self._books.get(symbol)
        return () if book is None else book.of_order(oid)

    def _match(self, fill: Fill) -> FillMatch:
        """Find the fill's order among those it can belong to: the one it names, or all of its symbol."""
        named = self._shelf.find(fill.cloid) if fill.cloid is not None else None
        if named is not None:
            return match_fill(fill, (_open_attempt(named),))
        return match_fill(fill, [_open_attempt(live) for live in self._shelf.known(fill.symbol)])

    def _fill_order(self, step: Step, live: LiveOrder, fill: Fill, via: MatchedVia) -> Order:
        """Lay a fill to its order. What names itself tells the order's oid, and with it whose other fills are."""
        if fill.size > live.order.remaining:
            text = f"{fill.symbol}: {fill.trade_id} fills {fill.size}, {live.order.remaining} of the order was left"
            step.effects.append(Alert("order_overfilled", text))
        order = with_fill(live.order, fill.size, fill.oid if via is MatchedVia.CLOID else None)
        self._change_order(step, live, order)
        if order.oid != live.order.oid:
            self.on_oid(step, LiveOrder(live.intent, order))
        return order

    def _change_order(self, step: Step, live: LiveOrder, order: Order) -> None:
        step.facts.append(OrderChanged(order, step.at_ms))
        self._shelf.put(LiveOrder(live.intent, order))

    def _ask_whose(self, step: Step, fill: Fill, match: FillMatch) -> None:
        """What names nobody is asked about."""
        if match.via not in _SURE and fill.cause is FillCause.ORDER and fill.cloid is None:
            step.effects.append(NameOrder(fill.symbol, fill.oid))

    def _reassign(self, step: Step, owned: Owned, live: LiveOrder, via: MatchedVia) -> None:
        """Lay a fill to the order that stronger evidence names."""
        key = owned.fill.trade_id
        known = self._via[key]
        if not is_stronger(via, known):
            return
        if owned.intent_id != live.intent.intent_id:
            self._take_back(step, owned)
            newest = self._shelf.find(live.order.request.cloid)
            assert newest is not None, "the order was found a moment ago"
            self._fill_order(step, newest, owned.fill, via)
        self._intents[live.intent.intent_id] = live.intent
        self._revise(step, owned, live.intent.intent_id, via, live.intent.reason)

    def _disown(self, step: Step, owned: Owned, event: OrderNamed) -> None:
        """The venue names an order that is none of ours: what was laid to one by its time is external."""
        fill = owned.fill
        kind = external_kind(fill, is_trigger=event.is_trigger)
        if event.cloid is not None and kind is ExternalKind.MANUAL:
            kind = ExternalKind.OTHER_BOT
        if owned.intent_id is not None:
            self._take_back(step, owned)
        if owned.intent_id is not None or owned.reason != kind.value:
            self._revise(step, owned, None, MatchedVia.EXTERNAL, kind.value)

    def _take_back(self, step: Step, owned: Owned) -> None:
        """The order that a fill was laid to never had it."""
        for live in list(self._shelf.known(owned.fill.symbol)):
            if live.intent.intent_id == owned.intent_id and live.order.filled >= owned.fill.size:
                self._change_order(step, live, without_fill(live.order, owned.fill.size))
                return

    def _revise(self, step: Step, owned: Owned, intent_id: str | None, via: MatchedVia, reason: str) -> None:
        key = owned.fill.trade_id
        self._via[key] = via
        book = self._book_of(owned.fill.symbol)
        change = book.reassign(key, intent_id, reason)
        realised = change.realised.pop(key, book.realised(key))
        step.facts.append(FillRevised(key, intent_id, via, realised, reason, step.at_ms))
        self._follow(step, change)

    def _follow(self, step: Step, change: BookChange) -> None:
        """Turn what became of a symbol's books into facts, and keep the portfolio at it."""
        symbol = change.after.symbol
        book = self._books[symbol]
        for key in change.withdrawn:
            step.facts.append(TradeWithdrawn(key, step.at_ms))
        for trip in change.closed:
            step.facts.append(TradeClosed(trip.trade, self._trade_meta(trip), step.seq, trip_key(trip)))
        for key, realised in change.realised.items():
            owned = book.find(key)
            assert owned is not None, "only what is kept is folded"
            step.facts.append(FillRevised(key, owned.intent_id, self._via[key], realised, owned.reason, step.at_ms))
        for gap in change.gaps_closed:
            step.facts.append(GapClosed(gap.before_trade_id, "the missing fills came", step.at_ms))
        for gap in change.gaps_opened:
            step.facts.append(
                GapOpened(
                    symbol,
                    gap.after_trade_id,
                    gap.before_trade_id,
                    gap.expected,
                    gap.found,
                    gap.time_ms,
                    step.at_ms,
                )
            )
            step.effects.append(AskAccount(f"{symbol}: fills before {gap.before_trade_id} are missing"))
        self._portfolio.earn(change.correction, ZERO)
        self._portfolio.put(change.after)
        step.facts.append(PositionChanged(change.after))
        for each in change.forgotten:
            self._via.pop(each.fill.trade_id, None)
            self._intents.pop(each.intent_id or "", None)

    def _trade_meta(self, trip: ClosedTrip) -> str:
        book = self._books[trip.trade.symbol]
        closing = book.find(trip.closed_by)
        opening_intent = self._intents.get(trip.trade.intent_id or "")
        closing_intent = self._intents.get((closing.intent_id if closing else None) or "")
        opened_via = next(
            (
                self._via[each.fill.trade_id].value
                for each in book.kept()
                if each.intent_id is not None and each.intent_id == trip.trade.intent_id
            ),
            MatchedVia.CLOID.value if trip.trade.intent_id is not None else None,
        )
        return json.dumps(
            {
                "oms": {
                    "intent_id": trip.trade.intent_id,
                    "matched_via": opened_via,
                    "exit_intent_id": closing.intent_id if closing else None,
                    "exit_matched_via": self._via[trip.closed_by].value,
                },
                "entry": None if opening_intent is None else _intent_meta(opening_intent),
                "exit": None if closing_intent is None else _intent_meta(closing_intent),
            },
            sort_keys=True,
        )


def _fits(fill: Fill, live: LiveOrder) -> bool:
    request = live.order.request
    return fill.cause is FillCause.ORDER and (request.symbol, request.side) == (fill.symbol, fill.side)


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
