"""The oracle: hears every fact, request and event of the venue, and lets each invariant look at what concerns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from adapters.sim.venue.log import Row
from adapters.sim.venue.venue import Venue
from domain.facts import DecisionsRecorded, LedgerFact
from entrypoints.simulation.oracle import calm_checks, file_checks
from entrypoints.simulation.oracle.book_checks import BookChecks
from entrypoints.simulation.oracle.ledger_image import LedgerImage
from entrypoints.simulation.oracle.order_checks import OrderChecks
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
    ) -> None:
        self.court = Court(venue_ms)
        self.truth = VenueTruth(user)
        self.image = LedgerImage(self.truth.named)
        self.wire = WireChecks(self.court, self.image, ledger, size_decimals, daemon_ms, venue_ms, caps)
        self.orders = OrderChecks(self.court, self.image, self.truth, caps)
        self.books = BookChecks(self.court, self.image, self.truth)
        self.facts = 0
        self._ledger = ledger
        self._venue_ms = venue_ms

    # ── what happens ─────────────────────────────────────────────────────────────────────────

    def sent(self, body: bytes) -> None:
        self.wire.sent(body)

    def arrives(self, body: bytes) -> None:
        self.wire.arrives(body)

    def committed(self, facts: Sequence[LedgerFact]) -> None:
        now_ms = self._venue_ms()
        for fact in facts:
            self.facts += 1
            self.court.note("ledger", fact)
            self.orders.before(fact)
            self.books.before(fact)
            self.image.take(fact, now_ms)

    def decided(self, decisions: Sequence[DecisionsRecorded]) -> None:
        for record in decisions:
            self.orders.decided(record, self._venue_ms())

    def logged(self, row: Row) -> None:
        seen = self.truth.take(row)
        if isinstance(seen, TrueOrder):
            self.court.note("venue", seen)
            self.orders.at_the_venue(seen)
        elif isinstance(seen, TrueFill):
            self.court.note("venue", seen)

    # ── at certain times ─────────────────────────────────────────────────────────────────────

    def after_life(self) -> str:
        """The file as a life left it; gives the head of its chain."""
        self.wire.close()
        self.orders.new_life()
        return file_checks.chain_holds(self.court, self._ledger)

    def in_calm(self, venue: Venue) -> None:
        """Faults have stopped for long enough."""
        now_ms = self._venue_ms()
        calm_checks.nothing_is_unsettled(self.court, self.image, now_ms)
        calm_checks.differences_are_closed(self.court, self.image, now_ms)

    def at_rest(self, venue: Venue) -> None:
        """Nothing is under way any more, and the daemon still runs."""
        self.in_calm(venue)
        self.orders.at_rest()
        calm_checks.positions_are_protected(self.court, venue, self.truth, self.image)
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
