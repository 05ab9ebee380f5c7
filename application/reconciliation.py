"""Reconciliation: our books against the venue's word, at start, after every reconnect and from time to time.

Every difference is a row: what we have, what the venue has, the likely cause, and how it was closed. A position that
differs takes no entries from that moment on; if it lasts, the operator is told. Nothing is ever made equal by guessing:
fills that are missing are asked for, and only cash and leverage, which are the venue's to say, are taken over.
A snapshot from before our newest fill was overtaken on its way: it proves nothing about now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from application.live_oms import LiveOms
from application.order_shelf import LiveOrder
from application.portfolio import Portfolio
from application.risk_guard import RiskGuard
from application.step import Step
from domain.effects import Alert, AskAccount, LookForOrder
from domain.events import AccountSnapshot, HeldPosition, OrderCanceled, OrderOutcome, RestingOrder
from domain.facts import (
    BORN,
    FILLS_READ,
    CashSet,
    CursorMoved,
    DifferenceClosed,
    DifferenceOpened,
    LedgerState,
)
from domain.fills import Fill, FillCause
from domain.intents import is_our_cloid
from domain.orders import ZERO, Accepted, OrderStatus
from domain.positions import opened_with
from domain.risk import Latch

LASTING_MS = 60_000
"""A difference that is so old is told."""

BREACH_MS = 600_000
"""A position that has differed for so long shuts the kill latch: somebody has to look."""

CASH_TOLERANCE_USD = Decimal("0.01")
"""Less is rounding: the venue rounds each amount, and its word is taken without a row."""

ARRIVAL_MS = 5_000
"""An order that was sent so shortly before a snapshot may not be in it."""

CANCEL_AGAIN_MS = 30_000
"""A cancel that has not worked for so long is sent again."""

CURSOR_STEP_MS = 60_000

OTHER_DAEMON = "other_daemon"
HELD_FOR_STRANGER = "an order of another daemon was seen on this account"


@dataclass(slots=True)
class _Difference:
    """`cloid` is that of the order it is about, empty for others."""

    kind: str
    symbol: str
    cloid: str
    opened_ms: int
    is_told: bool = False


class Reconciliation:
    """`differs` are symbols that take no entries: their books are not the venue's, or the venue has stepped in."""

    def __init__(self, portfolio: Portfolio, oms: LiveOms, guard: RiskGuard) -> None:
        self._portfolio = portfolio
        self._oms = oms
        self._guard = guard
        self._open: dict[str, _Difference] = {}
        self._cursor_ms: int | None = None
        self.read_until_ms = 0
        """Up to then everything that happened to the account has been read."""
        self._is_first = True
        self._stepped_in: set[str] = set()
        self._strangers: set[str] = set()
        self.born_ms = 0
        """This ledger's first moment: what the account did before is its owner's own."""
        self.differs: frozenset[str] = frozenset()

    def restore(self, step: Step, state: LedgerState, *, accepts_strangers: bool = False) -> None:
        """Take over what earlier sessions found, and note this ledger's first moment.

        A restart lifts no stop: an order of another daemon that was seen goes on stopping entries, unless somebody
        `accepts_strangers`.
        """
        cursors = dict(state.cursors)
        self._cursor_ms = cursors.get(FILLS_READ)
        self.read_until_ms = self._cursor_ms or state.newest_fill_ms or step.at_ms
        self.born_ms = cursors.get(BORN, 0)
        if BORN not in cursors and not state.trade_ids and not state.intent_ids:
            self.born_ms = step.at_ms
            step.facts.append(CursorMoved(BORN, step.at_ms))
        for key, kind, symbol, opened_ms in state.open_differences:
            self._open[key] = _Difference(kind, symbol, key.removeprefix(_key(kind, symbol)), opened_ms, is_told=True)
        for each in [each for each in self._open.values() if each.kind == "order_unknown"]:
            if accepts_strangers:
                self._close(step, each.kind, each.symbol, "accepted by the operator", each.cloid)
            else:
                self._strangers.add(each.cloid)
                self._guard.hold_entries(OTHER_DAEMON, HELD_FOR_STRANGER)
        self._find_differing()

    def is_from_before(self, fill: Fill) -> bool:
        """Whether a fill happened before this ledger began. One of an order in here did not, whatever clocks say."""
        if fill.time_ms >= self.born_ms:
            return False
        return fill.cloid is None or self._oms.find(fill.cloid) is None

    def note_fill(self, step: Step, fill: Fill) -> None:
        """The venue took a position off us: nobody enters that symbol again before somebody has looked."""
        if fill.cause in (FillCause.LIQUIDATION, FillCause.ADL) and fill.symbol not in self._stepped_in:
            self._stepped_in.add(fill.symbol)
            self._find_differing()
            text = f"{fill.symbol}: {fill.cause.value} of {fill.size}; no entries in it until the next start"
            step.effects.append(Alert("venue_stepped_in", text))

    def take(self, step: Step, snapshot: AccountSnapshot) -> None:
        """Compare our books with the venue's word."""
        if snapshot.at_ms < self._portfolio.newest_fill_ms:
            return
        held = {each.symbol: each for each in snapshot.held}
        if self._cursor_ms is None and snapshot.fills_since_ms is not None:
            self._open_with(step, snapshot, held)
        self._compare_positions(step, snapshot)
        self._compare_cash(step, snapshot)
        self._compare_leverage(step, held.values())
        if snapshot.resting is not None:
            self._compare_orders(step, snapshot.resting, snapshot.at_ms)
        if snapshot.fills_since_ms is not None:
            self._move_cursor(step, snapshot.at_ms)
            self._is_first = False
        self._find_differing()

    # ── positions ────────────────────────────────────────────────────────────────────────────

    def _open_with(self, step: Step, snapshot: AccountSnapshot, held: dict[str, HeldPosition]) -> None:
        """What was held before this ledger began is nobody's trade: it is taken over as it stands, and left alone."""
        for symbol, size in snapshot.positions:
            if symbol in held and symbol not in self._portfolio.positions and not self._oms.fills.has_booked(symbol):
                entry = held[symbol].entry_price or ZERO
                self._oms.open_with(step, opened_with(symbol, size, entry, snapshot.at_ms))
                text = f"{symbol}: {size} was held before this ledger began: it is left alone, and not added to"
                step.effects.append(Alert("opening_balance", text))

    def _compare_positions(self, step: Step, snapshot: AccountSnapshot) -> None:
        theirs = dict(snapshot.positions)
        ours = {symbol: position.size for symbol, position in self._portfolio.positions.items()}
        for symbol in sorted(theirs.keys() | ours.keys()):
            mine, venue = ours.get(symbol, ZERO), theirs.get(symbol, ZERO)
            if mine == venue:
                self._close(step, "position", symbol, "they agree again")
                continue
            known = self._open.get(_key("position", symbol))
            if known is None:
                known = self._begin(step, "position", symbol, str(mine), str(venue), "fills that we have not heard of")
                if snapshot.fills_since_ms is None:
                    step.effects.append(AskAccount(f"{symbol}: ours {mine}, venue {venue}"))
            lasts = step.at_ms - known.opened_ms >= LASTING_MS
            if not known.is_told and snapshot.fills_since_ms is not None and (lasts or self._is_first):
                known.is_told = True
                text = f"{symbol}: ours {mine}, venue {venue}: no entries until they agree"
                step.effects.append(Alert("position_differs", text))
            if step.at_ms - known.opened_ms >= BREACH_MS and snapshot.fills_since_ms is not None:
                self._guard.shut(step, Latch.CLOSE_ONLY, f"books of {symbol} differ from the venue's for ten minutes")
        for difference in list(self._open.values()):
            symbol = difference.symbol
            if difference.kind == "position" and symbol not in theirs and symbol not in ours:
                self._close(step, "position", symbol, "they agree again")

    # ── what is the venue's to say ───────────────────────────────────────────────────────────

    def _compare_cash(self, step: Step, snapshot: AccountSnapshot) -> None:
        """Once everything up to the snapshot has been told: a payment that has not would be counted twice."""
        ours = self._portfolio.cash_usd
        if ours == snapshot.cash_usd or (ours is not None and snapshot.fills_since_ms is None):
            return
        if ours is not None and abs(ours - snapshot.cash_usd) >= CASH_TOLERANCE_USD:
            self._begin(step, "cash", "", f"{ours:.6f}", str(snapshot.cash_usd), "deposit, withdrawal or transfer")
            self._close(step, "cash", "", "the venue's word was taken")
        self._portfolio.cash_usd = snapshot.cash_usd
        step.facts.append(CashSet(snapshot.cash_usd, snapshot.at_ms))

    def _compare_leverage(self, step: Step, held: Iterable[HeldPosition]) -> None:
        for each in held:
            ours = self._guard.leverage(each.symbol)
            if each.symbol in self._portfolio.positions and ours != each.leverage:
                if ours is not None:
                    cause = "set elsewhere, or by an entry that was refused"
                    self._begin(step, "leverage", each.symbol, f"{ours}x", f"{each.leverage}x", cause)
                    self._close(step, "leverage", each.symbol, "the venue's word was taken")
                self._guard.set_leverage(each.symbol, Decimal(each.leverage))

    # ── orders ───────────────────────────────────────────────────────────────────────────────

    def _compare_orders(self, step: Step, resting: tuple[RestingOrder, ...], at_ms: int) -> None:
        theirs = {each.cloid: each for each in resting if each.cloid is not None}
        oids = {each.oid for each in resting}
        for live in self._oms.all_live_orders():
            order = live.order
            if order.status is OrderStatus.OPEN and order.request.cloid not in theirs and order.oid not in oids:
                self._look_for(step, live, at_ms)
        for cloid, each in theirs.items():
            known = self._oms.find(cloid)
            if known is not None:
                self._note_resting(step, known, each)
            elif is_our_cloid(cloid):
                self._note_stranger(step, cloid, each)
        for known_difference in list(self._open.values()):
            self._settle(step, known_difference, is_resting=known_difference.cloid in theirs)

    def _look_for(self, step: Step, live: LiveOrder, at_ms: int) -> None:
        """One of ours that should rest and does not is asked about; if nobody knows it by the next look, it ended."""
        request = live.order.request
        if live.order.sent_ms > at_ms - ARRIVAL_MS:
            return
        known = self._open.get(_key("order_missing", request.symbol, request.cloid))
        if known is None:
            text = ("open", "not among the open orders", "its end was not heard")
            self._begin(step, "order_missing", request.symbol, *text, cloid=request.cloid)
            step.effects.append(LookForOrder(request.symbol, request.cloid, live.order.sent_ms))
        elif step.at_ms - known.opened_ms >= LASTING_MS // 2:
            self._oms.on_canceled(step, OrderCanceled(request.cloid, "no longer among the venue's open orders"))

    def _settle(self, step: Step, difference: _Difference, *, is_resting: bool) -> None:
        """Close a difference about an order that is none any more."""
        if difference.kind == "order_missing":
            known = self._oms.find(difference.cloid)
            if is_resting or known is None or known.order.status is not OrderStatus.OPEN:
                how = "it rests again" if is_resting or known is None else f"it is {known.order.status.value}"
                self._close(step, difference.kind, difference.symbol, how, difference.cloid)

    def _note_resting(self, step: Step, known: LiveOrder, resting: RestingOrder) -> None:
        """The venue shows an order of ours as open."""
        if known.order.oid is None or known.order.status is not OrderStatus.OPEN:
            self._oms.on_outcome(step, OrderOutcome(known.order.request.cloid, Accepted(resting.oid)))
        self._oms.cancel_again(step, known.order.request.cloid, CANCEL_AGAIN_MS)

    def _note_stranger(self, step: Step, cloid: str, resting: RestingOrder) -> None:
        """An order with an id as only we make them, and not in this ledger: somebody else trades here as we do."""
        self.stop_for_stranger(step, resting.symbol, cloid, f"open, oid {resting.oid}")

    def hear_of(self, step: Step, symbol: str, cloid: str | None) -> None:
        """Somebody's order was told of. One that looks like ours and is of another ledger stops entries.

        Of this ledger's own only the newest are at hand: one of its tag that is not may have ended long ago.
        """
        if cloid is None or not is_our_cloid(cloid) or self._oms.find(cloid) is not None:
            return
        if not self._oms.has_tag(cloid):
            self.stop_for_stranger(step, symbol, cloid)

    def stop_for_stranger(self, step: Step, symbol: str, cloid: str, seen: str = "heard of") -> None:
        """No entries from here on, restarts included: two daemons on one account would undo what the other does."""
        if cloid in self._strangers:
            return
        self._strangers.add(cloid)
        self._begin(step, "order_unknown", symbol, "none", seen, "another daemon, or a lost ledger", cloid=cloid)
        text = (
            f"{symbol} {cloid} looks like an order of ours and is not in this ledger: another daemon trades on this "
            "account, or an earlier ledger was lost (`./aiq recover --from-venue` takes over what that left). No "
            "entries, also after restarts, until one with AI_QUANT_ACCEPT_FOREIGN_ORDERS=1"
        )
        self._guard.hold_entries(OTHER_DAEMON, HELD_FOR_STRANGER)
        step.effects.append(Alert("foreign_order", text))

    # ── rows ─────────────────────────────────────────────────────────────────────────────────

    def _begin(
        self, step: Step, kind: str, symbol: str, ours: str, venue: str, cause: str, cloid: str = ""
    ) -> _Difference:
        key = _key(kind, symbol, cloid)
        known = self._open[key] = _Difference(kind, symbol, cloid, step.at_ms)
        step.facts.append(DifferenceOpened(key, kind, symbol, ours, venue, cause, step.at_ms))
        return known

    def _close(self, step: Step, kind: str, symbol: str, how: str, cloid: str = "") -> None:
        key = _key(kind, symbol, cloid)
        if self._open.pop(key, None) is not None:
            step.facts.append(DifferenceClosed(key, how, step.at_ms))

    def _move_cursor(self, step: Step, at_ms: int) -> None:
        self.read_until_ms = max(self.read_until_ms, at_ms)
        if self._cursor_ms is None or at_ms - self._cursor_ms >= CURSOR_STEP_MS:
            self._cursor_ms = at_ms
            step.facts.append(CursorMoved(FILLS_READ, at_ms))

    def _find_differing(self) -> None:
        differing = {each.symbol for each in self._open.values() if each.kind == "position"}
        self.differs = frozenset(differing | self._stepped_in)


def _key(kind: str, symbol: str, cloid: str = "") -> str:
    return f"{kind}:{symbol}:{cloid}"
