"""Frames that a recording lacks and an engine needs: best prices out of books, candles out of trades."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Context, Decimal

import msgspec

from adapters.recordings.wire import LEVEL, TOUCH, TRADES, UNREADABLE, Trade, bbo_text, candle_text, exact
from domain.candles import Interval

BACKLOG_MS = 5_000
"""Trades that are older than this when a recording begins were sent as a backlog: they began no candle of it."""

_WIDE = Context(prec=80)
"""Adds up whatever sizes a day has, to the last digit."""


class Deriver:
    """Fed every frame in receive order; says which frames follow it.

    `quotes` are coins with books and no `bbo`, `candles` coins with trades and no candles of `interval`.
    """

    def __init__(self, quotes: Collection[str], candles: Collection[str], interval: Interval, first_ms: int) -> None:
        self._quotes = frozenset(quotes)
        self._touches: dict[str, tuple[bytes | None, bytes | None]] = {}
        self._folds = {coin: CandleFold(coin, interval, first_ms - BACKLOG_MS) for coin in candles}

    def after(self, channel: str, data: msgspec.Raw) -> list[str]:
        if channel == "l2Book" and self._quotes:
            return self._after_book(data)
        if channel == "trades" and self._folds:
            return self._after_trades(data)
        return []

    def _after_book(self, data: msgspec.Raw) -> list[str]:
        try:
            book = TOUCH.decode(data)
            if book.coin not in self._quotes:
                return []
            bid, ask = (bytes(side[0]) if side else None for side in book.levels)
            if (bid, ask) == self._touches.get(book.coin) or not _is_market(bid, ask):
                return []
        except UNREADABLE:
            return []  # nothing follows from what cannot be read: it was counted by the survey
        self._touches[book.coin] = bid, ask
        texts = (None if side is None else side.decode() for side in (bid, ask))
        return [bbo_text(book.coin, book.time, *texts)]

    def _after_trades(self, data: msgspec.Raw) -> list[str]:
        try:
            trades = TRADES.decode(data)
        except UNREADABLE:
            return []
        told: list[str] = []
        for coin in dict.fromkeys(trade.coin for trade in trades):
            fold = self._folds.get(coin)
            if fold is not None:
                told += fold.after([trade for trade in trades if trade.coin == coin])
        return told


def _is_market(bid: bytes | None, ask: bytes | None) -> bool:
    """Whether two levels can stand against each other: prices above zero, not crossed."""
    best_bid = None if bid is None else exact(LEVEL.decode(bid).px)
    best_ask = None if ask is None else exact(LEVEL.decode(ask).px)
    if (bid is not None and best_bid is None) or (ask is not None and best_ask is None):
        return False
    return best_bid is None or best_ask is None or best_bid <= best_ask


class CandleFold:
    """One coin's running candle, made of its trades: each trade id once, the earliest opens, the latest closes.

    Trades before `since_ms` or before the running candle come too late. Trade ids are remembered for the running
    candle only: an older one cannot come in again.
    """

    def __init__(self, coin: str, interval: Interval, since_ms: int) -> None:
        self._coin = coin
        self._interval = interval
        self._since_ms = since_ms
        self._begin(-1)

    def _begin(self, open_ms: int) -> None:
        self._open_ms = open_ms
        self._seen: set[int] = set()
        self._volume = Decimal(0)
        self._first: tuple[int, str] = (0, "")
        self._last: tuple[int, str] = (0, "")
        self._high: tuple[Decimal, str] = (Decimal(0), "")
        self._low: tuple[Decimal, str] = (Decimal(0), "")

    def after(self, trades: Collection[Trade]) -> list[str]:
        """Take one frame's trades: the candles that it changed, as frames, the running one last."""
        told: list[str] = []
        is_changed = False
        for trade in sorted(trades, key=lambda each: each.time):
            open_ms = self._interval.open_of(trade.time)
            if open_ms < self._open_ms or trade.time < self._since_ms or trade.tid in self._seen:
                continue
            price, size = exact(trade.px), exact(trade.sz)
            if price is None or size is None:
                continue
            if open_ms > self._open_ms:
                if is_changed:
                    told.append(self._text())
                self._begin(open_ms)
            self._add(trade, price, size)
            is_changed = True
        if is_changed:
            told.append(self._text())
        return told

    def _add(self, trade: Trade, price: Decimal, size: Decimal) -> None:
        if not self._seen:
            self._first = self._last = trade.time, trade.px
            self._high = self._low = price, trade.px
        if trade.time < self._first[0]:
            self._first = trade.time, trade.px
        if trade.time >= self._last[0]:
            self._last = trade.time, trade.px
        if price > self._high[0]:
            self._high = price, trade.px
        if price < self._low[0]:
            self._low = price, trade.px
        self._seen.add(trade.tid)
        self._volume = _WIDE.add(self._volume, size)

    def _text(self) -> str:
        prices = self._first[1], self._high[1], self._low[1], self._last[1]
        volume = format(self._volume, "f")
        return candle_text(self._coin, self._interval, self._open_ms, prices, volume, len(self._seen))
