"""Quotes and running candles through the hub, one event at a time: how many a second, and what they leave in memory.

Beside them the same events made and thrown away: what they cost before anybody looks at them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adapters.sim.symbols import profiles
from application.market_data_hub import MarketDataHub
from benchmarks._runs import Figures, main
from domain.candles import CandleBatch, CandleWindow, Interval
from domain.events import CandleUpdates, Event, Quotes
from domain.instruments import Universe

SYMBOLS = 200
WARM_EVENTS = 300_000
EVENTS = 1_000_000
START_MS = 1_767_571_200_000
EVENT_MS = 5
"""Between two events: a million of them are an hour and a half, and close eighty minutes of candles."""


def run(events: int = EVENTS, warm_events: int = WARM_EVENTS) -> Figures:
    universe = Universe(profile.instrument for profile in profiles(SYMBOLS))
    hub = MarketDataHub(universe, Interval.M1, 1_000)
    for symbol_id, symbol in enumerate(universe.symbols):
        hub.anchor(symbol_id, _history(symbol))
    made = iter(_events(warm_events + events))
    taken = _through(hub, made, warm_events)
    before_kib = rss_kib()
    started = time.perf_counter()
    taken += _through(hub, made, events)
    took_s = time.perf_counter() - started
    grown_kib = rss_kib() - before_kib
    started = time.perf_counter()
    for _ in _events(events // 10):
        pass
    bare_s = 10 * (time.perf_counter() - started)
    minutes = (warm_events + events) * EVENT_MS // Interval.M1.ms
    return {
        "events": events,
        "candles_closed": taken,
        "candles_expected": (minutes + 1) * SYMBOLS,
        "events_per_s": round(events / took_s),
        "ratio_to_making_them": round(bare_s / took_s, 3),
        "rss_growth_kib": grown_kib,
    }


def _through(hub: MarketDataHub, events: Iterator[Event], count: int) -> int:
    taken = 0
    for _ in range(count):
        event = next(events)
        if isinstance(event, Quotes):
            at_ms = event.venue_ms
            hub.apply_quotes(event, at_ms)
        else:
            assert isinstance(event, CandleUpdates), "these two kinds are made"
            at_ms = event.venue_ms
            hub.apply_updates(event, at_ms)
        if hub.is_due(at_ms):
            taken += sum(len(batch.candles) for batch in hub.due(at_ms))
    return taken


def _events(count: int) -> Iterator[Event]:
    """Two quotes, then a candle, symbol after symbol."""
    volume = 0.0
    for number in range(count):
        at_ms = START_MS + number * EVENT_MS
        ids = np.array([number // 3 % SYMBOLS], dtype=np.intp)
        price = np.array([100.0 + number % 7])
        if number % 3:
            yield Quotes(at_ms, ids, price, price)
        else:
            volume += 1.0
            row = (price, price, price, price, np.array([volume]))
            yield CandleUpdates(CandleBatch(Interval.M1, Interval.M1.open_of(at_ms), ids, *row), at_ms)


def _history(symbol: str) -> CandleWindow:
    times = np.arange(START_MS - 700 * Interval.M1.ms, START_MS, Interval.M1.ms, dtype=np.int64)
    return CandleWindow(symbol, Interval.M1, times, *(np.ones(len(times)) for _ in range(5)))


def rss_kib() -> int:
    statm = Path("/proc/self/statm").read_text()
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
