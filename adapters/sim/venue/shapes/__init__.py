"""Wire rows from the venue's state: exactly the keys, their order and the scalar types of the real venue."""

from adapters.sim.venue.shapes.accounts import (
    active_asset_data,
    clearinghouse_state,
    fill_row,
    funding_event_row,
    funding_row,
    ledger_row,
    merged_by_time,
    spot_state,
)
from adapters.sim.venue.shapes.market import (
    asset_ctx,
    candle_row,
    l2_book,
    level_row,
    margin_table,
    meta,
    trade_row,
)
from adapters.sim.venue.shapes.orders import (
    basic_order,
    frontend_order,
    history_rows,
    is_open,
    order_change_row,
    side_letter,
    status_row,
)

__all__ = [
    "active_asset_data",
    "asset_ctx",
    "basic_order",
    "candle_row",
    "clearinghouse_state",
    "fill_row",
    "frontend_order",
    "funding_event_row",
    "funding_row",
    "history_rows",
    "is_open",
    "l2_book",
    "ledger_row",
    "level_row",
    "margin_table",
    "merged_by_time",
    "meta",
    "order_change_row",
    "side_letter",
    "spot_state",
    "status_row",
    "trade_row",
]
