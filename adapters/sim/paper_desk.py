"""Paper trading on anybody's prices: a feed's quotes pass through the simulated exchange before the engine sees them.

    feed ─▶ quotes ─▶ simulated exchange ─▶ the account's news, then the quotes themselves ─▶ engine

What the exchange must not forget is on disk before it is told. After an absence the exchange lives through what was
missed, candle by candle from the feed's history, before the daemon hears anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from adapters.sim.exchange import SimExchange
from adapters.sim.exchange_state import save_book
from domain.candles import CandleBatch, CandleWindow, Interval
from domain.events import (
    AccountSnapshot,
    Event,
    FillArrived,
    OrderCanceled,
    OrderLooked,
    OrderNamed,
    OrderOutcome,
    Quotes,
)
from domain.instruments import Universe
from domain.intents import OrderRequest
from domain.orders import Accepted, SubmitOutcome
from ports.candle_history import CandleHistory, HistoryUnavailable
from ports.clock import Clock
from ports.market_feed import MarketFeed
from ports.order_gateway import VenueUnavailable

CATCH_UP_CANDLES = 3_000
"""Steps that missed time is lived through in, at most: longer absences take longer candles."""


class PaperDesk:
    """Market feed, order gateway and account of one paper account on the market of `feed`."""

    def __init__(
        self,
        feed: MarketFeed,
        history: CandleHistory,
        universe: Universe,
        exchange: SimExchange,
        clock: Clock,
        state_path: Path,
        identity: Mapping[str, int],
    ) -> None:
        """`identity` says which market the account trades on; it is kept with the exchange's state."""
        self._feed = feed
        self._history = history
        self._universe = universe
        self._exchange = exchange
        self._clock = clock
        self._state_path = state_path
        self._identity = identity
        self._answers: dict[str, asyncio.Future[SubmitOutcome]] = {}
        self._news: list[Event] = []
        self._saved_changes = -1
        self._is_read = False
        """From then on the exchange lives through time by the feed's quotes."""

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

    async def cancel_foreign(self, symbol: str, oid: int) -> None:
        """Nobody else trades here, but the exchange may hold orders of a ledger that is gone."""
        self._news += self._exchange.cancel_oid(symbol, oid)
        self._save()

    async def burn(self, nonce: int) -> bool:
        """Nothing is signed here."""
        return True

    # ── account ──────────────────────────────────────────────────────────────────────────────

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        """Live through the time that was missed, then tell what the account's books say."""
        if not self._is_read:
            await self._catch_up(self._clock.now_ms())
        book = self._exchange.book
        events: list[Event] = [FillArrived(fill) for fill in book.fills if fill.time_ms >= fills_since_ms]
        events += book.fundings
        events += [OrderOutcome(held.request.cloid, Accepted(held.oid)) for held in book.all_resting()]
        events += [
            OrderCanceled(cloid, "not alive at the venue")
            for cloid in live_cloids
            if not self._exchange.is_alive(cloid)
        ]
        events.append(replace(self._exchange.snapshot(), fills_since_ms=fills_since_ms))
        self._save()
        return events

    async def snapshot(self) -> AccountSnapshot:
        return self._exchange.snapshot()

    async def look(self, cloid: str, since_ms: int, *, everywhere: bool) -> Sequence[Event]:
        """What an order that is over left are its fills: the exchange's word is final."""
        book = self._exchange.book
        told: list[Event] = [FillArrived(fill) for fill in book.fills if fill.cloid == cloid]
        told += [OrderOutcome(cloid, Accepted(held.oid)) for held in book.all_resting() if held.request.cloid == cloid]
        found = bool(told) or self._exchange.is_alive(cloid)
        return [*told, OrderLooked(cloid, found, book.now_ms, everywhere)]

    async def name_order(self, symbol: str, oid: int) -> OrderNamed | None:
        fills = (fill for fill in self._exchange.book.fills if fill.symbol == symbol and fill.oid == oid)
        return next((OrderNamed(symbol, oid, fill.cloid, is_trigger=False) for fill in fills), None)

    # ── market feed ──────────────────────────────────────────────────────────────────────────

    def watch(self, symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
        self._feed.watch(symbols, exit_symbols)

    async def events(self) -> AsyncIterator[Event]:
        self._is_read = True
        async for event in self._feed.events():
            if isinstance(event, Quotes):
                for news in self._through_exchange(event):
                    yield news
            yield event

    def _through_exchange(self, quotes: Quotes) -> Iterator[Event]:
        news = [*self._news, *self._exchange.on_quotes(quotes)]
        self._news = []
        self._save()
        for event in news:
            if isinstance(event, OrderOutcome) and (answer := self._answers.pop(event.cloid, None)) is not None:
                if not answer.done():
                    answer.set_result(event.outcome)
            else:
                yield event

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    async def _catch_up(self, now_ms: int) -> None:
        """Let the exchange live through [its time, now) on candles of the symbols that it has something in.

        Raises `VenueUnavailable` where the candles cannot be had: then nothing has been lived through.
        """
        book = self._exchange.book
        if book.now_ms and now_ms > book.now_ms:
            busy = {*book.account.positions, *book.resting, *(held.request.symbol for held in book.coming)}
            interval = _catch_up_interval(now_ms - book.now_ms)
            start_ms = interval.open_of(book.now_ms) + interval.ms
            windows = {}
            for symbol in sorted(busy):
                windows[self._universe.id_of(symbol)] = await self._missed(symbol, interval, start_ms, now_ms)
            for candles in _batches(windows, interval):
                self._exchange.open_candles(candles)
                self._exchange.run_candles(candles)
        book.now_ms = max(book.now_ms, now_ms)

    async def _missed(self, symbol: str, interval: Interval, start_ms: int, now_ms: int) -> CandleWindow:
        try:
            return await self._history.candles(symbol, interval, start_ms, interval.open_of(now_ms))
        except HistoryUnavailable as error:
            raise VenueUnavailable(f"what the paper account missed in {symbol} cannot be had: {error}") from error

    def _save(self) -> None:
        book = self._exchange.book
        if book.changes != self._saved_changes:
            save_book(self._state_path, book, self._identity)
            self._saved_changes = book.changes


def _batches(windows: Mapping[int, CandleWindow], interval: Interval) -> Iterator[CandleBatch]:
    """The windows of several symbols, by ids, as one batch per open time."""
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


def _catch_up_interval(missed_ms: int) -> Interval:
    """The shortest candles that cover the time in `CATCH_UP_CANDLES` steps."""
    return next((each for each in Interval if missed_ms <= each.ms * CATCH_UP_CANDLES), Interval.D1)
