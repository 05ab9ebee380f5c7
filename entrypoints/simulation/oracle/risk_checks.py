"""What must be true of the kill latch, of pauses, of what only reduces (I-26, I-27), and of risk over restarts (I-07).

Judged by what is committed: from then on nothing that may increase exposure leaves. What was on the wire before may
land.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from domain.risk import RiskState
from entrypoints.simulation.oracle.ledger_image import LedgerImage
from entrypoints.simulation.oracle.signed_requests import WireOrder
from entrypoints.simulation.oracle.venue_truth import TrueFill, VenueTruth
from entrypoints.simulation.oracle.verdicts import Court

FLAT_MS = 60_000
"""A working venue for so long, and what is being closed is flat, or listed with a reason."""


class RiskChecks:
    def __init__(self, court: Court, image: LedgerImage, truth: VenueTruth) -> None:
        self._court = court
        self._image = image
        self._truth = truth
        self._sent_halted: set[str] = set()
        """Cloids of what left while everything was to be closed."""

    def sent(self, order: WireOrder) -> None:
        """An order leaves the daemon."""
        risk = self._image.risk
        if not order.reduce_only:
            why = shut_by(risk)
            self._court.require(not why, "I-26", f"{order.cloid} may increase exposure and leaves, though {why}")
        if risk.latch.value == "halt" and order.cloid is not None:
            self._sent_halted.add(order.cloid)

    def filled(self, fill: TrueFill) -> None:
        """The venue has executed something of this account."""
        order = self._truth.orders.get(fill.oid)
        if order is None or order.cloid is None:
            return  # by hand, or the venue's own doing
        after = fill.start + fill.signed_size
        shrinks = abs(after) <= abs(fill.start) and after * fill.start >= 0
        text = f"{order.cloid} took {fill.key[0]} from {fill.start} to {after}"
        if order.reduce_only:
            self._court.require(shrinks, "I-27", f"{text}, and only reduces")
        if order.cloid in self._sent_halted:
            self._court.require(shrinks, "I-26", f"{text}, and left after the kill latch was shut to halt")

    def goes_by(self, state: RiskState) -> None:
        """What the running daemon holds to, after every turn and first after its recovery: what is committed."""
        known = self._image.risk
        if state is known or state == known:
            return
        for name in ("latch", "paused", "tripped", "leaving"):
            ours, theirs = getattr(known, name), getattr(state, name)
            self._court.require(ours == theirs, "I-26", f"{name} is {theirs!r} to the daemon, {ours!r} was committed")
        self._court.require(state == known, "I-07", f"risk is {state} to the daemon, {known} was committed")

    def is_flat_or_listed(self, held: Mapping[str, Decimal], watched: Collection[str]) -> None:
        """I-26: a while after a halt nothing is held that is not listed as left, with a reason.

        `held`: the venue's positions; `watched`: symbols that the daemon can trade.
        """
        risk = self._image.risk
        listed = dict(risk.residuals)
        wanted = set(watched) if risk.latch.value == "halt" else {symbol for symbol, _ in risk.leaving}
        if risk.latch.value == "halt" and self._court.now_ms() - self._image.risk_since_ms < FLAT_MS:
            return
        for coin, size in held.items():
            text = f"{coin}: {size} is held {FLAT_MS // 1000} s after {risk.latch.value}, and not listed as left"
            self._court.require(coin not in wanted or bool(listed.get(coin)), "I-26", text)


def shut_by(risk: RiskState) -> str:
    """Why nothing that may increase exposure leaves; empty where it may."""
    if risk.latch.value != "open":
        return f"the latch is {risk.latch.value}: {risk.latch_why}"
    if risk.paused:
        return f"entries are paused: {risk.paused}"
    return f"{risk.tripped} is reached" if risk.tripped else ""
