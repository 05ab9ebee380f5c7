"""Margin: what a position ties up, what it must keep, and the price that ends it.

Hyperliquid's rules: maintenance margin is half the initial margin at maximum leverage, tier by
tier with a deduction that keeps it continuous; cross positions share the account's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from domain.instruments import Instrument, MarginTier

ZERO = Decimal(0)


def tier_at(instrument: Instrument, notional_usd: Decimal) -> MarginTier:
    return [tier for tier in instrument.margin_tiers if tier.lower_bound_usd <= notional_usd][-1]


def maintenance_margin(instrument: Instrument, notional_usd: Decimal) -> Decimal:
    """USD a position of this notional must keep, else it is liquidated."""
    deduction = ZERO
    rate = ZERO
    for tier in instrument.margin_tiers:
        if tier.lower_bound_usd > notional_usd:
            break
        next_rate = Decimal(1) / (2 * tier.max_leverage)
        deduction += tier.lower_bound_usd * (next_rate - rate)
        rate = next_rate
    return notional_usd * rate - deduction


def initial_margin(notional_usd: Decimal, leverage: Decimal) -> Decimal:
    assert leverage > 0, "leverage is positive"
    return notional_usd / leverage


def liquidation_price(
    instrument: Instrument, size: Decimal, mark_price: Decimal, margin_available_usd: Decimal
) -> Decimal | None:
    """Mark price at which a cross position would be liquidated, all else unchanged.

    `margin_available_usd` is account value less the maintenance margin of every cross position,
    this one included. None when no positive price would do it (a well-covered long).
    """
    assert size != 0, "a flat position is never liquidated"
    direction = 1 if size > 0 else -1
    notional = abs(size) * mark_price
    rate = Decimal(1) / (2 * tier_at(instrument, notional).max_leverage)
    price = mark_price - direction * margin_available_usd / abs(size) / (1 - rate * direction)
    return price if price > 0 else None


def is_liquidatable(account_value_usd: Decimal, maintenance_margins_usd: Sequence[Decimal]) -> bool:
    return account_value_usd < sum(maintenance_margins_usd, ZERO)
