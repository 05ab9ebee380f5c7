"""A venue reduced to what its streams read: the real exchange, and a market that does only what a test says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.events import NO_HASH, Printed, VenueEvent
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.order_book import Level
from adapters.sim.venue.exchange.orders import Grouping, OrderSpec, PlaceResult, Tif, TriggerSpec
from adapters.sim.venue.limits import IpLimits
from adapters.sim.venue.outputs import Frame, Output, SocketDropped, SocketRefused
from adapters.sim.venue.settings import VenueSettings
from adapters.sim.venue.streams.sockets import Post
from adapters.sim.venue.streams.streams import Streams
from domain.candles import Interval
from domain.instruments import Instrument, single_tier
from domain.intents import Side

START_MS = 1_790_232_180_000
IP = "10.0.0.1"
ALICE = "0x" + 39 * "0" + "a"
BOB = "0x" + 39 * "0" + "b"
NOBODY = "0x" + 39 * "0" + "c"
COINS = ("BTC", "ETH", "kPEPE")
TX = "0x" + 64 * "7"

Said = dict[str, Any]


class Top(NamedTuple):
    bid_px: str | None
    bid_sz: str | None
    bid_n: int
    ask_px: str | None
    ask_sz: str | None
    ask_n: int


EMPTY = Top(None, None, 0, None, None, 0)


class CandleRow(NamedTuple):
    open_ms: int
    end_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int


class Context(NamedTuple):
    mark: Decimal
    mid: Decimal | None
    funding: Decimal = Decimal("0.0000018952")
    open_interest: Decimal = Decimal("36585.31848")
    prev_day_px: Decimal = Decimal(86627)
    day_notional: Decimal = Decimal("4161029539.6949653625")
    premium: Decimal | None = Decimal("-0.0006413454")
    oracle: Decimal = Decimal(84198)
    impact: tuple[Decimal, Decimal] | None = (Decimal(84143), Decimal(84144))
    day_volume: Decimal = Decimal("49116.08533")


class Moves(NamedTuple):
    tops: Sequence[str]
    prints: Sequence[Printed]


class ToldMarket:
    """Tops, books and trades as told by `quote` and `trade`; candles are folded from all trades on request."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.tops: dict[str, Top] = dict.fromkeys(exchange.by_coin, EMPTY)
        self.printed: list[Printed] = []
        self._told = 0
        self._moved: list[str] = []

    def quote(self, coin: str, top: Top) -> None:
        self.tops[coin] = top
        if coin not in self._moved:
            self._moved.append(coin)

    def trade(self, coin: str, side: Side, price: str, size: str) -> Printed:
        tid = len(self.printed) + 1
        row = Printed(coin, side, Decimal(price), Decimal(size), self._exchange.now_ms, NO_HASH, tid, ALICE, BOB)
        self.printed.append(row)
        return row

    def take_moves(self) -> Moves:
        moves = Moves(self._moved, self.printed[self._told :])
        self._told, self._moved = len(self.printed), []
        return moves

    @property
    def all_taken(self) -> bool:
        return not self._moved and self._told == len(self.printed)

    @property
    def path(self) -> NoReturn:
        raise AssertionError("streams do not look past the market")

    def top(self, coin: str) -> Top:
        return self.tops[coin]

    def levels(
        self, coin: str, depth: int = 20, significant: int | None = None, mantissa: int | None = None
    ) -> tuple[list[Level], list[Level]]:
        top = self.tops[coin]
        bids = [] if top.bid_px is None else [Level(Decimal(top.bid_px), Decimal(top.bid_sz or 0), top.bid_n)]
        asks = [] if top.ask_px is None else [Level(Decimal(top.ask_px), Decimal(top.ask_sz or 0), top.ask_n)]
        return bids * depth, asks * depth

    def mid(self, coin: str) -> Decimal | None:
        top = self.tops[coin]
        if top.bid_px is None or top.ask_px is None:
            return None
        return (Decimal(top.bid_px) + Decimal(top.ask_px)) / 2

    def recent_trades(self, coin: str, count: int = 30) -> list[Printed]:
        return [row for row in self.printed if row.coin == coin][-count:]

    def candles(self, coin: str, interval: Interval, start_ms: int, end_ms: int) -> list[CandleRow]:
        buckets: dict[int, list[Printed]] = {}
        for row in self.printed:
            open_ms = interval.open_of(row.time_ms)
            if row.coin == coin and interval.open_of(start_ms) <= open_ms and row.time_ms <= end_ms:
                buckets.setdefault(open_ms, []).append(row)
        return [_candle(open_ms, interval, rows) for open_ms, rows in buckets.items()]

    def context(self, coin: str) -> Context:
        return Context(self._exchange.marks[coin], self.mid(coin))


def _candle(open_ms: int, interval: Interval, rows: Sequence[Printed]) -> CandleRow:
    prices = [float(row.price) for row in rows]
    volume = float(sum((row.size for row in rows), Decimal(0)))
    return CandleRow(
        open_ms, open_ms + interval.ms - 1, prices[0], max(prices), min(prices), prices[-1], volume, len(rows)
    )


class Seafront:
    """Streams at a moment. What goes out is kept per socket, parsed and as text."""

    def __init__(self, settings: VenueSettings | None = None, *, legacy_web_data: bool = False) -> None:
        settings = settings or VenueSettings()
        instruments = [Instrument(coin, 2, single_tier(40)) for coin in COINS]
        self.exchange = Exchange(instruments, settings, START_MS)
        for coin, mark in zip(COINS, ("84148.0", "3000.0", "0.004411"), strict=True):
            self.exchange.marks[coin] = self.exchange.oracles[coin] = Decimal(mark)
        for address in (ALICE, BOB):
            self.exchange.open_account(address, cash=Decimal(1_000_000))
        self.exchange.take_events()
        self.market = ToldMarket(self.exchange)
        self.signers = Signers(self.exchange.accounts, settings, START_MS)
        self.limits = IpLimits(settings.limits)
        self.streams = Streams(
            self.exchange, self.market, self.signers, self.limits, settings, legacy_web_data=legacy_web_data
        )
        self.events: list[VenueEvent] = []
        self.dropped: list[int] = []

    @property
    def now_ms(self) -> int:
        return self.exchange.now_ms

    def account(self, address: str) -> VenueAccount:
        return self.exchange.accounts[address]

    def open(self, socket_id: int = 1, ip: str = IP) -> list[Output]:
        return self.streams.open(socket_id, ip, self.now_ms)

    def say(self, said: object, socket_id: int = 1) -> list[Said]:
        """What one client frame is answered at once, parsed."""
        outputs = self.streams.receive(socket_id, said if isinstance(said, str) else json.dumps(said), self.now_ms)
        return [parsed(output) for output in outputs]

    def subscribe(self, socket_id: int = 1, **subscription: object) -> list[Said]:
        return self.say({"method": "subscribe", "subscription": subscription}, socket_id)

    def unsubscribe(self, socket_id: int = 1, **subscription: object) -> list[Said]:
        return self.say({"method": "unsubscribe", "subscription": subscription}, socket_id)

    def publish(self, after_ms: int = 0) -> list[Frame | SocketDropped]:
        """Let time pass and tell what happened."""
        self.exchange.now_ms += after_ms
        events = self.exchange.take_events()
        self.events += events
        return self.streams.publish(self.now_ms, events, self.market.take_moves())

    def heard(self, after_ms: int = 0, socket_id: int = 1) -> list[Said]:
        """What one socket is told by a publication, parsed."""
        outputs = self.publish(after_ms)
        return [parsed(output) for output in outputs if isinstance(output, Frame) and output.socket_id == socket_id]

    def place(
        self,
        address: str,
        side: Side,
        price: str,
        size: str,
        *,
        tif: Tif | None = Tif.GTC,
        trigger: TriggerSpec | None = None,
        reduce_only: bool = False,
        cloid: str | None = None,
    ) -> PlaceResult:
        """Place an order in BTC."""
        spec = OrderSpec(0, side, Decimal(price), Decimal(size), reduce_only, tif, trigger, cloid)
        (result,) = self.exchange.place(self.account(address), [spec], Grouping.NA, TX)
        return result


def parsed(output: Output | Post) -> Said:
    match output:
        case Frame(text=text):
            said = json.loads(text)
            assert isinstance(said, dict), "every frame is an object"
            return said
        case SocketRefused(status=status):
            return {"refused": status}
        case Post(id=post_id, kind=kind, payload=payload):
            return {"post": post_id, "kind": kind, "payload": payload}
        case _:
            raise AssertionError(f"not for a socket: {output}")
