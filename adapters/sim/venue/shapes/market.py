"""The market on the wire: coins and margin tables, contexts, books, trades, candles (§3.2 - §3.7)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from adapters.sim.venue.exchange.events import Printed
from adapters.sim.venue.exchange.order_book import Level
from adapters.sim.venue.info.readable import ReadableCandle, ReadableContext, ReadableExchange
from adapters.sim.venue.numbers import float_text, ratio, text
from adapters.sim.venue.shapes.orders import Row, side_letter
from domain.candles import Interval
from domain.instruments import Instrument, MarginTier

USDC_TOKEN = 0
FIRST_TABLE = 50
"""Margin tables below this number have one tier, whose leverage is the number; they are not listed."""

_Tiers = tuple[tuple[int, int], ...]

# What mainnet listed in 2026: number → description and (lower bound in USD, leverage).
_LISTED: dict[int, tuple[str, _Tiers]] = {
    50: ("", ((0, 50),)),
    51: ("tiered 10x", ((0, 10), (3_000_000, 5))),
    52: ("tiered 10x (2)", ((0, 10), (20_000_000, 5))),
    53: ("tiered 20x", ((0, 20), (40_000_000, 10))),
    54: ("tiered 20x (2)", ((0, 20), (70_000_000, 10))),
    55: ("tiered 25x", ((0, 25), (100_000_000, 15))),
    56: ("tiered 40x", ((0, 40), (150_000_000, 20))),
}


def meta(exchange: ReadableExchange) -> Row:
    """The universe, delisted coins included: a place in it is an asset id."""
    tables = _tables(exchange.instruments)
    numbers = {tiers: number for number, (_, tiers) in tables.items()}
    return {
        "universe": [
            _coin(instrument, instrument.symbol in exchange.delisted, numbers) for instrument in exchange.instruments
        ],
        "marginTables": [[number, _table(*table)] for number, table in tables.items()],
        "collateralToken": USDC_TOKEN,
    }


def margin_table(exchange: ReadableExchange, number: int) -> Row | None:
    """One margin table; None where there is none of that number."""
    found = _tables(exchange.instruments).get(number)
    if found is not None:
        return _table(*found)
    return _table("", ((0, number),)) if 0 < number < FIRST_TABLE else None


def _coin(instrument: Instrument, is_delisted: bool, numbers: dict[_Tiers, int]) -> Row:
    tiers = _plain(instrument.margin_tiers)
    row: Row = {
        "szDecimals": instrument.size_decimals,
        "name": instrument.symbol,
        "maxLeverage": instrument.max_leverage,
        "marginTableId": numbers.get(tiers, instrument.max_leverage),
    }
    if is_delisted:
        row["isDelisted"] = True
    return row


def _tables(instruments: Sequence[Instrument]) -> dict[int, tuple[str, _Tiers]]:
    """The listed tables, and behind them those that only this market has."""
    tables = dict(_LISTED)
    known = {tiers for _, tiers in tables.values()}
    for instrument in instruments:
        tiers = _plain(instrument.margin_tiers)
        if tiers not in known and (len(tiers) > 1 or tiers[0][1] >= FIRST_TABLE):
            known.add(tiers)
            tables[max(tables) + 1] = (f"tiered {tiers[0][1]}x" if len(tiers) > 1 else "", tiers)
    return tables


def _plain(tiers: Sequence[MarginTier]) -> _Tiers:
    return tuple((int(tier.lower_bound_usd), tier.max_leverage) for tier in tiers)


def _table(description: str, tiers: _Tiers) -> Row:
    rows = [{"lowerBound": text(Decimal(bound)), "maxLeverage": leverage} for bound, leverage in tiers]
    return {"description": description, "marginTiers": rows}


def asset_ctx(context: ReadableContext) -> Row:
    """A coin's figures in `metaAndAssetCtxs` and the context streams; nulls where there is no usable book."""
    return {
        "funding": ratio(context.funding),
        "openInterest": text(context.open_interest),
        "prevDayPx": text(context.prev_day_px),
        "dayNtlVlm": ratio(context.day_notional),
        "premium": None if context.premium is None else ratio(context.premium),
        "oraclePx": text(context.oracle),
        "markPx": text(context.mark),
        "midPx": None if context.mid is None else text(context.mid),
        "impactPxs": None if context.impact is None else [ratio(price) for price in context.impact],
        "dayBaseVlm": ratio(context.day_volume),
    }


def level_row(level: Level) -> Row:
    return {"px": text(level.price), "sz": text(level.size), "n": level.count}


def l2_book(
    coin: str,
    time_ms: int,
    sides: tuple[Sequence[Level], Sequence[Level]],
    *,
    spread: Decimal | None = None,
    fast: bool = False,
) -> Row:
    """A whole book. `spread` (of the plain book) stands only on aggregated ones, `fast` only on that stream."""
    row: Row = {"coin": coin, "time": time_ms, "levels": [[level_row(level) for level in side] for side in sides]}
    if spread is not None:
        row["spread"] = text(spread)
    if fast:
        row["fast"] = True
    return row


def trade_row(printed: Printed) -> Row:
    """A public trade; `users` are buyer and seller."""
    return {
        "coin": printed.coin,
        "side": side_letter(printed.side),
        "px": text(printed.price),
        "sz": text(printed.size),
        "time": printed.time_ms,
        "hash": printed.hash,
        "tid": printed.tid,
        "users": [printed.buyer, printed.seller],
    }


def candle_row(coin: str, interval: Interval | str, row: ReadableCandle) -> Row:
    return {
        "t": row.open_ms,
        "T": row.end_ms,
        "s": coin,
        "i": interval.value if isinstance(interval, Interval) else interval,
        "o": float_text(row.open),
        "c": float_text(row.close),
        "h": float_text(row.high),
        "l": float_text(row.low),
        "v": float_text(row.volume),
        "n": row.trades,
    }
