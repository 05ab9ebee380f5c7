"""What a client says on a WebSocket: frames read strictly, subscriptions brought to the form that the venue echoes.

A subscription is known by its canonical text: defaults filled in, addresses in lower case, keys in the venue's order
(§1.3). Two requests with one canonical text are the same subscription.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from domain.candles import Interval

_ADDRESS = re.compile("0x[0-9a-fA-F]{40}")
_U64_MAX = 2**64 - 1
_UNALIGNED_INTERVALS = ("3d", "1w", "1M")
"""Intervals of the real venue whose alignment nobody documents: understood, not served."""


class Kind(enum.Enum):
    """The subscriptions of §4.1 that concern perps, in the venue's spelling."""

    ALL_MIDS = "allMids"
    BBO = "bbo"
    L2_BOOK = "l2Book"
    TRADES = "trades"
    CANDLE = "candle"
    ACTIVE_ASSET_CTX = "activeAssetCtx"
    ALL_DEXS_ASSET_CTXS = "allDexsAssetCtxs"
    FAST_ASSET_CTXS = "fastAssetCtxs"
    ORDER_UPDATES = "orderUpdates"
    USER_EVENTS = "userEvents"
    USER_FILLS = "userFills"
    USER_FUNDINGS = "userFundings"
    USER_LEDGER = "userNonFundingLedgerUpdates"
    USER_HISTORICAL_ORDERS = "userHistoricalOrders"
    USER_TWAP_SLICE_FILLS = "userTwapSliceFills"
    USER_TWAP_HISTORY = "userTwapHistory"
    NOTIFICATION = "notification"
    ACTIVE_ASSET_DATA = "activeAssetData"
    CLEARINGHOUSE_STATE = "clearinghouseState"
    ALL_DEXS_CLEARINGHOUSE_STATE = "allDexsClearinghouseState"
    OPEN_ORDERS = "openOrders"
    SPOT_STATE = "spotState"
    TWAP_STATES = "twapStates"
    WEB_DATA_2 = "webData2"
    WEB_DATA_3 = "webData3"
    OUTCOME_META_UPDATES = "outcomeMetaUpdates"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription, read. `user` is lower case and empty where the kind has none; so is `coin`.

    `interval` keeps the words of intervals that are not served, `dex` the name of dexes that do not exist here.
    """

    kind: Kind
    canonical: str
    user: str = ""
    coin: str = ""
    interval: str = ""
    significant: int | None = None
    mantissa: int | None = None
    fast: bool = False
    aggregate: bool = False
    dex: str = ""

    @property
    def is_served(self) -> bool:
        """Whether this venue has what is asked for, unknown coins and book parameters aside."""
        if self.kind is Kind.OUTCOME_META_UPDATES or self.dex:
            return False
        return self.interval not in _UNALIGNED_INTERVALS

    @property
    def has_valid_book_parameters(self) -> bool:
        """`nSigFigs` 2 to 5, `mantissa` 1, 2 or 5 and only with five figures: all else kills the real socket."""
        if self.significant is not None and not 2 <= self.significant <= 5:
            return False
        return self.mantissa is None or (self.significant == 5 and self.mantissa in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Subscribe:
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class PostRequest:
    """`kind` is `info` or `action`."""

    id: int
    kind: str
    payload: dict[str, object]


Request = Ping | Subscribe | Unsubscribe | PostRequest


def read_request(text: str, *, legacy_web_data: bool = False) -> Request | None:
    """Read one client frame; None where the venue answers with the parse error. Unknown extra keys are ignored."""
    try:
        raw = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    method = raw.get("method")
    if method == "ping":
        return Ping()
    if method == "post":
        return _post(raw)
    if method != "subscribe" and method != "unsubscribe":
        return None
    subscription = read_subscription(raw.get("subscription"), legacy_web_data=legacy_web_data)
    if subscription is None:
        return None
    return Subscribe(subscription) if method == "subscribe" else Unsubscribe(subscription)


def read_subscription(raw: object, *, legacy_web_data: bool = False) -> Subscription | None:
    """Read a subscription object; None for an unknown type, a missing field or one of the wrong type."""
    if not isinstance(raw, dict):
        return None
    kind = _KINDS.get(word) if isinstance(word := raw.get("type"), str) else None
    if kind is None or (kind is Kind.WEB_DATA_2 and not legacy_web_data):
        return None
    try:
        values = {field.key: field.read(raw.get(field.key)) for field in _FIELDS[kind]}
    except _Unreadable:
        return None
    return Subscription(kind, _canonical(kind, values), **_attributes(values))


def _post(raw: Mapping[str, object]) -> PostRequest | None:
    post_id, request = raw.get("id"), raw.get("request")
    if type(post_id) is not int or not 0 <= post_id <= _U64_MAX or not isinstance(request, dict):
        return None
    kind, payload = request.get("type"), request.get("payload")
    if kind not in ("info", "action") or not isinstance(payload, dict):
        return None
    return PostRequest(post_id, kind, payload)


# -- fields ----------------------------------------------------------------------------------------------------------


class _Unreadable(Exception):
    """A field is missing or has the wrong type."""


Value = str | int | bool | None


@dataclass(frozen=True, slots=True)
class _Field:
    key: str
    attribute: str
    read: Callable[[object], Value]
    echoed_empty: bool = True


def _address(value: object) -> str:
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return value.lower()
    raise _Unreadable


def _word(value: object) -> str:
    if isinstance(value, str):
        return value
    raise _Unreadable


def _dex(value: object) -> str:
    return "" if value is None else _word(value)


def _interval(value: object) -> str:
    if isinstance(value, str) and (value in _INTERVALS or value in _UNALIGNED_INTERVALS):
        return value
    raise _Unreadable


def _count(value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= _U64_MAX):
        return value
    raise _Unreadable


def _flag(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _Unreadable


_INTERVALS: Final = frozenset(interval.value for interval in Interval)
_COIN = _Field("coin", "coin", _word)
_USER = _Field("user", "user", _address)
_DEX = _Field("dex", "dex", _dex)
_MAYBE_DEX = _Field("dex", "dex", _dex, echoed_empty=False)

_FIELDS: Final[Mapping[Kind, tuple[_Field, ...]]] = {
    **dict.fromkeys(Kind, (_USER,)),
    Kind.ALL_MIDS: (_MAYBE_DEX,),
    Kind.BBO: (_COIN,),
    Kind.L2_BOOK: (
        _COIN,
        _Field("nSigFigs", "significant", _count),
        _Field("mantissa", "mantissa", _count),
        _Field("fast", "fast", _flag),
    ),
    Kind.TRADES: (_COIN,),
    Kind.CANDLE: (_Field("interval", "interval", _interval), _COIN),
    Kind.ACTIVE_ASSET_CTX: (_COIN,),
    Kind.ALL_DEXS_ASSET_CTXS: (),
    Kind.FAST_ASSET_CTXS: (),
    Kind.OUTCOME_META_UPDATES: (),
    Kind.USER_FILLS: (_USER, _Field("aggregateByTime", "aggregate", _flag)),
    Kind.ACTIVE_ASSET_DATA: (_USER, _COIN),
    Kind.CLEARINGHOUSE_STATE: (_USER, _DEX),
    Kind.OPEN_ORDERS: (_USER, _DEX),
    Kind.TWAP_STATES: (_USER, _DEX),
    Kind.SPOT_STATE: (_USER, _Field("ignorePortfolioMargin", "", _flag)),
}
_KINDS: Final = {kind.value: kind for kind in Kind}


def _canonical(kind: Kind, values: Mapping[str, Value]) -> str:
    echoed = {"type": kind.value} | {
        field.key: values[field.key] for field in _FIELDS[kind] if field.echoed_empty or values[field.key]
    }
    return msgspec.json.encode(echoed).decode()


def _attributes(values: Mapping[str, Value]) -> dict[str, Any]:
    return {_ATTRIBUTES[key]: value for key, value in values.items() if _ATTRIBUTES[key]}


_ATTRIBUTES: Final = {field.key: field.attribute for fields in _FIELDS.values() for field in fields}
