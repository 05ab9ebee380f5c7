"""Seconds out of minutes: paths draw a minute at once, readers ask second by second."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from adapters.sim.market import MINUTE_MS, MINUTES_CACHED, SECOND_MS, MinuteOfSeconds
from adapters.sim.venue.market.path import PathSecond


class MinuteSeconds:
    """Draws a minute by its open time when one of its seconds is asked for, and remembers the last few."""

    def __init__(self, draw: Callable[[int], MinuteOfSeconds]) -> None:
        self._draw = draw
        self._minutes: OrderedDict[int, MinuteOfSeconds] = OrderedDict()

    def second(self, open_ms: int) -> PathSecond:
        into_minute = open_ms % MINUTE_MS
        minute_ms = open_ms - into_minute
        minute = self._minutes.get(minute_ms)
        if minute is None:
            minute = self._minutes[minute_ms] = self._draw(minute_ms)
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
