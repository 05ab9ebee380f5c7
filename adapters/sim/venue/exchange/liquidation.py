"""Liquidation: at market through the book, by the vault where that is too late, and deleveraging (§10.7)."""

from __future__ import annotations

import hashlib
from decimal import Decimal

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.clearing import book_fill, trade_id
from adapters.sim.venue.exchange.events import NO_HASH, LedgerUpdate, Liquidated, Liquidation
from adapters.sim.venue.exchange.margin import (
    account_value,
    cross_maintenance,
    cross_value,
    is_under_water,
    total_notional,
)
from adapters.sim.venue.exchange.orders import Status
from adapters.sim.venue.exchange.state import VAULT, VenueState
from adapters.sim.venue.exchange.trading import match, trim_reduce_only
from adapters.sim.venue.numbers import text, usd

ZERO = Decimal(0)
PARTIAL_FROM_USD = Decimal(100_000)
PARTIAL_SHARE = Decimal("0.2")
COOLDOWN_MS = 30_000
BACKSTOP_SHARE = Decimal(2) / Decimal(3)
"""Below this share of maintenance margin the vault takes everything over."""


def liquidate_the_sunk(state: VenueState) -> None:
    """Liquidate every account (or isolated position) that is worth less than its maintenance margin."""
    for account in list(state.accounts.values()):
        if account.is_house or not account.positions:
            continue
        for coin in is_under_water(account, list(account.positions), state.marks, state.by_coin):
            _liquidate_isolated(state, account, coin)
        maintenance = cross_maintenance(account, state.marks, state.by_coin)
        value = cross_value(account, state.marks)
        if maintenance and value < maintenance:
            _liquidate_cross(state, account, backstop=value < BACKSTOP_SHARE * maintenance)


def liquidate(state: VenueState, account: VenueAccount) -> None:
    """Liquidate an account at market, whatever it is worth."""
    for coin in [coin for coin, held in account.positions.items() if not held.is_cross]:
        _liquidate_isolated(state, account, coin)
    if account.positions:
        account.liquidation_cooldown_ms = 0
        _liquidate_cross(state, account, backstop=False, whole=True)


def deleverage(state: VenueState, account: VenueAccount, coin: str) -> None:
    """Close a position at the mark against the other side's holders: users by profit first, then the house."""
    size = account.size(coin)
    mark = state.marks[coin]
    others = [other for other in state.accounts.values() if other is not account and other.size(coin) * size < 0]
    others.sort(key=lambda other: (other.is_house, -other.positions[coin].unrealized(mark), other.address))
    left = abs(size)
    for other in others:
        if left == 0:
            return
        step = min(left, abs(other.size(coin)))
        left -= step
        signed = step if size < 0 else -step
        _transfer(state, account, other, coin, signed, mark, None, "Auto-Deleveraging")


def _liquidate_isolated(state: VenueState, account: VenueAccount, coin: str) -> None:
    held = account.positions[coin]
    mark = state.marks[coin]
    notional = abs(held.size) * mark
    value = (held.raw_usd or ZERO) + held.size * mark
    _tell(state, account, notional, value)
    _cancel_orders(state, account, coin)
    _close_at_market(state, account, coin, abs(held.size))
    if coin in account.positions:
        _hand_over(state, account, coin)
    _cover_deficit(state, account)


def _liquidate_cross(state: VenueState, account: VenueAccount, *, backstop: bool, whole: bool = False) -> None:
    if not backstop and account.liquidation_cooldown_ms > state.now_ms:
        return
    notional = total_notional(account, state.marks, cross_only=True)
    _tell(state, account, notional, account_value(account, state.marks))
    _cancel_orders(state, account, None)
    coins = sorted(
        (coin for coin, held in account.positions.items() if held.is_cross),
        key=lambda coin: (-abs(account.size(coin)) * state.marks[coin], coin),
    )
    partial = notional > PARTIAL_FROM_USD and not backstop and not whole
    for coin in coins:
        size = abs(account.size(coin))
        if backstop:
            _hand_over(state, account, coin)
        elif partial:
            step = state.by_coin[coin].round_size(size * PARTIAL_SHARE)
            _close_at_market(state, account, coin, step or size)
        else:
            _close_at_market(state, account, coin, size)
    if partial:
        account.liquidation_cooldown_ms = state.now_ms + COOLDOWN_MS
    if backstop:
        _seize_cash(state, account)
    _cover_deficit(state, account)


def _close_at_market(state: VenueState, account: VenueAccount, coin: str, size: Decimal) -> None:
    state.sync(coin)
    held = account.positions.get(coin)
    if held is None:
        return
    signed = -min(size, abs(held.size)) if held.size > 0 else min(size, abs(held.size))
    order = state.system_order(account, coin, signed)
    match(state, order, None, NO_HASH, Liquidation(account.address, state.marks[coin], "market"))


def _hand_over(state: VenueState, account: VenueAccount, coin: str) -> None:
    """The vault takes a position over at the mark."""
    mark = state.marks[coin]
    taken = Liquidation(account.address, mark, "backstop")
    _transfer(state, account, state.accounts[VAULT], coin, -account.size(coin), mark, taken, None)


def _transfer(
    state: VenueState,
    account: VenueAccount,
    other: VenueAccount,
    coin: str,
    signed: Decimal,
    price: Decimal,
    liquidation: Liquidation | None,
    direction: str | None,
) -> None:
    """Move a position between two accounts at a price, without a book and without fees."""
    mine, theirs = state.system_order(account, coin, signed), state.system_order(other, coin, -signed)
    tid = trade_id(mine, theirs)
    for who, order in ((account, mine), (other, theirs)):
        book_fill(
            state,
            who,
            order,
            price,
            abs(signed),
            ZERO,
            tid,
            NO_HASH,
            crossed=who is account,
            liquidation=liquidation,
            direction=direction,
        )
        if not who.is_house:
            trim_reduce_only(state, who, coin)


def _seize_cash(state: VenueState, account: VenueAccount) -> None:
    vault = state.accounts[VAULT]
    vault.cash += account.cash
    account.cash = ZERO


def _cover_deficit(state: VenueState, account: VenueAccount) -> None:
    """Without positions an account cannot owe: the vault bears the loss."""
    if not account.positions and account.cash < 0:
        _seize_cash(state, account)


def _cancel_orders(state: VenueState, account: VenueAccount, coin: str | None) -> None:
    for order in list(account.orders.values()):
        if order.oid in account.orders and (coin is None or order.coin == coin):
            state.cancel_order(order, Status.LIQUIDATED_CANCELED)


def _tell(state: VenueState, account: VenueAccount, notional: Decimal, value: Decimal) -> None:
    lid = int.from_bytes(hashlib.blake2b(f"{account.address}:{state.now_ms}".encode(), digest_size=6).digest(), "big")
    state.emit(Liquidated(account.address, lid, notional, value))
    delta: dict[str, object] = {
        "type": "liquidation",
        "liquidatedNtlPos": usd(notional),
        "accountValue": usd(value),
        "leverageType": "Cross",
        "liquidatedPositions": [
            {"coin": coin, "szi": text(held.size)} for coin, held in sorted(account.positions.items())
        ],
    }
    state.change_balance(account, LedgerUpdate(state.now_ms, NO_HASH, delta))
