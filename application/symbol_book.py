"""SymbolBook: the newest fills and payments of one symbol, and what they add up to.

A fill that follows on what is known moves the position on. Any other (it was told late, or fills before it are missing)
has all that is kept folded anew in the order of execution, so that the books end the same in whatever order fills are
told; what became another is given back as a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from domain.fill_chain import Break, ClosedTrip, Owned, fold, is_next
from domain.fills import Fill
from domain.orders import ZERO
from domain.positions import GAP, Position, Trade, apply_fill, apply_funding
from domain.recent_fills import RECENT_LIMIT, recent

Payment = tuple[int, Decimal]
"""Time and amount of a funding payment."""


@dataclass(slots=True)
class BookChange:
    """What one fill, payment or correction did to a symbol's books. Trades go by `trip_key`."""

    before: Position
    after: Position
    realised: dict[str, Decimal] = field(default_factory=dict)
    """By trade id: what the new fill realised, and others whose amount is another now."""
    closed: list[ClosedTrip] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    gaps_opened: list[Break] = field(default_factory=list)
    gaps_closed: list[Break] = field(default_factory=list)
    correction: Decimal = ZERO
    """How much the fills that had been booked before realised in all, other than was thought."""
    forgotten: list[Owned] = field(default_factory=list)
    """What lies too far back to be kept."""


class SymbolBook:
    def __init__(self, start: Position) -> None:
        """`start` is the position before the first fill that is kept."""
        self._start = start
        self._owned: dict[str, Owned] = {}
        self._payments: list[Payment] = []
        self._newest: Fill | None = None
        self._realised: dict[str, Decimal] = {}
        self._trips: dict[str, ClosedTrip] = {}
        self._breaks: dict[str, Break] = {}
        self.position = start

    def restore(self, owned: Iterable[Owned], payments: Iterable[Payment]) -> None:
        """Take over fills and payments of earlier sessions: those since the start, all of them."""
        self._owned = {each.fill.trade_id: each for each in owned}
        self._payments = sorted(payments)
        self._fold()

    def find(self, trade_id: str) -> Owned | None:
        return self._owned.get(trade_id)

    def kept(self) -> Iterable[Owned]:
        """The fills at hand, in the order in which they were told."""
        return self._owned.values()

    def realised(self, trade_id: str) -> Decimal:
        return self._realised[trade_id]

    def of_order(self, oid: int) -> list[Owned]:
        return [each for each in self._owned.values() if each.fill.oid == oid]

    def is_out_of_reach(self, fill: Fill) -> bool:
        """Whether it is from before all that is kept: its place cannot be found any more."""
        return fill.time_ms < self._start.updated_ms

    def add(self, owned: Owned) -> BookChange:
        """Book one fill. The caller has deduped."""
        fill, before = owned.fill, self.position
        is_paid_since = any(time_ms > fill.time_ms for time_ms, _ in self._payments)
        follows = not is_paid_since and is_next(self.position, self._newest, fill, self._beside(fill))
        self._owned[fill.trade_id] = owned
        if not follows:
            return self._refolded(before)
        self._newest = fill
        result = apply_fill(self.position, fill, owned.intent_id, owned.reason)
        self.position = result.position
        self._realised[fill.trade_id] = result.realised
        change = BookChange(before, self.position, {fill.trade_id: result.realised})
        if result.closed_trade is not None:
            trip = ClosedTrip(result.closed_trade, closed_by=fill.trade_id, opened_by=None)
            self._trips[trip_key(trip)] = trip
            change.closed.append(trip)
            change.forgotten = self._trimmed()
        return change

    def pay(self, time_ms: int, amount: Decimal) -> BookChange:
        """Book a payment on the round trip that it fell into; one that fell into none changes no position."""
        before = self.position
        self._payments.append((time_ms, amount))
        if not before.is_flat and time_ms > before.opened_ms:
            self.position = apply_funding(before, amount)
            return BookChange(before, self.position)
        for key, trip in self._trips.items():
            if trip.trade.opened_ms < time_ms <= trip.trade.closed_ms:
                paid = replace(trip, trade=replace(trip.trade, funding=trip.trade.funding + amount))
                self._trips[key] = paid
                return BookChange(before, before, closed=[paid], withdrawn=[key])
        return BookChange(before, before)

    def reassign(self, trade_id: str, intent_id: str | None, reason: str) -> BookChange:
        """Lay a fill to another intent."""
        self._owned[trade_id] = replace(self._owned[trade_id], intent_id=intent_id, reason=reason)
        return self._refolded(self.position)

    def begin_with(self, held: Position) -> BookChange:
        """Take the venue's word for what was held before anything was booked."""
        assert not self._owned and self.position.is_flat, "an opening balance comes first"
        self._start = self.position = held
        return BookChange(Position(held.symbol), held)

    def _beside(self, fill: Fill) -> list[Fill]:
        """What happened in the same millisecond: its order is not certain before all of it is known."""
        if self._newest is None or fill.time_ms != self._newest.time_ms:
            return []
        return [each.fill for each in self._owned.values() if each.fill.time_ms == fill.time_ms]

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _refolded(self, before: Position) -> BookChange:
        realised, trips, breaks = self._realised, self._trips, self._breaks
        self._fold()
        change = BookChange(before, self.position)
        change.realised = {key: value for key, value in self._realised.items() if realised.get(key) != value}
        corrections = (value - realised[key] for key, value in change.realised.items() if key in realised)
        change.correction = sum(corrections, ZERO)
        change.withdrawn = [key for key, trip in trips.items() if self._differs(self._trips.get(key), trip)]
        change.closed = [trip for key, trip in self._trips.items() if self._differs(trips.get(key), trip)]
        change.gaps_closed = [gap for key, gap in breaks.items() if self._breaks.get(key) != gap]
        change.gaps_opened = [gap for key, gap in self._breaks.items() if breaks.get(key) != gap]
        return change

    @staticmethod
    def _differs(one: ClosedTrip | None, other: ClosedTrip) -> bool:
        return one is None or one.trade != other.trade

    def _fold(self) -> None:
        folded = fold(self._start, list(self._owned.values()))
        self._newest = self._owned[folded.realised[-1][0]].fill if folded.realised else None
        self._realised = dict(folded.realised)
        self._trips = {trip_key(trip): self._paid(trip) for trip in folded.trades}
        self._breaks = {gap.before_trade_id: gap for gap in folded.breaks}
        self.position = folded.position
        if not self.position.is_flat:
            self.position = replace(self.position, funding=self._funding(self.position.opened_ms, None))

    def _paid(self, trip: ClosedTrip) -> ClosedTrip:
        trade: Trade = trip.trade
        return replace(trip, trade=replace(trade, funding=self._funding(trade.opened_ms, trade.closed_ms)))

    def _funding(self, opened_ms: int, closed_ms: int | None) -> Decimal:
        inherited = self._start.funding if not self._start.is_flat and opened_ms == self._start.opened_ms else ZERO
        return sum(
            (
                amount
                for time_ms, amount in self._payments
                if time_ms > opened_ms and (closed_ms is None or time_ms <= closed_ms)
            ),
            inherited,
        )

    def _trimmed(self) -> list[Owned]:
        """Forget what lies far enough back, at a moment when nothing was held."""
        if len(self._owned) <= RECENT_LIMIT:
            return []
        kept = {fill.trade_id for fill in recent([each.fill for each in self._owned.values()])}
        forgotten = [each for key, each in self._owned.items() if key not in kept]
        if forgotten:
            last_ms = max(each.fill.time_ms for each in forgotten)
            self._start = Position(self.position.symbol, updated_ms=last_ms + 1)
            for each in forgotten:
                for table in (self._owned, self._realised, self._breaks):
                    table.pop(each.fill.trade_id, None)
            self._trips = {key: trip for key, trip in self._trips.items() if trip.trade.closed_ms > last_ms}
            self._payments = [each for each in self._payments if each[0] > last_ms]
        return forgotten


def trip_key(trip: ClosedTrip) -> str:
    """What names a trade: the fill that closed it. A gap may end one trip and the fill after it another."""
    return f"{trip.closed_by}:gap" if trip.trade.exit_reason == GAP else trip.closed_by


def restored(
    starts: Mapping[str, Position], owned: Iterable[Owned], payments: Iterable[tuple[str, int, Decimal]]
) -> dict[str, SymbolBook]:
    """The books of all symbols that have any past."""
    fills: dict[str, list[Owned]] = {}
    paid: dict[str, list[Payment]] = {}
    for each in owned:
        fills.setdefault(each.fill.symbol, []).append(each)
    for symbol, time_ms, amount in payments:
        paid.setdefault(symbol, []).append((time_ms, amount))
    books = {}
    for symbol in sorted(fills.keys() | starts.keys() | paid.keys()):
        book = books[symbol] = SymbolBook(starts.get(symbol, Position(symbol)))
        book.restore(fills.get(symbol, ()), paid.get(symbol, ()))
    return books
