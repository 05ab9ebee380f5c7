"""What the venue's exchange knows at a moment, and the small steps that every rule takes: an id, a change, an event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from adapters.sim.venue.exchange.accounts import ORDERS_KEPT, LeverageSetting, VenueAccount
from adapters.sim.venue.exchange.events import BalanceChanged, LedgerUpdate, NonUserCanceled, OrderChanged, VenueEvent
from adapters.sim.venue.exchange.order_book import OrderBook
from adapters.sim.venue.exchange.orders import OrderChange, OrderSpec, Status, Tif, VenueOrder
from adapters.sim.venue.numbers import usd
from adapters.sim.venue.settings import VenueSettings
from domain.instruments import Instrument
from domain.intents import Side

ZERO = Decimal(0)
FIRST_OID = 1_000_001
VAULT = "0x" + 39 * "0" + "9"
"""The liquidator's vault: takes over what the books could not close, and bears the loss."""


def _nothing(_coin: str) -> None:
    return None


class VenueState:
    """Accounts, books and prices of all coins. Places in `instruments` are the asset ids.

    `waiting` holds, per coin, the triggers that a mark price may fire. `sync` is called with a coin before a
    user's order meets its book, so that the house's quotes stand there as of now.
    """

    def __init__(self, instruments: Sequence[Instrument], settings: VenueSettings, start_ms: int) -> None:
        self.instruments = tuple(instruments)
        self.settings = settings
        self.by_coin = {instrument.symbol: instrument for instrument in self.instruments}
        self._assets = {instrument.symbol: place for place, instrument in enumerate(self.instruments)}
        self.accounts: dict[str, VenueAccount] = {}
        self.books = {coin: OrderBook() for coin in self.by_coin}
        self.waiting: dict[str, dict[int, VenueOrder]] = {}
        self.marks: dict[str, Decimal] = {}
        self.oracles: dict[str, Decimal] = {}
        self.delisted: set[str] = {instrument.symbol for instrument in self.instruments if instrument.delisted}
        self.capped: set[str] = set()
        self.now_ms = start_ms
        self.fees_collected = ZERO
        self.sync: Callable[[str], None] = _nothing
        self._events: list[VenueEvent] = []
        self._next_oid = FIRST_OID
        self.open_account(VAULT, is_house=True)

    # ── accounts ─────────────────────────────────────────────────────────────────────────────

    def asset_of(self, coin: str) -> int:
        return self._assets[coin]

    def account(self, address: str) -> VenueAccount | None:
        return self.accounts.get(address)

    def open_account(
        self,
        address: str,
        *,
        cash: Decimal = ZERO,
        spot_usdc: Decimal = ZERO,
        is_house: bool = False,
        master: str | None = None,
        name: str = "",
    ) -> VenueAccount:
        """A new account; money that it starts with came from outside the venue and is its first deposit."""
        assert address == address.lower() and address not in self.accounts, "an address has one account"
        account = VenueAccount(address, is_house=is_house, master=master, name=name)
        self.accounts[address] = account
        if cash or spot_usdc:
            money = cash + spot_usdc
            delta: dict[str, object] = {"type": "deposit", "usdc": usd(money)}
            update = LedgerUpdate(self.now_ms, "0x" + 64 * "0", delta)
            self.change_balance(account, update, cash=cash, spot_usdc=spot_usdc, outside=money)
        return account

    def change_balance(
        self,
        account: VenueAccount,
        update: LedgerUpdate,
        *,
        cash: Decimal = ZERO,
        spot_usdc: Decimal = ZERO,
        outside: Decimal = ZERO,
    ) -> None:
        """Move money that neither a trade nor funding moved. `outside` is what came into the venue (or left it)."""
        account.cash += cash
        account.spot_usdc += spot_usdc
        account.deposits += outside
        account.ledger_updates.append(update)
        self.emit(BalanceChanged(account.address, update))

    # ── events ───────────────────────────────────────────────────────────────────────────────

    def emit(self, event: VenueEvent) -> None:
        self._events.append(event)

    def take_events(self) -> list[VenueEvent]:
        """What happened since the last call, in order."""
        taken, self._events = self._events, []
        return taken

    # ── orders ───────────────────────────────────────────────────────────────────────────────

    def new_order(
        self, account: VenueAccount, spec: OrderSpec, *, is_position_tpsl: bool = False, follows: bool = False
    ) -> VenueOrder:
        """Give an order its oid and its place in the account's history; it stands nowhere yet."""
        order = VenueOrder(
            oid=self.new_oid(),
            address=account.address,
            coin=self.instruments[spec.asset].symbol,
            side=spec.side,
            price=spec.price,
            size=spec.size,
            original_size=spec.size,
            tif=spec.tif,
            trigger=spec.trigger,
            reduce_only=spec.reduce_only,
            cloid=spec.cloid,
            placed_ms=self.now_ms,
            is_position_tpsl=is_position_tpsl,
            follows_position=follows,
        )
        if not account.is_house:
            account.history[order.oid] = order
            if order.cloid is not None:
                account.by_cloid[order.cloid] = order
            self._forget_old(account)
        return order

    def system_order(self, account: VenueAccount, coin: str, signed_size: Decimal) -> VenueOrder:
        """An order that the chain itself makes; nobody can ask for it by its oid."""
        order = self.house_order(
            account, coin, Side.BUY if signed_size > 0 else Side.SELL, self.marks[coin], abs(signed_size)
        )
        order.tif = Tif.LIQUIDATION_MARKET
        return order

    def house_order(self, account: VenueAccount, coin: str, side: Side, price: Decimal, size: Decimal) -> VenueOrder:
        return VenueOrder(
            oid=self.new_oid(),
            address=account.address,
            coin=coin,
            side=side,
            price=price,
            size=size,
            original_size=size,
            tif=Tif.GTC,
            trigger=None,
            reduce_only=False,
            cloid=None,
            placed_ms=self.now_ms,
        )

    def new_oid(self) -> int:
        oid, self._next_oid = self._next_oid, self._next_oid + 1
        return oid

    def change(self, order: VenueOrder, status: Status, size: Decimal | None = None) -> None:
        """Note a step in a user's order's life: `size` is what the wire says remained."""
        account = self.accounts[order.address]
        if account.is_house:
            return
        remained = order.size if size is None else size
        order.status, order.status_ms = status, self.now_ms
        change = OrderChange(self.now_ms, status, remained)
        order.changes.append(change)
        self.emit(OrderChanged(order.address, order, change))

    def rest(self, order: VenueOrder) -> None:
        """Put an order on its book."""
        self.accounts[order.address].orders[order.oid] = order
        self.books[order.coin].add(order)

    def wait(self, order: VenueOrder) -> None:
        """Let a trigger wait for the mark price."""
        self.accounts[order.address].orders[order.oid] = order
        self.waiting.setdefault(order.coin, {})[order.oid] = order

    def take_off(self, order: VenueOrder) -> None:
        """End an order's stay wherever it stands: book, triggers, the account's open orders."""
        account = self.accounts[order.address]
        if account.orders.pop(order.oid, None) is None:
            return
        if order.waits:
            waiting = self.waiting.get(order.coin, {})
            waiting.pop(order.oid, None)
            if not waiting:
                self.waiting.pop(order.coin, None)
        else:
            self.books[order.coin].remove(order)

    def cancel_order(self, order: VenueOrder, status: Status) -> None:
        """Cancel what remains of an open order, and with it the children that wait for its fill."""
        self.take_off(order)
        self.change(order, status)
        for child in order.children:
            if child.waiting_for_parent and child.oid in self.accounts[child.address].orders:
                self.take_off(child)
                self.change(child, status)
        if status is not Status.CANCELED:
            self.emit(NonUserCanceled(order.address, order.coin, order.oid))

    def _forget_old(self, account: VenueAccount) -> None:
        """Keep the last orders; one that is still open is never forgotten."""
        while len(account.history) > ORDERS_KEPT:
            oldest = next((oid for oid in account.history if oid not in account.orders), None)
            if oldest is None:
                return
            order = account.history.pop(oldest)
            if order.cloid is not None and account.by_cloid.get(order.cloid) is order:
                del account.by_cloid[order.cloid]

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def open_interest(self, coin: str) -> Decimal:
        """Coins held long, which is what is held short."""
        return sum(
            (
                held.size
                for account in self.accounts.values()
                if (held := account.positions.get(coin)) and held.size > 0
            ),
            ZERO,
        )

    def is_at_cap(self, coin: str) -> bool:
        return coin in self.capped

    def set_leverage(self, account: VenueAccount, coin: str, setting: LeverageSetting) -> None:
        """Note a coin's leverage; an open position carries it from now on, an isolated one without new margin."""
        account.leverage[coin] = setting
        held = account.positions.get(coin)
        if held is not None:
            held.leverage = setting.value
