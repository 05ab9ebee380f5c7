"""The market as its readers see it: the path, the house that quotes around it, and the users in between.

    path ─▶ second by second ─▶ quotes on the books that users are in ─▶ marks, funding, trades of the flow

Trades of the path happen in slots of 100 ms. Where a user's order rests they go through the book, else they are
only printed. What exchanges make of it comes back through `see`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from adapters.sim.market import HOUR_MS, MINUTE_MS, SECOND_MS
from adapters.sim.venue.exchange.events import Printed, VenueEvent
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.order_book import Level
from adapters.sim.venue.market.book_figures import AssetContext, aggregated, context_of
from adapters.sim.venue.market.day_figures import DayDesk
from adapters.sim.venue.market.house import LEVELS, House
from adapters.sim.venue.market.path import MarketPath, PathSecond
from adapters.sim.venue.market.public_tape import Places, PublicTape, slots_of
from adapters.sim.venue.market.running_candles import CandleRow, RunningCandles
from adapters.sim.venue.numbers import float_text, text
from adapters.sim.venue.settings import Cadence
from domain.candles import BoolColumn, FloatColumn, Interval
from domain.instruments import exact_price
from domain.intents import Side

__all__ = ["AssetContext", "CandleRow", "Market", "Moves", "Top"]


class Top(NamedTuple):
    """Both touches in the wire's text; None and 0 where a side is empty."""

    bid_px: str | None
    bid_sz: str | None
    bid_n: int
    ask_px: str | None
    ask_sz: str | None
    ask_n: int


_NO_TOP = Top(None, None, 0, None, None, 0)


class Moves(NamedTuple):
    """Coins whose top changed, and trades, oldest first."""

    tops: list[str]
    prints: list[Printed]


class Market:
    """All coins of `path`, whose places are the exchange's asset ids.

    `advance` first, then the acts of users; the events of both go through `see` before anything is asked.
    """

    def __init__(
        self,
        path: MarketPath,
        exchange: Exchange,
        seed: int,
        start_ms: int,
        *,
        mark_every_ms: int = Cadence().mark,
        step_ms: int = SECOND_MS,
    ) -> None:
        self.path = path
        self._exchange, self._mark_every_ms, self._step_ms = exchange, mark_every_ms, step_ms
        self._coins = [instrument.symbol for instrument in path.instruments()]
        self._house = House(path, exchange, seed)
        self._candles = RunningCandles(path)
        self._days = DayDesk(self._candles)
        self._live: dict[str, int] = {}
        """Coins whose quotes stand on their books, and their places."""
        self._tape = PublicTape(path, start_ms)
        self._leftovers: list[Printed] = []
        """What trades of the flow did not get from books; it was printed behind what they did get."""
        self._told: dict[str, Top] = {}
        """Tops that are watched one by one, as last told; all others are the path's at `_shown`."""
        self._tops: list[tuple[int, Top] | None] = [None] * len(self._coins)
        self._delisted: frozenset[str] = frozenset()
        self._listed: BoolColumn = np.ones(len(self._coins), dtype=np.bool_)
        self._start(start_ms)
        exchange.sync = self.sync

    # ── time ─────────────────────────────────────────────────────────────────────────────────

    def advance(self, to_ms: int) -> None:
        """Let everything happen that is due up to `to_ms`, each at its own time."""
        while True:
            due_ms = min(self._second.open_ms + self._step_ms, self._next_mark_ms)
            self._trade(min(due_ms - 1, to_ms))
            if due_ms > to_ms:
                break
            self._set_clock(due_ms)
            if due_ms == self._second.open_ms + self._step_ms:
                self._open_second(due_ms)
                if due_ms % HOUR_MS == 0:
                    self._fund(due_ms)
            if due_ms == self._next_mark_ms:
                self._mark()
        self._set_clock(to_ms)

    def next_due_ms(self) -> int:
        """When the next thing happens by itself; at most a second ahead."""
        due_ms = min(self._second.open_ms + self._step_ms, self._next_mark_ms)
        if self._next_trade < len(self._due_places):
            return min(due_ms, self._second.open_ms + self._due_slots.item(self._next_trade))
        return due_ms

    def sync(self, coin: str) -> None:
        """Put the house's quotes on a coin's book; they stay while a user's order rests there."""
        if coin not in self._live and coin not in self._exchange.delisted:
            place = self._live[coin] = self._exchange.asset_of(coin)
            self._told.setdefault(coin, self._path_top(place, self._shown))
            self._house.stand(place, self._second)

    def see(self, events: Iterable[VenueEvent]) -> None:
        """Take note of the trades among the exchange's events; every event is handed in once, in order."""
        prints = [event for event in events if isinstance(event, Printed)]
        if self._leftovers:
            prints = sorted(prints + self._leftovers, key=attrgetter("time_ms"))
            self._leftovers = []
        for printed in prints:
            place = self._exchange.asset_of(printed.coin)
            self._candles.add_print(place, printed.time_ms, float(printed.price), float(printed.size))
            self._tape.add(place, printed)

    # ── what readers ask ─────────────────────────────────────────────────────────────────────

    def top(self, coin: str) -> Top:
        if coin in self._exchange.delisted:
            return _NO_TOP
        if coin in self._live:
            return self._book_top(coin)
        place = self._exchange.asset_of(coin)
        cached = self._tops[place]
        if cached is None or cached[0] != self._second.open_ms:
            cached = self._tops[place] = (self._second.open_ms, self._path_top(place, self._second))
        return cached[1]

    def levels(
        self, coin: str, depth: int = LEVELS, significant: int | None = None, mantissa: int | None = None
    ) -> tuple[list[Level], list[Level]]:
        """Bids and asks, best first. Aggregated ones are made of the levels that there are, so they may be few."""
        if coin in self._exchange.delisted:
            return [], []
        seen = None if significant is not None else depth
        if coin in self._live:
            book = self._exchange.books[coin]
            bids, asks = (book.levels(side, seen) for side in (Side.BUY, Side.SELL))
        else:
            place = self._exchange.asset_of(coin)
            shown = LEVELS if seen is None else min(seen, LEVELS)
            bids, asks = (self._house.levels(place, side, self._second, shown) for side in (Side.BUY, Side.SELL))
        if significant is None:
            return bids, asks
        return (
            aggregated(bids, Side.BUY, significant, mantissa or 1)[:depth],
            aggregated(asks, Side.SELL, significant, mantissa or 1)[:depth],
        )

    def mid(self, coin: str) -> Decimal | None:
        top = self.top(coin)
        if top.bid_px is None or top.ask_px is None:
            return None
        return (Decimal(top.bid_px) + Decimal(top.ask_px)) / 2

    def recent_trades(self, coin: str, count: int = 30) -> list[Printed]:
        """The last trades, oldest first; the first ones are from before the start."""
        return self._tape.recent(self._exchange.asset_of(coin), count)

    def candles(self, coin: str, interval: Interval, start_ms: int, end_ms: int) -> list[CandleRow]:
        """Candles from the one that holds `start_ms` up to the one that holds `end_ms`, at most the newest 5,000;
        the running one is among them. Spans without a trade are absent."""
        place = self._exchange.asset_of(coin)
        return self._candles.candles(place, interval, start_ms, end_ms, self._exchange.now_ms)

    def context(self, coin: str) -> AssetContext:
        now_ms = self._exchange.now_ms
        place = self._exchange.asset_of(coin)
        day = self._days.figures(place, now_ms)
        # Where no user rests, the touch stands for what the impact notional would get: the house is deep there.
        bids, asks = self.levels(coin, LEVELS if coin in self._live else 1)
        funding = self._funding(place, now_ms - now_ms % HOUR_MS + HOUR_MS)
        return context_of(self._exchange, coin, day, (bids, asks), funding, self.mid(coin))

    def take_moves(self) -> Moves:
        """What moved since the last call."""
        self.see(())
        tops = self._changed_tops()
        self._shown = self._second
        self._candles.settle(self._exchange.now_ms)
        return Moves(tops, self._tape.take())

    # ── seconds ──────────────────────────────────────────────────────────────────────────────

    def _start(self, start_ms: int) -> None:
        """Look up the running minute so far; nothing of it is told."""
        minute_ms, second_ms = start_ms - start_ms % MINUTE_MS, start_ms - start_ms % self._step_ms
        self._set_clock(start_ms)
        self._candles.begin(minute_ms)
        self._fundings: dict[int, tuple[int, Decimal]] = {}
        self._shown = self.path.second(second_ms)
        for open_ms in range(minute_ms, second_ms + 1, self._step_ms):
            self._open_second(open_ms)
            self._fold(self._take_due(start_ms - 1))
        self._marked_bid: FloatColumn = np.zeros(len(self._coins))
        self._marked_ask: FloatColumn = np.zeros(len(self._coins))
        self._next_mark_ms = start_ms
        self._mark()

    def _set_clock(self, now_ms: int) -> None:
        self._exchange.now_ms = max(self._exchange.now_ms, now_ms)

    def _open_second(self, open_ms: int) -> None:
        """New quotes, and with them the trades that will come in this second."""
        self._second = second = self.path.second(open_ms)
        if open_ms % MINUTE_MS == 0:
            self._candles.begin(open_ms)
        traded = second.traded
        if self._exchange.delisted or self._delisted:
            self._follow_delisted(open_ms)
            traded = traded & self._listed
        places = np.flatnonzero(traded)
        slots = slots_of(second, places)
        order = np.argsort(slots, kind="stable")
        self._due_places, self._due_slots = places[order], slots[order]
        self._next_trade = 0
        for coin, place in list(self._live.items()):
            if self._house.has_users(coin) and coin not in self._delisted:
                self._house.stand(place, second)
            else:
                self._house.leave(coin)
                del self._live[coin]

    def _follow_delisted(self, open_ms: int) -> None:
        """The path goes on without knowing that a coin has left."""
        delisted = frozenset(self._exchange.delisted)
        for coin in delisted ^ self._delisted:
            place = self._exchange.asset_of(coin)
            self._told.setdefault(coin, self._path_top(place, self._shown) if coin in delisted else _NO_TOP)
            self._listed[place] = coin not in delisted
        self._delisted = delisted
        for coin in delisted:
            self._candles.touch(self._exchange.asset_of(coin), open_ms - open_ms % MINUTE_MS)

    def _mark(self) -> None:
        """Mark and oracle are the path's mid."""
        second = self._second
        self._next_mark_ms += self._mark_every_ms - self._next_mark_ms % self._mark_every_ms
        moved = (second.bid != self._marked_bid) | (second.ask != self._marked_ask)
        moved &= self._listed | (self._marked_bid == 0.0)  # also a coin that left before the start had a price once
        self._marked_bid, self._marked_ask = second.bid, second.ask
        places = np.flatnonzero(moved)
        quotes = zip(places.tolist(), second.bid[places].tolist(), second.ask[places].tolist(), strict=True)
        marks = {self._coins[place]: (exact_price(bid) + exact_price(ask)) / 2 for place, bid, ask in quotes}
        self._exchange.set_marks(marks, marks)

    def _fund(self, hour_ms: int) -> None:
        """Pay what is held; the rates of other coins are nobody's business now."""
        held = {coin for account in self._exchange.accounts.values() for coin in account.positions}
        rates = {coin: self._funding(self._exchange.asset_of(coin), hour_ms) for coin in sorted(held)}
        self._exchange.fund(hour_ms, rates)

    def _funding(self, place: int, hour_ms: int) -> Decimal:
        found = self._fundings.get(place)
        if found is None or found[0] != hour_ms:
            found = self._fundings[place] = (hour_ms, self.path.funding_rate(place, hour_ms))
        return found[1]

    # ── trades of the flow ───────────────────────────────────────────────────────────────────

    def _trade(self, upto_ms: int) -> None:
        places = self._take_due(upto_ms)
        if not len(places):
            return
        if self._live:
            through = np.array([self._coins[place] in self._live for place in places.tolist()])
            for place in places[through].tolist():
                self._trade_through(place)
            places = places[~through]
        self._fold(places)
        for place, printed in zip(places.tolist(), self._tape.trades_of(self._second, places), strict=True):
            self._tape.add(place, printed)

    def _take_due(self, upto_ms: int) -> Places:
        """Coins whose trade of this second is due, in order of time."""
        begin = self._next_trade
        if begin == len(self._due_places):
            return self._due_places[:0]
        end = int(np.searchsorted(self._due_slots, upto_ms - self._second.open_ms, side="right"))
        self._next_trade = max(begin, end)
        return self._due_places[begin:end]

    def _fold(self, places: Places) -> None:
        second = self._second
        times = second.open_ms + slots_of(second, places)
        minute_ms = second.open_ms - second.open_ms % MINUTE_MS
        self._candles.add(minute_ms, places, times, second.price[places], second.size[places])

    def _trade_through(self, place: int) -> None:
        """A trade of the path meets a book that users may be in; what it does not get there is only printed."""
        second, coin = self._second, self._coins[place]
        (printed,) = self._tape.trades_of(second, np.array([place]))
        self._set_clock(printed.time_ms)
        left = printed.size
        if self._house.has_users(coin):
            left -= self._house.trade(coin, printed.side, printed.size, printed.price, printed.hash)
        if left:
            self._leftovers.append(replace(printed, size=left))

    # ── tops ─────────────────────────────────────────────────────────────────────────────────

    def _changed_tops(self) -> list[str]:
        tops = []
        if self._second is not self._shown:
            now, before = self._second, self._shown
            moved = (now.bid != before.bid) | (now.ask != before.ask)
            moved |= (now.bid_size != before.bid_size) | (now.ask_size != before.ask_size)
            tops = [self._coins[place] for place in np.flatnonzero(moved & self._listed).tolist()]
            if self._told:
                tops = [coin for coin in tops if coin not in self._told]
        for coin, told in list(self._told.items()):
            top = self.top(coin)
            if top != told:
                tops.append(coin)
            if coin in self._live:
                self._told[coin] = top
            else:
                del self._told[coin]
        return tops

    def _path_top(self, place: int, second: PathSecond) -> Top:
        bid, ask = float_text(second.bid.item(place)), float_text(second.ask.item(place))
        return Top(bid, float_text(second.bid_size.item(place)), 1, ask, float_text(second.ask_size.item(place)), 1)

    def _book_top(self, coin: str) -> Top:
        book = self._exchange.books[coin]
        bid, ask = book.levels(Side.BUY, 1), book.levels(Side.SELL, 1)
        return Top(
            *((text(bid[0].price), text(bid[0].size), bid[0].count) if bid else (None, None, 0)),
            *((text(ask[0].price), text(ask[0].size), ask[0].count) if ask else (None, None, 0)),
        )
