"""The simulated market of a seed as the path of a local venue."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from adapters.sim.market import SimMarket
from adapters.sim.venue.market.minute_seconds import MinuteSeconds
from adapters.sim.venue.market.path import PathSecond
from domain.candles import CandleWindow, IntColumn, Interval
from domain.instruments import Instrument

MINUTES_CACHED = 4
RATES_CACHED = 32_768
"""A rate is made of an hour's prices; who asks for a history asks for hundreds of them, and soon again."""


class GeneratedPath:
    """`MarketPath` of the first `symbol_count` simulated symbols.

    There is no candle that opens before `listed_ms`: without that limit the market has no beginning, and who
    asks for all days of it waits half a minute.
    """

    def __init__(self, seed: int, symbol_count: int, listed_ms: int | None = None) -> None:
        self._market = SimMarket(seed, symbol_count)
        self._instruments = self._market.instruments()
        self._listed_ms = listed_ms
        self._seconds = MinuteSeconds(self._market.seconds)
        self._funding_rate = lru_cache(maxsize=RATES_CACHED)(self._market.funding_rate)

    def instruments(self) -> tuple[Instrument, ...]:
        return self._instruments

    def second(self, open_ms: int) -> PathSecond:
        return self._seconds.second(open_ms)

    def candles(self, place: int, interval: Interval, start_ms: int, end_ms: int) -> tuple[CandleWindow, IntColumn]:
        if self._listed_ms is not None:
            start_ms = max(start_ms, self._listed_ms)
        return self._market.counted_candles(place, interval, start_ms, end_ms)

    def funding_rate(self, place: int, hour_ms: int) -> Decimal:
        return self._funding_rate(place, hour_ms)
