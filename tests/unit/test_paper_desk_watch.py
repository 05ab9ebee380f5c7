"""Paper watches what its feed watches, and what the feed tells of its streams goes through untouched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from adapters.clocks import ManualClock
from adapters.sim.exchange import ExchangeRules, SimExchange
from adapters.sim.paper_desk import PaperDesk
from domain.candles import CandleWindow, Interval
from domain.events import CandleStreams, Event
from domain.instruments import Universe
from tests.builders import T0, make_instrument

STREAMS = CandleStreams(np.array([0], dtype=np.intp), Interval.M1, True)


class Feed:
    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], Sequence[str]]] = []

    def watch(self, symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
        self.asked.append((symbols, exit_symbols))

    async def events(self) -> AsyncIterator[Event]:
        yield STREAMS


class NoHistory:
    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        raise AssertionError("nobody asks for history here")


async def test_paper_watches_what_its_feed_watches(tmp_path: Path) -> None:
    feed, universe = Feed(), Universe([make_instrument("BTC")])
    exchange = SimExchange(universe, ExchangeRules(slippage_bps=Decimal(0)), Decimal(10_000), None, None)
    desk = PaperDesk(feed, NoHistory(), universe, exchange, ManualClock(T0), tmp_path / "exchange.json", {})
    desk.watch(["BTC"], ["ETH"])
    assert feed.asked == [(["BTC"], ["ETH"])]
    assert [event async for event in desk.events()] == [STREAMS]
