"""The digest of a run: a hash over its decisions, intents and fills, in order.

Over verdicts, identities and decimals only, never over floats: the same session gives the same
digest on any machine.
"""

from __future__ import annotations

import hashlib

from domain.facts import DecisionsRecorded, Fact, FillRecorded, FundingRecorded, IntentRecorded
from domain.fills import Fill
from domain.gating import first_refusal
from domain.intents import OrderIntent


class RunDigest:
    """Takes facts as they come. `hexdigest` may be asked at any time."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)
        self._symbols: tuple[str, ...] = ()

    def add(self, fact: Fact) -> None:
        match fact:
            case DecisionsRecorded():
                self._add_decisions(fact)
            case IntentRecorded(intent=intent):
                self._hash.update(_intent_text(intent).encode())
            case FillRecorded(fill=fill, intent_id=intent_id, via=via):
                self._hash.update(f"\nfill {_fill_text(fill)} {intent_id} {via.value}".encode())
            case FundingRecorded():
                text = f"\nfunding {fact.symbol} {fact.time_ms} {fact.size} {fact.rate} {fact.amount_usd}"
                self._hash.update(text.encode())
            case _:
                pass

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def _add_decisions(self, record: DecisionsRecorded) -> None:
        """Columns as bytes; the symbols' names whenever they are not those of the batch before."""
        update = self._hash.update
        update(
            b"\nbatch %s %d %d %s"
            % (record.interval.value.encode(), record.open_ms, record.batch_no, record.config_digest.encode())
        )
        if record.symbols is not self._symbols and record.symbols != self._symbols:
            update("\n".join(record.symbols).encode())
        self._symbols = record.symbols
        update(record.signal.tobytes())
        update(record.analyses.confidence.tobytes())
        update(record.analyses.first_no.tobytes())
        update(record.verdict.tobytes())
        for place, gates in sorted(record.entry_gates.items()):
            refusal = first_refusal(gates)
            update(f"\n{place} {refusal.name if refusal else '-'} {record.intent_ids.get(place, '-')}".encode())


def _intent_text(intent: OrderIntent) -> str:
    trigger = f"{intent.trigger.kind.value}@{intent.trigger.price}" if intent.trigger else "-"
    return (
        f"\nintent {intent.key.text} {intent.side.value} {intent.size} {intent.limit_price} "
        f"{intent.time_in_force.value} {trigger} {intent.reason}"
    )


def _fill_text(fill: Fill) -> str:
    return f"{fill.trade_id} {fill.price} {fill.size} {fill.fee} {fill.start_position}"
