"""Carries out an admitted trading action on the exchange, and words its answer."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_UP, Decimal
from typing import Protocol, assert_never

from adapters.sim.venue import words
from adapters.sim.venue.chain.actions import (
    BatchModify,
    Cancel,
    CancelByCloid,
    Modify,
    Noop,
    Order,
    OrderWire,
    Priority,
    ScheduleCancel,
    TopUpIsolatedOnlyMargin,
    TradingAction,
    TwapCancel,
    TwapOrder,
    UpdateIsolatedMargin,
    UpdateLeverage,
)
from adapters.sim.venue.chain.answers import Answer, canceled, done, err, placed, twap_refused
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.margin import margin_used
from adapters.sim.venue.exchange.orders import Grouping, PlaceResult, Refused, Status, Tif, VenueOrder
from adapters.sim.venue.numbers import USD_STEP

FIRST_SPOT_ASSET, FIRST_BUILDER_ASSET = 10_000, 100_000
MOST_PRIORITY = 80_000
MOST_BUILDER_FEE = 100
"""Tenths of a basis point, on perps."""
BUILDER_FEE_PER_PERCENT = 1_000


class RunningMarket(Protocol):
    """What the chain needs of the market around the exchange."""

    def advance(self, to_ms: int) -> None:
        """Bring the market, and the exchange's time with it, to `to_ms`."""

    def sync(self, coin: str) -> None:
        """Let the house's quotes of a coin stand as of now."""


class Execution:
    """`post_only`: the phase after a network upgrade, in which only ALO orders are taken."""

    def __init__(self, exchange: Exchange, market: RunningMarket) -> None:
        self._exchange = exchange
        self._market = market
        self.post_only = False

    def run(self, account: VenueAccount, action: TradingAction, tx: str, builder_percent: Decimal | None) -> Answer:
        """`builder_percent` is what the account approved for the action's builder; None is nothing."""
        match action:
            case Order():
                return self._order(account, action, tx, builder_percent)
            case Cancel() | CancelByCloid():
                return self._cancel(account, action)
            case Modify():
                result = self._modify(account, action.oid, action.order, tx, always_place=action.a is True)
                return err(result.text) if isinstance(result, Refused) else done()
            case BatchModify():
                return self._batch_modify(account, action, tx)
            case ScheduleCancel():
                return _answer(self._exchange.schedule_cancel(account, action.time))
            case UpdateLeverage(asset, is_cross, leverage):
                self._sync([asset])
                return _answer(self._exchange.update_leverage(account, asset, is_cross=is_cross, leverage=leverage))
            case UpdateIsolatedMargin(asset, _, ntli):
                self._sync([asset])
                return _answer(self._exchange.update_isolated_margin(account, asset, Decimal(ntli).scaleb(-6)))
            case TopUpIsolatedOnlyMargin():
                return _answer(self._top_up(account, action))
            case Noop():
                return done()
            case TwapOrder():
                return twap_refused("twapOrder", words.bad_twap_duration(action.twap.m))
            case TwapCancel():
                return twap_refused("twapCancel", words.TWAP_GONE)
            case _:
                assert_never(action)

    # ── orders ───────────────────────────────────────────────────────────────────────────────

    def _order(self, account: VenueAccount, action: Order, tx: str, builder_percent: Decimal | None) -> Answer:
        refusal = _action_refusal(action, builder_percent)
        if refusal is not None:
            return err(refusal)
        self._sync(order.a for order in action.orders)
        specs = [order.spec() for order in action.orders]
        if not self.post_only:
            return placed(self._exchange.place(account, specs, action.kind, tx))
        if action.kind is not Grouping.NA:
            return placed([Refused(words.with_asset(words.POST_ONLY_PHASE, action.orders[0].a))])
        return placed(self._place_if_post_only(account, order, tx) for order in action.orders)

    def _place_if_post_only(self, account: VenueAccount, order: OrderWire, tx: str) -> PlaceResult:
        """One order of a batch during the phase; what is refused has its oid and record all the same."""
        spec = order.spec()
        if spec.tif is Tif.ALO or order.a >= len(self._exchange.instruments):
            return self._exchange.place(account, [spec], Grouping.NA, tx)[0]
        self._exchange.change(self._exchange.new_order(account, spec), Status.REJECTED)
        return Refused(words.with_asset(words.POST_ONLY_PHASE, order.a))

    def _cancel(self, account: VenueAccount, action: Cancel | CancelByCloid) -> Answer:
        if not action.cancels:
            return canceled([words.ORDERS_EMPTY])
        if isinstance(action, Cancel):
            targets: list[tuple[int, int | str]] = [(each.a, each.o) for each in action.cancels]
        else:
            targets = [(each.asset, each.cloid) for each in action.cancels]
        self._sync(asset for asset, _ in targets)
        return canceled(self._cancel_one(account, asset, target, fast=bool(action.f)) for asset, target in targets)

    def _cancel_one(self, account: VenueAccount, asset: int, target: int | str, *, fast: bool) -> str | None:
        order = _find(account, target)
        if fast and order is not None and order.trigger is not None:
            return words.with_asset(words.FAST_CANCEL_OF_TRIGGER, asset)
        if isinstance(target, str):
            return self._exchange.cancel_by_cloid(account, asset, target)
        return self._exchange.cancel(account, asset, target)

    def _batch_modify(self, account: VenueAccount, action: BatchModify, tx: str) -> Answer:
        if not action.modifies:
            return placed([Refused(words.ORDERS_EMPTY)])
        always = action.a is True
        return placed(self._modify(account, each.oid, each.order, tx, always_place=always) for each in action.modifies)

    def _modify(
        self, account: VenueAccount, target: int | str, order: OrderWire, tx: str, *, always_place: bool
    ) -> PlaceResult:
        if self.post_only and always_place and order.tif is not Tif.ALO:
            return Refused(words.with_asset(words.POST_ONLY_PHASE, order.a))
        old = _find(account, target)
        self._sync([order.a] if old is None else [order.a, self._exchange.asset_of(old.coin)])
        return self._exchange.modify(account, target, order.spec(), tx, always_place=always_place)

    # ── margin ───────────────────────────────────────────────────────────────────────────────

    def _top_up(self, account: VenueAccount, action: TopUpIsolatedOnlyMargin) -> str | None:
        """Add what an isolated position needs to stand at a lower leverage."""
        exchange = self._exchange
        if action.asset >= len(exchange.instruments):
            return words.UNKNOWN_ASSET
        self._sync([action.asset])
        leverage, coin = Decimal(action.leverage), exchange.instruments[action.asset].symbol
        held, mark = account.positions.get(coin), exchange.marks[coin]
        if held is None:
            return words.EMPTY_POSITION
        if held.is_cross:
            return words.NOT_ISOLATED
        if leverage < 1:
            return words.BAD_LEVERAGE
        wanted = (abs(held.size) * mark / leverage).quantize(USD_STEP, rounding=ROUND_UP)
        amount = (wanted - margin_used(held, mark)).quantize(USD_STEP, rounding=ROUND_UP)
        return exchange.update_isolated_margin(account, action.asset, amount) if amount > 0 else words.BAD_LEVERAGE

    def _sync(self, assets: Iterable[int]) -> None:
        """Let the house's quotes stand as of now in every coin that an action concerns."""
        instruments = self._exchange.instruments
        for asset in dict.fromkeys(assets):
            if asset < len(instruments):
                self._market.sync(instruments[asset].symbol)


def _action_refusal(action: Order, builder_percent: Decimal | None) -> str | None:
    """What refuses a batch before any of its orders is looked at."""
    if any(FIRST_SPOT_ASSET <= order.a < FIRST_BUILDER_ASSET for order in action.orders):
        return words.UNKNOWN_SPOT
    if isinstance(action.grouping, Priority):
        if not all(order.tif is Tif.IOC for order in action.orders):
            return words.PRIORITY_IS_FOR_IOC
        if action.priority > MOST_PRIORITY:
            return words.PRIORITY_TOO_HIGH
    if action.builder is None:
        return None
    if action.builder.f > MOST_BUILDER_FEE:
        return words.BAD_BUILDER_FEE
    if builder_percent is None or action.builder.f > builder_percent * BUILDER_FEE_PER_PERCENT:
        return words.BUILDER_NOT_APPROVED
    return None


def _find(account: VenueAccount, target: int | str) -> VenueOrder | None:
    """An open order by oid or cloid."""
    order = account.by_cloid.get(target) if isinstance(target, str) else account.orders.get(target)
    return order if order is not None and order.oid in account.orders else None


def _answer(refusal: str | None) -> Answer:
    return done() if refusal is None else err(refusal)
