"""SimExchange: a venue for one account, without I/O. Orders in, the account's events out.

It sees each raw market event before the engine does. An order lives from its arrival (sending
plus latency) and meets later market events only. On candles that means: decided at the close of
k, filled at the open of k+1; inside a candle the stop comes before the target; a gap over a
level fills at the open.

    submit ──▶ on the way ──arrival──▶ executed / refused, or resting ──▶ executed / canceled

Where recorded books and trades are heard of a symbol, takers walk its levels (`book_depth`) and
resting orders wait in an estimated queue (`queue_estimate`). Elsewhere a market is its touch:
takers pay it and slippage, whatever their size, and what rests waits to be traded through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from adapters.sim.account import VenueAccount
from adapters.sim.arrival import refusal_of
from adapters.sim.exchange_book import ExchangeBook, HeldOrder
from adapters.sim.market_view import MarketView, Touch
from adapters.sim.matching import (
    Execution,
    Liquidity,
    is_triggered,
    resting_fill,
    rests_first,
    take,
    taker_price,
    trigger_touch,
    within_limit,
    would_cross,
)
from adapters.sim.queue_estimate import after_trade, shortened, trades_at, trades_through
from adapters.sim.seen_trades import unheard
from adapters.sim.settlement import Settlement
from adapters.sim.venue import words
from domain.candles import CandleBatch
from domain.events import (
    AccountSnapshot,
    Event,
    FundingPaid,
    HeldPosition,
    OrderOutcome,
    Quotes,
    RestingOrder,
)
from domain.fees import BASE_TIER, FeeSchedule
from domain.instruments import Universe, exact_price
from domain.intents import OrderRequest, Side, TimeInForce, TriggerKind
from domain.margin import is_liquidatable
from domain.market import BookSnapshot, PublicTrade
from domain.orders import Accepted, Rejected, RejectReason

ZERO = Decimal(0)
HOUR_MS = 3_600_000

FundingSource = Callable[[str, int], tuple[Decimal, Decimal | None] | None]
"""(symbol, hour) to (hourly rate, oracle price), or None where nothing is paid; the mid stands in for no oracle."""


@dataclass(frozen=True, slots=True)
class ExchangeRules:
    """How this venue trades. Latency is event time from sending to arrival."""

    fees: FeeSchedule = BASE_TIER
    slippage_bps: Decimal = Decimal(10)
    latency_ms: int = 200


class SimExchange:
    def __init__(
        self,
        universe: Universe,
        rules: ExchangeRules,
        cash_usd: Decimal,
        funding: FundingSource | None = None,
        book: ExchangeBook | None = None,
    ) -> None:
        """`book` is what an earlier run left; it brings its own cash."""
        self._universe = universe
        self._rules = rules
        self._funding = funding
        self._book = book or ExchangeBook(VenueAccount(cash_usd))
        self._settlement = Settlement(self._book, rules.fees)
        self._view = MarketView()

    @property
    def book(self) -> ExchangeBook:
        """What a restart must find again."""
        return self._book

    @property
    def account(self) -> VenueAccount:
        return self._book.account

    # ── requests ─────────────────────────────────────────────────────────────────────────────

    def submit(self, request: OrderRequest, sent_ms: int) -> None:
        """Put an order on its way; what becomes of it comes as an event once it has arrived."""
        assert request.cloid not in self._book.by_cloid, "an attempt is sent once"
        held = HeldOrder(request, self._book.next_oid, sent_ms + self._rules.latency_ms, request.size)
        self._book.next_oid += 1
        self._book.changes += 1
        self._book.by_cloid[request.cloid] = held.oid
        self._book.coming.append(held)

    def cancel(self, symbol: str, cloid: str) -> list[Event]:
        """End an order that is on its way or rests; nothing where it has ended already."""
        oid = self._book.by_cloid.get(cloid)
        if oid is None:
            return []
        self._book.coming = [held for held in self._book.coming if held.oid != oid]
        self._book.take_off(symbol, oid)
        return [self._settlement.end(cloid, "canceled")]

    def cancel_oid(self, symbol: str, oid: int) -> list[Event]:
        """The same by the exchange's own number of the order."""
        alive = (*self._book.coming, *self._book.all_resting())
        found = [held.request for held in alive if held.oid == oid and held.request.symbol == symbol]
        return self.cancel(symbol, found[0].cloid) if found else []

    def snapshot(self) -> AccountSnapshot:
        positions = tuple(sorted((symbol, held.size) for symbol, held in self._book.account.positions.items()))
        held = tuple(
            HeldPosition(symbol, each.entry_price, int(each.leverage))
            for symbol, each in sorted(self._book.account.positions.items())
        )
        resting = tuple(_resting(each) for each in self._book.all_resting())
        return AccountSnapshot(self._book.account.cash, positions, self._book.now_ms, held, resting)

    def is_alive(self, cloid: str) -> bool:
        return cloid in self._book.by_cloid

    # ── the market moves ─────────────────────────────────────────────────────────────────────

    def on_quotes(self, quotes: Quotes) -> list[Event]:
        """The touch moved: fund the hour, let orders arrive, trigger and fill what rests, liquidate."""
        self._book.now_ms = max(self._book.now_ms, quotes.venue_ms)
        events: list[Event] = []
        moved = {
            symbol: place
            for symbol, place in self._places(quotes.ids).items()
            if 0 < quotes.bid[place] <= quotes.ask[place] < math.inf
        }  # a one-sided or crossed book moves nothing: nobody could trade on it
        for symbol, place in moved.items():
            bid, ask = exact_price(float(quotes.bid[place])), exact_price(float(quotes.ask[place]))
            self._view.touches[symbol] = Touch(bid, ask, quotes.venue_ms)
        self._meet_touch(moved, quotes.venue_ms, events)
        return events

    def on_book(self, book: BookSnapshot) -> list[Event]:
        """A recorded book of one symbol, exact and whole. An older one, or one told again, changes nothing.

        Its best prices are a touch like any other, unless a newer one is known; the newest says how far the book
        still holds.
        """
        self._book.now_ms = max(self._book.now_ms, book.venue_ms)
        events: list[Event] = []
        if self._view.show_book(book) and book.touch is not None and self._is_busy(book.symbol):
            self._meet_touch((book.symbol,), book.venue_ms, events)
        return events

    def on_trades(self, trades: Iterable[PublicTrade]) -> list[Event]:
        """Public trades: they work off the queues of what rests, fill it, and let nothing arrive.

        Trades that were heard before never count, nor those from before an order's arrival.
        """
        events: list[Event] = []
        for trade in unheard(self._book.trades_seen, trades):
            self._book.now_ms = max(self._book.now_ms, trade.time_ms)
            if trade.symbol in self._book.resting:
                self._fund(trade.time_ms, events)
                self._match_trade(trade, events)
        if events:
            self._liquidate(self._mid, events)
        return events

    def open_candles(self, candles: CandleBatch) -> list[Event]:
        """The open of a candle: funding of the hour, then everything that is on its way executes at it."""
        self._book.now_ms = max(self._book.now_ms, candles.open_ms)
        events: list[Event] = []
        traded = self._places(candles.ids)
        for symbol, place in traded.items():
            price = exact_price(float(candles.open[place]))
            self._view.touches[symbol] = Touch(price, price, candles.open_ms)
        self._fund(candles.open_ms, events)
        self._arrive(events, lambda held: held.request.symbol in traded)
        return events

    def run_candles(self, candles: CandleBatch) -> list[Event]:
        """The rest of a candle: triggers and resting orders against its span, then its close."""
        end_ms = candles.open_ms + candles.interval.ms - 1
        self._book.now_ms = max(self._book.now_ms, end_ms)
        events: list[Event] = []
        self._arrive(events, lambda held: held.request.trigger is not None and held.arrives_ms <= end_ms)
        traded = self._places(candles.ids)
        for symbol, place in traded.items():
            if symbol in self._book.resting:
                low, high = exact_price(float(candles.low[place])), exact_price(float(candles.high[place]))
                self._match_span(symbol, low, high, exact_price(float(candles.open[place])), events)
        if self._book.account.positions:
            worst = {
                symbol: exact_price(
                    float(candles.low[traded[symbol]] if held.size > 0 else candles.high[traded[symbol]])
                )
                for symbol, held in self._book.account.positions.items()
                if symbol in traded
            }  # all at their worst at once, which is cautious
            self._liquidate(lambda symbol: worst.get(symbol) or self._mid(symbol), events)
        for symbol, place in traded.items():
            price = exact_price(float(candles.close[place]))
            self._view.touches[symbol] = Touch(price, price, end_ms)
        return events

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _places(self, ids: npt.NDArray[np.intp]) -> dict[str, int]:
        """Where in these columns the symbols stand whose prices matter now: held, resting or with an order coming."""
        busy = {*self._book.account.positions, *self._book.resting}
        busy.update(held.request.symbol for held in self._book.coming)
        places = {}
        for symbol in sorted(busy):
            symbol_id = self._universe.id_of(symbol)
            place = int(np.searchsorted(ids, symbol_id))
            if place < len(ids) and ids[place] == symbol_id:
                places[symbol] = place
        return places

    def _is_busy(self, symbol: str) -> bool:
        """Whether something of ours depends on a symbol's prices now."""
        book = self._book
        coming = (held.request.symbol for held in book.coming)
        return symbol in book.account.positions or symbol in book.resting or symbol in coming

    def _mid(self, symbol: str) -> Decimal:
        touch = self._view.touches.get(symbol)
        return touch.mid if touch is not None else self._book.account.positions[symbol].entry_price

    def _meet_touch(self, symbols: Collection[str], venue_ms: int, events: list[Event]) -> None:
        """These symbols' touch is new: fund the hour, let orders arrive, trigger and fill what rests, liquidate."""
        self._fund(venue_ms, events)
        self._arrive(events, lambda held: held.arrives_ms <= venue_ms and held.request.symbol in symbols)
        for symbol in symbols:
            if symbol in self._book.resting:
                self._look_again(symbol)
                self._match_touch(symbol, events)
        self._liquidate(self._mid, events)

    def _arrive(self, events: list[Event], has_arrived: Callable[[HeldOrder], bool]) -> None:
        arriving = [held for held in self._book.coming if has_arrived(held)]
        if arriving:
            self._book.coming = [held for held in self._book.coming if held not in arriving]
            for held in arriving:
                self._accept(held, events)

    def _accept(self, held: HeldOrder, events: list[Event]) -> None:
        """An order reaches the venue: refused with the venue's word, executed, or resting."""
        request = held.request
        refusal = refusal_of(
            request,
            self._universe.instrument(request.symbol),
            self._book.account.size(request.symbol),
            self._mid(request.symbol) if request.symbol in self._view.touches else None,
            affords=request.reduce_only or self._affords(request),
        )
        if refusal is not None:
            self._refuse(held, refusal, events)
            return
        if request.reduce_only:
            held = replace(held, remaining=min(held.remaining, abs(self._book.account.size(request.symbol))))
        if request.trigger is not None:
            self._rest(held, events)
            return
        bid, ask, _ = self._view.touches[request.symbol]
        crosses = would_cross(request, bid, ask)
        if request.time_in_force is TimeInForce.ALO and crosses:
            text = words.alo_would_match(bid, ask)
            self._refuse(held, Rejected(RejectReason.POST_ONLY_WOULD_MATCH, text), events)
            return
        pieces = [] if request.time_in_force is TimeInForce.ALO else self._taken(held)
        held = replace(held, crosses=crosses, queue=self._view.queue(request, self._book.now_ms))
        if pieces:
            filled = sum((piece.size for piece in pieces), ZERO)
            events.append(OrderOutcome(request.cloid, Accepted(held.oid, filled)))
            self._settlement.execute(held, pieces, events, may_rest=rests_first(request))
        elif rests_first(request):
            self._rest(held, events)
        else:
            self._refuse(held, Rejected(RejectReason.NO_IMMEDIATE_MATCH, words.IOC_NO_MATCH), events)

    def _affords(self, request: OrderRequest) -> bool:
        """Whether the account can carry an order beside its positions and what rests already."""
        used = self._book.account.initial_margin(self._mid)
        used += sum(
            (
                held.remaining * held.request.limit_price / held.request.leverage
                for held in self._book.all_resting()
                if not held.request.reduce_only
            ),
            ZERO,
        )
        new = request.size * request.limit_price / request.leverage
        return used + new <= self._book.account.value(self._mid)

    def _refuse(self, held: HeldOrder, refusal: Rejected, events: list[Event]) -> None:
        self._book.by_cloid.pop(held.request.cloid, None)
        self._book.changes += 1
        events.append(OrderOutcome(held.request.cloid, refusal))

    def _rest(self, held: HeldOrder, events: list[Event]) -> None:
        self._book.rest(held)
        self._book.changes += 1
        events.append(OrderOutcome(held.request.cloid, Accepted(held.oid)))

    def _taken(self, held: HeldOrder) -> list[Execution]:
        """What an order that takes gets of the market as it is seen: recorded levels, else the touch and slippage."""
        request, size = held.request, self._settlement.fillable(held)
        levels = self._view.take(request, size, self._book.now_ms)
        if levels is not None:
            return [Execution(price, got, Liquidity.TAKER) for price, got in levels]
        bid, ask, _ = self._view.touches[request.symbol]
        instrument = self._universe.instrument(request.symbol)
        execution = take(request, size, bid, ask, self._rules.slippage_bps, instrument)
        return [] if execution is None else [execution]

    def _look_again(self, symbol: str) -> None:
        """What rests sees the market: queues grow shorter, and an order that the touch has left crosses no more."""
        bid, ask, _ = self._view.touches[symbol]
        for held in self._book.resting_in(symbol):
            if held.request.trigger is None:
                queue = shortened(held.queue, self._view.queue(held.request, self._book.now_ms), held.arrives_ms)
                crosses = held.crosses and would_cross(held.request, bid, ask)
                if queue is not held.queue or crosses != held.crosses:
                    self._book.rest(replace(held, queue=queue, crosses=crosses))

    def _match_span(self, symbol: str, low: Decimal, high: Decimal, open_price: Decimal, events: list[Event]) -> None:
        """Match what rests in a symbol against the span of a candle."""

        def pieces(held: HeldOrder) -> list[Execution] | None:
            request = held.request
            if request.trigger is None:
                execution = resting_fill(request, held.remaining, low, high)
                return None if execution is None else [execution]
            if not is_triggered(request.trigger, request.side, low, high):
                return None
            touch = trigger_touch(request.trigger, request.side, open_price)
            instrument = self._universe.instrument(symbol)
            price = taker_price(request.side, touch, self._rules.slippage_bps, instrument)
            allowed = within_limit(request.side, price, request.limit_price)
            return [Execution(price, held.remaining, Liquidity.TAKER)] if allowed else []

        self._match_resting(symbol, pieces, events)

    def _match_touch(self, symbol: str, events: list[Event]) -> None:
        """Match what rests in a symbol against its touch: triggers go by the mid, fills by the other side's best.

        An order that crosses goes on taking, and is no maker before the touch has left it.
        """
        touch = self._view.touches[symbol]

        def pieces(held: HeldOrder) -> list[Execution] | None:
            request = held.request
            if request.trigger is not None:
                fires = is_triggered(request.trigger, request.side, touch.mid, touch.mid)
                return self._taken(held) if fires else None
            if held.crosses:
                return self._taken(held) or None
            execution = resting_fill(request, held.remaining, low=touch.ask, high=touch.bid)
            return None if execution is None else [execution]

        self._match_resting(symbol, pieces, events)

    def _match_trade(self, trade: PublicTrade, events: list[Event]) -> None:
        """Match what rests in a symbol against one trade; what it fills of one order at its price is not another's."""
        left = trade.size

        def pieces(held: HeldOrder) -> list[Execution] | None:
            nonlocal left
            request = held.request
            if request.trigger is not None or held.crosses or trade.time_ms < held.arrives_ms:
                return None
            size = ZERO
            if trades_through(trade, request):
                size = held.remaining
            elif trades_at(trade, request) and held.queue is not None:
                queue, excess = after_trade(held.queue, left, trade.time_ms)
                self._book.rest(replace(held, queue=queue))
                size = min(excess, self._settlement.fillable(held))
                left -= size
            return [Execution(request.limit_price, size, Liquidity.MAKER)] if size > 0 else None

        self._match_resting(trade.symbol, pieces, events)

    def _match_resting(
        self, symbol: str, pieces_of: Callable[[HeldOrder], list[Execution] | None], events: list[Event]
    ) -> None:
        """Execute what rests in a symbol: stops first, then the rest by age. None: an order waits on."""
        for held in sorted(self._book.resting_in(symbol), key=_by_caution):
            if not self._book.rests(held):
                continue
            pieces = pieces_of(held)
            if pieces is None:
                continue
            if pieces:
                may_rest = held.request.trigger is None
                self._settlement.execute(self._book.resting[symbol][held.oid], pieces, events, may_rest=may_rest)
            else:  # a trigger that fired where its own limit forbids what the market pays
                self._book.take_off(symbol, held.oid)
                events.append(self._settlement.end(held.request.cloid, "canceled"))

    def _fund(self, time_ms: int, events: list[Event]) -> None:
        """Pay every full hour that has passed, on the positions held now. Longs pay a positive rate."""
        hour = max(time_ms // HOUR_MS, self._book.funded_hour or 0)  # an hour is paid once, whatever comes late
        due: Iterable[int] = () if self._book.funded_hour is None else range(self._book.funded_hour + 1, hour + 1)
        self._book.funded_hour = hour
        if self._funding is None:
            return
        for each in due:
            for symbol in sorted(self._book.account.positions):
                paid = self._funding(symbol, each * HOUR_MS)
                if paid is None:
                    continue
                rate, oracle_price = paid
                size = self._book.account.positions[symbol].size
                amount = -size * (oracle_price if oracle_price is not None else self._mid(symbol)) * rate
                self._settlement.pay(FundingPaid(symbol, each * HOUR_MS, size, rate, amount), events)

    def _liquidate(self, mark: Callable[[str], Decimal], events: list[Event]) -> None:
        """Close everything at market once the account's value is below its maintenance margin."""
        if not self._book.account.positions:
            return
        account = self._book.account
        if not is_liquidatable(account.value(mark), [account.maintenance(self._universe, mark)]):
            return
        for held in self._book.all_resting():
            self._book.take_off(held.request.symbol, held.oid)
            events.append(self._settlement.end(held.request.cloid, "liquidatedCanceled"))
        for symbol in sorted(self._book.account.positions):
            side = Side.SELL if self._book.account.positions[symbol].size > 0 else Side.BUY
            price = taker_price(side, mark(symbol), self._rules.slippage_bps, self._universe.instrument(symbol))
            self._settlement.liquidate(symbol, price, events)


def _resting(held: HeldOrder) -> RestingOrder:
    request = held.request
    return RestingOrder(
        request.symbol,
        held.oid,
        request.cloid,
        held.arrives_ms,
        request.side,
        held.remaining,
        None if request.trigger is None else request.trigger.price,
        request.reduce_only,
    )


def _by_caution(held: HeldOrder) -> tuple[int, int]:
    """Stops before everything else inside one span, then the older order."""
    trigger = held.request.trigger
    return (0 if trigger is not None and trigger.kind is TriggerKind.STOP_LOSS else 1, held.oid)
