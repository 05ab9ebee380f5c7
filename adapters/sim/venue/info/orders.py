"""Info requests about an account's orders and fills: the side of the venue that may lag the chain (§3.10 - §3.14).

With a lag every answer is the state as of that much earlier, so that an order sent a moment ago is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable

from adapters.sim.venue import shapes
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.events import VenueFill
from adapters.sim.venue.exchange.orders import VenueOrder
from adapters.sim.venue.info.fields import Fields
from adapters.sim.venue.info.readable import ReadableExchange
from adapters.sim.venue.settings import VenueSettings
from adapters.sim.venue.shapes.orders import change_at, is_known, is_open

ROWS_PER_ANSWER = 2_000


class OrderQueries:
    """`openOrders` to `userFillsByTime`."""

    def __init__(self, exchange: ReadableExchange, settings: VenueSettings) -> None:
        self._exchange = exchange
        self._lag_ms = settings.read_lag_ms

    def open_orders(self, fields: Fields, now_ms: int) -> object:
        """Triggers stand here like plain orders, without a word about their trigger."""
        orders, at_ms = self._open(fields, now_ms)
        return [shapes.basic_order(order, change_at(order, at_ms).size) for order in orders]

    def frontend_open_orders(self, fields: Fields, now_ms: int) -> object:
        orders, at_ms = self._open(fields, now_ms)
        return [shapes.frontend_order(order, at_ms) for order in orders]

    def order_status(self, fields: Fields, now_ms: int) -> object:
        account, wanted, at_ms = self._account(fields), fields.order_id(), self._as_of(now_ms)
        order = None if account is None else _find(account, wanted, now_ms if at_ms is None else at_ms)
        # The liquidator's orders are in nobody's history, so they are unknown too.
        if order is None:
            return {"status": "unknownOid"}
        return {"status": "order", "order": shapes.status_row(order, at_ms)}

    def historical_orders(self, fields: Fields, now_ms: int) -> object:
        """Newest first, a row per status; rejected orders included."""
        account, at_ms = self._account(fields), self._as_of(now_ms)
        if account is None:
            return []
        rows = [
            (time_ms, order.oid, step, row)
            for order in account.history.values()
            for step, (time_ms, row) in enumerate(shapes.history_rows(order, at_ms))
        ]
        rows.sort(key=lambda found: found[:3], reverse=True)
        return [row for _, _, _, row in rows[:ROWS_PER_ANSWER]]

    def user_fills(self, fields: Fields, now_ms: int) -> object:
        """Newest first."""
        fills = self._fills(fields, now_ms)
        return [shapes.fill_row(fill) for fill in fills[::-1][:ROWS_PER_ANSWER]]

    def user_fills_by_time(self, fields: Fields, now_ms: int) -> object:
        """Oldest first, from the start of the span; `reversed` gives the newest, newest first."""
        start_ms, end_ms = fields.integer("startTime"), fields.integer_or("endTime", now_ms)
        newest_first = fields.flag("reversed")
        fills = [fill for fill in self._fills(fields, now_ms) if start_ms <= fill.time_ms <= end_ms]
        if newest_first:
            fills.reverse()
        return [shapes.fill_row(fill) for fill in fills[:ROWS_PER_ANSWER]]

    def _account(self, fields: Fields) -> VenueAccount | None:
        return self._exchange.account(fields.address())

    def _as_of(self, now_ms: int) -> int | None:
        """The moment that the answer tells of; None where nothing lags."""
        return now_ms - self._lag_ms if self._lag_ms else None

    def _open(self, fields: Fields, now_ms: int) -> tuple[list[VenueOrder], int | None]:
        """Newest first, as recorded."""
        account, at_ms = self._account(fields), self._as_of(now_ms)
        if account is None or fields.dex():
            return [], at_ms
        # Orders that have ended since then are only in the history, which keeps every open one too.
        candidates = account.orders if at_ms is None else account.history
        found = [
            order
            for order in candidates.values()
            if is_open(order, at_ms) and (at_ms is None or is_known(order, at_ms))
        ]
        return sorted(found, key=lambda order: -order.oid), at_ms

    def _fills(self, fields: Fields, now_ms: int) -> list[VenueFill]:
        """Those known by now, oldest first, partial fills of one order merged where asked for."""
        account, merge = self._account(fields), fields.flag("aggregateByTime")
        if account is None:
            return []
        told: Iterable[VenueFill] = (fill for fill in account.fills if fill.time_ms <= now_ms - self._lag_ms)
        return shapes.merged_by_time(told) if merge else list(told)


def _find(account: VenueAccount, wanted: int | str, at_ms: int) -> VenueOrder | None:
    """The order of an oid, or the newest of a cloid, that was known by `at_ms`."""
    found = account.history.get(wanted) if isinstance(wanted, int) else account.by_cloid.get(wanted)
    if found is None or is_known(found, at_ms):
        return found
    if isinstance(wanted, int):
        return None
    same = (order for order in account.history.values() if order.cloid == wanted and is_known(order, at_ms))
    return max(same, key=lambda order: order.oid, default=None)
