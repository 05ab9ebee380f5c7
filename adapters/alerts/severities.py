"""How much each alert matters: by its code, in one table, with a default for all others."""

from __future__ import annotations

import enum


class Severity(enum.IntEnum):
    """Sorts by weight. `CRITICAL` is never held back by the limit of messages an hour."""

    NEWS = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def word(self) -> str:
        return self.name.lower()


DEFAULT = Severity.WARNING
"""Of a code that is in no table: worth a message, not worth waking somebody."""

CRITICAL_CODES = frozenset(
    (
        "account_not_caught_up",
        "agent_ends",
        "exchange_refused",
        "feed_not_connecting",
        "fill_out_of_reach",
        "flatten_residual",
        "flatten_waits",
        "foreign_order",
        "kill_latch",
        "liquidated",
        "order_overfilled",
        "position_differs",
        "position_unprotected",
        "position_unwatched",
        "risk_tripped",
        "strategy_disabled",
        "venue_stepped_in",
    )
)
"""The account, the ledger or the power to trade is at stake: somebody has to look."""

NEWS_CODES = frozenset(
    (
        "candles_revised",
        "cash_flow",
        "config_reloaded",
        "feed_well",
        "flattened",
        "kill_latch_opened",
        "new_listing",
        "opening_balance",
        "order_dead",
        "position_protected",
        "risk_lifted",
    )
)
"""Good to know; nothing has to be done."""


def severity_of(code: str) -> Severity:
    if code in CRITICAL_CODES:
        return Severity.CRITICAL
    return Severity.NEWS if code in NEWS_CODES else DEFAULT
