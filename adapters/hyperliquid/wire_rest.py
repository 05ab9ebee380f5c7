"""Answers about the market, and answers to actions.

What the venue says of an order must be read exactly or not at all: an answer in a shape we do not know is a
`DecodeError`, and then the outcome is unknown. Descriptive data are read leniently: an instrument that makes no sense
is set aside with the reason, the others stand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

import msgspec
import numpy as np

from adapters.hyperliquid.heard import ContextHeard, DecodeError
from adapters.hyperliquid.wire_market import CandleRow, context_heard, mids_of
from adapters.hyperliquid.wire_numbers import (
    DAY_MS,
    INFINITE,
    UNREADABLE,
    Millis,
    exact,
    is_other_market,
    problem_of,
    read,
    shown,
)
from domain.candles import CandleWindow, Interval, candle_problem, close_ms_of
from domain.instruments import MAX_PRICE_DECIMALS, Instrument, MarginTier, Universe, single_tier

FIRST_TABLE_ID = 50
"""Margin tables below this number are one tier of that leverage, and stand in no list."""


# ── instruments ──────────────────────────────────────────────────────────────────────────────


class _Asset(msgspec.Struct):
    name: str
    size_decimals: int = msgspec.field(name="szDecimals")
    max_leverage: int = msgspec.field(name="maxLeverage")
    table_id: int | None = msgspec.field(name="marginTableId", default=None)
    delisted: bool = msgspec.field(name="isDelisted", default=False)
    only_isolated: bool = msgspec.field(name="onlyIsolated", default=False)
    margin_mode: str | None = msgspec.field(name="marginMode", default=None)


class _Tier(msgspec.Struct):
    lower_bound: str = msgspec.field(name="lowerBound")
    max_leverage: int = msgspec.field(name="maxLeverage")


class _Table(msgspec.Struct):
    tiers: list[_Tier] = msgspec.field(name="marginTiers")


class _Meta(msgspec.Struct):
    universe: list[_Asset]
    tables: list[tuple[int, _Table]] = msgspec.field(name="marginTables", default=[])
    collateral: object = msgspec.field(name="collateralToken", default=0)


class _Dex(msgspec.Struct):
    name: str


class _Day(msgspec.Struct, gc=False):
    notional: float | None = msgspec.field(name="dayNtlVlm", default=None)


@dataclass(frozen=True, slots=True)
class Meta:
    """The markets of one dex. An asset id is a place in the venue's list, delisted ones included, and never shifts;
    those of a builder's dex count from where the dex begins.

    `isolated_only` are coins that take no cross margin. `problems` says what was set aside or assumed, and why;
    `skipped` counts markets of builder dexes in the list of the first.
    """

    instruments: tuple[Instrument, ...]
    asset_ids: dict[str, int]
    isolated_only: frozenset[str]
    problems: tuple[str, ...]
    skipped: int


_META = msgspec.json.Decoder(_Meta)
_META_AND_CONTEXTS = msgspec.json.Decoder(tuple[_Meta, list[msgspec.Raw]])
_DEXES = msgspec.json.Decoder(list[_Dex | None])
_DAY = msgspec.json.Decoder(_Day, strict=False)


def decode_meta(body: bytes, dex: str = "") -> Meta:
    """`meta` → instruments with their margin tiers and asset ids; `dex` is whose was asked for."""
    return _meta(read(_META.decode, body, "meta"), dex)


def decode_perp_dexs(body: bytes) -> dict[str, int]:
    """`perpDexs`: the builders' dexes and their places, from which their asset ids come. The first dex is none."""
    where = "perpDexs"
    rows = read(_DEXES.decode, body, where)
    if not rows or rows[0] is not None:
        raise DecodeError(where, "the first dex does not stand first, as null")
    places = {row.name: place for place, row in enumerate(rows) if row is not None}
    if "" in places or len(places) != sum(row is not None for row in rows):
        raise DecodeError(where, "a dex without a name, or two of one name")
    return places


def decode_meta_and_contexts(body: bytes) -> tuple[Meta, dict[str, ContextHeard]]:
    """`metaAndAssetCtxs`; a coin whose context makes no sense has none, and a line in `problems`."""
    where = "metaAndAssetCtxs"
    answer, contexts = read(_META_AND_CONTEXTS.decode, body, where)
    if len(contexts) != len(answer.universe):
        raise DecodeError(where, f"{len(contexts)} contexts for {len(answer.universe)} coins")
    meta = _meta(answer)
    found: dict[str, ContextHeard] = {}
    problems = list(meta.problems)
    for coin, place in meta.asset_ids.items():
        try:
            found[coin] = context_heard(coin, contexts[place], where)
        except (DecodeError, *UNREADABLE) as error:
            problems.append(f"{shown(coin)}: no context: {problem_of(error)}")
    return Meta(meta.instruments, meta.asset_ids, meta.isolated_only, tuple(problems), meta.skipped), found


def decode_meta_and_volumes(body: bytes, dex: str = "") -> tuple[Meta, dict[str, float]]:
    """`metaAndAssetCtxs` for what was traded in 24 hours, USD. A coin that does not say so has no volume, and a line in
    `problems`: volumes are no reason to do without the markets."""
    answer, contexts = read(_META_AND_CONTEXTS.decode, body, "metaAndAssetCtxs")
    meta = _meta(answer, dex)
    problems = list(meta.problems)
    volumes: dict[str, float] = {}
    if len(contexts) != len(answer.universe):
        problems.append(f"{len(contexts)} contexts for {len(answer.universe)} coins: no volumes")
        contexts = []
    for coin, place in meta.asset_ids.items() if contexts else ():
        notional = _day_notional(contexts[place])
        if notional is None:
            problems.append(f"{shown(coin)}: no volume")
        else:
            volumes[coin] = notional
    return replace(meta, problems=tuple(problems)), volumes


def _day_notional(context: msgspec.Raw) -> float | None:
    try:
        notional = _DAY.decode(context).notional
    except UNREADABLE:
        return None
    return notional if notional is not None and 0.0 <= notional < INFINITE else None


def _meta(answer: _Meta, dex: str = "") -> Meta:
    tables = dict(answer.tables)
    instruments: list[Instrument] = []
    asset_ids: dict[str, int] = {}
    isolated: set[str] = set()
    problems: list[str] = []
    skipped = 0
    for place, asset in enumerate(answer.universe):
        name = asset.name
        if dex and not (name.startswith(f"{dex}:") and len(name) > len(dex) + 1):
            problems.append(f"{shown(name)}: no market of {shown(dex)}")
            continue
        if not dex and is_other_market(name):
            skipped += 1
            continue
        if name in asset_ids:
            raise DecodeError("meta.universe", f"{shown(name)} stands there twice")
        if not name or not 0 <= asset.size_decimals <= MAX_PRICE_DECIMALS or asset.max_leverage < 1:
            problems.append(f"{shown(name)}: {asset.size_decimals} decimals, leverage {asset.max_leverage}")
            continue
        tiers = _tiers(asset, tables, problems)
        instruments.append(Instrument(name, asset.size_decimals, tiers, asset.delisted))
        asset_ids[name] = place
        if asset.only_isolated or asset.margin_mode is not None:
            isolated.add(name)
    if dex and answer.collateral != 0:
        problems.append(f"{shown(dex)}: its money is token {shown(str(answer.collateral))} and not USDC")
    return Meta(tuple(instruments), asset_ids, frozenset(isolated), tuple(problems), skipped)


def _tiers(asset: _Asset, tables: dict[int, _Table], problems: list[str]) -> tuple[MarginTier, ...]:
    """A coin's tiers; one tier of its greatest leverage, and a problem, where its table is missing or odd."""
    number = asset.table_id
    if number is not None and number < FIRST_TABLE_ID and number not in tables:
        return single_tier(asset.max_leverage)
    table = None if number is None else tables.get(number)
    if table is None:
        problems.append(f"{shown(asset.name)}: margin table {number} is missing: one tier assumed")
        return single_tier(asset.max_leverage)
    tiers = tuple(MarginTier(exact(t.lower_bound, "meta.marginTiers"), t.max_leverage) for t in table.tiers)
    rises = all(low.lower_bound_usd < high.lower_bound_usd for low, high in pairwise(tiers))
    if not tiers or tiers[0].lower_bound_usd != 0 or not rises or any(tier.max_leverage < 1 for tier in tiers):
        problems.append(f"{shown(asset.name)}: margin table {number} makes no sense: one tier assumed")
        return single_tier(asset.max_leverage)
    return tiers


# ── prices ───────────────────────────────────────────────────────────────────────────────────


class _FundingRow(msgspec.Struct):
    coin: str
    rate: str = msgspec.field(name="fundingRate")
    premium: str
    time: Millis


@dataclass(frozen=True, slots=True)
class FundingRate:
    """What one hour paid; `time_ms` lies just after the full hour."""

    time_ms: int
    rate: Decimal
    premium: Decimal


_MIDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CANDLES = msgspec.json.Decoder(list[CandleRow], strict=False)
_RATES = msgspec.json.Decoder(list[_FundingRow])


def decode_all_mids(body: bytes, universe: Universe | None = None) -> dict[str, float]:
    """`allMids`: mid prices of `universe`, or of every perp of the first dex."""
    mids = read(_MIDS.decode, body, "allMids")
    try:
        return mids_of(mids, universe, "allMids")
    except UNREADABLE as error:
        raise DecodeError("allMids", problem_of(error)) from error


def decode_candles(body: bytes, symbol: str, interval: Interval, now_ms: int | None = None) -> CandleWindow:
    """`candleSnapshot`, oldest first, the running candle included. One row that cannot be is an error for all."""
    where = "candleSnapshot"
    rows = read(_CANDLES.decode, body, where)
    before = -1
    for row in rows:
        if row.s != symbol or row.i != interval.value:
            raise DecodeError(where, f"asked for {symbol} {interval.value}, got {shown(row.s)} {shown(row.i)}")
        if row.t % interval.ms or row.end != close_ms_of(row.t, interval):
            raise DecodeError(where, f"{row.t} to {row.end} is no span of {interval.value}")
        if row.t <= before:
            raise DecodeError(where, f"{row.t} after {before}: times do not rise")
        if now_ms is not None and row.t > now_ms + DAY_MS:
            raise DecodeError(where, f"{row.t} lies more than a day ahead of {now_ms}")
        problem = candle_problem(row.o, row.h, row.l, row.c, row.v)
        if problem is not None:
            raise DecodeError(where, f"{symbol} at {row.t}: {problem}")
        before = row.t
    return CandleWindow(
        symbol,
        interval,
        np.array([row.t for row in rows], np.int64),
        np.array([row.o for row in rows], np.float64),
        np.array([row.h for row in rows], np.float64),
        np.array([row.l for row in rows], np.float64),
        np.array([row.c for row in rows], np.float64),
        np.array([row.v for row in rows], np.float64),
    )


def decode_funding_history(body: bytes, symbol: str) -> tuple[FundingRate, ...]:
    """`fundingHistory`: rates of the past, as the venue orders them."""
    where = "fundingHistory"
    rows = read(_RATES.decode, body, where)
    for row in rows:
        if row.coin != symbol:
            raise DecodeError(where, f"asked for {symbol}, got {shown(row.coin)}")
    return tuple(
        FundingRate(row.time, exact(row.rate, f"{where}.fundingRate"), exact(row.premium, f"{where}.premium"))
        for row in rows
    )
