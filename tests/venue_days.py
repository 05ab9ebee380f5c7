"""Seeded trading days at the local venue: many accounts, every kind of order, a house that quotes, jumping prices."""

from __future__ import annotations

import random
from decimal import Decimal

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.events import LedgerUpdate, VenueEvent
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.orders import Grouping, OrderSpec, Status, Tif, TriggerSpec
from adapters.sim.venue.settings import VenueSettings
from domain.instruments import Instrument, MarginTier, PriceRounding, single_tier
from domain.intents import Side, Trigger, TriggerKind

HOUR_MS = 3_600_000
START_MS = 1_767_571_200_000
COINS = (
    Instrument("BTC", 5, (MarginTier(Decimal(0), 40), MarginTier(Decimal(150_000), 20))),
    Instrument("kPEPE", 0, single_tier(10)),
    Instrument("SOL", 2, single_tier(20)),
)
FIRST_MARKS = {"BTC": Decimal(60_000), "kPEPE": Decimal("0.0123"), "SOL": Decimal(150)}
MAKER = "0x" + 39 * "0" + "1"
LADDER = 4


class TradingDay:
    """One day: `step` lets one thing happen. All chance comes from the seed."""

    def __init__(self, seed: int, accounts: int = 6) -> None:
        self.random = random.Random(seed)
        self.exchange = Exchange(COINS, VenueSettings(), START_MS)
        self.events: list[VenueEvent] = []
        self.exchange.set_marks(FIRST_MARKS, FIRST_MARKS)
        self.maker = self.exchange.open_account(MAKER, is_house=True)
        self.users = [
            self.exchange.open_account(f"0x{number:040x}", cash=Decimal(self.random.choice((300, 5_000, 200_000))))
            for number in range(16, 16 + accounts)
        ]
        self.hour = START_MS // HOUR_MS
        self.quote_all()

    def run(self, steps: int) -> None:
        for number in range(steps):
            self.step()
            if number % (steps // 24 + 1) == 0:
                self.next_hour()
        self.settle_events()

    def step(self) -> None:
        act = self.random.choices(ACTS, WEIGHTS)[0]
        self.exchange.now_ms += self.random.randrange(1, 60_000)
        act(self, self.random.choice(self.users))

    def settle_events(self) -> list[VenueEvent]:
        self.events += self.exchange.take_events()
        return self.events

    # ── the market ───────────────────────────────────────────────────────────────────────────

    def next_hour(self) -> None:
        self.hour += 1
        self.exchange.now_ms = max(self.exchange.now_ms, self.hour * HOUR_MS)
        self.move()
        rates = {coin: Decimal(self.random.randrange(-400, 500)).scaleb(-7) for coin in self.exchange.books}
        self.exchange.fund(self.hour * HOUR_MS, rates)

    def move(self) -> None:
        """Prices jump, now and then far; the house quotes around the new ones before they count."""
        marks = {}
        for coin, mark in self.exchange.marks.items():
            spread = 0.15 if self.random.random() < 0.15 else 0.01
            factor = Decimal(repr(1 + self.random.uniform(-spread, spread)))
            marks[coin] = self.exchange.by_coin[coin].round_price(mark * factor, PriceRounding.DOWN)
        self.quote_all(marks)
        self.exchange.set_marks(marks, marks)

    def quote_all(self, marks: dict[str, Decimal] | None = None) -> None:
        for coin, mark in (marks or self.exchange.marks).items():
            self._quote(coin, mark)

    def _quote(self, coin: str, mark: Decimal) -> None:
        """Take away the old ladder, trade with whoever stands in the new one's way, put it up."""
        book, instrument = self.exchange.books[coin], self.exchange.by_coin[coin]
        for order in [order for order in book.orders() if order.address == MAKER]:
            self.exchange.shrink_house(order, Decimal(0))
        if coin in self.exchange.delisted:
            return
        for side in Side:
            rounding = PriceRounding.DOWN if side is Side.BUY else PriceRounding.UP
            for level in range(1, LADDER + 1):
                away = 1 - side.sign * Decimal(level) / 1_000
                price = instrument.round_price(mark * away, rounding)
                size = instrument.round_size(Decimal(self.random.randrange(100, 40_000)) / price)
                left = size - self.exchange.take(self.maker, coin, side, size, price, "0xhouse")
                best = book.best_ask if side is Side.BUY else book.best_bid
                if left > 0 and (best is None or (price < best if side is Side.BUY else price > best)):
                    self.exchange.rest_house(self.maker, coin, side, price, left)

    # ── what users do ────────────────────────────────────────────────────────────────────────

    def order(self, account: VenueAccount, coin: str | None = None, side: Side | None = None) -> OrderSpec:
        coin = coin or self.random.choice(list(self.exchange.books))
        side = side or self.random.choice(list(Side))
        instrument, mark = self.exchange.by_coin[coin], self.exchange.marks[coin]
        away = Decimal(repr(1 + self.random.uniform(-0.004, 0.004)))
        notional = Decimal(self.random.choice((5, 15, 100, 900, 9_000, 120_000)))
        return OrderSpec(
            asset=self.exchange.asset_of(coin),
            side=side,
            price=instrument.round_price(mark * away, PriceRounding.DOWN),
            size=instrument.round_size(notional / mark),
            reduce_only=self.random.random() < 0.25,
            tif=self.random.choice((Tif.GTC, Tif.GTC, Tif.IOC, Tif.ALO, Tif.FRONTEND_MARKET)),
            trigger=None,
            cloid=f"0x{self.random.getrandbits(128):032x}" if self.random.random() < 0.5 else None,
        )

    def trigger(self, parent: OrderSpec, kind: TriggerKind, size: Decimal) -> OrderSpec:
        coin = COINS[parent.asset]
        up = (kind is TriggerKind.TAKE_PROFIT) == (parent.side is Side.BUY)
        away = Decimal(repr(self.random.uniform(0.001, 0.02)))
        level = coin.round_price(self.exchange.marks[coin.symbol] * (1 + away if up else 1 - away), PriceRounding.DOWN)
        side = parent.side.opposite
        limit = coin.round_price(level * (1 - side.sign * Decimal("-0.05")), PriceRounding.DOWN)
        spec = TriggerSpec(Trigger(kind, level), is_market=self.random.random() < 0.7)
        return OrderSpec(parent.asset, side, limit, size, reduce_only=True, tif=None, trigger=spec, cloid=None)


def place(day: TradingDay, account: VenueAccount) -> None:
    specs = [day.order(account) for _ in range(day.random.choice((1, 1, 1, 3)))]
    day.exchange.place(account, specs, Grouping.NA, "0xplace")


def place_group(day: TradingDay, account: VenueAccount) -> None:
    parent = day.order(account)
    children = [day.trigger(parent, kind, parent.size) for kind in day.random.sample(list(TriggerKind), 2)]
    day.exchange.place(account, [parent, *children], Grouping.NORMAL_TPSL, "0xgroup")


def protect(day: TradingDay, account: VenueAccount) -> None:
    """Position TP/SL, or a lone trigger, for a position that is held."""
    for coin, held in list(account.positions.items()):
        like = day.order(account, coin, Side.BUY if held.size > 0 else Side.SELL)
        size = day.random.choice((Decimal(0), abs(held.size)))
        pair = [day.trigger(like, kind, size) for kind in TriggerKind]
        day.exchange.place(account, pair, Grouping.POSITION_TPSL, "0xprotect")
        day.exchange.place(account, [day.trigger(like, TriggerKind.STOP_LOSS, abs(held.size))], Grouping.NA, "0xstop")
        return


def close(day: TradingDay, account: VenueAccount) -> None:
    for coin, held in list(account.positions.items()):
        instrument = day.exchange.by_coin[coin]
        side = Side.SELL if held.size > 0 else Side.BUY
        away = Decimal("0.9") if side is Side.SELL else Decimal("1.1")
        price = instrument.round_price(day.exchange.marks[coin] * away, PriceRounding.DOWN)
        spec = OrderSpec(day.exchange.asset_of(coin), side, price, abs(held.size), True, Tif.IOC, None, None)
        day.exchange.place(account, [spec], Grouping.NA, "0xclose")


def cancel(day: TradingDay, account: VenueAccount) -> None:
    for order in day.random.sample(list(account.orders.values()), min(2, len(account.orders))):
        asset = day.exchange.asset_of(order.coin)
        if order.cloid is not None and day.random.random() < 0.5:
            day.exchange.cancel_by_cloid(account, asset, order.cloid)
        else:
            day.exchange.cancel(account, asset, order.oid)


def modify(day: TradingDay, account: VenueAccount) -> None:
    for order in list(account.orders.values())[:1]:
        spec = day.order(account, order.coin, order.side)
        day.exchange.modify(account, order.oid, spec, "0xmodify", always_place=day.random.random() < 0.5)


def set_leverage(day: TradingDay, account: VenueAccount) -> None:
    asset = day.random.randrange(len(COINS))
    is_cross = day.random.random() < 0.6
    day.exchange.update_leverage(account, asset, is_cross=is_cross, leverage=day.random.choice((1, 3, 5, 10, 20, 40)))


def isolated_margin(day: TradingDay, account: VenueAccount) -> None:
    for coin in account.positions:
        amount = Decimal(day.random.choice(("-500", "-3.25", "0", "1.000001", "40", "100000")))
        day.exchange.update_isolated_margin(account, day.exchange.asset_of(coin), amount)


def pay_in(day: TradingDay, account: VenueAccount) -> None:
    money = Decimal(day.random.randrange(1, 2_000_000)).scaleb(-3)
    update = LedgerUpdate(day.exchange.now_ms, "0x0", {"type": "deposit"})
    day.exchange.change_balance(account, update, cash=money, outside=money)


def schedule(day: TradingDay, account: VenueAccount) -> None:
    account.volume += 1_000_000  # as if it had traded before
    assert day.exchange.schedule_cancel(account, day.exchange.now_ms + 5_000) is None or account.scheduled_cancels_today
    day.exchange.now_ms += 5_000
    day.exchange.expire_schedules()
    assert all(order.status is not Status.SCHEDULED_CANCEL for order in account.orders.values())


def market_moves(day: TradingDay, account: VenueAccount) -> None:
    day.move()


def liquidate(day: TradingDay, account: VenueAccount) -> None:
    day.exchange.liquidate(account.address)


def deleverage(day: TradingDay, account: VenueAccount) -> None:
    for coin in list(account.positions)[:1]:
        day.exchange.deleverage(account.address, coin)


def delist(day: TradingDay, account: VenueAccount) -> None:
    if len(day.exchange.delisted) < len(COINS) - 1:
        coin = day.random.choice([coin for coin in day.exchange.books if coin not in day.exchange.delisted])
        day.exchange.delist(coin)
        day.quote_all()


_ACTS = (
    (place, 40),
    (place_group, 10),
    (protect, 6),
    (close, 6),
    (cancel, 8),
    (modify, 6),
    (set_leverage, 6),
    (isolated_margin, 3),
    (pay_in, 2),
    (schedule, 0.5),
    (market_moves, 12),
    (liquidate, 0.3),
    (deleverage, 0.5),
    (delist, 0.2),
)
ACTS = [act for act, _ in _ACTS]
WEIGHTS = [weight for _, weight in _ACTS]
