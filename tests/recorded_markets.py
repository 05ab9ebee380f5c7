"""Recorded books, quotes and trades drawn by Hypothesis, our orders between them, and an exchange living through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import strategies as st

from adapters.sim.exchange import ExchangeRules, SimExchange
from domain.events import Event
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind
from domain.market import BookLevel, BookSnapshot, PublicTrade
from tests.engine_builders import START_MS, order, quotes_of, universe_of
from tests.properties.test_exchange import Life, Wanted, cents, funding_of

SYMBOLS = ("BTC", "ETH")
CASH = Decimal(50_000)

# ── what may happen ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Book:
    """Levels as (cents from the one before, hundredths of size); `late_ms` ago, `again`: the last one once more."""

    late_ms: int
    again: bool
    move: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Quote:
    move: int
    spread: int


@dataclass(frozen=True)
class Print:
    """A trade that hits one of our orders, so many orders ago, or somewhere near; `tid` None is a new one."""

    side: Side
    anchor: int | None
    offset: int
    size: int
    late_ms: int
    tid: int | None


@dataclass(frozen=True)
class Moment:
    """Orders and a cancellation, then one market event."""

    orders: tuple[Wanted, ...]
    cancel: int | None
    symbol: str
    after_ms: int
    market: Book | Quote | tuple[Print, ...]


_SYMBOL = st.sampled_from(["BTC", "BTC", "BTC", "BTC", "ETH"])
_LEVELS = st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 7]), st.integers(0, 600)), min_size=1, max_size=8).map(tuple)
_MOVE = st.sampled_from([0, 0, 0, 0, -1, 1, 4, -9]) | st.integers(-60, 60)
_WANTED = st.builds(
    Wanted,
    symbol=_SYMBOL,
    side=st.sampled_from(Side),
    size=st.integers(20, 2_000),
    offset=st.sampled_from([-1, -2, -3, -4]) | st.integers(-40, 80),
    time_in_force=st.sampled_from([TimeInForce.IOC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.ALO]),
    reduce_only=st.sampled_from([False, False, True]),
    kind=st.sampled_from([None, None, *TriggerKind]),
    level=st.integers(-9, 9),
    leverage=st.sampled_from([5, 40]),
)
_BOOK = st.builds(
    Book,
    late_ms=st.sampled_from([0, 0, 0, 300, 5_000]),
    again=st.sampled_from([False, False, False, True]),
    move=_MOVE,
    bids=st.one_of(_LEVELS, _LEVELS, _LEVELS, st.just(())),
    asks=_LEVELS,
)
_PRINT = st.builds(
    Print,
    side=st.sampled_from(Side),
    anchor=st.sampled_from([0, 0, 1, 2, 3, None]),
    offset=st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1]),
    size=st.integers(1, 600) | st.integers(1, 2_000),
    late_ms=st.sampled_from([0, 0, 0, 200, 3_000]),
    tid=st.sampled_from([None, None, None, None, None, 0, 1]),
)
_PRINTS = st.lists(_PRINT, min_size=1, max_size=4).map(tuple)
_QUOTE = st.builds(Quote, move=_MOVE, spread=st.integers(-1, 30))
MOMENTS = st.lists(
    st.builds(
        Moment,
        orders=st.lists(_WANTED, max_size=2).map(tuple),
        cancel=st.sampled_from([None, None, None, None, 0, 1, 2]),
        symbol=_SYMBOL,
        after_ms=st.sampled_from([300, 300, 0, 1, 150, 5_400, 12_000]),
        market=st.sampled_from([_BOOK, _BOOK, _BOOK, _PRINTS, _PRINTS, _PRINTS, _PRINTS, _QUOTE, _QUOTE]).flatmap(
            lambda each: each
        ),
    ),
    min_size=8,
    max_size=20,
)


# ── from what may happen to calls ────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Shown:
    """A quote."""

    venue_ms: int
    symbol: str
    bid: float
    ask: float


@dataclass(frozen=True)
class Printed:
    """A frame of trades."""

    trades: tuple[PublicTrade, ...]


@dataclass(frozen=True)
class Sent:
    request: OrderRequest
    sent_ms: int


@dataclass(frozen=True)
class Canceled:
    symbol: str
    cloid: str


Call = BookSnapshot | Shown | Printed | Sent | Canceled


class Script:
    """Moments as the calls to an exchange, with prices, times and tids of their own."""

    def __init__(self) -> None:
        self._now_ms = START_MS
        self._prices = dict.fromkeys(SYMBOLS, 15_000)
        self._sent: list[OrderRequest] = []
        self._last_book: dict[str, BookSnapshot] = {}
        self._tid = 100

    def calls(self, moments: list[Moment]) -> Iterator[Call]:
        for each in moments:
            if each.cancel is not None and self._sent:
                canceled = self._sent[each.cancel % len(self._sent)]
                yield Canceled(canceled.symbol, canceled.cloid)
            for wanted in each.orders:
                self._sent.append(self._request(wanted))
                yield Sent(self._sent[-1], self._now_ms)
            self._now_ms += each.after_ms
            match each.market:
                case Book() as book:
                    yield self._book(each.symbol, book)
                case Quote(move, spread):
                    bid = self._moved(each.symbol, move)
                    yield Shown(self._now_ms, each.symbol, bid / 100, (bid + spread) / 100)
                case prints:
                    yield Printed(tuple(self._trade(each.symbol, one) for one in prints))

    def _moved(self, symbol: str, move: int) -> int:
        self._prices[symbol] = max(11_000, self._prices[symbol] + move)
        return self._prices[symbol]

    def _request(self, wanted: Wanted) -> OrderRequest:
        price = self._prices[wanted.symbol]
        trigger = Trigger(wanted.kind, Decimal(cents(price + wanted.level))) if wanted.kind else None
        limit = cents(price + wanted.offset * wanted.side.sign)
        if wanted.symbol in self._last_book and wanted.offset < 0:  # join a level that others stand in
            book = self._last_book[wanted.symbol]
            levels = book.bids if wanted.side is Side.BUY else book.asks
            limit = str(levels[-wanted.offset % len(levels)][0]) if levels else limit
        return order(
            wanted.side,
            cents(wanted.size),
            limit,
            symbol=wanted.symbol,
            cloid=f"order-{len(self._sent)}",
            time_in_force=TimeInForce.GTC if trigger else wanted.time_in_force,
            reduce_only=wanted.reduce_only or trigger is not None,
            trigger=trigger,
            leverage=str(wanted.leverage),
        )

    def _book(self, symbol: str, book: Book) -> BookSnapshot:
        if book.again and symbol in self._last_book:
            return self._last_book[symbol]
        best = self._moved(symbol, book.move)
        bids, asks = _levels(best, -1, book.bids), _levels(best, 1, book.asks)
        self._last_book[symbol] = BookSnapshot(symbol, self._now_ms - book.late_ms, bids, asks)
        return self._last_book[symbol]

    def _trade(self, symbol: str, one: Print) -> PublicTrade:
        side, price = one.side, Decimal(cents(self._prices[symbol]))
        sent = [request for request in self._sent if request.symbol == symbol]
        if one.anchor is not None and sent:
            met = sent[-1 - one.anchor % len(sent)]
            side, price = met.side.opposite, met.limit_price
        self._tid += 1
        tid = self._tid if one.tid is None else one.tid
        time_ms = self._now_ms - one.late_ms
        return PublicTrade(symbol, side, price + Decimal(one.offset) / 100, Decimal(cents(one.size)), time_ms, tid)


def _levels(best: int, sign: int, gaps: tuple[tuple[int, int], ...]) -> tuple[BookLevel, ...]:
    price, levels = best, []
    for gap, size in gaps:
        price += sign * gap
        levels.append((Decimal(cents(price)), Decimal(cents(size))))
    return tuple(levels)


class Run:
    """One exchange living through a script, and the lives of the orders sent to it."""

    def __init__(self, latency_ms: int) -> None:
        rules = ExchangeRules(slippage_bps=Decimal(10), latency_ms=latency_ms)
        self.exchange = SimExchange(universe_of(*SYMBOLS), rules, CASH, funding_of)
        self.lives: dict[str, Life] = {}

    def take(self, call: Call) -> list[Event]:
        match call:
            case BookSnapshot():
                return self.exchange.on_book(call)
            case Shown(venue_ms, symbol, bid, ask):
                return self.exchange.on_quotes(quotes_of(venue_ms, {SYMBOLS.index(symbol): (bid, ask)}))
            case Printed(trades):
                return self.exchange.on_trades(trades)
            case Sent(request, sent_ms):
                self.lives[request.cloid] = Life(request, sent_ms)
                self.exchange.submit(request, sent_ms)
                return []
            case Canceled(symbol, cloid):
                return self.exchange.cancel(symbol, cloid)
