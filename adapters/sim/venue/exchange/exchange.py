"""The venue's exchange: what accounts may ask for, and what the chain does by itself. No wire forms.

    Exchange (the doors) ─▶ placement (may it live) ─▶ trading (the book) ─▶ clearing (the money)

Every act happens at `now_ms`, the block's time, and leaves events to be taken. A text that comes back is the
venue's refusal of the whole act; nothing has changed then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from adapters.sim.venue import words
from adapters.sim.venue.exchange import leverage as leverages
from adapters.sim.venue.exchange import liquidation, placement, trading
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.clearing import book_fill, book_funding
from adapters.sim.venue.exchange.events import NO_HASH
from adapters.sim.venue.exchange.orders import (
    FilledNow,
    Grouping,
    OrderSpec,
    PlaceResult,
    Refused,
    Resting,
    Status,
    Tif,
    VenueOrder,
    Waiting,
)
from adapters.sim.venue.exchange.state import VenueState
from adapters.sim.venue.words import with_asset
from domain.intents import Side

ZERO = Decimal(0)
DAY_MS = 86_400_000
SCHEDULE_NOTICE_MS = 5_000
SCHEDULES_A_DAY = 10


class Exchange(VenueState):
    # ── orders ───────────────────────────────────────────────────────────────────────────────

    def place(
        self, account: VenueAccount, specs: Sequence[OrderSpec], grouping: Grouping, tx: str
    ) -> list[PlaceResult]:
        """Place a batch, one after another: later orders see what earlier ones did. A group that makes no sense
        is refused with one text for all of it."""
        problem = _group_problem(specs, grouping)
        if problem is not None:
            return [Refused(problem)]
        match grouping:
            case Grouping.NA:
                return [self._place_one(account, spec, tx) for spec in specs]
            case Grouping.NORMAL_TPSL:
                return self._place_with_children(account, specs, tx)
            case Grouping.POSITION_TPSL:
                return self._place_position_tpsl(account, specs, tx)

    def cancel(self, account: VenueAccount, asset: int, oid: int) -> str | None:
        """Cancel one order; a text where there is nothing to cancel."""
        return self._cancel(account.orders.get(oid), asset)

    def cancel_by_cloid(self, account: VenueAccount, asset: int, cloid: str) -> str | None:
        order = account.by_cloid.get(cloid)
        return self._cancel(order if order is not None and order.oid in account.orders else None, asset)

    def modify(
        self, account: VenueAccount, target: int | str, spec: OrderSpec, tx: str, *, always_place: bool = False
    ) -> PlaceResult:
        """Cancel an order and place another: new oid, new place in the queue. What is wrong with the new order
        by itself leaves the old one alone; what only the book refuses has cost it already (§5.4)."""
        old = account.by_cloid.get(target) if isinstance(target, str) else account.orders.get(target)
        if old is None or old.oid not in account.orders:
            return Refused(with_asset(words.CANNOT_MODIFY, spec.asset))
        if not always_place:
            if spec.trigger is not None or spec.tif not in (Tif.GTC, Tif.ALO):
                return Refused(with_asset(words.MODIFY_NOT_POST_ONLY, spec.asset))
            spec = _with_tif(spec, Tif.ALO)
        problem = self._asset_problem(spec, may_be_empty=False)
        if problem is None:
            instrument = self.instruments[spec.asset]
            prices = (spec.price, *((spec.trigger.trigger.price,) if spec.trigger else ()))
            problem = None if all(instrument.is_valid_price(price) for price in prices) else words.PRICE_TICK
        if problem is not None:
            return Refused(with_asset(problem, spec.asset))
        self.cancel_order(old, Status.CANCELED)
        placed = self._place_one(account, spec, tx)
        if isinstance(placed, Refused):
            return Refused(words.modify_failed(placed.text))
        return placed

    def schedule_cancel(self, account: VenueAccount, time_ms: int | None) -> str | None:
        """Arm the dead man's switch, or clear it (§5.5)."""
        required = self.settings.schedule_cancel_volume_usd
        if account.volume < required:
            return words.schedule_volume(required, account.volume)
        if time_ms is not None:
            if time_ms < self.now_ms + SCHEDULE_NOTICE_MS:
                return words.SCHEDULE_TOO_EARLY
            if account.scheduled_cancel_day == self.now_ms // DAY_MS and (
                account.scheduled_cancels_today >= SCHEDULES_A_DAY
            ):
                return words.SCHEDULE_TOO_OFTEN
        account.scheduled_cancel_ms = time_ms
        return None

    def update_leverage(self, account: VenueAccount, asset: int, *, is_cross: bool, leverage: int) -> str | None:
        return leverages.update_leverage(self, account, asset, is_cross=is_cross, value=leverage)

    def update_isolated_margin(self, account: VenueAccount, asset: int, amount: Decimal) -> str | None:
        return leverages.update_isolated_margin(self, account, asset, amount)

    # ── time ─────────────────────────────────────────────────────────────────────────────────

    def expire_schedules(self) -> None:
        """Fire the dead man's switches that are due: at the start of a block, before its actions."""
        for account in self.accounts.values():
            due = account.scheduled_cancel_ms
            if due is None or due > self.now_ms:
                continue
            account.scheduled_cancel_ms = None
            day = self.now_ms // DAY_MS
            account.scheduled_cancels_today = 1 + (
                account.scheduled_cancels_today if account.scheduled_cancel_day == day else 0
            )
            account.scheduled_cancel_day = day
            for order in list(account.orders.values()):
                if order.oid in account.orders:
                    self.cancel_order(order, Status.SCHEDULED_CANCEL)

    def set_marks(self, marks: Mapping[str, Decimal], oracles: Mapping[str, Decimal]) -> None:
        """New mark and oracle prices: triggers that they reach fire, accounts that they sink are liquidated."""
        self.oracles.update(oracles)
        self.marks.update(marks)
        for coin in [coin for coin in marks if coin in self.waiting]:
            trading.fire_triggers(self, coin, self.marks[coin], NO_HASH)
        liquidation.liquidate_the_sunk(self)

    def fund(self, hour_ms: int, rates: Mapping[str, Decimal]) -> None:
        """Pay one hour's funding on every position."""
        for account in self.accounts.values():
            for coin in [coin for coin in account.positions if coin in rates]:
                book_funding(self, account, coin, rates[coin], hour_ms)

    # ── acts of the chain and the operator ───────────────────────────────────────────────────

    def delist(self, coin: str) -> None:
        """End a market: its orders are canceled, its positions settled at the oracle's price."""
        self.delisted.add(coin)
        for account in self.accounts.values():
            for order in [each for each in account.orders.values() if each.coin == coin]:
                if order.oid in account.orders:
                    self.cancel_order(order, Status.DELISTED_CANCELED)
        for account in self.accounts.values():
            size = account.size(coin)
            if size:
                order = self.system_order(account, coin, -size)
                price = self.oracles[coin]
                book_fill(
                    self, account, order, price, abs(size), ZERO, 0, NO_HASH, crossed=True, direction="Settlement"
                )
                trading.trim_reduce_only(self, account, coin)

    def liquidate(self, address: str) -> None:
        """Liquidate an account whatever it is worth."""
        liquidation.liquidate(self, self.accounts[address])

    def deleverage(self, address: str, coin: str) -> None:
        """Auto-deleveraging: close a position at the mark against those who gained most from the other side."""
        liquidation.deleverage(self, self.accounts[address], coin)

    # ── the house ────────────────────────────────────────────────────────────────────────────

    def rest_house(self, account: VenueAccount, coin: str, side: Side, price: Decimal, size: Decimal) -> VenueOrder:
        """A quote of the house: on the book without checks, events or a place among the account's orders."""
        order = self.house_order(account, coin, side, price, size)
        self.books[coin].add(order)
        return order

    def shrink_house(self, order: VenueOrder, size: Decimal) -> None:
        """Cut a quote to `size`; it keeps its place. At nothing it leaves."""
        assert size <= order.size, "a quote that grows is a new order behind the others"
        order.size = size
        if size == 0:
            self.books[order.coin].remove(order)

    def take(self, account: VenueAccount, coin: str, side: Side, size: Decimal, limit: Decimal, tx: str) -> Decimal:
        """Let the house's flow trade through the book; returns the size that it got."""
        order = self.house_order(account, coin, side, limit, size)
        return trading.match(self, order, limit, tx).size

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _asset_problem(self, spec: OrderSpec, *, may_be_empty: bool) -> str | None:
        if not 0 <= spec.asset < len(self.instruments):
            return words.UNKNOWN_ASSET
        return placement.malformed(self.instruments[spec.asset], spec, may_be_empty=may_be_empty)

    def _place_one(self, account: VenueAccount, spec: OrderSpec, tx: str) -> PlaceResult:
        problem = self._asset_problem(spec, may_be_empty=False)
        if problem is not None:
            return Refused(with_asset(problem, spec.asset))
        order = self.new_order(account, spec)
        return self._bring_in(account, order, spec.asset, tx)

    def _bring_in(self, account: VenueAccount, order: VenueOrder, asset: int, tx: str) -> PlaceResult:
        """Check an order and let it live: execute what executes, rest what rests."""
        self.sync(order.coin)
        refusal = placement.refusal_of(self, account, order)
        if refusal is None and order.trigger is None:
            refusal = placement.matching_refusal(self, order)
        if refusal is not None:
            self.change(order, refusal.status)
            return Refused(with_asset(refusal.text, asset))
        if order.reduce_only and not order.follows_position:
            order.size = min(order.size, trading.reducible(self, order))
        self.change(order, Status.OPEN)
        if order.trigger is not None:
            self.wait(order)
            return Resting(order.oid, order.cloid)
        executed = trading.run(self, order, order.price, tx)
        if executed.size == 0 and order.oid not in account.orders:
            # Everything that it could have met was taken away before it (its own orders, orders without margin).
            return Refused(with_asset(words.IOC_NO_MATCH, asset))
        if executed.size:
            return FilledNow(executed.size, executed.average_price, order.oid, order.cloid)
        return Resting(order.oid, order.cloid)

    def _place_with_children(self, account: VenueAccount, specs: Sequence[OrderSpec], tx: str) -> list[PlaceResult]:
        """A parent and the TP/SL that wake when it has filled (§10.4)."""
        for spec in specs:
            problem = self._asset_problem(spec, may_be_empty=False)
            if problem is not None:
                return [Refused(with_asset(problem, spec.asset))]
        parent = self.new_order(account, specs[0])
        children = [self.new_order(account, spec) for spec in specs[1:]]
        for child in children:
            child.parent, child.waiting_for_parent = parent, True
            child.siblings = tuple(each.oid for each in children if each is not child)
            refusal = placement.refusal_of(self, account, child)
            if refusal is not None:
                for order in (parent, *children):
                    self.change(order, refusal.status)
                return [Refused(with_asset(refusal.text, specs[0].asset))]
        account.orders.update((child.oid, child) for child in children)
        parent.children = children
        placed = self._bring_in(account, parent, specs[0].asset, tx)
        if isinstance(placed, Refused):
            for child in children:
                if account.orders.pop(child.oid, None) is not None:
                    self.change(child, Status.REJECTED)
            return [placed]
        return [placed, *(Waiting.FOR_FILL for _ in children)]

    def _place_position_tpsl(self, account: VenueAccount, specs: Sequence[OrderSpec], tx: str) -> list[PlaceResult]:
        """TP and SL of the position that is held: gone when it is, of its size unless one was given."""
        results: list[PlaceResult] = []
        placed: list[VenueOrder] = []
        for spec in specs:
            problem = self._asset_problem(spec, may_be_empty=True)
            if problem is not None:
                results.append(Refused(with_asset(problem, spec.asset)))
                continue
            order = self.new_order(account, spec, is_position_tpsl=True, follows=spec.size == 0)
            result = self._bring_in(account, order, spec.asset, tx)
            if isinstance(result, Resting):
                placed.append(order)
                result = Waiting.FOR_TRIGGER
            results.append(result)
        for order in placed:
            order.siblings = tuple(each.oid for each in placed if each is not order)
        return results

    def _cancel(self, order: VenueOrder | None, asset: int) -> str | None:
        if order is None or not 0 <= asset < len(self.instruments) or self.instruments[asset].symbol != order.coin:
            return with_asset(words.CANCEL_TOO_LATE, asset)
        self.cancel_order(order, Status.CANCELED)
        return None


def _group_problem(specs: Sequence[OrderSpec], grouping: Grouping) -> str | None:
    if not specs:
        return words.ORDERS_EMPTY
    if grouping is Grouping.NA:
        return None
    triggers = specs[1:] if grouping is Grouping.NORMAL_TPSL else specs
    if grouping is Grouping.NORMAL_TPSL and specs[0].trigger is not None:
        return words.MAIN_IS_TRIGGER
    if not 1 <= len(triggers) <= 2 or any(spec.trigger is None for spec in triggers):
        return words.BAD_TRIGGER_COUNT
    if not all(spec.reduce_only for spec in triggers):
        return words.TPSL_NOT_REDUCE_ONLY
    return None


def _with_tif(spec: OrderSpec, tif: Tif) -> OrderSpec:
    return OrderSpec(spec.asset, spec.side, spec.price, spec.size, spec.reduce_only, tif, spec.trigger, spec.cloid)
