"""A local venue as its readers find it: an account that has done everything once, and the desk above it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.exchange.events import Printed, VenueEvent
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.order_book import Level
from adapters.sim.venue.exchange.orders import Grouping, OrderSpec, PlaceResult, Tif, TriggerSpec
from adapters.sim.venue.info.desk import InfoDesk
from adapters.sim.venue.limits import AddressBudget
from adapters.sim.venue.market.path import PathSecond
from adapters.sim.venue.settings import VenueSettings
from domain.candles import CandleWindow, Interval
from domain.instruments import Instrument, MarginTier, single_tier
from domain.intents import Side, Trigger, TriggerKind

START_MS = 1_791_252_000_000
TRADER = "0x" + "ab" * 20
CHILD = "0x" + "cd" * 20
LOSER = "0x" + "ef" * 20
AGENT = "0x" + "12" * 20
HOUSE = "0x" + 39 * "0" + "1"
FLOW = "0x" + 39 * "0" + "2"
TX = "0x" + "77" * 32
CLOID = "0x" + "0a" * 16
PARENT = "0x" + "0e" * 16

INSTRUMENTS = (
    Instrument("BTC", 5, (MarginTier(Decimal(0), 40), MarginTier(Decimal(150_000_000), 20))),
    Instrument("ETH", 4, (MarginTier(Decimal(0), 25), MarginTier(Decimal(100_000_000), 15))),
    Instrument("MATIC", 1, single_tier(20), delisted=True),
    Instrument("HYPE", 2, (MarginTier(Decimal(0), 10), MarginTier(Decimal(7), 5))),
    Instrument("kPEPE", 0, single_tier(5)),
)
MARKS = {
    "BTC": Decimal(60_000),
    "ETH": Decimal("2700.5"),
    "MATIC": Decimal("0.37"),
    "HYPE": Decimal("37.83"),
    "kPEPE": Decimal("0.0123"),
}


def spec(
    asset: int,
    side: Side,
    price: str,
    size: str,
    tif: Tif | None = Tif.GTC,
    trigger: TriggerSpec | None = None,
    *,
    reduce_only: bool = False,
    cloid: str | None = None,
) -> OrderSpec:
    return OrderSpec(asset, side, Decimal(price), Decimal(size), reduce_only, None if trigger else tif, trigger, cloid)


def stop(price: str, *, is_market: bool = True) -> TriggerSpec:
    return TriggerSpec(Trigger(TriggerKind.STOP_LOSS, Decimal(price)), is_market)


def profit(price: str, *, is_market: bool = True) -> TriggerSpec:
    return TriggerSpec(Trigger(TriggerKind.TAKE_PROFIT, Decimal(price)), is_market)


@dataclasses.dataclass(frozen=True)
class Candle:
    open_ms: int
    end_ms: int
    open: float = 100.0
    high: float = 110.5
    low: float = 99.0
    close: float = 101.0
    volume: float = 5.25
    trades: int = 3


@dataclasses.dataclass(frozen=True)
class Context:
    funding: Decimal
    open_interest: Decimal
    prev_day_px: Decimal
    day_notional: Decimal
    premium: Decimal | None
    oracle: Decimal
    mark: Decimal
    mid: Decimal | None
    impact: tuple[Decimal, Decimal] | None
    day_volume: Decimal


class BasePath:
    """Funding alone: the base rate, and another one at hours that 5 divides."""

    def instruments(self) -> tuple[Instrument, ...]:
        return INSTRUMENTS

    def second(self, open_ms: int) -> PathSecond:
        raise NotImplementedError

    def candles(
        self, place: int, interval: Interval, start_ms: int, end_ms: int
    ) -> tuple[CandleWindow, npt.NDArray[np.int64]]:
        raise NotImplementedError

    def funding_rate(self, place: int, hour_ms: int) -> Decimal:
        return Decimal("-0.0000032") if hour_ms // 3_600_000 % 5 == 0 else Decimal("0.0000125")


class QuietMarket:
    """What the exchange's books and prints show; candles made up by rule, one per bucket."""

    def __init__(self, exchange: Exchange) -> None:
        self.path = BasePath()
        self.printed: list[Printed] = []
        self.asked: list[tuple[str, Interval, int, int]] = []
        self._exchange = exchange

    def levels(
        self, coin: str, depth: int = 20, significant: int | None = None, mantissa: int | None = None
    ) -> tuple[list[Level], list[Level]]:
        book = self._exchange.books[coin]
        if significant == 2:
            return [Level(Decimal(59_000), Decimal(3), 3)], [Level(Decimal(61_000), Decimal(3), 3)]
        return book.levels(Side.BUY, depth), book.levels(Side.SELL, depth)

    def mid(self, coin: str) -> Decimal | None:
        book = self._exchange.books[coin]
        if book.best_bid is None or book.best_ask is None:
            return None
        return (book.best_bid + book.best_ask) / 2

    def recent_trades(self, coin: str, count: int = 30) -> Sequence[Printed]:
        return [each for each in self.printed if each.coin == coin][-count:]

    def candles(self, coin: str, interval: Interval, start_ms: int, end_ms: int) -> list[Candle]:
        self.asked.append((coin, interval, start_ms, end_ms))
        opens = range(interval.open_of(start_ms), end_ms + 1, interval.ms)
        return [Candle(open_ms, open_ms + interval.ms - 1) for open_ms in opens]

    def context(self, coin: str) -> Context:
        mark, mid = self._exchange.marks[coin], self.mid(coin)
        return Context(
            funding=Decimal("0.0000125"),
            open_interest=Decimal("1234.5"),
            prev_day_px=mark,
            day_notional=Decimal("1000.25"),
            premium=None if mid is None else Decimal("-0.00026"),
            oracle=mark,
            mark=mark,
            mid=mid,
            impact=None if mid is None else (mid - 1, mid + 1),
            day_volume=Decimal(7),
        )


class ReadVenue:
    """An exchange whose house quotes every live coin, and the desk over it."""

    def __init__(self, settings: VenueSettings | None = None) -> None:
        self.settings = settings if settings is not None else VenueSettings()
        self.exchange = Exchange(INSTRUMENTS, self.settings, START_MS)
        self.exchange.set_marks(MARKS, MARKS)
        self.house = self.exchange.open_account(HOUSE, is_house=True)
        self.flow = self.exchange.open_account(FLOW, is_house=True)
        self.trader = self.exchange.open_account(TRADER, cash=Decimal(100_000), spot_usdc=Decimal("12.5"))
        self.signers = Signers(self.exchange.accounts, self.settings, START_MS)
        self.budget = AddressBudget(self.settings.limits)
        self.market = QuietMarket(self.exchange)
        self.desk = InfoDesk(self.exchange, self.market, self.signers, self.budget, self.settings)
        for coin, mark in MARKS.items():
            if coin not in self.exchange.delisted:
                self._quote(coin, mark)

    def _quote(self, coin: str, mark: Decimal) -> None:
        instrument = self.exchange.by_coin[coin]
        tick = instrument.tick_at(mark)
        for step in (1, 2, 3):
            size = instrument.round_size(Decimal(30_000) / mark / 3) or instrument.size_step
            self.exchange.rest_house(self.house, coin, Side.BUY, mark - step * tick, size)
            self.exchange.rest_house(self.house, coin, Side.SELL, mark + step * tick, size)

    def at(self, after_ms: int) -> int:
        """Let the venue's time be so long after its start."""
        self.exchange.now_ms = START_MS + after_ms
        return self.exchange.now_ms

    def place(self, *specs: OrderSpec, grouping: Grouping = Grouping.NA) -> list[PlaceResult]:
        return self.exchange.place(self.trader, specs, grouping, TX)

    def take_events(self) -> list[VenueEvent]:
        events = self.exchange.take_events()
        self.market.printed.extend(event for event in events if isinstance(event, Printed))
        return events

    def ask(self, kind: str, **fields: object) -> object:
        """The body of a good answer about the trader, whom most requests are about."""
        answer = self.desk.answer({"type": kind, "user": TRADER, **fields}, self.exchange.now_ms)
        assert answer.status == 200, f"{kind} {fields} was answered with {answer}"
        return answer.body

    def status_of(self, request: object) -> int:
        return self.desk.answer(request, self.exchange.now_ms).status


def rows(body: object) -> list[dict[str, object]]:
    assert isinstance(body, list)
    return body


def part(row: Mapping[str, object] | object, *keys: str) -> object:
    for key in keys:
        assert isinstance(row, Mapping), f"{key} is asked of {row!r}"
        row = row[key]
    return row


def busy_venue(settings: VenueSettings | None = None) -> ReadVenue:
    """The trader holds ETH cross, HYPE isolated and a BTC short that a flip left; rests orders of every kind; has
    had rejections, a cancel, funding, and a fill against a liquidated account. One second between the steps."""
    venue = ReadVenue(settings)
    buy, sell = Side.BUY, Side.SELL
    venue.at(1_000)
    venue.place(spec(1, buy, "2800", "1.5", Tif.IOC, cloid=CLOID))
    venue.exchange.update_leverage(venue.trader, 3, is_cross=False, leverage=5)
    venue.place(spec(3, buy, "40", "20", Tif.IOC))
    venue.at(2_000)
    venue.place(spec(0, buy, "60100", "0.01", Tif.IOC), spec(0, sell, "59900", "0.03", Tif.FRONTEND_MARKET))
    venue.at(3_000)
    venue.place(spec(0, buy, "55000", "0.01", Tif.ALO, cloid="0x" + "0b" * 16))
    venue.place(spec(1, sell, "2900", "0.5", reduce_only=True))
    venue.place(
        spec(0, buy, "54000", "0.02", cloid=PARENT),
        spec(0, sell, "60500", "0.02", trigger=profit("61000"), reduce_only=True),
        spec(0, sell, "48000", "0.02", trigger=stop("50000"), reduce_only=True),
        grouping=Grouping.NORMAL_TPSL,
    )
    venue.place(
        spec(1, sell, "2400", "0", trigger=stop("2500.5"), reduce_only=True),
        spec(1, sell, "3000", "0", trigger=profit("3000", is_market=False), reduce_only=True),
        grouping=Grouping.POSITION_TPSL,
    )
    venue.place(spec(4, buy, "0.02", "10000", trigger=stop("0.015", is_market=False)))
    venue.at(4_000)
    venue.place(spec(0, buy, "60100", "0.01", Tif.ALO), spec(1, buy, "2600", "0.01", Tif.IOC))
    venue.place(spec(4, sell, "0.02", "5000", cloid="0x" + "0c" * 16))
    venue.exchange.cancel_by_cloid(venue.trader, 4, "0x" + "0c" * 16)
    venue.at(5_000)
    loser = venue.exchange.open_account(LOSER, cash=Decimal(40))
    venue.exchange.place(loser, [spec(4, buy, "0.013", "10000", Tif.IOC)], Grouping.NA, TX)
    venue.place(spec(4, buy, "0.0123", "4000", cloid="0x" + "0d" * 16))
    venue.exchange.liquidate(LOSER)
    venue.exchange.fund(
        START_MS, {"ETH": Decimal("0.0000125"), "BTC": Decimal("-0.000003"), "HYPE": Decimal("0.00001")}
    )
    child = venue.exchange.open_account(
        CHILD, cash=Decimal("29.78"), spot_usdc=Decimal("0.22"), master=TRADER, name="Test"
    )
    venue.trader.sub_accounts.append(child.address)
    assert venue.signers.approve(TRADER, AGENT, "bot", START_MS) is None
    venue.at(6_000)
    venue.take_events()
    return venue


def lagging(lag_ms: int) -> VenueSettings:
    return VenueSettings(read_lag_ms=lag_ms)
