"""Tops and trades as the venue streams them, and the way to every other stream of the market.

Frames of tops, trades and candles come by the ten thousand, so their texts are put together by hand, once per stream.
A newcomer to tops first gets what the others have seen last, so that all of them read one history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.sim.venue.exchange.events import Printed
from adapters.sim.venue.info.readable import ReadableExchange
from adapters.sim.venue.numbers import text
from adapters.sim.venue.outputs import Frame
from adapters.sim.venue.settings import Cadence
from adapters.sim.venue.streams.candle_streams import CandleStreams
from adapters.sim.venue.streams.market_states import MarketStates
from adapters.sim.venue.streams.sockets import Stream, leave
from adapters.sim.venue.streams.streamed import StreamedMarket, StreamedMoves, StreamedTop
from adapters.sim.venue.streams.subscriptions import Kind, Subscription
from domain.intents import Side

BACKFILL = 30
"""Trades that a subscription to `trades` begins with."""


@dataclass(slots=True)
class _TopStream(Stream):
    """`top` is what was told last, in `text`; on an empty book neither is told to newcomers."""

    head: str = ""
    top: StreamedTop | None = None
    text: str = ""


@dataclass(slots=True)
class _TradeStream(Stream):
    """`ahead`: trades that a newcomer's backfill told before they were published, by socket."""

    ahead: dict[int, frozenset[int]] = field(default_factory=dict)


class MarketStreams:
    """Every stream that belongs to no account."""

    def __init__(self, exchange: ReadableExchange, market: StreamedMarket, cadence: Cadence) -> None:
        self._market = market
        self._tops: dict[str, _TopStream] = {}
        self._trades: dict[str, _TradeStream] = {}
        self._newcomers: list[_TradeStream] = []
        self._candles = CandleStreams(market, cadence.candle)
        self._states = MarketStates(exchange, market, cadence)

    def subscribe(self, socket_id: int, subscription: Subscription, now_ms: int) -> list[str]:
        """Add a socket to a stream; answers the texts that it gets at once."""
        match subscription.kind:
            case Kind.BBO:
                return self._join_top(socket_id, subscription, now_ms)
            case Kind.TRADES:
                return self._join_trades(socket_id, subscription)
            case Kind.CANDLE:
                self._candles.subscribe(socket_id, subscription, now_ms)
                return []
            case _:
                return [self._states.subscribe(socket_id, subscription, now_ms)]

    def unsubscribe(self, socket_id: int, subscription: Subscription) -> None:
        match subscription.kind:
            case Kind.BBO:
                leave(self._tops, subscription.coin, socket_id)
            case Kind.TRADES:
                self._trades[subscription.coin].ahead.pop(socket_id, None)
                leave(self._trades, subscription.coin, socket_id)
            case Kind.CANDLE:
                self._candles.unsubscribe(socket_id, subscription)
            case _:
                self._states.unsubscribe(socket_id, subscription)

    def next_due_ms(self) -> int:
        return min(self._candles.next_due_ms(), self._states.next_due_ms())

    def publish(self, now_ms: int, moves: StreamedMoves, out: list[Frame]) -> None:
        if moves.prints:
            self._publish_prints(moves.prints, now_ms, out)
        for stream in self._newcomers:
            stream.ahead.clear()
        self._newcomers.clear()
        if self._tops:
            self._publish_tops(moves.tops, now_ms, out)
        self._candles.publish(now_ms, out)
        self._states.publish(now_ms, out)

    # -- tops --------------------------------------------------------------------------------------------------------

    def _join_top(self, socket_id: int, subscription: Subscription, now_ms: int) -> list[str]:
        coin = subscription.coin
        stream = self._tops.get(coin)
        if stream is None:
            head = f'{{"channel":"bbo","data":{{"coin":"{coin}","time":'
            top = self._market.top(coin)
            stream = self._tops[coin] = _TopStream(subscription, [], head, top, _top_text(head, now_ms, top))
        stream.sockets.append(socket_id)
        assert stream.top is not None, "a stream of tops begins with one"
        return [] if stream.top.bid_px is None and stream.top.ask_px is None else [stream.text]

    def _publish_tops(self, coins: Sequence[str], now_ms: int, out: list[Frame]) -> None:
        find, top_of, append = self._tops.get, self._market.top, out.append
        for coin in coins:
            stream = find(coin)
            if stream is None:
                continue
            top = top_of(coin)
            if top == stream.top:
                continue
            stream.top = top
            stream.text = told = _top_text(stream.head, now_ms, top)
            for socket_id in stream.sockets:
                append(Frame(socket_id, told))

    # -- trades ------------------------------------------------------------------------------------------------------

    def _join_trades(self, socket_id: int, subscription: Subscription) -> list[str]:
        coin = subscription.coin
        stream = self._trades.get(coin)
        if stream is None:
            stream = self._trades[coin] = _TradeStream(subscription)
        stream.sockets.append(socket_id)
        rows = self._market.recent_trades(coin, BACKFILL)
        if not rows:
            return []
        stream.ahead[socket_id] = frozenset(row.tid for row in rows)
        self._newcomers.append(stream)
        return [_trades_text([_trade_text(row) for row in rows])]

    def _publish_prints(self, prints: Sequence[Printed], now_ms: int, out: list[Frame]) -> None:
        by_coin: dict[str, list[Printed]] = {}
        for printed in prints:
            by_coin.setdefault(printed.coin, []).append(printed)
        for coin, rows in by_coin.items():
            stream = self._trades.get(coin)
            if stream is not None:
                _tell_trades(stream, rows, out)
            self._candles.note(coin, rows[0].time_ms, now_ms)


# -- texts -----------------------------------------------------------------------------------------------------------


def _top_text(head: str, now_ms: int, top: StreamedTop) -> str:
    bid = ask = "null"
    if top.bid_px is not None:
        bid = f'{{"px":"{top.bid_px}","sz":"{top.bid_sz}","n":{top.bid_n}}}'
    if top.ask_px is not None:
        ask = f'{{"px":"{top.ask_px}","sz":"{top.ask_sz}","n":{top.ask_n}}}'
    return f'{head}{now_ms},"bbo":[{bid},{ask}]}}}}'


def _trade_text(row: Printed) -> str:
    side = "B" if row.side is Side.BUY else "A"
    return (
        f'{{"coin":"{row.coin}","side":"{side}","px":"{text(row.price)}","sz":"{text(row.size)}","time":{row.time_ms},'
        f'"hash":"{row.hash}","tid":{row.tid},"users":["{row.buyer}","{row.seller}"]}}'
    )


def _trades_text(rows: Sequence[str]) -> str:
    return f'{{"channel":"trades","data":[{",".join(rows)}]}}'


def _tell_trades(stream: _TradeStream, prints: Sequence[Printed], out: list[Frame]) -> None:
    rows = [_trade_text(printed) for printed in prints]
    told = _trades_text(rows)
    for socket_id in stream.sockets:
        seen = stream.ahead.get(socket_id)
        if seen is None:
            out.append(Frame(socket_id, told))
        elif new := [row for row, printed in zip(rows, prints, strict=True) if printed.tid not in seen]:
            out.append(Frame(socket_id, _trades_text(new)))
