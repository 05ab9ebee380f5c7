"""Accounts on the wire: fills, funding, balances, positions and margin (§3.8, §3.9, §3.14, §3.15)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal

from adapters.sim.venue.exchange import margin
from adapters.sim.venue.exchange.accounts import VenueAccount, VenuePosition
from adapters.sim.venue.exchange.events import NO_HASH, LedgerUpdate, VenueFill, VenueFunding
from adapters.sim.venue.info.readable import ReadableExchange
from adapters.sim.venue.numbers import ratio, text, usd
from adapters.sim.venue.shapes.orders import Row, side_letter
from domain.instruments import MAX_PRICE_DECIMALS, Instrument

ZERO = Decimal(0)
COLLATERAL = "USDC"


def fill_row(fill: VenueFill) -> Row:
    """One row of `userFills`; `cloid` and `liquidation` only where there is one."""
    row: Row = {
        "coin": fill.coin,
        "px": ratio(fill.price),
        "sz": text(fill.size),
        "side": side_letter(fill.side),
        "time": fill.time_ms,
        "startPosition": text(fill.start_position),
        "dir": fill.direction,
        "closedPnl": usd(fill.closed_pnl),
        "hash": fill.hash,
        "oid": fill.oid,
        "crossed": fill.crossed,
        "fee": usd(fill.fee),
        "tid": fill.tid,
    }
    if fill.cloid is not None:
        row["cloid"] = fill.cloid
    if fill.liquidation is not None:
        row["liquidation"] = {
            "liquidatedUser": fill.liquidation.liquidated,
            "markPx": text(fill.liquidation.mark_price),
            "method": fill.liquidation.method,
        }
    row["feeToken"] = COLLATERAL
    row["twapId"] = None
    return row


def funding_row(funding: VenueFunding) -> Row:
    """One row of `userFunding`."""
    return {"time": funding.time_ms, "hash": NO_HASH, "delta": {"type": "funding", **_payment(funding)}}


def funding_event_row(funding: VenueFunding) -> Row:
    """The same payment as the streams `userFundings` and `userEvents` tell it."""
    return {"time": funding.time_ms, **_payment(funding)}


def _payment(funding: VenueFunding) -> Row:
    return {
        "coin": funding.coin,
        "usdc": usd(funding.usdc),
        "szi": text(funding.size),
        "fundingRate": ratio(funding.rate),
        "nSamples": None,
    }


def ledger_row(update: LedgerUpdate) -> Row:
    """One row of `userNonFundingLedgerUpdates`."""
    return {"time": update.time_ms, "hash": update.hash, "delta": update.delta}


def spot_state(account: VenueAccount | None) -> Row:
    """Spot balances; nothing of them is ever on hold, for the venue trades no spot."""
    held = ZERO if account is None else account.spot_usdc
    balance: Row = {"coin": COLLATERAL, "token": 0, "total": text(held), "hold": "0.0", "entryNtl": "0.0"}
    return {"balances": [balance] if held else []}


def clearinghouse_state(exchange: ReadableExchange, account: VenueAccount | None, now_ms: int) -> Row:
    """A perp account at the marks; one that never existed is empty."""
    if account is None:
        account = VenueAccount("")
    marks = exchange.marks
    coins = sorted(account.positions, key=exchange.asset_of)
    return {
        "marginSummary": _summary(account, exchange, cross_only=False),
        "crossMarginSummary": _summary(account, exchange, cross_only=True),
        "crossMaintenanceMarginUsed": usd(margin.cross_maintenance(account, marks, exchange.by_coin)),
        "withdrawable": usd(margin.withdrawable(account, marks, exchange.by_coin)),
        "assetPositions": [{"type": "oneWay", "position": _position(exchange, account, coin)} for coin in coins],
        "time": now_ms,
    }


def _summary(account: VenueAccount, exchange: ReadableExchange, *, cross_only: bool) -> Row:
    marks = exchange.marks
    value = margin.cross_value(account, marks) if cross_only else margin.account_value(account, marks)
    return {
        "accountValue": usd(value),
        "totalNtlPos": usd(margin.total_notional(account, marks, cross_only=cross_only)),
        "totalRawUsd": usd(margin.raw_usd(account, marks, cross_only=cross_only)),
        "totalMarginUsed": usd(margin.total_margin_used(account, marks, cross_only=cross_only)),
    }


def _position(exchange: ReadableExchange, account: VenueAccount, coin: str) -> Row:
    held, mark, instrument = account.positions[coin], exchange.marks[coin], exchange.by_coin[coin]
    unrealized = held.unrealized(mark)
    committed = abs(held.size) * held.entry_price / held.leverage
    ends_at = margin.liquidation_price(account, coin, exchange.marks, exchange.by_coin)
    return {
        "coin": coin,
        "szi": text(held.size),
        "leverage": _leverage(held.is_cross, held.leverage, held.raw_usd),
        "entryPx": entry_text(instrument, held.entry_price),
        "positionValue": usd(abs(held.size) * mark),
        "unrealizedPnl": usd(unrealized),
        "returnOnEquity": ratio(unrealized / committed),
        "liquidationPx": None if ends_at is None else ratio(ends_at),
        "marginUsed": usd(margin.margin_used(held, mark)),
        "maxLeverage": instrument.max_leverage,
        "cumFunding": {
            "allTime": usd(account.funding_all_time.get(coin, ZERO)),
            "sinceOpen": usd(held.funding_since_open),
            "sinceChange": usd(held.funding_since_change),
        },
    }


def entry_text(instrument: Instrument, entry: Decimal) -> str:
    """An average entry as the venue shows it: cut, not rounded, to the decimals that a price may have.

    Recorded: an exact 75635.8917 of BTC is shown as 75635.8, 0.0166295 of SAGA as 0.01662.
    """
    step = Decimal(1).scaleb(instrument.size_decimals - MAX_PRICE_DECIMALS)
    return text(entry.quantize(step, rounding=ROUND_DOWN))


def _leverage(is_cross: bool, value: int, raw_usd: Decimal | None) -> Row:
    if is_cross:
        return {"type": "cross", "value": value}
    return {"type": "isolated", "value": value, "rawUsd": usd(raw_usd or ZERO)}


def active_asset_data(exchange: ReadableExchange, address: str, account: VenueAccount | None, coin: str) -> Row:
    """A coin's configured leverage and how much may be bought and sold now."""
    if account is None:
        account = VenueAccount(address)
    instrument, mark, held = exchange.by_coin[coin], exchange.marks[coin], account.positions.get(coin)
    setting = margin.leverage_of(account, instrument)
    free = max(ZERO, margin.available(account, exchange.marks, exchange.by_coin))
    buying = free + (_freed(held, mark) if held is not None and held.size < 0 else ZERO)
    selling = free + (_freed(held, mark) if held is not None and held.size > 0 else ZERO)
    return {
        "user": address,
        "coin": coin,
        "leverage": _leverage(setting.is_cross, setting.value, None if held is None else held.raw_usd),
        "maxTradeSzs": [text(instrument.round_size(side * setting.value / mark)) for side in (buying, selling)],
        "availableToTrade": [usd(buying), usd(selling)],
        "markPx": text(mark),
    }


def _freed(held: VenuePosition, mark: Decimal) -> Decimal:
    """What going against a position may use on top: its own margin comes free, and its size needs none."""
    return max(ZERO, margin.margin_used(held, mark)) + abs(held.size) * mark / held.leverage


def merged_by_time(fills: Iterable[VenueFill]) -> list[VenueFill]:
    """Partial fills of one order in one block as one fill (`aggregateByTime`), where the first of them stood.

    The price is the average, to ten decimals; `tid` and `hash` are one of them.
    """
    groups: dict[tuple[int, int, bool], list[VenueFill]] = {}
    for fill in fills:
        groups.setdefault((fill.oid, fill.time_ms, fill.crossed), []).append(fill)
    return [parts[0] if len(parts) == 1 else _merged(parts) for parts in groups.values()]


def _merged(parts: list[VenueFill]) -> VenueFill:
    first = parts[0]
    size = sum((part.size for part in parts), ZERO)
    flip = next((part.direction for part in parts if ">" in part.direction), first.direction)
    return VenueFill(
        coin=first.coin,
        price=sum((part.price * part.size for part in parts), ZERO) / size,
        size=size,
        side=first.side,
        time_ms=first.time_ms,
        start_position=first.start_position,
        direction=flip,
        closed_pnl=sum((part.closed_pnl for part in parts), ZERO),
        hash=first.hash,
        oid=first.oid,
        crossed=first.crossed,
        fee=sum((part.fee for part in parts), ZERO),
        tid=first.tid,
        cloid=first.cloid,
        liquidation=first.liquidation,
    )
