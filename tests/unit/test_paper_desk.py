"""Paper on somebody else's prices: orders meet quotes before the engine does; the account lives on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from adapters.clocks import ManualClock
from adapters.sim.exchange import ExchangeRules, SimExchange
from adapters.sim.exchange_state import load_book
from adapters.sim.market import SimMarket
from adapters.sim.paper_desk import PaperDesk
from domain.candles import CandleWindow, Interval, with_quiet_spans
from domain.events import AccountSnapshot, Event, FillArrived, OrderCanceled, OrderOutcome, Quotes
from domain.instruments import Universe
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind
from domain.orders import Accepted, Rejected
from ports.candle_history import HistoryUnavailable
from ports.order_gateway import VenueUnavailable

START_MS = 1_767_571_200_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
SYMBOLS = ("SOL", "BTC", "kPEPE")
"""Not in the market's order: ids of the session are not places in the market."""


def market_order(cloid: str, side: Side, size: str, price: float, *, reduce_only: bool = False) -> OrderRequest:
    limit = Decimal(repr(price)) * (Decimal("1.05") if side is Side.BUY else Decimal("0.95"))
    return OrderRequest(
        cloid=cloid,
        intent_id=cloid,
        symbol="BTC",
        side=side,
        size=Decimal(size),
        limit_price=limit.quantize(Decimal(1)),
        time_in_force=TimeInForce.IOC,
        reduce_only=reduce_only,
        trigger=None,
        leverage=Decimal(2),
    )


class SecondsFeed:
    """The market's quotes, once a second."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def watch(self, symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
        """All of the market is told, always."""

    async def events(self) -> AsyncIterator[Event]:
        setting = self._setting
        names = [instrument.symbol for instrument in setting.market.instruments()]
        places = np.array([names.index(symbol) for symbol in SYMBOLS])
        at_ms = setting.clock.now_ms()
        while True:
            at_ms += 1_000
            await setting.clock.sleep_until(at_ms)
            bid, ask = setting.market.quotes(at_ms)
            yield Quotes(at_ms, np.arange(len(SYMBOLS)), bid[places], ask[places])


class MarketHistory:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        if not self._setting.has_history:
            raise HistoryUnavailable("nobody answers")
        names = [instrument.symbol for instrument in self._setting.market.instruments()]
        return with_quiet_spans(self._setting.market.candles(names.index(symbol), interval, start_ms, end_ms), end_ms)


class Setting:
    """A desk on a clock that stands still, and what it needs to be started again."""

    has_history = True

    def __init__(self, folder: Path, at_ms: int = START_MS) -> None:
        self.market = SimMarket(seed=11, symbol_count=8)
        listed = {instrument.symbol: instrument for instrument in self.market.instruments()}
        self.universe = Universe(listed[symbol] for symbol in SYMBOLS)
        self.path = folder / "exchange.json"
        self.clock = ManualClock(at_ms)
        saved = load_book(self.path)
        rules = ExchangeRules(slippage_bps=Decimal(0))
        book = None if saved is None else saved.book
        self.exchange = SimExchange(self.universe, rules, Decimal(10_000), None, book)
        identity = {"seed": 11}
        feed, history = SecondsFeed(self), MarketHistory(self)
        self.venue = PaperDesk(feed, history, self.universe, self.exchange, self.clock, self.path, identity)
        self.heard: list[Event] = []

    async def listen(self, until_ms: int) -> None:
        """Take events up to a moment of the market's time."""

        async def follow() -> None:
            async for event in self.venue.events():
                self.heard.append(event)

        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        await self.clock.advance_to(until_ms)
        following.cancel()

    def mid(self, at_ms: int) -> float:
        bid, ask = self.market.quotes(at_ms)
        return float(bid[0] + ask[0]) / 2


async def test_an_order_is_answered_after_its_latency_and_its_fill_told_before_later_quotes(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    answer = asyncio.create_task(setting.venue.submit(market_order("0x1", Side.BUY, "0.02", setting.mid(START_MS))))
    await asyncio.sleep(0)
    assert not answer.done()
    await setting.listen(START_MS + 1_500)
    assert isinstance(await answer, Accepted)
    kinds = [type(event) for event in setting.heard]
    assert kinds.index(FillArrived) < kinds.index(Quotes)
    assert OrderOutcome not in kinds, "the answer goes to whoever sent the order"


async def test_what_happened_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    answer = asyncio.create_task(setting.venue.submit(market_order("0x1", Side.BUY, "0.02", setting.mid(START_MS))))
    await setting.listen(START_MS + 1_500)
    await answer
    saved = load_book(setting.path)
    assert saved is not None
    assert saved.book.account.size("BTC") == Decimal("0.02")
    assert len(saved.book.fills) == 1


async def test_a_stop_triggers_while_the_daemon_is_down(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    entry = asyncio.create_task(setting.venue.submit(market_order("0x1", Side.BUY, "0.02", setting.mid(START_MS))))
    await setting.listen(START_MS + 1_500)
    await entry
    window = setting.market.candles(0, Interval.M1, START_MS + MINUTE_MS, START_MS + 6 * HOUR_MS)
    level = Decimal(repr(float(np.sort(window.low)[len(window) // 4]))).quantize(Decimal(1))
    stop = replace(
        market_order("0x2", Side.SELL, "0.02", float(level), reduce_only=True),
        time_in_force=TimeInForce.GTC,
        trigger=Trigger(TriggerKind.STOP_LOSS, level),
    )
    sent = asyncio.create_task(setting.venue.submit(stop))
    await setting.listen(START_MS + 4_500)
    assert isinstance(await sent, Accepted)

    again = Setting(tmp_path, START_MS + 6 * HOUR_MS)
    news = await again.venue.recover(["0x2", "0x3"], 0)
    fills = [event.fill for event in news if isinstance(event, FillArrived)]
    assert [fill.cloid for fill in fills] == ["0x1", "0x2"]
    assert fills[1].price <= level
    assert OrderCanceled("0x3", "not alive at the venue") in news
    snapshot = news[-1]
    assert isinstance(snapshot, AccountSnapshot)
    assert snapshot.positions == ()
    assert snapshot.at_ms >= START_MS + 6 * HOUR_MS - MINUTE_MS


async def test_a_refused_order_is_answered_with_the_venue_s_word(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    tiny = asyncio.create_task(setting.venue.submit(market_order("0x1", Side.BUY, "0.0001", setting.mid(START_MS))))
    await setting.listen(START_MS + 1_500)
    answer = await tiny
    assert isinstance(answer, Rejected)
    assert "$10" in answer.text


async def test_what_was_missed_and_cannot_be_had_stops_the_start(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    entry = asyncio.create_task(setting.venue.submit(market_order("0x1", Side.BUY, "0.02", setting.mid(START_MS))))
    await setting.listen(START_MS + 1_500)
    await entry
    again = Setting(tmp_path, START_MS + HOUR_MS)
    again.has_history = False
    with pytest.raises(VenueUnavailable, match="what the paper account missed in BTC"):
        await again.venue.recover([], 0)
