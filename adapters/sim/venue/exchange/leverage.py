"""Leverage and isolated margin: what an account may set, and what that costs it (§5.6, §6.3)."""

from __future__ import annotations

from decimal import Decimal

from adapters.sim.venue import words
from adapters.sim.venue.exchange.accounts import LeverageSetting, VenueAccount
from adapters.sim.venue.exchange.margin import available, leverage_of, margin_used
from adapters.sim.venue.exchange.state import VenueState
from domain.margin import tier_at

ZERO = Decimal(0)


def update_leverage(state: VenueState, account: VenueAccount, asset: int, *, is_cross: bool, value: int) -> str | None:
    """Set a coin's leverage and margin mode; setting what is set already is fine."""
    if not 0 <= asset < len(state.instruments):
        return words.UNKNOWN_ASSET
    instrument = state.instruments[asset]
    if not 1 <= value <= instrument.max_leverage:
        return words.BAD_LEVERAGE
    before = leverage_of(account, instrument)
    held = account.positions.get(instrument.symbol)
    if held is not None:
        if held.is_cross != is_cross:
            return words.NO_SWITCH_WITH_POSITION
        notional = abs(held.size) * state.marks[instrument.symbol]
        if value > tier_at(instrument, notional).max_leverage:
            return words.BAD_LEVERAGE
        if value < before.value:
            refusal = _no_decrease(state, account, instrument.symbol, notional, before.value, value)
            if refusal is not None:
                return refusal
    state.set_leverage(account, instrument.symbol, LeverageSetting(value, is_cross))
    return None


def _no_decrease(
    state: VenueState, account: VenueAccount, coin: str, notional: Decimal, before: int, value: int
) -> str | None:
    """A lower leverage ties up more margin: it must be there."""
    held = account.positions[coin]
    if held.is_cross:
        more = notional / value - notional / before
        return None if available(account, state.marks, state.by_coin) >= more else words.CROSS_NO_DECREASE
    has_margin = margin_used(held, state.marks[coin]) >= notional / value
    return None if has_margin else words.ISOLATED_NO_DECREASE


def update_isolated_margin(state: VenueState, account: VenueAccount, asset: int, amount: Decimal) -> str | None:
    """Move money between the account's cash and an isolated position; `amount` is negative to take some out."""
    if not 0 <= asset < len(state.instruments):
        return words.UNKNOWN_ASSET
    coin = state.instruments[asset].symbol
    held = account.positions.get(coin)
    if held is None:
        return words.EMPTY_POSITION
    if held.raw_usd is None:
        return words.NOT_ISOLATED
    if amount == 0:
        return words.ZERO_MARGIN_UPDATE
    if amount > 0 and available(account, state.marks, state.by_coin) < amount:
        return words.NO_MARGIN_FOR_INCREASE
    mark = state.marks[coin]
    if amount < 0 and margin_used(held, mark) + amount < abs(held.size) * mark / held.leverage:
        return words.NO_MARGIN_FOR_REDUCTION
    account.cash -= amount
    held.raw_usd += amount
    return None
