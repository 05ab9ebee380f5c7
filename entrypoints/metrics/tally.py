"""Counts what the engine's steps say, once they are durable: orders, fills, decisions, differences."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import Histogram

from application.market_data_hub import MarketDataHub
from application.step import Step
from domain.facts import (
    DecisionsRecorded,
    DifferenceClosed,
    DifferenceOpened,
    FillRecorded,
    IntentRecorded,
    OrderChanged,
)
from domain.fills import MatchedVia
from domain.orders import Order, OrderStatus, RejectReason
from ports.clock import Clock

LATENCY_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300)

ORDERS_REMEMBERED = 4_096
"""An order that changes without a change of its status, a fill of a part say, is not counted again."""

DIFFERENCE_KINDS = ("position", "cash", "leverage", "order_missing", "order_unknown")
"""Those that are shown as 0 when there is none; another one is shown while it is open."""


class OpenDifference(NamedTuple):
    kind: str
    opened_ms: int


class Tally:
    """Everything since this process's start. `note` is called in the engine's loop and does next to nothing."""

    def __init__(
        self, hub: MarketDataHub, clock: Clock, open_differences: Iterable[tuple[str, str, str, int]] = ()
    ) -> None:
        """`open_differences` (key, kind, symbol, opened_ms) are those of earlier sessions."""
        self._hub = hub
        self._clock = clock
        self._statuses: OrderedDict[str, OrderStatus] = OrderedDict()
        self.orders: Counter[OrderStatus] = Counter(dict.fromkeys(OrderStatus, 0))
        """How many orders reached a status: one counts in each of those that it had."""
        self.rejections: Counter[str] = Counter({reason.value: 0 for reason in RejectReason})
        self.fills: Counter[str] = Counter({via.value: 0 for via in MatchedVia})
        self.differences = {key: OpenDifference(kind, opened_ms) for key, kind, _, opened_ms in open_differences}
        self.decision_latency = Histogram(
            "aiq_decision_latency_seconds",
            "Market time from a candle's end to its decisions being durable; stragglers are symbols that were late",
            ["batch"],
            buckets=LATENCY_BUCKETS_S,
            registry=None,
        )

    def note(self, step: Step) -> None:
        """Count one step that has been committed."""
        for fact in step.facts:
            match fact:
                case DecisionsRecorded():
                    self._note_decisions(fact)
                case IntentRecorded(order=order) | OrderChanged(order=order):
                    self._note_order(order)
                case FillRecorded():
                    self.fills[fact.via.value] += 1
                case DifferenceOpened():
                    self.differences[fact.key] = OpenDifference(fact.kind, fact.at_ms)
                case DifferenceClosed():
                    self.differences.pop(fact.key, None)
                case _:
                    pass

    def _note_decisions(self, fact: DecisionsRecorded) -> None:
        late_ms = self._hub.venue_ms(self._clock.now_ms()) - (fact.open_ms + fact.interval.ms)
        batch = "straggler" if fact.batch_no else "first"
        self.decision_latency.labels(batch).observe(max(late_ms, 0) / 1000)

    def _note_order(self, order: Order) -> None:
        cloid = order.request.cloid
        if self._statuses.get(cloid) is order.status:
            return
        self._statuses[cloid] = order.status
        self._statuses.move_to_end(cloid)
        if len(self._statuses) > ORDERS_REMEMBERED:
            self._statuses.popitem(last=False)
        self.orders[order.status] += 1
        if order.status is OrderStatus.REJECTED:
            reason = order.reason.partition(":")[0]
            self.rejections[reason if reason in self.rejections else RejectReason.OTHER.value] += 1
