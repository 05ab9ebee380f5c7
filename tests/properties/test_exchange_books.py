"""The simulated exchange on recorded books and trades: nobody gets more, sooner or cheaper than what was recorded.

The recount below remembers books, touches and trades by itself and shares nothing with the exchange's depth and queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import Event, FillArrived, OrderCanceled, OrderOutcome
from domain.fills import Fill, FillCause
from domain.intents import Side, TimeInForce
from domain.market import BookLevel, BookSnapshot, PublicTrade
from domain.orders import Rejected, RejectReason
from tests.engine_builders import START_MS, order
from tests.properties.test_exchange import Life, Oracle, cents, is_slipped
from tests.recorded_markets import CASH, MOMENTS, SYMBOLS, Call, Moment, Printed, Run, Script, Sent, Shown

FRESH_MS = 10_000
ZERO = Decimal(0)
LATENCY = st.sampled_from([0, 200, 3_000])


@dataclass
class Waiting:
    """What was recorded about a resting order's price: the least size seen there, what traded at it, what it got."""

    least: Decimal | None = None
    traded: Decimal = ZERO
    filled: Decimal = ZERO


@dataclass
class Recount:
    latency_ms: int
    lives: dict[str, Life]
    now_ms: int = 0
    books: dict[str, BookSnapshot] = field(default_factory=dict)
    used: dict[tuple[str, Side, Decimal], Decimal] = field(default_factory=dict)
    touches: dict[str, tuple[Decimal, Decimal, int]] = field(default_factory=dict)
    tids: set[tuple[str, int]] = field(default_factory=set)
    waiting: dict[str, Waiting] = field(default_factory=dict)

    # ── what is recorded ─────────────────────────────────────────────────────────────────────

    def hear_book(self, book: BookSnapshot) -> bool:
        """Whether it moves anything: an old one does not, nor one on which nobody could trade."""
        self.now_ms = max(self.now_ms, book.venue_ms)
        known = self.books.get(book.symbol)
        if known is not None and known.venue_ms >= book.venue_ms:
            return False
        self.books[book.symbol] = book
        self.used = {key: size for key, size in self.used.items() if key[0] != book.symbol}
        touch = self.touches.get(book.symbol)
        if book.bids and book.asks and (touch is None or touch[2] <= book.venue_ms):
            self.touches[book.symbol] = (book.bids[0][0], book.asks[0][0], book.venue_ms)
        return bool(book.bids and book.asks)

    def hear_quote(self, quote: Shown) -> bool:
        self.now_ms = max(self.now_ms, quote.venue_ms)
        if quote.bid > quote.ask:
            return False
        self.touches[quote.symbol] = (Decimal(str(quote.bid)), Decimal(str(quote.ask)), quote.venue_ms)
        return True

    def hear_trades(self, trades: Sequence[PublicTrade]) -> list[PublicTrade]:
        fresh = []
        for trade in trades:
            if (trade.symbol, trade.tid) not in self.tids:
                self.tids.add((trade.symbol, trade.tid))
                fresh.append(trade)
                self.now_ms = max(self.now_ms, trade.time_ms)
        return fresh

    def look(self, symbol: str) -> None:
        """The market shows itself to what rests: remember the least that stood at its price."""
        for cloid, life in self.lives.items():
            if self._rests(life, symbol):
                size = self._size_at(life, 0 if cloid not in self.waiting else life.sent_ms + self.latency_ms)
                waits = self.waiting.setdefault(cloid, Waiting())
                if size is not None:
                    waits.least = size if waits.least is None else min(size, waits.least)

    # ── what must be true of fills ───────────────────────────────────────────────────────────

    def may_fill(self, life: Life, fill: Fill) -> bool:
        request = life.request
        assert self.now_ms >= life.sent_ms + self.latency_ms, "an order lives from its arrival"
        assert (fill.price - request.limit_price) * fill.side.sign <= 0, "no fill is worse than its limit"
        if not fill.crossed:
            assert fill.price == request.limit_price and request.trigger is None
            return True
        bid, ask, _ = self.touches[fill.symbol]
        if not self._levels(fill.symbol, fill.side):
            seen("paid the touch")
            at_limit = request.trigger is None and fill.price == request.limit_price
            return at_limit or is_slipped(fill, Fraction(ask if fill.side is Side.BUY else bid))
        seen(f"walked a book: {'trigger' if request.trigger else request.time_in_force.value}")
        if life.filled > fill.size:
            seen("walked a book in pieces")
        best = self._best_within(life)
        assert best is not None and best[0] == fill.price, "the best level that is left comes first"
        assert fill.size <= best[1], "no level gives more than was recorded"
        key = (fill.symbol, fill.side, fill.price)
        self.used[key] = self.used.get(key, ZERO) + fill.size
        return True

    def after_touch(self, events: list[Event], symbol: str) -> None:
        """Who was refused, or ended before it was whole, found no more; what the market has passed is filled."""
        for event in events:
            if _found_no_more(event) is not None:
                assert self._best_within(self.lives[_found_no_more(event) or ""]) is None, "there was more to be had"
                seen("found no more")
        bid, ask, _ = self.touches[symbol]
        for life in self.lives.values():
            passed = ask < life.request.limit_price if life.request.side is Side.BUY else bid > life.request.limit_price
            if self._rests(life, symbol) and passed:
                seen("goes on taking")
                used_up = self._levels(symbol, life.request.side) and self._best_within(life) is None
                assert used_up, "only what waits for the next snapshot still crosses"

    def after_trades(self, events: list[Event], fresh: list[PublicTrade], symbol: str) -> None:
        filled = dict.fromkeys(self.lives, ZERO)
        for event in events:
            if isinstance(event, FillArrived) and event.fill.cause is FillCause.ORDER:
                assert not event.fill.crossed and event.fill.cloid is not None, "trades make makers of us"
                filled[event.fill.cloid] += event.fill.size
        at_price: dict[tuple[Side, Decimal], Decimal] = {}
        for cloid, waits in self.waiting.items():
            life, request = self.lives[cloid], self.lives[cloid].request
            if request.symbol != symbol or (life.ended and not filled[cloid]):
                assert not filled[cloid], "an order meets the trades of its symbol"
                continue
            counted = [trade for trade in fresh if trade.time_ms >= life.sent_ms + self.latency_ms]
            if any((request.limit_price - trade.price) * request.side.sign > 0 for trade in counted):
                seen("traded through")
                assert life.ended or self._crosses(life), "a trade through an order's price fills all of it"
                continue
            at_ours = (each for each in counted if each.price == request.limit_price and each.side is not request.side)
            volume = sum((trade.size for trade in at_ours), ZERO)
            waits.traded += volume
            if filled[cloid]:
                seen("filled by its queue" if waits.least else "filled as the first")
                waits.filled += filled[cloid]
                assert waits.least is not None, "a queue that nobody knows fills nothing"
                assert waits.filled <= waits.traded - waits.least, "whoever stood before us traded first"
                key = (request.side, request.limit_price)
                at_price[key] = at_price.get(key, ZERO) + filled[cloid]
                assert at_price[key] <= volume, "a trade fills no more than its size"
        assert all(cloid in self.waiting for cloid, size in filled.items() if size), "only what rests is met by trades"

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _fresh_book(self, symbol: str) -> BookSnapshot | None:
        book = self.books.get(symbol)
        if book is None or self.now_ms - book.venue_ms > FRESH_MS or not book.bids or not book.asks:
            return None
        return book

    def _levels(self, symbol: str, side: Side) -> list[BookLevel]:
        """What is left for a taker, price by price; empty where only the touch counts."""
        book = self._fresh_book(symbol)
        if book is None:
            return []
        bid, ask, touch_ms = self.touches[symbol]
        left = []
        for price, size in book.asks if side is Side.BUY else book.bids:
            better = price < ask if side is Side.BUY else price > bid
            if not better or touch_ms <= book.venue_ms:
                left.append((price, size - self.used.get((symbol, side, price), ZERO)))
        return left

    def _best_within(self, life: Life) -> BookLevel | None:
        limit, side = life.request.limit_price, life.request.side
        within = (each for each in self._levels(life.request.symbol, side) if (each[0] - limit) * side.sign <= 0)
        return next((level for level in within if level[1] > 0), None)

    def _size_at(self, life: Life, since_ms: int) -> Decimal | None:
        """What is recorded to stand at an order's price, by a book or touch that is not older than `since_ms`."""
        request = life.request
        bid, ask, touch_ms = self.touches[request.symbol]
        best = bid if request.side is Side.BUY else ask
        if (request.limit_price - best) * request.side.sign > 0:
            return ZERO if touch_ms >= since_ms else None
        book = self._fresh_book(request.symbol)
        if book is None or book.venue_ms < since_ms:
            return None
        levels = book.bids if request.side is Side.BUY else book.asks
        deeper = (levels[-1][0] - request.limit_price) * request.side.sign > 0
        return None if deeper else dict(levels).get(request.limit_price, ZERO)

    def _crosses(self, life: Life) -> bool:
        bid, ask, _ = self.touches[life.request.symbol]
        met = ask if life.request.side is Side.BUY else bid
        return (met - life.request.limit_price) * life.request.side.sign <= 0

    def _rests(self, life: Life, symbol: str) -> bool:
        return life.accepted and not life.ended and life.request.symbol == symbol and life.request.trigger is None


def _one_by_one(calls: Iterable[Call]) -> Iterator[Call]:
    """Frames of trades cut into trades: a fill is then its own trade's doing."""
    for call in calls:
        if isinstance(call, Printed):
            yield from (Printed((trade,)) for trade in call.trades)
        else:
            yield call


def _found_no_more(event: Event) -> str | None:
    match event:
        case OrderCanceled(cloid, "canceled") | OrderOutcome(cloid, Rejected(RejectReason.NO_IMMEDIATE_MATCH)):
            return cloid
        case _:
            return None


@settings(max_examples=250)
@given(moments=MOMENTS, latency_ms=LATENCY)
def test_nobody_gets_more_or_better_or_sooner_than_what_was_recorded(moments: list[Moment], latency_ms: int) -> None:
    run = Run(latency_ms)
    oracle = Oracle()
    oracle.lives = run.lives
    oracle.books.cash = Fraction(CASH)
    recount = Recount(latency_ms, run.lives)
    for call in _one_by_one(Script().calls(moments)):
        fresh: list[PublicTrade] = []
        moves = ""
        match call:
            case BookSnapshot():
                moves = call.symbol if recount.hear_book(call) else ""
            case Shown():
                moves = call.symbol if recount.hear_quote(call) else ""
            case Printed(trades):
                fresh = recount.hear_trades(trades)
            case _:
                pass
        events = run.take(call)
        oracle.hear(events, recount.now_ms, recount.may_fill)
        if isinstance(call, Printed):
            recount.after_trades(events, fresh, call.trades[0].symbol)
        elif moves:
            recount.after_touch(events, moves)
            recount.look(moves)
        waits = [life for life in run.lives.values() if life.accepted and not life.ended]
        assert all(life.request.time_in_force is not TimeInForce.IOC for life in waits), "it fills at once or ends"
        assert all(not life.filled for life in waits if life.request.trigger), "a trigger that fired is over"
        oracle.compare(run.exchange, {name: int(recount.touches.get(name, (150,))[0] * 100) for name in SYMBOLS})


@settings(max_examples=100)
@given(moments=MOMENTS, latency_ms=LATENCY, data=st.data())
def test_the_same_inputs_give_the_same_and_trades_told_again_change_nothing(
    moments: list[Moment], latency_ms: int, data: st.DataObject
) -> None:
    once, twice, repeated = (Run(latency_ms) for _ in range(3))
    heard: list[PublicTrade] = []
    for call in Script().calls(moments):
        told = once.take(call)
        assert twice.take(call) == told
        if isinstance(call, Printed):
            again = data.draw(st.lists(st.sampled_from(heard), max_size=4)) if heard else []
            heard += call.trades
            call = Printed((*again, *call.trades, *reversed(call.trades)))  # what is new keeps its order
        assert repeated.take(call) == told
        assert once.exchange.book == twice.exchange.book == repeated.exchange.book


@given(
    size=st.integers(20, 3_000),
    first=st.integers(0, 800),
    then=st.lists(st.tuples(st.sampled_from(["trade", "trade", "snapshot"]), st.integers(1, 900)), max_size=20),
    side=st.sampled_from(Side),
)
def test_a_resting_order_gets_what_trades_at_its_price_beyond_the_queue(
    size: int, first: int, then: list[tuple[str, int]], side: Side
) -> None:
    run = Run(200)
    limit = Decimal(99 if side is Side.BUY else 102)
    request = order(side, cents(size), str(limit), cloid="ours", time_in_force=TimeInForce.GTC)
    run.take(Sent(request, START_MS))
    run.take(_book_with(side, START_MS + 300, first))
    ahead, filled = first, 0
    for number, (what, amount) in enumerate(then, start=1):
        now_ms = START_MS + 300 + number
        if what == "snapshot":
            told = run.take(_book_with(side, now_ms, amount))
            ahead, got = min(ahead, amount), 0
        else:
            trade = PublicTrade("BTC", side.opposite, limit, Decimal(cents(amount)), now_ms, number)
            told = run.take(Printed((trade,)))
            got = min(size - filled, max(0, amount - ahead))
            ahead = max(0, ahead - amount)
        filled += got
        fills = [event.fill for event in told if isinstance(event, FillArrived)]
        assert [(fill.price, fill.size) for fill in fills] == ([(limit, Decimal(cents(got)))] if got else [])
        assert run.exchange.is_alive("ours") == (filled < size)


def _book_with(side: Side, venue_ms: int, size: int) -> BookSnapshot:
    """A market of 100 to 101 with so many hundredths at the second level of one side."""
    second = Decimal(cents(size))
    bids = ((Decimal(100), Decimal(1)), (Decimal(99), second if side is Side.BUY else Decimal(1)))
    asks = ((Decimal(101), Decimal(1)), (Decimal(102), second if side is Side.SELL else Decimal(1)))
    return BookSnapshot("BTC", venue_ms, bids, asks)
