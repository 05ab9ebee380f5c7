"""The venue's market frames, read and written here: as much of them as deriving and surveying need.

Numbers stay text, as the venue writes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated

import msgspec

from domain.candles import Interval, close_ms_of

CHANNELS = frozenset(
    (
        *("l2Book", "bbo", "trades", "candle", "activeAssetCtx", "allMids", "activeSpotAssetCtx", "activeAssetData"),
        *("orderUpdates", "user", "userEvents", "userFills", "userFundings", "userNonFundingLedgerUpdates"),
        *("webData2", "webData3", "notification", "userHistoricalOrders", "userTwapHistory", "userTwapSliceFills"),
        *("allDexsAssetCtxs", "allDexsClearinghouseState", "clearinghouseState", "openOrders", "spotState"),
        *("twapStates", "fastAssetCtxs", "outcomeMetaUpdates", "subscriptionResponse", "pong", "error", "post"),
    )
)
"""Every channel of the venue. A recording without any of them is not one of Hyperliquid."""

GREETING = "Websocket connection established."
NO_HASH = "0x" + "0" * 64
NO_USERS = f'["0x{"0" * 40}","0x{"0" * 40}"]'

_MAX_DIGITS = 30
_NUMBER = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")
_Millis = Annotated[int, msgspec.Meta(ge=1_000_000_000_000, le=9_999_999_999_999)]


class Level(msgspec.Struct, gc=False):
    px: str
    sz: str


class Book(msgspec.Struct, gc=False):
    coin: str
    levels: tuple[list[Level], list[Level]]


class Touch(msgspec.Struct, gc=False):
    """A book of which the levels stay as they are written."""

    coin: str
    time: _Millis
    levels: tuple[list[msgspec.Raw], list[msgspec.Raw]]


class Quote(msgspec.Struct, gc=False):
    coin: str
    bbo: list[Level | None]


class Trade(msgspec.Struct, gc=False):
    coin: str
    px: str
    sz: str
    time: _Millis
    tid: int


class CandleState(msgspec.Struct, gc=False):
    s: str
    i: str
    o: str
    h: str
    l: str  # noqa: E741  (the venue's spelling)
    c: str
    v: str


class OfCoin(msgspec.Struct, gc=False):
    coin: str


class Mids(msgspec.Struct, gc=False):
    mids: dict[str, str]
    dex: str = ""


class _Dated(msgspec.Struct, gc=False):
    time: int | None = None
    server_time: int | None = msgspec.field(name="serverTime", default=None)
    status_time: int | None = msgspec.field(name="statusTimestamp", default=None)
    t: int | None = None


BOOK = msgspec.json.Decoder(Book)
TOUCH = msgspec.json.Decoder(Touch)
LEVEL = msgspec.json.Decoder(Level)
QUOTE = msgspec.json.Decoder(Quote)
TRADES = msgspec.json.Decoder(list[Trade])
CANDLES = msgspec.json.Decoder(CandleState | list[CandleState])
OF_COIN = msgspec.json.Decoder(OfCoin)
MIDS = msgspec.json.Decoder(Mids)
_DATED = msgspec.json.Decoder(_Dated | list[_Dated])
UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def venue_ms(data: msgspec.Raw) -> int | None:
    """The latest time that the venue put into a frame; of a candle its beginning, which is no later than the frame."""
    try:
        found = _DATED.decode(data)
    except UNREADABLE:
        return None
    rows = found if isinstance(found, list) else [found]
    told = [time for row in rows for time in (row.time, row.server_time, row.status_time, row.t) if time is not None]
    return max((time for time in told if 1_000_000_000_000 <= time <= 9_999_999_999_999), default=None)


def plain(text: str) -> str | None:
    """A number as the venue writes it, without sign and exponent; None where the text is no such number."""
    if _NUMBER.fullmatch(text) is not None:
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not text.isascii() or not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS:
        return None
    written = format(number, "f")
    return written if _NUMBER.fullmatch(written) is not None else None


def exact(text: str) -> Decimal | None:
    """The number behind the venue's text when it is above zero, else None."""
    number = Decimal(text) if _NUMBER.fullmatch(text) is not None else Decimal(0)
    return number or None


def level_text(px: str, sz: str) -> str:
    """One level. How many orders make it up is not in any table: one."""
    return f'{{"px":"{px}","sz":"{sz}","n":1}}'


def book_text(coin: str, time_ms: int, bids: Sequence[str], asks: Sequence[str]) -> str:
    """`bids` and `asks` are level texts, best first."""
    sides = f"[{','.join(bids)}],[{','.join(asks)}]"
    return f'{{"channel":"l2Book","data":{{"coin":{_name(coin)},"time":{time_ms},"levels":[{sides}]}}}}'


def bbo_text(coin: str, time_ms: int, bid: str | None, ask: str | None) -> str:
    """`bid` and `ask` are level texts, None where a side is empty."""
    sides = f"{bid or 'null'},{ask or 'null'}"
    return f'{{"channel":"bbo","data":{{"coin":{_name(coin)},"time":{time_ms},"bbo":[{sides}]}}}}'


def trade_text(coin: str, side: str, px: str, sz: str, time_ms: int, tid: int) -> str:
    """One row of a `trades` frame; hash and users, which no table has, are zeros."""
    numbers = f'"side":"{side}","px":"{px}","sz":"{sz}","time":{time_ms},"hash":"{NO_HASH}","tid":{tid}'
    return f'{{"coin":{_name(coin)},{numbers},"users":{NO_USERS}}}'


def trades_text(rows: Sequence[str]) -> str:
    return f'{{"channel":"trades","data":[{",".join(rows)}]}}'


def mids_text(mids: str) -> str:
    """`mids` is the JSON of the map."""
    return f'{{"channel":"allMids","data":{{"mids":{mids}}}}}'


def candle_text(coin: str, interval: Interval, open_ms: int, prices: Sequence[str], volume: str, trades: int) -> str:
    """`prices` are open, high, low and close."""
    o, h, l, c = prices  # noqa: E741  (the venue's spelling)
    head = f'"t":{open_ms},"T":{close_ms_of(open_ms, interval)},"s":{_name(coin)},"i":"{interval.value}"'
    row = f'"o":"{o}","c":"{c}","h":"{h}","l":"{l}","v":"{volume}","n":{trades}'
    return f'{{"channel":"candle","data":{{{head},{row}}}}}'


def _name(coin: str) -> str:
    return msgspec.json.encode(coin).decode()
