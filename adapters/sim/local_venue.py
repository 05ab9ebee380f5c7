"""The local venue in this process: the simulated market and exchange behind the daemon's ports.

Once a second of market time it asks the market for its quotes, lets the exchange see them, tells
the account's news and only then the quotes themselves. What the exchange must not forget is on
disk before it is told. A restart meets the same market later: the exchange lives through what
was missed, candle by candle, before the daemon hears anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from adapters.sim.exchange import SimExchange
from adapters.sim.exchange_state import save_book
from adapters.sim.forming import FormingCandles
from adapters.sim.market import SimMarket
from domain.candles import CandleBatch, CandleWindow, Interval, with_quiet_spans
from domain.events import CandleUpdates, Event, FillArrived, OrderCanceled, OrderOutcome, Quotes
from domain.instruments import Universe
from domain.intents import OrderRequest
from domain.orders import Accepted, SubmitOutcome
from ports.clock import Clock

SECOND_MS = 1_000
MINUTE_MS = 60_000
CANDLE_EVERY_MS = 5_000
"""How often running candles are told between their ends."""

LAG_LIMIT_MS = 300_000
"""Further behind than this, seconds are no longer played one by one."""

CATCH_UP_CANDLES = 3_000
"""Steps that missed time is lived through in, at most: longer absences take longer candles."""


class LocalVenue:
    """Market feed, order gateway, account and candle history of one paper account on the local market."""

    def __init__(
        self,
        market: SimMarket,
        universe: Universe,
        exchange: SimExchange,
        clock: Clock,
        interval: Interval,
        state_path: Path,
        identity: Mapping[str, int],
    ) -> None:
        """`universe` may be any part of the market's symbols, in any order."""
        places = {instrument.symbol: place for place, instrument in enumerate(market.instruments())}
        self._market_ids = np.array([places[symbol] for symbol in universe.symbols], dtype=np.intp)
        self._market = market
        self._universe = universe
        self._exchange = exchange
        self._clock = clock
        self._state_path = state_path
        self._identity = identity
        self._ids = np.arange(len(universe), dtype=np.intp)
        self._forming = FormingCandles(market, self._market_ids, interval)
        self._answers: dict[str, asyncio.Future[SubmitOutcome]] = {}
        self._news: list[Event] = []
        self._saved_changes = -1

    # ── order gateway ────────────────────────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest) -> SubmitOutcome:
        """Send an order; it arrives at the exchange a latency later and answers then."""
        answer: asyncio.Future[SubmitOutcome] = asyncio.get_running_loop().create_future()
        self._answers[request.cloid] = answer
        self._exchange.submit(request, self._clock.now_ms())
        self._save()
        return await answer

    async def cancel(self, symbol: str, cloid: str) -> None:
        self._news += self._exchange.cancel(symbol, cloid)
        self._save()

    # ── account ──────────────────────────────────────────────────────────────────────────────

    async def recover(self, live_cloids: Collection[str]) -> Sequence[Event]:
        """Live through the time that was missed, then tell what the account's books say."""
        self._catch_up(self._clock.now_ms())
        book = self._exchange.book
        events: list[Event] = [FillArrived(fill) for fill in book.fills]
        events += book.fundings
        events += [OrderOutcome(held.request.cloid, Accepted(held.oid)) for held in book.all_resting()]
        events += [
            OrderCanceled(cloid, "not alive at the venue")
            for cloid in live_cloids
            if not self._exchange.is_alive(cloid)
        ]
        events.append(self._exchange.snapshot())
        self._save()
        return events

    # ── candle history ───────────────────────────────────────────────────────────────────────

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        # Drawing long candles takes seconds, and the market is a pure function: another thread may draw them.
        traded = await asyncio.to_thread(self._history, symbol, interval, start_ms, end_ms)
        return with_quiet_spans(traded, end_ms)

    # ── market feed ──────────────────────────────────────────────────────────────────────────

    async def events(self) -> AsyncIterator[Event]:
        at_ms = self._clock.now_ms() // SECOND_MS * SECOND_MS + SECOND_MS
        self._forming.start(at_ms)
        while True:
            await self._clock.sleep_until(at_ms)
            for event in self._second(at_ms):
                yield event
            behind_ms = self._clock.now_ms() - at_ms
            if behind_ms > LAG_LIMIT_MS:
                at_ms = self._clock.now_ms() // SECOND_MS * SECOND_MS
                self._catch_up(at_ms)
                self._forming.start(at_ms)
            at_ms += SECOND_MS

    def _second(self, at_ms: int) -> Iterator[Event]:
        quotes = self._quotes(at_ms)
        news = [*self._news, *self._exchange.on_quotes(quotes)]
        self._news = []
        self._save()
        for event in news:
            if isinstance(event, OrderOutcome) and (answer := self._answers.pop(event.cloid, None)) is not None:
                if not answer.done():
                    answer.set_result(event.outcome)
            else:
                yield event
        yield quotes
        if at_ms % CANDLE_EVERY_MS == 0:
            for candles in self._forming.at(at_ms):
                yield CandleUpdates(candles, at_ms)

    def _quotes(self, at_ms: int) -> Quotes:
        bid, ask = self._market.quotes(at_ms)
        return Quotes(at_ms, self._ids, bid[self._market_ids], ask[self._market_ids])

    def _history(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        return self._market.candles(int(self._market_ids[self._universe.id_of(symbol)]), interval, start_ms, end_ms)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _catch_up(self, now_ms: int) -> None:
        """Let the exchange live through [its time, now) on candles of the symbols that it has something in."""
        book = self._exchange.book
        if book.now_ms and now_ms > book.now_ms:
            busy = {*book.account.positions, *book.resting, *(held.request.symbol for held in book.coming)}
            interval = _catch_up_interval(now_ms - book.now_ms)
            start_ms = interval.open_of(book.now_ms) + interval.ms
            for candles in self._batches(sorted(busy), interval, start_ms, interval.open_of(now_ms)):
                self._exchange.open_candles(candles)
                self._exchange.run_candles(candles)
        book.now_ms = max(book.now_ms, now_ms)

    def _batches(self, symbols: list[str], interval: Interval, start_ms: int, end_ms: int) -> Iterator[CandleBatch]:
        windows = {
            self._universe.id_of(symbol): self._history(symbol, interval, start_ms, end_ms) for symbol in symbols
        }
        times = sorted({time for window in windows.values() for time in window.open_ms.tolist()})
        for time in times:
            rows = []
            for symbol_id, window in sorted(windows.items()):
                place = int(np.searchsorted(window.open_ms, time))
                if place < len(window) and window.open_ms[place] == time:
                    rows.append((symbol_id, window, place))
            columns = [
                np.array([getattr(window, name)[place] for _, window, place in rows])
                for name in ("open", "high", "low", "close", "volume")
            ]
            ids = np.array([symbol_id for symbol_id, _, _ in rows], dtype=np.intp)
            yield CandleBatch(interval, time, ids, *columns)

    def _save(self) -> None:
        book = self._exchange.book
        if book.changes != self._saved_changes:
            save_book(self._state_path, book, self._identity)
            self._saved_changes = book.changes


def _catch_up_interval(missed_ms: int) -> Interval:
    """The shortest candles that cover the time in `CATCH_UP_CANDLES` steps."""
    return next((each for each in Interval if missed_ms <= each.ms * CATCH_UP_CANDLES), Interval.D1)
