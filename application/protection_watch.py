"""ProtectionWatch: no position without a live stop at the venue, checked against the venue's own list of orders.

A position is protected while a stop of ours that the venue has taken, and does not deny, covers all of it. How long it
was not is recorded; if that lasts the operator is told. Whoever asks gets the symbols that want a stop again.
"""

from __future__ import annotations

from dataclasses import dataclass

from application.exit_desk import ExitDesk
from application.live_oms import LiveOms
from application.order_shelf import LiveOrder
from application.portfolio import Portfolio
from application.step import Step
from domain.effects import Alert
from domain.events import AccountSnapshot, RestingOrder
from domain.facts import ProtectionLapsed
from domain.intents import Action
from domain.orders import OrderStatus
from domain.positions import Position

LOOK_EVERY_MS = 1_000

WORTH_A_ROW_MS = 5_000
"""A shorter lapse is the way of an order to the venue."""

ARRIVAL_MS = 5_000
"""An order that was sent so shortly before a snapshot may not be in it."""


@dataclass(slots=True)
class _Lapse:
    since_ms: int
    why: str
    is_told: bool = False


class ProtectionWatch:
    def __init__(self, portfolio: Portfolio, oms: LiveOms, exits: ExitDesk) -> None:
        self._portfolio = portfolio
        self._oms = oms
        self._exits = exits
        self._lapses: dict[str, _Lapse] = {}
        self._denied: frozenset[str] = frozenset()
        self._next_ms = 0

    def lapse_ms(self, symbol: str, at_ms: int) -> int:
        """For how long a position has been without its stop; 0 where it has one."""
        lapse = self._lapses.get(symbol)
        return 0 if lapse is None else at_ms - lapse.since_ms

    def look(self, step: Step, patience_s: int) -> list[str]:
        """Look at every position in our care, once a second. Returns those without their stop."""
        if step.at_ms < self._next_ms:
            return []
        self._next_ms = step.at_ms + LOOK_EVERY_MS
        naked = []
        for symbol in sorted(self._portfolio.positions):
            position = self._exits.in_our_care(symbol)
            why = "" if position is None else self._lack(position)
            if why:
                naked.append(symbol)
                self._note(step, symbol, why, patience_s)
        for symbol in [symbol for symbol in self._lapses if symbol not in naked]:
            self._end(step, symbol)
        return naked

    def hear_snapshot(self, step: Step, snapshot: AccountSnapshot) -> None:
        """The venue's own list: a stop that is not on it does not protect, one that is another than ours goes."""
        if snapshot.resting is None:
            return
        by_cloid = {each.cloid: each for each in snapshot.resting}
        by_oid = {each.oid: each for each in snapshot.resting}
        denied = set()
        for live in self._oms.all_live_orders():
            if live.intent.key.action is not Action.STOP or live.order.status is not OrderStatus.OPEN:
                continue
            if live.order.sent_ms > snapshot.at_ms - ARRIVAL_MS:
                continue
            cloid = live.order.request.cloid
            resting = by_cloid.get(cloid) or (by_oid.get(live.order.oid) if live.order.oid is not None else None)
            if resting is None:
                denied.add(cloid)
            elif problem := _difference(live, resting):
                denied.add(cloid)
                self._oms.cancel(step, live)
                text = f"{live.intent.key.symbol}: the stop at the venue {problem}: it is cancelled and placed anew"
                step.effects.append(Alert("stop_differs", text))
        self._denied = frozenset(denied)

    def _lack(self, position: Position) -> str:
        """Why a position is not protected; empty where it is."""
        stops = [
            live
            for live in self._oms.live_orders(position.symbol)
            if live.intent.key.action is Action.STOP and live.intent.side is not position.side
        ]
        taken = [live for live in stops if live.order.status is OrderStatus.OPEN]
        if any(self._covers(live, position) for live in taken):
            return ""
        if taken:
            return "its stop is smaller than the position, or not on the venue's list"
        return "its stop is on its way" if stops else "no stop of it lives"

    def _covers(self, live: LiveOrder, position: Position) -> bool:
        return live.order.remaining >= abs(position.size) and live.order.request.cloid not in self._denied

    def _note(self, step: Step, symbol: str, why: str, patience_s: int) -> None:
        lapse = self._lapses.setdefault(symbol, _Lapse(step.at_ms, why))
        lapse.why = why
        if not lapse.is_told and step.at_ms - lapse.since_ms >= patience_s * 1000:
            lapse.is_told = True
            seconds = (step.at_ms - lapse.since_ms) // 1000
            text = f"{symbol} has had no stop at the venue for {seconds} s: {why}; the daemon's own check goes on"
            step.effects.append(Alert("position_unprotected", text))

    def _end(self, step: Step, symbol: str) -> None:
        lapse = self._lapses.pop(symbol)
        if step.at_ms - lapse.since_ms >= WORTH_A_ROW_MS:
            step.facts.append(ProtectionLapsed(symbol, lapse.since_ms, step.at_ms, lapse.why))
        if lapse.is_told:
            is_flat = symbol not in self._portfolio.positions
            text = f"{symbol} is {'flat' if is_flat else 'protected again'}"
            step.effects.append(Alert("position_protected", text))


def _difference(live: LiveOrder, resting: RestingOrder) -> str:
    """How the venue's word on a stop is another than ours; empty where it is not, or where it did not say."""
    trigger = live.intent.trigger
    assert trigger is not None, "a stop is a trigger"
    if resting.reduce_only is False:
        return "may open a position"
    if resting.side is not None and resting.side is not live.intent.side:
        return f"is a {resting.side.value}"
    if resting.trigger_price is not None and resting.trigger_price != trigger.price:
        return f"waits for {resting.trigger_price}, not {trigger.price}"
    return ""
