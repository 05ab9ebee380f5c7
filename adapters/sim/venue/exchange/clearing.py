"""Clearing: one execution booked on both sides, cash against cash, position against position.

cross     cash += closed PnL - fee
isolated  raw cash of the position: + margin - signed cost - fee; what closes gives its share back to cash
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

from adapters.sim.account import position_after
from adapters.sim.venue.exchange.accounts import VenueAccount, VenuePosition
from adapters.sim.venue.exchange.events import Filled, FundingBooked, Liquidation, Printed, VenueFill, VenueFunding
from adapters.sim.venue.exchange.margin import leverage_of
from adapters.sim.venue.exchange.orders import VenueOrder
from adapters.sim.venue.exchange.state import VenueState
from domain.intents import Side

ZERO = Decimal(0)


def settle(
    state: VenueState,
    taker: VenueOrder,
    maker: VenueOrder,
    price: Decimal,
    size: Decimal,
    tx: str,
    liquidation: Liquidation | None = None,
) -> None:
    """Book one execution: positions, cash and fees of both, a fill for each, and the print that everybody sees."""
    tid = trade_id(taker, maker)
    for order, crossed in ((taker, True), (maker, False)):
        account = state.accounts[order.address]
        fee = ZERO if account.is_house else state.settings.fees.fee(price, size, crossed=crossed)
        book_fill(state, account, order, price, size, fee, tid, tx, crossed=crossed, liquidation=liquidation)
    buyer, seller = (taker, maker) if taker.side is Side.BUY else (maker, taker)
    state.emit(Printed(taker.coin, taker.side, price, size, state.now_ms, tx, tid, buyer.address, seller.address))


def trade_id(one: VenueOrder, other: VenueOrder) -> int:
    """50 bits of a hash of (buyer oid, seller oid), the same on both sides."""
    buyer, seller = (one, other) if one.side is Side.BUY else (other, one)
    digest = hashlib.blake2b(f"{buyer.oid}:{seller.oid}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 14


def book_fill(
    state: VenueState,
    account: VenueAccount,
    order: VenueOrder,
    price: Decimal,
    size: Decimal,
    fee: Decimal,
    tid: int,
    tx: str,
    *,
    crossed: bool,
    liquidation: Liquidation | None = None,
    direction: str | None = None,
) -> None:
    """One side of an execution. A house account keeps its position and cash, but no record of fills."""
    before = account.size(order.coin)
    signed = size * order.side.sign
    closed_pnl = _move_position(state, account, order.coin, signed, price, fee)
    state.fees_collected += fee
    if account.is_house:
        return
    account.volume += price * size
    is_liquidated = liquidation is not None and liquidation.liquidated == account.address
    fill = VenueFill(
        coin=order.coin,
        price=price,
        size=size,
        side=order.side,
        time_ms=state.now_ms,
        start_position=before,
        direction=direction or _direction(before, signed, is_liquidated=is_liquidated),
        closed_pnl=closed_pnl,
        hash=tx,
        oid=order.oid,
        crossed=crossed,
        fee=fee,
        tid=tid,
        cloid=order.cloid,
        liquidation=liquidation,
    )
    account.fills.append(fill)
    state.emit(Filled(account.address, fill))


def _move_position(
    state: VenueState, account: VenueAccount, coin: str, signed: Decimal, price: Decimal, fee: Decimal
) -> Decimal:
    held = account.positions.get(coin)
    before, entry_price = (ZERO, ZERO) if held is None else (held.size, held.entry_price)
    after, entry_after, closed_pnl = position_after(before, entry_price, signed, price)
    closing = min(abs(before), abs(signed)) if before * signed < 0 else ZERO
    opening = abs(signed) - closing
    setting = leverage_of(account, state.by_coin[coin])
    is_cross = held.is_cross if held is not None else setting.is_cross
    raw: Decimal | None = None
    if is_cross:
        account.cash += closed_pnl - fee
    else:
        raw = ZERO if held is None or held.raw_usd is None else held.raw_usd
        if closing:
            share = raw if closing == abs(before) else raw * closing / abs(before)
            raw -= share
            account.cash += share - signed / abs(signed) * closing * price
        if opening:
            margin = opening * price / setting.value
            account.cash -= margin
            raw += margin - signed / abs(signed) * opening * price
        if after:
            raw -= fee
        else:
            account.cash -= fee
    if after == 0:
        account.positions.pop(coin, None)
        return closed_pnl
    moved = VenuePosition(after, entry_after, setting.value, raw)
    if before * after > 0 and held is not None:
        moved.funding_since_open = held.funding_since_open
    account.positions[coin] = moved
    return closed_pnl


def _direction(before: Decimal, signed: Decimal, *, is_liquidated: bool) -> str:
    """The display text of a fill; nobody should branch on it."""
    if is_liquidated:
        return f"Liquidated {'Long' if before > 0 else 'Short'}"
    if before * signed >= 0:
        return "Open Long" if signed > 0 else "Open Short"
    if abs(signed) <= abs(before):
        return "Close Long" if before > 0 else "Close Short"
    return "Long > Short" if before > 0 else "Short > Long"


def book_funding(state: VenueState, account: VenueAccount, coin: str, rate: Decimal, hour_ms: int) -> None:
    """One position's funding of an hour: longs pay a positive rate on the oracle's value."""
    held = account.positions[coin]
    usdc = -held.size * state.oracles[coin] * rate
    if held.raw_usd is None:
        account.cash += usdc
    else:
        held.raw_usd += usdc
    held.funding_since_open -= usdc
    held.funding_since_change -= usdc
    if account.is_house:
        return
    account.funding_all_time[coin] = account.funding_all_time.get(coin, ZERO) - usdc
    funding = VenueFunding(hour_ms, coin, usdc, held.size, rate)
    account.fundings.append(funding)
    state.emit(FundingBooked(account.address, funding))
