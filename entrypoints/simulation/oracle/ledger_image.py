"""What the durable ledger says, gathered from the facts that it takes in: intents, attempts, fills, positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from domain.facts import (
    CashSet,
    DifferenceClosed,
    DifferenceOpened,
    ExitStateChanged,
    FillRecorded,
    FillRevised,
    FundingRecorded,
    GapClosed,
    GapOpened,
    IntentRecorded,
    LedgerFact,
    OperatorActed,
    OrderChanged,
    PositionAdjusted,
    PositionChanged,
    RiskChanged,
)
from domain.intents import OrderIntent
from domain.positions import Position
from domain.risk import RiskState
from entrypoints.simulation.oracle.venue_truth import FillKey

ZERO = Decimal(0)
ENTRIES = ("OPEN", "ADD")
LIVE = frozenset(("sent", "unknown", "open"))
UNSETTLED = frozenset(("sent", "unknown"))


@dataclass(slots=True)
class Attempt:
    cloid: str
    intent: OrderIntent
    number: int
    since_ms: int
    status: str
    unsettled_since_ms: int | None
    """Since when its fate has not been known."""
    reason: str = ""
    filled: Decimal = ZERO
    was_filled_by_time: bool = False
    """A fill was laid to it that only lies near it in time: that may be corrected."""


@dataclass(slots=True)
class BookedFill:
    key: FillKey
    intent_id: str | None
    via: str
    signed_size: Decimal
    realised: Decimal
    fee: Decimal
    start: Decimal | None
    order: int
    """Its place among all that were booked."""


@dataclass(slots=True)
class LedgerImage:
    named: Callable[[FillKey], FillKey]
    """The venue's own name of a fill."""
    intents: dict[str, OrderIntent] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    of_symbol: dict[str, set[str]] = field(default_factory=dict)
    """Cloids of attempts that may live, by symbol."""
    fills: dict[FillKey, BookedFill] = field(default_factory=dict)
    fundings: dict[tuple[str, int], Decimal] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)
    held: dict[str, Position] = field(default_factory=dict)
    """Those that are not flat."""
    adopted: set[str] = field(default_factory=set)
    """Symbols whose position an operator has given into our care."""
    cash_usd: Decimal | None = None
    risk: RiskState = field(default_factory=RiskState)
    risk_since_ms: int = 0
    """When the latch became what it is."""
    acted: set[str] = field(default_factory=set)
    """Requests of operators that were heard."""
    gaps: dict[str, str] = field(default_factory=dict)
    """Open breaks in chains of fills: the trade after each, and its symbol."""
    gap_symbols: set[str] = field(default_factory=set)
    differences: dict[str, int] = field(default_factory=dict)
    """Open ones by key, with the moment of their opening."""
    adjusted: set[str] = field(default_factory=set)
    """Symbols whose position was taken from the venue's word."""

    def live(self, symbol: str) -> list[Attempt]:
        return [self.attempts[cloid] for cloid in sorted(self.of_symbol.get(symbol, ()))]

    def all_live(self) -> Iterator[Attempt]:
        """Attempts that may live, whatever their symbol."""
        return (self.attempts[cloid] for cloids in self.of_symbol.values() for cloid in sorted(cloids))

    def is_in_our_care(self, symbol: str) -> bool:
        """Whether a position was opened by an intent of ours, or was given to us."""
        held = self.held.get(symbol)
        return held is not None and (held.intent_id is not None or symbol in self.adopted)

    def unsettled(self) -> list[Attempt]:
        return [
            each
            for cloids in self.of_symbol.values()
            for cloid in cloids
            if (each := self.attempts[cloid]).status in UNSETTLED
        ]

    def position(self, symbol: str) -> Decimal:
        return self.positions.get(symbol, ZERO)

    def take(self, fact: LedgerFact, now_ms: int) -> None:
        """Apply one fact; checks against what was before come first (`oracle`)."""
        match fact:
            case IntentRecorded(intent, order):
                self.intents[intent.intent_id] = intent
                request = order.request
                self._attempt(request.cloid, intent, order.attempt, order.status.value, now_ms)
            case OrderChanged(order):
                request = order.request
                attempt = self.attempts.get(request.cloid)
                if attempt is None:
                    intent = self.intents[request.intent_id]
                    attempt = self._attempt(request.cloid, intent, order.attempt, order.status.value, now_ms)
                self._change(attempt, order.status.value, now_ms)
                attempt.reason, attempt.filled = order.reason, order.filled
            case FillRecorded(fill, intent_id, via, realised):
                key = self.named((fill.symbol, fill.time_ms, fill.tid, fill.oid, fill.side.value))
                signed = fill.size if fill.side.value == "buy" else -fill.size
                self.fills[key] = BookedFill(
                    key, intent_id, via.value, signed, realised, fill.fee, fill.start_position, len(self.fills)
                )
                self._earn(realised - fill.fee)
                if via.value == "time":
                    for attempt in self.attempts.values():
                        attempt.was_filled_by_time |= attempt.intent.intent_id == intent_id
            case FundingRecorded(symbol, time_ms, _, _, amount_usd):
                self.fundings[symbol, time_ms] = amount_usd
                self._earn(amount_usd)
            case PositionChanged(position):
                self.positions[position.symbol] = position.size
                self.held.pop(position.symbol, None)
                if position.size:
                    self.held[position.symbol] = position
            case CashSet(cash_usd):
                self.cash_usd = cash_usd
            case RiskChanged(state):
                if state.latch is not self.risk.latch:
                    self.risk_since_ms = now_ms
                self.risk = state
            case OperatorActed():
                self.acted.add(fact.request_id)
            case ExitStateChanged(symbol, exits):
                self.adopted.discard(symbol)
                if exits is not None and exits.adopted:
                    self.adopted.add(symbol)
            case _:
                self._take_newer(fact, now_ms)

    def _take_newer(self, fact: LedgerFact, now_ms: int) -> None:
        """What corrects, or tells of a disagreement."""
        match fact:
            case FillRevised():
                self._revise(fact)
            case GapOpened():
                self.gaps[fact.before_trade_id] = fact.symbol
                self.gap_symbols.add(fact.symbol)
            case GapClosed():
                self.gaps.pop(fact.before_trade_id, None)
            case DifferenceOpened():
                self.differences[fact.key] = now_ms
            case DifferenceClosed():
                self.differences.pop(fact.key, None)
            case PositionAdjusted():
                self.adjusted.add(fact.symbol)
            case _:
                pass

    def _revise(self, fact: FillRevised) -> None:
        for fill in self.fills.values():
            coin, time_ms, tid, oid, side = fill.key
            known = (coin, str(time_ms), str(oid), side)
            said = fact.trade_id.rsplit(":", 4)
            if known == (said[0], said[1], said[3], said[4]) and (tid == 0 or said[2] == str(tid)):
                fill.intent_id, fill.via = fact.intent_id, fact.via.value
                self._earn(fact.realised - fill.realised)
                fill.realised = fact.realised

    def _earn(self, amount_usd: Decimal) -> None:
        if self.cash_usd is not None:
            self.cash_usd += amount_usd

    def _attempt(self, cloid: str, intent: OrderIntent, number: int, status: str, now_ms: int) -> Attempt:
        attempt = self.attempts[cloid] = Attempt(cloid, intent, number, now_ms, "", None)
        self._change(attempt, status, now_ms)
        return attempt

    def _change(self, attempt: Attempt, status: str, now_ms: int) -> None:
        attempt.status = status
        cloids = self.of_symbol.setdefault(attempt.intent.key.symbol, set())
        if status in LIVE:
            cloids.add(attempt.cloid)
        else:
            cloids.discard(attempt.cloid)
        if status not in UNSETTLED:
            attempt.unsettled_since_ms = None
        elif attempt.unsettled_since_ms is None:
            attempt.unsettled_since_ms = now_ms
