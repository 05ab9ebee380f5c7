"""Market data frames: quotes, candles, trades, books, contexts, mid prices.

Prices are read as floats and checked here, once, so that whoever gets a heard value may use it as it is. Coins that
are not of this session are `Ignored`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from adapters.hyperliquid.heard import (
    BboHeard,
    BookHeard,
    CandleHeard,
    ContextHeard,
    DecodeError,
    Heard,
    Ignored,
    MidsHeard,
    Trade,
    TradesHeard,
)
from adapters.hyperliquid.wire_numbers import (
    DAY_MS,
    INFINITE,
    Millis,
    Whole,
    check_not_ahead,
    check_recent,
    is_other_market,
)
from adapters.hyperliquid.wire_rows import SIDES
from domain.candles import Interval, candle_problem, close_ms_of
from domain.instruments import Universe

OTHER_INTERVALS = frozenset(("3d", "1w", "1M"))
"""Lengths the venue has and we do not: their alignment is not documented."""


class _Price(msgspec.Struct, gc=False):
    px: float


class _Bbo(msgspec.Struct, gc=False):
    coin: str
    time: Millis
    bbo: list[_Price | None]


class CandleRow(msgspec.Struct, gc=False):
    t: Millis
    end: Millis = msgspec.field(name="T")
    s: str
    i: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741  (the venue's spelling)
    v: float


class _Trade(msgspec.Struct, gc=False):
    coin: str
    side: Literal["B", "A"]
    px: float
    sz: float
    time: Millis
    tid: Whole


class _Level(msgspec.Struct, gc=False):
    px: float
    sz: float


class _Book(msgspec.Struct, gc=False):
    coin: str
    time: Millis
    levels: tuple[list[_Level], list[_Level]]


class _Context(msgspec.Struct, gc=False):
    funding: float
    mark: float = msgspec.field(name="markPx")
    oracle: float = msgspec.field(name="oraclePx")
    open_interest: float = msgspec.field(name="openInterest")
    mid: float | None = msgspec.field(name="midPx", default=None)


class _CoinContext(msgspec.Struct, gc=False):
    coin: str
    ctx: msgspec.Raw


class _Mids(msgspec.Struct, gc=False):
    mids: dict[str, msgspec.Raw]
    dex: str = ""


INTERVALS = {interval.value: interval for interval in Interval}

_BBO = msgspec.json.Decoder(_Bbo, strict=False)
_CANDLES = msgspec.json.Decoder(CandleRow | list[CandleRow], strict=False)
_TRADES = msgspec.json.Decoder(list[_Trade], strict=False)
_BOOK = msgspec.json.Decoder(_Book, strict=False)
_COIN_CONTEXT = msgspec.json.Decoder(_CoinContext)
_CONTEXT = msgspec.json.Decoder(_Context, strict=False)
_MIDS = msgspec.json.Decoder(_Mids)
_MID = msgspec.json.Decoder(float, strict=False)


def read_bbo(data: msgspec.Raw, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _BBO.decode(data)
    if frame.coin not in universe:
        return Ignored("bbo")
    now = frame.time if now_ms is None else now_ms
    if not -DAY_MS <= frame.time - now <= DAY_MS:
        check_recent(frame.time, now_ms, "bbo.time")
    sides = frame.bbo
    if not 1 <= len(sides) <= 2:
        raise DecodeError("bbo.bbo", f"{len(sides)} sides")
    best_bid = sides[0]
    best_ask = sides[1] if len(sides) == 2 else None
    bid = None if best_bid is None else best_bid.px
    ask = None if best_ask is None else best_ask.px
    if not ((bid is None or 0.0 < bid < INFINITE) and (ask is None or 0.0 < ask < INFINITE)):
        raise DecodeError("bbo.px", f"{bid} and {ask} are no prices")
    if bid is not None and ask is not None and bid > ask:
        raise DecodeError("bbo.px", f"bid {bid} above ask {ask}")
    return BboHeard(frame.coin, frame.time, bid, ask)


def read_candle(data: msgspec.Raw, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    rows = _CANDLES.decode(data)
    if isinstance(rows, list):
        if len(rows) != 1:
            raise DecodeError("candle", f"{len(rows)} candles in one frame")
        row = rows[0]
    else:
        row = rows
    interval = INTERVALS.get(row.i)
    if interval is None:
        if row.i in OTHER_INTERVALS:
            return Ignored("candle")
        raise DecodeError("candle.i", "an unknown interval")
    if row.s not in universe:
        return Ignored("candle")
    if row.t % interval.ms or row.end != close_ms_of(row.t, interval):
        raise DecodeError("candle.t", f"{row.t} to {row.end} is no span of {interval.value}")
    if now_ms is not None and not (row.end >= now_ms - DAY_MS and row.t <= now_ms + DAY_MS):
        raise DecodeError("candle.t", f"{row.t} lies more than a day away from {now_ms}")
    # The usual case in one expression, that of `candle_problem`: NaN fails every comparison.
    if not (0.0 < row.l <= row.o <= row.h < INFINITE and row.l <= row.c <= row.h and 0.0 <= row.v < INFINITE):
        problem = candle_problem(row.o, row.h, row.l, row.c, row.v)
        if problem is not None:
            raise DecodeError("candle", problem)
    return CandleHeard(row.s, interval, row.t, row.end, row.o, row.h, row.l, row.c, row.v)


def read_trades(data: msgspec.Raw, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    rows = _TRADES.decode(data)
    if not rows or rows[0].coin not in universe:
        return Ignored("trades")
    coin = rows[0].coin
    for row in rows:
        if row.coin != coin:
            raise DecodeError("trades.coin", "several coins in one frame")
        if not (0.0 < row.px < INFINITE and 0.0 < row.sz < INFINITE):
            raise DecodeError("trades", f"price {row.px} or size {row.sz} is not positive")
        check_not_ahead(row.time, now_ms, "trades.time")
    return TradesHeard(coin, tuple([Trade(SIDES[row.side], row.px, row.sz, row.time, row.tid) for row in rows]))


def read_book(data: msgspec.Raw, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _BOOK.decode(data)
    if frame.coin not in universe:
        return Ignored("l2Book")
    check_recent(frame.time, now_ms, "l2Book.time")
    bids, asks = (_levels(side) for side in frame.levels)
    if any(better[0] <= worse[0] for better, worse in pairwise(bids)):
        raise DecodeError("l2Book.levels", "bids do not fall")
    if any(better[0] >= worse[0] for better, worse in pairwise(asks)):
        raise DecodeError("l2Book.levels", "asks do not rise")
    if bids and asks and bids[0][0] > asks[0][0]:
        raise DecodeError("l2Book.levels", f"bid {bids[0][0]} above ask {asks[0][0]}")
    return BookHeard(frame.coin, frame.time, bids, asks)


def _levels(rows: Sequence[_Level]) -> tuple[tuple[float, float], ...]:
    for row in rows:
        if not (0.0 < row.px < INFINITE and 0.0 <= row.sz < INFINITE):
            raise DecodeError("l2Book.levels", f"price {row.px} or size {row.sz} is impossible")
    return tuple([(row.px, row.sz) for row in rows])


def context_heard(coin: str, ctx: msgspec.Raw, where: str) -> ContextHeard:
    """One coin's funding, mark, oracle and mid price, checked. Also for `metaAndAssetCtxs`."""
    row = _CONTEXT.decode(ctx)
    mid = row.mid
    prices_fit = 0.0 < row.mark < INFINITE and 0.0 < row.oracle < INFINITE and (mid is None or 0.0 < mid < INFINITE)
    if not prices_fit:
        raise DecodeError(where, f"mark {row.mark}, oracle {row.oracle} or mid {mid} is no price")
    if not (-INFINITE < row.funding < INFINITE and 0.0 <= row.open_interest < INFINITE):
        raise DecodeError(where, f"funding {row.funding} or open interest {row.open_interest} is impossible")
    return ContextHeard(coin, row.funding, row.mark, row.oracle, mid, row.open_interest)


def read_active_context(data: msgspec.Raw, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _COIN_CONTEXT.decode(data)
    if frame.coin not in universe:
        return Ignored("activeAssetCtx")
    return context_heard(frame.coin, frame.ctx, "activeAssetCtx")


def mids_of(mids: dict[str, msgspec.Raw], universe: Universe | None, where: str) -> dict[str, float]:
    """Mid prices of `universe`, or of every perp. What other markets say is not even looked at."""
    found: dict[str, float] = {}
    for coin, text in mids.items():
        if is_other_market(coin) if universe is None else coin not in universe:
            continue
        price = _MID.decode(text)
        if not 0.0 < price < INFINITE:
            raise DecodeError(where, f"mid price {price}")
        found[coin] = price
    return found


def read_mids(data: msgspec.Raw, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _MIDS.decode(data)
    return Ignored("allMids") if frame.dex else MidsHeard(mids_of(frame.mids, universe, "allMids"))
