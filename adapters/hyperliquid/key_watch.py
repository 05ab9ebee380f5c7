"""Keys that the venue did not send before: ignored by decoding, reported here.

Decoding reads only what it needs, so a new field would go by unseen. The first messages of each kind and every
hundredth after them are compared with the keys known today; each unknown key is noted once. Words (an order's status,
what a fill says that it did) are looked at in every message: a rare one is the one that matters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import msgspec

from adapters.hyperliquid.heard import (
    Drifted,
    FillsHeard,
    Heard,
    Ignored,
    OrderUpdatesHeard,
    StatusKind,
    UserEventsHeard,
)
from adapters.hyperliquid.wire_numbers import UNREADABLE
from adapters.hyperliquid.wire_rows import FILL_WORDS, STATUS_WORDS

FIRST_LOOKS = 20
LOOK_EVERY = 100
MAX_NOTED = 200
MAX_DEPTH = 12

_FILL = (
    "coin px sz side time startPosition dir closedPnl hash oid crossed fee builderFee tid cloid feeToken twapId"
    " liquidation liquidation.liquidatedUser liquidation.markPx liquidation.method"
    " feeTrialEscrow deployerFee priorityGas"
)
_FUNDING = "time coin usdc szi fundingRate nSamples"
_BASIC_ORDER = "coin side limitPx sz oid timestamp origSz cloid reduceOnly"
_FULL_ORDER = f"{_BASIC_ORDER} triggerCondition isTrigger triggerPx children isPositionTpsl orderType tif"
_CONTEXT = "funding openInterest prevDayPx dayNtlVlm premium oraclePx markPx midPx impactPxs dayBaseVlm"
_SUMMARY = "accountValue totalNtlPos totalRawUsd totalMarginUsed"
_POSITION = (
    "coin szi leverage leverage.type leverage.value leverage.rawUsd entryPx positionValue unrealizedPnl returnOnEquity"
    " liquidationPx marginUsed maxLeverage cumFunding cumFunding.allTime cumFunding.sinceOpen cumFunding.sinceChange"
)
_META = (
    "universe universe[].name universe[].szDecimals universe[].maxLeverage universe[].marginTableId"
    " universe[].isDelisted universe[].onlyIsolated universe[].marginMode universe[].growthMode"
    " universe[].lastGrowthModeChangeTime universe[].lastFeeScaleChangeTime universe[].deployerFeeScale"
    " marginTables marginTables[][].description marginTables[][].marginTiers"
    " marginTables[][].marginTiers[].lowerBound marginTables[][].marginTiers[].maxLeverage collateralToken"
)


def _under(prefix: str, keys: str) -> str:
    return " ".join(f"{prefix}{key}" for key in keys.split())


def _order(prefix: str) -> str:
    """An order with its children, and theirs."""
    return " ".join(
        _under(f"{prefix}{deeper}", _FULL_ORDER) for deeper in ("", "children[].", "children[].children[].")
    )


_CANDLE = "t T s i o c h l v n"

KNOWN: dict[str, frozenset[str]] = {
    kind: frozenset(" ".join(texts).split())
    for kind, texts in {
        # frames, by channel
        "bbo": ("coin time bbo bbo[].px bbo[].sz bbo[].n",),
        "candle": (_CANDLE, _under("[].", _CANDLE)),
        "trades": (_under("[].", "coin side px sz time hash tid users"),),
        "l2Book": ("coin time levels levels[][].px levels[][].sz levels[][].n fast spread",),
        "activeAssetCtx": ("coin ctx", _under("ctx.", _CONTEXT)),
        "orderUpdates": ("[].order [].status [].statusTimestamp", _under("[].order.", _BASIC_ORDER)),
        "userFills": ("isSnapshot user fills", _under("fills[].", _FILL), _under("[].", _FILL)),
        "userFundings": ("isSnapshot user fundings", _under("fundings[].", _FUNDING)),
        "user": (
            "fills funding liquidation nonUserCancel twapHistory twapSliceFills",
            _under("fills[].", _FILL),
            _under("funding.", _FUNDING),
            _under("liquidation.", "lid liquidator liquidated_user liquidated_ntl_pos liquidated_account_value"),
            _under("nonUserCancel[].", "coin oid"),
        ),
        # answers, by request
        "meta": (_META,),
        "metaAndAssetCtxs": (_under("[].", _META), _under("[][].", _CONTEXT)),
        "candleSnapshot": (_under("[].", _CANDLE),),
        "fundingHistory": (_under("[].", "coin fundingRate premium time"),),
        "userFillsByTime": (_under("[].", _FILL),),
        "userFunding": ("[].time [].hash [].delta [].delta.type", _under("[].delta.", _FUNDING)),
        "openOrders": (_order("[]."),),
        "frontendOpenOrders": (_order("[]."),),
        "orderStatus": ("status order order.order order.status order.statusTimestamp", _order("order.order.")),
        "clearinghouseState": (
            "marginSummary crossMarginSummary crossMaintenanceMarginUsed withdrawable assetPositions time",
            _under("marginSummary.", _SUMMARY),
            _under("crossMarginSummary.", _SUMMARY),
            "assetPositions[].type assetPositions[].position",
            _under("assetPositions[].position.", _POSITION),
        ),
        "activeAssetData": (
            "user coin leverage leverage.type leverage.value leverage.rawUsd maxTradeSzs availableToTrade markPx",
        ),
        "userRole": ("role data data.user data.master",),
        "extraAgents": (_under("[].", "name address validUntil"),),
        "userRateLimit": ("cumVlm nRequestsUsed nRequestsCap nRequestsSurplus",),
    }.items()
}
"""Every key known today, by channel or request; `a[].b` is key `b` of the objects in list `a`."""


def keys_in(value: object, path: str = "", depth: int = 0) -> Iterator[str]:
    """Paths of all keys, in the spelling of `KNOWN`. Of long lists the first rows are enough, and the last."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, part in value.items():
            here = f"{path}.{key}" if path else str(key)
            yield here
            yield from keys_in(part, here, depth + 1)
    elif isinstance(value, list):
        for part in value if len(value) <= 20 else [*value[:19], value[-1]]:
            yield from keys_in(part, f"{path}[]", depth + 1)


FILL_ANSWERS = frozenset(("userFills", "userFillsByTime"))


class _FillSays(msgspec.Struct, gc=False):
    dir: object = ""


class _FillsPart(msgspec.Struct):
    fills: list[_FillSays] = []


class _FillFrame(msgspec.Struct):
    data: _FillsPart


_FILL_FRAME = msgspec.json.Decoder(_FillFrame)
_FILL_ANSWER = msgspec.json.Decoder(list[_FillSays])


class Sentinel(Protocol):
    """Whoever keeps what the venue said in words that we do not know."""

    def note(self, where: str, raw: str | bytes, problem: str) -> None: ...


class KeyWatch:
    """Looks at samples of what the venue sends, and notes each key it does not know once."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        self._seen: Counter[str] = Counter()
        self._heard: dict[type, int] = {}
        """Frames by what they were: one look-up for each of very many."""
        self._noted: set[str] = set()

    def is_due(self, kind: str) -> bool:
        """Whether this message of a kind is to be looked at; call it once for each."""
        count = self._seen[kind]
        self._seen[kind] = count + 1
        return count < FIRST_LOOKS or count % LOOK_EVERY == 0

    def answer(self, request: str, body: bytes) -> None:
        """Look at the answer to a request of this type, where it is due, and at the words of all fills."""
        if request in FILL_ANSWERS:
            self._fill_words(request, _rows_in_answer(body), body)
        if request in KNOWN and self.is_due(request):
            self._compare(request, _parsed(body), body)

    def look(self, heard: Heard, raw: str | bytes) -> None:
        """Look at a frame that was decoded, where it is due, and at the words of all order updates and fills."""
        kind = type(heard)
        count = self._heard[kind] = self._heard.get(kind, 0) + 1
        if (count <= FIRST_LOOKS or count % LOOK_EVERY == 1) and kind is not Drifted and kind is not Ignored:
            self._frame(raw)
        if isinstance(heard, OrderUpdatesHeard):
            for update in heard.updates:
                if update.status not in STATUS_WORDS:
                    means = "" if update.kind is StatusKind.ASK_AGAIN else f" ({update.kind.value})"
                    self.word("orderUpdates", update.status + means, raw)
        elif isinstance(heard, FillsHeard | UserEventsHeard):
            self._fill_words("fills", _rows_in_frame(raw), raw)

    def _frame(self, raw: str | bytes) -> None:
        envelope = _parsed(raw)
        if isinstance(envelope, dict):
            self._compare(str(envelope.get("channel")), envelope.get("data"), raw)

    def _fill_words(self, where: str, rows: list[_FillSays], raw: str | bytes) -> None:
        for row in rows:
            if isinstance(row.dir, str) and row.dir not in FILL_WORDS and "liquidat" not in row.dir.lower():
                self.word(where, row.dir, raw)

    def word(self, where: str, word: str, raw: str | bytes) -> None:
        """Note a word of the venue's that we do not know."""
        self._once(f"{where} says {word[:60]}", raw, "a word we do not know")

    def _compare(self, kind: str, value: object, raw: str | bytes) -> None:
        known = KNOWN.get(kind)
        if known is None:
            return
        for path in keys_in(value):
            if path not in known:
                self._once(f"{kind} key {path[:100]}", raw, "a key we do not know")

    def _once(self, where: str, raw: str | bytes, problem: str) -> None:
        if where not in self._noted and len(self._noted) < MAX_NOTED:
            self._noted.add(where)
            self._sentinel.note(where, raw, problem)


def _rows_in_frame(raw: str | bytes) -> list[_FillSays]:
    try:
        return _FILL_FRAME.decode(raw).data.fills
    except UNREADABLE:
        return []


def _rows_in_answer(body: bytes) -> list[_FillSays]:
    try:
        return _FILL_ANSWER.decode(body)
    except UNREADABLE:
        return []


def _parsed(raw: str | bytes) -> object:
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        return None
