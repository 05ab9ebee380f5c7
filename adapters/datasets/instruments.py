"""Trading rules for a backtest: from the venue's own `meta`, or guessed from the prices of the data."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, InvalidOperation

import msgspec
import numpy as np

from adapters.datasets.source_files import SourceFile, opened
from domain.candles import FloatColumn
from domain.instruments import MAX_PRICE_DECIMALS, Instrument, MarginTier, single_tier
from ports.datasets import CandleSet, DatasetError, DatasetProblem

_FIRST_TABLE_ID = 50
"""Below it a margin table id is itself the maximum leverage of a single tier."""

_MAX_INFERRED_SIZE_DECIMALS = 5
"""The most that any perpetual of the venue has."""


def infer_instruments(candles: CandleSet, default_max_leverage: int = 10) -> tuple[Instrument, ...]:
    """Guess each symbol's rules from its prices, in the order of `symbols`.

    The venue allows `6 - size_decimals` price decimals, so the most that were ever seen bound the size
    decimals from above. Five significant figures hide decimals of dear markets (ETH at 3412.5 looks like
    5 where the venue has 4): true rules come from `read_instruments`.
    """
    tiers = single_tier(default_max_leverage)
    instruments = []
    for window in candles.windows:
        prices = np.concatenate((window.open, window.high, window.low, window.close))
        size_decimals = min(MAX_PRICE_DECIMALS - price_decimals(prices), _MAX_INFERRED_SIZE_DECIMALS)
        instruments.append(Instrument(window.symbol, size_decimals, tiers))
    return tuple(instruments)


def price_decimals(prices: FloatColumn) -> int:
    """The most decimals that any of these prices is written with, at most 6.

    A float comes from a text of d decimals exactly when it equals the quotient of a whole number
    by 10^d: both are the float nearest to that decimal fraction.
    """
    left = prices
    for decimals in range(MAX_PRICE_DECIMALS):
        scale = 10.0**decimals
        left = left[np.rint(left * scale) / scale != left]
        if not len(left):
            return decimals
    return MAX_PRICE_DECIMALS


class _Tier(msgspec.Struct, rename="camel"):
    lower_bound: str
    max_leverage: int


class _Table(msgspec.Struct, rename="camel"):
    margin_tiers: list[_Tier]


class _Market(msgspec.Struct, rename="camel"):
    name: str
    sz_decimals: int
    max_leverage: int
    margin_table_id: int | None = None
    is_delisted: bool = False


class _Meta(msgspec.Struct, rename="camel"):
    universe: list[_Market]
    margin_tables: list[tuple[int, _Table]] = []


def read_instruments(path: str) -> tuple[Instrument, ...]:
    """Read the venue's `meta` or `metaAndAssetCtxs` answer (JSON, plain or gz), delisted markets included.

    The order is the venue's. Raises `DatasetError` with every problem found.
    """
    with opened(path) as source:
        meta = _decoded(source, source.path.read_bytes())
        problems: list[DatasetProblem] = []
        instruments = _instruments(source, meta, problems)
        if problems:
            raise DatasetError(problems)
    return instruments


def _decoded(source: SourceFile, data: bytes) -> _Meta:
    fix = "give the venue's answer to meta or metaAndAssetCtxs as it came"
    try:
        if data.lstrip()[:1] == b"[":  # metaAndAssetCtxs: [meta, contexts]
            parts = msgspec.json.decode(data, type=list[msgspec.Raw])
            data = bytes(parts[0]) if parts else b""
        return msgspec.json.decode(data, type=_Meta)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise DatasetError([source.problem("the instruments cannot be read", str(e), fix)]) from e


def _instruments(source: SourceFile, meta: _Meta, problems: list[DatasetProblem]) -> tuple[Instrument, ...]:
    tables = dict(meta.margin_tables)
    instruments = []
    if not meta.universe:
        problems.append(source.problem("the universe is empty", "there is nothing to trade", "download it again"))
    for name, count in Counter(market.name for market in meta.universe).items():
        if count > 1 or not name.strip():
            what, why = f"the name stands there {count} times", "a market has one name of its own"
            problems.append(source.problem(what, why, "download it again", symbol=name))
    for market in meta.universe:
        tiers = _tiers(market, tables)
        if isinstance(tiers, str):
            problems.append(
                source.problem(tiers, "leverage limits depend on it", "download it again", symbol=market.name)
            )
        elif not 0 <= market.sz_decimals <= MAX_PRICE_DECIMALS:
            what, why = f"szDecimals is {market.sz_decimals}", f"it lies between 0 and {MAX_PRICE_DECIMALS}"
            problems.append(source.problem(what, why, "download it again", symbol=market.name))
        else:
            instruments.append(Instrument(market.name, market.sz_decimals, tiers, market.is_delisted))
    return tuple(instruments)


def _tiers(market: _Market, tables: dict[int, _Table]) -> tuple[MarginTier, ...] | str:
    """The market's tiers, or what is wrong with them."""
    table_id = market.margin_table_id
    if table_id is None or (table_id < _FIRST_TABLE_ID and table_id not in tables):
        return single_tier(market.max_leverage) if market.max_leverage >= 1 else f"maxLeverage is {market.max_leverage}"
    if table_id not in tables:
        return f"margin table {table_id} is not in marginTables"
    try:
        tiers = tuple(
            MarginTier(Decimal(tier.lower_bound), tier.max_leverage) for tier in tables[table_id].margin_tiers
        )
    except InvalidOperation:
        return f"margin table {table_id} has a lowerBound that is not a number"
    bounds = [tier.lower_bound_usd for tier in tiers]
    if not tiers or not all(bound.is_finite() for bound in bounds) or bounds[0] != 0 or bounds != sorted(set(bounds)):
        return f"the tiers of margin table {table_id} do not ascend from 0"
    if any(tier.max_leverage < 1 for tier in tiers):
        return f"margin table {table_id} has a maxLeverage below 1"
    return tiers
