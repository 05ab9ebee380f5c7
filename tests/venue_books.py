"""What must hold at the local venue after every step: money, positions and books agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from adapters.sim.venue.exchange.events import Filled, Printed, VenueEvent
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.margin import account_value

ZERO = Decimal(0)
TOLERANCE = Decimal("1e-9")


def money(exchange: Exchange) -> Decimal:
    """Everything that the accounts are worth at the marks, fees taken included, less what was brought in."""
    worth = sum((account_value(each, exchange.marks) + each.spot_usdc for each in exchange.accounts.values()), ZERO)
    return worth + exchange.fees_collected - sum((each.deposits for each in exchange.accounts.values()), ZERO)


def assert_books_balance(exchange: Exchange) -> None:
    """Money is conserved to 1e-9, positions sum to zero, books do not cross, open orders stand where they should."""
    assert abs(money(exchange)) < TOLERANCE, f"money appeared: {money(exchange)}"
    for coin, book in exchange.books.items():
        held = sum((account.size(coin) for account in exchange.accounts.values()), ZERO)
        assert held == 0, f"positions in {coin} sum to {held}"
        bid, ask = book.best_bid, book.best_ask
        assert bid is None or ask is None or bid < ask, f"{coin} is crossed: {bid} {ask}"
    on_books = {order.oid: order for book in exchange.books.values() for order in book.orders()}
    for order in on_books.values():
        account = exchange.accounts[order.address]
        assert order.size > 0, f"{order} rests with nothing left"
        assert account.is_house or account.orders.get(order.oid) is order, f"{order} rests unknown to its account"
    for account in exchange.accounts.values():
        for order in account.orders.values():
            waits = order.waits
            assert (order.oid in on_books) != waits, f"{order} is open but stands nowhere"
            assert not order.status.ends, f"{order} is open and has ended"
            if waits and not order.waiting_for_parent:
                assert order.oid in exchange.waiting[order.coin], f"{order} is not watched"
        assert account.is_house or account.positions or account.cash >= 0, f"{account.address} owes money"
        _assert_reduce_only_fits(exchange, account.address)


def _assert_reduce_only_fits(exchange: Exchange, address: str) -> None:
    account = exchange.accounts[address]
    for coin in exchange.books:
        resting = [
            order for order in account.orders.values() if order.coin == coin and order.reduce_only and not order.waits
        ]
        assert sum((order.size for order in resting), ZERO) <= abs(account.size(coin)), "reduce-only beyond position"


def assert_both_sides(exchange: Exchange, events: Iterable[VenueEvent]) -> None:
    """Every print has a fill on each side that belongs to a user, of the same price and size, and no fill is extra."""
    expected: Counter[tuple[str, str, Decimal, Decimal, int]] = Counter()
    found: Counter[tuple[str, str, Decimal, Decimal, int]] = Counter()
    for event in events:
        if isinstance(event, Printed):
            for address, side in ((event.buyer, "buy"), (event.seller, "sell")):
                if not exchange.accounts[address].is_house:
                    expected[address, side, event.price, event.size, event.tid] += 1
        elif isinstance(event, Filled) and not _is_transfer(event):
            fill = event.fill
            found[event.address, fill.side.value, fill.price, fill.size, fill.tid] += 1
    assert found == expected


def _is_transfer(event: Filled) -> bool:
    """Taken over, deleveraged or settled: nothing was traded in a book."""
    fill = event.fill
    backstop = fill.liquidation is not None and fill.liquidation.method == "backstop"
    return backstop or fill.direction in ("Auto-Deleveraging", "Settlement")
