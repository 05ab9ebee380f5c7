"""Frames of the WebSocket: one text in, one heard value out. Nothing in a frame can raise.

Two passes: the envelope, then the data by the struct of its channel. Market prices are read as floats in the second
pass; they are checked here, once, so that whoever gets a heard value may use it as it is. A frame of which any
part is not what we know is `Drifted` as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from adapters.hyperliquid.heard import (
    Acked,
    DecodeError,
    Drifted,
    FillsHeard,
    FundingsHeard,
    Heard,
    Ignored,
    LedgerHeard,
    Liquidation,
    OrderUpdatesHeard,
    Pong,
    Posted,
    UserEventsHeard,
    VenueError,
    subscription_key,
)
from adapters.hyperliquid.wire_market import (
    read_active_context,
    read_bbo,
    read_book,
    read_candle,
    read_mids,
    read_trades,
)
from adapters.hyperliquid.wire_numbers import (
    UNREADABLE,
    Whole,
    exact,
    is_other_market,
    problem_of,
)
from adapters.hyperliquid.wire_rows import (
    DatedLedger,
    FillRow,
    FundingRow,
    UpdateRow,
    fills_of,
    fundings_of,
    ledger_rows_of,
    updates_of,
)
from domain.instruments import Universe

GREETING = "Websocket connection established."
"""Sent as bare text by older deployments."""

NOT_FOR_US = frozenset(
    (
        *("activeAssetData", "activeSpotAssetCtx", "allDexsAssetCtxs", "allDexsClearinghouseState"),
        *("clearinghouseState", "fastAssetCtxs", "notification", "openOrders", "outcomeMetaUpdates", "spotState"),
        *("twapStates", "userHistoricalOrders", "userTwapHistory", "userTwapSliceFills", "webData2", "webData3"),
    )
)


class _Envelope(msgspec.Struct, gc=False):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Ack(msgspec.Struct, gc=False):
    method: Literal["subscribe", "unsubscribe"]
    subscription: dict[str, Any]


class _PostBody(msgspec.Struct, gc=False):
    type: Literal["info", "action", "error"]
    payload: msgspec.Raw


class _Post(msgspec.Struct, gc=False):
    id: Whole
    response: _PostBody


class _InfoPayload(msgspec.Struct, gc=False):
    type: str
    data: msgspec.Raw


class _ActionPayload(msgspec.Struct, gc=False):
    status: str


class _Fills(msgspec.Struct, gc=False):
    user: str
    fills: list[FillRow]
    is_snapshot: bool = msgspec.field(name="isSnapshot", default=False)


class _Fundings(msgspec.Struct, gc=False):
    user: str
    fundings: list[FundingRow]
    is_snapshot: bool = msgspec.field(name="isSnapshot", default=False)


class _Ledger(msgspec.Struct, gc=False):
    user: str
    rows: list[DatedLedger] = msgspec.field(name="nonFundingLedgerUpdates")
    is_snapshot: bool = msgspec.field(name="isSnapshot", default=False)


class _Liquidation(msgspec.Struct, gc=False):
    liquidator: str
    liquidated_user: str
    liquidated_ntl_pos: str
    liquidated_account_value: str


class _Canceled(msgspec.Struct, gc=False):
    coin: str
    oid: Whole


class _Events(msgspec.Struct, gc=False):
    fills: list[FillRow] = []
    funding: FundingRow | None = None
    liquidation: _Liquidation | None = None
    non_user_cancel: list[_Canceled] = msgspec.field(name="nonUserCancel", default=[])


_Data = msgspec.Raw
_Reader = Callable[[_Data, Universe, str | None, int | None], Heard]

_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ACK = msgspec.json.Decoder(_Ack)
_POST = msgspec.json.Decoder(_Post)
_INFO_PAYLOAD = msgspec.json.Decoder(_InfoPayload)
_ACTION_PAYLOAD = msgspec.json.Decoder(_ActionPayload)
_TEXT = msgspec.json.Decoder(str)
_UPDATES = msgspec.json.Decoder(list[UpdateRow])
_FILLS = msgspec.json.Decoder(_Fills)
_FUNDINGS = msgspec.json.Decoder(_Fundings)
_LEDGER = msgspec.json.Decoder(_Ledger)
_EVENTS = msgspec.json.Decoder(_Events)


def decode_frame(raw: str | bytes, universe: Universe, own: str | None = None, now_ms: int | None = None) -> Heard:
    """Say what a frame is. Market data of coins outside `universe` are `Ignored`; account rows are kept for every perp.

    `own` is our address (whose liquidations are ours), `now_ms` the market's time: frames that are more than a day away
    from it, where they should be about now, have drifted. Never raises.
    """
    try:
        envelope = _ENVELOPE.decode(raw)
    except UNREADABLE as error:
        return Ignored("greeting") if raw in (GREETING, GREETING.encode()) else Drifted("", problem_of(error))
    channel = envelope.channel
    reader = _READERS.get(channel)
    if reader is None:
        return Ignored(channel) if channel in NOT_FOR_US else Drifted(ascii(channel)[1:-1][:40], "unknown channel")
    try:
        return reader(envelope.data, universe, own, now_ms)
    except DecodeError as error:
        return Drifted(channel, str(error))
    except UNREADABLE as error:
        return Drifted(channel, problem_of(error))


# ── the account ──────────────────────────────────────────────────────────────────────────────


def _order_updates(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    return OrderUpdatesHeard(*updates_of(_UPDATES.decode(data), "orderUpdates", now_ms))


def _user_fills(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _FILLS.decode(data)
    found = fills_of(frame.fills, own, "userFills", now_ms)
    return FillsHeard(frame.user.lower(), frame.is_snapshot, found.fills, found.skipped)


def _user_fundings(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _FUNDINGS.decode(data)
    found = fundings_of(frame.fundings, "userFundings", now_ms)
    return FundingsHeard(frame.user.lower(), frame.is_snapshot, found.fundings, found.skipped)


def _user_ledger(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _LEDGER.decode(data)
    return LedgerHeard(frame.user.lower(), frame.is_snapshot, ledger_rows_of(frame.rows, "userNonFundingLedgerUpdates"))


def _user_events(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _EVENTS.decode(data)
    fills = fills_of(frame.fills, own, "user.fills", now_ms)
    fundings = fundings_of(() if frame.funding is None else (frame.funding,), "user.funding", now_ms)
    canceled = tuple([(row.coin, row.oid) for row in frame.non_user_cancel if not is_other_market(row.coin)])
    skipped = fills.skipped + fundings.skipped + len(frame.non_user_cancel) - len(canceled)
    liquidations = () if frame.liquidation is None else (_liquidation(frame.liquidation),)
    return UserEventsHeard(fills.fills, fundings.fundings, liquidations, canceled, skipped)


def _liquidation(row: _Liquidation) -> Liquidation:
    return Liquidation(
        row.liquidated_user.lower(),
        row.liquidator.lower(),
        exact(row.liquidated_ntl_pos, "user.liquidation.liquidated_ntl_pos"),
        exact(row.liquidated_account_value, "user.liquidation.liquidated_account_value"),
    )


# ── the connection ───────────────────────────────────────────────────────────────────────────


def _pong(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    return Pong()


def _ack(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _ACK.decode(data)
    return Acked(frame.method, subscription_key(frame.subscription), frame.subscription)


def _error(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    return VenueError(_TEXT.decode(data))


def _post(data: _Data, universe: Universe, own: str | None, now_ms: int | None) -> Heard:
    frame = _POST.decode(data)
    kind, payload = frame.response.type, frame.response.payload
    if kind == "info":
        return Posted(frame.id, True, kind, bytes(_INFO_PAYLOAD.decode(payload).data))
    if kind == "action":
        return Posted(frame.id, _ACTION_PAYLOAD.decode(payload).status == "ok", kind, bytes(payload))
    return Posted(frame.id, False, kind, bytes(payload))


_READERS: dict[str, _Reader] = {
    "bbo": read_bbo,
    "candle": read_candle,
    "trades": read_trades,
    "activeAssetCtx": read_active_context,
    "l2Book": read_book,
    "allMids": read_mids,
    "orderUpdates": _order_updates,
    "userFills": _user_fills,
    "user": _user_events,
    "userFundings": _user_fundings,
    "userNonFundingLedgerUpdates": _user_ledger,
    "pong": _pong,
    "subscriptionResponse": _ack,
    "error": _error,
    "post": _post,
}
