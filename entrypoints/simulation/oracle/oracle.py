"""The oracle: hears every fact, request and event of the venue, and lets each invariant look at what concerns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from adapters.sim.venue.log import Row
from adapters.sim.venue.venue import Venue
from domain.facts import DecisionsRecorded, IntentRecorded, LedgerFact, OrderChanged
from domain.risk import RiskState
from entrypoints.simulation.oracle import calm_checks, file_checks
from entrypoints.simulation.oracle.book_checks import BookChecks
from entrypoints.simulation.oracle.cap_checks import CapChecks
from entrypoints.simulation.oracle.ledger_image import ENTRIES, LedgerImage
from entrypoints.simulation.oracle.order_checks import OrderChecks
from entrypoints.simulation.oracle.protection_checks import ProtectionChecks
from entrypoints.simulation.oracle.risk_checks import RiskChecks
from entrypoints.simulation.oracle.signed_requests import read_signed
from entrypoints.simulation.oracle.venue_truth import TrueFill, TrueOrder, VenueTruth
from entrypoints.simulation.oracle.verdicts import Court
from entrypoints.simulation.oracle.wire_checks import WireChecks


class Oracle:
    """`Witness` of the network, `Listener` of the ledger, reader of the venue's log."""

    def __init__(
        self,
        user: str,
        ledger: Path,
        size_decimals: Sequence[int],
        caps: Mapping[str, Decimal],
        daemon_ms: Callable[[], int],
        venue_ms: Callable[[], int],
        marks: Callable[[], Mapping[str, Decimal]],
    ) -> None:
        """`marks` tells the venue's prices."""
        self.court = Court(venue_ms)
        self.truth = VenueTruth(user)
        self.image = LedgerImage(self.truth.named)
        self.wire = WireChecks(self.court, self.image, ledger, size_decimals, daemon_ms, venue_ms, caps)
        self.orders = OrderChecks(self.court, self.image, self.truth, caps)
        self.books = BookChecks(self.court, self.image, self.truth)
        self.risk = RiskChecks(self.court, self.image, self.truth)
        self.caps = CapChecks(self.court, self.image, caps, marks)
        self.protection = ProtectionChecks(self.court, self.image)
        self.facts = 0
        self._ledger = ledger
        self._venue_ms = venue_ms

    # ── what happens ─────────────────────────────────────────────────────────────────────────

    def sent(self, body: bytes) -> None:
        self.wire.sent(body)
        for order in read_signed(body).orders:
            self.risk.sent(order)

    def arrives(self, body: bytes) -> None:
        self.wire.arrives(body)

    def committed(self, facts: Sequence[LedgerFact]) -> None:
        now_ms = self._venue_ms()
        for fact in facts:
            self.facts += 1
            self.court.note("ledger", fact)
            self.orders.before(fact)
            self.books.before(fact)
            self._entries_keep_to_the_caps(fact)
            self.image.take(fact, now_ms)
            self.protection.committed(fact)
        self.protection.look()

    def goes_by(self, state: RiskState) -> None:
        """The risk state that the running daemon holds to, after a turn of its loop."""
        self.risk.goes_by(state)

    def decided(self, decisions: Sequence[DecisionsRecorded]) -> None:
        for record in decisions:
            self.orders.decided(record, self._venue_ms())
            self.caps.decided(record)

    def logged(self, row: Row) -> None:
        seen = self.truth.take(row)
        if isinstance(seen, TrueOrder):
            self.court.note("venue", seen)
            self.orders.at_the_venue(seen)
        elif isinstance(seen, TrueFill):
            self.court.note("venue", seen)
            self.risk.filled(seen)

    def _entries_keep_to_the_caps(self, fact: LedgerFact) -> None:
        intent = None
        if isinstance(fact, IntentRecorded):
            intent = fact.intent
        elif isinstance(fact, OrderChanged) and fact.order.request.cloid not in self.image.attempts:
            intent = self.image.intents[fact.order.request.intent_id]  # another attempt
        if intent is not None and intent.key.action.value in ENTRIES:
            self.caps.entry(intent, is_new=isinstance(fact, IntentRecorded))

    # ── at certain times ─────────────────────────────────────────────────────────────────────

    def after_life(self) -> str:
        """The file as a life left it; gives the head of its chain."""
        self.wire.close()
        self.orders.new_life()
        self.protection.new_life()
        return file_checks.chain_holds(self.court, self._ledger)

    def in_calm(self, venue: Venue) -> None:
        """Faults have stopped for long enough."""
        now_ms = self._venue_ms()
        calm_checks.nothing_is_unsettled(self.court, self.image, now_ms)
        calm_checks.differences_are_closed(self.court, self.image, now_ms)

    def in_safety(self, venue: Venue) -> None:
        """A life has been ready for long enough, at a venue that works."""
        calm_checks.positions_are_protected(self.court, venue, self.truth, self.image)
        account = venue.exchange.account(self.truth.user)
        assert account is not None, "the account was funded"
        held = {coin: position.size for coin, position in account.positions.items() if position.size}
        self.risk.is_flat_or_listed(held, venue.exchange.by_coin.keys() - venue.exchange.delisted)

    def at_rest(self, venue: Venue) -> None:
        """Nothing is under way any more, and the daemon still runs."""
        self.in_calm(venue)
        self.orders.at_rest()
        self.in_safety(venue)
        account = venue.exchange.account(self.truth.user)
        assert account is not None, "the account was funded"
        held = {coin: position.size for coin, position in account.positions.items() if position.size}
        # An isolated position keeps its own money: its margin, less what was paid for it.
        isolated = sum(
            (
                each.raw_usd + each.size * each.entry_price
                for each in account.positions.values()
                if each.raw_usd is not None
            ),
            Decimal(0),
        )
        self.books.at_rest(account.cash + isolated, held)

    def at_the_end(self, scratch: Path) -> None:
        file_checks.projections_follow_from_events(self.court, self._ledger, scratch)
