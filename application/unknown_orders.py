"""UnknownOrders: finds out what became of orders to which no answer came (`domain.unknown` has the rules).

Asks one question at a time per order, as effects, whenever time passes; answers are events. What is found comes as
any other news of an order; here only absence is weighed, and nothing but proof ends in `DEAD`.
"""

from __future__ import annotations

from application.order_shelf import LiveOrder, OrderShelf
from application.step import Step
from domain import unknown
from domain.effects import Alert, BurnNonce, LookForOrder
from domain.events import NonceBurned, OrderLooked
from domain.facts import EvidenceKind, EvidenceRecorded
from domain.orders import Order, OrderStatus, Unknown, with_death, with_outcome
from domain.unknown import Inquest, Question


class UnknownOrders:
    def __init__(self, shelf: OrderShelf) -> None:
        self._shelf = shelf
        self._inquests: dict[str, Inquest] = {}
        self._due_ms = 0

    def begin(self, order: Order, at_ms: int) -> None:
        """An order's fate is not known: find out. Once under way, this changes nothing."""
        cloid = order.request.cloid
        if cloid not in self._inquests:
            self._inquests[cloid] = unknown.inquest(order.request.payload, at_ms)
            self._due_ms = 0

    def ask(self, step: Step) -> None:
        """Let the questions leave that are due."""
        if not self._inquests or step.at_ms < self._due_ms:
            return
        for cloid, known in list(self._inquests.items()):
            live = self._shelf.find(cloid)
            if live is None or live.order.status is not OrderStatus.UNKNOWN:
                self._end(step, cloid)
                continue
            question = unknown.question(known, step.at_ms)
            if question is None:
                continue
            self._inquests[cloid] = unknown.asked(known)
            step.effects.append(_effect(question, live.order))
        waiting = [known.next_ms for known in self._inquests.values() if not known.is_asking]
        self._due_ms = min(waiting, default=step.at_ms + 1)

    def on_looked(self, step: Step, event: OrderLooked) -> Order | None:
        """Weigh an answer; the order with its new status when this was the last proof that it never lived."""
        known, live = self._inquests.get(event.cloid), self._shelf.find(event.cloid)
        if known is None or live is None:
            return None
        self._due_ms = 0
        if live.order.status is not OrderStatus.UNKNOWN:
            self._end(step, event.cloid)
            return None
        if event.found is not False:  # found, and still unknown: what was found said nothing of its end
            self._inquests[event.cloid] = unknown.unanswered(known, step.at_ms)
            return None
        seen = unknown.absent(known, event.venue_ms, step.at_ms, everywhere=event.everywhere)
        self._inquests[event.cloid] = seen
        proof = unknown.proof_of_death(seen)
        if proof is None:
            if known.absent_ms is None:
                self._note(step, event.cloid, EvidenceKind.ABSENT, event.venue_ms, "unknown by its id")
            return None
        del self._inquests[event.cloid]
        self._note(step, event.cloid, EvidenceKind.DEAD, event.venue_ms, proof)
        step.effects.append(Alert("order_dead", f"{live.order.request.symbol} {event.cloid} never lived: {proof}"))
        return with_death(live.order, proof)

    def on_burned(self, step: Step, event: NonceBurned) -> None:
        known = self._inquests.get(event.cloid)
        if known is None:
            return
        self._due_ms = 0
        if not event.burned:
            self._inquests[event.cloid] = unknown.unanswered(known, step.at_ms)
            return
        self._inquests[event.cloid] = unknown.burned(known, step.at_ms)
        self._note(step, event.cloid, EvidenceKind.BURNED, 0, "its nonce is used up")

    def _end(self, step: Step, cloid: str) -> None:
        del self._inquests[cloid]
        self._note(step, cloid, EvidenceKind.FOUND, 0, "the venue knows it")

    def _note(self, step: Step, cloid: str, kind: EvidenceKind, venue_ms: int, text: str) -> None:
        step.facts.append(EvidenceRecorded(cloid, kind, venue_ms, text, step.at_ms))


def left_open(live: LiveOrder) -> Order:
    """An order that was on its way when the last session ended: whether it left is not known."""
    return with_outcome(live.order, Unknown("on its way when the last session ended"))


def _effect(question: Question, order: Order) -> LookForOrder | BurnNonce:
    request = order.request
    if question is not Question.BURN:
        everywhere = question is Question.SEARCH
        return LookForOrder(request.symbol, request.cloid, order.sent_ms, everywhere)
    assert request.payload is not None, "only what was signed for has a nonce"
    return BurnNonce(request.cloid, request.payload.nonce)
