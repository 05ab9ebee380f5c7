"""The simulated exchange under any order flow: no money appears or disappears, and every order has one life."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sim.exchange import ExchangeRules, SimExchange
from domain.events import Event, FillArrived, FundingPaid, OrderCanceled, OrderOutcome
from domain.fills import Fill, FillCause
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind
from domain.orders import Accepted, Rejected
from tests.engine_builders import MINUTE_MS, START_MS, Bar, batch_of, order, quotes_of, universe_of

SYMBOLS = ("BTC", "ETH")
CASH = Decimal(2_000)
SLIPPAGE_BPS = 10
STEP_MS = 20 * MINUTE_MS  # three steps to an hour, so that funding is due again and again


def cents(price: int) -> str:
    return str(Decimal(price) / 100)


# ── what may happen ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Wanted:
    symbol: str
    side: Side
    size: int  # hundredths
    offset: int  # of the limit, in cents from the last price, against ourselves
    time_in_force: TimeInForce
    reduce_only: bool
    kind: TriggerKind | None
    level: int  # of the trigger, in cents from the last price
    leverage: int


@dataclass(frozen=True)
class Moment:
    """Orders and a cancellation, then prices: moves of open, high, low and close, in cents, per symbol."""

    orders: tuple[Wanted, ...]
    cancel: int | None
    moves: tuple[tuple[int, int, int, int], ...]
    shown: tuple[bool, ...]


WANTED = st.builds(
    Wanted,
    symbol=st.sampled_from(SYMBOLS),
    side=st.sampled_from(Side),
    size=st.integers(1, 4_000) | st.integers(10_000, 40_000),
    offset=st.integers(-300, 800),
    time_in_force=st.sampled_from(TimeInForce),
    reduce_only=st.sampled_from([False, False, True]),
    kind=st.sampled_from([None, None, *TriggerKind]),
    level=st.integers(-600, 600),
    leverage=st.sampled_from([1, 5, 40]),
)
MOVE = st.tuples(st.integers(-500, 500), st.integers(0, 400), st.integers(0, 400), st.integers(0, 800))
MOMENTS = st.lists(
    st.builds(
        Moment,
        orders=st.lists(WANTED, max_size=3).map(tuple),
        cancel=st.none() | st.integers(0, 20),
        moves=st.tuples(MOVE, MOVE),
        shown=st.tuples(*[st.sampled_from([True, True, True, False])] * len(SYMBOLS)),
    ),
    min_size=4,
    max_size=14,
)


# ── what must come of it, by books of our own ────────────────────────────────────────────────


@dataclass
class Books:
    """The account as fills and fundings make it, in exact fractions, by the rules of a textbook."""

    cash: Fraction = Fraction(CASH)
    lots: dict[str, list[tuple[Fraction, Fraction]]] = field(default_factory=dict)
    """Signed size and average price; never more than one lot a symbol."""

    def size(self, symbol: str) -> Fraction:
        return sum((size for size, _ in self.lots.get(symbol, [])), Fraction(0))

    def book(self, fill: Fill) -> None:
        size = Fraction(fill.size) * (1 if fill.side is Side.BUY else -1)
        price = Fraction(fill.price)
        held, average = self.lots.get(fill.symbol, [(Fraction(0), Fraction(0))])[0]
        closing = -held if abs(size) > abs(held) else size
        if held * size < 0:
            self.cash += (average - price) * closing
            held, size = held + closing, size - closing
        if size:
            average = (held * average + size * price) / (held + size)
        self.lots[fill.symbol] = [(held + size, average)]
        self.cash -= Fraction(fill.fee)

    def unrealised(self, prices: dict[str, int]) -> Fraction:
        return sum(
            ((Fraction(prices[symbol], 100) - average) * size for symbol, [(size, average)] in self.lots.items()),
            Fraction(0),
        )


@dataclass
class Life:
    """What the exchange has said of one order."""

    request: OrderRequest
    sent_ms: int
    accepted: bool = False
    filled: Decimal = Decimal(0)
    ended: bool = False


class Oracle:
    def __init__(self) -> None:
        self.books = Books()
        self.lives: dict[str, Life] = {}
        self.tids: set[int] = set()
        self.funded: set[tuple[str, int]] = set()

    def hear(self, events: Sequence[Event], now_ms: int, price_is_right: Callable[[Life, Fill], bool]) -> None:
        for event in events:
            match event:
                case OrderOutcome(cloid, Accepted()):
                    life = self.lives[cloid]
                    assert not life.accepted and not life.ended, "an order is accepted once"
                    life.accepted = True
                case OrderOutcome(cloid, Rejected()):
                    life = self.lives[cloid]
                    assert not life.accepted and not life.ended, "an order that lived is not refused"
                    life.ended = True
                case OrderCanceled(cloid, reason):
                    life = self.lives[cloid]
                    assert not life.ended, "an order ends once"
                    life.ended = True
                    seen(f"canceled: {reason}")
                case FillArrived(fill):
                    self._fill(fill, now_ms, price_is_right)
                case FundingPaid():
                    self._fund(event)
                case _:
                    raise AssertionError(f"not the account's news: {event}")

    def _fill(self, fill: Fill, now_ms: int, price_is_right: Callable[[Life, Fill], bool]) -> None:
        assert fill.tid not in self.tids and fill.time_ms == now_ms
        self.tids.add(fill.tid)
        before = self.books.size(fill.symbol)
        assert fill.start_position is not None and Fraction(fill.start_position) == before, "the chain of positions"
        self.books.book(fill)
        after = self.books.size(fill.symbol)
        if fill.cause is FillCause.LIQUIDATION:
            seen("liquidated")
            assert fill.cloid is None and after == 0
            return
        assert fill.cloid is not None
        life = self.lives[fill.cloid]
        request = life.request
        seen(f"filled: {request.trigger.kind.value if request.trigger else request.time_in_force.value}")
        assert life.accepted and not life.ended
        assert (fill.symbol, fill.side) == (request.symbol, request.side)
        life.filled += fill.size
        assert 0 < life.filled <= request.size
        life.ended = life.filled == request.size
        if request.reduce_only:
            assert abs(after) < abs(before) and after * before >= 0, "reduce-only only ever shrinks"
        if request.trigger is None:
            better = fill.price <= request.limit_price if fill.side is Side.BUY else fill.price >= request.limit_price
            assert better, "no fill is worse than its limit"
        rate = Fraction(45, 100_000) if fill.crossed else Fraction(15, 100_000)
        exact = Fraction(fill.price) * Fraction(fill.size) * rate
        assert 0 <= exact - Fraction(fill.fee) < Fraction(1, 1_000_000), "a fee is cut, never rounded up"
        assert price_is_right(life, fill)

    def _fund(self, paid: FundingPaid) -> None:
        assert (paid.symbol, paid.time_ms) not in self.funded, "an hour is paid once"
        self.funded.add((paid.symbol, paid.time_ms))
        assert Fraction(paid.size) == self.books.size(paid.symbol) != 0
        rate, oracle = funding_of(paid.symbol, paid.time_ms)
        assert Fraction(paid.amount_usd) == -Fraction(paid.size) * Fraction(rate) * Fraction(oracle)
        self.books.cash += Fraction(paid.amount_usd)
        seen("funded")

    def compare(self, exchange: SimExchange, prices: dict[str, int]) -> None:
        snapshot = exchange.snapshot()
        ours = {symbol: self.books.size(symbol) for symbol in self.books.lots if self.books.size(symbol)}
        assert {symbol: Fraction(size) for symbol, size in snapshot.positions} == ours
        assert abs(Fraction(snapshot.cash_usd) - self.books.cash) < Fraction(1, 10**15), "money is conserved"
        value = exchange.account.value(lambda symbol: Decimal(prices[symbol]) / 100)
        assert abs(Fraction(value) - self.books.cash - self.books.unrealised(prices)) < Fraction(1, 10**15)
        for cloid, life in self.lives.items():
            assert exchange.is_alive(cloid) != life.ended, "alive is what has not ended"
        for life in self.lives.values():
            if life.request.reduce_only and life.accepted and not life.ended:
                assert self.books.size(life.request.symbol) * life.request.side.sign < 0, "it has something to reduce"


def funding_of(symbol: str, hour_ms: int) -> tuple[Decimal, Decimal]:
    hours = hour_ms // 3_600_000
    return Decimal(hours % 7 - 3) / 10_000, Decimal(90 + hours % 20)


def request_of(wanted: Wanted, prices: dict[str, int], number: int) -> OrderRequest:
    price = prices[wanted.symbol]
    trigger = Trigger(wanted.kind, Decimal(max(1, price + wanted.level)) / 100) if wanted.kind else None
    return order(
        wanted.side,
        cents(wanted.size),
        cents(max(1, price + wanted.offset * wanted.side.sign)),
        symbol=wanted.symbol,
        cloid=f"order-{number}",
        time_in_force=TimeInForce.GTC if trigger else wanted.time_in_force,
        reduce_only=wanted.reduce_only or trigger is not None,
        trigger=trigger,
        leverage=str(wanted.leverage),
    )


def bar_of(last: int, move: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Open, high, low, close in cents: never without sense, and far enough from zero to stay on a whole cent."""
    gap, up, down, close = move
    open_ = max(10_000, last + gap)
    high, low = open_ + up, max(10_000, open_ - down)
    return open_, high, low, low + close % (high - low + 1)


def slipped(price: Fraction, side: Side) -> Fraction:
    sign = 1 if side is Side.BUY else -1
    return price * (1 + sign * Fraction(SLIPPAGE_BPS, 10_000))


TICK = Fraction(1, 100)


def is_slipped(fill: Fill, touch: Fraction) -> bool:
    """Whether the price is the touch made worse by the slippage, and by less than a tick more."""
    worse = (Fraction(fill.price) - slipped(touch, fill.side)) * fill.side.sign
    return 0 <= worse < TICK


def price_on_candles(bars: dict[str, tuple[int, int, int, int]], *, opening: bool) -> Callable[[Life, Fill], bool]:
    def is_right(life: Life, fill: Fill) -> bool:
        open_, high, low = (Fraction(value, 100) for value in bars[fill.symbol][:3])
        request = life.request
        limit = Fraction(request.limit_price)
        if not fill.crossed:
            return (
                not opening
                and Fraction(fill.price) == limit
                and (low < limit if fill.side is Side.BUY else high > limit)
            )
        if opening:
            return is_slipped(fill, open_) or (
                request.time_in_force is TimeInForce.GTC and Fraction(fill.price) == limit
            )
        assert request.trigger is not None, "only triggers take inside a candle"
        level = Fraction(request.trigger.price)
        falls = (request.trigger.kind is TriggerKind.STOP_LOSS) == (request.side is Side.SELL)
        if open_ <= level if falls else open_ >= level:
            return is_slipped(fill, open_)
        return is_slipped(fill, level) and low <= level <= high

    return is_right


@settings(max_examples=120)
@given(moments=MOMENTS)
def test_on_candles_no_money_appears_and_every_order_has_one_life(moments: list[Moment]) -> None:
    exchange = new_exchange()
    oracle = Oracle()
    prices = dict.fromkeys(SYMBOLS, 15_000)
    for number, moment in enumerate(moments):
        open_ms = START_MS + number * STEP_MS
        send(exchange, oracle, moment, prices, open_ms)
        bars = {
            place: bar_of(prices[SYMBOLS[place]], move)
            for place, move in enumerate(moment.moves)
            if moment.shown[place]
        }
        batch = batch_of(open_ms, {place: bar_in_dollars(bar) for place, bar in bars.items()})
        by_symbol = {SYMBOLS[place]: bar for place, bar in bars.items()}
        oracle.hear(exchange.open_candles(batch), open_ms, price_on_candles(by_symbol, opening=True))
        oracle.hear(exchange.run_candles(batch), open_ms + MINUTE_MS - 1, price_on_candles(by_symbol, opening=False))
        prices |= {symbol: bar[3] for symbol, bar in by_symbol.items()}
        oracle.compare(exchange, prices)


@settings(max_examples=120)
@given(moments=MOMENTS, latency_ms=st.sampled_from([0, 200, STEP_MS + 1]))
def test_on_quotes_no_money_appears_and_every_order_has_one_life(moments: list[Moment], latency_ms: int) -> None:
    exchange = new_exchange(latency_ms)
    oracle = Oracle()
    prices = dict.fromkeys(SYMBOLS, 15_000)
    for number, moment in enumerate(moments):
        now_ms = START_MS + number * STEP_MS
        send(exchange, oracle, moment, prices, now_ms - STEP_MS // 2)
        quotes = {}
        for place, move in enumerate(moment.moves):
            if moment.shown[place]:
                bid = max(10_000, prices[SYMBOLS[place]] + move[0])
                quotes[place] = (bid, bid + 2 * (move[1] // 10))
        touches = {SYMBOLS[place]: quote for place, quote in quotes.items()}

        def price_is_right(
            life: Life, fill: Fill, touches: dict[str, tuple[int, int]] = touches, now: int = now_ms
        ) -> bool:
            assert now >= life.sent_ms + latency_ms, "an order lives from its arrival"
            bid, ask = (Fraction(value, 100) for value in touches[fill.symbol])
            touch, limit = (ask if fill.side is Side.BUY else bid), Fraction(life.request.limit_price)
            if not fill.crossed:
                return Fraction(fill.price) == limit and (touch - limit) * fill.side.sign < 0
            at_limit = life.request.time_in_force is TimeInForce.GTC and Fraction(fill.price) == limit
            return is_slipped(fill, touch) or at_limit

        shown = {place: (bid / 100, ask / 100) for place, (bid, ask) in quotes.items()}
        oracle.hear(exchange.on_quotes(quotes_of(now_ms, shown)), now_ms, price_is_right)
        prices |= {symbol: (bid + ask) // 2 for symbol, (bid, ask) in touches.items()}
        oracle.compare(exchange, prices)


def new_exchange(latency_ms: int = 200) -> SimExchange:
    rules = ExchangeRules(slippage_bps=Decimal(SLIPPAGE_BPS), latency_ms=latency_ms)
    return SimExchange(universe_of(*SYMBOLS), rules, CASH, funding_of)


def send(exchange: SimExchange, oracle: Oracle, moment: Moment, prices: dict[str, int], now_ms: int) -> None:
    if moment.cancel is not None and f"order-{moment.cancel}" in oracle.lives:
        life = oracle.lives[f"order-{moment.cancel}"]
        was_alive = not life.ended
        events = exchange.cancel(life.request.symbol, life.request.cloid)
        assert len(events) == was_alive, "a cancellation is answered exactly while there is something to cancel"
        oracle.hear(events, now_ms, lambda life, fill: False)
    for wanted in moment.orders:
        request = request_of(wanted, prices, len(oracle.lives))
        oracle.lives[request.cloid] = Life(request, now_ms)
        exchange.submit(request, now_ms)


def bar_in_dollars(bar: tuple[int, int, int, int]) -> Bar:
    open_, high, low, close = (value / 100 for value in bar)
    return (open_, high, low, close, 1.0)
