"""A market whose quotes and trades a test writes itself, with the real exchange and one user in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np

from adapters.sim.venue.exchange.events import Filled, Printed, VenueEvent
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.orders import Grouping, OrderSpec, PlaceResult, Tif, TriggerSpec
from adapters.sim.venue.market.market import Market
from adapters.sim.venue.market.path import MarketPath, PathSecond
from adapters.sim.venue.settings import VenueSettings
from domain.candles import CandleWindow, IntColumn, Interval
from domain.instruments import Instrument, single_tier
from domain.intents import Side, Trigger, TriggerKind

TX = "0x" + 64 * "7"
T0 = 1_767_571_200_000
"""A full hour, day and minute."""

COINS = (Instrument("BTC", 5, single_tier(40)), Instrument("HYPE", 2, single_tier(10)))

Row = tuple[int, float, float, float, float, float, int]


class ScriptedPath:
    """Quotes hold from the second they are written for; a second has at most one trade a coin. All of it from `T0`."""

    def __init__(self, instruments: Sequence[Instrument] = COINS) -> None:
        self._instruments = tuple(instruments)
        self._quotes: dict[int, dict[int, tuple[float, float, float, float]]] = {
            place: {0: (100.0, 101.0, 5.0, 5.0)} for place in range(len(self._instruments))
        }
        self._trades: dict[tuple[int, int], tuple[bool, float, int]] = {}
        self._told: dict[int, PathSecond] = {}

    def quote(self, second: int, bid: float, ask: float, size: float = 5.0, *, place: int = 0) -> None:
        self._quotes[place][second] = (bid, ask, size, size)

    def trade(self, second: int, size: float, *, buys: bool, offset_ms: int = 500, place: int = 0) -> None:
        self._trades[place, second] = (buys, size, offset_ms)

    def instruments(self) -> tuple[Instrument, ...]:
        return self._instruments

    def second(self, open_ms: int) -> PathSecond:
        found = self._told.get(open_ms)
        if found is None:
            found = self._told[open_ms] = self._second(open_ms)
        return found

    def _second(self, open_ms: int) -> PathSecond:
        at = (open_ms - T0) // 1_000
        places = range(len(self._instruments))
        quotes = np.array([self._quote(place, at) for place in places]).T
        trades = [self._trades.get((place, at)) for place in places]
        buys = np.array([trade is not None and trade[0] for trade in trades])
        return PathSecond(
            open_ms=open_ms,
            bid=quotes[0],
            ask=quotes[1],
            bid_size=quotes[2],
            ask_size=quotes[3],
            traded=np.array([trade is not None for trade in trades]),
            offset_ms=np.array([0 if trade is None else trade[2] for trade in trades], dtype=np.int64),
            price=np.where(buys, quotes[1], quotes[0]),
            size=np.array([0.0 if trade is None else trade[1] for trade in trades]),
            buys=buys,
            tid=np.arange(len(places), dtype=np.int64) + at * 10,
        )

    def candles(self, place: int, interval: Interval, start_ms: int, end_ms: int) -> tuple[CandleWindow, IntColumn]:
        trades = sorted(at for owner, at in self._trades if owner == place)
        seconds = [self.second(T0 + at * 1_000) for at in trades]
        told = [(each.open_ms, float(each.price[place]), float(each.size[place])) for each in seconds]
        rows = folded(told, interval)
        rows = [row for row in rows if start_ms <= row[0] < end_ms]
        columns = [np.array([row[field] for row in rows], dtype=np.float64) for field in range(1, 6)]
        times = np.array([row[0] for row in rows], dtype=np.int64)
        window = CandleWindow(self._instruments[place].symbol, interval, times, *columns)
        return window, np.array([row[6] for row in rows], dtype=np.int64)

    def funding_rate(self, place: int, hour_ms: int) -> Decimal:
        return Decimal("0.001")

    def _quote(self, place: int, at: int) -> tuple[float, float, float, float]:
        written = self._quotes[place]
        return written[max((second for second in written if second <= at), default=0)]


def folded(trades: Iterable[tuple[int, float, float]], interval: Interval) -> list[Row]:
    """Candles of trades (time, price, size), by code that shares nothing with the venue's."""
    spans: dict[int, list[tuple[int, float, float]]] = {}
    for trade in trades:
        spans.setdefault(interval.open_of(trade[0]), []).append(trade)
    return [
        (
            open_ms,
            inside[0][1],
            max(trade[1] for trade in inside),
            min(trade[1] for trade in inside),
            inside[-1][1],
            float(sum(Decimal(repr(trade[2])) for trade in inside)),
            len(inside),
        )
        for open_ms, inside in sorted(spans.items())
    ]


def candle_rows(window: CandleWindow, trades: IntColumn) -> list[Row]:
    columns = (window.open_ms, window.open, window.high, window.low, window.close, window.volume, trades)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def path_trades(path: MarketPath, place: int, start_ms: int, end_ms: int) -> list[tuple[int, float, float]]:
    """Time, price and size of a path's trades in [start_ms, end_ms)."""
    return [
        (open_ms + int(second.offset_ms[place]), float(second.price[place]), float(second.size[place]))
        for open_ms in range(start_ms, end_ms, 1_000)
        for second in (path.second(open_ms),)
        if second.traded[place]
    ]


class Rig:
    """A market, its exchange, and Ann with 1,000,000. `run` moves time the way a facade does."""

    def __init__(self, path: MarketPath, start_ms: int = T0, seed: int = 1) -> None:
        self.exchange = Exchange(path.instruments(), VenueSettings(), start_ms)
        self.market = Market(path, self.exchange, seed, start_ms)
        self.ann = self.exchange.open_account("0xa", cash=Decimal(1_000_000))
        self.prints: list[Printed] = []
        self.fills: list[Filled] = []
        self.tops: list[str] = []

    def run(self, seconds: float) -> None:
        """Move to `T0` plus so many seconds."""
        self.market.advance(T0 + round(seconds * 1_000))
        self.settle()

    def settle(self) -> None:
        events: list[VenueEvent] = self.exchange.take_events()
        self.fills += [event for event in events if isinstance(event, Filled)]
        self.market.see(events)
        moves = self.market.take_moves()
        self.prints += moves.prints
        self.tops = moves.tops

    def place(
        self, side: Side, price: str, size: str, tif: Tif = Tif.GTC, *, coin: str = "BTC", stop: str | None = None
    ) -> PlaceResult:
        """One order of Ann's; with `stop`, a stop that takes at up to `price`."""
        trigger = None if stop is None else TriggerSpec(Trigger(TriggerKind.STOP_LOSS, Decimal(stop)), is_market=True)
        spec = OrderSpec(
            asset=self.exchange.asset_of(coin),
            side=side,
            price=Decimal(price),
            size=Decimal(size),
            reduce_only=stop is not None,
            tif=None if trigger else tif,
            trigger=trigger,
            cloid=None,
        )
        (result,) = self.exchange.place(self.ann, [spec], Grouping.NA, TX)
        self.settle()
        return result

    def filled(self) -> list[tuple[str, str]]:
        """Price and size of all fills so far, plain."""
        return [(str(each.fill.price), format(each.fill.size.normalize(), "f")) for each in self.fills]
