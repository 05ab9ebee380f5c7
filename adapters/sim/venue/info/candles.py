"""`candleSnapshot`: whole buckets, the running one last, at most the newest 5,000 (§3.6).

The market knows candles up to a day. Longer ones are folded from days; the venue does not document
how it aligns them, so here 3d counts from the epoch, 1w from Mondays, 1M from the first of a month.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from adapters.sim.venue import shapes
from adapters.sim.venue.info.fields import Fields, UnanswerableError, UnreadableError
from adapters.sim.venue.info.readable import ReadableCandle, ReadableExchange, ReadableMarket
from domain.candles import Interval

CANDLES_KEPT = 5_000
DAY_MS = Interval.D1.ms
LONG_DAYS_KEPT = 1_000
"""How many days longer candles are folded from."""

_EPOCH = datetime.date(1970, 1, 1).toordinal()
_FIRST_MONDAY = 4
_INTERVALS = {interval.value: interval for interval in Interval}


class LongCandle(NamedTuple):
    open_ms: int
    end_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int


class Span(NamedTuple):
    """A bucket in days since the epoch, the last one exclusive."""

    first: int
    after: int


class CandleQuery:
    def __init__(self, exchange: ReadableExchange, market: ReadableMarket) -> None:
        self._exchange, self._market = exchange, market

    def answer(self, fields: Fields, now_ms: int) -> object:
        wanted = fields.nested("req")
        coin, interval = wanted.text("coin"), wanted.text("interval")
        start_ms = wanted.integer("startTime")
        end_ms = min(wanted.integer_or("endTime", now_ms), now_ms)
        if interval not in _INTERVALS and interval not in LONG:
            raise UnreadableError
        if coin not in self._exchange.by_coin:
            raise UnanswerableError
        rows = self._rows(coin, interval, start_ms, end_ms, now_ms) if start_ms <= end_ms else []
        return [shapes.candle_row(coin, interval, row) for row in rows[-CANDLES_KEPT:]]

    def _rows(self, coin: str, interval: str, start_ms: int, end_ms: int, now_ms: int) -> Sequence[ReadableCandle]:
        short = _INTERVALS.get(interval)
        if short is not None:
            oldest = short.open_of(now_ms) - (CANDLES_KEPT - 1) * short.ms
            # A span that ends before the oldest kept candle must not be asked for at all.
            return self._market.candles(coin, short, max(start_ms, oldest), end_ms) if end_ms >= oldest else []
        span_of = LONG[interval]
        oldest_day = span_of(now_ms // DAY_MS - LONG_DAYS_KEPT).first
        first_ms = max(span_of(min(start_ms, now_ms) // DAY_MS).first, oldest_day) * DAY_MS
        last_ms = min(span_of(end_ms // DAY_MS).after * DAY_MS - 1, now_ms)
        if last_ms < first_ms:
            return []
        return list(_folded(self._market.candles(coin, Interval.D1, first_ms, last_ms), span_of))


def _folded(days: Sequence[ReadableCandle], span_of: Callable[[int], Span]) -> Iterator[LongCandle]:
    for span, group in groupby(days, key=lambda day: span_of(day.open_ms // DAY_MS)):
        parts = list(group)
        yield LongCandle(
            open_ms=span.first * DAY_MS,
            end_ms=span.after * DAY_MS - 1,
            open=parts[0].open,
            high=max(part.high for part in parts),
            low=min(part.low for part in parts),
            close=parts[-1].close,
            volume=sum(part.volume for part in parts),
            trades=sum(part.trades for part in parts),
        )


def _three_days(day: int) -> Span:
    first = day - day % 3
    return Span(first, first + 3)


def _week(day: int) -> Span:
    first = day - (day - _FIRST_MONDAY) % 7
    return Span(first, first + 7)


def _month(day: int) -> Span:
    first = datetime.date.fromordinal(day + _EPOCH).replace(day=1)
    after = (first + datetime.timedelta(days=31)).replace(day=1)
    return Span(first.toordinal() - _EPOCH, after.toordinal() - _EPOCH)


LONG: dict[str, Callable[[int], Span]] = {"3d": _three_days, "1w": _week, "1M": _month}
