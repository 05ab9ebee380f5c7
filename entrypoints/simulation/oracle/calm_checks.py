"""What must be true once faults have stopped for long enough: I-28, I-29."""

from __future__ import annotations

from decimal import Decimal

from adapters.sim.venue.venue import Venue
from domain.intents import TriggerKind
from entrypoints.simulation.foreign_orders import MAGIC, OTHER_TAG
from entrypoints.simulation.oracle.ledger_image import LedgerImage
from entrypoints.simulation.oracle.venue_truth import VenueTruth
from entrypoints.simulation.oracle.verdicts import Court

ZERO = Decimal(0)
FOREIGN = MAGIC + OTHER_TAG
SETTLES_MS = 30_000
"""So soon after a position has changed its stop has changed too."""
RESOLVED_MS = 90_000
"""60 s, and what proving the death of an order takes after its expiry: the venue's visibility bound."""


def nothing_is_unsettled(court: Court, image: LedgerImage, now_ms: int) -> None:
    """I-28: every order's fate is known."""
    for attempt in image.unsettled():
        since_ms = attempt.unsettled_since_ms or now_ms
        text = f"{attempt.intent.key.text} ({attempt.cloid}) is {attempt.status} for {(now_ms - since_ms) / 1000:.0f} s"
        court.require(now_ms - since_ms < RESOLVED_MS, "I-28", f"{text}: {attempt.reason}")


def differences_are_closed(court: Court, image: LedgerImage, now_ms: int) -> None:
    """I-28: no difference between the books and the venue stays open."""
    for key, since_ms in image.differences.items():
        if FOREIGN in key:
            continue  # the other daemon's order rests there indeed
        court.require(now_ms - since_ms < RESOLVED_MS, "I-28", f"the difference {key} is open since {since_ms}")


def positions_are_protected(court: Court, venue: Venue, truth: VenueTruth, image: LedgerImage) -> None:
    """I-29: every position in our care has a stop at the venue, reduce-only, against it, of its size."""
    account = venue.exchange.account(truth.user)
    assert account is not None, "the account was funded"
    for coin, held in account.positions.items():
        if held.size == ZERO or coin in venue.exchange.delisted or not image.is_in_our_care(coin):
            continue
        if court.now_ms() - truth.moved_ms.get(coin, 0) < SETTLES_MS:
            continue
        stops = [
            order
            for order in account.orders.values()
            if order.coin == coin
            and order.trigger is not None
            and order.trigger.trigger.kind is TriggerKind.STOP_LOSS
            and order.reduce_only
            and (held.size > 0) == (order.side.value == "sell")
        ]
        covered = max((order.size for order in stops), default=ZERO)
        text = f"{coin}: {held.size} is held (ledger: {image.position(coin)}), stops at the venue cover {covered}"
        court.require(covered == abs(held.size), "I-29", text)
