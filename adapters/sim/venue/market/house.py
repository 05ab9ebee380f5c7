"""The house: quotes twenty levels deep on both sides of the path's touch, and the flow that trades at them.

A coin's quotes stand on its book only while users' orders concern it. Then, second by second: what the touch has
passed through is filled, quotes that are gone leave, quotes that shrank lose their newest part, quotes that grew get
a new order at the back of the queue. So a user who came later waits behind what was shown when he came.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.order_book import Level
from adapters.sim.venue.exchange.orders import VenueOrder
from adapters.sim.venue.market.path import MarketPath, PathSecond
from domain.instruments import PriceRounding
from domain.intents import Side

MAKER = "0x" + 39 * "0" + "1"
FLOW = "0x" + 39 * "0" + "2"
LEVELS = 20
BLOCK_MS = 10_000
"""For so long the gaps between levels, and their sizes behind the touch, stay as they are."""

ZERO = Decimal(0)
_GAPS = 3

Quotes = dict[Decimal, Decimal]


def flow_hash(time_ms: int, place: int, tid: int) -> str:
    """The transaction that a trade of the flow stands for."""
    return f"0x{time_ms:016x}{place:032x}{tid:016x}"


class House:
    """Quotes and flow of all coins. Places are the path's and the exchange's."""

    def __init__(self, path: MarketPath, exchange: Exchange, seed: int) -> None:
        self._path, self._exchange, self._seed = path, exchange, seed
        self._instruments = path.instruments()
        self._maker = _account(exchange, MAKER)
        self._flow = _account(exchange, FLOW)
        self._block: PathSecond | None = None

    def quotes(self, place: int, side: Side, second: PathSecond, depth: int = LEVELS) -> Quotes:
        """What the house shows on one side: price and size of each level, best first."""
        instrument = self._instruments[place]
        is_bid = side is Side.BUY
        block = self._block_of(second.open_ms)
        touch = Decimal(repr((second.bid if is_bid else second.ask).item(place)))
        size = Decimal(repr((second.bid_size if is_bid else second.ask_size).item(place)))
        usual = (block.bid_size if is_bid else block.ask_size).item(place)
        steps = max(1, round(usual * 10**instrument.size_decimals))
        draws = self._draws(instrument.symbol, side, block.open_ms)
        tick, magnitude, price = instrument.tick_at(touch), touch.adjusted(), touch
        shown = {touch: size}
        for level in range(1, depth):
            gap = tick * (1 + draws[2 * level] % _GAPS)
            price = price - gap if is_bid else price + gap
            if price <= 0:
                break
            if price.adjusted() > magnitude:  # the tick is coarser from here on
                price = instrument.round_price(price, PriceRounding.UP)
                tick, magnitude = instrument.tick_at(price), price.adjusted()
            grown = max(1, steps * (96 + draws[2 * level + 1]) * (4 + level) // 1024)
            shown[price] = Decimal(grown).scaleb(-instrument.size_decimals)
        return shown

    def levels(self, place: int, side: Side, second: PathSecond, depth: int = LEVELS) -> list[Level]:
        """`quotes` of a coin whose book nobody else is in."""
        return [Level(price, size, 1) for price, size in self.quotes(place, side, second, depth).items()]

    def stand(self, place: int, second: PathSecond) -> None:
        """Bring a coin's quotes on its book to this second; users' orders that the touch passed through fill first."""
        coin = self._instruments[place].symbol
        wanted = {side: self.quotes(place, side, second) for side in Side}
        held = self._withdraw(coin, wanted)
        passed = self._passed(coin, second, place)
        # What a fill sets off (a stop that wakes and fires) finds the side that it will trade with standing.
        for side in (Side.BUY, Side.SELL) if passed is not Side.SELL else (Side.SELL, Side.BUY):
            if side is not passed:
                self._grow(coin, side, wanted[side], held[side])
        if passed is not None:
            self._take_passed(coin, passed, second, place)
            self._grow(coin, passed, wanted[passed], held[passed])

    def leave(self, coin: str) -> None:
        """Take all quotes off a coin's book."""
        for order in [each for each in self._exchange.books[coin].orders() if each.address == MAKER]:
            self._exchange.shrink_house(order, ZERO)

    def has_users(self, coin: str) -> bool:
        """Whether anybody but the house rests in this book."""
        return any(order.address != MAKER for order in self._exchange.books[coin].orders())

    def trade(self, coin: str, side: Side, size: Decimal, limit: Decimal, tx: str) -> Decimal:
        """Let the flow trade through a book, up to a limit; the size that it got."""
        return self._exchange.take(self._flow, coin, side, size, limit, tx)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _withdraw(self, coin: str, wanted: dict[Side, Quotes]) -> dict[Side, Quotes]:
        """Take off what is no longer quoted, the newest first; tell what still stands at each price."""
        bids: dict[Decimal, list[VenueOrder]] = {}
        asks: dict[Decimal, list[VenueOrder]] = {}
        for order in self._exchange.books[coin].orders():
            if order.address == MAKER:
                (bids if order.side is Side.BUY else asks).setdefault(order.price, []).append(order)
        return {
            Side.BUY: self._shrink(bids, wanted[Side.BUY]),
            Side.SELL: self._shrink(asks, wanted[Side.SELL]),
        }

    def _shrink(self, held: dict[Decimal, list[VenueOrder]], wanted: Quotes) -> Quotes:
        left: Quotes = {}
        for price, orders in held.items():
            standing = orders[0].size if len(orders) == 1 else sum((order.size for order in orders), ZERO)
            excess = standing - wanted.get(price, ZERO)
            left[price] = standing
            if excess <= 0:
                continue
            left[price] -= excess
            for order in reversed(orders):
                cut = min(excess, order.size)
                excess -= cut
                self._exchange.shrink_house(order, order.size - cut)
                if not excess:
                    break
        return left

    def _grow(self, coin: str, side: Side, wanted: Quotes, held: Quotes) -> None:
        for price, size in wanted.items():
            missing = size - held.get(price, ZERO)
            if missing > 0:
                self._exchange.rest_house(self._maker, coin, side, price, missing)

    def _passed(self, coin: str, second: PathSecond, place: int) -> Side | None:
        """The side on which users' orders stand beyond the other side's touch. It cannot be both."""
        book = self._exchange.books[coin]
        bid, ask = book.best_bid, book.best_ask
        if ask is not None and ask <= Decimal(repr(second.bid.item(place))):
            return Side.SELL
        if bid is not None and bid >= Decimal(repr(second.ask.item(place))):
            return Side.BUY
        return None

    def _take_passed(self, coin: str, passed: Side, second: PathSecond, place: int) -> None:
        """Fill what the touch has passed through, whole and at its own prices."""
        limit = Decimal(repr((second.bid if passed is Side.SELL else second.ask).item(place)))
        reached = [
            order.size
            for order in self._exchange.books[coin].orders()
            if order.side is passed and (order.price <= limit if passed is Side.SELL else order.price >= limit)
        ]
        tx = flow_hash(self._exchange.now_ms, place, len(reached))
        self.trade(coin, passed.opposite, sum(reached, ZERO), limit, tx)

    def _block_of(self, open_ms: int) -> PathSecond:
        block_ms = open_ms - open_ms % BLOCK_MS
        if self._block is None or self._block.open_ms != block_ms:
            self._block = self._path.second(block_ms)
        return self._block

    def _draws(self, coin: str, side: Side, block_ms: int) -> bytes:
        key = f"{self._seed}:{coin}:{side.value}:{block_ms}"
        return hashlib.blake2b(key.encode(), digest_size=2 * LEVELS).digest()


def _account(exchange: Exchange, address: str) -> VenueAccount:
    return exchange.account(address) or exchange.open_account(address, is_house=True)
