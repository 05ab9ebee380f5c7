"""Look through a recording once: which coins and channels it has, and how finely sizes and prices are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from adapters.recordings.timing import TimedFrame
from adapters.recordings.wire import BOOK, CANDLES, CHANNELS, MIDS, OF_COIN, QUOTE, TRADES, UNREADABLE
from domain.candles import Interval

_INTERVALS = frozenset(interval.value for interval in Interval)
_OTHER_MARKETS = ("@", "#")


@dataclass(slots=True)
class Figures:
    """The most decimals that a coin's sizes and prices were written with; -1 where none was seen."""

    size_decimals: int = -1
    price_decimals: int = -1

    def saw_size(self, text: str) -> None:
        if len(text) - text.find(".") - 1 > self.size_decimals:
            self.size_decimals = max(self.size_decimals, _decimals(text))

    def saw_price(self, text: str) -> None:
        if len(text) - text.find(".") - 1 > self.price_decimals:
            self.price_decimals = max(self.price_decimals, _decimals(text))


class Survey:
    """What was seen so far. `coins` have frames of their own, in order of appearance; `mids` stand in `allMids` only.

    `streams` holds (channel, coin), `candles` (coin, interval as text); `unreadable` counts frames by channel.
    `lines` are those that the venue spoke on.
    """

    def __init__(self) -> None:
        self.coins: dict[str, Figures] = {}
        self.mids: dict[str, Figures] = {}
        self.counts: Counter[str] = Counter()
        self.streams: set[tuple[str, str]] = set()
        self.candles: set[tuple[str, str]] = set()
        self.unreadable: Counter[str] = Counter()
        self.lines: set[int] = set()
        self.first_ms: int | None = None
        self.last_ms = 0
        self._readers: dict[str, Callable[[msgspec.Raw], None]] = {
            "l2Book": self._book,
            "bbo": self._quote,
            "trades": self._trades,
            "candle": self._candle,
            "activeAssetCtx": self._context,
            "allMids": self._mids,
        }

    def add(self, frame: TimedFrame) -> None:
        self.counts[frame.channel] += 1
        self.last_ms = frame.at_ms
        if self.first_ms is None:
            self.first_ms = self.last_ms
        if frame.channel in CHANNELS:
            self.lines.add(frame.line)
        reader = self._readers.get(frame.channel)
        if reader is None:
            return
        try:
            reader(frame.data)
        except UNREADABLE:
            self.unreadable[frame.channel] += 1

    def _coin(self, channel: str, coin: str) -> Figures:
        self.streams.add((channel, coin))
        figures = self.coins.get(coin)
        if figures is None:
            figures = self.coins[coin] = Figures()
        return figures

    def _book(self, data: msgspec.Raw) -> None:
        book = BOOK.decode(data)
        figures = self._coin("l2Book", book.coin)
        for side in book.levels:
            for level in side:
                figures.saw_price(level.px)
                figures.saw_size(level.sz)

    def _quote(self, data: msgspec.Raw) -> None:
        quote = QUOTE.decode(data)
        figures = self._coin("bbo", quote.coin)
        for level in quote.bbo:
            if level is not None:
                figures.saw_price(level.px)
                figures.saw_size(level.sz)

    def _trades(self, data: msgspec.Raw) -> None:
        for trade in TRADES.decode(data):
            figures = self._coin("trades", trade.coin)
            figures.saw_price(trade.px)
            figures.saw_size(trade.sz)

    def _candle(self, data: msgspec.Raw) -> None:
        found = CANDLES.decode(data)
        for row in found if isinstance(found, list) else [found]:
            figures = self._coin("candle", row.s)
            self.candles.add((row.s, row.i))
            _saw_prices(figures, (row.o, row.h, row.l, row.c))
            if row.i in _INTERVALS:
                figures.saw_size(row.v)

    def _context(self, data: msgspec.Raw) -> None:
        self._coin("activeAssetCtx", OF_COIN.decode(data).coin)

    def _mids(self, data: msgspec.Raw) -> None:
        for coin, price in MIDS.decode(data).mids.items():
            if not coin.startswith(_OTHER_MARKETS) and "/" not in coin:
                self.mids.setdefault(coin, Figures()).saw_price(price)


def _saw_prices(figures: Figures, texts: Iterable[str]) -> None:
    for text in texts:
        figures.saw_price(text)


def _decimals(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))
