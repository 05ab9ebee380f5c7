"""I-29: no position in our care without its stop, and on record for how long there was none.

What the ledger itself says is followed here: a position in our care, and no stop of its size that the venue has taken.
A life that sees that for long enough has to put it on record when it ends. What a life did not live to see is in no
record.
"""

from __future__ import annotations

from decimal import Decimal

from domain.facts import LedgerFact, ProtectionLapsed
from entrypoints.simulation.oracle.ledger_image import LedgerImage
from entrypoints.simulation.oracle.verdicts import Court

LASTED_MS = 25_000
"""The daemon records what lasts for 5 s. It looks every 4 s, a slow disk may hold it up for 7 s, and somebody may set
its clock back by 8 s."""
WRITTEN_MS = 20_000
"""So soon after its end."""
SHORTEST_MS = 5_000


class ProtectionChecks:
    def __init__(self, court: Court, image: LedgerImage) -> None:
        self._court = court
        self._image = image
        self._naked_since_ms: dict[str, int] = {}
        self._due_ms: dict[str, int] = {}
        """Until when a lapse has to be on record."""
        self.lapses = 0

    def new_life(self) -> None:
        self._naked_since_ms.clear()
        self._due_ms.clear()

    def committed(self, fact: LedgerFact) -> None:
        if isinstance(fact, ProtectionLapsed):
            self.lapses += 1
            self._due_ms.pop(fact.symbol, None)
            text = f"a lapse of {fact.symbol} from {fact.since_ms} to {fact.until_ms} is on record"
            self._court.require(fact.until_ms - fact.since_ms >= SHORTEST_MS, "I-29", text)

    def look(self) -> None:
        """After each commit."""
        now_ms = self._court.now_ms()
        naked = {symbol for symbol in self._image.held if self._is_naked(symbol)}
        for symbol in naked:
            self._naked_since_ms.setdefault(symbol, now_ms)
        for symbol in self._naked_since_ms.keys() - naked:
            since_ms = self._naked_since_ms.pop(symbol)
            if now_ms - since_ms >= LASTED_MS:
                self._due_ms[symbol] = now_ms + WRITTEN_MS
        for symbol, due_ms in self._due_ms.items():
            text = (
                f"{symbol} had no stop for {LASTED_MS} ms or more, and {WRITTEN_MS} ms later there is no record of it"
            )
            self._court.require(now_ms < due_ms, "I-29", text)

    def _is_naked(self, symbol: str) -> bool:
        held = self._image.held[symbol]
        if not self._image.is_in_our_care(symbol):
            return False
        covered = max(
            (
                attempt.intent.size - attempt.filled
                for attempt in self._image.live(symbol)
                if attempt.status == "open"
                and attempt.intent.key.action.value == "STOP"
                and attempt.intent.side is not held.side
            ),
            default=Decimal(0),
        )
        return covered < abs(held.size)
