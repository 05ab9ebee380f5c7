"""The simulated market of a seed as the path of a local venue."""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal

from adapters.sim.market import MINUTE_MS, SECOND_MS, MinuteOfSeconds, SimMarket
from adapters.sim.venue.market.path import PathSecond
from domain.candles import CandleWindow, IntColumn, Interval
from domain.instruments import Instrument

MINUTES_CACHED = 4


class GeneratedPath:
    """`MarketPath` of the first `symbol_count` simulated symbols.

    There is no candle that opens before `listed_ms`: without that limit the market has no beginning, and who
    asks for all days of it waits half a minute.
    """

    def __init__(self, seed: int, symbol_count: int, listed_ms: int | None = None) -> None:
        self._market = SimMarket(seed, symbol_count)
        self._instruments = self._market.instruments()
        self._listed_ms = listed_ms
        self._minutes: OrderedDict[int, MinuteOfSeconds] = OrderedDict()

    def instruments(self) -> tuple[Instrument, ...]:
        return self._instruments

    def second(self, open_ms: int) -> PathSecond:
        into_minute = open_ms % MINUTE_MS
        minute_ms = open_ms - into_minute
        minute = self._minutes.get(minute_ms)
        if minute is None:
            minute = self._minutes[minute_ms] = self._market.seconds(minute_ms)
            while len(self._minutes) > MINUTES_CACHED:
                self._minutes.popitem(last=False)
        row, past = divmod(into_minute, SECOND_MS)
        assert past == 0, "a second is asked for by its open time"
        return PathSecond(
            open_ms,
            minute.bid[row],
            minute.ask[row],
            minute.bid_size[row],
            minute.ask_size[row],
            minute.traded[row],
            minute.offset_ms[row],
            minute.price[row],
            minute.size[row],
            minute.buys[row],
            minute.tid[row],
        )

    def candles(self, place: int, interval: Interval, start_ms: int, end_ms: int) -> tuple[CandleWindow, IntColumn]:
        if self._listed_ms is not None:
            start_ms = max(start_ms, self._listed_ms)
        return self._market.counted_candles(place, interval, start_ms, end_ms)

    def funding_rate(self, place: int, hour_ms: int) -> Decimal:
        return self._market.funding_rate(place, hour_ms)
