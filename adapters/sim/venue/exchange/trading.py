"""Trading: an order meets its book, and what an execution sets off.

    match ─▶ settle both sides ─▶ the maker's step ─▶ reduce-only orders shrink, children wake, siblings end

Execution is at the resting order's price, best price first, oldest first (§10.1). A resting order of the
same address is canceled instead of traded with.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from adapters.sim.matching import is_triggered, within_limit
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.clearing import settle
from adapters.sim.venue.exchange.events import Liquidation
from adapters.sim.venue.exchange.margin import available, leverage_of
from adapters.sim.venue.exchange.orders import Status, Tif, VenueOrder
from adapters.sim.venue.exchange.state import VenueState
from domain.intents import Side

ZERO = Decimal(0)


class Executed(NamedTuple):
    """What an order got at once."""

    size: Decimal
    notional: Decimal

    @property
    def average_price(self) -> Decimal:
        return self.notional / self.size


def match(
    state: VenueState, taker: VenueOrder, limit: Decimal | None, tx: str, liquidation: Liquidation | None = None
) -> Executed:
    """Execute an order against its book as far as `limit` allows (None: at any price). `taker.size` shrinks."""
    book = state.books[taker.coin]
    size = notional = ZERO
    while taker.size > 0:
        maker = book.front(taker.side.opposite)
        if maker is None or (limit is not None and not within_limit(taker.side, maker.price, limit)):
            break
        if maker.address == taker.address:
            assert not state.accounts[maker.address].is_house, "the house's flow never meets its own quotes"
            state.cancel_order(maker, Status.SELF_TRADE_CANCELED)
            continue
        step = min(taker.size, maker.size, _tradable(state, maker))
        if step == 0:
            state.cancel_order(maker, Status.REDUCE_ONLY_CANCELED)
            continue
        if not _affords(state, maker, step):
            _cancel_for_margin(state, maker, tx)
            continue
        taker.size -= step
        maker.size -= step
        settle(state, taker, maker, maker.price, step, tx, liquidation)
        size += step
        notional += step * maker.price
        _end_siblings(state, taker)
        _maker_traded(state, maker, tx)
        _after_trade(state, state.accounts[taker.address], taker.coin)
    return Executed(size, notional)


def run(
    state: VenueState, order: VenueOrder, limit: Decimal | None, tx: str, liquidation: Liquidation | None = None
) -> Executed:
    """Match an order whose `open` has been told, and tell what became of it: filled, resting, or its rest canceled."""
    executed = match(state, order, limit, tx, liquidation)
    if order.size == 0:
        state.change(order, Status.FILLED)
        _filled_whole(state, order, tx)
    elif order.tif is not None and order.tif.may_rest and not _spent(state, order):
        if executed.size:
            state.change(order, Status.OPEN)
        state.rest(order)
        if order.reduce_only:
            trim_reduce_only(state, state.accounts[order.address], order.coin)
    else:
        spent = order.reduce_only and _spent(state, order)
        state.change(order, Status.REDUCE_ONLY_CANCELED if spent and executed.size else Status.CANCELED)
        if executed.size:
            _end_children(state, order, Status.CANCELED)
    return executed


def reducible(state: VenueState, order: VenueOrder) -> Decimal:
    """How much of a position an order on its side can still reduce."""
    position = state.accounts[order.address].size(order.coin)
    return abs(position) if position * order.side.sign < 0 else ZERO


def fire_triggers(state: VenueState, coin: str, mark: Decimal, tx: str) -> None:
    """Let the mark price fire what waits for it: stops first, then the older order."""
    waiting = state.waiting.get(coin)
    if not waiting:
        return
    due = [
        order
        for order in waiting.values()
        if order.trigger is not None and is_triggered(order.trigger.trigger, order.side, mark, mark)
    ]
    for order in sorted(due, key=_by_caution):
        if order.oid in state.waiting.get(coin, {}):
            _fire(state, order, tx)


def trim_reduce_only(state: VenueState, account: VenueAccount, coin: str) -> None:
    """Resting reduce-only orders never add up to more than the position: the oldest shrink first (§10.1)."""
    position = account.size(coin)
    orders = [order for order in account.orders.values() if order.coin == coin and order.reduce_only]
    for order in [each for each in orders if position * each.side.sign >= 0 and not each.waiting_for_parent]:
        if order.oid in account.orders:
            _shrink(state, order, ZERO)
    resting = [order for order in orders if order.oid in account.orders and not order.waits]
    excess = sum((order.size for order in resting), ZERO) - abs(position)
    for order in resting:
        if excess <= 0:
            return
        cut = min(excess, order.size)
        excess -= cut
        _shrink(state, order, order.size - cut)


# ── inside ───────────────────────────────────────────────────────────────────────────────────


def _tradable(state: VenueState, maker: VenueOrder) -> Decimal:
    return min(maker.size, reducible(state, maker)) if maker.reduce_only else maker.size


def _affords(state: VenueState, maker: VenueOrder, step: Decimal) -> bool:
    """Whether a resting order's account can still carry what the execution would add to its position."""
    account = state.accounts[maker.address]
    if account.is_house or maker.reduce_only:
        return True
    held = account.size(maker.coin)
    growth = abs(held + step * maker.side.sign) - abs(held)
    if growth <= 0:
        return True
    instrument = state.by_coin[maker.coin]
    needed = growth * state.marks[maker.coin] / leverage_of(account, instrument).value
    # What rests ties up margin already, this order's own included.
    own = maker.size * state.marks[maker.coin] / leverage_of(account, instrument).value
    return available(account, state.marks, state.by_coin) + own >= needed


def _cancel_for_margin(state: VenueState, maker: VenueOrder, tx: str) -> None:
    """A parent that filled in part and cannot go on still wakes its children (§10.4)."""
    traded = maker.size < maker.original_size
    if traded:
        _wake_children(state, maker, tx)
    state.cancel_order(maker, Status.MARGIN_CANCELED)


def _maker_traded(state: VenueState, maker: VenueOrder, tx: str) -> None:
    account = state.accounts[maker.address]
    _end_siblings(state, maker)
    if maker.size == 0:
        if account.is_house:
            state.books[maker.coin].remove(maker)
            return
        state.take_off(maker)
        state.change(maker, Status.FILLED)
        _filled_whole(state, maker, tx)
    else:
        state.change(maker, Status.OPEN)
    _after_trade(state, account, maker.coin)


def _after_trade(state: VenueState, account: VenueAccount, coin: str) -> None:
    if not account.is_house:
        trim_reduce_only(state, account, coin)


def _filled_whole(state: VenueState, parent: VenueOrder, tx: str) -> None:
    _wake_children(state, parent, tx)


def _wake_children(state: VenueState, parent: VenueOrder, tx: str) -> None:
    """The parent is in the position: its TP and SL go and wait for the mark, or fire at once."""
    account = state.accounts[parent.address]
    for child in parent.children:
        if child.waiting_for_parent and child.oid in account.orders:
            child.waiting_for_parent = False
            child.placed_ms = state.now_ms
            state.wait(child)
            state.change(child, Status.OPEN)
    if any(child.oid in account.orders for child in parent.children):
        fire_triggers(state, parent.coin, state.marks[parent.coin], tx)


def _end_children(state: VenueState, parent: VenueOrder, status: Status) -> None:
    """The parent ended without filling whole: what waited for it never comes to life."""
    for child in parent.children:
        if child.waiting_for_parent and child.oid in state.accounts[child.address].orders:
            state.take_off(child)
            state.change(child, status)


def _end_siblings(state: VenueState, order: VenueOrder) -> None:
    """One of a TP/SL pair traded: the other is no longer wanted."""
    if not order.siblings:
        return
    account = state.accounts[order.address]
    for oid in order.siblings:
        sibling = account.orders.get(oid)
        if sibling is not None:
            state.cancel_order(sibling, Status.SIBLING_FILLED_CANCELED)


def _fire(state: VenueState, order: VenueOrder, tx: str) -> None:
    assert order.trigger is not None, "only triggers fire"
    account = state.accounts[order.address]
    state.take_off(order)
    order.fired = True
    state.sync(order.coin)
    if order.follows_position:
        order.size = order.original_size = abs(account.size(order.coin))
    state.change(order, Status.TRIGGERED)
    if order.reduce_only:
        order.size = min(order.size, reducible(state, order))
        if order.size == 0:
            state.change(order, Status.REDUCE_ONLY_CANCELED)
            return
    order.tif = Tif.IOC if order.trigger.is_market else Tif.GTC
    run(state, order, order.price, tx)


def _spent(state: VenueState, order: VenueOrder) -> bool:
    """Whether a reduce-only order has nothing left to reduce."""
    return order.reduce_only and reducible(state, order) == 0


def _shrink(state: VenueState, order: VenueOrder, size: Decimal) -> None:
    """Cut a resting order to `size`; at nothing it ends. No `nonUserCancel` accompanies it (§4.7)."""
    if size > 0:
        order.size = size
        state.change(order, Status.OPEN)
        return
    state.take_off(order)
    state.change(order, Status.REDUCE_ONLY_CANCELED)


def _by_caution(order: VenueOrder) -> tuple[bool, int]:
    trigger = order.trigger
    assert trigger is not None, "only triggers are asked"
    return (trigger.trigger.kind.value != "sl", order.oid)


def opposite_best(state: VenueState, coin: str, side: Side) -> Decimal | None:
    """The price that an order of `side` would meet first."""
    book = state.books[coin]
    return book.best_ask if side is Side.BUY else book.best_bid
