"""What must be true of fills, positions and cash: I-10, I-11, I-12, I-13, I-14."""

from __future__ import annotations

from decimal import Decimal

from domain.facts import FillRecorded, FundingRecorded, LedgerFact
from entrypoints.simulation.oracle.ledger_image import LedgerImage
from entrypoints.simulation.oracle.venue_truth import VenueTruth
from entrypoints.simulation.oracle.verdicts import Court

ZERO = Decimal(0)
CENT = Decimal("0.01")
MICRO = Decimal("0.000001")
"""The wire's amounts have six decimals, cut off."""
STRONG = ("cloid", "oid", "status")


class BookChecks:
    def __init__(self, court: Court, image: LedgerImage, truth: VenueTruth) -> None:
        self._court = court
        self._image = image
        self._truth = truth

    def before(self, fact: LedgerFact) -> None:
        match fact:
            case FillRecorded(fill):
                key = (fill.symbol, fill.time_ms, fill.tid, fill.oid, fill.side.value)
                self._fill_is_true(fact, self._truth.named(key))
            case FundingRecorded(symbol, time_ms, _, _, amount_usd):
                known = self._truth.fundings.get((symbol, time_ms))
                text = f"funding of {symbol} at {time_ms}: {amount_usd}, the venue says {known}"
                true = known is not None and abs(known - amount_usd) < MICRO
                self._court.require(true, "I-14", text)
            case _:
                pass

    def _fill_is_true(self, fact: FillRecorded, key: tuple[str, int, int, int, str]) -> None:
        """I-10: what is booked has happened, as it is booked, and is booked once."""
        true = self._truth.fills.get(key)
        if true is None:
            self._court.blame("I-10", f"a fill is booked that never happened: {key}")
            return
        fill = fact.fill
        same = (fill.size, fill.price, fill.fee) == (abs(true.signed_size), true.price, true.fee)
        self._court.require(same, "I-10", f"{key} is booked as {fill}, it was {true}")
        self._court.require(key not in self._image.fills, "I-10", f"{key} is booked twice")
        self._attribution_is_true(key, fact.intent_id, fact.via.value, at_once=True)

    def _attribution_is_true(
        self, key: tuple[str, int, int, int, str], intent_id: str | None, via: str, *, at_once: bool
    ) -> None:
        """I-13: a fill belongs to the intent behind its order, else to nobody of ours.

        Weak evidence may be wrong for a while: only what is called certain is judged at once.
        """
        order = self._truth.orders.get(key[3])
        attempt = self._image.attempts.get(order.cloid) if order is not None and order.cloid is not None else None
        owner = None if attempt is None else attempt.intent.intent_id
        if at_once and via not in STRONG:
            return
        text = f"{key} is laid to {intent_id} by {via}, it is {owner}'s ({None if order is None else order.cloid})"
        self._court.require(intent_id == owner, "I-13", text)

    # ── once all is quiet ────────────────────────────────────────────────────────────────────

    def at_rest(self, cash_usd: Decimal, positions: dict[str, Decimal]) -> None:
        """The venue's account against the ledger, when nothing is under way any more."""
        self._every_fill_is_booked()
        self._positions_agree(positions)
        self._chains_are_whole()
        self._fills_have_owners()
        self._cash_adds_up(cash_usd)

    def _every_fill_is_booked(self) -> None:
        """I-10: at rest each fill of the venue is in the ledger."""
        missing = [key for key in self._truth.fills if key not in self._image.fills]
        self._court.require(not missing, "I-10", f"{len(missing)} fills are in no ledger, the first: {missing[:3]}")

    def _positions_agree(self, positions: dict[str, Decimal]) -> None:
        """I-11: at rest the ledger holds what the venue holds, to the lot."""
        for coin in sorted(positions.keys() | self._image.positions.keys()):
            ours, theirs = self._image.position(coin), positions.get(coin, ZERO)
            self._court.require(ours == theirs, "I-11", f"{coin}: {ours} in the ledger, {theirs} at the venue")

    def _chains_are_whole(self) -> None:
        """I-12: a symbol's fills follow each other without a break, or the break is on record."""
        by_coin: dict[str, list[tuple[int, Decimal | None, Decimal]]] = {}
        for key, fill in self._image.fills.items():
            by_coin.setdefault(key[0], []).append((fill.order, fill.start, fill.signed_size))
        for coin, rows in sorted(by_coin.items()):
            steps = {(start, start + size) for _, start, size in rows if start is not None}
            ends = {end for _, end in steps} | {ZERO}
            loose = [start for start, _ in steps if start not in ends]
            known = coin in self._image.gap_symbols or coin in self._image.adjusted
            self._court.require(not loose or known, "I-12", f"{coin}: no fill leads to the position {loose[:3]}")

    def _fills_have_owners(self) -> None:
        """I-13: in the end every fill has the right owner, and no intent got more than it asked for."""
        got: dict[str, Decimal] = {}
        for key, fill in self._image.fills.items():
            self._attribution_is_true(key, fill.intent_id, fill.via, at_once=False)
            if fill.intent_id is not None:
                got[fill.intent_id] = got.get(fill.intent_id, ZERO) + abs(fill.signed_size)
        for intent_id, size in got.items():
            wanted = self._image.intents[intent_id].size
            self._court.require(size <= wanted, "I-13", f"{intent_id} wanted {wanted} and got {size}")

    def _cash_adds_up(self, cash_usd: Decimal) -> None:
        """I-14: the venue's cash is what the ledger's fills, fees and payments make of the money that came in."""
        realised = sum((fill.realised - fill.fee for fill in self._image.fills.values()), ZERO)
        funded = sum(self._image.fundings.values(), ZERO)
        told = self._truth.flows + realised + funded
        text = f"the venue has {cash_usd}, the ledger's facts come to {told}"
        self._court.require(abs(told - cash_usd) < CENT, "I-14", text)
        missing = self._truth.fundings.keys() - self._image.fundings.keys()
        self._court.require(not missing, "I-14", f"payments are in no ledger: {sorted(missing)[:3]}")
