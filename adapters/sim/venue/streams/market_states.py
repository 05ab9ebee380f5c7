"""The market's states that come by the clock: books, mids, contexts. Whole every time, `fastAssetCtxs` aside."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from adapters.sim.venue import shapes
from adapters.sim.venue.info.readable import ReadableExchange
from adapters.sim.venue.numbers import text
from adapters.sim.venue.outputs import Frame
from adapters.sim.venue.settings import Cadence
from adapters.sim.venue.streams.cadence_clock import CadenceClock
from adapters.sim.venue.streams.sockets import Stream, data_frame, leave
from adapters.sim.venue.streams.streamed import StreamedMarket
from adapters.sim.venue.streams.subscriptions import Kind, Subscription

DEPTH, FAST_DEPTH = 20, 5
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_SLOW_BOOKS, _FAST_BOOKS = "l2Book", "l2Book fast"
"""Names of the two clocks of books; other clocks are named like their subscription."""

Contexts = dict[str, dict[str, str | None]]


class MarketStates:
    def __init__(self, exchange: ReadableExchange, market: StreamedMarket, cadence: Cadence) -> None:
        self._exchange = exchange
        self._market = market
        self._clocks = {
            Kind.ALL_MIDS.value: CadenceClock(cadence.all_mids),
            _SLOW_BOOKS: CadenceClock(cadence.l2_book),
            _FAST_BOOKS: CadenceClock(cadence.l2_book_fast),
            Kind.ACTIVE_ASSET_CTX.value: CadenceClock(cadence.asset_ctx),
            Kind.ALL_DEXS_ASSET_CTXS.value: CadenceClock(cadence.all_dexs_asset_ctxs),
            Kind.FAST_ASSET_CTXS.value: CadenceClock(cadence.fast_asset_ctxs),
        }
        self._streams: dict[str, dict[str, Stream]] = {clock: {} for clock in self._clocks}
        self._fast_told: Contexts = {}
        """What the readers of `fastAssetCtxs` know."""

    def subscribe(self, socket_id: int, subscription: Subscription, now_ms: int) -> str:
        clock = _clock_of(subscription)
        streams = self._streams[clock]
        is_first = not streams
        streams.setdefault(subscription.canonical, Stream(subscription)).sockets.append(socket_id)
        self._clocks[clock].start(now_ms)
        if subscription.kind is not Kind.FAST_ASSET_CTXS:
            return self._text(subscription, now_ms)
        if is_first:
            self._fast_told = self._fast_contexts()
        return _fast_text(self._fast_told)

    def unsubscribe(self, socket_id: int, subscription: Subscription) -> None:
        clock = _clock_of(subscription)
        leave(self._streams[clock], subscription.canonical, socket_id)
        if not self._streams[clock]:
            self._clocks[clock].stop()

    def next_due_ms(self) -> int:
        return min(clock.due_ms for clock in self._clocks.values())

    def publish(self, now_ms: int, out: list[Frame]) -> None:
        for name, clock in self._clocks.items():
            if clock.strikes(now_ms):
                for stream in self._streams[name].values():
                    if stream.subscription.kind is Kind.FAST_ASSET_CTXS:
                        self._publish_changes(stream, out)
                    else:
                        stream.tell(self._text(stream.subscription, now_ms), out)

    def _text(self, subscription: Subscription, now_ms: int) -> str:
        match subscription.kind:
            case Kind.L2_BOOK:
                data: object = self._book(subscription, now_ms)
            case Kind.ALL_MIDS:
                data = {"mids": self._mids()}
            case Kind.ACTIVE_ASSET_CTX:
                data = {"coin": subscription.coin, "ctx": self._context(subscription.coin)}
            case _:
                contexts = [self._context(instrument.symbol) for instrument in self._exchange.instruments]
                data = {"ctxs": [["", contexts]]}
        return data_frame(subscription.kind.value, data)

    def _book(self, subscription: Subscription, now_ms: int) -> Mapping[str, object]:
        coin = subscription.coin
        depth = FAST_DEPTH if subscription.fast else DEPTH
        sides = self._market.levels(coin, depth, subscription.significant, subscription.mantissa)
        spread = None if subscription.significant is None else self._spread(coin)
        return shapes.l2_book(coin, now_ms, sides, spread=spread, fast=subscription.fast)

    def _spread(self, coin: str) -> Decimal | None:
        top = self._market.top(coin)
        if top.bid_px is None or top.ask_px is None:
            return None
        return Decimal(top.ask_px) - Decimal(top.bid_px)

    def _mids(self) -> dict[str, str]:
        """By coin; the last trade stands in for the mid of an empty book."""
        mids = {}
        for coin in self._exchange.by_coin:
            mid = self._market.mid(coin)
            if mid is None:
                last = self._market.recent_trades(coin, 1)
                mid = last[-1].price if last else None
            if mid is not None:
                mids[coin] = text(mid)
        return mids

    def _context(self, coin: str) -> Mapping[str, object]:
        return shapes.asset_ctx(self._market.context(coin))

    # -- fastAssetCtxs -----------------------------------------------------------------------------------------------

    def _publish_changes(self, stream: Stream, out: list[Frame]) -> None:
        before, self._fast_told = self._fast_told, self._fast_contexts()
        changes: Contexts = {}
        for coin, context in self._fast_told.items():
            known = before.get(coin, {})
            changed = {key: value for key, value in context.items() if key not in known or known[key] != value}
            if changed:
                changes[coin] = changed
        if changes:
            stream.tell(_fast_text(changes), out)

    def _fast_contexts(self) -> Contexts:
        told: Contexts = {}
        for coin, mark in self._exchange.marks.items():
            mid = self._market.mid(coin)
            told[coin] = {"markPx": text(mark), "midPx": None if mid is None else text(mid)}
        return told


def _clock_of(subscription: Subscription) -> str:
    return _FAST_BOOKS if subscription.fast else subscription.kind.value


def _fast_text(contexts: Contexts) -> str:
    packer = zlib.compressobj(wbits=_RAW_DEFLATE)
    packed = packer.compress(msgspec.json.encode(contexts)) + packer.flush()
    return f'{{"channel":"fastAssetCtxs","data":"{base64.b64encode(packed).decode()}"}}'
