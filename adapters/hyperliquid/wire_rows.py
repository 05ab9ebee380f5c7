"""Rows that streams and answers share: fills, funding payments, movements of money, orders.

Strict: a field that decides about orders, fills or positions and is missing or odd ends in `DecodeError`, for the whole
list. A list of which one row cannot be read is not a shorter list. Rows of other markets are counted, not errors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Literal

import msgspec

from adapters.hyperliquid.heard import DecodeError, LedgerRow, OrderUpdate
from adapters.hyperliquid.wire_numbers import (
    Millis,
    Whole,
    check_not_ahead,
    exact,
    is_other_market,
    known_cloid,
    not_negative,
    positive,
    shown,
)
from domain.events import FundingPaid
from domain.fills import Fill, FillCause
from domain.intents import Side

SIDES = {"B": Side.BUY, "A": Side.SELL}
COLLATERAL = "USDC"
LOT_STEP = Decimal("1E-6")
"""A perp's price and size have six decimals between them (reference §8): no size has more."""

_WIDE = Context(prec=80)
"""Rounds whatever `exact` lets through."""

STATUS_WORDS = frozenset(
    (
        *("open", "filled", "triggered", "canceled", "rejected", "marginCanceled", "vaultWithdrawalCanceled"),
        *("openInterestCapCanceled", "selfTradeCanceled", "reduceOnlyCanceled", "siblingFilledCanceled"),
        *("delistedCanceled", "liquidatedCanceled", "scheduledCancel", "outcomeSettledCanceled", "internalCancel"),
        *("tickRejected", "minTradeNtlRejected", "perpMarginRejected", "reduceOnlyRejected", "badAloPxRejected"),
        *("iocCancelRejected", "badTriggerPxRejected", "marketOrderNoLiquidityRejected", "oracleRejected"),
        *("positionIncreaseAtOpenInterestCapRejected", "positionFlipAtOpenInterestCapRejected"),
        *("tooAggressiveAtOpenInterestCapRejected", "openInterestIncreaseRejected", "perpMaxPositionRejected"),
        *("insufficientSpotBalanceRejected", "tooManyOpenOrdersRejected"),
    )
)
"""Every order status known today (reference §3.12): another one is read by its ending, and reported."""

FILL_WORDS = frozenset(
    (
        *("Open Long", "Open Short", "Close Long", "Close Short", "Long > Short", "Short > Long", "Buy", "Sell"),
        *("Auto-Deleveraging", "Settlement", "Net Child Vaults", "Spot Dust Conversion"),
        *("Split Outcome", "Merge Outcome", "Merge Question"),
    )
)
"""Every `dir` of a fill known today (reference §3.14). Display text: another one is only reported."""

_CAUSES = {"Auto-Deleveraging": FillCause.ADL, "Settlement": FillCause.SETTLEMENT}


# ── what stands on the wire ──────────────────────────────────────────────────────────────────


class LiquidationPart(msgspec.Struct, gc=False):
    liquidated_user: str = msgspec.field(name="liquidatedUser")


class FillRow(msgspec.Struct, gc=False):
    coin: str
    px: str
    sz: str
    side: Literal["B", "A"]
    time: Millis
    start_position: str = msgspec.field(name="startPosition")
    oid: Whole
    crossed: bool
    fee: str
    fee_token: str = msgspec.field(name="feeToken", default=COLLATERAL)
    tid: Whole | None = None
    cloid: str | None = None
    liquidation: LiquidationPart | None = None
    hash: str = ""
    dir: object = ""
    twap_id: Whole | None = msgspec.field(name="twapId", default=None)


class FundingRow(msgspec.Struct, gc=False):
    """A payment as the streams show it; over HTTP the same fields stand under `delta`."""

    time: Millis
    coin: str
    usdc: str
    szi: str
    rate: str = msgspec.field(name="fundingRate")
    samples: int | None = msgspec.field(name="nSamples", default=None)


class FundingDelta(msgspec.Struct, gc=False):
    coin: str
    usdc: str
    szi: str
    rate: str = msgspec.field(name="fundingRate")
    samples: int | None = msgspec.field(name="nSamples", default=None)


class DatedFunding(msgspec.Struct, gc=False):
    time: Millis
    delta: FundingDelta


class LedgerDelta(msgspec.Struct, gc=False):
    type: str
    usdc: str | None = None
    usdc_value: str | None = msgspec.field(name="usdcValue", default=None)


class DatedLedger(msgspec.Struct, gc=False):
    time: Millis
    delta: LedgerDelta


class BasicOrder(msgspec.Struct, gc=False):
    coin: str
    side: Literal["B", "A"]
    limit_px: str = msgspec.field(name="limitPx")
    sz: str
    oid: Whole
    timestamp: Millis
    orig_sz: str | None = msgspec.field(name="origSz", default=None)
    cloid: str | None = None
    reduce_only: bool = msgspec.field(name="reduceOnly", default=False)


class FullOrder(BasicOrder):
    is_trigger: bool = msgspec.field(name="isTrigger", default=False)
    trigger_px: str = msgspec.field(name="triggerPx", default="0.0")
    order_type: str = msgspec.field(name="orderType", default="")
    children: list[FullOrder] = []


class UpdateRow(msgspec.Struct, gc=False):
    order: BasicOrder
    status: str
    status_timestamp: Millis = msgspec.field(name="statusTimestamp")


# ── what it means ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Fills:
    fills: tuple[Fill, ...]
    skipped: int


@dataclass(frozen=True, slots=True)
class Fundings:
    fundings: tuple[FundingPaid, ...]
    skipped: int


def fills_of(rows: Iterable[FillRow], own: str | None, where: str, now_ms: int | None = None) -> Fills:
    """`own` is our address: a liquidation is ours only if it names us, for it also stands on the other side's fill."""
    fills: list[Fill] = []
    skipped = 0
    us = None if own is None else own.lower()
    for row in rows:
        if is_other_market(row.coin):
            skipped += 1
        else:
            fills.append(_fill(row, us, where, now_ms))
    return Fills(tuple(fills), skipped)


def _fill(row: FillRow, us: str | None, where: str, now_ms: int | None) -> Fill:
    if not row.coin:
        raise DecodeError(where, "a fill without a coin")
    check_not_ahead(row.time, now_ms, where)
    fee = exact(row.fee, f"{where}.fee")
    if fee and row.fee_token.strip() != COLLATERAL:
        raise DecodeError(f"{where}.feeToken", f"a perp's fee in {shown(row.fee_token)}")
    return Fill(
        symbol=row.coin,
        side=SIDES[row.side],
        price=positive(row.px, f"{where}.px"),
        size=positive(row.sz, f"{where}.sz"),
        time_ms=row.time,
        tid=row.tid or _stand_in_tid(row),
        oid=row.oid,
        cloid=known_cloid(row.cloid, f"{where}.cloid"),
        fee=fee,
        start_position=position_size(row.start_position, f"{where}.startPosition"),
        hash=row.hash,
        crossed=row.crossed,
        cause=_cause_of(row, us),
    )


def _cause_of(row: FillRow, us: str | None) -> FillCause:
    """What made this fill, by words that only the venue's own doings carry.

    A slice of a TWAP is proved by its `twapId` alone. Its hash is all zeros, but so is the hash of whoever's resting
    order it met: of 482 such makers' fills in our recordings 257 have no cloid either, and they are plain orders.
    """
    if us is not None and row.liquidation is not None and row.liquidation.liquidated_user.lower() == us:
        return FillCause.LIQUIDATION
    if isinstance(row.dir, str) and row.dir in _CAUSES:
        return _CAUSES[row.dir]
    return FillCause.ORDER if row.twap_id is None else FillCause.TWAP


def position_size(text: str, where: str) -> Decimal:
    """A position as the venue writes it, without the noise of floats.

    The venue adds positions up in floats: a large one is off from what its fills add up to by some 1e-10 (seen:
    `3135809.3999999999`), and would never again chain. No lot is smaller than `LOT_STEP`, so nothing is lost.
    """
    told = exact(text, where)
    rounded = _WIDE.quantize(told, LOT_STEP)
    return told if told == rounded else rounded


def _stand_in_tid(row: FillRow) -> int:
    """An id for a fill without one, the same whenever it is told. Above the venue's own, which have 50 bits.

    The position before it tells apart two executions that agree in all else.
    """
    text = f"{row.oid}:{row.time}:{row.px}:{row.sz}:{row.side}:{row.start_position}"
    return 1 << 62 | int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())


def fundings_of(rows: Iterable[FundingRow], where: str, now_ms: int | None = None) -> Fundings:
    """Single payments.

    Old ones come rolled up, many hours in one row: those are set aside, for their parts may be known already.
    """
    fundings: list[FundingPaid] = []
    skipped = 0
    for row in rows:
        check_not_ahead(row.time, now_ms, where)
        if is_other_market(row.coin) or (row.samples is not None and row.samples > 1):
            skipped += 1
            continue
        if not row.coin:
            raise DecodeError(where, "a payment without a coin")
        size, rate = exact(row.szi, f"{where}.szi"), exact(row.rate, f"{where}.fundingRate")
        fundings.append(FundingPaid(row.coin, row.time, size, rate, exact(row.usdc, f"{where}.usdc")))
    return Fundings(tuple(fundings), skipped)


def ledger_rows_of(rows: Iterable[DatedLedger], where: str) -> tuple[LedgerRow, ...]:
    found = []
    for row in rows:
        amount = row.delta.usdc if row.delta.usdc is not None else row.delta.usdc_value
        usd = None if amount is None else abs(exact(amount, f"{where}.usdc"))
        found.append(LedgerRow(row.delta.type, row.time, usd))
    return tuple(found)


def updates_of(rows: Iterable[UpdateRow], where: str, now_ms: int | None = None) -> tuple[tuple[OrderUpdate, ...], int]:
    """Updates of perp orders, and how many rows belong to other markets."""
    updates: list[OrderUpdate] = []
    skipped = 0
    for row in rows:
        if is_other_market(row.order.coin):
            skipped += 1
        else:
            updates.append(update_of(row, where, now_ms))
    return tuple(updates), skipped


def update_of(row: UpdateRow, where: str, now_ms: int | None = None) -> OrderUpdate:
    order = row.order
    if not order.coin or not row.status:
        raise DecodeError(where, "an order without a coin or a status")
    if order.orig_sz is None:
        raise DecodeError(f"{where}.origSz", "missing")
    check_not_ahead(row.status_timestamp, now_ms, where)
    return OrderUpdate(
        coin=order.coin,
        oid=order.oid,
        cloid=known_cloid(order.cloid, f"{where}.cloid"),
        status=row.status,
        size=not_negative(order.sz, f"{where}.sz"),
        original_size=not_negative(order.orig_sz, f"{where}.origSz"),
        time_ms=row.status_timestamp,
    )
