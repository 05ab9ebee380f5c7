"""What must be true of every signed request, as it leaves and as it arrives: I-02, I-03, I-04, I-06, I-20, I-27."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from entrypoints.simulation.oracle.ledger_image import LedgerImage
from entrypoints.simulation.oracle.signed_requests import SignedRequest, WireOrder, read_signed
from entrypoints.simulation.oracle.verdicts import Court

DAY_MS = 86_400_000
BAND = Decimal("1.011")
"""The cap is asked at the price, an entry may cost a hundredth more."""
LEAST_NOTIONAL = Decimal(10)
OVERTAKEN_MS = 60_000
"""An order may wait this long for its turn while later ones leave: for its leverage, or the rate limit."""
LATE_MS = 1_000
"""Between the last look at the clock and the bytes."""


_ATTEMPT = "SELECT a.* FROM order_attempts a JOIN order_intents USING (intent_id) WHERE cloid = ?"


class WireChecks:
    """`size_decimals` by asset id. `daemon_ms` is the daemon's own time, `venue_ms` the true one."""

    def __init__(
        self,
        court: Court,
        image: LedgerImage,
        ledger: Path,
        size_decimals: Sequence[int],
        daemon_ms: Callable[[], int],
        venue_ms: Callable[[], int],
        caps: Mapping[str, Decimal],
    ) -> None:
        self._court = court
        self._image = image
        self._ledger_path = ledger
        self._reader: sqlite3.Connection | None = None
        self._size_decimals = size_decimals
        self._daemon_ms = daemon_ms
        self._venue_ms = venue_ms
        self._max_notional = caps["max_notional_usd_per_order"]
        self._action_of: dict[int, str] = {}
        self._body_of: dict[str, bytes] = {}
        self._nonce_of: dict[str, int] = {}
        self._highest_nonce = 0
        self.orders_arrived = 0

    def sent(self, body: bytes) -> None:
        """A request leaves the daemon."""
        request = read_signed(body)
        self._nonces_are_used_once_and_rise(request)
        for order in request.orders:
            self._court.note(f"sent, nonce {request.nonce}", order)
            self._one_body_per_attempt(order, request, body)
            self._entries_leave_in_time(order)

    def arrives(self, body: bytes) -> None:
        """A request reaches the venue."""
        request = read_signed(body)
        for order in request.orders:
            self.orders_arrived += 1
            self._was_written_before(order, request)
            self._fits_the_venues_grid(order)
            self._exits_reduce(order)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # ── as it leaves ─────────────────────────────────────────────────────────────────────────

    def _nonces_are_used_once_and_rise(self, request: SignedRequest) -> None:
        """I-04: a nonce belongs to one action (or to the noop that burns it), lies near the time, and does not fall
        behind: orders wait for their turn, so of two the later number may leave first, but not by more than that."""
        before = self._action_of.get(request.nonce)
        fresh = before is None
        if request.kind != "noop":
            again = before is not None and before != request.action
            self._court.require(not again, "I-04", f"nonce {request.nonce} is used for two actions: {request.action}")
            self._action_of[request.nonce] = request.action
        away_ms = request.nonce - self._venue_ms()
        self._court.require(-2 * DAY_MS < away_ms < DAY_MS, "I-04", f"nonce {request.nonce} is {away_ms} ms away")
        if fresh and request.kind != "noop":
            behind_ms = self._highest_nonce - request.nonce
            self._court.require(
                behind_ms < OVERTAKEN_MS, "I-04", f"nonce {request.nonce} is {behind_ms} below one that left before"
            )
        self._highest_nonce = max(self._highest_nonce, request.nonce)

    def _one_body_per_attempt(self, order: WireOrder, request: SignedRequest, body: bytes) -> None:
        """I-03: whatever is sent for an attempt is one and the same signed text."""
        if order.cloid is None:
            self._court.blame("I-03", f"an order without a cloid was sent: {order.raw}")
            return
        before = self._body_of.setdefault(order.cloid, body)
        self._court.require(before == body, "I-03", f"{order.cloid} was signed twice, first with another text")
        nonce = self._nonce_of.setdefault(order.cloid, request.nonce)
        self._court.require(nonce == request.nonce, "I-03", f"{order.cloid} has nonces {nonce} and {request.nonce}")
        attempt = self._image.attempts.get(order.cloid)
        if attempt is not None and attempt.number > 1:
            self._earlier_attempts_are_over(order.cloid)

    def _earlier_attempts_are_over(self, cloid: str) -> None:
        """I-03: another attempt only once the one before has ended, by evidence in the ledger."""
        attempt = self._image.attempts[cloid]
        for other in self._image.attempts.values():
            if other.intent.intent_id == attempt.intent.intent_id and other.number < attempt.number:
                over = other.status in ("dead", "rejected")
                text = f"attempt {attempt.number} of {cloid} left while attempt {other.number} is {other.status}"
                self._court.require(over, "I-03", text)

    def _entries_leave_in_time(self, order: WireOrder) -> None:
        """I-20: an entry leaves before its decision's deadline, by the daemon's clock."""
        attempt = self._image.attempts.get(order.cloid or "")
        if attempt is None or attempt.intent.deadline_ms is None:
            return
        late_ms = self._daemon_ms() - attempt.intent.deadline_ms
        self._court.require(late_ms <= LATE_MS, "I-20", f"{order.cloid} left {late_ms} ms after its deadline")

    # ── as it arrives ────────────────────────────────────────────────────────────────────────

    def _was_written_before(self, order: WireOrder, request: SignedRequest) -> None:
        """I-02: when the venue receives an order, the ledger's file holds intent and attempt as they were sent."""
        row = self._row_of(order.cloid or "")
        if row is None:
            self._court.blame("I-02", f"the venue receives {order.cloid}, of which the ledger knows nothing")
            return
        for column, value in (("nonce", request.nonce), ("expires_after_ms", request.expires_ms)):
            if column in row and row[column] is not None:
                text = f"{order.cloid}: {column} is {row[column]} in the ledger and {value} on the wire"
                self._court.require(row[column] == value, "I-02", text)
        if row.get("action") is not None:
            same = str(row["action"]).replace(" ", "") == request.action.replace(" ", "")
            self._court.require(same, "I-02", f"{order.cloid}: another action was signed than was written down")
        same = Decimal(str(row["size"])) == order.size and Decimal(str(row["limit_price"])) == order.price
        self._court.require(same, "I-02", f"{order.cloid}: size or price differ from the ledger: {order.raw} {row}")

    def _row_of(self, cloid: str) -> dict[str, object] | None:
        if self._reader is None:
            self._reader = sqlite3.connect(f"file:{self._ledger_path}?mode=ro", uri=True, isolation_level=None)
            self._reader.row_factory = sqlite3.Row
        row = self._reader.execute(_ATTEMPT, (cloid,)).fetchone()
        return None if row is None else dict(row)

    def _fits_the_venues_grid(self, order: WireOrder) -> None:
        """I-06: our own reading of the venue's tick, lot and least notional."""
        decimals = self._size_decimals[order.asset]
        places = _places(order.size)
        self._court.require(order.size > 0 and places <= decimals, "I-06", f"size {order.size} has {places} decimals")
        self._court.require(_is_price(order.price, decimals), "I-06", f"price {order.price} is off the tick")
        notional = order.size * order.price
        if not order.reduce_only:
            self._court.require(notional >= LEAST_NOTIONAL, "I-06", f"an entry of {notional} USD: {order.raw}")
            self._court.require(
                notional <= self._max_notional * BAND, "I-07", f"an entry of {notional} USD: {order.raw}"
            )

    def _exits_reduce(self, order: WireOrder) -> None:
        """I-27: whatever is no entry is reduce-only, and an entry is not."""
        attempt = self._image.attempts.get(order.cloid or "")
        if attempt is not None:
            grows = attempt.intent.key.action.value in ("OPEN", "ADD")
            text = f"{attempt.intent.key.action.value} {order.cloid}: reduce-only is {order.reduce_only}"
            self._court.require(order.reduce_only is not grows, "I-27", text)


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a number on the wire is finite"
    return max(0, -exponent)


def _is_price(price: Decimal, size_decimals: int) -> bool:
    """At most five significant figures and 6 - szDecimals decimals; whole numbers always."""
    if price <= 0:
        return False
    if price == price.to_integral_value():
        return True
    figures = len(price.normalize().as_tuple().digits)
    return figures <= 5 and _places(price) <= 6 - size_decimals
