"""SimExchange: a venue for one account, without I/O. Orders in, the account's events out.

It sees each raw market event before the engine does. An order lives from its arrival (sending
plus latency) and meets later market events only. On candles that means: decided at the close of
k, filled at the open of k+1; inside a candle the stop comes before the target; a gap over a
level fills at the open.

    submit ──▶ on the way ──arrival──▶ executed / refused, or resting ──▶ executed / canceled
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from adapters.sim.account import VenueAccount
from adapters.sim.arrival import refusal_of
from adapters.sim.exchange_book import ExchangeBook, HeldOrder
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
from adapters.sim.venue import words
from domain.candles import CandleBatch
from domain.events import (
    AccountSnapshot,
    Event,
    FillArrived,
    FundingPaid,
    HeldPosition,
    OrderCanceled,
    OrderOutcome,
    Quotes,
    RestingOrder,
)
from domain.fees import BASE_TIER, FeeSchedule
from domain.fills import Fill, FillCause
from domain.instruments import Universe, exact_price
from domain.intents import OrderRequest, Side, TimeInForce, TriggerKind
from domain.margin import is_liquidatable
from domain.orders import Accepted, Rejected, RejectReason

ZERO = Decimal(0)
HOUR_MS = 3_600_000
FILLS_KEPT = 2_000
"""Executions that the venue can tell again after a restart of the daemon."""

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
        self._bid: dict[str, Decimal] = {}
        self._ask: dict[str, Decimal] = {}

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
        return [self._end(cloid, "canceled")]

    def snapshot(self) -> AccountSnapshot:
        positions = tuple(sorted((symbol, held.size) for symbol, held in self._book.account.positions.items()))
        held = tuple(
            HeldPosition(symbol, each.entry_price, int(each.leverage))
            for symbol, each in sorted(self._book.account.positions.items())
        )
        resting = tuple(
            RestingOrder(each.request.symbol, each.oid, each.request.cloid, each.arrives_ms)
            for each in self._book.all_resting()
        )
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
            self._bid[symbol] = exact_price(float(quotes.bid[place]))
            self._ask[symbol] = exact_price(float(quotes.ask[place]))
        self._fund(quotes.venue_ms, events)
        self._arrive(events, lambda held: held.arrives_ms <= quotes.venue_ms and held.request.symbol in moved)
        for symbol in moved:
            if symbol in self._book.resting:
                self._match_touch(symbol, self._bid[symbol], self._ask[symbol], events)
        self._liquidate(self._mid, events)
        return events

    def open_candles(self, candles: CandleBatch) -> list[Event]:
        """The open of a candle: funding of the hour, then everything that is on its way executes at it."""
        self._book.now_ms = max(self._book.now_ms, candles.open_ms)
        events: list[Event] = []
        traded = self._places(candles.ids)
        for symbol, place in traded.items():
            self._bid[symbol] = self._ask[symbol] = exact_price(float(candles.open[place]))
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
            self._bid[symbol] = self._ask[symbol] = exact_price(float(candles.close[place]))
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

    def _mid(self, symbol: str) -> Decimal:
        if symbol in self._bid:
            return (self._bid[symbol] + self._ask[symbol]) / 2
        return self._book.account.positions[symbol].entry_price

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
            self._mid(request.symbol) if request.symbol in self._bid else None,
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
        bid, ask = self._bid[request.symbol], self._ask[request.symbol]
        if request.time_in_force is TimeInForce.ALO and would_cross(request, bid, ask):
            text = words.alo_would_match(bid, ask)
            self._refuse(held, Rejected(RejectReason.POST_ONLY_WOULD_MATCH, text), events)
            return
        execution = None
        if request.time_in_force is not TimeInForce.ALO:
            execution = take(request, bid, ask, self._rules.slippage_bps, self._universe.instrument(request.symbol))
        if execution is not None:
            events.append(OrderOutcome(request.cloid, Accepted(held.oid, held.remaining)))
            self._execute(held, execution, events)
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

    def _match_span(self, symbol: str, low: Decimal, high: Decimal, open_price: Decimal, events: list[Event]) -> None:
        """Match what rests in a symbol against the span of a candle."""

        def execution(request: OrderRequest) -> Execution | None:
            if request.trigger is None:
                return resting_fill(request, low, high)
            if is_triggered(request.trigger, request.side, low, high):
                return self._taken(request, trigger_touch(request.trigger, request.side, open_price))
            return None

        self._match_resting(symbol, execution, events)

    def _match_touch(self, symbol: str, bid: Decimal, ask: Decimal, events: list[Event]) -> None:
        """Match what rests in a symbol against a best bid and ask: triggers go by the mid, fills by the touch."""
        mid = (bid + ask) / 2

        def execution(request: OrderRequest) -> Execution | None:
            if request.trigger is None:
                return resting_fill(request, low=ask, high=bid)
            if is_triggered(request.trigger, request.side, mid, mid):
                return self._taken(request, ask if request.side is Side.BUY else bid)
            return None

        self._match_resting(symbol, execution, events)

    def _taken(self, request: OrderRequest, touch: Decimal) -> Execution:
        instrument = self._universe.instrument(request.symbol)
        return Execution(taker_price(request.side, touch, self._rules.slippage_bps, instrument), Liquidity.TAKER)

    def _match_resting(
        self, symbol: str, execution_of: Callable[[OrderRequest], Execution | None], events: list[Event]
    ) -> None:
        """Execute what rests in a symbol: stops first, then the rest by age."""
        for held in sorted(self._book.resting_in(symbol), key=_by_caution):
            if not self._book.rests(held):
                continue
            execution = execution_of(held.request)
            if execution is None:
                continue
            self._book.take_off(symbol, held.oid)
            if within_limit(held.request.side, execution.price, held.request.limit_price):
                self._execute(held, execution, events)
            else:  # a trigger that fired where its own limit forbids what the market pays
                events.append(self._end(held.request.cloid, "canceled"))

    def _execute(self, held: HeldOrder, execution: Execution, events: list[Event]) -> None:
        """Fill all that remains of an order at one price; reduce-only never more than the position."""
        request = held.request
        before = self._book.account.size(request.symbol)
        size = held.remaining
        if request.reduce_only:
            size = min(size, abs(before)) if before * request.side.sign < 0 else ZERO
        if size == 0:
            events.append(self._end(request.cloid, "reduceOnlyCanceled"))
            return
        fee = self._rules.fees.fee(execution.price, size, crossed=execution.liquidity is Liquidity.TAKER)
        self._book.account.execute(request.symbol, size * request.side.sign, execution.price, fee, request.leverage)
        self._book.by_cloid.pop(request.cloid, None)
        crossed = execution.liquidity is Liquidity.TAKER
        self._tell_fill(
            request.symbol,
            request.side,
            execution.price,
            size,
            fee,
            held.oid,
            request.cloid,
            before,
            events,
            crossed=crossed,
        )
        if size < request.size:
            events.append(OrderCanceled(request.cloid, "reduceOnlyCanceled"))
        self._trim_reduce_only(request.symbol, events)

    def _tell_fill(
        self,
        symbol: str,
        side: Side,
        price: Decimal,
        size: Decimal,
        fee: Decimal,
        oid: int,
        cloid: str | None,
        before: Decimal,
        events: list[Event],
        *,
        crossed: bool = True,
        cause: FillCause = FillCause.ORDER,
    ) -> None:
        tid = self._book.next_tid
        fill = Fill(
            symbol=symbol,
            side=side,
            price=price,
            size=size,
            time_ms=self._book.now_ms,
            tid=tid,
            oid=oid,
            cloid=cloid,
            fee=fee,
            start_position=before,
            hash=f"0x{tid:064x}",
            crossed=crossed,
            cause=cause,
        )
        self._book.next_tid += 1
        self._book.changes += 1
        self._book.fills.append(fill)
        if len(self._book.fills) > 2 * FILLS_KEPT:
            del self._book.fills[:FILLS_KEPT]
        events.append(FillArrived(fill))

    def _trim_reduce_only(self, symbol: str, events: list[Event]) -> None:
        """Resting reduce-only orders end when there is nothing left for them to reduce."""
        position = self._book.account.size(symbol)
        for held in self._book.resting_in(symbol):
            if held.request.reduce_only and position * held.request.side.sign >= 0:
                self._book.take_off(symbol, held.oid)
                events.append(self._end(held.request.cloid, "reduceOnlyCanceled"))

    def _end(self, cloid: str, reason: str) -> OrderCanceled:
        self._book.by_cloid.pop(cloid, None)
        self._book.changes += 1
        return OrderCanceled(cloid, reason)

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
                self._book.account.cash += amount
                self._book.changes += 1
                event = FundingPaid(symbol, each * HOUR_MS, size, rate, amount)
                self._book.fundings.append(event)
                if len(self._book.fundings) > 2 * FILLS_KEPT:
                    del self._book.fundings[:FILLS_KEPT]
                events.append(event)

    def _liquidate(self, mark: Callable[[str], Decimal], events: list[Event]) -> None:
        """Close everything at market once the account's value is below its maintenance margin."""
        if not self._book.account.positions:
            return
        account = self._book.account
        if not is_liquidatable(account.value(mark), [account.maintenance(self._universe, mark)]):
            return
        for held in self._book.all_resting():
            self._book.take_off(held.request.symbol, held.oid)
            events.append(self._end(held.request.cloid, "liquidatedCanceled"))
        for symbol in sorted(self._book.account.positions):
            held_position = self._book.account.positions[symbol]
            side = Side.SELL if held_position.size > 0 else Side.BUY
            before = held_position.size
            price = taker_price(side, mark(symbol), self._rules.slippage_bps, self._universe.instrument(symbol))
            fee = self._rules.fees.fee(price, abs(before), crossed=True)
            self._book.account.execute(symbol, -before, price, fee, held_position.leverage)
            oid, self._book.next_oid = self._book.next_oid, self._book.next_oid + 1
            cause = FillCause.LIQUIDATION
            self._tell_fill(symbol, side, price, abs(before), fee, oid, None, before, events, cause=cause)


def _by_caution(held: HeldOrder) -> tuple[int, int]:
    """Stops before everything else inside one span, then the older order."""
    trigger = held.request.trigger
    return (0 if trigger is not None and trigger.kind is TriggerKind.STOP_LOSS else 1, held.oid)
