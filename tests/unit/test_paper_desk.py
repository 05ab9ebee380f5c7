"""The local venue behind the daemon's ports: what it streams is its market, and it lives on while nobody listens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from adapters.clocks import ManualClock
from adapters.sim.exchange import ExchangeRules, SimExchange
from adapters.sim.exchange_state import load_book
from adapters.sim.forming import FormingCandles
from adapters.sim.local_venue import LocalVenue
from adapters.sim.market import SimMarket
from domain.candles import CandleBatch, Interval
from domain.events import AccountSnapshot, CandleUpdates, Event, FillArrived, OrderCanceled, OrderOutcome, Quotes
from domain.instruments import Universe
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind
from domain.orders import Accepted, Rejected

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


class Setting:
    """A venue on a clock that stands still, and what it needs to be started again."""

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
        self.venue = LocalVenue(self.market, self.universe, self.exchange, self.clock, Interval.M1, self.path, identity)
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


async def test_streamed_candles_end_as_the_market_s_own(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    await setting.listen(START_MS + 10 * MINUTE_MS + 1)
    last: dict[tuple[str, int], tuple[float, ...]] = {}
    for event in setting.heard:
        if isinstance(event, CandleUpdates):
            candles = event.candles
            for place, symbol_id in enumerate(candles.ids.tolist()):
                columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
                last[SYMBOLS[symbol_id], candles.open_ms] = tuple(float(column[place]) for column in columns)
    names = [instrument.symbol for instrument in setting.market.instruments()]
    for symbol in SYMBOLS:
        window = setting.market.candles(names.index(symbol), Interval.M1, START_MS, START_MS + 10 * MINUTE_MS)
        assert len(window) > 0
        for place, open_ms in enumerate(window.open_ms.tolist()):
            columns = (window.open, window.high, window.low, window.close, window.volume)
            expected = tuple(float(column[place]) for column in columns)
            assert last[symbol, open_ms] == pytest.approx(expected, rel=1e-12)


async def test_quotes_come_every_second_in_the_session_s_order(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    await setting.listen(START_MS + 5_500)
    quotes = [event for event in setting.heard if isinstance(event, Quotes)]
    assert [event.venue_ms for event in quotes] == [START_MS + 1_000 * second for second in range(1, 6)]
    bid, _ = setting.market.quotes(START_MS + 1_000)
    assert quotes[0].bid[1] == bid[0], "BTC is id 1 of this session and the first of the market"


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
    news = await again.venue.recover(["0x2", "0x3"])
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


async def test_history_has_no_holes_and_never_the_running_candle(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    window = await setting.venue.candles("kPEPE", Interval.M1, START_MS - 300 * MINUTE_MS, START_MS)
    assert window.open_ms.tolist() == list(range(int(window.open_ms[0]), START_MS, MINUTE_MS))


@pytest.mark.parametrize("interval", [Interval.M1, Interval.M5, Interval.H1])
def test_forming_candles_agree_with_the_market_whenever_they_are_joined(interval: Interval) -> None:
    market = SimMarket(seed=3, symbol_count=4)
    forming = FormingCandles(market, np.arange(4, dtype=np.intp), interval)
    joined_ms = START_MS + interval.ms // 2
    forming.start(joined_ms)
    told: list[CandleBatch] = []
    for at_ms in range(joined_ms, START_MS + interval.ms + 1, 30_000):
        told += forming.at(at_ms)
    final = [candles for candles in told if candles.open_ms == START_MS][-1]
    for place, symbol_id in enumerate(final.ids.tolist()):
        window = market.candles(symbol_id, interval, START_MS, START_MS + interval.ms)
        assert final.open[place] == window.open[0]
        assert final.high[place] == window.high[0]
        assert final.low[place] == window.low[0]
        assert final.close[place] == window.close[0]
        assert final.volume[place] == window.volume[0], "to the bit: indicators are rebuilt from it"
